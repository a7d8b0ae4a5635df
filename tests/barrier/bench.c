/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h, for memory and SQLite; servers have files of their own.
 */
#include "bench.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_servers.h"
#include "pool.h"

static int make_ledger(tercet_db db, void *ctx)
{
    (void)ctx;
    return sqlite3_exec(
        db, "CREATE TABLE IF NOT EXISTS ledger (gid TEXT, branch INTEGER, kind INTEGER)", NULL,
        NULL, NULL);
}

const struct bench_server *bench_server(enum bench_driver driver)
{
#ifdef TERCET_TEST_POSTGRES
    if (driver == BENCH_POSTGRES)
        return &bench_postgres;
#endif
#ifdef TERCET_TEST_MYSQL
    if (driver == BENCH_MYSQL)
        return &bench_mysql;
#endif
#ifdef TERCET_TEST_REDIS
    if (driver == BENCH_REDIS)
        return &bench_redis;
#endif
    (void)driver;
    return NULL;
}

/* Marks are stored with every batch, as with one writer: tests look at once. */
static void open_at_server(struct bench *bench)
{
    char text[TERCET_TEXT_MAX] = "";
    cr_assert_eq(tercet_barrier_open(&bench->barrier, bench->url, &bench->options, text), 0, "%s",
                 text);
    bench->barrier->store_interval_ms = 0;
}

void bench_open_barrier(struct bench *bench)
{
    char text[TERCET_TEXT_MAX] = "";
    if (bench_server(bench->driver) != NULL) {
        open_at_server(bench);
        return;
    }
    if (bench->driver == BENCH_MEMORY) {
        cr_assert_eq(tercet_barrier_memory_open(&bench->barrier, &bench->options), 0);
        return;
    }
    cr_assert_eq(tercet_barrier_sqlite_open(&bench->barrier, bench->path, &bench->options, text), 0,
                 "%s", text);
    cr_assert_eq(tercet_barrier_local(bench->barrier, make_ledger, NULL), 0);
}

struct bench *bench_make(enum bench_driver driver, const struct tercet_barrier_options *options)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    bench->driver = driver;
    bench->options.size = sizeof(bench->options);
    if (options != NULL)
        bench->options = *options;
    strcpy(bench->folder, "/tmp/tercet-barrier-XXXXXX");
    cr_assert_not_null(mkdtemp(bench->folder));
    snprintf(bench->path, sizeof(bench->path), "%s/app.db", bench->folder);
    if (bench_server(driver) != NULL)
        bench_server(driver)->make(bench);
    return bench;
}

struct bench *bench_open(enum bench_driver driver, const struct tercet_barrier_options *options)
{
    struct bench *bench = bench_make(driver, options);
    bench_open_barrier(bench);
    return bench;
}

void bench_reopen(struct bench *bench)
{
    tercet_barrier_close(bench->barrier);
    bench_open_barrier(bench);
}

void bench_close(struct bench *bench)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    char path[128];
    tercet_barrier_close(bench->barrier);
    if (bench_server(bench->driver) != NULL)
        bench_server(bench->driver)->drop(bench);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s%s", bench->path, endings[i]);
        unlink(path);
    }
    rmdir(bench->folder);
    free(bench->lines);
    free(bench);
}

static void write_to_memory(struct bench *bench, const struct bench_line *line)
{
    bench->lines = realloc(bench->lines, (bench->line_count + 1) * sizeof(*bench->lines));
    bench->lines[bench->line_count++] = *line;
}

int bench_write(struct bench *bench, tercet_db db, const struct bench_line *line)
{
    char sql[256];
    if (db == NULL) {
        write_to_memory(bench, line);
        return 0;
    }
    snprintf(sql, sizeof(sql), "INSERT INTO ledger VALUES ('%s', %u, %d)", line->gid, line->branch,
             (int)line->kind);
    if (bench->driver != BENCH_SQLITE)
        return bench_server(bench->driver)->execute(db, sql);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    return 0;
}

/* In a database the line is written whatever the answer: rolling it back is the barrier's
 * business. */
int bench_hook(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    struct part *part = ctx;
    struct bench_line line = {.branch = call->branch, .kind = call->kind};
    int rc = 0;
    part->runs++;
    strcpy(line.gid, call->gid);
    if (db != NULL || part->result == 0)
        rc = bench_write(part->bench, db, &line);
    if (rc != 0)
        return rc;
    if (part->reply != NULL) {
        call->reply = strdup(part->reply);
        call->reply_size = strlen(part->reply);
    }
    return part->result;
}

struct tercet_barrier_call bench_call(struct part *part, enum tercet_kind kind)
{
    return (struct tercet_barrier_call){
        .gid = GID, .branch = 1, .kind = kind, .hook = bench_hook, .ctx = part};
}

int bench_ask(struct bench *bench, struct tercet_barrier_call call)
{
    tercet_barrier_run(bench->barrier, &call, 1);
    free(call.reply);
    return call.result;
}

int bench_ask_part(struct part *part, enum tercet_kind kind)
{
    return bench_ask(part->bench, bench_call(part, kind));
}

int bench_run_five(struct bench *bench, tercet_barrier_hook hook, const char *text)
{
    struct part part = {.bench = bench, .reply = "kept"};
    struct tercet_barrier_call calls[5];
    for (uint32_t i = 0; i < 5; i++) {
        calls[i] = bench_call(&part, TERCET_TRY);
        calls[i].branch = i + 1;
    }
    calls[2].hook = hook;
    calls[2].ctx = (void *)(uintptr_t)text;
    tercet_barrier_run(bench->barrier, calls, 5);
    for (uint32_t i = 0; i < 5; i++) {
        free(calls[i].reply);
        cr_assert(i == 2 || calls[i].result == 0, "call %u: %d", i, calls[i].result);
    }
    cr_assert_eq(bench_effects(bench, NULL, TERCET_TRY), 4);
    return calls[2].result;
}

int bench_open_url(const char *url, const struct tercet_barrier_options *options, char *text)
{
    struct tercet_barrier *barrier = NULL;
    int rc = tercet_barrier_open(&barrier, url, options, text);
    tercet_barrier_close(barrier);
    return rc;
}

void bench_check_open(const char *url, const struct tercet_barrier_options *options, int rc,
                      const char *words)
{
    char text[TERCET_TEXT_MAX] = "";
    cr_assert_eq(bench_open_url(url, options, text), rc, "%s", text);
    cr_assert_not_null(strstr(text, words), "%s", text);
}

struct query {
    const char *sql;
    int64_t number;
};

static int run_query(tercet_db db, void *ctx)
{
    struct query *query = ctx;
    sqlite3_stmt *statement = NULL;
    cr_assert_eq(sqlite3_prepare_v2(db, query->sql, -1, &statement, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(db));
    if (sqlite3_step(statement) == SQLITE_ROW)
        query->number = sqlite3_column_int64(statement, 0);
    return sqlite3_finalize(statement);
}

int64_t bench_query(struct bench *bench, const char *sql)
{
    struct query query = {.sql = sql};
    if (bench->driver != BENCH_SQLITE)
        return bench_server(bench->driver)->query(bench, sql);
    cr_assert_eq(tercet_barrier_local(bench->barrier, run_query, &query), 0);
    return query.number;
}

void bench_sql(struct bench *bench, const char *sql)
{
    bench_query(bench, sql);
}

int bench_effects(struct bench *bench, const char *gid, int kind)
{
    char sql[256];
    int count = 0;
    if (bench->driver != BENCH_MEMORY) {
        snprintf(sql, sizeof(sql),
                 "SELECT count(*) FROM ledger WHERE gid LIKE '%s' AND (kind = %d OR %d = 0)",
                 gid != NULL ? gid : "%", kind, kind);
        return (int)bench_query(bench, sql);
    }
    for (size_t i = 0; i < bench->line_count; i++) {
        const struct bench_line *line = &bench->lines[i];
        count +=
            (gid == NULL || strcmp(line->gid, gid) == 0) && (kind == 0 || (int)line->kind == kind);
    }
    return count;
}

uint64_t bench_rows(struct bench *bench)
{
    uint64_t rows = 0, mark = 0;
    cr_assert_eq(tercet_barrier_stats(bench->barrier, &rows, &mark), 0);
    return rows;
}

uint64_t bench_mark(struct bench *bench)
{
    uint64_t rows = 0, mark = 0;
    cr_assert_eq(tercet_barrier_stats(bench->barrier, &rows, &mark), 0);
    return mark;
}

struct criterion_test_params bench_each_driver(void)
{
    static enum bench_driver drivers[] = {BENCH_MEMORY, BENCH_SQLITE};
    static enum bench_driver named;
    const char *name = getenv("TERCET_TEST_DRIVER");
    if (name == NULL)
        return cr_make_param_array(enum bench_driver, drivers, 2);
    named = strcmp(name, "postgres") == 0 ? BENCH_POSTGRES
            : strcmp(name, "mysql") == 0  ? BENCH_MYSQL
                                          : BENCH_REDIS;
    cr_assert_not_null(bench_server(named), "this build has no barrier for %s", name);
    return cr_make_param_array(enum bench_driver, &named, 1);
}
