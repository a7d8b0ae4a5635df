/* SPDX-License-Identifier: Apache-2.0
 *
 * scripted.h
 */
#include "scripted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct script script;
struct tercet_barrier *scripted_barrier;

/* -- The driver -------------------------------------------------------------------------------- */

int scripted_note(const char *operation)
{
    size_t used = strlen(script.asked);
    snprintf(script.asked + used, sizeof(script.asked) - used, "%s%s", used > 0 ? " " : "",
             operation);
    return 0;
}

static int take_begin(void *state)
{
    (void)state;
    return scripted_note("begin");
}

static int take_commit(void *state)
{
    (void)state;
    scripted_note("commit");
    return script.commit_result;
}

static void take_rollback(void *state)
{
    (void)state;
    scripted_note("rollback");
}

static int take_savepoint(void *state)
{
    (void)state;
    return scripted_note("savepoint");
}

static int take_release(void *state)
{
    int result = script.release_result;
    (void)state;
    script.release_result = 0;
    scripted_note("release");
    return result;
}

static int take_rollback_to(void *state)
{
    (void)state;
    return scripted_note("rollback_to");
}

static bool take_is_open(void *state)
{
    (void)state;
    return !script.is_closed;
}

static int take_insert(void *state, const struct tercet_barrier_key *key,
                       enum tercet_barrier_state to, bool *inserted)
{
    (void)state;
    (void)key;
    (void)to;
    *inserted = script.inserts;
    return scripted_note("insert");
}

static int take_move(void *state, const struct tercet_barrier_key *key,
                     enum tercet_barrier_state from, enum tercet_barrier_state to, bool *moved)
{
    (void)state;
    (void)key;
    (void)from;
    (void)to;
    *moved = script.moves;
    return scripted_note("move");
}

static int take_reply(void *state, const struct tercet_barrier_key *key, struct tercet_bytes reply)
{
    (void)state;
    (void)key;
    (void)reply;
    return scripted_note("reply_save");
}

static int take_read(void *state, const struct tercet_barrier_key *key,
                     struct tercet_barrier_row *row)
{
    (void)state;
    (void)key;
    *row = (struct tercet_barrier_row){.state = script.row};
    if (script.row_reply_size > 0) {
        row->reply = calloc(1, script.row_reply_size);
        row->reply_size = script.row_reply_size;
    }
    scripted_note("read");
    return script.read_result;
}

static int take_mark_read(void *state, uint64_t *mark)
{
    (void)state;
    *mark = script.mark;
    scripted_note("mark_read");
    return script.mark_read_result;
}

static int take_mark_raise(void *state, uint64_t mark)
{
    (void)state;
    (void)mark;
    return scripted_note("mark_raise");
}

static int take_collect(void *state, uint64_t mark, uint32_t rows_max)
{
    (void)state;
    (void)mark;
    (void)rows_max;
    return scripted_note("collect");
}

static tercet_db take_db(void *state)
{
    return state;
}

static int take_rows_count(void *state, uint64_t *rows)
{
    (void)state;
    *rows = 0;
    return 0;
}

static const char *tell_error(void *state)
{
    (void)state;
    return script.error;
}

static void take_close(void *state)
{
    (void)state;
}

const struct tercet_barrier_driver scripted_driver = {.size = sizeof(scripted_driver),
                                                      .begin = take_begin,
                                                      .commit = take_commit,
                                                      .rollback = take_rollback,
                                                      .savepoint = take_savepoint,
                                                      .release = take_release,
                                                      .rollback_to = take_rollback_to,
                                                      .is_open = take_is_open,
                                                      .insert = take_insert,
                                                      .move = take_move,
                                                      .reply_save = take_reply,
                                                      .read = take_read,
                                                      .mark_read = take_mark_read,
                                                      .mark_raise = take_mark_raise,
                                                      .collect = take_collect,
                                                      .db = take_db,
                                                      .rows_count = take_rows_count,
                                                      .error_text = tell_error,
                                                      .close = take_close};

/* -- The barrier ------------------------------------------------------------------------------- */

void scripted_log(enum tercet_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)ctx;
    script.log_count++;
    snprintf(script.logged, sizeof(script.logged), "%s", line);
}

void scripted_open(const struct tercet_barrier_driver *driver,
                   const struct tercet_barrier_options *options)
{
    struct tercet_barrier_options logging = {.size = sizeof(logging)};
    if (options != NULL)
        logging = *options;
    logging.on_log = scripted_log;
    memset(&script, 0, sizeof(script));
    script.inserts = script.moves = true;
    cr_assert_eq(tercet_barrier_new(&scripted_barrier, driver, &script, &logging), 0);
}

void scripted_close(void)
{
    tercet_barrier_close(scripted_barrier);
}

/* -- Calls ------------------------------------------------------------------------------------- */

struct tercet_barrier_call call_of(enum tercet_kind kind, tercet_barrier_hook hook)
{
    return (struct tercet_barrier_call){
        .kind = kind, .gid = "g", .branch = 1, .number = 5, .hook = hook};
}

void expect_asked(const char *wanted)
{
    cr_expect_str_eq(script.asked, wanted, "asked: %s", script.asked);
}

int run_one(struct tercet_barrier_call *call)
{
    tercet_barrier_run(scripted_barrier, call, 1);
    return call->result;
}

int fail_hook(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)call;
    (void)db;
    (void)ctx;
    return TERCET_AGAIN;
}

int reply_hook(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)db;
    (void)ctx;
    call->reply = strdup("seat 17");
    call->reply_size = 7;
    return 0;
}
