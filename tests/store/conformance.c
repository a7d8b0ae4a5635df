/* SPDX-License-Identifier: Apache-2.0
 *
 * What every driver answers: live, resolved and meta records, buckets, and reads beside commits.
 */
#include "drivers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

CONFORMANCE(one_live_record_is_got)
{
    struct store_value value = {0};
    COMMIT_OK(fixture, op_put(1, 0, "one"), op_put(1, 1, ""));
    cr_assert_eq(store_get_wait(fixture->store, 0, 1, 0, &value), 0);
    cr_assert_eq(value.size, 3);
    cr_assert_arr_eq((char *)value.data, "one", 3);
    store_value_free(&value);
    cr_assert_eq(store_get_wait(fixture->store, 0, 1, 1, &value), 0);
    cr_assert_eq(value.size, 0);
    store_value_free(&value);
    cr_assert_eq(store_get_wait(fixture->store, 0, 1, 2, &value), TERCET_STORE_NOT_FOUND);
    cr_assert_eq(store_get_wait(fixture->store, 0, 2, 0, &value), TERCET_STORE_NOT_FOUND);
}

static int stop_at_two(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    (void)part, (void)value, (void)size;
    (*(int *)ctx)++;
    return number == 2 ? 77 : 0;
}

CONFORMANCE(a_scan_ends_where_it_is_told)
{
    int seen = 0;
    COMMIT_OK(fixture, op_put(1, 0, "a"), op_put(2, 0, "b"), op_put(3, 0, "c"));
    cr_assert_eq(store_scan(fixture->store, 0, 1, UINT64_MAX, stop_at_two, &seen), 77);
    cr_assert_eq(seen, 2);
    COMMIT_OK(fixture, op_put(4, 0, "d"));
}

static int append_number(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    char *text = ctx;
    (void)value, (void)size;
    snprintf(text + strlen(text), 32, "%llu.%u ", (unsigned long long)number, part);
    return 0;
}

CONFORMANCE(a_scan_has_a_range)
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
    COMMIT_OK(fixture, op_put(2, 0, "a"), op_put(2, 1, "b"), op_put(5, 0, "c"), op_put(5, 1, "d"),
              op_put(7, 0, "e"));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char seen[256] = "";
        cr_assert_eq(store_scan(fixture->store, 0, cases[i].from, cases[i].to, append_number, seen),
                     0);
        cr_assert_str_eq(seen, cases[i].seen, "case %zu", i);
    }
}

CONFORMANCE(resolve_moves_all_parts_of_a_number)
{
    COMMIT_OK(fixture, op_put(1, 0, "s"), op_put(2, 0, "t"), op_put(2, 1, "b1"),
              op_put(2, 70000, "b"), op_put(3, 0, "u"));
    COMMIT_OK(fixture, op_resolve(2, "g2", 1500, "done"));
    cr_assert_str_eq(fixture_live(fixture), "1.0=s 3.0=u");
    cr_assert_str_eq(fixture_find(fixture, "g2"), "2=done");
    cr_assert_str_eq(fixture_find_number(fixture, 2), "2=done");
    cr_assert_str_eq(fixture_find(fixture, "g"), "not found");
    cr_assert_str_eq(fixture_find(fixture, "g20"), "not found");
    cr_assert_str_eq(fixture_find_number(fixture, 1), "not found");
    struct tercet_store_stats stats;
    cr_assert_eq(store_stats(fixture->store, &stats), 0);
    cr_assert_eq(stats.live_records, 2);
    cr_assert_eq(stats.resolved_records, 1);
}

CONFORMANCE(resolving_again_replaces_within_a_bucket)
{
    COMMIT_OK(fixture, op_resolve(2, "g2", 1500, "first"));
    COMMIT_OK(fixture, op_resolve(2, "g2", 1600, "second"));
    cr_assert_str_eq(fixture_resolved(fixture, 10), "2=second");
    COMMIT_OK(fixture, op_resolve(2, "g2", 2600, "later"));
    cr_assert_str_eq(fixture_find(fixture, "g2"), "2=later");
    cr_assert_str_eq(fixture_find_number(fixture, 2), "2=later");
}

CONFORMANCE(gids_are_found_in_any_order_and_bucket)
{
    COMMIT_OK(fixture, op_resolve(1, "m", 1500, "1"), op_resolve(2, "z", 1500, "2"),
              op_resolve(3, "a", 1500, "3"));
    COMMIT_OK(fixture, op_resolve(4, "b", 2500, "4"), op_resolve(5, "mm", 2500, "5"),
              op_resolve(6, "\xc3\xa9", 2500, "6"));
    COMMIT_OK(fixture, op_resolve(7, "a0", 500, "7"), op_resolve(8, "A", 2500, "8"));
    fixture_reopen(fixture);
    COMMIT_OK(fixture, op_resolve(9, "zz", 500, "9"), op_resolve(10, "k", 2500, "10"));
    const char *gids[] = {"m", "z", "a", "b", "mm", "\xc3\xa9", "a0", "A", "zz", "k"};
    for (int i = 0; i < 10; i++) {
        char expected[16];
        snprintf(expected, sizeof(expected), "%d=%d", i + 1, i + 1);
        cr_assert_str_eq(fixture_find(fixture, gids[i]), expected);
    }
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

CONFORMANCE(pages_go_from_the_newest_bucket_down)
{
    COMMIT_OK(fixture, op_resolve(5, "a", 1500, "a"), op_resolve(1, "b", 2500, "b"),
              op_resolve(9, "c", 1999, "c"));
    COMMIT_OK(fixture, op_resolve(3, "d", 2000, "d"), op_resolve(4, "e", 0, "e"),
              op_resolve(7, "f", 3000, "f"));
    cr_assert_str_eq(fixture_resolved(fixture, 10), "7=f 3=d 1=b 9=c 5=a 4=e");
    cr_assert_str_eq(fixture_resolved(fixture, 1), "7=f| 3=d| 1=b| 9=c| 5=a| 4=e|");
    cr_assert_str_eq(fixture_resolved(fixture, 2), "7=f 3=d| 1=b 9=c| 5=a 4=e|");
    cr_assert_str_eq(fixture_resolved(fixture, 4), "7=f 3=d 1=b 9=c| 5=a 4=e");
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

CONFORMANCE(paging_survives_what_happens_between_pages)
{
    struct tercet_store_cursor cursor = {0};
    struct pager pager = {.refused = 2};
    COMMIT_OK(fixture, op_resolve(1, "a", 1500, "a"), op_resolve(2, "b", 2500, "b"),
              op_resolve(3, "c", 2500, "c"));
    cr_assert_eq(store_page(fixture->store, 0, &cursor, 9, page_one, &pager), 55);
    pager.refused = 0;
    COMMIT_OK(fixture, op_resolve(8, "h", 2600, "h"), op_resolve(9, "i", 3500, "i"));
    cr_assert_eq(store_page(fixture->store, 0, &cursor, 1, page_one, &pager), 1);
    cr_assert_str_eq(pager.text, "cb");
    COMMIT_OK(fixture, op_resolve(4, "d", 500, "d"), op_drop(1000));
    cr_assert_eq(store_page(fixture->store, 0, &cursor, 9, page_one, &pager), 1);
    cr_assert_str_eq(pager.text, "cba");
    COMMIT_OK(fixture, op_drop(9000));
    cr_assert_eq(store_page(fixture->store, 0, &cursor, 9, page_one, &pager), 0);
}

CONFORMANCE(buckets_are_dropped_whole_and_not_before_their_end)
{
    COMMIT_OK(fixture, op_resolve(1, "a", 1000, "a"), op_resolve(2, "b", 1999, "b"),
              op_resolve(3, "c", 2000, "c"));
    COMMIT_OK(fixture, op_drop(1999));
    cr_assert_str_eq(fixture_resolved(fixture, 10), "3=c 2=b 1=a");
    COMMIT_OK(fixture, op_drop(2000));
    cr_assert_str_eq(fixture_resolved(fixture, 10), "3=c");
    cr_assert_str_eq(fixture_find(fixture, "a"), "not found");
    cr_assert_str_eq(fixture_find(fixture, "c"), "3=c");
    COMMIT_OK(fixture, op_drop(INT64_MIN));
    COMMIT_OK(fixture, op_drop(INT64_MAX));
    cr_assert_str_eq(fixture_resolved(fixture, 10), "");
    COMMIT_OK(fixture, op_resolve(4, "a", 1500, "anew"));
    cr_assert_str_eq(fixture_find(fixture, "a"), "4=anew");
    cr_assert_str_eq(fixture_find(fixture, "b"), "not found");
}

CONFORMANCE(a_wild_clock_refuses_nothing)
{
    COMMIT_OK(fixture, op_resolve(1, "a", INT64_MAX, "a"), op_resolve(2, "b", INT64_MIN, "b"));
    COMMIT_OK(fixture, op_resolve(3, "c", -1, "c"));
    cr_assert_str_eq(fixture_resolved(fixture, 10), "1=a 3=c 2=b");
    cr_assert_str_eq(fixture_resolved(fixture, 1), "1=a| 3=c| 2=b|");
}

CONFORMANCE(more_buckets_than_the_limit_refuse_nothing)
{
    enum { COUNT = TERCET_STORE_BUCKETS_MAX + 3 };
    static struct tercet_store_op ops[COUNT];
    static char gids[COUNT][16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(gids[i], sizeof(gids[i]), "g%05d", i);
        ops[i] = op_resolve((uint64_t)i + 1, gids[i], (int64_t)i * 1000, "r");
    }
    cr_assert_eq(store_commit(fixture->store, 0, fixture->epoch, ops, COUNT), 0);
    fixture_reopen(fixture);
    cr_assert_str_eq(fixture_find(fixture, gids[0]), "1=r");
    cr_assert_str_eq(fixture_find(fixture, gids[COUNT - 1]), "2051=r");
    COMMIT_OK(fixture, op_drop(INT64_C(1000) * TERCET_STORE_BUCKETS_MAX - 1));
    cr_assert_str_eq(fixture_resolved(fixture, 10), "2051=r 2050=r 2049=r 2048=r");
}

CONFORMANCE(meta_records_are_kept_by_name)
{
    COMMIT_OK(fixture, op_meta("b", "2"), op_meta("a", "1"), op_meta("epoch", "mine"),
              op_meta("ab", ""));
    cr_assert_str_eq(fixture_meta(fixture), "a=1 ab= b=2 epoch=mine");
    COMMIT_OK(fixture, op_meta("a", "changed"), op_meta_delete("b"), op_meta_delete("never"));
    fixture_reopen(fixture);
    cr_assert_str_eq(fixture_meta(fixture), "a=changed ab= epoch=mine");
}

/* -- Reads beside commits ---------------------------------------------------------------------- */

#define ROUNDS 400u
#define ROUNDS_A_BUCKET 40u

struct beside {
    struct fixture *fixture;
    atomic_uint committed;
    atomic_int result; /* of the last commit: Criterion's asserts belong to the test's own thread */
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
        int result = COMMIT(beside->fixture, op_put(1, 0, value), op_put(1, 1, value),
                            op_resolve(n + 1, gid, time_ms, value), op_drop(time_ms - 3000));
        atomic_store(&beside->result, result);
        if (result != 0)
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
    struct parts parts = {0};
    struct store_value value;
    struct tercet_store_stats stats;
    struct tercet_store_cursor cursor = {0};
    struct pager pager = {.refused = 0};
    char gid[TERCET_STORE_GID_MAX];
    uint64_t number;
    unsigned committed = atomic_load(&beside->committed);
    cr_assert_eq(store_scan(beside->fixture->store, 0, 1, UINT64_MAX, same_as_first, &parts), 0,
                 "half a batch was seen");
    cr_assert_geq(parts.first, committed, "a finished commit was not seen");
    cr_assert(parts.count == 0 || parts.count == 2);
    name_gid(gid, committed);
    int found = store_find_wait(beside->fixture->store, 0, gid, &number, &value);
    /* While this thread slept, its bucket may have been dropped. */
    bool may_be_gone =
        committed == 0 || atomic_load(&beside->committed) - committed > 2 * ROUNDS_A_BUCKET;
    cr_assert(found == 0 || (found == TERCET_STORE_NOT_FOUND && may_be_gone), "%s: %d", gid, found);
    if (found == 0)
        store_value_free(&value);
    cr_assert_geq(store_page(beside->fixture->store, 0, &cursor, 3, page_one, &pager),
                  committed > 0 ? 1 : 0);
    cr_assert_eq(store_stats(beside->fixture->store, &stats), 0);
}

CONFORMANCE(reads_beside_commits_see_whole_batches)
{
    struct beside beside = {.fixture = fixture};
    pthread_t committer;
    cr_assert_eq(pthread_create(&committer, NULL, commit_rounds, &beside), 0);
    while (atomic_load(&beside.committed) < ROUNDS) {
        cr_assert_eq(atomic_load(&beside.result), 0);
        read_once(&beside);
    }
    pthread_join(committer, NULL);
    read_once(&beside);
}
