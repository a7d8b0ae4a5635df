/* SPDX-License-Identifier: Apache-2.0
 *
 * admin.h
 */
#include "admin.h"

#include "audit.h"
#include "coordinator.h"
#include "dispatch.h"
#include "outcall.h"
#include "plan.h"
#include "step.h"
#include "tell.h"
#include "trace.h"

#include <stdlib.h>
#include <string.h>

#define AUDIT_PAGE_MAX 1000
#define AUDIT_PAGE_DEFAULT 100

/* -- Settling ---------------------------------------------------------------------------------- */

/* The unresolved transaction, or NULL after having answered: a resolved one as it is, but one that
 * ended in the state `refused` (0: none) is told that it was decided otherwise. */
static struct entry *find_open(struct request *r, unsigned refused, const struct audit_act *act)
{
    const struct found *found = &r->found;
    struct refusal no;
    int rc = find_check(found, &no);
    if (rc == 0 && found->resolved != NULL && found->resolved->state->state == refused)
        rc = find_decided_otherwise(found, &no);
    if (rc != 0)
        answer_error(r->c, r->caller, r->id, &no);
    else if (found->resolved != NULL)
        tell_resolved(r->c, r->caller, r->id, found->number, found->resolved, NULL);
    if (found->entry == NULL)
        audit_note(r->c, r->caller, act, rc != 0 ? &no : NULL);
    return found->entry;
}

/* Answers with the step's result and the transaction as it now is. */
static int tell_step(struct request *r, struct entry *entry, int txn_result,
                     const struct audit_act *act)
{
    struct refusal no;
    int rc = step_refusal(entry, txn_result, &no);
    audit_note(r->c, r->caller, act, rc != 0 ? &no : NULL);
    tell_entry(r->c, r->caller, r->id, entry, rc != 0 ? &no : NULL);
    return rc;
}

void admin_retry(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__RetryRequest *request = (const Tercet__V1__RetryRequest *)message;
    struct txn_event event = {.kind = TXN_RETRY, .number = request->branch};
    const struct audit_act act = {
        .action = "retry", .gid = request->gid, .branch = request->branch};
    struct entry *entry = find_open(r, 0, &act);
    if (entry == NULL)
        return;
    tell_step(r, entry, step_event(r->c, entry, event), &act);
}

static bool will_settle(const struct txn_branch *branch, bool is_now)
{
    bool is_open = branch->end_state == TXN_END_WAITING || branch->end_state == TXN_END_CALLING;
    return branch->is_parked || (is_open && is_now);
}

/* The branch's reason: the operator's reason for settling it, and what was known of the branch
 * before. */
static void keep_settlement(struct coordinator *c, struct entry *entry,
                            const Tercet__V1__SettleRequest *request, const char *reason)
{
    const struct txn_branch *branch = txn_find(&entry->txn, request->branch);
    if (branch == NULL || !will_settle(branch, request->now))
        return;
    struct branch_info *info = entry_info(entry, branch);
    free(info->reason);
    info->reason = must_strdup(reason);
    trace_log(c, entry, TERCET_LOG_WARNING,
              "settled by an operator%s: transaction %s branch %u (%s/%s), %s, after %u "
              "failures: %s",
              branch->is_parked ? "" : ", not parked", entry->gid, branch->number,
              info->service->name, info->action, tercet_state_name(entry->txn.state),
              branch->attempts, reason);
}

void admin_settle(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__SettleRequest *request = (const Tercet__V1__SettleRequest *)message;
    struct txn_event event = {
        .kind = TXN_SETTLE, .number = request->branch, .is_forced = request->now};
    const struct audit_act act = {.action = request->now ? "settle --now" : "settle",
                                  .gid = request->gid,
                                  .branch = request->branch,
                                  .reason = request->reason};
    char reason[TERCET_TEXT_MAX];
    copy_text(reason, request->reason);
    if (reason[0] == '\0') {
        request_refuse(r, TERCET_INVALID, "say why: the reason is kept with the transaction");
        return;
    }
    struct entry *entry = find_open(r, 0, &act);
    if (entry == NULL)
        return;
    keep_settlement(r->c, entry, request, reason);
    int rc = step_event(r->c, entry, event);
    outcall_withdraw(r->c, entry);
    tell_step(r, entry, rc, &act);
}

void admin_decide(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__DecideRequest *request = (const Tercet__V1__DecideRequest *)message;
    struct txn_event event = {.kind = request->confirm ? TXN_CONFIRM : TXN_CANCEL,
                              .cause = TXN_CAUSE_OPERATOR};
    const struct audit_act act = {.action = request->confirm ? "confirm" : "cancel",
                                  .gid = request->gid,
                                  .reason = request->reason};
    char reason[TERCET_TEXT_MAX];
    copy_text(reason, request->reason);
    struct entry *entry = find_open(r, request->confirm ? TXN_CANCELLED : TXN_CONFIRMED, &act);
    if (entry == NULL)
        return;
    if (!request->confirm)
        step_keep_reason(entry, reason);
    int rc = tell_step(r, entry, step_event(r->c, entry, event), &act);
    trace_log(r->c, entry, TERCET_LOG_WARNING,
              "%s asked by an operator for transaction %s (%s): %s",
              request->confirm ? "confirm" : "cancel", entry->gid,
              reason[0] != '\0' ? reason : "no reason given", tercet_strerror(rc));
}

/* -- The audit log ----------------------------------------------------------------------------- */

static Tercet__V1__AuditEntry *show_audit(struct arena *arena,
                                          const Tercet__Store__V1__Audit *entry)
{
    Tercet__V1__AuditEntry *out = arena_alloc(arena, sizeof(*out));
    tercet__v1__audit_entry__init(out);
    out->number = entry->number;
    out->at_ms = entry->at_ms;
    out->who = entry->who;
    out->says = entry->says;
    out->peer = entry->peer;
    out->action = entry->action;
    out->gid = entry->gid;
    out->branch = entry->branch;
    out->service = entry->service;
    out->reason = entry->reason;
    out->result = entry->result;
    return out;
}

/* The newest first. */
static void fill_audit(Tercet__V1__ListAuditResponse *out, struct request *r,
                       const Tercet__V1__ListAuditRequest *request, size_t limit)
{
    const struct audit *audit = &r->c->audit;
    out->entries = arena_alloc(&r->c->scratch, limit * sizeof(*out->entries));
    for (size_t i = audit->count; i-- > 0;) {
        if (!audit_is_wanted(audit->entries[i], request->before, request->gid))
            continue;
        if (out->n_entries == limit) {
            out->next_before = out->entries[limit - 1]->number;
            return;
        }
        out->entries[out->n_entries++] = show_audit(&r->c->scratch, audit->entries[i]);
    }
}

void admin_list_audit(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__ListAuditRequest *request = (const Tercet__V1__ListAuditRequest *)message;
    Tercet__V1__ListAuditResponse response = TERCET__V1__LIST_AUDIT_RESPONSE__INIT;
    const size_t limit = request->page_size == 0 ? AUDIT_PAGE_DEFAULT : request->page_size;
    if (limit > AUDIT_PAGE_MAX) {
        request_refuse(r, TERCET_INVALID, "a page has at most 1,000 entries (page_size)");
        return;
    }
    fill_audit(&response, r, request, limit);
    request_answer(r, &response.base);
}

/* -- Statistics -------------------------------------------------------------------------------- */

/* Adds the counts of one shard. */
static void add_shard(Tercet__V1__Statistics *out, const struct coordinator *c, struct shard *shard)
{
    const char *refuses = plan_refuses(c, shard);
    const struct table_counts *counts = &shard->table.counts;
    struct tercet_store_stats stats = {0};
    store_stats(shard->store, &stats);
    out->trying += counts->in_state[TXN_TRYING];
    out->confirming += counts->in_state[TXN_CONFIRMING];
    out->cancelling += counts->in_state[TXN_CANCELLING];
    out->parked_branches += counts->parked_branches;
    out->commits_total += stats.commits;
    out->store_bytes_used += stats.bytes_used;
    out->store_bytes_max += stats.bytes_max;
    out->disk_free_bytes = stats.disk_free_bytes;
    out->resolved_records += stats.resolved_records;
    out->low_water = shard_low_water(shard);
    out->accepting = out->accepting && refuses == NULL;
    if (refuses != NULL)
        out->accepting_text = (char *)refuses;
}

void admin_statistics(struct request *r, const ProtobufCMessage *message)
{
    Tercet__V1__Statistics out = TERCET__V1__STATISTICS__INIT;
    struct coordinator *c = r->c;
    (void)message;
    out.accepting = true;
    for (size_t i = 0; i < c->shard_count; i++)
        add_shard(&out, c, &c->shards[i]);
    out.confirmed_total = c->totals.confirmed;
    out.cancelled_total = c->totals.cancelled;
    out.begun_total = c->totals.begun;
    out.calls_total = c->outcalls.calls_total;
    out.version = (char *)TERCET_VERSION;
    out.started_ms = c->started_ms;
    out.source = coordinator_home(c)->source;
    request_answer(r, &out.base);
}
