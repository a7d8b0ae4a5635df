/* SPDX-License-Identifier: Apache-2.0
 *
 * kill -9 around the commit: a child stops at a known place and says so through a pipe; it is
 * killed there, and its file is opened again. Before the commit there is neither row nor effect,
 * after it there are both.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define WAIT_MS 100000
#define CHILD_LIFE_S 60 /* should its parent fail before it kills it */

enum place { IN_THE_HOOK, BEFORE_THE_COMMIT, AFTER_THE_COMMIT };

struct child {
    struct part part;
    enum place place;
    int pipe_fd;
};

/* Says that the place is reached, and stays there. */
static void stop_here(const struct child *child)
{
    if (write(child->pipe_fd, "!", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static int stop_before_commit(void *ctx)
{
    stop_here(ctx);
    return 0;
}

static int child_hook(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    struct child *child = ctx;
    int result = bench_hook(call, db, &child->part);
    if (child->place == IN_THE_HOOK && call->branch == 2)
        stop_here(child);
    if (child->place == BEFORE_THE_COMMIT)
        sqlite3_commit_hook(db, stop_before_commit, child);
    return result;
}

static void run_child(const char *path, enum place place, int pipe_fd)
{
    struct bench bench = {.driver = BENCH_SQLITE};
    struct child child = {
        .part = {.bench = &bench, .reply = "seat 17"}, .place = place, .pipe_fd = pipe_fd};
    struct tercet_barrier_call calls[2] = {bench_call(&child.part, TERCET_TRY),
                                           bench_call(&child.part, TERCET_TRY)};
    alarm(CHILD_LIFE_S);
    if (tercet_barrier_sqlite_open(&bench.barrier, path, NULL, NULL) != 0)
        _exit(1);
    for (uint32_t i = 0; i < 2; i++) {
        calls[i].branch = i + 1;
        calls[i].hook = child_hook;
        calls[i].ctx = &child;
        calls[i].low_water = 7;
    }
    tercet_barrier_run(bench.barrier, calls, 2);
    if (calls[0].result != 0 || calls[1].result != 0)
        _exit(1);
    stop_here(&child);
}

static void make_file(const char *path)
{
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "CREATE TABLE ledger (gid TEXT, branch INTEGER, kind INTEGER)",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
}

/* Lets a child reach the place, and kills it there. */
static void kill_at(const char *path, enum place place)
{
    int pipe_fds[2], status = 0;
    cr_assert_eq(pipe(pipe_fds), 0);
    pid_t pid = fork();
    if (pid == 0)
        run_child(path, place, pipe_fds[1]);
    cr_assert_gt(pid, 0);
    close(pipe_fds[1]);
    struct pollfd wait_for = {.fd = pipe_fds[0], .events = POLLIN};
    char byte = 0;
    int ready = poll(&wait_for, 1, WAIT_MS);
    bool has_arrived = ready == 1 && read(pipe_fds[0], &byte, 1) == 1;
    kill(pid, SIGKILL);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    close(pipe_fds[0]);
    cr_assert(has_arrived);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void check_killed(enum place place, uint64_t rows, uint64_t mark)
{
    char folder[] = "/tmp/tercet-crash-XXXXXX", path[64];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/app.db", folder);
    make_file(path);
    kill_at(path, place);

    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    tercet_barrier_close(bench->barrier);
    bench->barrier = NULL;
    cr_assert_eq(remove(bench->path), 0);
    cr_assert_eq(rmdir(bench->folder), 0);
    strcpy(bench->folder, folder);
    strcpy(bench->path, path);
    bench_reopen(bench);
    cr_assert_eq(bench_rows(bench), rows);
    cr_assert_eq(bench_mark(bench), mark);
    cr_assert_eq(bench_effects(bench, NULL, 0), (int)rows);
    struct part part = {.bench = bench, .reply = "seat 17"};
    for (uint32_t branch = 1; branch <= 2; branch++) {
        struct tercet_barrier_call call = bench_call(&part, TERCET_TRY);
        call.branch = branch;
        tercet_barrier_run(bench->barrier, &call, 1);
        cr_assert_eq(call.result, 0);
        cr_assert_eq(memcmp(call.reply, "seat 17", 7), 0);
        free(call.reply);
    }
    cr_assert_eq(part.runs, 2 - (int)rows);
    cr_assert_eq(bench_effects(bench, NULL, 0), 2);
    bench_close(bench);
}

Test(barrier_crash, in_a_hook_nothing_is_left, .timeout = 60)
{
    check_killed(IN_THE_HOOK, 0, 0);
}

Test(barrier_crash, between_hook_and_commit_nothing_is_left, .timeout = 60)
{
    check_killed(BEFORE_THE_COMMIT, 0, 0);
}

Test(barrier_crash, after_the_commit_all_is_there, .timeout = 60)
{
    check_killed(AFTER_THE_COMMIT, 2, 7);
}
