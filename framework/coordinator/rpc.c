/* SPDX-License-Identifier: Apache-2.0
 *
 * The services of the coordinator, on RPC threads: decode, post to the owner, nothing else. A
 * stream's next message is asked for when the owner has worked on the last one, which is what holds
 * a fast sender back.
 */
#include "rpc.h"

#include "access.h"
#include "coordinator.h"

#include <salvage.h>
#include <wire_descriptors.h>

#include <stdlib.h>

#define FIELD_REQUESTS 1u /* of SessionRequests */
#define FIELD_RESULTS 2u  /* of AttachRequest */

/* -- Requests ---------------------------------------------------------------------------------- */

/* These functions return NULL when there is no memory. */
static struct caller *new_caller(struct coordinator *c, struct crpc_call *call,
                                 enum caller_kind kind)
{
    struct caller *caller = caller_new(kind, call);
    if (caller == NULL || !caller_count(caller, &c->peers, &c->unread) ||
        !access_rights(c->access, call, &caller->rights)) {
        caller_unref(caller);
        return NULL;
    }
    caller->c = c;
    return caller;
}

/* The request lives until its handler returns: the owner gets a copy. */
static struct event *make_request(struct caller *caller, enum method method,
                                  const ProtobufCMessage *request)
{
    struct event *event = event_new(EVENT_REQUEST);
    if (event == NULL || crpc_message_copy(&event->message, request) != 0) {
        free(event);
        return NULL;
    }
    caller_ref(caller);
    event->caller = caller;
    event->method = method;
    return event;
}

/* Counts what a caller asks, as large as it is in memory, until it has been handled. */
static bool charge_request(struct coordinator *c, struct event *event)
{
    struct budget_group *group = &event->caller->peer->address->requests;
    size_t size = sizeof(*event) + crpc_message_memory(event->message);
    if (!budget_take_in(&c->requests, group, 0, size)) {
        crpc_call_fail(event->caller->call, CRPC_RESOURCE_EXHAUSTED,
                       "too many requests wait to be handled: ask again");
        return false;
    }
    event->budget = &c->requests;
    event->budget_group = group;
    event->budget_size = size;
    return true;
}

/* While the coordinator stops, the owner is told: nobody needs to wait for what is owed to this
 * one. */
static void lose_caller(struct caller *caller)
{
    struct coordinator *c = caller->c;
    atomic_store(&caller->is_gone, true);
    if (caller->outbox != NULL)
        outbox_close(caller->outbox);
    struct event *event = atomic_load(&c->is_draining) ? event_new(EVENT_CALLER_LOST) : NULL;
    if (event == NULL) {
        caller_unref(caller);
        return;
    }
    event->caller = caller;
    queue_post(&c->queue, event);
}

static void on_unary_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    (void)call;
    (void)status;
    lose_caller(ctx);
}

static void post_request(struct crpc_call *call, const ProtobufCMessage *request, void *ctx,
                         enum method method)
{
    static const struct crpc_call_events events = {.on_end = on_unary_end};
    struct coordinator *c = ctx;
    struct caller *caller = new_caller(c, call, CALLER_UNARY);
    struct event *event = caller != NULL ? make_request(caller, method, request) : NULL;
    if (event == NULL) {
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "out of memory");
        caller_unref(caller);
        return;
    }
    if (!charge_request(c, event)) {
        event_free(event);
        caller_unref(caller);
        return;
    }
    crpc_call_events_set(call, &events, caller); /* keeps the first reference */
    queue_post(&c->queue, event);
}

/* Not for the owner: it takes long. */
static void order(struct crpc_call *call, const ProtobufCMessage *request, void *ctx,
                  enum method method)
{
    static const struct crpc_call_events events = {.on_end = on_unary_end};
    struct coordinator *c = ctx;
    struct caller *caller = new_caller(c, call, CALLER_UNARY);
    if (caller == NULL) {
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    caller_ref(caller);
    crpc_call_events_set(call, &events, caller); /* keeps the first reference */
    clerk_take(c, caller, method, request);
    caller_unref(caller);
}

static void on_check(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    order(call, request, ctx, METHOD_CHECK);
}

static void on_backup(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    order(call, request, ctx, METHOD_BACKUP);
}

static void on_set_log_levels(struct crpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    const Tercet__V1__SetLogLevelsRequest *request =
        (const Tercet__V1__SetLogLevelsRequest *)message;
    Tercet__V1__SetLogLevelsResponse response = TERCET__V1__SET_LOG_LEVELS_RESPONSE__INIT;
    Tercet__V1__LogLevel parts[LOG_PARTS], *levels[LOG_PARTS];
    struct coordinator *c = ctx;
    struct refusal no;
    if (request->levels[0] != '\0' && loglevel_set(&c->loglevel, request->levels, &no) != 0) {
        crpc_call_fail(call, CRPC_INVALID_ARGUMENT, "%s", no.text);
        return;
    }
    for (int i = 0; i < LOG_PARTS; i++) {
        tercet__v1__log_level__init(&parts[i]);
        parts[i].part = (char *)loglevel_part_name((enum log_part)i);
        parts[i].level = (char *)loglevel_name(&c->loglevel, (enum log_part)i);
        levels[i] = &parts[i];
    }
    response.levels = levels;
    response.n_levels = LOG_PARTS;
    crpc_call_reply(call, &response.base);
}

#define UNARY(function, method)                                                                    \
    static void function(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)       \
    {                                                                                              \
        post_request(call, request, ctx, method);                                                  \
    }
UNARY(on_begin, METHOD_BEGIN)
UNARY(on_enlist, METHOD_ENLIST)
UNARY(on_try, METHOD_TRY)
UNARY(on_confirm, METHOD_CONFIRM)
UNARY(on_cancel, METHOD_CANCEL)
UNARY(on_run, METHOD_RUN)
UNARY(on_get, METHOD_GET)
UNARY(on_await, METHOD_AWAIT)
UNARY(on_register, METHOD_REGISTER)
UNARY(on_list, METHOD_LIST)
UNARY(on_list_participants, METHOD_LIST_PARTICIPANTS)
UNARY(on_retry, METHOD_RETRY)
UNARY(on_settle, METHOD_SETTLE)
UNARY(on_decide, METHOD_DECIDE)
UNARY(on_pause, METHOD_PAUSE)
UNARY(on_statistics, METHOD_STATISTICS)
UNARY(on_list_audit, METHOD_LIST_AUDIT)
UNARY(on_collect, METHOD_COLLECT)

/* -- Watch and Session ------------------------------------------------------------------------- */

static void on_caller_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct stream *stream = ctx;
    (void)call;
    (void)status;
    streams_remove(&stream->c->streams, stream);
    lose_caller(stream->caller);
    free(stream);
}

static struct stream *new_caller_stream(struct coordinator *c, struct crpc_call *call,
                                        enum caller_kind kind)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    struct caller *caller = stream != NULL ? new_caller(c, call, kind) : NULL;
    if (caller == NULL) {
        free(stream);
        return NULL;
    }
    stream->c = c;
    stream->caller = caller;
    return stream;
}

/* One that has not begun. */
static void drop_stream(struct stream *stream)
{
    caller_unref(stream->caller);
    instance_unref(stream->instance);
    free(stream);
}

static void on_watch_sent(struct crpc_call *call, bool ok, void *ctx)
{
    struct stream *stream = ctx;
    (void)call;
    if (ok)
        caller_watch_sent(stream->caller);
}

static void on_watch(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    static const struct crpc_call_events events = {.on_end = on_caller_end,
                                                   .on_sent = on_watch_sent};
    struct coordinator *c = ctx;
    struct stream *stream = new_caller_stream(c, call, CALLER_WATCH);
    struct event *event =
        stream != NULL ? make_request(stream->caller, METHOD_WATCH, request) : NULL;
    if (event == NULL) {
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "out of memory");
        if (stream != NULL)
            caller_unref(stream->caller);
        free(stream);
        return;
    }
    if (!streams_add(&c->streams, stream, call, &events)) {
        event_free(event);
        drop_stream(stream);
        return;
    }
    queue_post(&c->queue, event);
}

static void fail_stream(struct crpc_call *call, const char *what, int rc)
{
    if (rc == CRPC_ENOMEM)
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "out of memory");
    else
        crpc_call_fail(
            call, CRPC_INVALID_ARGUMENT,
            "%s: the message is not a valid protobuf of its type, or its text is not UTF-8", what);
}

/* A request that cannot be decoded comes to the owner as one that asks for nothing, and is refused
 * as such. */
static void on_session_message(struct crpc_call *call, struct crpc_bytes message, void *ctx)
{
    struct stream *stream = ctx;
    struct event *event = event_new(EVENT_SESSION);
    if (event == NULL) {
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    int rc = salvage_decode(&event->message, &tercet__v1__session_requests__descriptor,
                            FIELD_REQUESTS, (struct crpc_bytes){NULL, 0}, message);
    if (rc != 0) {
        event_free(event);
        fail_stream(call, "Session", rc);
        return;
    }
    caller_ref(stream->caller);
    event->caller = stream->caller;
    if (!charge_request(stream->c, event))
        event_free(event);
    else if (queue_post_message(&stream->c->queue, event, message.size))
        crpc_call_read(call);
}

/* The client sends nothing more; what it waits for is still answered. */
static void on_session_half_closed(struct crpc_call *call, void *ctx)
{
    struct stream *stream = ctx;
    struct event *event = event_new(EVENT_SESSION);
    if (event == NULL) {
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    caller_ref(stream->caller);
    event->caller = stream->caller;
    queue_post(&stream->c->queue, event);
}

static void on_session_sent(struct crpc_call *call, bool ok, void *ctx)
{
    struct stream *stream = ctx;
    (void)call;
    outbox_sent(stream->caller->outbox, ok);
}

static void on_session(struct crpc_call *call, void *ctx)
{
    static const struct crpc_call_events events = {.on_message = on_session_message,
                                                   .on_half_closed = on_session_half_closed,
                                                   .on_sent = on_session_sent,
                                                   .on_end = on_caller_end};
    struct stream *stream = new_caller_stream(ctx, call, CALLER_SESSION);
    if (stream == NULL) {
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    if (streams_add(&stream->c->streams, stream, call, &events))
        crpc_call_read(call);
    else
        drop_stream(stream);
}

/* -- Attach ------------------------------------------------------------------------------------ */

#define UNREADABLE "the participant's result could not be decoded: are its texts UTF-8 without NUL?"
_Static_assert(sizeof(UNREADABLE) - 1 < 128, "its length is one byte");

/* What a result that cannot be decoded says: outcome AGAIN and a reason, encoded. */
static const struct {
    uint8_t outcome[2];
    uint8_t reason_head[2];
    char reason[sizeof(UNREADABLE) - 1];
} unreadable = {
    {2 << 3, TERCET__V1__OUTCOME__AGAIN}, {4 << 3 | 2, sizeof(UNREADABLE) - 1}, {UNREADABLE}};

static void on_attach_message(struct crpc_call *call, struct crpc_bytes message, void *ctx)
{
    struct stream *stream = ctx;
    struct event *event = event_new(EVENT_ATTACHED);
    if (event == NULL) {
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    int rc = salvage_decode(&event->message, &tercet__v1__attach_request__descriptor, FIELD_RESULTS,
                            (struct crpc_bytes){&unreadable, sizeof(unreadable)}, message);
    if (rc != 0) {
        event_free(event);
        fail_stream(call, "Attach", rc);
        return;
    }
    instance_ref(stream->instance);
    event->instance = stream->instance;
    if (queue_post_message(&stream->c->queue, event, message.size))
        crpc_call_read(call);
}

static void on_attach_half_closed(struct crpc_call *call, void *ctx)
{
    struct crpc_status ok = {.code = CRPC_OK, .message = ""};
    (void)ctx;
    crpc_call_finish(call, &ok);
}

static void on_attach_sent(struct crpc_call *call, bool ok, void *ctx)
{
    struct stream *stream = ctx;
    (void)call;
    outbox_sent(stream->instance->outbox, ok);
}

static void on_attach_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct stream *stream = ctx;
    struct event *event = event_new(EVENT_DETACHED);
    (void)call;
    if (event == NULL)
        abort();
    copy_text(event->text, status->code == CRPC_OK ? "its stream is over" : status->message);
    streams_remove(&stream->c->streams, stream);
    event->instance = stream->instance; /* the stream's reference */
    queue_post(&stream->c->queue, event);
    free(stream);
}

static void on_attach(struct crpc_call *call, void *ctx)
{
    static const struct crpc_call_events events = {.on_message = on_attach_message,
                                                   .on_half_closed = on_attach_half_closed,
                                                   .on_sent = on_attach_sent,
                                                   .on_end = on_attach_end};
    struct coordinator *c = ctx;
    struct stream *stream = calloc(1, sizeof(*stream));
    struct instance *instance = stream != NULL ? instance_new(call) : NULL;
    if (instance == NULL || !access_rights(c->access, call, &instance->rights)) {
        instance_unref(instance);
        free(stream);
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    stream->c = c;
    stream->instance = instance;
    outbox_set_budget(instance->outbox, &c->calls, NULL);
    if (streams_add(&stream->c->streams, stream, call, &events))
        crpc_call_read(call);
    else
        drop_stream(stream);
}

/* -- Tables ------------------------------------------------------------------------------------ */

static const struct crpc_handler coordinator_handlers[] = {
    {.method = "Begin", .on_request = on_begin},
    {.method = "Enlist", .on_request = on_enlist},
    {.method = "Try", .on_request = on_try},
    {.method = "Confirm", .on_request = on_confirm},
    {.method = "Cancel", .on_request = on_cancel},
    {.method = "Run", .on_request = on_run},
    {.method = "Get", .on_request = on_get},
    {.method = "Await", .on_request = on_await},
    {.method = "Watch", .kind = CRPC_SERVER_STREAMING, .on_request = on_watch},
    {.method = "Session", .kind = CRPC_BIDIRECTIONAL, .on_open = on_session},
};

static const struct crpc_handler participants_handlers[] = {
    {.method = "Attach", .kind = CRPC_BIDIRECTIONAL, .on_open = on_attach},
    {.method = "RegisterTarget", .on_request = on_register},
};

static const struct crpc_handler admin_handlers[] = {
    {.method = "List", .on_request = on_list},
    {.method = "Show", .on_request = on_get},
    {.method = "ListParticipants", .on_request = on_list_participants},
    {.method = "Retry", .on_request = on_retry},
    {.method = "Settle", .on_request = on_settle},
    {.method = "Decide", .on_request = on_decide},
    {.method = "Pause", .on_request = on_pause},
    {.method = "GetStatistics", .on_request = on_statistics},
    {.method = "ListAudit", .on_request = on_list_audit},
    {.method = "Collect", .on_request = on_collect},
    {.method = "Check", .on_request = on_check},
    {.method = "Backup", .on_request = on_backup},
    {.method = "SetLogLevels", .on_request = on_set_log_levels},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

int rpc_add_services(struct coordinator *c)
{
    struct crpc_bytes set = {wire_descriptors, wire_descriptors_size};
    int rc = crpc_server_add_descriptors(c->server, set);
    if (rc == 0)
        rc = crpc_server_add_service(c->server, &tercet__v1__coordinator__descriptor,
                                     coordinator_handlers, COUNT(coordinator_handlers), c);
    if (rc == 0)
        rc = crpc_server_add_service(c->server, &tercet__v1__participants__descriptor,
                                     participants_handlers, COUNT(participants_handlers), c);
    if (rc == 0)
        rc = crpc_server_add_service(c->server, &tercet__v1__admin__descriptor, admin_handlers,
                                     COUNT(admin_handlers), c);
    return rc;
}
