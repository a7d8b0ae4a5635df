/* SPDX-License-Identifier: Apache-2.0
 *
 * More connections than tercetd has descriptors for: those who are connected are served all the
 * while, the others are refused, and when there is room again whoever comes is served.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 300
#define LIMIT 64
#define REFUSED_MIN (CONNECTIONS - LIMIT)

BENCH_SUITE(descriptors);

static struct rlimit limit_daemon(rlim_t count)
{
    struct rlimit before, wanted;
    cr_assert_eq(prlimit(bench.daemon.process.pid, RLIMIT_NOFILE, NULL, &before), 0);
    wanted = before;
    wanted.rlim_cur = count;
    cr_assert_eq(prlimit(bench.daemon.process.pid, RLIMIT_NOFILE, &wanted, NULL), 0);
    return before;
}

/* So many that every one it has now fits, and no further one. */
static rlim_t count_used(void)
{
    char path[64];
    rlim_t highest = 0;
    struct dirent *item;
    snprintf(path, sizeof(path), "/proc/%ld/fd", (long)bench.daemon.process.pid);
    DIR *folder = opendir(path);
    cr_assert_not_null(folder);
    while ((item = readdir(folder)) != NULL) {
        rlim_t fd = strtoul(item->d_name, NULL, 10);
        highest = fd > highest ? fd : highest;
    }
    closedir(folder);
    return highest + 1;
}

static int count_closed(const int *fds)
{
    int count = 0;
    for (int i = 0; i < CONNECTIONS; i++)
        count += process_is_cut(fds[i]);
    return count;
}

static void await_refused(const int *fds, int wanted)
{
    int count = 0;
    for (int waited_ms = 0; waited_ms < WAIT_MS && (count = count_closed(fds)) < wanted;
         waited_ms += 10)
        poll(NULL, 0, 10); /* between two looks; nothing depends on its length */
    cr_assert_geq(count, wanted, "of %d connections only %d were refused", CONNECTIONS, count);
}

/* -- What has to go on ------------------------------------------------------------------------- */

/* A transaction with a call of the participant that was attached before. */
static void expect_work(const char *gid)
{
    char action[] = "stock/reserve";
    Tercet__V1__Branch branch = branch_of(1, action, 10);
    Tercet__V1__Branch *branches[] = {&branch};
    Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
    run.gid = (char *)(uintptr_t)gid;
    run.branches = branches;
    run.n_branches = 1;
    run.wait = TERCET__V1__WAIT__WAIT_RESOLVED;
    cr_assert(is_in(&bench, "Run", &run.base, TERCET__V1__STATE__CONFIRMED));
}

/* Over a connection of its own: it waits for it as long as for any answer. */
static void expect_new_connection(void)
{
    const struct crpc_channel_options options = {.size = sizeof(options), .own_connection = true};
    struct crpc_channel *old = bench.channel;
    Tercet__V1__GetRequest get = get_of("kept-open");
    cr_assert_eq(crpc_channel_new(&bench.channel, bench.loop, bench.daemon.address, &options), 0);
    cr_assert(is_in(&bench, "Get", &get.base, TERCET__V1__STATE__TRYING));
    crpc_channel_free(bench.channel);
    bench.channel = old;
}

static void expect_log(const char *words)
{
    char *log = daemon_log(&bench.daemon);
    cr_assert_not_null(strstr(log, words), "%s", log);
    free(log);
}

/* Under `limit`, with so many refused at least. */
static void crowd(rlim_t limit, int refused, const char *gid)
{
    static int fds[CONNECTIONS];
    struct participant *participant = participant_open(&bench);
    expect_work("before");
    const struct rlimit before = limit_daemon(limit);
    for (int i = 0; i < CONNECTIONS; i++)
        cr_assert_geq(fds[i] = process_connect(bench.daemon.address), 0);
    await_refused(fds, refused);
    expect_work(gid);
    for (int i = 0; i < CONNECTIONS; i++)
        close(fds[i]);
    limit_daemon(before.rlim_cur);
    expect_work("after");
    expect_new_connection();
    participant_close(participant);
}

BENCH_TEST(descriptors, the_reserve_is_not_for_connections)
{
    crowd(LIMIT, REFUSED_MIN, "during");
    expect_log("out of file descriptors: connections are refused");
}

/* All are taken: each connection gets the spare one, and is closed. */
BENCH_TEST(descriptors, not_one_is_left)
{
    crowd(count_used(), REFUSED_MIN, "during");
    expect_log("out of file descriptors: connections are refused");
}

/* Even the spare one is of no use: they wait until it is better. */
BENCH_TEST(descriptors, fewer_than_there_were)
{
    crowd(5, 0, "during");
}

/* Twice over, so that what was given up at first has been taken again; and the limit stays. */
BENCH_TEST(descriptors, again_and_again)
{
    const struct rlimit before = limit_daemon(LIMIT);
    for (int round = 0; round < 3; round++) {
        int fds[CONNECTIONS];
        for (int i = 0; i < CONNECTIONS; i++)
            cr_assert_geq(fds[i] = process_connect(bench.daemon.address), 0);
        await_refused(fds, REFUSED_MIN);
        for (int i = 0; i < CONNECTIONS; i++)
            close(fds[i]);
        expect_new_connection();
    }
    limit_daemon(before.rlim_cur);
}
