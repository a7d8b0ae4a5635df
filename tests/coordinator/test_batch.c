/* SPDX-License-Identifier: Apache-2.0
 *
 * When marks, which are lazy, are written: with a batch that is there anyway once they are many or
 * old, with one of their own when they have waited long enough.
 */
#include "fixture.h"

#include <criterion/criterion.h>

#define TXNS (LAZY_RIDE_COUNT + 2)

static struct store *store;
static struct coordinator *c;
static struct entry *entries[TXNS];

static void init(void)
{
    cr_assert_eq(store_open(&store, "memory:", NULL, NULL, NULL), 0);
    c = fixture_start(store, TXNS);
    for (int i = 0; i < TXNS; i++)
        fixture_begin(c, i);
    fixture_commit(c);
    int count = 0;
    for (struct entry *entry = c->shards->table.oldest; entry != NULL; entry = entry->newer)
        entries[count++] = entry;
    cr_assert_eq(count, TXNS);
}

static void fini(void)
{
    fixture_stop(c);
    store_close(store);
}

TestSuite(batch, .init = init, .fini = fini);

static void mark(int count)
{
    for (int i = 0; i < count; i++)
        batch_lazy(entries[i]);
}

/* Forces another transaction's write; how many writes its batch has. */
static size_t force_and_commit(void)
{
    batch_force(entries[TXNS - 1]);
    batch_submit(c->shards, false);
    size_t count = c->shards->batcher.in_flight->op_count;
    cr_assert_eq(batch_commit(c->shards, c->shards->batcher.in_flight), 0);
    loop_committed(c, c->shards, 0);
    return count;
}

Test(batch, few_marks_let_a_batch_go_by)
{
    mark(LAZY_RIDE_COUNT - 1);
    cr_expect_eq(force_and_commit(), 1);
    cr_expect_eq(c->shards->batcher.lazy_count, LAZY_RIDE_COUNT - 1);
    cr_expect_not(batch_is_idle(c->shards));
}

Test(batch, many_marks_ride_along)
{
    mark(LAZY_RIDE_COUNT);
    cr_expect_eq(force_and_commit(), LAZY_RIDE_COUNT + 1);
    cr_expect_eq(c->shards->batcher.lazy_count, 0);
    cr_expect(batch_is_idle(c->shards));
}

Test(batch, old_marks_ride_along)
{
    mark(1);
    c->clock.now_ms += LAZY_RIDE_MS - 1;
    cr_expect_eq(force_and_commit(), 1);
    c->clock.now_ms += 1;
    cr_expect_eq(force_and_commit(), 2);
    cr_expect(batch_is_idle(c->shards));
}

Test(batch, marks_get_a_batch_of_their_own_in_the_end)
{
    mark(2);
    cr_expect_eq(batch_due_ms(c->shards), c->clock.now_ms + LAZY_MAX_MS);
    c->clock.now_ms += LAZY_MAX_MS - 1;
    batch_submit(c->shards, false);
    cr_expect_null(c->shards->batcher.in_flight);
    c->clock.now_ms += 1;
    batch_submit(c->shards, false);
    cr_assert_not_null(c->shards->batcher.in_flight);
    cr_expect_eq(c->shards->batcher.in_flight->op_count, 2);
}

Test(batch, a_mark_that_is_told_of_is_forced)
{
    mark(2);
    batch_force(entries[0]);
    batch_submit(c->shards, false);
    cr_assert_not_null(c->shards->batcher.in_flight);
    cr_expect_eq(c->shards->batcher.in_flight->op_count, 1);
    cr_expect_eq(c->shards->batcher.lazy_count, 1);
}

Test(batch, what_has_ended_and_waits_is_not_unresolved)
{
    c->options.open_max = TXNS;
    entries[0]->txn.state = TXN_CONFIRMED;
    table_recount(&c->shards->table, entries[0]);
    mark(1);
    fixture_begin(c, TXNS); /* there is room for one */
}

Test(batch, a_stop_takes_all_marks)
{
    mark(1);
    batch_submit(c->shards, true);
    cr_assert_not_null(c->shards->batcher.in_flight);
    cr_expect_eq(c->shards->batcher.in_flight->op_count, 1);
    cr_expect_eq(c->shards->batcher.lazy_count, 0);
}
