/* SPDX-License-Identifier: Apache-2.0
 *
 * A service on PostgreSQL as docs/ tell one to write it: accounts, from which a try holds an
 * amount, a confirm takes it, and a cancel gives it back. Its ledger has no key: what is done twice
 * shows.
 *
 *   account SERVICE COORDINATOR URL
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/tercet.h>
#include <unistd.h>

/* What a call asks for: "ACCOUNT AMOUNT". */
struct order {
    char account[16], amount[16];
};

static bool read_order(struct order *order, const struct tercet_call *call)
{
    char text[40];
    if (call->payload.size >= sizeof(text))
        return false;
    memcpy(text, call->payload.data, call->payload.size);
    text[call->payload.size] = '\0';
    return sscanf(text, "%15[0-9] %15[0-9]", order->account, order->amount) == 2;
}

/* Carries out a statement in the open transaction. *changed: how many rows it changed. */
static int execute(const struct tercet_call *call, const char *sql, int count,
                   const char *const *values, int *changed)
{
    PGresult *result = PQexecParams(call->db, sql, count, NULL, values, NULL, NULL, 0);
    int rc = 0;
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        rc = tercet_again(call, "%s", PQresultErrorMessage(result));
    *changed = atoi(PQcmdTuples(result));
    PQclear(result);
    return rc;
}

static int write_ledger(const struct tercet_call *call, const struct order *order, const char *what)
{
    char branch[16];
    int changed;
    const char *const values[] = {call->gid, branch, what, order->account, order->amount};
    snprintf(branch, sizeof(branch), "%u", call->branch.number);
    return execute(call, "INSERT INTO ledger VALUES ($1, $2, $3, $4, $5)", 5, values, &changed);
}

static int change(const struct tercet_call *call, const char *sql, const char *what, int *changed)
{
    struct order order;
    if (!read_order(&order, call))
        return tercet_refuse(call, "the payload is no \"ACCOUNT AMOUNT\"");
    const char *const values[] = {order.account, order.amount};
    int rc = execute(call, sql, 2, values, changed);
    return rc == 0 && *changed == 1 ? write_ledger(call, &order, what) : rc;
}

static int on_try(const struct tercet_call *call, void *ctx)
{
    int changed = 0;
    (void)ctx;
    int rc = change(call,
                    "UPDATE account SET free = free - $2::bigint, held = held + $2::bigint"
                    " WHERE id = $1 AND free >= $2::bigint",
                    "try", &changed);
    return rc == 0 && changed == 0 ? tercet_refuse(call, "there is not as much") : rc;
}

static int on_confirm(const struct tercet_call *call, void *ctx)
{
    int changed = 0;
    (void)ctx;
    return change(call,
                  "UPDATE account SET held = held - $2::bigint, taken = taken + $2::bigint"
                  " WHERE id = $1",
                  "confirm", &changed);
}

static int on_cancel(const struct tercet_call *call, void *ctx)
{
    int changed = 0;
    (void)ctx;
    return change(call,
                  "UPDATE account SET held = held - $2::bigint, free = free + $2::bigint"
                  " WHERE id = $1",
                  "cancel", &changed);
}

static int fail(const char *text)
{
    fprintf(stderr, "%s\n", text);
    return 1;
}

static void print_log(enum tercet_log_level level, const char *text, void *ctx)
{
    (void)ctx;
    if (level <= TERCET_LOG_WARNING)
        fprintf(stderr, "%s\n", text);
}

int main(int argc, char **argv)
{
    struct tercet_barrier_options database = {.size = sizeof(database), .on_log = print_log};
    struct tercet_action take = {
        .name = "take", .on_try = on_try, .on_confirm = on_confirm, .on_cancel = on_cancel};
    struct tercet_participant_options options = {.size = sizeof(options), .on_log = print_log};
    struct tercet_participant *participant;
    char text[TERCET_TEXT_MAX];
    if (argc != 4)
        return fail("usage: account SERVICE COORDINATOR URL");
    if (tercet_barrier_open(&options.barrier, argv[3], &database, text) != 0)
        return fail(text);
    if (tercet_participant_open(&participant, argv[2], argv[1], &take, 1, &options, text) != 0)
        return fail(text);
    pause(); /* until it is killed: what was promised is in the database */
    return 0;
}
