/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_driver.h: the steps of a transaction, how they are sent, and what comes back.
 */
#include <assert.h>
#include <clock.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "redis_driver.h"

#define FIXED_WORDS 3 /* EVALSHA, the script, how many keys */

/* -- Words ------------------------------------------------------------------------------------- */

int redis_words_add(struct redis_words *words, const void *data, size_t size)
{
    if (words->count == words->capacity) {
        size_t capacity = words->capacity == 0 ? 16 : 2 * words->capacity;
        char **texts = realloc(words->texts, capacity * sizeof(*texts));
        if (texts != NULL)
            words->texts = texts;
        size_t *sizes = realloc(words->sizes, capacity * sizeof(*sizes));
        if (sizes != NULL)
            words->sizes = sizes;
        if (texts == NULL || sizes == NULL)
            return TERCET_NOMEM;
        words->capacity = capacity;
    }
    char *copy = malloc(size + 1);
    if (copy == NULL)
        return TERCET_NOMEM;
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    words->texts[words->count] = copy;
    words->sizes[words->count++] = size;
    return 0;
}

void redis_words_free(struct redis_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->texts[i]);
    free(words->texts);
    free(words->sizes);
    *words = (struct redis_words){.count = 0};
}

/* -- Steps ------------------------------------------------------------------------------------- */

int redis_step_add(struct redis *redis, const struct redis_step *step)
{
    if (redis->step_count == redis->step_capacity) {
        size_t capacity = redis->step_capacity == 0 ? 32 : 2 * redis->step_capacity;
        struct redis_step *steps = realloc(redis->steps, capacity * sizeof(*steps));
        if (steps == NULL)
            return TERCET_NOMEM;
        redis->steps = steps;
        redis->step_capacity = capacity;
    }
    redis->steps[redis->step_count++] = *step;
    if (step->has_row)
        redis->rows[step->row].state = step->to;
    return 0;
}

static void free_step(struct redis_step *step)
{
    free(step->reply);
    free(step->text);
    redis_words_free(&step->works);
    redis_words_free(&step->keys);
}

void redis_steps_undo(struct redis *redis, size_t count)
{
    while (redis->step_count > count && redis->step_count > redis->sent_count) {
        struct redis_step *step = &redis->steps[--redis->step_count];
        if (step->has_row) {
            struct redis_row *row = &redis->rows[step->row];
            row->state = step->from;
            if (step->from == TERCET_BARRIER_NONE) {
                free(row->reply);
                row->reply = NULL;
                row->reply_size = 0;
            }
        }
        free_step(step);
    }
}

void redis_forget(struct redis *redis)
{
    for (size_t i = 0; i < redis->step_count; i++)
        free_step(&redis->steps[i]);
    for (size_t i = 0; i < redis->row_count; i++)
        free(redis->rows[i].reply);
    redis->step_count = redis->row_count = redis->sent_count = redis->savepoint = 0;
}

/* -- Sending ----------------------------------------------------------------------------------- */

/* A command being put together: words that are others'. */
struct command {
    const char **texts;
    size_t *sizes;
    int count;
};

static void put(struct command *command, const char *text, size_t size)
{
    command->texts[command->count] = text;
    command->sizes[command->count++] = size;
}

static void put_text(struct command *command, const char *text)
{
    put(command, text, strlen(text));
}

static void put_all(struct command *command, const struct redis_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        put(command, words->texts[i], words->sizes[i]);
}

static void put_step(struct command *command, const struct redis *redis,
                     const struct redis_step *step, char digits[7][24])
{
    snprintf(digits[0], sizeof(digits[0]), "%zu", 3 + step->keys.count);
    snprintf(digits[1], sizeof(digits[1]), "%d", (int)step->from);
    snprintf(digits[6], sizeof(digits[6]), "%d", (int)step->to);
    snprintf(digits[2], sizeof(digits[2]), "%020" PRIu64, step->number);
    snprintf(digits[3], sizeof(digits[3]), "%013" PRId64, clock_wall_ms());
    snprintf(digits[4], sizeof(digits[4]), "%d", TERCET_REPLY_MAX);
    snprintf(digits[5], sizeof(digits[5]), "%zu", step->work_count);
    put_text(command, "EVALSHA");
    put_text(command, redis->step_sha);
    put_text(command, digits[0]);
    put_text(command, redis->rows_key);
    put_text(command, redis->mark_key);
    put_text(command, redis->ended_key);
    put_all(command, &step->keys);
    put_text(command, step->has_row ? redis->rows[step->row].field : "");
    put_text(command, digits[1]);
    put_text(command, digits[6]);
    put_text(command, digits[2]);
    put_text(command, digits[3]);
    put(command, step->reply != NULL ? step->reply : "", step->reply_size);
    put_text(command, step->is_careful ? "1" : "0");
    put_text(command, digits[4]);
    put_text(command, digits[5]);
    put_all(command, &step->works);
}

/* Puts the step into the connection's buffer. */
static int append_step(struct redis *redis, const struct redis_step *step)
{
    char digits[7][24];
    size_t count = FIXED_WORDS + 3 + 9 + step->keys.count + step->works.count;
    struct command command = {.texts = malloc(count * sizeof(*command.texts)),
                              .sizes = malloc(count * sizeof(*command.sizes))};
    int rc = TERCET_NOMEM;
    if (command.texts != NULL && command.sizes != NULL) {
        put_step(&command, redis, step, digits);
        assert((size_t)command.count == count);
        rc = redisAppendCommandArgv(redis->conn, command.count, command.texts, command.sizes) ==
                     REDIS_OK
                 ? 0
                 : TERCET_NOMEM;
    }
    free(command.texts);
    free(command.sizes);
    return rc;
}

/* -- Verdicts ---------------------------------------------------------------------------------- */

static const struct {
    const char *word;
    enum tercet_barrier_verdict verdict;
} verdicts[] = {
    {"done", TERCET_BARRIER_AS_ASKED},   {"replied", TERCET_BARRIER_REPLIED},
    {"refused", TERCET_BARRIER_REFUSED}, {"failed", TERCET_BARRIER_FAILED},
    {"met", TERCET_BARRIER_MET},         {"late", TERCET_BARRIER_LATE},
};

static bool is_answer(const redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
           reply->element[0]->type == REDIS_REPLY_STRING &&
           reply->element[1]->type == REDIS_REPLY_STRING;
}

static int take_verdict(struct redis *redis, struct redis_step *step, const redisReply *reply)
{
    if (!is_answer(reply))
        return redis_fail_reply(redis, "a step of the barrier", reply);
    if (strcmp(reply->element[0]->str, "gone") == 0) {
        redis_fail(redis, "keys",
                   "the barrier's keys are gone: somebody has emptied this database");
        redis_disconnect(redis);
        return TERCET_STORE;
    }
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
        if (strcmp(reply->element[0]->str, verdicts[i].word) == 0)
            step->verdict = verdicts[i].verdict;
    if (step->verdict == TERCET_BARRIER_FAILED && redis_is_of_no_use(reply->element[1]->str))
        return redis_fail_reply(redis, "a step of the barrier", reply->element[1]);
    free(step->text);
    step->text_size = reply->element[1]->len;
    step->text = malloc(step->text_size + 1);
    if (step->text == NULL)
        return TERCET_NOMEM;
    memcpy(step->text, reply->element[1]->str, step->text_size + 1);
    return 0;
}

/* Reads a reply for each step, all of them whatever they are: else the next would be read for
 * another's. `has_no_script`: the server has forgotten the script, and nothing was done. */
static int take_replies(struct redis *redis, size_t end, bool *has_no_script)
{
    int rc = 0;
    for (size_t i = redis->sent_count; i < end && redis->conn != NULL; i++) {
        redisReply *reply = redis_receive(redis);
        int step_rc = TERCET_STORE;
        if (redis_is_error(reply) && strncmp(reply->str, "NOSCRIPT", 8) == 0)
            *has_no_script = true;
        else
            step_rc = take_verdict(redis, &redis->steps[i], reply);
        rc = rc != 0 ? rc : step_rc;
        if (reply != NULL)
            freeReplyObject(reply);
    }
    return redis->conn != NULL ? rc : TERCET_STORE;
}

/* The replies of EXEC, as if they had come one by one. */
static int take_exec(struct redis *redis, size_t end, bool *has_no_script)
{
    redisReply *reply = redis_receive(redis);
    int rc = 0;
    size_t count = end - redis->sent_count;
    if (reply != NULL && reply->type == REDIS_REPLY_NIL) {
        redis->failure = TERCET_BARRIER_CONFLICT;
        rc = redis_fail(redis, "watch", "what a hook watched was changed");
    } else if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != count) {
        rc = redis_fail_reply(redis, "EXEC", reply);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const redisReply *part = reply->element[i];
        *has_no_script =
            *has_no_script || (redis_is_error(part) && strncmp(part->str, "NOSCRIPT", 8) == 0);
        rc = *has_no_script ? TERCET_STORE
                            : take_verdict(redis, &redis->steps[redis->sent_count + i], part);
    }
    if (reply != NULL)
        freeReplyObject(reply);
    return rc;
}

/* MULTI and what is queued are answered first. */
static int take_queued(struct redis *redis, size_t count)
{
    int rc = 0;
    for (size_t i = 0; i < count && redis->conn != NULL; i++) {
        redisReply *reply = redis_receive(redis);
        if (reply == NULL || reply->type != REDIS_REPLY_STATUS)
            rc = redis_fail_reply(redis, "MULTI", reply);
        if (reply != NULL)
            freeReplyObject(reply);
    }
    return redis->conn != NULL ? rc : TERCET_STORE;
}

static int send_once(struct redis *redis, size_t end, bool *has_no_script)
{
    bool is_watching = redis->is_watching;
    int rc = 0;
    if (is_watching)
        rc = redisAppendCommand(redis->conn, "MULTI") == REDIS_OK ? 0 : TERCET_NOMEM;
    for (size_t i = redis->sent_count; rc == 0 && i < end; i++)
        rc = append_step(redis, &redis->steps[i]);
    if (rc == 0 && is_watching)
        rc = redisAppendCommand(redis->conn, "EXEC") == REDIS_OK ? 0 : TERCET_NOMEM;
    if (rc != 0) { /* a half of it is in the buffer */
        redis_disconnect(redis);
        return rc;
    }
    redis->is_sending = true;
    if (!is_watching)
        return take_replies(redis, end, has_no_script);
    redis->is_watching = false;
    rc = take_queued(redis, 1 + end - redis->sent_count);
    if (rc == 0)
        return take_exec(redis, end, has_no_script);
    if (redis->conn != NULL) { /* EXEC's own, which says that nothing was done */
        redisReply *reply = redis_receive(redis);
        if (reply != NULL)
            freeReplyObject(reply);
    }
    return rc;
}

/* Where a script is not there, the watch is over with the EXEC that found it missing: the calls are
 * run again. */
int redis_send_steps(struct redis *redis, size_t but)
{
    bool has_no_script = false, was_watching = redis->is_watching;
    size_t end = redis->step_count - but;
    if (end <= redis->sent_count)
        return 0;
    if (redis->conn == NULL)
        return TERCET_STORE;
    redis->failure = TERCET_BARRIER_LOST; /* for as long as nothing is known */
    int rc = send_once(redis, end, &has_no_script);
    if (has_no_script && redis->conn != NULL) {
        has_no_script = false;
        rc = redis_load_scripts(redis);
        if (rc == 0 && was_watching) {
            redis->failure = TERCET_BARRIER_CONFLICT;
            redis->is_sending = false;
            return redis_fail(redis, "scripts", "the server had forgotten them");
        }
        if (rc == 0)
            rc = send_once(redis, end, &has_no_script);
    }
    redis->is_sending = false;
    if (rc == 0)
        redis->sent_count = end;
    return rc;
}
