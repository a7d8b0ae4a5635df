/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases: calls at the same time, and callers who do not wait.
 */
#include "run.h"

#define DONE TERCET__V1__OUTCOME__DONE
#define REFUSAL TERCET__V1__OUTCOME__REFUSAL

#define ROUNDS 4
#define BRANCHES 8

static bool play_branches_at_once(struct run *run)
{
    struct part parts[GROUP_MAX];
    parts_new(run, parts, GROUP_MAX);
    bool is_right =
        expect_at_once(run, parts, GROUP_MAX, 1, TERCET_TRY, ONE_EFFECT) &&
        expect_at_once(run, parts, GROUP_MAX / 2, 1, TERCET_CONFIRM, ONE_EFFECT) &&
        expect_at_once(run, parts + GROUP_MAX / 2, GROUP_MAX / 2, 1, TERCET_CANCEL, ONE_EFFECT);
    parts_clear(parts, GROUP_MAX);
    return is_right;
}

static bool play_same_round(struct run *run, enum tercet_kind end)
{
    struct part parts[2];
    parts_new(run, parts, 2);
    bool is_right = expect_at_once(run, parts, 2, 8, TERCET_TRY, ONE_EFFECT) &&
                    expect_at_once(run, parts, 2, 8, end, ONE_EFFECT) &&
                    expect_at_once(run, parts, 2, 4, end, NO_EFFECT);
    parts_clear(parts, 2);
    return is_right;
}

static bool play_same_branch(struct run *run)
{
    bool is_right = true;
    for (int i = 0; i < ROUNDS && is_right; i++)
        is_right = play_same_round(run, i % 2 == 0 ? TERCET_CONFIRM : TERCET_CANCEL);
    return is_right;
}

/* Tries of these branches are somewhere under way, or were. Whatever has become of them, after a
 * cancel that is done there is nothing left of them, and nothing can come: nobody asks for it
 * again. */
static bool expect_cancelled(struct run *run, struct part *parts, size_t count)
{
    bool is_right = expect_at_once(run, parts, count, 1, TERCET_CANCEL, ANY_EFFECT);
    for (size_t i = 0; i < count && is_right; i++)
        is_right = expect(run, &parts[i], TERCET_TRY, REFUSAL, ANY_EFFECT);
    return is_right && expect_pairs_or_nothing(run, count);
}

static bool play_try_against_cancel(struct run *run)
{
    struct part parts[BRANCHES];
    bool is_right = true;
    for (int i = 0; i < ROUNDS && is_right; i++) {
        parts_new(run, parts, BRANCHES);
        is_right = send_and_leave(run, parts, BRANCHES, TERCET_TRY, 0) &&
                   expect_cancelled(run, parts, BRANCHES);
        parts_clear(parts, BRANCHES);
    }
    return is_right;
}

const struct test_case cases_crowd[] = {
    {"branches-at-once", "6.1", "32 branches at once, each to its own end", play_branches_at_once,
     0},
    {"same-branch-at-once", "6.2", "the same call eight times at once has one effect",
     play_same_branch, 0},
    {"try-against-cancel", "6.2", "a try and its cancel at once", play_try_against_cancel, 0},
    {NULL, NULL, NULL, NULL, 0}};

/* -- Those who do not wait --------------------------------------------------------------------- */

static bool play_short_timeout(struct run *run)
{
    struct part parts[BRANCHES];
    parts_new(run, parts, BRANCHES);
    for (size_t i = 0; i < BRANCHES; i++)
        parts[i].is_hasty = true;
    bool is_right = send_and_leave(run, parts, BRANCHES, TERCET_TRY, BRANCHES) &&
                    expect_cancelled(run, parts, BRANCHES);
    parts_clear(parts, BRANCHES);
    return is_right;
}

static bool play_stream_lost(struct run *run)
{
    struct part parts[BRANCHES];
    parts_new(run, parts, BRANCHES);
    bool is_right = send_and_leave(run, parts, BRANCHES, TERCET_TRY, 0) && reconnect(run) &&
                    expect_at_once(run, parts, BRANCHES, 1, TERCET_TRY, ONE_EFFECT) &&
                    send_and_leave(run, parts, BRANCHES, TERCET_CONFIRM, 1) && reconnect(run) &&
                    expect_at_once(run, parts, BRANCHES, 1, TERCET_CONFIRM, ONE_EFFECT);
    parts_clear(parts, BRANCHES);
    return is_right;
}

const struct test_case cases_time[] = {
    {"short-timeout", "5.3", "tries for which nobody waits have both effects or none",
     play_short_timeout, 0},
    {"stream-lost", "7.1", "it attaches again, and calls that were lost are done once",
     play_stream_lost, NEEDS_ATTACH},
    {NULL, NULL, NULL, NULL, 0}};
