/* SPDX-License-Identifier: Apache-2.0
 *
 * kill -9 while commits go on: every commit that was reported is there afterwards, whole.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

#define ROUNDS 8u
#define WAIT_MS 80000
#define WIDTH_MS 1000
#define COMMITS_A_BUCKET 10u

/* Commit n puts number n, resolves n - 1, and drops what is older than three buckets. */
static int commit_one(struct store *store, uint64_t epoch, uint64_t n)
{
    char gid[32];
    int64_t time_ms = (int64_t)(n * WIDTH_MS / COMMITS_A_BUCKET);
    snprintf(gid, sizeof(gid), "g%llu", (unsigned long long)(n - 1));
    struct tercet_store_op ops[] = {op_put(n, 0, "state"), op_put(n, 1, "branch"),
                                    op_resolve(n - 1, gid, time_ms, "done"),
                                    op_drop(time_ms - 3 * WIDTH_MS)};
    return store_commit(store, 0, epoch, ops, n > 1 ? 4 : 2);
}

/* Never returns; reports each finished commit. */
static void commit_for_ever(const struct fixture *fixture, int report)
{
    struct store *store;
    struct tercet_store_lease lease;
    if (store_open(&store, fixture->dir, NULL, &fixture->options, NULL) != 0 ||
        store_acquire(store, 0, &lease) != 0)
        _exit(1);
    uint64_t n = lease.next_number;
    while (commit_one(store, lease.epoch, n) == 0 && write(report, &n, sizeof(n)) == sizeof(n))
        n++;
    _exit(2);
}

static bool read_report(int report, uint64_t *n)
{
    struct pollfd poll_fd = {.fd = report, .events = POLLIN};
    cr_assert_eq(poll(&poll_fd, 1, WAIT_MS), 1, "the child is stuck");
    return read(report, n, sizeof(*n)) == sizeof(*n);
}

/* Lets a child commit `count` times, kills it, and returns the last number that it reported. */
static uint64_t run_and_kill(const struct fixture *fixture, unsigned count)
{
    int fds[2], status;
    uint64_t n = 0;
    cr_assert_eq(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        commit_for_ever(fixture, fds[1]);
    }
    close(fds[1]);
    for (unsigned i = 0; i < count; i++)
        cr_assert(read_report(fds[0], &n), "the child has failed");
    cr_assert_eq(kill(child, SIGKILL), 0);
    while (read_report(fds[0], &n))
        continue;
    close(fds[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return n;
}

static void expect_resolved(struct fixture *fixture, uint64_t n)
{
    char gid[32], expected[32];
    snprintf(gid, sizeof(gid), "g%llu", (unsigned long long)n);
    snprintf(expected, sizeof(expected), "%llu=done", (unsigned long long)n);
    cr_assert_str_eq(fixture_find(fixture, gid), expected);
}

/* The last reported commit is there, and perhaps the one after it, but nothing between. */
static void expect_reported(struct fixture *fixture, uint64_t reported)
{
    fixture_reopen(fixture);
    cr_assert(fixture->next_number == reported + 1 || fixture->next_number == reported + 2,
              "%llu after %llu", (unsigned long long)fixture->next_number,
              (unsigned long long)reported);
    uint64_t last = fixture->next_number - 1;
    char expected[64];
    snprintf(expected, sizeof(expected), "%llu.0=state %llu.1=branch", (unsigned long long)last,
             (unsigned long long)last);
    cr_assert_str_eq(fixture_live(fixture), expected);
    for (uint64_t n = last > COMMITS_A_BUCKET ? last - COMMITS_A_BUCKET : 1; n < last; n++)
        expect_resolved(fixture, n);
    store_close(fixture->store);
    fixture->store = NULL;
}

Test(lmdb_crash, every_reported_commit_survives_a_kill, .timeout = 120)
{
    struct fixture fixture;
    uint64_t last = 0;
    fixture_prepare(&fixture, FIXTURE_LMDB, WIDTH_MS);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t reported = run_and_kill(&fixture, 15 + round * 7);
        cr_assert_gt(reported, last);
        expect_reported(&fixture, reported);
        last = reported;
    }
    fixture_close(&fixture);
}
