/* SPDX-License-Identifier: Apache-2.0
 *
 * A service's life: options, barrier, tables, participant, signals.
 */
#include "service.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

#define WAIT_STEP_MS 200

static const char ledger_table[] =
    "CREATE TABLE IF NOT EXISTS effect"
    " (gid TEXT NOT NULL, branch INTEGER NOT NULL, op TEXT NOT NULL, amount INTEGER NOT NULL)";

struct settings {
    const char *coordinator, *data, *listen;
};

int service_failed(const struct tercet_call *call)
{
    return tercet_again(call, "database: %s", sqlite3_errmsg(call->db));
}

int service_change_values(const struct tercet_call *call, const char *sql,
                          const struct db_value *values, size_t value_count)
{
    int changed = db_change_values(call->db, sql, values, value_count);
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
        {"data", OPTION_TEXT, &settings->data,
         "the service's SQLite file; made and filled when missing"},
        {"listen", OPTION_TEXT, &settings->listen,
         "be called at this address, instead of attaching to the coordinator"},
    };
    struct options options = {.program = service->program, .summary = service->summary};
    options_add(&options, common, sizeof(common) / sizeof(common[0]));
    options_add(&options, service->options, service->option_count);
    options_parse(&options, argc, argv);
    if (settings->data == NULL)
        options_fail(&options, "data", "is needed");
}

/* In one local transaction, so that two instances on one file fill it once. */
static int make_tables(tercet_db db, void *ctx)
{
    const struct service *service = ctx;
    if (sqlite3_exec(db, ledger_table, NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_exec(db, service->tables, NULL, NULL, NULL) == SQLITE_OK && service->seed(db) >= 0)
        return 0;
    fprintf(stderr, "%s: %s\n", service->program, sqlite3_errmsg(db));
    return TERCET_STORE;
}

static struct tercet_barrier *open_barrier(const struct service *service, const char *path)
{
    struct tercet_barrier_options options = {
        .size = sizeof(options), .on_log = print_log, .log_ctx = (void *)(uintptr_t)service};
    struct tercet_barrier *barrier = NULL;
    char text[TERCET_TEXT_MAX];
    if (tercet_barrier_sqlite_open(&barrier, path, &options, text) != 0) {
        fprintf(stderr, "%s: %s\n", service->program, text);
        return NULL;
    }
    if (tercet_barrier_local(barrier, make_tables, (void *)(uintptr_t)service) != 0) {
        tercet_barrier_close(barrier);
        return NULL;
    }
    return barrier;
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

static int serve(const struct service *service, const struct settings *settings,
                 struct tercet_barrier *barrier, const sigset_t *signals)
{
    struct tercet_participant_options options = {.size = sizeof(options),
                                                 .barrier = barrier,
                                                 .listen = settings->listen,
                                                 .on_log = print_log,
                                                 .log_ctx = (void *)(uintptr_t)service};
    struct tercet_participant *participant = NULL;
    char text[TERCET_TEXT_MAX];
    int rc = tercet_participant_open(&participant, settings->coordinator, service->name,
                                     service->actions, service->action_count, &options, text);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", service->program, text);
        return 1;
    }
    run(service, participant, signals);
    tercet_participant_close(participant);
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
    struct tercet_barrier *barrier = open_barrier(service, settings.data);
    if (barrier == NULL)
        return 1;
    int status = serve(service, &settings, barrier, &signals);
    tercet_barrier_close(barrier);
    return status;
}
