/* SPDX-License-Identifier: Apache-2.0
 *
 * The methods of Coordinator: what a request does to a transaction, and who is told what when.
 * plan.c checks and prepares; here nothing can be malformed any more.
 */
#include "headroom.h"
#include "owner.h"
#include "plan.h"
#include "record.h"
#include "snapshot.h"

#include <stdlib.h>
#include <string.h>

/* of one transaction: so many are always looked through for those who wait in vain */
#define WAITERS_FEW 8
/* between two looks at those of all, for a session that has too much open */
#define VAIN_DROP_PAUSE_MS 1000

/* One request on its way. */
struct request {
    struct coordinator *c;
    struct caller *caller;
    uint64_t id;
};

/* -- Answers ----------------------------------------------------------------------------------- */

static void answer_error(struct request *r, int error, const char *text)
{
    struct reply reply = {.error = error, .text = text};
    struct answer answer = caller_encode(r->caller, &r->c->scratch, r->id, &reply);
    caller_deliver(r->caller, &answer);
    owner_touch(r->c, r->caller);
}

/* The transaction as it stands, with or without an error; held until that is durable. */
static void answer_entry(struct request *r, struct entry *entry, int error, const char *text)
{
    struct reply reply = {error, text, &snapshot_of_entry(r->c, &r->c->scratch, entry)->base};
    batch_answer(r->c, r->caller, r->id, &reply, entry);
}

static void answer_resolved(struct request *r, const struct found *found, int error,
                            const char *text)
{
    struct reply reply = {
        error, text, &snapshot_of_resolved(&r->c->scratch, found->number, found->resolved)->base};
    struct answer answer = caller_encode(r->caller, &r->c->scratch, r->id, &reply);
    caller_deliver(r->caller, &answer);
    owner_touch(r->c, r->caller);
}

static void answer_found(struct request *r, const struct found *found, int error, const char *text)
{
    if (found->entry != NULL)
        answer_entry(r, found->entry, error, text);
    else if (found->resolved != NULL)
        answer_resolved(r, found, error, text);
    else
        answer_error(r, error != 0 ? error : TERCET_NOT_FOUND, text);
}

/* A try that is done is told at once: its mark may be lost, the participant would say it again.
 * Everything else is told when it is durable. */
static void answer_try(struct request *r, struct entry *entry, const struct txn_branch *branch)
{
    if (!caller_takes(r->caller))
        return; /* many may wait for a large reply */
    Tercet__V1__TryResponse *response = snapshot_of_try(&r->c->scratch, entry, branch);
    struct reply reply = {.message = &response->base};
    if (branch->try_state == TXN_TRY_DONE && entry->txn.state == TXN_TRYING) {
        struct answer answer = caller_encode(r->caller, &r->c->scratch, r->id, &reply);
        caller_deliver(r->caller, &answer);
        owner_touch(r->c, r->caller);
        return;
    }
    batch_answer(r->c, r->caller, r->id, &reply, entry);
}

/* -- Waiting ----------------------------------------------------------------------------------- */

static void free_waiter(struct coordinator *c, struct waiter *waiter)
{
    if (waiter->kind != WAITER_WATCH)
        owner_has_answered(c, waiter->caller);
    caller_unref(waiter->caller);
    free(waiter);
}

/* Those whose call has ended wait for nothing any more; nor do those who only look on, when their
 * time is over or the coordinator stops. */
static bool waits_in_vain(const struct coordinator *c, const struct waiter *waiter)
{
    return atomic_load(&waiter->caller->is_gone) ||
           (waiter->only_awaits && (c->is_closing || c->now_ms >= waiter->until_ms));
}

static void tell_in_vain(struct coordinator *c, const struct waiter *waiter)
{
    struct request r = {c, waiter->caller, waiter->id};
    if (c->is_closing)
        answer_error(&r, TERCET_UNAVAILABLE, COORDINATOR_STOPPING);
    else
        answer_error(&r, TERCET_UNKNOWN,
                     "what is awaited has not come in the time that was given: ask again");
}

static void drop_vain_waiters(struct coordinator *c, struct entry *entry)
{
    struct waiter **link = &entry->waiters;
    while (*link != NULL) {
        struct waiter *waiter = *link;
        if (!waits_in_vain(c, waiter)) {
            link = &waiter->next;
            continue;
        }
        *link = waiter->next;
        entry->waiter_count--;
        if (waiter->only_awaits)
            tell_in_vain(c, waiter);
        free_waiter(c, waiter);
    }
    entry->waiter_sweep = 2 * entry->waiter_count + WAITERS_FEW;
}

void request_drop_vain(struct coordinator *c)
{
    for (struct entry *entry = c->table.oldest; entry != NULL; entry = entry->newer)
        drop_vain_waiters(c, entry);
}

static struct waiter *add_waiter(struct request *r, struct entry *entry, int kind, uint32_t branch)
{
    /* of many, one walk a doubling */
    if (entry->waiter_count < WAITERS_FEW || entry->waiter_count >= entry->waiter_sweep)
        drop_vain_waiters(r->c, entry);
    struct waiter *waiter = must_alloc(sizeof(*waiter));
    caller_ref(r->caller);
    if (kind != WAITER_WATCH)
        owner_owes(r->c, r->caller);
    waiter->caller = r->caller;
    waiter->id = r->id;
    waiter->branch = branch;
    waiter->kind = kind;
    waiter->only_awaits = false;
    waiter->next = entry->waiters;
    entry->waiters = waiter;
    entry->waiter_count++;
    return waiter;
}

/* Takes the waiters of one kind (and branch) out of the list. */
static struct waiter *take_waiters(struct entry *entry, int kind, uint32_t branch)
{
    struct waiter *taken = NULL;
    struct waiter **link = &entry->waiters;
    while (*link != NULL) {
        struct waiter *waiter = *link;
        if ((int)waiter->kind != kind || (branch != 0 && waiter->branch != branch)) {
            link = &waiter->next;
            continue;
        }
        *link = waiter->next;
        entry->waiter_count--;
        waiter->next = taken;
        taken = waiter;
    }
    return taken;
}

static void answer_waiters(struct coordinator *c, struct entry *entry, int kind, uint32_t branch)
{
    struct waiter *waiter = take_waiters(entry, kind, branch);
    struct reply reply = {.error = 0};
    /* once for all: it may be large, and they may be many */
    if (waiter != NULL && kind != WAITER_TRY)
        reply.message = &snapshot_of_entry(c, &c->scratch, entry)->base;
    while (waiter != NULL) {
        struct waiter *next = waiter->next;
        struct request r = {c, waiter->caller, waiter->id};
        if (kind == WAITER_TRY)
            answer_try(&r, entry, txn_find(&entry->txn, waiter->branch));
        else
            batch_answer(c, waiter->caller, waiter->id, &reply, entry);
        free_waiter(c, waiter);
        waiter = next;
    }
}

/* -- Watchers ---------------------------------------------------------------------------------- */

static bool is_watched(const struct entry *entry)
{
    const struct waiter *waiter = entry->waiters;
    while (waiter != NULL && waiter->kind != WAITER_WATCH)
        waiter = waiter->next;
    return waiter != NULL;
}

static void has_changed(struct coordinator *c, struct entry *entry)
{
    if (entry->has_changed || !is_watched(entry))
        return;
    entry->has_changed = true;
    entry->changed_next = c->changed;
    c->changed = entry;
}

static void tell_watchers(struct coordinator *c, struct entry *entry)
{
    const ProtobufCMessage *snapshot = &snapshot_of_entry(c, &c->scratch, entry)->base;
    bool is_last = txn_is_resolved(&entry->txn);
    for (struct waiter *waiter = entry->waiters; waiter != NULL; waiter = waiter->next)
        if (waiter->kind == WAITER_WATCH)
            batch_watch(c, waiter->caller, snapshot, is_last, entry);
}

void request_tell_watchers(struct coordinator *c)
{
    while (c->changed != NULL) {
        struct entry *entry = c->changed;
        c->changed = entry->changed_next;
        entry->has_changed = false;
        tell_watchers(c, entry);
    }
}

void request_forget_watchers(struct coordinator *c, struct entry *entry)
{
    struct entry **link = &c->changed;
    while (*link != NULL && *link != entry)
        link = &(*link)->changed_next;
    if (*link != NULL)
        *link = entry->changed_next;
}

/* Answers now (NULL), or lets a waiter be answered when what `wait` says has come. */
static struct waiter *answer_when(struct request *r, struct entry *entry, Tercet__V1__Wait wait)
{
    bool is_decided = entry->txn.state != TXN_TRYING;
    if (wait == TERCET__V1__WAIT__WAIT_DECIDED && !is_decided)
        return add_waiter(r, entry, WAITER_DECIDED, 0);
    if (wait == TERCET__V1__WAIT__WAIT_RESOLVED && !txn_is_resolved(&entry->txn))
        return add_waiter(r, entry, WAITER_RESOLVED, 0);
    answer_entry(r, entry, 0, NULL);
    return NULL;
}

/* The same of what was found; an error, and what is over, is told at once. */
static struct waiter *answer_found_when(struct request *r, const struct found *found, int error,
                                        const char *text, Tercet__V1__Wait wait)
{
    if (error == 0 && found->entry != NULL)
        return answer_when(r, found->entry, wait);
    answer_found(r, found, error, text);
    return NULL;
}

/* -- Confirming -------------------------------------------------------------------------------- */

static bool has_open_try(const struct entry *entry)
{
    for (size_t i = 0; i < entry->txn.branch_count; i++)
        if (txn_try_is_open(&entry->txn.branches[i]))
            return true;
    return false;
}

/* That a try is done is written lazily. After a restart the initiator may know of tries that the
 * coordinator is only asking for again: its confirm waits for them, for what was known once must
 * not be unknown to those who were told (S10). */
static void confirm_entry(struct request *r, struct entry *entry, int wait, bool is_forced)
{
    struct txn_event event = {
        .kind = TXN_CONFIRM, .cause = TXN_CAUSE_INITIATOR, .is_forced = is_forced};
    int error = plan_error_of_core(owner_step(r->c, entry, event));
    if (error == TERCET_NOT_READY && entry->was_restored && has_open_try(entry))
        add_waiter(r, entry, WAITER_CONFIRM, 0)->wait = wait;
    else if (error == 0)
        answer_when(r, entry, (Tercet__V1__Wait)wait);
    else
        answer_entry(r, entry, error, NULL);
}

static void confirm_again(struct coordinator *c, struct entry *entry)
{
    struct waiter *waiter = take_waiters(entry, WAITER_CONFIRM, 0);
    while (waiter != NULL) {
        struct waiter *next = waiter->next;
        struct request r = {c, waiter->caller, waiter->id};
        confirm_entry(&r, entry, waiter->wait, false);
        free_waiter(c, waiter);
        waiter = next;
    }
}

void request_tried(struct coordinator *c, struct entry *entry, uint32_t branch)
{
    answer_waiters(c, entry, WAITER_TRY, branch);
    has_changed(c, entry);
    confirm_again(c, entry);
}

void request_decided(struct coordinator *c, struct entry *entry)
{
    answer_waiters(c, entry, WAITER_TRY, 0);
    answer_waiters(c, entry, WAITER_DECIDED, 0);
    confirm_again(c, entry);
    has_changed(c, entry);
}

void request_resolved(struct coordinator *c, struct entry *entry)
{
    answer_waiters(c, entry, WAITER_RESOLVED, 0);
    has_changed(c, entry);
}

/* -- The methods ------------------------------------------------------------------------------- */

static void begin(struct request *r, const Tercet__V1__BeginRequest *message)
{
    struct found found;
    const char *text = NULL;
    int error = plan_begin(r->c, message, message->gid, &found, &text);
    answer_found(r, &found, error, text);
    found_clear(&found);
}

/* The transaction of a try or an enlistment, begun with it when it says so. */
static int find_or_begin(struct request *r, const char *gid,
                         const Tercet__V1__BeginRequest *to_begin, struct found *found,
                         const char **text)
{
    if (to_begin != NULL)
        return plan_begin(r->c, to_begin, gid, found, text);
    return plan_find(r->c, gid, found, text);
}

/* A transaction that is over takes no branch; one it has already is told as it is. */
static void enlist_in_resolved(struct request *r, const struct found *found,
                               const struct branch_plan *plan)
{
    int index = plan_resolved_branch(found->resolved, plan->number);
    if (index >= 0 && found->resolved->digests[index] == plan->digest)
        answer_resolved(r, found, txn_mode_is_routed(plan->mode) ? TERCET_DECIDED : 0,
                        "the transaction is over already");
    else
        answer_resolved(r, found, index >= 0 ? TERCET_EXISTS : TERCET_DECIDED, NULL);
}

static void enlist_in_entry(struct request *r, struct entry *entry, const struct branch_plan *plan)
{
    bool is_new = entry->txn.state == TXN_TRYING && txn_find(&entry->txn, plan->number) == NULL;
    const char *full = is_new ? headroom_take(r->c, headroom_of(r->c, plan->payload.size)) : NULL;
    if (full != NULL) {
        answer_entry(r, entry, TERCET_EXHAUSTED, full);
        return;
    }
    int rc = owner_enlist(r->c, entry, plan);
    if (rc != 0) {
        answer_entry(r, entry, plan_error_of_core(rc), NULL);
        return;
    }
    const struct txn_branch *branch = txn_find(&entry->txn, plan->number);
    bool is_open = entry->txn.state == TXN_TRYING && txn_try_is_open(branch);
    if (!txn_mode_is_routed(plan->mode))
        answer_entry(r, entry, 0, NULL);
    else if (is_open)
        add_waiter(r, entry, WAITER_TRY, plan->number);
    else
        answer_try(r, entry, branch);
}

static void enlist(struct request *r, const char *gid, const Tercet__V1__Branch *branch,
                   const Tercet__V1__BeginRequest *to_begin, enum txn_mode mode)
{
    struct found found = {0};
    struct branch_plan plan;
    const char *text = NULL;
    char made[TERCET_TEXT_MAX];
    int error = plan_check_branch(branch, &text);
    if (error == 0)
        error = find_or_begin(r, gid, to_begin, &found, &text);
    if (error == 0 && found.entry == NULL && found.resolved == NULL)
        error = TERCET_NOT_FOUND;
    if (error == 0)
        error = plan_branch(r->c, branch, branch->number, mode, &plan, &text, made);
    if (error != 0)
        answer_found(r, &found, error, text);
    else if (found.entry != NULL)
        enlist_in_entry(r, found.entry, &plan);
    else
        enlist_in_resolved(r, &found, &plan);
    if (error == 0)
        dispatch_service_release(r->c, plan.service);
    found_clear(&found);
}

/* A decision that was asked for and the state it met: an error when it went the other way. */
static int decision_conflict(unsigned state, bool is_confirm)
{
    bool is_confirmed = state == TXN_CONFIRMING || state == TXN_CONFIRMED;
    return is_confirmed == is_confirm ? 0 : TERCET_DECIDED;
}

static void confirm(struct request *r, const Tercet__V1__ConfirmRequest *message)
{
    struct found found;
    const char *text = NULL;
    int error = plan_find(r->c, message->gid, &found, &text);
    if (error == 0 && found.resolved != NULL)
        error = decision_conflict(found.resolved->state->state, true);
    if (error == 0 && found.entry != NULL)
        confirm_entry(r, found.entry, (int)message->wait, message->force);
    else
        answer_found(r, &found, error, text);
    found_clear(&found);
}

static void cancel(struct request *r, const Tercet__V1__CancelRequest *message)
{
    struct found found;
    const char *text = NULL;
    int error = plan_check_reason(message->reason, &text);
    if (error != 0) {
        answer_error(r, error, text);
        return;
    }
    error = plan_find(r->c, message->gid, &found, &text);
    if (error == 0 && found.resolved != NULL)
        error = decision_conflict(found.resolved->state->state, false);
    if (error == 0 && found.entry != NULL) {
        plan_keep_reason(found.entry, message->reason);
        error = plan_error_of_core(
            owner_step(r->c, found.entry,
                       (struct txn_event){.kind = TXN_CANCEL, .cause = TXN_CAUSE_INITIATOR}));
    }
    answer_found_when(r, &found, error, text, message->wait);
    found_clear(&found);
}

static void run(struct request *r, const Tercet__V1__RunRequest *message)
{
    struct found found;
    const char *text = NULL;
    char made[TERCET_TEXT_MAX];
    int error = plan_run(r->c, message, &found, &text, made);
    answer_found_when(r, &found, error, text, message->wait);
    found_clear(&found);
}

static void await(struct request *r, const char *gid, Tercet__V1__Wait wait, uint32_t timeout_ms)
{
    struct found found;
    const char *text = NULL;
    int error = plan_find(r->c, gid, &found, &text);
    struct waiter *waiter = answer_found_when(r, &found, error, text, wait);
    if (waiter != NULL) {
        waiter->only_awaits = true;
        waiter->until_ms = timeout_ms > 0 ? r->c->now_ms + timeout_ms : INT64_MAX;
        if (r->c->is_closing)
            drop_vain_waiters(r->c, found.entry);
    }
    found_clear(&found);
}

static void watch(struct request *r, const Tercet__V1__WatchRequest *message)
{
    struct found found;
    const char *text = NULL;
    int error = plan_find(r->c, message->gid, &found, &text);
    if (error != 0) {
        answer_error(r, error, text);
    } else if (found.entry != NULL) {
        bool is_last = txn_is_resolved(&found.entry->txn);
        batch_watch(r->c, r->caller, &snapshot_of_entry(r->c, &r->c->scratch, found.entry)->base,
                    is_last, found.entry);
        if (!is_last)
            add_waiter(r, found.entry, WAITER_WATCH, 0);
    } else {
        Tercet__V1__Transaction *snapshot =
            snapshot_of_resolved(&r->c->scratch, found.number, found.resolved);
        caller_watch_push(r->caller, arena_pack(&r->c->scratch, 0, &snapshot->base), true);
    }
    found_clear(&found);
}

void request_handle(struct coordinator *c, struct caller *caller, uint64_t id, enum method method,
                    const ProtobufCMessage *message)
{
    struct request r = {c, caller, id};
    const Tercet__V1__EnlistRequest *to_enlist = (const Tercet__V1__EnlistRequest *)message;
    const Tercet__V1__TryRequest *to_try = (const Tercet__V1__TryRequest *)message;
    const Tercet__V1__AwaitRequest *to_await = (const Tercet__V1__AwaitRequest *)message;
    switch (method) {
    case METHOD_BEGIN:
        begin(&r, (const Tercet__V1__BeginRequest *)message);
        break;
    case METHOD_ENLIST:
        enlist(&r, to_enlist->gid, to_enlist->branch, to_enlist->begin, TXN_MODE_OWN);
        break;
    case METHOD_TRY:
        enlist(&r, to_try->gid, to_try->branch, to_try->begin, TXN_MODE_ROUTED);
        break;
    case METHOD_CONFIRM:
        confirm(&r, (const Tercet__V1__ConfirmRequest *)message);
        break;
    case METHOD_CANCEL:
        cancel(&r, (const Tercet__V1__CancelRequest *)message);
        break;
    case METHOD_RUN:
        run(&r, (const Tercet__V1__RunRequest *)message);
        break;
    case METHOD_GET:
        await(&r, ((const Tercet__V1__GetRequest *)message)->gid, TERCET__V1__WAIT__WAIT_NOT, 0);
        break;
    case METHOD_AWAIT:
        await(&r, to_await->gid, to_await->wait, to_await->timeout_ms);
        break;
    case METHOD_WATCH:
        watch(&r, (const Tercet__V1__WatchRequest *)message);
        break;
    default:
        admin_handle(c, caller, method, message);
    }
}

/* -- Sessions ---------------------------------------------------------------------------------- */

static void session_request(struct coordinator *c, struct caller *caller,
                            const Tercet__V1__SessionRequest *request)
{
    static const struct {
        Tercet__V1__SessionRequest__RequestCase request_case;
        enum method method;
    } methods[] = {
        {TERCET__V1__SESSION_REQUEST__REQUEST_BEGIN, METHOD_BEGIN},
        {TERCET__V1__SESSION_REQUEST__REQUEST_ENLIST, METHOD_ENLIST},
        {TERCET__V1__SESSION_REQUEST__REQUEST_TRY_BRANCH, METHOD_TRY},
        {TERCET__V1__SESSION_REQUEST__REQUEST_CONFIRM, METHOD_CONFIRM},
        {TERCET__V1__SESSION_REQUEST__REQUEST_CANCEL, METHOD_CANCEL},
        {TERCET__V1__SESSION_REQUEST__REQUEST_RUN, METHOD_RUN},
        {TERCET__V1__SESSION_REQUEST__REQUEST_GET, METHOD_GET},
        {TERCET__V1__SESSION_REQUEST__REQUEST_AWAIT_STATE, METHOD_AWAIT},
    };
    struct request r = {c, caller, request->id};
    if (caller->open_count >= SESSION_OPEN_MAX && c->now_ms >= caller->vain_drop_ms) {
        caller->vain_drop_ms = c->now_ms + VAIN_DROP_PAUSE_MS;
        request_drop_vain(c);
    }
    if (caller->open_count >= SESSION_OPEN_MAX) {
        answer_error(&r, TERCET_EXHAUSTED,
                     "this session has 65536 requests without an answer: wait for some");
        return;
    }
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (methods[i].request_case == request->request_case) {
            request_handle(c, caller, request->id, methods[i].method, &request->begin->base);
            return;
        }
    answer_error(
        &r, TERCET_INVALID,
        "the request is empty, of a kind that this coordinator does not know, or could not "
        "be decoded: strings are UTF-8 without NUL");
}

void request_session(struct coordinator *c, struct caller *caller,
                     const Tercet__V1__SessionRequests *message)
{
    for (size_t i = 0; i < message->n_requests && !caller->is_refused; i++) {
        session_request(c, caller, message->requests[i]);
        /* one message may ask for a large transaction tens of thousands of times */
        arena_reset(&c->scratch);
    }
}
