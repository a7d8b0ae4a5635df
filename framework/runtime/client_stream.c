/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h: the session with the coordinator, one at a time.
 */
#include "client.h"

#include "transaction.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The outbox must hold all open requests again after a reconnect; what has ended may still wait in
 * it. */
#define OUTBOX_BYTES_MAX (2 * (size_t)CLIENT_BYTES_MAX)

struct client_stream *client_stream_ref(struct client_stream *stream)
{
    atomic_fetch_add(&stream->refs, 1);
    return stream;
}

void client_stream_unref(struct client_stream *stream)
{
    if (atomic_fetch_sub(&stream->refs, 1) != 1)
        return;
    outbox_free(stream->outbox);
    crpc_call_unref(stream->call);
    free(stream);
}

/* The stream whose message this thread is handling. */
static _Thread_local const struct client_stream *handling;

/* What callbacks submit while a message is handled goes out together when it has been. Sent one by
 * one, the first would go alone, and the coordinator would commit it alone. */
void client_stream_flush(struct client_stream *stream)
{
    if (stream->outbox != NULL && stream != handling)
        outbox_flush(stream->outbox);
}

/* -- Events ------------------------------------------------------------------------------------ */

static void handle_response(struct tercet_client *client,
                            const Tercet__V1__SessionResponse *response)
{
    struct client_answer answer;
    bool has_ended = false;
    pthread_mutex_lock(&client->lock);
    struct client_request *request = client_table_find(&client->table, response->id);
    if (request != NULL && response->code == CRPC_OK)
        transaction_acknowledged(request->transaction);
    if (request != NULL) {
        has_ended = client_answer_read(&answer, request, response);
        if (has_ended)
            client_take(client, request);
        else
            client_ask_later(client, request, clock_monotonic_ms());
    }
    pthread_mutex_unlock(&client->lock);
    if (has_ended)
        client_end(client, request, &answer);
}

static void mark_answered(struct client_stream *stream)
{
    if (stream->has_answered)
        return;
    pthread_mutex_lock(&stream->client->lock);
    stream->has_answered = true;
    runtime_pause_reset(&stream->client->reconnect);
    stream->client->last_error[0] = '\0';
    pthread_mutex_unlock(&stream->client->lock);
}

static void on_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    struct client_stream *stream = ctx;
    ProtobufCMessage *message = NULL;
    if (crpc_message_decode(&message, &tercet__v1__session_responses__descriptor, bytes, 0) != 0) {
        runtime_log(&stream->client->log, TERCET_LOG_ERROR,
                    "client: the coordinator sent bytes that are no answer");
        crpc_call_cancel(call);
        return;
    }
    const Tercet__V1__SessionResponses *responses = (const Tercet__V1__SessionResponses *)message;
    mark_answered(stream);
    handling = stream;
    for (size_t i = 0; i < responses->n_responses; i++)
        handle_response(stream->client, responses->responses[i]);
    handling = NULL;
    client_stream_flush(stream);
    crpc_message_free(message);
    crpc_call_read(call);
}

static void on_sent(struct crpc_call *call, bool ok, void *ctx)
{
    struct client_stream *stream = ctx;
    (void)call;
    outbox_sent(stream->outbox, ok);
}

/* Takes the requests that were sent on this stream only, which the coordinator has refused: nothing
 * was done for them. */
static struct client_request *take_denied(struct tercet_client *client)
{
    struct client_request *denied = NULL, *newer;
    for (struct client_request *request = client->table.oldest; request != NULL; request = newer) {
        newer = request->entry.newer;
        if (request->asks != 1 || request->is_pausing)
            continue;
        client_take(client, request);
        request->entry.newer = denied;
        denied = request;
    }
    return denied;
}

static void end_denied(struct tercet_client *client, struct client_request *denied,
                       const char *text)
{
    while (denied != NULL) {
        struct client_request *next = denied->entry.newer;
        client_end_with(client, denied, TERCET_DENIED, text);
        denied = next;
    }
}

/* Takes all that are open, for a client that fails fast. */
static struct client_request *take_all(struct tercet_client *client)
{
    struct client_request *taken = NULL, *newer;
    for (struct client_request *request = client->table.oldest; request != NULL; request = newer) {
        newer = request->entry.newer;
        if (request->kind == CLIENT_DROP)
            continue;
        client_take(client, request);
        request->entry.newer = taken;
        taken = request;
    }
    return taken;
}

static void end_unreachable(struct tercet_client *client, struct client_request *taken,
                            const char *error)
{
    char text[TERCET_TEXT_MAX];
    runtime_text(text, "the coordinator cannot be reached: %s", error);
    while (taken != NULL) {
        struct client_request *next = taken->entry.newer;
        client_end_with(client, taken, taken->asks > 0 ? TERCET_UNKNOWN : TERCET_UNAVAILABLE, text);
        taken = next;
    }
}

static void schedule_reconnect(struct tercet_client *client, bool is_denied)
{
    int64_t pause_ms = runtime_pause_next(&client->reconnect);
    if (is_denied && pause_ms < CLIENT_DENIED_MS)
        pause_ms = CLIENT_DENIED_MS;
    client->reconnect_ms = clock_monotonic_ms() + pause_ms;
    client_wake_by(client, client->reconnect_ms);
}

/* Keeps the error for the texts of requests that wait; returns whether it is a new one. */
static bool keep_error(struct tercet_client *client, const struct crpc_status *status,
                       char text[TERCET_TEXT_MAX])
{
    if (status->code == CRPC_OK)
        runtime_text(text, "%s", "the coordinator is stopping");
    else
        runtime_text(text, "%s: %s", crpc_code_name((int)status->code), status->message);
    bool is_new = strcmp(text, client->last_error) != 0;
    memcpy(client->last_error, text, sizeof(client->last_error));
    return is_new;
}

static void on_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct client_stream *stream = ctx;
    struct tercet_client *client = stream->client;
    char text[TERCET_TEXT_MAX];
    (void)call;
    pthread_mutex_lock(&client->lock);
    assert(client->stream == stream);
    bool is_denied = !stream->has_answered && (status->code == CRPC_UNAUTHENTICATED ||
                                               status->code == CRPC_PERMISSION_DENIED);
    bool is_news = keep_error(client, status, text) && !client->is_closing;
    struct client_request *denied = is_denied ? take_denied(client) : NULL;
    bool is_hopeless = client->fails_fast && !is_denied && status->code != CRPC_OK;
    struct client_request *hopeless = is_hopeless ? take_all(client) : NULL;
    client->stream = NULL;
    schedule_reconnect(client, is_denied);
    pthread_mutex_unlock(&client->lock);
    if (is_news)
        runtime_log(&client->log, TERCET_LOG_WARNING,
                    "client: the session with the coordinator ended: %s", text);
    end_denied(client, denied, status->message);
    end_unreachable(client, hopeless, text);
    if (stream->outbox != NULL)
        outbox_close(stream->outbox);
    client_stream_unref(stream);
}

/* -- Opening ----------------------------------------------------------------------------------- */

static struct client_stream *new_stream(struct tercet_client *client)
{
    static const struct crpc_call_events events = {
        .on_message = on_message, .on_sent = on_sent, .on_end = on_end};
    struct client_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        return NULL;
    atomic_init(&stream->refs, 1);
    stream->client = client;
    if (runtime_link_stream(&stream->call, &client->link, &tercet__v1__coordinator__descriptor,
                            "Session", &events, stream) != 0) {
        free(stream);
        return NULL;
    }
    return stream;
}

void client_stream_open(struct tercet_client *client, int64_t now_ms)
{
    assert(client->stream == NULL);
    struct client_stream *stream = new_stream(client);
    client->stream = stream;
    if (stream != NULL)
        stream->opened_ms = now_ms;
    if (stream == NULL) {
        schedule_reconnect(client, false);
        return;
    }
    /* on_end may have been called already on another thread: it waits for the lock. */
    if (outbox_new(&stream->outbox, stream->call, OUTBOX_BYTES_MAX) != 0) {
        crpc_call_cancel(stream->call);
        return;
    }
    for (struct client_request *request = client->table.oldest; request != NULL;
         request = request->entry.newer) {
        if (!request->is_pausing && request->kind != CLIENT_DROP)
            client_ask(client, request, now_ms);
    }
    crpc_call_read(stream->call);
    client_stream_flush(stream);
}
