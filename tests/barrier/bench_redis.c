/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h at a Redis server, which scripts/with-redis starts: a numbered database of its own for
 * each bench, with the ledger as a list of the lines that other servers are told in SQL.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/redis.h>
#include <unistd.h>

#include "bench_servers.h"
#include "drivers.h"

#define DATABASES 65536
#define LINE "INSERT INTO ledger VALUES ('%64[^']', %u, %d)"

static redisReply *tell(const struct bench *bench, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = redisvCommand(bench->outside, format, arguments);
    va_end(arguments);
    cr_assert_not_null(reply, "%s", ((redisContext *)bench->outside)->errstr);
    cr_assert_neq(reply->type, REDIS_REPLY_ERROR, "%s: %s", format, reply->str);
    return reply;
}

static int database_of(const struct bench *bench)
{
    unsigned hash = (unsigned)getpid();
    for (const char *c = bench->folder; *c != '\0'; c++)
        hash = hash * 31 + (unsigned char)*c;
    return (int)(hash % DATABASES);
}

static void look_again(struct bench *bench)
{
    if (bench->outside != NULL)
        redisFree(bench->outside);
    bench->outside = redisConnectUnix(getenv("TERCET_TEST_REDIS"));
    freeReplyObject(tell(bench, "SELECT %d", database_of(bench)));
}

static void make(struct bench *bench)
{
    const char *server = getenv("TERCET_TEST_REDIS");
    if (server == NULL)
        cr_skip_test("run under scripts/with-redis");
    snprintf(bench->url, sizeof(bench->url), "redis+unix://%s?db=%d", server, database_of(bench));
    look_again(bench);
    freeReplyObject(tell(bench, "FLUSHDB"));
}

static void drop(struct bench *bench)
{
    freeReplyObject(tell(bench, "FLUSHDB"));
    redisFree(bench->outside);
}

static int execute(tercet_db db, const char *sql)
{
    return tercet_redis_do(db, "RPUSH ledger %s", sql);
}

/* The rows' states, added up. */
static int64_t sum_states(struct bench *bench)
{
    int64_t sum = 0;
    redisReply *rows = tell(bench, "HVALS tercet_barrier");
    for (size_t i = 0; i < rows->elements; i++)
        sum += rows->element[i]->str[0] - '0';
    freeReplyObject(rows);
    return sum;
}

static int64_t tell_number(struct bench *bench, const char *command)
{
    redisReply *reply = tell(bench, command);
    int64_t number = reply->integer;
    freeReplyObject(reply);
    return number;
}

static int64_t query_lines(struct bench *bench, const char *sql)
{
    char wanted[80] = "%";
    int kind = 0;
    int64_t count = 0;
    bool seen[5000][4] = {{false}};
    bool is_distinct = strstr(sql, "branch, kind FROM ledger") != NULL;
    sscanf(sql, "SELECT count(*) FROM ledger WHERE gid LIKE '%79[^']' AND (kind = %d", wanted,
           &kind);
    redisReply *lines = tell(bench, "LRANGE ledger 0 -1");
    for (size_t i = 0; i < lines->elements; i++) {
        char gid[80];
        unsigned branch;
        int line_kind;
        cr_assert_eq(sscanf(lines->element[i]->str, LINE, gid, &branch, &line_kind), 3);
        bool is_one = (strcmp(wanted, "%") == 0 || strcmp(gid, wanted) == 0) &&
                      (kind == 0 || line_kind == kind);
        bool is_new = !is_distinct || !seen[branch % 5000][line_kind];
        seen[branch % 5000][line_kind] = true;
        count += is_one && is_new;
    }
    freeReplyObject(lines);
    return count;
}

/* The only questions that are asked of every server: about lines, how many there are, or different
 * ones, and about rows. */
static int64_t query(struct bench *bench, const char *sql)
{
    if (strcmp(sql, "DELETE FROM ledger") == 0)
        return tell_number(bench, "DEL ledger");
    if (strcmp(sql, "DELETE FROM tercet_barrier") == 0)
        return tell_number(bench, "DEL tercet_barrier tercet_barrier_ended");
    if (strcmp(sql, "SELECT count(*) FROM tercet_barrier") == 0)
        return tell_number(bench, "HLEN tercet_barrier");
    if (strcmp(sql, "SELECT sum(state) FROM tercet_barrier") == 0)
        return sum_states(bench);
    return query_lines(bench, sql);
}

static void end_connections(struct bench *bench)
{
    char wanted[32], *save = NULL;
    redisReply *list = tell(bench, "CLIENT LIST TYPE normal");
    snprintf(wanted, sizeof(wanted), " db=%d ", database_of(bench));
    for (char *line = strtok_r(list->str, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        long long id = 0;
        if (strstr(line, wanted) == NULL || sscanf(line, "id=%lld", &id) != 1)
            continue;
        freeReplyObject(tell(bench, "CLIENT KILL ID %lld SKIPME yes", id));
    }
    freeReplyObject(list);
}

const struct bench_server bench_redis = {.variable = "TERCET_TEST_REDIS",
                                         .make = make,
                                         .drop = drop,
                                         .driver_open = redis_driver_open,
                                         .driver = &redis_driver,
                                         .execute = execute,
                                         .query = query,
                                         .look_again = look_again,
                                         .end_connections = end_connections,
                                         .has_no_sql = true,
                                         .url_snapshots = ""};
