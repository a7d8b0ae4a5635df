/* SPDX-License-Identifier: Apache-2.0
 *
 * The coordinator inside the process: in memory, in a directory, and when its store fails.
 */
#include "fixture.h"

#include <owner.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(embedded, .timeout = 400);

struct failure {
    atomic_int count;
    char text[TERCET_TEXT_MAX];
};

static void on_failed(const char *text, void *ctx)
{
    struct failure *failure = ctx;
    snprintf(failure->text, sizeof(failure->text), "%s", text);
    atomic_fetch_add(&failure->count, 1);
    happened();
}

/* A world whose coordinator is in this process. */
static struct tercet_coordinator *open_inside(const char *data, struct failure *failure)
{
    static const char *const listen[] = {"127.0.0.1:0"};
    struct tercet_coordinator_options options = {.size = sizeof(options),
                                                 .data = data,
                                                 .listen = listen,
                                                 .listen_count = 1,
                                                 .retry_base_ms = 10,
                                                 .on_failed = on_failed,
                                                 .failed_ctx = failure};
    struct tercet_client_options client_options = {.size = sizeof(client_options),
                                                   .timeout_ms = 2000};
    struct tercet_coordinator *coordinator = NULL;
    char text[TERCET_TEXT_MAX];
    cr_assert_eq(tercet_coordinator_open(&coordinator, &options, text), 0, "%s", text);
    memset(&world, 0, sizeof(world));
    snprintf(world.daemon.address, sizeof(world.daemon.address), "%s",
             tercet_coordinator_address(coordinator, 0));
    cr_assert_null(tercet_coordinator_address(coordinator, 1));
    cr_assert_eq(tercet_client_open(&world.client, world.daemon.address, &client_options, NULL), 0);
    return coordinator;
}

Test(embedded, in_memory)
{
    struct failure failure = {.count = 0};
    struct tercet_result result;
    struct tercet_coordinator *coordinator = open_inside(":memory:", &failure);
    party_open(&stock, "stock");
    cr_assert_eq(RUN("inside", TERCET_WAIT_RESOLVED, &result, "stock"), 0, "%s", result.text);
    cr_assert_eq(world_state("inside"), TERCET_CONFIRMED);
    cr_assert_eq(atomic_load(&stock.done[TERCET_CONFIRM]), 1);
    party_close(&stock);
    tercet_client_close(world.client);
    tercet_coordinator_close(coordinator, 1000);
    cr_assert_eq(atomic_load(&failure.count), 0);
}

/* Closed while a confirm waits, and opened again. */
Test(embedded, in_a_directory_it_goes_on_where_it_was)
{
    char dir[] = "/tmp/tercet-e2e-XXXXXX";
    struct failure failure = {.count = 0};
    struct tercet_result result;
    cr_assert_not_null(mkdtemp(dir));
    struct tercet_coordinator *coordinator = open_inside(dir, &failure);
    party_open(&stock, "stock");
    atomic_store(&stock.again[TERCET_CONFIRM], FOR_EVER);
    cr_assert_eq(RUN("kept", TERCET_WAIT_DECIDED, &result, "stock"), 0, "%s", result.text);
    party_leave(&stock);
    tercet_client_close(world.client);
    tercet_coordinator_close(coordinator, 0);

    coordinator = open_inside(dir, &failure);
    cr_assert_eq(world_state("kept"), TERCET_CONFIRMING);
    atomic_store(&stock.again[TERCET_CONFIRM], 0);
    party_come(&stock);
    world_wait_state("kept", TERCET_CONFIRMED);
    cr_assert_eq(atomic_load(&stock.done[TERCET_CONFIRM]), 1);
    party_close(&stock);
    tercet_client_close(world.client);
    tercet_coordinator_close(coordinator, 0);
    struct daemon daemon = {.program = NULL};
    snprintf(daemon.dir, sizeof(daemon.dir), "%s", dir);
    daemon_clean(&daemon);
}

/* The decision's commit fails: nobody is told of it, no confirm leaves, and the application hears
 * of the failure, once.
 */
Test(embedded, after_a_failed_commit_nothing_is_acknowledged)
{
    struct failure failure = {.count = 0};
    struct tercet_result result;
    struct tercet_coordinator *coordinator = open_inside(":memory:", &failure);
    struct coordinator *inside = (struct coordinator *)coordinator; /* its first member */
    party_open(&stock, "stock");
    atomic_store(&stock.is_held, true);
    cr_assert_eq(RUN("failing", TERCET_WAIT_NOT, &result, "stock"), 0);
    AWAIT(atomic_load(&stock.entered[TERCET_TRY]) == 1);
    store_memory_fail(inside->store, 1, true);
    party_release(&stock);
    AWAIT(atomic_load(&failure.count) == 1);
    cr_assert_not_null(strstr(failure.text, "outcome is not known"), "%s", failure.text);
    cr_assert_eq(RUN("failing", TERCET_WAIT_DECIDED, &result, "stock"), TERCET_UNKNOWN, "%s",
                 result.text);
    cr_assert_eq(RUN("another", TERCET_WAIT_NOT, &result, "stock"), TERCET_UNKNOWN, "%s",
                 result.text);
    cr_assert_eq(tercet_get(world.client, "failing", &result), TERCET_UNKNOWN);
    cr_assert_eq(atomic_load(&stock.entered[TERCET_TRY]), 1);
    cr_assert_eq(atomic_load(&stock.entered[TERCET_CONFIRM]), 0);
    cr_assert_eq(atomic_load(&failure.count), 1);
    party_close(&stock);
    tercet_client_close(world.client);
    /* nothing will be answered: there is nothing to wait for */
    tercet_coordinator_close(coordinator, FOR_EVER);
}
