/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h: raw bytes in place of requests, and a participant.
 */
#include "bench.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- Raw bytes --------------------------------------------------------------------------------- */

struct ending {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool has_come;
    enum crpc_code code;
    char text[256];
};

static void on_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct ending *ending = ctx;
    (void)call;
    pthread_mutex_lock(&ending->lock);
    ending->has_come = true;
    ending->code = status->code;
    snprintf(ending->text, sizeof(ending->text), "%s", status->message);
    pthread_cond_signal(&ending->changed);
    pthread_mutex_unlock(&ending->lock);
}

static void on_message(struct crpc_call *call, struct crpc_bytes message, void *ctx)
{
    (void)message;
    (void)ctx;
    crpc_call_read(call);
}

enum crpc_code send_raw(struct bench *b, const ProtobufCServiceDescriptor *service,
                        const char *method, struct crpc_bytes bytes, char text[256])
{
    static const struct crpc_call_events events = {.on_message = on_message, .on_end = on_end};
    const struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = WAIT_MS};
    struct ending ending = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct crpc_call *call = NULL;
    cr_assert_eq(crpc_call_open(&call, b->channel, service, method, &options, &events, &ending), 0);
    int rc = crpc_call_send_bytes(call, bytes);
    /* closed: refused by its name already */
    cr_assert(rc == 0 || rc == CRPC_ECLOSED, "%s", crpc_strerror(rc));
    crpc_call_half_close(call);
    crpc_call_read(call);
    pthread_mutex_lock(&ending.lock);
    while (!ending.has_come) /* bounded by the call's deadline */
        pthread_cond_wait(&ending.changed, &ending.lock);
    pthread_mutex_unlock(&ending.lock);
    crpc_call_unref(call);
    if (text != NULL)
        memcpy(text, ending.text, sizeof(ending.text));
    return ending.code;
}

/* -- A participant ----------------------------------------------------------------------------- */

struct participant {
    struct crpc_stream *stream;
    pthread_t thread;
};

static void answer_calls(struct participant *participant, const Tercet__V1__AttachResponse *message)
{
    Tercet__V1__AttachRequest answer = TERCET__V1__ATTACH_REQUEST__INIT;
    Tercet__V1__CallResult *results = calloc(message->n_calls + 1, sizeof(*results));
    answer.results = calloc(message->n_calls + 1, sizeof(*answer.results));
    for (size_t i = 0; i < message->n_calls; i++) {
        const Tercet__V1__Call *call = message->calls[i];
        if (call->kind == TERCET__V1__KIND__TRY && strcmp(call->action, "stock/hold") == 0)
            continue;
        Tercet__V1__CallResult *result = &results[answer.n_results];
        tercet__v1__call_result__init(result);
        result->id = call->id;
        result->outcome = TERCET__V1__OUTCOME__DONE;
        answer.results[answer.n_results++] = result;
    }
    if (answer.n_results > 0)
        crpc_stream_write(participant->stream, &answer.base);
    free(answer.results);
    free(results);
}

static void *run_participant(void *ctx)
{
    struct participant *participant = ctx;
    ProtobufCMessage *message;
    while (crpc_stream_read(&message, participant->stream) == 0) {
        answer_calls(participant, (const Tercet__V1__AttachResponse *)message);
        crpc_message_free(message);
    }
    return NULL;
}

struct participant *participant_open(struct bench *b)
{
    char reserve[] = "reserve", hold[] = "hold", service[] = "stock";
    char *actions[] = {reserve, hold};
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    struct participant *participant = calloc(1, sizeof(*participant));
    ProtobufCMessage *accepted = NULL;
    hello.service = service;
    hello.actions = actions;
    hello.n_actions = 2;
    request.hello = &hello;
    cr_assert_eq(crpc_stream_open(&participant->stream, b->channel, PARTICIPANTS, "Attach", NULL),
                 0);
    cr_assert_eq(crpc_stream_write(participant->stream, &request.base), 0);
    cr_assert_eq(crpc_stream_read(&accepted, participant->stream), 0);
    cr_assert_not_null(((const Tercet__V1__AttachResponse *)accepted)->accepted);
    crpc_message_free(accepted);
    cr_assert_eq(pthread_create(&participant->thread, NULL, run_participant, participant), 0);
    return participant;
}

void participant_close(struct participant *participant)
{
    crpc_stream_cancel(participant->stream);
    pthread_join(participant->thread, NULL);
    crpc_stream_finish(participant->stream, NULL);
    free(participant);
}
