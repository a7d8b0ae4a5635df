/* SPDX-License-Identifier: Apache-2.0
 *
 * Records the write log of a participant's SQLite file: power_till under the shim, killed on the
 * way and started again.
 */
#include "log.h"
#include "process.h"
#include "settle.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define LINE_MS 60000
#define PATH_SIZE 300
#define ROUNDS 8
#define BATCHES 80       /* of a round; */
#define KILL_AFTER 65    /* most are killed after so many, */
#define ENDS_BY_ITSELF 4 /* but every so many-th is not */
#define NUMBERS_A_ROUND 1000

struct recording {
    char program[PATH_SIZE], preload[PATH_SIZE + 16], database[PATH_SIZE], folder[PATH_SIZE],
        log_path[PATH_SIZE];
    int log;
};

static bool run_round(struct recording *recording, uint64_t round, uint64_t seed)
{
    static const char *const names[] = {"till.db", "till.db-wal", "till.db-journal", NULL};
    char first[32], batches[32], line[PROCESS_LINE_MAX], until[32];
    const char *const argv[] = {
        recording->program, recording->database, recording->log_path, first, batches, NULL};
    struct process process;
    bool ends = round % ENDS_BY_ITSELF == ENDS_BY_ITSELF - 1;
    int status = 0;
    snprintf(first, sizeof(first), "%" PRIu64,
             seed % 1000000 * NUMBERS_A_ROUND * ROUNDS + round * NUMBERS_A_ROUND);
    snprintf(batches, sizeof(batches), "%d", BATCHES);
    snprintf(until, sizeof(until), "done %d", ends ? BATCHES : KILL_AFTER);
    process_start(&process, argv, NULL, recording->preload);
    pid_t pid = process.pid;
    bool is_well = process_line(&process, until, line, LINE_MS);
    if (ends)
        is_well = is_well && process_wait(&process, LINE_MS, &status) && WIFEXITED(status) &&
                  WEXITSTATUS(status) == 0;
    process_end(&process, SIGKILL);
    settle_files(recording->log, recording->log_path, recording->folder, names, pid);
    return is_well;
}

int main(int argc, char **argv)
{
    static struct recording recording;
    if (argc != 5) {
        fputs("usage: power_record_till TILL SHIM NEW_FOLDER SEED\n", stderr);
        return 2;
    }
    snprintf(recording.program, PATH_SIZE, "%.250s", argv[1]);
    snprintf(recording.preload, sizeof(recording.preload), "LD_PRELOAD=%.250s", argv[2]);
    snprintf(recording.folder, PATH_SIZE, "%.200s/files", argv[3]);
    snprintf(recording.database, PATH_SIZE, "%.200s/files/till.db", argv[3]);
    snprintf(recording.log_path, PATH_SIZE, "%.200s/writes.log", argv[3]);
    if (mkdir(argv[3], 0700) != 0 || mkdir(recording.folder, 0700) != 0) {
        perror(argv[3]);
        return 1;
    }
    setenv(POWER_ENV_FOLDER, recording.folder, 1);
    setenv(POWER_ENV_LOG, recording.log_path, 1);
    recording.log = power_log_open(recording.log_path);
    for (uint64_t round = 0; round < ROUNDS; round++)
        if (!run_round(&recording, round, strtoull(argv[4], NULL, 10))) {
            fputs("power_record_till: power_till did not run as it should\n", stderr);
            return 1;
        }
    return 0;
}
