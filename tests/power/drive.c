/* SPDX-License-Identifier: Apache-2.0
 *
 * Starts the real tercetd on some of the images, with participants that know what they knew when
 * the power went, and drives everything to its end: what had been told holds, each transaction ends
 * in one way, and each branch whose try had an effect ends once.
 */
#include "image.h"
#include "process.h"
#include "truth.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tercet/tercet.h>
#include <time.h>

#define READY_MS 60000
#define END_MS 60000
#define BRANCHES 4 /* numbers 0..3; the traffic has up to three */
#define SERVICES 3

/* What a participant's hooks have done, before the cut and since. */
struct effects {
    unsigned tried, confirmed, cancelled;
};

struct drive {
    const char *tercetd, *log_path, *folder;
    uint64_t samples, seed;
    int64_t retention_ms;
    struct power_log log;
    struct truth truth;
    struct effects (*effects)[BRANCHES]; /* by transaction */
    pthread_mutex_t lock;                /* of the effects */
    struct process daemon;
    struct tercet_client *client;
    struct tercet_barrier *barrier; /* one for all services: its rows are a gid's and a branch's */
    struct tercet_participant *participants[SERVICES];
    uint64_t ended, driven; /* transactions looked at, and of them, those that were under way */
};

static bool fail(const char *what, const char *more)
{
    fprintf(stderr, "power_drive: %s %s\n", what, more);
    return false;
}

/* -- Participants ------------------------------------------------------------------------------ */

static void add_effect(struct drive *drive, const char *gid, uint32_t branch, enum tercet_kind kind)
{
    const struct truth_txn *txn = truth_find(&drive->truth, gid);
    if (txn == NULL || branch >= BRANCHES)
        abort();
    pthread_mutex_lock(&drive->lock);
    struct effects *effects = &drive->effects[txn - drive->truth.txns][branch];
    effects->tried += kind == TERCET_TRY;
    effects->confirmed += kind == TERCET_CONFIRM;
    effects->cancelled += kind == TERCET_CANCEL;
    pthread_mutex_unlock(&drive->lock);
}

/* As the traffic's: 'n' is refused. */
static int on_call(const struct tercet_call *call, void *ctx)
{
    char first = call->payload.size > 0 ? *(const char *)call->payload.data : '\0';
    if (call->kind == TERCET_TRY && first == 'n')
        return tercet_refuse(call, "sold out");
    add_effect(ctx, call->gid, call->branch.number, call->kind);
    return 0;
}

static int on_replay(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)db;
    add_effect(ctx, call->gid, call->branch, call->kind);
    return 0;
}

/* The rows that the hooks had made when the power went: at a coordinator's loss of power the
 * participants live on. */
static bool replay_hooks(struct drive *drive, size_t cut)
{
    static const enum tercet_kind kinds[] = {
        [HOOK_TRY] = TERCET_TRY, [HOOK_CONFIRM] = TERCET_CONFIRM, [HOOK_CANCEL] = TERCET_CANCEL};
    memset(drive->effects, 0, drive->truth.count * sizeof(*drive->effects));
    for (size_t i = 0; i < drive->truth.fact_count && drive->truth.facts[i].at < cut; i++) {
        const struct power_mark *mark = drive->truth.facts[i].mark;
        if (mark->told != HOOK_TRY && mark->told != HOOK_CONFIRM && mark->told != HOOK_CANCEL)
            continue;
        struct tercet_branch_id branch = {mark->branch};
        if (tercet_barrier_guard(drive->barrier, kinds[mark->told], mark->gid, branch, 0, on_replay,
                                 drive, NULL) != 0)
            return fail("the participants contradict themselves at", mark->gid);
    }
    return true;
}

static bool open_participants(struct drive *drive, const char *address)
{
    static const char *const services[SERVICES] = {"stock", "payment", "order"};
    static const struct tercet_action action = {
        .name = "do", .on_try = on_call, .on_confirm = on_call, .on_cancel = on_call};
    struct tercet_participant_options options = {
        .size = sizeof(options), .ctx = drive, .barrier = drive->barrier};
    char text[TERCET_TEXT_MAX] = "";
    for (size_t i = 0; i < SERVICES; i++)
        if (tercet_participant_open(&drive->participants[i], address, services[i], &action, 1,
                                    &options, text) != 0 ||
            tercet_participant_wait(drive->participants[i], READY_MS, text) != 0)
            return fail(services[i], text);
    return true;
}

/* -- To the end -------------------------------------------------------------------------------- */

static bool has_ended(const struct tercet_result *result)
{
    return result->state == TERCET_CONFIRMED || result->state == TERCET_CANCELLED;
}

/* Waits until it has ended, if it is known. */
static bool await_end(struct drive *drive, const struct truth_txn *txn,
                      struct tercet_result *result)
{
    int rc = tercet_await(drive->client, txn->gid, TERCET_WAIT_RESOLVED, END_MS, result);
    return rc == TERCET_NOT_FOUND || (rc == 0 && has_ended(result)) ||
           fail("does not end:", txn->gid);
}

/* Before there are participants, so that nothing ends meanwhile but by a deadline. */
static void count_under_way(struct drive *drive)
{
    for (size_t i = 0; i < drive->truth.count && drive->truth.txns[i].claim.is_begun; i++) {
        struct tercet_result result = {0};
        int rc = tercet_get(drive->client, drive->truth.txns[i].gid, &result);
        drive->driven += rc == 0 && !has_ended(&result);
    }
}

static bool check_effects(struct drive *drive, const struct truth_txn *txn, bool is_confirmed)
{
    bool is_right = true;
    pthread_mutex_lock(&drive->lock);
    for (size_t i = 1; i < BRANCHES; i++) {
        const struct effects *effects = &drive->effects[txn - drive->truth.txns][i];
        unsigned wanted = effects->tried;
        is_right = is_right && effects->tried <= 1 &&
                   effects->confirmed == (is_confirmed ? wanted : 0) &&
                   effects->cancelled == (is_confirmed ? 0 : wanted);
    }
    pthread_mutex_unlock(&drive->lock);
    return is_right || fail("a branch did not end once, or in the wrong way:", txn->gid);
}

static bool check_txn(struct drive *drive, const struct truth_txn *txn, int64_t cut_ms)
{
    struct tercet_result result = {0};
    if (!await_end(drive, txn, &result))
        return false;
    if (!has_ended(&result)) {
        bool may_be_gone =
            !txn->claim.is_known || txn->claim.touched_ms <= cut_ms - drive->retention_ms;
        return may_be_gone || fail("was acknowledged, and is missing:", txn->gid);
    }
    bool is_confirmed = result.state == TERCET_CONFIRMED;
    if (txn->claim.decision != 0 && is_confirmed != (txn->claim.decision == TOLD_CONFIRM))
        return fail("was acknowledged in one way, and ended in the other:", txn->gid);
    drive->ended++;
    return check_effects(drive, txn, is_confirmed);
}

static bool check_all(struct drive *drive, size_t cut)
{
    int64_t cut_ms = cut > 0 ? power_log_at(&drive->log, cut - 1)->time_ms : 0;
    for (size_t i = 0; i < drive->truth.count && drive->truth.txns[i].claim.is_begun; i++)
        if (!check_txn(drive, &drive->truth.txns[i], cut_ms))
            return false;
    return true;
}

/* -- One image --------------------------------------------------------------------------------- */

static bool start_daemon(struct drive *drive, const char *folder, char address[64])
{
    char line[PROCESS_LINE_MAX], errors[400];
    const char *const argv[] = {
        drive->tercetd, "--data", folder,        "--listen", "127.0.0.1:0", "--quiet",
        "--store-size", "1G",     "--retention", "1h",       NULL};
    snprintf(errors, sizeof(errors), "%s/tercetd.log", drive->folder);
    process_start(&drive->daemon, argv, errors, NULL);
    if (!process_line(&drive->daemon, "ready ", line, READY_MS))
        return fail("tercetd does not start on", folder);
    snprintf(address, 64, "%.60s", line + strlen("ready "));
    return true;
}

static bool drive_daemon(struct drive *drive, const char *folder, size_t cut)
{
    struct tercet_client_options options = {.size = sizeof(options), .timeout_ms = END_MS};
    char address[64];
    if (!start_daemon(drive, folder, address) ||
        tercet_client_open(&drive->client, address, &options, NULL) != 0)
        return false;
    count_under_way(drive);
    return open_participants(drive, address) && check_all(drive, cut);
}

static bool drive_image(struct drive *drive, const char *folder, size_t cut)
{
    if (tercet_barrier_memory_open(&drive->barrier, NULL) != 0)
        return fail("no barrier", "");
    bool holds = replay_hooks(drive, cut) && drive_daemon(drive, folder, cut);
    int status = process_end(&drive->daemon, SIGTERM);
    for (size_t i = 0; i < SERVICES; i++) {
        tercet_participant_close(drive->participants[i]);
        drive->participants[i] = NULL;
    }
    tercet_client_close(drive->client);
    drive->client = NULL;
    tercet_barrier_close(drive->barrier);
    return holds && ((WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
                     fail("tercetd does not end well on", folder));
}

static int compare_cuts(const void *a, const void *b)
{
    size_t x = ((const struct image_plan *)a)->cut, y = ((const struct image_plan *)b)->cut;
    return x < y ? -1 : x > y;
}

static struct image_plan *make_plans(const struct drive *drive)
{
    struct image_places places;
    struct image_plan *plans = calloc(drive->samples, sizeof(*plans));
    if (plans == NULL)
        abort();
    image_places_find(&places, &drive->log);
    for (uint64_t i = 0; i < drive->samples; i++)
        plans[i] = image_plan(&drive->log, &places, drive->seed, i);
    qsort(plans, drive->samples, sizeof(*plans), compare_cuts);
    free(places.items);
    return plans;
}

static bool drive_images(struct drive *drive)
{
    static struct model model;
    struct image image = {0};
    struct image_plan *plans = make_plans(drive);
    char folder[300];
    bool holds = true;
    size_t at = 0;
    model_init(&model);
    for (uint64_t i = 0; holds && i < drive->samples; i++) {
        snprintf(folder, sizeof(folder), "%.200s/%" PRIu64, drive->folder, plans[i].index);
        for (; holds && at < plans[i].cut; at++)
            holds = model_apply(&model, power_log_at(&drive->log, at)) == NULL;
        truth_advance(&drive->truth, plans[i].cut);
        holds = holds && mkdir(folder, 0700) == 0;
        if (holds)
            image_make(&image, &model, &plans[i], folder);
        holds = holds && drive_image(drive, folder, plans[i].cut);
    }
    image_free(&image);
    model_free(&model);
    free(plans);
    return holds;
}

/* -- The program ------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(void)
{
    fputs("usage: power_drive --tercetd FILE --log FILE --folder NEW_FOLDER [--samples N] [--seed "
          "S]\n"
          "         [--retention-ms N]\n",
          stderr);
    exit(2);
}

static void take_option(struct drive *drive, const char *name, const char *value)
{
    if (strcmp(name, "--tercetd") == 0)
        drive->tercetd = value;
    else if (strcmp(name, "--log") == 0)
        drive->log_path = value;
    else if (strcmp(name, "--folder") == 0)
        drive->folder = value;
    else if (strcmp(name, "--samples") == 0)
        drive->samples = strtoull(value, NULL, 10);
    else if (strcmp(name, "--seed") == 0)
        drive->seed = strtoull(value, NULL, 10);
    else if (strcmp(name, "--retention-ms") == 0)
        drive->retention_ms = strtoll(value, NULL, 10);
    else
        usage();
}

int main(int argc, char **argv)
{
    static struct drive drive = {
        .samples = 10, .seed = 1, .retention_ms = 1000, .lock = PTHREAD_MUTEX_INITIALIZER};
    for (int i = 1; i < argc; i += 2)
        take_option(&drive, argv[i], i + 1 < argc ? argv[i + 1] : (usage(), ""));
    if (drive.tercetd == NULL || drive.log_path == NULL || drive.folder == NULL ||
        drive.samples == 0)
        usage();
    if (mkdir(drive.folder, 0700) != 0) {
        perror(drive.folder);
        return 2;
    }
    power_log_read(&drive.log, drive.log_path);
    truth_read(&drive.truth, &drive.log);
    drive.effects = calloc(drive.truth.count + 1, sizeof(*drive.effects));
    bool holds = drive.effects != NULL && drive_images(&drive);
    printf("%" PRIu64 " images driven to the end by tercetd: %" PRIu64 " transactions, %" PRIu64
           " of them under way when the power went: %s; seed %" PRIu64 "\n",
           drive.samples, drive.ended, drive.driven, holds ? "all as acknowledged" : "VIOLATED",
           drive.seed);
    free(drive.effects);
    truth_free(&drive.truth);
    power_log_free(&drive.log);
    return holds ? 0 : 1;
}
