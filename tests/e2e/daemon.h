/* SPDX-License-Identifier: Apache-2.0
 *
 * A real tercetd, on a free port of the loopback and a directory of its own; killed, and started
 * again on both.
 */
#ifndef TERCET_E2E_DAEMON_H
#define TERCET_E2E_DAEMON_H

#include "process.h"

#define DAEMON_OPTIONS_MAX 16
#define DAEMON_READY_MS 100000

struct daemon {
    struct process process;
    const char *program;
    char dir[128];                     /* the store is in "store", the log is "tercetd.log" */
    char address[PROCESS_ADDRESS_MAX]; /* the first one; stays the same over restarts */
    const char *options[DAEMON_OPTIONS_MAX + 1];
};

/* Makes the directory, under TMPDIR or /tmp. `options`: further ones, NULL at the end; may be NULL.
 * daemon_restart starts it. */
bool daemon_prepare(struct daemon *daemon, const char *program, const char *const *options);

/* Both. false: it did not get ready. */
bool daemon_start(struct daemon *daemon, const char *program, const char *const *options);

/* Starts it again, armed with a crash point ("name:N") when `failpoint` is not NULL. */
bool daemon_restart(struct daemon *daemon, const char *failpoint);

/* SIGKILL. */
void daemon_kill(struct daemon *daemon);

/* SIGTERM. The exit status, or -1 when it ended in another way. */
int daemon_stop(struct daemon *daemon);

/* Removes the directory. */
void daemon_clean(struct daemon *daemon);

#endif
