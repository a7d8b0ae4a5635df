/* SPDX-License-Identifier: Apache-2.0
 *
 * A service with three seats: a try reserves one, confirm takes it, cancel gives it back.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <tercet/tercet.h>
#include <unistd.h>

static int change(const struct tercet_call *call, const char *sql)
{
    if (sqlite3_exec(call->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    return tercet_again(call, "%s", sqlite3_errmsg(call->db));
}

static int on_try(const struct tercet_call *call, void *service)
{
    int rc =
        change(call, "UPDATE seats SET free = free - 1, reserved = reserved + 1 WHERE free > 0");
    if (rc == 0 && sqlite3_changes(call->db) == 0)
        return tercet_refuse(call, "%s: no seat left", (const char *)service);
    return rc;
}

static int on_confirm(const struct tercet_call *call, void *service)
{
    (void)service;
    return change(call, "UPDATE seats SET reserved = reserved - 1, taken = taken + 1");
}

static int on_cancel(const struct tercet_call *call, void *service)
{
    (void)service;
    return change(call, "UPDATE seats SET reserved = reserved - 1, free = free + 1");
}

static int fail(const char *text)
{
    fprintf(stderr, "%s\n", text);
    return 1;
}

int main(int argc, char **argv)
{
    struct tercet_barrier_options database = {
        .size = sizeof(database),
        .setup_sql =
            "CREATE TABLE IF NOT EXISTS seats AS SELECT 3 AS free, 0 AS reserved, 0 AS taken",
    };
    struct tercet_action book = {
        .name = "book", .on_try = on_try, .on_confirm = on_confirm, .on_cancel = on_cancel};
    struct tercet_participant_options options = {.size = sizeof(options)};
    struct tercet_participant *participant;
    char text[TERCET_TEXT_MAX];

    if (argc != 4) {
        fprintf(stderr, "usage: %s SERVICE COORDINATOR FILE\n", argv[0]);
        return 2;
    }
    options.ctx = argv[1];
    if (tercet_barrier_sqlite_open(&options.barrier, argv[3], &database, text) != 0)
        return fail(text);
    if (tercet_participant_open(&participant, argv[2], argv[1], &book, 1, &options, text) != 0)
        return fail(text);
    if (tercet_participant_wait(participant, 10000, text) != 0)
        return fail(text);
    fprintf(stderr, "ready\n");
    pause(); /* a signal may end it at any time: what was promised is in the database */
    return 0;
}
