/* SPDX-License-Identifier: Apache-2.0
 *
 * A service's life: options, barrier, tables, participant, signals.
 */
#include "service.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAIT_STEP_MS 200
#define SEED_TRIES 3
#define TABLES_SIZE 4096
#define ACTIONS_MAX 8

struct settings {
    const char *coordinator, *data, *url, *listen, *serve;
    int64_t connections_max;
};

/* Of the process's only database: hooks have its handle. */
static const struct db_driver *driver;
static struct queries *queries; /* NULL: nobody can ask */
static const struct service *own_service;

static struct db db_of(const struct tercet_call *call)
{
    return (struct db){.driver = driver, .handle = call->db};
}

int service_failed(const struct tercet_call *call)
{
    struct db db = db_of(call);
    return tercet_again(call, "database: %s", db_error(&db));
}

int service_read_values(const struct tercet_call *call, int64_t *columns, size_t column_count,
                        const char *sql, const struct db_value *values, size_t value_count)
{
    struct db db = db_of(call);
    return db_read_values(&db, columns, column_count, sql, values, value_count);
}

int service_change_values(const struct tercet_call *call, const char *sql,
                          const struct db_value *values, size_t value_count)
{
    struct db db = db_of(call);
    int changed = db_change_values(&db, sql, values, value_count);
    if (changed < 0)
        return service_failed(call);
    return changed == 1
               ? 0
               : tercet_again(call, "%s changed %d rows instead of one", call->action, changed);
}

int service_record(const struct tercet_call *call, int64_t amount)
{
    return service_change(call,
                          "INSERT INTO effect (gid, branch, op, amount) VALUES (?1, ?2, ?3, ?4)",
                          db_text(call->gid), db_int(call->branch.number),
                          db_text(tercet_kind_name(call->kind)), db_int(amount));
}

/* -- Starting ---------------------------------------------------------------------------------- */

static void print_log(enum tercet_log_level level, const char *text, void *ctx)
{
    const struct service *service = ctx;
    if (level <= TERCET_LOG_WARNING)
        fprintf(stderr, "%s: %s\n", service->program, text);
}

static void parse_options(struct settings *settings, const struct service *service, int argc,
                          char **argv)
{
    const struct option_entry common[] = {
        {"coordinator", OPTION_TEXT, &settings->coordinator,
         "the coordinator's address (default 127.0.0.1:7420)"},
        {"db", OPTION_TEXT, &settings->url,
         "the service's database: sqlite:FILE, postgres://user@host/database or"
         " mysql://user@host/database; its tables are made and filled when missing"},
        {"data", OPTION_TEXT, &settings->data, "FILE: the same as --db sqlite:FILE"},
        {"connections", OPTION_NUMBER, &settings->connections_max,
         "to a database server, each works beside the others (default 4)"},
        {"listen", OPTION_TEXT, &settings->listen,
         "be called at this address, instead of attaching to the coordinator"},
        {"serve", OPTION_TEXT, &settings->serve,
         "answer the questions of other services at this address, such as unix:/path"},
    };
    struct options options = {.program = service->program, .summary = service->summary};
    options_add(&options, common, sizeof(common) / sizeof(common[0]));
    options_add(&options, service->options, service->option_count);
    options_parse(&options, argc, argv);
    if ((settings->data == NULL) == (settings->url == NULL))
        options_fail(&options, "db", "or --data is needed, and not both");
    if (settings->connections_max > 64)
        options_fail(&options, "connections", "are 64 at most");
}

static int fill_tables(tercet_db handle, void *ctx)
{
    const struct service *service = ctx;
    struct db db = {.driver = driver, .handle = handle};
    if (service->seed(&db) >= 0)
        return 0;
    fprintf(stderr, "%s: filling the tables: %s\n", service->program, db_error(&db));
    return TERCET_STORE;
}

/* In one local transaction. Of two instances that start at once on an empty database one may fail
 * for what the other has filled in; it looks again, and finds it. */
static int seed(const struct service *service, struct tercet_barrier *barrier)
{
    int rc = TERCET_STORE;
    for (int i = 0; rc != 0 && i < SEED_TRIES; i++)
        rc = tercet_barrier_local(barrier, fill_tables, (void *)(uintptr_t)service);
    return rc;
}

static struct tercet_barrier *open_barrier(const struct service *service,
                                           const struct settings *settings, const char *url)
{
    char tables[TABLES_SIZE];
    char text[TERCET_TEXT_MAX] = "hooks speak SQL: use SQLite, PostgreSQL, MariaDB or MySQL";
    struct tercet_barrier_options options = {.size = sizeof(options),
                                             .setup_sql = tables,
                                             .connections_max = (uint32_t)settings->connections_max,
                                             .on_log = print_log,
                                             .log_ctx = (void *)(uintptr_t)service};
    struct tercet_barrier *barrier = NULL;
    driver = db_driver_of(url);
    snprintf(tables, sizeof(tables), "%s; %s", driver != NULL ? driver->ledger : "SELECT 1",
             service->tables);
    int rc = tercet_barrier_open(&barrier, url, &options, text);
    if (rc != 0 || driver == NULL) {
        fprintf(stderr, "%s: %s\n", service->program, text);
        tercet_barrier_close(barrier);
        return NULL;
    }
    if (seed(service, barrier) == 0)
        return barrier;
    tercet_barrier_close(barrier);
    return NULL;
}

/* -- Running ----------------------------------------------------------------------------------- */

/* Says "ready" once the coordinator knows the service, however long that takes, and returns at a
 * signal. */
static void run(const struct service *service, struct tercet_participant *participant,
                const sigset_t *signals)
{
    const struct timespec no_time = {.tv_sec = 0};
    char text[TERCET_TEXT_MAX];
    while (tercet_participant_wait(participant, WAIT_STEP_MS, text) != 0)
        if (sigtimedwait(signals, NULL, &no_time) > 0)
            return;
    puts("ready");
    fflush(stdout);
    while (sigwaitinfo(signals, NULL) < 0)
        continue; /* stopped and continued: that is no signal to end */
    fprintf(stderr, "%s: stopping\n", service->program);
}

/* -- Misbehaving on purpose (samples.Faults) --------------------------------------------------- */

static tercet_hook hook_of(const struct tercet_call *call)
{
    const struct tercet_action *action = own_service->actions;
    while (strcmp(action->name, call->action) != 0)
        action++; /* it is one of ours: the library has looked */
    switch (call->kind) {
    case TERCET_TRY:
        return action->on_try;
    case TERCET_CONFIRM:
        return action->on_confirm;
    default:
        return action->on_cancel;
    }
}

/* Stands before every hook of a service that others can ask. */
static int misbehave_and_run(const struct tercet_call *call, void *ctx)
{
    const struct fault fault = queries_fault(queries);
    const tercet_hook hook = hook_of(call);
    if (fault.delay_ms > 0)
        usleep(fault.delay_ms * 1000);
    if (fault.refuses && call->kind == TERCET_TRY)
        return tercet_refuse(call, "%s was told to refuse everything", own_service->name);
    return hook != NULL ? hook(call, ctx) : 0;
}

static int open_queries(const struct service *service, const struct settings *settings,
                        struct tercet_barrier *barrier, struct tercet_action *actions)
{
    char text[TERCET_TEXT_MAX];
    own_service = service;
    for (size_t i = 0; i < service->action_count; i++) {
        actions[i] = service->actions[i];
        if (settings->serve != NULL)
            actions[i].on_try = actions[i].on_confirm = actions[i].on_cancel = misbehave_and_run;
    }
    if (settings->serve == NULL ||
        queries_open(&queries, settings->serve, service->asked, service->queries,
                     service->query_count, barrier, driver, text) == 0)
        return 0;
    fprintf(stderr, "%s: %s\n", service->program, text);
    return -1;
}

/* -- Serving ----------------------------------------------------------------------------------- */

static int serve(const struct service *service, const struct settings *settings,
                 struct tercet_barrier *barrier, const sigset_t *signals)
{
    struct tercet_action actions[ACTIONS_MAX];
    struct tercet_participant_options options = {.size = sizeof(options),
                                                 .barrier = barrier,
                                                 .listen = settings->listen,
                                                 .on_log = print_log,
                                                 .log_ctx = (void *)(uintptr_t)service};
    struct tercet_participant *participant = NULL;
    char text[TERCET_TEXT_MAX];
    if (open_queries(service, settings, barrier, actions) != 0)
        return 1;
    int rc = tercet_participant_open(&participant, settings->coordinator, service->name, actions,
                                     service->action_count, &options, text);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", service->program, text);
        queries_close(queries);
        return 1;
    }
    run(service, participant, signals);
    tercet_participant_close(participant);
    queries_close(queries);
    return 0;
}

int service_main(const struct service *service, int argc, char **argv)
{
    struct settings settings = {.coordinator = "127.0.0.1:7420"};
    sigset_t signals;
    parse_options(&settings, service, argc, argv);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    /* Before the library starts its threads: they inherit it, and the signals come to run()
     * alone. */
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    char file[PATH_MAX + sizeof("sqlite:")];
    snprintf(file, sizeof(file), "sqlite:%s", settings.data != NULL ? settings.data : "");
    struct tercet_barrier *barrier =
        open_barrier(service, &settings, settings.url != NULL ? settings.url : file);
    if (barrier == NULL)
        return 1;
    int status = serve(service, &settings, barrier, &signals);
    tercet_barrier_close(barrier);
    return status;
}
