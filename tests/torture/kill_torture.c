/* SPDX-License-Identifier: Apache-2.0
 *
 * Kills the coordinator, participants and initiators of a shop under load, with SIGKILL, and audits
 * what is left: at every named crash point (--points coordinator|participant|initiator), or at
 * random moments (--kills N --seed S). The random ones also freeze, stop in good order and pause.
 *
 * With --server the services are on the database server that scripts/with-postgres or with-mysql
 * runs this program under, which is killed, too; --victims names who, and nothing else happens.
 */
#include "draw.h"
#include "stage.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define KILLS_AN_AUDIT 5
#define ORDERS_AFTER 20 /* confirmed after a death */
#define DEATH_MS 100000
#define DELAY_MS_MAX 300
#define FREEZE_MS_MAX 4000
#define NAMES_MAX 64

struct settings {
    const char *tercetd, *tercetctl, *shop, *points;
    uint64_t seed, kills;
    bool on_server;
    const char *victims; /* one of victim_names; NULL: all kinds of faults */
};

/* What has been killed, by kind. */
struct tally {
    uint64_t coordinator, participant, initiator, server, frozen, stopped, paused, audits;
};

static bool fail(const char *what)
{
    fprintf(stderr, "kill_torture: %s\n", what);
    return false;
}

/* -- Crash points ------------------------------------------------------------------------------ */

/* Those that the shop's traffic passes often; tests/faults dies at every one. */
static const char *const coordinator_points[] = {"enlist",         "commit.before", "commit.after",
                                                 "release.before", "release.each",  "call.send",
                                                 "result"};
#define COORDINATOR_POINTS (sizeof(coordinator_points) / sizeof(coordinator_points[0]))
static const char *const participant_points[] = {"participant.call", "participant.before_commit",
                                                 "participant.after_commit", "participant.sent"};
static const char *const initiator_points[] = {"client.begin", "client.try.done", "client.confirm",
                                               "client.confirm.sent"};
static const char *const passings[] = {"1", "2", "30",
                                       /* the last: 100 ms before its death, the other threads going
                                        * on */
                                       "5:100"};

/* It must die there, and nowhere else. */
static bool await_death(struct process *process, const char *failpoint)
{
    int status = 0;
    if (process_wait(process, DEATH_MS, &status) && WIFSIGNALED(status) &&
        WTERMSIG(status) == SIGKILL)
        return true;
    fprintf(stderr, "kill_torture: did not die at %s (status %d)\n", failpoint, status);
    return false;
}

/* Orders go through once more, and those who buy come to a good end. */
static bool recover(struct stage *stage)
{
    stage_read_log(stage);
    return stage_await_confirmed(stage, stage->confirmed, ORDERS_AFTER) &&
           stage_stop_traffic(stage);
}

/* There is traffic for as long as it takes to get to the point: how often a point is passed in so
 * many orders is up to chance and to how much is done in one batch. */
static bool crash_coordinator(struct stage *stage, const char *failpoint)
{
    daemon_stop(&stage->daemon);
    /* it may die of the start's own commit, before it is ready */
    bool is_ready = daemon_start(&stage->daemon, failpoint);
    if (is_ready)
        stage_start_traffic(stage, 0, NULL);
    if (!await_death(&stage->daemon.process, failpoint))
        return false;
    if (!daemon_start(&stage->daemon, NULL))
        return fail("tercetd does not start again");
    if (!is_ready)
        stage_start_traffic(stage, 0, NULL);
    return recover(stage);
}

static bool crash_participant(struct stage *stage, const char *failpoint)
{
    size_t i = stage->traffic_count % STAGE_SERVICES;
    process_end(&stage->services[i], SIGTERM);
    stage_start_service(stage, i, failpoint);
    if (!stage_await_service(stage, i))
        return false;
    stage_start_traffic(stage, 0, NULL);
    if (!await_death(&stage->services[i], failpoint))
        return false;
    stage_start_service(stage, i, NULL);
    return stage_await_service(stage, i) && recover(stage);
}

/* What the dead one had begun ends by itself; the next one goes on buying. */
static bool crash_initiator(struct stage *stage, const char *failpoint)
{
    stage_start_traffic(stage, 0, failpoint);
    if (!await_death(&stage->traffic, failpoint))
        return false;
    stage_start_traffic(stage, 0, NULL);
    return recover(stage);
}

static bool crash_at(struct stage *stage, uint64_t *deaths, const char *name,
                     bool (*crash)(struct stage *, const char *))
{
    char failpoint[80];
    for (size_t i = 0; i < sizeof(passings) / sizeof(passings[0]); i++) {
        snprintf(failpoint, sizeof(failpoint), "%.60s:%s", name, passings[i]);
        if (!crash(stage, failpoint) || !stage_is_sound(stage)) {
            fprintf(stderr, "kill_torture: at %s\n", failpoint);
            return false;
        }
        ++*deaths;
        printf("died at %-28s the audit holds\n", failpoint);
        fflush(stdout);
    }
    return true;
}

/* The points that are linked into tercetd, as it tells them. */
static size_t list_points(const char *tercetd, char names[NAMES_MAX][PROCESS_LINE_MAX])
{
    const char *const argv[] = {tercetd, "--list-failpoints", NULL};
    struct process process;
    size_t count = 0;
    process_start(&process, argv, NULL, NULL);
    while (count < NAMES_MAX && process_line(&process, "", names[count], DEATH_MS))
        count++;
    process_end(&process, SIGKILL);
    return count;
}

static bool is_listed(char names[NAMES_MAX][PROCESS_LINE_MAX], size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bool crash_coordinator_everywhere(struct stage *stage, const char *tercetd,
                                         struct tally *tally)
{
    static char names[NAMES_MAX][PROCESS_LINE_MAX];
    size_t count = list_points(tercetd, names);
    if (count == 0)
        return fail("this tercetd was built without crash points (-DTERCET_FAILPOINTS=ON)");
    for (size_t i = 0; i < COORDINATOR_POINTS; i++) {
        if (!is_listed(names, count, coordinator_points[i]))
            return fail("tercetd does not list a crash point that is named here");
        if (!crash_at(stage, &tally->coordinator, coordinator_points[i], crash_coordinator))
            return false;
    }
    return true;
}

static bool run_points(struct stage *stage, const struct settings *settings, struct tally *tally)
{
    if (strcmp(settings->points, "coordinator") == 0)
        return crash_coordinator_everywhere(stage, settings->tercetd, tally);
    bool is_participant = strcmp(settings->points, "participant") == 0;
    for (size_t i = 0; i < 4; i++) {
        bool holds =
            is_participant
                ? crash_at(stage, &tally->participant, participant_points[i], crash_participant)
                : crash_at(stage, &tally->initiator, initiator_points[i], crash_initiator);
        if (!holds)
            return false;
    }
    return true;
}

/* -- At random --------------------------------------------------------------------------------- */

static bool kill_coordinator(struct stage *stage, struct tally *tally, uint64_t away_ms)
{
    tally->coordinator++;
    daemon_kill(&stage->daemon);
    stage_sleep_ms(away_ms);
    return daemon_start(&stage->daemon, NULL) || fail("tercetd does not start again");
}

static bool kill_participant(struct stage *stage, struct tally *tally, uint64_t i, uint64_t away_ms)
{
    tally->participant++;
    process_end(&stage->services[i], SIGKILL);
    stage_sleep_ms(away_ms);
    stage_start_service(stage, i, NULL);
    return stage_await_service(stage, i);
}

static bool kill_initiator(struct stage *stage, struct tally *tally)
{
    tally->initiator++;
    process_end(&stage->traffic, SIGKILL);
    stage_start_traffic(stage, 0, NULL);
    return true;
}

/* The coordinator and a participant at once: it is started without anybody to talk to. */
static bool kill_both(struct stage *stage, struct tally *tally, uint64_t i, uint64_t away_ms)
{
    tally->participant++;
    process_end(&stage->services[i], SIGKILL);
    if (!kill_coordinator(stage, tally, away_ms))
        return false;
    stage_start_service(stage, i, NULL);
    return stage_await_service(stage, i);
}

/* Alive, and silent for longer than the coordinator waits for an answer; what it then says comes
 * late. */
static bool freeze(struct stage *stage, struct tally *tally, uint64_t i, uint64_t ms)
{
    pid_t pid = i < STAGE_SERVICES ? stage->services[i].pid : stage->daemon.process.pid;
    tally->frozen++;
    kill(pid, SIGSTOP);
    stage_sleep_ms(ms);
    kill(pid, SIGCONT);
    return true;
}

/* Ends in good order, under load: it has to come to its end, with status 0. */
static bool stop(struct stage *stage, struct tally *tally, uint64_t i)
{
    int status =
        process_end(i < STAGE_SERVICES ? &stage->services[i] : &stage->daemon.process, SIGTERM);
    tally->stopped++;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail("a program that was told to stop did not end well");
    if (i == STAGE_SERVICES)
        return daemon_start(&stage->daemon, NULL) || fail("tercetd does not start again");
    stage_start_service(stage, i, NULL);
    return stage_await_service(stage, i);
}

static bool kill_server(struct stage *stage, struct tally *tally, uint64_t away_ms)
{
    tally->server++;
    return stage_kill_server(stage, away_ms);
}

/* A participant and its database at once. */
static bool kill_participant_and_server(struct stage *stage, struct tally *tally, uint64_t i,
                                        uint64_t away_ms)
{
    tally->participant++;
    process_end(&stage->services[i], SIGKILL);
    if (!kill_server(stage, tally, away_ms))
        return false;
    stage_start_service(stage, i, NULL);
    return stage_await_service(stage, i);
}

/* The coordinator and the database at once; the participants stay, and have neither. */
static bool kill_coordinator_and_server(struct stage *stage, struct tally *tally, uint64_t away_ms)
{
    tally->coordinator++;
    daemon_kill(&stage->daemon);
    if (!kill_server(stage, tally, away_ms))
        return false;
    return daemon_start(&stage->daemon, NULL) || fail("tercetd does not start again");
}

static const char *const victim_names[] = {"server", "participant", "participant+server",
                                           "coordinator", "coordinator+server"};
#define VICTIMS (sizeof(victim_names) / sizeof(victim_names[0]))

static bool kill_victim(struct stage *stage, struct tally *tally, size_t victim, uint64_t service,
                        uint64_t away_ms)
{
    switch (victim) {
    case 0:
        return kill_server(stage, tally, away_ms);
    case 1:
        return kill_participant(stage, tally, service, away_ms);
    case 2:
        return kill_participant_and_server(stage, tally, service, away_ms);
    case 3:
        return kill_coordinator(stage, tally, away_ms);
    default:
        return kill_coordinator_and_server(stage, tally, away_ms);
    }
}

/* The one that is named, or any. */
static bool kill_on_server(struct stage *stage, const char *victims, struct tally *tally,
                           uint64_t *state)
{
    size_t victim = draw(state, VICTIMS);
    uint64_t service = draw(state, STAGE_SERVICES),
             away_ms = draw(state, 2) * draw(state, DELAY_MS_MAX);
    for (size_t i = 0; i < VICTIMS; i++)
        if (victims != NULL && strcmp(victims, victim_names[i]) == 0)
            victim = i;
    stage_sleep_ms(draw(state, DELAY_MS_MAX));
    return kill_victim(stage, tally, victim, service, away_ms);
}

static bool kill_one(struct stage *stage, const struct settings *settings, struct tally *tally,
                     uint64_t *state)
{
    if (settings->victims != NULL || (settings->on_server && draw(state, 2) == 0))
        return kill_on_server(stage, settings->victims, tally, state);
    uint64_t victim = draw(state, 14), service = draw(state, STAGE_SERVICES),
             away_ms = draw(state, 3) * draw(state, DELAY_MS_MAX);
    stage_sleep_ms(draw(state, DELAY_MS_MAX));
    if (victim < 4)
        return kill_coordinator(stage, tally, away_ms);
    if (victim < 7)
        return kill_participant(stage, tally, service, away_ms);
    if (victim < 9)
        return kill_initiator(stage, tally);
    if (victim < 10)
        return kill_both(stage, tally, service, away_ms);
    if (victim < 12)
        return stop(stage, tally, draw(state, STAGE_SERVICES + 1));
    if (victim < 13)
        return freeze(stage, tally, draw(state, STAGE_SERVICES + 1), draw(state, FREEZE_MS_MAX));
    tally->paused++;
    return stage_pause_service(stage, service, (int64_t)away_ms);
}

/* A kill counts when orders go through before and after it. */
static bool run_random(struct stage *stage, const struct settings *settings, struct tally *tally)
{
    uint64_t state = settings->seed;
    for (uint64_t kill = 1; kill <= settings->kills; kill++) {
        if (stage->traffic.pid == 0)
            stage_start_traffic(stage, 0, NULL);
        if (!stage_await_confirmed(stage, stage->confirmed, 1) ||
            !kill_one(stage, settings, tally, &state))
            return false;
        stage_read_log(stage);
        if (!stage_await_confirmed(stage, stage->confirmed, 1))
            return false;
        if (kill % KILLS_AN_AUDIT != 0 && kill != settings->kills)
            continue;
        if (!stage_stop_traffic(stage) || !stage_is_sound(stage))
            return false;
        tally->audits++;
        printf("%" PRIu64 " kills, %" PRIu64 " confirmed, the audit holds\n", kill,
               stage->confirmed);
        fflush(stdout);
    }
    return true;
}

/* -- The program ------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(void)
{
    fputs("usage: kill_torture --tercetd FILE --tercetctl FILE --shop FOLDER [--seed N]\n"
          "         [--server 1 [--victims server|participant|participant+server|coordinator|"
          "coordinator+server]]\n"
          "         --kills N | --points coordinator|participant|initiator\n",
          stderr);
    exit(2);
}

static bool is_kind(const char *points)
{
    return strcmp(points, "coordinator") == 0 || strcmp(points, "participant") == 0 ||
           strcmp(points, "initiator") == 0;
}

static bool is_victim(const char *name)
{
    for (size_t i = 0; i < VICTIMS; i++)
        if (strcmp(name, victim_names[i]) == 0)
            return true;
    return false;
}

static void parse(struct settings *settings, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            usage();
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--tercetd") == 0)
            settings->tercetd = value;
        else if (strcmp(argv[i], "--tercetctl") == 0)
            settings->tercetctl = value;
        else if (strcmp(argv[i], "--shop") == 0)
            settings->shop = value;
        else if (strcmp(argv[i], "--points") == 0)
            settings->points = value;
        else if (strcmp(argv[i], "--seed") == 0)
            settings->seed = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--server") == 0)
            settings->on_server = strcmp(value, "1") == 0;
        else if (strcmp(argv[i], "--victims") == 0)
            settings->victims = value;
        else if (strcmp(argv[i], "--kills") == 0)
            settings->kills = strtoull(value, NULL, 10);
        else
            usage();
    }
    bool is_complete =
        settings->tercetd != NULL && settings->tercetctl != NULL && settings->shop != NULL;
    if (!is_complete || (settings->points == NULL) == (settings->kills == 0) ||
        (settings->points != NULL && !is_kind(settings->points)) ||
        (settings->victims != NULL && (!settings->on_server || !is_victim(settings->victims))))
        usage();
}

static void print_reproduction(const char *program, const struct settings *settings,
                               const struct stage *stage)
{
    fprintf(
        stderr,
        "VIOLATED. The same kills again: %s --tercetd %s --tercetctl %s --shop %s --seed %" PRIu64,
        program, settings->tercetd, settings->tercetctl, settings->shop, settings->seed);
    if (settings->on_server)
        fputs(" --server 1", stderr);
    if (settings->victims != NULL)
        fprintf(stderr, " --victims %s", settings->victims);
    if (settings->points != NULL)
        fprintf(stderr, " --points %s\n", settings->points);
    else
        fprintf(stderr, " --kills %" PRIu64 "\n", settings->kills);
    fprintf(stderr, "Everything of this run is in %s\n", stage->daemon.dir);
}

int main(int argc, char **argv)
{
    struct settings settings = {.seed = 0};
    struct tally tally = {0};
    struct stage stage;
    parse(&settings, argc, argv);
    if (settings.seed == 0)
        /* the buyers count on from a thousand times of it */
        settings.seed = 1 + (uint64_t)time(NULL) % 1000000;
    printf("seed %" PRIu64 "\n", settings.seed);
    bool holds = stage_open(&stage, settings.tercetd, settings.tercetctl, settings.shop,
                            settings.seed, settings.on_server);
    if (holds)
        holds = settings.points != NULL ? run_points(&stage, &settings, &tally)
                                        : run_random(&stage, &settings, &tally);
    stage_read_log(&stage);
    printf("killed: the coordinator %" PRIu64 ", participants %" PRIu64 ", initiators %" PRIu64
           ", the database server %" PRIu64 "; frozen %" PRIu64 ", stopped %" PRIu64
           ", paused %" PRIu64 "; %" PRIu64 " audits on the way; told: %" PRIu64
           " confirmed, %" PRIu64 " cancelled, %" PRIu64 " unknown at first; seed %" PRIu64 "\n",
           tally.coordinator, tally.participant, tally.initiator, tally.server, tally.frozen,
           tally.stopped, tally.paused, tally.audits, stage.confirmed, stage.cancelled,
           stage.unknown, settings.seed);
    if (!holds)
        print_reproduction(argv[0], &settings, &stage);
    stage_close(&stage, !holds);
    return holds ? 0 : 1;
}
