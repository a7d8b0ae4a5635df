/* SPDX-License-Identifier: Apache-2.0
 *
 * The first process: the others that it has started, and what it does with them. What fails is
 * printed at once; the functions say whether all is well.
 */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "bench.h"
#include "process.h"

#include <limits.h>

#define START_TIMEOUT_MS 30000
#define PASS_TIMEOUT_MS 600000 /* of something that takes as long as there are transactions */

struct bench {
    struct shared *shared;
    char fd[16];
    char self[PATH_MAX];
    struct process coordinator;
    struct process participants[PARTICIPANTS_MAX + 1];
    struct process load;
    struct process database;                /* a server, private to this run */
    struct process observer, trickle, fill; /* --unresolved */
};

/* Prints it; false. */
bool run_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool run_start_role(struct process *out, struct bench *bench, const char *role);
/* Waits for a role's "ok". */
bool run_expect_ok(struct process *process, int timeout_ms);
/* Says a word, and waits for "ok". */
bool run_ask(struct process *process, const char *word, int timeout_ms);
/* Ends it: by a signal, or (0) by the end of its input. Not started: all is well. */
bool run_stop(struct process *process, int signal);

/* At this address, or a free one (NULL). shared->coordinator is the one it got. */
bool run_start_coordinator(struct bench *bench, const char *address);
bool run_start_participants(struct bench *bench);
/* The load for its time, into shared->load. */
bool run_load(struct bench *bench);
/* All participants, into shared->effects. */
bool run_count_effects(struct bench *bench);

/* What --unresolved does, into shared->unresolved. */
bool unresolved_run(struct bench *bench);

#endif
