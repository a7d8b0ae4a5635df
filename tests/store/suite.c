/* SPDX-License-Identifier: Apache-2.0
 *
 * Our drivers pass the suite; and drivers that break a promise do not.
 */
#include "drivers.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <tercet/sys/store_conformance.h>

#include "fault.h"

/* A test of each case with each driver. */
struct choice {
    enum fixture_driver driver;
    char name[80];
};

static int make_dir(char *name, size_t size, void *ctx)
{
    char root[] = "/tmp/tercet-suite-XXXXXX";
    (void)ctx;
    return mkdtemp(root) != NULL && snprintf(name, size, "%s", root) > 0 ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat;
    (void)type;
    (void)walk;
    return remove(path);
}

static void remove_dir(const char *name, void *ctx)
{
    (void)ctx;
    cr_assert_eq(nftw(name, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static int make_nothing(char *name, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    name[0] = '\0';
    return 0;
}

static void fail_next_sync(void *state, void *ctx)
{
    (void)state;
    (void)ctx;
    fault_next_sync();
}

static void report(const char *name, const char *failure, void *ctx)
{
    (*(int *)ctx)++;
    cr_assert_null(failure, "%s: %s", name, failure);
}

ParameterizedTestParameters(suite, our_drivers)
{
    static struct choice choices[200];
    size_t count = 0;
    for (size_t i = 0; tercet_store_conformance_case(i) != NULL; i++)
        for (enum fixture_driver driver = FIXTURE_MEMORY; driver <= FIXTURE_LMDB; driver++) {
            choices[count].driver = driver;
            snprintf(choices[count].name, sizeof(choices[count].name), "%s",
                     tercet_store_conformance_case(i));
            count++;
        }
    return cr_make_param_array(struct choice, choices, count);
}

ParameterizedTest(struct choice *choice, suite, our_drivers, .timeout = 60)
{
    int reported = 0;
    bool is_lmdb = choice->driver == FIXTURE_LMDB;
    const struct tercet_store_conformance suite = {.size = sizeof(suite),
                                                   .driver = is_lmdb ? &store_lmdb_driver
                                                                     : &store_memory_driver,
                                                   .make = is_lmdb ? make_dir : make_nothing,
                                                   .remove = is_lmdb ? remove_dir : NULL,
                                                   .fail_next = is_lmdb ? fail_next_sync : NULL,
                                                   .is_lasting = is_lmdb,
                                                   .report = report,
                                                   .ctx = &reported};
    cr_assert_eq(tercet_store_conformance_run(&suite, choice->name), 0);
    cr_assert(reported == 1 || (!is_lmdb && strstr(choice->name, "unknown_outcome") != NULL), "%s",
              choice->name);
}

/* -- Drivers that are wrong -------------------------------------------------------------------- */

static void count_failure(const char *name, const char *failure, void *ctx)
{
    (void)name;
    *(int *)ctx += failure != NULL;
}

static void expect_found_out(const struct tercet_store_driver *wrong)
{
    int failures = 0;
    const struct tercet_store_conformance suite = {.size = sizeof(suite),
                                                   .driver = wrong,
                                                   .make = make_nothing,
                                                   .report = count_failure,
                                                   .ctx = &failures};
    int failed = tercet_store_conformance_run(&suite, NULL);
    cr_assert_gt(failed, 0);
    cr_assert_eq(failures, failed);
}

static int commit_unfenced(void *state, uint32_t shard, uint64_t epoch,
                           const struct tercet_store_op *ops, size_t count)
{
    int rc = store_memory_driver.commit(state, shard, epoch, ops, count);
    return rc == TERCET_STORE_FENCED ? 0 : rc;
}

static int commit_first(void *state, uint32_t shard, uint64_t epoch,
                        const struct tercet_store_op *ops, size_t count)
{
    return store_memory_driver.commit(state, shard, epoch, ops, count > 1 ? count - 1 : count);
}

static int scan_from_start(void *state, uint32_t shard, uint64_t from, uint64_t to,
                           tercet_store_scan_fn each, void *ctx)
{
    (void)from;
    return store_memory_driver.scan(state, shard, 1, to, each, ctx);
}

static void find_nothing(void *state, uint32_t shard, const char *gid, uint64_t number,
                         tercet_store_found_fn done, void *ctx)
{
    (void)state;
    (void)shard;
    (void)gid;
    (void)number;
    done(TERCET_STORE_NOT_FOUND, 0, (struct tercet_bytes){0}, ctx);
}

static int acquire_without_source(void *state, uint32_t shard, struct tercet_store_lease *out)
{
    int rc = store_memory_driver.acquire(state, shard, out);
    out->source = 0;
    return rc;
}

Test(suite, wrong_drivers_are_found_out, .timeout = 120)
{
    struct tercet_store_driver wrong = store_memory_driver;
    wrong.commit = commit_unfenced;
    expect_found_out(&wrong);
    wrong.commit = commit_first;
    expect_found_out(&wrong);
    wrong = store_memory_driver;
    wrong.scan = scan_from_start;
    expect_found_out(&wrong);
    wrong = store_memory_driver;
    wrong.find = find_nothing;
    expect_found_out(&wrong);
    wrong = store_memory_driver;
    wrong.acquire = acquire_without_source;
    expect_found_out(&wrong);
}
