/* SPDX-License-Identifier: Apache-2.0
 *
 * tercet-sim: one seed with a readable trace, or many with a count of what went wrong in them; and
 * the mutants.
 */
#include "sim.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_AT_ONCE_MAX 64
#define PAIR_REACH 40                 /* places from the first crash to the second */
#define CONFIRMED_RUNS_PERCENT_MIN 50 /* of all runs: else the faults leave nothing to look at */

struct arguments {
    uint64_t first_seed, runs;
    int jobs;
    struct run_plan plan; /* of one run */
    const char *seeds;    /* the file */
    bool one, mutants, points, pairs;
};

static const char usage[] =
    "usage: tercet-sim --seed N                                one run, with its trace\n"
    "       tercet-sim [--first-seed N] [--runs M] [--jobs J]  many runs; exit status 1 with any "
    "violation\n"
    "       tercet-sim --seeds FILE                            the seeds that are kept, a line "
    "each\n"
    "       tercet-sim --crash-points|--crash-pairs [...]      M seeds without other faults: a "
    "crash at every place (or two)\n"
    "       tercet-sim --mutants [--runs M]                    every mutant must be found within M "
    "seeds\n"
    "       --late-finds                                       a store that answers later\n"
    "       --mutant NAME                                      puts a fault into the product\n"
    "       --crash-at N[,M]                                   with --seed: a calm run that "
    "crashes at these places\n";

static const char *fault_text(int fault)
{
    static const char *const texts[] = {
#define FAULT_TEXT(name, text) [FAULT_##name] = text,
        FAULT_MAP(FAULT_TEXT)
#undef FAULT_TEXT
    };
    return texts[fault];
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static enum mutant mutant_of(const char *name)
{
    for (int mutant = 0; mutant < MUTANTS; mutant++)
        if (strcmp(mutants[mutant].name, name) == 0)
            return (enum mutant)mutant;
    fprintf(stderr, "tercet-sim: there is no mutant %s\n", name);
    exit(2);
}

static void parse_places(struct run_plan *plan, const char *text)
{
    char *end;
    plan->is_calm = true;
    plan->crash_at[0] = strtoull(text, &end, 10);
    plan->crash_at[1] = *end == ',' ? strtoull(end + 1, NULL, 10) : 0;
}

static void take(struct arguments *a, int option, const char *value)
{
    switch (option) {
    case 's':
        a->one = true;
        a->first_seed = strtoull(value, NULL, 10);
        break;
    case 'f':
        a->first_seed = strtoull(value, NULL, 10);
        break;
    case 'r':
        a->runs = strtoull(value, NULL, 10);
        break;
    case 'j':
        a->jobs = atoi(value) < 1                  ? 1
                  : atoi(value) > JOBS_AT_ONCE_MAX ? JOBS_AT_ONCE_MAX
                                                   : atoi(value);
        break;
    case 'm':
        a->plan.mutant = mutant_of(value);
        break;
    case 'a':
        a->mutants = true;
        break;
    case 'k':
        a->seeds = value;
        break;
    case 'c':
        parse_places(&a->plan, value);
        break;
    case 'p':
        a->points = a->plan.is_calm = true;
        break;
    case 'q':
        a->points = a->pairs = a->plan.is_calm = true;
        break;
    case 'l':
        a->plan.has_late_store = true;
        break;
    default:
        fputs(usage, stderr);
        exit(2);
    }
}

static struct arguments parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},   {"first-seed", required_argument, NULL, 'f'},
        {"runs", required_argument, NULL, 'r'},   {"jobs", required_argument, NULL, 'j'},
        {"mutant", required_argument, NULL, 'm'}, {"mutants", no_argument, NULL, 'a'},
        {"seeds", required_argument, NULL, 'k'},  {"crash-at", required_argument, NULL, 'c'},
        {"crash-points", no_argument, NULL, 'p'}, {"crash-pairs", no_argument, NULL, 'q'},
        {"late-finds", no_argument, NULL, 'l'},   {NULL, 0, NULL, 0}};
    struct arguments a = {.first_seed = 1, .runs = 1000, .jobs = 1};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        take(&a, option, optarg);
    return a;
}

/* A crash at every place that the run passes; for pairs, a second at each of the places that come
 * next. */
static void run_points(struct run_plan plan, bool pairs, struct totals_of_runs *totals)
{
    uint64_t places = world_run(&plan, totals);
    totals->points += places;
    for (uint64_t first = 1; first <= places; first++) {
        plan.crash_at[0] = first;
        plan.crash_at[1] = 0;
        world_run(&plan, totals);
        for (uint64_t second = first + 1; pairs && second <= first + PAIR_REACH; second++) {
            plan.crash_at[1] = second;
            world_run(&plan, totals);
        }
    }
}

/* Every jobs-th seed, from the one given. */
static void run_slice(const struct arguments *a, int job, struct totals_of_runs *totals)
{
    for (uint64_t i = (uint64_t)job; i < a->runs; i += (uint64_t)a->jobs) {
        struct run_plan plan = a->plan;
        plan.seed = a->first_seed + i;
        if (a->points)
            run_points(plan, a->pairs, totals);
        else
            world_run(&plan, totals);
    }
}

static int start_slice(const struct arguments *a, int job)
{
    int ends[2];
    fflush(NULL);
    if (pipe(ends) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        struct totals_of_runs totals = {0};
        run_slice(a, job, &totals);
        fflush(NULL);
        _exit(write(ends[1], &totals, sizeof(totals)) == (ssize_t)sizeof(totals) ? 0 : 2);
    }
    close(ends[1]);
    return pid > 0 ? ends[0] : -1;
}

static void add(struct totals_of_runs *sum, const struct totals_of_runs *part)
{
    sum->runs += part->runs;
    sum->empty_runs += part->empty_runs;
    sum->violations += part->violations;
    sum->events += part->events;
    sum->begun += part->begun;
    sum->confirmed += part->confirmed;
    sum->cancelled += part->cancelled;
    sum->calls += part->calls;
    sum->restarts += part->restarts;
    for (int i = 0; i < FAULTS; i++)
        sum->faults[i] += part->faults[i];
    sum->points += part->points;
    if (part->rest_us_most > sum->rest_us_most)
        sum->rest_us_most = part->rest_us_most;
    if (part->violations > 0 &&
        (sum->first_failed.seed == 0 || part->first_failed.seed < sum->first_failed.seed))
        sum->first_failed = part->first_failed;
}

/* A child that dies took its seeds with it: that is a failure, too. */
static bool run_all(const struct arguments *a, struct totals_of_runs *sum)
{
    int ends[JOBS_AT_ONCE_MAX];
    bool is_whole = true;
    if (a->jobs == 1) {
        run_slice(a, 0, sum);
        return true;
    }
    for (int job = 0; job < a->jobs; job++)
        ends[job] = start_slice(a, job);
    for (int job = 0; job < a->jobs; job++) {
        struct totals_of_runs part = {0};
        if (ends[job] >= 0 && read(ends[job], &part, sizeof(part)) == (ssize_t)sizeof(part))
            add(sum, &part);
        else
            is_whole = false;
        close(ends[job]);
    }
    while (wait(NULL) > 0 || errno == EINTR)
        continue;
    return is_whole;
}

static void print_totals(const struct totals_of_runs *t, double seconds)
{
    for (int i = 0; i < FAULTS; i++)
        printf("%12llu %s\n", (unsigned long long)t->faults[i], fault_text(i));
    printf("%12llu restarts of the coordinator\n", (unsigned long long)t->restarts);
    printf(
        "%12llu transactions begun, %llu confirmed, %llu cancelled; %llu calls of participants\n",
        (unsigned long long)t->begun, (unsigned long long)t->confirmed,
        (unsigned long long)t->cancelled, (unsigned long long)t->calls);
    printf("%12llu runs count (%llu more without any confirmed transaction do not), %.0f runs a "
           "second, %.0f events a run\n",
           (unsigned long long)(t->runs - t->empty_runs), (unsigned long long)t->empty_runs,
           (double)t->runs / seconds, (double)t->events / (double)(t->runs > 0 ? t->runs : 1));
    if (t->points > 0)
        printf("%12llu places, with a crash at each\n", (unsigned long long)t->points);
    printf("%12.1f s the longest way to rest after the faults have stopped\n",
           (double)t->rest_us_most / 1e6);
    printf("%12llu violations\n", (unsigned long long)t->violations);
}

/* How the first run that failed ended. */
static void print_failure(const struct totals_of_runs *totals)
{
    struct totals_of_runs unused = {0};
    struct run_plan plan = totals->first_failed;
    plan.trace = TRACE_TAIL;
    world_run(&plan, &unused);
    printf("the end of its trace:\n");
    world_print_tail();
    printf("the whole: ");
    world_print_replay(&plan);
}

static int run_many(const struct arguments *a)
{
    struct totals_of_runs totals = {0};
    double start_s = now_s();
    bool is_whole = run_all(a, &totals);
    print_totals(&totals, now_s() - start_s);
    if (!is_whole)
        printf("a process died: run again with --jobs 1\n");
    if (totals.violations > 0)
        print_failure(&totals);
    bool has_content =
        (totals.runs - totals.empty_runs) * 100 >= totals.runs * CONFIRMED_RUNS_PERCENT_MIN;
    return is_whole && totals.violations == 0 && has_content ? 0 : 1;
}

/* Lines "SEED what it found"; # begins a comment. */
static int run_seeds(const struct arguments *a)
{
    char line[256];
    struct totals_of_runs totals = {0};
    FILE *file = fopen(a->seeds, "r");
    if (file == NULL) {
        perror(a->seeds);
        return 2;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        struct run_plan plan = {.seed = strtoull(line, NULL, 10)};
        const char *places = strstr(line, "--crash-at ");
        if (places != NULL)
            parse_places(&plan, places + strlen("--crash-at "));
        if (line[0] >= '0' && line[0] <= '9')
            world_run(&plan, &totals);
    }
    fclose(file);
    printf("%llu seeds, %llu violations\n", (unsigned long long)totals.runs,
           (unsigned long long)totals.violations);
    if (totals.violations > 0)
        print_failure(&totals);
    return totals.runs > 0 && totals.violations == 0 ? 0 : 1;
}

/* A mutant dies with its first violation, or with the product's own assertion: so each has a
 * process. */
static bool mutant_is_found(const struct arguments *a, enum mutant mutant)
{
    fflush(NULL);
    pid_t pid = fork();
    int status = 0;
    if (pid == 0) {
        struct totals_of_runs totals = {0};
        for (uint64_t i = 0; i < a->runs && totals.violations == 0; i++)
            world_run(&(struct run_plan){.seed = a->first_seed + i, .mutant = mutant}, &totals);
        printf("%-24s %s", mutants[mutant].name, totals.violations > 0 ? "found" : "SURVIVES");
        printf(" after %6llu seeds  %s\n", (unsigned long long)totals.runs, totals.first_failure);
        fflush(NULL);
        _exit(totals.violations > 0 ? 0 : 1);
    }
    if (waitpid(pid, &status, 0) != pid)
        return false;
    bool is_aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    if (WIFSIGNALED(status))
        printf("%-24s %s\n", mutants[mutant].name,
               is_aborted ? "found by an assertion" : "DIES without being found");
    return is_aborted || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int run_mutants(const struct arguments *a)
{
    int count = 0, survivors = 0;
    for (int mutant = MUTANT_NONE + 1; mutant < MUTANTS; mutant++) {
        count += mutants[mutant].is_simulated;
        survivors += mutants[mutant].is_simulated && !mutant_is_found(a, (enum mutant)mutant);
    }
    printf("%d mutants, %d survive %llu seeds\n", count, survivors, (unsigned long long)a->runs);
    return survivors == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct arguments a = parse(argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);    /* a violation is told when it is found, not hours later */
    mallopt(M_TRIM_THRESHOLD, 64 << 20); /* the next run needs what this one frees */
    if (a.mutants)
        return run_mutants(&a);
    if (a.seeds != NULL)
        return run_seeds(&a);
    if (!a.one)
        return run_many(&a);
    struct totals_of_runs totals = {0};
    a.plan.seed = a.first_seed;
    a.plan.trace = TRACE_ALL;
    world_run(&a.plan, &totals);
    return totals.violations == 0 ? 0 : 1;
}
