/* SPDX-License-Identifier: Apache-2.0
 *
 * Records a write log: a tercetd under the shim, with traffic, killed and stopped on the way and started again. After
 * each end the log is made to tell what the dead process really left, and the file is compared with it later.
 */
#include "process.h"
#include "traffic.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READY_MS 60000
#define THREADS 6
#define PATH_SIZE 300

struct recording {
    const char *tercetd, *shim, *folder, *retention;
    uint64_t restarts;
    char store[PATH_SIZE], log_path[PATH_SIZE], preload[PATH_SIZE + 16], address[64];
    struct process daemon;
    struct traffic traffic;
};

static bool fail(const char *what)
{
    fprintf(stderr, "power_record: %s\n", what);
    return false;
}

/* -- The files after a death --------------------------------------------------------------------------------------- */

static unsigned char *read_file(const char *path, size_t *size)
{
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &file) != 0)
        abort();
    unsigned char *data = malloc((size_t)file.st_size + 1);
    if (data == NULL || read(fd, data, (size_t)file.st_size) != file.st_size)
        abort();
    close(fd);
    *size = (size_t)file.st_size;
    return data;
}

static void amend(struct recording *recording, const struct power_record *unfinished, const char *path)
{
    size_t size;
    unsigned char *data = read_file(path, &size);
    size_t begin = unfinished->offset < size ? unfinished->offset : size;
    size_t end = begin + unfinished->size < size ? begin + unfinished->size : size;
    struct power_record record = {.kind = POWER_AMEND, .file = unfinished->file, .call = unfinished->call};
    struct iovec part = {data + begin, unfinished->kind == POWER_WRITE ? end - begin : 0};
    record.offset = begin;
    record.value = (int64_t)size;
    power_log_append(recording->traffic.log, record, &part, 1);
    free(data);
}

static void check(struct recording *recording, const char *name, const char *path)
{
    size_t size;
    unsigned char *data = read_file(path, &size);
    struct power_record record = {.kind = POWER_CHECK, .offset = size, .value = (int64_t)power_hash(data, size)};
    struct iovec part = {(void *)(uintptr_t)name, strlen(name)};
    power_log_append(recording->traffic.log, record, &part, 1);
    free(data);
}

/* The write that a killed process was in; it has been made, or not, or in part. */
static const struct power_record *find_unfinished(const struct power_log *log, pid_t pid)
{
    const struct power_record *found = NULL;
    for (size_t i = 0; i < log->count; i++) {
        const struct power_record *record = power_log_at(log, i);
        if (record->call >> 32 != (uint64_t)pid)
            continue;
        if (record->kind == POWER_WRITE || record->kind == POWER_SIZE)
            found = record;
        else if (record->kind == POWER_DONE)
            found = NULL;
    }
    return found;
}

static void settle_files(struct recording *recording, pid_t pid)
{
    struct power_log log;
    struct stat file;
    char path[2 * PATH_SIZE];
    static const char *const names[] = {"data.mdb.new", "data.mdb"};
    power_log_read(&log, recording->log_path);
    const struct power_record *unfinished = find_unfinished(&log, pid);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", recording->store, names[i]);
        if (stat(path, &file) != 0)
            continue;
        if (unfinished != NULL && unfinished->file == (uint64_t)file.st_ino + 1)
            amend(recording, unfinished, path);
        check(recording, names[i], path);
    }
    power_log_free(&log);
}

/* -- tercetd ------------------------------------------------------------------------------------------------------- */

static bool start_daemon(struct recording *recording)
{
    char line[PROCESS_LINE_MAX], errors[2 * PATH_SIZE];
    const char *const argv[] = {
        recording->tercetd, "--data", recording->store, "--listen", recording->address, "--quiet", "--retention",
        recording->retention, "--store-size", "1G", "--retry-base", "5ms", "--retry-cap", "50ms", NULL};
    snprintf(errors, sizeof(errors), "%s/tercetd.log", recording->folder);
    process_start(&recording->daemon, argv, errors, recording->preload);
    if (!process_line(&recording->daemon, "ready ", line, READY_MS))
        return fail("tercetd does not start");
    snprintf(recording->address, sizeof(recording->address), "%.60s", line + strlen("ready "));
    return true;
}

static bool end_daemon(struct recording *recording, int signal)
{
    pid_t pid = recording->daemon.pid;
    int status = process_end(&recording->daemon, signal);
    settle_files(recording, pid);
    bool is_well = signal == SIGKILL || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return is_well || fail("tercetd did not end well");
}

static void await_ended(struct recording *recording, uint64_t count)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    while (atomic_load(&recording->traffic.ended) < count)
        nanosleep(&pause, NULL);
}

/* Three of four are kills. */
static bool run_traffic(struct recording *recording)
{
    struct traffic *traffic = &recording->traffic;
    bool is_well = traffic_open(traffic, recording->address) && traffic_start(traffic, THREADS);
    for (uint64_t i = 1; is_well && i <= recording->restarts; i++) {
        await_ended(recording, traffic->txns * i / (recording->restarts + 1));
        is_well = end_daemon(recording, i % 4 == 0 ? SIGTERM : SIGKILL) && start_daemon(recording);
    }
    traffic_join(traffic);
    traffic_close(traffic);
    return is_well && end_daemon(recording, SIGTERM);
}

/* -- The program --------------------------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(void)
{
    fputs("usage: power_record --tercetd FILE --shim FILE --folder NEW_FOLDER [--txns N] [--restarts N] [--seed S]\n"
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
    strcpy(recording->address, "127.0.0.1:0");
    setenv(POWER_ENV_FOLDER, recording->store, 1);
    setenv(POWER_ENV_LOG, recording->log_path, 1);
    recording->traffic.log = power_log_open(recording->log_path);
}

int main(int argc, char **argv)
{
    static struct recording recording = {.restarts = 12, .retention = "1s", .traffic = {.txns = 2400, .seed = 1}};
    for (int i = 1; i < argc; i += 2)
        take_option(&recording, argv[i], i + 1 < argc ? argv[i + 1] : (usage(), ""));
    if (recording.tercetd == NULL || recording.shim == NULL || recording.folder == NULL)
        usage();
    prepare(&recording);
    bool is_well = start_daemon(&recording) && run_traffic(&recording);
    process_end(&recording.daemon, SIGKILL);
    const struct traffic *traffic = &recording.traffic;
    printf("recorded: %" PRIu64 " transactions, told %" PRIu64 " times confirmed, %" PRIu64 " cancelled, %" PRIu64
           " unknown; %" PRIu64 " restarts\n",
           (uint64_t)traffic->ended, (uint64_t)traffic->confirmed, (uint64_t)traffic->cancelled,
           (uint64_t)traffic->unknown, recording.restarts);
    return is_well ? 0 : 1;
}
