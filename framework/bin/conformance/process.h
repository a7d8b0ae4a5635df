/* SPDX-License-Identifier: Apache-2.0
 *
 * The participant's process, where we start it, and the commands that were given.
 */
#ifndef CONFORMANCE_PROCESS_H
#define CONFORMANCE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#define PLACEHOLDER "{coordinator}"

/* Starts the command, with every PLACEHOLDER in its arguments replaced by `coordinator`, in a
 * process group of its own; what it prints goes to standard error. It ends when we do. false:
 * errno says why. */
bool process_start(char *const *command, const char *coordinator);

/* Kills what process_start started, and waits for its end. */
void process_kill(void);

/* Whether it was started and has ended by itself; `text` says how. */
bool process_has_ended(char *text, size_t size);

/* Runs a shell's command and waits. Returns its exit status, -1 if it did not get so far. */
int process_shell(const char *command);

/* The same; what it prints, cut, in `out`. */
int process_output(const char *command, char *out, size_t size);

#endif
