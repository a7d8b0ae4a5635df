/* SPDX-License-Identifier: Apache-2.0
 *
 * database.h: Redis, whose log is synced with each batch; the ledger is a list.
 */
#include "database.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/redis.h>

#define LEDGER_PART 10000

/* -- The server -------------------------------------------------------------------------------- */

static void find_socket(const struct shared *shared, char *out, size_t size)
{
    snprintf(out, size, "%s/redis/s", shared->dir);
}

static void url(const struct shared *shared, uint32_t index, char *out, size_t size)
{
    char socket[PATH_SIZE + 32];
    find_socket(shared, socket, sizeof(socket));
    snprintf(out, size, "redis+unix://%s?db=%u", socket, index);
}

static void *open_connection(const struct shared *shared)
{
    char socket[PATH_SIZE + 32];
    find_socket(shared, socket, sizeof(socket));
    redisContext *context = redisConnectUnix(socket);
    if (context != NULL && context->err == 0)
        return context;
    if (context != NULL)
        redisFree(context);
    return NULL;
}

static bool wait_until_ready(const struct shared *shared)
{
    redisContext *context = database_await(shared, open_connection);
    if (context != NULL)
        redisFree(context);
    return context != NULL;
}

/* Debian's settings but for the log of what was written, without which Redis keeps nothing. */
static bool start(struct bench *bench)
{
    char folder[PATH_SIZE + 32], socket[PATH_SIZE + 32];
    snprintf(folder, sizeof(folder), "%s/redis", bench->shared->dir);
    find_socket(bench->shared, socket, sizeof(socket));
    const char *const run[] = {"redis-server",
                               "--port",
                               "0",
                               "--unixsocket",
                               socket,
                               "--dir",
                               folder,
                               "--save",
                               "",
                               "--appendonly",
                               "yes",
                               "--appendfsync",
                               "always",
                               "--databases",
                               "32",
                               NULL};
    const struct database_server server = {"Redis", "redis-server",  "redis", NULL,
                                           run,     wait_until_ready};
    return database_serve(bench, &server);
}

/* -- The ledger -------------------------------------------------------------------------------- */

static int add(tercet_db db, uint64_t seq, uint32_t branch, enum operation operation)
{
    return tercet_redis_do(db, "RPUSH ledger %llu:%u:%d", (unsigned long long)seq, branch,
                           (int)operation);
}

/* False: there are no more, or the answer is none. */
static bool count_part(const redisReply *part, struct participant *participant)
{
    bool has_more = part->type == REDIS_REPLY_ARRAY && part->elements > 0;
    for (size_t i = 0; has_more && i < part->elements; i++) {
        unsigned long long seq = 0;
        unsigned row_branch = 0, operation = 0;
        if (sscanf(part->element[i]->str, "%llu:%u:%u", &seq, &row_branch, &operation) == 3)
            participant_count_row(participant, seq, row_branch, (enum operation)operation);
    }
    return has_more;
}

static int count(tercet_db db, void *participant)
{
    bool has_more = true;
    for (long long from = 0; has_more; from += LEDGER_PART) {
        redisReply *part = NULL;
        int rc =
            tercet_redis_ask(db, &part, "LRANGE ledger %lld %lld", from, from + LEDGER_PART - 1);
        if (rc != 0)
            return rc;
        has_more = count_part(part, participant);
        freeReplyObject(part);
    }
    return 0;
}

static uint64_t read_calls(const redisReply *info, const char *name)
{
    const char *at = info->str != NULL ? strstr(info->str, name) : NULL;
    return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* A batch begins with one HMGET for its rows, and so does each script in it. The server counts for
 * all participants. */
static uint64_t commits(tercet_db db, uint32_t index)
{
    redisReply *info = NULL;
    if (index > 0 || tercet_redis_ask(db, &info, "INFO commandstats") != 0)
        return 0;
    uint64_t asked = read_calls(info, "cmdstat_hmget:calls="),
             scripts = read_calls(info, "cmdstat_evalsha:calls=");
    freeReplyObject(info);
    return asked > scripts ? asked - scripts : 0;
}

/* -- Without Tercet ---------------------------------------------------------------------------- */

struct bare {
    redisContext *context;
    size_t sent; /* commands whose answers are still to come */
};

static void disconnect(void *connection)
{
    struct bare *bare = connection;
    if (bare == NULL)
        return;
    redisFree(bare->context);
    free(bare);
}

static void *connect_bare(const struct shared *shared, uint32_t index)
{
    struct bare *bare = calloc(1, sizeof(*bare));
    redisContext *context = open_connection(shared);
    redisReply *reply = context != NULL ? redisCommand(context, "SELECT %u", index) : NULL;
    if (bare != NULL && reply != NULL && reply->type == REDIS_REPLY_STATUS) {
        freeReplyObject(reply);
        bare->context = context;
        return bare;
    }
    freeReplyObject(reply);
    if (context != NULL)
        redisFree(context);
    free(bare);
    return NULL;
}

static bool begin(void *connection)
{
    struct bare *bare = connection;
    bare->sent = 1;
    return redisAppendCommand(bare->context, "MULTI") == REDIS_OK;
}

static bool branch(void *connection, uint64_t seq, bool is_confirm)
{
    struct bare *bare = connection;
    unsigned long long number = seq;
    bare->sent += 2;
    int rc = is_confirm
                 ? redisAppendCommand(bare->context, "HSET bare:%llu state 3 changed 1", number)
                 : redisAppendCommand(bare->context, "HSET bare:%llu number %llu state 2 changed 0",
                                      number, number);
    return rc == REDIS_OK && redisAppendCommand(bare->context, "RPUSH bare %llu:1:%d", number,
                                                (int)is_confirm) == REDIS_OK;
}

/* All goes in one round trip, as nothing in between needs an answer. */
static bool commit(void *connection)
{
    struct bare *bare = connection;
    bool is_done = redisAppendCommand(bare->context, "EXEC") == REDIS_OK;
    for (size_t i = 0; is_done && i < bare->sent + 1; i++) {
        void *reply = NULL;
        is_done = redisGetReply(bare->context, &reply) == REDIS_OK &&
                  ((redisReply *)reply)->type != REDIS_REPLY_ERROR;
        freeReplyObject(reply);
    }
    return is_done;
}

const struct database database_redis = {.start = start,
                                        .stop_signal = SIGTERM,
                                        .url = url,
                                        .add = add,
                                        .count = count,
                                        .commits = commits,
                                        .connect = connect_bare,
                                        .begin = begin,
                                        .branch = branch,
                                        .commit = commit,
                                        .disconnect = disconnect};
