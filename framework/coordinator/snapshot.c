/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot.h
 */
#include "snapshot.h"

#include "coordinator.h"
#include "record.h"
#include "why.h"

#include <string.h>

static char *join_action(struct arena *arena, const char *service, const char *action)
{
    char *text = arena_alloc(arena, strlen(service) + strlen(action) + 2);
    stpcpy(stpcpy(stpcpy(text, service), "/"), action);
    return text;
}

/* How long until the next attempt; 0: one is under way, or none will be made. */
static uint32_t next_attempt_ms(const struct coordinator *c, const struct txn_branch *branch)
{
    bool waits = branch->end_state == TXN_END_WAITING || branch->try_state == TXN_TRY_WAITING;
    if (!waits || branch->next_ms <= c->clock.now_ms || branch->next_ms == TXN_NEVER)
        return 0;
    return (uint32_t)(branch->next_ms - c->clock.now_ms);
}

/* By the wall clock, as all times that are told. */
static int64_t wall_ms_of(const struct coordinator *c, int64_t at_ms)
{
    return c->clock.wall_ms + (at_ms - c->clock.now_ms);
}

/* 0: its try is over, or its turn has not come. */
static int64_t try_until_ms(const struct coordinator *c, const struct txn *txn,
                            const struct txn_branch *branch)
{
    bool is_open = txn->state == TXN_TRYING && txn_try_is_open(branch);
    return is_open && branch->try_until_ms != TXN_NEVER ? wall_ms_of(c, branch->try_until_ms) : 0;
}

/* What cancels it, and when, if nothing happens before. */
static void fill_cancels(const struct coordinator *c, Tercet__V1__Transaction *out,
                         const struct txn *txn)
{
    if (txn->state != TXN_TRYING)
        return;
    int64_t at_ms = txn_cancels_ms(txn, &out->cancels_for);
    out->cancels_ms = out->cancels_for != 0 ? wall_ms_of(c, at_ms) : out->deadline_ms;
}

/* NULL when nothing has failed in the phase. */
static Tercet__V1__Failures *make_failures(struct arena *arena, const struct history_phase *phase)
{
    if (!history_has_news(phase))
        return NULL;
    Tercet__V1__Failures *out = arena_alloc(arena, sizeof(*out));
    tercet__v1__failures__init(out);
    HISTORY_FILL(out, phase);
    return out;
}

/* The last error of the current phase; when no call of it has failed and the try was never done,
 * that of the try. */
static char *last_error(const Tercet__V1__BranchStatus *out)
{
    bool is_tried = out->try_state == TERCET__V1__TRY_STATE__TRY_DONE;
    const Tercet__V1__Failures *tries = out->try_failures;
    const Tercet__V1__Failures *ends = out->end_failures;
    if (out->end_state != TERCET__V1__END_STATE__END_NONE && ends != NULL && ends->count > 0)
        return ends->last_error;
    if (tries != NULL && (!is_tried || out->end_state == TERCET__V1__END_STATE__END_NONE))
        return tries->last_error;
    return out->last_error;
}

static void fill_failures(struct arena *arena, Tercet__V1__BranchStatus *out,
                          const struct history *history)
{
    if (history == NULL)
        return;
    out->try_failures = make_failures(arena, &history->tries);
    out->end_failures = make_failures(arena, &history->ends);
    out->last_error = last_error(out);
}

static void fill_branch(struct coordinator *c, struct arena *arena, Tercet__V1__BranchStatus *out,
                        const struct txn *txn, const struct txn_branch *branch,
                        const struct branch_info *info)
{
    tercet__v1__branch_status__init(out);
    out->owed = (Tercet__V1__Owed)txn_owed(txn, branch);
    out->number = branch->number;
    out->action = join_action(arena, info->service->name, info->action);
    out->try_state = (Tercet__V1__TryState)branch->try_state;
    out->end_state = (Tercet__V1__EndState)branch->end_state;
    out->attempts = branch->attempts;
    out->parked = branch->is_parked;
    out->broken = branch->is_broken;
    out->settled = branch->is_settled;
    out->reply.data = info->reply;
    out->reply.len = info->reply_size;
    out->reason = info->reason != NULL ? info->reason : out->reason;
    out->next_attempt_ms = next_attempt_ms(c, branch);
    out->try_until_ms = try_until_ms(c, txn, branch);
    fill_failures(arena, out, info->history);
}

/* Adds `count` empty entries, and returns them. */
static Tercet__V1__Metadata *add_metadata(struct arena *arena, Tercet__V1__Transaction *out,
                                          size_t count)
{
    Tercet__V1__Metadata *items = arena_alloc(arena, count * sizeof(*items));
    out->metadata = arena_alloc(arena, count * sizeof(*out->metadata));
    out->n_metadata = count;
    for (size_t i = 0; i < count; i++) {
        tercet__v1__metadata__init(&items[i]);
        out->metadata[i] = &items[i];
    }
    return items;
}

static void fill_metadata(struct arena *arena, Tercet__V1__Transaction *out,
                          const struct entry *entry)
{
    if (entry->metadata_count == 0)
        return;
    Tercet__V1__Metadata *items = add_metadata(arena, out, entry->metadata_count);
    for (size_t i = 0; i < entry->metadata_count; i++) {
        items[i].key = (char *)(uintptr_t)entry->metadata[i].key;
        items[i].value = (char *)(uintptr_t)entry->metadata[i].value;
    }
}

static void fill_resolved_metadata(struct arena *arena, Tercet__V1__Transaction *out,
                                   const Tercet__Store__V1__State *state)
{
    if (state->n_metadata == 0)
        return;
    Tercet__V1__Metadata *items = add_metadata(arena, out, state->n_metadata);
    for (size_t i = 0; i < state->n_metadata; i++) {
        items[i].key = state->metadata[i]->key;
        items[i].value = state->metadata[i]->value;
    }
}

Tercet__V1__Transaction *snapshot_of_entry(struct coordinator *c, struct arena *arena,
                                           const struct entry *entry)
{
    size_t count = entry->txn.branch_count;
    Tercet__V1__Transaction *out = arena_alloc(arena, sizeof(*out));
    Tercet__V1__BranchStatus *statuses = arena_alloc(arena, count * sizeof(*statuses));
    tercet__v1__transaction__init(out);
    out->gid = (char *)entry->gid;
    out->state = (Tercet__V1__State)entry->txn.state;
    out->cause = (Tercet__V1__Cause)entry->txn.cause;
    out->reason = entry->reason != NULL ? entry->reason : out->reason;
    out->begun_by = entry->begun_by != NULL ? entry->begun_by : out->begun_by;
    out->created_ms = entry->created_ms;
    out->deadline_ms = entry->deadline_wall_ms;
    out->decided_ms = entry->decided_ms;
    out->resolved_ms = entry->resolved_ms;
    out->number = entry->number;
    fill_cancels(c, out, &entry->txn);
    fill_metadata(arena, out, entry);
    out->n_branches = count;
    out->branches = arena_alloc(arena, count * sizeof(*out->branches));
    for (size_t i = 0; i < count; i++) {
        fill_branch(c, arena, &statuses[i], &entry->txn, &entry->txn.branches[i], &entry->infos[i]);
        out->parked = out->parked || statuses[i].parked;
        out->branches[i] = &statuses[i];
    }
    return out;
}

/* What the decision asks of a branch of a resolved transaction (txn_owed), by its record. */
static enum txn_owed owed_by(const Tercet__Store__V1__State *state,
                             const Tercet__Store__V1__BranchState *branch)
{
    bool is_unsent = (branch->flags & RECORD_BRANCH_UNSENT) != 0;
    struct txn txn = {.state = (uint8_t)state->state,
                      .is_partial = (state->flags & RECORD_FLAG_PARTIAL) != 0};
    struct txn_branch of = {.try_state = (uint8_t)branch->try_state,
                            .sent = is_unsent ? TXN_SENT_HELD : TXN_SENT_MAYBE};
    return txn_owed(&txn, &of);
}

/* -- Obstacles and attempts: added when they are asked for ------------------------------------- */

/* NULL: it waits for nothing. */
static Tercet__V1__Obstacle *make_obstacle(struct coordinator *c, struct arena *arena,
                                           const struct entry *entry,
                                           const struct txn_branch *branch)
{
    struct obstacle obstacle;
    char advice[TERCET_TEXT_MAX];
    why_branch_waits(&obstacle, c, entry, branch);
    if (obstacle.waits_for == TERCET__V1__WAITS_FOR__WAITS_FOR_NOTHING)
        return NULL;
    Tercet__V1__Obstacle *out = arena_alloc(arena, sizeof(*out));
    tercet__v1__obstacle__init(out);
    out->waits_for = obstacle.waits_for;
    out->since_ms = obstacle.since_ms;
    out->instance = (char *)obstacle.instance;
    out->text = arena_copy(arena, obstacle.text, strlen(obstacle.text) + 1);
    why_advise(advice, obstacle.waits_for, entry, branch);
    out->advice = arena_copy(arena, advice, strlen(advice) + 1);
    return out;
}

void snapshot_add_obstacles(struct coordinator *c, struct arena *arena,
                            Tercet__V1__Transaction *out, const struct entry *entry)
{
    for (size_t i = 0; i < out->n_branches; i++)
        out->branches[i]->obstacle = make_obstacle(c, arena, entry, &entry->txn.branches[i]);
}

static Tercet__V1__Attempt *make_attempt(struct arena *arena, const struct history_attempt *attempt)
{
    Tercet__V1__Attempt *out = arena_alloc(arena, sizeof(*out));
    tercet__v1__attempt__init(out);
    out->kind = (Tercet__V1__Kind)attempt->kind;
    out->ended_ms = attempt->at_ms;
    out->took_ms = attempt->took_ms;
    out->instance = (char *)history_words(attempt->instance);
    out->outcome = (Tercet__V1__Outcome)attempt->outcome;
    out->error = (char *)history_words(attempt->error);
    return out;
}

void snapshot_add_history(struct arena *arena, Tercet__V1__Transaction *out,
                          const struct entry *entry)
{
    size_t bytes = 0;
    for (size_t i = 0; i < out->n_branches && bytes < HISTORY_SHOWN_BYTES_MAX; i++) {
        const struct history *history = entry->infos[i].history;
        Tercet__V1__BranchStatus *branch = out->branches[i];
        size_t count = history != NULL ? history->count : 0;
        branch->history = arena_alloc(arena, count * sizeof(*branch->history));
        for (size_t k = 0; k < count; k++) {
            branch->history[k] = make_attempt(arena, history_at(history, k));
            bytes += protobuf_c_message_get_packed_size(&branch->history[k]->base);
        }
        branch->n_history = count;
    }
}

/* -- Resolved transactions --------------------------------------------------------------------- */

/* From the record to the wire: the two messages have the same fields. */
static Tercet__V1__Failures *failures_of(struct arena *arena,
                                         const Tercet__Store__V1__Failures *record)
{
    if (record == NULL)
        return NULL;
    Tercet__V1__Failures *out = arena_alloc(arena, sizeof(*out));
    tercet__v1__failures__init(out);
    out->count = record->count;
    out->last_error = record->last_error;
    out->last_instance = record->last_instance;
    out->last_ms = record->last_ms;
    out->answered_by = record->answered_by;
    return out;
}

static void fill_resolved_branch(struct arena *arena, Tercet__V1__BranchStatus *out,
                                 const Tercet__Store__V1__State *state,
                                 const Tercet__Store__V1__BranchState *branch, char *action)
{
    tercet__v1__branch_status__init(out);
    out->owed = (Tercet__V1__Owed)owed_by(state, branch);
    out->number = branch->number;
    out->action = action;
    out->try_state = (Tercet__V1__TryState)branch->try_state;
    out->end_state = (Tercet__V1__EndState)branch->end_state;
    out->attempts = branch->attempts;
    out->broken = (branch->flags & RECORD_BRANCH_BROKEN) != 0;
    out->settled = (branch->flags & RECORD_BRANCH_SETTLED) != 0;
    out->reply = branch->reply;
    out->reason = branch->reason;
    out->try_failures = failures_of(arena, branch->try_failures);
    out->end_failures = failures_of(arena, branch->end_failures);
    out->last_error = last_error(out);
}

Tercet__V1__Transaction *snapshot_of_resolved(struct arena *arena, uint64_t number,
                                              const Tercet__Store__V1__Resolved *resolved)
{
    const Tercet__Store__V1__State *state = resolved->state;
    Tercet__V1__Transaction *out = arena_alloc(arena, sizeof(*out));
    Tercet__V1__BranchStatus *statuses = arena_alloc(arena, state->n_branches * sizeof(*statuses));
    tercet__v1__transaction__init(out);
    out->gid = state->gid;
    out->state = (Tercet__V1__State)state->state;
    out->cause = (Tercet__V1__Cause)state->cause;
    out->reason = state->reason;
    out->begun_by = state->begun_by;
    out->created_ms = state->created_ms;
    out->deadline_ms = state->deadline_ms;
    out->decided_ms = state->decided_ms;
    out->resolved_ms = resolved->resolved_ms;
    out->number = number;
    fill_resolved_metadata(arena, out, state);
    out->n_branches = state->n_branches;
    out->branches = arena_alloc(arena, state->n_branches * sizeof(*out->branches));
    for (size_t i = 0; i < state->n_branches; i++) {
        fill_resolved_branch(arena, &statuses[i], state, state->branches[i], resolved->actions[i]);
        out->branches[i] = &statuses[i];
    }
    return out;
}

static Tercet__V1__TryState try_outcome(const struct txn_branch *branch)
{
    switch (branch->try_state) {
    case TXN_TRY_DONE:
        return TERCET__V1__TRY_STATE__TRY_DONE;
    case TXN_TRY_REFUSED:
        return TERCET__V1__TRY_STATE__TRY_REFUSED;
    default:
        return TERCET__V1__TRY_STATE__TRY_NOT_KNOWN;
    }
}

Tercet__V1__TryResponse *snapshot_of_try(struct arena *arena, const struct entry *entry,
                                         const struct txn_branch *branch)
{
    const struct branch_info *info = entry_info(entry, branch);
    const char *error = history_error(info->history, TERCET_TRY);
    Tercet__V1__TryResponse *out = arena_alloc(arena, sizeof(*out));
    tercet__v1__try_response__init(out);
    out->outcome = try_outcome(branch);
    out->reply.data = info->reply;
    out->reply.len = info->reply_size;
    out->branch = branch->number;
    out->gid = (char *)entry->gid;
    out->state = (Tercet__V1__State)entry->txn.state;
    if (info->reason != NULL)
        out->reason = info->reason;
    else if (out->outcome == TERCET__V1__TRY_STATE__TRY_NOT_KNOWN)
        out->reason = (char *)error;
    if (info->history != NULL)
        out->failures = make_failures(arena, &info->history->tries);
    return out;
}
