/* SPDX-License-Identifier: Apache-2.0
 *
 * database.h: which there are, and their servers' processes.
 */
#include "database.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WORDS_MAX 32
#define RUN_TIMEOUT_MS 120000
#define CONNECT_TRIES 600
#define CONNECT_PAUSE_NS 100000000

const struct database *database_of(enum barrier_kind barrier)
{
    switch (barrier) {
#ifdef BENCH_POSTGRES
    case BARRIER_POSTGRES:
        return &database_postgres;
#endif
#ifdef BENCH_MYSQL
    case BARRIER_MYSQL:
        return &database_mysql;
#endif
#ifdef BENCH_REDIS
    case BARRIER_REDIS:
        return &database_redis;
#endif
    case BARRIER_LMDB:
        return &database_lmdb;
    default:
        return NULL;
    }
}

/* Servers do not run as root: under the user that their package has made. */
static const struct passwd *other_user(const char *user)
{
    if (geteuid() != 0)
        return NULL;
    const struct passwd *entry = getpwnam(user);
    return entry != NULL ? entry : getpwnam("nobody");
}

static bool make_folder(struct bench *bench, const char *user, const char *name)
{
    char path[PATH_SIZE + 32];
    const struct passwd *entry = other_user(user);
    snprintf(path, sizeof(path), "%s/%s", bench->shared->dir, name);
    if (mkdir(path, 0700) != 0 || chmod(bench->shared->dir, 0711) != 0 ||
        (entry != NULL && chown(path, entry->pw_uid, entry->pw_gid) != 0))
        return run_complain("%s: %s", path, strerror(errno));
    return true;
}

static char *word(const char *text)
{
    return (char *)(uintptr_t)text;
}

static bool start_process(struct process *out, struct bench *bench, const char *user,
                          const char *const *argv)
{
    char log[PATH_SIZE + 32], uid[32], gid[32];
    const struct passwd *entry = other_user(user);
    char *words[WORDS_MAX] = {word("sh"), word("-c"), word("cd / && exec \"$@\" >>\"$0\" 2>&1"),
                              log};
    size_t count = 4;
    snprintf(log, sizeof(log), "%s/database.log", bench->shared->dir);
    if (entry != NULL) {
        snprintf(uid, sizeof(uid), "--reuid=%u", entry->pw_uid);
        snprintf(gid, sizeof(gid), "--regid=%u", entry->pw_gid);
        const char *const change[] = {"setpriv", uid, gid, "--clear-groups", "--pdeathsig=KILL"};
        for (size_t i = 0; i < sizeof(change) / sizeof(change[0]); i++)
            words[count++] = word(change[i]);
    }
    for (size_t i = 0; argv[i] != NULL && count < WORDS_MAX - 1; i++)
        words[count++] = word(argv[i]);
    if (process_start(out, "the database server", words) != 0)
        return run_complain("%s: %s", argv[0], strerror(errno));
    return true;
}

/* What it wrote last is why it failed, most likely. */
static bool complain_with_log(const struct bench *bench, const char *program)
{
    char path[PATH_SIZE + 32], line[LINE_SIZE], last[LINE_SIZE] = "(no output)";
    snprintf(path, sizeof(path), "%s/database.log", bench->shared->dir);
    FILE *log = fopen(path, "re");
    while (log != NULL && fgets(line, sizeof(line), log) != NULL)
        if (line[0] != '\n')
            snprintf(last, sizeof(last), "%s", line);
    if (log != NULL)
        fclose(log);
    last[strcspn(last, "\n")] = '\0';
    return run_complain("%s: %s", program, last);
}

void *database_await(const struct shared *shared, void *(*connect)(const struct shared *shared))
{
    void *connection = connect(shared);
    for (int i = 0; connection == NULL && i < CONNECT_TRIES; i++) {
        nanosleep(&(struct timespec){.tv_nsec = CONNECT_PAUSE_NS}, NULL);
        connection = connect(shared);
    }
    return connection;
}

static bool run_to_end(struct bench *bench, const char *user, const char *const *argv)
{
    struct process process = {.pid = 0};
    if (!start_process(&process, bench, user, argv))
        return false;
    return process_stop(&process, 0, RUN_TIMEOUT_MS) == 0 || complain_with_log(bench, argv[0]);
}

bool database_serve(struct bench *bench, const struct database_server *server)
{
    if (!make_folder(bench, server->user, server->user))
        return false;
    if (server->make != NULL && !run_to_end(bench, server->user, server->make))
        return run_complain("%s cannot be set up: is it installed (package %s)?", server->name,
                            server->package);
    return start_process(&bench->database, bench, server->user, server->run) &&
           (server->make_ready(bench->shared) ||
            run_complain("%s does not get ready: is it installed (package %s)?", server->name,
                         server->package));
}
