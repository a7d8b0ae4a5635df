/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits, pacing, damaged records, and what the core asserts of its caller.
 */
#include "transcript.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

TestSuite(core_limits, .timeout = 60);

struct fixture {
    struct txn txn;
    struct txn_branch branches[TXN_BRANCHES_MAX];
    struct txn_action items[TXN_ACTIONS_MAX];
    struct txn_actions actions;
};
static struct fixture all;

static void begin(const struct txn_options *options)
{
    txn_init(&all.txn, all.branches, TXN_BRANCHES_MAX, options, 1000000, 42);
    all.actions = (struct txn_actions){.items = all.items, .capacity = TXN_ACTIONS_MAX};
}

static void begin_default(void)
{
    struct txn_options options;
    txn_options_default(&options);
    begin(&options);
}

static int step(struct txn_event event)
{
    all.actions.count = 0;
    return txn_step(&all.txn, &event, &all.actions);
}

/* Every try that the step has asked for is sent. */
static void send_tries(void)
{
    for (size_t i = 0; i < all.actions.count; i++)
        if (all.items[i].kind == TXN_CALL_TRY)
            txn_try_leaves(&all.txn, all.items[i].number);
}

static void enlist(uint32_t number, enum txn_mode mode, int64_t try_timeout_ms)
{
    cr_assert_eq(
        step((struct txn_event){
            .kind = TXN_ENLIST, .number = number, .mode = mode, .try_timeout_ms = try_timeout_ms}),
        0);
    send_tries();
}

/* The open try that ends first, unless the deadline comes before it or it cancels nothing. */
Test(core_limits, what_cancels_first_is_told)
{
    struct txn_options options;
    uint32_t number = 99;
    txn_options_default(&options);
    begin(&options);
    cr_expect_eq(txn_cancels_ms(&all.txn, &number), 1000000);
    cr_expect_eq(number, 0);
    enlist(1, TXN_MODE_ROUTED, 2000000);
    enlist(2, TXN_MODE_OWN, 10);
    cr_expect_eq(txn_cancels_ms(&all.txn, &number), 1000000);
    cr_expect_eq(number, 0);
    enlist(3, TXN_MODE_ROUTED, 900);
    enlist(4, TXN_MODE_ROUTED, 500);
    enlist(5, TXN_MODE_ROUTED, 500);
    cr_expect_eq(txn_cancels_ms(&all.txn, &number), 500);
    cr_expect_eq(number, 4);
    for (uint32_t done = 4; done <= 5; done++)
        cr_assert_eq(step((struct txn_event){.kind = TXN_TRY_IS_DONE, .number = done}), 0);
    cr_expect_eq(txn_cancels_ms(&all.txn, &number), 900);
    cr_expect_eq(number, 3);

    options.keeps_on_refusal = true;
    begin(&options);
    enlist(1, TXN_MODE_ROUTED, 500);
    cr_expect_eq(txn_cancels_ms(&all.txn, &number), 1000000);
    cr_expect_eq(number, 0);
    options.decides_itself = true;
    begin(&options);
    enlist(1, TXN_MODE_ROUTED, 500);
    cr_expect_eq(txn_cancels_ms(&all.txn, &number), 500);
    cr_expect_eq(number, 1);
}

/* As many branches as there can be, the array of actions as large as the header says. */
Test(core_limits, as_many_branches_as_there_can_be)
{
    begin_default();
    for (uint32_t number = TXN_BRANCHES_MAX; number >= 1; number--) {
        enlist(number, TXN_MODE_ROUTED, 10);
        cr_assert_eq(all.actions.count, 2);
    }
    cr_assert_eq(all.txn.branch_count, TXN_BRANCHES_MAX);
    cr_assert_eq(step((struct txn_event){.kind = TXN_ENLIST, .number = TXN_BRANCHES_MAX + 1}),
                 TXN_LIMIT);
    cr_assert_eq(step((struct txn_event){.kind = TXN_WAKE, .now_ms = 10}), 0);
    cr_assert_eq(all.actions.count, 2 * TXN_BRANCHES_MAX + 2,
                 "all unknown and all cancelled in one step");
    cr_assert_eq(all.items[0].kind, TXN_PERSIST);
    for (uint32_t number = 1; number <= TXN_BRANCHES_MAX; number++) {
        cr_assert_eq(
            step((struct txn_event){.kind = TXN_END_HAS_FAILED, .number = number, .now_ms = 20}),
            0);
    }
    cr_assert_eq(step((struct txn_event){.kind = TXN_WAKE, .now_ms = 700000}), 0);
    cr_assert_eq(all.actions.count, 2 * TXN_BRANCHES_MAX + 1,
                 "all called again and all parked in one step");
    for (uint32_t number = 1; number <= TXN_BRANCHES_MAX; number++) {
        cr_assert_eq(
            step((struct txn_event){.kind = TXN_END_IS_DONE, .number = number, .now_ms = 700000}),
            0);
    }
    cr_assert(txn_is_resolved(&all.txn));
}

/* Actions of several steps in one array: what is there stays, what is past its room is not
 * touched. */
Test(core_limits, actions_are_appended_within_their_room)
{
    const size_t before = 20, room = 20 + 2 * 2 + 8;
    struct txn_event event = {
        .kind = TXN_ENLIST, .number = 1, .mode = TXN_MODE_ROUTED, .try_timeout_ms = 10};
    begin_default();
    for (uint32_t i = 0; i < 80; i++)
        all.items[i] = (struct txn_action){.kind = TXN_TRIED, .number = i, .attempt = 1000 + i};
    enlist(2, TXN_MODE_OWN, 0);
    all.items[0] = (struct txn_action){.kind = TXN_TRIED, .number = 0, .attempt = 1000};
    all.actions.count = before;
    all.actions.capacity = room;
    cr_assert_eq(txn_step(&all.txn, &event, &all.actions), 0);
    cr_assert_eq(all.actions.count, before + 2);
    cr_assert(all.items[before].kind == TXN_PERSIST && all.items[before].number == 0 &&
              all.items[before].attempt == 0);
    cr_assert(all.items[before + 1].kind == TXN_CALL_TRY && all.items[before + 1].number == 1);
    for (uint32_t i = 0; i < 80; i++) {
        bool is_ours = i < before || i >= room;
        cr_assert(!is_ours || (all.items[i].number == i && all.items[i].attempt == 1000 + i),
                  "action %u", i);
    }
}

Test(core_limits, branches_are_found_by_number)
{
    begin_default();
    cr_assert_null(txn_find(&all.txn, 1));
    for (uint32_t number = 2; number <= 20; number += 2)
        enlist(number, TXN_MODE_OWN, 0);
    for (uint32_t number = 0; number <= 21; number++) {
        const struct txn_branch *branch = txn_find(&all.txn, number);
        if (number % 2 == 0 && number != 0)
            cr_assert(branch != NULL && branch->number == number);
        else
            cr_assert_null(branch);
    }
}

Test(core_limits, the_defaults_are_those_of_the_header)
{
    struct txn_options options;
    txn_options_default(&options);
    cr_assert_eq(options.retry_base_ms, 100);
    cr_assert_eq(options.retry_cap_ms, 60000);
    cr_assert_eq(options.parked_retry_ms, 300000);
    cr_assert_eq(options.park_attempts, 16);
    cr_assert_eq(options.park_after_ms, 600000);
    cr_assert(!options.is_ordered && !options.decides_itself && !options.keeps_on_refusal);
}

/* The wait after the attempts-th failure of a try, as the core chose it. */
static int64_t delay_after(uint32_t attempts)
{
    all.branches[0].attempts = attempts - 1;
    all.branches[0].try_state = TXN_TRY_CALLING;
    cr_assert_eq(step((struct txn_event){.kind = TXN_TRY_HAS_FAILED, .number = 1}), 0);
    return all.branches[0].next_ms;
}

/* P14: capped, full jitter. 1,000 seeds come near both bounds of each attempt and never past
 * them. */
Test(core_limits, retries_double_up_to_the_cap)
{
    begin_default();
    enlist(1, TXN_MODE_ROUTED, 1000000);
    for (uint32_t attempts = 1; attempts <= 70; attempts++) {
        int64_t bound = attempts <= 10 ? 100ll << (attempts - 1) : 60000;
        bound = bound < 60000 ? bound : 60000;
        int64_t least = INT64_MAX;
        int64_t most = 0;
        for (uint64_t seed = 0; seed < 1000; seed++) {
            all.txn.seed = seed;
            int64_t delay = delay_after(attempts);
            least = delay < least ? delay : least;
            most = delay > most ? delay : most;
        }
        cr_assert(least >= 1 && least <= bound / 50 + 1, "attempt %u: least %lld", attempts,
                  (long long)least);
        cr_assert(most <= bound && most >= bound - bound / 50 - 1, "attempt %u: most %lld",
                  attempts, (long long)most);
    }
}

Test(core_limits, equal_seeds_are_equal_runs_and_branches_differ)
{
    begin_default();
    for (uint32_t number = 1; number <= 64; number++)
        enlist(number, TXN_MODE_OWN, 0);
    cr_assert_eq(step((struct txn_event){.kind = TXN_CONFIRM}), 0);
    size_t same = 0;
    for (uint32_t number = 1; number <= 64; number++) {
        cr_assert_eq(step((struct txn_event){
                         .kind = TXN_END_HAS_FAILED, .number = number, .is_confirm = true}),
                     0);
        int64_t first = all.branches[number - 1].next_ms;
        all.branches[number - 1].end_state = TXN_END_CALLING;
        all.branches[number - 1].attempts = 0;
        cr_assert_eq(step((struct txn_event){
                         .kind = TXN_END_HAS_FAILED, .number = number, .is_confirm = true}),
                     0);
        cr_assert_eq(all.branches[number - 1].next_ms, first);
        same += number > 1 && first == all.branches[number - 2].next_ms;
    }
    cr_assert_lt(same, 8, "branches that failed together must not come back together");
}

/* P13: slowly, and not all at the same time. */
Test(core_limits, parked_branches_wait_between_half_and_all_of_their_pace)
{
    struct txn_options options;
    txn_options_default(&options);
    options.park_attempts = 1;
    for (uint32_t pace = 1; pace <= 9; pace++) {
        options.parked_retry_ms = pace;
        begin(&options);
        enlist(1, TXN_MODE_OWN, 0);
        cr_assert_eq(step((struct txn_event){.kind = TXN_CANCEL, .cause = TXN_CAUSE_OPERATOR}), 0);
        uint32_t seen = 0;
        for (uint64_t seed = 0; seed < 200; seed++) {
            all.txn.seed = seed;
            all.branches[0].end_state = TXN_END_CALLING;
            cr_assert_eq(step((struct txn_event){.kind = TXN_END_HAS_FAILED, .number = 1}), 0);
            seen |= 1u << all.branches[0].next_ms;
        }
        uint32_t at_most = (2u << pace) - 1;
        uint32_t below_half = (1u << ((pace + 1) / 2)) - 1;
        cr_assert_eq(seen, at_most & ~below_half, "pace %u: %x", pace, seen);
    }
}

Test(core_limits, a_try_ends_with_the_deadline_at_the_latest)
{
    begin_default();
    enlist(1, TXN_MODE_ROUTED, 999999);
    enlist(2, TXN_MODE_ROUTED, 1000001);
    cr_assert_eq(all.branches[0].try_until_ms, 999999);
    cr_assert_eq(all.branches[1].try_until_ms, 1000000);
}

/* S14: numbers at the end of the clock do not wrap round. */
Test(core_limits, times_saturate)
{
    struct txn_options options;
    txn_options_default(&options);
    options.park_after_ms = INT64_MAX;
    begin(&options);
    all.txn.deadline_ms = TXN_NEVER;
    enlist(1, TXN_MODE_ROUTED, INT64_MAX);
    cr_assert_eq(step((struct txn_event){.kind = TXN_ENLIST,
                                         .number = 2,
                                         .mode = TXN_MODE_ROUTED,
                                         .now_ms = 5,
                                         .try_timeout_ms = INT64_MAX}),
                 0);
    send_tries();
    cr_assert_eq(all.branches[1].try_until_ms, TXN_NEVER);
    cr_assert_eq(txn_wake_ms(&all.txn), TXN_NEVER);
    cr_assert_eq(step((struct txn_event){.kind = TXN_CONFIRM, .is_forced = true, .now_ms = 6}), 0);
    cr_assert_eq(txn_wake_ms(&all.txn), TXN_NEVER);
    cr_assert_eq(step((struct txn_event){.kind = TXN_WAKE, .now_ms = INT64_MAX - 1}), 0);
    cr_assert_eq(all.actions.count, 0);
    cr_assert_eq(
        step((struct txn_event){
            .kind = TXN_END_HAS_FAILED, .number = 1, .is_confirm = true, .now_ms = INT64_MAX - 1}),
        0);
    cr_assert(all.branches[0].next_ms >= INT64_MAX - 1);
}

Test(core_limits, a_clock_that_steps_back_does_no_harm)
{
    begin_default();
    enlist(1, TXN_MODE_OWN, 0);
    cr_assert_eq(step((struct txn_event){.kind = TXN_CONFIRM, .now_ms = 500}), 0);
    cr_assert_eq(step((struct txn_event){
                     .kind = TXN_END_HAS_FAILED, .number = 1, .is_confirm = true, .now_ms = 1}),
                 0);
    cr_assert_eq(step((struct txn_event){.kind = TXN_WAKE, .now_ms = -100}), 0);
    cr_assert_eq(all.txn.state, TXN_CONFIRMING);
    cr_assert_eq(all.actions.count, 0);
}

/* What restoring does to every kind of branch; times of the old process mean nothing. */
Test(core_limits, a_restored_transaction_begins_its_phase_anew)
{
    begin_default();
    for (uint32_t number = 1; number <= 3; number++)
        enlist(number, number != 3 ? TXN_MODE_ROUTED : TXN_MODE_OWN, 1000);
    cr_assert(txn_restore(&all.txn, 77));
    cr_assert_eq(all.branches[0].try_state, TXN_TRY_WAITING);
    cr_assert_eq(all.branches[2].try_state, TXN_TRY_OWN);
    cr_assert_eq(all.branches[0].next_ms, 77);
    cr_assert_eq(all.branches[0].since_ms, 77);
    cr_assert_eq(all.branches[0].try_until_ms, 1000, "the caller's");
    cr_assert_eq(txn_wake_ms(&all.txn), 77);
    cr_assert_eq(
        step((struct txn_event){.kind = TXN_CANCEL, .now_ms = 80, .cause = TXN_CAUSE_INITIATOR}),
        0);
    cr_assert_eq(step((struct txn_event){.kind = TXN_END_IS_DONE, .number = 2, .now_ms = 81}), 0);
    cr_assert(txn_restore(&all.txn, 90));
    cr_assert_eq(all.branches[0].end_state, TXN_END_WAITING);
    cr_assert_eq(all.branches[1].end_state, TXN_END_DONE);
    cr_assert_eq(all.branches[0].since_ms, 90);
    cr_assert_eq(txn_wake_ms(&all.txn), 90);
}

static void begin_ordered(void)
{
    struct txn_options options;
    txn_options_default(&options);
    options.is_ordered = true;
    begin(&options);
    enlist(1, TXN_MODE_ROUTED, 1000);
    enlist(2, TXN_MODE_ROUTED, 1000);
}

Test(core_limits, a_restored_order_waits_for_its_first)
{
    begin_ordered();
    cr_assert(txn_restore(&all.txn, 77));
    cr_assert_eq(all.branches[0].next_ms, 77);
    cr_assert_eq(all.branches[1].next_ms, TXN_NEVER);
    cr_assert_eq(
        step((struct txn_event){.kind = TXN_CANCEL, .now_ms = 80, .cause = TXN_CAUSE_INITIATOR}),
        0);
    cr_assert(txn_restore(&all.txn, 90));
    cr_assert_eq(all.branches[1].next_ms, 90, "the order is that of tries alone");
}

/* S15: one damage at a time to a sound record. TRYING, CONFIRMING and CONFIRMED stand for all. */
enum damage_base { AS_TRYING, AS_CONFIRMING, AS_CONFIRMED, AS_CANCELLING, AS_PARTIAL };

static void begin_as(enum damage_base base)
{
    begin_default();
    all.txn.options.keeps_on_refusal = base == AS_PARTIAL;
    enlist(1, TXN_MODE_ROUTED, 1000);
    if (base == AS_PARTIAL) /* branch 1 is left out, 2 is confirmed */
        all.branches[0].sent = TXN_SENT_NOT;
    enlist(2, TXN_MODE_OWN, 1000);
    if (base == AS_CONFIRMING || base == AS_CONFIRMED || base == AS_PARTIAL)
        cr_assert_eq(step((struct txn_event){.kind = TXN_CONFIRM, .is_forced = true}), 0);
    if (base == AS_CANCELLING)
        cr_assert_eq(step((struct txn_event){.kind = TXN_CANCEL, .cause = TXN_CAUSE_INITIATOR}), 0);
    for (uint32_t number = 1; base == AS_CONFIRMED && number <= 2; number++) {
        cr_assert_eq(
            step((struct txn_event){.kind = TXN_END_IS_DONE, .number = number, .is_confirm = true}),
            0);
    }
}

static void expect_damaged(const char *what)
{
    struct txn copy = all.txn;
    struct txn_branch branches[2];
    memcpy(branches, all.branches, sizeof(branches));
    cr_expect(!txn_restore(&all.txn, 5), "taken for sound: %s", what);
    cr_expect(memcmp(&copy, &all.txn, sizeof(copy)) == 0 &&
                  memcmp(branches, all.branches, sizeof(branches)) == 0,
              "a damaged record is left alone: %s", what);
}

#define DAMAGE(base, assignment)                                                                   \
    do {                                                                                           \
        begin_as(base);                                                                            \
        cr_expect(txn_is_sound(&all.txn));                                                         \
        assignment;                                                                                \
        expect_damaged(#base ": " #assignment);                                                    \
    } while (0)

Test(core_limits, a_damaged_transaction_is_not_restored)
{
    DAMAGE(AS_TRYING, all.txn.state = 0);
    DAMAGE(AS_TRYING, all.txn.state = 6);
    DAMAGE(AS_TRYING, all.txn.state = TXN_CONFIRMING);
    DAMAGE(AS_TRYING, all.txn.cause = TXN_CAUSE_INITIATOR);
    DAMAGE(AS_TRYING, all.txn.branch_capacity = 1);
    DAMAGE(AS_TRYING, all.txn.options.retry_base_ms = 0);
    DAMAGE(AS_TRYING, all.txn.options.retry_cap_ms = 0);
    DAMAGE(AS_TRYING, all.txn.options.parked_retry_ms = 0);
    DAMAGE(AS_TRYING, all.txn.options.park_attempts = 0);
    DAMAGE(AS_TRYING, all.txn.options.park_after_ms = 0);
    DAMAGE(AS_CONFIRMING, all.txn.state = 0);
    DAMAGE(AS_CONFIRMING, all.txn.state = 6);
    DAMAGE(AS_CONFIRMING, all.txn.cause = TXN_CAUSE_NONE);
    DAMAGE(AS_CONFIRMING, all.txn.cause = TXN_CAUSE_REFUSED);
    DAMAGE(AS_CONFIRMING, all.txn.cause = TXN_CAUSE_DEADLINE);
    DAMAGE(AS_CONFIRMING, all.txn.state = TXN_TRYING);
    DAMAGE(AS_CONFIRMING, all.txn.state = TXN_CONFIRMED);
    DAMAGE(AS_CONFIRMING, all.txn.branch_count = 0);
    DAMAGE(AS_CONFIRMED, all.txn.state = TXN_CONFIRMING);
    DAMAGE(AS_CONFIRMED, all.txn.cause = TXN_CAUSE_TRY_UNKNOWN);
    DAMAGE(AS_CANCELLING, all.txn.cause = TXN_CAUSE_NONE);
    DAMAGE(AS_CANCELLING, all.txn.cause = TXN_CAUSE_ALL_TRIED);
    DAMAGE(AS_CANCELLING, all.txn.cause = TXN_CAUSE_OPERATOR + 1);
    DAMAGE(AS_CANCELLING, all.txn.state = TXN_CANCELLED);
    DAMAGE(AS_TRYING, all.txn.is_partial = true);
    DAMAGE(AS_CONFIRMING, all.txn.is_partial = true);
    DAMAGE(AS_CANCELLING, all.txn.is_partial = true);
    DAMAGE(AS_PARTIAL, all.txn.options.keeps_on_refusal = false);
    DAMAGE(AS_PARTIAL, all.txn.options.decides_itself = true);
    DAMAGE(AS_PARTIAL, all.txn.is_partial = false);
    DAMAGE(AS_PARTIAL, all.branches[0].try_state = TXN_TRY_DONE);
    DAMAGE(AS_PARTIAL,
           (all.branches[0].try_state = TXN_TRY_DONE, all.branches[0].sent = TXN_SENT_MAYBE));
}

Test(core_limits, a_damaged_branch_is_not_restored)
{
    DAMAGE(AS_TRYING, all.branches[0].number = 0);
    DAMAGE(AS_TRYING, all.branches[1].number = 1);
    DAMAGE(AS_TRYING, all.branches[1].number = TXN_BRANCHES_MAX + 1);
    DAMAGE(AS_TRYING, all.branches[0].number = 3);
    DAMAGE(AS_TRYING, all.branches[0].try_state = 0);
    DAMAGE(AS_TRYING, all.branches[0].try_state = TXN_TRY_UNKNOWN + 1);
    DAMAGE(AS_TRYING, all.branches[0].mode = 0);
    DAMAGE(AS_TRYING, all.branches[0].mode = TXN_MODE_OWN);
    DAMAGE(AS_TRYING, all.branches[1].mode = TXN_MODE_ROUTED);
    DAMAGE(AS_TRYING, all.branches[0].try_state = TXN_TRY_OWN);
    DAMAGE(AS_TRYING, all.branches[1].try_state = TXN_TRY_DONE);
    DAMAGE(AS_CONFIRMED, all.branches[0].mode = TXN_MODE_OWN + 1);
    DAMAGE(AS_TRYING, all.branches[1].end_state = TXN_END_WAITING);
    DAMAGE(AS_TRYING, all.branches[0].is_parked = true);
    DAMAGE(AS_TRYING, all.branches[0].is_broken = true);
    DAMAGE(AS_TRYING, all.branches[0].is_settled = true);
    DAMAGE(AS_CONFIRMING, all.branches[0].end_state = TXN_END_NONE);
    DAMAGE(AS_CONFIRMING, all.branches[0].end_state = TXN_END_DONE + 1);
    DAMAGE(AS_CONFIRMING, all.branches[0].is_settled = true);
    DAMAGE(AS_CONFIRMING, all.branches[0].is_broken = true);
    DAMAGE(AS_CONFIRMED, all.branches[0].is_parked = true);
    DAMAGE(AS_CONFIRMED, all.branches[0].end_state = TXN_END_WAITING);
    DAMAGE(AS_TRYING, all.branches[0].sent = TXN_SENT_HELD + 1);
    DAMAGE(AS_TRYING, all.branches[1].sent = TXN_SENT_NOT);
    DAMAGE(AS_TRYING,
           (all.branches[0].sent = TXN_SENT_NOT, all.branches[0].try_state = TXN_TRY_DONE));
    DAMAGE(AS_TRYING,
           (all.branches[0].sent = TXN_SENT_HELD, all.branches[0].try_state = TXN_TRY_REFUSED));
    DAMAGE(AS_CONFIRMED, all.branches[0].sent = TXN_SENT_HELD);
    DAMAGE(AS_CANCELLING, all.branches[0].sent = TXN_SENT_HELD);
    DAMAGE(AS_PARTIAL, all.branches[0].is_broken = true);
    DAMAGE(AS_PARTIAL, all.branches[0].is_settled = true);
    DAMAGE(AS_PARTIAL, all.branches[0].attempts = 1);
    DAMAGE(AS_PARTIAL, all.branches[0].end_state = TXN_END_WAITING);
}

/* Every cause that may be there, is. */
Test(core_limits, every_right_cause_is_sound)
{
    static const enum txn_cause confirming[] = {TXN_CAUSE_INITIATOR, TXN_CAUSE_ALL_TRIED,
                                                TXN_CAUSE_OPERATOR};
    static const enum txn_cause cancelling[] = {TXN_CAUSE_INITIATOR, TXN_CAUSE_REFUSED,
                                                TXN_CAUSE_TRY_UNKNOWN, TXN_CAUSE_DEADLINE,
                                                TXN_CAUSE_OPERATOR};
    begin_as(AS_CONFIRMING);
    for (size_t i = 0; i < sizeof(confirming) / sizeof(confirming[0]); i++) {
        all.txn.cause = (uint8_t)confirming[i];
        cr_expect(txn_restore(&all.txn, 5), "%s", transcript_cause(confirming[i]));
    }
    begin_as(AS_CANCELLING);
    for (size_t i = 0; i < sizeof(cancelling) / sizeof(cancelling[0]); i++) {
        all.txn.cause = (uint8_t)cancelling[i];
        cr_expect(txn_restore(&all.txn, 5), "%s", transcript_cause(cancelling[i]));
    }
}

/* What a caller must not do stops the process: a guess would be worse (S15). */
Test(core_limits, asserts_room_for_actions, .signal = SIGABRT)
{
    begin_default();
    all.actions.capacity = 2 * 1 + 8 - 1;
    step((struct txn_event){.kind = TXN_WAKE});
}

Test(core_limits, asserts_room_for_the_actions_of_every_branch, .signal = SIGABRT)
{
    begin_default();
    for (uint32_t number = 1; number <= 3; number++)
        enlist(number, TXN_MODE_ROUTED, 10);
    all.actions.capacity = 2 * 4 + 8 - 1;
    step((struct txn_event){.kind = TXN_WAKE});
}

Test(core_limits, asserts_room_beyond_the_actions_that_are_there, .signal = SIGABRT)
{
    struct txn_event event = {.kind = TXN_WAKE};
    begin_default();
    all.actions.count = 20;
    all.actions.capacity = 20 + 2 * 1 + 8 - 1;
    txn_step(&all.txn, &event, &all.actions);
}

Test(core_limits, asserts_room_for_branches, .signal = SIGABRT)
{
    begin_default();
    all.txn.branch_capacity = 1;
    enlist(1, TXN_MODE_ROUTED, 10);
    enlist(2, TXN_MODE_ROUTED, 10);
}

Test(core_limits, asserts_that_actions_were_emptied, .signal = SIGABRT)
{
    begin_default();
    all.actions.count = TXN_ACTIONS_MAX + 1;
    struct txn_event event = {.kind = TXN_WAKE};
    txn_step(&all.txn, &event, &all.actions);
}

Test(core_limits, asserts_soundness, .signal = SIGABRT)
{
    begin_default();
    all.txn.cause = TXN_CAUSE_DEADLINE;
    step((struct txn_event){.kind = TXN_WAKE});
}

Test(core_limits, asserts_the_kind_of_event, .signal = SIGABRT)
{
    begin_default();
    step((struct txn_event){.kind = (enum txn_event_kind)TXN_EVENT_COUNT});
}

Test(core_limits, asserts_that_now_is_a_time, .signal = SIGABRT)
{
    begin_default();
    step((struct txn_event){.kind = TXN_WAKE, .now_ms = TXN_NEVER});
}

Test(core_limits, asserts_the_cause_of_a_cancel, .signal = SIGABRT)
{
    begin_default();
    step((struct txn_event){.kind = TXN_CANCEL, .cause = TXN_CAUSE_DEADLINE});
}

Test(core_limits, asserts_options, .signal = SIGABRT)
{
    struct txn_options options = {.retry_base_ms = 1};
    begin(&options);
}
