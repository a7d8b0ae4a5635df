/* SPDX-License-Identifier: Apache-2.0
 *
 * A full map, a full disk, failing syncs and meta writes: the outcome is unknown, the store is
 * fenced, and everything committed before is there afterwards. And: the file does not grow in a
 * steady state.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "fault.h"
#include "fixture.h"

#define SUITE lmdb_fault
#define TIMEOUT .timeout = 120
#define VALUE_SIZE 3000

static char large_value[VALUE_SIZE + 1];

static struct tercet_store_op op_put_large(uint64_t number)
{
    memset(large_value, 'v', VALUE_SIZE);
    return op_put(number, 0, large_value);
}

/* Commits until one fails: TERCET_STORE_UNKNOWN. Returns how many were durable. */
static uint64_t commit_until_full(struct fixture *fixture)
{
    uint64_t committed = 0;
    int result = 0;
    while (result == 0) {
        cr_assert_lt(committed, 10000, "it never got full");
        result = COMMIT(fixture, op_put_large(committed + 1));
        committed += result == 0;
    }
    cr_assert_eq(result, TERCET_STORE_UNKNOWN);
    cr_assert_eq(COMMIT(fixture, op_put(1, 0, "x")), TERCET_STORE_FENCED);
    cr_assert_gt(committed, 3);
    return committed;
}

static void expect_live(struct fixture *fixture, uint64_t from, uint64_t to)
{
    struct tercet_store_stats stats;
    cr_assert_eq(store_stats(fixture->store, &stats), 0);
    cr_assert_eq(stats.live_records, to - from + 1);
    for (uint64_t number = from; number <= to; number++) {
        struct store_value value;
        cr_assert_eq(store_get_wait(fixture->store, 0, number, 0, &value), 0);
        cr_assert_eq(value.size, VALUE_SIZE);
        store_value_free(&value);
    }
}

Test(SUITE, a_full_map_loses_nothing, TIMEOUT)
{
    struct fixture fixture;
    fixture_prepare(&fixture, FIXTURE_LMDB, 1000);
    fixture.options.size_max = 256u << 10;
    fixture_reopen(&fixture);
    uint64_t committed = commit_until_full(&fixture);
    expect_live(&fixture, 1, committed);
    struct tercet_store_stats stats;
    cr_assert_eq(store_stats(fixture.store, &stats), 0);
    cr_assert_eq(stats.bytes_max, 256u << 10);
    cr_assert_gt(stats.bytes_used, stats.bytes_max * 8 / 10,
                 "the high-water mark would not have seen it");
    cr_assert_leq(stats.bytes_used, stats.bytes_max);
    fixture.options.size_max = 1u << 20;
    fixture_reopen(&fixture);
    expect_live(&fixture, 1, committed);
    COMMIT_OK(&fixture, op_put_large(committed + 1));
    fixture_close(&fixture);
}

/* A limit on the size of files stands in for a full disk where nothing can be mounted. */
Test(SUITE, a_file_that_cannot_grow_loses_nothing, TIMEOUT)
{
    struct fixture fixture;
    struct rlimit limit, unlimited;
    fixture_open(&fixture, FIXTURE_LMDB, 1000);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    limit = unlimited;
    limit.rlim_cur = 300u << 10;
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    uint64_t committed = commit_until_full(&fixture);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    expect_live(&fixture, 1, committed);
    fixture_reopen(&fixture);
    expect_live(&fixture, 1, committed);
    COMMIT_OK(&fixture, op_put_large(committed + 1));
    fixture_close(&fixture);
}

static bool mount_small(const char *dir)
{
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return false;
    return mkdir(dir, 0700) == 0 && mount("tmpfs", dir, "tmpfs", 0, "size=512k") == 0;
}

Test(SUITE, a_full_disk_loses_nothing, TIMEOUT)
{
    struct fixture fixture;
    struct tercet_store_stats stats;
    fixture_prepare(&fixture, FIXTURE_LMDB, 1000);
    if (!mount_small(fixture.dir)) {
        fixture_close(&fixture);
        cr_skip_test("a small tmpfs cannot be mounted here: %s", strerror(errno));
    }
    fixture_reopen(&fixture);
    cr_assert_eq(store_stats(fixture.store, &stats), 0);
    cr_assert_lt(stats.disk_free_bytes, 512u << 10);
    uint64_t committed = commit_until_full(&fixture);
    expect_live(&fixture, 1, committed);
    cr_assert_eq(store_stats(fixture.store, &stats), 0);
    cr_assert_lt(stats.disk_free_bytes, 64u << 10);
    char remount[] = "size=4m";
    cr_assert_eq(mount("tmpfs", fixture.dir, "tmpfs", MS_REMOUNT, remount), 0);
    fixture_reopen(&fixture);
    expect_live(&fixture, 1, committed);
    COMMIT_OK(&fixture, op_put_large(committed + 1));
    store_close(fixture.store);
    fixture.store = NULL;
    cr_assert_eq(umount(fixture.dir), 0);
    fixture_close(&fixture);
}

Test(SUITE, a_failed_sync_is_unknown, TIMEOUT)
{
    struct fixture fixture;
    fixture_open(&fixture, FIXTURE_LMDB, 1000);
    COMMIT_OK(&fixture, op_put(1, 0, "sure"));
    fault_next_sync();
    cr_assert_eq(COMMIT(&fixture, op_put(2, 0, "lost")), TERCET_STORE_UNKNOWN);
    cr_assert_eq(COMMIT(&fixture, op_put(3, 0, "fenced")), TERCET_STORE_FENCED);
    fixture_reopen(&fixture);
    cr_assert_str_eq(fixture_live(&fixture), "1.0=sure");
    fixture_close(&fixture);
}

static int never(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    (void)number;
    (void)part;
    (void)value;
    (void)size;
    (void)ctx;
    return 99;
}

Test(SUITE, a_failed_meta_write_needs_a_reopen, TIMEOUT)
{
    struct fixture fixture;
    struct tercet_store_lease lease;
    fixture_open(&fixture, FIXTURE_LMDB, 1000);
    COMMIT_OK(&fixture, op_put(1, 0, "sure"), op_resolve(2, "g2", 1500, "r"));
    fault_next_meta_write();
    cr_assert_eq(COMMIT(&fixture, op_put(3, 0, "lost"), op_drop(9000)), TERCET_STORE_UNKNOWN);
    cr_assert_eq(COMMIT(&fixture, op_put(3, 0, "fenced")), TERCET_STORE_FENCED);
    cr_assert_eq(store_acquire(fixture.store, 0, &lease), TERCET_STORE_IO);
    cr_assert_eq(COMMIT(&fixture, op_put(3, 0, "fenced")), TERCET_STORE_FENCED);
    cr_assert_eq(store_scan(fixture.store, 0, 1, UINT64_MAX, never, NULL), TERCET_STORE_IO);
    cr_assert_str_eq(fixture_find(&fixture, "g2"), tercet_store_strerror(TERCET_STORE_IO));
    fixture_reopen(&fixture);
    cr_assert_str_eq(fixture_live(&fixture), "1.0=sure");
    cr_assert_str_eq(fixture_find(&fixture, "g2"), "2=r");
    fixture_close(&fixture);
}

Test(SUITE, an_acquire_that_cannot_write_says_so, TIMEOUT)
{
    struct fixture fixture;
    struct tercet_store_lease lease = {.epoch = 7, .next_number = 8, .source = 9};
    fixture_open(&fixture, FIXTURE_LMDB, 1000);
    fault_next_sync();
    cr_assert_eq(store_acquire(fixture.store, 0, &lease), TERCET_STORE_IO);
    cr_assert_eq(lease.epoch, 7);
    cr_assert_eq(lease.next_number, 8);
    cr_assert_eq(lease.source, 9);
    cr_assert_eq(COMMIT(&fixture, op_put(1, 0, "x")), TERCET_STORE_FENCED);
    uint64_t before = fixture.epoch;
    fixture_acquire(&fixture);
    cr_assert_gt(fixture.epoch, before);
    COMMIT_OK(&fixture, op_put(1, 0, "x"));
    fixture_close(&fixture);
}

/* -- Growth ------------------------------------------------------------------------------------ */

#define LIVE 20u
#define CYCLES_A_BUCKET 25u
#define BUCKETS_KEPT 4u

/* One transaction's life: begin, branches, decision; and the one LIVE numbers ago is resolved. */
static void run_cycle(struct fixture *fixture, uint64_t number)
{
    char gid[32], scratch[32];
    int64_t time_ms = (int64_t)(number * 1000 / CYCLES_A_BUCKET);
    snprintf(gid, sizeof(gid), "g%012llu", (unsigned long long)number);
    snprintf(scratch, sizeof(scratch), "g%012llu", (unsigned long long)(number - LIVE));
    memset(large_value, 'v', VALUE_SIZE);
    COMMIT_OK(fixture, op_put(number, 0, gid), op_put(number, 1, large_value),
              op_put(number, 2, gid));
    if (number <= LIVE)
        return;
    COMMIT_OK(fixture, op_put(number, 0, "decided"), op_delete(number, 2),
              op_resolve(number - LIVE, scratch, time_ms, large_value),
              op_drop(time_ms - (int64_t)(BUCKETS_KEPT * 1000)));
    /* A read that would stay open would hold all pages from here on. */
    cr_assert_str_neq(fixture_find(fixture, scratch), "not found");
}

static uint64_t file_size(const struct fixture *fixture)
{
    char path[128];
    struct stat stat_of;
    snprintf(path, sizeof(path), "%s/data.mdb", fixture->dir);
    cr_assert_eq(stat(path, &stat_of), 0);
    return (uint64_t)stat_of.st_size;
}

Test(SUITE, the_file_does_not_grow_in_a_steady_state, TIMEOUT)
{
    struct fixture fixture;
    struct tercet_store_stats stats;
    uint64_t number = 0;
    fixture_open(&fixture, FIXTURE_LMDB, 1000);
    while (number < 2 * CYCLES_A_BUCKET * BUCKETS_KEPT)
        run_cycle(&fixture, ++number);
    uint64_t before = file_size(&fixture);
    while (number < 10 * CYCLES_A_BUCKET * BUCKETS_KEPT)
        run_cycle(&fixture, ++number);
    cr_assert_leq(file_size(&fixture), before * 3 / 2);
    cr_assert_eq(store_stats(fixture.store, &stats), 0);
    cr_assert_eq(stats.live_records, LIVE * 2);
    cr_assert_leq(stats.bytes_used, file_size(&fixture));
    COMMIT_OK(&fixture, op_drop(INT64_MAX));
    uint64_t used = stats.bytes_used;
    cr_assert_eq(store_stats(fixture.store, &stats), 0);
    cr_assert_lt(stats.bytes_used, used / 2, "dropped pages count as free");
    fixture_close(&fixture);
}
