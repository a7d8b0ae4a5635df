/* SPDX-License-Identifier: Apache-2.0
 *
 * process.h.
 */
#include "process.h"

#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define INTERRUPTED_STOP_MS 1000
#define LINE_POLL_MS 200 /* between two looks for a signal */

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number)
{
    (void)number;
    is_interrupted = 1;
}

void process_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

__attribute__((noreturn)) static void become(char *const argv[], int in, int out, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it ended before the line above */
        _exit(127);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    execvp(argv[0], argv);
    fprintf(stderr, "tercet-bench: %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int process_start(struct process *out, const char *name, char *const argv[])
{
    int to[2];
    int from[2];
    pid_t parent = getpid();
    if (pipe2(to, O_CLOEXEC) != 0)
        return -1;
    if (pipe2(from, O_CLOEXEC) != 0) {
        close(to[0]);
        close(to[1]);
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0)
        become(argv, to[0], from[1], parent);
    close(to[0]);
    close(from[1]);
    if (pid < 0) {
        close(to[1]);
        close(from[0]);
        return -1;
    }
    *out = (struct process){.pid = pid, .in = to[1], .out = from[0]};
    snprintf(out->name, sizeof(out->name), "%s", name);
    return 0;
}

/* Waits for something to read. NULL, or why there is nothing. */
static const char *wait_readable(int fd, int64_t end_ns)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    while (!is_interrupted) {
        int64_t left_ms = (end_ns - now_ns()) / 1000000;
        if (left_ms <= 0)
            return "no answer in time";
        if (poll(&poller, 1, left_ms < LINE_POLL_MS ? (int)left_ms : LINE_POLL_MS) > 0)
            return NULL;
    }
    return "interrupted";
}

bool process_line(struct process *process, char *line, int timeout_ms)
{
    int64_t end_ns = now_ns() + (int64_t)timeout_ms * 1000000;
    size_t used = 0;
    while (used < LINE_SIZE - 1) {
        const char *why = wait_readable(process->out, end_ns);
        if (why != NULL) {
            snprintf(line, LINE_SIZE, "%s (%d s)", why, timeout_ms / 1000);
            return false;
        }
        if (read(process->out, &line[used], 1) != 1) {
            snprintf(line, LINE_SIZE, "has ended");
            return false;
        }
        if (line[used] == '\n')
            break;
        used++;
    }
    line[used] = '\0';
    return true;
}

void process_say(struct process *process, const char *word)
{
    char line[64];
    int size = snprintf(line, sizeof(line), "%s\n", word);
    /* One that has ended is found out by its missing answer. */
    if (write(process->in, line, (size_t)size) != size)
        return;
}

static int wait_for_end(pid_t pid, int timeout_ms)
{
    struct pollfd end = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    int status = 0;
    int ended;
    while ((ended = poll(&end, 1, timeout_ms)) < 0 && errno == EINTR)
        continue;
    close(end.fd);
    if (ended != 1)
        kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return ended == 1 ? status : -1;
}

int process_stop(struct process *process, int signal, int timeout_ms)
{
    if (process->pid == 0)
        return -1;
    close(process->in);
    if (signal != 0)
        kill(process->pid, signal);
    int status = wait_for_end(process->pid, is_interrupted ? INTERRUPTED_STOP_MS : timeout_ms);
    close(process->out);
    *process = (struct process){.pid = 0};
    return status;
}

double process_cpu(pid_t pid)
{
    clockid_t clock;
    struct timespec used;
    if (pid == 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return 0;
    return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

double process_family_cpu(pid_t pid)
{
    char path[64];
    int child;
    double sum = process_cpu(pid);
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *file = pid == 0 ? NULL : fopen(path, "re");
    while (file != NULL && fscanf(file, "%d", &child) == 1)
        sum += process_cpu(child);
    if (file != NULL)
        fclose(file);
    return sum;
}

uint64_t process_memory_kib(pid_t pid, const char *key)
{
    char path[64];
    char line[256];
    uint64_t value = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = pid == 0 ? NULL : fopen(path, "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            value = strtoull(line + strlen(key), NULL, 10);
    fclose(file);
    return value;
}

void machine_cpu(double *busy, double *steal)
{
    enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, FIELDS };
    unsigned long long ticks[FIELDS] = {0};
    char line[512] = "";
    double hz = (double)sysconf(_SC_CLK_TCK);
    FILE *file = fopen("/proc/stat", "re");
    *busy = *steal = 0;
    if (file == NULL)
        return;
    if (fgets(line, sizeof(line), file) != NULL) {
        char *at = line + strlen("cpu");
        for (size_t i = 0; i < FIELDS; i++)
            ticks[i] = strtoull(at, &at, 10);
    }
    fclose(file);
    *busy = (double)(ticks[USER] + ticks[NICE] + ticks[SYSTEM] + ticks[IRQ] + ticks[SOFTIRQ]) / hz;
    *steal = (double)ticks[STEAL] / hz;
}
