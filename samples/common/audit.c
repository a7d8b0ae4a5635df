/* SPDX-License-Identifier: Apache-2.0
 *
 * Audits from outside. One SQLite connection has all databases attached, so a check is a query over
 * all of them.
 */
#include "audit.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit_server.h"
#include "options.h"

#define DATABASES_MAX 8
#define PRINTED_MAX 50 /* violations of one check */
#define POLL_PAUSE_MS 200
#define BUSY_TIMEOUT_MS 5000

struct auditor {
    const struct audit *audit;
    const char *urls[DATABASES_MAX];
    struct audit_server *servers[DATABASES_MAX]; /* NULL: a SQLite file */
    const char *log_path;
    bool is_at_rest;
    int64_t wait_ms;
    sqlite3 *db;
};

__attribute__((noreturn)) static void give_up(const struct auditor *auditor, const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", auditor->audit->program, what, sqlite3_errmsg(auditor->db));
    exit(2);
}

static void execute(const struct auditor *auditor, const char *sql)
{
    if (sqlite3_exec(auditor->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        give_up(auditor, sql);
}

static sqlite3_stmt *prepare(const struct auditor *auditor, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(auditor->db, sql, -1, &statement, NULL) != SQLITE_OK)
        give_up(auditor, sql);
    return statement;
}

/* A query's only number; `format` has one %w, the service. */
static int64_t read_number(const struct auditor *auditor, const char *format, const char *service)
{
    char *sql = sqlite3_mprintf(format, service);
    sqlite3_stmt *statement = prepare(auditor, sql);
    if (sqlite3_step(statement) != SQLITE_ROW)
        give_up(auditor, sql);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_free(sql);
    return number;
}

/* -- What holds for every sample --------------------------------------------------------------- */

static const struct audit_check common_checks[] = {
    {"every effect at most once (S6)", false,
     "SELECT gid, printf('%s: %s applied %d times to branch %d', service, op, count(*), branch) "
     "FROM ledger"
     " GROUP BY gid, service, branch, op HAVING count(*) > 1 "
     "UNION ALL "
     "SELECT gid, printf('%s: branch %d both confirmed and cancelled', service, branch) FROM ledger"
     " GROUP BY gid, service, branch HAVING sum(op = 'confirm') > 0 AND sum(op = 'cancel') > 0"},
    {"no confirm or cancel without a try before (S5)", false,
     "SELECT gid, printf('%s: %s of branch %d without a try', service, op, branch) FROM ledger AS l"
     " WHERE op <> 'try' AND NOT EXISTS (SELECT 1 FROM ledger AS t WHERE t.gid = l.gid AND "
     "t.service = l.service"
     " AND t.branch = l.branch AND t.op = 'try' AND t.seq < l.seq)"},
    {"no try after a cancel (S7)", false,
     "SELECT gid, printf('%s: try of branch %d after its cancel', service, branch) FROM ledger AS l"
     " WHERE op = 'try' AND EXISTS (SELECT 1 FROM ledger AS c WHERE c.gid = l.gid AND c.service = "
     "l.service"
     " AND c.branch = l.branch AND c.op = 'cancel' AND c.seq < l.seq)"},
    {"no branch confirmed beside a cancelled one (S1)", false,
     "SELECT gid, printf('confirmed in %s, cancelled in %s', group_concat(CASE op WHEN 'confirm' "
     "THEN service END),"
     " group_concat(CASE op WHEN 'cancel' THEN service END)) FROM ledger"
     " GROUP BY gid HAVING sum(op = 'confirm') > 0 AND sum(op = 'cancel') > 0"},
    {"what was confirmed was confirmed everywhere (S1)", true,
     "SELECT c.gid, printf('confirmed, but not in %s', p.service)"
     " FROM (SELECT DISTINCT gid, kind FROM ledger WHERE op = 'confirm') AS c JOIN part AS p ON "
     "p.kind = c.kind"
     " WHERE NOT EXISTS (SELECT 1 FROM ledger AS l WHERE l.gid = c.gid AND l.service = p.service"
     " AND l.op = 'confirm')"},
    {"a branch ends with what it began with", false,
     "SELECT gid, printf('%s: branch %d: amounts from %d to %d', service, branch, min(amount), "
     "max(amount)) FROM ledger"
     " GROUP BY gid, service, branch HAVING min(amount) <> max(amount)"},
    {"every try has its end", true,
     "SELECT gid, printf('%s: branch %d neither confirmed nor cancelled', service, branch) FROM "
     "ledger"
     " GROUP BY gid, service, branch HAVING sum(op = 'try') > 0 AND sum(op <> 'try') = 0"},
    {"no outcome was told in two ways (S2)", false,
     "SELECT gid, 'told confirmed, and told cancelled' FROM told WHERE outcome <> 'unknown'"
     " GROUP BY gid HAVING count(DISTINCT outcome) > 1"},
    {"what was told is not contradicted", false,
     "SELECT DISTINCT t.gid, printf('told %s; %s applied a %s', t.outcome, l.service, l.op)"
     " FROM told AS t JOIN ledger AS l ON l.gid = t.gid"
     " WHERE (t.outcome = 'confirmed' AND l.op = 'cancel') OR (t.outcome = 'cancelled' AND l.op = "
     "'confirm')"},
    {"what was told confirmed is there", true,
     "SELECT DISTINCT gid, 'told confirmed; no database has it' FROM told AS t WHERE outcome = "
     "'confirmed'"
     " AND NOT EXISTS (SELECT 1 FROM ledger AS l WHERE l.gid = t.gid AND l.op = 'confirm')"},
};

/* -- Opening ----------------------------------------------------------------------------------- */

static void attach_file(const struct auditor *auditor, const char *path, const char *service)
{
    char *sql = sqlite3_mprintf("ATTACH %Q AS \"%w\"", path, service);
    execute(auditor, sql);
    sqlite3_free(sql);
}

/* The main database is empty and read-only, and what is attached is opened as it was; temporary
 * tables can be made. */
static void open_databases(struct auditor *auditor)
{
    char text[TERCET_TEXT_MAX] = "";
    if (sqlite3_open_v2(":memory:", &auditor->db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        give_up(auditor, "sqlite");
    sqlite3_busy_timeout(auditor->db, BUSY_TIMEOUT_MS);
    for (size_t i = 0; i < auditor->audit->database_count; i++) {
        const char *url = auditor->urls[i], *service = auditor->audit->databases[i].service;
        bool is_file = strstr(url, "://") == NULL;
        if (is_file)
            attach_file(auditor, strncmp(url, "sqlite:", 7) == 0 ? url + 7 : url, service);
        else if (audit_server_open(&auditor->servers[i], url, text) != 0) {
            fprintf(stderr, "%s: %s: %s\n", auditor->audit->program, service, text);
            exit(2);
        }
    }
}

__attribute__((noreturn)) static void give_up_server(const struct auditor *auditor, size_t i)
{
    fprintf(stderr, "%s: %s: %s\n", auditor->audit->program, auditor->audit->databases[i].service,
            audit_server_error(auditor->servers[i]));
    exit(2);
}

static void read_log_line(const struct auditor *auditor, sqlite3_stmt *insert, const char *line,
                          int number)
{
    char gid[80];
    char outcome[16];
    if (sscanf(line, "%79s %15s", gid, outcome) != 2 ||
        (strcmp(outcome, "confirmed") != 0 && strcmp(outcome, "cancelled") != 0 &&
         strcmp(outcome, "unknown") != 0)) {
        fprintf(stderr, "%s: %s:%d is not \"gid outcome\"\n", auditor->audit->program,
                auditor->log_path, number);
        exit(2);
    }
    sqlite3_bind_text(insert, 1, gid, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 2, outcome, -1, SQLITE_STATIC);
    if (sqlite3_step(insert) != SQLITE_DONE)
        give_up(auditor, "the log's copy");
    sqlite3_reset(insert);
}

static void read_log(const struct auditor *auditor)
{
    char line[256];
    int number = 0;
    execute(auditor, "CREATE TEMP TABLE told (gid TEXT NOT NULL, outcome TEXT NOT NULL)");
    if (auditor->log_path == NULL)
        return;
    FILE *file = fopen(auditor->log_path, "re");
    if (file == NULL) {
        perror(auditor->log_path);
        exit(2);
    }
    sqlite3_stmt *insert = prepare(auditor, "INSERT INTO told (gid, outcome) VALUES (?1, ?2)");
    while (fgets(line, sizeof(line), file) != NULL)
        read_log_line(auditor, insert, line, ++number);
    sqlite3_finalize(insert);
    fclose(file);
}

/* Within the transaction that the checks see, so that ledger and tables are of one moment in each
 * database. */
static void copy_ledgers(const struct auditor *auditor)
{
    execute(
        auditor,
        "CREATE TEMP TABLE part (kind TEXT NOT NULL, service TEXT NOT NULL);"
        "CREATE TEMP TABLE ledger (service TEXT NOT NULL, kind TEXT NOT NULL, seq INTEGER NOT NULL,"
        " gid TEXT NOT NULL, branch INTEGER NOT NULL, op TEXT NOT NULL, amount INTEGER NOT NULL)");
    for (size_t i = 0; i < auditor->audit->database_count; i++) {
        const struct audit_database *database = &auditor->audit->databases[i];
        const char *service = database->service;
        char *sql = sqlite3_mprintf("INSERT INTO part VALUES (%Q, %Q)", database->kind, service);
        execute(auditor, sql);
        sqlite3_free(sql);
        if (auditor->servers[i] != NULL) {
            if (audit_server_copy(auditor->servers[i], auditor->db, database) != 0)
                give_up_server(auditor, i);
            continue;
        }
        sql = sqlite3_mprintf("INSERT INTO ledger"
                              " SELECT %Q, %Q, rowid, gid, branch, op, amount FROM \"%w\".effect",
                              service, database->kind, service);
        execute(auditor, sql);
        sqlite3_free(sql);
    }
    execute(auditor, "CREATE INDEX ledger_gid ON ledger (gid, service, branch, op);"
                     "CREATE INDEX told_gid ON told (gid)");
}

/* -- Waiting ----------------------------------------------------------------------------------- */

static void look_at_file(const struct auditor *auditor, const char *service, int64_t *open_count,
                         int64_t *effect_count)
{
    *effect_count += read_number(auditor, "SELECT count(*) FROM \"%w\".effect", service);
    *open_count +=
        read_number(auditor,
                    "SELECT count(*) FROM (SELECT 1 FROM \"%w\".effect GROUP BY gid, branch"
                    " HAVING sum(op = 'try') > sum(op <> 'try'))",
                    service);
}

static void look_at_ledgers(const struct auditor *auditor, int64_t *open_count,
                            int64_t *effect_count)
{
    *open_count = 0;
    *effect_count = 0;
    for (size_t i = 0; i < auditor->audit->database_count; i++) {
        if (auditor->servers[i] == NULL)
            look_at_file(auditor, auditor->audit->databases[i].service, open_count, effect_count);
        else if (audit_server_look(auditor->servers[i], open_count, effect_count) != 0)
            give_up_server(auditor, i);
    }
}

/* Until no branch is open in two looks, and nothing happened in between; or the time is over: the
 * checks will tell. */
static void wait_for_rest(const struct auditor *auditor)
{
    const struct timespec pause = {.tv_nsec = POLL_PAUSE_MS * 1000000};
    int64_t open_count, effect_count;
    int64_t effect_count_before = -1;
    for (int64_t waited_ms = 0; waited_ms < auditor->wait_ms; waited_ms += POLL_PAUSE_MS) {
        look_at_ledgers(auditor, &open_count, &effect_count);
        if (open_count == 0 && effect_count == effect_count_before)
            return;
        effect_count_before = effect_count;
        nanosleep(&pause, NULL);
    }
}

/* -- Checking ---------------------------------------------------------------------------------- */

/* How many violations there are. */
static int64_t run_check(const struct auditor *auditor, const struct audit_check *check)
{
    sqlite3_stmt *statement = prepare(auditor, check->sql);
    int64_t count = 0;
    int rc;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        if (count++ == 0)
            printf("  %-50s VIOLATED\n", check->name);
        if (count <= PRINTED_MAX)
            printf("    %s: %s\n", sqlite3_column_text(statement, 0),
                   sqlite3_column_text(statement, 1));
    }
    if (rc != SQLITE_DONE)
        give_up(auditor, check->name);
    sqlite3_finalize(statement);
    if (count == 0)
        printf("  %-50s holds\n", check->name);
    else if (count > PRINTED_MAX)
        printf("    and %" PRId64 " more\n", count - PRINTED_MAX);
    return count;
}

static int64_t run_checks(const struct auditor *auditor, const struct audit_check *checks,
                          size_t count)
{
    int64_t violation_count = 0;
    for (size_t i = 0; i < count; i++)
        if (auditor->is_at_rest || !checks[i].is_at_rest)
            violation_count += run_check(auditor, &checks[i]);
    return violation_count;
}

static void print_head(const struct auditor *auditor)
{
    int64_t told = read_number(auditor, "SELECT count(DISTINCT gid) FROM told", "");
    int64_t transactions = read_number(auditor, "SELECT count(DISTINCT gid) FROM ledger", "");
    int64_t effects = read_number(auditor, "SELECT count(*) FROM ledger", "");
    printf("%s, %s: %" PRId64 " outcomes told; %" PRId64 " effects of %" PRId64
           " transactions in %zu databases\n",
           auditor->audit->program, auditor->is_at_rest ? "at rest" : "at any time", told, effects,
           transactions, auditor->audit->database_count);
}

static int run_audit(struct auditor *auditor)
{
    open_databases(auditor);
    wait_for_rest(auditor);
    execute(auditor, "BEGIN");
    read_log(auditor);
    copy_ledgers(auditor);
    print_head(auditor);
    int64_t count = run_checks(auditor, auditor->audit->checks, auditor->audit->check_count);
    count += run_checks(auditor, common_checks, sizeof(common_checks) / sizeof(common_checks[0]));
    execute(auditor, "COMMIT");
    sqlite3_close(auditor->db);
    for (size_t i = 0; i < auditor->audit->database_count; i++)
        audit_server_close(auditor->servers[i]);
    if (count > 0)
        printf("audit: %" PRId64 " violations\n", count);
    else
        puts("audit: holds");
    return count > 0 ? 1 : 0;
}

int audit_main(const struct audit *audit, int argc, char **argv)
{
    struct auditor auditor = {.audit = audit};
    struct option_entry files[DATABASES_MAX];
    const struct option_entry common[] = {
        {"log", OPTION_TEXT, &auditor.log_path,
         "the traffic's log; the outcomes in it must be true"},
        {"at-rest", OPTION_FLAG, &auditor.is_at_rest,
         "nothing may be under way: check also that nothing is left over"},
        {"wait", OPTION_DURATION, &auditor.wait_ms,
         "wait so long at most until nothing is under way (default 0)"},
    };
    struct options options = {.program = audit->program, .summary = audit->summary};
    for (size_t i = 0; i < audit->database_count; i++)
        files[i] = (struct option_entry){audit->databases[i].service, OPTION_TEXT, &auditor.urls[i],
                                         "the service's database: a URL, or a SQLite file"};
    options_add(&options, files, audit->database_count);
    options_add(&options, common, sizeof(common) / sizeof(common[0]));
    options_parse(&options, argc, argv);
    for (size_t i = 0; i < audit->database_count; i++)
        if (auditor.urls[i] == NULL)
            options_fail(&options, audit->databases[i].service, "is needed");
    return run_audit(&auditor);
}
