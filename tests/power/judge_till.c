/* SPDX-License-Identifier: Apache-2.0
 *
 * judge.h, for a participant's SQLite file: the barrier opens it, each row of the barrier stands
 * with its effects or not at all, and every answer "done" is there.
 */
#include "judge.h"

#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <tercet/tercet.h>

const char *const judge_words[2] = {"rows of the barrier", "effects"};

struct looking {
    struct judge *judge;
    uint64_t mark; /* of what may have been collected */
    bool is_right;
    bool reads_all;
};

static int fail(struct looking *looking, const char *what, const char *more)
{
    snprintf(looking->judge->text, JUDGE_TEXT_MAX, "%s: %s", what, more);
    looking->is_right = false;
    return TERCET_INVALID;
}

/* -- What contradicts itself ------------------------------------------------------------------- */

/* Each selects what there must be none of. States: 2 tried, 3 confirmed, 4 cancelled; kinds: 1 try,
 * 2 confirm, 3 cancel. */
static const char wrong_effects[] =
    "WITH e AS (SELECT gid, branch, sum(kind = 1) AS t, sum(kind = 2) AS c, sum(kind = 3) AS x "
    "FROM effects GROUP BY 1, 2)"
    " SELECT b.gid || ' is in state ' || state || ' with other effects'"
    " FROM tercet_barrier b LEFT JOIN e USING (gid, branch)"
    " WHERE NOT CASE state WHEN 2 THEN t = 1 AND c = 0 AND x = 0 WHEN 3 THEN t = 1 AND c = 1 AND x "
    "= 0"
    " ELSE ifnull(t, 0) = ifnull(x, 0) AND ifnull(c, 0) = 0 END";
static const char effects_alone[] =
    "SELECT e.gid || ' has an effect and no row' FROM effects e LEFT JOIN tercet_barrier b USING "
    "(gid, branch)"
    " WHERE b.gid IS NULL AND e.number > (SELECT mark FROM tercet_barrier_mark)";
static const char wrong_sum[] = "SELECT 'the till has counted ' || effects FROM till WHERE effects "
                                "!= (SELECT count(*) FROM effects)";
static const char *const contradictions[] = {wrong_effects, effects_alone, wrong_sum};

static int tell(void *ctx, int count, char **values, char **names)
{
    (void)count;
    (void)names;
    return fail(ctx, "the database contradicts itself", values[0] != NULL ? values[0] : "NULL");
}

static int tell_unless_ok(void *ctx, int count, char **values, char **names)
{
    (void)count;
    (void)names;
    return strcmp(values[0], "ok") == 0 ? 0 : fail(ctx, "the database is damaged", values[0]);
}

static int run_sql(struct looking *looking, sqlite3 *db, const char *sql, sqlite3_callback each)
{
    int rc = sqlite3_exec(db, sql, each, looking, NULL);
    if (rc == SQLITE_OK || !looking->is_right)
        return looking->is_right ? 0 : TERCET_INVALID;
    return fail(looking, "the database cannot be read", sqlite3_errmsg(db));
}

/* -- What was told ----------------------------------------------------------------------------- */

static struct truth_txn *meet(struct looking *looking, const char *gid)
{
    struct truth_txn *txn = truth_find(looking->judge->truth, gid);
    if (txn == NULL || !txn->claim.is_begun) {
        fail(looking, "nobody had asked for", gid);
        return NULL;
    }
    if (txn->stamp != looking->judge->stamp) {
        txn->stamp = looking->judge->stamp;
        txn->found_branches = 0;
        txn->found_decision = 0;
    }
    return txn;
}

static int meet_effect(void *ctx, int count, char **values, char **names)
{
    struct looking *looking = ctx;
    static const enum power_told hooks[] = {
        [TERCET_TRY] = HOOK_TRY, [TERCET_CONFIRM] = HOOK_CONFIRM, [TERCET_CANCEL] = HOOK_CANCEL};
    struct truth_txn *txn = meet(looking, values[0]);
    (void)count;
    (void)names;
    if (txn == NULL)
        return TERCET_INVALID;
    txn->found_branches |= UINT64_C(1) << TRUTH_HOOK(1, hooks[values[1][0] - '0']);
    looking->judge->resolved++;
    return 0;
}

static int meet_row(void *ctx, int count, char **values, char **names)
{
    struct looking *looking = ctx;
    struct truth_txn *txn = meet(looking, values[0]);
    (void)count;
    (void)names;
    if (txn == NULL)
        return TERCET_INVALID;
    txn->found_decision = values[1][0] == '3'   ? TOLD_CONFIRM
                          : values[1][0] == '4' ? TOLD_CANCEL
                                                : (enum power_told)0;
    looking->judge->live++;
    return 0;
}

static int check_told(struct looking *looking)
{
    const struct truth *truth = looking->judge->truth;
    for (size_t i = 0; i < truth->count && truth->txns[i].claim.is_begun; i++) {
        const struct truth_txn *txn = &truth->txns[i];
        const struct truth_claim *claim = &txn->claim;
        bool is_met = txn->stamp == looking->judge->stamp;
        bool is_collected = claim->number <= looking->mark;
        looking->judge->told += claim->is_known;
        looking->judge->decided += claim->decision != 0;
        looking->judge->over += claim->decision != 0 && is_collected;
        if ((claim->hooks & ~(is_met ? txn->found_branches : 0)) != 0)
            return fail(looking, "was answered, and its effect is missing", txn->gid);
        if (claim->decision != 0 && !is_collected &&
            (!is_met || claim->decision != txn->found_decision))
            return fail(looking, "was answered, and its row is missing", txn->gid);
    }
    return 0;
}

static int look(tercet_db db, void *ctx)
{
    struct looking *looking = ctx;
    int rc =
        run_sql(looking, db, looking->reads_all ? "PRAGMA integrity_check" : "PRAGMA quick_check",
                tell_unless_ok);
    for (size_t i = 0; rc == 0 && i < sizeof(contradictions) / sizeof(contradictions[0]); i++)
        rc = run_sql(looking, db, contradictions[i], tell);
    if (rc == 0)
        rc = run_sql(looking, db, "SELECT gid, kind FROM effects", meet_effect);
    if (rc == 0)
        rc = run_sql(looking, db, "SELECT gid, state FROM tercet_barrier", meet_row);
    return rc == 0 ? check_told(looking) : rc;
}

bool judge_image(struct judge *judge, const char *folder, size_t cut, bool reads_all)
{
    static const char setup[] =
        "CREATE TABLE IF NOT EXISTS effects (gid TEXT NOT NULL, number INTEGER NOT NULL, branch "
        "INTEGER NOT NULL,"
        " kind INTEGER NOT NULL, note BLOB, PRIMARY KEY (gid, branch, kind));"
        "CREATE TABLE IF NOT EXISTS till (id INTEGER PRIMARY KEY CHECK (id = 1), effects INTEGER "
        "NOT NULL);";
    struct tercet_barrier_options options = {.size = sizeof(options), .setup_sql = setup};
    struct looking looking = {.judge = judge, .is_right = true, .reads_all = reads_all};
    struct tercet_barrier *barrier;
    char path[PATH_MAX], text[TERCET_TEXT_MAX] = "";
    uint64_t rows;
    (void)cut;
    judge->stamp++;
    snprintf(path, sizeof(path), "%s/till.db", folder);
    if (tercet_barrier_sqlite_open(&barrier, path, &options, text) != 0) {
        fail(&looking, "the barrier does not open the file", text);
        return false;
    }
    if (tercet_barrier_stats(barrier, &rows, &looking.mark) != 0)
        fail(&looking, "the barrier cannot be read", "");
    else if (tercet_barrier_local(barrier, look, &looking) != 0 && looking.is_right)
        fail(&looking, "the database fails", "");
    tercet_barrier_close(barrier);
    return looking.is_right;
}
