/* SPDX-License-Identifier: Apache-2.0
 *
 * The real tercetd, with a shop's traffic over real sockets, and a call of the network that fails:
 * each class of calls, each error, at some n, once and from then on. tercetd may go on or end; it
 * is started again without the fault, then every outcome must be known and the shop's audit must
 * hold.
 */
#include "stage.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define ORDERS_A_FAULT 12
#define TRAFFIC_MS 1500 /* that the buyers have at most while calls fail */
#define GRACE_MS 20000
#define SHORT (-1)
#define ERRORS_MAX 5

static const struct class {
    const char *name;
    int errors[ERRORS_MAX];
    bool may_last; /* also from then on */
} classes[] = {
    {"socket", {EMFILE, EIO}, false},
    {"accept", {EMFILE, EINTR, ECONNABORTED}, true},
    {"send", {EIO, EINTR, ECONNRESET, SHORT}, true},
    {"recv", {EIO, EINTR, ECONNRESET}, true},
    {"poll", {EINTR, EIO}, false},
};
static const unsigned moments[] = {1, 2, 3, 5, 9, 17, 33, 65};

struct tally {
    uint64_t faults, met, ended, violations;
};

/* Whether the fault of this life was met, as the log says; read from where the last life's
 * began. */
static bool was_met(const struct stage *stage, long *offset)
{
    char path[160], line[256];
    bool is_met = false;
    snprintf(path, sizeof(path), "%s/tercetd.log", stage->daemon.dir);
    FILE *log = fopen(path, "re");
    if (log == NULL)
        return false;
    fseek(log, *offset, SEEK_SET);
    while (fgets(line, sizeof(line), log) != NULL)
        is_met = is_met || strstr(line, "call fails") != NULL;
    *offset = ftell(log);
    fclose(log);
    return is_met;
}

static bool restart_with(struct stage *stage, const char *library, const char *call)
{
    setenv("LD_PRELOAD", library, 1);
    setenv("TERCET_CALL", call, 1);
    bool is_ready = daemon_start(&stage->daemon, NULL);
    unsetenv("LD_PRELOAD");
    unsetenv("TERCET_CALL");
    return is_ready;
}

static uint64_t count_told(const struct stage *stage)
{
    return stage->confirmed + stage->cancelled + stage->unknown;
}

static void await_some(struct stage *stage)
{
    uint64_t before = count_told(stage);
    int64_t until_ms = process_now_ms() + TRAFFIC_MS;
    while (count_told(stage) < before + ORDERS_A_FAULT && stage_await_log(stage, until_ms))
        continue;
}

/* A crash of memory is never a way to fail. */
static bool ended_well(int status, bool was_lasting)
{
    bool has_stopped = WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 1 ||
                                             WEXITSTATUS(status) == 70);
    bool has_given_up = WIFSIGNALED(status) && (WTERMSIG(status) == SIGABRT ||
                                                (was_lasting && WTERMSIG(status) == SIGKILL));
    if (!has_stopped && !has_given_up)
        fprintf(stderr, "socket_torture: tercetd ended with status %#x\n", (unsigned)status);
    return has_stopped || has_given_up;
}

/* The life with the fault, and its end. */
static bool live_with(struct stage *stage, const char *library, const char *call, bool is_lasting,
                      struct tally *tally)
{
    int status = 0;
    daemon_stop(&stage->daemon);
    bool is_ready = restart_with(stage, library, call);
    stage_start_traffic(stage, ORDERS_A_FAULT, NULL);
    if (is_ready)
        await_some(stage);
    if (!process_has_ended(&stage->daemon.process, &status))
        status = process_end(&stage->daemon.process, is_lasting ? SIGKILL : SIGTERM);
    else
        tally->ended++;
    return ended_well(status, is_lasting);
}

static bool run_fault(struct stage *stage, const char *library, const char *call, bool is_lasting,
                      struct tally *tally)
{
    static long offset;
    bool holds = live_with(stage, library, call, is_lasting, tally);
    tally->faults++;
    tally->met += was_met(stage, &offset);
    if (!daemon_start(&stage->daemon, NULL)) {
        fprintf(stderr, "socket_torture: tercetd does not start again\n");
        return false;
    }
    return stage_await_traffic(stage) && stage_is_sound(stage) && holds;
}

static bool run_class(struct stage *stage, const char *library, const struct class *class,
                      struct tally *tally)
{
    char call[64];
    for (const int *error = class->errors; *error != 0; error++)
        for (int lasts = 0; lasts <= class->may_last; lasts++)
            for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
                snprintf(call, sizeof(call), "%s:%d:%u%s", class->name, *error, moments[i],
                         lasts ? ":on" : "");
                if (run_fault(stage, library, call, lasts, tally))
                    continue;
                fprintf(stderr, "VIOLATED: TERCET_CALL=%s\n", call);
                tally->violations++;
                return false;
            }
    return true;
}

static const char *option(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return NULL;
}

int main(int argc, char **argv)
{
    const char *tercetd = option(argc, argv, "--tercetd"),
               *tercetctl = option(argc, argv, "--tercetctl");
    const char *shop = option(argc, argv, "--shop"), *library = option(argc, argv, "--library");
    const char *only = option(argc, argv, "--class");
    struct tally tally = {0};
    struct stage stage;
    if (tercetd == NULL || tercetctl == NULL || shop == NULL || library == NULL) {
        fputs("usage: socket_torture --tercetd FILE --tercetctl FILE --shop FOLDER --library FILE "
              "[--class NAME]\n",
              stderr);
        return 2;
    }
    bool holds = stage_open(&stage, tercetd, tercetctl, shop, 1, false);
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]) && holds; i++)
        if (only == NULL || strcmp(only, classes[i].name) == 0)
            holds = run_class(&stage, library, &classes[i], &tally);
    printf("%" PRIu64 " faults, %" PRIu64 " met, tercetd ended of %" PRIu64 ", %" PRIu64
           " orders confirmed, %" PRIu64 " violations\n",
           tally.faults, tally.met, tally.ended, stage.confirmed, tally.violations);
    stage_close(&stage, !holds);
    return holds && tally.met > 0 ? 0 : 1;
}
