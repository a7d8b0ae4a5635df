/* SPDX-License-Identifier: Apache-2.0
 *
 * tercet-crash: the matrix over all scenarios or one, on so many processors; one run of it again;
 * and the mutants.
 */
#include "faults.h"

#include <failpoint.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_AT_MOST 16

struct settings {
    struct plan plan;
    int scenario; /* -1: all */
    int jobs;
    const char *at, *call;
    bool is_late, runs_mutants;
};

/* The workers'. */
static struct results {
    size_t next;
    struct tally tallies[JOBS_AT_MOST];
    uint8_t ever_passed[JOBS_AT_MOST][POINTS_MAX];
} * results;

static const char usage_text[] =
    "usage: tercet-crash [--scenario NAME] [--pairs | --calls] [--share N [--seed S]] [--jobs N]\n"
    "       tercet-crash --scenario NAME --at POINT:N[,POINT:M] [--late]\n"
    "       tercet-crash --scenario NAME --call CLASS:ERROR:N[:on]\n"
    "       tercet-crash --mutants | --list | --list-failpoints\n";

__attribute__((noreturn)) static void usage(void)
{
    fputs(usage_text, stderr);
    exit(2);
}

static int find_scenario(const char *name)
{
    for (size_t i = 0; i < scenario_count; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return (int)i;
    fprintf(stderr, "tercet-crash: there is no scenario %s: see --list\n", name);
    exit(2);
}

__attribute__((noreturn)) static void list_scenarios(void)
{
    for (size_t i = 0; i < scenario_count; i++)
        puts(scenarios[i].name);
    exit(0);
}

__attribute__((noreturn)) static void list_points(void)
{
    for (size_t i = 0; failpoint_name(i) != NULL; i++)
        puts(failpoint_name(i));
    exit(0);
}

static void take(struct settings *settings, int option, const char *value)
{
    switch (option) {
    case 's':
        settings->scenario = find_scenario(value);
        break;
    case 'p':
        settings->plan.runs_pairs = true;
        break;
    case 'c':
        settings->plan.runs_calls = true;
        break;
    case 'n':
        settings->plan.share = (uint32_t)strtoul(value, NULL, 10);
        break;
    case 'r':
        settings->plan.seed = strtoull(value, NULL, 10);
        break;
    case 'j':
        settings->jobs = atoi(value);
        break;
    case 'a':
        settings->at = value;
        break;
    case 'l':
        settings->is_late = true;
        break;
    case 'o':
        settings->call = value;
        break;
    case 'm':
        settings->runs_mutants = true;
        break;
    case 'L':
        list_scenarios();
    case 'F':
        list_points();
    default:
        usage();
    }
}

static void parse(struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {{"scenario", required_argument, NULL, 's'},
                                            {"pairs", no_argument, NULL, 'p'},
                                            {"calls", no_argument, NULL, 'c'},
                                            {"share", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 'r'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"at", required_argument, NULL, 'a'},
                                            {"late", no_argument, NULL, 'l'},
                                            {"call", required_argument, NULL, 'o'},
                                            {"mutants", no_argument, NULL, 'm'},
                                            {"list", no_argument, NULL, 'L'},
                                            {"list-failpoints", no_argument, NULL, 'F'},
                                            {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        take(settings, option, optarg);
    if (optind != argc || settings->jobs < 1 || settings->jobs > JOBS_AT_MOST)
        usage();
}

/* -- Workers ----------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void work(const struct settings *settings, int worker)
{
    struct plan plan = settings->plan;
    engine_open();
    for (;;) {
        size_t i = __atomic_fetch_add(&results->next, 1, __ATOMIC_RELAXED);
        if (i >= scenario_count || (settings->scenario >= 0 && i > 0))
            break;
        plan.scenario = settings->scenario >= 0 ? (size_t)settings->scenario : i;
        struct tally before = results->tallies[worker];
        engine_run(&plan, &results->tallies[worker]);
        struct tally *tally = &results->tallies[worker];
        tally->scenarios++;
        printf("%-18s %6" PRIu64 " singles, %7" PRIu64 " pairs, %7" PRIu64 " calls, %" PRIu64
               " violations\n",
               scenarios[plan.scenario].name, tally->singles - before.singles,
               tally->pairs - before.pairs, tally->calls - before.calls,
               tally->violations - before.violations);
    }
    memcpy(results->ever_passed[worker], order->ever_passed, POINTS_MAX);
    engine_close();
    fflush(stdout);
    _exit(0);
}

static struct tally sum_up(int jobs)
{
    struct tally sum = {0};
    for (int i = 0; i < jobs; i++) {
        const struct tally *tally = &results->tallies[i];
        sum.scenarios += tally->scenarios;
        sum.singles += tally->singles;
        sum.pairs += tally->pairs;
        sum.calls += tally->calls;
        sum.calls_failed_stop += tally->calls_failed_stop;
        sum.calls_refused_start += tally->calls_refused_start;
        sum.calls_unnoticed += tally->calls_unnoticed;
        sum.lives += tally->lives;
        sum.violations += tally->violations;
    }
    return sum;
}

/* A point that no scenario passes is one that nothing here says anything about. */
static int count_passed(int jobs, bool tells)
{
    int passed = 0;
    for (int point = 0; point < point_count(); point++) {
        bool is_passed = false;
        for (int i = 0; i < jobs; i++)
            is_passed = is_passed || results->ever_passed[i][point] != 0;
        passed += is_passed;
        if (!is_passed && tells)
            printf("VIOLATED: no scenario passes the point %s\n", failpoint_name((size_t)point));
    }
    return passed;
}

static bool run_all(const struct settings *settings)
{
    bool all_ended = true, is_whole = settings->scenario < 0;
    memset(results, 0, sizeof(*results));
    fflush(stdout);
    for (int i = 0; i < settings->jobs; i++) {
        pid_t pid = fork();
        if (pid == 0)
            work(settings, i);
    }
    for (int i = 0, status = 0; i < settings->jobs; i++) {
        if (wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
            continue;
        printf("VIOLATED: a worker ended with status %#x\n", (unsigned)status);
        all_ended = false;
    }
    struct tally sum = sum_up(settings->jobs);
    int passed = count_passed(settings->jobs, is_whole);
    printf("%" PRIu64 " scenarios, %d of %d points passed, %" PRIu64 " singles, %" PRIu64
           " pairs, %" PRIu64 " failing calls (%" PRIu64 " stopped it, %" PRIu64
           " kept it from starting, %" PRIu64 " went by), %" PRIu64 " lives, %" PRIu64
           " violations\n",
           sum.scenarios, passed, point_count(), sum.singles, sum.pairs, sum.calls,
           sum.calls_failed_stop, sum.calls_refused_start, sum.calls_unnoticed, sum.lives,
           sum.violations);
    return all_ended && sum.violations == 0 && (!is_whole || passed == point_count());
}

static bool run_one(const struct settings *settings)
{
    struct tally tally = {0};
    size_t scenario = (size_t)settings->scenario;
    engine_open();
    order->is_loud = true;
    bool holds = settings->at != NULL
                     ? engine_repeat(scenario, settings->at, settings->is_late, &tally)
                     : engine_repeat_call(scenario, settings->call, &tally);
    printf("%s after %" PRIu64 " lives%s%s\n", holds ? "holds" : "VIOLATED", tally.lives,
           holds ? "" : ": ", holds ? "" : world->violation);
    engine_close();
    return holds;
}

/* -- Mutants ----------------------------------------------------------------------------------- */

/* Every mutant must be found by what a death, or a call that fails, makes to be seen. */
static bool run_mutant(enum mutant mutant)
{
    struct tally tally = {0};
    struct order wanted = {.mutant = mutant};
    struct plan plan = {.share = 1, .runs_calls = mutant == MUTANT_FAILED_COMMIT_GOES_ON};
    order = &wanted;
    engine_open();
    plan.scenario = (size_t)find_scenario(mutants[mutant].scenario);
    engine_run(&plan, &tally);
    printf("%-22s %s after %" PRIu64 " lives: %s\n", mutants[mutant].name,
           tally.violations > 0 ? "found" : "NOT FOUND", tally.lives, order->first_violation);
    engine_close();
    return tally.violations > 0;
}

static bool run_mutants(void)
{
    bool all_found = true;
    for (int mutant = MUTANT_NONE + 1; mutant < MUTANTS; mutant++)
        if (mutants[mutant].scenario != NULL)
            all_found = run_mutant((enum mutant)mutant) && all_found;
    return all_found;
}

int main(int argc, char **argv)
{
    struct settings settings = {.plan = {.share = 1}, .scenario = -1, .jobs = 1};
    parse(&settings, argc, argv);
    if ((settings.at != NULL || settings.call != NULL) && settings.scenario < 0)
        usage();
    results =
        mmap(NULL, sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (results == MAP_FAILED)
        return 2;
    if (settings.at != NULL || settings.call != NULL)
        return run_one(&settings) ? 0 : 1;
    return (settings.runs_mutants ? run_mutants() : run_all(&settings)) ? 0 : 1;
}
