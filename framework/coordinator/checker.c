/* SPDX-License-Identifier: Apache-2.0
 *
 * checker.h
 */
#include "checker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 100 /* how often goes_on is asked */
#define LINE_MAX_SIZE 1024

extern char **environ;

/* One process that reads. */
struct run {
    struct checker *checker;
    pid_t pid;
    int from; /* its output and error output */
    char line[LINE_MAX_SIZE];
    size_t size;
    char reading[CHECKER_TEXT_MAX];   /* what it reads, in its own words, */
    char last_word[CHECKER_TEXT_MAX]; /* and besides */
    enum scrub_part part;             /* the part that it reads; 0: it has not said */
    bool is_done, has_failed;
};

/* -- Its lines --------------------------------------------------------------------------------- */

/* The part of the line behind `prefix`, or NULL. */
static const char *after(const char *line, const char *prefix)
{
    size_t size = strlen(prefix);
    return strncmp(line, prefix, size) == 0 ? line + size : NULL;
}

static void take_reading(struct run *run, const char *text)
{
    for (unsigned part = SCRUB_UNRESOLVED; part < SCRUB_ALL; part <<= 1) {
        const char *name = scrub_part_name((enum scrub_part)part);
        const char *what = after(text, name);
        if (what == NULL || strncmp(what, ": ", 2) != 0)
            continue;
        run->part = (enum scrub_part)part;
        snprintf(run->reading, sizeof(run->reading), "%s", what + 2);
    }
}

static void take_counts(struct scrub_counts *counts, const char *text)
{
    struct scrub_counts of = {0};
    if (sscanf(text,
               "%" SCNu64 " unresolved, %" SCNu64 " branches, %" SCNu64 " resolved, %" SCNu64
               " others",
               &of.live, &of.branches, &of.resolved, &of.meta) != 4)
        return;
    counts->live += of.live;
    counts->branches += of.branches;
    counts->resolved += of.resolved;
    counts->meta += of.meta;
}

static void damaged(struct checker *checker, const char *text)
{
    checker->counts.damages++;
    checker->on_damage(text, checker->ctx);
}

static void take_line(struct run *run)
{
    const char *text;
    if ((text = after(run->line, CHECKER_DAMAGED)) != NULL)
        damaged(run->checker, text);
    else if ((text = after(run->line, CHECKER_READING)) != NULL)
        take_reading(run, text);
    else if ((text = after(run->line, CHECKER_COUNTS)) != NULL)
        take_counts(&run->checker->counts, text);
    else if (after(run->line, CHECKER_DONE) != NULL)
        run->is_done = true;
    else if ((text = after(run->line, CHECKER_FAILED)) != NULL)
        run->has_failed = true;
    else
        text = run->line;
    if (text == run->line || run->has_failed)
        snprintf(run->last_word, sizeof(run->last_word), "%.*s", CHECKER_TEXT_MAX - 1,
                 text != NULL ? text : "");
}

static void take_bytes(struct run *run, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n') {
            run->line[run->size] = '\0';
            take_line(run);
            run->size = 0;
        } else if (run->size < sizeof(run->line) - 1) {
            run->line[run->size++] = bytes[i];
        }
    }
}

/* -- The process ------------------------------------------------------------------------------- */

/* The child blocks and ignores no signals, whatever this process does. */
static int set_signals(posix_spawnattr_t *attributes)
{
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    int rc = posix_spawnattr_setsigmask(attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attributes, &defaults);
    return rc == 0 ? posix_spawnattr_setflags(attributes,
                                              POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)
                   : rc;
}

static int spawn_into(struct run *run, int into, char *const *args)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&files);
    if (rc != 0)
        return rc;
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = set_signals(&attributes);
        if (rc == 0)
            rc = posix_spawn_file_actions_adddup2(&files, into, STDOUT_FILENO);
        if (rc == 0)
            rc = posix_spawn_file_actions_adddup2(&files, into, STDERR_FILENO);
        if (rc == 0)
            rc = posix_spawn(&run->pid, args[0], &files, &attributes, args, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

/* 0 or an errno. */
static int start(struct run *run, const char *parts)
{
    char size[32];
    const struct checker *checker = run->checker;
    char *args[] = {(char *)checker->program,
                    (char *)"--data",
                    (char *)checker->data,
                    (char *)"--check",
                    (char *)parts,
                    (char *)"--store-size",
                    size,
                    NULL};
    int ends[2];
    snprintf(size, sizeof(size), "%" PRIu64, checker->store_size);
    if (checker->store_size == 0)
        args[5] = NULL;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    run->from = ends[0];
    int rc = spawn_into(run, ends[1], args);
    close(ends[1]);
    if (rc != 0)
        close(run->from);
    return rc;
}

/* Waits until the process has ended. false: goes_on said no. */
static bool hear(struct run *run)
{
    char bytes[4096];
    for (;;) {
        struct pollfd from = {.fd = run->from, .events = POLLIN};
        if (!run->checker->goes_on(run->checker->ctx))
            return false;
        if (poll(&from, 1, LOOK_MS) <= 0)
            continue;
        ssize_t n = read(run->from, bytes, sizeof(bytes));
        if (n == 0)
            return true;
        if (n > 0)
            take_bytes(run, bytes, (size_t)n);
        else if (errno != EINTR && errno != EAGAIN)
            return true;
    }
}

/* The status, or -1 where the program that this is part of takes no notice of its children. */
static int end(struct run *run, bool is_heard)
{
    int status = -1;
    if (!is_heard)
        kill(run->pid, SIGKILL);
    close(run->from);
    while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

/* -- One run after the other ------------------------------------------------------------------- */

static int give_up(struct checker *checker, const char *text)
{
    snprintf(checker->text, sizeof(checker->text), "%.*s", CHECKER_TEXT_MAX - 1, text);
    return -1;
}

/* It ended over what it read. */
static void tell_end(const struct run *run, int status)
{
    char how[64] = "", text[2 * CHECKER_TEXT_MAX + 128];
    if (status != -1 && WIFSIGNALED(status))
        snprintf(how, sizeof(how), "%s", strsignal(WTERMSIG(status)));
    else if (status != -1)
        snprintf(how, sizeof(how), "exit status %d", WEXITSTATUS(status));
    snprintf(text, sizeof(text),
             "%s: a page of the file is damaged: whoever reads it is ended (%s%s%s)", run->reading,
             how, run->last_word[0] != '\0' ? ": " : "", run->last_word);
    damaged(run->checker, text);
}

/* Returns -1, or what is to be read next; 0: no more. */
static int run_once(struct checker *checker, const char *parts, bool is_all)
{
    struct run run = {.checker = checker};
    char text[CHECKER_TEXT_MAX + 64];
    int rc = start(&run, parts);
    if (rc != 0) {
        snprintf(text, sizeof(text), "%s cannot be started to read the store: %s", checker->program,
                 strerror(rc));
        return give_up(checker, text);
    }
    bool is_heard = hear(&run);
    int status = end(&run, is_heard);
    if (!is_heard)
        return give_up(checker, "");
    if (run.is_done)
        return 0;
    if (run.has_failed || run.part == 0) {
        snprintf(text, sizeof(text), "the store cannot be read by another process: %s",
                 run.last_word[0] != '\0' ? run.last_word : "it ended at once");
        return give_up(checker, text);
    }
    tell_end(&run, status);
    return is_all ? (int)run.part << 1 : 0;
}

int checker_run(struct checker *checker)
{
    checker->counts = (struct scrub_counts){0};
    checker->text[0] = '\0';
    int next = run_once(checker, "all", true);
    for (unsigned part = (unsigned)next; next > 0 && part < SCRUB_ALL; part <<= 1)
        if (run_once(checker, scrub_part_name((enum scrub_part)part), false) < 0)
            return -1;
    return next < 0 ? -1 : 0;
}
