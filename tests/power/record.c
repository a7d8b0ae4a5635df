/* SPDX-License-Identifier: Apache-2.0
 *
 * Records a write log: a tercetd under the shim, with traffic, killed and stopped on the way and
 * started again. After each end the log is made to tell what the dead process really left, and the
 * file is compared with it later.
 */
#include "image.h"
#include "process.h"
#include "settle.h"
#include "traffic.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define READY_MS 60000
#define THREADS 4
#define DEATH_MIN 60 /* writes; a start has some ten */
#define DEATH_RANGE 400
#define PATH_SIZE 300

struct recording {
    const char *tercetd, *shim, *folder, *retention;
    uint64_t restarts;
    char store[PATH_SIZE], log_path[PATH_SIZE], preload[PATH_SIZE + 16],
        address[PROCESS_ADDRESS_MAX];
    struct process daemon;
    pid_t pid; /* its, also when it has died */
    struct traffic traffic;
};

static bool fail(const char *what)
{
    fprintf(stderr, "power_record: %s\n", what);
    return false;
}

/* -- tercetd ----------------------------------------------------------------------------------- */

static bool start_daemon(struct recording *recording)
{
    char line[PROCESS_LINE_MAX], errors[2 * PATH_SIZE];
    const char *const argv[] = {
        recording->tercetd, "--data",      recording->store,     "--listen",     recording->address,
        "--quiet",          "--retention", recording->retention, "--store-size", "1G",
        "--retry-base",     "5ms",         "--retry-cap",        "50ms",         NULL};
    snprintf(errors, sizeof(errors), "%s/tercetd.log", recording->folder);
    process_start(&recording->daemon, argv, errors, recording->preload);
    recording->pid = recording->daemon.pid;
    if (!process_line(&recording->daemon, "ready ", line, READY_MS))
        return fail("tercetd does not start");
    return true;
}

static bool end_daemon(struct recording *recording, int signal)
{
    static const char *const names[] = {"data.mdb.new", "data.mdb", NULL};
    int status = process_end(&recording->daemon, signal);
    settle_files(recording->traffic.log, recording->log_path, recording->store, names,
                 recording->pid);
    bool is_well = signal == SIGKILL || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return is_well || fail("tercetd did not end well");
}

/* Every other one dies by itself, within a write, if traffic brings it there; not while it starts,
 * and not the last. */
static void choose_death(const struct recording *recording, uint64_t round)
{
    uint64_t state = recording->traffic.seed * 1000 + round;
    char number[32];
    snprintf(number, sizeof(number), "%" PRIu64, DEATH_MIN + image_draw(&state, DEATH_RANGE));
    if (round % 2 == 1 && round < recording->restarts)
        setenv(POWER_ENV_DEATH, number, 1);
    else
        unsetenv(POWER_ENV_DEATH);
}

/* Or until tercetd has died. */
static void await_ended(struct recording *recording, uint64_t count)
{
    struct traffic *traffic = &recording->traffic;
    struct pollfd fds[] = {{.fd = traffic->ended_event, .events = POLLIN},
                           /* it prints nothing more: this is its end */
                           {.fd = recording->daemon.output, .events = POLLIN}};
    eventfd_t more;
    while (atomic_load(&traffic->ended) < count) {
        if (poll(fds, 2, -1) > 0 && fds[1].revents != 0) {
            process_wait(&recording->daemon, READY_MS, NULL);
            return;
        }
        eventfd_read(traffic->ended_event, &more);
    }
}

/* Of the ends that are left to us, some are in good order. */
static bool run_traffic(struct recording *recording)
{
    struct traffic *traffic = &recording->traffic;
    bool is_well = traffic_open(traffic, recording->address) && traffic_start(traffic, THREADS);
    for (uint64_t i = 1; is_well && i <= recording->restarts; i++) {
        await_ended(recording, traffic->txns * i / (recording->restarts + 1));
        bool has_died = recording->daemon.pid == 0;
        choose_death(recording, i);
        is_well = end_daemon(recording, i % 4 == 1 && !has_died ? SIGTERM : SIGKILL) &&
                  start_daemon(recording);
    }
    traffic_join(traffic);
    traffic_close(traffic);
    return is_well && end_daemon(recording, SIGTERM);
}

/* -- The program ------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(void)
{
    fputs("usage: power_record --tercetd FILE --shim FILE --folder NEW_FOLDER [--txns N] "
          "[--restarts N] [--seed S]\n"
          "         [--retention DURATION] [--lmdb-flags N]\n",
          stderr);
    exit(2);
}

static void take_option(struct recording *recording, const char *name, const char *value)
{
    if (strcmp(name, "--tercetd") == 0)
        recording->tercetd = value;
    else if (strcmp(name, "--shim") == 0)
        recording->shim = value;
    else if (strcmp(name, "--folder") == 0)
        recording->folder = value;
    else if (strcmp(name, "--txns") == 0)
        recording->traffic.txns = strtoull(value, NULL, 10);
    else if (strcmp(name, "--restarts") == 0)
        recording->restarts = strtoull(value, NULL, 10);
    else if (strcmp(name, "--seed") == 0)
        recording->traffic.seed = strtoull(value, NULL, 10);
    else if (strcmp(name, "--retention") == 0)
        recording->retention = value;
    else if (strcmp(name, "--lmdb-flags") == 0)
        setenv(POWER_ENV_LMDB, value, 1);
    else
        usage();
}

static void prepare(struct recording *recording)
{
    if (mkdir(recording->folder, 0700) != 0) {
        perror(recording->folder);
        exit(1);
    }
    snprintf(recording->store, PATH_SIZE, "%.200s/store", recording->folder);
    snprintf(recording->log_path, PATH_SIZE, "%.200s/writes.log", recording->folder);
    snprintf(recording->preload, sizeof(recording->preload), "LD_PRELOAD=%.250s", recording->shim);
    process_pick_address(recording->address);
    setenv(POWER_ENV_FOLDER, recording->store, 1);
    setenv(POWER_ENV_LOG, recording->log_path, 1);
    recording->traffic.log = power_log_open(recording->log_path);
}

int main(int argc, char **argv)
{
    static struct recording recording = {
        .restarts = 12, .retention = "1s", .traffic = {.txns = 2400, .seed = 1}};
    for (int i = 1; i < argc; i += 2)
        take_option(&recording, argv[i], i + 1 < argc ? argv[i + 1] : (usage(), ""));
    if (recording.tercetd == NULL || recording.shim == NULL || recording.folder == NULL)
        usage();
    prepare(&recording);
    bool is_well = start_daemon(&recording) && run_traffic(&recording);
    process_end(&recording.daemon, SIGKILL);
    const struct traffic *traffic = &recording.traffic;
    printf("recorded: %" PRIu64 " transactions, told %" PRIu64 " times confirmed, %" PRIu64
           " cancelled, %" PRIu64 " unknown; %" PRIu64 " restarts\n",
           (uint64_t)traffic->ended, (uint64_t)traffic->confirmed, (uint64_t)traffic->cancelled,
           (uint64_t)traffic->unknown, recording.restarts);
    return is_well ? 0 : 1;
}
