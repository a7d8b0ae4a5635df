/* SPDX-License-Identifier: Apache-2.0
 *
 * process.h
 */
#include "process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define END_MS 60000
#define PORT_MIN 10000
#define PORT_END 32768
#define PORT_TRIES 1000

__attribute__((noreturn)) static void fail(const char *what)
{
    perror(what);
    abort();
}

int64_t process_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* -- Addresses --------------------------------------------------------------------------------- */

static bool is_free(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_bound = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0)
        close(fd);
    return is_bound;
}

void process_pick_address(char address[PROCESS_ADDRESS_MAX])
{
    uint16_t port = 0;
    for (int i = 0; i < PORT_TRIES; i++) {
        if (getrandom(&port, sizeof(port), 0) != sizeof(port))
            fail("getrandom");
        port = (uint16_t)(PORT_MIN + port % (PORT_END - PORT_MIN));
        if (is_free(port)) {
            snprintf(address, PROCESS_ADDRESS_MAX, "127.0.0.1:%u", port);
            return;
        }
    }
    errno = EADDRINUSE;
    fail("no free port");
}

int process_connect(const char *address)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    close(fd);
    return -1;
}

bool process_is_cut(int connection)
{
    char bytes[4096];
    ssize_t size;
    while ((size = recv(connection, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
        continue;
    return size == 0 || errno == ECONNRESET;
}

/* -- Figures ----------------------------------------------------------------------------------- */

long process_memory_kib(pid_t pid, const char *figure)
{
    char path[64], line[256];
    long kib = -1;
    size_t size = strlen(figure);
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        fail(path);
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, figure, size) == 0 && line[size] == ':')
            kib = strtol(line + size + 1, NULL, 10);
    fclose(file);
    return kib;
}

/* -- Starting ---------------------------------------------------------------------------------- */

/* In the child, between fork and exec. The environment was made before: setenv is not for here. */
__attribute__((noreturn)) static void become(const char *const *argv, char **environment,
                                             int output, int errors)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(output, STDOUT_FILENO);
    if (errors >= 0)
        dup2(errors, STDERR_FILENO);
    execve(argv[0], (char *const *)(uintptr_t)argv, environment);
    _exit(127);
}

/* Ours and one more; the strings are not copied. */
static char **make_environment(const char *one)
{
    extern char **environ;
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    char **made = calloc(count + 2, sizeof(char *));
    if (made == NULL)
        abort();
    memcpy(made, environ, count * sizeof(char *));
    made[count] = (char *)(uintptr_t)one;
    return made;
}

void process_start(struct process *process, const char *const *argv, const char *errors,
                   const char *environment)
{
    int fds[2], error_fd = -1;
    if (pipe2(fds, O_CLOEXEC) != 0)
        fail("pipe2");
    if (errors != NULL && errors[0] == '\0')
        error_fd = dup(fds[1]);
    else if (errors != NULL &&
             (error_fd = open(errors, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0)
        fail(errors);
    char **made = make_environment(environment);
    pid_t pid = fork();
    if (pid < 0)
        fail("fork");
    if (pid == 0)
        become(argv, made, fds[1], error_fd);
    free(made);
    close(fds[1]);
    if (error_fd >= 0)
        close(error_fd);
    *process = (struct process){.pid = pid, .output = fds[0]};
}

/* -- Reading ----------------------------------------------------------------------------------- */

/* Takes the first line out of the buffer. */
static bool take_line(struct process *process, char line[PROCESS_LINE_MAX])
{
    char *end = memchr(process->buffer, '\n', process->used);
    if (end == NULL)
        return false;
    size_t size = (size_t)(end - process->buffer);
    memcpy(line, process->buffer, size);
    line[size] = '\0';
    process->used -= size + 1;
    memmove(process->buffer, end + 1, process->used);
    return true;
}

static bool read_more(struct process *process, int64_t until_ms)
{
    int64_t left_ms = until_ms - process_now_ms();
    struct pollfd poll_fd = {.fd = process->output, .events = POLLIN};
    if (process->used == sizeof(process->buffer))
        process->used = 0; /* a line that long is none of ours */
    if (poll(&poll_fd, 1, left_ms > 0 ? (int)left_ms : 0) <= 0)
        return false;
    ssize_t size = read(process->output, process->buffer + process->used,
                        sizeof(process->buffer) - process->used);
    if (size <= 0)
        return false;
    process->used += (size_t)size;
    return true;
}

bool process_line(struct process *process, const char *prefix, char line[PROCESS_LINE_MAX],
                  int64_t timeout_ms)
{
    int64_t until_ms = process_now_ms() + timeout_ms;
    do {
        while (take_line(process, line))
            if (strncmp(line, prefix, strlen(prefix)) == 0)
                return true;
    } while (read_more(process, until_ms));
    return false;
}

bool process_text(struct process *process, char *text, size_t size, int64_t timeout_ms)
{
    int64_t left_ms, until_ms = process_now_ms() + timeout_ms;
    struct pollfd poll_fd = {.fd = process->output, .events = POLLIN};
    size_t used = 0;
    ssize_t got = 1;
    char waste[256];
    while (got > 0 && (left_ms = until_ms - process_now_ms()) > 0) {
        bool is_full = used + 1 >= size;
        if (poll(&poll_fd, 1, (int)left_ms) <= 0)
            continue;
        got = read(process->output, is_full ? waste : text + used,
                   is_full ? sizeof(waste) : size - 1 - used);
        used += got > 0 && !is_full ? (size_t)got : 0;
    }
    text[used] = '\0';
    return got == 0;
}

/* -- Ending ------------------------------------------------------------------------------------ */

/* What it still prints is thrown away, so that it does not wait for us. False: there will be no
 * more. */
static bool drain(struct process *process)
{
    struct pollfd poll_fd = {.fd = process->output, .events = POLLIN};
    char waste[4096];
    while (poll(&poll_fd, 1, 0) == 1)
        if (read(process->output, waste, sizeof(waste)) <= 0)
            return false;
    return true;
}

bool process_has_ended(struct process *process, int *status)
{
    int ended = 0;
    if (process->pid == 0)
        return true;
    drain(process);
    if (waitpid(process->pid, &ended, WNOHANG) != process->pid)
        return false;
    close(process->output);
    process->pid = 0;
    if (status != NULL)
        *status = ended;
    return true;
}

bool process_wait(struct process *process, int64_t timeout_ms, int *status)
{
    int64_t left_ms, until_ms = process_now_ms() + timeout_ms;
    struct pollfd fds[] = {{.fd = -1, .events = POLLIN}, {.fd = process->output, .events = POLLIN}};
    if (process_has_ended(process, status))
        return true;
    fds[0].fd = pidfd_open(process->pid, 0);
    if (fds[0].fd < 0)
        fail("pidfd_open");
    while (!process_has_ended(process, status) && (left_ms = until_ms - process_now_ms()) > 0)
        if (poll(fds, 2, (int)left_ms) > 0 && fds[1].revents != 0 && !drain(process))
            fds[1].fd = -1;
    close(fds[0].fd);
    return process->pid == 0;
}

void process_freeze(const struct process *process)
{
    siginfo_t told;
    kill(process->pid, SIGSTOP);
    while (waitid(P_PID, (id_t)process->pid, &told, WSTOPPED | WEXITED | WNOWAIT) != 0 &&
           errno == EINTR)
        continue;
}

int process_end(struct process *process, int signal)
{
    int status = 0;
    if (process->pid == 0)
        return 0;
    kill(process->pid, signal);
    if (process_wait(process, END_MS, &status))
        return status;
    kill(process->pid, SIGKILL);
    process_wait(process, END_MS, &status);
    return status;
}

int process_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
