/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening an LMDB store: the directory and its lock, a database when there is none, then checks
 * from the outside in, each with a text that says what to do.
 */
#include "lmdb_store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_MAX_DEFAULT (UINT64_C(64) << 30)
#define EXIT_DAMAGED 70        /* as tercetd after a failed commit */
#define LAST_WORD_MS 1000      /* for a standard error that nobody reads */
#define READER_TABLE_SIZE 8192 /* LMDB's, with its default of 126 readers */
#define NAMED_DATABASES_MAX (3 + 2 * TERCET_STORE_BUCKETS_MAX)

/* LMDB wants whole pages of memory. */
uint64_t lmdb_store_map_size(const struct tercet_store_options *options)
{
    uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t size = options->size_max > 0 ? options->size_max : SIZE_MAX_DEFAULT;
    uint64_t rest = size % page_size;
    return rest == 0 ? size : size - rest + page_size;
}

/* LMDB maps its table of readers: on a full disk, touching a page that was never written would end
 * the process with SIGBUS. */
static int reserve_reader_table(const char *dir)
{
    char path[PATH_MAX];
    if (!lmdb_store_path(path, dir, "lock.mdb"))
        return ENAMETOOLONG;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int rc = posix_fallocate(fd, 0, READER_TABLE_SIZE);
    close(fd);
    return rc;
}

/* LMDB would abort over a page that it cannot make sense of. What is on the disk is not this
 * program's doing: it ends as after a failed commit, and says what to do. */
static void end_damaged(MDB_env *env, const char *message)
{
    const struct lmdb_store *store = mdb_env_get_userctx(env);
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&out, 1, LAST_WORD_MS) == 1)
        dprintf(STDERR_FILENO,
                "%s is damaged: LMDB found a page that contradicts itself (%s): restore it from a "
                "backup; tercetd --check all says what else is damaged\n",
                store->path, message);
    _exit(EXIT_DAMAGED);
}

static int open_env(struct lmdb_store *store, const char *dir, uint64_t size_max, char *text)
{
    int dead_readers;
    int rc = store->only_reads ? 0 : reserve_reader_table(dir);
    if (rc == 0)
        rc = mdb_env_create(&store->env);
    if (rc == 0)
        rc = mdb_env_set_userctx(store->env, store);
    if (rc == 0)
        rc = mdb_env_set_assert(store->env, end_damaged);
    if (rc == 0)
        rc = mdb_env_set_mapsize(store->env, size_max);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(store->env, NAMED_DATABASES_MAX);
    if (rc == 0)
        rc = mdb_env_open(store->env, dir, MDB_NOTLS | (store->only_reads ? MDB_RDONLY : 0), 0600);
    if (rc == 0)
        rc = mdb_reader_check(store->env, &dead_readers);
    if (rc == 0)
        return 0;
    if (lmdb_store_error(rc) == TERCET_STORE_CORRUPT)
        return lmdb_store_fail(
            text, TERCET_STORE_CORRUPT,
            "%s/data.mdb is damaged or not an LMDB file; restore it from a backup", dir);
    if (lmdb_store_error(rc) == TERCET_STORE_NEWER)
        return lmdb_store_fail(text, TERCET_STORE_NEWER,
                               "%s/data.mdb is of another version of LMDB than this program's",
                               dir);
    return lmdb_store_fail(text, lmdb_store_error(rc), "cannot open %s/data.mdb: %s", dir,
                           lmdb_store_reason(rc));
}

/* LMDB takes an empty file for a new database; ours is never empty, so it has been cut. */
static int check_not_empty(const char *dir, int access_wanted, char *text)
{
    char path[PATH_MAX];
    if (!lmdb_store_path(path, dir, "data.mdb"))
        return lmdb_store_fail(text, TERCET_STORE_INVALID, "the path of the store is too long");
    if (access(path, access_wanted) != 0)
        return lmdb_store_fail(text, TERCET_STORE_IO, "cannot %s %s: %s; check its owner and mode",
                               access_wanted == R_OK ? "read" : "read and write", path,
                               strerror(errno));
    struct stat file;
    if (stat(path, &file) != 0 || !S_ISREG(file.st_mode))
        return lmdb_store_fail(text, TERCET_STORE_IO, "%s is not a file", path);
    if (file.st_size == 0)
        return lmdb_store_fail(
            text, TERCET_STORE_CORRUPT,
            "%s is empty; restore it from a backup, or remove it and begin anew with --new", path);
    return 0;
}

static int check_format(MDB_txn *txn, MDB_dbi system, const char *dir, char *text)
{
    MDB_val key = {.mv_size = strlen("format"), .mv_data = (void *)"format"};
    MDB_val value;
    size_t magic_size = strlen(FORMAT_MAGIC);
    int rc = mdb_get(txn, system, &key, &value);
    if (rc != 0 || value.mv_size != FORMAT_SIZE ||
        memcmp(value.mv_data, FORMAT_MAGIC, magic_size) != 0)
        return lmdb_store_fail(text, TERCET_STORE_CORRUPT,
                               "%s has no valid format record; it is damaged, or not a store", dir);
    unsigned version =
        (unsigned)key_decode((const char *)value.mv_data + magic_size, FORMAT_SIZE - magic_size);
    if (version > FORMAT_VERSION)
        return lmdb_store_fail(
            text, TERCET_STORE_NEWER,
            "%s has format %u and this program knows up to %u; use a newer program", dir, version,
            FORMAT_VERSION);
    if (version == 0)
        return lmdb_store_fail(text, TERCET_STORE_CORRUPT,
                               "%s has format 0, which never was; it is damaged", dir);
    return 0;
}

static int open_databases(struct lmdb_store *store, MDB_txn *txn, const char *dir, char *text)
{
    int rc = mdb_dbi_open(txn, "tercet", 0, &store->system);
    if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE)
        return lmdb_store_fail(text, TERCET_STORE_CORRUPT,
                               "%s/data.mdb is another program's; use another directory", dir);
    int result = rc == 0 ? check_format(txn, store->system, dir, text) : 0;
    if (result != 0)
        return result;
    if (rc == 0)
        rc = mdb_dbi_open(txn, "live", 0, &store->live);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "meta", 0, &store->meta);
    if (rc == 0)
        rc = lmdb_store_system_get(txn, store->system, "epoch", &store->epoch);
    if (rc == MDB_NOTFOUND)
        rc = MDB_CORRUPTED;
    return rc == 0 ? 0
                   : lmdb_store_fail(text, lmdb_store_error(rc), "cannot read %s: %s", dir,
                                     lmdb_store_reason(rc));
}

static int open_main(struct lmdb_store *store, const char *dir, char *text)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return lmdb_store_fail(text, lmdb_store_error(rc), "cannot read %s: %s", dir,
                               lmdb_store_reason(rc));
    int result = open_databases(store, txn, dir, text);
    if (result != 0) {
        mdb_txn_abort(txn);
        return result;
    }
    rc = mdb_txn_commit(txn);
    return rc == 0 ? 0
                   : lmdb_store_fail(text, lmdb_store_error(rc), "cannot read %s: %s", dir,
                                     lmdb_store_reason(rc));
}

static int open_all(struct lmdb_store *store, const char *dir,
                    const struct tercet_store_options *options, char *text)
{
    bool is_new = false;
    int result = lmdb_store_create(dir, options, &is_new, text);
    if (result == 0)
        result = check_not_empty(dir, R_OK | W_OK, text);
    if (result == 0)
        result = open_env(store, dir, lmdb_store_map_size(options), text);
    if (result == 0)
        result = lmdb_store_check_length(store->env, dir, text);
    if (result == 0)
        result = open_main(store, dir, text);
    if (result != 0)
        return result;
    if (is_new)
        lmdb_store_log(store, TERCET_LOG_INFO, "a new store has been made in %s", dir);
    int rc = lmdb_store_watch(store);
    if (rc == 0)
        rc = lmdb_store_load(store);
    return rc == 0 ? 0
                   : lmdb_store_fail(text, lmdb_store_error(rc), "cannot read %s: %s", dir,
                                     lmdb_store_reason(rc));
}

static int check_options(const char *dir, const struct tercet_store_options *options, char *text)
{
    if (dir[0] == '\0')
        return lmdb_store_fail(text, TERCET_STORE_INVALID,
                               "lmdb: wants a directory, such as lmdb:/var/lib/tercet");
    if (options->shard_count > 1)
        return lmdb_store_fail(text, TERCET_STORE_INVALID, "an LMDB store has one shard");
    return 0;
}

static struct lmdb_store *make(const char *dir, const struct tercet_store_options *options)
{
    struct lmdb_store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return NULL;
    pthread_mutex_init(&store->writer, NULL);
    pthread_mutex_init(&store->layout, NULL);
    pthread_mutex_init(&store->gids, NULL);
    buckets_init(&store->buckets, options->bucket_ms);
    store->lock_fd = -1;
    store->pin.txnid = UINT64_MAX;
    store->on_log = options->on_log;
    store->log_ctx = options->log_ctx;
    (void)lmdb_store_path(store->path, dir, "data.mdb"); /* else it cannot be opened */
    return store;
}

int lmdb_store_open(void **out, const char *dir, const struct tercet_store_options *options,
                    char *text)
{
    int rc = check_options(dir, options, text);
    if (rc != 0)
        return rc;
    struct lmdb_store *store = make(dir, options);
    if (store == NULL)
        return lmdb_store_fail(text, TERCET_STORE_NOMEM, "out of memory");
    rc = lmdb_store_lock(dir, &store->lock_fd, text);
    if (rc == 0)
        rc = open_all(store, dir, options, text);
    if (rc != 0) {
        lmdb_store_close(store);
        return rc;
    }
    *out = store;
    return 0;
}

/* Without our lock, which another process may hold. The file may be shorter than its pages are
 * many: it is in use. */
int lmdb_store_open_to_read(void **out, const char *dir, const struct tercet_store_options *options,
                            char *text)
{
    int rc = check_options(dir, options, text);
    if (rc != 0)
        return rc;
    struct lmdb_store *store = make(dir, options);
    if (store == NULL)
        return lmdb_store_fail(text, TERCET_STORE_NOMEM, "out of memory");
    store->only_reads = true;
    rc = check_not_empty(dir, R_OK, text);
    if (rc == 0)
        rc = open_env(store, dir, lmdb_store_map_size(options), text);
    if (rc == 0)
        rc = open_main(store, dir, text);
    if (rc == 0 && (rc = lmdb_store_load(store)) != 0)
        rc = lmdb_store_fail(text, lmdb_store_error(rc), "cannot read %s: %s", dir,
                             lmdb_store_reason(rc));
    if (rc != 0) {
        lmdb_store_close(store);
        return rc;
    }
    *out = store;
    return 0;
}
