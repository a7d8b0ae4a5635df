/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h: the attached stream. Says hello, takes calls while the queue has room, and is
 * opened again whenever it ends.
 */
#include "participant.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELD_HELLO 1u /* of AttachRequest */
#define RESULT_SIZE_MAX (TERCET_REPLY_MAX + 1024)

/* -- Taking calls ------------------------------------------------------------------------------ */

static void push_call(struct participant_stream *stream, const Tercet__V1__Call *call,
                      struct participant_message *message)
{
    struct participant_task *task = participant_task_new(call, message);
    if (task == NULL)
        return; /* the coordinator sends it again */
    task->stream = participant_stream_ref(stream);
    participant_push(stream->participant, task);
}

struct participant_stream *participant_take_held(struct tercet_participant *participant)
{
    struct participant_stream *stream = participant->stream;
    bool has_room = participant->task_count < participant->window || participant->is_closing;
    if (stream == NULL || !stream->is_held || !has_room)
        return NULL;
    stream->is_held = false;
    return participant_stream_ref(stream);
}

void participant_read_on(struct participant_stream *stream)
{
    if (stream == NULL)
        return;
    crpc_call_read(stream->call);
    participant_stream_unref(stream);
}

static void on_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    struct participant_stream *stream = ctx;
    struct tercet_participant *participant = stream->participant;
    ProtobufCMessage *decoded = NULL;
    struct participant_message *message = NULL;
    if (crpc_message_decode(&decoded, &tercet__v1__attach_response__descriptor, bytes, 0) == 0)
        message = participant_message_new(decoded);
    if (message == NULL) {
        runtime_log(&participant->log, TERCET_LOG_ERROR,
                    "participant %s: cannot take what the coordinator sent", participant->service);
        crpc_call_cancel(call);
        return;
    }
    const Tercet__V1__AttachResponse *response =
        (const Tercet__V1__AttachResponse *)message->message;
    pthread_mutex_lock(&participant->lock);
    for (size_t i = 0; i < response->n_calls && !participant->is_closing; i++)
        push_call(stream, response->calls[i], message);
    participant_accepted(participant);
    stream->is_held = true;
    struct participant_stream *held = participant_take_held(participant);
    participant_unlock(participant);
    participant_read_on(held);
    participant_message_unref(message);
}

static void on_sent(struct crpc_call *call, bool ok, void *ctx)
{
    struct participant_stream *stream = ctx;
    (void)call;
    outbox_sent(stream->outbox, ok);
    pthread_mutex_lock(&stream->participant->lock);
    if (stream->participant->is_closing)
        pthread_cond_broadcast(&stream->participant->changed);
    pthread_mutex_unlock(&stream->participant->lock);
}

static void on_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct participant_stream *stream = ctx;
    struct tercet_participant *participant = stream->participant;
    (void)call;
    pthread_mutex_lock(&participant->lock);
    assert(participant->stream == stream);
    participant->stream = NULL;
    atomic_store(&stream->is_over, true);
    bool is_news = participant_lost(participant, status);
    pthread_mutex_unlock(&participant->lock);
    if (is_news)
        runtime_log(&participant->log, TERCET_LOG_WARNING, "participant %s: not attached: %s: %s",
                    participant->service, crpc_code_name((int)status->code), status->message);
    if (stream->outbox != NULL)
        outbox_close(stream->outbox);
    participant_stream_unref(stream);
}

/* -- Opening ----------------------------------------------------------------------------------- */

static int say_hello(struct participant_stream *stream)
{
    const struct tercet_participant *participant = stream->participant;
    char instance[TERCET_TEXT_MAX] = "", host[128] = "";
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    struct participant_offer offer;
    int rc = CRPC_ENOMEM;
    gethostname(host, sizeof(host) - 1);
    snprintf(instance, sizeof(instance), "%s:%ld", host, (long)getpid());
    hello.service = (char *)(uintptr_t)participant->service;
    hello.instance = instance;
    hello.window = participant->window;
    hello.database = (char *)(uintptr_t)participant->database;
    hello.sharded = participant->is_sharded;
    hello.version = (char *)(uintptr_t)PARTICIPANT_LIBRARY_VERSION;
    hello.application_version = (char *)(uintptr_t)participant->version;
    if (participant_offer_make(&offer, participant)) {
        hello.actions = offer.names;
        hello.n_actions = participant->action_count;
        hello.timeouts = offer.timeouts;
        hello.n_timeouts = offer.timeout_count;
        rc = outbox_put(stream->outbox, FIELD_HELLO, &hello.base);
    }
    participant_offer_clear(&offer);
    return rc;
}

static struct participant_stream *new_stream(struct tercet_participant *participant)
{
    static const struct crpc_call_events events = {
        .on_message = on_message, .on_sent = on_sent, .on_end = on_end};
    struct participant_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        return NULL;
    atomic_init(&stream->refs, 1);
    atomic_init(&stream->is_over, false);
    stream->participant = participant;
    if (runtime_link_stream(&stream->call, &participant->link,
                            &tercet__v1__participants__descriptor, "Attach", &events,
                            stream) != 0) {
        free(stream);
        return NULL;
    }
    return stream;
}

/* Room for the results of all calls that may be here at once, and for the hello. */
static size_t outbox_size(const struct tercet_participant *participant)
{
    return ((size_t)participant->window + participant->batch_max) * RESULT_SIZE_MAX +
           TERCET_MESSAGE_MAX;
}

void participant_attach(struct tercet_participant *participant)
{
    assert(participant->stream == NULL);
    struct participant_stream *stream = new_stream(participant);
    participant->stream = stream;
    if (stream == NULL) {
        const struct crpc_status status = {.code = CRPC_UNAVAILABLE, .message = "out of memory"};
        participant_lost(participant, &status);
        return;
    }
    /* on_end may have been called already on another thread: it waits for the lock. */
    if (outbox_new(&stream->outbox, stream->call, outbox_size(participant)) != 0 ||
        say_hello(stream) != 0) {
        crpc_call_cancel(stream->call);
        return;
    }
    outbox_flush(stream->outbox);
    crpc_call_read(stream->call);
}

/* -- Leaving ----------------------------------------------------------------------------------- */

static bool is_attached(const struct tercet_participant *participant, int64_t until_ms)
{
    return participant->stream != NULL && clock_monotonic_ms() < until_ms;
}

void participant_detach(struct tercet_participant *participant)
{
    int64_t until_ms = clock_monotonic_ms() + PARTICIPANT_CLOSE_MS;
    pthread_mutex_lock(&participant->lock);
    while (participant->is_accepted && is_attached(participant, until_ms) &&
           !outbox_is_empty(participant->stream->outbox))
        runtime_wait_until(&participant->changed, &participant->lock, until_ms);
    if (participant->is_accepted && is_attached(participant, until_ms)) {
        crpc_call_half_close(participant->stream->call);
        participant_read_on(participant_take_held(participant));
    }
    while (participant->is_accepted && is_attached(participant, until_ms))
        runtime_wait_until(&participant->changed, &participant->lock, until_ms);
    pthread_mutex_unlock(&participant->lock);
}
