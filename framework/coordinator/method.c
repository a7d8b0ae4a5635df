/* SPDX-License-Identifier: Apache-2.0
 *
 * method.h
 */
#include "method.h"

#include "admin.h"
#include "collect.h"
#include "coordinator.h"
#include "listing.h"
#include "request.h"
#include "roster.h"

#include <assert.h>

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
    [METHOD_REGISTER] = roster_register,
    [METHOD_LIST] = listing_list,
    [METHOD_LIST_PARTICIPANTS] = roster_list,
    [METHOD_RETRY] = admin_retry,
    [METHOD_SETTLE] = admin_settle,
    [METHOD_DECIDE] = admin_decide,
    [METHOD_PAUSE] = roster_pause,
    [METHOD_STATISTICS] = admin_statistics,
    [METHOD_LIST_AUDIT] = admin_list_audit,
    [METHOD_COLLECT] = collect,
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

/* -- The gid that a request names -------------------------------------------------------------- */

/* NULL: none, or one that is to be made. */
static const char *unless_empty(const char *gid)
{
    return gid[0] != '\0' ? gid : NULL;
}

static const char *gid_of_branch(const char *gid, const Tercet__V1__BeginRequest *to_begin)
{
    if (to_begin == NULL)
        return gid;
    return unless_empty(gid[0] != '\0' ? gid : to_begin->gid);
}

/* Of what may begin a transaction. */
static const char *gid_of_new(enum method method, const ProtobufCMessage *message)
{
    switch (method) {
    case METHOD_BEGIN:
        return unless_empty(((const Tercet__V1__BeginRequest *)message)->gid);
    case METHOD_RUN:
        return unless_empty(((const Tercet__V1__RunRequest *)message)->gid);
    case METHOD_ENLIST:
        return gid_of_branch(((const Tercet__V1__EnlistRequest *)message)->gid,
                             ((const Tercet__V1__EnlistRequest *)message)->begin);
    default:
        assert(method == METHOD_TRY);
        return gid_of_branch(((const Tercet__V1__TryRequest *)message)->gid,
                             ((const Tercet__V1__TryRequest *)message)->begin);
    }
}

static const char *gid_of(enum method method, const ProtobufCMessage *message)
{
    switch (method) {
    case METHOD_BEGIN:
    case METHOD_RUN:
    case METHOD_ENLIST:
    case METHOD_TRY:
        return gid_of_new(method, message);
    case METHOD_CONFIRM:
        return ((const Tercet__V1__ConfirmRequest *)message)->gid;
    case METHOD_CANCEL:
        return ((const Tercet__V1__CancelRequest *)message)->gid;
    case METHOD_GET:
        return ((const Tercet__V1__GetRequest *)message)->gid;
    case METHOD_AWAIT:
        return ((const Tercet__V1__AwaitRequest *)message)->gid;
    case METHOD_WATCH:
        return ((const Tercet__V1__WatchRequest *)message)->gid;
    case METHOD_RETRY:
        return ((const Tercet__V1__RetryRequest *)message)->gid;
    case METHOD_SETTLE:
        return ((const Tercet__V1__SettleRequest *)message)->gid;
    case METHOD_DECIDE:
        return ((const Tercet__V1__DecideRequest *)message)->gid;
    case METHOD_REGISTER:
    case METHOD_LIST:
    case METHOD_LIST_PARTICIPANTS:
    case METHOD_PAUSE:
    case METHOD_STATISTICS:
    case METHOD_LIST_AUDIT:
    case METHOD_COLLECT:
    case METHOD_CHECK:
    case METHOD_BACKUP:
        break;
    }
    return NULL;
}

/* -- Handling ---------------------------------------------------------------------------------- */

static const char *beginner_of(const struct found *found)
{
    if (found->entry != NULL)
        return found->entry->begun_by != NULL ? found->entry->begun_by : "";
    return found->resolved->state->begun_by;
}

/* Whether the caller may do this to what was found; operators' methods are not bound to names. */
static bool is_permitted(const struct request *r, enum method method)
{
    const struct rights *rights = &r->caller->rights;
    if (r->found.entry == NULL && r->found.resolved == NULL)
        return true;
    switch (method) {
    case METHOD_GET:
    case METHOD_AWAIT:
    case METHOD_WATCH:
        return !rights->sees_own_only || scope_covers(rights->begins, beginner_of(&r->found));
    case METHOD_RETRY:
    case METHOD_SETTLE:
    case METHOD_DECIDE:
        return true;
    default:
        return scope_covers(rights->begins, beginner_of(&r->found));
    }
}

static void call_handler(struct request *r, enum method method, const ProtobufCMessage *message)
{
    struct refusal no;
    if (is_permitted(r, method)) {
        handlers[method](r, message);
        return;
    }
    refusal_set(
        &no, TERCET_DENIED,
        "this transaction was begun by another initiator: the access rules bind this one to "
        "its own");
    answer_error(r->c, r->caller, r->id, &no);
}

/* Handles the request now, or holds it until the store has said what it knows of its gid. */
static void handle(struct request *r, enum method method, const ProtobufCMessage *message)
{
    const char *gid = gid_of(method, message);
    struct found found = FOUND_NOTHING;
    struct find *find = gid != NULL ? find_gid(r->c, gid, &found) : NULL;
    if (find == NULL) {
        r->found = found;
        call_handler(r, method, message);
        find_clear(&found);
    } else if (!find_hold(r->c, find, r->caller, r->id, method, message)) {
        struct refusal no;
        refusal_set(&no, TERCET_EXHAUSTED,
                    "too many requests wait for the store to look for their transactions: ask "
                    "again");
        answer_error(r->c, r->caller, r->id, &no);
    }
}

void method_handle(struct coordinator *c, struct caller *caller, enum method method,
                   const ProtobufCMessage *message)
{
    struct request r = {.c = c, .caller = caller};
    handle(&r, method, message);
}

/* The first to be handled may begin what was not found: the others find it in memory. */
void method_continue(struct coordinator *c, struct find *find)
{
    struct found found = find_take(c, find);
    struct held *held;
    while ((held = find_take_held(c, find)) != NULL) {
        struct request r = {.c = c, .caller = held->caller, .id = held->id, .found = found};
        struct entry *entry = table_find(&found.shard->table, find->gid);
        if (entry != NULL)
            r.found = (struct found){.shard = found.shard, .entry = entry};
        call_handler(&r, held->method, held->message);
        find_free_held(held);
        arena_reset(&c->scratch);
    }
    find_clear(&found);
    find_free(find);
}

void method_refuse(struct coordinator *c, struct find *find, const char *text)
{
    struct found found = find_take(c, find);
    struct held *held;
    while ((held = find_take_held(c, find)) != NULL) {
        crpc_call_fail(held->caller->call, CRPC_UNAVAILABLE, "%s", text);
        find_free_held(held);
    }
    find_clear(&found);
    find_free(find);
}

/* -- Sessions ---------------------------------------------------------------------------------- */

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
    struct request r = {.c = c, .caller = caller, .id = request->id};
    struct refusal no;
    if (is_full(c, caller)) {
        refusal_set(&no, TERCET_EXHAUSTED,
                    "this session has %u requests without an answer: wait for some",
                    SESSION_OPEN_MAX);
        answer_error(c, caller, request->id, &no);
        return;
    }
    for (size_t i = 0; i < sizeof(session_methods) / sizeof(session_methods[0]); i++)
        if (session_methods[i].request_case == request->request_case) {
            handle(&r, session_methods[i].method, message_of(request));
            return;
        }
    refusal_set(&no, TERCET_INVALID,
                "the request is empty, of a kind that this coordinator does not know, or could not "
                "be decoded: strings are UTF-8 without NUL");
    answer_error(c, caller, request->id, &no);
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
