/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h: a request's way into the table, into a stream, and out again.
 */
#include "client.h"

#include <assert.h>
#include <check.h>
#include <failpoint.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_REQUESTS 1u /* of SessionRequests */

/* -- With the lock held ------------------------------------------------------------------------ */

void client_wake_by(struct tercet_client *client, int64_t at_ms)
{
    if (at_ms >= client->wake_ms)
        return;
    client->wake_ms = at_ms;
    pthread_cond_broadcast(&client->wake);
}

void client_ask_later(struct tercet_client *client, struct client_request *request, int64_t now_ms)
{
    int64_t at_ms = now_ms + runtime_pause_next(&request->pause);
    request->is_pausing = true;
    client_table_wake_set(&client->table, request,
                          at_ms < request->deadline_ms ? at_ms : request->deadline_ms);
    client_wake_by(client, request->entry.wake_ms);
}

/* The crash points of an initiator, by what it is about to send. */
static void pass_failpoint(const struct client_request *request)
{
    if (request->kind == CLIENT_RUN || request->kind == CLIENT_TRY ||
        request->kind == CLIENT_ENLIST)
        FAILPOINT("client.begin");
    if (request->kind == CLIENT_CONFIRM)
        FAILPOINT("client.confirm");
}

void client_ask(struct tercet_client *client, struct client_request *request, int64_t now_ms)
{
    struct client_stream *stream = client->stream;
    request->is_pausing = false;
    client_table_wake_set(&client->table, request, request->deadline_ms);
    if (stream == NULL || stream->outbox == NULL)
        return;
    pass_failpoint(request);
    int rc = outbox_put_bytes(stream->outbox, FIELD_REQUESTS,
                              (struct crpc_bytes){request->bytes, request->size});
    if (rc == 0)
        request->asks++;
    else if (rc != CRPC_ECLOSED) /* else it is sent on the next stream */
        client_ask_later(client, request, now_ms);
}

void client_take(struct tercet_client *client, struct client_request *request)
{
    assert(client->bytes >= request->size);
    client->bytes -= request->size;
    client_table_remove(&client->table, request);
}

/* -- Submitting -------------------------------------------------------------------------------- */

static int check_room(const struct tercet_client *client, const struct client_request *request,
                      struct refusal *no)
{
    if (client->is_closing)
        return refusal_set_plain(no, TERCET_CLOSED);
    if (client->fails_fast && client->stream == NULL && client->last_error[0] != '\0' &&
        request->kind != CLIENT_DROP)
        return refusal_set(no, TERCET_UNAVAILABLE,
                           "the coordinator cannot be reached (fails_fast)");
    if (client->table.count >= client->requests_max)
        return refusal_set(
            no, TERCET_EXHAUSTED,
            "too many requests of this client are open (requests_max): wait for answers");
    if (client->bytes + request->size > CLIENT_BYTES_MAX)
        return refusal_set(
            no, TERCET_EXHAUSTED,
            "the open requests of this client have more than 64 MiB: wait for answers");
    return 0;
}

static int submit_locked(struct tercet_client *client, struct client_request *request,
                         struct refusal *no)
{
    bool is_asked = request->kind != CLIENT_DROP;
    int rc = check_room(client, request, no);
    if (rc != 0)
        return rc;
    request->entry.wake_ms = is_asked ? request->deadline_ms : 0;
    if (!is_asked)
        request->entry.id = atomic_fetch_add(&client->last_id, 1) + 1;
    if (!client_table_add(&client->table, request))
        return refusal_set_plain(no, TERCET_NOMEM);
    client->bytes += request->size;
    request->begun_ms = clock_monotonic_ms();
    client_wake_by(client, request->entry.wake_ms);
    if (is_asked)
        client_ask(client, request, clock_monotonic_ms());
    return 0;
}

int client_submit(struct tercet_client *client, struct client_request *request, struct refusal *no)
{
    struct client_stream *stream = NULL;
    bool is_confirm = request->kind == CLIENT_CONFIRM;
    pthread_mutex_lock(&client->lock);
    int rc = submit_locked(client, request, no);
    if (rc == 0 && client->stream != NULL) {
        stream = client_stream_ref(client->stream);
        client->submitting++;
    }
    pthread_mutex_unlock(&client->lock);
    if (stream == NULL)
        return rc;

    client_stream_flush(stream);
    client_stream_unref(stream);
    if (is_confirm)
        FAILPOINT("client.confirm.sent");
    pthread_mutex_lock(&client->lock);
    client->submitting--;
    if (client->is_closing)
        pthread_cond_broadcast(&client->wake);
    pthread_mutex_unlock(&client->lock);
    return rc;
}

/* -- Ending ------------------------------------------------------------------------------------ */

/* A begin has ended: what waited for it goes on, or ends in the same way. */
static void go_on(struct tercet_client *client, struct client_request *then,
                  const struct client_answer *answer)
{
    struct refusal no;
    if (answer->result.code != 0) {
        client_end(client, then, answer);
        return;
    }
    int rc = client_submit(client, then, &no);
    if (rc != 0)
        client_end_with(client, then, rc == TERCET_CLOSED ? TERCET_UNKNOWN : rc, no.text);
}

static void call_back(const struct client_request *request, const struct client_answer *answer)
{
    client_callback_begin();
    if (request->on_result != NULL) {
        request->on_result(&answer->result, request->ctx);
    } else if (request->on_tried != NULL) {
        struct tercet_tried tried = {
            .code = answer->result.code, .branch = answer->branch, .reply = answer->reply};
        memcpy(tried.text, answer->result.text, sizeof(tried.text));
        request->on_tried(&tried, request->ctx);
    } else if (request->on_answer != NULL) {
        request->on_answer(answer, request->ctx);
    }
    client_callback_end();
}

void client_end(struct tercet_client *client, struct client_request *request,
                const struct client_answer *answer)
{
    struct client_request *then = request->then;
    if (request->begun_ms != 0) /* else it never was one */
        client_note_end(client, request, answer->result.code);
    if (request->kind == CLIENT_TRY && answer->result.code == 0)
        FAILPOINT("client.try.done");
    request->then = NULL;
    if (then != NULL)
        go_on(client, then, answer);
    else
        call_back(request, answer);
    client_request_free(request);
}

void client_end_with(struct tercet_client *client, struct client_request *request, int code,
                     const char *text)
{
    struct client_answer answer = client_answer_new(request);
    answer.result.code = code;
    if (code != 0)
        copy_text(answer.result.text, text != NULL ? text : tercet_strerror(code));
    client_end(client, request, &answer);
}
