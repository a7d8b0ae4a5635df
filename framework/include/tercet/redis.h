/* SPDX-License-Identifier: Apache-2.0
 *
 * The barrier in Redis, for hooks: what one may do with the handle that it is given.
 *
 * Redis has no transaction that a hook could work in. A hook *asks for* commands and Lua scripts
 * instead; when it has returned 0 they are carried out together with the barrier's row, in one
 * script at the server, which nothing comes between. So
 *
 * - a hook sees nothing of what it has asked for; it reads beforehand, with tercet_redis_ask, and
 *   guards what it read with tercet_redis_watch, or leaves the decision to a script;
 * - a script decides at the server, where nobody is between reading and writing: it may refuse
 *   (`return {err = 'REFUSED sold out'}`), which is the try's answer, and it may return a text,
 *   which is the try's reply, in the place of the hook's;
 * - there is no rollback. The first thing that fails ends a hook's work: nothing of it is done as
 *   long as nothing had been written before. What fails, or refuses, after that leaves the branch
 *   *torn*: the row says so, every further call of it gets TERCET_STORE with the reason, nothing is
 *   done twice, and a person has to mend it (docs/databases.md). So a script checks first, and
 *   writes when nothing can fail any more.
 *
 * All functions are for the thread that runs the hook, until it returns.
 */
#ifndef TERCET_REDIS_H
#define TERCET_REDIS_H

#include <tercet/barrier.h>

#ifdef __cplusplus
extern "C" {
#endif

struct redisReply; /* <hiredis/hiredis.h> */

/* Asks for a command, with the formats of hiredis: %s a text, %b bytes and their size_t, %d, %i,
 * %u, %lld and the like. It is carried out after those that were asked for before. Values need no
 * quoting; the format itself must never hold any from outside. Errors, which the hook returns:
 * TERCET_INVALID for a format that is none, TERCET_NOMEM. */
int tercet_redis_do(tercet_db db, const char *format, ...);

/* Words of a command at most; what is longer is for a script, which takes any number in ARGV. */
#define TERCET_REDIS_WORDS_MAX 4000

/* The same with the words as they are; `sizes` may be NULL: they are texts. More than
 * TERCET_REDIS_WORDS_MAX are TERCET_INVALID: Redis could not spread them within a script. */
int tercet_redis_do_words(tercet_db db, int count, const char *const *words, const size_t *sizes);

/* Asks for a script, as EVAL takes it: `count` words, of which the first `key_count` are KEYS and
 * the others ARGV. Name every key that it touches. It returns nothing, a number or true: done; a
 * text: the try's reply (at most TERCET_REPLY_MAX bytes); {err = 'REFUSED why'}: refused, in a
 * confirm or cancel "ask me again"; any other error: failed. */
int tercet_redis_script(tercet_db db, const char *lua, int key_count, int count,
                        const char *const *words, const size_t *sizes);

/* Sends a command at once and waits for its answer, to be freed with freeReplyObject: for reading.
 * What it writes is written, whatever becomes of the hook; commands that change the connection
 * (MULTI, SELECT, SUBSCRIBE and the like) are refused. What it reads may be old when the hook's
 * work is carried out: see tercet_redis_watch. In a batch, the work of the calls before this one is
 * carried out first. TERCET_INVALID, TERCET_STORE without an answer, or with an error for one. */
int tercet_redis_ask(tercet_db db, struct redisReply **out, const char *format, ...);

/* From now on: when this key is changed by anybody else before the hook's work is carried out, none
 * of it is, and the hook runs again. */
int tercet_redis_watch(tercet_db db, const char *key);

#ifdef __cplusplus
}
#endif
#endif
