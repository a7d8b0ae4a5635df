/* SPDX-License-Identifier: Apache-2.0
 *
 * What only Redis does: work that is asked for and carried out at the server in one step with its
 * row, decisions that are made there, what cannot be undone, and all that can be wrong with a
 * server.
 */
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/redis.h>
#include <time.h>

#include "bench.h"

static redisReply *tell(const struct bench *bench, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = redisvCommand(bench->outside, format, arguments);
    va_end(arguments);
    cr_assert_not_null(reply, "%s", format);
    return reply;
}

static long long number_of(const struct bench *bench, const char *key)
{
    redisReply *reply = tell(bench, "GET %s", key);
    long long number = reply->type == REDIS_REPLY_STRING ? atoll(reply->str) : -1;
    freeReplyObject(reply);
    return number;
}

static void set(const struct bench *bench, const char *key, int value)
{
    freeReplyObject(tell(bench, "SET %s %d", key, value));
}

/* A call of one branch with this hook. */
static struct tercet_barrier_call call_of(uint32_t branch, enum tercet_kind kind,
                                          tercet_barrier_hook hook, void *ctx)
{
    return (struct tercet_barrier_call){
        .gid = GID, .branch = branch, .number = 7, .kind = kind, .hook = hook, .ctx = ctx};
}

static int run_one(struct bench *bench, struct tercet_barrier_call *call)
{
    tercet_barrier_run(bench->barrier, call, 1);
    return call->result;
}

static void drop_answers(struct tercet_barrier_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(calls[i].reply);
        free(calls[i].reason);
        calls[i].reply = calls[i].reason = NULL;
    }
}

/* -- Commands and scripts ---------------------------------------------------------------------- */

static int run_command(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)call;
    return tercet_redis_do(db, ctx);
}

static int run_two_commands(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)call;
    int rc = tercet_redis_do(db, "INCRBY stock -1");
    return rc == 0 ? tercet_redis_do(db, ctx) : rc;
}

static int run_script(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    const char *const words[] = {"stock", "3"};
    (void)call;
    return tercet_redis_script(db, ctx, 1, 2, words, NULL);
}

static char reserve[] = "local left = tonumber(redis.call('GET', KEYS[1]) or '0')\n"
                        "if left < tonumber(ARGV[1]) then\n"
                        "  return {err = 'REFUSED only ' .. left .. ' left'}\n"
                        "end\n"
                        "return 'left: ' .. redis.call('DECRBY', KEYS[1], ARGV[1])\n";

Test(redis, a_script_decides_at_the_server_and_makes_the_reply)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    set(bench, "stock", 10);
    struct tercet_barrier_call calls[5];
    for (uint32_t i = 0; i < 5; i++)
        calls[i] = call_of(i + 1, TERCET_TRY, run_script, reserve);
    tercet_barrier_run(bench->barrier, calls, 5);
    for (uint32_t i = 0; i < 3; i++) {
        char left[16];
        snprintf(left, sizeof(left), "left: %u", 7 - 3 * i);
        cr_assert_eq(calls[i].result, 0);
        cr_assert_eq(calls[i].reply_size, strlen(left));
        cr_assert_eq(memcmp(calls[i].reply, left, strlen(left)), 0);
    }
    for (uint32_t i = 3; i < 5; i++) {
        cr_assert_eq(calls[i].result, TERCET_REFUSED);
        cr_assert_str_eq(calls[i].reason, "only 1 left");
        cr_assert_null(calls[i].reply);
    }
    drop_answers(calls, 5);
    cr_assert_eq(number_of(bench, "stock"), 1);
    cr_assert_eq(bench_rows(bench), 3, "a refusal leaves no row");
    cr_assert_eq(run_one(bench, &calls[0]), 0);
    cr_assert_eq(memcmp(calls[0].reply, "left: 7", 7), 0, "the reply is in the row");
    drop_answers(calls, 1);
    cr_assert_eq(number_of(bench, "stock"), 1);
    bench_close(bench);
}

/* What was built on a try that the server then refused is not done. */
Test(redis, what_follows_a_refusal_in_a_batch_is_answered_anew)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    set(bench, "stock", 2);
    struct tercet_barrier_call calls[] = {
        call_of(1, TERCET_TRY, run_script, reserve),
        call_of(1, TERCET_TRY, run_script, reserve),
        call_of(1, TERCET_CANCEL, run_command, "INCRBY stock 3"),
        call_of(1, TERCET_TRY, run_script, reserve),
    };
    tercet_barrier_run(bench->barrier, calls, 4);
    cr_assert_eq(calls[0].result, TERCET_REFUSED);
    cr_assert_eq(calls[1].result, TERCET_REFUSED);
    cr_assert_eq(calls[2].result, 0, "an empty cancel");
    cr_assert_eq(calls[3].result, TERCET_REFUSED);
    drop_answers(calls, 4);
    cr_assert_eq(number_of(bench, "stock"), 2);
    cr_assert_eq(bench_rows(bench), 1);
    bench_close(bench);
}

Test(redis, a_refusal_in_a_confirm_asks_again)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    struct tercet_barrier_call call = call_of(1, TERCET_TRY, NULL, NULL);
    cr_assert_eq(run_one(bench, &call), 0);
    call = call_of(1, TERCET_CONFIRM, run_script, "return {err = 'REFUSED not yet'}");
    cr_assert_eq(run_one(bench, &call), TERCET_AGAIN);
    cr_assert_str_eq(call.reason, "not yet");
    drop_answers(&call, 1);
    call.hook = NULL;
    cr_assert_eq(run_one(bench, &call), 0);
    bench_close(bench);
}

/* A command that fails first leaves nothing: no row, and no harm to the batch. */
Test(redis, a_first_command_that_fails_leaves_nothing)
{
    static char *const commands[] = {"LPUSH stock x", "NOSUCHCOMMAND", "INCRBY text 1", "SET stock",
                                     "BLPOP a 1"};
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    set(bench, "stock", 5);
    freeReplyObject(tell(bench, "SET text words"));
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        struct tercet_barrier_call calls[] = {
            call_of(10 * (uint32_t)i + 1, TERCET_TRY, run_command, "INCR good"),
            call_of(10 * (uint32_t)i + 2, TERCET_TRY, run_command, commands[i]),
            call_of(10 * (uint32_t)i + 3, TERCET_TRY, run_command, "INCR good"),
        };
        tercet_barrier_run(bench->barrier, calls, 3);
        cr_assert_eq(calls[0].result, 0, "%s: %d %s", commands[i], calls[0].result,
                     calls[0].reason);
        cr_assert_eq(calls[1].result, TERCET_STORE, "%s", commands[i]);
        cr_assert_not_null(calls[1].reason);
        cr_assert_eq(calls[2].result, 0);
        drop_answers(calls, 3);
    }
    cr_assert_eq(number_of(bench, "stock"), 5);
    cr_assert_eq(number_of(bench, "good"), 10);
    cr_assert_eq(bench_rows(bench), 10);
    bench_close(bench);
}

/* One that fails later leaves a branch that nobody goes on with before a person has looked at it.
 */
static void check_torn(tercet_barrier_hook hook, char *text)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    set(bench, "stock", 5);
    struct tercet_barrier_call call = call_of(1, TERCET_TRY, hook, text);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(run_one(bench, &call), TERCET_STORE, "%s", text);
        drop_answers(&call, 1);
    }
    call.kind = TERCET_CANCEL;
    cr_assert_eq(run_one(bench, &call), TERCET_STORE);
    cr_assert_eq(number_of(bench, "stock"), 4, "once, and no more");
    redisReply *row = tell(bench, "HGET tercet_barrier " GID ":1");
    cr_assert_eq(row->str[0], 'T', "%s", row->str);
    cr_assert_not_null(strstr(row->str, "torn"), "%s", row->str);
    freeReplyObject(row);
    freeReplyObject(tell(bench, "INCR stock"));
    freeReplyObject(tell(bench, "HDEL tercet_barrier " GID ":1"));
    cr_assert_eq(run_one(bench, &call), 0, "it was mended");
    bench_close(bench);
}

Test(redis, work_that_fails_in_its_middle_is_torn_and_never_done_twice)
{
    check_torn(run_two_commands, "LPUSH stock x");
    check_torn(run_script, "redis.call('DECR', KEYS[1]) redis.call('LPUSH', KEYS[1], 1)");
    check_torn(run_script, "redis.call('DECR', KEYS[1]) return {err = 'REFUSED too late'}");
    check_torn(run_script, "redis.call('DECR', KEYS[1]) error('of its own')");
}

Test(redis, a_script_that_fails_before_it_writes_leaves_nothing)
{
    static char *const scripts[] = {"this is no Lua", "error('x')", "return {err = 'NO x'}",
                                    "redis.call('GET', KEYS[1]) nothing.at = 1",
                                    "return string.rep('x', 10000000)"};
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    set(bench, "stock", 5);
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        struct tercet_barrier_call call = call_of(1, TERCET_TRY, run_script, scripts[i]);
        cr_assert_eq(run_one(bench, &call), TERCET_STORE, "%s", scripts[i]);
        cr_assert_not_null(call.reason);
        drop_answers(&call, 1);
        cr_assert_eq(bench_rows(bench), 0);
    }
    bench_close(bench);
}

/* -- Reading ----------------------------------------------------------------------------------- */

struct reading {
    struct bench *bench;
    int runs, changes; /* how often somebody else comes between */
};

/* Reads, decides, and asks for the work. */
static int take_watched(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    struct reading *reading = ctx;
    redisReply *reply = NULL;
    reading->runs++;
    int rc = tercet_redis_watch(db, "stock");
    if (rc == 0)
        rc = tercet_redis_ask(db, &reply, "GET %s", "stock");
    if (rc != 0)
        return rc;
    long long left = reply->str != NULL ? atoll(reply->str) : 0;
    freeReplyObject(reply);
    if (reading->changes-- > 0)
        freeReplyObject(tell(reading->bench, "DECR stock"));
    (void)call;
    return left < 1 ? TERCET_REFUSED : tercet_redis_do(db, "SET stock %lld", left - 1);
}

Test(redis, a_hook_whose_watched_key_is_changed_runs_again)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    struct reading reading = {.bench = bench, .changes = 2};
    set(bench, "stock", 5);
    struct tercet_barrier_call call = call_of(1, TERCET_TRY, take_watched, &reading);
    cr_assert_eq(run_one(bench, &call), 0);
    cr_assert_eq(reading.runs, 3);
    cr_assert_eq(number_of(bench, "stock"), 2);
    bench_close(bench);
}

/* Each sees what those before it in the batch have done: nothing is sold twice. */
Test(redis, hooks_of_a_batch_that_read_see_each_other)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    struct reading reading = {.bench = bench};
    struct tercet_barrier_call calls[8];
    set(bench, "stock", 5);
    for (uint32_t i = 0; i < 8; i++)
        calls[i] = call_of(i + 1, TERCET_TRY, take_watched, &reading);
    tercet_barrier_run(bench->barrier, calls, 8);
    for (uint32_t i = 0; i < 8; i++)
        cr_assert_eq(calls[i].result, i < 5 ? 0 : TERCET_REFUSED, "%u: %d", i, calls[i].result);
    cr_assert_eq(number_of(bench, "stock"), 0);
    cr_assert_eq(bench_rows(bench), 5);
    bench_close(bench);
}

static int ask_wrongly(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    redisReply *reply = NULL;
    const char *const words[] = {"SET", "wrongly", "1"};
    (void)call;
    (void)ctx;
    cr_expect_eq(tercet_redis_ask(db, &reply, "multi"), TERCET_INVALID);
    cr_expect_eq(tercet_redis_ask(db, &reply, "SELECT 1"), TERCET_INVALID);
    cr_expect_eq(tercet_redis_ask(db, NULL, "GET x"), TERCET_INVALID);
    cr_expect_eq(tercet_redis_ask(db, &reply, ""), TERCET_INVALID);
    cr_expect_eq(tercet_redis_ask(db, &reply, "LPUSH stock x"), TERCET_STORE);
    cr_expect_eq(tercet_redis_do(db, "SET x %y"), TERCET_INVALID);
    cr_expect_eq(tercet_redis_do_words(db, 0, words, NULL), TERCET_INVALID);
    cr_expect_eq(tercet_redis_script(db, NULL, 0, 0, NULL, NULL), TERCET_INVALID);
    cr_expect_eq(tercet_redis_script(db, "return", 2, 1, words, NULL), TERCET_INVALID);
    cr_expect_eq(tercet_redis_watch(db, NULL), TERCET_INVALID);
    cr_expect_null(reply);
    return tercet_redis_do_words(db, 3, words, NULL);
}

Test(redis, what_a_hook_must_not_ask_is_refused_and_costs_nothing)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    struct tercet_barrier_call call = call_of(1, TERCET_TRY, ask_wrongly, NULL);
    set(bench, "stock", 5);
    cr_assert_eq(run_one(bench, &call), 0);
    cr_assert_eq(number_of(bench, "wrongly"), 1);
    bench_close(bench);
}

/* More words than Lua can spread would end the script after what was done before them. */
static int run_long_command(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    const int *count = ctx;
    const char **words = calloc((size_t)*count, sizeof(*words));
    int rc = tercet_redis_do(db, "INCR stock");
    (void)call;
    cr_assert_not_null(words);
    for (int i = 0; i < *count; i++)
        words[i] = "1";
    words[0] = "RPUSH";
    words[1] = "list";
    rc = rc == 0 ? tercet_redis_do_words(db, *count, words, NULL) : rc;
    free(words);
    return rc;
}

Test(redis, a_command_has_so_many_words_at_most)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    int count = TERCET_REDIS_WORDS_MAX;
    struct tercet_barrier_call call = call_of(1, TERCET_TRY, run_long_command, &count);
    set(bench, "stock", 5);
    cr_assert_eq(run_one(bench, &call), 0);
    cr_assert_eq(number_of(bench, "stock"), 6);
    count++;
    call = call_of(2, TERCET_TRY, run_long_command, &count);
    cr_assert_eq(run_one(bench, &call), TERCET_INVALID);
    cr_assert_eq(number_of(bench, "stock"), 6);
    bench_close(bench);
}

/* Words may hold anything: nothing is quoted, nothing is cut. */
static int write_bytes(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    static const char value[] = "a\0b\r\n$3 %s";
    (void)call;
    (void)ctx;
    return tercet_redis_do(db, "SET %s %b", "bytes of all kinds", value, sizeof(value));
}

Test(redis, bytes_of_all_kinds)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    struct tercet_barrier_call call = call_of(1, TERCET_TRY, write_bytes, NULL);
    cr_assert_eq(run_one(bench, &call), 0);
    redisReply *reply = tell(bench, "GET %s", "bytes of all kinds");
    cr_assert_eq(reply->len, sizeof("a\0b\r\n$3 %s"));
    freeReplyObject(reply);
    bench_close(bench);
}

static int local_work(tercet_db db, void *ctx)
{
    redisReply *reply = NULL;
    int rc = tercet_redis_ask(db, &reply, "GET stock");
    if (rc == 0)
        freeReplyObject(reply);
    if (rc == 0)
        rc = tercet_redis_do(db, "INCR stock");
    return rc == 0 && ctx != NULL ? TERCET_AGAIN : rc;
}

Test(redis, work_of_the_applications_own)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    set(bench, "stock", 5);
    cr_assert_eq(tercet_barrier_local(bench->barrier, local_work, NULL), 0);
    cr_assert_eq(tercet_barrier_local(bench->barrier, local_work, bench), TERCET_AGAIN);
    cr_assert_eq(number_of(bench, "stock"), 6);
    cr_assert_eq(bench_rows(bench), 0);
    bench_close(bench);
}

/* -- What can be wrong with a server ----------------------------------------------------------- */

Test(redis, a_server_that_has_forgotten_the_scripts_is_told_them_again)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    struct reading reading = {.bench = bench};
    set(bench, "stock", 5);
    for (uint32_t i = 1; i <= 3; i++) {
        struct tercet_barrier_call call = call_of(i, TERCET_TRY, run_command, "INCR stock");
        if (i == 3)
            call = call_of(i, TERCET_TRY, take_watched, &reading);
        call.low_water = i;
        freeReplyObject(tell(bench, "SCRIPT FLUSH"));
        cr_assert_eq(run_one(bench, &call), 0);
    }
    cr_assert_eq(number_of(bench, "stock"), 6);
    bench_close(bench);
}

Test(redis, a_database_that_is_emptied_is_told_from_the_old_one)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    char identity[TERCET_BARRIER_IDENTITY_MAX + 1];
    struct tercet_barrier_call call = call_of(1, TERCET_TRY, NULL, NULL);
    cr_assert_eq(tercet_barrier_identity(bench->barrier, identity), 0);
    cr_assert_eq(run_one(bench, &call), 0);
    freeReplyObject(tell(bench, "FLUSHDB"));
    call.kind = TERCET_CONFIRM;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(run_one(bench, &call), TERCET_STORE, "not: broken");
    bench_reopen(bench);
    cr_assert_eq(run_one(bench, &call), TERCET_BROKEN);
    bench_close(bench);
}

/* What the second connection of a barrier gets. */
struct another {
    struct bench *bench;
    struct tercet_barrier_call call;
    pthread_t thread;
};

static void *run_another(void *ctx)
{
    struct another *another = ctx;
    tercet_barrier_run(another->bench->barrier, &another->call, 1);
    return NULL;
}

static long long server_figure(struct bench *bench, const char *name)
{
    redisReply *reply = tell(bench, "INFO");
    const char *at = strstr(reply->str, name);
    cr_assert_not_null(at);
    long long figure = strtoll(at + strlen(name), NULL, 10);
    freeReplyObject(reply);
    return figure;
}

static bool has_mark(struct bench *bench)
{
    redisReply *reply = tell(bench, "EXISTS tercet_barrier_mark");
    bool has_it = reply->integer == 1;
    freeReplyObject(reply);
    return has_it;
}

/* Comes back when the other connection was made, and is given up or at work. */
static int empty_and_run_another(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    struct another *another = ctx;
    struct bench *bench = another->bench;
    const struct timespec pause = {.tv_nsec = 10000000};
    long long clients = server_figure(bench, "connected_clients:");
    long long connections = server_figure(bench, "total_connections_received:");
    (void)call;
    (void)db;
    freeReplyObject(tell(bench, "FLUSHDB"));
    cr_assert_eq(pthread_create(&another->thread, NULL, run_another, another), 0);
    for (int i = 0; i < 1000 && !has_mark(bench); i++) {
        if (server_figure(bench, "total_connections_received:") > connections &&
            server_figure(bench, "connected_clients:") == clients)
            break;
        nanosleep(&pause, NULL);
    }
    return 0;
}

Test(redis, a_connection_opened_later_takes_no_emptied_database_for_a_new_one)
{
    struct tercet_barrier_options options = {.size = sizeof(options), .connections_max = 2};
    struct bench *bench = bench_open(BENCH_REDIS, &options);
    char identity[TERCET_BARRIER_IDENTITY_MAX + 1];
    struct another another = {.bench = bench, .call = call_of(3, TERCET_TRY, NULL, NULL)};
    struct tercet_barrier_call tried = call_of(1, TERCET_TRY, NULL, NULL);
    struct tercet_barrier_call emptying = call_of(2, TERCET_TRY, empty_and_run_another, &another);
    cr_assert_eq(tercet_barrier_identity(bench->barrier, identity), 0);
    cr_assert_eq(run_one(bench, &tried), 0);
    cr_expect_eq(run_one(bench, &emptying), TERCET_STORE);
    cr_assert_eq(pthread_join(another.thread, NULL), 0);
    cr_expect_eq(another.call.result, TERCET_STORE);
    tried.kind = TERCET_CONFIRM;
    cr_expect_eq(run_one(bench, &tried), TERCET_STORE, "not: broken");
    bench_close(bench);
}

Test(redis, rows_are_collected_in_steps)
{
    struct tercet_barrier_options options = {.size = sizeof(options), .collect_rows_max = 1100};
    struct bench *bench = bench_open(BENCH_REDIS, &options);
    static struct tercet_barrier_call calls[600];
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 600; i++) {
            calls[i] = call_of(i + 1, TERCET_CANCEL, NULL, NULL);
            calls[i].gid = round == 0 ? "first" : "second";
        }
        tercet_barrier_run(bench->barrier, calls, 600);
    }
    struct tercet_barrier_call call = call_of(1, TERCET_CANCEL, NULL, NULL);
    call.number = 99;
    call.low_water = 50;
    cr_assert_eq(run_one(bench, &call), 0);
    cr_assert_eq(bench_rows(bench), 1201 - 1100);
    cr_assert_eq(bench_mark(bench), 50);
    cr_assert_eq(run_one(bench, &call), 0);
    cr_assert_eq(bench_rows(bench), 1);
    bench_close(bench);
}

Test(redis, opening_says_what_is_wrong)
{
    static const struct {
        const char *url, *text;
        int rc;
    } cases[] = {
        {"redis://u:s3cr3t@127.0.0.1:1/0", "cannot connect", TERCET_STORE},
        {"redis+unix://u:s3cr3t@/no/such/socket", "cannot connect", TERCET_STORE},
        {"redis://u:s3cr3t@%2Fno%2Fsuch%2Fsocket", "cannot connect", TERCET_STORE},
        {"redis://u:s3cr3t@h/0?nonsense=1", "options are", TERCET_INVALID},
        {"redis://u:s3cr3t@h/name", "by a number", TERCET_INVALID},
        {"redis://u:s3cr3t@h/1234567", "by a number", TERCET_INVALID},
        {"redis://u:s3cr3t@h:port/0", "port", TERCET_INVALID},
        {"redis://", "a server is named", TERCET_INVALID},
        {"redis+unix://", "a socket is named", TERCET_INVALID},
    };
    struct tercet_barrier_options options = {.size = sizeof(options), .setup_sql = "SELECT 1"};
    char text[TERCET_TEXT_MAX] = "", url[256];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(bench_open_url(cases[i].url, NULL, text), cases[i].rc, "%s", cases[i].url);
        cr_assert_not_null(strstr(text, cases[i].text), "%s: %s", cases[i].url, text);
        cr_assert_null(strstr(text, "s3cr3t"), "%s", text);
    }
    cr_assert_eq(bench_open_url("redis://h", &options, text), TERCET_INVALID);
    snprintf(url, sizeof(url), "redis://h?prefix=%0128d", 1);
    cr_assert_eq(bench_open_url(url, NULL, text), TERCET_INVALID);
    cr_assert_not_null(strstr(text, "prefix"), "%s", text);
    cr_assert_eq(tercet_barrier_redis_open(NULL, "redis://h", NULL, NULL), TERCET_INVALID);
}

Test(redis, keys_of_a_newer_version_of_others_and_none)
{
    struct tercet_barrier_options options = {.size = sizeof(options), .has_tables = true};
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    cr_assert_eq(bench_open_url(bench->url, &options, NULL), 0);
    freeReplyObject(tell(bench, "HSET tercet_barrier_mark version 2"));
    bench_check_open(bench->url, NULL, TERCET_FORMAT, "newer version");
    freeReplyObject(tell(bench, "FLUSHDB"));
    bench_check_open(bench->url, &options, TERCET_STORE, "tercet_barrier_mark is missing");
    freeReplyObject(tell(bench, "SET tercet_barrier x"));
    bench_check_open(bench->url, NULL, TERCET_STORE, "tercet_barrier is not the barrier's: string");
    bench_close(bench);
}

Test(redis, a_user_with_a_password_and_one_without_rights)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    const char *socket = getenv("TERCET_TEST_REDIS"), *db = strstr(bench->url, "?db=");
    char url[400];
    freeReplyObject(tell(bench, "ACL SETUSER shop on >p@ss/1 ~* +@all"));
    freeReplyObject(tell(bench, "ACL SETUSER poor on >p@ss/1 ~* +@all -info"));
    snprintf(url, sizeof(url), "redis+unix://shop:p%%40ss%%2F1@%s%s", socket, db);
    cr_assert_eq(bench_open_url(url, NULL, NULL), 0);
    snprintf(url, sizeof(url), "redis+unix://shop:wr0ng@%s%s", socket, db);
    bench_check_open(url, NULL, TERCET_STORE, "WRONGPASS");
    snprintf(url, sizeof(url), "redis+unix://poor:p%%40ss%%2F1@%s%s", socket, db);
    bench_check_open(url, NULL, TERCET_STORE, "+info");
    bench_close(bench);
}

/* A password that is changed while the participant runs: it says so, and comes back when it is
 * right again. */
Test(redis, rights_that_are_taken_away)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    struct tercet_barrier *barrier = NULL;
    char url[400];
    freeReplyObject(tell(bench, "ACL SETUSER clerk on >one ~* +@all"));
    snprintf(url, sizeof(url), "redis+unix://clerk:one@%s%s", getenv("TERCET_TEST_REDIS"),
             strstr(bench->url, "?db="));
    cr_assert_eq(tercet_barrier_open(&barrier, url, NULL, NULL), 0);
    struct tercet_barrier_call call = call_of(1, TERCET_TRY, NULL, NULL);
    freeReplyObject(tell(bench, "ACL DELUSER clerk"));
    tercet_barrier_run(barrier, &call, 1);
    cr_assert_eq(call.result, TERCET_STORE);
    freeReplyObject(tell(bench, "ACL SETUSER clerk on >one ~* +@all"));
    for (int i = 0; i < 10000 && call.result != 0; i++)
        tercet_barrier_run(barrier, &call, 1);
    tercet_barrier_close(barrier);
    bench_close(bench);
}

/* -- Settings, which other tests at the same server must not meet -------------------------------
 */

static void configure(const struct bench *bench, const char *name, const char *value)
{
    redisReply *reply = tell(bench, "CONFIG SET %s %s", name, value);
    cr_assert_neq(reply->type, REDIS_REPLY_ERROR, "%s", reply->str);
    freeReplyObject(reply);
}

Test(alone_redis, settings_that_lose_what_was_told)
{
    static const struct {
        const char *name, *bad, *good, *text;
    } cases[] = {
        {"appendonly", "no", "yes", "append-only"},
        {"appendfsync", "everysec", "always", "last second"},
        {"no-appendfsync-on-rewrite", "yes", "no", "rewrites"},
        {"maxmemory-policy", "allkeys-lru", "noeviction", "throws rows away"},
    };
    struct tercet_barrier_options options = {.size = sizeof(options), .is_unsafe_allowed = true};
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        configure(bench, cases[i].name, cases[i].bad);
        bench_check_open(bench->url, NULL, TERCET_STORE, cases[i].text);
        cr_assert_eq(bench_open_url(bench->url, &options, NULL), 0);
        configure(bench, cases[i].name, cases[i].good);
    }
    bench_close(bench);
}

/* Until there is memory again the coordinator asks again; with work and without. */
Test(alone_redis, memory_that_is_full)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    struct tercet_barrier_call calls[] = {call_of(1, TERCET_TRY, run_command, "INCR stock"),
                                          call_of(2, TERCET_TRY, NULL, NULL)};
    configure(bench, "maxmemory", "1");
    for (int i = 0; i < 2; i++)
        cr_assert_eq(run_one(bench, &calls[i]), TERCET_STORE);
    drop_answers(calls, 2);
    configure(bench, "maxmemory", "0");
    for (int i = 0; i < 2; i++)
        cr_assert_eq(run_one(bench, &calls[i]), 0);
    cr_assert_eq(number_of(bench, "stock"), 1);
    bench_close(bench);
}

/* The master became a replica, and a master again. */
Test(alone_redis, a_server_that_takes_no_writes)
{
    struct bench *bench = bench_open(BENCH_REDIS, NULL);
    struct tercet_barrier_call call = call_of(1, TERCET_TRY, run_command, "INCR stock");
    freeReplyObject(tell(bench, "REPLICAOF 127.0.0.1 1"));
    cr_assert_eq(run_one(bench, &call), TERCET_STORE);
    drop_answers(&call, 1);
    bench_check_open(bench->url, NULL, TERCET_STORE, "name the master");
    freeReplyObject(tell(bench, "REPLICAOF NO ONE"));
    for (int i = 0; i < 1000000 && run_one(bench, &call) != 0; i++)
        drop_answers(&call, 1);
    cr_assert_eq(call.result, 0);
    cr_assert_eq(number_of(bench, "stock"), 1);
    bench_close(bench);
}
