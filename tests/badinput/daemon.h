/* SPDX-License-Identifier: Apache-2.0
 *
 * A tercetd of the test's own: a process on a free port with a store in a temporary directory.
 * Everything here asserts.
 */
#ifndef TERCET_TEST_DAEMON_H
#define TERCET_TEST_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define DAEMON_WAIT_MS 100000
#define DAEMON_ARGS_MAX 24
#define DAEMON_TEXT_MAX 8192

struct daemon {
    pid_t pid;          /* 0: none runs */
    char directory[64]; /* temporary; has the store in "store" */
    char address[64];
};

/* Makes the directory. */
void daemon_init(struct daemon *daemon);

/* Starts tercetd on the store with further options (a NULL-terminated list, or NULL) and waits
 * until it is ready. */
void daemon_start(struct daemon *daemon, const char *const *options);

/* Ends it with a signal and waits. Returns its exit status, or 128 and the signal. */
int daemon_end(struct daemon *daemon, int signal);

/* Waits until it ends by itself. */
int daemon_wait(struct daemon *daemon);

/* Runs tercetd with just these options until it ends; puts what it printed, on both outputs, into
 * `text`. */
int daemon_run(char text[DAEMON_TEXT_MAX], const char *const *options);

/* The same, on the daemon's store. */
int daemon_try(const struct daemon *daemon, char text[DAEMON_TEXT_MAX], const char *const *options);

/* What the daemon has printed on standard error since it was started; the caller frees it. */
char *daemon_log(const struct daemon *daemon);

/* A path in the directory; one at a time. */
const char *daemon_path(const struct daemon *daemon, const char *name);
void daemon_write_file(const struct daemon *daemon, const char *name, const char *content);

/* Kills what runs, removes the directory. */
void daemon_clear(struct daemon *daemon);

#endif
