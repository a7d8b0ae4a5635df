/* SPDX-License-Identifier: Apache-2.0
 *
 * A program as a child: started, awaited by a line that it prints, killed by its pid. Knows nothing
 * of Criterion: the kill tests use it, too. Start children from the main thread only: they are
 * killed when the thread that started them ends.
 */
#ifndef TERCET_TESTS_PROCESS_H
#define TERCET_TESTS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_LINE_MAX 512
#define PROCESS_ADDRESS_MAX 64

struct process {
    pid_t pid;  /* 0: there is none */
    int output; /* its standard output */
    size_t used;
    char buffer[PROCESS_LINE_MAX];
};

int64_t process_now_ms(void);

/* A free port of the loopback, as "127.0.0.1:PORT", for a server that will be started there more
 * than once. It lies below those that the system gives (32768 and up, ip_local_port_range): of
 * these, another's connection may have one when its server is away for a moment. */
void process_pick_address(char address[PROCESS_ADDRESS_MAX]);

/* A connection to 127.0.0.1 at the port that the address ends in. -1: refused. */
int process_connect(const char *address);

/* Whether the other side has ended the connection; what it sent before is thrown away. */
bool process_is_cut(int connection);

/* A figure of /proc/PID/status in KiB, "VmRSS" or "VmHWM"; -1: there is none. */
long process_memory_kib(pid_t pid, const char *figure);

/* In place of a file for standard error: it goes where standard output goes. */
#define PROCESS_WITH_OUTPUT ""

/* Starts argv[0]. Standard error is appended to the file `errors` (NULL: ours). `environment`:
 * "NAME=value" set for the child alone, or NULL. Ends this program when there can be no child. */
void process_start(struct process *process, const char *const *argv, const char *errors,
                   const char *environment);

/* The next line that begins with `prefix`, without its end. false: the output ended, or the time is
 * over. */
bool process_line(struct process *process, const char *prefix, char line[PROCESS_LINE_MAX],
                  int64_t timeout_ms);

/* All that it prints until it closes its output, as a text; what has no room is left out. false: it
 * has not closed it, in time. */
bool process_text(struct process *process, char *text, size_t size, int64_t timeout_ms);

/* Whether it has ended, and how (as waitpid tells). */
bool process_has_ended(struct process *process, int *status);

/* Waits until it has ended by itself. false: it has not, in time. */
bool process_wait(struct process *process, int64_t timeout_ms, int *status);

/* Stops it (SIGSTOP) and waits until it has stopped: the signal alone lets it run on for a moment.
 * SIGCONT goes on. */
void process_freeze(const struct process *process);

/* Sends the signal and waits for the end; SIGKILL follows when it takes more than a minute. The
 * status; fine when there is none. */
int process_end(struct process *process, int signal);

/* The exit status, or 128 and the signal, of what waitpid tells. */
int process_code(int status);

#endif
