/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to a store that answers when the test says: one for all who ask for a gid, who are held
 * behind it in order, within limits.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

static struct bench {
    struct store store;
    struct coordinator *c;
    struct caller caller;
    int asked_count;
    tercet_store_found_fn done; /* of the last question */
    void *ctx;
} bench;

static void find(void *state, uint32_t shard, const char *gid, uint64_t number,
                 tercet_store_found_fn done, void *ctx)
{
    (void)state;
    (void)shard;
    (void)gid;
    (void)number;
    bench.asked_count++;
    bench.done = done;
    bench.ctx = ctx;
}

static void bench_open(void)
{
    const struct tercet_coordinator_options options = {.size = sizeof(options)};
    bench.store = (struct store){.driver = {.find = find}, .state = &bench, .shard_count = 1};
    bench.caller.references = 1000000; /* nobody frees it */
    bench.c = calloc(1, sizeof(*bench.c));
    engine_init(bench.c, &options, 1000, 1700000001000);
    bench.c->shards->store = &bench.store;
}

static void bench_close(void)
{
    engine_clear(bench.c);
    free(bench.c);
}

TestSuite(find, .init = bench_open, .fini = bench_close);

static struct find *ask(const char *gid)
{
    struct found found;
    return find_gid(bench.c, gid, &found);
}

static bool hold(struct find *find, uint64_t id, size_t payload_size)
{
    static uint8_t payload[1024 * 1024];
    Tercet__V1__TryRequest request = TERCET__V1__TRY_REQUEST__INIT;
    Tercet__V1__Branch branch = TERCET__V1__BRANCH__INIT;
    request.branch = &branch;
    branch.payload = (ProtobufCBinaryData){.data = payload, .len = payload_size};
    return find_hold(bench.c, find, &bench.caller, id, METHOD_TRY, &request.base);
}

/* The event that says that the last question is answered. */
static struct find *answer(int rc)
{
    bench.done(rc, 0, (struct tercet_bytes){NULL, 0}, bench.ctx);
    struct event *event = queue_take(&bench.c->queue, 0, false);
    cr_assert(event != NULL && event->kind == EVENT_FOUND && event->next == NULL);
    struct find *find = event->find;
    event_free(event);
    return find;
}

Test(find, all_who_ask_for_a_gid_wait_behind_one_question)
{
    struct find *first = ask("g");
    cr_assert_not_null(first);
    cr_expect_eq(ask("g"), first);
    cr_expect_neq(ask("another"), first);
    cr_expect_eq(bench.asked_count, 2);
    cr_expect_eq(bench.c->finds.count, 2);
}

Test(find, what_is_held_goes_on_in_order)
{
    struct find *find = ask("g");
    for (uint64_t id = 1; id <= 3; id++)
        cr_assert(hold(find, id, 10));
    cr_expect_eq(bench.c->answers.owed_count, 3, "a stop waits for them");
    cr_assert_eq(answer(TERCET_STORE_NOT_FOUND), find);
    cr_expect_eq(find_take(bench.c, find).error, TERCET_NOT_FOUND);
    cr_expect_eq(bench.c->finds.count, 0);
    for (uint64_t id = 1; id <= 3; id++) {
        struct held *held = find_take_held(bench.c, find);
        cr_assert_not_null(held);
        cr_expect_eq(held->id, id);
        cr_expect_eq(((Tercet__V1__TryRequest *)held->message)->branch->payload.len, 10);
        find_free_held(held);
    }
    cr_expect_null(find_take_held(bench.c, find));
    cr_expect_eq(bench.c->finds.held_count, 0);
    cr_expect_eq(bench.c->finds.held_bytes, 0);
    cr_expect_eq(bench.c->answers.owed_count, 0);
    find_free(find);
}

Test(find, a_store_that_fails_stops_the_coordinator)
{
    cr_assert_not_null(ask("g"));
    struct find *find = answer(TERCET_STORE_IO);
    cr_expect_eq(find_take(bench.c, find).error, TERCET_UNAVAILABLE);
    cr_expect(atomic_load(&bench.c->has_failed));
    find_free(find);
}

Test(find, not_more_than_so_many_requests_are_held)
{
    struct find *find = ask("g");
    for (uint64_t id = 0; id < FIND_HELD_MAX; id++)
        cr_assert(hold(find, id, 0));
    cr_expect_not(hold(find, FIND_HELD_MAX, 0));
    cr_expect_not(hold(ask("another"), FIND_HELD_MAX, 0), "over all questions");
}

Test(find, not_more_than_so_many_bytes_are_held)
{
    const size_t size = 1024 * 1024;
    struct find *find = ask("g");
    size_t count = 0;
    while (hold(find, count, size))
        count++;
    cr_expect_eq(count, FIND_HELD_BYTES_MAX / size - 1, "each has a few bytes besides");
    cr_expect(hold(find, count, size / 2), "what fits is held");
}

/* Most stores answer before they return: such a question costs no memory of its own. */
static void find_at_once(void *state, uint32_t shard, const char *gid, uint64_t number,
                         tercet_store_found_fn done, void *ctx)
{
    find(state, shard, gid, number, done, ctx);
    done(TERCET_STORE_NOT_FOUND, 0, (struct tercet_bytes){NULL, 0}, ctx);
}

Test(find, an_answer_at_once_holds_nobody)
{
    struct found found;
    bench.store.driver.find = find_at_once;
    cr_assert_null(find_gid(bench.c, "g", &found));
    cr_expect_eq(found.error, TERCET_NOT_FOUND);
    const struct find *spare = bench.c->finds.spare;
    cr_assert_null(find_gid(bench.c, "h", &found));
    cr_expect_eq(bench.c->finds.spare, spare);
    cr_expect_eq(bench.c->finds.count, 0);
    cr_expect_null(queue_take(&bench.c->queue, 0, false));
}
