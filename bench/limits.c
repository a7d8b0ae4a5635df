/* SPDX-License-Identifier: Apache-2.0
 *
 * What the disk and the store can do: fdatasync of a small file, and commits of the coordinator's
 * store with records as large, and groups as large, as the run had. A transaction is several
 * writes, one after another: its plan (step by step: one for each branch), its decision, its end.
 */
#include "bench.h"

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <store.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_SIZE 4096
#define GROUP_MAX 4096u
#define VALUE_MAX (65536 + 1024)
/* As many as the coordinator leaves together with one transaction in flight, about
 * (coordinator/batch.h: LAZY_RIDE_MS). */
#define ENDS_AT_ONCE 16
/* About what record.h makes of a transaction with names as short as ours. */
#define STATE_SIZE 100u
#define STATE_BRANCH_SIZE 14u
#define BRANCH_SIZE 44u
#define RESOLVED_BRANCH_SIZE 24u

struct bench_store {
    struct store *store;
    const struct options *options;
    struct tercet_store_lease lease; /* its next_number moves on */
    struct tercet_store_op *ops;
    size_t op_count;
    char (*gids)[TERCET_STORE_GID_MAX];
    size_t gid_count;
    int64_t time_ms;
    unsigned char value[VALUE_MAX];
};

/* -- Writes ------------------------------------------------------------------------------------ */

static void put(struct bench_store *bench, uint64_t number, uint32_t part, size_t size)
{
    bench->ops[bench->op_count++] = (struct tercet_store_op){.kind = TERCET_STORE_PUT,
                                                             .number = number,
                                                             .part = part,
                                                             .value = bench->value,
                                                             .size = size};
}

static size_t state_size(const struct bench_store *bench)
{
    return STATE_SIZE + STATE_BRANCH_SIZE * bench->options->branches;
}

static void put_branch(struct bench_store *bench, uint64_t number, uint32_t branch)
{
    put(bench, number, branch, BRANCH_SIZE + bench->options->payload_size);
}

static void put_end(struct bench_store *bench, uint64_t number)
{
    char *gid = bench->gids[bench->gid_count++];
    snprintf(gid, TERCET_STORE_GID_MAX, "bench-%020" PRIu64, number);
    size_t size = state_size(bench) + RESOLVED_BRANCH_SIZE * bench->options->branches;
    bench->ops[bench->op_count++] = (struct tercet_store_op){.kind = TERCET_STORE_RESOLVE,
                                                             .number = number,
                                                             .time_ms = bench->time_ms,
                                                             .gid = gid,
                                                             .value = bench->value,
                                                             .size = size};
}

/* How many writes a transaction is; the last is its end, which rides along with another's. */
static uint32_t write_count(const struct options *options)
{
    return options->form == FORM_RUN ? 3 : options->branches + 2;
}

static void put_write(struct bench_store *bench, uint64_t number, uint32_t write)
{
    uint32_t count = write_count(bench->options);
    if (write == count - 1) {
        put_end(bench, number);
        return;
    }
    put(bench, number, 0, state_size(bench));
    if (bench->options->form != FORM_RUN && write < count - 2)
        put_branch(bench, number, write + 1);
    for (uint32_t i = 1;
         bench->options->form == FORM_RUN && write == 0 && i <= bench->options->branches; i++)
        put_branch(bench, number, i);
}

static bool commit(struct bench_store *bench)
{
    int rc = store_commit(bench->store, 0, bench->lease.epoch, bench->ops, bench->op_count);
    bench->op_count = 0;
    bench->gid_count = 0;
    return rc == 0;
}

/* One transaction at a time; every so often the ends of the last ones go with the first write of
 * the next. */
static bool measure_single(struct bench_store *bench, struct limits_result *out)
{
    uint32_t last = write_count(bench->options) - 1;
    uint64_t ended = bench->lease.next_number;
    int64_t end = now_ns() + bench->options->limits_s * INT64_C(1000000000);
    double cpu = process_cpu(getpid());
    uint64_t first = bench->lease.next_number;
    for (; now_ns() < end || bench->lease.next_number == first; bench->lease.next_number++) {
        for (uint32_t write = 0; write < last; write++) {
            int64_t begin = now_ns();
            while (write == 0 && (bench->lease.next_number - first) % ENDS_AT_ONCE == 0 &&
                   ended < bench->lease.next_number)
                put_write(bench, ended++, last);
            put_write(bench, bench->lease.next_number, write);
            if (!commit(bench))
                return false;
            histogram_add(&out->commit, now_ns() - begin);
        }
    }
    out->store_cpu_us =
        (process_cpu(getpid()) - cpu) * 1e6 / (double)(bench->lease.next_number - first);
    return true;
}

/* Each commit has the first write of `group` transactions, the second of the `group` before, and so
 * on. */
static bool measure_group(struct bench_store *bench, struct limits_result *out)
{
    uint64_t group = (uint64_t)(out->group + 0.5);
    uint64_t first = bench->lease.next_number;
    uint64_t commits = 0;
    double cpu = process_cpu(getpid());
    int64_t begin = now_ns();
    int64_t end = begin + bench->options->limits_s * INT64_C(1000000000);
    for (; now_ns() < end || commits == 0; commits++) {
        for (uint32_t write = write_count(bench->options); write-- > 0;)
            for (uint64_t i = 0; i < group && commits >= write; i++)
                put_write(bench, first + (commits - write) * group + i, write);
        if (!commit(bench))
            return false;
    }
    out->store_cpu_us = (process_cpu(getpid()) - cpu) * 1e6 / (double)(commits * group);
    out->store_transactions = (double)(commits * group) / ((double)(now_ns() - begin) * 1e-9);
    return true;
}

static double median_commit_s(const struct histogram *commit)
{
    return histogram_quantile_us(commit, 0.5) * 1e-6;
}

static const char *measure_store(struct shared *shared)
{
    struct bench_store *bench = calloc(1, sizeof(*bench));
    struct limits_result *out = &shared->limits;
    char path[PATH_SIZE + 32];
    char text[TERCET_STORE_TEXT_MAX];
    const char *why = NULL;
    if (bench == NULL)
        return "out of memory";
    *bench =
        (struct bench_store){.options = &shared->options, .time_ms = (int64_t)time(NULL) * 1000};
    bench->ops = calloc((size_t)GROUP_MAX * (2 * BRANCHES_MAX + 3), sizeof(*bench->ops));
    bench->gids = calloc(GROUP_MAX, sizeof(*bench->gids));
    snprintf(path, sizeof(path), "%s/limits", shared->dir);
    if (bench->ops == NULL || bench->gids == NULL)
        why = "out of memory";
    else if (store_open(&bench->store, path, NULL, NULL, text) != 0 ||
             store_acquire(bench->store, 0, &bench->lease) != 0)
        why = "the store cannot be opened";
    else if (!measure_single(bench, out) || (out->group >= 1 && !measure_group(bench, out)))
        why = "the store failed";
    else if (out->group < 1)
        out->store_transactions =
            1 / (median_commit_s(&out->commit) * (write_count(bench->options) - 1));
    if (bench->store != NULL)
        store_close(bench->store);
    free(bench->gids);
    free(bench->ops);
    free(bench);
    return why;
}

/* -- fdatasync --------------------------------------------------------------------------------- */

static const char *measure_fdatasync(struct shared *shared)
{
    static const char block[BLOCK_SIZE];
    char path[PATH_SIZE + 32];
    const char *why = NULL;
    snprintf(path, sizeof(path), "%s/fdatasync", shared->dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return strerror(errno);
    int64_t end = now_ns() + shared->options.limits_s * INT64_C(1000000000) / 2;
    while (now_ns() < end && why == NULL) {
        int64_t begin = now_ns();
        if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block) || fdatasync(fd) != 0)
            why = strerror(errno);
        histogram_add(&shared->limits.fdatasync, now_ns() - begin);
    }
    close(fd);
    return why;
}

int role_limits(struct shared *shared)
{
    if (shared->limits.group > GROUP_MAX)
        shared->limits.group = GROUP_MAX;
    const char *why = measure_fdatasync(shared);
    if (why == NULL)
        why = measure_store(shared);
    if (why != NULL)
        return role_fail("%s", why);
    role_ok("");
    return 0;
}
