/* SPDX-License-Identifier: Apache-2.0
 *
 * method.h
 */
#include "method.h"

#include "admin.h"
#include "coordinator.h"
#include "request.h"

/* between two looks for expired waiters, for a session that has too much open */
#define EXPIRED_DROP_PAUSE_MS 1000

static void (*const handlers[])(struct request *, const ProtobufCMessage *) = {
    [METHOD_BEGIN] = request_begin,
    [METHOD_ENLIST] = request_enlist,
    [METHOD_TRY] = request_try,
    [METHOD_CONFIRM] = request_confirm,
    [METHOD_CANCEL] = request_cancel,
    [METHOD_RUN] = request_run,
    [METHOD_GET] = request_get,
    [METHOD_AWAIT] = request_await,
    [METHOD_WATCH] = request_watch,
    [METHOD_REGISTER] = admin_register,
    [METHOD_LIST] = admin_list,
    [METHOD_LIST_PARTICIPANTS] = admin_list_participants,
    [METHOD_RETRY] = admin_retry,
    [METHOD_SETTLE] = admin_settle,
    [METHOD_DECIDE] = admin_decide,
    [METHOD_PAUSE] = admin_pause,
    [METHOD_STATISTICS] = admin_statistics,
};

static const struct {
    Tercet__V1__SessionRequest__RequestCase request_case;
    enum method method;
} session_methods[] = {
    {TERCET__V1__SESSION_REQUEST__REQUEST_BEGIN, METHOD_BEGIN},
    {TERCET__V1__SESSION_REQUEST__REQUEST_ENLIST, METHOD_ENLIST},
    {TERCET__V1__SESSION_REQUEST__REQUEST_TRY_BRANCH, METHOD_TRY},
    {TERCET__V1__SESSION_REQUEST__REQUEST_CONFIRM, METHOD_CONFIRM},
    {TERCET__V1__SESSION_REQUEST__REQUEST_CANCEL, METHOD_CANCEL},
    {TERCET__V1__SESSION_REQUEST__REQUEST_RUN, METHOD_RUN},
    {TERCET__V1__SESSION_REQUEST__REQUEST_GET, METHOD_GET},
    {TERCET__V1__SESSION_REQUEST__REQUEST_AWAIT_STATE, METHOD_AWAIT},
};

void method_handle(struct coordinator *c, struct caller *caller, enum method method,
                   const ProtobufCMessage *message)
{
    struct request r = {c, caller, 0};
    handlers[method](&r, message);
}

/* Too much is open in the session, and looking for what has expired did not help. */
static bool is_full(struct coordinator *c, struct caller *caller)
{
    if (caller->open_count >= SESSION_OPEN_MAX && c->clock.now_ms >= caller->expired_drop_ms) {
        caller->expired_drop_ms = c->clock.now_ms + EXPIRED_DROP_PAUSE_MS;
        waiter_drop_all_expired(c);
    }
    return caller->open_count >= SESSION_OPEN_MAX;
}

/* The request's own message: all of them are in one union. */
static const ProtobufCMessage *message_of(const Tercet__V1__SessionRequest *request)
{
    return &request->begin->base;
}

static void handle_one(struct coordinator *c, struct caller *caller,
                       const Tercet__V1__SessionRequest *request)
{
    struct request r = {c, caller, request->id};
    if (is_full(c, caller)) {
        answer_error(c, caller, request->id, TERCET_EXHAUSTED,
                     "this session has 65536 requests without an answer: wait for some");
        return;
    }
    for (size_t i = 0; i < sizeof(session_methods) / sizeof(session_methods[0]); i++)
        if (session_methods[i].request_case == request->request_case) {
            handlers[session_methods[i].method](&r, message_of(request));
            return;
        }
    answer_error(
        c, caller, request->id, TERCET_INVALID,
        "the request is empty, of a kind that this coordinator does not know, or could not "
        "be decoded: strings are UTF-8 without NUL");
}

void method_handle_session(struct coordinator *c, struct caller *caller,
                           const Tercet__V1__SessionRequests *message)
{
    for (size_t i = 0; i < message->n_requests && !caller->is_refused; i++) {
        handle_one(c, caller, message->requests[i]);
        /* one message may ask for a large transaction tens of thousands of times */
        arena_reset(&c->scratch);
    }
}
