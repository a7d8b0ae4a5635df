/* SPDX-License-Identifier: Apache-2.0
 *
 * What every driver does with writes: batches, limits, ownership, outcomes that are not known.
 */
#include "drivers.h"

#include <stdlib.h>

CONFORMANCE(a_new_store_is_empty)
{
    struct tercet_store_stats stats;
    cr_assert_str_eq(fixture_live(fixture), "");
    cr_assert_str_eq(fixture_resolved(fixture, 10), "");
    cr_assert_str_eq(fixture_meta(fixture), "");
    cr_assert_str_eq(fixture_find(fixture, "g1"), "not found");
    cr_assert_eq(fixture->next_number, 1);
    cr_assert_gt(fixture->epoch, 0);
    cr_assert_eq(store_stats(fixture->store, &stats), 0);
    cr_assert_eq(stats.live_records, 0);
    cr_assert_eq(stats.resolved_records, 0);
    cr_assert_eq(stats.commits, 1);
    cr_assert_gt(stats.disk_free_bytes, 0);
}

CONFORMANCE(live_records_are_put_replaced_and_deleted)
{
    COMMIT_OK(fixture, op_put(2, 0, "two"), op_put(1, 1, "one.one"), op_put(1, 0, "one"),
              op_put(300, 0, "late"));
    cr_assert_str_eq(fixture_live(fixture), "1.0=one 1.1=one.one 2.0=two 300.0=late");
    COMMIT_OK(fixture, op_put(2, 0, ""), op_delete(1, 1), op_delete(300, 0), op_delete(9, 9));
    cr_assert_str_eq(fixture_live(fixture), "1.0=one 2.0=");
    COMMIT_OK(fixture, op_put(256, 0, "middle"), op_put(256, 1, "more"), op_put(255, 0, "before"));
    cr_assert_str_eq(fixture_live(fixture), "1.0=one 2.0= 255.0=before 256.0=middle 256.1=more");
}

CONFORMANCE(a_batch_is_applied_in_its_order)
{
    COMMIT_OK(fixture, op_put(5, 0, "a"), op_delete(5, 0), op_put(4, 0, "b"), op_put(5, 0, "c"),
              op_put(5, 0, "d"));
    cr_assert_str_eq(fixture_live(fixture), "4.0=b 5.0=d");
    COMMIT_OK(fixture, op_resolve(5, "g5", 1500, "r"), op_put(5, 0, "again"), op_meta("m", "1"),
              op_meta_delete("m"));
    cr_assert_str_eq(fixture_live(fixture), "4.0=b 5.0=again");
    cr_assert_str_eq(fixture_meta(fixture), "");
    COMMIT_OK(fixture, op_resolve(6, "g6", 2500, "gone"), op_drop(3000),
              op_resolve(7, "g7", 2600, "kept"));
    cr_assert_str_eq(fixture_resolved(fixture, 10), "7=kept");
}

CONFORMANCE(a_batch_with_an_invalid_operation_writes_nothing)
{
    char gid[TERCET_STORE_GID_MAX + 2], name[TERCET_STORE_NAME_MAX + 2];
    memset(gid, 'g', sizeof(gid));
    memset(name, 'n', sizeof(name));
    gid[TERCET_STORE_GID_MAX + 1] = name[TERCET_STORE_NAME_MAX + 1] = '\0';
    struct tercet_store_op large = op_put(2, 0, "");
    large.value = gid;
    large.size = TERCET_STORE_VALUE_MAX + 1;
    struct tercet_store_op missing = {.kind = TERCET_STORE_PUT, .number = 2, .size = 1};
    struct tercet_store_op unknown = {.kind = (enum tercet_store_op_kind)99};
    cr_assert_eq(COMMIT(fixture, op_put(1, 0, "x"), op_resolve(2, gid, 0, "")),
                 TERCET_STORE_INVALID);
    cr_assert_eq(COMMIT(fixture, op_put(1, 0, "x"), op_resolve(2, "", 0, "")),
                 TERCET_STORE_INVALID);
    cr_assert_eq(COMMIT(fixture, op_put(1, 0, "x"), op_resolve(2, NULL, 0, "")),
                 TERCET_STORE_INVALID);
    cr_assert_eq(COMMIT(fixture, op_put(1, 0, "x"), op_meta(name, "")), TERCET_STORE_INVALID);
    cr_assert_eq(COMMIT(fixture, op_put(1, 0, "x"), op_meta_delete("")), TERCET_STORE_INVALID);
    cr_assert_eq(COMMIT(fixture, op_put(1, 0, "x"), op_put(0, 0, "")), TERCET_STORE_INVALID);
    cr_assert_eq(COMMIT(fixture, op_put(1, 0, "x"), op_put(UINT64_MAX, 0, "")),
                 TERCET_STORE_INVALID);
    cr_assert_eq(COMMIT(fixture, op_put(1, 0, "x"), large), TERCET_STORE_INVALID);
    cr_assert_eq(COMMIT(fixture, op_put(1, 0, "x"), missing), TERCET_STORE_INVALID);
    cr_assert_eq(COMMIT(fixture, op_put(1, 0, "x"), unknown), TERCET_STORE_INVALID);
    cr_assert_str_eq(fixture_live(fixture), "");
    COMMIT_OK(fixture, op_put(1, 0, "x"));
}

CONFORMANCE(the_limits_themselves_are_allowed)
{
    char gid[TERCET_STORE_GID_MAX + 1], name[TERCET_STORE_NAME_MAX + 1];
    memset(gid, 'g', sizeof(gid));
    memset(name, 'n', sizeof(name));
    gid[TERCET_STORE_GID_MAX] = name[TERCET_STORE_NAME_MAX] = '\0';
    void *data = calloc(1, TERCET_STORE_VALUE_MAX);
    struct tercet_store_op large = op_put(1, UINT32_MAX, "");
    large.value = data;
    large.size = TERCET_STORE_VALUE_MAX;
    COMMIT_OK(fixture, large, op_resolve(UINT64_MAX - 1, gid, 0, "last"), op_meta(name, "long"));
    free(data);
    struct store_value value;
    cr_assert_eq(store_get_wait(fixture->store, 0, 1, UINT32_MAX, &value), 0);
    cr_assert_eq(value.size, TERCET_STORE_VALUE_MAX);
    store_value_free(&value);
    cr_assert_str_eq(fixture_find(fixture, gid), "18446744073709551614=last");
    cr_assert_eq(strlen(fixture_meta(fixture)), TERCET_STORE_NAME_MAX + strlen("=long"));
}

CONFORMANCE(an_empty_batch_writes_nothing)
{
    struct tercet_store_stats before, after;
    store_stats(fixture->store, &before);
    cr_assert_eq(store_commit(fixture->store, 0, fixture->epoch, NULL, 0), 0);
    store_stats(fixture->store, &after);
    cr_assert_eq(after.commits, before.commits);
}

static int never(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    (void)number, (void)part, (void)value, (void)size, (void)ctx;
    cr_assert_fail("called");
    return 0;
}

static int never_page(uint64_t number, const void *value, size_t size, void *ctx)
{
    return never(number, 0, value, size, ctx);
}

static int never_meta(const char *name, const void *value, size_t size, void *ctx)
{
    (void)name;
    return never(0, 0, value, size, ctx);
}

CONFORMANCE(a_shard_that_is_not_there_is_invalid)
{
    struct tercet_store_op op = op_put(1, 0, "x");
    struct tercet_store_lease lease;
    struct tercet_store_cursor cursor = {0};
    struct store_value value;
    uint64_t number = 1;
    uint32_t past = fixture->store->shard_count;
    cr_assert_eq(past, 1);
    COMMIT_OK(fixture, op);
    cr_assert_eq(store_acquire(fixture->store, past, &lease), TERCET_STORE_INVALID);
    cr_assert_eq(store_commit(fixture->store, past, fixture->epoch, &op, 1), TERCET_STORE_INVALID);
    cr_assert_eq(store_scan(fixture->store, past, 1, 9, never, NULL), TERCET_STORE_INVALID);
    cr_assert_eq(store_page(fixture->store, past, &cursor, 9, never_page, NULL),
                 TERCET_STORE_INVALID);
    cr_assert_eq(store_meta_scan(fixture->store, past, never_meta, NULL), TERCET_STORE_INVALID);
    cr_assert_eq(store_get_wait(fixture->store, past, 1, 0, &value), TERCET_STORE_INVALID);
    cr_assert_eq(store_find_wait(fixture->store, past, "g", &number, &value), TERCET_STORE_INVALID);
}

CONFORMANCE(an_older_epoch_is_fenced)
{
    uint64_t old = fixture->epoch;
    struct tercet_store_op op = op_put(1, 0, "old");
    fixture_acquire(fixture);
    cr_assert_gt(fixture->epoch, old);
    cr_assert_eq(store_commit(fixture->store, 0, old, &op, 1), TERCET_STORE_FENCED);
    cr_assert_str_eq(fixture_live(fixture), "");
    COMMIT_OK(fixture, op_put(1, 0, "new"));
    cr_assert_eq(store_commit(fixture->store, 0, fixture->epoch + 1, &op, 1), TERCET_STORE_FENCED);
    store_release(fixture->store, 0, old);
    COMMIT_OK(fixture, op_put(2, 0, "still"));
}

CONFORMANCE(after_release_commits_are_fenced)
{
    store_release(fixture->store, 0, fixture->epoch);
    cr_assert_eq(COMMIT(fixture, op_put(1, 0, "x")), TERCET_STORE_FENCED);
    uint64_t old = fixture->epoch;
    fixture_acquire(fixture);
    cr_assert_gt(fixture->epoch, old);
    COMMIT_OK(fixture, op_put(1, 0, "x"));
}

CONFORMANCE(epochs_grow_over_a_reopen)
{
    uint64_t old = fixture->epoch;
    fixture_reopen(fixture);
    cr_assert_gt(fixture->epoch, old);
}

CONFORMANCE(after_an_unknown_outcome_the_shard_is_acquired_again)
{
    COMMIT_OK(fixture, op_put(1, 0, "sure"), op_resolve(3, "g3", 1500, "r3"));
    fixture_fail_next(fixture);
    cr_assert_eq(
        COMMIT(fixture, op_put(2, 0, "lost"), op_drop(9000), op_resolve(4, "g4", 9500, "r4")),
        TERCET_STORE_UNKNOWN);
    cr_assert_eq(COMMIT(fixture, op_put(2, 0, "x")), TERCET_STORE_FENCED);
    cr_assert_str_eq(fixture_live(fixture), "1.0=sure");
    cr_assert_str_eq(fixture_find(fixture, "g3"), "3=r3");
    cr_assert_str_eq(fixture_find(fixture, "g4"), "not found");
    uint64_t old = fixture->epoch;
    fixture_acquire(fixture);
    cr_assert_gt(fixture->epoch, old);
    cr_assert_gt(fixture->next_number, 3);
    COMMIT_OK(fixture, op_put(2, 0, "again"), op_drop(9000), op_resolve(4, "g4", 9500, "r4"));
    cr_assert_str_eq(fixture_live(fixture), "1.0=sure 2.0=again");
    cr_assert_str_eq(fixture_resolved(fixture, 10), "4=r4");
}

CONFORMANCE(numbers_are_never_reused)
{
    COMMIT_OK(fixture, op_put(7, 0, "a"), op_put(9, 0, "b"));
    fixture_reopen(fixture);
    cr_assert_eq(fixture->next_number, 10);
    COMMIT_OK(fixture, op_delete(9, 0));
    fixture_reopen(fixture);
    cr_assert_eq(fixture->next_number, 10);
    COMMIT_OK(fixture, op_resolve(7, "g7", 1500, "r"), op_resolve(20, "g20", 1600, "r"));
    fixture_reopen(fixture);
    cr_assert_eq(fixture->next_number, 21);
    COMMIT_OK(fixture, op_drop(2000));
    cr_assert_str_eq(fixture_resolved(fixture, 10), "");
    fixture_reopen(fixture);
    cr_assert_eq(fixture->next_number, 21);
}

Test(memory_fail, a_failed_commit_may_have_been_applied)
{
    struct fixture fixture;
    fixture_open(&fixture, FIXTURE_MEMORY, 0);
    store_memory_fail(fixture.store, 2, true);
    COMMIT_OK(&fixture, op_put(1, 0, "first"));
    cr_assert_eq(COMMIT(&fixture, op_put(2, 0, "second")), TERCET_STORE_UNKNOWN);
    cr_assert_eq(COMMIT(&fixture, op_put(3, 0, "third")), TERCET_STORE_FENCED);
    fixture_acquire(&fixture);
    cr_assert_eq(fixture.next_number, 3);
    cr_assert_str_eq(fixture_live(&fixture), "1.0=first 2.0=second");
    COMMIT_OK(&fixture, op_put(3, 0, "third"));
    fixture_close(&fixture);
}
