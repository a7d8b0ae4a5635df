/* SPDX-License-Identifier: Apache-2.0
 *
 * The coordinator inside the process: in memory, in a directory, and when its store fails.
 */
#include "fixture.h"

#include <loop.h>
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
static struct tercet_coordinator *open_with(const char *data,
                                            const struct tercet_store_driver *const *drivers,
                                            struct failure *failure)
{
    static const char *const listen[] = {"127.0.0.1:0"};
    struct tercet_coordinator_options options = {.size = sizeof(options),
                                                 .data = data,
                                                 .listen = listen,
                                                 .listen_count = 1,
                                                 .retry_base_ms = 10,
                                                 .on_failed = on_failed,
                                                 .failed_ctx = failure,
                                                 .store_drivers = drivers};
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

static struct tercet_coordinator *open_inside(const char *data, struct failure *failure)
{
    return open_with(data, NULL, failure);
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

    uint64_t source = atomic_exchange(&stock.source, 0);
    cr_assert_neq(source, 0);
    coordinator = open_inside(dir, &failure);
    cr_assert_eq(world_state("kept"), TERCET_CONFIRMING);
    atomic_store(&stock.again[TERCET_CONFIRM], 0);
    party_come(&stock);
    world_wait_state("kept", TERCET_CONFIRMED);
    cr_assert_eq(atomic_load(&stock.done[TERCET_CONFIRM]), 1);
    cr_assert_eq(atomic_load(&stock.source), source, "calls carry the store's identity");
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
    store_memory_fail(inside->shards->store, 1, true);
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

/* -- A driver from outside --------------------------------------------------------------------- */

/* A store across a network, as it were: each lookup by gid ends in a thread of its own. */
struct late {
    void *state;
    char gid[TERCET_GID_MAX + 1];
    tercet_store_found_fn done;
    void *ctx;
};

static atomic_int late_count;

static void *find_late(void *ctx)
{
    struct late *late = ctx;
    atomic_fetch_add(&late_count, 1);
    store_memory_driver.find(late->state, 0, late->gid, 0, late->done, late->ctx);
    free(late);
    return NULL;
}

static void find_in_thread(void *state, uint32_t shard, const char *gid, uint64_t number,
                           tercet_store_found_fn done, void *ctx)
{
    struct late *late = malloc(sizeof(*late));
    pthread_t thread;
    cr_assert(late != NULL && gid != NULL && shard == 0 && number == 0);
    *late = (struct late){.state = state, .done = done, .ctx = ctx};
    snprintf(late->gid, sizeof(late->gid), "%s", gid);
    cr_assert_eq(pthread_create(&thread, NULL, find_late, late), 0);
    pthread_detach(thread);
}

/* Its scheme in `data` chooses it, and what has ended is found although it is found late. */
Test(embedded, a_store_of_a_driver_from_outside)
{
    struct tercet_store_driver driver = store_memory_driver;
    const struct tercet_store_driver *const drivers[] = {&driver, NULL};
    struct failure failure = {.count = 0};
    struct tercet_result result;
    driver.scheme = "outside";
    driver.find = find_in_thread;
    struct tercet_coordinator *coordinator = open_with("outside:", drivers, &failure);
    party_open(&stock, "stock");
    cr_assert_eq(RUN("one", TERCET_WAIT_RESOLVED, &result, "stock"), 0, "%s", result.text);
    cr_assert_eq(RUN("one", TERCET_WAIT_RESOLVED, &result, "stock"), 0, "%s", result.text);
    cr_assert_eq(world_state("one"), TERCET_CONFIRMED);
    cr_assert_eq(tercet_get(world.client, "never", &result), TERCET_NOT_FOUND);
    cr_assert_eq(atomic_load(&stock.done[TERCET_TRY]), 1);
    cr_assert_geq(atomic_load(&late_count), 4);
    party_close(&stock);
    tercet_client_close(world.client);
    tercet_coordinator_close(coordinator, 1000);
    cr_assert_eq(atomic_load(&failure.count), 0);
}

Test(embedded, a_store_of_no_driver_is_refused)
{
    struct tercet_coordinator_options options = {.size = sizeof(options), .data = "outside:x"};
    struct tercet_coordinator *coordinator = NULL;
    char text[TERCET_TEXT_MAX];
    cr_assert_eq(tercet_coordinator_open(&coordinator, &options, text), TERCET_INVALID);
    cr_assert_not_null(strstr(text, "no driver for stores named outside:"), "%s", text);
}
