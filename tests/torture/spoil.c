/* SPDX-License-Identifier: Apache-2.0
 *
 * torture.h: spoiling what the judge looks at. A judge that sees nothing proves nothing.
 */
#include "torture.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A statement for one of the databases, or a line for the log. %s: a transaction that was
 * confirmed, or cancelled. */
struct spoiling {
    const char *what;
    const char *database, *sql;
    const char *line;
    bool is_confirmed;
};

static const struct spoiling spoilings[] = {
    {"a confirm applied twice", "payment",
     "INSERT INTO effect SELECT * FROM effect WHERE op = 'confirm' LIMIT 1", NULL, false},
    {"a try applied twice", "order",
     "INSERT INTO effect SELECT * FROM effect WHERE op = 'try' LIMIT 1", NULL, false},
    {"a confirm lost", "stock",
     "DELETE FROM effect WHERE rowid = (SELECT max(rowid) FROM effect WHERE op = 'confirm')", NULL,
     false},
    {"a cancel lost", "stock",
     "DELETE FROM effect WHERE rowid = (SELECT max(rowid) FROM effect WHERE op = 'cancel')", NULL,
     false},
    {"money made", "payment", "UPDATE account SET available = available + 1 WHERE customer = 1",
     NULL, false},
    {"money left frozen", "payment",
     "UPDATE account SET available = available - 1, held = held + 1 WHERE customer = 2", NULL,
     false},
    {"an effect that nobody asked for", "order",
     "INSERT INTO effect VALUES ('stranger', 1, 'try', 0)", NULL, false},
    {"a confirm acknowledged and cancelled", NULL, NULL,
     "told %s confirm TERCET_OK CONFIRMING 1 2\n", false},
    {"a cancel acknowledged and confirmed", NULL, NULL, "told %s cancel TERCET_OK CANCELLING 1 2\n",
     true},
    {"a step backwards", NULL, NULL,
     "told %s get TERCET_OK TRYING 8000000000000000 8000000000000001\n", true},
    {"a cancel sent of what was confirmed", NULL, NULL, "told %s call TERCET_OK CANCELLING 1 2\n",
     true},
    {"a confirm sent before its decision", NULL, NULL,
     "told %s call TERCET_OK CONFIRMING 1 2\ntold %s get TERCET_OK TRYING 3 4\n", true},
    {"an acknowledged one forgotten", NULL, NULL,
     "asks forgotten run 1\ntold forgotten run TERCET_OK CONFIRMED 1 2\n", true},
};

#define DATABASES 3
static const char *const databases[DATABASES] = {"stock", "payment", "order"};

static void execute(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "torture: %s: %s: %s\n", path, sql, sqlite3_errmsg(db));
        exit(2);
    }
    sqlite3_close(db);
}

static void copy_databases(const char *from, const char *to)
{
    for (size_t i = 0; i < DATABASES; i++) {
        char path[256], sql[320];
        snprintf(path, sizeof(path), "%s/%s.db", to, databases[i]);
        unlink(path);
        snprintf(sql, sizeof(sql), "VACUUM INTO '%s'", path);
        snprintf(path, sizeof(path), "%s/%s.db", from, databases[i]);
        execute(path, sql);
    }
}

/* A gid that the true story has with this outcome. */
static bool find_told(char gid[80], const char *told, bool is_confirmed)
{
    char line[128], outcome[16];
    bool is_found = false;
    FILE *file = fopen(told, "re");
    while (file != NULL && !is_found && fgets(line, sizeof(line), file) != NULL)
        is_found = sscanf(line, "%79s %15s", gid, outcome) == 2 &&
                   strcmp(outcome, is_confirmed ? "confirmed" : "cancelled") == 0;
    if (file != NULL)
        fclose(file);
    return is_found;
}

static bool spoil(struct torture *torture, const struct spoiling *spoiling, const char *folder,
                  const char *gid)
{
    char path[256], *logs = crowd_logs(&torture->crowd), *all = NULL;
    copy_databases(torture->stage.daemon.dir, folder);
    snprintf(path, sizeof(path), "%s/spoilt.log", folder);
    FILE *log = fopen(path, "we");
    if (log == NULL || asprintf(&all, "%s,%s", logs, path) < 0)
        abort();
    if (spoiling->line != NULL)
        fprintf(log, spoiling->line, gid, gid);
    fclose(log);
    if (spoiling->database != NULL) {
        snprintf(path, sizeof(path), "%s/%s.db", folder, spoiling->database);
        execute(path, spoiling->sql);
    }
    printf("-- %s\n", spoiling->what);
    fflush(stdout);
    bool is_seen = !torture_judge(torture, folder, all);
    free(logs);
    free(all);
    if (!is_seen)
        fprintf(stderr, "torture: the judge does not see %s\n", spoiling->what);
    return is_seen;
}

bool spoil_all(struct torture *torture)
{
    char folder[] = "/tmp/tercet-spoilt-XXXXXX", command[128], gids[2][80];
    if (!find_told(gids[0], torture->stage.log_path, false) ||
        !find_told(gids[1], torture->stage.log_path, true))
        return torture_fail(
            torture, "nothing was cancelled, or nothing confirmed: there is nothing to spoil");
    if (mkdtemp(folder) == NULL)
        return torture_fail(torture, "there can be no directory");
    copy_databases(torture->stage.daemon.dir, folder);
    char *logs = crowd_logs(&torture->crowd);
    bool holds = torture_judge(torture, folder, logs);
    free(logs);
    for (size_t i = 0; i < sizeof(spoilings) / sizeof(spoilings[0]); i++)
        holds = spoil(torture, &spoilings[i], folder, gids[spoilings[i].is_confirmed]) && holds;
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command) == 0 && holds;
}
