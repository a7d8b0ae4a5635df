/* SPDX-License-Identifier: Apache-2.0
 *
 * What a driver is asked whose database keeps facts about itself: its identity, and whose numbers
 * it goes by.
 */
#include "scripted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "bench.h"

bool bench_random_is_gone;

ssize_t __real_getrandom(void *data, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *data, size_t size, unsigned flags);

/* The linker puts it in the place of getrandom. */
ssize_t __wrap_getrandom(void *data, size_t size, unsigned flags)
{
    return bench_random_is_gone ? -1 : __real_getrandom(data, size, flags);
}

static int take_keep(void *state, enum tercet_barrier_fact fact, const char *proposed,
                     char kept[TERCET_BARRIER_IDENTITY_MAX + 1])
{
    (void)state;
    (void)fact;
    snprintf(kept, TERCET_BARRIER_IDENTITY_MAX + 1, "%s",
             script.kept != NULL ? script.kept : proposed);
    scripted_note("keep");
    return script.keep_result;
}

static void open_keeping_barrier(void)
{
    struct tercet_barrier_driver table = scripted_driver;
    table.keep = take_keep;
    scripted_open(&table, NULL);
}

TestSuite(keeping, .init = open_keeping_barrier, .fini = scripted_close, .timeout = 60);

Test(keeping, an_identity_is_proposed_once_it_is_random)
{
    char identity[TERCET_BARRIER_IDENTITY_MAX + 1] = "untouched";
    bench_random_is_gone = true;
    cr_expect_eq(tercet_barrier_identity(scripted_barrier, identity), TERCET_STORE);
    cr_expect_str_eq(identity, "untouched");
    cr_expect_not_null(strstr(script.logged, "the database's identity"), "%s", script.logged);
    expect_asked("");
    bench_random_is_gone = false;
    cr_expect_eq(tercet_barrier_identity(scripted_barrier, identity), 0);
    cr_expect_eq(strlen(identity), TERCET_BARRIER_IDENTITY_MAX);
    expect_asked("keep");
}

/* Work that goes on outside of the database has rows beside those of the branches. */
Test(keeping, branches_of_begun_work_are_in_their_range)
{
    static const uint32_t branches[] = {TERCET_BARRIER_BEGUN, TERCET_BARRIER_BEGUN + 1,
                                        TERCET_BARRIER_BEGUN + TERCET_BRANCHES_MAX,
                                        TERCET_BARRIER_BEGUN + TERCET_BRANCHES_MAX + 1};
    static const int results[] = {TERCET_INVALID, 0, 0, TERCET_INVALID};
    for (size_t i = 0; i < sizeof(branches) / sizeof(branches[0]); i++) {
        struct tercet_barrier_call call = call_of(TERCET_TRY, reply_hook);
        call.branch = branches[i];
        cr_expect_eq(run_one(&call), results[i], "%u", branches[i]);
        free(call.reply);
    }
}

/* A try of source 7 with a mark; the answer is the mark's: whether it was raised. */
static bool takes_the_mark(void)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, reply_hook);
    call.source = 7;
    call.low_water = 3;
    script.asked[0] = '\0';
    cr_expect_eq(run_one(&call), 0);
    free(call.reply);
    return strstr(script.asked, "mark_raise") != NULL;
}

Test(keeping, the_first_source_is_kept_and_asked_for_once)
{
    cr_expect(takes_the_mark());
    cr_expect_not_null(strstr(script.asked, "keep"), "%s", script.asked);
    cr_expect(takes_the_mark());
    cr_expect_null(strstr(script.asked, "keep"), "%s", script.asked);
    cr_expect_str_eq(script.logged, "");
}

Test(keeping, another_source_moves_no_mark)
{
    script.kept = "0000000000000008";
    cr_expect_not(takes_the_mark());
    cr_expect_not_null(
        strstr(script.logged, "0000000000000008, and gets calls of 0000000000000007"), "%s",
        script.logged);
}

/* Whose numbers the database goes by is not known then, and asked again with the next batch. */
Test(keeping, a_source_that_cannot_be_read_is_not_held_against_calls)
{
    script.keep_result = TERCET_STORE;
    cr_expect(takes_the_mark());
    script.keep_result = 0;
    script.kept = "0000000000000008";
    cr_expect_not(takes_the_mark());
}
