/* SPDX-License-Identifier: Apache-2.0
 *
 * From a store's name to its driver, and drivers that are handed in.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "store.h"

static int refuse_to_open(void **state, const char *name,
                          const struct tercet_store_options *options, char *text)
{
    (void)state;
    cr_assert_eq(options->size, sizeof(*options));
    snprintf(text, TERCET_STORE_TEXT_MAX, "asked for [%s], %d ms", name, (int)options->bucket_ms);
    return TERCET_STORE_LOCKED;
}

/* Ours under another scheme, and telling how it was asked. */
static struct tercet_store_driver foreign(const char *scheme)
{
    struct tercet_store_driver driver = store_memory_driver;
    driver.scheme = scheme;
    driver.open = refuse_to_open;
    return driver;
}

static void expect(const char *name, const struct tercet_store_driver *driver, int code,
                   const char *part)
{
    const struct tercet_store_driver *const drivers[] = {driver, NULL};
    const struct tercet_store_options options = {.size = sizeof(options), .bucket_ms = 7};
    struct store *store = NULL;
    char text[TERCET_STORE_TEXT_MAX] = "";
    int rc = store_open(&store, name, drivers, &options, text);
    cr_assert_eq(rc, code, "%s: %d %s", name, rc, text);
    cr_assert_not_null(strstr(text, part), "%s: %s", name, text);
    cr_assert_null(store);
    cr_assert_eq(store_open(&store, name, drivers, &options, NULL), code);
}

Test(names, the_scheme_chooses_the_driver)
{
    struct tercet_store_driver etcd = foreign("etcd"), memory = foreign("memory");
    expect("etcd:a:1,b:2/x", &etcd, TERCET_STORE_LOCKED, "asked for [a:1,b:2/x], 7 ms");
    expect("etcd:", &etcd, TERCET_STORE_LOCKED, "asked for []");
    expect("memory:x", &memory, TERCET_STORE_LOCKED, "asked for [x]");
    expect("memory:x", &etcd, TERCET_STORE_INVALID, "memory: and nothing behind it");
    expect("etcds:a", &etcd, TERCET_STORE_INVALID, "no driver for stores named etcds:");
    expect("etc:a", &etcd, TERCET_STORE_INVALID, "./etc:a");
    expect("lmdb:", &etcd, TERCET_STORE_INVALID, "wants a directory");
    expect("lmdb:/nowhere/at/all", &etcd, TERCET_STORE_IO, "/nowhere/at/all");
    expect("/nowhere/etcd:all", &etcd, TERCET_STORE_IO, "/nowhere/etcd:all");
    expect("", &etcd, TERCET_STORE_INVALID, "wants a directory");
}

Test(names, a_store_in_memory_has_two_names)
{
    const char *names[] = {"memory:", ":memory:"};
    for (size_t i = 0; i < 2; i++) {
        struct store *store;
        cr_assert_eq(store_open(&store, names[i], NULL, NULL, NULL), 0);
        cr_assert_eq(store->shard_count, 1);
        store_close(store);
    }
}

Test(names, a_driver_of_another_version_is_refused)
{
    struct tercet_store_driver driver = foreign("etcd");
    driver.version = TERCET_STORE_VERSION + 1;
    expect("etcd:a", &driver, TERCET_STORE_INVALID, "version 2");
    driver = foreign("etcd");
    driver.size = offsetof(struct tercet_store_driver, open_to_read) - 8;
    expect("etcd:a", &driver, TERCET_STORE_INVALID, "build it");
    driver.size += 8; /* the first version's table */
    expect("etcd:a", &driver, TERCET_STORE_LOCKED, "asked for [a]");
    driver = foreign("etcd");
    driver.find = NULL;
    expect("etcd:a", &driver, TERCET_STORE_INVALID, "lacks a function");
    driver = foreign("etcd");
    driver.room_of = NULL;
    expect("etcd:a", &driver, TERCET_STORE_LOCKED, "asked for [a]");
}

Test(names, shards_of_one_store_know_nothing_of_each_other)
{
    const struct tercet_store_options options = {.size = sizeof(options), .shard_count = 3};
    struct store *store;
    struct tercet_store_lease one, two;
    struct store_value value;
    cr_assert_eq(store_open(&store, "memory:", NULL, &options, NULL), 0);
    cr_assert_eq(store->shard_count, 3);
    cr_assert_eq(store_acquire(store, 1, &one), 0);
    cr_assert_eq(store_acquire(store, 2, &two), 0);
    cr_assert_neq(one.source, two.source);
    struct tercet_store_op op = {
        .kind = TERCET_STORE_PUT, .number = 40, .part = 1, .value = "x", .size = 1};
    cr_assert_eq(store_commit(store, 0, one.epoch, &op, 1), TERCET_STORE_FENCED);
    cr_assert_eq(store_commit(store, 1, one.epoch, &op, 1), 0);
    cr_assert_eq(store_get_wait(store, 2, 40, 1, &value), TERCET_STORE_NOT_FOUND);
    cr_assert_eq(store_get_wait(store, 1, 40, 1, &value), 0);
    store_value_free(&value);
    cr_assert_eq(store_acquire(store, 2, &two), 0);
    cr_assert_eq(two.next_number, 1);
    cr_assert_eq(store_acquire(store, 1, &one), 0);
    cr_assert_eq(one.next_number, 41);
    cr_assert_eq(store_acquire(store, 3, &one), TERCET_STORE_INVALID);
    store_close(store);
    const struct tercet_store_options lmdb = {.size = sizeof(lmdb), .shard_count = 2};
    cr_assert_eq(store_open(&store, "lmdb:/tmp/never-made", NULL, &lmdb, NULL),
                 TERCET_STORE_INVALID);
}
