/* SPDX-License-Identifier: Apache-2.0
 *
 * run.h: the other processes: started, asked, stopped.
 */
#include "run.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define AUDIT_TIMEOUT_MS 300000
#define STOP_TIMEOUT_MS 20000
#define DRAIN_TIMEOUT_MS 200000

bool run_complain(const char *format, ...)
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
bool run_expect_ok(struct process *process, int timeout_ms)
{
    char line[LINE_SIZE];
    if (process_line(process, line, timeout_ms) && strncmp(line, "ok", 2) == 0)
        return true;
    return run_complain("%s: %s", process->name, line);
}

bool run_ask(struct process *process, const char *word, int timeout_ms)
{
    process_say(process, word);
    return run_expect_ok(process, timeout_ms);
}

bool run_start_role(struct process *out, struct bench *bench, const char *role)
{
    char *const argv[] = {bench->self,
                          (char *)(uintptr_t) "--role",
                          (char *)(uintptr_t)role,
                          (char *)(uintptr_t) "--fd",
                          bench->fd,
                          NULL};
    if (process_start(out, role, argv) != 0)
        return run_complain("%s: %s", role, strerror(errno));
    return true;
}

/* -- The coordinator --------------------------------------------------------------------------- */

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

/* With --unresolved: enough may be open, and what is resolved goes soon, so that the store comes to
 * a steady state. */
static void add_unresolved(char **argv, size_t count, const struct options *options, char *open_max,
                           size_t size)
{
    if (options->unresolved == 0)
        return;
    snprintf(open_max, size, "%llu", 2ull * options->unresolved + 2 * IN_FLIGHT_MAX);
    argv[count++] = (char *)(uintptr_t) "--open-max";
    argv[count++] = open_max;
    argv[count++] = (char *)(uintptr_t) "--retention";
    argv[count++] = (char *)(uintptr_t) "5s";
}

static bool wait_ready(struct bench *bench, const char *program)
{
    struct shared *shared = bench->shared;
    char line[LINE_SIZE];
    int timeout_ms = shared->options.unresolved > 0 ? PASS_TIMEOUT_MS : START_TIMEOUT_MS;
    if (!process_line(&bench->coordinator, line, timeout_ms) ||
        sscanf(line, "ready %255s", shared->coordinator) != 1)
        return run_complain("tercetd (%s): %s", program, line);
    return true;
}

bool run_start_coordinator(struct bench *bench, const char *address)
{
    struct shared *shared = bench->shared;
    char program[PATH_MAX + 64];
    char data[PATH_SIZE + 32];
    char listen[PATH_SIZE + 32] = "127.0.0.1:0";
    char open_max[32];
    if (shared->options.coordinator[0] != '\0') {
        snprintf(shared->coordinator, ADDRESS_SIZE, "%.*s", ADDRESS_SIZE - 1,
                 shared->options.coordinator);
        return true;
    }
    find_tercetd(program, sizeof(program), bench);
    snprintf(data, sizeof(data), "%s/coordinator", shared->dir);
    if (address != NULL)
        snprintf(listen, sizeof(listen), "%s", address);
    else if (shared->options.transport == TRANSPORT_UNIX)
        snprintf(listen, sizeof(listen), "unix:%s/tercetd.sock", shared->dir);
    char *argv[16] = {program, (char *)(uintptr_t) "--data", data, (char *)(uintptr_t) "--listen",
                      listen,  (char *)(uintptr_t) "--quiet"};
    add_unresolved(argv, 6, &shared->options, open_max, sizeof(open_max));
    if (process_start(&bench->coordinator, "tercetd", argv) != 0)
        return run_complain("tercetd: %s", strerror(errno));
    shared->coordinator_pid = bench->coordinator.pid;
    return wait_ready(bench, program);
}

/* -- Participants and load --------------------------------------------------------------------- */

bool run_start_participants(struct bench *bench)
{
    char role[32];
    for (uint32_t i = 0; i < participant_count(&bench->shared->options); i++) {
        snprintf(role, sizeof(role), "participant:%u", i);
        if (!run_start_role(&bench->participants[i], bench, role))
            return false;
        bench->shared->participant_pids[i] = bench->participants[i].pid;
    }
    for (uint32_t i = 0; i < participant_count(&bench->shared->options); i++)
        if (!run_expect_ok(&bench->participants[i], START_TIMEOUT_MS))
            return false;
    return true;
}

bool run_load(struct bench *bench)
{
    const struct options *options = &bench->shared->options;
    bench->shared->load = (struct load_result){.seconds = 0};
    if (!run_start_role(&bench->load, bench, "load") ||
        !run_expect_ok(&bench->load, START_TIMEOUT_MS))
        return false;
    process_say(&bench->load, "go");
    return run_expect_ok(&bench->load,
                         (int)(options->warmup_s + options->duration_s) * 1000 + DRAIN_TIMEOUT_MS);
}

bool run_count_effects(struct bench *bench)
{
    for (uint32_t i = 0; i < participant_count(&bench->shared->options); i++)
        process_say(&bench->participants[i], "audit");
    for (uint32_t i = 0; i < participant_count(&bench->shared->options); i++)
        if (!run_expect_ok(&bench->participants[i], AUDIT_TIMEOUT_MS))
            return false;
    return true;
}

bool run_stop(struct process *process, int signal)
{
    char name[sizeof(process->name)];
    if (process->pid == 0)
        return true;
    memcpy(name, process->name, sizeof(name));
    int status = process_stop(process, signal, STOP_TIMEOUT_MS);
    return status == 0 ? true : run_complain("%s ended with status %d", name, status);
}
