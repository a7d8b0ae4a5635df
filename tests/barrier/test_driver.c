/* SPDX-License-Identifier: Apache-2.0
 *
 * What a driver is asked, and in which order: the promise that <tercet/sys/barrier.h> gives to
 * those who write one. The driver here has no database: it writes down what it is asked, and
 * answers what the test says.
 */
#include <criterion/criterion.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/sys/barrier.h>

#include "bench.h"

#define LOG_MAX 1024

/* The driver's state, and what it answers. */
static struct script {
    char asked[512];
    bool inserts, moves;
    enum tercet_barrier_state row;
    size_t row_reply_size;
    uint64_t mark;
    int release_result; /* of the next one */
    int commit_result, read_result, mark_read_result, mark_store_result, keep_result;
    const char *kept; /* NULL: what is proposed */
    uint32_t mark_store_rows;
    enum tercet_barrier_failure failure;
    atomic_int connects;
    bool has_connections;   /* there are more */
    bool runs_during_store; /* another call runs while the mark is stored */
    bool is_closed;         /* by a hook */
    char error[TERCET_TEXT_MAX];
    char logged[LOG_MAX];
    int log_count;
} script;

/* -- The driver -------------------------------------------------------------------------------- */

static int note(const char *operation)
{
    size_t used = strlen(script.asked);
    snprintf(script.asked + used, sizeof(script.asked) - used, "%s%s", used > 0 ? " " : "",
             operation);
    return 0;
}

static int take_begin(void *state)
{
    (void)state;
    return note("begin");
}

static int take_commit(void *state)
{
    (void)state;
    note("commit");
    return script.commit_result;
}

static void take_rollback(void *state)
{
    (void)state;
    note("rollback");
}

static int take_savepoint(void *state)
{
    (void)state;
    return note("savepoint");
}

static int take_release(void *state)
{
    int result = script.release_result;
    (void)state;
    script.release_result = 0;
    note("release");
    return result;
}

static int take_rollback_to(void *state)
{
    (void)state;
    return note("rollback_to");
}

static bool take_is_open(void *state)
{
    (void)state;
    return !script.is_closed;
}

static int take_insert(void *state, const struct tercet_barrier_key *key,
                       enum tercet_barrier_state to, bool *inserted)
{
    (void)state;
    (void)key;
    (void)to;
    *inserted = script.inserts;
    return note("insert");
}

static int take_move(void *state, const struct tercet_barrier_key *key,
                     enum tercet_barrier_state from, enum tercet_barrier_state to, bool *moved)
{
    (void)state;
    (void)key;
    (void)from;
    (void)to;
    *moved = script.moves;
    return note("move");
}

static int take_reply(void *state, const struct tercet_barrier_key *key, struct tercet_bytes reply)
{
    (void)state;
    (void)key;
    (void)reply;
    return note("reply_save");
}

static int take_read(void *state, const struct tercet_barrier_key *key,
                     struct tercet_barrier_row *row)
{
    (void)state;
    (void)key;
    *row = (struct tercet_barrier_row){.state = script.row};
    if (script.row_reply_size > 0) {
        row->reply = calloc(1, script.row_reply_size);
        row->reply_size = script.row_reply_size;
    }
    note("read");
    return script.read_result;
}

static int take_mark_read(void *state, uint64_t *mark)
{
    (void)state;
    *mark = script.mark;
    note("mark_read");
    return script.mark_read_result;
}

static int take_mark_raise(void *state, uint64_t mark)
{
    (void)state;
    (void)mark;
    return note("mark_raise");
}

static int take_collect(void *state, uint64_t mark, uint32_t rows_max)
{
    (void)state;
    (void)mark;
    (void)rows_max;
    return note("collect");
}

static int take_keep(void *state, enum tercet_barrier_fact fact, const char *proposed,
                     char kept[TERCET_BARRIER_IDENTITY_MAX + 1])
{
    (void)state;
    (void)fact;
    snprintf(kept, TERCET_BARRIER_IDENTITY_MAX + 1, "%s",
             script.kept != NULL ? script.kept : proposed);
    note("keep");
    return script.keep_result;
}

static tercet_db take_db(void *state)
{
    return state;
}

static int take_rows_count(void *state, uint64_t *rows)
{
    (void)state;
    *rows = 0;
    return 0;
}

static const char *tell_error(void *state)
{
    (void)state;
    return script.error;
}

static void take_close(void *state)
{
    (void)state;
}

static const struct tercet_barrier_driver driver = {.size = sizeof(driver),
                                                    .begin = take_begin,
                                                    .commit = take_commit,
                                                    .rollback = take_rollback,
                                                    .savepoint = take_savepoint,
                                                    .release = take_release,
                                                    .rollback_to = take_rollback_to,
                                                    .is_open = take_is_open,
                                                    .insert = take_insert,
                                                    .move = take_move,
                                                    .reply_save = take_reply,
                                                    .read = take_read,
                                                    .mark_read = take_mark_read,
                                                    .mark_raise = take_mark_raise,
                                                    .collect = take_collect,
                                                    .db = take_db,
                                                    .rows_count = take_rows_count,
                                                    .error_text = tell_error,
                                                    .close = take_close};

/* -- The bench --------------------------------------------------------------------------------- */

static struct tercet_barrier *barrier;

static void keep_log(enum tercet_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)ctx;
    script.log_count++;
    snprintf(script.logged, sizeof(script.logged), "%s", line);
}

static void open_barrier(void)
{
    const struct tercet_barrier_options options = {.size = sizeof(options), .on_log = keep_log};
    memset(&script, 0, sizeof(script));
    script.inserts = script.moves = true;
    cr_assert_eq(tercet_barrier_new(&barrier, &driver, &script, &options), 0);
}

static void close_barrier(void)
{
    tercet_barrier_close(barrier);
}

TestSuite(driver, .init = open_barrier, .fini = close_barrier, .timeout = 60);

static struct tercet_barrier_call call_of(enum tercet_kind kind, tercet_barrier_hook hook)
{
    return (struct tercet_barrier_call){
        .kind = kind, .gid = "g", .branch = 1, .number = 5, .hook = hook};
}

static void expect_asked(const char *wanted)
{
    cr_expect_str_eq(script.asked, wanted, "asked: %s", script.asked);
}

static int run_one(struct tercet_barrier_call *call)
{
    tercet_barrier_run(barrier, call, 1);
    return call->result;
}

static int fail_hook(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)call;
    (void)db;
    (void)ctx;
    return TERCET_AGAIN;
}

static int reply_hook(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)db;
    (void)ctx;
    call->reply = strdup("seat 17");
    call->reply_size = 7;
    return 0;
}

/* -- One call ---------------------------------------------------------------------------------- */

Test(driver, a_first_try)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, reply_hook);
    cr_expect_eq(run_one(&call), 0);
    cr_expect_eq(call.reply_size, 7);
    expect_asked("begin mark_read savepoint insert reply_save release commit");
    free(call.reply);
}

Test(driver, a_try_again)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    script.inserts = false;
    script.row = TERCET_BARRIER_TRIED;
    cr_expect_eq(run_one(&call), 0);
    expect_asked("begin mark_read savepoint insert release read commit");
}

Test(driver, a_hook_that_fails_leaves_no_savepoint)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, fail_hook);
    cr_expect_eq(run_one(&call), TERCET_AGAIN);
    expect_asked("begin mark_read savepoint insert rollback_to release commit");
}

Test(driver, a_confirm)
{
    struct tercet_barrier_call call = call_of(TERCET_CONFIRM, NULL);
    cr_expect_eq(run_one(&call), 0);
    expect_asked("begin mark_read savepoint move release commit");
}

Test(driver, a_confirm_again)
{
    struct tercet_barrier_call call = call_of(TERCET_CONFIRM, NULL);
    script.moves = false;
    script.row = TERCET_BARRIER_CONFIRMED;
    cr_expect_eq(run_one(&call), 0);
    expect_asked("begin mark_read savepoint move release read commit");
}

Test(driver, a_cancel_of_nothing)
{
    struct tercet_barrier_call call = call_of(TERCET_CANCEL, NULL);
    cr_expect_eq(run_one(&call), 0);
    expect_asked("begin mark_read insert commit");
}

Test(driver, work_that_cannot_be_committed_has_no_reply)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, reply_hook);
    script.release_result = TERCET_INVALID;
    cr_expect_eq(run_one(&call), TERCET_STORE);
    cr_expect_null(call.reply);
    cr_expect_eq(call.reply_size, 0);
    cr_expect_eq(script.log_count, 1);
    expect_asked("begin mark_read savepoint insert reply_save release rollback_to release commit");
}

/* -- The mark ---------------------------------------------------------------------------------- */

Test(driver, the_mark_is_raised_only_when_it_is_higher)
{
    struct tercet_barrier_call call = call_of(TERCET_CONFIRM, NULL);
    script.mark = 1;
    call.low_water = 1;
    cr_expect_eq(run_one(&call), 0);
    expect_asked("begin mark_read savepoint move release collect commit");
    script.asked[0] = '\0';
    call.low_water = 2;
    cr_expect_eq(run_one(&call), 0);
    expect_asked("begin mark_read savepoint move release mark_raise collect commit");
}

/* -- What is not asked ------------------------------------------------------------------------- */

Test(driver, nothing_for_calls_that_are_all_invalid)
{
    struct tercet_barrier_call calls[] = {call_of(TERCET_TRY, NULL), call_of(TERCET_CANCEL, NULL)};
    calls[0].branch = 0;
    calls[1].gid = "";
    tercet_barrier_run(barrier, calls, 2);
    cr_expect_eq(calls[0].result, TERCET_INVALID);
    cr_expect_eq(calls[1].result, TERCET_INVALID);
    expect_asked("");
}

Test(driver, nothing_past_the_last_call)
{
    struct tercet_barrier_call calls[] = {call_of(TERCET_TRY, NULL), call_of(TERCET_TRY, NULL),
                                          call_of(TERCET_TRY, NULL), call_of(TERCET_TRY, fail_hook),
                                          call_of(TERCET_TRY, fail_hook)};
    calls[1].alone = true;
    tercet_barrier_run(barrier, calls, 3);
    cr_expect_eq(calls[3].result, 0);
    expect_asked("begin mark_read savepoint insert release commit begin mark_read savepoint insert "
                 "release commit "
                 "begin mark_read savepoint insert release commit");
}

/* -- What goes in ------------------------------------------------------------------------------ */

Test(driver, the_largest_numbers_are_taken)
{
    struct tercet_barrier_call call = call_of(TERCET_CONFIRM, NULL);
    call.branch = TERCET_BRANCHES_MAX;
    call.number = INT64_MAX;
    call.low_water = INT64_MAX;
    cr_expect_eq(run_one(&call), 0);
    call.branch++;
    cr_expect_eq(run_one(&call), TERCET_INVALID);
}

Test(driver, what_the_answer_held_before_does_not_count)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    call.reply_size = 7;
    cr_expect_eq(run_one(&call), 0);
    cr_expect_eq(call.reply_size, 0);
}

static int reply_of_nothing(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)db;
    (void)ctx;
    call->reply_size = 1;
    return 0;
}

Test(driver, a_reply_that_is_not_there_is_invalid)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, reply_of_nothing);
    cr_expect_eq(run_one(&call), TERCET_INVALID);
    cr_expect_eq(call.reply_size, 0);
}

Test(driver, options_of_another_size)
{
    struct tercet_barrier *other = NULL;
    struct tercet_barrier_options options = {.size = sizeof(options.size), .on_log = keep_log};
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    cr_assert_eq(tercet_barrier_new(&other, &driver, &script, &options), 0);
    script.commit_result = TERCET_STORE;
    tercet_barrier_run(other, &call, 1);
    cr_expect_eq(call.result, TERCET_STORE);
    cr_expect_eq(script.log_count, 0, "a field past the size was read");
    tercet_barrier_close(other);
    options.size = sizeof(options.size) - 1;
    cr_expect_eq(tercet_barrier_new(&other, &driver, &script, &options), TERCET_INVALID);
}

/* -- What is logged ---------------------------------------------------------------------------- */

Test(driver, a_long_error_is_logged_whole)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    memset(script.error, 'e', sizeof(script.error) - 1);
    script.commit_result = TERCET_STORE;
    cr_expect_eq(run_one(&call), TERCET_STORE);
    cr_expect_not_null(strstr(script.logged, script.error), "%s", script.logged);
    expect_asked("begin mark_read savepoint insert release commit rollback");
}

/* -- The application's own --------------------------------------------------------------------- */

static int own_work(tercet_db db, void *ctx)
{
    (void)db;
    return *(const int *)ctx;
}

static int own_work_that_ends_it(tercet_db db, void *ctx)
{
    (void)db;
    (void)ctx;
    script.is_closed = true;
    return 0;
}

Test(driver, local_work_is_committed_and_not_rolled_back)
{
    int code = 0;
    cr_expect_eq(tercet_barrier_local(barrier, own_work, &code), 0);
    expect_asked("begin mark_read commit");
    cr_expect_eq(script.log_count, 0);
}

Test(driver, local_work_that_fails_is_rolled_back)
{
    int code = TERCET_REFUSED;
    cr_expect_eq(tercet_barrier_local(barrier, own_work, &code), TERCET_REFUSED);
    expect_asked("begin mark_read rollback");
    cr_expect_eq(script.log_count, 0);
}

Test(driver, local_work_that_ends_its_transaction_is_not_committed)
{
    cr_expect_eq(tercet_barrier_local(barrier, own_work_that_ends_it, NULL), TERCET_STORE);
    expect_asked("begin mark_read rollback");
    cr_expect_eq(script.log_count, 1);
}

/* -- What is left behind ----------------------------------------------------------------------- */

#define ROUNDS 4000
#define LARGE 1000 /* bytes of each reply: one that is left behind in every round is 4 MB */
#define LEFT_MAX (256 * 1024)

static int fail_with_a_reply(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)db;
    (void)ctx;
    call->reply = calloc(1, LARGE);
    call->reply_size = LARGE;
    return TERCET_AGAIN;
}

static void fail_once(void)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, fail_with_a_reply);
    script.inserts = true;
    cr_assert_eq(run_one(&call), TERCET_AGAIN);
}

static void ask_again(enum tercet_kind kind, enum tercet_barrier_state row, int result)
{
    struct tercet_barrier_call call = call_of(kind, NULL);
    script.inserts = script.moves = false;
    script.row = row;
    script.row_reply_size = LARGE;
    cr_assert_eq(run_one(&call), result);
}

static void open_and_close(void)
{
    struct tercet_barrier *other = NULL;
    cr_assert_eq(tercet_barrier_new(&other, &driver, &script, NULL), 0);
    tercet_barrier_close(other);
}

/* LeakSanitizer sees it, too; this is for those who build without. */
Test(driver, nothing_is_left_behind)
{
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < ROUNDS; i++) {
        open_and_close();
        fail_once();
        ask_again(TERCET_TRY, TERCET_BARRIER_CANCELLED, TERCET_REFUSED);
        ask_again(TERCET_CONFIRM, TERCET_BARRIER_CONFIRMED, 0);
    }
    cr_expect_lt(mallinfo2().uordblks, before + LEFT_MAX);
}

/* -- What a hook must not ---------------------------------------------------------------------- */

static int hook_that_asks_its_own_barrier(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    struct tercet_barrier_call another = call_of(TERCET_TRY, NULL);
    (void)call;
    (void)db;
    (void)ctx;
    return run_one(&another);
}

Test(driver, a_hook_that_asks_its_own_barrier_is_told, .signal = SIGABRT)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, hook_that_asks_its_own_barrier);
    run_one(&call);
}

/* -- A database on which several connections work at once -------------------------------------- */

static int take_connect(void *state, void **out)
{
    static char another;
    (void)state;
    atomic_fetch_add(&script.connects, 1);
    *out = &another;
    return script.has_connections ? 0 : TERCET_STORE;
}

static enum tercet_barrier_failure tell_failure(void *state)
{
    (void)state;
    return script.failure;
}

static void *run_another(void *ctx)
{
    struct tercet_barrier_call *call = ctx;
    tercet_barrier_run(barrier, call, 1);
    return NULL;
}

static int take_mark_store(void *state, uint64_t mark, uint32_t rows_max)
{
    (void)state;
    (void)mark;
    script.mark_store_rows = rows_max;
    note("mark_store");
    if (script.runs_during_store) {
        struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
        pthread_t thread;
        script.runs_during_store = false;
        cr_assert_eq(pthread_create(&thread, NULL, run_another, &call), 0);
        pthread_join(thread, NULL);
        cr_assert_eq(call.result, 0);
    }
    return script.mark_store_result;
}

static struct tercet_barrier_driver server_driver(void)
{
    struct tercet_barrier_driver server = driver;
    server.connect = take_connect;
    server.failure = tell_failure;
    server.mark_store = take_mark_store;
    return server;
}

static void open_server(void)
{
    const struct tercet_barrier_driver server = server_driver();
    const struct tercet_barrier_options options = {
        .size = sizeof(options), .on_log = keep_log, .collect_rows_max = 20000};
    memset(&script, 0, sizeof(script));
    script.inserts = script.moves = true;
    cr_assert_eq(tercet_barrier_new(&barrier, &server, &script, &options), 0);
}

TestSuite(server, .init = open_server, .fini = close_barrier, .timeout = 60);

Test(server, the_mark_is_stored_after_the_batch_and_read_after_the_row)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    call.low_water = 2;
    cr_expect_eq(run_one(&call), 0);
    expect_asked("begin insert mark_read commit mark_store");
    cr_expect_eq(script.mark_store_rows, 16384, "no more at a time, whatever was asked for");
}

Test(server, the_mark_is_stored_by_one_at_a_time)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    script.has_connections = script.runs_during_store = true;
    call.low_water = 2;
    cr_expect_eq(run_one(&call), 0);
    cr_expect_eq(atomic_load(&script.connects), 1);
    expect_asked("begin insert mark_read commit mark_store begin insert mark_read commit");
}

/* It is not tried again at once, however many batches there are. */
Test(server, a_mark_that_is_not_stored_is_told_of)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    call.low_water = 2;
    script.mark_store_result = TERCET_STORE;
    cr_expect_eq(run_one(&call), 0, "the call has been done");
    cr_expect_eq(script.log_count, 1);
    cr_expect_not_null(strstr(script.logged, "will be tried again"), "%s", script.logged);
    for (int i = 0; i < 20000; i++) {
        script.asked[0] = '\0';
        cr_assert_eq(run_one(&call), 0);
    }
}

Test(server, a_mark_that_cannot_be_read_costs_the_batch)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    script.mark_read_result = TERCET_STORE;
    cr_expect_eq(run_one(&call), TERCET_STORE);
    expect_asked("begin insert mark_read rollback");
}

/* The insert met with a row that is not there any more when it is read. */
Test(server, a_try_whose_row_has_vanished)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    script.inserts = false;
    script.mark_read_result = TERCET_STORE;
    cr_expect_eq(run_one(&call), TERCET_STORE);
    script.mark_read_result = 0;
    script.mark = call.number - 1;
    cr_expect_eq(run_one(&call), TERCET_STORE, "nobody knows: it is asked again");
    script.mark = call.number;
    cr_expect_eq(run_one(&call), TERCET_REFUSED, "its transaction has ended");
}

Test(server, a_row_that_cannot_be_read_costs_the_batch)
{
    struct tercet_barrier_call call = call_of(TERCET_CONFIRM, NULL);
    script.moves = false;
    script.read_result = TERCET_STORE;
    cr_expect_eq(run_one(&call), TERCET_STORE);
}

Test(server, one_call_that_fails_is_not_run_apart)
{
    struct tercet_barrier_call call = call_of(TERCET_CONFIRM, NULL);
    script.failure = TERCET_BARRIER_APART;
    script.commit_result = TERCET_STORE;
    cr_expect_eq(run_one(&call), TERCET_STORE);
    expect_asked("begin move commit rollback");
}

static int wait_for_connect(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)call;
    (void)db;
    (void)ctx;
    while (atomic_load(&script.connects) == 0)
        sched_yield();
    return 0;
}

/* Who finds the one connection busy tries to open another; without it he waits. */
Test(server, without_more_connections_one_does)
{
    struct tercet_barrier_call first = call_of(TERCET_TRY, wait_for_connect);
    struct tercet_barrier_call second = call_of(TERCET_TRY, wait_for_connect);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, run_another, &second), 0);
    cr_expect_eq(run_one(&first), 0);
    pthread_join(thread, NULL);
    cr_expect_eq(second.result, 0);
    cr_expect_eq(atomic_load(&script.connects), 1);
    cr_expect_eq(tercet_barrier_connections(barrier), 4);
}

/* -- Time, and tables of another size ---------------------------------------------------------- */

Test(driver, no_call_begins_when_the_time_is_over)
{
    struct tercet_barrier_call calls[3];
    for (int i = 0; i < 3; i++)
        calls[i] = call_of(TERCET_CONFIRM, NULL);
    cr_expect_eq(tercet_barrier_run_for(barrier, calls, 3, 0), 1);
    cr_expect_eq(tercet_barrier_run_for(barrier, calls, 3, 60000), 3);
    for (int i = 0; i < 3; i++)
        calls[i].alone = true;
    cr_expect_eq(tercet_barrier_run_for(barrier, calls, 3, 0), 1);
    cr_expect_eq(tercet_barrier_run_for(barrier, calls, 3, 60000), 3);
}

Test(driver, a_table_may_be_as_old_as_the_first)
{
    struct tercet_barrier_driver table = driver;
    const struct tercet_barrier_options too_many = {.size = sizeof(too_many),
                                                    .connections_max = 257};
    struct tercet_barrier *other = NULL;
    table.size = offsetof(struct tercet_barrier_driver, connect);
    cr_expect_eq(tercet_barrier_new(&other, &table, &script, NULL), 0);
    cr_expect_eq(tercet_barrier_connections(other), 1);
    tercet_barrier_close(other);
    cr_expect_eq(tercet_barrier_new(&other, &driver, &script, &too_many), TERCET_INVALID);
    table.size--;
    cr_expect_eq(tercet_barrier_new(&other, &table, &script, NULL), TERCET_INVALID);
}

Test(driver, each_broken_promise_has_a_text)
{
    static const int broken[] = {TERCET_BROKEN_NO_TRY, TERCET_BROKEN_CANCELLED,
                                 TERCET_BROKEN_CONFIRMED};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        cr_expect_str_neq(tercet_broken_text(broken[i]), tercet_strerror(TERCET_BROKEN));
    cr_expect_str_eq(tercet_broken_text(-1), tercet_strerror(TERCET_BROKEN));
}

/* -- What a database keeps --------------------------------------------------------------------- */

bool bench_random_is_gone;

ssize_t __real_getrandom(void *data, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *data, size_t size, unsigned flags);

/* The linker puts it in the place of getrandom. */
ssize_t __wrap_getrandom(void *data, size_t size, unsigned flags)
{
    return bench_random_is_gone ? -1 : __real_getrandom(data, size, flags);
}

static void open_keeping_barrier(void)
{
    const struct tercet_barrier_options options = {.size = sizeof(options), .on_log = keep_log};
    struct tercet_barrier_driver table = driver;
    memset(&script, 0, sizeof(script));
    script.inserts = script.moves = true;
    table.keep = take_keep;
    cr_assert_eq(tercet_barrier_new(&barrier, &table, &script, &options), 0);
}

TestSuite(keeping, .init = open_keeping_barrier, .fini = close_barrier, .timeout = 60);

Test(keeping, an_identity_is_proposed_once_it_is_random)
{
    char identity[TERCET_BARRIER_IDENTITY_MAX + 1] = "untouched";
    bench_random_is_gone = true;
    cr_expect_eq(tercet_barrier_identity(barrier, identity), TERCET_STORE);
    cr_expect_str_eq(identity, "untouched");
    cr_expect_not_null(strstr(script.logged, "the database's identity"), "%s", script.logged);
    expect_asked("");
    bench_random_is_gone = false;
    cr_expect_eq(tercet_barrier_identity(barrier, identity), 0);
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
