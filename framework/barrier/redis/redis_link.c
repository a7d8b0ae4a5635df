/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_driver.h: connecting, and what is looked at then: whether the server may be written to and
 * keeps what it is told, and whether the barrier's keys are those of this version.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis_driver.h"
#include "redis_tls.h"
#include "redis_wire.h"

#define VERSION 1
#define PORT 6379
#define REPLY_TIMEOUT_S 30

/* -- Texts ------------------------------------------------------------------------------------- */

int redis_fail(struct redis *redis, const char *what, const char *text)
{
    snprintf(redis->error, sizeof(redis->error), "%s: %s", what, text);
    location_hide(redis->error, redis->location.password);
    return TERCET_STORE;
}

bool redis_is_error(const redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_ERROR;
}

bool redis_is_of_no_use(const char *text)
{
    static const char *const codes[] = {"READONLY", "LOADING",     "MASTERDOWN", "NOAUTH",
                                        "MOVED",    "CLUSTERDOWN", "WRONGPASS"};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strncmp(text, codes[i], strlen(codes[i])) == 0)
            return true;
    return false;
}

int redis_fail_reply(struct redis *redis, const char *what, const redisReply *reply)
{
    bool has_text = redis_is_error(reply) || (reply != NULL && reply->type == REDIS_REPLY_STRING);
    if (reply == NULL && redis->conn == NULL)
        return TERCET_STORE; /* the text tells of the connection */
    redis_fail(redis, what, has_text ? reply->str : "an unexpected answer");
    if (!has_text || redis_is_of_no_use(reply->str))
        redis_disconnect(redis);
    return TERCET_STORE;
}

static void warn(struct redis *redis, const char *text)
{
    if (redis->options.on_log != NULL)
        redis->options.on_log(TERCET_LOG_WARNING, text, redis->options.log_ctx);
}

/* -- Asking ------------------------------------------------------------------------------------ */

redisReply *redis_receive(struct redis *redis)
{
    void *reply = NULL;
    if (redis->conn == NULL)
        return NULL;
    if (wire_reply(redis->conn, &reply) == REDIS_OK)
        return reply;
    redis_fail(redis, "the connection is lost",
               redis->conn->errstr[0] != '\0' ? redis->conn->errstr : "no answer in time");
    redis->failure = redis->is_sending ? TERCET_BARRIER_LOST : TERCET_BARRIER_CONFLICT;
    redis_disconnect(redis);
    return NULL;
}

redisReply *redis_call(struct redis *redis, const char *format, ...)
{
    va_list arguments;
    if (redis->conn == NULL)
        return NULL;
    va_start(arguments, format);
    int rc = redisvAppendCommand(redis->conn, format, arguments);
    va_end(arguments);
    if (rc != REDIS_OK) {
        redis_fail(redis, "command", "no memory");
        redis_disconnect(redis);
        return NULL;
    }
    return redis_receive(redis);
}

/* For commands that answer with a status. */
static int command_done(struct redis *redis, redisReply *reply, const char *what)
{
    int rc = 0;
    if (reply == NULL || redis_is_error(reply))
        rc = redis_fail_reply(redis, what, reply);
    if (reply != NULL)
        freeReplyObject(reply);
    return rc;
}

/* -- State ------------------------------------------------------------------------------------- */

static bool is_unix(const struct location *location)
{
    return strncmp(location->url, "redis+unix://", 13) == 0;
}

/* The socket's path; false where it is an address. */
static bool socket_path(const struct location *location, char *path, size_t size)
{
    if (is_unix(location)) {
        snprintf(path, size, "/%s", location->path);
        return true;
    }
    if (location->host[0] == '/') {
        snprintf(path, size, "%s", location->host);
        return true;
    }
    return location_option(location, "socket", path, (int)size);
}

/* The database's number: of the path, or of ?db where the path is a socket. */
static const char *database_of(const struct location *location, char *value, size_t size)
{
    value[0] = '\0';
    if (!is_unix(location))
        snprintf(value, size, "%s", location->path);
    if (value[0] == '\0' && !location_option(location, "db", value, (int)size))
        snprintf(value, size, "0");
    return strspn(value, "0123456789") == strlen(value) && strlen(value) < 6
               ? NULL
               : "a database is named "
                 "by a number: "
                 "redis://host/0";
}

static const char *set_keys(struct redis *redis)
{
    char prefix[REDIS_KEY_MAX - 32] = "";
    if (!location_option(&redis->location, "prefix", prefix, sizeof(prefix)) &&
        strstr(redis->location.query, "prefix=") != NULL)
        return "the prefix is longer than 95 characters, or badly encoded";
    snprintf(redis->rows_key, sizeof(redis->rows_key), "%stercet_barrier", prefix);
    snprintf(redis->mark_key, sizeof(redis->mark_key), "%stercet_barrier_mark", prefix);
    snprintf(redis->ended_key, sizeof(redis->ended_key), "%stercet_barrier_ended", prefix);
    return NULL;
}

static const char *check_location(struct redis *redis)
{
    static const char *const known[] = {"socket",   "db",      "prefix", "tls-ca",
                                        "tls-cert", "tls-key", NULL};
    const struct location *location = &redis->location;
    char name[32], value[32], path[256] = "";
    if (location_unknown_option(location, known, name, sizeof(name)) != NULL)
        return "options are socket, db, prefix, tls-ca, tls-cert and tls-key";
    if (location->host[0] == '\0' && !socket_path(location, path, sizeof(path)))
        return "a server is named: redis://host, or redis+unix:///path/of/its/socket";
    if (is_unix(location) && location->path[0] == '\0')
        return "a socket is named: redis+unix:///path/of/its/socket";
    if (redis->options.setup_sql != NULL)
        return "setup_sql is SQL, of which Redis knows none";
    const char *why = database_of(location, value, sizeof(value));
    if (why == NULL)
        why = set_keys(redis);
    return why == NULL ? tls_check(location) : why;
}

int redis_new(struct redis **out, const char *url, const struct tercet_barrier_options *options,
              char *text)
{
    struct redis *redis = calloc(1, sizeof(*redis));
    if (redis == NULL)
        return TERCET_NOMEM;
    redis->options = *options;
    const char *why = location_parse(&redis->location, url);
    if (why == NULL)
        why = check_location(redis);
    if (why == NULL) {
        *out = redis;
        return 0;
    }
    barrier_text(text, "%s", why);
    redis_free(redis);
    return TERCET_INVALID;
}

void redis_free(struct redis *redis)
{
    redis_disconnect(redis);
    redis_forget(redis);
    free(redis->rows);
    free(redis->steps);
    tls_free(redis);
    location_free(&redis->location);
    free(redis);
}

void redis_disconnect(struct redis *redis)
{
    if (redis->conn != NULL)
        redisFree(redis->conn);
    redis->conn = NULL;
    redis->is_watching = false;
}

/* -- What is looked at on a new connection ----------------------------------------------------- */

/* Whether INFO has this line. */
static bool info_is(const char *info, const char *line)
{
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "\n%s\r", line);
    return strstr(info, wanted) != NULL;
}

/* What may be lost: an error, or a warning where that is allowed. */
static int unsafe(struct redis *redis, const char *what)
{
    char text[TERCET_TEXT_MAX];
    snprintf(text, sizeof(text), "%s, or set is_unsafe_allowed where money does not matter", what);
    if (!redis->options.is_unsafe_allowed)
        return redis_fail(redis, "settings", text);
    warn(redis, text);
    return 0;
}

static int check_config(struct redis *redis, const char *name, const char *wanted,
                        const char *otherwise)
{
    redisReply *reply = redis_call(redis, "CONFIG GET %s", name);
    int rc = 0;
    if (reply == NULL)
        return TERCET_STORE;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        char text[160];
        snprintf(text, sizeof(text),
                 "barrier: Redis does not let us look at %s (the right to CONFIG GET is missing?): "
                 "see to it that it is %s",
                 name, wanted);
        warn(redis, text);
    } else if (strcmp(reply->element[1]->str, wanted) != 0) {
        rc = unsafe(redis, otherwise);
    }
    freeReplyObject(reply);
    return rc;
}

static int check_keeping(struct redis *redis, const char *info)
{
    int rc = 0;
    if (!info_is(info, "aof_enabled:1"))
        rc = unsafe(redis, "the server keeps no append-only file and loses what it was told when "
                           "it ends: set appendonly yes and appendfsync always");
    if (rc == 0 && strstr(info, "maxmemory_policy:allkeys") != NULL)
        rc = unsafe(redis, "the server throws rows away when its memory is full: set "
                           "maxmemory-policy noeviction");
    if (rc == 0)
        rc = check_config(redis, "appendfsync", "always",
                          "the server can lose the last second of what it was told: set "
                          "appendfsync always");
    if (rc == 0)
        rc = check_config(redis, "no-appendfsync-on-rewrite", "no",
                          "the server syncs nothing while it rewrites its file: set "
                          "no-appendfsync-on-rewrite no");
    return rc;
}

static bool has_hash_tag(const char *key)
{
    const char *open = strchr(key, '{');
    const char *close = open != NULL ? strchr(open, '}') : NULL;
    return close != NULL && close > open + 1;
}

static int check_info(struct redis *redis, const char *info)
{
    if (info_is(info, "loading:1"))
        return redis_fail(redis, "settings", "the server is loading its data");
    if (info_is(info, "role:slave"))
        return redis_fail(redis, "settings",
                          "the server takes no writes (a replica): name the master");
    if (info_is(info, "cluster_enabled:1") && !has_hash_tag(redis->rows_key))
        return redis_fail(redis, "settings",
                          "a Redis Cluster changes several keys at once only where all are in one "
                          "slot: add ?prefix=%7Bname%7D: to the URL, and begin all keys of the "
                          "service's with {name}");
    return check_keeping(redis, info);
}

static int check_settings(struct redis *redis)
{
    redisReply *reply = redis_call(redis, "INFO");
    int rc;
    if (redis_is_error(reply) && strncmp(reply->str, "NOPERM", 6) == 0)
        rc = redis_fail(redis, "settings", "the user needs the right to INFO (ACL: +info)");
    else if (reply == NULL || (reply->type != REDIS_REPLY_STRING))
        rc = redis_fail_reply(redis, "cannot ask the server", reply);
    else
        rc = check_info(redis, reply->str);
    if (reply != NULL)
        freeReplyObject(reply);
    return rc;
}

/* Somebody else's key by this name would be found when money moves. */
static int check_type(struct redis *redis, const char *key, const char *wanted)
{
    char what[REDIS_KEY_MAX + 64];
    redisReply *reply = redis_call(redis, "TYPE %s", key);
    int rc = 0;
    snprintf(what, sizeof(what), "the key %s is not the barrier's", key);
    if (reply == NULL || reply->type != REDIS_REPLY_STATUS)
        rc = redis_fail_reply(redis, "cannot look at the barrier's keys", reply);
    else if (strcmp(reply->str, wanted) != 0 && strcmp(reply->str, "none") != 0)
        rc = redis_fail(redis, what, reply->str);
    if (reply != NULL)
        freeReplyObject(reply);
    return rc;
}

static int make_keys(struct redis *redis)
{
    if (redis->options.has_tables)
        return redis_fail(redis, "keys",
                          "tercet_barrier_mark is missing: make it as docs/databases.md says, or "
                          "leave has_tables out");
    int rc = command_done(redis,
                          redis_call(redis, "HSETNX %s mark 00000000000000000000", redis->mark_key),
                          "cannot make the barrier's keys");
    return rc == 0
               ? command_done(redis,
                              redis_call(redis, "HSETNX %s version %d", redis->mark_key, VERSION),
                              "cannot make the barrier's keys")
               : rc;
}

/* A database that was emptied, or is another one, has no rows of what was tried here before. */
static int check_identity(struct redis *redis, const redisReply *identity)
{
    bool is_same =
        identity->type == REDIS_REPLY_STRING && strcmp(identity->str, redis->identity) == 0;
    if (redis->identity[0] == '\0' || is_same)
        return 0;
    return redis_fail(redis, "keys",
                      "this database is another than before: it was emptied, or the address leads "
                      "to another server; restart the service when that is right");
}

static int check_mark(struct redis *redis, const redisReply *reply)
{
    int rc = check_identity(redis, reply->element[1]);
    if (rc != 0)
        return rc;
    if (reply->element[0]->type != REDIS_REPLY_STRING)
        return make_keys(redis);
    if (atoi(reply->element[0]->str) <= VERSION)
        return 0;
    redis_fail(redis, "keys",
               "the barrier's keys are of a newer version than this program: run a newer one");
    return TERCET_FORMAT;
}

static int check_keys(struct redis *redis)
{
    int rc = check_type(redis, redis->rows_key, "hash");
    if (rc == 0)
        rc = check_type(redis, redis->mark_key, "hash");
    if (rc == 0)
        rc = check_type(redis, redis->ended_key, "zset");
    if (rc != 0)
        return rc;
    redisReply *reply = redis_call(redis, "HMGET %s version identity", redis->mark_key);
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
        rc = redis_fail_reply(redis, "cannot look at the barrier's keys", reply);
    else
        rc = check_mark(redis, reply);
    if (reply != NULL)
        freeReplyObject(reply);
    return rc;
}

/* -- Connecting -------------------------------------------------------------------------------- */

static int open_connection(struct redis *redis)
{
    const struct location *location = &redis->location;
    char path[256] = "";
    uint32_t ms = redis->options.connect_timeout_ms;
    const struct timeval connecting = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    int port = location->port != 0 ? location->port : PORT;
    redis->conn = socket_path(location, path, sizeof(path))
                      ? redisConnectUnixWithTimeout(path, connecting)
                      : redisConnectWithTimeout(location->host, port, connecting);
    if (redis->conn == NULL)
        return TERCET_NOMEM;
    if (redis->conn->err != 0)
        return redis_fail(redis, "cannot connect", redis->conn->errstr);
    redisSetTimeout(redis->conn, (struct timeval){.tv_sec = REPLY_TIMEOUT_S});
    if (path[0] == '\0')
        redisEnableKeepAlive(redis->conn);
    return tls_begin(redis);
}

static int log_in(struct redis *redis)
{
    const struct location *location = &redis->location;
    redisReply *reply;
    if (location->password[0] == '\0' && location->user[0] == '\0')
        return 0;
    if (location->user[0] == '\0')
        reply = redis_call(redis, "AUTH %s", location->password);
    else
        reply = redis_call(redis, "AUTH %s %s", location->user, location->password);
    return command_done(redis, reply, "cannot log in");
}

static int connect_now(struct redis *redis)
{
    char number[32] = "";
    int rc = open_connection(redis);
    if (rc == 0)
        rc = log_in(redis);
    database_of(&redis->location, number, sizeof(number));
    if (rc == 0 && strcmp(number, "0") != 0)
        rc =
            command_done(redis, redis_call(redis, "SELECT %s", number), "cannot choose a database");
    if (rc == 0)
        rc = check_settings(redis);
    if (rc == 0)
        rc = check_keys(redis);
    return rc == 0 ? redis_load_scripts(redis) : rc;
}

int redis_connect(struct redis *redis)
{
    redis_disconnect(redis);
    if (!server_retry_is_due(&redis->retry))
        return redis->error[0] != '\0'
                   ? TERCET_STORE
                   : redis_fail(redis, "not connected", "connecting is tried again soon");
    redis->is_sending = false;
    int rc = connect_now(redis);
    if (rc == 0) {
        server_retry_clear(&redis->retry);
        redis->error[0] = '\0';
        return 0;
    }
    server_retry_plan(&redis->retry);
    redis->failure = TERCET_BARRIER_LOST;
    redis_disconnect(redis);
    return rc;
}
