/* SPDX-License-Identifier: Apache-2.0
 *
 * The barrier's driver for Redis: one connection. Nothing is changed before the commit: a
 * transaction is a list of steps, each a change of a row with the hook's work, and each step one
 * script at the server (redis_scripts.c), which carries out all of it or nothing when the row is
 * still as it was read. All steps leave in one go. Steps are apart from each other: some may be
 * done and others not, and each has a verdict.
 *
 * Keys, behind the URL's prefix:
 *   tercet_barrier        hash: gid:branch -> state, number, time, reply (ROW_ below)
 *   tercet_barrier_mark   hash: version, mark, identity, source
 *   tercet_barrier_ended  sorted set of number:gid:branch, all of score 0: what may be collected
 */
#ifndef BARRIER_REDIS_DRIVER_H
#define BARRIER_REDIS_DRIVER_H

#include <hiredis/hiredis.h>
#include <tercet/redis.h>
#include <tercet/sys/barrier.h>

#include "../location.h"
#include "../server.h"

/* A row is text: the state's digit, a space, the number with 20 digits, a space, milliseconds since
 * 1970 with 13 digits, a space, the reply. A torn branch has a T for its state, and the reason for
 * its reply. The scripts cut by the same columns. */
#define REDIS_ROW_REPLY 37
#define REDIS_ROW_TORN 'T'
#define REDIS_NUMBER_DIGITS 20
#define REDIS_FIELD_MAX (TERCET_GID_MAX + 12) /* gid:branch */
#define REDIS_KEY_MAX 128

/* Words of any bytes, as a command has them. */
struct redis_words {
    char **texts;
    size_t *sizes;
    size_t count, capacity;
};

/* A branch's row as this transaction sees it. */
struct redis_row {
    char field[REDIS_FIELD_MAX + 1];
    uint64_t hash; /* of it */
    enum tercet_barrier_state state;
    bool is_torn;
    char *reply; /* or why it is torn */
    size_t reply_size;
};

struct redis_step {
    size_t row;
    bool has_row; /* else only work: tercet_barrier_local */
    enum tercet_barrier_state from, to;
    uint64_t number;
    char *reply;
    size_t reply_size;
    struct redis_words works; /* each: kind, count of keys, count of words, words */
    size_t work_count;
    bool is_careful; /* more than one write may come of it */
    struct redis_words keys;
    enum tercet_barrier_verdict verdict;
    char *text;
    size_t text_size;
};

struct redis {
    redisContext *conn; /* NULL: there was none yet, or the last one is given up */
    struct location location;
    struct tercet_barrier_options options;
    char rows_key[REDIS_KEY_MAX], mark_key[REDIS_KEY_MAX], ended_key[REDIS_KEY_MAX];
    char identity[TERCET_BARRIER_IDENTITY_MAX + 1]; /* "": not known yet */
    char step_sha[41], mark_sha[41];
    void *tls; /* redisSSLContext; NULL: none */

    /* The open transaction. */
    bool is_in_local, is_watching;
    bool is_sending; /* what comes of the steps is not known until their replies */
    struct redis_row *rows;
    size_t row_count, row_capacity;
    struct redis_step *steps;
    size_t step_count, step_capacity;
    size_t sent_count; /* of the steps: their verdicts are known */
    size_t savepoint;  /* a step_count */
    uint64_t mark;
    uint64_t mark_wanted; /* to be stored with the commit, and rows deleted; 0: not */
    uint32_t collect_max;
    bool has_ended; /* while a hook worked: the connection, or what an earlier one watched */

    enum tercet_barrier_failure failure;
    struct server_retry retry;
    char error[TERCET_TEXT_MAX];
};

/* -- redis_link.c ------------------------------------------------------------------------------ */

/* A state without a connection; `text` says what is wrong with the URL. */
int redis_new(struct redis **out, const char *url, const struct tercet_barrier_options *options,
              char *text);
void redis_free(struct redis *redis);
/* Connects anew, with the server's settings and the barrier's keys looked at. Fails at once for a
 * while after a failure. */
int redis_connect(struct redis *redis);
void redis_disconnect(struct redis *redis);

/* Keeps a text, without the password. Returns TERCET_STORE. */
int redis_fail(struct redis *redis, const char *what, const char *text);
/* The same for what came instead of the reply that was wanted (NULL: none), and gives up the
 * connection when the server cannot serve any more. */
int redis_fail_reply(struct redis *redis, const char *what, const redisReply *reply);
/* The next reply. NULL when the connection is lost. */
redisReply *redis_receive(struct redis *redis);
/* Sends a command, and returns its reply, errors too. */
redisReply *redis_call(struct redis *redis, const char *format, ...);
bool redis_is_error(const redisReply *reply);
/* Whether an error's text says that nothing can be had from this server now. */
bool redis_is_of_no_use(const char *text);

/* -- redis_scripts.c --------------------------------------------------------------------------- */

/* Brings both scripts to the server. */
int redis_load_scripts(struct redis *redis);

/* -- redis_steps.c ----------------------------------------------------------------------------- */

int redis_words_add(struct redis_words *words, const void *data, size_t size);
void redis_words_free(struct redis_words *words);
/* Adds a step; its row is in state `to` after it. */
int redis_step_add(struct redis *redis, const struct redis_step *step);
/* Takes back all steps past the first `count` that were not sent. */
void redis_steps_undo(struct redis *redis, size_t count);
void redis_forget(struct redis *redis);
/* Has the steps that were not sent carried out, but for the last `but`, and takes their verdicts.
 * On failure `failure` says what is known. */
int redis_send_steps(struct redis *redis, size_t but);

#endif
