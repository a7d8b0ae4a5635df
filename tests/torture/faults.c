/* SPDX-License-Identifier: Apache-2.0
 *
 * torture.h: the faults.
 */
#include "draw.h"
#include "torture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define AWAY_MS_MAX 300
#define STOP_MS_MIN ((uint64_t)100)
#define PROXY_MS 60000
#define DISK_SIZE "size=160m"
#define DISK_LEFT (32u << 20) /* less than tercetd wants for new work */
#define DISK_MS_MAX 1500
#define DESCRIPTORS 64
#define CONNECTIONS 300
#define SERVE_MS 20000
#define STORM_MS_MIN 1000
#define STORM_MS_MAX 5000     /* unless the next fault of the kind comes later */
#define STORM_TRAFFIC_MIN 100 /* records */
#define TRAFFIC_MIN 4         /* requests */

/* -- SIGKILL ----------------------------------------------------------------------------------- */

static bool kill_service(struct torture *torture, bool with_coordinator)
{
    struct stage *stage = &torture->stage;
    size_t i = draw(&torture->state, STAGE_SERVICES);
    process_end(&stage->services[i], SIGKILL);
    if (with_coordinator)
        daemon_kill(&stage->daemon);
    stage_sleep_ms(draw(&torture->state, 3) * draw(&torture->state, AWAY_MS_MAX));
    if (with_coordinator && !stage_start_daemon(stage))
        return false;
    stage_start_service(stage, i, NULL);
    return stage_await_service(stage, i);
}

static bool kill_coordinator(struct torture *torture)
{
    daemon_kill(&torture->stage.daemon);
    stage_sleep_ms(draw(&torture->state, 3) * draw(&torture->state, AWAY_MS_MAX));
    return stage_start_daemon(&torture->stage);
}

static bool kill_client(struct torture *torture)
{
    size_t i = draw(&torture->state, CROWD_CLIENTS);
    crowd_kill(&torture->crowd, i);
    crowd_start(&torture->crowd, i);
    return true;
}

static bool do_kill(struct torture *torture)
{
    uint64_t victim = draw(&torture->state, 10);
    if (victim < 4)
        return kill_coordinator(torture);
    if (victim < 7)
        return kill_service(torture, false);
    return victim < 8 ? kill_service(torture, true) : kill_client(torture);
}

/* -- SIGSTOP ----------------------------------------------------------------------------------- */

/* Mostly short; one in ten of any length that is permitted. */
static uint64_t draw_stop_ms(struct torture *torture)
{
    uint64_t most = (uint64_t)torture->settings->stop_ms_max;
    uint64_t limit =
        draw(&torture->state, 10) == 0 ? most : STOP_MS_MIN << draw(&torture->state, 6);
    uint64_t ms = STOP_MS_MIN + draw(&torture->state, limit);
    return ms < most ? ms : most;
}

static pid_t draw_victim(struct torture *torture)
{
    uint64_t victim = draw(&torture->state, STAGE_SERVICES + CROWD_CLIENTS + 4);
    if (victim < STAGE_SERVICES)
        return torture->stage.services[victim].pid;
    if (victim < STAGE_SERVICES + CROWD_CLIENTS)
        return torture->crowd.processes[victim - STAGE_SERVICES].pid;
    return victim == STAGE_SERVICES + CROWD_CLIENTS ? torture->proxy.pid
                                                    : torture->stage.daemon.process.pid;
}

static bool do_stop(struct torture *torture)
{
    uint64_t ms = draw_stop_ms(torture);
    pid_t pid = draw_victim(torture);
    kill(pid, SIGSTOP);
    stage_sleep_ms(ms);
    kill(pid, SIGCONT);
    torture->tally.stopped_ms += ms;
    if (ms > torture->tally.stopped_ms_max)
        torture->tally.stopped_ms_max = ms;
    return true;
}

/* -- The proxy --------------------------------------------------------------------------------- */

static uint64_t figure_of(const char *line, const char *name)
{
    char wanted[32];
    snprintf(wanted, sizeof(wanted), " %s=", name);
    const char *at = strstr(line, wanted);
    return at != NULL ? strtoull(at + strlen(wanted), NULL, 10) : 0;
}

static void count_storm(struct tally *tally, const char *line)
{
    if (figure_of(line, "passed") < STORM_TRAFFIC_MIN) {
        tally->quiet[FAULT_PROXY]++;
        return;
    }
    tally->faults[FAULT_PROXY]++;
    tally->dropped += figure_of(line, "dropped");
    tally->twice += figure_of(line, "twice");
    tally->late += figure_of(line, "late");
    tally->held += figure_of(line, "held");
    tally->stalled += figure_of(line, "stalled");
    tally->cut += figure_of(line, "cut");
    tally->half_closed += figure_of(line, "half-closed");
    tally->late_delivered += figure_of(line, "late-delivered");
    tally->late_answered += figure_of(line, "late-answered");
}

bool fault_end_storm(struct torture *torture)
{
    char line[PROCESS_LINE_MAX];
    if (!torture->is_storm)
        return true;
    torture->is_storm = false;
    int64_t left_ms = torture->storm_until_ms - process_now_ms();
    stage_sleep_ms(left_ms > 0 ? left_ms : 0);
    kill(torture->proxy.pid, SIGUSR2);
    if (!process_line(&torture->proxy, "calm ", line, PROXY_MS))
        return torture_fail(torture, "the proxy does not calm down");
    count_storm(&torture->tally, line);
    return true;
}

static bool do_proxy(struct torture *torture)
{
    if (torture->is_storm)
        return fault_end_storm(torture);
    torture->is_storm = true;
    torture->storm_until_ms = process_now_ms() + STORM_MS_MIN +
                              (int64_t)draw(&torture->state, STORM_MS_MAX - STORM_MS_MIN);
    return kill(torture->proxy.pid, SIGUSR1) == 0;
}

/* -- The disk ---------------------------------------------------------------------------------- */

bool fault_can_mount(void)
{
    if (unshare(CLONE_NEWNS) != 0)
        return false;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static void disk_path(char path[192], const struct torture *torture, const char *name)
{
    snprintf(path, 192, "%.128s/store%s", torture->stage.daemon.dir, name);
}

bool fault_mount_disk(struct torture *torture)
{
    char path[192];
    disk_path(path, torture, "");
    torture->has_small_disk =
        mkdir(path, 0700) == 0 && mount("tmpfs", path, "tmpfs", 0, DISK_SIZE) == 0;
    return torture->has_small_disk || torture_fail(torture, "a tmpfs cannot be mounted");
}

void fault_unmount_disk(struct torture *torture)
{
    char path[192];
    disk_path(path, torture, "");
    if (torture->has_small_disk)
        umount2(path, MNT_DETACH);
    torture->has_small_disk = false;
}

static bool fill_disk(struct torture *torture, const char *filler, uint64_t left)
{
    struct statvfs disk;
    int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fstatvfs(fd, &disk) != 0)
        return torture_fail(torture, "the disk cannot be filled");
    uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
    int rc = room > left ? posix_fallocate(fd, 0, (off_t)(room - left)) : 0;
    close(fd);
    return rc == 0 || rc == ENOSPC || torture_fail(torture, "the disk cannot be filled");
}

static bool do_disk(struct torture *torture)
{
    char filler[192];
    uint64_t left = draw(&torture->state, 2) == 0 ? 0 : DISK_LEFT,
             ms = draw(&torture->state, DISK_MS_MAX);
    disk_path(filler, torture, "/filler");
    if (!fill_disk(torture, filler, left))
        return false;
    torture->may_die = true;
    stage_sleep_ms(ms);
    unlink(filler);
    return true;
}

/* Those that have been refused by now; waits for the first one, since they stand in the listener's
 * queue before. */
static uint64_t await_refused(const int *fds)
{
    struct pollfd polls[CONNECTIONS];
    uint64_t refused = 0;
    int64_t until_ms = process_now_ms() + SERVE_MS;
    for (int i = 0; i < CONNECTIONS; i++)
        polls[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    while (refused == 0 && process_now_ms() < until_ms) {
        poll(polls, CONNECTIONS, SERVE_MS);
        for (int i = 0; i < CONNECTIONS; i++)
            refused += process_is_cut(fds[i]);
    }
    return refused;
}

/* Who is connected goes on, with all of them there. */
static bool crowd_in(struct torture *torture, int *fds)
{
    for (int i = 0; i < CONNECTIONS; i++)
        if ((fds[i] = process_connect(torture->stage.daemon.address)) < 0)
            return torture_fail(torture, "tercetd does not listen any more");
    if (!torture_await_confirmed(torture, 1))
        return false;
    uint64_t refused = await_refused(fds);
    torture->tally.refused += refused;
    return refused > 0 || torture_fail(torture, "nobody was refused: the fault shows nothing");
}

/* It may take tercetd a moment to see that the crowd has gone. */
static bool await_service(struct torture *torture)
{
    int64_t until_ms = process_now_ms() + SERVE_MS;
    while (stage_count_unresolved(&torture->stage) < 0) {
        if (process_now_ms() >= until_ms)
            return torture_fail(torture, "tercetd does not serve who comes after the crowd");
        stage_sleep_ms(AWAY_MS_MAX);
    }
    return true;
}

static bool do_descriptors(struct torture *torture)
{
    pid_t pid = torture->stage.daemon.process.pid;
    struct rlimit before, few;
    int fds[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++)
        fds[i] = -1;
    if (prlimit(pid, RLIMIT_NOFILE, NULL, &before) != 0)
        return torture_fail(torture, "prlimit");
    few = before;
    few.rlim_cur = DESCRIPTORS;
    prlimit(pid, RLIMIT_NOFILE, &few, NULL);
    bool holds = crowd_in(torture, fds);
    for (int i = 0; i < CONNECTIONS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    holds = holds && await_service(torture);
    prlimit(pid, RLIMIT_NOFILE, &before, NULL);
    return holds;
}

/* -- One fault --------------------------------------------------------------------------------- */

/* Traffic during the fault: what was under way when it came, and what was asked until it was
 * over. */
static bool do_counted(struct torture *torture, enum fault_kind kind,
                       bool (*fault)(struct torture *))
{
    struct crowd *crowd = &torture->crowd;
    crowd_read(crowd);
    uint64_t before = crowd->asked, traffic = crowd_in_flight(crowd);
    if (!fault(torture))
        return false;
    crowd_read(crowd);
    traffic += crowd->asked - before;
    if (traffic >= TRAFFIC_MIN)
        torture->tally.faults[kind]++;
    else
        torture->tally.quiet[kind]++;
    return true;
}

bool fault_do(struct torture *torture, enum fault_kind kind)
{
    static bool (*const faults[])(struct torture *) = {[FAULT_KILL] = do_kill,
                                                       [FAULT_STOP] = do_stop,
                                                       [FAULT_DISK] = do_disk,
                                                       [FAULT_DESCRIPTORS] = do_descriptors};
    bool holds = kind == FAULT_PROXY ? do_proxy(torture) : do_counted(torture, kind, faults[kind]);
    holds = holds && torture_await_confirmed(torture, 1);
    torture->may_die = false;
    return holds;
}
