/* SPDX-License-Identifier: Apache-2.0
 *
 * What is refused at the door (store.c), whatever the driver; and the memory store's own failures.
 */
#include "drivers.h"

#include <stdlib.h>

static int never(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    (void)number;
    (void)part;
    (void)value;
    (void)size;
    (void)ctx;
    cr_assert_fail("called");
    return 0;
}

static int never_meta(const char *name, const void *value, size_t size, void *ctx)
{
    (void)name;
    return never(0, 0, value, size, ctx);
}

static int never_page(uint64_t number, const void *value, size_t size, void *ctx)
{
    return never(number, 0, value, size, ctx);
}

CONFORMANCE(a_gid_too_long_is_invalid)
{
    char gid[TERCET_STORE_GID_MAX + 2];
    struct store_value value;
    uint64_t number = 5;
    memset(gid, 'g', sizeof(gid));
    gid[TERCET_STORE_GID_MAX + 1] = '\0';
    cr_assert_eq(store_find_wait(fixture->store, 0, gid, &number, &value), TERCET_STORE_INVALID);
    cr_assert_eq(store_find_wait(fixture->store, 0, "", &number, &value), TERCET_STORE_INVALID);
    cr_assert_eq(store_find_wait(fixture->store, 0, "g", &number, &value), TERCET_STORE_NOT_FOUND);
    cr_assert_eq(number, 5, "untouched on failure");
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

CONFORMANCE(an_empty_batch_writes_nothing)
{
    struct tercet_store_stats before, after;
    store_stats(fixture->store, &before);
    cr_assert_eq(store_commit(fixture->store, 0, fixture->epoch, NULL, 0), 0);
    store_stats(fixture->store, &after);
    cr_assert_eq(after.commits, before.commits);
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
