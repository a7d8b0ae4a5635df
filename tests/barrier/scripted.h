/* SPDX-License-Identifier: Apache-2.0
 *
 * A driver without a database, for tests of what drivers are asked, and in which order: it writes
 * down what it is asked, and answers what the test says.
 */
#ifndef SCRIPTED_H
#define SCRIPTED_H

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <tercet/sys/barrier.h>

#define SCRIPT_LOG_MAX 1024

/* The driver's state, and what it answers. */
extern struct script {
    char asked[512];
    bool inserts, moves;
    enum tercet_barrier_state row;
    size_t row_reply_size;
    uint64_t mark;
    int release_result; /* of the next one */
    int commit_result, read_result, mark_read_result, mark_store_result, keep_result;
    const char *kept; /* NULL: what is proposed */
    uint32_t mark_store_rows;
    enum tercet_barrier_failure failure;
    atomic_int connects;
    bool has_connections;   /* there are more */
    bool runs_during_store; /* another call runs while the mark is stored */
    bool is_closed;         /* by a hook */
    char error[TERCET_TEXT_MAX];
    char logged[SCRIPT_LOG_MAX];
    int log_count;
} script;

/* A database with one connection. */
extern const struct tercet_barrier_driver scripted_driver;
/* The barrier that is tried. */
extern struct tercet_barrier *scripted_barrier;

/* Makes it of this driver, with an empty script in which rows are new and moves succeed; what it
 * logs is kept. */
void scripted_open(const struct tercet_barrier_driver *driver,
                   const struct tercet_barrier_options *options);
void scripted_close(void);
/* options.on_log */
void scripted_log(enum tercet_log_level level, const char *line, void *ctx);
/* The driver notes that it was asked this. */
int scripted_note(const char *operation);

/* A call of branch 1 of transaction number 5, to be changed as needed. */
struct tercet_barrier_call call_of(enum tercet_kind kind, tercet_barrier_hook hook);
/* Runs it alone, and returns its result. */
int run_one(struct tercet_barrier_call *call);
/* Asserts that the driver was asked this, a word an operation. */
void expect_asked(const char *wanted);

/* Hooks: one fails with TERCET_AGAIN, one replies "seat 17". */
int fail_hook(struct tercet_barrier_call *call, tercet_db db, void *ctx);
int reply_hook(struct tercet_barrier_call *call, tercet_db db, void *ctx);

#endif
