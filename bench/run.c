/* SPDX-License-Identifier: Apache-2.0
 *
 * The first process: starts the others, one after another, and never uses gRPC itself.
 */
#include "run.h"

#include "bare.h"
#include "database.h"
#include "machine.h"
#include "report.h"
#include "temp.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ECHO_BYTES_MAX (1u << 19) /* of a message, about: what the coordinator's are held to */
#define ECHO_RECORD_SIZE 64u

static bool stop_all(struct bench *bench)
{
    bool is_clean = run_stop(&bench->load, 0);
    is_clean = run_stop(&bench->fill, 0) && is_clean;
    is_clean = run_stop(&bench->trickle, 0) && is_clean;
    is_clean = run_stop(&bench->observer, 0) && is_clean;
    for (uint32_t i = 0; i < PARTICIPANTS_MAX + 1; i++)
        is_clean = run_stop(&bench->participants[i], 0) && is_clean;
    return run_stop(&bench->coordinator, SIGTERM) && is_clean;
}

/* -- The participants' database ---------------------------------------------------------------- */

static bool start_database(struct bench *bench)
{
    const struct database *database = database_of(bench->shared->options.barrier);
    if (database == NULL || database->start == NULL)
        return true;
    bool is_done = database->start(bench);
    bench->shared->database_pid = bench->database.pid;
    return is_done;
}

static bool stop_database(struct bench *bench)
{
    const struct database *database = database_of(bench->shared->options.barrier);
    return database == NULL || run_stop(&bench->database, database->stop_signal);
}

/* Without Tercet, with transactions as large as the run had them on the average. */
static bool measure_database(struct bench *bench, uint64_t effects)
{
    struct process floor = {.pid = 0};
    struct shared *shared = bench->shared;
    uint64_t commits = 0;
    if (database_of(shared->options.barrier) == NULL || shared->options.limits_s == 0)
        return true;
    for (uint32_t i = 0; i < participant_count(&shared->options); i++)
        commits += shared->database_commits[i];
    shared->limits.database_batch = commits > 0 ? (double)effects / (double)commits : 1;
    bool is_done = run_start_role(&floor, bench, "database") &&
                   run_expect_ok(&floor, (int)shared->options.limits_s * 2000 + START_TIMEOUT_MS);
    return run_stop(&floor, 0) && is_done;
}

/* -- Limits ------------------------------------------------------------------------------------ */

static uint32_t batch_of(double records, const struct options *options)
{
    uint32_t batch_max = ECHO_BYTES_MAX / (ECHO_RECORD_SIZE + options->payload_size);
    uint32_t batch = records < 1 ? 1 : records > batch_max ? batch_max : (uint32_t)(records + 0.5);
    return batch;
}

/* Groups and messages as the run had them. A commit releases the messages: to the initiator and to
 * each participant. */
static void plan_limits(struct shared *shared)
{
    const struct load_result *load = &shared->load;
    const struct options *options = &shared->options;
    struct limits_result *limits = &shared->limits;
    double requests = bare_requests(options);
    double calls = bare_calls(options);
    double group = load->commits > 0 ? (double)load->ended / (double)load->commits : 0;
    limits->group = group;
    limits->batch = batch_of(group * (requests + calls) / (1 + options->participants), options);
    limits->initiator_batch = batch_of(group * requests, options);
    limits->participant_batch = batch_of(group * calls / options->participants, options);
    limits->streams_in_flight = options->in_flight == 1 ? 1 : 2;
}

static bool start_echoes(struct bench *bench, struct process *servers)
{
    char role[32];
    for (uint32_t i = 0; i < bench->shared->options.participants; i++) {
        snprintf(role, sizeof(role), "echo-server:%u", i);
        if (!run_start_role(&servers[i], bench, role) ||
            !run_expect_ok(&servers[i], START_TIMEOUT_MS))
            return false;
        bench->shared->echo_pids[i] = servers[i].pid;
    }
    return true;
}

static bool measure_limits(struct bench *bench)
{
    struct process servers[PARTICIPANTS_MAX] = {{.pid = 0}};
    struct process client = {.pid = 0};
    struct process limits = {.pid = 0};
    int timeout_ms = (int)bench->shared->options.limits_s * 4000 + START_TIMEOUT_MS;
    if (bench->shared->options.limits_s == 0)
        return true;
    plan_limits(bench->shared);
    bool is_done = run_start_role(&limits, bench, "limits") && run_expect_ok(&limits, timeout_ms);
    is_done = is_done && start_echoes(bench, servers);
    is_done = is_done && run_start_role(&client, bench, "echo-client") &&
              run_expect_ok(&client, timeout_ms);
    is_done = run_stop(&client, 0) && is_done;
    for (uint32_t i = 0; i < PARTICIPANTS_MAX; i++)
        is_done = run_stop(&servers[i], 0) && is_done;
    return run_stop(&limits, 0) && is_done;
}

/* -- All --------------------------------------------------------------------------------------- */

static bool run_all(struct bench *bench, struct audit *audit)
{
    bool is_done =
        start_database(bench) && run_start_coordinator(bench, NULL) &&
        run_start_participants(bench) &&
        (bench->shared->options.unresolved > 0 ? unresolved_run(bench) : run_load(bench)) &&
        run_count_effects(bench);
    is_done = stop_all(bench) && is_done && measure_limits(bench);
    audit_run(audit, bench->shared);
    is_done = is_done && measure_database(bench, audit->effects);
    return stop_database(bench) && is_done;
}

static bool prepare(struct bench *bench, int fd)
{
    struct shared *shared = bench->shared;
    ssize_t size = readlink("/proc/self/exe", bench->self, sizeof(bench->self) - 1);
    if (size < 0)
        return run_complain("/proc/self/exe: %s", strerror(errno));
    bench->self[size] = '\0';
    snprintf(bench->fd, sizeof(bench->fd), "%d", fd);
    /* Grows with time, as the gids that the library makes. */
    snprintf(shared->run_id, sizeof(shared->run_id), "%08llx%05x", (unsigned long long)time(NULL),
             (unsigned)getpid() & 0xfffff);
    if (!temp_make(shared->dir, sizeof(shared->dir), shared->options.dir))
        return run_complain("%s", shared->dir);
    if (temp_is_memory(shared->dir))
        run_complain("%s lies in memory: what is written there is never synced to a disk",
                     shared->dir);
    return true;
}

int bench_run(struct shared *shared, int fd)
{
    struct bench bench = {.shared = shared};
    struct machine machine;
    struct audit audit;
    process_catch_signals();
    machine_look(&machine);
    if (!prepare(&bench, fd))
        return 1;
    bool is_done = run_all(&bench, &audit);
    temp_remove(shared->dir);
    if (!is_done)
        return 1;
    report_print(shared, &audit, &machine);
    if (audit.violations > 0)
        is_done = run_complain("%s", audit.first);
    if (shared->load.error[0] != '\0')
        is_done = run_complain("a transaction failed: %s", shared->load.error);
    return is_done && shared->load.finished > 0 ? 0 : 1;
}
