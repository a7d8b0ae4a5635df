/* SPDX-License-Identifier: Apache-2.0
 *
 * stage.h
 */
#include "stage.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READY_MS 60000
#define TRAFFIC_END_MS 90000
#define PROGRESS_MS 60000
#define REST_MS 60000
#define POLL_MS 5

static const char *const databases[STAGE_DATABASES] = {"stock", "payment", "order"};

/* The instances: the program's name and its further options. */
static const char *const instances[STAGE_SERVICES][5] = {
    {"stock", "--stock", "1000000"},
    {"stock", "--stock", "1000000"},
    {"payment", "--funds", "1000000000", "--listen", "127.0.0.1:0"},
    {"order"}};

void stage_sleep_ms(int64_t ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static bool complain(const struct stage *stage, const char *what)
{
    fprintf(stderr, "torture: %s (see %s)\n", what, stage->daemon.dir);
    return false;
}

static const char *front_of(const struct stage *stage)
{
    return stage->front != NULL ? stage->front : stage->daemon.address;
}

/* A program's environment: armed, or expressly not. */
static void arm(char environment[96], const char *failpoint)
{
    snprintf(environment, 96, "TERCET_FAILPOINT=%s", failpoint != NULL ? failpoint : "");
}

/* -- The services ------------------------------------------------------------------------------ */

static const char *database_of(const struct stage *stage, const char *name)
{
    size_t i = 0;
    while (i < STAGE_DATABASES - 1 && strcmp(databases[i], name) != 0)
        i++;
    return stage->databases[i];
}

void stage_start_service(struct stage *stage, size_t i, const char *failpoint)
{
    char program[256], log[160], environment[96];
    const char *name = instances[i][0];
    const char *argv[10] = {program, "--coordinator", front_of(stage),
                            stage->server != NULL ? "--db" : "--data", database_of(stage, name)};
    memcpy(&argv[5], &instances[i][1], sizeof(instances[i]) - sizeof(instances[i][0]));
    snprintf(program, sizeof(program), "%s/shop-%s", stage->shop, name);
    if (stage->stock != NULL && strcmp(name, "stock") == 0)
        snprintf(program, sizeof(program), "%s", stage->stock);
    snprintf(log, sizeof(log), "%s/%s-%zu.log", stage->daemon.dir, name, i);
    arm(environment, failpoint);
    process_start(&stage->services[i], argv, log, environment);
}

bool stage_await_service(struct stage *stage, size_t i)
{
    char line[PROCESS_LINE_MAX];
    return process_line(&stage->services[i], "ready", line, READY_MS) ||
           complain(stage, "a service does not get ready");
}

static bool watch_log(struct stage *stage)
{
    FILE *log = fopen(stage->log_path, "ae"); /* one that is not there cannot be watched */
    if (log == NULL)
        return false;
    fclose(log);
    stage->log_watch = inotify_init1(IN_CLOEXEC);
    return stage->log_watch >= 0 &&
           inotify_add_watch(stage->log_watch, stage->log_path, IN_MODIFY) >= 0;
}

bool stage_prepare(struct stage *stage, const char *tercetd, const char *tercetctl,
                   const char *shop, uint64_t seed)
{
    static const char *const options[] = {
        "--quiet", "--retry-base",          "20ms", "--retry-cap", "500ms", "--call-timeout",
        "1s",      "--park-after-failures", "1000", NULL};
    *stage = (struct stage){.shop = shop, .tercetctl = tercetctl, .seed = seed, .log_watch = -1};
    if (!daemon_prepare(&stage->daemon, tercetd, options))
        return complain(stage, "there can be no directory");
    snprintf(stage->log_path, sizeof(stage->log_path), "%s/traffic.told", stage->daemon.dir);
    for (size_t i = 0; i < STAGE_DATABASES; i++)
        snprintf(stage->databases[i], sizeof(stage->databases[i]), "%s/%s.db", stage->daemon.dir,
                 databases[i]);
    return watch_log(stage) || complain(stage, "the log cannot be watched");
}

bool stage_start_daemon(struct stage *stage)
{
    return daemon_start(&stage->daemon, NULL) || complain(stage, "tercetd does not start");
}

bool stage_start_services(struct stage *stage)
{
    for (size_t i = 0; i < STAGE_SERVICES; i++)
        stage_start_service(stage, i, NULL);
    for (size_t i = 0; i < STAGE_SERVICES; i++)
        if (!stage_await_service(stage, i))
            return false;
    return true;
}

/* Runs the server's script: a word, the server's folder, and a further one. */
static bool ask_server(const struct stage *stage, const char *word, const char *name, char *line)
{
    const char *const argv[] = {stage->server, word, getenv("TERCET_TEST_FOLDER"), name, NULL};
    struct process process;
    int status = 0;
    process_start(&process, argv, NULL, NULL);
    bool is_told = line == NULL || process_line(&process, "", line, READY_MS);
    return (process_wait(&process, READY_MS, &status) && status == 0 && is_told) ||
           complain(stage, "the database server does not do as told");
}

static bool find_server(struct stage *stage)
{
    char line[PROCESS_LINE_MAX];
    stage->server = getenv("TERCET_TEST_SCRIPT");
    if (stage->server == NULL || getenv("TERCET_TEST_FOLDER") == NULL)
        return complain(stage, "there is no database server: scripts/with-postgres starts one");
    for (size_t i = 0; i < STAGE_DATABASES; i++) {
        if (!ask_server(stage, "--database", databases[i], line))
            return false;
        snprintf(stage->databases[i], sizeof(stage->databases[i]), "%.*s",
                 (int)sizeof(stage->databases[i]) - 1, line);
    }
    return true;
}

bool stage_kill_server(struct stage *stage, uint64_t away_ms)
{
    if (!ask_server(stage, "--kill", NULL, NULL))
        return false;
    stage_sleep_ms((int64_t)away_ms);
    return ask_server(stage, "--start", NULL, NULL);
}

bool stage_open(struct stage *stage, const char *tercetd, const char *tercetctl, const char *shop,
                uint64_t seed, bool on_server)
{
    return stage_prepare(stage, tercetd, tercetctl, shop, seed) &&
           (!on_server || find_server(stage)) && stage_start_daemon(stage) &&
           stage_start_services(stage);
}

void stage_close(struct stage *stage, bool is_kept)
{
    process_end(&stage->traffic, SIGKILL);
    for (size_t i = 0; i < STAGE_SERVICES; i++)
        process_end(&stage->services[i], SIGKILL);
    daemon_kill(&stage->daemon);
    close(stage->log_watch);
    if (!is_kept)
        daemon_clean(&stage->daemon);
}

static bool tell_service(const struct stage *stage, const char *command, const char *service)
{
    const char *const argv[] = {stage->tercetctl, "--coordinator", stage->daemon.address,
                                command,          service,         NULL};
    struct process process;
    int status = 0;
    process_start(&process, argv, NULL, NULL);
    return (process_wait(&process, READY_MS, &status) && status == 0) ||
           complain(stage, "tercetctl is refused");
}

bool stage_pause_service(struct stage *stage, size_t i, int64_t ms)
{
    if (!tell_service(stage, "pause", instances[i][0]))
        return false;
    stage_sleep_ms(ms);
    return tell_service(stage, "resume", instances[i][0]);
}

/* -- The buyers -------------------------------------------------------------------------------- */

/* Some want what the shop does not have, and are refused. */
void stage_start_traffic(struct stage *stage, uint64_t orders, const char *failpoint)
{
    char program[256], log[160], seed[32], count[32], environment[96];
    const char *argv[] = {program,
                          "--coordinator",
                          stage->daemon.address,
                          "--orders",
                          count,
                          "--seed",
                          seed,
                          "--log",
                          stage->log_path,
                          "--timeout",
                          "20s",
                          "--deadline",
                          "2s",
                          "--in-flight",
                          "8",
                          "--items",
                          "21",
                          "--customers",
                          "50",
                          NULL};
    snprintf(program, sizeof(program), "%s/shop-traffic", stage->shop);
    snprintf(log, sizeof(log), "%s/traffic.log", stage->daemon.dir);
    snprintf(seed, sizeof(seed), "%" PRIu64, stage->seed * 1000 + stage->traffic_count++);
    snprintf(count, sizeof(count), "%" PRIu64, orders != 0 ? orders : 100000000);
    arm(environment, failpoint);
    process_start(&stage->traffic, argv, log, environment);
}

bool stage_await_traffic(struct stage *stage)
{
    int status = 0;
    if (!process_wait(&stage->traffic, TRAFFIC_END_MS, &status))
        return complain(stage, "the buyers do not come to an end");
    stage_read_log(stage);
    return status == 0 || complain(stage, "the buyers do not know every outcome in the end");
}

bool stage_stop_traffic(struct stage *stage)
{
    if (stage->traffic.pid != 0)
        kill(stage->traffic.pid, SIGTERM);
    return stage_await_traffic(stage);
}

void stage_read_log(struct stage *stage)
{
    char line[256];
    FILE *log = fopen(stage->log_path, "re");
    if (log == NULL)
        return;
    fseek(log, stage->log_offset, SEEK_SET);
    while (fgets(line, sizeof(line), log) != NULL && strchr(line, '\n') != NULL) {
        stage->log_offset += (long)strlen(line);
        stage->confirmed += strstr(line, " confirmed") != NULL;
        stage->cancelled += strstr(line, " cancelled") != NULL;
        stage->unknown += strstr(line, " unknown") != NULL;
    }
    fclose(log);
}

bool stage_await_log(struct stage *stage, int64_t until_ms)
{
    char events[4096];
    int64_t left_ms = until_ms - process_now_ms();
    struct pollfd more = {.fd = stage->log_watch, .events = POLLIN};
    if (poll(&more, 1, left_ms > 0 ? (int)left_ms : 0) != 1 ||
        read(stage->log_watch, events, sizeof(events)) < 0)
        return false;
    stage_read_log(stage);
    return true;
}

bool stage_await_confirmed(struct stage *stage, uint64_t before, uint64_t count)
{
    int64_t until_ms = process_now_ms() + PROGRESS_MS;
    stage_read_log(stage);
    while (stage->confirmed < before + count)
        if (!stage_await_log(stage, until_ms))
            return complain(stage, "nothing is confirmed any more");
    return true;
}

/* -- At rest ----------------------------------------------------------------------------------- */

/* One figure of `tercetctl stats`; -1 when it is not told. */
static int64_t read_figure(const char *text, const char *name)
{
    char quoted[64];
    snprintf(quoted, sizeof(quoted), "\"%s\":", name);
    const char *at = strstr(text, quoted);
    if (at == NULL)
        return -1;
    at += strlen(quoted);
    at += strspn(at, " \"");
    return strtoll(at, NULL, 10);
}

/* All that the program prints, in one string. */
static bool read_output(struct process *process, char *text, size_t size)
{
    char line[PROCESS_LINE_MAX];
    size_t used = 0;
    int status = 0;
    text[0] = '\0';
    while (process_line(process, "", line, READY_MS))
        if (used + strlen(line) + 2 < size)
            used += (size_t)snprintf(text + used, size - used, "%s\n", line);
    return process_wait(process, READY_MS, &status) && status == 0;
}

int64_t stage_count_unresolved(const struct stage *stage)
{
    const char *const argv[] = {
        stage->tercetctl, "--coordinator", stage->daemon.address, "-o", "json", "stats", NULL};
    static const char *const names[] = {"trying", "confirming", "cancelling"};
    struct process process;
    char text[8192], errors[160];
    int64_t sum = 0;
    snprintf(errors, sizeof(errors), "%s/tercetctl.log", stage->daemon.dir);
    process_start(&process, argv, errors, NULL);
    if (!read_output(&process, text, sizeof(text)))
        return -1;
    for (size_t i = 0; i < 3; i++) {
        int64_t figure = read_figure(text, names[i]);
        if (figure < 0)
            return -1;
        sum += figure;
    }
    return sum;
}

bool stage_await_rest(struct stage *stage)
{
    int64_t until_ms = process_now_ms() + REST_MS;
    int64_t count;
    while ((count = stage_count_unresolved(stage)) != 0) {
        if (count < 0)
            return complain(stage, "tercetctl stats does not answer");
        if (process_now_ms() >= until_ms)
            return complain(stage, "some transactions do not end");
        stage_sleep_ms(POLL_MS);
    }
    return true;
}

bool stage_run_audit(struct stage *stage, const char *folder)
{
    char program[256], paths[STAGE_DATABASES][256], text[16384];
    const char *argv[] = {program,  "--stock", paths[0],        "--payment", paths[1], "--order",
                          paths[2], "--log",   stage->log_path, "--at-rest", NULL};
    struct process process;
    snprintf(program, sizeof(program), "%s/shop-audit", stage->shop);
    for (size_t i = 0; i < STAGE_DATABASES; i++)
        if (folder != NULL)
            snprintf(paths[i], sizeof(paths[i]), "%.140s/%s.db", folder, databases[i]);
        else
            snprintf(paths[i], sizeof(paths[i]), "%s", stage->databases[i]);
    process_start(&process, argv, NULL, NULL);
    if (read_output(&process, text, sizeof(text)))
        return true;
    fputs(text, stderr);
    return complain(stage, "the audit does not hold");
}

bool stage_is_sound(struct stage *stage)
{
    return stage_await_rest(stage) && stage_run_audit(stage, NULL);
}
