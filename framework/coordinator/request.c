/* SPDX-License-Identifier: Apache-2.0
 *
 * request.h
 */
#include "request.h"

#include "check.h"
#include "coordinator.h"
#include "differ.h"
#include "effect.h"
#include "plan.h"
#include "snapshot.h"
#include "tell.h"
#include "trace.h"

#include <string.h>

/* -- Answers ----------------------------------------------------------------------------------- */

void request_answer(struct request *r, const ProtobufCMessage *message)
{
    struct reply reply = {.message = message};
    answer_give(r->c, r->caller, r->id, &reply);
}

void request_refuse(struct request *r, int error, const char *text)
{
    struct refusal no;
    refusal_set(&no, error, "%s", text);
    answer_error(r->c, r->caller, r->id, &no);
}

static void refuse(struct request *r, const struct refusal *no)
{
    answer_error(r->c, r->caller, r->id, no);
}

/* NULL here and in the functions below: no refusal. */
static void answer_entry(struct request *r, struct entry *entry, const struct refusal *no)
{
    tell_entry(r->c, r->caller, r->id, entry, no);
}

static void answer_over(struct request *r, const struct refusal *no)
{
    tell_resolved(r->c, r->caller, r->id, r->found.number, r->found.resolved, no);
}

static void answer_found(struct request *r, const struct refusal *no)
{
    if (r->found.entry != NULL)
        answer_entry(r, r->found.entry, no);
    else if (r->found.resolved != NULL)
        answer_over(r, no);
    else
        refuse(r, no);
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
    answer_entry(r, entry, NULL);
    return NULL;
}

/* The same of what was found; an error, and what is over, is told at once. */
static struct waiter *answer_found_when(struct request *r, const struct refusal *no,
                                        Tercet__V1__Wait wait)
{
    if (no == NULL && r->found.entry != NULL)
        return answer_when(r, r->found.entry, wait);
    answer_found(r, no);
    return NULL;
}

/* false: it has been refused. A newer client may know more ways to wait: what it would get is not
 * what it asked for. */
static bool takes_wait(struct request *r, Tercet__V1__Wait wait)
{
    struct refusal no;
    if ((int)wait >= TERCET__V1__WAIT__WAIT_DECIDED && (int)wait <= TERCET__V1__WAIT__WAIT_NOT)
        return true;
    refusal_set(&no, TERCET_INVALID,
                "wait is 0 (WAIT_DECIDED), 1 (WAIT_RESOLVED) or 2 (WAIT_NOT), and not %d",
                (int)wait);
    no.field = "wait";
    refuse(r, &no);
    return false;
}

/* What a unary call begins belongs to its caller's trace. `begun` is how many had been before. */
static void adopt_trace(struct request *r, uint64_t begun)
{
    if (r->c->totals.begun > begun && r->caller->kind == CALLER_UNARY)
        trace_adopt(r->found.entry, r->caller->call);
}

/* -- Begin and branches ------------------------------------------------------------------------ */

void request_begin(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__BeginRequest *begin = (const Tercet__V1__BeginRequest *)message;
    const uint64_t begun = r->c->totals.begun;
    struct refusal no;
    int rc =
        plan_begin(r->c, begin, begin->gid, scope_name(r->caller->rights.begins), &r->found, &no);
    adopt_trace(r, begun);
    answer_found(r, rc != 0 ? &no : NULL);
}

/* The transaction of a try or an enlistment, begun with it when it says so. */
static int find_or_begin(struct request *r, const char *gid,
                         const Tercet__V1__BeginRequest *to_begin, struct refusal *no)
{
    const uint64_t begun = r->c->totals.begun;
    if (to_begin == NULL)
        return find_check(&r->found, no);
    int rc = plan_begin(r->c, to_begin, gid[0] != '\0' ? gid : to_begin->gid,
                        scope_name(r->caller->rights.begins), &r->found, no);
    adopt_trace(r, begun);
    return rc;
}

/* A transaction that is over takes no branch; one it has already is told as it is. */
static void enlist_in_resolved(struct request *r, const Tercet__V1__Branch *branch,
                               struct branch_plan *plan)
{
    const Tercet__Store__V1__Resolved *resolved = r->found.resolved;
    int index = find_resolved_branch(resolved, plan->number);
    if (index >= 0)
        plan_match(plan, branch, resolved->digests[index]);
    bool is_same = index >= 0 && resolved->digests[index] == plan->digest;
    struct refusal no;
    if (is_same && !txn_mode_is_routed(plan->mode)) {
        answer_over(r, NULL);
        return;
    }
    if (is_same || index < 0)
        find_decided_otherwise(&r->found, &no);
    else
        differ_branch(&r->found, plan, &no);
    answer_over(r, &no);
}

/* A try is answered with its outcome, when that is known. */
static void answer_enlisted(struct request *r, struct entry *entry, const struct branch_plan *plan)
{
    const struct txn_branch *branch = txn_find(&entry->txn, plan->number);
    bool is_open = entry->txn.state == TXN_TRYING && txn_try_is_open(branch);
    if (!txn_mode_is_routed(plan->mode))
        answer_entry(r, entry, NULL);
    else if (is_open)
        wait_for(r, entry, WAITER_TRY)->branch = plan->number;
    else
        tell_try(r->c, r->caller, r->id, entry, branch);
}

static void enlist_in_entry(struct request *r, const Tercet__V1__Branch *branch,
                            struct branch_plan *plan)
{
    struct entry *entry = r->found.entry;
    const struct txn_branch *known = txn_find(&entry->txn, plan->number);
    bool is_new = entry->txn.state == TXN_TRYING && known == NULL;
    struct shard *shard = entry->shard;
    struct refusal no;
    if (known != NULL)
        plan_match(plan, branch, known->digest);
    int rc = is_new ? headroom_take(&shard->headroom,
                                    store_room_of(shard->store, plan->payload.size), &no)
                    : 0;
    if (rc == 0)
        rc = step_refusal(entry, step_enlist(r->c, entry, plan), &no);
    if (rc == TERCET_EXISTS)
        differ_branch(&r->found, plan, &no);
    if (rc != 0)
        answer_entry(r, entry, &no);
    else
        answer_enlisted(r, entry, plan);
}

static void enlist(struct request *r, const char *gid, const Tercet__V1__Branch *branch,
                   const Tercet__V1__BeginRequest *to_begin, enum txn_mode mode)
{
    struct branch_plan plan;
    struct refusal no;
    int rc = plan_check_branch(branch, &no);
    if (rc != 0) {
        refuse(r, &no);
        return;
    }
    rc = find_or_begin(r, gid, to_begin, &no);
    if (rc == 0)
        rc = plan_branch(r->c, caller_initiator(r->caller), branch, branch->number, mode, &plan,
                         &no);
    if (rc != 0)
        answer_found(r, &no);
    else if (r->found.entry != NULL)
        enlist_in_entry(r, branch, &plan);
    else
        enlist_in_resolved(r, branch, &plan);
    if (rc == 0)
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
    const uint64_t begun = r->c->totals.begun;
    struct refusal no;
    if (!takes_wait(r, run->wait))
        return;
    int rc = plan_run(r->c, caller_initiator(r->caller), run, scope_name(r->caller->rights.begins),
                      &r->found, &no);
    adopt_trace(r, begun);
    answer_found_when(r, rc != 0 ? &no : NULL, run->wait);
}

/* -- Decisions --------------------------------------------------------------------------------- */

/* A decision that was asked for of a transaction that is over: refused when it went the other way.
 */
static int check_decision(const struct found *found, bool is_confirm, struct refusal *no)
{
    bool is_confirmed = found->resolved->state->state == TXN_CONFIRMED;
    return is_confirmed == is_confirm ? 0 : find_decided_otherwise(found, no);
}

/* A try that is called again, and may have been told as done before the restart. */
static bool may_have_been_tried(const struct entry *entry)
{
    for (size_t i = 0; entry->was_restored && i < entry->txn.branch_count; i++) {
        const struct txn_branch *branch = &entry->txn.branches[i];
        if (txn_try_is_open(branch) && branch->next_ms != TXN_NEVER &&
            branch->sent == TXN_SENT_MAYBE)
            return true;
    }
    return false;
}

/* With force, what is not known to be done is cancelled. */
static bool cancels_unknown(const struct entry *entry, bool is_forced)
{
    return is_forced && entry->txn.state == TXN_TRYING && entry->txn.options.keeps_on_refusal;
}

static void wait_to_confirm(struct request *r, struct entry *entry, int wait, bool is_forced)
{
    struct waiter *waiter = wait_for(r, entry, WAITER_CONFIRM);
    waiter->wait = wait;
    waiter->is_forced = is_forced;
}

/* That a try is done is written lazily. After a restart the initiator may know of tries that the
 * coordinator is only asking for again: its confirm waits for them, for what was known once must
 * not be unknown to those who were told (S10). */
static void confirm_entry(struct request *r, struct entry *entry, int wait, bool is_forced)
{
    struct txn_event event = {
        .kind = TXN_CONFIRM, .cause = TXN_CAUSE_INITIATOR, .is_forced = is_forced};
    struct refusal no;
    bool may_wait = may_have_been_tried(entry);
    int rc = TERCET_NOT_READY;
    if (!may_wait || !cancels_unknown(entry, is_forced))
        rc = step_refusal(entry, step_event(r->c, entry, event), &no);
    if (rc == TERCET_NOT_READY && may_wait)
        wait_to_confirm(r, entry, wait, is_forced);
    else if (rc == 0)
        answer_when(r, entry, (Tercet__V1__Wait)wait);
    else
        answer_entry(r, entry, &no);
}

bool request_confirm_ready(struct coordinator *c)
{
    struct waiter *waiter;
    bool had_any = false;
    while ((waiter = waiter_take_ready(&c->waiting)) != NULL) {
        struct request r = {.c = c, .caller = waiter->caller, .id = waiter->id};
        confirm_entry(&r, waiter->entry, waiter->wait, waiter->is_forced);
        waiter_free(c, waiter);
        had_any = true;
    }
    return had_any;
}

void request_confirm(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__ConfirmRequest *confirm = (const Tercet__V1__ConfirmRequest *)message;
    struct refusal no;
    if (!takes_wait(r, confirm->wait))
        return;
    int rc = find_check(&r->found, &no);
    if (rc == 0 && r->found.resolved != NULL)
        rc = check_decision(&r->found, true, &no);
    if (rc == 0 && r->found.entry != NULL)
        confirm_entry(r, r->found.entry, (int)confirm->wait, confirm->force);
    else
        answer_found(r, rc != 0 ? &no : NULL);
}

static int cancel_entry(struct request *r, struct entry *entry, const char *words,
                        struct refusal *no)
{
    struct txn_event event = {.kind = TXN_CANCEL, .cause = TXN_CAUSE_INITIATOR};
    char reason[TERCET_TEXT_MAX];
    copy_text(reason, words);
    step_keep_reason(entry, reason);
    return step_refusal(entry, step_event(r->c, entry, event), no);
}

void request_cancel(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__CancelRequest *cancel = (const Tercet__V1__CancelRequest *)message;
    struct refusal no;
    if (!takes_wait(r, cancel->wait))
        return;
    int rc = find_check(&r->found, &no);
    if (rc == 0 && r->found.resolved != NULL)
        rc = check_decision(&r->found, false, &no);
    if (rc == 0 && r->found.entry != NULL)
        rc = cancel_entry(r, r->found.entry, cancel->reason, &no);
    answer_found_when(r, rc != 0 ? &no : NULL, cancel->wait);
}

/* -- Looking on -------------------------------------------------------------------------------- */

static void await(struct request *r, Tercet__V1__Wait wait, uint32_t timeout_ms)
{
    struct refusal no;
    int rc = find_check(&r->found, &no);
    struct waiter *waiter = answer_found_when(r, rc != 0 ? &no : NULL, wait);
    if (waiter == NULL)
        return;
    waiter_set_await(r->c, waiter, timeout_ms > 0 ? r->c->clock.now_ms + timeout_ms : INT64_MAX);
}

/* As it stands, with what is of use to those who look at it. */
static void tell_in_full(struct request *r, struct entry *entry, bool has_history)
{
    struct arena *scratch = &r->c->scratch;
    Tercet__V1__Transaction *snapshot = snapshot_of_entry(r->c, scratch, entry);
    struct reply reply = {.message = &snapshot->base};
    snapshot_add_obstacles(r->c, scratch, snapshot, entry);
    if (has_history)
        snapshot_add_history(scratch, snapshot, entry);
    effect_answer(r->c, r->caller, r->id, &reply, entry);
}

void request_get(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__GetRequest *request = (const Tercet__V1__GetRequest *)message;
    struct refusal no;
    if (r->found.entry != NULL && find_check(&r->found, &no) == 0)
        tell_in_full(r, r->found.entry, request->history);
    else
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
    struct refusal no;
    if (find_check(&r->found, &no) != 0)
        refuse(r, &no);
    else if (r->found.entry != NULL)
        watch_entry(r, r->found.entry);
    else
        watch_over(r, &r->found);
}
