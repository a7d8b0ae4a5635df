/* SPDX-License-Identifier: Apache-2.0
 *
 * daemon.h
 */
#include "daemon.h"

#include <criterion/criterion.h>
#include <crpc/crpc.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *daemon_path(const struct daemon *daemon, const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", daemon->directory, name);
    return path;
}

void daemon_init(struct daemon *daemon)
{
    memset(daemon, 0, sizeof(*daemon));
    snprintf(daemon->directory, sizeof(daemon->directory), "/tmp/tercet-badinput-XXXXXX");
    cr_assert_not_null(mkdtemp(daemon->directory));
}

void daemon_write_file(const struct daemon *daemon, const char *name, const char *content)
{
    FILE *file = fopen(daemon_path(daemon, name), "w");
    cr_assert_not_null(file);
    fputs(content, file);
    cr_assert_eq(fclose(file), 0);
}

/* -- Starting ---------------------------------------------------------------------------------- */

/* tercetd with its standard output, and its standard error when `error` is -1, in a pipe. It does
 * not outlive a test that is killed or skipped: setpriv sees to that, and becomes tercetd. */
static pid_t spawn(const char *const *options, int error, int *output)
{
    const char *args[DAEMON_ARGS_MAX + 5] = {"setpriv", "--pdeathsig", "KILL", TERCETD};
    posix_spawn_file_actions_t actions;
    int pipes[2];
    pid_t pid;
    size_t count = 1;
    for (; options[count - 1] != NULL; count++) {
        cr_assert_lt(count, (size_t)DAEMON_ARGS_MAX);
        args[count + 3] = options[count - 1];
    }
    cr_assert_eq(pipe2(pipes, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, error >= 0 ? error : pipes[1], STDERR_FILENO);
    cr_assert_eq(
        posix_spawnp(&pid, "setpriv", &actions, NULL, (char *const *)(uintptr_t)args, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(pipes[1]);
    *output = pipes[0];
    return pid;
}

/* Reads until a line is complete, or with `to_the_end` until the other side closes; kills `pid`
 * when that takes too long. */
static void read_output(int fd, char *text, size_t size, bool to_the_end, pid_t pid)
{
    int64_t limit = now_ms() + DAEMON_WAIT_MS;
    size_t have = 0;
    ssize_t got = 1;
    while (got > 0 && have + 1 < size && (to_the_end || memchr(text, '\n', have) == NULL)) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        if (poll(&waiting, 1, (int)(limit - now_ms() > 0 ? limit - now_ms() : 0)) <= 0) {
            kill(pid, SIGKILL);
            cr_assert(false, "tercetd is silent for too long");
        }
        got = read(fd, text + have, size - 1 - have);
        have += got > 0 ? (size_t)got : 0;
    }
    text[have] = '\0';
}

static void fill_options(const struct daemon *daemon, const char *const *more, const char **options,
                         char *store, size_t store_size)
{
    size_t count = 0;
    bool listens = false;
    snprintf(store, store_size, "%s/store", daemon->directory);
    options[count++] = "--data";
    options[count++] = store;
    for (size_t i = 0; more != NULL && more[i] != NULL; i++) {
        cr_assert_lt(count, (size_t)DAEMON_ARGS_MAX - 3);
        listens = listens || strcmp(more[i], "--listen") == 0;
        options[count++] = more[i];
    }
    if (!listens) {
        options[count++] = "--listen";
        options[count++] = "127.0.0.1:0";
    }
    options[count] = NULL;
}

void daemon_start(struct daemon *daemon, const char *const *more)
{
    const char *options[DAEMON_ARGS_MAX];
    char store[128];
    char line[256];
    int output;
    cr_assert_eq(daemon->pid, 0);
    fill_options(daemon, more, options, store, sizeof(store));
    int log = open(daemon_path(daemon, "log"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert_geq(log, 0);
    daemon->pid = spawn(options, log, &output);
    close(log);
    read_output(output, line, sizeof(line), false, daemon->pid);
    close(output);
    if (sscanf(line, "ready %63s", daemon->address) != 1) {
        char *text = daemon_log(daemon);
        cr_assert(false, "tercetd is not ready: \"%s\" %s", line, text);
    }
}

/* -- Ending ------------------------------------------------------------------------------------ */

static int exit_status(pid_t pid)
{
    int64_t limit = now_ms() + DAEMON_WAIT_MS;
    int status;
    pid_t ended;
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0) {
        if (now_ms() > limit) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            cr_assert(false, "tercetd does not end");
        }
        poll(NULL, 0, 5); /* a pause between two looks; nothing depends on its length */
    }
    cr_assert_eq(ended, pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int daemon_wait(struct daemon *daemon)
{
    int status = exit_status(daemon->pid);
    daemon->pid = 0;
    return status;
}

int daemon_end(struct daemon *daemon, int signal)
{
    cr_assert_gt(daemon->pid, 0);
    kill(daemon->pid, signal);
    return daemon_wait(daemon);
}

int daemon_run(char text[DAEMON_TEXT_MAX], const char *const *options)
{
    int output;
    pid_t pid = spawn(options, -1, &output);
    read_output(output, text, DAEMON_TEXT_MAX, true, pid);
    close(output);
    return exit_status(pid);
}

int daemon_try(const struct daemon *daemon, char text[DAEMON_TEXT_MAX], const char *const *more)
{
    const char *options[DAEMON_ARGS_MAX];
    char store[128];
    fill_options(daemon, more, options, store, sizeof(store));
    return daemon_run(text, options);
}

char *daemon_log(const struct daemon *daemon)
{
    char *text = NULL;
    cr_assert_eq(crpc_file_read(&text, daemon_path(daemon, "log")), 0);
    return text;
}

void daemon_clear(struct daemon *daemon)
{
    char command[128];
    if (daemon->pid > 0)
        daemon_end(daemon, SIGKILL);
    if (daemon->directory[0] == '\0')
        return;
    snprintf(command, sizeof(command), "rm -rf %s", daemon->directory);
    cr_assert_eq(system(command), 0);
    daemon->directory[0] = '\0';
}
