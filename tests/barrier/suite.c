/* SPDX-License-Identifier: Apache-2.0
 *
 * Our drivers pass the suite for barrier drivers; and barriers that break a promise do not.
 */
#include <stdio.h>
#include <string.h>
#include <tercet/sys/barrier_conformance.h>

#include "bench.h"
#include "pool.h"

#define CASES_MIN 30

/* -- Our drivers ------------------------------------------------------------------------------- */

struct run {
    enum bench_driver driver;
    int reported, failed;
    char failure[512];
};

static int make(void **place, void *ctx)
{
    const struct run *run = ctx;
    *place = bench_make(run->driver, NULL);
    return 0;
}

/* The barrier is the suite's, and closed. */
static void take_away(void *place, void *ctx)
{
    struct bench *bench = place;
    (void)ctx;
    bench->barrier = NULL;
    bench_close(bench);
}

static int open_it(struct tercet_barrier **out, void *place,
                   const struct tercet_barrier_options *options, void *ctx)
{
    struct bench *bench = place;
    (void)ctx;
    bench->options = *options;
    bench_open_barrier(bench);
    *out = bench->barrier;
    return 0;
}

static int write_line(void *place, tercet_db db, const char *gid, uint32_t branch,
                      enum tercet_kind kind, void *ctx)
{
    struct bench_line line = {.branch = branch, .kind = kind};
    (void)ctx;
    strcpy(line.gid, gid);
    return bench_write(place, db, &line);
}

static int count_lines(void *place, const char *gid, int kind, void *ctx)
{
    (void)ctx;
    return bench_effects(place, gid, kind);
}

static void report(const char *name, const char *failure, void *ctx)
{
    struct run *run = ctx;
    run->reported++;
    if (failure == NULL)
        return;
    run->failed++;
    snprintf(run->failure, sizeof(run->failure), "%s: %s", name, failure);
}

static struct tercet_barrier_conformance suite_of(struct run *run)
{
    return (struct tercet_barrier_conformance){.size = sizeof(struct tercet_barrier_conformance),
                                               .make = make,
                                               .remove = take_away,
                                               .open = open_it,
                                               .write = write_line,
                                               .count = count_lines,
                                               .is_lasting = run->driver != BENCH_MEMORY,
                                               .report = report,
                                               .ctx = run};
}

struct choice {
    enum bench_driver driver;
    char name[80];
};

/* A test of each case with each driver. */
ParameterizedTestParameters(barrier_suite, our_drivers)
{
    static struct choice choices[2 * 100];
    size_t count = 0;
    struct criterion_test_params drivers = bench_each_driver();
    for (size_t i = 0; tercet_barrier_conformance_case(i) != NULL; i++)
        for (size_t d = 0; d < drivers.length; d++) {
            choices[count].driver = ((const enum bench_driver *)drivers.params)[d];
            snprintf(choices[count].name, sizeof(choices[count].name), "%s",
                     tercet_barrier_conformance_case(i));
            count++;
        }
    return cr_make_param_array(struct choice, choices, count);
}

ParameterizedTest(struct choice *choice, barrier_suite, our_drivers, .timeout = 120)
{
    struct run run = {.driver = choice->driver};
    const struct tercet_barrier_conformance suite = suite_of(&run);
    cr_assert_eq(tercet_barrier_conformance_run(&suite, choice->name), 0, "%s", run.failure);
    cr_assert_eq(run.reported, 1, "%s", choice->name);
}

Test(barrier_suite, has_cases)
{
    struct run run = {.driver = BENCH_MEMORY};
    const struct tercet_barrier_conformance suite = suite_of(&run);
    cr_assert_eq(tercet_barrier_conformance_run(&suite, "no such case"), 0);
    cr_assert_eq(run.reported, 0);
    size_t count = 0;
    while (tercet_barrier_conformance_case(count) != NULL)
        count++;
    cr_assert_geq(count, CASES_MIN);
}

/* -- What is wrong ----------------------------------------------------------------------------- */

static int write_twice(void *place, tercet_db db, const char *gid, uint32_t branch,
                       enum tercet_kind kind, void *ctx)
{
    int rc = write_line(place, db, gid, branch, kind, ctx);
    return rc == 0 ? write_line(place, db, gid, branch, kind, ctx) : rc;
}

static int make_nothing(void **place, void *ctx)
{
    (void)place;
    (void)ctx;
    return -1;
}

static int open_nothing(struct tercet_barrier **out, void *place,
                        const struct tercet_barrier_options *options, void *ctx)
{
    (void)out;
    (void)place;
    (void)options;
    (void)ctx;
    return TERCET_STORE;
}

/* Drivers that do not do what they are asked. */

static int raise_nothing(void *driver, uint64_t mark)
{
    (void)driver;
    (void)mark;
    return 0;
}

static int collect_nothing(void *driver, uint64_t mark, uint32_t rows_max)
{
    (void)driver;
    (void)mark;
    (void)rows_max;
    return 0;
}

static int save_nothing(void *driver, const struct tercet_barrier_key *key,
                        struct tercet_bytes reply)
{
    (void)driver;
    (void)key;
    (void)reply;
    return 0;
}

static int undo_nothing(void *driver)
{
    (void)driver;
    return 0;
}

static struct tercet_barrier_driver wrong;

/* With those functions that `wrong` has. */
static int open_wrong(struct tercet_barrier **out, void *place,
                      const struct tercet_barrier_options *options, void *ctx)
{
    int rc = open_it(out, place, options, ctx);
    struct tercet_barrier_driver *driver = &(*out)->driver;
    if (wrong.mark_raise != NULL)
        driver->mark_raise = wrong.mark_raise;
    if (wrong.collect != NULL)
        driver->collect = wrong.collect;
    if (wrong.reply_save != NULL)
        driver->reply_save = wrong.reply_save;
    if (wrong.rollback_to != NULL)
        driver->rollback_to = wrong.rollback_to;
    return rc;
}

Test(barrier_suite, drivers_that_do_nothing_are_found)
{
    static const struct {
        struct tercet_barrier_driver wrong;
        const char *found_by;
    } drivers[] = {
        {{.mark_raise = raise_nothing}, "only_rises"},
        {{.collect = collect_nothing}, "collects_a_bounded_count_lowest_first"},
        {{.reply_save = save_nothing}, "a_repeated_try_leaves_the_row_alone"},
        {{.rollback_to = undo_nothing}, "a_failing_hook_rolls_back_alone"},
    };
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        struct run run = {.driver = BENCH_MEMORY};
        struct tercet_barrier_conformance suite = suite_of(&run);
        suite.open = open_wrong;
        wrong = drivers[i].wrong;
        cr_expect_eq(tercet_barrier_conformance_run(&suite, drivers[i].found_by), 1, "%s",
                     drivers[i].found_by);
    }
}

/* Rows that do not last, where the suite is told that they do. */
Test(barrier_suite, what_is_wrong_is_told)
{
    struct run run = {.driver = BENCH_MEMORY};
    struct tercet_barrier_conformance suite = suite_of(&run);
    suite.is_lasting = true;
    cr_expect_eq(tercet_barrier_conformance_run(&suite, NULL), run.failed);
    cr_expect_eq(run.failed, 2, "%s", run.failure);
    cr_expect_geq(run.reported, CASES_MIN);

    suite = suite_of(&run);
    suite.write = write_twice;
    cr_expect_eq(tercet_barrier_conformance_run(&suite, "s6_exactly_once_effects"), 1);
    cr_expect_not_null(strstr(run.failure, "tries <= 1"), "%s", run.failure);

    suite.make = make_nothing;
    cr_expect_eq(tercet_barrier_conformance_run(&suite, "every_cell"), 1);
    cr_expect_str_eq(run.failure, "every_cell: no database could be made for the case");
    suite.make = make;
    suite.open = open_nothing;
    cr_expect_eq(tercet_barrier_conformance_run(&suite, "every_cell"), 1);
    cr_expect_not_null(strstr(run.failure, "could not be opened"), "%s", run.failure);
}
