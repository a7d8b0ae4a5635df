/* SPDX-License-Identifier: Apache-2.0
 *
 * tercet/redis.h: what hooks ask for.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "redis_driver.h"

/* The step that the hook's work belongs to; one without a row in a tercet_barrier_local. */
static struct redis_step *open_step(struct redis *redis, int *rc)
{
    const struct redis_step step = {.has_row = false};
    *rc = 0;
    if (redis->step_count == 0)
        *rc = redis_step_add(redis, &step);
    return *rc == 0 ? &redis->steps[redis->step_count - 1] : NULL;
}

static int add_number(struct redis_words *words, size_t number)
{
    char digits[24];
    return redis_words_add(words, digits, (size_t)snprintf(digits, sizeof(digits), "%zu", number));
}

static int begin_work(struct redis_step *step, const char *kind, size_t key_count, size_t count)
{
    int rc = redis_words_add(&step->works, kind, 1);
    if (rc == 0)
        rc = add_number(&step->works, key_count);
    return rc == 0 ? add_number(&step->works, count) : rc;
}

static size_t size_at(const char *const *words, const size_t *sizes, int i)
{
    return sizes != NULL ? sizes[i] : strlen(words[i]);
}

/* A work that was added in part would be carried out in part: the hook's whole work is lost. */
static int end_work(struct redis *redis, struct redis_step *step, int rc)
{
    step->work_count++;
    if (rc == 0)
        return 0;
    redis->has_ended = true;
    redis->failure = TERCET_BARRIER_APART;
    redis_fail(redis, "hook", "no memory for what it asked for");
    return rc;
}

int tercet_redis_do_words(tercet_db db, int count, const char *const *words, const size_t *sizes)
{
    struct redis *redis = db;
    int rc = 0;
    if (count < 1 || count > TERCET_REDIS_WORDS_MAX || words == NULL)
        return TERCET_INVALID;
    struct redis_step *step = open_step(redis, &rc);
    if (step == NULL)
        return rc;
    rc = begin_work(step, "c", 0, (size_t)count);
    for (int i = 0; rc == 0 && i < count; i++)
        rc = redis_words_add(&step->works, words[i], size_at(words, sizes, i));
    step->is_careful = step->is_careful || step->work_count > 0;
    return end_work(redis, step, rc);
}

int tercet_redis_script(tercet_db db, const char *lua, int key_count, int count,
                        const char *const *words, const size_t *sizes)
{
    struct redis *redis = db;
    int rc = 0;
    if (lua == NULL || key_count < 0 || key_count > count || (words == NULL && count > 0))
        return TERCET_INVALID;
    struct redis_step *step = open_step(redis, &rc);
    if (step == NULL)
        return rc;
    rc = begin_work(step, "l", (size_t)key_count, (size_t)count + 1);
    if (rc == 0)
        rc = redis_words_add(&step->works, lua, strlen(lua));
    for (int i = 0; rc == 0 && i < count; i++) {
        rc = redis_words_add(&step->works, words[i], size_at(words, sizes, i));
        if (rc == 0 && i < key_count)
            rc = redis_words_add(&step->keys, words[i], size_at(words, sizes, i));
    }
    step->is_careful = true;
    return end_work(redis, step, rc);
}

/* -- Formats ----------------------------------------------------------------------------------- */

/* A number that ends with CR LF. */
static size_t take_number(const char **at)
{
    char *end = NULL;
    size_t number = strtoul(*at, &end, 10);
    *at = end + 2;
    return number;
}

/* hiredis makes a command of a format only as it is sent: "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n". */
static int split(struct redis_words *words, const char *command)
{
    const char *at = command + 1;
    size_t count = take_number(&at);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        at++;
        size_t size = take_number(&at);
        rc = redis_words_add(words, at, size);
        at += size + 2;
    }
    return rc;
}

static int format_words(struct redis_words *words, const char *format, va_list arguments)
{
    char *command = NULL;
    if (format == NULL)
        return TERCET_INVALID;
    int size = redisvFormatCommand(&command, format, arguments);
    if (size < 0)
        return size == -1 ? TERCET_NOMEM : TERCET_INVALID;
    int rc = split(words, command);
    redisFreeCommand(command);
    return rc == 0 && words->count == 0 ? TERCET_INVALID : rc;
}

int tercet_redis_do(tercet_db db, const char *format, ...)
{
    struct redis_words words = {.count = 0};
    va_list arguments;
    va_start(arguments, format);
    int rc = format_words(&words, format, arguments);
    va_end(arguments);
    if (rc == 0)
        rc = tercet_redis_do_words(db, (int)words.count, (const char *const *)words.texts,
                                   words.sizes);
    redis_words_free(&words);
    return rc;
}

/* -- At once ----------------------------------------------------------------------------------- */

/* What changes the connection under the barrier, or is no question. */
static bool is_forbidden(const char *name)
{
    static const char *const names[] = {"MULTI",      "EXEC",      "DISCARD", "WATCH",  "UNWATCH",
                                        "SELECT",     "AUTH",      "HELLO",   "RESET",  "QUIT",
                                        "MONITOR",    "SYNC",      "PSYNC",   "CLIENT", "SUBSCRIBE",
                                        "PSUBSCRIBE", "SSUBSCRIBE"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Carries out the work of the calls before, so that this hook sees it. */
static int catch_up(struct redis *redis)
{
    if (redis->has_ended || redis->conn == NULL)
        return TERCET_STORE;
    if (redis_send_steps(redis, redis->step_count > 0 ? 1 : 0) == 0)
        return 0;
    redis->has_ended = true;
    return TERCET_STORE;
}

static int send_words(struct redis *redis, redisReply **out, const struct redis_words *words)
{
    int rc = catch_up(redis);
    if (rc != 0)
        return rc;
    redis->failure = TERCET_BARRIER_APART;
    if (redisAppendCommandArgv(redis->conn, (int)words->count, (const char **)words->texts,
                               words->sizes) != REDIS_OK)
        return TERCET_NOMEM;
    redisReply *reply = redis_receive(redis);
    if (reply != NULL && !redis_is_error(reply)) {
        *out = reply;
        return 0;
    }
    redis_fail_reply(redis, words->texts[0], reply);
    if (reply != NULL)
        freeReplyObject(reply);
    redis->has_ended = redis->conn == NULL;
    return TERCET_STORE;
}

int tercet_redis_ask(tercet_db db, struct redisReply **out, const char *format, ...)
{
    struct redis *redis = db;
    struct redis_words words = {.count = 0};
    va_list arguments;
    va_start(arguments, format);
    int rc = format_words(&words, format, arguments);
    va_end(arguments);
    if (rc == 0 && (out == NULL || is_forbidden(words.texts[0])))
        rc = TERCET_INVALID;
    if (rc == 0)
        rc = send_words(redis, out, &words);
    redis_words_free(&words);
    return rc;
}

int tercet_redis_watch(tercet_db db, const char *key)
{
    struct redis *redis = db;
    int rc = key != NULL ? catch_up(redis) : TERCET_INVALID;
    if (rc != 0)
        return rc;
    redis->failure = TERCET_BARRIER_APART;
    redisReply *reply = redis_call(redis, "WATCH %s", key);
    redis->is_watching = true;
    if (reply == NULL || redis_is_error(reply))
        rc = redis_fail_reply(redis, "WATCH", reply);
    if (reply != NULL)
        freeReplyObject(reply);
    redis->has_ended = redis->conn == NULL;
    return rc;
}
