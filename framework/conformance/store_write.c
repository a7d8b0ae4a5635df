/* SPDX-License-Identifier: Apache-2.0
 *
 * What every driver does with writes: batches, limits, ownership, outcomes that are not known.
 */
#include "bench.h"

#include <stdlib.h>

static void a_new_store_is_empty(struct bench *bench)
{
    struct tercet_store_stats stats;
    CHECK_TEXT(bench_live(bench), "");
    CHECK_TEXT(bench_resolved(bench, 10), "");
    CHECK_TEXT(bench_meta(bench), "");
    CHECK_TEXT(bench_find(bench, "g1"), "not found");
    CHECK(bench->lease.next_number == 1);
    CHECK(bench->lease.epoch > 0);
    CHECK(store_stats(bench->store, &stats) == 0);
    CHECK(stats.live_records == 0);
    CHECK(stats.resolved_records == 0);
    CHECK(stats.commits == 1);
    CHECK(stats.disk_free_bytes > 0);
}

static void live_records_are_put_replaced_and_deleted(struct bench *bench)
{
    COMMIT_OK(op_put(2, 0, "two"), op_put(1, 1, "one.one"), op_put(1, 0, "one"),
              op_put(300, 0, "late"));
    CHECK_TEXT(bench_live(bench), "1.0=one 1.1=one.one 2.0=two 300.0=late");
    COMMIT_OK(op_put(2, 0, ""), op_delete(1, 1), op_delete(300, 0), op_delete(9, 9));
    CHECK_TEXT(bench_live(bench), "1.0=one 2.0=");
    COMMIT_OK(op_put(256, 0, "middle"), op_put(256, 1, "more"), op_put(255, 0, "before"));
    CHECK_TEXT(bench_live(bench), "1.0=one 2.0= 255.0=before 256.0=middle 256.1=more");
}

static void a_batch_is_applied_in_its_order(struct bench *bench)
{
    COMMIT_OK(op_put(5, 0, "a"), op_delete(5, 0), op_put(4, 0, "b"), op_put(5, 0, "c"),
              op_put(5, 0, "d"));
    CHECK_TEXT(bench_live(bench), "4.0=b 5.0=d");
    COMMIT_OK(op_resolve(5, "g5", 1500, "r"), op_put(5, 0, "again"), op_meta("m", "1"),
              op_meta_delete("m"));
    CHECK_TEXT(bench_live(bench), "4.0=b 5.0=again");
    CHECK_TEXT(bench_meta(bench), "");
    COMMIT_OK(op_resolve(6, "g6", 2500, "gone"), op_drop(3000), op_resolve(7, "g7", 2600, "kept"));
    CHECK_TEXT(bench_resolved(bench, 10), "7=kept");
}

static void the_limits_themselves_are_allowed(struct bench *bench)
{
    char gid[TERCET_STORE_GID_MAX + 1], name[TERCET_STORE_NAME_MAX + 1];
    memset(gid, 'g', sizeof(gid));
    memset(name, 'n', sizeof(name));
    gid[TERCET_STORE_GID_MAX] = name[TERCET_STORE_NAME_MAX] = '\0';
    void *data = calloc(1, TERCET_STORE_VALUE_MAX);
    struct tercet_store_op large = op_put(1, UINT32_MAX, "");
    large.value = data;
    large.size = TERCET_STORE_VALUE_MAX;
    COMMIT_OK(large, op_resolve(UINT64_MAX - 1, gid, 0, "last"), op_meta(name, "long"));
    free(data);
    struct store_value value;
    CHECK(store_get_wait(bench->store, 0, 1, UINT32_MAX, &value) == 0);
    CHECK(value.size == TERCET_STORE_VALUE_MAX);
    store_value_free(&value);
    CHECK_TEXT(bench_find(bench, gid), "18446744073709551614=last");
    CHECK(strlen(bench_meta(bench)) == TERCET_STORE_NAME_MAX + strlen("=long"));
}

static void an_older_epoch_is_fenced(struct bench *bench)
{
    uint64_t old = bench->lease.epoch;
    struct tercet_store_op op = op_put(1, 0, "old");
    bench_acquire(bench);
    CHECK(bench->lease.epoch > old);
    CHECK(store_commit(bench->store, 0, old, &op, 1) == TERCET_STORE_FENCED);
    CHECK_TEXT(bench_live(bench), "");
    COMMIT_OK(op_put(1, 0, "new"));
    CHECK(store_commit(bench->store, 0, bench->lease.epoch + 1, &op, 1) == TERCET_STORE_FENCED);
    store_release(bench->store, 0, old);
    COMMIT_OK(op_put(2, 0, "still"));
}

static void after_release_commits_are_fenced(struct bench *bench)
{
    store_release(bench->store, 0, bench->lease.epoch);
    CHECK(COMMIT(op_put(1, 0, "x")) == TERCET_STORE_FENCED);
    uint64_t old = bench->lease.epoch;
    bench_acquire(bench);
    CHECK(bench->lease.epoch > old);
    COMMIT_OK(op_put(1, 0, "x"));
}

static void epochs_grow_over_a_reopen(struct bench *bench)
{
    uint64_t old = bench->lease.epoch;
    bench_reopen(bench);
    CHECK(bench->lease.epoch > old);
}

static void after_an_unknown_outcome_the_shard_is_acquired_again(struct bench *bench)
{
    COMMIT_OK(op_put(1, 0, "sure"), op_resolve(3, "g3", 1500, "r3"));
    bench->suite->fail_next(bench->store->state, bench->suite->ctx);
    CHECK(COMMIT(op_put(2, 0, "lost"), op_drop(9000), op_resolve(4, "g4", 9500, "r4")) ==
          TERCET_STORE_UNKNOWN);
    CHECK(COMMIT(op_put(2, 0, "x")) == TERCET_STORE_FENCED);
    CHECK_TEXT(bench_live(bench), "1.0=sure");
    CHECK_TEXT(bench_find(bench, "g3"), "3=r3");
    CHECK_TEXT(bench_find(bench, "g4"), "not found");
    uint64_t old = bench->lease.epoch;
    bench_acquire(bench);
    CHECK(bench->lease.epoch > old);
    CHECK(bench->lease.next_number > 3);
    COMMIT_OK(op_put(2, 0, "again"), op_drop(9000), op_resolve(4, "g4", 9500, "r4"));
    CHECK_TEXT(bench_live(bench), "1.0=sure 2.0=again");
    CHECK_TEXT(bench_resolved(bench, 10), "4=r4");
}

static void numbers_are_never_reused(struct bench *bench)
{
    COMMIT_OK(op_put(7, 0, "a"), op_put(9, 0, "b"));
    bench_reopen(bench);
    CHECK(bench->lease.next_number == 10);
    COMMIT_OK(op_delete(9, 0));
    bench_reopen(bench);
    CHECK(bench->lease.next_number == 10);
    COMMIT_OK(op_resolve(7, "g7", 1500, "r"), op_resolve(20, "g20", 1600, "r"));
    bench_reopen(bench);
    CHECK(bench->lease.next_number == 21);
    COMMIT_OK(op_drop(2000));
    CHECK_TEXT(bench_resolved(bench, 10), "");
    bench_reopen(bench);
    CHECK(bench->lease.next_number == 21);
}

const struct bench_case write_cases[] = {
    {"a_new_store_is_empty", a_new_store_is_empty, false},
    {"live_records_are_put_replaced_and_deleted", live_records_are_put_replaced_and_deleted, false},
    {"a_batch_is_applied_in_its_order", a_batch_is_applied_in_its_order, false},
    {"the_limits_themselves_are_allowed", the_limits_themselves_are_allowed, false},
    {"an_older_epoch_is_fenced", an_older_epoch_is_fenced, false},
    {"after_release_commits_are_fenced", after_release_commits_are_fenced, false},
    {"epochs_grow_over_a_reopen", epochs_grow_over_a_reopen, false},
    {"after_an_unknown_outcome_the_shard_is_acquired_again",
     after_an_unknown_outcome_the_shard_is_acquired_again, true},
    {"numbers_are_never_reused", numbers_are_never_reused, false},
    {NULL, NULL, false},
};
