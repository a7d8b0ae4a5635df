/* SPDX-License-Identifier: Apache-2.0
 *
 * What every driver answers: live, resolved and meta records, buckets, and reads beside commits.
 */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static void one_live_record_is_got(struct bench *bench)
{
    struct store_value value = {0};
    COMMIT_OK(op_put(1, 0, "one"), op_put(1, 1, ""));
    CHECK(store_get_wait(bench->store, 0, 1, 0, &value) == 0);
    CHECK(value.size == 3);
    CHECK(memcmp((char *)value.data, "one", 3) == 0);
    store_value_free(&value);
    CHECK(store_get_wait(bench->store, 0, 1, 1, &value) == 0);
    CHECK(value.size == 0);
    store_value_free(&value);
    CHECK(store_get_wait(bench->store, 0, 1, 2, &value) == TERCET_STORE_NOT_FOUND);
    CHECK(store_get_wait(bench->store, 0, 2, 0, &value) == TERCET_STORE_NOT_FOUND);
}

static int stop_at_two(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    (void)part;
    (void)value;
    (void)size;
    (*(int *)ctx)++;
    return number == 2 ? 77 : 0;
}

static void a_scan_ends_where_it_is_told(struct bench *bench)
{
    int seen = 0;
    COMMIT_OK(op_put(1, 0, "a"), op_put(2, 0, "b"), op_put(3, 0, "c"));
    CHECK(store_scan(bench->store, 0, 1, UINT64_MAX, stop_at_two, &seen) == 77);
    CHECK(seen == 2);
    COMMIT_OK(op_put(4, 0, "d"));
}

static int append_number(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    char *text = ctx;
    (void)value;
    (void)size;
    snprintf(text + strlen(text), 32, "%llu.%u ", (unsigned long long)number, part);
    return 0;
}

static void a_scan_has_a_range(struct bench *bench)
{
    static const struct {
        uint64_t from, to;
        const char *seen;
    } cases[] = {{1, UINT64_MAX, "2.0 2.1 5.0 5.1 7.0 "},
                 {2, 2, "2.0 2.1 "},
                 {3, 5, "5.0 5.1 "},
                 {3, 4, ""},
                 {6, 100, "7.0 "},
                 {8, UINT64_MAX, ""},
                 {1, 1, ""},
                 {5, 7, "5.0 5.1 7.0 "}};
    COMMIT_OK(op_put(2, 0, "a"), op_put(2, 1, "b"), op_put(5, 0, "c"), op_put(5, 1, "d"),
              op_put(7, 0, "e"));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char seen[256] = "";
        CHECK(store_scan(bench->store, 0, cases[i].from, cases[i].to, append_number, seen) == 0);
        CHECK_TEXT(seen, cases[i].seen);
    }
}

static void resolve_moves_all_parts_of_a_number(struct bench *bench)
{
    COMMIT_OK(op_put(1, 0, "s"), op_put(2, 0, "t"), op_put(2, 1, "b1"), op_put(2, 70000, "b"),
              op_put(3, 0, "u"));
    COMMIT_OK(op_resolve(2, "g2", 1500, "done"));
    CHECK_TEXT(bench_live(bench), "1.0=s 3.0=u");
    CHECK_TEXT(bench_find(bench, "g2"), "2=done");
    CHECK_TEXT(bench_find_number(bench, 2), "2=done");
    CHECK_TEXT(bench_find(bench, "g"), "not found");
    CHECK_TEXT(bench_find(bench, "g20"), "not found");
    CHECK_TEXT(bench_find_number(bench, 1), "not found");
    struct tercet_store_stats stats;
    CHECK(store_stats(bench->store, &stats) == 0);
    CHECK(stats.live_records == 2);
    CHECK(stats.resolved_records == 1);
}

static void resolving_again_replaces_within_a_bucket(struct bench *bench)
{
    COMMIT_OK(op_resolve(2, "g2", 1500, "first"));
    COMMIT_OK(op_resolve(2, "g2", 1600, "second"));
    CHECK_TEXT(bench_resolved(bench, 10), "2=second");
    COMMIT_OK(op_resolve(2, "g2", 2600, "later"));
    CHECK_TEXT(bench_find(bench, "g2"), "2=later");
    CHECK_TEXT(bench_find_number(bench, 2), "2=later");
}

static void gids_are_found_in_any_order_and_bucket(struct bench *bench)
{
    COMMIT_OK(op_resolve(1, "m", 1500, "1"), op_resolve(2, "z", 1500, "2"),
              op_resolve(3, "a", 1500, "3"));
    COMMIT_OK(op_resolve(4, "b", 2500, "4"), op_resolve(5, "mm", 2500, "5"),
              op_resolve(6, "\xc3\xa9", 2500, "6"));
    COMMIT_OK(op_resolve(7, "a0", 500, "7"), op_resolve(8, "A", 2500, "8"));
    bench_reopen(bench);
    COMMIT_OK(op_resolve(9, "zz", 500, "9"), op_resolve(10, "k", 2500, "10"));
    const char *gids[] = {"m", "z", "a", "b", "mm", "\xc3\xa9", "a0", "A", "zz", "k"};
    for (int i = 0; i < 10; i++) {
        char expected[16];
        snprintf(expected, sizeof(expected), "%d=%d", i + 1, i + 1);
        CHECK_TEXT(bench_find(bench, gids[i]), expected);
    }
}

static void pages_go_from_the_newest_bucket_down(struct bench *bench)
{
    COMMIT_OK(op_resolve(5, "a", 1500, "a"), op_resolve(1, "b", 2500, "b"),
              op_resolve(9, "c", 1999, "c"));
    COMMIT_OK(op_resolve(3, "d", 2000, "d"), op_resolve(4, "e", 0, "e"),
              op_resolve(7, "f", 3000, "f"));
    CHECK_TEXT(bench_resolved(bench, 10), "7=f 3=d 1=b 9=c 5=a 4=e");
    CHECK_TEXT(bench_resolved(bench, 1), "7=f| 3=d| 1=b| 9=c| 5=a| 4=e|");
    CHECK_TEXT(bench_resolved(bench, 2), "7=f 3=d| 1=b 9=c| 5=a 4=e|");
    CHECK_TEXT(bench_resolved(bench, 4), "7=f 3=d 1=b 9=c| 5=a 4=e");
}

struct pager {
    char text[64];
    uint64_t refused;
};

static int page_one(uint64_t number, const void *value, size_t size, void *ctx)
{
    struct pager *pager = ctx;
    if (number == pager->refused)
        return 55;
    snprintf(pager->text + strlen(pager->text), sizeof(pager->text) - strlen(pager->text), "%.*s",
             (int)size, (const char *)value);
    return 0;
}

static void paging_survives_what_happens_between_pages(struct bench *bench)
{
    struct tercet_store_cursor cursor = {0};
    struct pager pager = {.refused = 2};
    COMMIT_OK(op_resolve(1, "a", 1500, "a"), op_resolve(2, "b", 2500, "b"),
              op_resolve(3, "c", 2500, "c"));
    CHECK(store_page(bench->store, 0, &cursor, 9, page_one, &pager) == 55);
    pager.refused = 0;
    COMMIT_OK(op_resolve(8, "h", 2600, "h"), op_resolve(9, "i", 3500, "i"));
    CHECK(store_page(bench->store, 0, &cursor, 1, page_one, &pager) == 1);
    CHECK_TEXT(pager.text, "cb");
    COMMIT_OK(op_resolve(4, "d", 500, "d"), op_drop(1000));
    CHECK(store_page(bench->store, 0, &cursor, 9, page_one, &pager) == 1);
    CHECK_TEXT(pager.text, "cba");
    COMMIT_OK(op_drop(9000));
    CHECK(store_page(bench->store, 0, &cursor, 9, page_one, &pager) == 0);
}

static void buckets_are_dropped_whole_and_not_before_their_end(struct bench *bench)
{
    COMMIT_OK(op_resolve(1, "a", 1000, "a"), op_resolve(2, "b", 1999, "b"),
              op_resolve(3, "c", 2000, "c"));
    COMMIT_OK(op_drop(1999));
    CHECK_TEXT(bench_resolved(bench, 10), "3=c 2=b 1=a");
    COMMIT_OK(op_drop(2000));
    CHECK_TEXT(bench_resolved(bench, 10), "3=c");
    CHECK_TEXT(bench_find(bench, "a"), "not found");
    CHECK_TEXT(bench_find(bench, "c"), "3=c");
    COMMIT_OK(op_drop(INT64_MIN));
    COMMIT_OK(op_drop(INT64_MAX));
    CHECK_TEXT(bench_resolved(bench, 10), "");
    COMMIT_OK(op_resolve(4, "a", 1500, "anew"));
    CHECK_TEXT(bench_find(bench, "a"), "4=anew");
    CHECK_TEXT(bench_find(bench, "b"), "not found");
}

static int add_bucket(const struct tercet_store_bucket *bucket, void *ctx)
{
    char *text = ctx;
    snprintf(text + strlen(text), CONTENTS_MAX - strlen(text), "%lld-%lld:%llu ",
             (long long)bucket->start_ms, (long long)bucket->end_ms,
             (unsigned long long)bucket->records);
    return bucket->bytes > 0 ? 0 : 1;
}

static void buckets_are_told_with_what_they_hold(struct bench *bench)
{
    char text[CONTENTS_MAX] = "";
    COMMIT_OK(op_resolve(1, "a", 1000, "a"), op_resolve(2, "b", 1999, "b"),
              op_resolve(3, "c", 5500, "c"));
    int rc = store_buckets(bench->store, 0, add_bucket, text);
    if (rc == TERCET_STORE_INVALID)
        return; /* the driver cannot tell */
    CHECK(rc == 0);
    CHECK_TEXT(text, "5000-6000:1 1000-2000:2 ");
    COMMIT_OK(op_drop(2000));
    bench_reopen(bench);
    text[0] = '\0';
    CHECK(store_buckets(bench->store, 0, add_bucket, text) == 0);
    CHECK_TEXT(text, "5000-6000:1 ");
}

static void a_wild_clock_refuses_nothing(struct bench *bench)
{
    COMMIT_OK(op_resolve(1, "a", INT64_MAX, "a"), op_resolve(2, "b", INT64_MIN, "b"));
    COMMIT_OK(op_resolve(3, "c", -1, "c"));
    CHECK_TEXT(bench_resolved(bench, 10), "1=a 3=c 2=b");
    CHECK_TEXT(bench_resolved(bench, 1), "1=a| 3=c| 2=b|");
}

static void more_buckets_than_the_limit_refuse_nothing(struct bench *bench)
{
    enum { COUNT = TERCET_STORE_BUCKETS_MAX + 3 };
    static struct tercet_store_op ops[COUNT];
    static char gids[COUNT][16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(gids[i], sizeof(gids[i]), "g%05d", i);
        ops[i] = op_resolve((uint64_t)i + 1, gids[i], (int64_t)i * 1000, "r");
    }
    CHECK(store_commit(bench->store, 0, bench->lease.epoch, ops, COUNT) == 0);
    bench_reopen(bench);
    CHECK_TEXT(bench_find(bench, gids[0]), "1=r");
    CHECK_TEXT(bench_find(bench, gids[COUNT - 1]), "2051=r");
    COMMIT_OK(op_drop(INT64_C(1000) * TERCET_STORE_BUCKETS_MAX - 1));
    CHECK_TEXT(bench_resolved(bench, 10), "2051=r 2050=r 2049=r 2048=r");
}

static void meta_records_are_kept_by_name(struct bench *bench)
{
    COMMIT_OK(op_meta("b", "2"), op_meta("a", "1"), op_meta("epoch", "mine"), op_meta("ab", ""));
    CHECK_TEXT(bench_meta(bench), "a=1 ab= b=2 epoch=mine");
    COMMIT_OK(op_meta("a", "changed"), op_meta_delete("b"), op_meta_delete("never"));
    bench_reopen(bench);
    CHECK_TEXT(bench_meta(bench), "a=changed ab= epoch=mine");
}

/* -- Reads beside commits ---------------------------------------------------------------------- */

#define ROUNDS 400u
#define ROUNDS_A_BUCKET 40u

struct beside {
    struct bench *bench;
    atomic_uint committed;
    atomic_int result; /* of the last commit */
};

static void name_gid(char *gid, uint64_t number)
{
    snprintf(gid, TERCET_STORE_GID_MAX, "g%06u", (unsigned)number);
}

/* Round n puts two parts with the same value, resolves n - 1 and now and then drops a bucket. */
static void *commit_rounds(void *ctx)
{
    struct beside *beside = ctx;
    for (unsigned n = 1; n <= ROUNDS; n++) {
        char value[16], gid[TERCET_STORE_GID_MAX];
        snprintf(value, sizeof(value), "%u", n);
        name_gid(gid, n);
        int64_t time_ms = (int64_t)n * 1000 / ROUNDS_A_BUCKET;
        struct bench *bench = beside->bench;
        int rc = COMMIT(op_put(1, 0, value), op_put(1, 1, value),
                        op_resolve(n + 1, gid, time_ms, value), op_drop(time_ms - 3000));
        atomic_store(&beside->result, rc);
        if (rc != 0)
            return NULL;
        atomic_store(&beside->committed, n);
    }
    return NULL;
}

struct parts {
    unsigned first;
    unsigned count;
};

static int same_as_first(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    struct parts *parts = ctx;
    char text[16] = {0};
    memcpy(text, value, size < 15 ? size : 15);
    unsigned seen = (unsigned)strtoul(text, NULL, 10);
    if (part == 0)
        parts->first = seen;
    parts->count++;
    return number == 1 && seen == parts->first ? 0 : 1;
}

static void read_once(struct beside *beside)
{
    struct bench *bench = beside->bench;
    struct parts parts = {0};
    struct store_value value;
    struct tercet_store_stats stats;
    struct tercet_store_cursor cursor = {0};
    struct pager pager = {.refused = 0};
    char gid[TERCET_STORE_GID_MAX];
    uint64_t number;
    unsigned committed = atomic_load(&beside->committed);
    CHECK(store_scan(bench->store, 0, 1, UINT64_MAX, same_as_first, &parts) == 0);
    CHECK(parts.first >= committed);
    CHECK(parts.count == 0 || parts.count == 2);
    name_gid(gid, committed);
    int found = store_find_wait(bench->store, 0, gid, &number, &value);
    /* While this thread slept, its bucket may have been dropped. */
    bool may_be_gone =
        committed == 0 || atomic_load(&beside->committed) - committed > 2 * ROUNDS_A_BUCKET;
    CHECK(found == 0 || (found == TERCET_STORE_NOT_FOUND && may_be_gone));
    if (found == 0)
        store_value_free(&value);
    CHECK(store_page(bench->store, 0, &cursor, 3, page_one, &pager) >= (committed > 0));
    CHECK(store_stats(bench->store, &stats) == 0);
}

static void reads_beside_commits_see_whole_batches(struct bench *bench)
{
    struct beside beside = {.bench = bench};
    pthread_t committer;
    CHECK(pthread_create(&committer, NULL, commit_rounds, &beside) == 0);
    while (atomic_load(&beside.committed) < ROUNDS && atomic_load(&beside.result) == 0 &&
           bench->failure[0] == '\0')
        read_once(&beside);
    pthread_join(committer, NULL);
    CHECK(atomic_load(&beside.result) == 0);
    read_once(&beside);
}

/* -- Shards ------------------------------------------------------------------------------------ */

static void the_store_keeps_its_identity(struct bench *bench)
{
    struct tercet_store_lease first = bench->lease;
    CHECK(first.source != 0);
    bench_acquire(bench);
    CHECK(bench->lease.source == first.source);
    bench_reopen(bench);
    CHECK(bench->lease.source == first.source);
}

/* Where there are several. */
static void shards_know_nothing_of_each_other(struct bench *bench)
{
    struct tercet_store_lease other;
    struct store_value value;
    uint32_t count = bench->store->shard_count;
    CHECK(count >= 1);
    if (count == 1)
        return;
    COMMIT_OK(op_put(40, 1, "x"), op_resolve(41, "g", 1500, "r"), op_meta("m", "1"));
    CHECK(store_acquire(bench->store, count - 1, &other) == 0);
    CHECK(other.next_number == 1 && other.source != bench->lease.source);
    CHECK(store_get_wait(bench->store, count - 1, 40, 1, &value) == TERCET_STORE_NOT_FOUND);
    uint64_t number = 0;
    CHECK(store_find_wait(bench->store, count - 1, "g", &number, &value) == TERCET_STORE_NOT_FOUND);
    COMMIT_OK(op_put(42, 1, "the first is still held"));
}

const struct bench_case read_cases[] = {
    {"one_live_record_is_got", one_live_record_is_got, false},
    {"a_scan_ends_where_it_is_told", a_scan_ends_where_it_is_told, false},
    {"a_scan_has_a_range", a_scan_has_a_range, false},
    {"resolve_moves_all_parts_of_a_number", resolve_moves_all_parts_of_a_number, false},
    {"resolving_again_replaces_within_a_bucket", resolving_again_replaces_within_a_bucket, false},
    {"gids_are_found_in_any_order_and_bucket", gids_are_found_in_any_order_and_bucket, false},
    {"pages_go_from_the_newest_bucket_down", pages_go_from_the_newest_bucket_down, false},
    {"paging_survives_what_happens_between_pages", paging_survives_what_happens_between_pages,
     false},
    {"buckets_are_dropped_whole_and_not_before_their_end",
     buckets_are_dropped_whole_and_not_before_their_end, false},
    {"buckets_are_told_with_what_they_hold", buckets_are_told_with_what_they_hold, false},
    {"a_wild_clock_refuses_nothing", a_wild_clock_refuses_nothing, false},
    {"more_buckets_than_the_limit_refuse_nothing", more_buckets_than_the_limit_refuse_nothing,
     false},
    {"meta_records_are_kept_by_name", meta_records_are_kept_by_name, false},
    {"reads_beside_commits_see_whole_batches", reads_beside_commits_see_whole_batches, false},
    {"the_store_keeps_its_identity", the_store_keeps_its_identity, false},
    {"shards_know_nothing_of_each_other", shards_know_nothing_of_each_other, false},
    {NULL, NULL, false},
};
