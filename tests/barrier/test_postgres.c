/* SPDX-License-Identifier: Apache-2.0
 *
 * What only PostgreSQL does: statements that fail and take the transaction with them, hooks that
 * end it, constraints that are looked at in the commit, and all that can be wrong with a server.
 */
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static int execute(tercet_db db, const char *sql)
{
    PGresult *result = PQexec(db, sql);
    bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return ok ? 0 : TERCET_AGAIN;
}

/* Runs its text, and says done whatever comes of it. */
static int run_blindly(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)call;
    if (ctx != NULL)
        execute(db, ctx);
    return 0;
}

Test(postgres, a_failed_statement_behind_a_hook_that_says_done)
{
    struct bench *bench = bench_open(BENCH_POSTGRES, NULL);
    cr_assert_eq(bench_run_five(bench, run_blindly, "SELECT 1 / 0"), TERCET_STORE);
    cr_assert_eq(bench_rows(bench), 4);
    bench_close(bench);
}

Test(postgres, a_constraint_that_the_commit_finds_costs_its_own_call_only)
{
    struct bench *bench = bench_open(BENCH_POSTGRES, NULL);
    bench_sql(bench, "CREATE TABLE parent (id integer PRIMARY KEY)");
    bench_sql(bench, "CREATE TABLE child (id integer REFERENCES parent DEFERRABLE INITIALLY "
                     "DEFERRED)");
    cr_assert_eq(bench_run_five(bench, run_blindly, "INSERT INTO child VALUES (1)"), TERCET_STORE);
    cr_assert_eq(bench_rows(bench), 4);
    bench_close(bench);
}

Test(postgres, a_query_that_a_hook_leaves_running)
{
    struct bench *bench = bench_open(BENCH_POSTGRES, NULL);
    cr_assert_eq(bench_run_five(bench, run_blindly, "COPY ledger FROM STDIN"), TERCET_STORE);
    cr_assert_eq(bench_rows(bench), 4);
    bench_close(bench);
}

/* What was committed by the hook stays; that is why it is forbidden. It is told, and the rest of
 * the batch is asked again. */
Test(postgres, a_hook_that_commits_is_noticed)
{
    struct bench *bench = bench_open(BENCH_POSTGRES, NULL);
    struct part part = {.bench = bench};
    struct tercet_barrier_call call = bench_call(&part, TERCET_TRY);
    call.hook = run_blindly;
    call.ctx = (void *)(uintptr_t) "COMMIT";
    tercet_barrier_run(bench->barrier, &call, 1);
    cr_assert_eq(call.result, TERCET_STORE);
    call.branch = 2;
    call.ctx = NULL;
    tercet_barrier_run(bench->barrier, &call, 1);
    cr_assert_eq(call.result, 0);
    bench_close(bench);
}

static int write_line(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    char sql[160];
    (void)ctx;
    snprintf(sql, sizeof(sql), "INSERT INTO ledger VALUES ('%s', %u, %d)", call->gid, call->branch,
             (int)call->kind);
    return execute(db, sql);
}

/* The rows of a batch are changed in one go; when its time is over, those of the calls that were
 * not begun are as they were, and the calls are done later. */
Test(postgres, what_was_changed_for_calls_that_are_not_begun_is_taken_back)
{
    struct bench *bench = bench_open(BENCH_POSTGRES, NULL);
    struct part part = {.bench = bench};
    struct tercet_barrier_call calls[6];
    for (int i = 0; i < 6; i++) {
        calls[i] = bench_call(&part, TERCET_TRY);
        calls[i].branch = 1 + (uint32_t)i;
        calls[i].number = 7;
        calls[i].hook = write_line;
    }
    tercet_barrier_run(bench->barrier, calls, 3);
    calls[1].kind = TERCET_CONFIRM;
    calls[2].kind = TERCET_CANCEL;
    calls[4].kind = TERCET_CANCEL;
    cr_assert_eq(tercet_barrier_run_for(bench->barrier, &calls[1], 5, 0), 1);
    cr_assert_eq(calls[1].result, 0);
    cr_assert_eq(bench_query(bench, "SELECT sum(state) FROM tercet_barrier"), 2 + 3 + 2);
    cr_assert_eq(bench_effects(bench, NULL, 0), 4);
    tercet_barrier_run(bench->barrier, &calls[2], 4);
    for (int i = 2; i < 6; i++)
        cr_assert_eq(calls[i].result, 0);
    cr_assert_eq(bench_query(bench, "SELECT sum(state) FROM tercet_barrier"),
                 2 + 3 + 4 + 2 + 4 + 2);
    cr_assert_eq(bench_effects(bench, NULL, 0), 7);
    bench_close(bench);
}

static int end_own_connection(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    int *runs = ctx;
    (void)call;
    return ++*runs == 1 ? execute(db, "SELECT pg_terminate_backend(pg_backend_pid())")
                        : execute(db, "INSERT INTO ledger VALUES ('x', 1, 1)");
}

/* Before the COMMIT was sent nothing can have been committed: it is repeated at once. */
Test(postgres, a_connection_that_is_lost_in_a_hook_is_opened_again)
{
    struct bench *bench = bench_open(BENCH_POSTGRES, NULL);
    struct part part = {.bench = bench};
    int runs = 0;
    struct tercet_barrier_call call = bench_call(&part, TERCET_TRY);
    call.hook = end_own_connection;
    call.ctx = &runs;
    tercet_barrier_run(bench->barrier, &call, 1);
    cr_assert_eq(call.result, 0, "%d", call.result);
    cr_assert_eq(runs, 2);
    cr_assert_eq(bench_effects(bench, NULL, 0), 1);
    bench_close(bench);
}

static int fail_commit(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)ctx;
    char sql[160];
    snprintf(sql, sizeof(sql), "INSERT INTO ledger VALUES ('%s', 1, 1)", call->gid);
    return execute(db, sql);
}

/* The server ends the connection while it commits: it may or may not have been done. The row tells
 * the truth at the next call. */
Test(postgres, a_commit_whose_outcome_is_not_known_is_asked_again)
{
    struct bench *bench = bench_open(BENCH_POSTGRES, NULL);
    struct part part = {.bench = bench};
    struct tercet_barrier_call call = bench_call(&part, TERCET_TRY);
    bench_sql(bench,
              "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
              "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$");
    bench_sql(bench, "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON ledger DEFERRABLE INITIALLY "
                     "DEFERRED FOR EACH ROW EXECUTE FUNCTION die()");
    call.hook = fail_commit;
    tercet_barrier_run(bench->barrier, &call, 1);
    cr_assert_eq(call.result, TERCET_STORE);
    bench_sql(bench, "DROP TRIGGER die ON ledger");
    for (int i = 0; i < 200 && call.result == TERCET_STORE; i++)
        tercet_barrier_run(bench->barrier, &call, 1);
    cr_assert_eq(call.result, 0);
    cr_assert_eq(bench_effects(bench, NULL, 0), 1);
    bench_close(bench);
}

/* -- What can be wrong with a server ----------------------------------------------------------- */

static void keep_line(enum tercet_log_level level, const char *text, void *ctx)
{
    (void)level;
    snprintf(ctx, TERCET_TEXT_MAX, "%s", text);
}

Test(postgres, opening_says_what_is_wrong)
{
    static const struct {
        const char *url, *text;
    } cases[] = {
        {"postgres://u:s3cr3t@127.0.0.1:1/db", "cannot connect"},
        {"postgres://u:s3cr3t@/db?host=/no/such/folder", "cannot connect"},
        {"postgres://u:s3cr3t@h/db?nonsense=1", "nonsense"},
        {"postgres://u:s3cr3t@h:port/db", "cannot connect"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[TERCET_TEXT_MAX] = "";
        cr_assert_eq(bench_open_url(cases[i].url, NULL, text), TERCET_STORE, "%s", cases[i].url);
        cr_assert_not_null(strstr(text, cases[i].text), "%s", text);
        cr_assert_null(strstr(text, "s3cr3t"), "%s", text);
    }
    cr_assert_eq(tercet_barrier_postgres_open(NULL, "postgres://h", NULL, NULL), TERCET_INVALID);
}

static int reply_at_length(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)db;
    (void)ctx;
    call->reply = strdup("a reply");
    call->reply_size = 7;
    return 0;
}

/* A column that takes less than was thought: the call is asked again, the log says what it is. */
Test(postgres, a_database_that_is_not_there_and_a_reply_that_the_table_does_not_take)
{
    char url[400], line[TERCET_TEXT_MAX] = "";
    struct tercet_barrier_options options = {
        .size = sizeof(options), .on_log = keep_line, .log_ctx = line};
    struct bench *bench = bench_open(BENCH_POSTGRES, &options);
    struct part part = {.bench = bench};
    struct tercet_barrier_call calls[] = {bench_call(&part, TERCET_TRY),
                                          bench_call(&part, TERCET_TRY)};
    snprintf(url, sizeof(url), "postgresql:///no_such_db?host=%s&user=tercet",
             getenv("TERCET_TEST_FOLDER"));
    bench_check_open(url, NULL, TERCET_STORE, "database \"no_such_db\" does not exist");
    bench_sql(bench, "ALTER TABLE tercet_barrier ADD CONSTRAINT short CHECK (length(reply) < 4)");
    calls[0].hook = reply_at_length;
    calls[1].branch = 2;
    tercet_barrier_run(bench->barrier, calls, 2);
    cr_assert_eq(calls[0].result, TERCET_STORE);
    cr_assert_eq(calls[1].result, 0);
    cr_assert_not_null(strstr(line, "constraint \"short\""), "%s", line);
    cr_assert_eq(bench_rows(bench), 1);
    bench_close(bench);
}

static int told_version; /* by the server, as the driver sees it; 0: the real one */
int __real_PQserverVersion(const PGconn *conn);
int __wrap_PQserverVersion(const PGconn *conn);
int __wrap_PQserverVersion(const PGconn *conn)
{
    return told_version != 0 ? told_version : __real_PQserverVersion(conn);
}

Test(postgres, an_old_server_is_refused_and_one_that_is_not_known_is_taken)
{
    struct bench *bench = bench_open(BENCH_POSTGRES, NULL);
    told_version = 90426;
    bench_check_open(bench->url, NULL, TERCET_STORE,
                     "the server is PostgreSQL 9.4, and the barrier needs 9.5");
    told_version = 90500;
    cr_assert_eq(bench_open_url(bench->url, NULL, NULL), 0);
    told_version = 990001;
    cr_assert_eq(bench_open_url(bench->url, NULL, NULL), 0);
    told_version = 0;
    bench_close(bench);
}

Test(postgres, tables_by_hand_of_a_newer_version_and_of_another_shape)
{
    struct tercet_barrier_options options = {.size = sizeof(options), .has_tables = true};
    struct bench *bench = bench_open(BENCH_POSTGRES, NULL);
    cr_assert_eq(bench_open_url(bench->url, &options, NULL), 0);
    bench_sql(bench, "UPDATE tercet_barrier_mark SET version = 2");
    bench_check_open(bench->url, NULL, TERCET_FORMAT, "newer version");
    bench_sql(bench, "DROP TABLE tercet_barrier, tercet_barrier_mark");
    bench_check_open(bench->url, &options, TERCET_STORE, "barrier-postgres.sql");
    bench_sql(bench, "CREATE TABLE tercet_barrier (gid text, branch integer, number bigint, state "
                     "integer, changed_ms bigint)");
    bench_check_open(bench->url, NULL, TERCET_STORE, "reply");
    bench_close(bench);
}

/* The file that a DBA runs makes what the barrier would have made. */
Test(postgres, tables_of_the_file_that_is_shipped)
{
    struct tercet_barrier_options options = {.size = sizeof(options), .has_tables = true};
    struct bench *bench = bench_open(BENCH_POSTGRES, NULL);
    static char sql[8192];
    static const char *const shape =
        "SELECT hashtext(string_agg(t.relname || a.attname || a.atttypid || a.atttypmod || "
        "a.attnotnull, ',' ORDER BY t.relname, a.attnum)) FROM pg_attribute AS a JOIN pg_class AS "
        "t "
        "ON t.oid = a.attrelid WHERE t.relname LIKE 'tercet%' AND a.attnum > 0 AND "
        "t.relnamespace = quote_ident(current_schema())::regnamespace";
    int64_t made = bench_query(bench, shape);
    FILE *file = fopen(BARRIER_SQL_FOLDER "/barrier-postgres.sql", "r");
    cr_assert_not_null(file);
    size_t size = fread(sql, 1, sizeof(sql) - 1, file);
    fclose(file);
    sql[size] = '\0';
    bench_sql(bench, "DROP TABLE tercet_barrier, tercet_barrier_mark");
    bench_sql(bench, sql);
    cr_assert_eq(bench_query(bench, shape), made);
    cr_assert_eq(bench_open_url(bench->url, &options, NULL), 0);
    bench_close(bench);
}

Test(postgres, a_role_that_may_not_create_and_a_server_that_takes_no_writes)
{
    struct tercet_barrier_options options = {.size = sizeof(options),
                                             .setup_sql = "SET default_transaction_read_only = on"};
    struct bench *bench = bench_open(BENCH_POSTGRES, NULL);
    bench_check_open(bench->url, &options, TERCET_STORE, "takes no writes");
    bench_sql(bench, "DROP TABLE tercet_barrier, tercet_barrier_mark");
    bench_sql(bench, "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'weak') THEN "
                     "CREATE ROLE weak; END IF; END $$");
    options.setup_sql = "SET ROLE weak";
    bench_check_open(bench->url, &options, TERCET_STORE, "barrier-postgres.sql");
    bench_close(bench);
}

Test(postgres, a_session_that_does_not_wait_for_its_commits_is_made_to)
{
    char line[TERCET_TEXT_MAX] = "";
    struct tercet_barrier_options options = {.size = sizeof(options),
                                             .setup_sql = "SET synchronous_commit = off",
                                             .on_log = keep_line,
                                             .log_ctx = line};
    struct bench *bench = bench_open(BENCH_POSTGRES, &options);
    struct part part = {.bench = bench};
    struct tercet_barrier_call call = bench_call(&part, TERCET_TRY);
    cr_assert_not_null(strstr(line, "synchronous_commit"), "%s", line);
    call.hook = run_blindly;
    call.ctx = (void *)(uintptr_t) "DO $$ BEGIN IF current_setting('synchronous_commit') <> 'on' "
                                   "THEN RAISE 'off'; END IF; END $$";
    tercet_barrier_run(bench->barrier, &call, 1);
    cr_assert_eq(call.result, 0);
    bench_close(bench);
}

Test(postgres, several_share_a_place)
{
    struct bench *bench = bench_open(BENCH_POSTGRES, NULL);
    struct tercet_barrier *barriers[4] = {NULL};
    for (int i = 0; i < 4; i++)
        cr_assert_eq(tercet_barrier_open(&barriers[i], bench->url, NULL, NULL), 0);
    cr_assert_eq(tercet_barrier_connections(barriers[0]), 4);
    for (int i = 0; i < 4; i++)
        tercet_barrier_close(barriers[i]);
    bench_close(bench);
}

/* -- Roles that change while a participant runs -------------------------------------------------
 */

/* A role of this bench's own, and the URL with it. */
static void make_role(struct bench *bench, const char *options, char *url, size_t size)
{
    char sql[512], name[32];
    snprintf(name, sizeof(name), "role_%s", strrchr(bench->folder, '-') + 1);
    snprintf(sql, sizeof(sql),
             "DO $$ BEGIN CREATE ROLE \"%s\" LOGIN %s; EXECUTE 'GRANT ALL ON SCHEMA ' || "
             "quote_ident(current_schema()) || ' TO \"%s\"'; GRANT ALL ON ledger, tercet_barrier, "
             "tercet_barrier_mark TO \"%s\"; END $$",
             name, options, name, name);
    bench_sql(bench, sql);
    const char *user = strstr(bench->url, "user=tercet");
    cr_assert_not_null(user);
    snprintf(url, size, "%.*suser=%s%s", (int)(user - bench->url), bench->url, name,
             user + strlen("user=tercet"));
}

static void change_role(struct bench *bench, const char *what)
{
    char sql[256];
    snprintf(sql, sizeof(sql), "%s \"role_%s\"", what, strrchr(bench->folder, '-') + 1);
    bench_sql(bench, sql);
}

static void end_role(struct bench *bench)
{
    change_role(bench, "DROP OWNED BY");
    change_role(bench, "DROP ROLE");
    bench_close(bench);
}

static int ask_for(struct tercet_barrier *barrier, uint32_t branch)
{
    struct tercet_barrier_call call = {.gid = GID, .branch = branch, .kind = TERCET_TRY};
    tercet_barrier_run(barrier, &call, 1);
    return call.result;
}

/* Fewer connections than wanted are enough; none at all is told. */
static void *ask_many(void *ctx)
{
    static atomic_uint branch;
    for (int i = 0; i < 20; i++)
        cr_assert_eq(ask_for(ctx, 1 + atomic_fetch_add(&branch, 1)), 0);
    return NULL;
}

Test(postgres, a_server_that_has_no_more_connections)
{
    struct bench *bench = bench_open(BENCH_POSTGRES, NULL);
    struct tercet_barrier_options options = {.size = sizeof(options), .connections_max = 8};
    struct tercet_barrier *barrier = NULL;
    pthread_t threads[8];
    char url[400];
    make_role(bench, "CONNECTION LIMIT 2", url, sizeof(url));
    cr_assert_eq(tercet_barrier_open(&barrier, url, &options, NULL), 0);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, ask_many, barrier), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    tercet_barrier_close(barrier);
    bench_reopen(bench);
    cr_assert_eq(bench_rows(bench), 160);
    char sql[96];
    snprintf(sql, sizeof(sql), "ALTER ROLE \"role_%s\" CONNECTION LIMIT 0",
             strrchr(bench->folder, '-') + 1);
    bench_sql(bench, sql);
    bench_check_open(url, NULL, TERCET_STORE, "too many connections");
    end_role(bench);
}

/* A role that is shut out, as one whose password was changed: the log says so, and it comes back by
 * itself. */
Test(postgres, a_role_that_is_shut_out_and_let_in_again)
{
    char line[TERCET_TEXT_MAX] = "";
    struct tercet_barrier_options options = {
        .size = sizeof(options), .connections_max = 1, .on_log = keep_line, .log_ctx = line};
    struct bench *bench = bench_open(BENCH_POSTGRES, NULL);
    struct tercet_barrier *barrier = NULL;
    char url[400], sql[96];
    make_role(bench, "PASSWORD 's3cr3t'", url, sizeof(url));
    cr_assert_eq(tercet_barrier_open(&barrier, url, &options, NULL), 0);
    cr_assert_eq(ask_for(barrier, 1), 0);
    snprintf(sql, sizeof(sql), "ALTER ROLE \"role_%s\" NOLOGIN", strrchr(bench->folder, '-') + 1);
    bench_sql(bench, sql);
    bench_sql(bench, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE "
                     "'role_' || right(current_setting('application_name'), 6)");
    cr_assert_eq(ask_for(barrier, 2), TERCET_STORE);
    cr_assert_not_null(strstr(line, "not permitted to log in"), "%s", line);
    strcpy(strrchr(sql, ' ') + 1, "LOGIN");
    bench_sql(bench, sql);
    int rc = TERCET_STORE;
    for (int i = 0; i < 100000000 && rc != 0; i++)
        rc = ask_for(barrier, 2);
    cr_assert_eq(rc, 0, "%s", line);
    tercet_barrier_close(barrier);
    end_role(bench);
}
