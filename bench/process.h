/* SPDX-License-Identifier: Apache-2.0
 *
 * Processes: started by fork and exec, talked to by lines, and what they cost.
 */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LINE_SIZE 512

/* Zeroed: there is none. */
struct process {
    pid_t pid;
    int in;  /* its standard input */
    int out; /* its standard output */
    char name[32];
};

/* From now on SIGINT and SIGTERM end every wait of process_line, so that what was started is
 * stopped and removed. */
void process_catch_signals(void);

/* Starts argv[0]; it is killed when this process ends. Standard error is ours. 0, or -1 with
 * errno. */
int process_start(struct process *out, const char *name, char *const argv[]);

/* Reads the next line, without its end. False when none comes in time; `line` (LINE_SIZE) then says
 * so. */
bool process_line(struct process *process, char *line, int timeout_ms);

/* Asks for the next thing with a word. */
void process_say(struct process *process, const char *word);

/* Sends a signal (0: only closes its input), waits for the end, kills it when that does not come in
 * time. The wait status, or -1 when it had to be killed or there is none. */
int process_stop(struct process *process, int signal, int timeout_ms);

/* CPU time that the process has used, in seconds; 0 when it cannot be told. */
double process_cpu(pid_t pid);
/* The same with its children, those that live. */
double process_family_cpu(pid_t pid);

/* A line of /proc/PID/status in KiB, such as "VmRSS:"; 0 when it cannot be told. */
uint64_t process_memory_kib(pid_t pid, const char *key);

/* CPU seconds that the whole machine was busy, and that the hypervisor took. */
void machine_cpu(double *busy, double *steal);

#endif
