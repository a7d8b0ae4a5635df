/* SPDX-License-Identifier: Apache-2.0
 *
 * A confirm that runs a transaction of its own, as docs/nesting.md tells it.
 */
#include "fixture.h"

#include <stdio.h>

TestSuite(nesting, .timeout = 400);

static atomic_uint hooks_run;
static atomic_bool fails_once;

/* The first nested transaction has little time; the others have enough. */
#define FIRST_DEADLINE_MS 300

static int confirm_trip(const struct tercet_call *call, void *ctx)
{
    const struct tercet_branch seat = branch_of("stock");
    struct tercet_result result;
    char gid[TERCET_GID_MAX + 1];
    (void)ctx;
    atomic_fetch_add(&hooks_run, 1);
    for (uint32_t number = 1; number <= call->attempt; number++) {
        snprintf(gid, sizeof(gid), "%.50s.%u", call->gid, number);
        struct tercet_begin_options options = options_of(gid, number == 1 ? FIRST_DEADLINE_MS : 0);
        int rc = tercet_run(world.client, &seat, 1, &options, &result);
        if (rc == 0 && atomic_exchange(&fails_once, false))
            return tercet_again(call, "as if the local commit had failed");
        if (rc == 0)
            return 0;
        if (rc != TERCET_REFUSED)
            break;
    }
    return tercet_again(call, "%s: %s", gid, result.text);
}

static void open_trip(struct tercet_participant **trip, struct tercet_barrier **barrier)
{
    static const struct tercet_action actions[] = {{.name = "do", .on_confirm = confirm_trip}};
    struct tercet_participant_options options = {.size = sizeof(options)};
    cr_assert_eq(tercet_barrier_memory_open(barrier, NULL), 0);
    options.barrier = *barrier;
    cr_assert_eq(
        tercet_participant_open(trip, world.daemon.address, "trip", actions, 1, &options, NULL), 0);
    cr_assert_eq(tercet_participant_wait(*trip, WAIT_MS, NULL), 0);
}

Test(nesting, a_confirm_goes_on_after_its_nested_transaction_was_cancelled)
{
    struct tercet_participant *trip = NULL;
    struct tercet_barrier *barrier = NULL;
    struct tercet_result result;
    open_stock(NULL);
    open_trip(&trip, &barrier);
    atomic_store(&stock.is_held, true);
    atomic_store(&fails_once, true);
    cr_assert_eq(RUN("outer", TERCET_WAIT_DECIDED, &result, "trip"), 0, "%s", result.text);
    WAIT_FOR(world_state("outer.1") == TERCET_CANCELLING);
    cr_assert_eq(world_state("outer"), TERCET_CONFIRMING);
    party_release(&stock);
    world_wait_state("outer", TERCET_CONFIRMED);
    world_wait_state("outer.1", TERCET_CANCELLED);
    world_wait_state("outer.2", TERCET_CONFIRMED);
    cr_assert_eq(world_state("outer.3"), 0, "never begun");
    cr_assert_eq(atomic_load(&stock.done[TERCET_CONFIRM]), 1, "one seat, however often it failed");
    cr_assert_geq(atomic_load(&hooks_run), 3);
    tercet_participant_close(trip);
    tercet_barrier_close(barrier);
    close_all();
}
