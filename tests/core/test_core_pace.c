/* SPDX-License-Identifier: Apache-2.0
 *
 * How long the core waits, to the millisecond: the jitter is splitmix64's (Steele, Lea, Flood,
 * 2014), written here once more from its publication. A branch's stream begins at the transaction's
 * number-th output, its waits are that stream's outputs.
 */
#include "txn.h"

#include <criterion/criterion.h>

TestSuite(core_pace, .timeout = 60);

static uint64_t next_output(uint64_t *state)
{
    *state += 11400714819323198485u; /* 2^64 divided by the golden ratio */
    uint64_t z = *state;
    z = (z ^ z / (1u << 30)) * 13787848793156543929u;
    z = (z ^ z / (1u << 27)) * 10723151780598845931u;
    return z ^ z / (1u << 31);
}

static uint64_t output(uint64_t seed, uint32_t nth)
{
    uint64_t value = 0;
    while (nth-- > 0)
        value = next_output(&seed);
    return value;
}

Test(core_pace, the_generator_here_is_the_published_one)
{
    const uint64_t first_of_1234567[] = {6457827717110365317u, 3203168211198807973u,
                                         9817491932198370423u, 4593380528125082431u,
                                         16408922859458223821u};
    for (uint32_t n = 1; n <= 5; n++)
        cr_expect_eq(output(1234567, n), first_of_1234567[n - 1]);
}

struct fixture {
    struct txn txn;
    struct txn_branch branches[2];
};
static struct fixture all;

static void begin(uint64_t seed, const struct txn_options *options)
{
    txn_init(&all.txn, all.branches, 2, options, TXN_NEVER - 1, seed);
    all.txn.branch_count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        all.branches[i] = (struct txn_branch){.number = 1 + 4 * i,
                                              .mode = TXN_MODE_ROUTED,
                                              .try_state = TXN_TRY_CALLING,
                                              .try_until_ms = TXN_NEVER};
    }
}

static void fail(uint32_t number, enum txn_event_kind kind, int64_t now_ms)
{
    struct txn_action items[TXN_ACTIONS_MAX];
    struct txn_actions actions = {.items = items, .capacity = TXN_ACTIONS_MAX};
    struct txn_event event = {.kind = kind, .number = number, .now_ms = now_ms};
    cr_assert_eq(txn_step(&all.txn, &event, &actions), 0);
}

/* Past 2^31 times the base, too: there a cap of 2^32 - 1 is still above what 31 doublings make of a
 * base of 1. */
Test(core_pace, a_retry_waits_for_what_the_generator_says)
{
    struct txn_options options;
    txn_options_default(&options);
    options.retry_base_ms = 1;
    options.retry_cap_ms = UINT32_MAX;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        begin(seed * 7919, &options);
        for (uint32_t attempts = 1; attempts <= 40; attempts++) {
            uint64_t range = attempts <= 32 ? UINT64_C(1) << (attempts - 1) : UINT32_MAX;
            for (uint32_t i = 0; i < 2; i++) {
                uint64_t stream = output(all.txn.seed, all.branches[i].number);
                all.branches[i].attempts = attempts - 1;
                all.branches[i].try_state = TXN_TRY_CALLING;
                fail(all.branches[i].number, TXN_TRY_HAS_FAILED, 1000);
                cr_assert_eq(all.branches[i].next_ms,
                             1001 + (int64_t)(output(stream, attempts) % range));
            }
        }
    }
}

Test(core_pace, a_parked_branch_waits_for_what_the_generator_says)
{
    struct txn_options options;
    txn_options_default(&options);
    for (uint32_t pace_ms = 299999; pace_ms <= 300000; pace_ms++) {
        options.parked_retry_ms = pace_ms;
        begin(4711, &options);
        all.txn.state = TXN_CANCELLING;
        all.txn.cause = TXN_CAUSE_OPERATOR;
        all.branches[0].end_state = all.branches[1].end_state = TXN_END_CALLING;
        all.branches[0].is_parked = true;
        fail(1, TXN_END_HAS_FAILED, 1000);
        uint64_t spread = pace_ms / 2 + 1;
        int64_t least_ms = 1000 + pace_ms - (int64_t)(pace_ms / 2);
        cr_assert_eq(all.branches[0].next_ms,
                     least_ms + (int64_t)(output(output(4711, 1), 1) % spread));
    }
}
