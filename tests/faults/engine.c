/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs: the lives of the coordinator one after another on one store, with a death ordered for some
 * of them. And the matrix: a run without a death tells how often each point is passed, so every
 * passing is known before it is died at; what a recovery passes is known from the run with one
 * death.
 */
#include "faults.h"

#include <errno.h>
#include <failpoint.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIVES_MAX 6 /* of a run without a death */
#define RESTART_MS 5
#define FORK_TRIES 1000
#define TOLD_MAX 40 /* violations of one worker that are printed */
#define VARIANTS 2  /* what a dead one had sent arrives at once, or when all is over */

struct world *world;
struct order *order;

enum outcome { RUN_ENDED, RUN_STOPPED, RUN_DIED, RUN_FAILED, RUN_REFUSED, RUN_ABORTED, RUN_WRONG };

/* -- Memory that the processes share ----------------------------------------------------------- */

static void *share(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

void engine_open(void)
{
    enum mutant mutant = order != NULL ? order->mutant : MUTANT_NONE;
    world = share(sizeof(*world));
    call_order = share(sizeof(*call_order));
    order = share(sizeof(*order));
    order->mutant = mutant;
    order->is_quiet = mutant != MUTANT_NONE;
    order->point = -1;
    order->words = memfd_create("words", 0);
    call_order->class = -1;
    directory_make();
}

void engine_close(void)
{
    directory_clear();
    rmdir(order->dir);
}

/* -- Points ------------------------------------------------------------------------------------ */

int point_count(void)
{
    int count = 0;
    while (failpoint_name((size_t)count) != NULL)
        count++;
    return count;
}

int point_find(const char *name)
{
    for (int i = 0; failpoint_name((size_t)i) != NULL; i++)
        if (strcmp(failpoint_name((size_t)i), name) == 0)
            return i;
    return -1;
}

/* -- Lives ------------------------------------------------------------------------------------- */

static bool wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool wrong(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (world->violation[0] == '\0')
        vsnprintf(world->violation, sizeof(world->violation), format, args);
    va_end(args);
    return false;
}

static enum outcome outcome_of(int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return RUN_DIED;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
        return RUN_ABORTED;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        wrong("it hangs");
    else if (WIFSIGNALED(status))
        wrong("it dies of signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) == 0)
        return world->has_ended ? RUN_ENDED : RUN_STOPPED;
    else if (WEXITSTATUS(status) == EXIT_STORE_FAILED)
        return RUN_FAILED;
    else if (WEXITSTATUS(status) == EXIT_NOT_STARTED && world->start_text[0] != '\0')
        return RUN_REFUSED;
    else
        wrong("it ends with status %d", WEXITSTATUS(status));
    return RUN_WRONG;
}

/* A machine that is busy may have no process to give just now. */
static pid_t fork_patiently(void)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    pid_t pid = fork();
    for (int i = 0; pid < 0 && i < FORK_TRIES; i++) {
        nanosleep(&pause, NULL);
        pid = fork();
    }
    if (pid < 0) {
        perror("fork");
        exit(2);
    }
    return pid;
}

static enum outcome live(struct tally *tally)
{
    int status = 0;
    fflush(NULL);
    world->start_text[0] = '\0';
    if (ftruncate(order->words, 0) != 0 || lseek(order->words, 0, SEEK_SET) != 0)
        abort();
    pid_t pid = fork_patiently();
    if (pid == 0)
        life_run();
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    tally->lives++;
    return outcome_of(status);
}

static void begin_run(const struct scenario *scenario, bool keeps_late)
{
    directory_clear();
    memset(world, 0, sizeof(*world));
    memset(call_order, 0, sizeof(*call_order));
    call_order->class = -1;
    world->scenario = scenario;
    world->now_ms = 1000;
    world->keeps_late = keeps_late;
    order->point = -1;
}

/* The life that died is over for everybody. */
static void bury(void)
{
    order->point = -1;
    call_order->class = -1;
    memset(world->passed, 0, sizeof(world->passed));
    world->now_ms += RESTART_MS;
    if (!world->keeps_late)
        return;
    for (size_t i = 0; i < world->packet_count && world->late_count < PACKETS_MAX; i++)
        world->late[world->late_count++] = world->packets[i];
    world->packet_count = 0;
}

/* Until all has ended. */
static bool finish(struct tally *tally)
{
    for (int i = 0; i < LIVES_MAX; i++) {
        enum outcome outcome = live(tally);
        if (outcome == RUN_ENDED)
            return true;
        if (outcome == RUN_REFUSED)
            return wrong("a start is refused: %s", world->start_text);
        if (outcome != RUN_STOPPED)
            return wrong("a life without a fault ends with outcome %d", outcome);
    }
    return wrong("it has not ended after %d lives", LIVES_MAX);
}

static bool die_at(int point, uint32_t passing, struct tally *tally)
{
    order->point = point;
    order->passing = passing;
    for (int i = 0; i < LIVES_MAX; i++) {
        enum outcome outcome = live(tally);
        if (outcome == RUN_DIED)
            return true;
        if (outcome == RUN_REFUSED)
            return wrong("a start is refused: %s", world->start_text);
        if (outcome != RUN_STOPPED)
            return wrong("%s is not passed %u times this time (outcome %d)",
                         failpoint_name((size_t)point), passing, outcome);
    }
    return wrong("%s is not passed within %d lives", failpoint_name((size_t)point), LIVES_MAX);
}

/* -- The matrix -------------------------------------------------------------------------------- */

static void report(struct tally *tally, const char *what)
{
    tally->violations++;
    if (order->first_violation[0] == '\0')
        snprintf(order->first_violation, sizeof(order->first_violation), "%s %s: %.160s",
                 world->scenario->name, what, world->violation);
    if (order->mutant == MUTANT_NONE && tally->violations <= TOLD_MAX)
        printf("VIOLATED: %s: %s\n  again: tercet-crash --scenario %s %s%s\n",
               world->scenario->name, world->violation, world->scenario->name, what,
               world->keeps_late ? " --late" : "");
    fflush(stdout);
}

/* SplitMix64's last steps (Steele, Lea and Flood 2014). */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The shares of the seeds 0 to share - 1 are the whole together. */
static bool is_drawn(const struct plan *plan, uint64_t a, uint64_t b, uint64_t c)
{
    return plan->share <= 1 ||
           mix((a << 40) + (b << 20) + c + 1) % plan->share == plan->seed % plan->share;
}

/* From the snapshot of a first death: every second one. `passed` are the recovery's passings. */
static void run_pairs(const struct plan *plan, int point, uint32_t passing, const uint32_t *passed,
                      struct tally *tally)
{
    char what[160];
    for (int second = 0; second < point_count(); second++)
        for (uint32_t m = 1; m <= passed[second]; m++) {
            if (!is_drawn(plan, plan->scenario << 12 | (uint64_t)point, passing,
                          (uint64_t)second << 12 | m))
                continue;
            snapshot_put_back();
            bury();
            bool holds = die_at(second, m, tally);
            bury();
            holds = holds && finish(tally);
            tally->pairs++;
            snprintf(what, sizeof(what), "--at %s:%u,%s:%u", failpoint_name((size_t)point), passing,
                     failpoint_name((size_t)second), m);
            if (!holds)
                report(tally, what);
        }
}

static void run_single(const struct plan *plan, int point, uint32_t passing, bool keeps_late,
                       struct tally *tally)
{
    uint32_t passed[POINTS_MAX];
    char what[96];
    begin_run(&scenarios[plan->scenario], keeps_late);
    bool holds = die_at(point, passing, tally);
    bool leads_to_pairs =
        plan->runs_pairs && holds && keeps_late == ((unsigned)point + passing) % VARIANTS;
    if (leads_to_pairs)
        snapshot_take();
    bury();
    holds = holds && finish(tally);
    tally->singles++;
    snprintf(what, sizeof(what), "--at %s:%u", failpoint_name((size_t)point), passing);
    if (!holds) {
        report(tally, what);
        return;
    }
    memcpy(passed, world->passed, sizeof(passed));
    if (leads_to_pairs)
        run_pairs(plan, point, passing, passed, tally);
}

/* A mutant is found once. */
static bool is_enough(const struct tally *tally)
{
    return order->mutant != MUTANT_NONE && tally->violations > 0;
}

/* -- Calls that fail --------------------------------------------------------------------------- */

/* Whether the last life has said this. */
static bool has_said(const char *text)
{
    char words[4096];
    ssize_t size = pread(order->words, words, sizeof(words) - 1, 0);
    words[size > 0 ? size : 0] = '\0';
    return strstr(words, text) != NULL;
}

/* A person who reads this throws the store away. (A file from which less is read than was asked for
 * does look cut.) */
static bool blames_the_store(const char *text)
{
    return strstr(text, "damaged") != NULL || strstr(text, "backup") != NULL ||
           strstr(text, "another program") != NULL;
}

/* Memory that is short may end the process by abort, but not by an assertion; nothing else may. */
static bool is_fail_stop(enum outcome outcome, int class)
{
    bool is_short_of_memory =
        outcome == RUN_ABORTED && class == CLASS_ALLOC && !has_said("Assertion");
    return outcome == RUN_FAILED || outcome == RUN_REFUSED || outcome == RUN_DIED ||
           is_short_of_memory;
}

/* The lives up to the one that the fault meets, and what becomes of it. */
static bool fail_call(struct tally *tally)
{
    int class = call_order->class;
    for (int i = 0; i < LIVES_MAX; i++) {
        enum outcome outcome = live(tally);
        bool goes_on = outcome == RUN_ENDED || outcome == RUN_STOPPED;
        tally->calls_unnoticed += outcome == RUN_ENDED;
        tally->calls_failed_stop += !goes_on && outcome != RUN_REFUSED;
        tally->calls_refused_start += outcome == RUN_REFUSED;
        if (!goes_on && !is_fail_stop(outcome, class))
            return wrong("it ends with outcome %d", outcome);
        if (outcome == RUN_REFUSED && call_order->error != CALL_SHORT &&
            blames_the_store(world->start_text))
            return wrong("a store that is whole is called damaged: %s", world->start_text);
        if (outcome == RUN_ENDED)
            return call_order->hits > 0 || wrong("the call was not made this time");
        if (!goes_on) {
            bury();
            return finish(tally);
        }
        if (call_order->hits > 0)
            call_order->class = -1;
    }
    return wrong("it has not ended after %d lives", LIVES_MAX);
}

static bool run_call(const struct scenario *scenario, const struct call_order *wanted,
                     struct tally *tally)
{
    begin_run(scenario, wanted->nth % VARIANTS == 1);
    call_order->class = wanted->class;
    call_order->error = wanted->error;
    call_order->nth = wanted->nth;
    call_order->is_sticky = wanted->is_sticky;
    tally->calls++;
    return fail_call(tally);
}

static void run_class(const struct plan *plan, int class, uint32_t count, struct tally *tally)
{
    char what[96];
    for (const int *error = class_errors(class); *error != 0; error++)
        for (int is_sticky = 0;
             is_sticky < (*error == CALL_KILL || *error == CALL_KILL_AFTER ? 1 : 2); is_sticky++)
            for (uint32_t nth = 1; nth <= count && !is_enough(tally); nth++) {
                struct call_order wanted = {
                    .class = class, .error = *error, .nth = nth, .is_sticky = is_sticky};
                if (!is_drawn(plan, plan->scenario << 12 | (uint64_t) class,
                              (uint64_t)(*error + 8) << 1 | (uint64_t)is_sticky, nth))
                    continue;
                if (run_call(&scenarios[plan->scenario], &wanted, tally))
                    continue;
                snprintf(what, sizeof(what), "--call %s:%s:%u%s", class_name(class),
                         error_name(*error), nth, is_sticky ? ":on" : "");
                report(tally, what);
            }
}

static void run_calls(const struct plan *plan, struct tally *tally)
{
    uint32_t counts[CLASSES];
    begin_run(&scenarios[plan->scenario], false);
    if (!finish(tally)) {
        report(tally, "");
        return;
    }
    memcpy(counts, call_order->counts, sizeof(counts));
    for (int class = 0; class < CLASSES; class ++)
        run_class(plan, class, counts[class], tally);
}

/* -- From outside ------------------------------------------------------------------------------ */

void engine_run(const struct plan *plan, struct tally *tally)
{
    uint32_t passed[POINTS_MAX];
    if (plan->runs_calls) {
        run_calls(plan, tally);
        return;
    }
    begin_run(&scenarios[plan->scenario], false);
    if (!finish(tally)) {
        report(tally, "");
        return;
    }
    memcpy(passed, world->passed, sizeof(passed));
    for (int point = 0; point < point_count(); point++)
        for (uint32_t n = 1; n <= passed[point]; n++)
            for (int variant = 0; variant < VARIANTS && !is_enough(tally); variant++)
                run_single(plan, point, n, variant == 1, tally);
}

static bool die_as_told(const char *at, struct tally *tally)
{
    char name[64];
    uint32_t passing = 0;
    int used = 0;
    while (sscanf(at, "%63[^:]:%u%n", name, &passing, &used) == 2) {
        if (point_find(name) < 0)
            return wrong("there is no point %s", name);
        bool has_died = die_at(point_find(name), passing, tally);
        bury();
        if (!has_died)
            return false;
        at += used;
        if (*at != ',')
            return finish(tally);
        at++;
    }
    return wrong("--at takes POINT:N[,POINT:M]");
}

bool engine_repeat(size_t scenario, const char *at, bool keeps_late, struct tally *tally)
{
    begin_run(&scenarios[scenario], keeps_late);
    return die_as_told(at, tally);
}

static bool parse_call(struct call_order *wanted, const char *what)
{
    char class[16], error[16], on[4] = "";
    *wanted = (struct call_order){.class = -1};
    if (sscanf(what, "%15[^:]:%15[^:]:%u:%3s", class, error, &wanted->nth, on) < 3)
        return false;
    wanted->is_sticky = on[0] != '\0';
    for (int i = 0; i < CLASSES; i++)
        for (const int *code = class_errors(i); *code != 0; code++)
            if (strcmp(class_name(i), class) == 0 && strcmp(error_name(*code), error) == 0) {
                wanted->class = i;
                wanted->error = *code;
            }
    return wanted->class >= 0;
}

bool engine_repeat_call(size_t scenario, const char *what, struct tally *tally)
{
    struct call_order wanted;
    if (!parse_call(&wanted, what))
        return wrong("--call takes CLASS:ERROR:N[:on]");
    return run_call(&scenarios[scenario], &wanted, tally);
}
