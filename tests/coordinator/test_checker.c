/* SPDX-License-Identifier: Apache-2.0
 *
 * A store read by another process: what comes of its lines, and of its end. The processes here are
 * small scripts; tests/ctl and tests/torture have the real one.
 */
#include "checker.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(checker, .timeout = 300);

struct told {
    size_t count;
    char last[CHECKER_TEXT_MAX * 4];
    bool is_over;
};

static void keep(const char *text, void *ctx)
{
    struct told *told = ctx;
    told->count++;
    snprintf(told->last, sizeof(told->last), "%s", text);
}

static bool goes_on(void *ctx)
{
    return !((const struct told *)ctx)->is_over;
}

static char script[64];

/* $4 is the part that it is to read. */
static void write_script(const char *text)
{
    strcpy(script, "/tmp/tercet-checker-XXXXXX");
    int fd = mkstemp(script);
    cr_assert_geq(fd, 0);
    cr_assert_eq(dprintf(fd, "#!/bin/sh\n%s\n", text), (int)strlen(text) + 11);
    cr_assert_eq(fchmod(fd, 0700), 0);
    close(fd);
}

static struct checker checker_of(struct told *told)
{
    *told = (struct told){0};
    return (struct checker){.program = script,
                            .data = "lmdb:/nowhere",
                            .store_size = 1 << 20,
                            .on_damage = keep,
                            .goes_on = goes_on,
                            .ctx = told};
}

Test(checker, what_it_counts_and_finds_is_told)
{
    struct told told;
    write_script("[ \"$*\" = '--data lmdb:/nowhere --check all --store-size 1048576' ] || exit 3\n"
                 "echo 'reading unresolved: some'\n"
                 "echo 'damaged: number 7'\n"
                 "echo 'read: 1 unresolved, 2 branches, 0 resolved, 0 others'\n"
                 "echo 'read: 0 unresolved, 0 branches, 40 resolved, 5 others'\n"
                 "echo 'done: see above'; exit 1");
    struct checker checker = checker_of(&told);
    cr_assert_eq(checker_run(&checker), 0, "%s", checker.text);
    unlink(script);
    cr_expect_eq(checker.counts.live, 1);
    cr_expect_eq(checker.counts.branches, 2);
    cr_expect_eq(checker.counts.resolved, 40);
    cr_expect_eq(checker.counts.meta, 5);
    cr_expect_eq(checker.counts.damages, 1);
    cr_expect_str_eq(told.last, "number 7");
}

Test(checker, an_end_over_a_page_is_a_damage_and_the_rest_is_read)
{
    struct told told;
    write_script("[ $4 = resolved ] && exit 3\n"
                 "if [ $4 = all ]; then\n"
                 "echo 'reading unresolved: some'\n"
                 "echo 'read: 9 unresolved, 9 branches, 0 resolved, 0 others'\n"
                 "echo 'reading resolved: below number 5'\n"
                 "echo 'page 17 is gone' >&2; kill -SEGV $$; fi\n"
                 "echo \"reading $4: it\"\n"
                 "[ $4 = others ] && echo 'read: 0 unresolved, 0 branches, 0 resolved, 3 others'\n"
                 "echo 'done: all whole'");
    struct checker checker = checker_of(&told);
    cr_assert_eq(checker_run(&checker), 0, "%s", checker.text);
    unlink(script);
    cr_expect_eq(told.count, 1, "%s", told.last);
    cr_expect_not_null(strstr(told.last, "below number 5: a page"), "%s", told.last);
    cr_expect_not_null(strstr(told.last, "Segmentation fault: page 17 is gone"), "%s", told.last);
    cr_expect_eq(checker.counts.live, 9);
    cr_expect_eq(checker.counts.meta, 3);
}

Test(checker, what_cannot_be_read_at_all_is_no_answer)
{
    struct told told;
    write_script("echo 'cannot check: no such store'; exit 1");
    struct checker checker = checker_of(&told);
    cr_assert_eq(checker_run(&checker), -1);
    cr_expect_not_null(strstr(checker.text, "no such store"), "%s", checker.text);
    unlink(script);
    cr_assert_eq(checker_run(&checker), -1);
    cr_expect_not_null(strstr(checker.text, "cannot be started"), "%s", checker.text);
}

Test(checker, it_is_ended_when_it_is_not_to_go_on)
{
    struct told told;
    write_script("exec sleep 1000");
    struct checker checker = checker_of(&told);
    told.is_over = true;
    cr_assert_eq(checker_run(&checker), -1);
    cr_expect_str_empty(checker.text);
    unlink(script);
}
