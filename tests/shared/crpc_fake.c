/* SPDX-License-Identifier: Apache-2.0
 *
 * crpc_fake.h
 */
#include "crpc_fake.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct target_call {
    struct target_call *next;
    struct crpc_channel *channel;
    uint64_t id;
    crpc_unary_fn done;
    void *ctx;
};

struct crpc_call *fake_calls;
static struct target_call *calls_to_targets;

struct event *fake_event(enum event_kind kind)
{
    struct event *event = event_new(kind);
    if (event == NULL)
        abort();
    return event;
}

ProtobufCMessage *as_received(const ProtobufCMessage *message)
{
    ProtobufCMessage *copy = NULL;
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = fake_hooks.alloc(size + 1);
    protobuf_c_message_pack(message, bytes);
    if (crpc_message_decode(&copy, message->descriptor, (struct crpc_bytes){bytes, size}, 0) != 0)
        abort();
    free(bytes);
    return copy;
}

/* -- The life of a call ------------------------------------------------------------------------ */

void fake_open(struct crpc_call *call, enum fake_kind kind)
{
    static const enum caller_kind kinds[] = {CALLER_UNARY, CALLER_WATCH, CALLER_SESSION};
    call->references = 1;
    call->kind = kind;
    call->next = fake_calls;
    fake_calls = call;
    if (kind == FAKE_ATTACH)
        call->instance = instance_new(call);
    else
        call->caller = caller_new(kinds[kind], call);
    assert(call->instance != NULL || call->caller != NULL);
}

static void over(struct crpc_call *call)
{
    call->is_over = true;
    if (fake_hooks.on_over != NULL)
        fake_hooks.on_over(call);
}

void fake_break(struct crpc_call *call)
{
    if (!call->is_over)
        over(call);
}

void crpc_call_ref(struct crpc_call *call)
{
    call->references++;
}

void crpc_call_unref(struct crpc_call *call)
{
    if (call == NULL)
        return;
    assert(call->references > 0);
    if (--call->references == 0)
        free(call);
}

void fake_tell_sent(struct crpc_call *call)
{
    if (call->sends == 0 || call->is_over)
        return;
    call->sends--;
    if (call->kind == FAKE_WATCH)
        caller_watch_sent(call->caller);
    else
        outbox_sent(call->kind == FAKE_ATTACH ? call->instance->outbox : call->caller->outbox,
                    true);
}

void fake_tell_all_sent(void)
{
    for (struct crpc_call *call = fake_calls; call != NULL; call = call->next)
        while (call->sends > 0 && !call->is_over)
            fake_tell_sent(call);
}

static void unlink_call(struct crpc_call *call)
{
    struct crpc_call **link = &fake_calls;
    while (*link != call) {
        assert(*link != NULL);
        link = &(*link)->next;
    }
    *link = call->next;
}

void fake_end(struct crpc_call *call, bool is_told)
{
    if (call->is_ended)
        return;
    unlink_call(call);
    call->is_over = call->is_ended = true;
    if (fake_hooks.on_end != NULL)
        fake_hooks.on_end(call);
    if (call->caller != NULL) {
        atomic_store(&call->caller->is_gone, true);
        if (call->caller->outbox != NULL)
            outbox_close(call->caller->outbox);
        caller_unref(call->caller);
    } else if (is_told) {
        struct event *event = fake_event(EVENT_DETACHED);
        event->instance = call->instance;
        fake_hooks.post(call, event);
    } else {
        instance_unref(call->instance);
    }
    crpc_call_unref(call);
}

void fake_end_over(void)
{
    struct crpc_call *next;
    for (struct crpc_call *call = fake_calls; call != NULL; call = next) {
        next = call->next;
        if (call->is_over)
            fake_end(call, true);
    }
}

void fake_crash(void)
{
    while (fake_calls != NULL)
        fake_end(fake_calls, false);
}

/* -- What a poller makes of a message ---------------------------------------------------------- */

struct event *fake_request(struct crpc_call *call, enum method method, ProtobufCMessage *message)
{
    struct event *event = fake_event(EVENT_REQUEST);
    event->caller = call->caller;
    caller_ref(event->caller);
    event->method = method;
    event->message = message;
    return event;
}

struct event *fake_session(struct crpc_call *call, ProtobufCMessage *message)
{
    struct event *event = fake_event(EVENT_SESSION);
    event->caller = call->caller;
    caller_ref(event->caller);
    event->message = message;
    call->unread++;
    return event;
}

struct event *fake_attached(struct crpc_call *call, ProtobufCMessage *message)
{
    struct event *event = fake_event(EVENT_ATTACHED);
    event->instance = call->instance;
    instance_ref(event->instance);
    event->message = message;
    call->unread++;
    return event;
}

const ProtobufCMessageDescriptor *fake_request_type(enum method method)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        [METHOD_BEGIN] = &tercet__v1__begin_request__descriptor,
        [METHOD_ENLIST] = &tercet__v1__enlist_request__descriptor,
        [METHOD_TRY] = &tercet__v1__try_request__descriptor,
        [METHOD_CONFIRM] = &tercet__v1__confirm_request__descriptor,
        [METHOD_CANCEL] = &tercet__v1__cancel_request__descriptor,
        [METHOD_RUN] = &tercet__v1__run_request__descriptor,
        [METHOD_GET] = &tercet__v1__get_request__descriptor,
        [METHOD_AWAIT] = &tercet__v1__await_request__descriptor,
        [METHOD_WATCH] = &tercet__v1__watch_request__descriptor,
        [METHOD_REGISTER] = &tercet__v1__register_request__descriptor,
        [METHOD_LIST] = &tercet__v1__list_request__descriptor,
        [METHOD_LIST_PARTICIPANTS] = &tercet__v1__list_participants_request__descriptor,
        [METHOD_RETRY] = &tercet__v1__retry_request__descriptor,
        [METHOD_SETTLE] = &tercet__v1__settle_request__descriptor,
        [METHOD_DECIDE] = &tercet__v1__decide_request__descriptor,
        [METHOD_PAUSE] = &tercet__v1__pause_request__descriptor,
        [METHOD_STATISTICS] = &tercet__v1__statistics_request__descriptor,
    };
    return types[method];
}

Tercet__V1__SessionRequest__RequestCase fake_session_case(enum method method)
{
    static const Tercet__V1__SessionRequest__RequestCase cases[] = {
        [METHOD_BEGIN] = TERCET__V1__SESSION_REQUEST__REQUEST_BEGIN,
        [METHOD_ENLIST] = TERCET__V1__SESSION_REQUEST__REQUEST_ENLIST,
        [METHOD_TRY] = TERCET__V1__SESSION_REQUEST__REQUEST_TRY_BRANCH,
        [METHOD_CONFIRM] = TERCET__V1__SESSION_REQUEST__REQUEST_CONFIRM,
        [METHOD_CANCEL] = TERCET__V1__SESSION_REQUEST__REQUEST_CANCEL,
        [METHOD_RUN] = TERCET__V1__SESSION_REQUEST__REQUEST_RUN,
        [METHOD_GET] = TERCET__V1__SESSION_REQUEST__REQUEST_GET,
        [METHOD_AWAIT] = TERCET__V1__SESSION_REQUEST__REQUEST_AWAIT_STATE,
    };
    return cases[method];
}

/* -- What the coordinator calls ---------------------------------------------------------------- */

int crpc_call_reply_bytes(struct crpc_call *call, struct crpc_bytes reply)
{
    assert(call->kind == FAKE_UNARY && (reply.data != NULL || reply.size == 0));
    if (call->is_over)
        return CRPC_ECLOSED;
    over(call);
    fake_hooks.on_reply(call, reply);
    return 0;
}

int crpc_call_finish(struct crpc_call *call, const struct crpc_status *status)
{
    assert(status->code == CRPC_OK || call->kind != FAKE_UNARY || status->message[0] != '\0');
    if (call->is_over)
        return CRPC_ECLOSED;
    over(call);
    fake_hooks.on_finish(call, status);
    return 0;
}

int crpc_call_fail(struct crpc_call *call, enum crpc_code code, const char *format, ...)
{
    char text[256];
    va_list args;
    assert(code != CRPC_OK);
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    assert(text[0] != '\0');
    struct crpc_status status = {.code = code, .message = text};
    return crpc_call_finish(call, &status);
}

int crpc_call_send_owned(struct crpc_call *call, void *data, size_t size)
{
    assert(call->kind != FAKE_UNARY);
    if (call->is_over)
        return CRPC_ECLOSED;
    call->sends++;
    fake_hooks.on_send(call, (struct crpc_bytes){data, size});
    free(data);
    return 0;
}

int crpc_call_read(struct crpc_call *call)
{
    call->unread = 0;
    return 0;
}

void crpc_call_cancel(struct crpc_call *call)
{
    fake_break(call);
}

/* No caller has a certificate. */
bool crpc_call_has_identity(struct crpc_call *call, const char *identity)
{
    (void)call;
    (void)identity;
    return false;
}

const char *crpc_call_method(const struct crpc_call *call)
{
    (void)call;
    return "";
}

bool crpc_call_metadata_get(struct crpc_call *call, const char *key, struct crpc_bytes *out)
{
    (void)call;
    (void)key;
    (void)out;
    return false;
}

const char *crpc_call_peer(struct crpc_call *call)
{
    (void)call;
    return fake_hooks.peer;
}

const char *crpc_core_version(void)
{
    return "none";
}

int crpc_server_connection_counts(struct crpc_server *server, struct crpc_connection_counts *out)
{
    (void)server;
    (void)out;
    return CRPC_EINVAL;
}

/* -- Registered targets ------------------------------------------------------------------------ */

int crpc_channel_new(struct crpc_channel **out, struct crpc_loop *loop, const char *target,
                     const struct crpc_channel_options *options)
{
    (void)loop;
    (void)options;
    *out = fake_hooks.alloc(sizeof(**out));
    snprintf((*out)->target, sizeof((*out)->target), "%s", target);
    return 0;
}

static void finish_target(struct target_call **link, const Tercet__V1__CallResult *result,
                          enum crpc_code code)
{
    struct target_call *call = *link;
    struct crpc_status status = {.code = code, .message = code == CRPC_OK ? "" : "not today"};
    *link = call->next;
    call->done(result != NULL ? &result->base : NULL, &status, call->ctx);
    free(call);
}

void crpc_channel_free(struct crpc_channel *channel)
{
    struct target_call **link = &calls_to_targets;
    if (channel == NULL)
        return;
    while (*link != NULL)
        if ((*link)->channel == channel)
            finish_target(link, NULL, CRPC_CANCELLED);
        else
            link = &(*link)->next;
    free(channel);
}

bool fake_answer_target(uint64_t id, const Tercet__V1__CallResult *result, enum crpc_code code)
{
    struct target_call **link = &calls_to_targets;
    while (*link != NULL && (*link)->id != id)
        link = &(*link)->next;
    if (*link == NULL)
        return false;
    finish_target(link, code == CRPC_OK ? result : NULL, code);
    return true;
}

bool fake_oldest_target_call(uint64_t *id)
{
    const struct target_call *call = calls_to_targets;
    while (call != NULL && call->next != NULL)
        call = call->next;
    if (call != NULL)
        *id = call->id;
    return call != NULL;
}

int crpc_unary_start(struct crpc_call **out, struct crpc_channel *channel,
                     const ProtobufCServiceDescriptor *service, const char *method,
                     const ProtobufCMessage *request, const struct crpc_call_options *options,
                     crpc_unary_fn done, void *ctx)
{
    (void)out;
    assert(service == &tercet__v1__participant__descriptor && strcmp(method, "Execute") == 0);
    assert(protobuf_c_message_check(request));
    uint64_t id = fake_hooks.on_target_call(channel, (const Tercet__V1__Call *)request, options);
    struct target_call *call = fake_hooks.alloc(sizeof(*call));
    *call = (struct target_call){
        .next = calls_to_targets, .channel = channel, .id = id, .done = done, .ctx = ctx};
    calls_to_targets = call;
    return 0;
}
