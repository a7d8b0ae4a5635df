/* SPDX-License-Identifier: Apache-2.0
 *
 * faults.h: SQLite's driver, with one operation that is not what it says.
 */
#include "faults.h"

#include "pool.h"

#include <ctype.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tercet_barrier_driver real;

/* -- The table --------------------------------------------------------------------------------- */

static int insert_always(void *driver, const struct tercet_barrier_key *key,
                         enum tercet_barrier_state state, bool *inserted)
{
    int rc = real.insert(driver, key, state, inserted);
    *inserted = state == TERCET_BARRIER_TRIED;
    return rc;
}

static int move_always(void *driver, const struct tercet_barrier_key *key,
                       enum tercet_barrier_state from, enum tercet_barrier_state to, bool *moved)
{
    int rc = real.move(driver, key, from, to, moved);
    *moved = true;
    return rc;
}

/* A cancel that finds nothing undoes what was never done. */
static int insert_to_undo(void *driver, const struct tercet_barrier_key *key,
                          enum tercet_barrier_state state, bool *inserted)
{
    int rc = real.insert(driver, key, TERCET_BARRIER_TRIED, inserted);
    if (state == TERCET_BARRIER_CANCELLED)
        *inserted = false;
    return rc;
}

/* A cancel that finds nothing leaves nothing. */
static int insert_tried_only(void *driver, const struct tercet_barrier_key *key,
                             enum tercet_barrier_state state, bool *inserted)
{
    struct tercet_barrier_row row = {.state = TERCET_BARRIER_NONE};
    if (state == TERCET_BARRIER_TRIED)
        return real.insert(driver, key, state, inserted);
    int rc = real.read(driver, key, &row);
    *inserted = row.state == TERCET_BARRIER_NONE;
    free(row.reply);
    return rc;
}

/* A try that comes late is taken. */
static int insert_late(void *driver, const struct tercet_barrier_key *key,
                       enum tercet_barrier_state state, bool *inserted)
{
    int rc = real.insert(driver, key, state, inserted);
    if (rc == 0 && !*inserted && state == TERCET_BARRIER_TRIED)
        rc = real.move(driver, key, TERCET_BARRIER_CANCELLED, TERCET_BARRIER_TRIED, inserted);
    return rc;
}

/* A confirm of what was never tried is done. */
static int move_to_confirmed(void *driver, const struct tercet_barrier_key *key,
                             enum tercet_barrier_state from, enum tercet_barrier_state to,
                             bool *moved)
{
    bool inserted = false;
    int rc = 0;
    if (to == TERCET_BARRIER_CONFIRMED)
        rc = real.insert(driver, key, to, &inserted);
    return rc == 0 ? real.move(driver, key, from, to, moved) : rc;
}

/* A cancel takes back what was confirmed. */
static int move_from_confirmed(void *driver, const struct tercet_barrier_key *key,
                               enum tercet_barrier_state from, enum tercet_barrier_state to,
                               bool *moved)
{
    int rc = real.move(driver, key, from, to, moved);
    if (rc == 0 && !*moved && to == TERCET_BARRIER_CANCELLED)
        rc = real.move(driver, key, TERCET_BARRIER_CONFIRMED, to, moved);
    return rc;
}

static int save_no_reply(void *driver, const struct tercet_barrier_key *key,
                         struct tercet_bytes reply)
{
    (void)driver;
    (void)key;
    (void)reply;
    return 0;
}

static int keep_work(void *driver)
{
    (void)driver;
    return 0;
}

static void commit_instead(void *driver)
{
    real.commit(driver);
}

/* -- The key ----------------------------------------------------------------------------------- */

enum { KEY_LOWER, KEY_CUT, KEY_BRANCHLESS } key_fault;
static char key_gid[TERCET_GID_MAX + 1]; /* there is one writer */

static struct tercet_barrier_key wrong_key(const struct tercet_barrier_key *key)
{
    struct tercet_barrier_key wrong = *key;
    if (key_fault == KEY_BRANCHLESS) {
        wrong.branch = 1;
        return wrong;
    }
    size_t size = strlen(key->gid);
    for (size_t i = 0; i <= size; i++)
        key_gid[i] =
            key_fault == KEY_LOWER ? (char)tolower((unsigned char)key->gid[i]) : key->gid[i];
    if (key_fault == KEY_CUT && size == TERCET_GID_MAX)
        key_gid[size - 1] = '\0';
    wrong.gid = key_gid;
    return wrong;
}

static int insert_key(void *driver, const struct tercet_barrier_key *key,
                      enum tercet_barrier_state state, bool *inserted)
{
    struct tercet_barrier_key wrong = wrong_key(key);
    return real.insert(driver, &wrong, state, inserted);
}

static int move_key(void *driver, const struct tercet_barrier_key *key,
                    enum tercet_barrier_state from, enum tercet_barrier_state to, bool *moved)
{
    struct tercet_barrier_key wrong = wrong_key(key);
    return real.move(driver, &wrong, from, to, moved);
}

static int save_key(void *driver, const struct tercet_barrier_key *key, struct tercet_bytes reply)
{
    struct tercet_barrier_key wrong = wrong_key(key);
    return real.reply_save(driver, &wrong, reply);
}

static int read_key(void *driver, const struct tercet_barrier_key *key,
                    struct tercet_barrier_row *row)
{
    struct tercet_barrier_key wrong = wrong_key(key);
    return real.read(driver, &wrong, row);
}

static void use_key(struct tercet_barrier_driver *driver, int fault)
{
    key_fault = fault;
    driver->insert = insert_key;
    driver->move = move_key;
    driver->reply_save = save_key;
    driver->read = read_key;
}

/* -- Marks and sources ------------------------------------------------------------------------- */

static uint64_t mark_of_process;

static int raise_nothing(void *driver, uint64_t mark)
{
    (void)driver;
    (void)mark;
    return 0;
}

static int raise_in_memory(void *driver, uint64_t mark)
{
    (void)driver;
    mark_of_process = mark;
    return 0;
}

static int read_memory(void *driver, uint64_t *mark)
{
    (void)driver;
    *mark = mark_of_process;
    return 0;
}

static int collect_all(void *driver, uint64_t mark, uint32_t rows_max)
{
    char sql[128];
    (void)rows_max;
    snprintf(sql, sizeof(sql), "DELETE FROM tercet_barrier WHERE number BETWEEN 1 AND %" PRIu64,
             mark);
    return sqlite3_exec(real.db(driver), sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : TERCET_STORE;
}

static int keep_no_source(void *driver, enum tercet_barrier_fact fact, const char *proposed,
                          char kept[TERCET_BARRIER_IDENTITY_MAX + 1])
{
    if (fact != TERCET_BARRIER_FACT_SOURCE)
        return real.keep(driver, fact, proposed, kept);
    strcpy(kept, "0000000000000000");
    return 0;
}

static int keep_last_source(void *driver, enum tercet_barrier_fact fact, const char *proposed,
                            char kept[TERCET_BARRIER_IDENTITY_MAX + 1])
{
    if (fact != TERCET_BARRIER_FACT_SOURCE)
        return real.keep(driver, fact, proposed, kept);
    strcpy(kept, proposed);
    return 0;
}

/* -- All of them ------------------------------------------------------------------------------- */

static bool break_table(struct tercet_barrier_driver *driver, const char *name)
{
    if (strcmp(name, "no-barrier") == 0) {
        driver->insert = insert_always;
        driver->move = move_always;
    } else if (strcmp(name, "cancel-undoes") == 0) {
        driver->insert = insert_to_undo;
    } else if (strcmp(name, "empty-cancel-forgotten") == 0) {
        driver->insert = insert_tried_only;
    } else if (strcmp(name, "late-try-taken") == 0) {
        driver->insert = insert_late;
    } else if (strcmp(name, "confirm-untried-done") == 0) {
        driver->move = move_to_confirmed;
    } else if (strcmp(name, "cancel-takes-back") == 0) {
        driver->move = move_from_confirmed;
    } else if (strcmp(name, "confirm-repeats") == 0) {
        driver->move = move_always;
    } else if (strcmp(name, "reply-lost") == 0) {
        driver->reply_save = save_no_reply;
    } else if (strcmp(name, "refusal-keeps-work") == 0) {
        driver->rollback_to = keep_work;
        driver->rollback = commit_instead;
    } else {
        return false;
    }
    return true;
}

static bool break_key(struct tercet_barrier_driver *driver, const char *name)
{
    if (strcmp(name, "key-lower-case") == 0)
        use_key(driver, KEY_LOWER);
    else if (strcmp(name, "key-cut") == 0)
        use_key(driver, KEY_CUT);
    else if (strcmp(name, "key-without-branch") == 0)
        use_key(driver, KEY_BRANCHLESS);
    else
        return false;
    return true;
}

static bool break_marks(struct tercet_barrier_driver *driver, const char *name)
{
    if (strcmp(name, "mark-not-kept") == 0) {
        driver->mark_raise = raise_nothing;
    } else if (strcmp(name, "mark-in-memory") == 0) {
        driver->mark_raise = raise_in_memory;
        driver->mark_read = read_memory;
    } else if (strcmp(name, "tried-collected") == 0) {
        driver->collect = collect_all;
    } else if (strcmp(name, "source-ignored") == 0) {
        driver->keep = keep_no_source;
    } else if (strcmp(name, "source-in-memory") == 0) {
        driver->keep = keep_last_source;
    } else {
        return false;
    }
    return true;
}

bool faults_apply(struct tercet_barrier *barrier, const char *name)
{
    real = barrier->driver;
    return break_table(&barrier->driver, name) || break_key(&barrier->driver, name) ||
           break_marks(&barrier->driver, name);
}
