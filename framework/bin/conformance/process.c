/* SPDX-License-Identifier: Apache-2.0
 *
 * process.h
 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Read by a signal's handler. */
static volatile sig_atomic_t participant; /* 0: none runs */

/* -- Ends with us ------------------------------------------------------------------------------ */

static void on_signal(int number)
{
    if (participant > 0)
        kill(-(pid_t)participant, SIGKILL);
    _exit(128 + number);
}

static void kill_at_exit(void)
{
    process_kill();
}

static void prepare_once(void)
{
    static bool is_prepared;
    if (is_prepared)
        return;
    is_prepared = true;
    atexit(kill_at_exit);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGHUP, on_signal);
    signal(SIGPIPE, on_signal); /* who read the verdicts is gone */
}

/* -- Starting ---------------------------------------------------------------------------------- */

/* `text` with each PLACEHOLDER replaced; malloc'ed. */
static char *fill_in(const char *text, const char *coordinator)
{
    size_t size = strlen(text) + 1;
    for (const char *at = text; (at = strstr(at, PLACEHOLDER)) != NULL; at++)
        size += strlen(coordinator);
    char *filled = calloc(1, size), *end = filled;
    if (filled == NULL)
        abort();
    for (const char *at; (at = strstr(text, PLACEHOLDER)) != NULL;
         text = at + strlen(PLACEHOLDER)) {
        end = mempcpy(end, text, (size_t)(at - text));
        end = stpcpy(end, coordinator);
    }
    strcpy(end, text);
    return filled;
}

static char **fill_in_all(char *const *command, const char *coordinator)
{
    size_t count = 0;
    while (command[count] != NULL)
        count++;
    char **filled = calloc(count + 1, sizeof(*filled));
    if (filled == NULL)
        abort();
    for (size_t i = 0; i < count; i++)
        filled[i] = fill_in(command[i], coordinator);
    return filled;
}

static int spawn(char **arguments)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    int rc = posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    participant = rc == 0 ? pid : 0;
    return rc;
}

bool process_start(char *const *command, const char *coordinator)
{
    prepare_once();
    char **arguments = fill_in_all(command, coordinator);
    int rc = spawn(arguments);
    for (size_t i = 0; arguments[i] != NULL; i++)
        free(arguments[i]);
    free(arguments);
    errno = rc;
    return rc == 0;
}

void process_kill(void)
{
    if (participant <= 0)
        return;
    kill(-(pid_t)participant, SIGKILL);
    while (waitpid((pid_t)participant, NULL, 0) < 0 && errno == EINTR)
        ;
    participant = 0;
}

bool process_has_ended(char *text, size_t size)
{
    int status = 0;
    if (participant <= 0 || waitpid((pid_t)participant, &status, WNOHANG) != (pid_t)participant)
        return false;
    kill(-(pid_t)participant, SIGKILL); /* what it may have left behind */
    participant = 0;
    if (WIFSIGNALED(status))
        snprintf(text, size, "was ended by signal %d", WTERMSIG(status));
    else
        snprintf(text, size, "ended with status %d", WEXITSTATUS(status));
    return true;
}

/* -- Commands ---------------------------------------------------------------------------------- */

int process_output(const char *command, char *out, size_t size)
{
    fflush(NULL);
    FILE *pipe = popen(command, "re");
    if (pipe == NULL)
        return -1;
    size_t length = fread(out, 1, size - 1, pipe);
    out[length] = '\0';
    while (fgetc(pipe) != EOF)
        ;
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Not through a pipe, which what it leaves in the background would hold open. */
int process_shell(const char *command)
{
    fflush(NULL);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
