/* SPDX-License-Identifier: Apache-2.0
 *
 * run.h: --unresolved. New work with nothing unresolved; then N transactions are tried, their last
 * branch's participant goes down, they are decided, and wait. New work again; the coordinator is
 * killed, and started again; the participant comes back. Then the same once more, without the kill:
 * the store's file must not grow by it.
 */
#include "run.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_TIMEOUT_MS 120000
#define DROP_TIMEOUT_MS 150000

static double seconds_since(int64_t ns)
{
    return (double)(now_ns() - ns) * 1e-9;
}

/* -- Looking ----------------------------------------------------------------------------------- */

static uint64_t file_bytes(const struct shared *shared)
{
    char path[PATH_SIZE + 32];
    struct stat stat_of_it;
    snprintf(path, sizeof(path), "%s/coordinator/data.mdb", shared->dir);
    return stat(path, &stat_of_it) == 0 ? (uint64_t)stat_of_it.st_blocks * 512 : 0;
}

/* Has role observer do that, and keeps what it saw as this moment. */
static bool look(struct bench *bench, enum moment moment, const char *word)
{
    struct shared *shared = bench->shared;
    struct look *look = &shared->unresolved.looks[moment];
    if (!run_ask(&bench->observer, word, 2 * PASS_TIMEOUT_MS))
        return false;
    *look =
        (struct look){.was_taken = true, .seen = shared->seen, .file_bytes = file_bytes(shared)};
    look->resident_kib = process_memory_kib(shared->coordinator_pid, "VmRSS:");
    look->anonymous_kib = process_memory_kib(shared->coordinator_pid, "RssAnon:");
    return true;
}

/* -- Parts ------------------------------------------------------------------------------------- */

static struct process *down(struct bench *bench)
{
    return &bench->participants[bench->shared->options.participants];
}

static bool work(struct bench *bench, unsigned which)
{
    bool is_done = run_load(bench) && run_stop(&bench->load, 0);
    bench->shared->unresolved.works[which] = bench->shared->load;
    return is_done;
}

static bool timed(double *out, struct process *process, const char *word)
{
    int64_t begin = now_ns();
    bool is_done = run_ask(process, word, PASS_TIMEOUT_MS);
    *out = seconds_since(begin);
    return is_done;
}

/* `tried` may be MOMENTS: not looked at. */
static bool fill(struct bench *bench, unsigned round, enum moment tried, enum moment confirming)
{
    struct shared *shared = bench->shared;
    struct unresolved_result *out = &shared->unresolved;
    shared->fill_first = shared->seq_end;
    shared->fill_count = shared->options.unresolved;
    if (shared->fill_count > SEQ_MAX - shared->seq_end)
        return run_complain("too many transactions for one run");
    shared->seq_end += shared->fill_count;
    return run_start_role(&bench->fill, bench, "fill") &&
           run_expect_ok(&bench->fill, START_TIMEOUT_MS) &&
           timed(&out->try_seconds[round], &bench->fill, "try") &&
           (tried == MOMENTS || look(bench, tried, "look")) &&
           run_ask(down(bench), "detach", START_TIMEOUT_MS) &&
           timed(&out->confirm_seconds[round], &bench->fill, "confirm") &&
           run_stop(&bench->fill, 0) && look(bench, confirming, "look");
}

/* The participant comes back, until no more than `open_max` are left. */
static bool drain(struct bench *bench, unsigned round, uint64_t open_max, enum moment moment)
{
    int64_t begin = now_ns();
    bench->shared->open_max = open_max;
    if (!run_ask(down(bench), "attach", START_TIMEOUT_MS) || !look(bench, moment, "drain"))
        return false;
    bench->shared->unresolved.drain_seconds[round] =
        (double)(bench->shared->seen.at_ns - begin) * 1e-9;
    return true;
}

/* The client is there before the coordinator is. */
static bool restart(struct bench *bench)
{
    struct shared *shared = bench->shared;
    struct unresolved_result *out = &shared->unresolved;
    char address[ADDRESS_SIZE];
    memcpy(address, shared->coordinator, sizeof(address));
    if (!run_start_role(&bench->trickle, bench, "trickle") ||
        !run_expect_ok(&bench->trickle, START_TIMEOUT_MS))
        return false;
    process_stop(&bench->coordinator, SIGKILL, START_TIMEOUT_MS);
    process_say(&bench->trickle, "go");
    int64_t begin = now_ns();
    if (!run_start_coordinator(bench, address))
        return false;
    out->ready_seconds = seconds_since(begin);
    if (!run_expect_ok(&bench->trickle, FIRST_TIMEOUT_MS))
        return false;
    out->decided_seconds = (double)(out->trickle.first_ns - begin) * 1e-9;
    return look(bench, MOMENT_RESTARTED, "look");
}

/* -- All --------------------------------------------------------------------------------------- */

static bool first_round(struct bench *bench)
{
    return look(bench, MOMENT_START, "look") && work(bench, WORK_EMPTY) &&
           look(bench, MOMENT_EMPTY, "look") && fill(bench, 0, MOMENT_TRYING, MOMENT_CONFIRMING) &&
           work(bench, WORK_FULL) && look(bench, MOMENT_FULL, "look") && restart(bench) &&
           drain(bench, 0, 1, MOMENT_DRAINED) /* one that trickles may be open */
           && run_ask(&bench->trickle, "stop", START_TIMEOUT_MS) && run_stop(&bench->trickle, 0);
}

static bool second_round(struct bench *bench)
{
    return look(bench, MOMENT_SETTLED, "drop") && work(bench, WORK_DRAINED) &&
           look(bench, MOMENT_WORKED, "look") && fill(bench, 1, MOMENTS, MOMENT_REFILLED) &&
           drain(bench, 1, 0, MOMENT_REDRAINED) && look(bench, MOMENT_RESETTLED, "drop");
}

bool unresolved_run(struct bench *bench)
{
    bench->shared->unresolved.begin_ns = now_ns();
    return run_start_role(&bench->observer, bench, "observer") &&
           run_expect_ok(&bench->observer, START_TIMEOUT_MS) && first_round(bench) &&
           (bench->shared->options.rounds < 2 || second_round(bench));
}
