/* SPDX-License-Identifier: Apache-2.0
 *
 * torture_check: reads what clients asked and were told (history.h), asks tercetd for the end of
 * each transaction, and proves that all of it is one story. Writes that story, "gid outcome" a
 * line, for the shop's audit, which compares it with the databases. Exit status: 0 when all holds,
 * 1 when not, 2 when it could not look.
 */
#include "check.h"

#include <inttypes.h>
#include <options.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKERS 8
#define TIMEOUT_MS 20000
#define PRINTED_MAX 20 /* violations of one rule */

struct settings {
    const char *coordinator, *told_path, *logs, *databases;
};

/* -- Asking for the end ------------------------------------------------------------------------ */

struct asking {
    struct story *story;
    struct tercet_client *client;
    atomic_size_t next;
};

static void *ask_all(void *ctx)
{
    struct asking *asking = ctx;
    size_t i;
    while ((i = atomic_fetch_add(&asking->next, 1)) < asking->story->count) {
        struct transaction *transaction = &asking->story->transactions[i];
        struct tercet_result result = {.code = TERCET_UNKNOWN};
        int64_t asked_us = history_now_us();
        int code = tercet_get(asking->client, transaction->gid, &result);
        transaction->final = code == TERCET_NOT_FOUND ? 0 : (int)result.state;
        transaction->is_final_known = code != TERCET_UNKNOWN;
        story_add(transaction, &(struct observation){.op = "get",
                                                     .code = code,
                                                     .state = (int)result.state,
                                                     .asked_us = asked_us,
                                                     .told_us = history_now_us()});
    }
    return NULL;
}

static void ask_for_ends(struct story *story, const char *coordinator)
{
    const struct tercet_client_options options = {.size = sizeof(options),
                                                  .timeout_ms = TIMEOUT_MS};
    struct asking asking = {.story = story};
    pthread_t threads[ASKERS];
    char text[TERCET_TEXT_MAX];
    if (tercet_client_open(&asking.client, coordinator, &options, text) != 0) {
        fprintf(stderr, "torture_check: %s\n", text);
        exit(2);
    }
    for (size_t i = 0; i < ASKERS; i++)
        if (pthread_create(&threads[i], NULL, ask_all, &asking) != 0)
            exit(2);
    for (size_t i = 0; i < ASKERS; i++)
        pthread_join(threads[i], NULL);
    tercet_client_close(asking.client);
}

/* -- The databases ----------------------------------------------------------------------------- */

static void mark_effects(struct story *story, const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);
    sqlite3_busy_timeout(db, TIMEOUT_MS);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db, "SELECT DISTINCT gid FROM effect", -1, &statement, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        story_find(story, (const char *)sqlite3_column_text(statement, 0))->has_effects = true;
        rc = SQLITE_OK;
    }
    if (rc != SQLITE_DONE) {
        fprintf(stderr, "torture_check: %s: %s\n", path, sqlite3_errmsg(db));
        exit(2);
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

/* -- The program ------------------------------------------------------------------------------- */

static void for_each(const char *list, struct story *story,
                     void (*fn)(struct story *, const char *))
{
    char *copy = strdup(list), *rest = NULL;
    for (char *path = strtok_r(copy, ",", &rest); path != NULL; path = strtok_r(NULL, ",", &rest))
        fn(story, path);
    free(copy);
}

static void write_told(const struct story *story, const char *path)
{
    FILE *file = fopen(path, "we");
    for (size_t i = 0; file != NULL && i < story->count; i++) {
        int state = story->transactions[i].final;
        fprintf(file, "%s %s\n", story->transactions[i].gid,
                state == TERCET_CONFIRMED   ? "confirmed"
                : state == TERCET_CANCELLED ? "cancelled"
                                            : "unknown");
    }
    if (file == NULL || fclose(file) != 0) {
        perror(path);
        exit(2);
    }
}

static size_t check_all(const struct story *story)
{
    size_t violations = 0;
    for (size_t r = 0; r < story_rule_count; r++) {
        size_t found = 0;
        char why[256];
        for (size_t i = 0; i < story->count; i++) {
            if (story_rules[r].holds(&story->transactions[i], why))
                continue;
            if (found++ == 0)
                printf("  %-50s VIOLATED\n", story_rules[r].name);
            if (found <= PRINTED_MAX)
                printf("    %s: %s\n", story->transactions[i].gid, why);
        }
        if (found == 0)
            printf("  %-50s holds\n", story_rules[r].name);
        violations += found;
    }
    return violations;
}

static void parse(struct settings *settings, int argc, char **argv)
{
    const struct option_entry table[] = {
        {"coordinator", OPTION_TEXT, &settings->coordinator, "tercetd"},
        {"logs", OPTION_TEXT, &settings->logs, "the clients' logs, with commas between them"},
        {"databases", OPTION_TEXT, &settings->databases, "the services' databases, likewise"},
        {"told", OPTION_TEXT, &settings->told_path, "the file to be written for the audit"},
    };
    struct options options = {.program = "torture_check",
                              .summary = "Proves that the clients' logs are one story.\n"};
    options_add(&options, table, sizeof(table) / sizeof(table[0]));
    options_parse(&options, argc, argv);
    if (settings->coordinator == NULL || settings->logs == NULL || settings->databases == NULL ||
        settings->told_path == NULL)
        options_fail(&options, "coordinator", "and --logs, --databases and --told are needed");
}

int main(int argc, char **argv)
{
    struct settings settings = {0};
    struct story story = {0};
    parse(&settings, argc, argv);
    for_each(settings.logs, &story, story_read);
    for_each(settings.databases, &story, mark_effects);
    ask_for_ends(&story, settings.coordinator);
    write_told(&story, settings.told_path);
    printf("torture_check: %zu transactions, %" PRIu64 " answers\n", story.count,
           story_answers(&story));
    size_t violations = check_all(&story);
    printf(violations > 0 ? "check: %zu violations\n" : "check: holds\n", violations);
    story_free(&story);
    return violations > 0 ? 1 : 0;
}
