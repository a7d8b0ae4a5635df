/* SPDX-License-Identifier: Apache-2.0
 *
 * One database that serves two coordinators at once, whose numbers have nothing to do with each
 * other: through the same tables, and through tables of each one's own beside the same data.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "pool.h"

#define TRANSACTIONS 60
#define ROWS_LEFT 12 /* above the mark, and what came after it was stored last */

struct coordinator {
    pthread_t thread;
    struct bench *bench;
    struct tercet_barrier *barrier;
    const char *ledger;
    uint64_t source, first;
};

/* Into the one ledger, wherever the barrier's tables are. */
static int write_line(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    const struct coordinator *coordinator = ctx;
    char sql[256];
    snprintf(sql, sizeof(sql), "INSERT INTO %s VALUES ('%s', %u, %d)", coordinator->ledger,
             call->gid, call->branch, (int)call->kind);
    return bench_server(coordinator->bench->driver)->execute(db, sql);
}

static int ask(struct coordinator *coordinator, enum tercet_kind kind, uint64_t number)
{
    char gid[48];
    snprintf(gid, sizeof(gid), "s-%d-%d", (int)coordinator->source, (int)number);
    struct tercet_barrier_call call = {.gid = gid,
                                       .branch = 1,
                                       .number = coordinator->first + number,
                                       .low_water = coordinator->first + number - 5,
                                       .source = coordinator->source,
                                       .kind = kind,
                                       .hook = write_line,
                                       .ctx = coordinator};
    for (int i = 0; i < 100000; i++) {
        tercet_barrier_run(coordinator->barrier, &call, 1);
        if (call.result != TERCET_STORE && call.result != TERCET_AGAIN)
            break;
    }
    return call.result;
}

/* Confirms, cancels, and cancels of nothing. */
static void *coordinate(void *ctx)
{
    struct coordinator *coordinator = ctx;
    for (uint64_t number = 1; number <= TRANSACTIONS; number++) {
        if (number % 3 != 0)
            cr_assert_eq(ask(coordinator, TERCET_TRY, number), 0);
        cr_assert_eq(ask(coordinator, number % 3 == 1 ? TERCET_CONFIRM : TERCET_CANCEL, number), 0);
    }
    for (uint64_t number = 3; number <= TRANSACTIONS; number += 3)
        cr_assert_eq(ask(coordinator, TERCET_TRY, number), TERCET_REFUSED, "too late");
    return NULL;
}

/* Two coordinators at once; the first has the higher numbers by far. */
static void coordinate_both(struct bench *bench, struct tercet_barrier *const barriers[2],
                            const char *ledger)
{
    struct coordinator both[2];
    for (int i = 0; i < 2; i++) {
        both[i] = (struct coordinator){.bench = bench,
                                       .barrier = barriers[i],
                                       .ledger = ledger,
                                       .source = 7 + (uint64_t)i,
                                       .first = i == 0 ? 1000000 : 10};
        barriers[i]->store_interval_ms = 0;
    }
    cr_assert_eq(ask(&both[0], TERCET_CANCEL, 0), 0); /* is the first that the database sees */
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&both[i].thread, NULL, coordinate, &both[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(both[i].thread, NULL);
    cr_assert_eq(bench_effects(bench, NULL, 0), 2 * TRANSACTIONS * 4 / 3);
}

/* Rows of the one whose numbers the database goes by are deleted, the other's stay, and answer. */
EACH_DRIVER(barrier_server, two_coordinators_share_tables)
{
    if (bench_server(*driver) == NULL)
        return;
    struct bench *bench = bench_open(*driver, NULL);
    struct tercet_barrier *const barriers[] = {bench->barrier, bench->barrier};
    coordinate_both(bench, barriers, "ledger");
    cr_assert_geq(bench_rows(bench), TRANSACTIONS);
    cr_assert_leq(bench_rows(bench), TRANSACTIONS + ROWS_LEFT);
    cr_assert_geq(bench_mark(bench), 1000000 + TRANSACTIONS - 10);
    bench_close(bench);
}

/* -- Tables of each one's own -------------------------------------------------------------------
 */

/* What a place beside the bench's is called, as SQL and as the URL has it. */
static void name_place(const struct bench *bench, int which, char *name, size_t size)
{
    const char *begin = bench->driver == BENCH_POSTGRES ? strstr(bench->url, "%3D%22") + 6
                                                        : strstr(bench->url, "@/") + 2;
    snprintf(name, size, "%.*s_%d", (int)strcspn(begin, "%?"), begin, which);
}

static void change_place(struct bench *bench, int which, const char *what)
{
    char sql[256], name[128];
    if (bench->driver == BENCH_REDIS)
        return;
    name_place(bench, which, name, sizeof(name));
    snprintf(sql, sizeof(sql),
             bench->driver == BENCH_POSTGRES ? "%s SCHEMA \"%s\"%s" : "%s DATABASE `%s`", what,
             name, what[0] == 'D' ? " CASCADE" : "");
    bench_sql(bench, sql);
}

static struct tercet_barrier *open_place(struct bench *bench, int which)
{
    struct tercet_barrier *barrier = NULL;
    char url[640], name[128], text[TERCET_TEXT_MAX] = "";
    if (bench->driver == BENCH_REDIS) {
        snprintf(url, sizeof(url), "%s&prefix=coordinator-%d:", bench->url, which);
    } else {
        name_place(bench, which, name, sizeof(name));
        const char *at = bench->driver == BENCH_POSTGRES ? strstr(bench->url, "%3D%22") + 3
                                                         : strchr(bench->url, '?');
        if (bench->driver == BENCH_POSTGRES)
            snprintf(url, sizeof(url), "%.*s%%22%s%%22,%s", (int)(at - bench->url), bench->url,
                     name, at);
        else
            snprintf(url, sizeof(url), "mysql://root@/%s%s", name, at);
    }
    change_place(bench, which, "CREATE");
    cr_assert_eq(tercet_barrier_open(&barrier, url, NULL, text), 0, "%s: %s", url, text);
    return barrier;
}

/* As docs/databases.md says: a schema, a database or a prefix for each, one ledger for both. */
EACH_DRIVER(barrier_server, two_coordinators_with_tables_of_their_own)
{
    struct tercet_barrier *barriers[2];
    char ledger[160] = "ledger", name[128];
    if (bench_server(*driver) == NULL)
        return;
    struct bench *bench = bench_open(*driver, NULL);
    bench_sql(bench, "DELETE FROM tercet_barrier");
    if (*driver == BENCH_POSTGRES)
        bench_sql(bench, "DROP TABLE tercet_barrier, tercet_barrier_mark");
    if (*driver == BENCH_MYSQL) {
        name_place(bench, 0, name, sizeof(name));
        snprintf(ledger, sizeof(ledger), "`%.*s`.ledger", (int)strlen(name) - 2, name);
    }
    for (int i = 0; i < 2; i++)
        barriers[i] = open_place(bench, i);
    coordinate_both(bench, barriers, ledger);
    for (int i = 0; i < 2; i++) {
        uint64_t rows = 0, mark = 0;
        cr_assert_eq(tercet_barrier_stats(barriers[i], &rows, &mark), 0);
        cr_assert_leq(rows, ROWS_LEFT, "%d", (int)rows);
        cr_assert_geq(mark, (i == 0 ? 1000000u : 10u) + TRANSACTIONS - 10);
        tercet_barrier_close(barriers[i]);
    }
    for (int i = 0; i < 2; i++)
        change_place(bench, i, "DROP");
    bench_close(bench);
}
