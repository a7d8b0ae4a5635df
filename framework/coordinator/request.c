/* SPDX-License-Identifier: Apache-2.0
 *
 * request.h
 */
#include "request.h"

#include "check.h"
#include "coordinator.h"
#include "effect.h"
#include "plan.h"
#include "snapshot.h"
#include "tell.h"

#include <string.h>

/* -- Answers ----------------------------------------------------------------------------------- */

static void refuse(struct request *r, int error, const char *text)
{
    answer_error(r->c, r->caller, r->id, error, text);
}

static void answer_entry(struct request *r, struct entry *entry, int error, const char *text)
{
    tell_entry(r->c, r->caller, r->id, entry, error, text);
}

static void answer_over(struct request *r, int error, const char *text)
{
    tell_resolved(r->c, r->caller, r->id, r->found.number, r->found.resolved, error, text);
}

static void answer_found(struct request *r, int error, const char *text)
{
    if (r->found.entry != NULL)
        answer_entry(r, r->found.entry, error, text);
    else if (r->found.resolved != NULL)
        answer_over(r, error, text);
    else
        refuse(r, error != 0 ? error : TERCET_NOT_FOUND, text);
}

static struct waiter *wait_for(struct request *r, struct entry *entry, enum waiter_kind kind)
{
    return waiter_add(r->c, r->caller, r->id, entry, kind);
}

/* Answers now (NULL), or lets a waiter be answered when what `wait` says has come. */
static struct waiter *answer_when(struct request *r, struct entry *entry, Tercet__V1__Wait wait)
{
    bool is_decided = entry->txn.state != TXN_TRYING;
    if (wait == TERCET__V1__WAIT__WAIT_DECIDED && !is_decided)
        return wait_for(r, entry, WAITER_DECIDED);
    if (wait == TERCET__V1__WAIT__WAIT_RESOLVED && !txn_is_resolved(&entry->txn))
        return wait_for(r, entry, WAITER_RESOLVED);
    answer_entry(r, entry, 0, NULL);
    return NULL;
}

/* The same of what was found; an error, and what is over, is told at once. */
static struct waiter *answer_found_when(struct request *r, int error, const char *text,
                                        Tercet__V1__Wait wait)
{
    if (error == 0 && r->found.entry != NULL)
        return answer_when(r, r->found.entry, wait);
    answer_found(r, error, text);
    return NULL;
}

/* false: it has been refused. A newer client may know more ways to wait: what it would get is not
 * what it asked for. */
static bool takes_wait(struct request *r, Tercet__V1__Wait wait)
{
    bool is_known =
        (int)wait >= TERCET__V1__WAIT__WAIT_DECIDED && (int)wait <= TERCET__V1__WAIT__WAIT_NOT;
    if (!is_known)
        refuse(r, TERCET_INVALID, "wait is 0 (WAIT_DECIDED), 1 (WAIT_RESOLVED) or 2 (WAIT_NOT)");
    return is_known;
}

/* -- Begin and branches ------------------------------------------------------------------------ */

void request_begin(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__BeginRequest *begin = (const Tercet__V1__BeginRequest *)message;
    const char *text = NULL;
    int error = plan_begin(r->c, begin, begin->gid, &r->found, &text);
    answer_found(r, error, text);
}

/* The transaction of a try or an enlistment, begun with it when it says so. */
static int find_or_begin(struct request *r, const char *gid,
                         const Tercet__V1__BeginRequest *to_begin, const char **text)
{
    if (to_begin != NULL)
        return plan_begin(r->c, to_begin, gid, &r->found, text);
    *text = r->found.text;
    return r->found.error;
}

/* A transaction that is over takes no branch; one it has already is told as it is. */
static void enlist_in_resolved(struct request *r, const struct branch_plan *plan)
{
    const Tercet__Store__V1__Resolved *resolved = r->found.resolved;
    int index = find_resolved_branch(resolved, plan->number);
    bool is_same = index >= 0 && resolved->digests[index] == plan->digest;
    if (is_same && !txn_mode_is_routed(plan->mode))
        answer_over(r, 0, NULL);
    else if (is_same)
        answer_over(r, TERCET_DECIDED, "the transaction is over already");
    else
        answer_over(r, index >= 0 ? TERCET_EXISTS : TERCET_DECIDED, NULL);
}

/* A try is answered with its outcome, when that is known. */
static void answer_enlisted(struct request *r, struct entry *entry, const struct branch_plan *plan)
{
    const struct txn_branch *branch = txn_find(&entry->txn, plan->number);
    bool is_open = entry->txn.state == TXN_TRYING && txn_try_is_open(branch);
    if (!txn_mode_is_routed(plan->mode))
        answer_entry(r, entry, 0, NULL);
    else if (is_open)
        wait_for(r, entry, WAITER_TRY)->branch = plan->number;
    else
        tell_try(r->c, r->caller, r->id, entry, branch);
}

static void enlist_in_entry(struct request *r, struct entry *entry, const struct branch_plan *plan)
{
    bool is_new = entry->txn.state == TXN_TRYING && txn_find(&entry->txn, plan->number) == NULL;
    struct shard *shard = entry->shard;
    const char *full =
        is_new ? headroom_take(&shard->headroom, store_room_of(shard->store, plan->payload.size))
               : NULL;
    if (full != NULL) {
        answer_entry(r, entry, TERCET_EXHAUSTED, full);
        return;
    }
    int rc = step_enlist(r->c, entry, plan);
    if (rc != 0)
        answer_entry(r, entry, step_error(rc), NULL);
    else
        answer_enlisted(r, entry, plan);
}

static void enlist(struct request *r, const char *gid, const Tercet__V1__Branch *branch,
                   const Tercet__V1__BeginRequest *to_begin, enum txn_mode mode)
{
    struct branch_plan plan;
    const char *text = NULL;
    char made[TERCET_TEXT_MAX];
    int error = plan_check_branch(branch, &text);
    if (error != 0) {
        refuse(r, error, text);
        return;
    }
    error = find_or_begin(r, gid, to_begin, &text);
    if (error == 0)
        error = plan_branch(r->c, branch, branch->number, mode, &plan, &text, made);
    if (error != 0)
        answer_found(r, error, text);
    else if (r->found.entry != NULL)
        enlist_in_entry(r, r->found.entry, &plan);
    else
        enlist_in_resolved(r, &plan);
    if (error == 0)
        service_release(&r->c->services, plan.service);
}

void request_enlist(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__EnlistRequest *own = (const Tercet__V1__EnlistRequest *)message;
    enlist(r, own->gid, own->branch, own->begin, TXN_MODE_OWN);
}

void request_try(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__TryRequest *routed = (const Tercet__V1__TryRequest *)message;
    enlist(r, routed->gid, routed->branch, routed->begin, TXN_MODE_ROUTED);
}

void request_run(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__RunRequest *run = (const Tercet__V1__RunRequest *)message;
    const char *text = NULL;
    char made[TERCET_TEXT_MAX];
    if (!takes_wait(r, run->wait))
        return;
    int error = plan_run(r->c, run, &r->found, &text, made);
    answer_found_when(r, error, text, run->wait);
}

/* -- Decisions --------------------------------------------------------------------------------- */

/* A decision that was asked for and the state it met: an error when it went the other way. */
static int decision_conflict(unsigned state, bool is_confirm)
{
    bool is_confirmed = state == TXN_CONFIRMING || state == TXN_CONFIRMED;
    return is_confirmed == is_confirm ? 0 : TERCET_DECIDED;
}

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
    int error = step_error(step_event(r->c, entry, event));
    if (error == TERCET_NOT_READY && entry->was_restored && has_open_try(entry))
        wait_for(r, entry, WAITER_CONFIRM)->wait = wait;
    else if (error == 0)
        answer_when(r, entry, (Tercet__V1__Wait)wait);
    else
        answer_entry(r, entry, error, NULL);
}

bool request_confirm_ready(struct coordinator *c)
{
    struct waiter *waiter;
    bool had_any = false;
    while ((waiter = waiter_take_ready(&c->waiting)) != NULL) {
        struct request r = {.c = c, .caller = waiter->caller, .id = waiter->id};
        confirm_entry(&r, waiter->entry, waiter->wait, false);
        waiter_free(c, waiter);
        had_any = true;
    }
    return had_any;
}

void request_confirm(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__ConfirmRequest *confirm = (const Tercet__V1__ConfirmRequest *)message;
    const struct found *found = &r->found;
    int error = found->error;
    if (!takes_wait(r, confirm->wait))
        return;
    if (error == 0 && found->resolved != NULL)
        error = decision_conflict(found->resolved->state->state, true);
    if (error == 0 && found->entry != NULL)
        confirm_entry(r, found->entry, (int)confirm->wait, confirm->force);
    else
        answer_found(r, error, found->text);
}

static int cancel_entry(struct request *r, struct entry *entry, const char *reason)
{
    struct txn_event event = {.kind = TXN_CANCEL, .cause = TXN_CAUSE_INITIATOR};
    char cut[TERCET_TEXT_MAX];
    copy_text(cut, reason);
    step_keep_reason(entry, cut);
    return step_error(step_event(r->c, entry, event));
}

void request_cancel(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__CancelRequest *cancel = (const Tercet__V1__CancelRequest *)message;
    const struct found *found = &r->found;
    if (!takes_wait(r, cancel->wait))
        return;
    int error = found->error;
    if (error == 0 && found->resolved != NULL)
        error = decision_conflict(found->resolved->state->state, false);
    if (error == 0 && found->entry != NULL)
        error = cancel_entry(r, found->entry, cancel->reason);
    answer_found_when(r, error, found->text, cancel->wait);
}

/* -- Looking on -------------------------------------------------------------------------------- */

static void await(struct request *r, Tercet__V1__Wait wait, uint32_t timeout_ms)
{
    struct waiter *waiter = answer_found_when(r, r->found.error, r->found.text, wait);
    if (waiter == NULL)
        return;
    waiter_set_await(r->c, waiter, timeout_ms > 0 ? r->c->clock.now_ms + timeout_ms : INT64_MAX);
}

void request_get(struct request *r, const ProtobufCMessage *message)
{
    (void)message;
    await(r, TERCET__V1__WAIT__WAIT_NOT, 0);
}

void request_await(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__AwaitRequest *request = (const Tercet__V1__AwaitRequest *)message;
    if (takes_wait(r, request->wait))
        await(r, request->wait, request->timeout_ms);
}

static void watch_entry(struct request *r, struct entry *entry)
{
    bool is_last = txn_is_resolved(&entry->txn);
    Tercet__V1__Transaction *snapshot = snapshot_of_entry(r->c, &r->c->scratch, entry);
    effect_watch(r->c, r->caller, &snapshot->base, is_last, entry);
    if (!is_last)
        wait_for(r, entry, WAITER_WATCH);
}

static void watch_over(struct request *r, const struct found *found)
{
    struct arena *scratch = &r->c->scratch;
    Tercet__V1__Transaction *snapshot =
        snapshot_of_resolved(scratch, found->number, found->resolved);
    caller_watch_push(r->caller, arena_pack(scratch, 0, &snapshot->base), true);
}

void request_watch(struct request *r, const ProtobufCMessage *message)
{
    (void)message;
    if (r->found.error != 0)
        refuse(r, r->found.error, r->found.text);
    else if (r->found.entry != NULL)
        watch_entry(r, r->found.entry);
    else
        watch_over(r, &r->found);
}
