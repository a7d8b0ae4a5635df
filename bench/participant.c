/* SPDX-License-Identifier: Apache-2.0
 *
 * A participant's process: hooks that count, behind a barrier in memory or in a database of its
 * own.
 */
#include "database.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTACH_TIMEOUT_MS 10000

static int on_try(const struct tercet_call *call, void *ctx)
{
    struct participant *participant = ctx;
    uint64_t seq = 0;
    if (seq_of_gid(participant->shared, call->gid, &seq) &&
        is_refused(&participant->shared->options, seq, call->branch.number))
        return tercet_refuse(call, "asked to refuse");
    return participant_effect(participant, call->gid, call->branch.number, OPERATION_TRY, call->db);
}

static int on_confirm(const struct tercet_call *call, void *ctx)
{
    return participant_effect(ctx, call->gid, call->branch.number, OPERATION_CONFIRM, call->db);
}

static int on_cancel(const struct tercet_call *call, void *ctx)
{
    return participant_effect(ctx, call->gid, call->branch.number, OPERATION_CANCEL, call->db);
}

static void print_log(enum tercet_log_level level, const char *text, void *ctx)
{
    if (level <= TERCET_LOG_ERROR)
        fprintf(stderr, "tercet-bench: participant %u: %s\n", ((struct participant *)ctx)->index,
                text);
}

static int open_database(struct participant *participant, struct tercet_barrier_options *options,
                         char *text)
{
    const struct database *database = participant->database;
    char url[DATABASE_TEXT_SIZE + PATH_SIZE];
    database->url(participant->shared, participant->index, url, sizeof(url));
    options->setup_sql = database->setup_sql;
    int rc = tercet_barrier_open(&participant->barrier, url, options, text);
    if (rc == 0 && database->prepare != NULL)
        rc = tercet_barrier_local(participant->barrier, database->prepare, participant);
    if (rc == 0)
        participant->shared->connections = tercet_barrier_connections(participant->barrier);
    return rc;
}

static int open_barrier(struct participant *participant, char *text)
{
    struct tercet_barrier_options options = {
        .size = sizeof(options), .on_log = print_log, .log_ctx = participant};
    if (participant->shared->options.barrier == BARRIER_MEMORY)
        return tercet_barrier_memory_open(&participant->barrier, &options);
    participant->database = database_of(participant->shared->options.barrier);
    if (participant->database != NULL)
        return open_database(participant, &options, text);
#ifdef BENCH_SQLITE
    char path[PATH_SIZE + 32];
    snprintf(path, sizeof(path), "%s/participant-%u.db", participant->shared->dir,
             participant->index);
    options.setup_sql = ledger_setup_sql;
    participant->ledger = ledger_new();
    return tercet_barrier_sqlite_open(&participant->barrier, path, &options, text);
#else
    snprintf(text, TERCET_TEXT_MAX, "built without SQLite");
    return TERCET_INVALID;
#endif
}

static int count_commits(tercet_db db, void *ctx)
{
    const struct participant *participant = ctx;
    participant->shared->database_commits[participant->index] =
        participant->database->commits(db, participant->index);
    return 0;
}

static int count_database(struct participant *participant)
{
    int rc = tercet_barrier_local(participant->barrier, participant->database->count, participant);
    return rc == 0 ? tercet_barrier_local(participant->barrier, count_commits, participant) : rc;
}

static int attach(struct tercet_participant **out, struct participant *participant, char *text)
{
    static const struct tercet_action actions[] = {
        {.name = "work", .on_try = on_try, .on_confirm = on_confirm, .on_cancel = on_cancel}};
    const struct shared *shared = participant->shared;
    const struct tercet_participant_options options = {.size = sizeof(options),
                                                       .barrier = participant->barrier,
                                                       .ctx = participant,
                                                       .window = shared->options.window,
                                                       .batch_max = shared->options.batch_max,
                                                       .on_log = print_log,
                                                       .log_ctx = participant};
    char service[32] = DOWN_SERVICE;
    if (participant->index < shared->options.participants)
        snprintf(service, sizeof(service), "bench-%u", participant->index);
    int rc = tercet_participant_open(out, shared->coordinator, service, actions, 1, &options, text);
    return rc != 0 ? rc : tercet_participant_wait(*out, ATTACH_TIMEOUT_MS, text);
}

static const char *start_own(struct own_server **out, struct participant *participant)
{
    struct shared *shared = participant->shared;
    char address[PATH_SIZE + 32] = "127.0.0.1:0";
    if (shared->options.form != FORM_OWN || participant->index >= shared->options.participants)
        return NULL;
    if (shared->options.transport == TRANSPORT_UNIX)
        snprintf(address, sizeof(address), "unix:%s/own-%u.sock", shared->dir, participant->index);
    return own_server_start(out, participant, address, shared->own[participant->index]);
}

/* NULL, or an error text. */
static const char *do_word(struct participant *participant, struct tercet_participant **attached,
                           const char *word, char *text)
{
    if (strcmp(word, "detach") == 0) {
        tercet_participant_close(*attached);
        *attached = NULL;
        return NULL;
    }
    if (strcmp(word, "attach") == 0) {
        int rc = attach(attached, participant, text);
        return rc == 0 ? NULL : text[0] != '\0' ? text : tercet_strerror(rc);
    }
    if (strcmp(word, "audit") != 0)
        return "no such word";
    if (participant->database != NULL && count_database(participant) != 0)
        return "the ledger cannot be read";
#ifdef BENCH_SQLITE
    if (participant->ledger != NULL && ledger_count(participant) != 0)
        return "the ledger cannot be read";
#endif
    return NULL;
}

/* Serves, and does what is asked, until there is nothing more to say. */
static int serve(struct participant *participant, struct tercet_participant **attached)
{
    char text[TERCET_TEXT_MAX] = "";
    char word[WORD_SIZE];
    role_ok("");
    while (role_word(word, sizeof(word))) {
        const char *why = do_word(participant, attached, word, text);
        if (why != NULL)
            return role_fail("%s", why);
        role_ok("");
    }
    return 0;
}

int role_participant(struct shared *shared, uint32_t index)
{
    struct participant participant = {.shared = shared, .index = index};
    struct tercet_participant *attached = NULL;
    struct own_server *own = NULL;
    char text[TERCET_TEXT_MAX] = "";
    int status;
    int rc = open_barrier(&participant, text);
    if (rc == 0)
        rc = attach(&attached, &participant, text);
    const char *why = rc == 0 ? start_own(&own, &participant) : NULL;
    if (rc != 0 || why != NULL)
        status = role_fail("%s", why != NULL ? why : text[0] != '\0' ? text : tercet_strerror(rc));
    else
        status = serve(&participant, &attached);
    own_server_stop(own);
    tercet_participant_close(attached);
#ifdef BENCH_SQLITE
    ledger_free(participant.ledger);
#endif
    tercet_barrier_close(participant.barrier);
    return status;
}
