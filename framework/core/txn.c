/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of a transaction: a table, event x state, of small functions, and what time alone
 * brings about (advance). A rule changes fields and says what was done; whether the step asks for a
 * forced write is settled when it ends.
 */
#include "txn.h"

#include <assert.h>
#include <string.h>

#include "txn_pace.h"

/* One event on its way through. */
struct step {
    struct txn *txn;
    const struct txn_event *event;
    struct txn_branch *branch; /* with the event's number, or NULL */
    struct txn_actions *actions;
    bool persists; /* the step ends in TXN_PERSIST, */
    bool marks;    /* or else in TXN_MARK */
};

static bool is_ending(const struct txn *txn)
{
    return txn->state == TXN_CONFIRMING || txn->state == TXN_CANCELLING;
}

/* Whether the coordinator has nothing more to hear of the branch's try, or never had. */
static bool try_is_settled(const struct txn_branch *branch)
{
    assert(txn_mode_is_routed(branch->mode) == (branch->try_state != TXN_TRY_OWN));
    return !txn_mode_is_routed(branch->mode) || branch->try_state == TXN_TRY_DONE;
}

static bool routed_are_tried(const struct txn *txn)
{
    assert(txn->state == TXN_TRYING);
    for (size_t i = 0; i < txn->branch_count; i++)
        if (!try_is_settled(&txn->branches[i]))
            return false;
    return true;
}

static bool was_never_sent(const struct txn_branch *branch)
{
    assert(branch->sent == TXN_SENT_MAYBE || txn_try_is_open(branch) ||
           branch->try_state == TXN_TRY_UNKNOWN);
    return branch->sent != TXN_SENT_MAYBE;
}

static bool all_are_tried(const struct txn *txn)
{
    assert(txn->state == TXN_TRYING && txn->options.decides_itself);
    for (size_t i = 0; i < txn->branch_count; i++)
        if (txn->branches[i].try_state != TXN_TRY_DONE)
            return false;
    return txn->branch_count > 0;
}

static bool all_have_ended(const struct txn *txn)
{
    assert(is_ending(txn));
    for (size_t i = 0; i < txn->branch_count; i++)
        if (txn->branches[i].end_state != TXN_END_DONE)
            return false;
    return true;
}

static void act(struct step *step, enum txn_action_kind kind, uint32_t number, uint32_t attempt)
{
    struct txn_actions *actions = step->actions;
    assert(actions->count < actions->capacity && number <= TXN_BRANCHES_MAX);
    assert((attempt > 0) == (kind >= TXN_CALL_TRY && kind <= TXN_CALL_CANCEL));
    actions->items[actions->count++] =
        (struct txn_action){.kind = kind, .number = number, .attempt = attempt};
}

/* The one way out of TRYING. */
static void decide(struct step *step, enum txn_state decision, enum txn_cause cause)
{
    struct txn *txn = step->txn;
    assert(txn->state == TXN_TRYING);
    assert(decision == TXN_CONFIRMING || decision == TXN_CANCELLING);
    assert(txn->cause == TXN_CAUSE_NONE && cause != TXN_CAUSE_NONE);
    txn->state = (uint8_t)decision;
    txn->cause = (uint8_t)cause;
    for (size_t i = 0; i < txn->branch_count; i++) {
        struct txn_branch *branch = &txn->branches[i];
        assert(branch->end_state == TXN_END_NONE && !branch->is_parked);
        branch->end_state = was_never_sent(branch) ? TXN_END_DONE : TXN_END_WAITING;
        branch->next_ms = step->event->now_ms;
        branch->since_ms = step->event->now_ms;
        branch->attempts = 0;
    }
    step->persists = true;
    act(step, TXN_DECIDED, 0, 0);
}

static int ignore(struct step *step)
{
    (void)step;
    return 0;
}

static int too_late(struct step *step)
{
    assert(step->txn->state != TXN_TRYING);
    return TXN_DECIDED_ALREADY;
}

static bool number_is_valid(uint32_t number)
{
    return number >= 1 && number <= TXN_BRANCHES_MAX;
}

/* After the decision no branch can be added; a repeated enlistment is still answered. */
static int enlist_late(struct step *step)
{
    assert(step->branch == NULL || step->branch->number == step->event->number);
    if (!number_is_valid(step->event->number))
        return TXN_LIMIT;
    if (step->branch == NULL)
        return TXN_DECIDED_ALREADY;
    return step->branch->digest == step->event->digest ? 0 : TXN_EXISTS;
}

/* Room for a branch at its place by number. */
static struct txn_branch *insert(struct txn *txn, uint32_t number)
{
    assert(txn->branch_count < txn->branch_capacity);
    size_t at = txn->branch_count;
    while (at > 0 && txn->branches[at - 1].number > number)
        at--;
    assert(at == 0 || txn->branches[at - 1].number < number);
    struct txn_branch *place = &txn->branches[at];
    memmove(place + 1, place, (txn->branch_count - at) * sizeof(*place));
    txn->branch_count++;
    return place;
}

/* The time at which a try that begins now counts as unknown. */
static int64_t try_limit(const struct txn *txn, int64_t now_ms, int64_t timeout_ms)
{
    return pace_earlier(pace_later(now_ms, timeout_ms), txn->deadline_ms);
}

/* The initiator may have called a try of its own before it enlisted the branch here. */
static uint8_t first_sent(const struct txn_event *event)
{
    assert(event->kind == TXN_ENLIST);
    if (!txn_mode_is_routed(event->mode))
        return TXN_SENT_MAYBE;
    return event->is_held ? TXN_SENT_HELD : TXN_SENT_NOT;
}

static struct txn_branch new_branch(const struct txn *txn, const struct txn_event *event)
{
    bool is_routed = txn_mode_is_routed(event->mode);
    bool has_turn = !is_routed || !txn->options.is_ordered;
    return (struct txn_branch){
        .number = event->number,
        .digest = event->digest,
        .since_ms = event->now_ms,
        .mode = (uint8_t)event->mode,
        .try_state = is_routed ? TXN_TRY_WAITING : TXN_TRY_OWN,
        .sent = first_sent(event),
        .next_ms = has_turn ? event->now_ms : TXN_NEVER,
        .try_until_ms = has_turn ? try_limit(txn, event->now_ms, event->try_timeout_ms) : TXN_NEVER,
        .try_timeout_ms = event->try_timeout_ms,
    };
}

static int enlist(struct step *step)
{
    struct txn *txn = step->txn;
    assert(txn->state == TXN_TRYING);
    if (step->branch != NULL || !number_is_valid(step->event->number))
        return enlist_late(step);
    struct txn_branch *branch = insert(txn, step->event->number);
    *branch = new_branch(txn, step->event);
    assert(txn_find(txn, step->event->number) == branch);
    step->persists = true;
    return 0;
}

/* Whether no try is under way, or has yet to be: where an ordered one has failed, those after it
 * get no turn. */
static bool tries_are_over(const struct txn *txn)
{
    assert(txn->state == TXN_TRYING);
    for (size_t i = 0; i < txn->branch_count; i++)
        if (txn_try_is_open(&txn->branches[i]) && txn->branches[i].next_ms != TXN_NEVER)
            return false;
    return true;
}

/* Whether the branch was not tried and will not be, for sure. */
static bool was_never_tried(const struct txn *txn, const struct txn_branch *branch)
{
    assert(txn->state == TXN_TRYING);
    return was_never_sent(branch) && (branch->try_state == TXN_TRY_UNKNOWN || tries_are_over(txn));
}

/* Whether the transaction may be confirmed with a branch whose try is not known to be done. Force
 * vouches for what nobody knows, but not for what was certainly never tried. */
static bool is_spared(const struct txn *txn, const struct txn_branch *branch, bool is_forced)
{
    assert(txn->state == TXN_TRYING && !try_is_settled(branch));
    bool keeps = !txn_refusal_cancels(txn);
    if (is_forced)
        return keeps || !was_never_sent(branch);
    return keeps && (branch->try_state == TXN_TRY_REFUSED || was_never_tried(txn, branch));
}

const struct txn_branch *txn_unready(const struct txn *txn, bool is_forced)
{
    assert(txn->state == TXN_TRYING);
    for (size_t i = 0; i < txn->branch_count; i++) {
        const struct txn_branch *branch = &txn->branches[i];
        if (!try_is_settled(branch) && !is_spared(txn, branch, is_forced))
            return branch;
    }
    return NULL;
}

static int confirm(struct step *step)
{
    struct txn *txn = step->txn;
    assert(txn->state == TXN_TRYING && !txn->is_partial);
    bool is_operator = step->event->cause == TXN_CAUSE_OPERATOR;
    if (txn_unready(txn, step->event->is_forced) != NULL)
        return TXN_NOT_READY;
    txn->is_partial = !txn_refusal_cancels(txn) && !routed_are_tried(txn);
    decide(step, TXN_CONFIRMING, is_operator ? TXN_CAUSE_OPERATOR : TXN_CAUSE_INITIATOR);
    return 0;
}

static int cancel(struct step *step)
{
    enum txn_cause cause = step->event->cause;
    assert(cause == TXN_CAUSE_INITIATOR || cause == TXN_CAUSE_OPERATOR);
    decide(step, TXN_CANCELLING, cause);
    return 0;
}

static void set_tried(struct step *step, struct txn_branch *branch, enum txn_try outcome)
{
    assert(step->txn->state == TXN_TRYING && txn_mode_is_routed(branch->mode));
    assert(outcome == TXN_TRY_DONE || outcome == TXN_TRY_REFUSED || outcome == TXN_TRY_UNKNOWN);
    branch->try_state = (uint8_t)outcome;
    if (outcome != TXN_TRY_UNKNOWN) /* an answer proves that the call was sent */
        branch->sent = TXN_SENT_MAYBE;
    step->marks = true;
    act(step, TXN_TRIED, branch->number, 0);
}

/* To be asked for again, now behind the write that says it may leave; unless this is the moment in
 * which the transaction's time is over. */
static int try_may_go(struct step *step)
{
    struct txn_branch *branch = step->branch;
    assert(step->txn->state == TXN_TRYING && branch != NULL);
    if (branch->sent != TXN_SENT_HELD || branch->try_state != TXN_TRY_CALLING)
        return 0;
    assert(txn_mode_is_routed(branch->mode));
    branch->sent = TXN_SENT_NOT;
    branch->try_state = TXN_TRY_WAITING;
    branch->next_ms = step->event->now_ms;
    step->persists = true;
    return 0;
}

static int try_is_done(struct step *step)
{
    assert(step->txn->state == TXN_TRYING && step->branch != NULL);
    if (txn_try_is_open(step->branch) || step->branch->try_state == TXN_TRY_UNKNOWN)
        set_tried(step, step->branch, TXN_TRY_DONE);
    assert(step->branch->sent == TXN_SENT_MAYBE);
    return 0;
}

static int try_is_refused(struct step *step)
{
    assert(step->txn->state == TXN_TRYING && step->branch != NULL);
    if (!txn_try_is_open(step->branch) && step->branch->try_state != TXN_TRY_UNKNOWN)
        return 0;
    set_tried(step, step->branch, TXN_TRY_REFUSED);
    assert(step->branch->sent == TXN_SENT_MAYBE);
    if (txn_refusal_cancels(step->txn))
        decide(step, TXN_CANCELLING, TXN_CAUSE_REFUSED);
    return 0;
}

static int try_has_failed(struct step *step)
{
    struct txn_branch *branch = step->branch;
    assert(step->txn->state == TXN_TRYING && branch != NULL);
    if (branch->try_state == TXN_TRY_CALLING) {
        branch->try_state = TXN_TRY_WAITING;
        branch->attempts++;
        branch->next_ms = pace_later(step->event->now_ms, pace_retry(step->txn, branch));
        assert(branch->next_ms > step->event->now_ms); /* or this step would call again */
    }
    return 0;
}

/* Whether the answer fits the calls that the branch gets in this state. An answer of the other kind
 * cannot exist, and is ignored. */
static bool end_is_meant(const struct step *step)
{
    assert(is_ending(step->txn) && step->branch != NULL);
    enum txn_owed owed = txn_owed(step->txn, step->branch);
    return owed == (step->event->is_confirm ? TXN_OWED_CONFIRM : TXN_OWED_CANCEL);
}

static int end_is_done(struct step *step)
{
    struct txn_branch *branch = step->branch;
    if (end_is_meant(step) && branch->end_state != TXN_END_DONE) {
        assert(branch->sent == TXN_SENT_MAYBE && !branch->is_settled);
        branch->end_state = TXN_END_DONE;
        branch->is_parked = false;
        step->marks = true;
    }
    return 0;
}

static void park(struct step *step, struct txn_branch *branch)
{
    assert(is_ending(step->txn) && branch->end_state != TXN_END_DONE);
    if (!branch->is_parked) {
        branch->is_parked = true;
        step->marks = true;
        act(step, TXN_PARKED, branch->number, 0);
    }
}

static void wait_for_end(struct step *step, struct txn_branch *branch)
{
    assert(is_ending(step->txn) && branch->end_state != TXN_END_DONE && branch->attempts > 0);
    int64_t delay_ms =
        branch->is_parked ? pace_parked(step->txn, branch) : pace_retry(step->txn, branch);
    branch->end_state = TXN_END_WAITING;
    branch->next_ms = pace_later(step->event->now_ms, delay_ms);
    assert(branch->next_ms > step->event->now_ms);
}

static int end_has_failed(struct step *step)
{
    struct txn_branch *branch = step->branch;
    if (!end_is_meant(step) || branch->end_state != TXN_END_CALLING)
        return 0;
    assert(branch->sent == TXN_SENT_MAYBE && !branch->is_settled);
    branch->attempts++;
    if (branch->attempts >= step->txn->options.park_attempts)
        park(step, branch);
    wait_for_end(step, branch);
    return 0;
}

static int end_is_broken(struct step *step)
{
    struct txn_branch *branch = step->branch;
    if (!end_is_meant(step) || branch->end_state == TXN_END_DONE)
        return 0;
    branch->is_broken = true;
    branch->attempts++;
    step->marks = true;
    park(step, branch);
    wait_for_end(step, branch);
    assert(branch->is_parked);
    return 0;
}

static bool is_addressed(const struct step *step, const struct txn_branch *branch)
{
    assert(step->event->kind == TXN_RETRY);
    return step->event->number == 0 || step->event->number == branch->number;
}

static int retry_tries(struct step *step)
{
    assert(step->txn->state == TXN_TRYING);
    for (size_t i = 0; i < step->txn->branch_count; i++) {
        struct txn_branch *branch = &step->txn->branches[i];
        bool waits = branch->try_state == TXN_TRY_WAITING && branch->next_ms != TXN_NEVER;
        if (waits && is_addressed(step, branch))
            branch->next_ms = step->event->now_ms;
    }
    return 0;
}

static int retry_ends(struct step *step)
{
    assert(is_ending(step->txn));
    for (size_t i = 0; i < step->txn->branch_count; i++) {
        struct txn_branch *branch = &step->txn->branches[i];
        if (branch->end_state == TXN_END_WAITING && is_addressed(step, branch))
            branch->next_ms = step->event->now_ms;
    }
    return 0;
}

static int settle(struct step *step)
{
    struct txn_branch *branch = step->branch;
    assert(!branch->is_settled || branch->end_state == TXN_END_DONE);
    if (branch->is_settled)
        return 0;
    if (step->txn->state == TXN_TRYING)
        return TXN_UNDECIDED;
    if (branch->end_state == TXN_END_DONE)
        return TXN_ENDED;
    if (!branch->is_parked && !step->event->is_forced)
        return TXN_NOT_PARKED;
    assert(is_ending(step->txn));
    branch->end_state = TXN_END_DONE;
    branch->is_parked = false;
    branch->is_settled = true;
    step->persists = true;
    return 0;
}

/* Every pair has its rule. Columns are the states in the order of their values, from TXN_TRYING. */
/* clang-format off */
static int (*const rules[TXN_EVENT_COUNT][TXN_STATE_COUNT])(struct step *) = {
  /*                      TRYING          CONFIRMING      CANCELLING      CONFIRMED    CANCELLED */
  [TXN_ENLIST]         = {enlist,         enlist_late,    enlist_late,    enlist_late, enlist_late},
  [TXN_CONFIRM]        = {confirm,        ignore,         too_late,       ignore,      too_late},
  [TXN_CANCEL]         = {cancel,         too_late,       ignore,         too_late,    ignore},
  [TXN_TRY_IS_DONE]    = {try_is_done,    ignore,         ignore,         ignore,      ignore},
  [TXN_TRY_IS_REFUSED] = {try_is_refused, ignore,         ignore,         ignore,      ignore},
  [TXN_TRY_HAS_FAILED] = {try_has_failed, ignore,         ignore,         ignore,      ignore},
  [TXN_END_IS_DONE]    = {ignore,         end_is_done,    end_is_done,    ignore,      ignore},
  [TXN_END_HAS_FAILED] = {ignore,         end_has_failed, end_has_failed, ignore,      ignore},
  [TXN_END_IS_BROKEN]  = {ignore,         end_is_broken,  end_is_broken,  ignore,      ignore},
  [TXN_RETRY]          = {retry_tries,    retry_ends,     retry_ends,     ignore,      ignore},
  [TXN_SETTLE]         = {settle,         settle,         settle,         settle,      settle},
  [TXN_WAKE]           = {ignore,         ignore,         ignore,         ignore,      ignore},
  [TXN_TRY_MAY_GO]     = {try_may_go,     ignore,         ignore,         ignore,      ignore},
};
/* clang-format on */

/* Returns whether a try has become unknown. */
static bool expire_tries(struct step *step)
{
    assert(step->txn->state == TXN_TRYING);
    bool any = false;
    for (size_t i = 0; i < step->txn->branch_count; i++) {
        struct txn_branch *branch = &step->txn->branches[i];
        if (txn_try_is_open(branch) && step->event->now_ms >= branch->try_until_ms) {
            set_tried(step, branch, TXN_TRY_UNKNOWN);
            any = true;
        }
    }
    return any;
}

/* Ordered tries: when none is under way, the first that is not done may go, unless it failed for
 * good. */
static void release_next_try(struct txn *txn, int64_t now_ms)
{
    assert(txn->state == TXN_TRYING && txn->options.is_ordered);
    struct txn_branch *next = NULL;
    for (size_t i = 0; i < txn->branch_count; i++) {
        struct txn_branch *branch = &txn->branches[i];
        if (txn_try_is_open(branch) && branch->next_ms != TXN_NEVER)
            return;
        if (next == NULL && !try_is_settled(branch))
            next = branch;
    }
    if (next != NULL && next->try_state == TXN_TRY_WAITING) {
        next->next_ms = now_ms;
        if (next->try_until_ms == TXN_NEVER)
            next->try_until_ms = try_limit(txn, now_ms, next->try_timeout_ms);
    }
}

/* Gives turns, and expires tries. A try that expires may pass its turn to the next one, which may
 * have no time left either. Returns whether a try has become unknown. */
static bool pass_turns(struct step *step)
{
    assert(step->txn->state == TXN_TRYING);
    bool any = false;
    bool again = true;
    for (size_t rounds = 0; again; rounds++) {
        assert(rounds <= step->txn->branch_count); /* each but the last makes one unknown */
        if (step->txn->options.is_ordered)
            release_next_try(step->txn, step->event->now_ms);
        again = expire_tries(step);
        any = any || again;
    }
    return any;
}

static void call_tries(struct step *step)
{
    assert(step->txn->state == TXN_TRYING && step->event->now_ms < step->txn->deadline_ms);
    for (size_t i = 0; i < step->txn->branch_count; i++) {
        struct txn_branch *branch = &step->txn->branches[i];
        if (branch->try_state == TXN_TRY_WAITING && step->event->now_ms >= branch->next_ms) {
            branch->try_state = TXN_TRY_CALLING;
            act(step, TXN_CALL_TRY, branch->number, branch->attempts + 1);
        }
    }
}

static void advance_trying(struct step *step)
{
    struct txn *txn = step->txn;
    assert(txn->state == TXN_TRYING);
    if (step->event->now_ms >= txn->deadline_ms)
        decide(step, TXN_CANCELLING, TXN_CAUSE_DEADLINE);
    else if (pass_turns(step) && txn_refusal_cancels(txn))
        decide(step, TXN_CANCELLING, TXN_CAUSE_TRY_UNKNOWN);
    else if (txn->options.decides_itself && all_are_tried(txn))
        decide(step, TXN_CONFIRMING, TXN_CAUSE_ALL_TRIED);
    else
        call_tries(step);
}

static void advance_end(struct step *step, struct txn_branch *branch)
{
    assert(is_ending(step->txn) && branch->end_state != TXN_END_NONE);
    int64_t now_ms = step->event->now_ms;
    if (branch->end_state == TXN_END_DONE)
        return;
    if (branch->end_state == TXN_END_WAITING && now_ms >= branch->next_ms) {
        bool is_confirm = txn_owed(step->txn, branch) == TXN_OWED_CONFIRM;
        branch->end_state = TXN_END_CALLING;
        act(step, is_confirm ? TXN_CALL_CONFIRM : TXN_CALL_CANCEL, branch->number,
            branch->attempts + 1);
    }
    if (now_ms >= pace_later(branch->since_ms, step->txn->options.park_after_ms))
        park(step, branch);
}

static void advance_ending(struct step *step)
{
    struct txn *txn = step->txn;
    assert(is_ending(txn));
    if (all_have_ended(txn)) {
        assert(step->persists || step->marks);
        txn->state = txn->state == TXN_CONFIRMING ? TXN_CONFIRMED : TXN_CANCELLED;
        act(step, TXN_RESOLVED, 0, 0);
        return;
    }
    for (size_t i = 0; i < txn->branch_count; i++)
        advance_end(step, &txn->branches[i]);
}

/* What the state and the time bring about, whatever the event was. */
static void advance(struct step *step)
{
    if (step->txn->state == TXN_TRYING)
        advance_trying(step);
    if (is_ending(step->txn))
        advance_ending(step);
}

/* RETRY alone may speak of all branches. */
static bool wants_branch(const struct txn_event *event)
{
    switch (event->kind) {
    case TXN_ENLIST:
    case TXN_CONFIRM:
    case TXN_CANCEL:
    case TXN_WAKE:
        return false;
    case TXN_RETRY:
        return event->number != 0;
    default:
        return true;
    }
}

/* Two per branch, for one branch more than now, and a few for the transaction. */
static bool has_room(const struct txn_actions *actions, const struct txn *txn)
{
    size_t branches =
        txn->branch_count < TXN_BRANCHES_MAX ? txn->branch_count + 1u : TXN_BRANCHES_MAX;
    return actions->count <= actions->capacity &&
           actions->capacity - actions->count >= 2 * branches + 8;
}

/* The write goes first: whatever else the step does may depend on it. */
static void put_write_first(struct step *step, size_t first)
{
    struct txn_actions *actions = step->actions;
    assert(first <= actions->count);
    if (step->persists || step->marks) {
        act(step, TXN_MARK, 0, 0);
        struct txn_action *items = &actions->items[first];
        memmove(items + 1, items, (actions->count - 1 - first) * sizeof(*items));
        *items = (struct txn_action){.kind = step->persists ? TXN_PERSIST : TXN_MARK};
    }
}

static void check_outcome(const struct txn *txn, enum txn_state before)
{
    assert(txn_is_sound(txn));
    /* A decision is not taken back: CONFIRMING ends as CONFIRMED, CANCELLING as CANCELLED. */
    static_assert(TXN_CONFIRMED == TXN_CONFIRMING + 2 && TXN_CANCELLED == TXN_CANCELLING + 2, "");
    assert(before == TXN_TRYING || txn->state == before || txn->state == before + 2);
}

int txn_step(struct txn *txn, const struct txn_event *event, struct txn_actions *actions)
{
    assert(txn_is_sound(txn));
    assert((unsigned)event->kind < TXN_EVENT_COUNT && event->now_ms < TXN_NEVER);
    assert(has_room(actions, txn));
    struct step step = {
        .txn = txn, .event = event, .branch = txn_find(txn, event->number), .actions = actions};
    size_t first = actions->count;
    enum txn_state before = txn->state;
    if (step.branch == NULL && wants_branch(event))
        return TXN_NO_BRANCH;
    int rc = rules[event->kind][txn->state - TXN_TRYING](&step);
    if (rc == 0) {
        advance(&step);
        put_write_first(&step, first);
        check_outcome(txn, before);
    }
    assert(rc == 0 || actions->count == first);
    return rc;
}

static int64_t branch_wake_ms(const struct txn *txn, const struct txn_branch *branch)
{
    assert((txn->state == TXN_TRYING) == (branch->end_state == TXN_END_NONE));
    int64_t wake_ms = TXN_NEVER;
    if (txn->state == TXN_TRYING) {
        if (txn_try_is_open(branch))
            wake_ms = branch->try_until_ms;
        return branch->try_state == TXN_TRY_WAITING ? pace_earlier(wake_ms, branch->next_ms)
                                                    : wake_ms;
    }
    if (branch->end_state != TXN_END_DONE && !branch->is_parked)
        wake_ms = pace_later(branch->since_ms, txn->options.park_after_ms);
    return branch->end_state == TXN_END_WAITING ? pace_earlier(wake_ms, branch->next_ms) : wake_ms;
}

int64_t txn_wake_ms(const struct txn *txn)
{
    int64_t wake_ms = txn->state == TXN_TRYING ? txn->deadline_ms : TXN_NEVER;
    for (size_t i = 0; i < txn->branch_count; i++)
        wake_ms = pace_earlier(wake_ms, branch_wake_ms(txn, &txn->branches[i]));
    assert(!txn_is_resolved(txn) || wake_ms == TXN_NEVER);
    return wake_ms;
}

void txn_try_leaves(struct txn *txn, uint32_t number)
{
    struct txn_branch *branch = txn_find(txn, number);
    assert(branch != NULL && txn->state == TXN_TRYING && branch->sent != TXN_SENT_HELD);
    assert(branch->sent == TXN_SENT_MAYBE || branch->try_state == TXN_TRY_CALLING);
    branch->sent = TXN_SENT_MAYBE;
}

bool txn_restore(struct txn *txn, int64_t now_ms)
{
    if (!txn_is_sound(txn))
        return false;
    bool is_blocked = txn->state == TXN_TRYING && txn->options.is_ordered;
    for (size_t i = 0; i < txn->branch_count; i++) {
        struct txn_branch *branch = &txn->branches[i];
        branch->try_state =
            branch->try_state == TXN_TRY_CALLING ? TXN_TRY_WAITING : branch->try_state;
        branch->end_state =
            branch->end_state == TXN_END_CALLING ? TXN_END_WAITING : branch->end_state;
        if (txn->state == TXN_TRYING && branch->sent == TXN_SENT_NOT)
            branch->sent = TXN_SENT_MAYBE;
        branch->next_ms = is_blocked ? TXN_NEVER : now_ms;
        branch->since_ms = now_ms;
    }
    if (is_blocked)
        release_next_try(txn, now_ms);
    assert(txn_is_sound(txn));
    return true;
}
