/* SPDX-License-Identifier: Apache-2.0
 *
 * stub_crpc.h
 */
#include "stub_crpc.h"

#include "caller.h"
#include "fuzz.h"

struct crpc_channel {
    char *target;
};

struct target_call {
    struct target_call *next;
    struct crpc_channel *channel;
    crpc_unary_fn done;
    void *ctx;
};

static struct crpc_call *calls;
static struct target_call *target_calls;

/* -- Calls from outside ------------------------------------------------------------------------ */

struct crpc_call *stub_open(enum stub_kind kind)
{
    static const enum caller_kind kinds[] = {CALLER_UNARY, CALLER_WATCH, CALLER_SESSION};
    struct crpc_call *call = calloc(1, sizeof(*call));
    MUST(call != NULL);
    call->references = 1;
    call->kind = kind;
    call->next = calls;
    calls = call;
    if (kind == STUB_ATTACH)
        call->instance = instance_new(call);
    else
        call->caller = caller_new(kinds[kind], call);
    MUST(call->instance != NULL || call->caller != NULL);
    return call;
}

struct crpc_call *stub_find(enum stub_kind kind, size_t i)
{
    for (struct crpc_call *call = calls; call != NULL; call = call->next)
        if (call->kind == kind && !call->is_over && i-- == 0)
            return call;
    return NULL;
}

void stub_break(struct crpc_call *call)
{
    call->is_over = true;
}

void crpc_call_ref(struct crpc_call *call)
{
    call->references++;
}

void crpc_call_unref(struct crpc_call *call)
{
    if (call != NULL && --call->references == 0)
        free(call);
}

/* What has been sent; a watcher's or an outbox's next message may go at once. */
static void tell_sent(struct crpc_call *call)
{
    while (call->sends > 0 && !call->is_over) {
        call->sends--;
        if (call->kind == STUB_WATCH)
            caller_watch_sent(call->caller);
        else
            outbox_sent(call->kind == STUB_ATTACH ? call->instance->outbox : call->caller->outbox,
                        true);
    }
}

/* The call has been taken out of the list. `c` is NULL when nobody is to be told. */
static void end(struct crpc_call *call, struct coordinator *c)
{
    call->is_over = true;
    if (call->caller != NULL) {
        atomic_store(&call->caller->is_gone, true);
        if (call->caller->outbox != NULL)
            outbox_close(call->caller->outbox);
        caller_unref(call->caller);
    } else if (c != NULL) {
        struct event *event = event_new(EVENT_DETACHED);
        MUST(event != NULL);
        event->instance = call->instance;
        queue_post(&c->queue, event);
    } else {
        instance_unref(call->instance);
    }
    crpc_call_unref(call);
}

void stub_settle(struct coordinator *c)
{
    for (struct crpc_call *call = calls; call != NULL; call = call->next)
        tell_sent(call);
    for (struct crpc_call **link = &calls; *link != NULL;) {
        struct crpc_call *call = *link;
        if (call->is_over) {
            *link = call->next;
            end(call, c);
        } else {
            link = &call->next;
        }
    }
}

void stub_crash(void)
{
    while (calls != NULL) {
        struct crpc_call *call = calls;
        calls = call->next;
        end(call, NULL);
    }
}

/* -- What the coordinator sends ---------------------------------------------------------------- */

static int finish(struct crpc_call *call)
{
    if (call->is_over)
        return CRPC_ECLOSED;
    call->is_over = true;
    return 0;
}

int crpc_call_reply_bytes(struct crpc_call *call, struct crpc_bytes reply)
{
    MUST(call->kind == STUB_UNARY && (reply.data != NULL || reply.size == 0));
    return finish(call);
}

int crpc_call_finish(struct crpc_call *call, const struct crpc_status *status)
{
    MUST(status->code == CRPC_OK || call->kind != STUB_UNARY || status->message[0] != '\0');
    return finish(call);
}

int crpc_call_fail(struct crpc_call *call, enum crpc_code code, const char *format, ...)
{
    MUST(code != CRPC_OK && format[0] != '\0');
    return finish(call);
}

/* What leaves decodes; the calls of hooks are kept to be answered. */
static void look_at(struct crpc_call *call, struct crpc_bytes bytes)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        NULL, &tercet__v1__transaction__descriptor, &tercet__v1__session_responses__descriptor,
        &tercet__v1__attach_response__descriptor};
    ProtobufCMessage *message = NULL;
    MUST(crpc_message_decode(&message, types[call->kind], bytes, 0) == 0);
    if (call->kind == STUB_ATTACH) {
        const Tercet__V1__AttachResponse *response = (const Tercet__V1__AttachResponse *)message;
        for (size_t i = 0; i < response->n_calls; i++)
            call->hook_calls[call->hook_call_count++ % STUB_HOOK_CALLS] = response->calls[i]->id;
    }
    crpc_message_free(message);
}

int crpc_call_send_owned(struct crpc_call *call, void *data, size_t size)
{
    MUST(call->kind != STUB_UNARY);
    if (call->is_over)
        return CRPC_ECLOSED;
    look_at(call, (struct crpc_bytes){data, size});
    free(data);
    call->sends++;
    return 0;
}

int crpc_call_read(struct crpc_call *call)
{
    (void)call;
    return 0;
}

void crpc_call_cancel(struct crpc_call *call)
{
    call->is_over = true;
}

const char *crpc_call_peer(struct crpc_call *call)
{
    (void)call;
    return "fuzz";
}

/* -- Registered targets ------------------------------------------------------------------------ */

int crpc_channel_new(struct crpc_channel **out, struct crpc_loop *loop, const char *target,
                     const struct crpc_channel_options *options)
{
    (void)loop;
    (void)options;
    *out = calloc(1, sizeof(**out));
    MUST(*out != NULL);
    (*out)->target = strdup(target);
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
    struct target_call **link = &target_calls;
    if (channel == NULL)
        return;
    while (*link != NULL)
        if ((*link)->channel == channel)
            finish_target(link, NULL, CRPC_CANCELLED);
        else
            link = &(*link)->next;
    free(channel->target);
    free(channel);
}

bool stub_answer_target(const Tercet__V1__CallResult *result, enum crpc_code code)
{
    if (target_calls == NULL)
        return false;
    finish_target(&target_calls, code == CRPC_OK ? result : NULL, code);
    return true;
}

int crpc_unary_start(struct crpc_call **out, struct crpc_channel *channel,
                     const ProtobufCServiceDescriptor *service, const char *method,
                     const ProtobufCMessage *request, const struct crpc_call_options *options,
                     crpc_unary_fn done, void *ctx)
{
    struct target_call **link = &target_calls;
    struct target_call *call = calloc(1, sizeof(*call));
    (void)out;
    (void)options;
    MUST(call != NULL && strcmp(method, "Execute") == 0 &&
         service == &tercet__v1__participant__descriptor);
    MUST(protobuf_c_message_check(request));
    *call = (struct target_call){.channel = channel, .done = done, .ctx = ctx};
    while (*link != NULL)
        link = &(*link)->next;
    *link = call;
    return 0;
}
