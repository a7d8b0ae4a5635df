/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_driver.h: the driver's operations. They only note what is to be done; the commit sends it.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../drivers.h"
#include "redis_driver.h"

#define COLLECT_MAX 512 /* in one script: others wait for it */

static int lost(struct redis *redis)
{
    return redis->conn == NULL ? redis_connect(redis) : 0;
}

/* -- Rows -------------------------------------------------------------------------------------- */

static void field_of(char field[REDIS_FIELD_MAX + 1], const struct tercet_barrier_key *key)
{
    snprintf(field, REDIS_FIELD_MAX + 1, "%s:%" PRIu32, key->gid, key->branch);
}

/* FNV-1a: most fields of a batch are told apart by it. */
static uint64_t hash_of(const char *field)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (const char *c = field; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * 0x100000001B3u;
    return hash;
}

static struct redis_row *find_row(const struct redis *redis, const struct tercet_barrier_key *key)
{
    char field[REDIS_FIELD_MAX + 1];
    field_of(field, key);
    uint64_t hash = hash_of(field);
    for (size_t i = redis->row_count; i-- > 0;)
        if (redis->rows[i].hash == hash && strcmp(redis->rows[i].field, field) == 0)
            return &redis->rows[i];
    return NULL;
}

static int copy_text(char **out, const char *text, size_t size)
{
    char *copy = malloc(size + 1);
    if (copy == NULL)
        return TERCET_NOMEM;
    if (size > 0)
        memcpy(copy, text, size);
    copy[size] = '\0';
    free(*out);
    *out = copy;
    return 0;
}

static int parse_row(struct redis *redis, struct redis_row *row, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_NIL)
        return 0;
    bool is_row =
        reply->type == REDIS_REPLY_STRING && reply->len >= REDIS_ROW_REPLY &&
        (reply->str[0] == REDIS_ROW_TORN || (reply->str[0] >= '0' + TERCET_BARRIER_TRIED &&
                                             reply->str[0] <= '0' + TERCET_BARRIER_CANCELLED));
    if (!is_row)
        return redis_fail(redis, "a row of tercet_barrier is not one of the barrier's", row->field);
    row->is_torn = reply->str[0] == REDIS_ROW_TORN;
    row->state =
        row->is_torn ? TERCET_BARRIER_NONE : (enum tercet_barrier_state)(reply->str[0] - '0');
    row->reply_size = (size_t)reply->len - REDIS_ROW_REPLY;
    return copy_text(&row->reply, reply->str + REDIS_ROW_REPLY, row->reply_size);
}

static int add_row(struct redis *redis, const struct tercet_barrier_key *key,
                   const redisReply *reply)
{
    if (redis->row_count == redis->row_capacity) {
        size_t capacity = redis->row_capacity == 0 ? 64 : 2 * redis->row_capacity;
        struct redis_row *rows = realloc(redis->rows, capacity * sizeof(*rows));
        if (rows == NULL)
            return TERCET_NOMEM;
        redis->rows = rows;
        redis->row_capacity = capacity;
    }
    struct redis_row *row = &redis->rows[redis->row_count++];
    *row = (struct redis_row){.state = TERCET_BARRIER_NONE};
    field_of(row->field, key);
    row->hash = hash_of(row->field);
    return parse_row(redis, row, reply);
}

/* The mark after the rows: it is not older than they are. */
static int take_mark(struct redis *redis)
{
    redisReply *reply = redis_receive(redis);
    int rc = 0;
    if (reply != NULL && reply->type == REDIS_REPLY_STRING)
        redis->mark = strtoull(reply->str, NULL, 10);
    else if (reply != NULL && reply->type == REDIS_REPLY_NIL)
        rc = redis_fail(redis, "keys",
                        "tercet_barrier_mark is gone: somebody has emptied this database");
    else
        rc = redis_fail_reply(redis, "cannot read the mark", reply);
    if (reply != NULL && reply->type == REDIS_REPLY_NIL)
        redis_disconnect(redis);
    if (reply != NULL)
        freeReplyObject(reply);
    return rc;
}

static int take_rows(struct redis *redis, const struct tercet_barrier_key *keys, size_t count)
{
    redisReply *reply = redis_receive(redis);
    int rc = 0;
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != count)
        rc = redis_fail_reply(redis, "cannot read rows", reply);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (find_row(redis, &keys[i]) == NULL)
            rc = add_row(redis, &keys[i], reply->element[i]);
    if (reply != NULL)
        freeReplyObject(reply);
    if (redis->conn == NULL)
        return TERCET_STORE;
    int mark_rc = take_mark(redis);
    return rc != 0 ? rc : mark_rc;
}

static int ask_rows(struct redis *redis, const struct tercet_barrier_key *keys, size_t count)
{
    const char **words = malloc((count + 2) * sizeof(*words));
    char(*fields)[REDIS_FIELD_MAX + 1] = malloc(count * sizeof(*fields));
    int rc = words != NULL && fields != NULL ? 0 : TERCET_NOMEM;
    if (rc == 0) {
        words[0] = "HMGET";
        words[1] = redis->rows_key;
        for (size_t i = 0; i < count; i++) {
            field_of(fields[i], &keys[i]);
            words[i + 2] = fields[i];
        }
        bool ok = redisAppendCommandArgv(redis->conn, (int)count + 2, words, NULL) == REDIS_OK &&
                  redisAppendCommand(redis->conn, "HGET %s mark", redis->mark_key) == REDIS_OK;
        rc = ok ? 0 : TERCET_NOMEM;
        if (!ok)
            redis_disconnect(redis);
    }
    free(fields);
    free(words);
    return rc;
}

static int expect(void *state, const struct tercet_barrier_key *keys, size_t count)
{
    struct redis *redis = state;
    if (count == 0)
        return 0;
    if (redis->conn == NULL)
        return TERCET_STORE;
    int rc = ask_rows(redis, keys, count);
    return rc == 0 ? take_rows(redis, keys, count) : rc;
}

/* The row as this transaction sees it; NULL when it cannot be told. */
static struct redis_row *row_of(struct redis *redis, const struct tercet_barrier_key *key, int *rc)
{
    struct redis_row *row = find_row(redis, key);
    *rc = 0;
    if (row == NULL) {
        *rc = expect(redis, key, 1);
        row = *rc == 0 ? find_row(redis, key) : NULL;
    }
    if (row == NULL || !row->is_torn)
        return row;
    redis->failure = TERCET_BARRIER_APART;
    *rc = redis_fail(redis, row->field, row->reply);
    return NULL;
}

/* -- The transaction --------------------------------------------------------------------------- */

static int mark_store(void *state, uint64_t mark, uint32_t rows_max);

static int begin(void *state)
{
    struct redis *redis = state;
    redis_forget(redis);
    redis->error[0] = '\0';
    redis->failure = TERCET_BARRIER_LOST;
    redis->is_in_local = true;
    redis->is_sending = redis->has_ended = false;
    redis->mark_wanted = redis->collect_max = 0;
    return lost(redis);
}

static void unwatch(struct redis *redis)
{
    if (redis->is_watching && redis->conn != NULL) {
        redisReply *reply = redis_call(redis, "UNWATCH");
        if (reply != NULL)
            freeReplyObject(reply);
    }
    redis->is_watching = false;
}

static int commit(void *state)
{
    struct redis *redis = state;
    int rc = redis_send_steps(redis, 0);
    if (rc == 0)
        unwatch(redis);
    if (rc == 0 && redis->mark_wanted > 0)
        rc = mark_store(redis, redis->mark_wanted, redis->collect_max);
    redis->is_in_local = false;
    return rc;
}

static void rollback(void *state)
{
    struct redis *redis = state;
    unwatch(redis);
    redis_forget(redis);
    redis->is_in_local = false;
}

static int savepoint(void *state)
{
    struct redis *redis = state;
    redis->savepoint = redis->step_count;
    return 0;
}

static int release(void *state)
{
    (void)state;
    return 0;
}

static int rollback_to(void *state)
{
    struct redis *redis = state;
    redis_steps_undo(redis, redis->savepoint);
    return 0;
}

static bool is_open(void *state)
{
    const struct redis *redis = state;
    return !redis->has_ended;
}

static enum tercet_barrier_failure failure(void *state)
{
    const struct redis *redis = state;
    return redis->failure;
}

static int insert(void *state, const struct tercet_barrier_key *key, enum tercet_barrier_state to,
                  bool *inserted)
{
    struct redis *redis = state;
    int rc = 0;
    struct redis_row *row = row_of(redis, key, &rc);
    *inserted = row != NULL && row->state == TERCET_BARRIER_NONE;
    if (!*inserted)
        return rc;
    struct redis_step step = {.row = (size_t)(row - redis->rows),
                              .has_row = true,
                              .from = TERCET_BARRIER_NONE,
                              .to = to,
                              .number = key->number};
    return redis_step_add(redis, &step);
}

static int move(void *state, const struct tercet_barrier_key *key, enum tercet_barrier_state from,
                enum tercet_barrier_state to, bool *moved)
{
    struct redis *redis = state;
    int rc = 0;
    struct redis_row *row = row_of(redis, key, &rc);
    *moved = row != NULL && row->state == from;
    if (!*moved)
        return rc;
    struct redis_step step = {.row = (size_t)(row - redis->rows),
                              .has_row = true,
                              .from = from,
                              .to = to,
                              .number = key->number};
    return redis_step_add(redis, &step);
}

static int reply_save(void *state, const struct tercet_barrier_key *key, struct tercet_bytes reply)
{
    struct redis *redis = state;
    int rc = 0;
    struct redis_row *row = row_of(redis, key, &rc);
    if (row == NULL)
        return rc;
    struct redis_step *step = &redis->steps[redis->step_count - 1];
    assert(redis->step_count > redis->sent_count && &redis->rows[step->row] == row);
    rc = copy_text(&row->reply, reply.data, reply.size);
    if (rc == 0)
        rc = copy_text(&step->reply, reply.data, reply.size);
    if (rc == 0)
        row->reply_size = step->reply_size = reply.size;
    return rc;
}

static int read_row(void *state, const struct tercet_barrier_key *key,
                    struct tercet_barrier_row *out)
{
    int rc = 0;
    const struct redis_row *row = row_of(state, key, &rc);
    char *reply = NULL;
    *out = (struct tercet_barrier_row){.state = TERCET_BARRIER_NONE};
    if (row == NULL)
        return rc;
    if (row->reply_size > 0)
        rc = copy_text(&reply, row->reply, row->reply_size);
    if (rc == 0)
        *out = (struct tercet_barrier_row){
            .state = row->state, .reply = reply, .reply_size = row->reply_size};
    return rc;
}

static void outcome(void *state, const struct tercet_barrier_key *key,
                    struct tercet_barrier_outcome *out)
{
    struct redis *redis = state;
    const struct redis_row *row = find_row(redis, key);
    for (size_t i = 0; row != NULL && i < redis->step_count; i++) {
        const struct redis_step *step = &redis->steps[i];
        if (!step->has_row || &redis->rows[step->row] != row ||
            step->verdict == TERCET_BARRIER_AS_ASKED)
            continue;
        *out = (struct tercet_barrier_outcome){.verdict = step->verdict,
                                               .to = step->to,
                                               .text = step->text,
                                               .text_size = step->text_size};
        return;
    }
}

/* -- The mark ---------------------------------------------------------------------------------- */

/* In a transaction it was read with the rows. */
static int mark_read(void *state, uint64_t *mark)
{
    struct redis *redis = state;
    int rc = 0;
    if (!redis->is_in_local || redis->row_count == 0) {
        rc = lost(redis);
        if (rc == 0 && redisAppendCommand(redis->conn, "HGET %s mark", redis->mark_key) != REDIS_OK)
            rc = TERCET_NOMEM;
        if (rc == 0)
            rc = take_mark(redis);
    }
    if (rc == 0)
        *mark = redis->mark;
    return rc;
}

static int mark_step(struct redis *redis, uint64_t mark, uint32_t rows_max, long long *deleted)
{
    redisReply *reply =
        redis_call(redis, "EVALSHA %s 3 %s %s %s %020" PRIu64 " %u", redis->mark_sha,
                   redis->rows_key, redis->mark_key, redis->ended_key, mark, rows_max);
    int rc = 0;
    if (redis_is_error(reply) && strncmp(reply->str, "NOSCRIPT", 8) == 0)
        rc = redis_load_scripts(redis); /* the next time is soon */
    else if (reply == NULL || reply->type != REDIS_REPLY_INTEGER || reply->integer < 0)
        rc = redis_fail_reply(redis, "cannot store the mark", reply);
    *deleted = rc == 0 && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
    if (reply != NULL)
        freeReplyObject(reply);
    return rc;
}

static int mark_store(void *state, uint64_t mark, uint32_t rows_max)
{
    struct redis *redis = state;
    long long deleted = 0;
    int rc = lost(redis);
    for (bool is_first = true; rc == 0 && (is_first || rows_max > 0); is_first = false) {
        uint32_t count = rows_max < COLLECT_MAX ? rows_max : COLLECT_MAX;
        rc = mark_step(redis, mark, count, &deleted);
        if (rc == 0 && deleted < 0 && is_first)
            rc = mark_step(redis, mark, count, &deleted);
        if (deleted < (long long)count)
            break;
        rows_max -= count;
    }
    return rc == 0 && deleted < 0 ? TERCET_STORE : rc;
}

/* With the commit, as all else. */
static int mark_raise(void *state, uint64_t mark)
{
    struct redis *redis = state;
    redis->mark_wanted = mark;
    return 0;
}

static int collect(void *state, uint64_t mark, uint32_t rows_max)
{
    struct redis *redis = state;
    redis->mark_wanted = mark;
    redis->collect_max = rows_max;
    return 0;
}

/* -- The rest ---------------------------------------------------------------------------------- */

static tercet_db db(void *state)
{
    return state;
}

static int rows_count(void *state, uint64_t *rows)
{
    struct redis *redis = state;
    int rc = lost(redis);
    if (rc != 0)
        return rc;
    redisReply *reply = redis_call(redis, "HLEN %s", redis->rows_key);
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
        *rows = (uint64_t)reply->integer;
    else
        rc = redis_fail_reply(redis, "cannot count the rows", reply);
    if (reply != NULL)
        freeReplyObject(reply);
    return rc;
}

static int keep(void *state, enum tercet_barrier_fact fact, const char *proposed,
                char kept[TERCET_BARRIER_IDENTITY_MAX + 1])
{
    struct redis *redis = state;
    const char *name = fact == TERCET_BARRIER_FACT_IDENTITY ? "identity" : "source";
    int rc = lost(redis);
    if (rc != 0)
        return rc;
    redisReply *reply = redis_call(redis, "HSETNX %s %s %s", redis->mark_key, name, proposed);
    if (reply == NULL || reply->type != REDIS_REPLY_INTEGER)
        rc = redis_fail_reply(redis, "cannot keep a fact", reply);
    if (reply != NULL)
        freeReplyObject(reply);
    if (rc != 0)
        return rc;
    reply = redis_call(redis, "HGET %s %s", redis->mark_key, name);
    if (reply != NULL && reply->type == REDIS_REPLY_STRING)
        snprintf(kept, TERCET_BARRIER_IDENTITY_MAX + 1, "%s", reply->str);
    else
        rc = redis_fail_reply(redis, "cannot read a fact", reply);
    if (reply != NULL)
        freeReplyObject(reply);
    if (rc == 0 && fact == TERCET_BARRIER_FACT_IDENTITY)
        memcpy(redis->identity, kept, sizeof(redis->identity));
    return rc;
}

static const char *error_text(void *state)
{
    const struct redis *redis = state;
    return redis->error;
}

static void close_driver(void *state)
{
    redis_free(state);
}

static int connect_another(void *state, void **out)
{
    const struct redis *first = state;
    struct redis *redis = NULL;
    int rc = redis_new(&redis, first->location.url, &first->options, NULL);
    if (rc != 0)
        return rc;
    memcpy(redis->identity, first->identity, sizeof(redis->identity));
    rc = redis_connect(redis);
    return server_hand_over(out, &redis_driver, redis, rc, NULL);
}

const struct tercet_barrier_driver redis_driver = {
    .size = sizeof(redis_driver),
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .savepoint = savepoint,
    .release = release,
    .rollback_to = rollback_to,
    .is_open = is_open,
    .insert = insert,
    .move = move,
    .reply_save = reply_save,
    .read = read_row,
    .mark_read = mark_read,
    .mark_raise = mark_raise,
    .collect = collect,
    .db = db,
    .rows_count = rows_count,
    .error_text = error_text,
    .close = close_driver,
    .connect = connect_another,
    .failure = failure,
    .mark_store = mark_store,
    .keep = keep,
    .expect = expect,
    .outcome = outcome,
};

int redis_driver_open(void **out, const char *url, const struct tercet_barrier_options *options,
                      char *text)
{
    struct redis *redis = NULL;
    int rc = redis_new(&redis, url, options, text);
    if (rc != 0)
        return rc;
    rc = redis_connect(redis);
    return server_hand_over(out, &redis_driver, redis, rc, text);
}

int tercet_barrier_redis_open(struct tercet_barrier **out, const char *url,
                              const struct tercet_barrier_options *options, char *text)
{
    return server_open_barrier(out, url, options, text, redis_driver_open, &redis_driver);
}
