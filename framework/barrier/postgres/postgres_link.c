/* SPDX-License-Identifier: Apache-2.0
 *
 * postgres.h: connecting, and what is looked at then: whether the server may be written to and
 * keeps what it commits, and whether the tables are there. They are those of schema.sql.
 */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "../location.h"

#define VERSION 1
#define VERSION_MIN 90500 /* of the server: ON CONFLICT, SKIP LOCKED */

/* One at a time makes the tables: IF NOT EXISTS alone fails when two do. */
static const char schema[] =
    "BEGIN; SELECT pg_advisory_xact_lock(7313892374128);"
    "CREATE TABLE IF NOT EXISTS tercet_barrier ("
    " gid varchar(64) COLLATE \"C\" NOT NULL, branch integer NOT NULL, number bigint NOT NULL,"
    " state smallint NOT NULL, changed_ms bigint NOT NULL, reply bytea, PRIMARY KEY (gid, branch));"
    "CREATE INDEX IF NOT EXISTS tercet_barrier_ended ON tercet_barrier (number)"
    " WHERE number > 0 AND state > 2;"
    "CREATE TABLE IF NOT EXISTS tercet_barrier_mark ("
    " id integer PRIMARY KEY CHECK (id = 1), version integer NOT NULL, mark bigint NOT NULL,"
    " identity varchar(32) NOT NULL DEFAULT '', source varchar(32) NOT NULL DEFAULT '');"
    "INSERT INTO tercet_barrier_mark (id, version, mark) VALUES (1, 1, 0) ON CONFLICT DO NOTHING;"
    "COMMIT";

/* -- Texts ------------------------------------------------------------------------------------- */

int postgres_fail(struct postgres *postgres, const char *what, const char *text)
{
    size_t room = sizeof(postgres->error);
    snprintf(postgres->error, room, "%s: %s", what, text);
    location_hide(postgres->error, postgres->password);
    size_t size = strlen(postgres->error);
    while (size > 0 && (postgres->error[size - 1] == '\n' || postgres->error[size - 1] == ' '))
        postgres->error[--size] = '\0';
    for (char *c = postgres->error; *c != '\0'; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    return TERCET_STORE;
}

static void warn(struct postgres *postgres, const char *text)
{
    if (postgres->options.on_log != NULL)
        postgres->options.on_log(TERCET_LOG_WARNING, text, postgres->options.log_ctx);
}

/* -- State ------------------------------------------------------------------------------------- */

/* The password that the URL has, to keep it out of texts. */
static char *find_password(const char *url)
{
    char *password = NULL, *error = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &error);
    for (PQconninfoOption *option = options; option != NULL && option->keyword != NULL; option++)
        if (strcmp(option->keyword, "password") == 0 && option->val != NULL)
            password = strdup(option->val);
    PQconninfoFree(options);
    PQfreemem(error);
    return password;
}

struct postgres *postgres_new(const char *url, const struct tercet_barrier_options *options)
{
    struct postgres *postgres = calloc(1, sizeof(*postgres));
    if (postgres == NULL)
        return NULL;
    postgres->options = *options;
    postgres->url = strdup(url);
    postgres->password = find_password(url);
    if (options->setup_sql != NULL)
        postgres->setup_sql = strdup(options->setup_sql);
    postgres->options.setup_sql = postgres->setup_sql;
    if (postgres->url == NULL || (options->setup_sql != NULL && postgres->setup_sql == NULL)) {
        postgres_free(postgres);
        return NULL;
    }
    return postgres;
}

static void free_secret(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void postgres_free(struct postgres *postgres)
{
    postgres_disconnect(postgres);
    free_secret(postgres->url);
    free_secret(postgres->password);
    free(postgres->setup_sql);
    free(postgres);
}

void postgres_disconnect(struct postgres *postgres)
{
    PQclear(postgres->row);
    PQfinish(postgres->conn);
    postgres->row = NULL;
    postgres->conn = NULL;
    postgres->queue_count = 0;
    postgres->has_mark = false;
}

/* -- What is looked at on a new connection ----------------------------------------------------- */

static int execute(struct postgres *postgres, const char *sql, const char *what)
{
    PGresult *result = PQexec(postgres->conn, sql);
    ExecStatusType status = PQresultStatus(result);
    int rc = 0;
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY)
        rc = postgres_fail(postgres, what, PQerrorMessage(postgres->conn));
    PQclear(result);
    return rc;
}

/* The text in the only row's first column; false when there is none. */
static bool ask(struct postgres *postgres, const char *sql, char *value, size_t size)
{
    PGresult *result = PQexec(postgres->conn, sql);
    bool ok = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
    if (ok)
        snprintf(value, size, "%s", PQgetvalue(result, 0, 0));
    else
        postgres_fail(postgres, "cannot ask the server", PQerrorMessage(postgres->conn));
    PQclear(result);
    return ok;
}

/* Settings of the whole server: not ours to change. */
static int check_keeps(struct postgres *postgres, const char *settings)
{
    const char *wrong = strstr(settings, "fsync=off") != NULL              ? "fsync"
                        : strstr(settings, "full_page_writes=off") != NULL ? "full_page_writes"
                                                                           : NULL;
    char text[TERCET_TEXT_MAX];
    if (wrong == NULL)
        return 0;
    snprintf(text, sizeof(text),
             "the server runs with %s=off and can lose what it has committed: set it on, or set "
             "is_unsafe_allowed where money does not matter",
             wrong);
    if (!postgres->options.is_unsafe_allowed)
        return postgres_fail(postgres, "settings", text);
    warn(postgres, text);
    return 0;
}

static int check_settings(struct postgres *postgres)
{
    char settings[256];
    int version = PQserverVersion(postgres->conn);
    if (version < VERSION_MIN) {
        snprintf(
            settings, sizeof(settings),
            "the server is PostgreSQL %d.%d, and the barrier needs 9.5 or newer (INSERT ... ON "
            "CONFLICT, SKIP LOCKED): upgrade it",
            version / 10000, version / 100 % 100);
        return postgres_fail(postgres, "settings", settings);
    }
    if (!ask(postgres,
             "SELECT 'fsync=' || current_setting('fsync')"
             " || ' full_page_writes=' || current_setting('full_page_writes')"
             " || ' synchronous_commit=' || current_setting('synchronous_commit')"
             " || ' isolation=' || current_setting('default_transaction_isolation')"
             " || ' read_only=' || current_setting('transaction_read_only')"
             " || ' lock_timeout=' || current_setting('lock_timeout')",
             settings, sizeof(settings)))
        return TERCET_STORE;
    if (strstr(settings, "read_only=on") != NULL)
        return postgres_fail(postgres, "settings",
                             "the server takes no writes (a standby?): name the primary, or add "
                             "target_session_attrs=read-write to a list of hosts");
    postgres->sees_snapshot = strstr(settings, "isolation=read ") == NULL;
    if (strstr(settings, "synchronous_commit=off") != NULL) {
        warn(postgres, "barrier: synchronous_commit is off: set on for the barrier's connections");
        if (execute(postgres, "SET synchronous_commit = on", "cannot set synchronous_commit") != 0)
            return TERCET_STORE;
    }
    if (strstr(settings, "lock_timeout=0") != NULL) {
        char sql[64];
        snprintf(sql, sizeof(sql), "SET lock_timeout = %u", postgres->options.busy_timeout_ms);
        if (execute(postgres, sql, "cannot set lock_timeout") != 0)
            return TERCET_STORE;
    }
    return check_keeps(postgres, settings);
}

static int make_tables(struct postgres *postgres)
{
    if (postgres->options.has_tables)
        return postgres_fail(postgres, "tables",
                             "tercet_barrier_mark is missing, or has no row: have "
                             "barrier-postgres.sql run in this database and schema");
    int rc = execute(postgres, schema,
                     "cannot make the barrier's tables (have barrier-postgres.sql run, or grant "
                     "CREATE on the schema)");
    if (rc != 0)
        execute(postgres, "ROLLBACK", postgres->error);
    return rc;
}

static int check_tables(struct postgres *postgres)
{
    char version[24] = "", is_there[8] = "";
    if (!ask(postgres, "SELECT to_regclass('tercet_barrier_mark') IS NOT NULL", is_there,
             sizeof(is_there)))
        return TERCET_STORE;
    if (is_there[0] != 't')
        return make_tables(postgres);
    if (!ask(postgres, "SELECT coalesce(max(version), 0) FROM tercet_barrier_mark", version,
             sizeof(version)))
        return TERCET_STORE;
    if (atoi(version) == 0)
        return make_tables(postgres);
    if (atoi(version) <= VERSION)
        return 0;
    postgres_fail(postgres, "tables",
                  "the barrier's tables are of a newer version than this program: run a newer one");
    return TERCET_FORMAT;
}

/* -- Connecting -------------------------------------------------------------------------------- */

/* Sees every result, the hooks' too: a conflict in a hook costs the transaction, whatever the hook
 * makes of it. */
static int on_event(PGEventId id, void *info, void *ctx)
{
    struct postgres *postgres = ctx;
    if (id != PGEVT_RESULTCREATE)
        return 1;
    const PGresult *result = ((const PGEventResultCreate *)info)->result;
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (state != NULL && strncmp(state, "40", 2) == 0)
        postgres->has_conflict = true;
    if (state != NULL && strcmp(state, "40P01") == 0)
        postgres->has_deadlock = true;
    return 1;
}

static void ignore_notice(void *ctx, const PGresult *result)
{
    (void)ctx;
    (void)result;
}

static PGconn *open_connection(const struct postgres *postgres)
{
    char timeout[16];
    snprintf(timeout, sizeof(timeout), "%u", (postgres->options.connect_timeout_ms + 999) / 1000);
    /* What stands before the URL is overridden by it. */
    const char *const keywords[] = {"connect_timeout", "tcp_user_timeout",
                                    "keepalives_idle", "fallback_application_name",
                                    "dbname",          NULL};
    const char *const values[] = {timeout, "30000", "30", "tercet", postgres->url, NULL};
    return PQconnectdbParams(keywords, values, 1);
}

static int connect_now(struct postgres *postgres)
{
    postgres->conn = open_connection(postgres);
    if (postgres->conn == NULL)
        return TERCET_NOMEM;
    if (PQstatus(postgres->conn) != CONNECTION_OK)
        return postgres_fail(postgres, "cannot connect", PQerrorMessage(postgres->conn));
    PQsetNoticeReceiver(postgres->conn, ignore_notice, NULL);
    PQregisterEventProc(postgres->conn, on_event, "tercet", postgres);
    int rc = 0;
    if (postgres->setup_sql != NULL)
        rc = execute(postgres, postgres->setup_sql, "setup_sql");
    if (rc == 0)
        rc = check_settings(postgres);
    if (rc == 0)
        rc = check_tables(postgres);
    if (rc == 0)
        rc = postgres_prepare(postgres);
    return rc;
}

int postgres_connect(struct postgres *postgres)
{
    postgres_disconnect(postgres);
    if (!server_retry_is_due(&postgres->retry))
        return postgres->error[0] != '\0'
                   ? TERCET_STORE
                   : postgres_fail(postgres, "not connected", "connecting is tried again soon");
    int rc = connect_now(postgres);
    if (rc == 0) {
        server_retry_clear(&postgres->retry);
        postgres->error[0] = '\0';
        return 0;
    }
    server_retry_plan(&postgres->retry);
    postgres->failure = TERCET_BARRIER_LOST;
    postgres_disconnect(postgres);
    return rc;
}
