/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes images from a write log and judges them. The images are dealt out to workers, each in the
 * order of the cuts, so that the log is gone through once. A worker is a process: an image that
 * kills the judge, or keeps it for ever, is a violation, and the next worker goes on behind it.
 */
#include "image.h"
#include "judge.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX 16
#define IMAGE_SECONDS_MAX 60
#define READ_ALL_EVERY 16
#define SHOWN_MAX 10 /* violations in full */
#define NONE UINT64_MAX

struct settings {
    const char *log_path, *folder;
    uint64_t images, seed, jobs, only, retention_ms, enough;
    bool is_deaf_to_data, is_deaf_to_dsync;
};

/* A worker's, in memory that its parent sees. */
struct tally {
    uint64_t next; /* of its plans; the one before is being judged, or was */
    uint64_t images, unsure, kept, torn, opened;
    uint64_t told, decided, over, live, resolved;
    uint64_t checks, violations;
};

struct run {
    struct settings settings;
    struct power_log log;
    struct truth truth;
    struct image_plan *plans; /* by cut */
    struct tally *tallies;
    uint64_t *hashes; /* of the images, by index */
    char folder[256];
};

__attribute__((noreturn)) static void fail(const char *what)
{
    fprintf(stderr, "power_images: %s\n", what);
    exit(2);
}

/* -- A worker ---------------------------------------------------------------------------------- */

static void violated(const struct run *run, struct tally *tally, const struct image_plan *plan,
                     const char *text)
{
    if (tally->violations++ < SHOWN_MAX)
        fprintf(stderr,
                "VIOLATED by image %" PRIu64
                " (cut at %zu of %zu, way %d): %s\n  again: --seed %" PRIu64 " --only %" PRIu64
                "\n",
                plan->index, plan->cut, run->log.count, (int)plan->way, text, run->settings.seed,
                plan->index);
}

/* Applies the records up to the cut. */
static void advance(const struct run *run, struct model *model, size_t *at, size_t cut)
{
    for (; *at < cut; ++*at) {
        const char *wrong = model_apply(model, power_log_at(&run->log, *at));
        if (wrong != NULL) {
            fprintf(stderr, "power_images: record %zu: %s\n", *at, wrong);
            exit(2);
        }
    }
}

static void add_judged(struct tally *tally, const struct judge *judge, const struct image *image)
{
    tally->unsure += image->unsure;
    tally->kept += image->kept;
    tally->torn += image->torn > 0;
    tally->told = judge->told;
    tally->decided = judge->decided;
    tally->over = judge->over;
    tally->live = judge->live;
    tally->resolved = judge->resolved;
}

static void judge_one(struct run *run, struct tally *tally, struct judge *judge,
                      struct image *image, const struct model *model, const struct image_plan *plan,
                      const char *folder)
{
    image_make(image, model, plan, folder);
    run->hashes[plan->index] = image->hash;
    alarm(IMAGE_SECONDS_MAX);
    tally->images++;
    if (judge_image(judge, folder, plan->cut, plan->index % READ_ALL_EVERY == 0))
        tally->opened++;
    else
        violated(run, tally, plan, judge->text);
    alarm(0);
    add_judged(tally, judge, image);
}

static void work(struct run *run, uint64_t worker)
{
    const struct settings *settings = &run->settings;
    struct tally *tally = &run->tallies[worker], before = *tally;
    struct judge judge = {
        .truth = &run->truth, .log = &run->log, .retention_ms = (int64_t)settings->retention_ms};
    struct image image = {0};
    static struct model model;
    char folder[300];
    size_t at = 0;
    judge.told = before.told, judge.decided = before.decided, judge.over = before.over;
    judge.live = before.live, judge.resolved = before.resolved;
    snprintf(folder, sizeof(folder), "%s/%" PRIu64, run->folder, worker);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        fail(folder);
    model_init(&model);
    model.trusts_data_sync = !settings->is_deaf_to_data;
    model.trusts_dsync = !settings->is_deaf_to_dsync;
    while (tally->next < settings->images &&
           (settings->enough == 0 || tally->violations < settings->enough)) {
        const struct image_plan *plan = &run->plans[tally->next++];
        bool is_dealt = (tally->next - 1) % settings->jobs == worker;
        bool is_mine = settings->only == NONE ? is_dealt : plan->index == settings->only;
        if (!is_mine)
            continue;
        advance(run, &model, &at, plan->cut);
        truth_advance(&run->truth, plan->cut);
        judge_one(run, tally, &judge, &image, &model, plan, folder);
    }
    advance(run, &model, &at, run->log.count);
    tally->checks = model.checks;
    model_free(&model);
    image_free(&image);
}

/* -- All workers ------------------------------------------------------------------------------- */

static pid_t start_worker(struct run *run, uint64_t worker)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        fail("fork");
    if (pid > 0)
        return pid;
    work(run, worker);
    _exit(0);
}

/* Whether another one must go on. */
static bool worker_has_died(struct run *run, uint64_t worker, int status)
{
    char text[64];
    struct tally *tally = &run->tallies[worker];
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return false;
    if (WIFEXITED(status))
        exit(WEXITSTATUS(status));
    snprintf(text, sizeof(text), "the judge died of signal %d", WTERMSIG(status));
    violated(run, tally, &run->plans[tally->next - 1], text);
    return true;
}

static void run_workers(struct run *run)
{
    pid_t pids[JOBS_MAX];
    uint64_t running = run->settings.jobs;
    for (uint64_t i = 0; i < run->settings.jobs; i++)
        pids[i] = start_worker(run, i);
    while (running > 0) {
        int status;
        uint64_t i = 0;
        pid_t pid = wait(&status);
        while (i < run->settings.jobs && pids[i] != pid)
            i++;
        if (pid < 0 || i == run->settings.jobs)
            fail("wait");
        if (worker_has_died(run, i, status))
            pids[i] = start_worker(run, i);
        else
            running--;
    }
}

/* -- Before and after -------------------------------------------------------------------------- */

static int compare_cuts(const void *a, const void *b)
{
    const struct image_plan *x = a, *y = b;
    if (x->cut != y->cut)
        return x->cut < y->cut ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void *shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail("mmap");
    return memory;
}

static void make_plans(struct run *run)
{
    struct image_places places;
    uint64_t count = run->settings.images;
    image_places_find(&places, &run->log);
    run->plans = calloc(count + 1, sizeof(*run->plans));
    if (run->plans == NULL)
        fail("out of memory");
    for (uint64_t i = 0; i < count; i++)
        run->plans[i] = image_plan(&run->log, &places, run->settings.seed, i);
    qsort(run->plans, count, sizeof(*run->plans), compare_cuts);
    free(places.items);
}

/* Of the images that were made. */
static uint64_t count_cuts(const struct run *run)
{
    uint64_t count = 0;
    size_t last = SIZE_MAX;
    for (uint64_t i = 0; i < run->settings.images; i++)
        if (run->hashes[run->plans[i].index] != 0 && run->plans[i].cut != last) {
            last = run->plans[i].cut;
            count++;
        }
    return count;
}

/* Sorts the hashes. */
static uint64_t count_different(struct run *run)
{
    uint64_t count = 0;
    qsort(run->hashes, run->settings.images, sizeof(*run->hashes), compare_numbers);
    for (uint64_t i = 0; i < run->settings.images; i++)
        count += run->hashes[i] != 0 && (i == 0 || run->hashes[i] != run->hashes[i - 1]);
    return count;
}

static struct tally sum_up(const struct run *run)
{
    struct tally sum = {0};
    for (uint64_t i = 0; i < run->settings.jobs; i++) {
        const struct tally *tally = &run->tallies[i];
        sum.images += tally->images, sum.unsure += tally->unsure, sum.kept += tally->kept,
            sum.torn += tally->torn;
        sum.opened += tally->opened, sum.told += tally->told, sum.decided += tally->decided,
            sum.over += tally->over;
        sum.live += tally->live, sum.resolved += tally->resolved,
            sum.violations += tally->violations;
        sum.checks = tally->checks > sum.checks ? tally->checks : sum.checks;
    }
    return sum;
}

static void report(struct run *run, const struct tally *sum)
{
    uint64_t cuts = count_cuts(run), different = count_different(run);
    printf(
        "log: %zu records, %zu transactions; the recorder was compared with the real file %" PRIu64
        " times\n",
        run->log.count, run->truth.count, sum->checks);
    printf("looked for: %" PRIu64 " acknowledged transactions in all images, %" PRIu64
           " of them with a decision, %" PRIu64 " past their retention; found: %" PRIu64
           " %s and %" PRIu64 " %s\n",
           sum->told, sum->decided, sum->over, sum->live, judge_words[0], sum->resolved,
           judge_words[1]);
    printf("%" PRIu64 " images (%" PRIu64 " different), %" PRIu64 " cuts, %" PRIu64
           " with torn writes, %" PRIu64 " of %" PRIu64 " unsynced writes kept, %" PRIu64
           " opened and whole, %" PRIu64 " violations; seed %" PRIu64 "\n",
           sum->images, different, cuts, sum->torn, sum->kept, sum->unsure, sum->opened,
           sum->violations, run->settings.seed);
}

/* -- The program ------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(void)
{
    fputs("usage: power_images --log FILE --folder NEW_FOLDER [--images N] [--seed S] [--jobs N] "
          "[--retention-ms N]\n"
          "         [--only IMAGE]            one image of them, which is left in the folder\n"
          "         [--deaf-to data|dsync]    a disk that does not do these syncs: this must be "
          "found\n"
          "         [--enough N]              a worker ends after so many violations\n",
          stderr);
    exit(2);
}

static void take_option(struct settings *settings, const char *name, const char *value)
{
    uint64_t number = strtoull(value, NULL, 10);
    if (strcmp(name, "--log") == 0)
        settings->log_path = value;
    else if (strcmp(name, "--folder") == 0)
        settings->folder = value;
    else if (strcmp(name, "--images") == 0)
        settings->images = number;
    else if (strcmp(name, "--seed") == 0)
        settings->seed = number;
    else if (strcmp(name, "--jobs") == 0 && number > 0 && number <= JOBS_MAX)
        settings->jobs = number;
    else if (strcmp(name, "--retention-ms") == 0)
        settings->retention_ms = number;
    else if (strcmp(name, "--only") == 0)
        settings->only = number, settings->jobs = 1;
    else if (strcmp(name, "--enough") == 0)
        settings->enough = number;
    else if (strcmp(name, "--deaf-to") == 0 && strcmp(value, "data") == 0)
        settings->is_deaf_to_data = true;
    else if (strcmp(name, "--deaf-to") == 0 && strcmp(value, "dsync") == 0)
        settings->is_deaf_to_dsync = true;
    else
        usage();
}

int main(int argc, char **argv)
{
    static struct run run = {
        .settings = {.images = 20000, .seed = 1, .jobs = 2, .only = NONE, .retention_ms = 1000}};
    for (int i = 1; i < argc; i += 2)
        take_option(&run.settings, argv[i], i + 1 < argc ? argv[i + 1] : (usage(), ""));
    if (run.settings.log_path == NULL || run.settings.folder == NULL)
        usage();
    snprintf(run.folder, sizeof(run.folder), "%.200s", run.settings.folder);
    if (mkdir(run.folder, 0700) != 0)
        fail(run.folder);
    power_log_read(&run.log, run.settings.log_path);
    truth_read(&run.truth, &run.log);
    make_plans(&run);
    run.tallies = shared(run.settings.jobs * sizeof(*run.tallies));
    run.hashes = shared((run.settings.images + 1) * sizeof(*run.hashes));
    run_workers(&run);
    struct tally sum = sum_up(&run);
    if (run.truth.wrong != NULL) {
        fprintf(stderr, "VIOLATED: both decisions were told of %s\n", run.truth.wrong);
        sum.violations++;
    }
    report(&run, &sum);
    truth_free(&run.truth);
    power_log_free(&run.log);
    free(run.plans);
    return sum.violations == 0 ? 0 : 1;
}
