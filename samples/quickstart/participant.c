/* SPDX-License-Identifier: Apache-2.0 */
#include <sqlite3.h>
#include <stdio.h>
#include <tercet/tercet.h>
#include <unistd.h>

static int change(const struct tercet_call *call, const char *sql)
{
    return sqlite3_exec(call->db, sql, NULL, NULL, NULL) == 0
               ? 0
               : tercet_again(call, "%s", sqlite3_errmsg(call->db));
}
static int on_try(const struct tercet_call *call, void *ctx)
{
    int rc =
        change(call, "UPDATE seats SET free = free - 1, reserved = reserved + 1 WHERE free > 0");
    return rc != 0 || sqlite3_changes(call->db) == 1
               ? rc
               : tercet_refuse(call, "%s: no seat left", (const char *)ctx);
}
static int on_confirm(const struct tercet_call *call, void *ctx)
{
    return (void)ctx, change(call, "UPDATE seats SET reserved = reserved - 1, taken = taken + 1");
}
static int on_cancel(const struct tercet_call *call, void *ctx)
{
    return (void)ctx, change(call, "UPDATE seats SET reserved = reserved - 1, free = free + 1");
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return fprintf(stderr, "usage: %s SERVICE COORDINATOR FILE\n", argv[0]), 2;
    const struct tercet_action book = {
        .name = "book", .on_try = on_try, .on_confirm = on_confirm, .on_cancel = on_cancel};
    const char *table =
        "CREATE TABLE IF NOT EXISTS seats AS SELECT 3 AS free, 0 AS reserved, 0 AS taken";
    struct tercet_barrier_options database = {.size = sizeof(database), .setup_sql = table};
    struct tercet_participant_options options = {.size = sizeof(options), .ctx = argv[1]};
    struct tercet_participant *participant;
    char text[TERCET_TEXT_MAX];
    if (tercet_barrier_sqlite_open(&options.barrier, argv[3], &database, text) != 0 ||
        tercet_participant_open(&participant, argv[2], argv[1], &book, 1, &options, text) != 0 ||
        tercet_participant_wait(participant, 10000, text) != 0)
        return fprintf(stderr, "%s\n", text), 1;
    fputs("ready\n", stderr);
    return pause();
}
