/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection to the server dies at message i of n, for every i, in either direction, before the
 * message has passed and after: while a barrier is opened, and in a batch that does everything
 * there is to do. Nothing may be torn or done twice, and the barrier comes back by itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "cutter.h"
#include "pool.h"

#define CALLS 7
#define ASKS_MAX 2000
#define ASK_PAUSE_NS 2000000

struct cut {
    struct bench *bench;
    struct cutter *cutter;
    char url[320];                 /* through the cutter */
    struct tercet_barrier *direct; /* beside it */
    char last_line[TERCET_TEXT_MAX];
    int lost_count; /* calls that were told "ask me again" */
};

static void keep_line(enum tercet_log_level level, const char *text, void *ctx)
{
    (void)level;
    snprintf(ctx, TERCET_TEXT_MAX, "%s", text);
}

static void pause_a_while(void)
{
    nanosleep(&(struct timespec){.tv_nsec = ASK_PAUSE_NS}, NULL); /* as a coordinator does */
}

/* The server's folder in the URL becomes that of the cutter. */
static void start(struct cut *cut, enum bench_driver driver)
{
    const char *folder = getenv("TERCET_TEST_FOLDER");
    const char *name = driver == BENCH_POSTGRES ? ".s.PGSQL.5432" : "s";
    enum cutter_protocol protocol = driver == BENCH_POSTGRES ? CUTTER_POSTGRES
                                    : driver == BENCH_MYSQL  ? CUTTER_MYSQL
                                                             : CUTTER_REDIS;
    char path[128], server[128];
    cut->bench = bench_open(driver, NULL);
    cut->direct = cut->bench->barrier;
    const char *at = strstr(cut->bench->url, folder);
    cr_assert_not_null(at);
    snprintf(cut->url, sizeof(cut->url), "%.*s%s%s", (int)(at - cut->bench->url), cut->bench->url,
             cut->bench->folder, at + strlen(folder));
    snprintf(path, sizeof(path), "%s/%s", cut->bench->folder, name);
    snprintf(server, sizeof(server), "%s/%s", folder, name);
    cut->cutter = cutter_start(protocol, path, server);
    cr_assert_not_null(cut->cutter);
}

/* Everything gone, and two branches tried that the batch will end. */
static void begin_anew(struct cut *cut, struct part *part)
{
    cut->bench->barrier = cut->direct;
    bench_sql(cut->bench, "DELETE FROM ledger");
    bench_sql(cut->bench, "DELETE FROM tercet_barrier");
    for (uint32_t branch = 2; branch <= 3; branch++) {
        struct tercet_barrier_call call = bench_call(part, TERCET_TRY);
        call.branch = branch;
        call.number = 7;
        cr_assert_eq(bench_ask(cut->bench, call), 0);
    }
}

/* Opening is one of the things that are cut: then it fails, says so, and is done again. */
static struct tercet_barrier *open_barrier(struct cut *cut)
{
    struct tercet_barrier_options options = {.size = sizeof(options),
                                             .connections_max = 1,
                                             .on_log = keep_line,
                                             .log_ctx = cut->last_line};
    struct tercet_barrier *barrier = NULL;
    char text[TERCET_TEXT_MAX] = "";
    int rc = tercet_barrier_open(&barrier, cut->url, &options, text);
    if (rc != 0) {
        cr_assert_eq(rc, TERCET_STORE);
        cr_assert(cutter_has_cut(cut->cutter), "%s", text);
        cr_assert_neq(text[0], '\0');
        cr_assert_eq(tercet_barrier_open(&barrier, cut->url, &options, text), 0, "%s", text);
    }
    return barrier;
}

struct batch {
    struct part part, refusing, failing;
    struct tercet_barrier_call calls[CALLS];
};

static const int expected[CALLS] = {0, 0, 0, 0, 0, TERCET_REFUSED, TERCET_AGAIN};

static void set_calls(struct batch *batch)
{
    static const uint32_t branches[CALLS] = {1, 1, 2, 3, 4, 5, 6};
    static const enum tercet_kind kinds[CALLS] = {TERCET_TRY,    TERCET_TRY,    TERCET_CONFIRM,
                                                  TERCET_CANCEL, TERCET_CANCEL, TERCET_TRY,
                                                  TERCET_TRY};
    struct part *parts[CALLS] = {&batch->part, &batch->part,     &batch->part,   &batch->part,
                                 &batch->part, &batch->refusing, &batch->failing};
    for (int i = 0; i < CALLS; i++) {
        batch->calls[i] = bench_call(parts[i], kinds[i]);
        batch->calls[i].branch = branches[i];
        batch->calls[i].number = 7;
    }
}

/* Whether every call has its answer; none may have another than this or "ask me again". */
static bool ask_once(struct cut *cut, struct tercet_barrier *barrier, struct batch *batch)
{
    bool is_answered = true;
    tercet_barrier_run(barrier, batch->calls, CALLS);
    for (int i = 0; i < CALLS; i++) {
        bool is_lost = batch->calls[i].result == TERCET_STORE;
        cr_assert(is_lost || batch->calls[i].result == expected[i], "call %d: %d, %s", i,
                  batch->calls[i].result, cut->last_line);
        cr_assert_eq(batch->calls[i].reply_size, !is_lost && i < 2 ? 7 : 0);
        free(batch->calls[i].reply);
        is_answered = is_answered && !is_lost;
        cut->lost_count += is_lost;
    }
    return is_answered;
}

static void ask_until_answered(struct cut *cut, struct tercet_barrier *barrier, struct batch *batch)
{
    for (int i = 0; i < ASKS_MAX; i++) {
        if (ask_once(cut, barrier, batch))
            return;
        pause_a_while();
    }
    cr_assert_fail("it never came back: %s", cut->last_line);
}

/* Five effects, none of them twice; rows as they should be. */
static void check_whole(struct cut *cut)
{
    struct bench *bench = cut->bench;
    cr_assert_eq(bench_effects(bench, NULL, 0), 5, "%s", cut->last_line);
    cr_assert_eq(bench_query(bench, "SELECT count(*) FROM (SELECT DISTINCT gid, branch, kind FROM "
                                    "ledger) AS seen"),
                 5);
    cr_assert_eq(bench_query(bench, "SELECT count(*) FROM tercet_barrier"), 4);
    cr_assert_eq(bench_query(bench, "SELECT sum(state) FROM tercet_barrier"), 2 + 3 + 4 + 4);
}

/* Returns whether there was a message of that number. */
static bool cut_at(struct cut *cut, enum cutter_direction direction, int at, bool after)
{
    struct batch batch = {.part = {.bench = cut->bench, .reply = "seat 17"},
                          .refusing = {.bench = cut->bench, .result = TERCET_REFUSED},
                          .failing = {.bench = cut->bench, .result = TERCET_AGAIN}};
    begin_anew(cut, &batch.part);
    set_calls(&batch);
    cutter_arm(cut->cutter, direction, at, after);
    struct tercet_barrier *barrier = open_barrier(cut);
    ask_until_answered(cut, barrier, &batch);
    check_whole(cut);
    bool has_cut = cutter_has_cut(cut->cutter);
    cutter_arm(cut->cutter, direction, 0, false);
    ask_until_answered(cut, barrier, &batch);
    check_whole(cut);
    tercet_barrier_close(barrier);
    return has_cut;
}

static void cut_everywhere(enum bench_driver driver, enum cutter_direction direction, bool after)
{
    struct cut cut = {.bench = NULL};
    int at = 1;
    if (driver != BENCH_POSTGRES && driver != BENCH_MYSQL && driver != BENCH_REDIS)
        return;
    start(&cut, driver);
    while (cut_at(&cut, direction, at, after))
        at++;
    cr_assert_gt(at, driver == BENCH_REDIS ? 15 : 30,
                 "there are too few messages to show anything");
    cr_assert_gt(cut.lost_count, 0, "no commit was ever in doubt");
    cutter_stop(cut.cutter);
    bench_close(cut.bench);
}

EACH_DRIVER(barrier_cut, to_the_server_before_any_message)
{
    cut_everywhere(*driver, CUTTER_TO_SERVER, false);
}

EACH_DRIVER(barrier_cut, to_the_server_after_any_message)
{
    cut_everywhere(*driver, CUTTER_TO_SERVER, true);
}

EACH_DRIVER(barrier_cut, to_the_client_before_any_message)
{
    cut_everywhere(*driver, CUTTER_TO_CLIENT, false);
}

EACH_DRIVER(barrier_cut, to_the_client_after_any_message)
{
    cut_everywhere(*driver, CUTTER_TO_CLIENT, true);
}
