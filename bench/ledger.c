/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h: the ledger of effects in SQLite. One thread at a time, as hooks are run.
 */
#include "participant.h"

#include <sqlite3.h>
#include <stdlib.h>

const char ledger_setup_sql[] =
    "CREATE TABLE IF NOT EXISTS ledger(seq INTEGER, branch INTEGER, operation INTEGER)";

struct ledger {
    sqlite3_stmt *insert; /* prepared with the first row */
};

struct ledger *ledger_new(void)
{
    return calloc(1, sizeof(struct ledger));
}

int ledger_add(struct ledger *ledger, tercet_db db, uint64_t seq, uint32_t branch,
               enum operation operation)
{
    static const char sql[] = "INSERT INTO ledger(seq, branch, operation) VALUES(?1, ?2, ?3)";
    if (ledger->insert == NULL &&
        sqlite3_prepare_v2(db, sql, -1, &ledger->insert, NULL) != SQLITE_OK)
        return TERCET_AGAIN;
    sqlite3_bind_int64(ledger->insert, 1, (sqlite3_int64)seq);
    sqlite3_bind_int64(ledger->insert, 2, branch);
    sqlite3_bind_int64(ledger->insert, 3, operation);
    int rc = sqlite3_step(ledger->insert);
    sqlite3_reset(ledger->insert);
    return rc == SQLITE_DONE ? 0 : TERCET_AGAIN;
}

static int count_rows(tercet_db db, void *ctx)
{
    const struct participant *participant = ctx;
    struct shared *shared = participant->shared;
    sqlite3_stmt *rows;
    int rc;
    if (sqlite3_prepare_v2(db, "SELECT seq, branch, operation FROM ledger", -1, &rows, NULL) !=
        SQLITE_OK)
        return TERCET_STORE;
    while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
        uint64_t seq = (uint64_t)sqlite3_column_int64(rows, 0);
        uint32_t branch = (uint32_t)sqlite3_column_int64(rows, 1);
        uint8_t *effects = &shared->effects[seq * shared->options.branches + branch - 1];
        *effects = effects_add(*effects, (enum operation)sqlite3_column_int(rows, 2));
    }
    sqlite3_finalize(rows);
    return rc == SQLITE_DONE ? 0 : TERCET_STORE;
}

int ledger_count(struct participant *participant)
{
    return tercet_barrier_local(participant->barrier, count_rows, participant);
}

void ledger_free(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    sqlite3_finalize(ledger->insert);
    free(ledger);
}
