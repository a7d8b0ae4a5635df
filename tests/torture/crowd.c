/* SPDX-License-Identifier: Apache-2.0
 *
 * crowd.h
 */
#include "crowd.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READY_MS 100000
#define END_MS 90000

static void log_path(char path[192], const struct crowd *crowd, size_t log)
{
    snprintf(path, 192, "%.150s/client-%zu.log", crowd->folder, log);
}

void crowd_start(struct crowd *crowd, size_t i)
{
    char log[192], errors[192], seed[32], line[PROCESS_LINE_MAX];
    const char *argv[] = {crowd->program,
                          "--coordinator",
                          crowd->coordinator,
                          "--direct",
                          crowd->direct,
                          "--log",
                          log,
                          "--seed",
                          seed,
                          NULL};
    crowd->log_of[i] = crowd->log_count++;
    crowd->offsets[i] = 0;
    crowd->in_flight[i] = 0;
    log_path(log, crowd, crowd->log_of[i]);
    snprintf(errors, sizeof(errors), "%.150s/client-%zu.errors", crowd->folder, i);
    snprintf(seed, sizeof(seed), "%" PRIu64, crowd->seed * 1000 + crowd->log_of[i]);
    fclose(fopen(log, "ae")); /* it may be killed before it has made it */
    process_start(&crowd->processes[i], argv, errors, NULL);
    /* without, it will not confirm anything */
    process_line(&crowd->processes[i], "ready", line, READY_MS);
}

bool crowd_stop(struct crowd *crowd)
{
    bool have_ended = true;
    for (size_t i = 0; i < CROWD_CLIENTS; i++)
        if (crowd->processes[i].pid != 0)
            kill(crowd->processes[i].pid, SIGTERM);
    for (size_t i = 0; i < CROWD_CLIENTS; i++) {
        int status = 0;
        if (!process_wait(&crowd->processes[i], END_MS, &status) || status != 0)
            have_ended = false;
    }
    crowd_read(crowd);
    return have_ended;
}

void crowd_kill(struct crowd *crowd, size_t i)
{
    process_end(&crowd->processes[i], SIGKILL);
    crowd_read(crowd);
}

static void read_answer(struct crowd *crowd, const char *op, const char *code, const char *state)
{
    bool is_try = strcmp(op, "try") == 0;
    crowd->unknown += strcmp(code, "TERCET_UNKNOWN") == 0;
    crowd->confirmed += !is_try && strncmp(state, "CONFIRM", 7) == 0;
    crowd->cancelled += !is_try && strncmp(state, "CANCEL", 6) == 0;
}

static void read_line(struct crowd *crowd, size_t i, const char *line)
{
    char op[12], code[32], state[16];
    if (sscanf(line, "asks %*s %11s", op) == 1 && strcmp(op, "get") != 0) {
        crowd->asked++;
        crowd->in_flight[i]++;
    } else if (sscanf(line, "told %*s %11s %31s %15s", op, code, state) == 3 &&
               strcmp(op, "get") != 0) {
        if (crowd->in_flight[i] > 0)
            crowd->in_flight[i]--;
        read_answer(crowd, op, code, state);
    }
}

void crowd_read(struct crowd *crowd)
{
    for (size_t i = 0; i < CROWD_CLIENTS; i++) {
        char path[192], line[512];
        log_path(path, crowd, crowd->log_of[i]);
        FILE *log = fopen(path, "re");
        if (log == NULL)
            continue;
        fseek(log, crowd->offsets[i], SEEK_SET);
        while (fgets(line, sizeof(line), log) != NULL && strchr(line, '\n') != NULL) {
            crowd->offsets[i] += (long)strlen(line);
            read_line(crowd, i, line);
        }
        fclose(log);
    }
}

uint64_t crowd_in_flight(const struct crowd *crowd)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < CROWD_CLIENTS; i++)
        sum += crowd->in_flight[i];
    return sum;
}

char *crowd_logs(const struct crowd *crowd)
{
    char *list = calloc(crowd->log_count + 1, 192), *end = list;
    if (list == NULL)
        abort();
    for (size_t log = 0; log < crowd->log_count; log++) {
        char path[192];
        log_path(path, crowd, log);
        end += sprintf(end, "%s,", path);
    }
    sprintf(end, "%.150s/" CROWD_PROXY_LOG, crowd->folder);
    return list;
}
