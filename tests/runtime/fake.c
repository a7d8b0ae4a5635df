/* SPDX-License-Identifier: Apache-2.0
 *
 * fake.h
 */
#include "fake.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIELD_RECORDS 1u  /* responses, or calls */
#define FIELD_NOTHING 15u /* a field that nobody knows: an empty message to the reader */
#define WINDOW_SIZE (64 * 1024)

/* -- Events ------------------------------------------------------------------------------------ */

static struct fake_event *add_event(struct fake *fake, enum fake_kind kind,
                                    struct fake_stream *stream)
{
    struct fake_event *event = calloc(1, sizeof(*event));
    event->kind = kind;
    event->stream = stream;
    *fake->last_next = event;
    fake->last_next = &event->next;
    pthread_cond_broadcast(&fake->changed);
    return event;
}

static struct fake_event *find_event(struct fake *fake, enum fake_kind kind)
{
    struct fake_event *event = fake->first;
    while (event != NULL && (event->is_taken || event->kind != kind))
        event = event->next;
    return event;
}

static struct timespec limit_after(int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    return until;
}

struct fake_event *fake_next(struct fake *fake, enum fake_kind kind)
{
    struct timespec until = limit_after(WAIT_MS);
    struct fake_event *event;
    int rc = 0;
    pthread_mutex_lock(&fake->lock);
    while ((event = find_event(fake, kind)) == NULL && rc == 0)
        rc = pthread_cond_timedwait(&fake->changed, &fake->lock, &until);
    if (event != NULL)
        event->is_taken = true;
    pthread_mutex_unlock(&fake->lock);
    cr_assert_not_null(event, "nothing of kind %d has come", (int)kind);
    return event;
}

unsigned fake_count(struct fake *fake, enum fake_kind kind)
{
    unsigned count = 0;
    pthread_mutex_lock(&fake->lock);
    for (const struct fake_event *event = fake->first; event != NULL; event = event->next)
        count += event->kind == kind && !event->is_taken;
    pthread_mutex_unlock(&fake->lock);
    return count;
}

unsigned fake_message_count(struct fake *fake)
{
    pthread_mutex_lock(&fake->lock);
    unsigned count = fake->message_count;
    pthread_mutex_unlock(&fake->lock);
    return count;
}

/* -- Streams ----------------------------------------------------------------------------------- */

static void keep_requests(struct fake_stream *stream, ProtobufCMessage *message)
{
    const Tercet__V1__SessionRequests *requests = (const Tercet__V1__SessionRequests *)message;
    stream->fake->message_count++;
    cr_assert_gt(requests->n_requests, 0);
    for (size_t i = 0; i < requests->n_requests; i++) {
        struct fake_event *event = add_event(stream->fake, FAKE_REQUEST, stream);
        event->request = requests->requests[i];
        event->owned = i == 0 ? message : NULL;
    }
}

static void keep_results(struct fake_stream *stream, ProtobufCMessage *message)
{
    const Tercet__V1__AttachRequest *request = (const Tercet__V1__AttachRequest *)message;
    struct fake_event *first = NULL;
    cr_assert(request->hello != NULL || request->n_results > 0);
    if (request->hello != NULL) {
        first = add_event(stream->fake, FAKE_ATTACH, stream);
        first->hello = request->hello;
    }
    for (size_t i = 0; i < request->n_results; i++) {
        struct fake_event *event = add_event(stream->fake, FAKE_RESULT, stream);
        event->result = request->results[i];
        first = first != NULL ? first : event;
    }
    first->owned = message;
}

static void on_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    struct fake_stream *stream = ctx;
    ProtobufCMessage *message = NULL;
    const ProtobufCMessageDescriptor *type = stream->is_session
                                                 ? &tercet__v1__session_requests__descriptor
                                                 : &tercet__v1__attach_request__descriptor;
    cr_assert_eq(crpc_message_decode(&message, type, bytes, 0), 0);
    pthread_mutex_lock(&stream->fake->lock);
    if (stream->is_session)
        keep_requests(stream, message);
    else
        keep_results(stream, message);
    bool is_held = stream->is_session && stream->fake->is_holding;
    pthread_mutex_unlock(&stream->fake->lock);
    if (!is_held)
        crpc_call_read(call);
}

static void on_half_closed(struct crpc_call *call, void *ctx)
{
    struct crpc_status ok = {.code = CRPC_OK, .message = ""};
    (void)ctx;
    crpc_call_finish(call, &ok);
}

static void on_sent(struct crpc_call *call, bool ok, void *ctx)
{
    struct fake_stream *stream = ctx;
    (void)call;
    outbox_sent(stream->outbox, ok);
    pthread_mutex_lock(&stream->fake->lock);
    pthread_cond_broadcast(&stream->fake->changed);
    pthread_mutex_unlock(&stream->fake->lock);
}

static void on_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct fake_stream *stream = ctx;
    (void)call;
    pthread_mutex_lock(&stream->fake->lock);
    add_event(stream->fake, FAKE_END, stream)->code = status->code;
    pthread_mutex_unlock(&stream->fake->lock);
}

static void open_stream(struct crpc_call *call, struct fake *fake, bool is_session)
{
    static const struct crpc_call_events events = {.on_message = on_message,
                                                   .on_half_closed = on_half_closed,
                                                   .on_sent = on_sent,
                                                   .on_end = on_end};
    struct fake_stream *stream = calloc(1, sizeof(*stream));
    struct crpc_bytes value;
    stream->fake = fake;
    stream->is_session = is_session;
    stream->call = call;
    if (crpc_call_metadata_get(call, "authorization", &value))
        snprintf(stream->authorization, sizeof(stream->authorization), "%.*s", (int)value.size,
                 (const char *)value.data);
    crpc_call_ref(call);
    crpc_call_events_set(call, &events, stream);
    cr_assert_eq(outbox_new(&stream->outbox, call, 64u * 1024 * 1024), 0);
    pthread_mutex_lock(&fake->lock);
    stream->next = fake->streams;
    fake->streams = stream;
    enum crpc_code refusal = fake->refusal;
    if (is_session && refusal == CRPC_OK)
        add_event(fake, FAKE_SESSION, stream);
    pthread_mutex_unlock(&fake->lock);
    if (refusal != CRPC_OK)
        crpc_call_fail(call, refusal, "turned away by the test");
    else
        crpc_call_read(call);
}

static void on_session(struct crpc_call *call, void *ctx)
{
    open_stream(call, ctx, true);
}

static void on_attach(struct crpc_call *call, void *ctx)
{
    open_stream(call, ctx, false);
}

static void on_register(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    struct fake *fake = ctx;
    Tercet__V1__RegisterResponse reply = TERCET__V1__REGISTER_RESPONSE__INIT;
    size_t size = protobuf_c_message_get_packed_size(request);
    uint8_t *bytes = malloc(size + 1);
    protobuf_c_message_pack(request, bytes);
    pthread_mutex_lock(&fake->lock);
    struct fake_event *event = add_event(fake, FAKE_REGISTER, NULL);
    crpc_message_decode(&event->owned, request->descriptor, (struct crpc_bytes){bytes, size}, 0);
    event->registration = (const Tercet__V1__RegisterRequest *)event->owned;
    enum crpc_code refusal = fake->refusal;
    reply.keeps_token = fake->keeps_token;
    pthread_mutex_unlock(&fake->lock);
    free(bytes);
    if (refusal != CRPC_OK)
        crpc_call_fail(call, refusal, "turned away by the test");
    else
        crpc_call_reply(call, &reply.base);
}

/* -- Serving ----------------------------------------------------------------------------------- */

void fake_start(struct fake *fake)
{
    static const struct crpc_handler sessions[] = {
        {.method = "Session", .kind = CRPC_BIDIRECTIONAL, .on_open = on_session}};
    static const struct crpc_handler participants[] = {
        {.method = "Attach", .kind = CRPC_BIDIRECTIONAL, .on_open = on_attach},
        {.method = "RegisterTarget", .kind = CRPC_UNARY, .on_request = on_register}};
    struct crpc_server_options options = {.size = sizeof(options),
                                          .stream_window_size = WINDOW_SIZE};
    int port = 0;
    *fake = (struct fake){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    fake->last_next = &fake->first;
    cr_assert_eq(crpc_loop_new(&fake->loop, NULL), 0);
    cr_assert_eq(crpc_server_new(&fake->server, fake->loop, &options), 0);
    cr_assert_eq(crpc_server_add_service(fake->server, &tercet__v1__coordinator__descriptor,
                                         sessions, 1, fake),
                 0);
    cr_assert_eq(crpc_server_add_service(fake->server, &tercet__v1__participants__descriptor,
                                         participants, 2, fake),
                 0);
    cr_assert_eq(crpc_server_listen(fake->server, "127.0.0.1:0", NULL, &port), 0);
    cr_assert_eq(crpc_server_start(fake->server), 0);
    snprintf(fake->address, sizeof(fake->address), "127.0.0.1:%d", port);
}

void fake_stop(struct fake *fake)
{
    crpc_server_stop(fake->server, 0);
    for (struct fake_stream *stream = fake->streams, *next; stream != NULL; stream = next) {
        next = stream->next;
        outbox_free(stream->outbox);
        crpc_call_unref(stream->call);
        free(stream);
    }
    for (struct fake_event *event = fake->first, *next; event != NULL; event = next) {
        next = event->next;
        crpc_message_free(event->owned);
        free(event);
    }
    crpc_server_free(fake->server);
    crpc_loop_free(fake->loop);
}

void fake_refuse(struct fake *fake, enum crpc_code code)
{
    pthread_mutex_lock(&fake->lock);
    fake->refusal = code;
    pthread_mutex_unlock(&fake->lock);
}

void fake_hold(struct fake *fake)
{
    pthread_mutex_lock(&fake->lock);
    fake->is_holding = true;
    pthread_mutex_unlock(&fake->lock);
}

void fake_release(struct fake *fake, struct fake_stream *stream)
{
    pthread_mutex_lock(&fake->lock);
    fake->is_holding = false;
    pthread_mutex_unlock(&fake->lock);
    crpc_call_read(stream->call);
}

void fake_drop(struct fake_stream *stream)
{
    crpc_call_fail(stream->call, CRPC_UNAVAILABLE, "dropped by the test");
}

/* -- Saying ------------------------------------------------------------------------------------ */

static void put_answer(const struct fake_event *event, Tercet__V1__SessionResponse *response)
{
    response->id = event->request->id;
    cr_assert_eq(outbox_put(event->stream->outbox, FIELD_RECORDS, &response->base), 0);
}

void fake_answer(const struct fake_event *event, Tercet__V1__SessionResponse *response)
{
    put_answer(event, response);
    outbox_flush(event->stream->outbox);
}

void fake_answer_code(const struct fake_event *event, enum crpc_code code, const char *text)
{
    Tercet__V1__SessionResponse response = TERCET__V1__SESSION_RESPONSE__INIT;
    response.code = (uint32_t)code;
    response.message = (char *)(uintptr_t)text;
    fake_answer(event, &response);
}

static void put_state(const struct fake_event *event, enum crpc_code code, Tercet__V1__State state)
{
    Tercet__V1__SessionResponse response = TERCET__V1__SESSION_RESPONSE__INIT;
    Tercet__V1__Transaction transaction = TERCET__V1__TRANSACTION__INIT;
    transaction.state = state;
    transaction.number = 42;
    response.code = (uint32_t)code;
    response.response_case = TERCET__V1__SESSION_RESPONSE__RESPONSE_TRANSACTION;
    response.transaction = &transaction;
    put_answer(event, &response);
}

void fake_answer_state(const struct fake_event *event, enum crpc_code code, Tercet__V1__State state)
{
    put_state(event, code, state);
    outbox_flush(event->stream->outbox);
}

void fake_put_state(const struct fake_event *event, Tercet__V1__State state)
{
    put_state(event, CRPC_OK, state);
}

void fake_answer_tried(const struct fake_event *event, Tercet__V1__TryState outcome,
                       Tercet__V1__State state, const char *text)
{
    Tercet__V1__SessionResponse response = TERCET__V1__SESSION_RESPONSE__INIT;
    Tercet__V1__TryResponse tried = TERCET__V1__TRY_RESPONSE__INIT;
    tried.outcome = outcome;
    tried.state = state;
    if (outcome == TERCET__V1__TRY_STATE__TRY_DONE)
        tried.reply =
            (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)text, .len = strlen(text)};
    else
        tried.reason = (char *)(uintptr_t)text;
    response.response_case = TERCET__V1__SESSION_RESPONSE__RESPONSE_TRIED;
    response.tried = &tried;
    fake_answer(event, &response);
}

void fake_accept(struct fake_stream *stream)
{
    cr_assert_eq(outbox_put_bytes(stream->outbox, FIELD_NOTHING, (struct crpc_bytes){NULL, 0}), 0);
    outbox_flush(stream->outbox);
}

void fake_put_call(struct fake_stream *stream, const Tercet__V1__Call *call)
{
    cr_assert_eq(outbox_put(stream->outbox, FIELD_RECORDS, &call->base), 0);
}

void fake_flush(struct fake_stream *stream)
{
    outbox_flush(stream->outbox);
}

bool fake_drains(struct fake_stream *stream, int ms)
{
    struct timespec until = limit_after(ms);
    int rc = 0;
    pthread_mutex_lock(&stream->fake->lock);
    while (!outbox_is_empty(stream->outbox) && rc == 0)
        rc = pthread_cond_timedwait(&stream->fake->changed, &stream->fake->lock, &until);
    pthread_mutex_unlock(&stream->fake->lock);
    return outbox_is_empty(stream->outbox);
}
