/* SPDX-License-Identifier: Apache-2.0
 *
 * A real tercetd, on a free port of the loopback and a directory of its own; killed, and started
 * again on both.
 */
#ifndef TERCET_TESTS_DAEMON_H
#define TERCET_TESTS_DAEMON_H

#include "process.h"

#define DAEMON_OPTIONS_MAX 20
#define DAEMON_READY_MS 100000
#define DAEMON_TEXT_MAX 8192

struct daemon {
    struct process process;
    const char *program;
    char dir[128];                     /* the store is in "store", the log is "tercetd.log" */
    char address[PROCESS_ADDRESS_MAX]; /* the first one; stays the same over restarts */
    const char *options[DAEMON_OPTIONS_MAX + 1];
};

/* Makes the directory, under TMPDIR or /tmp. `options`: further ones, NULL at the end; may be NULL.
 * false: there can be none. */
bool daemon_prepare(struct daemon *daemon, const char *program, const char *const *options);
/* The same where forced writes cost nothing, if there is such a place: for tests that do not kill
 * it in the middle of one by chance. */
bool daemon_prepare_in_memory(struct daemon *daemon, const char *program,
                              const char *const *options);

/* The further options of the next start; may be NULL. */
void daemon_options(struct daemon *daemon, const char *const *options);

/* Starts it, armed with a crash point ("name:N") when `failpoint` is not NULL. false: it did not
 * get ready. */
bool daemon_start(struct daemon *daemon, const char *failpoint);

/* Runs another on the same store, at any port, which should end by itself; `text` gets what it
 * prints. The exit status, or 128 and the signal; -1: it had to be killed. */
int daemon_run(const struct daemon *daemon, char text[DAEMON_TEXT_MAX]);
/* The same with these options alone, of which the first is the program. */
int daemon_run_alone(const char *const *argv, char text[DAEMON_TEXT_MAX]);

/* SIGKILL. */
void daemon_kill(struct daemon *daemon);

/* SIGTERM. The exit status, or 128 and the signal when it ended in another way. */
int daemon_stop(struct daemon *daemon);

/* A path in the directory; one at a time. */
const char *daemon_path(const struct daemon *daemon, const char *name);

/* What it has written to its log, from malloc. */
char *daemon_log(const struct daemon *daemon);

/* Kills it if it runs, and removes the directory. */
void daemon_clean(struct daemon *daemon);

#endif
