/* SPDX-License-Identifier: Apache-2.0
 *
 * A participant that tercet-conformance tries: each effect is a line in a ledger. It attaches, or
 * listens, and may be wrong on purpose.
 *
 *   conformance_participant COORDINATOR FILE attach|ADDRESS [FAULT]    (at which it listens)
 *
 * From the environment: TERCET_TOKEN; TLS_CA, TLS_CERT, TLS_KEY, PEM files.
 */
#include "faults.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/tercet.h>
#include <unistd.h>

static int fail(const char *text)
{
    fprintf(stderr, "participant: %s\n", text);
    return 1;
}

/* -- The hooks --------------------------------------------------------------------------------- */

/* Every effect has a number of its own, which is the reply: no two tries can have the same. */
static int work(const struct tercet_call *call, void *ctx)
{
    char sql[128], reply[64];
    (void)ctx;
    snprintf(sql, sizeof(sql), "INSERT INTO ledger (kind) VALUES (%d)", (int)call->kind);
    if (sqlite3_exec(call->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return tercet_again(call, "%s", sqlite3_errmsg(call->db));
    if (call->kind != TERCET_TRY)
        return 0;
    if (call->payload.size == 6 && memcmp(call->payload.data, "refuse", 6) == 0)
        return tercet_refuse(call, "as asked");
    int size =
        snprintf(reply, sizeof(reply), "line %lld", (long long)sqlite3_last_insert_rowid(call->db));
    return tercet_reply_bytes(call, (struct tercet_bytes){.data = reply, .size = (size_t)size});
}

/* The file that a variable of the environment names; NULL: none. Lives as long as the process. */
static const char *file_of(const char *variable)
{
    const char *path = getenv(variable);
    char *text = calloc(1, 16384);
    FILE *file = path != NULL ? fopen(path, "r") : NULL;
    if (file == NULL || text == NULL || fread(text, 1, 16383, file) == 0) {
        free(text);
        text = NULL;
    }
    if (file != NULL)
        fclose(file);
    return text;
}

/* -- Serving ----------------------------------------------------------------------------------- */

static int open_barrier(struct tercet_barrier **out, const char *path, const char *fault)
{
    struct tercet_barrier_options options = {
        .size = sizeof(options),
        .setup_sql = "CREATE TABLE IF NOT EXISTS ledger (line INTEGER PRIMARY KEY AUTOINCREMENT, "
                     "kind INTEGER)",
    };
    char text[TERCET_TEXT_MAX] = "";
    if (tercet_barrier_sqlite_open(out, path, &options, text) != 0)
        return fail(text);
    if (fault == NULL || faults_apply(*out, fault))
        return 0;
    tercet_barrier_close(*out);
    return fail("there is no such fault");
}

static int serve(const char *coordinator, const char *path, const char *listen, const char *fault)
{
    struct tercet_action action = {
        .name = "do", .on_try = work, .on_confirm = work, .on_cancel = work};
    struct tercet_participant_options options = {.size = sizeof(options),
                                                 .listen = listen,
                                                 .caller_token =
                                                     listen != NULL ? "conformance-token" : NULL,
                                                 .token = getenv("TERCET_TOKEN"),
                                                 .tls_ca = file_of("TLS_CA"),
                                                 .tls_cert = file_of("TLS_CERT"),
                                                 .tls_key = file_of("TLS_KEY")};
    struct tercet_participant *participant;
    char text[TERCET_TEXT_MAX] = "";
    if (open_barrier(&options.barrier, path, fault) != 0)
        return 1;
    if (tercet_participant_open(&participant, coordinator, "ledger", &action, 1, &options, text) !=
        0) {
        tercet_barrier_close(options.barrier);
        return fail(text);
    }
    pause(); /* until it is killed */
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return fail("COORDINATOR FILE attach|ADDRESS [FAULT]");
    return serve(argv[1], argv[2], strcmp(argv[3], "attach") == 0 ? NULL : argv[3],
                 argc > 4 ? argv[4] : NULL);
}
