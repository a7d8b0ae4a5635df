/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver of etcd against a real one (scripts/with-etcd): the suite, and what only it has: a
 * fence that other processes see, batches past etcd's limits, waiting for the owner.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/sys/store_conformance.h>
#include <unistd.h>

#include "contents.h"
#include "etcd.h"
#include "etcd_store.h"

/* After criterion.h, which it would undo. */
#include <criterion/parameterized.h>

/* -- The suite --------------------------------------------------------------------------------- */

static void name_of(char *name, size_t size, const char *case_name)
{
    const char *etcd = getenv("TERCET_TEST_ETCD");
    cr_assert_not_null(etcd, "run by scripts/with-etcd");
    snprintf(name, size, "//%s/test/%s-%d", etcd, case_name, (int)getpid());
}

static int make_prefix(char *name, size_t size, void *ctx)
{
    (void)ctx;
    name_of(name, size, "suite");
    return 0;
}

static void fail_next(void *state, void *ctx)
{
    (void)ctx;
    store_etcd_fail_next(state);
}

static void report(const char *name, const char *failure, void *ctx)
{
    (*(int *)ctx)++;
    cr_assert_null(failure, "%s: %s", name, failure);
}

struct choice {
    char name[80];
};

ParameterizedTestParameters(etcd, suite)
{
    static struct choice choices[100];
    size_t count = 0;
    for (; tercet_store_conformance_case(count) != NULL; count++)
        snprintf(choices[count].name, sizeof(choices[count].name), "%s",
                 tercet_store_conformance_case(count));
    return cr_make_param_array(struct choice, choices, count);
}

ParameterizedTest(struct choice *choice, etcd, suite, .timeout = 120)
{
    int reported = 0;
    const struct tercet_store_conformance suite = {.size = sizeof(suite),
                                                   .driver = &store_etcd_driver,
                                                   .make = make_prefix,
                                                   .fail_next = fail_next,
                                                   .is_lasting = true,
                                                   .report = report,
                                                   .ctx = &reported};
    cr_assert_eq(tercet_store_conformance_run(&suite, choice->name), 0);
    cr_assert_eq(reported, 1);
}

/* -- Two processes, one store -------------------------------------------------------------------
 */

struct opened {
    struct store *store;
    struct tercet_store_lease lease;
    char said[4096]; /* what the driver has logged */
    int asked;       /* whether to wait on */
    int waits_max;   /* 0: for ever */
};

static void on_log(enum tercet_log_level level, const char *text, void *ctx)
{
    struct opened *opened = ctx;
    (void)level;
    size_t used = strlen(opened->said);
    snprintf(opened->said + used, sizeof(opened->said) - used, "%s\n", text);
}

static bool waits_on(const char *text, void *ctx)
{
    struct opened *opened = ctx;
    cr_assert_not_null(strstr(text, "standby: "), "%s", text);
    cr_assert_not_null(strstr(text, " pid "), "%s", text);
    return ++opened->asked != opened->waits_max;
}

static int try_open(struct opened *opened, const char *name, char *text)
{
    const struct tercet_store_options options = {.size = sizeof(options),
                                                 .bucket_ms = 1000,
                                                 .on_log = on_log,
                                                 .log_ctx = opened,
                                                 .waits_on = waits_on,
                                                 .waits_ctx = opened};
    return store_open_with(&opened->store, &store_etcd_driver, name, &options, text);
}

static void open_store(struct opened *opened, const char *case_name, const char *options)
{
    char name[512], text[TERCET_STORE_TEXT_MAX] = "";
    name_of(name, sizeof(name) - strlen(options), case_name);
    strcat(name, options);
    cr_assert_eq(try_open(opened, name, text), 0, "%s", text);
}

static void acquire(struct opened *opened)
{
    cr_assert_eq(store_acquire(opened->store, 0, &opened->lease), 0, "%s", opened->said);
}

#define COMMIT(opened, ...)                                                                        \
    store_commit((opened)->store, 0, (opened)->lease.epoch,                                        \
                 (struct tercet_store_op[]){__VA_ARGS__},                                          \
                 sizeof((struct tercet_store_op[]){__VA_ARGS__}) / sizeof(struct tercet_store_op))

Test(etcd, the_late_write_of_a_fenced_owner_changes_nothing, .timeout = 120)
{
    static struct opened zombie, owner;
    char live[CONTENTS_MAX];
    open_store(&zombie, "zombie", "");
    open_store(&owner, "zombie", "?takeover=now");
    acquire(&zombie);
    cr_assert_eq(COMMIT(&zombie, op_put(1, 0, "first")), 0);
    acquire(&owner);
    cr_assert_eq(owner.lease.epoch, zombie.lease.epoch + 1);
    cr_assert_eq(owner.lease.source, zombie.lease.source);
    cr_assert_eq(owner.lease.next_number, 2);
    cr_assert_eq(COMMIT(&zombie, op_put(1, 0, "late"), op_put(2, 0, "late")), TERCET_STORE_FENCED);
    cr_assert_not_null(strstr(zombie.said, "another coordinator has taken the store over"), "%s",
                       zombie.said);
    cr_assert_str_eq(contents_live(owner.store, live), "1.0=first");
    cr_assert_eq(COMMIT(&owner, op_put(1, 0, "second")), 0);
    cr_assert_eq(COMMIT(&zombie, op_put(1, 0, "late")), TERCET_STORE_FENCED);
    store_close(zombie.store);
    cr_assert_str_eq(contents_live(owner.store, live), "1.0=second");
    store_close(owner.store);
}

Test(etcd, an_owner_whose_lease_is_gone_says_so_before_it_tells_anything, .timeout = 120)
{
    static struct opened owner;
    struct tercet_store_stats stats;
    open_store(&owner, "lease", "");
    acquire(&owner);
    cr_assert_eq(store_stats(owner.store, &stats), 0);
    struct etcd_store *store = owner.store->state;
    etcd_upkeep_revoke(store); /* so that its upkeep does not renew it */
    pthread_mutex_lock(&store->lock);
    store->lease_until_ms = 0; /* as after a pause that was longer */
    store->patience_ms = 100;
    pthread_mutex_unlock(&store->lock);
    cr_assert_eq(store_stats(owner.store, &stats), TERCET_STORE_FENCED);
    store_close(owner.store);
}

Test(etcd, who_stands_by_may_stop_waiting, .timeout = 120)
{
    static struct opened owner, other;
    struct tercet_store_lease lease;
    open_store(&owner, "waiting", "");
    open_store(&other, "waiting", "");
    acquire(&owner);
    other.waits_max = 3;
    cr_assert_eq(store_acquire(other.store, 0, &lease), TERCET_STORE_LOCKED);
    cr_assert_eq(other.asked, 3);
    cr_assert_eq(COMMIT(&owner, op_put(1, 0, "still")), 0);
    store_close(other.store);
    store_close(owner.store);
}

static void *acquire_in_thread(void *ctx)
{
    acquire(ctx);
    return NULL;
}

Test(etcd, one_that_stands_by_goes_on_when_the_owner_has_closed, .timeout = 120)
{
    static struct opened owner, other;
    char live[CONTENTS_MAX];
    pthread_t thread;
    open_store(&owner, "standby", "");
    open_store(&other, "standby", "");
    acquire(&owner);
    cr_assert_eq(COMMIT(&owner, op_put(1, 0, "a"), op_put(1, 1, "b")), 0);
    cr_assert_eq(pthread_create(&thread, NULL, acquire_in_thread, &other), 0);
    store_release(owner.store, 0, owner.lease.epoch);
    store_close(owner.store);
    pthread_join(thread, NULL);
    cr_assert_eq(other.lease.epoch, owner.lease.epoch + 1);
    cr_assert_str_eq(contents_live(other.store, live), "1.0=a 1.1=b");
    store_close(other.store);
}

/* -- Batches past the limits of etcd ------------------------------------------------------------
 */

#define PARTS 1000u
#define PART_SIZE 4096u

static int count_part(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    size_t *counts = ctx;
    (void)part;
    cr_assert_eq(size, PART_SIZE);
    for (size_t i = 0; i < size; i++)
        cr_assert_eq(((const unsigned char *)value)[i], (unsigned char)(number + part));
    counts[number]++;
    return 0;
}

/* One number with four megabytes in a thousand parts, and many numbers: each is whole. */
Test(etcd, a_batch_past_the_limits_is_parted_between_numbers, .timeout = 120)
{
    static struct opened owner;
    static struct tercet_store_op ops[PARTS + 300];
    static unsigned char values[PARTS + 300][PART_SIZE];
    static size_t counts[400];
    open_store(&owner, "large", "");
    acquire(&owner);
    for (uint32_t i = 0; i < PARTS + 300; i++) {
        ops[i] = op_put(i < PARTS ? 1 : i - PARTS + 2, i < PARTS ? i : 0, "");
        memset(values[i], (int)(unsigned char)(ops[i].number + ops[i].part), PART_SIZE);
        ops[i].value = values[i];
        ops[i].size = PART_SIZE;
    }
    cr_assert_eq(store_commit(owner.store, 0, owner.lease.epoch, ops, PARTS + 300), 0, "%s",
                 owner.said);
    cr_assert_eq(store_scan(owner.store, 0, 1, UINT64_MAX, count_part, counts), 0);
    cr_assert_eq(counts[1], PARTS);
    for (size_t i = 2; i < 302; i++)
        cr_assert_eq(counts[i], 1);
    cr_assert_eq(COMMIT(&owner, op_resolve(1, "g", 1500, "over")), 0);
    memset(counts, 0, sizeof(counts));
    cr_assert_eq(store_scan(owner.store, 0, 1, 1, count_part, counts), 0);
    cr_assert_eq(counts[1], 0);
    store_close(owner.store);
}

/* What a crash leaves of a batch: chunks that nothing names. They are passed over. */
Test(etcd, chunks_that_nothing_names_are_passed_over, .timeout = 120)
{
    static struct opened owner;
    static unsigned char large[200 * 1024];
    char live[CONTENTS_MAX];
    open_store(&owner, "chunks", "");
    acquire(&owner);
    struct etcd_store *store = owner.store->state;
    struct tercet_store_op op = op_put(3, 0, "");
    struct etcd_plan plan;
    op.value = large;
    op.size = sizeof(large);
    etcd_plan_make(&plan, store, store->batch + 1, &op, 1);
    cr_assert_gt(plan.count, 2);
    cr_assert_eq(etcd_write_fenced(store, plan.writes, plan.count - 1, 3), 0);
    etcd_plan_clear(&plan);
    acquire(&owner);
    cr_assert_str_eq(contents_live(owner.store, live), "");
    cr_assert_eq(COMMIT(&owner, op_put(3, 0, "small"), op_put(4, 0, "x")), 0);
    cr_assert_str_eq(contents_live(owner.store, live), "3.0=small 4.0=x");
    store_close(owner.store);
}

/* -- History and what was dropped ----------------------------------------------------------------
 */

static int count_key(const char *key, size_t key_size, const unsigned char *value, size_t size,
                     void *ctx)
{
    (void)key;
    (void)key_size;
    (void)value;
    (void)size;
    (*(size_t *)ctx)++;
    return 0;
}

static size_t count_of(struct etcd_store *store, const char *kind)
{
    struct etcd_key from, to;
    size_t count = 0;
    etcd_key_shard(&from, store, kind);
    etcd_key_past(&to, &from);
    cr_assert_eq(etcd_walk(store, &from, &to, SIZE_MAX, count_key, &count), 0);
    return count;
}

Test(etcd, dropped_buckets_go_in_slices, .timeout = 120)
{
    enum { COUNT = 1200 };
    static struct opened owner;
    static struct tercet_store_op ops[COUNT];
    static char gids[COUNT][16];
    open_store(&owner, "dropped", "");
    acquire(&owner);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(gids[i], sizeof(gids[i]), "g%zu", i);
        ops[i] = op_resolve(i + 1, gids[i], 1500, "r");
    }
    cr_assert_eq(store_commit(owner.store, 0, owner.lease.epoch, ops, COUNT), 0);
    struct etcd_store *store = owner.store->state;
    cr_assert_eq(count_of(store, "done/"), COUNT);
    cr_assert_eq(COMMIT(&owner, op_resolve(COUNT + 1, "kept", 5000, "k"), op_drop(2000)), 0);
    for (int i = 0; i < 1000 && count_of(store, "gone/") > 0; i++)
        etcd_sweep(store); /* beside the store's own thread, which does the same */
    cr_assert_eq(count_of(store, "gone/"), 0);
    cr_assert_eq(count_of(store, "done/"), 1);
    cr_assert_eq(count_of(store, "gid/"), 1);
    store_close(owner.store);
}

/* -- Names and what is wrong ----------------------------------------------------------------------
 */

Test(etcd, names_that_are_none_are_explained)
{
    static const struct {
        const char *name, *text;
    } cases[] = {
        {"", "not the name of a store in etcd"},
        {"//", "a prefix is wanted"},
        {"//127.0.0.1:2379", "a prefix is wanted"},
        {"//127.0.0.1:2379/", "a prefix of 1 to 127 characters"},
        {"//127.0.0.1/x", "no HOST:PORT"},
        {"//127.0.0.1:2379,/x", "no HOST:PORT"},
        {"//:2379/x", "no HOST:PORT"},
        {"//127.0.0.1:2379/a b", "printable ASCII"},
        {"//127.0.0.1:2379/x?lease=1s", "not known: lease=1s"},
        {"//127.0.0.1:2379/x?lease=5", "not known: lease=5"},
        {"//127.0.0.1:2379/x?color=red", "not known: color=red"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct opened opened = {.store = NULL};
        char text[TERCET_STORE_TEXT_MAX] = "";
        cr_assert_eq(try_open(&opened, cases[i].name, text), TERCET_STORE_INVALID, "%s",
                     cases[i].name);
        cr_assert_not_null(strstr(text, cases[i].text), "%s: %s", cases[i].name, text);
    }
}

Test(etcd, keys_that_are_not_ours_are_left_alone, .timeout = 120)
{
    static struct opened inner, outer;
    char name[512], text[TERCET_STORE_TEXT_MAX] = "";
    name_of(name, sizeof(name), "nest");
    open_store(&inner, "nest", "/inner");
    store_close(inner.store);
    cr_assert_eq(try_open(&outer, name, text), TERCET_STORE_CORRUPT);
    cr_assert_not_null(strstr(text, "they are no store of Tercet's: take another prefix"), "%s",
                       text);
}

/* -- Made by several at once ------------------------------------------------------------------- */

#define MAKERS 6
#define MAKING_ROUNDS 15

struct maker {
    pthread_t thread;
    pthread_barrier_t *start;
    struct opened opened;
    char name[32], text[TERCET_STORE_TEXT_MAX];
    int rc;
};

static void *make_store(void *ctx)
{
    struct maker *maker = ctx;
    char name[512];
    name_of(name, sizeof(name), maker->name);
    pthread_barrier_wait(maker->start);
    maker->rc = try_open(&maker->opened, name, maker->text);
    return NULL;
}

Test(etcd, several_may_make_it_at_once, .timeout = 120)
{
    static struct maker makers[MAKERS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, MAKERS);
    for (int round = 0; round < MAKING_ROUNDS; round++) {
        memset(makers, 0, sizeof(makers));
        for (int i = 0; i < MAKERS; i++) {
            makers[i].start = &start;
            snprintf(makers[i].name, sizeof(makers[i].name), "making%d", round);
            cr_assert_eq(pthread_create(&makers[i].thread, NULL, make_store, &makers[i]), 0);
        }
        for (int i = 0; i < MAKERS; i++) {
            pthread_join(makers[i].thread, NULL);
            cr_assert_eq(makers[i].rc, 0, "%s", makers[i].text);
            store_close(makers[i].opened.store);
        }
    }
    pthread_barrier_destroy(&start);
}

Test(etcd, an_etcd_that_is_not_there_is_named, .timeout = 120)
{
    struct opened opened = {.store = NULL};
    char text[TERCET_STORE_TEXT_MAX] = "";
    cr_assert_eq(try_open(&opened, "//127.0.0.1:1/x", text), TERCET_STORE_IO);
    cr_assert_not_null(strstr(text, "127.0.0.1:1"), "%s", text);
    cr_assert_not_null(strstr(text, "is etcd running there?"), "%s", text);
}
