/* SPDX-License-Identifier: Apache-2.0
 *
 * step.h
 */
#include "step.h"

#include "coordinator.h"
#include "effect.h"
#include "failpoint.h"
#include "outcall.h"
#include "trace.h"
#include "why.h"

#include <assert.h>

/* -- Actions ----------------------------------------------------------------------------------- */

/* One log line for each, within a limit per second; the rest is counted. */
static void tell_parked(struct coordinator *c, const struct entry *entry, uint32_t number)
{
    const struct txn_branch *branch = txn_find(&entry->txn, number);
    const struct branch_info *info = entry_info(entry, branch);
    if (!alarm_is_told(&c->parked_alarm, c->clock.now_ms))
        return;
    trace_log(c, entry, TERCET_LOG_WARNING,
              "parked: transaction %s branch %u (%s/%s), %s, after %u failures: %s", entry->gid,
              number, info->service->name, info->action, tercet_state_name(entry->txn.state),
              branch->attempts,
              history_failures(info->history, TERCET_CONFIRM) > 0
                  ? history_error(info->history, TERCET_CONFIRM)
                  : "no answer");
}

/* Keeps and logs why a transaction was cancelled that nobody asked to cancel. */
static void explain_cancellation(struct coordinator *c, struct entry *entry)
{
    char text[TERCET_TEXT_MAX];
    if (entry->txn.cause != TXN_CAUSE_DEADLINE && entry->txn.cause != TXN_CAUSE_TRY_UNKNOWN)
        return;
    for (size_t i = 0; i < entry->txn.branch_count; i++)
        if (txn_try_is_open(&entry->txn.branches[i]))
            why_note_unknown(c, entry, &entry->txn.branches[i]);
    if (entry->reason == NULL) {
        why_cancelled(text, entry);
        entry->reason = must_strdup(text);
    }
    if (alarm_is_told(&c->cancelled_alarm, c->clock.now_ms))
        trace_log(c, entry, TERCET_LOG_INFO, "cancelled: transaction %s, %s: %s", entry->gid,
                  tercet_cause_text(entry->txn.cause), entry->reason);
}

static void tried(struct coordinator *c, struct entry *entry, uint32_t number)
{
    const struct txn_branch *branch = txn_find(&entry->txn, number);
    if (branch->try_state == TXN_TRY_UNKNOWN)
        why_note_unknown(c, entry, branch);
    waiter_tried(c, entry, number);
}

static enum meter_end end_of(const struct entry *entry)
{
    return entry->txn.state == TXN_CONFIRMING || entry->txn.state == TXN_CONFIRMED
               ? METER_CONFIRMED
               : METER_CANCELLED;
}

static void decided(struct coordinator *c, struct entry *entry)
{
    entry->decided_ms = c->clock.wall_ms;
    explain_cancellation(c, entry); /* looks at calls that are withdrawn then */
    outcall_withdraw(c, entry);
    if (end_of(entry) == METER_CONFIRMED)
        c->totals.confirmed++;
    else
        c->totals.cancelled++;
    meter_decided(&c->meter, end_of(entry), entry->txn.cause,
                  entry->decided_ms - entry->created_ms);
    waiter_decided(c, entry);
}

static void resolved(struct coordinator *c, struct entry *entry)
{
    entry->resolved_ms = c->clock.wall_ms;
    meter_resolved(&c->meter, end_of(entry), entry->resolved_ms - entry->created_ms);
    waiter_resolved(c, entry);
}

static void carry_out(struct coordinator *c, struct entry *entry, const struct txn_action *action)
{
    switch (action->kind) {
    case TXN_PERSIST:
        batch_force(entry);
        break;
    case TXN_MARK:
        batch_lazy(entry);
        break;
    case TXN_CALL_TRY:
        effect_call(c, entry, action->number, TERCET_TRY, action->attempt);
        break;
    case TXN_CALL_CONFIRM:
        effect_call(c, entry, action->number, TERCET_CONFIRM, action->attempt);
        break;
    case TXN_CALL_CANCEL:
        effect_call(c, entry, action->number, TERCET_CANCEL, action->attempt);
        break;
    case TXN_TRIED:
        tried(c, entry, action->number);
        break;
    case TXN_DECIDED:
        decided(c, entry);
        break;
    case TXN_PARKED:
        c->meter.parkings++;
        tell_parked(c, entry, action->number);
        break;
    case TXN_RESOLVED:
        resolved(c, entry);
        break;
    }
}

static void carry_out_all(struct coordinator *c, struct entry *entry,
                          const struct txn_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++)
        carry_out(c, entry, &actions->items[i]);
}

/* -- Events ------------------------------------------------------------------------------------ */

/* One step of the core; the actions are in the scratch arena. */
static int step(struct coordinator *c, struct entry *entry, struct txn_event event,
                struct txn_actions *actions)
{
    struct table *table = &entry->shard->table;
    assert(!entry->is_cold);
    actions->count = 0;
    actions->capacity = 2u * (entry->txn.branch_count + 2u) + 8u;
    actions->items = arena_alloc(&c->scratch, actions->capacity * sizeof(*actions->items));
    event.now_ms = c->clock.now_ms;
    int rc = txn_step(&entry->txn, &event, actions);
    table_set_wake(table, entry, txn_wake_ms(&entry->txn));
    table_recount(table, entry);
    return rc;
}

int step_event(struct coordinator *c, struct entry *entry, struct txn_event event)
{
    struct txn_actions actions;
    int rc = step(c, entry, event, &actions);
    carry_out_all(c, entry, &actions);
    return rc;
}

/* What the coordinator keeps of a branch that the core has just taken. */
static void keep_branch(struct entry *entry, const struct branch_plan *plan)
{
    struct branch_info *info = entry_insert_info(entry, plan->number);
    info->service = plan->service;
    info->service->branch_count++;
    info->action = must_strdup(plan->action);
    info->try_timeout_ms = (uint32_t)plan->try_timeout_ms;
    info->timeouts = plan->timeouts;
    info->enlisted_ms = entry->shard->clock->wall_ms;
    entry_keep_payload(&entry->shard->table, info, plan->payload.data, plan->payload.size);
    batch_put_branch(entry, txn_find(&entry->txn, plan->number));
    FAILPOINT("enlist");
}

int step_enlist(struct coordinator *c, struct entry *entry, const struct branch_plan *plan)
{
    struct txn_actions actions;
    struct txn_event event = {.kind = TXN_ENLIST,
                              .number = plan->number,
                              .digest = plan->digest,
                              .mode = plan->mode,
                              .is_held = !service_is_served(plan->service) ||
                                         service_is_sharded(plan->service),
                              .try_timeout_ms = plan->try_timeout_ms};
    size_t count = entry->txn.branch_count;
    entry_reserve_branch(entry);
    int rc = step(c, entry, event, &actions);
    if (entry->txn.branch_count > count)
        keep_branch(entry, plan);
    carry_out_all(c, entry, &actions);
    return rc;
}

void step_forget(struct coordinator *c, struct entry *entry)
{
    outcall_forget(c, entry);
    waiter_forget(c, entry);
    table_remove(&entry->shard->table, entry);
}

void step_keep_reason(struct entry *entry, const char *reason)
{
    if (entry->txn.state == TXN_TRYING && entry->reason == NULL && reason[0] != '\0')
        entry->reason = must_strdup(reason);
}

/* The branch for whose sake a confirm was refused: what not even force confirms goes first. */
static int not_ready(const struct entry *entry, struct refusal *no)
{
    const struct txn_branch *branch = txn_unready(&entry->txn, true);
    if (branch == NULL)
        branch = txn_unready(&entry->txn, false);
    if (branch == NULL)
        return refusal_set_plain(no, TERCET_NOT_READY);
    const struct branch_info *info = entry_info(entry, branch);
    const char *error = history_error(info->history, TERCET_TRY);
    refusal_set(no, TERCET_NOT_READY,
                "a try is not known to be done: branch %u, %s/%s, %s%u failed calls%s%s",
                branch->number, info->service->name, info->action,
                branch->try_state == TXN_TRY_REFUSED ? "has refused, "
                : branch->sent != TXN_SENT_MAYBE     ? "was never sent to anybody, "
                                                     : "",
                branch->attempts, error[0] != '\0' ? ", last: " : "", error);
    no->branch = branch->number;
    return no->code;
}

int step_refusal(const struct entry *entry, int txn_result, struct refusal *no)
{
    switch (txn_result) {
    case 0:
        return 0;
    case TXN_EXISTS:
        return refusal_set_plain(no, TERCET_EXISTS);
    case TXN_DECIDED_ALREADY:
        return refusal_set(no, TERCET_DECIDED, "the transaction has been decided already: %s, %s",
                           tercet_state_name(entry->txn.state),
                           tercet_cause_text(entry->txn.cause));
    case TXN_NOT_READY:
        return not_ready(entry, no);
    case TXN_NOT_PARKED:
        return refusal_set(no, TERCET_NOT_READY,
                           "only a parked branch is settled by hand, and this one is still called "
                           "by itself: to settle it all the same, say so (tercetctl settle --now)");
    case TXN_UNDECIDED:
        return refusal_set(no, TERCET_NOT_READY,
                           "the transaction is not decided yet: cancel it, and what was never sent "
                           "ends with that (tercetctl cancel)");
    case TXN_ENDED:
        return refusal_set(no, TERCET_NOT_READY, "the branch has ended: nothing is left to settle");
    case TXN_NO_BRANCH:
        return refusal_set(no, TERCET_NOT_FOUND, "the transaction has no branch with this number");
    case TXN_LIMIT:
        return refusal_set(no, TERCET_INVALID, "a transaction has at most %d branches",
                           TERCET_BRANCHES_MAX);
    default:
        return refusal_set_plain(no, TERCET_INVALID);
    }
}
