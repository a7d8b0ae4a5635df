/* SPDX-License-Identifier: Apache-2.0
 *
 * What was promised. The checker mirrors what is durable, write by write, and looks at every call
 * and answer when it is sent and at every effect when it is committed. Invariants are called by
 * their names (INVARIANT_MAP). S14, that no clock breaks any of them, is what the other names say
 * in a run whose clocks jump, drift or stand still.
 */
#include "sim.h"

#include <listing.h>
#include <restore.h>

#include <record.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* a deadline runs from its turn, the record comes with a later commit */
#define DEADLINE_SLACK_MS 10

static struct gid_seen *seen_of(const char *gid)
{
    return &sim->seen[job_of(gid)];
}

/* -- Writes ------------------------------------------------------------------------------------ */

/* What is written as never sent was not, and is owed nothing. */
static void note_unsent(struct gid_seen *seen, const Tercet__Store__V1__State *state,
                        const Tercet__Store__V1__BranchState *branch)
{
    bool is_unsent = (branch->flags & RECORD_BRANCH_UNSENT) != 0;
    seen->branch[branch->number].is_unsent = is_unsent;
    if (is_unsent && seen->branch[branch->number].was_sent)
        violation("L2", "%s/%u is written as never sent in state %u, and its try has left",
                  state->gid, branch->number, state->state);
}

/* A confirmation that is for a part of the branches, those whose tries are done. */
static bool is_left_out(const Tercet__Store__V1__State *state,
                        const Tercet__Store__V1__BranchState *branch)
{
    return (state->flags & RECORD_FLAG_PARTIAL) != 0 &&
           promise_decision((int)state->state) == TXN_CONFIRMING &&
           branch->try_state != TXN_TRY_DONE && branch->try_state != TXN_TRY_OWN;
}

static void note_branches(struct gid_seen *seen, const Tercet__Store__V1__State *state)
{
    seen->branches = 0;
    seen->promise.left_out = 0;
    for (size_t i = 0; i < state->n_branches; i++) {
        const Tercet__Store__V1__BranchState *branch = state->branches[i];
        seen->branches |= UINT64_C(1) << branch->number;
        seen->branch[branch->number].is_settled |= (branch->flags & RECORD_BRANCH_SETTLED) != 0;
        note_unsent(seen, state, branch);
        if (is_left_out(state, branch))
            seen->promise.left_out |= 1u << branch->number;
    }
}

/* Only where the initiator judges failures itself is a branch left out: one that has refused or was
 * never sent, or any that is not done when it says so. */
static void check_left_out_branch(const struct gid_seen *seen, const struct job *job,
                                  const Tercet__Store__V1__State *state,
                                  const Tercet__Store__V1__BranchState *branch)
{
    bool is_known = branch->try_state == TXN_TRY_REFUSED || seen->branch[branch->number].is_unsent;
    if (seen->branch[branch->number].is_told)
        violation("S10", "%s is confirmed without branch %u, whose try was told as done",
                  state->gid, branch->number);
    if (!job->keeps || job->kind == JOB_RUN || (!job->is_rogue && !is_known))
        violation("S4", "%s is confirmed without branch %u, whose try is %u", state->gid,
                  branch->number, branch->try_state);
}

/* Where the coordinator called the tries itself, a confirmation says that all of them are done. */
static void check_confirmation(const struct gid_seen *seen, const struct job *job,
                               const Tercet__Store__V1__State *state)
{
    for (size_t i = 0; i < state->n_branches; i++) {
        const Tercet__Store__V1__BranchState *branch = state->branches[i];
        bool vouches = job->kind == JOB_OWN || job->is_rogue;
        if (is_left_out(state, branch))
            check_left_out_branch(seen, job, state, branch);
        else if (branch->try_state == TXN_TRY_REFUSED || seen->branch[branch->number].is_unsent)
            violation("S4", "%s is confirmed with branch %u, which was not tried", state->gid,
                      branch->number);
        else if (!vouches && seen->promise.effects[branch->number].tries == 0)
            violation("S4", "%s is confirmed, and branch %u is not tried", state->gid,
                      branch->number);
    }
}

/* Neither a jump of the wall clock nor a restart makes a deadline come before its time, but for a
 * grace after a restart. */
static void check_deadline(const char *gid, const struct gid_seen *seen, const struct job *job)
{
    int64_t least_ms = job->deadline_ms < RESTART_GRACE_MS ? job->deadline_ms : RESTART_GRACE_MS;
    int64_t passed_ms = (sim->now_us - seen->asked_us) * (100 + sim->faults.skew) / 100 / 1000;
    if (passed_ms + DEADLINE_SLACK_MS < least_ms)
        violation("S4", "%s is cancelled by its deadline of %u ms after %d ms", gid,
                  job->deadline_ms, (int)passed_ms);
}

static void check_decision(const struct gid_seen *seen, const Tercet__Store__V1__State *state)
{
    const struct job *job = &sim->jobs[job_of(state->gid)];
    if (promise_decision(seen->state) == TXN_CONFIRMING)
        check_confirmation(seen, job, state);
    else if (state->cause == TXN_CAUSE_DEADLINE)
        check_deadline(state->gid, seen, job);
}

static void state_is_written(uint64_t number, const Tercet__Store__V1__State *state,
                             bool is_resolved)
{
    struct gid_seen *seen = seen_of(state->gid);
    int decision = promise_decision(seen->state);
    uint64_t branches = seen->branches;
    uint32_t left_out = seen->promise.left_out;
    if (seen->number != 0 && seen->number != number)
        violation("S11", "%s has number %llu and begins again", state->gid,
                  (unsigned long long)seen->number);
    if (seen->is_resolved && !is_resolved)
        violation("S11", "%s has ended and is open again", state->gid);
    if (promise_rank((int)state->state) < promise_rank(seen->state))
        violation("S10", "%s goes from state %d to %u in the store", state->gid, seen->state,
                  state->state);
    if (decision != 0 && promise_decision((int)state->state) != decision)
        violation("S2", "%s was decided %d in the store, now %u", state->gid, decision,
                  state->state);
    seen->number = number;
    seen->state = (int)state->state;
    seen->is_resolved = is_resolved;
    note_branches(seen, state);
    if (decision != 0 && seen->branches != branches)
        violation("S9", "%s: its branches change after the decision", state->gid);
    if (decision != 0 && seen->promise.left_out != left_out)
        violation("S2", "%s: what its confirmation leaves out has changed", state->gid);
    if (decision == 0 && promise_decision(seen->state) != 0)
        check_decision(seen, state);
    trace("durable: %s state %u%s", state->gid, state->state, is_resolved ? ", over" : "");
}

static void op_is_applied(const struct tercet_store_op *op)
{
    if (op->kind == TERCET_STORE_PUT && op->part == 0) {
        ProtobufCMessage *state = record_decode(RECORD_STATE, op->value, op->size);
        state_is_written(op->number, (const Tercet__Store__V1__State *)state, false);
        crpc_message_free(state);
    } else if (op->kind == TERCET_STORE_RESOLVE) {
        ProtobufCMessage *resolved = record_decode(RECORD_RESOLVED, op->value, op->size);
        state_is_written(op->number, ((const Tercet__Store__V1__Resolved *)resolved)->state, true);
        crpc_message_free(resolved);
    }
}

/* Branch records carry a number only: they belong to the gid that the state of the same batch, or
 * an older one, names. */
static void branch_is_written(const struct tercet_store_op *op)
{
    for (int job = 0; job < sim->job_count; job++)
        if (sim->seen[job].number == op->number)
            sim->seen[job].branch[op->part].is_durable = true;
}

void check_commit(const struct tercet_store_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++)
        op_is_applied(&ops[i]);
    for (size_t i = 0; i < count; i++)
        if (ops[i].kind == TERCET_STORE_PUT && ops[i].part > 0)
            branch_is_written(&ops[i]);
    for (int job = 0; job < sim->job_count; job++)
        for (uint32_t b = 1; b <= BRANCHES_SIM; b++)
            if ((sim->seen[job].branches >> b & 1) && !sim->seen[job].branch[b].is_durable)
                violation("S8", "%s/%u is in the state and has no record", gid_of(job), b);
}

void check_restored(const struct coordinator *c)
{
    size_t open = 0;
    for (int job = 0; job < sim->job_count; job++) {
        const struct gid_seen *seen = &sim->seen[job];
        const struct entry *entry = table_find(&c->shards->table, gid_of(job));
        open += seen->number != 0 && !seen->is_resolved;
        if (seen->number == 0 || seen->is_resolved)
            continue;
        if (entry == NULL || entry->number != seen->number || entry->txn.state != seen->state)
            violation("S12", "%s is not as it was written after a restart", gid_of(job));
    }
    if (open != c->shards->table.count)
        violation("S11", "%zu transactions after a restart, %zu were open", c->shards->table.count,
                  open);
}

/* A page of a list begins where looking at every transaction in turn would find that it begins. */
static void check_page(struct coordinator *c)
{
    const struct entry *expected = c->shards->table.oldest;
    uint64_t first = expected != NULL ? expected->number - 1 : 0;
    uint64_t number = first + (uint64_t)sim->now_us % (c->shards->next_number - first + 1);
    while (expected != NULL && expected->number <= number)
        expected = expected->newer;
    if (listing_entry_after(c, c->shards, number) != expected)
        violation("counts", "the page behind number %llu does not begin with the next transaction",
                  (unsigned long long)number);
}

/* What operators are told of all transactions together is counted as they change, and must be what
 * counting them would give. */
static void check_waiters(const struct entry *entry)
{
    size_t count = 0;
    for (const struct waiter *waiter = entry->waiters; waiter != NULL; waiter = waiter->next)
        count++;
    if (count != entry->waiter_count)
        violation("counts", "%zu wait for %s, %u are counted", count, entry->gid,
                  entry->waiter_count);
}

void check_counts(struct coordinator *c)
{
    check_page(c);
    struct table_counts counts = {.parked_branches = 0};
    for (const struct entry *entry = c->shards->table.oldest; entry != NULL; entry = entry->newer) {
        counts.in_state[entry->txn.state]++;
        check_waiters(entry);
        for (size_t i = 0; i < entry->txn.branch_count; i++)
            counts.parked_branches += entry->txn.branches[i].is_parked;
    }
    for (unsigned state = TXN_TRYING; state <= TXN_CANCELLED; state++)
        if (counts.in_state[state] != c->shards->table.counts.in_state[state])
            violation("counts", "%zu transactions are in state %u, %zu are counted",
                      counts.in_state[state], state, c->shards->table.counts.in_state[state]);
    if (counts.parked_branches != c->shards->table.counts.parked_branches)
        violation("counts", "%zu branches are parked, %zu are counted", counts.parked_branches,
                  c->shards->table.counts.parked_branches);
}

/* What the hooks answer: a reply that was lost would be another, or empty. */
static void check_reply(const char *gid, uint32_t branch, const ProtobufCBinaryData *reply)
{
    char wanted[80];
    int size = snprintf(wanted, sizeof(wanted), "%s/%u", gid, branch);
    if (reply->len != (size_t)size || memcmp(reply->data, wanted, (size_t)size) != 0)
        violation("S12", "%s/%u: the try's reply is not the hook's", gid, branch);
}

/* -- Calls and answers ------------------------------------------------------------------------- */

static void check_mark(uint64_t low_water)
{
    for (int job = 0; job < sim->job_count; job++) {
        const struct gid_seen *seen = &sim->seen[job];
        if (seen->number != 0 && !seen->is_resolved && seen->number <= low_water)
            violation("S7", "a call's mark has passed %s, which is open", gid_of(job));
    }
}

/* Whether the durable decision asks this of the branch. op: c confirm; x, e cancel. */
static bool is_meant(const struct gid_seen *seen, uint32_t branch, char op)
{
    bool is_left_out_now = (seen->promise.left_out >> branch & 1) != 0;
    int decision = promise_decision(seen->state);
    if (op == 'c')
        return decision == TXN_CONFIRMING && !is_left_out_now;
    return decision == TXN_CANCELLING || (decision == TXN_CONFIRMING && is_left_out_now);
}

void check_call_sent(const Tercet__V1__Call *call)
{
    struct gid_seen *seen = seen_of(call->gid);
    struct branch_seen *branch = &seen->branch[call->branch];
    char op = call->kind == TERCET__V1__KIND__CONFIRM ? 'c' : 'x';
    sim->totals->calls++;
    trace("call %s/%u %s, attempt %u", call->gid, call->branch, tercet_kind_name((int)call->kind),
          call->attempt);
    if (!branch->is_durable)
        violation("S8", "%s/%u is called and not durable", call->gid, call->branch);
    if (branch->is_unsent)
        violation("S8", "%s/%u is called, and durable is that it never was", call->gid,
                  call->branch);
    branch->was_sent |= call->kind == TERCET__V1__KIND__TRY;
    struct crpc_bytes payload = payload_of(job_of(call->gid), (int)call->branch);
    if (call->payload.len != payload.size ||
        (payload.size > 0 && memcmp(call->payload.data, payload.data, payload.size) != 0))
        violation("S12", "%s/%u is called with another payload than was enlisted", call->gid,
                  call->branch);
    if (seen->number != call->number)
        violation("S12", "%s is called by another number than its durable one", call->gid);
    check_mark(call->low_water);
    if (call->kind == TERCET__V1__KIND__TRY)
        return;
    if (!is_meant(seen, call->branch, op))
        violation("S3", "%s/%u: %s is sent, durable is state %d", call->gid, call->branch,
                  tercet_kind_name((int)call->kind), seen->state);
    promise_show(&seen->promise, call->gid, promise_decision(seen->state));
}

static void check_state_sent(struct gid_seen *seen, const char *gid, int state)
{
    if (promise_rank(state) > promise_rank(seen->state) ||
        (promise_decision(state) != 0 && promise_decision(state) != promise_decision(seen->state)))
        violation("S12", "%s is told as %d, durable is %d", gid, state, seen->state);
    promise_show(&seen->promise, gid, promise_decision(state));
}

void check_answer_sent(int method, int job, const Tercet__V1__Transaction *answer)
{
    struct gid_seen *seen = &sim->seen[job];
    trace("answer to method %d: %s state %d", method, answer->gid, (int)answer->state);
    if (job != job_of(answer->gid))
        violation("harness", "an answer about %s where %s was asked for", answer->gid, gid_of(job));
    if (seen->number != answer->number)
        violation("S12", "%s is told with number %llu, durable is %llu", answer->gid,
                  (unsigned long long)answer->number, (unsigned long long)seen->number);
    check_state_sent(seen, answer->gid, (int)answer->state);
    for (size_t i = 0; i < answer->n_branches; i++)
        if (!seen->branch[answer->branches[i]->number].is_durable)
            violation("S8", "%s/%u is told and not durable", answer->gid,
                      answer->branches[i]->number);
    if (method == METHOD_LIST || promise_decision((int)answer->state) != TXN_CONFIRMING)
        return;
    for (size_t i = 0; i < answer->n_branches; i++)
        if (answer->branches[i]->try_state == TERCET__V1__TRY_STATE__TRY_DONE)
            check_reply(answer->gid, answer->branches[i]->number, &answer->branches[i]->reply);
}

void check_list_asked(uint64_t id)
{
    sim->last_list = id;
    for (int job = 0; job < sim->job_count; job++)
        sim->seen[job].listed_floor = sim->seen[job].promise.floor;
}

/* Who is not told of a transaction believes that it is not in that state. It may be left out when
 * it came into the state after the list was asked for: what was told of before is there. */
void check_left_out(uint64_t id, const Tercet__V1__ListResponse *list)
{
    int state = (int)(id & ((1u << LIST_BITS) - 1));
    if (id != sim->last_list || state == LIST_RESOLVED || list->next_page_token[0] != '\0')
        return;
    for (int job = 0; job < sim->job_count; job++) {
        const struct gid_seen *seen = &sim->seen[job];
        bool is_missed = seen->state != 0 && !seen->is_resolved &&
                         seen->listed_floor >= promise_rank(seen->state) &&
                         (state == LIST_ANY || seen->state == state);
        for (size_t i = 0; is_missed && i < list->n_transactions; i++)
            is_missed = job_of(list->transactions[i]->gid) != job;
        if (is_missed)
            violation("S10", "%s is left out of a list by state %d, durable is state %d",
                      gid_of(job), state, seen->state);
    }
}

void check_tried_sent(int job, const Tercet__V1__TryResponse *answer)
{
    struct gid_seen *seen = &sim->seen[job];
    trace("answer: %s/%u try %d, state %d", gid_of(job), answer->branch, (int)answer->outcome,
          (int)answer->state);
    check_state_sent(seen, gid_of(job), (int)answer->state);
    if (answer->outcome != TERCET__V1__TRY_STATE__TRY_DONE)
        return;
    if (seen->promise.effects[answer->branch].tries == 0)
        violation("S12", "%s/%u is told as tried, and is not", gid_of(job), answer->branch);
    check_reply(gid_of(job), answer->branch, &answer->reply);
}

/* Who decides against what is decided is told so. */
void check_decided(int job, bool is_confirm, int state)
{
    if (promise_decision(state) != (is_confirm ? TXN_CONFIRMING : TXN_CANCELLING))
        violation("S4", "%s: an operator's %s is answered with OK and state %d", gid_of(job),
                  is_confirm ? "confirm" : "cancel", state);
}

/* `floor` is the highest rank that anybody had received when this was asked for. */
void check_answer_received(int floor, int job, int state)
{
    struct gid_seen *seen = &sim->seen[job];
    if (promise_rank(state) < floor)
        violation("S10", "%s is told as %d to somebody who knew more", gid_of(job), state);
    if (promise_rank(state) > seen->promise.floor)
        seen->promise.floor = promise_rank(state);
}

/* -- Effects ----------------------------------------------------------------------------------- */

void check_effect(int service, int job, uint32_t b, char op)
{
    struct gid_seen *seen = &sim->seen[job];
    const struct branch_seen *branch = &seen->branch[b];
    const char *gid = gid_of(job);
    trace("%s: effect %c of %s/%u", service_name(service), op, gid, b);
    /* whoever settled it by hand answers for what comes later */
    if (sim->is_outlived && !branch->is_settled)
        violation("S11", "%s/%u: effect %c of a message that came after the retention time", gid, b,
                  op);
    if (op == 't' && !branch->is_durable)
        violation("S8", "%s/%u is tried and not durable", gid, b);
    if (op != 't' && !is_meant(seen, b, op))
        violation("S3", "%s/%u: effect %c, durable is state %d", gid, b, op, seen->state);
    promise_effect(&seen->promise, gid, b, op);
}

/* -- The end ----------------------------------------------------------------------------------- */

void check_rest(void)
{
    for (int job = 0; job < sim->job_count; job++) {
        const struct gid_seen *seen = &sim->seen[job];
        struct store_value value;
        uint64_t number = 0;
        if (seen->number == 0)
            continue;
        if (!seen->is_resolved)
            violation("L1", "%s has not ended", gid_of(job));
        if (store_find_wait(sim->store, 0, gid_of(job), &number, &value) != 0 ||
            number != seen->number)
            violation("S11", "%s has ended and is not in the store", gid_of(job));
        else
            store_value_free(&value);
        for (uint32_t b = 1; b <= BRANCHES_SIM; b++)
            if ((seen->branches >> b & 1) && !seen->branch[b].is_settled)
                promise_rest(&seen->promise, gid_of(job), b, seen->state);
    }
}

void check_dropped(void)
{
    for (int job = 0; job < sim->job_count; job++) {
        struct store_value value;
        uint64_t number = 0;
        if (store_find_wait(sim->store, 0, gid_of(job), &number, &value) != 0)
            continue;
        violation("S11", "%s is kept after the retention time", gid_of(job));
        store_value_free(&value);
    }
}
