/* SPDX-License-Identifier: Apache-2.0
 *
 * Fault i of n, for every i: one driver operation after the other fails in a batch that does
 * everything there is to do. Whatever fails, every call is told TERCET_STORE, nothing is half done,
 * and asking again ends as if nothing had been. The fault comes before the operation is carried
 * out, or after: a commit that worked and was reported as failed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "drivers.h"

/* A driver around another one: also what a third party's driver looks like. */
struct faulty {
    const struct tercet_barrier_driver *inner;
    void *state;
    int countdown; /* operations until the fault; 0: none will come */
    bool after;
    bool has_failed;
};

/* Whether the fault comes now; with `after`, only once the operation has been carried out. */
static bool is_due(struct faulty *faulty, bool after)
{
    if (faulty->after != after || faulty->countdown == 0 || --faulty->countdown > 0)
        return false;
    faulty->has_failed = true;
    return true;
}

#define PASS_ON(ctx, operation)                                                                    \
    struct faulty *faulty = ctx;                                                                   \
    if (is_due(faulty, false))                                                                     \
        return TERCET_STORE;                                                                       \
    int rc = faulty->inner->operation;                                                             \
    return is_due(faulty, true) ? TERCET_STORE : rc

static int faulty_begin(void *ctx)
{
    PASS_ON(ctx, begin(faulty->state));
}

static int faulty_commit(void *ctx)
{
    PASS_ON(ctx, commit(faulty->state));
}

static int faulty_savepoint(void *ctx)
{
    PASS_ON(ctx, savepoint(faulty->state));
}

static int faulty_release(void *ctx)
{
    PASS_ON(ctx, release(faulty->state));
}

static int faulty_rollback_to(void *ctx)
{
    PASS_ON(ctx, rollback_to(faulty->state));
}

static int faulty_insert(void *ctx, const struct tercet_barrier_key *key,
                         enum tercet_barrier_state state, bool *inserted)
{
    PASS_ON(ctx, insert(faulty->state, key, state, inserted));
}

static int faulty_move(void *ctx, const struct tercet_barrier_key *key,
                       enum tercet_barrier_state from, enum tercet_barrier_state to, bool *moved)
{
    PASS_ON(ctx, move(faulty->state, key, from, to, moved));
}

static int faulty_reply_save(void *ctx, const struct tercet_barrier_key *key,
                             struct tercet_bytes reply)
{
    PASS_ON(ctx, reply_save(faulty->state, key, reply));
}

static int faulty_read(void *ctx, const struct tercet_barrier_key *key,
                       struct tercet_barrier_row *row)
{
    PASS_ON(ctx, read(faulty->state, key, row));
}

static int faulty_mark_read(void *ctx, uint64_t *mark)
{
    PASS_ON(ctx, mark_read(faulty->state, mark));
}

static int faulty_mark_raise(void *ctx, uint64_t mark)
{
    PASS_ON(ctx, mark_raise(faulty->state, mark));
}

static int faulty_collect(void *ctx, uint64_t mark, uint32_t rows_max)
{
    PASS_ON(ctx, collect(faulty->state, mark, rows_max));
}

static int faulty_rows_count(void *ctx, uint64_t *rows)
{
    PASS_ON(ctx, rows_count(faulty->state, rows));
}

static void faulty_rollback(void *ctx)
{
    struct faulty *faulty = ctx;
    faulty->inner->rollback(faulty->state);
}

static bool faulty_is_open(void *ctx)
{
    struct faulty *faulty = ctx;
    return faulty->inner->is_open == NULL || faulty->inner->is_open(faulty->state);
}

static tercet_db faulty_db(void *ctx)
{
    struct faulty *faulty = ctx;
    return faulty->inner->db(faulty->state);
}

static void faulty_close(void *ctx)
{
    struct faulty *faulty = ctx;
    faulty->inner->close(faulty->state);
}

static const struct tercet_barrier_driver faulty_driver = {
    .size = sizeof(faulty_driver),
    .begin = faulty_begin,
    .commit = faulty_commit,
    .rollback = faulty_rollback,
    .savepoint = faulty_savepoint,
    .release = faulty_release,
    .rollback_to = faulty_rollback_to,
    .is_open = faulty_is_open,
    .insert = faulty_insert,
    .move = faulty_move,
    .reply_save = faulty_reply_save,
    .read = faulty_read,
    .mark_read = faulty_mark_read,
    .mark_raise = faulty_mark_raise,
    .collect = faulty_collect,
    .db = faulty_db,
    .rows_count = faulty_rows_count,
    .close = faulty_close,
};

#define ROWS_BEFORE 3
#define ROWS_AFTER 4
#define MARK_BEFORE 2
#define MARK_AFTER 9

enum { TRIES, TRIES_AGAIN, CONFIRMS, CANCELS, CANCELS_EMPTY, REFUSES, FAILS, CALLS };

static const int expected[CALLS] = {0, 0, 0, 0, 0, TERCET_REFUSED, TERCET_AGAIN};

/* Puts the faulty driver between the bench's barrier and a driver of the bench's kind. */
static void put_between(struct bench *bench, struct faulty *faulty)
{
    struct tercet_barrier_options complete;
    const struct bench_server *server = bench_server(bench->driver);
    *faulty = (struct faulty){.inner = server != NULL                  ? server->driver
                                       : bench->driver == BENCH_MEMORY ? &memory_driver
                                                                       : &sqlite_driver};
    tercet_barrier_close(bench->barrier);
    cr_assert_eq(tercet_barrier_options_complete(&complete, NULL), 0);
    if (server != NULL)
        cr_assert_eq(server->driver_open(&faulty->state, bench->url, &complete, NULL), 0);
    else if (bench->driver == BENCH_MEMORY)
        cr_assert_eq(memory_driver_open(&faulty->state), 0);
    else
        cr_assert_eq(sqlite_driver_open(&faulty->state, bench->path, &complete, NULL), 0);
    cr_assert_eq(tercet_barrier_new(&bench->barrier, &faulty_driver, faulty, NULL), 0);
}

/* Branches 2 and 3 are tried beforehand, and a transaction that the batch's mark lets be
 * collected. */
static void prepare(struct bench *bench, struct part *part)
{
    struct tercet_barrier_call call = bench_call(part, TERCET_TRY);
    for (call.branch = 2; call.branch <= 3; call.branch++)
        cr_assert_eq(bench_ask(bench, call), 0);
    call.gid = "ended";
    call.number = 5;
    call.kind = TERCET_CANCEL;
    call.low_water = MARK_BEFORE;
    cr_assert_eq(bench_ask(bench, call), 0);
}

static void set_calls(struct tercet_barrier_call calls[CALLS], struct part *part,
                      struct part *refusing, struct part *failing)
{
    static const uint32_t branches[CALLS] = {1, 1, 2, 3, 4, 5, 6};
    static const enum tercet_kind kinds[CALLS] = {TERCET_TRY,    TERCET_TRY,    TERCET_CONFIRM,
                                                  TERCET_CANCEL, TERCET_CANCEL, TERCET_TRY,
                                                  TERCET_TRY};
    for (int i = 0; i < CALLS; i++) {
        calls[i] = bench_call(i == REFUSES ? refusing : i == FAILS ? failing : part, kinds[i]);
        calls[i].branch = branches[i];
        calls[i].low_water = MARK_AFTER;
    }
}

static void run_and_check(struct bench *bench, struct tercet_barrier_call calls[CALLS],
                          const bool *is_lost)
{
    tercet_barrier_run(bench->barrier, calls, CALLS);
    for (int i = 0; i < CALLS; i++) {
        bool has_reply = !*is_lost && (i == TRIES || i == TRIES_AGAIN);
        cr_assert_eq(calls[i].result, *is_lost ? TERCET_STORE : expected[i], "call %d: %d", i,
                     calls[i].result);
        cr_assert_eq(calls[i].reply_size, has_reply ? 7 : 0);
        free(calls[i].reply);
    }
}

/* Returns whether the fault came: false once `at` is past the last operation. */
static bool check_fault(enum bench_driver driver, int at, bool after)
{
    struct bench *bench = bench_open(driver, NULL);
    struct part part = {.bench = bench, .reply = "seat 17"};
    struct part refusing = {.bench = bench, .result = TERCET_REFUSED};
    struct part failing = {.bench = bench, .result = TERCET_AGAIN};
    struct tercet_barrier_call calls[CALLS];
    struct faulty faulty;
    put_between(bench, &faulty);
    prepare(bench, &part);
    set_calls(calls, &part, &refusing, &failing);
    faulty.countdown = at;
    faulty.after = after;
    run_and_check(bench, calls, &faulty.has_failed);
    bool has_failed = faulty.has_failed;
    faulty.countdown = 0;
    faulty.has_failed = false;
    if (has_failed && !(after && bench_rows(bench) == ROWS_AFTER)) {
        cr_assert_eq(bench_rows(bench), ROWS_BEFORE);
        cr_assert_eq(bench_mark(bench), MARK_BEFORE);
    }
    run_and_check(bench, calls, &faulty.has_failed);
    cr_assert_eq(bench_rows(bench), ROWS_AFTER);
    cr_assert_eq(bench_mark(bench), MARK_AFTER);
    if (driver != BENCH_MEMORY)
        cr_assert_eq(bench_effects(bench, NULL, 0), 5);
    bench_close(bench);
    return has_failed;
}

static void check_all_faults(enum bench_driver driver, bool after)
{
    int at = 1;
    while (check_fault(driver, at, after))
        at++;
    cr_assert_gt(at, 20, "the batch has too few operations to show anything");
}

EACH_DRIVER(barrier_faults, before_any_operation)
{
    check_all_faults(*driver, false);
}

EACH_DRIVER(barrier_faults, after_any_operation)
{
    check_all_faults(*driver, true);
}

/* -- Statistics, and work of the application's own --------------------------------------------- */

EACH_DRIVER(barrier_faults, statistics)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench, .reply = "seat 17"};
    struct faulty faulty;
    put_between(bench, &faulty);
    prepare(bench, &part);
    for (int at = 1; at <= 2; at++) {
        uint64_t rows = 77, mark = 78;
        faulty.countdown = at;
        cr_assert_eq(tercet_barrier_stats(bench->barrier, &rows, &mark), TERCET_STORE);
        cr_assert_eq(rows, 77, "untouched on failure");
        cr_assert_eq(mark, 78);
    }
    faulty.countdown = 0;
    cr_assert_eq(bench_rows(bench), ROWS_BEFORE);
    cr_assert_eq(bench_mark(bench), MARK_BEFORE);
    bench_close(bench);
}

static int count_work(tercet_db db, void *ctx)
{
    (void)db;
    ++*(int *)ctx;
    return 0;
}

/* The begin, the mark and the commit fail in turn. */
EACH_DRIVER(barrier_faults, local_work)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct faulty faulty;
    int runs = 0;
    put_between(bench, &faulty);
    for (int at = 1; at <= 3; at++) {
        faulty.countdown = at;
        cr_assert_eq(tercet_barrier_local(bench->barrier, count_work, &runs), TERCET_STORE);
        cr_assert_eq(runs, at == 3, "no work without a transaction");
    }
    cr_assert_eq(tercet_barrier_local(bench->barrier, count_work, &runs), 0);
    cr_assert_eq(runs, 2);
    bench_close(bench);
}

/* -- Drivers of third parties ------------------------------------------------------------------ */

static int insert_nothing(void *ctx, const struct tercet_barrier_key *key,
                          enum tercet_barrier_state state, bool *inserted)
{
    (void)ctx;
    (void)key;
    (void)state;
    *inserted = false;
    return 0;
}

static void keep_line(enum tercet_log_level level, const char *text, void *ctx)
{
    cr_assert_eq(level, TERCET_LOG_ERROR);
    snprintf(ctx, TERCET_TEXT_MAX, "%s", text);
}

/* There is a row, says the insert; there is none, says the read. Nobody knows then whether the work
 * was done. */
Test(barrier_faults, a_driver_that_contradicts_itself_is_not_believed)
{
    char line[TERCET_TEXT_MAX] = "";
    struct tercet_barrier_options options = {
        .size = sizeof(options), .on_log = keep_line, .log_ctx = line};
    struct tercet_barrier_driver lying_driver = faulty_driver;
    struct bench *bench = bench_open(BENCH_MEMORY, NULL);
    struct part part = {.bench = bench};
    struct faulty faulty = {.inner = &memory_driver};
    lying_driver.insert = insert_nothing;
    tercet_barrier_close(bench->barrier);
    cr_assert_eq(memory_driver_open(&faulty.state), 0);
    cr_assert_eq(tercet_barrier_new(&bench->barrier, &lying_driver, &faulty, &options), 0);
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), TERCET_STORE);
    cr_assert_eq(part.runs, 0);
    cr_assert_str_eq(line, "barrier: a batch was rolled back: the database failed",
                     "the driver has nothing to say");
    bench_close(bench);
}

static const char *say_nothing(void *ctx)
{
    (void)ctx;
    return "";
}

Test(barrier_faults, a_driver_without_a_text_leaves_no_colon)
{
    char line[TERCET_TEXT_MAX] = "";
    struct tercet_barrier_options options = {
        .size = sizeof(options), .on_log = keep_line, .log_ctx = line};
    struct tercet_barrier_driver silent_driver = faulty_driver;
    struct bench *bench = bench_open(BENCH_MEMORY, NULL);
    struct part part = {.bench = bench};
    struct faulty faulty = {.inner = &memory_driver, .countdown = 3};
    silent_driver.error_text = say_nothing;
    tercet_barrier_close(bench->barrier);
    cr_assert_eq(memory_driver_open(&faulty.state), 0);
    cr_assert_eq(tercet_barrier_new(&bench->barrier, &silent_driver, &faulty, &options), 0);
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), TERCET_STORE);
    cr_assert_str_eq(line, "barrier: a batch was rolled back: the database failed");
    bench_close(bench);
}

Test(barrier_faults, making_a_barrier_checks_its_arguments)
{
    struct tercet_barrier *barrier = NULL;
    struct tercet_barrier_options no_size = {.size = 0};
    struct tercet_barrier_driver short_driver = memory_driver;
    struct faulty faulty = {.inner = &memory_driver};
    short_driver.size--;
    cr_assert_eq(tercet_barrier_new(NULL, &faulty_driver, &faulty, NULL), TERCET_INVALID);
    cr_assert_eq(tercet_barrier_new(&barrier, NULL, &faulty, NULL), TERCET_INVALID);
    cr_assert_eq(tercet_barrier_new(&barrier, &short_driver, &faulty, NULL), TERCET_INVALID);
    cr_assert_eq(tercet_barrier_new(&barrier, &faulty_driver, &faulty, &no_size), TERCET_INVALID);
    cr_assert_eq(tercet_barrier_memory_open(&barrier, &no_size), TERCET_INVALID);
    cr_assert_eq(tercet_barrier_sqlite_open(&barrier, "/no/such/folder/app.db", &no_size, NULL),
                 TERCET_INVALID);
    cr_assert_eq(tercet_barrier_sqlite_open(NULL, "/no/such/folder/app.db", NULL, NULL),
                 TERCET_INVALID);
    cr_assert_null(barrier);
    tercet_barrier_close(NULL);
}

/* -- Replies that are none --------------------------------------------------------------------- */

static int size_without_bytes(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)db;
    (void)ctx;
    call->reply_size = 3;
    return 0;
}

static int bytes_without_size(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)db;
    (void)ctx;
    call->reply = strdup("not told");
    return 0;
}

EACH_DRIVER(barrier_faults, a_reply_without_its_bytes_or_size)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    struct tercet_barrier_call call = bench_call(&part, TERCET_TRY);
    call.hook = size_without_bytes;
    tercet_barrier_run(bench->barrier, &call, 1);
    cr_assert_eq(call.result, TERCET_INVALID);
    cr_assert_eq(call.reply_size, 0);
    cr_assert_eq(bench_rows(bench), 0);
    call.hook = bytes_without_size;
    tercet_barrier_run(bench->barrier, &call, 1);
    cr_assert_eq(call.result, 0);
    cr_assert_null(call.reply);
    cr_assert_eq(bench_rows(bench), 1);
    bench_close(bench);
}
