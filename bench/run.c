/* SPDX-License-Identifier: Apache-2.0
 *
 * The first process: starts the others, one after another, and never uses gRPC itself.
 */
#include "bench.h"

#include "machine.h"
#include "process.h"
#include "temp.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define START_TIMEOUT_MS 30000
#define AUDIT_TIMEOUT_MS 300000
#define STOP_TIMEOUT_MS 20000
#define DRAIN_TIMEOUT_MS 200000
#define ECHO_BYTES_MAX (1u << 19) /* of a message, about: what the coordinator's are held to */
#define ECHO_RECORD_SIZE 64u

struct bench {
    struct shared *shared;
    char fd[16];
    char self[PATH_MAX];
    struct process coordinator;
    struct process participants[PARTICIPANTS_MAX];
    struct process load;
};

static bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("tercet-bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return false;
}

/* Waits for a role's "ok". */
static bool expect_ok(struct process *process, int timeout_ms)
{
    char line[LINE_SIZE];
    if (process_line(process, line, timeout_ms) && strncmp(line, "ok", 2) == 0)
        return true;
    return complain("%s: %s", process->name, line);
}

static bool start_role(struct process *out, struct bench *bench, const char *role)
{
    char *const argv[] = {bench->self, (char *)(uintptr_t)"--role", (char *)(uintptr_t)role, (char *)(uintptr_t)"--fd",
                          bench->fd, NULL};
    if (process_start(out, role, argv) != 0)
        return complain("%s: %s", role, strerror(errno));
    return true;
}

/* -- The coordinator ----------------------------------------------------------------------------------------------- */

/* Beside this program, in the build tree, or wherever PATH says. */
static void find_tercetd(char *out, size_t size, const struct bench *bench)
{
    static const char *const places[] = {"tercetd", "../framework/bin/tercetd"};
    if (bench->shared->options.tercetd[0] != '\0') {
        snprintf(out, size, "%s", bench->shared->options.tercetd);
        return;
    }
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const char *slash = strrchr(bench->self, '/');
        snprintf(out, size, "%.*s/%s", (int)(slash - bench->self), bench->self, places[i]);
        if (access(out, X_OK) == 0)
            return;
    }
    snprintf(out, size, "tercetd");
}

static bool start_coordinator(struct bench *bench)
{
    struct shared *shared = bench->shared;
    char program[PATH_MAX + 64];
    char data[PATH_SIZE + 32];
    char address[PATH_SIZE + 32] = "127.0.0.1:0";
    char line[LINE_SIZE];
    if (shared->options.coordinator[0] != '\0') {
        snprintf(shared->coordinator, ADDRESS_SIZE, "%.*s", ADDRESS_SIZE - 1, shared->options.coordinator);
        return true;
    }
    find_tercetd(program, sizeof(program), bench);
    snprintf(data, sizeof(data), "%s/coordinator", shared->dir);
    if (shared->options.transport == TRANSPORT_UNIX)
        snprintf(address, sizeof(address), "unix:%s/tercetd.sock", shared->dir);
    char *const argv[] = {program, (char *)(uintptr_t)"--data", data, (char *)(uintptr_t)"--listen", address,
                          (char *)(uintptr_t)"--quiet", NULL};
    if (process_start(&bench->coordinator, "tercetd", argv) != 0)
        return complain("tercetd: %s", strerror(errno));
    if (!process_line(&bench->coordinator, line, START_TIMEOUT_MS)
        || sscanf(line, "ready %255s", shared->coordinator) != 1)
        return complain("tercetd (%s): %s", program, line);
    shared->coordinator_pid = bench->coordinator.pid;
    return true;
}

/* -- Participants and load ----------------------------------------------------------------------------------------- */

static bool start_participants(struct bench *bench)
{
    char role[32];
    for (uint32_t i = 0; i < bench->shared->options.participants; i++) {
        snprintf(role, sizeof(role), "participant:%u", i);
        if (!start_role(&bench->participants[i], bench, role))
            return false;
        bench->shared->participant_pids[i] = bench->participants[i].pid;
    }
    for (uint32_t i = 0; i < bench->shared->options.participants; i++)
        if (!expect_ok(&bench->participants[i], START_TIMEOUT_MS))
            return false;
    return true;
}

static bool run_load(struct bench *bench)
{
    const struct options *options = &bench->shared->options;
    if (!start_role(&bench->load, bench, "load") || !expect_ok(&bench->load, START_TIMEOUT_MS))
        return false;
    process_say(&bench->load, "go");
    return expect_ok(&bench->load, (int)(options->warmup_s + options->duration_s) * 1000 + DRAIN_TIMEOUT_MS);
}

static bool count_effects(struct bench *bench)
{
    for (uint32_t i = 0; i < bench->shared->options.participants; i++)
        process_say(&bench->participants[i], "audit");
    for (uint32_t i = 0; i < bench->shared->options.participants; i++)
        if (!expect_ok(&bench->participants[i], AUDIT_TIMEOUT_MS))
            return false;
    return true;
}

static bool stop(struct process *process, int signal)
{
    char name[sizeof(process->name)];
    if (process->pid == 0)
        return true;
    memcpy(name, process->name, sizeof(name));
    int status = process_stop(process, signal, STOP_TIMEOUT_MS);
    return status == 0 ? true : complain("%s ended with status %d", name, status);
}

static bool stop_all(struct bench *bench)
{
    bool is_clean = stop(&bench->load, 0);
    for (uint32_t i = 0; i < PARTICIPANTS_MAX; i++)
        is_clean = stop(&bench->participants[i], 0) && is_clean;
    return stop(&bench->coordinator, SIGTERM) && is_clean;
}

/* -- Limits -------------------------------------------------------------------------------------------------------- */

/* Groups and messages as the run had them. A commit releases the messages: to the initiator and to each participant. */
static void plan_limits(struct shared *shared)
{
    const struct load_result *load = &shared->load;
    double group = load->commits > 0 ? (double)load->ended / (double)load->commits : 0;
    double records = group * (1 + 2 * shared->options.branches) / (1 + shared->options.participants);
    uint32_t batch_max = ECHO_BYTES_MAX / (ECHO_RECORD_SIZE + shared->options.payload_size);
    shared->limits.group = group;
    shared->limits.batch = records < 1 ? 1 : (uint32_t)(records + 0.5);
    if (shared->limits.batch > batch_max)
        shared->limits.batch = batch_max;
}

static bool measure_limits(struct bench *bench)
{
    struct process server = {.pid = 0};
    struct process client = {.pid = 0};
    struct process limits = {.pid = 0};
    int timeout_ms = (int)bench->shared->options.limits_s * 4000 + START_TIMEOUT_MS;
    if (bench->shared->options.limits_s == 0)
        return true;
    plan_limits(bench->shared);
    bool is_done = start_role(&limits, bench, "limits") && expect_ok(&limits, timeout_ms);
    is_done = is_done && start_role(&server, bench, "echo-server") && expect_ok(&server, START_TIMEOUT_MS);
    is_done = is_done && start_role(&client, bench, "echo-client") && expect_ok(&client, timeout_ms);
    is_done = stop(&client, 0) && is_done;
    is_done = stop(&server, 0) && is_done;
    return stop(&limits, 0) && is_done;
}

/* -- All ----------------------------------------------------------------------------------------------------------- */

static bool run_all(struct bench *bench)
{
    bool is_done = start_coordinator(bench) && start_participants(bench) && run_load(bench) && count_effects(bench);
    return stop_all(bench) && is_done && measure_limits(bench);
}

static bool prepare(struct bench *bench, int fd)
{
    struct shared *shared = bench->shared;
    ssize_t size = readlink("/proc/self/exe", bench->self, sizeof(bench->self) - 1);
    if (size < 0)
        return complain("/proc/self/exe: %s", strerror(errno));
    bench->self[size] = '\0';
    snprintf(bench->fd, sizeof(bench->fd), "%d", fd);
    /* Grows with time, as the gids that the library makes. */
    snprintf(shared->run_id, sizeof(shared->run_id), "%08llx%05x", (unsigned long long)time(NULL),
             (unsigned)getpid() & 0xfffff);
    if (!temp_make(shared->dir, sizeof(shared->dir), shared->options.dir))
        return complain("%s", shared->dir);
    if (temp_is_memory(shared->dir))
        complain("%s lies in memory: what is written there is never synced to a disk", shared->dir);
    return true;
}

int bench_run(struct shared *shared, int fd)
{
    struct bench bench = {.shared = shared};
    struct machine machine;
    struct audit audit;
    machine_look(&machine);
    if (!prepare(&bench, fd))
        return 1;
    bool is_done = run_all(&bench);
    temp_remove(shared->dir);
    if (!is_done)
        return 1;
    audit_run(&audit, shared);
    report_print(shared, &audit, &machine);
    if (audit.violations > 0)
        is_done = complain("%s", audit.first);
    if (shared->load.error[0] != '\0')
        is_done = complain("a transaction failed: %s", shared->load.error);
    return is_done && shared->load.finished > 0 ? 0 : 1;
}
