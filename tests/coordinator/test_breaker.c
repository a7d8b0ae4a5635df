/* SPDX-License-Identifier: Apache-2.0
 *
 * The breaker: when it opens, how far its probes are apart, what closes it.
 */
#include "breaker.h"

#include <criterion/criterion.h>

/* Fails so often that it has just opened. */
static struct breaker opened(int64_t now_ms)
{
    struct breaker breaker = {0};
    for (int i = 1; i < BREAKER_FAILURES; i++) {
        cr_assert_not(breaker_fail(&breaker, now_ms));
        cr_assert(breaker_lets_through(&breaker, now_ms), "%d failures are not enough", i);
    }
    cr_assert(breaker_fail(&breaker, now_ms));
    return breaker;
}

Test(breaker, one_answer_between_failures_keeps_it_closed)
{
    struct breaker breaker = {0};
    for (int round = 0; round < 3; round++) {
        for (int i = 1; i < BREAKER_FAILURES; i++)
            cr_assert_not(breaker_fail(&breaker, 7));
        cr_assert_not(breaker_close(&breaker), "it was closed");
    }
}

Test(breaker, one_probe_at_a_time)
{
    struct breaker breaker = opened(1000);
    cr_assert_not(breaker_lets_through(&breaker, 1000 + BREAKER_PAUSE_MS - 1));
    cr_assert(breaker_lets_through(&breaker, 1000 + BREAKER_PAUSE_MS));
    breaker_note_sent(&breaker);
    cr_assert_not(breaker_lets_through(&breaker, 1000000), "the probe is under way");
    breaker_lose_probe(&breaker);
    cr_assert(breaker_lets_through(&breaker, 1000000));
}

Test(breaker, probes_go_further_and_further_apart)
{
    struct breaker breaker = opened(0);
    int64_t now_ms = 0;
    for (int64_t pause_ms = BREAKER_PAUSE_MS; pause_ms < 10 * BREAKER_PAUSE_MAX_MS; pause_ms *= 2) {
        int64_t expected_ms = pause_ms < BREAKER_PAUSE_MAX_MS ? pause_ms : BREAKER_PAUSE_MAX_MS;
        cr_assert_not(breaker_lets_through(&breaker, now_ms + expected_ms - 1));
        now_ms += expected_ms;
        cr_assert(breaker_lets_through(&breaker, now_ms));
        breaker_note_sent(&breaker);
        cr_assert_not(breaker_fail(&breaker, now_ms), "it is open already");
    }
}

Test(breaker, late_failures_do_not_put_the_probe_off)
{
    struct breaker breaker = opened(0);
    for (int i = 0; i < 1000; i++)
        cr_assert_not(breaker_fail(&breaker, BREAKER_PAUSE_MS - 1));
    cr_assert(breaker_lets_through(&breaker, BREAKER_PAUSE_MS));
}

Test(breaker, an_answer_closes_it_and_the_next_time_begins_anew)
{
    struct breaker breaker = opened(0);
    for (int i = 0; i < 5; i++) {
        breaker_note_sent(&breaker);
        breaker_fail(&breaker, 0);
    }
    cr_assert(breaker_close(&breaker));
    cr_assert(breaker_lets_through(&breaker, 0));
    breaker_note_sent(&breaker);
    for (int i = 1; i < BREAKER_FAILURES; i++)
        cr_assert_not(breaker_fail(&breaker, 0));
    cr_assert(breaker_fail(&breaker, 0));
    cr_assert(breaker_lets_through(&breaker, BREAKER_PAUSE_MS));
}
