/* SPDX-License-Identifier: Apache-2.0
 *
 * Seeded traffic: a few threads, each with one transaction at a time; then those that are unknown,
 * one after another.
 */
#include "traffic.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define IN_FLIGHT_MAX 1000
#define STACK_SIZE (512 * 1024)
#define ASK_PAUSE_MS 100
#define ASK_LEAST_MS 1000      /* for each, also when the time is over for all */
#define ASK_MOST_MS 60000      /* before it is asked anew */
#define NOT_READY_MAX_MS 10000 /* a try's own timeout */

enum outcome { OUTCOME_UNKNOWN, OUTCOME_CONFIRMED, OUTCOME_CANCELLED };

static const char *const outcome_names[] = {"unknown", "confirmed", "cancelled"};
static const char *const outcome_shouts[] = {"UNKNOWN", "CONFIRMED", "CANCELLED"};

struct settings {
    const char *coordinator, *log_path;
    int64_t seed, count, in_flight, timeout_ms, deadline_ms, pause_ms;
    bool is_stepwise, is_run, is_printing;
};

/* A transaction without an answer. */
struct open_job {
    uint64_t number;
    struct tercet_gid gid;
    struct open_job *next;
};

struct driver {
    const struct traffic *traffic;
    struct settings settings;
    struct tercet_client *client;
    atomic_uint_fast64_t next_number;
    pthread_mutex_t lock; /* over all below, and over the lines of the log and of standard output */
    FILE *log;
    struct open_job *open_jobs;
    uint64_t done_count, outcome_counts[3];
    int64_t slowest_ms;
};

static volatile sig_atomic_t is_stopping; /* no new transactions; those under way are ended */

static void on_stop(int signal)
{
    (void)signal;
    is_stopping = 1;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_ms(int64_t ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* -- Random numbers (SplitMix64, Steele, Lea and Flood 2014) ----------------------------------- */

static uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint32_t random_below(struct random *random, uint32_t limit)
{
    assert(limit > 0);
    return (uint32_t)((random_next(random) >> 32) * limit >> 32);
}

/* Mixes the two, so that neighbouring seeds do not share their numbers. */
static struct random random_of(uint64_t seed, uint64_t number)
{
    struct random mixed = {.state = seed};
    mixed.state = random_next(&mixed) ^ number;
    return (struct random){.state = random_next(&mixed)};
}

/* -- One transaction --------------------------------------------------------------------------- */

static enum outcome outcome_of(const struct tercet_result *result)
{
    switch (result->state) {
    case TERCET_CONFIRMING:
    case TERCET_CONFIRMED:
        return OUTCOME_CONFIRMED;
    case TERCET_CANCELLING:
    case TERCET_CANCELLED:
        return OUTCOME_CANCELLED;
    default:
        return OUTCOME_UNKNOWN;
    }
}

static void init_job(struct traffic_job *job, const struct driver *driver, uint64_t number,
                     const struct tercet_gid *gid)
{
    const struct settings *settings = &driver->settings;
    *job = (struct traffic_job){.client = driver->client, .number = number};
    job->random = random_of((uint64_t)settings->seed, number);
    job->is_stepwise = random_below(&job->random, 2) == 0;
    if (settings->is_stepwise || settings->is_run)
        job->is_stepwise = settings->is_stepwise;
    job->begin.size = sizeof(job->begin);
    job->begin.gid = gid->text;
    job->begin.deadline_ms = (uint32_t)settings->deadline_ms;
}

/* Every try was done, and the coordinator said so. If it does not know any more, it has just come
 * back from a crash and is asking the participants again: the same confirm will do in a moment. */
static void confirm(struct tercet_transaction *transaction, struct tercet_result *result)
{
    int64_t until_ms = now_ms() + NOT_READY_MAX_MS;
    while (tercet_confirm(transaction, TERCET_WAIT_DECIDED, result) == TERCET_NOT_READY &&
           now_ms() < until_ms)
        pause_ms(ASK_PAUSE_MS);
}

void traffic_decide(struct tercet_transaction *transaction, struct tercet_tried *tried,
                    struct tercet_result *result)
{
    if (tried->code == 0)
        confirm(transaction, result);
    else if (tercet_cancel(transaction, TERCET_WAIT_DECIDED, tried->text, result) == 0)
        snprintf(result->text, sizeof(result->text), "%s", tried->text);
    tercet_tried_clear(tried);
    tercet_transaction_free(transaction);
}

static void tell(struct driver *driver, const struct traffic_job *job,
                 const struct tercet_result *result)
{
    enum outcome outcome = outcome_of(result);
    fprintf(driver->log, "%s %s\n", job->begin.gid, outcome_names[outcome]);
    if (!driver->settings.is_printing)
        return;
    printf("%s %" PRIu64 "  %s  %s%s%s%s\n", driver->traffic->noun, job->number, job->what,
           outcome_shouts[outcome], outcome == OUTCOME_UNKNOWN ? ", asking again" : "",
           outcome != OUTCOME_CONFIRMED && result->text[0] != '\0' ? ": " : "",
           outcome != OUTCOME_CONFIRMED ? result->text : "");
}

static void keep_open(struct driver *driver, const struct traffic_job *job,
                      const struct tercet_gid *gid)
{
    struct open_job *open = malloc(sizeof(*open));
    if (open == NULL)
        abort();
    *open = (struct open_job){.number = job->number, .gid = *gid, .next = driver->open_jobs};
    driver->open_jobs = open;
}

static void do_job(struct driver *driver, uint64_t number)
{
    struct tercet_result result = {.code = TERCET_UNKNOWN};
    struct traffic_job job;
    struct tercet_gid gid;
    int64_t start_ms = now_ms();
    tercet_gid_make(&gid);
    init_job(&job, driver, number, &gid);
    driver->traffic->transact(&job, &result);
    int64_t took_ms = now_ms() - start_ms;
    pthread_mutex_lock(&driver->lock);
    driver->done_count++;
    driver->slowest_ms = took_ms > driver->slowest_ms ? took_ms : driver->slowest_ms;
    driver->outcome_counts[outcome_of(&result)]++;
    tell(driver, &job, &result);
    if (outcome_of(&result) == OUTCOME_UNKNOWN)
        keep_open(driver, &job, &gid);
    pthread_mutex_unlock(&driver->lock);
}

static void *do_jobs(void *ctx)
{
    struct driver *driver = ctx;
    uint64_t number;
    while (!is_stopping && (number = atomic_fetch_add(&driver->next_number, 1)) <=
                               (uint64_t)driver->settings.count) {
        do_job(driver, number);
        pause_ms(driver->settings.pause_ms);
    }
    return NULL;
}

/* -- All of them ------------------------------------------------------------------------------- */

static void run_threads(struct driver *driver)
{
    pthread_t threads[IN_FLIGHT_MAX];
    pthread_attr_t attributes;
    int64_t count = 0;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    while (count < driver->settings.in_flight &&
           pthread_create(&threads[count], &attributes, do_jobs, driver) == 0)
        count++;
    pthread_attr_destroy(&attributes);
    if (count < driver->settings.in_flight)
        fprintf(stderr, "%s: %" PRId64 " threads only\n", driver->traffic->program, count);
    while (count-- > 0)
        pthread_join(threads[count], NULL);
}

/* Waits until a transaction is decided, or `until_ms` is over. One that the coordinator does not
 * know was never begun, or is still on its way: doing it again under its gid is the same request,
 * and gets an answer. */
static void ask(struct driver *driver, const struct traffic_job *job, struct tercet_result *result,
                int64_t until_ms)
{
    do {
        int64_t left_ms = until_ms - now_ms();
        left_ms = left_ms < ASK_LEAST_MS  ? ASK_LEAST_MS
                  : left_ms > ASK_MOST_MS ? ASK_MOST_MS
                                          : left_ms;
        *result = (struct tercet_result){.code = TERCET_UNKNOWN};
        if (tercet_await(job->client, job->begin.gid, TERCET_WAIT_DECIDED, left_ms, result) ==
            TERCET_NOT_FOUND) {
            struct traffic_job again = *job;
            *result = (struct tercet_result){.code = TERCET_UNKNOWN};
            driver->traffic->transact(&again, result);
        }
        if (outcome_of(result) != OUTCOME_UNKNOWN)
            return;
        pause_ms(ASK_PAUSE_MS); /* refused for now, or not allowed */
    } while (now_ms() < until_ms);
}

static void ask_for_open_jobs(struct driver *driver)
{
    int64_t until_ms = now_ms() + driver->settings.timeout_ms + driver->settings.deadline_ms;
    while (driver->open_jobs != NULL) {
        struct open_job *open = driver->open_jobs;
        struct tercet_result result;
        struct traffic_job job;
        init_job(&job, driver, open->number, &open->gid);
        ask(driver, &job, &result, until_ms);
        enum outcome outcome = outcome_of(&result);
        if (outcome != OUTCOME_UNKNOWN) {
            fprintf(driver->log, "%s %s\n", open->gid.text, outcome_names[outcome]);
            printf("%s %" PRIu64 "  %s after all\n", driver->traffic->noun, open->number,
                   outcome_names[outcome]);
            driver->outcome_counts[OUTCOME_UNKNOWN]--;
            driver->outcome_counts[outcome]++;
        } else {
            printf("%s %" PRIu64 "  %s is still unknown: %s\n", driver->traffic->noun, open->number,
                   open->gid.text, result.text);
        }
        driver->open_jobs = open->next;
        free(open);
    }
}

static void print_summary(const struct driver *driver, int64_t took_ms)
{
    double seconds = (double)(took_ms > 0 ? took_ms : 1) / 1000;
    printf("%" PRIu64 " %ss in %.1f s (%.0f/s, the slowest took %.1f s): %" PRIu64
           " confirmed, %" PRIu64 " cancelled, %" PRIu64 " unknown\n",
           driver->done_count, driver->traffic->noun, seconds, (double)driver->done_count / seconds,
           (double)driver->slowest_ms / 1000, driver->outcome_counts[OUTCOME_CONFIRMED],
           driver->outcome_counts[OUTCOME_CANCELLED], driver->outcome_counts[OUTCOME_UNKNOWN]);
}

/* -- The program ------------------------------------------------------------------------------- */

static void parse_options(struct settings *settings, const struct traffic *traffic, int argc,
                          char **argv)
{
    const struct option_entry common[] = {
        {"coordinator", OPTION_TEXT, &settings->coordinator,
         "the coordinator's address (default 127.0.0.1:7420)"},
        {"seed", OPTION_NUMBER, &settings->seed, "of the random numbers (default 1)"},
        {"in-flight", OPTION_NUMBER, &settings->in_flight,
         "transactions at once, 1 to 1000 (default 16)"},
        {"step-by-step", OPTION_FLAG, &settings->is_stepwise,
         "only step by step: try, try, confirm"},
        {"run", OPTION_FLAG, &settings->is_run, "only as whole plans; default: some so, some so"},
        {"pause", OPTION_DURATION, &settings->pause_ms,
         "after each transaction, for who wants to follow (default none)"},
        {"timeout", OPTION_DURATION, &settings->timeout_ms, "patience for an answer (default 30s)"},
        {"deadline", OPTION_DURATION, &settings->deadline_ms,
         "the coordinator cancels what is undecided then (default 20s)"},
        {"log", OPTION_TEXT, &settings->log_path,
         "the outcomes are appended to this file, for the audit"},
        {"print", OPTION_FLAG, &settings->is_printing, "a line for each transaction"},
    };
    char name[32];
    const struct option_entry count = {name, OPTION_NUMBER, &settings->count,
                                       "how many (default 100)"};
    snprintf(name, sizeof(name), "%ss", traffic->noun);
    struct options options = {.program = traffic->program, .summary = traffic->summary};
    options_add(&options, &count, 1);
    options_add(&options, traffic->options, traffic->option_count);
    options_add(&options, common, sizeof(common) / sizeof(common[0]));
    options_parse(&options, argc, argv);
    if (settings->in_flight < 1 || settings->in_flight > IN_FLIGHT_MAX)
        options_fail(&options, "in-flight", "1 to 1000");
    if (settings->is_run && settings->is_stepwise)
        options_fail(&options, "run", "and --step-by-step exclude each other");
    if (settings->deadline_ms < 1 || settings->deadline_ms > TERCET_TIMEOUT_MS_MAX)
        options_fail(&options, "deadline", "from 1ms to 30 days");
}

static void print_log(enum tercet_log_level level, const char *text, void *ctx)
{
    const struct traffic *traffic = ctx;
    if (level <= TERCET_LOG_WARNING)
        fprintf(stderr, "%s: %s\n", traffic->program, text);
}

static FILE *open_log(const char *path)
{
    FILE *log = fopen(path != NULL ? path : "/dev/null", "ae");
    if (log != NULL)
        setvbuf(log, NULL, _IOLBF, 0); /* a line stands even when this program is killed */
    return log;
}

static int open_driver(struct driver *driver)
{
    struct tercet_client_options options = {.size = sizeof(options),
                                            .timeout_ms = driver->settings.timeout_ms,
                                            .on_log = print_log,
                                            .log_ctx = (void *)(uintptr_t)driver->traffic};
    char text[TERCET_TEXT_MAX];
    driver->log = open_log(driver->settings.log_path);
    if (driver->log == NULL) {
        perror(driver->settings.log_path);
        return -1;
    }
    if (tercet_client_open(&driver->client, driver->settings.coordinator, &options, text) != 0) {
        fprintf(stderr, "%s: %s\n", driver->traffic->program, text);
        fclose(driver->log);
        return -1;
    }
    return 0;
}

int traffic_main(const struct traffic *traffic, int argc, char **argv)
{
    struct driver driver = {
        .traffic = traffic, .next_number = 1, .lock = PTHREAD_MUTEX_INITIALIZER};
    driver.settings = (struct settings){.coordinator = "127.0.0.1:7420",
                                        .seed = 1,
                                        .count = 100,
                                        .in_flight = 16,
                                        .timeout_ms = 30000,
                                        .deadline_ms = 20000};
    const struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    parse_options(&driver.settings, traffic, argc, argv);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (open_driver(&driver) != 0)
        return 1;
    int64_t start_ms = now_ms();
    run_threads(&driver);
    int64_t took_ms = now_ms() - start_ms;
    ask_for_open_jobs(&driver);
    print_summary(&driver, took_ms);
    tercet_client_close(driver.client);
    bool is_logged = fclose(driver.log) == 0;
    return is_logged && driver.outcome_counts[OUTCOME_UNKNOWN] == 0 ? 0 : 1;
}
