/* SPDX-License-Identifier: Apache-2.0
 *
 * Random walks: arbitrary events, right and wrong, early and late, with crashes in between that
 * leave only what was persisted; after every step what must always hold is looked at from outside,
 * by what the core handed out. A walk that fails names its seed and its event. S and L are the
 * invariants of RELIABILITY.md.
 */
#include "transcript.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#define WALK_EVENTS 200000
#define EVENTS_A_TXN 80
#define WALK_BRANCHES 6
#define WALK_ACTIONS (2 * (WALK_BRANCHES + 1) + 8)

/* What an outsider has seen of the transaction, over all crashes. */
struct witness {
    bool saw_confirm; /* a call, or a decision told */
    bool saw_cancel;
    bool saw_resolved;
    uint32_t enlisted; /* a bit for each branch that was acknowledged */
    uint32_t settled;  /* a bit for each branch whose settling was acknowledged */
    uint32_t sent;     /* a bit for each branch of which a try has left */
};

struct image {
    struct txn txn;
    struct txn_branch branches[WALK_BRANCHES];
};

struct walk {
    uint64_t random;
    uint64_t seed;
    size_t event_index;
    int64_t now_ms;
    struct image live;
    struct image durable;
    struct witness witness;
    bool is_willing; /* nobody refuses or cancels, and tries have time */
    bool queues;     /* not every try leaves when it is called */
    struct txn_action items[WALK_ACTIONS];
    struct txn_actions actions;
    size_t state_counts[TXN_STATE_COUNT + 1];
    size_t action_counts[TXN_RESOLVED + 1];
    size_t crash_count;
    size_t unsent_count; /* branches that ended unsent */
    size_t partial_count;
};

#define CHECK(walk, condition)                                                                     \
    cr_assert(condition, "seed %llu, event %zu: %s", (unsigned long long)(walk)->seed,             \
              (walk)->event_index, #condition)

/* xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016). */
static uint32_t draw(struct walk *walk, uint32_t below)
{
    walk->random ^= walk->random >> 12;
    walk->random ^= walk->random << 25;
    walk->random ^= walk->random >> 27;
    return (uint32_t)((walk->random * 0x2545f4914f6cdd1du) >> 33) % below;
}

static bool happens(struct walk *walk, uint32_t percent)
{
    return draw(walk, 100) < percent;
}

static void copy_image(struct image *to, const struct image *from)
{
    *to = *from;
    to->txn.branches = to->branches;
}

/* Field by field is not needed: both come from the same writes, and padding is copied along. */
static bool images_are_equal(const struct image *a, const struct image *b)
{
    struct txn left = a->txn;
    struct txn right = b->txn;
    left.branches = right.branches = NULL;
    return memcmp(&left, &right, sizeof(left)) == 0 &&
           memcmp(a->branches, b->branches, a->txn.branch_count * sizeof(a->branches[0])) == 0;
}

static bool is_decided(const struct txn *txn)
{
    return txn->state != TXN_TRYING;
}

static bool is_confirm(const struct txn *txn)
{
    return txn->state == TXN_CONFIRMING || txn->state == TXN_CONFIRMED;
}

static uint32_t bit(uint32_t number)
{
    return 1u << number;
}

static void begin(struct walk *walk)
{
    struct txn_options options;
    txn_options_default(&options);
    options.retry_base_ms = 1 + draw(walk, 20);
    options.retry_cap_ms = 1 + draw(walk, 200);
    options.parked_retry_ms = 1 + draw(walk, 300);
    options.park_attempts = 1 + draw(walk, 4);
    options.park_after_ms = 1 + draw(walk, 400);
    options.is_ordered = happens(walk, 30);
    options.decides_itself = happens(walk, 30);
    options.keeps_on_refusal = happens(walk, 50);
    memset(&walk->live, 0, sizeof(walk->live));
    txn_init(&walk->live.txn, walk->live.branches, WALK_BRANCHES, &options,
             walk->now_ms + 1 + draw(walk, 1000), walk->random);
    copy_image(&walk->durable, &walk->live);
    walk->is_willing = happens(walk, 60);
    walk->queues = happens(walk, 30);
    memset(&walk->witness, 0, sizeof(walk->witness));
}

/* The try leaves, now or, from a queue, never; a held one is asked for again first. */
static void send_try(struct walk *walk, uint32_t number)
{
    const struct txn_branch *branch = txn_find(&walk->live.txn, number);
    bool can_go = walk->live.txn.state == TXN_TRYING && branch->try_state == TXN_TRY_CALLING &&
                  branch->sent != TXN_SENT_HELD;
    if (!can_go || (walk->queues && happens(walk, 50)))
        return;
    txn_try_leaves(&walk->live.txn, number);
    walk->witness.sent |= bit(number);
}

/* Whether a confirmation cancels this branch: its try is not done. */
static bool is_left_out(const struct txn *txn, uint32_t number)
{
    const struct txn_branch *branch = txn_find(txn, number);
    return txn->options.keeps_on_refusal && !txn->options.decides_itself &&
           branch->mode == TXN_MODE_ROUTED && branch->try_state != TXN_TRY_DONE;
}

/* S1, S2, S3, S8 as seen by those who get the actions. */
static void witness_action(struct walk *walk, const struct txn_action *action)
{
    struct witness *witness = &walk->witness;
    const struct txn *durable = &walk->durable.txn;
    switch (action->kind) {
    case TXN_CALL_TRY:
        CHECK(walk, txn_find(durable, action->number) != NULL);
        send_try(walk, action->number);
        break;
    case TXN_CALL_CONFIRM:
        CHECK(walk, is_decided(durable) && is_confirm(durable) && !witness->saw_cancel);
        CHECK(walk, !is_left_out(durable, action->number));
        witness->saw_confirm = true;
        break;
    case TXN_CALL_CANCEL:
        if (is_confirm(durable) && is_left_out(durable, action->number))
            break;
        CHECK(walk, is_decided(durable) && !is_confirm(durable) && !witness->saw_confirm);
        witness->saw_cancel = true;
        break;
    case TXN_DECIDED:
        CHECK(walk, is_decided(durable) && is_confirm(durable) == is_confirm(&walk->live.txn));
        CHECK(walk, is_confirm(durable) ? !witness->saw_cancel : !witness->saw_confirm);
        *(is_confirm(durable) ? &witness->saw_confirm : &witness->saw_cancel) = true;
        break;
    case TXN_RESOLVED:
        CHECK(walk, txn_is_resolved(&walk->live.txn));
        witness->saw_resolved = true;
        break;
    default:
        break;
    }
    walk->action_counts[action->kind]++;
}

/* A write is asked for once, and before everything else. */
static void check_write_is_first(struct walk *walk)
{
    for (size_t i = 0; i < walk->actions.count; i++) {
        enum txn_action_kind kind = walk->items[i].kind;
        CHECK(walk, i == 0 || (kind != TXN_PERSIST && kind != TXN_MARK));
    }
}

static bool asks_to_persist(const struct walk *walk)
{
    return walk->actions.count > 0 && walk->items[0].kind == TXN_PERSIST;
}

static bool asks_to_write(const struct walk *walk)
{
    return walk->actions.count > 0 &&
           (walk->items[0].kind == TXN_PERSIST || walk->items[0].kind == TXN_MARK);
}

/* S2, S9, S10: between two steps of one process. */
static void check_transition(struct walk *walk, const struct txn *before)
{
    const struct txn *after = &walk->live.txn;
    bool is_forward = after->state == before->state || before->state == TXN_TRYING ||
                      (before->state == TXN_CONFIRMING && after->state == TXN_CONFIRMED) ||
                      (before->state == TXN_CANCELLING && after->state == TXN_CANCELLED);
    CHECK(walk, is_forward);
    CHECK(walk, !is_decided(before) || before->cause == after->cause);
    CHECK(walk, after->branch_count >= before->branch_count);
    CHECK(walk, !is_decided(before) || before->branch_count == after->branch_count);
    CHECK(walk, before->state == after->state || asks_to_write(walk));
    CHECK(walk, is_decided(before) == is_decided(after) || asks_to_persist(walk));
    CHECK(walk, before->branch_count == after->branch_count || asks_to_persist(walk));
}

/* Everything that a restart must know is either persisted or marked: no other field may change
 * without a write. */
static void check_nothing_changes_unwritten(struct walk *walk, const struct image *before)
{
    for (size_t i = 0; i < before->txn.branch_count && !asks_to_write(walk); i++) {
        const struct txn_branch *old = &before->branches[i];
        const struct txn_branch *new = txn_find(&walk->live.txn, old->number);
        bool try_is_same =
            old->try_state == new->try_state || (txn_try_is_open(old) && txn_try_is_open(new));
        CHECK(walk, try_is_same && old->mode == new->mode);
        CHECK(walk, (old->end_state == TXN_END_DONE) == (new->end_state == TXN_END_DONE));
        CHECK(walk, old->is_parked == new->is_parked && old->is_broken == new->is_broken);
        CHECK(walk, old->is_settled == new->is_settled);
        CHECK(walk, old->sent == new->sent);
    }
}

/* S7, L2: who may have been tried is told how it ends, and who was not is not waited for. */
static void check_sent(struct walk *walk)
{
    const struct txn *txn = &walk->live.txn;
    for (size_t i = 0; i < txn->branch_count; i++) {
        const struct txn_branch *branch = &txn->branches[i];
        CHECK(walk, branch->sent == TXN_SENT_MAYBE || !(walk->witness.sent & bit(branch->number)));
        CHECK(walk, !is_decided(txn) || branch->sent == TXN_SENT_MAYBE ||
                        branch->end_state == TXN_END_DONE);
    }
}

static void check_step(struct walk *walk, const struct image *before)
{
    check_sent(walk);
    walk->state_counts[walk->live.txn.state]++;
    check_transition(walk, &before->txn);
    check_nothing_changes_unwritten(walk, before);
    check_write_is_first(walk);
}

static bool hands_out_calls(const struct walk *walk)
{
    for (size_t i = 0; i < walk->actions.count; i++) {
        enum txn_action_kind kind = walk->items[i].kind;
        if (kind == TXN_CALL_TRY || kind == TXN_CALL_CONFIRM || kind == TXN_CALL_CANCEL)
            return true;
    }
    return false;
}

/* Told again, an answer is taken for one to the call that has just gone out; and a broken promise
 * counts each time. */
static bool may_count_twice(const struct walk *walk, const struct txn_event *event)
{
    bool is_answer = (event->kind >= TXN_TRY_IS_DONE && event->kind <= TXN_END_IS_BROKEN) ||
                     event->kind == TXN_TRY_MAY_GO;
    return event->kind == TXN_END_IS_BROKEN || (is_answer && hands_out_calls(walk));
}

/* The same event once more: the same answer and no effect. */
static void check_repeat(struct walk *walk, const struct txn_event *event, int result)
{
    struct image again;
    copy_image(&again, &walk->live);
    struct txn_action items[WALK_ACTIONS];
    struct txn_actions actions = {.items = items, .capacity = WALK_ACTIONS};
    CHECK(walk, txn_step(&again.txn, event, &actions) == result);
    if (!may_count_twice(walk, event)) {
        CHECK(walk, actions.count == 0);
        CHECK(walk, images_are_equal(&again, &walk->live));
    }
    CHECK(walk, is_decided(&again.txn) == is_decided(&walk->live.txn));
    CHECK(walk, is_confirm(&again.txn) == is_confirm(&walk->live.txn));
}

static bool wake_copy(struct walk *walk, int64_t now_ms, struct txn_actions *actions)
{
    struct image copy;
    copy_image(&copy, &walk->live);
    struct txn_event wake = {.kind = TXN_WAKE, .now_ms = now_ms};
    CHECK(walk, txn_step(&copy.txn, &wake, actions) == 0);
    return !images_are_equal(&copy, &walk->live);
}

/* No busy loop and no oversleeping: at the wake there is work, a millisecond before there is
 * none. */
static void check_wake(struct walk *walk)
{
    struct txn_action items[WALK_ACTIONS];
    struct txn_actions actions = {.items = items, .capacity = WALK_ACTIONS};
    int64_t wake_ms = txn_wake_ms(&walk->live.txn);
    CHECK(walk, wake_ms > walk->now_ms);
    CHECK(walk, !wake_copy(walk, wake_ms - 1, &actions) && actions.count == 0);
    if (wake_ms != TXN_NEVER)
        CHECK(walk, wake_copy(walk, wake_ms, &actions) && actions.count > 0);
}

/* S12: what was acknowledged is there after a crash. */
static void acknowledge(struct walk *walk, const struct txn_event *event, int result)
{
    if (result != 0)
        return;
    if (event->kind == TXN_ENLIST)
        walk->witness.enlisted |= bit(event->number);
    else if (event->kind == TXN_SETTLE)
        walk->witness.settled |= bit(event->number);
}

static void check_acknowledged(struct walk *walk)
{
    for (uint32_t number = 1; number <= WALK_BRANCHES; number++) {
        const struct txn_branch *branch = txn_find(&walk->live.txn, number);
        CHECK(walk, branch != NULL || !(walk->witness.enlisted & bit(number)));
        CHECK(walk, !(walk->witness.settled & bit(number)) || branch->is_settled);
    }
    CHECK(walk, !walk->witness.saw_confirm || is_confirm(&walk->live.txn));
    CHECK(walk, !walk->witness.saw_cancel ||
                    (is_decided(&walk->live.txn) && !is_confirm(&walk->live.txn)));
}

static int step(struct walk *walk, const struct txn_event *event);

/* The process dies: what was only marked is lost, or some of it is not. */
static void crash(struct walk *walk)
{
    walk->crash_count++;
    copy_image(&walk->live, &walk->durable);
    CHECK(walk, txn_restore(&walk->live.txn, walk->now_ms));
    step(walk, &(struct txn_event){.kind = TXN_WAKE, .now_ms = walk->now_ms});
    check_acknowledged(walk);
}

/* One event, as a coordinator would carry it out; the process may die before or after the write. */
static int step(struct walk *walk, const struct txn_event *event)
{
    struct image before;
    copy_image(&before, &walk->live);
    walk->actions.count = 0;
    int result = txn_step(&walk->live.txn, event, &walk->actions);
    check_step(walk, &before);
    if (result != 0)
        CHECK(walk, walk->actions.count == 0 && images_are_equal(&before, &walk->live));
    else
        check_wake(walk);
    check_repeat(walk, event, result);
    if (asks_to_persist(walk) && happens(walk, 5)) {
        crash(walk);
        return 0;
    }
    if (asks_to_persist(walk) || (asks_to_write(walk) && happens(walk, 30)))
        copy_image(&walk->durable, &walk->live);
    acknowledge(walk, event, result);
    for (size_t i = 0; i < walk->actions.count; i++)
        witness_action(walk, &walk->items[i]);
    return result;
}

/* A number that an event is about: mostly a branch that exists, now and then one that cannot. */
static uint32_t draw_number(struct walk *walk, enum txn_event_kind kind)
{
    if (happens(walk, 3))
        return draw(walk, 2) * (TXN_BRANCHES_MAX + 1);
    size_t count = walk->live.txn.branch_count;
    if (kind == TXN_ENLIST || count == 0 || happens(walk, 5))
        return 1 + draw(walk, WALK_BRANCHES);
    return walk->live.branches[draw(walk, (uint32_t)count)].number;
}

static enum txn_event_kind draw_kind(struct walk *walk)
{
    static const enum txn_event_kind kinds[] = {
        TXN_ENLIST,         TXN_ENLIST,         TXN_CONFIRM,        TXN_CONFIRM,
        TXN_CANCEL,         TXN_TRY_IS_DONE,    TXN_TRY_IS_DONE,    TXN_TRY_IS_DONE,
        TXN_TRY_IS_REFUSED, TXN_TRY_HAS_FAILED, TXN_TRY_HAS_FAILED, TXN_END_IS_DONE,
        TXN_END_HAS_FAILED, TXN_END_HAS_FAILED, TXN_END_HAS_FAILED, TXN_END_IS_BROKEN,
        TXN_RETRY,          TXN_SETTLE,         TXN_WAKE,           TXN_WAKE,
        TXN_TRY_MAY_GO,
    };
    enum txn_event_kind kind = kinds[draw(walk, sizeof(kinds) / sizeof(kinds[0]))];
    bool is_averse = kind == TXN_CANCEL || kind == TXN_TRY_IS_REFUSED;
    return is_averse && walk->is_willing ? TXN_TRY_IS_DONE : kind;
}

/* Nobody answers a try that was not sent. */
static bool is_impossible(const struct walk *walk, enum txn_event_kind kind, uint32_t number)
{
    bool is_answer = kind == TXN_TRY_IS_DONE || kind == TXN_TRY_IS_REFUSED;
    return is_answer && number <= WALK_BRANCHES && !(walk->witness.sent & bit(number));
}

/* Anything at all, but what is impossible. */
static struct txn_event draw_event(struct walk *walk)
{
    enum txn_event_kind kind = draw_kind(walk);
    uint32_t number = kind == TXN_RETRY && happens(walk, 50) ? 0 : draw_number(walk, kind);
    return (struct txn_event){
        .kind = is_impossible(walk, kind, number) ? TXN_WAKE : kind,
        .now_ms = walk->now_ms,
        .number = number,
        .is_held = happens(walk, 20),
        .digest = happens(walk, 90) ? 7 : 8,
        .try_timeout_ms = (int64_t)draw(walk, 600) + (walk->is_willing ? 1000 : -5),
        .mode = happens(walk, 70) ? TXN_MODE_ROUTED : TXN_MODE_OWN,
        .is_forced = happens(walk, 10),
        .is_confirm = happens(walk, 90) ? is_confirm(&walk->live.txn) : happens(walk, 50),
        .cause = happens(walk, 50) ? TXN_CAUSE_INITIATOR : TXN_CAUSE_OPERATOR,
    };
}

static void pass_time(struct walk *walk)
{
    int64_t wake_ms = txn_wake_ms(&walk->live.txn);
    if (wake_ms != TXN_NEVER && wake_ms > walk->now_ms && happens(walk, walk->is_willing ? 3 : 15))
        walk->now_ms = wake_ms;
    else if (happens(walk, 50))
        walk->now_ms += draw(walk, 20);
}

/* Every call that is out is answered "done". Returns whether there was one. */
static bool answer_all(struct walk *walk)
{
    bool any = false;
    for (size_t i = 0; i < walk->live.txn.branch_count; i++) {
        const struct txn_branch *branch = &walk->live.branches[i];
        bool is_try = walk->live.txn.state == TXN_TRYING && branch->try_state == TXN_TRY_CALLING &&
                      !is_impossible(walk, TXN_TRY_IS_DONE, branch->number);
        if (is_try || branch->end_state == TXN_END_CALLING) {
            any = true;
            step(walk, &(struct txn_event){.kind = is_try ? TXN_TRY_IS_DONE : TXN_END_IS_DONE,
                                           .number = branch->number,
                                           .now_ms = walk->now_ms,
                                           .is_confirm = txn_owed(&walk->live.txn, branch) ==
                                                         TXN_OWED_CONFIRM});
        }
    }
    return any;
}

static void count_end(struct walk *walk)
{
    const struct txn *txn = &walk->live.txn;
    walk->partial_count += txn->is_partial;
    for (size_t i = 0; i < txn->branch_count; i++)
        walk->unsent_count += txn->branches[i].sent != TXN_SENT_MAYBE;
}

/* L1: when participants answer, it ends; soon in events, and in time before the deadline and the
 * longest wait. */
static void finish(struct walk *walk)
{
    int64_t start_ms = walk->now_ms;
    for (size_t turn = 0; !txn_is_resolved(&walk->live.txn); turn++) {
        CHECK(walk, turn < 200);
        if (!answer_all(walk)) {
            int64_t wake_ms = txn_wake_ms(&walk->live.txn);
            CHECK(walk, wake_ms != TXN_NEVER);
            walk->now_ms = wake_ms > walk->now_ms ? wake_ms : walk->now_ms;
            step(walk, &(struct txn_event){.kind = TXN_WAKE, .now_ms = walk->now_ms});
        }
    }
    CHECK(walk, walk->now_ms - start_ms <= 1000 + 300);
    CHECK(walk, walk->witness.saw_resolved && txn_wake_ms(&walk->live.txn) == TXN_NEVER);
    check_acknowledged(walk);
    count_end(walk);
}

static void walk_one_transaction(struct walk *walk)
{
    begin(walk);
    for (size_t i = 0; i < EVENTS_A_TXN; i++, walk->event_index++) {
        if (txn_is_resolved(&walk->live.txn) && happens(walk, 10))
            break;
        pass_time(walk);
        if (happens(walk, 2))
            crash(walk);
        struct txn_event event = draw_event(walk);
        step(walk, &event);
    }
    finish(walk);
}

/* A walk that never gets anywhere would prove nothing: everything must have been met often. */
static void check_coverage(struct walk *walk)
{
    for (size_t state = TXN_TRYING; state <= TXN_STATE_COUNT; state++)
        CHECK(walk, walk->state_counts[state] > 5000);
    for (size_t kind = TXN_CALL_TRY; kind <= TXN_RESOLVED; kind++)
        CHECK(walk, walk->action_counts[kind] > 1000);
    CHECK(walk, walk->crash_count > 2000);
    CHECK(walk, walk->unsent_count > 500 && walk->partial_count > 40);
}

ParameterizedTestParameters(core_walks, every_invariant_holds)
{
    static uint64_t seeds[] = {1, 20, 300, 4000, 50000};
    return cr_make_param_array(uint64_t, seeds, sizeof(seeds) / sizeof(seeds[0]));
}

ParameterizedTest(uint64_t *seed, core_walks, every_invariant_holds, .timeout = 100)
{
    static struct walk walk;
    walk.seed = *seed;
    walk.random = *seed * 0x9e3779b97f4a7c15u + 1;
    walk.actions = (struct txn_actions){.items = walk.items, .capacity = WALK_ACTIONS};
    while (walk.event_index < WALK_EVENTS)
        walk_one_transaction(&walk);
    check_coverage(&walk);
}
