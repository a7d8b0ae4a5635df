/* SPDX-License-Identifier: Apache-2.0
 *
 * The barrier's driver for LMDB. A savepoint is a nested transaction. Its tables, version 1:
 *
 *   tercet_barrier        gid, NUL, branch -> state, number, changed_ms (for people), reply
 *   tercet_barrier_ended  number, and such a key -> nothing: the rows that may be collected
 *   tercet_barrier_fact   "version" and "mark" -> a number; "identity" and "source" -> a text
 *
 * Numbers are written with their highest byte first, so that keys are in the numbers' order.
 */
#include <clock.h>
#include <errno.h>
#include <inttypes.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "drivers.h"
#include "location.h"

#define VERSION 1
#define OWN_TABLES 3
#define BYTES_MAX_DEFAULT ((uint64_t)16 << 30)
#define FOLDER_MODE 0750
#define FILE_MODE 0640
#define KEY_MAX (TERCET_GID_MAX + 1 + 4)
#define ENDED_KEY_MAX (8 + KEY_MAX)

struct lmdb {
    struct lmdb *next; /* of those that this process has open */
    dev_t device;      /* of the folder */
    ino_t inode;
    uint64_t bytes_max;
    MDB_env *env;
    MDB_dbi rows, ended, facts;
    MDB_txn *batch; /* the local transaction; NULL: none is open */
    MDB_txn *call;  /* the savepoint in it; NULL: none */
    char error[TERCET_TEXT_MAX];
};

/* LMDB forbids a process to open one database twice: closing either drops the locks of both. */
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lmdb *open_first;

/* -- Errors ------------------------------------------------------------------------------------ */

static int fail(struct lmdb *lmdb, int code, const char *what)
{
    const char *advice = "";
    if (code == MDB_MAP_FULL)
        advice = ": it has come to its lmdb_bytes_max: open it with more";
    snprintf(lmdb->error, sizeof(lmdb->error), "%s: %s%s", what, mdb_strerror(code), advice);
    return code == ENOMEM ? TERCET_NOMEM : TERCET_STORE;
}

static int result_of(struct lmdb *lmdb, int code, const char *what)
{
    return code == MDB_SUCCESS ? 0 : fail(lmdb, code, what);
}

/* -- Numbers and keys -------------------------------------------------------------------------- */

static void put_number(uint8_t out[8], uint64_t number)
{
    for (int i = 7; i >= 0; i--, number >>= 8)
        out[i] = (uint8_t)number;
}

static uint64_t get_number(const uint8_t in[8])
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | in[i];
    return number;
}

/* A row before its reply, as it is stored. */
struct head {
    uint8_t state;
    uint8_t number[8];
    uint8_t changed_ms[8];
};
_Static_assert(sizeof(struct head) == 17, "it is stored as it is in memory");

static MDB_val make_key(uint8_t out[KEY_MAX], const struct tercet_barrier_key *key)
{
    size_t size = strlen(key->gid) + 1;
    memcpy(out, key->gid, size);
    for (int i = 0; i < 4; i++)
        out[size + (size_t)i] = (uint8_t)(key->branch >> (24 - 8 * i));
    return (MDB_val){.mv_size = size + 4, .mv_data = out};
}

static MDB_val make_ended_key(uint8_t out[ENDED_KEY_MAX], const uint8_t number[8],
                              const MDB_val *key)
{
    memcpy(out, number, 8);
    memcpy(out + 8, key->mv_data, key->mv_size);
    return (MDB_val){.mv_size = 8 + key->mv_size, .mv_data = out};
}

/* -- The transaction --------------------------------------------------------------------------- */

static MDB_txn *txn_of(const struct lmdb *lmdb)
{
    return lmdb->call != NULL ? lmdb->call : lmdb->batch;
}

/* Another process may have made the database larger. */
static int begin_txn(struct lmdb *lmdb, unsigned flags, MDB_txn **out)
{
    int code = mdb_txn_begin(lmdb->env, NULL, flags, out);
    if (code == MDB_MAP_RESIZED && (code = mdb_env_set_mapsize(lmdb->env, 0)) == MDB_SUCCESS)
        code = mdb_txn_begin(lmdb->env, NULL, flags, out);
    return result_of(lmdb, code, "cannot begin a transaction");
}

static int lmdb_begin(void *driver)
{
    struct lmdb *lmdb = driver;
    lmdb->error[0] = '\0';
    return begin_txn(lmdb, 0, &lmdb->batch);
}

static int lmdb_commit(void *driver)
{
    struct lmdb *lmdb = driver;
    int code = mdb_txn_commit(lmdb->batch);
    lmdb->batch = NULL;
    return result_of(lmdb, code, "cannot commit");
}

static int lmdb_rollback_to(void *driver)
{
    struct lmdb *lmdb = driver;
    mdb_txn_abort(lmdb->call);
    lmdb->call = NULL;
    return 0;
}

static void lmdb_rollback(void *driver)
{
    struct lmdb *lmdb = driver;
    lmdb_rollback_to(lmdb);
    mdb_txn_abort(lmdb->batch);
    lmdb->batch = NULL;
}

static int lmdb_savepoint(void *driver)
{
    struct lmdb *lmdb = driver;
    return result_of(lmdb, mdb_txn_begin(lmdb->env, lmdb->batch, 0, &lmdb->call),
                     "cannot begin a nested transaction");
}

static int lmdb_release(void *driver)
{
    struct lmdb *lmdb = driver;
    if (lmdb->call == NULL) /* it was rolled back to */
        return 0;
    int code = mdb_txn_commit(lmdb->call);
    lmdb->call = NULL;
    return result_of(lmdb, code, "cannot end a nested transaction");
}

/* -- Rows -------------------------------------------------------------------------------------- */

/* Notes that the row may be collected, once it has ended. */
static int note_ended(struct lmdb *lmdb, const MDB_val *key, const struct head *head)
{
    uint8_t bytes[ENDED_KEY_MAX];
    MDB_val nothing = {0};
    if (head->state == TERCET_BARRIER_TRIED || get_number(head->number) == 0)
        return 0;
    MDB_val ended_key = make_ended_key(bytes, head->number, key);
    return result_of(lmdb, mdb_put(txn_of(lmdb), lmdb->ended, &ended_key, &nothing, 0),
                     "cannot note a row that has ended");
}

static int lmdb_insert(void *driver, const struct tercet_barrier_key *key,
                       enum tercet_barrier_state state, bool *inserted)
{
    struct lmdb *lmdb = driver;
    uint8_t bytes[KEY_MAX];
    struct head head = {.state = (uint8_t)state};
    put_number(head.number, key->number);
    put_number(head.changed_ms, (uint64_t)clock_wall_ms());
    MDB_val lmdb_key = make_key(bytes, key);
    MDB_val value = {.mv_size = sizeof(head), .mv_data = &head};
    int code = mdb_put(txn_of(lmdb), lmdb->rows, &lmdb_key, &value, MDB_NOOVERWRITE);
    *inserted = code == MDB_SUCCESS;
    if (code == MDB_KEYEXIST)
        return 0;
    if (code != MDB_SUCCESS)
        return fail(lmdb, code, "cannot insert a row");
    return note_ended(lmdb, &lmdb_key, &head);
}

/* A view of the row, valid until the next write. *found: whether there is one. */
static int find_row(struct lmdb *lmdb, MDB_val *key, MDB_val *value, bool *found)
{
    int code = mdb_get(txn_of(lmdb), lmdb->rows, key, value);
    *found = code == MDB_SUCCESS;
    if (code == MDB_NOTFOUND)
        return 0;
    if (code == MDB_SUCCESS && value->mv_size < sizeof(struct head))
        code = MDB_CORRUPTED;
    return result_of(lmdb, code, "cannot read a row");
}

/* Writes the row anew. The reply must not be a view. */
static int write_row(struct lmdb *lmdb, MDB_val *key, const struct head *head,
                     struct tercet_bytes reply)
{
    MDB_val value = {.mv_size = sizeof(*head) + reply.size};
    int code = mdb_put(txn_of(lmdb), lmdb->rows, key, &value, MDB_RESERVE);
    if (code != MDB_SUCCESS)
        return fail(lmdb, code, "cannot write a row");
    memcpy(value.mv_data, head, sizeof(*head));
    if (reply.size > 0)
        memcpy((uint8_t *)value.mv_data + sizeof(*head), reply.data, reply.size);
    return 0;
}

/* Takes a row's value apart; *reply is malloc'ed, NULL when empty. */
static int copy_value(const MDB_val *value, struct head *head, void **reply, size_t *reply_size)
{
    size_t size = value->mv_size - sizeof(*head);
    void *copy = size > 0 ? malloc(size) : NULL;
    if (size > 0 && copy == NULL)
        return TERCET_NOMEM;
    memcpy(head, value->mv_data, sizeof(*head));
    if (size > 0)
        memcpy(copy, (const uint8_t *)value->mv_data + sizeof(*head), size);
    *reply = copy;
    *reply_size = size;
    return 0;
}

static int lmdb_move(void *driver, const struct tercet_barrier_key *key,
                     enum tercet_barrier_state from, enum tercet_barrier_state to, bool *moved)
{
    struct lmdb *lmdb = driver;
    uint8_t bytes[KEY_MAX];
    MDB_val lmdb_key = make_key(bytes, key), value;
    struct head head;
    void *reply = NULL;
    size_t size = 0;
    bool found = false;
    *moved = false;
    int rc = find_row(lmdb, &lmdb_key, &value, &found);
    if (rc == 0 && found)
        rc = copy_value(&value, &head, &reply, &size);
    if (rc == 0 && found && head.state == (uint8_t)from) {
        head.state = (uint8_t)to;
        put_number(head.changed_ms, (uint64_t)clock_wall_ms());
        rc = write_row(lmdb, &lmdb_key, &head, (struct tercet_bytes){reply, size});
        if (rc == 0)
            rc = note_ended(lmdb, &lmdb_key, &head);
        *moved = rc == 0;
    }
    free(reply);
    return rc;
}

static int lmdb_reply_save(void *driver, const struct tercet_barrier_key *key,
                           struct tercet_bytes reply)
{
    struct lmdb *lmdb = driver;
    uint8_t bytes[KEY_MAX];
    MDB_val lmdb_key = make_key(bytes, key), value;
    struct head head;
    bool found = false;
    int rc = find_row(lmdb, &lmdb_key, &value, &found);
    if (rc != 0)
        return rc;
    if (!found)
        return fail(lmdb, MDB_NOTFOUND, "cannot save a reply");
    memcpy(&head, value.mv_data, sizeof(head));
    return write_row(lmdb, &lmdb_key, &head, reply);
}

static int lmdb_read(void *driver, const struct tercet_barrier_key *key,
                     struct tercet_barrier_row *row)
{
    struct lmdb *lmdb = driver;
    uint8_t bytes[KEY_MAX];
    MDB_val lmdb_key = make_key(bytes, key), value;
    struct head head;
    bool found = false;
    *row = (struct tercet_barrier_row){.state = TERCET_BARRIER_NONE};
    int rc = find_row(lmdb, &lmdb_key, &value, &found);
    if (rc != 0 || !found)
        return rc;
    rc = copy_value(&value, &head, &row->reply, &row->reply_size);
    if (rc == 0)
        row->state = (enum tercet_barrier_state)head.state;
    return rc;
}

/* -- Facts and the mark ------------------------------------------------------------------------ */

static MDB_val fact_key(const char *name)
{
    return (MDB_val){.mv_size = strlen(name), .mv_data = (void *)(uintptr_t)name};
}

/* 0 when there is none. */
static int read_number(struct lmdb *lmdb, MDB_txn *txn, const char *name, uint64_t *number)
{
    MDB_val key = fact_key(name), value;
    *number = 0;
    int code = mdb_get(txn, lmdb->facts, &key, &value);
    if (code == MDB_NOTFOUND)
        return 0;
    if (code == MDB_SUCCESS && value.mv_size != 8)
        code = MDB_CORRUPTED;
    if (code != MDB_SUCCESS)
        return fail(lmdb, code, "cannot read tercet_barrier_fact");
    *number = get_number(value.mv_data);
    return 0;
}

static int write_number(struct lmdb *lmdb, MDB_txn *txn, const char *name, uint64_t number)
{
    uint8_t bytes[8];
    put_number(bytes, number);
    MDB_val key = fact_key(name), value = {.mv_size = sizeof(bytes), .mv_data = bytes};
    return result_of(lmdb, mdb_put(txn, lmdb->facts, &key, &value, 0),
                     "cannot write tercet_barrier_fact");
}

static int lmdb_mark_read(void *driver, uint64_t *mark)
{
    struct lmdb *lmdb = driver;
    MDB_txn *txn = txn_of(lmdb), *own = NULL;
    int rc = txn == NULL ? begin_txn(lmdb, MDB_RDONLY, &own) : 0;
    if (rc == 0)
        rc = read_number(lmdb, txn != NULL ? txn : own, "mark", mark);
    mdb_txn_abort(own);
    return rc;
}

static int lmdb_mark_raise(void *driver, uint64_t mark)
{
    return write_number(driver, txn_of(driver), "mark", mark);
}

/* The fact's text, or the proposed one, which is kept then. */
static int keep_in(struct lmdb *lmdb, MDB_txn *txn, const char *name, const char *proposed,
                   char kept[TERCET_BARRIER_IDENTITY_MAX + 1])
{
    MDB_val key = fact_key(name);
    MDB_val value = {.mv_size = strlen(proposed), .mv_data = (void *)(uintptr_t)proposed};
    int code = mdb_put(txn, lmdb->facts, &key, &value, MDB_NOOVERWRITE);
    bool is_wrong = value.mv_size == 0 || value.mv_size > TERCET_BARRIER_IDENTITY_MAX;
    if (code == MDB_KEYEXIST)
        code = is_wrong ? MDB_CORRUPTED : MDB_SUCCESS;
    if (code != MDB_SUCCESS)
        return fail(lmdb, code, "cannot keep a fact");
    memcpy(kept, value.mv_data, value.mv_size);
    kept[value.mv_size] = '\0';
    return 0;
}

static int lmdb_keep(void *driver, enum tercet_barrier_fact fact, const char *proposed,
                     char kept[TERCET_BARRIER_IDENTITY_MAX + 1])
{
    struct lmdb *lmdb = driver;
    const char *name = fact == TERCET_BARRIER_FACT_IDENTITY ? "identity" : "source";
    char found[TERCET_BARRIER_IDENTITY_MAX + 1];
    MDB_txn *txn = NULL;
    int rc = begin_txn(lmdb, 0, &txn);
    if (rc != 0)
        return rc;
    rc = keep_in(lmdb, txn, name, proposed, found);
    if (rc == 0)
        rc = result_of(lmdb, mdb_txn_commit(txn), "cannot commit");
    else
        mdb_txn_abort(txn);
    if (rc == 0)
        memcpy(kept, found, sizeof(found));
    return rc;
}

/* Deletes the first row that has ended, when its number is at most `mark`. *deleted: whether. */
static int collect_first(struct lmdb *lmdb, MDB_cursor *ended, uint64_t mark, bool *deleted)
{
    uint8_t bytes[KEY_MAX];
    MDB_val key, nothing;
    *deleted = false;
    int code = mdb_cursor_get(ended, &key, &nothing, MDB_FIRST);
    if (code == MDB_NOTFOUND)
        return 0;
    if (code == MDB_SUCCESS && (key.mv_size <= 8 || key.mv_size > ENDED_KEY_MAX))
        code = MDB_CORRUPTED;
    if (code == MDB_SUCCESS && get_number(key.mv_data) > mark)
        return 0;
    if (code == MDB_SUCCESS) {
        MDB_val row = {.mv_size = key.mv_size - 8, .mv_data = bytes};
        memcpy(bytes, (const uint8_t *)key.mv_data + 8, row.mv_size);
        code = mdb_cursor_del(ended, 0);
        if (code == MDB_SUCCESS)
            code = mdb_del(txn_of(lmdb), lmdb->rows, &row, NULL);
    }
    *deleted = code == MDB_SUCCESS;
    return result_of(lmdb, code, "cannot collect a row");
}

static int lmdb_collect(void *driver, uint64_t mark, uint32_t rows_max)
{
    struct lmdb *lmdb = driver;
    MDB_cursor *ended = NULL;
    bool deleted = true;
    int code = mdb_cursor_open(txn_of(lmdb), lmdb->ended, &ended);
    if (code != MDB_SUCCESS)
        return fail(lmdb, code, "cannot collect rows");
    int rc = 0;
    for (uint32_t i = 0; i < rows_max && rc == 0 && deleted; i++)
        rc = collect_first(lmdb, ended, mark, &deleted);
    mdb_cursor_close(ended);
    return rc;
}

/* -- The rest ---------------------------------------------------------------------------------- */

static tercet_db lmdb_db(void *driver)
{
    return txn_of(driver);
}

static int lmdb_rows_count(void *driver, uint64_t *rows)
{
    struct lmdb *lmdb = driver;
    MDB_txn *txn = NULL;
    MDB_stat stat;
    int rc = begin_txn(lmdb, MDB_RDONLY, &txn);
    if (rc != 0)
        return rc;
    rc = result_of(lmdb, mdb_stat(txn, lmdb->rows, &stat), "cannot count rows");
    if (rc == 0)
        *rows = stat.ms_entries;
    mdb_txn_abort(txn);
    return rc;
}

static const char *lmdb_error_text(void *driver)
{
    const struct lmdb *lmdb = driver;
    return lmdb->error;
}

const struct tercet_barrier_driver lmdb_driver = {
    .size = sizeof(lmdb_driver),
    .begin = lmdb_begin,
    .commit = lmdb_commit,
    .rollback = lmdb_rollback,
    .savepoint = lmdb_savepoint,
    .release = lmdb_release,
    .rollback_to = lmdb_rollback_to,
    .insert = lmdb_insert,
    .move = lmdb_move,
    .reply_save = lmdb_reply_save,
    .read = lmdb_read,
    .mark_read = lmdb_mark_read,
    .mark_raise = lmdb_mark_raise,
    .collect = lmdb_collect,
    .db = lmdb_db,
    .rows_count = lmdb_rows_count,
    .error_text = lmdb_error_text,
    .close = lmdb_driver_close,
    .keep = lmdb_keep,
};

/* -- Open and close ---------------------------------------------------------------------------- */

static void forget_open(struct lmdb *lmdb)
{
    pthread_mutex_lock(&open_lock);
    struct lmdb **link = &open_first;
    while (*link != NULL && *link != lmdb)
        link = &(*link)->next;
    if (*link == lmdb)
        *link = lmdb->next;
    pthread_mutex_unlock(&open_lock);
}

void lmdb_driver_close(void *driver)
{
    struct lmdb *lmdb = driver;
    mdb_env_close(lmdb->env);
    forget_open(lmdb);
    free(lmdb);
}

/* Notes that this process has the folder open. false: it has it already. */
static bool note_open(struct lmdb *lmdb, const struct stat *folder)
{
    lmdb->device = folder->st_dev;
    lmdb->inode = folder->st_ino;
    pthread_mutex_lock(&open_lock);
    const struct lmdb *other = open_first;
    while (other != NULL && (other->device != lmdb->device || other->inode != lmdb->inode))
        other = other->next;
    if (other == NULL) {
        lmdb->next = open_first;
        open_first = lmdb;
    }
    pthread_mutex_unlock(&open_lock);
    return other == NULL;
}

static int take_folder(struct lmdb *lmdb, const char *folder)
{
    struct stat stat_of;
    if (mkdir(folder, FOLDER_MODE) != 0 && errno != EEXIST)
        return fail(lmdb, errno, "cannot make the folder; does the one above it exist?");
    if (stat(folder, &stat_of) != 0)
        return fail(lmdb, errno, "cannot look at the folder");
    if (!S_ISDIR(stat_of.st_mode))
        return fail(lmdb, ENOTDIR, "an LMDB database is a folder");
    if (note_open(lmdb, &stat_of))
        return 0;
    snprintf(lmdb->error, sizeof(lmdb->error),
             "this process has the database open already: share one barrier");
    return TERCET_INVALID;
}

static int open_env(struct lmdb *lmdb, const char *folder)
{
    int code = mdb_env_create(&lmdb->env);
    if (code == MDB_SUCCESS)
        code = mdb_env_set_maxdbs(lmdb->env, TERCET_BARRIER_LMDB_TABLES_MAX + OWN_TABLES);
    if (code == MDB_SUCCESS)
        code = mdb_env_set_mapsize(lmdb->env, lmdb->bytes_max);
    if (code == MDB_SUCCESS)
        code = mdb_env_open(lmdb->env, folder, MDB_NOTLS, FILE_MODE);
    if (code != MDB_INVALID && code != MDB_VERSION_MISMATCH)
        return result_of(lmdb, code, "cannot open; check that the folder may be written");
    fail(lmdb, code, "this is no LMDB database that this program can read");
    return TERCET_FORMAT;
}

static int check_version(struct lmdb *lmdb, MDB_txn *txn)
{
    uint64_t version = 0;
    int rc = read_number(lmdb, txn, "version", &version);
    if (rc == 0 && version == 0)
        rc = write_number(lmdb, txn, "version", VERSION);
    if (rc != 0 || version <= VERSION)
        return rc;
    snprintf(lmdb->error, sizeof(lmdb->error),
             "the barrier's tables are of version %" PRIu64
             ", this program knows up to %d: run a newer one",
             version, VERSION);
    return TERCET_FORMAT;
}

static int open_tables(struct lmdb *lmdb, MDB_txn *txn)
{
    int code = mdb_dbi_open(txn, "tercet_barrier", MDB_CREATE, &lmdb->rows);
    if (code == MDB_SUCCESS)
        code = mdb_dbi_open(txn, "tercet_barrier_ended", MDB_CREATE, &lmdb->ended);
    if (code == MDB_SUCCESS)
        code = mdb_dbi_open(txn, "tercet_barrier_fact", MDB_CREATE, &lmdb->facts);
    if (code != MDB_SUCCESS)
        return fail(lmdb, code, "cannot make the barrier's tables");
    return check_version(lmdb, txn);
}

static int connect(struct lmdb *lmdb, const char *folder)
{
    MDB_txn *txn = NULL;
    int rc = take_folder(lmdb, folder);
    if (rc == 0)
        rc = open_env(lmdb, folder);
    if (rc == 0)
        rc = begin_txn(lmdb, 0, &txn);
    if (rc != 0)
        return rc;
    rc = open_tables(lmdb, txn);
    if (rc == 0)
        return result_of(lmdb, mdb_txn_commit(txn), "cannot commit the barrier's tables");
    mdb_txn_abort(txn);
    return rc;
}

int lmdb_driver_open(void **out, const char *folder, const struct tercet_barrier_options *options,
                     char *text)
{
    struct lmdb *lmdb = calloc(1, sizeof(*lmdb));
    if (lmdb == NULL)
        return TERCET_NOMEM;
    lmdb->bytes_max = options->lmdb_bytes_max != 0 ? options->lmdb_bytes_max : BYTES_MAX_DEFAULT;
    int rc = connect(lmdb, folder);
    if (rc == 0) {
        *out = lmdb;
        return 0;
    }
    barrier_text(text, "%s: %s", lmdb->error, folder);
    lmdb_driver_close(lmdb);
    return rc;
}

int tercet_barrier_lmdb_open(struct tercet_barrier **out, const char *folder,
                             const struct tercet_barrier_options *options, char *text)
{
    struct tercet_barrier_options complete;
    void *lmdb = NULL;
    if (out == NULL || folder == NULL || folder[0] == '\0' ||
        tercet_barrier_options_complete(&complete, options) != 0) {
        barrier_text(text, "no folder, or options without their size");
        return TERCET_INVALID;
    }
    int rc = lmdb_driver_open(&lmdb, folder, &complete, text);
    if (rc != 0)
        return rc;
    rc = tercet_barrier_new(out, &lmdb_driver, lmdb, &complete);
    if (rc != 0)
        lmdb_driver_close(lmdb);
    return rc;
}
