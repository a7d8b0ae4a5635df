/* SPDX-License-Identifier: Apache-2.0
 *
 * The barrier in LMDB: the suite for drivers, and what only LMDB can show: its size, who has it
 * open, what opening says when it fails, a process that is killed at work.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tercet/sys/barrier_conformance.h>
#include <unistd.h>

#include "lmdb_place.h"

/* -- The suite for drivers --------------------------------------------------------------------- */

static char failure_text[512];

static int make(void **out, void *ctx)
{
    struct place *place = malloc(sizeof(*place));
    (void)ctx;
    *place = place_new();
    *out = place;
    return 0;
}

static void take_away(void *place, void *ctx)
{
    (void)ctx;
    place_remove(place);
    free(place);
}

static int open_it(struct tercet_barrier **out, void *place,
                   const struct tercet_barrier_options *options, void *ctx)
{
    (void)ctx;
    int rc = place_try_open(place, options, NULL);
    *out = ((struct place *)place)->barrier;
    return rc;
}

static int write_it(void *place, tercet_db db, const char *gid, uint32_t branch,
                    enum tercet_kind kind, void *ctx)
{
    (void)ctx;
    return place_write(place, db, gid, branch, kind);
}

static int count_it(void *place, const char *gid, int kind, void *ctx)
{
    (void)ctx;
    return place_count(place, gid, kind);
}

static void report(const char *name, const char *failure, void *ctx)
{
    (void)ctx;
    if (failure != NULL)
        snprintf(failure_text, sizeof(failure_text), "%s: %s", name, failure);
}

struct choice {
    char name[80];
};

ParameterizedTestParameters(barrier_lmdb, passes_the_suite)
{
    static struct choice choices[100];
    size_t count = 0;
    for (; tercet_barrier_conformance_case(count) != NULL && count < 100; count++)
        snprintf(choices[count].name, sizeof(choices[count].name), "%s",
                 tercet_barrier_conformance_case(count));
    return cr_make_param_array(struct choice, choices, count);
}

ParameterizedTest(struct choice *choice, barrier_lmdb, passes_the_suite, .timeout = 120)
{
    const struct tercet_barrier_conformance suite = {.size = sizeof(suite),
                                                     .make = make,
                                                     .remove = take_away,
                                                     .open = open_it,
                                                     .write = write_it,
                                                     .count = count_it,
                                                     .is_lasting = true,
                                                     .report = report};
    cr_assert_eq(tercet_barrier_conformance_run(&suite, choice->name), 0, "%s", failure_text);
}

/* -- Opening ----------------------------------------------------------------------------------- */

static void check_fails(const char *folder, int expected, const char *says)
{
    struct tercet_barrier *barrier = NULL;
    char text[TERCET_TEXT_MAX] = "";
    cr_assert_eq(tercet_barrier_lmdb_open(&barrier, folder, NULL, text), expected, "%s", text);
    cr_assert_not_null(strstr(text, says), "%s", text);
    cr_assert_null(barrier);
    cr_assert_eq(tercet_barrier_lmdb_open(&barrier, folder, NULL, NULL), expected);
}

Test(barrier_lmdb, opening_says_what_is_wrong)
{
    check_fails(NULL, TERCET_INVALID, "no folder");
    check_fails("", TERCET_INVALID, "no folder");
    check_fails("/no/such/folder", TERCET_STORE, "does the one above it exist");
    check_fails("/dev/null", TERCET_STORE, "is a folder");
    struct place place = place_new();
    char path[128];
    snprintf(path, sizeof(path), "%s/data.mdb", place.folder);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 2000; i++)
        fprintf(file, "Dear Sir or Madam, line %d\n", i);
    fclose(file);
    check_fails(place.folder, TERCET_FORMAT, "no LMDB database");
    place_remove(&place);
}

Test(barrier_lmdb, is_opened_by_its_url_and_makes_its_folder)
{
    struct place place = place_new();
    struct tercet_barrier *barrier = NULL;
    char url[160], text[TERCET_TEXT_MAX] = "";
    cr_assert_eq(rmdir(place.folder), 0);
    snprintf(url, sizeof(url), "lmdb:%s", place.folder);
    cr_assert_eq(tercet_barrier_open(&barrier, url, NULL, text), 0, "%s", text);
    tercet_barrier_close(barrier);
    place_remove(&place);
}

/* A second one would drop the first one's locks when it is closed. */
Test(barrier_lmdb, a_process_opens_a_folder_once)
{
    struct place place = place_new();
    place_open(&place, NULL);
    check_fails(place.folder, TERCET_INVALID, "open already");
    tercet_barrier_close(place.barrier);
    place_open(&place, NULL);
    tercet_barrier_close(place.barrier);
    place_remove(&place);
}

static int set_version(tercet_db db, void *ctx)
{
    uint8_t bytes[8] = {0, 0, 0, 0, 0, 0, 0, *(const uint8_t *)ctx};
    MDB_val key = {.mv_size = 7, .mv_data = (char[]){"version"}};
    MDB_val value = {.mv_size = 8, .mv_data = bytes};
    MDB_dbi facts;
    cr_assert_eq(mdb_dbi_open(db, "tercet_barrier_fact", 0, &facts), 0);
    return mdb_put(db, facts, &key, &value, 0);
}

Test(barrier_lmdb, tables_of_a_newer_version_are_refused)
{
    struct place place = place_new();
    uint8_t version = 2;
    place_open(&place, NULL);
    cr_assert_eq(tercet_barrier_local(place.barrier, set_version, &version), 0);
    tercet_barrier_close(place.barrier);
    check_fails(place.folder, TERCET_FORMAT, "version 2");
    place_remove(&place);
}

/* -- Its size ---------------------------------------------------------------------------------- */

static char logged[TERCET_TEXT_MAX];

static void on_log(enum tercet_log_level level, const char *text, void *ctx)
{
    (void)level;
    (void)ctx;
    snprintf(logged, sizeof(logged), "%s", text);
}

static int large_reply(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)db;
    (void)ctx;
    call->reply = calloc(1, TERCET_REPLY_MAX);
    call->reply_size = TERCET_REPLY_MAX;
    return 0;
}

static int try_once(struct place *place, unsigned i)
{
    char gid[32];
    snprintf(gid, sizeof(gid), "large-%u", i);
    struct tercet_barrier_call call = {
        .gid = gid, .branch = 1, .kind = TERCET_TRY, .hook = large_reply};
    tercet_barrier_run(place->barrier, &call, 1);
    free(call.reply);
    return call.result;
}

Test(barrier_lmdb, a_full_database_says_what_to_raise_and_goes_on_when_it_is)
{
    struct place place = place_new();
    struct tercet_barrier_options options = {
        .size = sizeof(options), .lmdb_bytes_max = 1 << 20, .on_log = on_log};
    uint64_t rows = 0, mark;
    unsigned count = 0;
    place_open(&place, &options);
    while (count < 1000 && try_once(&place, count) == 0)
        count++;
    cr_assert(count > 10 && count < 1000, "%u", count);
    cr_assert_not_null(strstr(logged, "lmdb_bytes_max"), "%s", logged);
    cr_assert_eq(try_once(&place, count), TERCET_STORE);
    cr_assert_eq(tercet_barrier_stats(place.barrier, &rows, &mark), 0);
    cr_assert_eq(rows, count, "those before it stand");
    tercet_barrier_close(place.barrier);
    options.lmdb_bytes_max = BYTES_MAX;
    place_open(&place, &options);
    cr_assert_eq(try_once(&place, count), 0);
    tercet_barrier_close(place.barrier);
    place_remove(&place);
}

/* -- Killed at work ---------------------------------------------------------------------------- */

#define KILLS 20

/* Tries and confirms, a byte to `out` after each; ends by being killed. */
static void work(struct place *place, int life, int out)
{
    char gid[32];
    place_open(place, NULL);
    for (unsigned i = 0;; i++) {
        snprintf(gid, sizeof(gid), "life-%d-%u", life, i);
        struct tercet_barrier_call calls[2] = {
            {.gid = gid, .branch = 1, .kind = TERCET_TRY, .hook = place_hook, .ctx = place},
            {.gid = gid, .branch = 1, .kind = TERCET_CONFIRM, .hook = place_hook, .ctx = place}};
        tercet_barrier_run(place->barrier, calls, 2);
        if (calls[1].result == 0 && write(out, "x", 1) != 1)
            _exit(1);
    }
}

/* After each kill: every acknowledged branch has its row and its two lines, and no line is without
 * a row. */
Test(barrier_lmdb, a_kill_leaves_rows_and_effects_together, .timeout = 200)
{
    struct place place = place_new();
    uint64_t rows = 0, mark, told = 0;
    for (int life = 0; life < KILLS; life++) {
        int pipes[2];
        char told_now[4096];
        cr_assert_eq(pipe(pipes), 0);
        pid_t pid = fork();
        if (pid == 0)
            work(&place, life, pipes[1]);
        close(pipes[1]);
        for (int want = 1 + life; want > 0; want--)
            cr_assert_eq(read(pipes[0], told_now, 1), 1);
        told += 1 + (uint64_t)life;
        kill(pid, SIGKILL);
        cr_assert_eq(waitpid(pid, NULL, 0), pid);
        for (ssize_t n; (n = read(pipes[0], told_now, sizeof(told_now))) > 0;)
            told += (uint64_t)n;
        close(pipes[0]);
        place_open(&place, NULL);
        cr_assert_eq(tercet_barrier_stats(place.barrier, &rows, &mark), 0);
        cr_assert_geq(rows, told);
        cr_assert_leq(rows, told + (uint64_t)life + 1, "one a life was not told of");
        cr_assert_eq(place_count(&place, NULL, 0), 2 * (int)rows);
        tercet_barrier_close(place.barrier);
    }
    place_remove(&place);
}
