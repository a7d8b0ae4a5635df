/* SPDX-License-Identifier: Apache-2.0
 *
 * The directory of an LMDB store: data.mdb and lock.mdb are LMDB's, tercet.lock is ours. One
 * process holds a store, so that there is one committer; flock goes with the process, however it
 * ends.
 */
#include "lmdb_store.h"

#include "failpoint.h"
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LOCK_NAME "tercet.lock"
#define DATA_NAME "data.mdb"
#define NEW_NAME "data.mdb.new"
#define USED_NAME "lock.mdb"

int lmdb_store_fail(char *text, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(text, TERCET_STORE_TEXT_MAX, format, args);
    va_end(args);
    return code;
}

bool lmdb_store_path(char *out, const char *dir, const char *name)
{
    int size = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    return size > 0 && size < PATH_MAX;
}

/* -- The directory and its lock ---------------------------------------------------------------- */

/* Names in a directory are durable when the directory is. */
static int sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int rc = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return rc;
}

static int make_dir(const char *dir, char *text)
{
    char parent[PATH_MAX];
    bool is_new = mkdir(dir, 0700) == 0;
    if (!is_new && errno != EEXIST)
        return lmdb_store_fail(text, TERCET_STORE_IO, "cannot make the directory %s: %s", dir,
                               lmdb_store_reason(errno));
    if (!lmdb_store_path(parent, dir, ".."))
        return lmdb_store_fail(text, TERCET_STORE_INVALID, "the path of the store is too long");
    /* Also when it exists: the run that made it may have ended before this line. Then the parent
     * may be closed to us. */
    int rc = sync_dir(parent);
    return rc == 0 || !is_new
               ? 0
               : lmdb_store_fail(text, TERCET_STORE_IO, "cannot sync %s: %s", parent, strerror(rc));
}

bool lmdb_store_is_network(uint64_t type)
{
    static const uint32_t types[] = {
        0x6969,     /* NFS */
        0x517B,     /* SMB */
        0xFF534D42, /* CIFS */
        0xFE534D42, /* SMB 2 */
        0x01021997, /* 9P */
        0x00C36400, /* Ceph */
        0x5346414F, /* OpenAFS */
        0x6B414653, /* AFS */
        0x73757245, /* Coda */
        0x564C,     /* NCP */
        0x0BD00BD0, /* Lustre */
        0x47504653, /* GPFS */
        0x19830326, /* BeeGFS */
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i] == (uint32_t)type)
            return true;
    return false;
}

static int check_file_system(const char *dir, char *text)
{
    struct statfs fs;
    if (statfs(dir, &fs) != 0)
        return lmdb_store_fail(text, TERCET_STORE_IO, "cannot look at %s: %s", dir,
                               lmdb_store_reason(errno));
    if (lmdb_store_is_network((uint64_t)fs.f_type))
        return lmdb_store_fail(text, TERCET_STORE_IO,
                               "%s is on a network file system; put the store on a local disk",
                               dir);
    return 0;
}

static int tell_holder(int fd, const char *dir, char *text)
{
    char pid[16] = {0};
    ssize_t size = pread(fd, pid, sizeof(pid) - 1, 0);
    long holder = size > 0 ? strtol(pid, NULL, 10) : 0;
    if (holder > 0)
        return lmdb_store_fail(
            text, TERCET_STORE_LOCKED,
            "process %ld holds the store in %s; stop it, or use another directory", holder, dir);
    return lmdb_store_fail(
        text, TERCET_STORE_LOCKED,
        "another process holds the store in %s; stop it, or use another directory", dir);
}

/* The pid is for the text above only: on a full disk it may be missing. */
static void write_holder(int fd)
{
    char pid[16];
    int size = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    bool is_clean = (ftruncate(fd, 0) == 0 && pwrite(fd, pid, (size_t)size, 0) == size) ||
                    ftruncate(fd, 0) == 0;
    (void)is_clean; /* else it says half a number; the lock holds all the same */
}

static int take_lock(int fd, const char *dir, char *text)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        write_holder(fd);
        return 0;
    }
    if (errno == EWOULDBLOCK)
        return tell_holder(fd, dir, text);
    return lmdb_store_fail(text, TERCET_STORE_IO, "cannot lock %s/" LOCK_NAME ": %s", dir,
                           lmdb_store_reason(errno));
}

int lmdb_store_lock(const char *dir, int *fd, char *text)
{
    char path[PATH_MAX];
    if (!lmdb_store_path(path, dir, LOCK_NAME))
        return lmdb_store_fail(text, TERCET_STORE_INVALID, "the path of the store is too long");
    int rc = make_dir(dir, text);
    if (rc == 0)
        rc = check_file_system(dir, text);
    if (rc != 0)
        return rc;
    int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (opened < 0)
        return lmdb_store_fail(text, TERCET_STORE_IO, "cannot open %s: %s", path,
                               lmdb_store_reason(errno));
    rc = take_lock(opened, dir, text);
    if (rc != 0) {
        close(opened);
        return rc;
    }
    *fd = opened;
    return 0;
}

/* -- A new database ---------------------------------------------------------------------------- */

static int put_first_records(MDB_txn *txn, uint64_t source)
{
    MDB_dbi system, other;
    unsigned char format[FORMAT_SIZE] = FORMAT_MAGIC;
    key_encode(format + strlen(FORMAT_MAGIC), FORMAT_VERSION, 2);
    MDB_val key = {.mv_size = strlen("format"), .mv_data = (void *)"format"};
    MDB_val value = {.mv_size = sizeof(format), .mv_data = format};
    int rc = mdb_dbi_open(txn, "tercet", MDB_CREATE, &system);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "live", MDB_CREATE, &other);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &other);
    if (rc == 0)
        rc = mdb_put(txn, system, &key, &value, 0);
    if (rc == 0)
        rc = lmdb_store_system_put(txn, system, "epoch", 0);
    if (rc == 0)
        rc = lmdb_store_system_put(txn, system, "next", 1);
    return rc == 0 ? lmdb_store_system_put(txn, system, "source", source) : rc;
}

static int write_first_records(MDB_env *env, uint64_t source)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = put_first_records(txn, source);
    if (rc == 0)
        FAILPOINT_AROUND("create", rc = mdb_txn_commit(txn));
    else
        mdb_txn_abort(txn);
    return rc;
}

static int write_new_file(const char *path, const struct tercet_store_options *options)
{
    MDB_env *env;
    uint64_t source = options->source;
    int rc = source == 0 ? source_make(&source) : 0;
    if (rc == 0)
        rc = mdb_env_create(&env);
    if (rc != 0)
        return rc;
    rc = mdb_env_set_mapsize(env, lmdb_store_map_size(options));
    if (rc == 0)
        rc = mdb_env_set_maxdbs(env, 3);
    if (rc == 0)
        /* tercet.lock is held */
        rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK, 0600);
    if (rc == 0)
        rc = write_first_records(env, source);
    mdb_env_close(env);
    return rc;
}

/* By way of a new file that is renamed when it is whole. */
static int make_file(const char *data, const char *new, const struct tercet_store_options *options)
{
    unlink(new);
    int rc = write_new_file(new, options);
    if (rc == 0)
        FAILPOINT_AROUND("create.rename", rc = rename(new, data) == 0 ? 0 : errno);
    if (rc != 0)
        unlink(new);
    return rc;
}

int lmdb_store_create(const char *dir, const struct tercet_store_options *options, bool *is_new,
                      char *text)
{
    char data[PATH_MAX], new[PATH_MAX], used[PATH_MAX];
    if (!lmdb_store_path(data, dir, DATA_NAME) || !lmdb_store_path(new, dir, NEW_NAME) ||
        !lmdb_store_path(used, dir, USED_NAME))
        return lmdb_store_fail(text, TERCET_STORE_INVALID, "the path of the store is too long");
    *is_new = access(data, F_OK) != 0;
    /* It is made when a store is opened: never without one. */
    if (*is_new && !options->begins_anew && access(used, F_OK) == 0)
        return lmdb_store_fail(text, TERCET_STORE_CORRUPT,
                               "%s has held a store, and " DATA_NAME " is gone: restore it from a "
                               "backup, or begin anew with --new",
                               dir);
    int rc = *is_new ? make_file(data, new, options) : 0;
    if (rc == 0)
        rc = sync_dir(dir);
    return rc == 0 ? 0
                   : lmdb_store_fail(text, TERCET_STORE_IO, "cannot make a store in %s: %s", dir,
                                     lmdb_store_reason(rc));
}

/* -- A file that is too short ------------------------------------------------------------------ */

static int count_missing(MDB_env *env, uint64_t present, uint64_t pages, uint64_t *missing)
{
    MDB_txn *txn;
    uint64_t free_pages;
    int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return rc;
    rc = lmdb_store_free_pages(txn, present, UINT64_MAX, &free_pages);
    mdb_txn_abort(txn);
    if (rc == 0)
        *missing = pages - present > free_pages ? pages - present - free_pages : 0;
    return rc;
}

/* LMDB need not have written free pages at the end. To find out whether only such are missing, the
 * free list must be read, which may itself be missing: so the file is made long enough first, and
 * short again when it is damaged, to be found as it was. */
static int check_short_file(MDB_env *env, const char *path, uint64_t present, uint64_t pages,
                            char *text)
{
    MDB_stat stat;
    uint64_t missing = 0;
    int rc = mdb_env_stat(env, &stat);
    if (rc == 0 && truncate(path, (off_t)(pages * stat.ms_psize)) != 0)
        rc = errno;
    if (rc == 0)
        rc = count_missing(env, present, pages, &missing);
    if (rc == 0 && missing == 0)
        return 0;
    (void)!truncate(path, (off_t)(present * stat.ms_psize));
    return lmdb_store_fail(text, TERCET_STORE_CORRUPT, "%s is cut short; restore it from a backup",
                           path);
}

int lmdb_store_check_length(MDB_env *env, const char *dir, char *text)
{
    char path[PATH_MAX];
    struct stat file;
    MDB_envinfo info;
    MDB_stat stat_of_env;
    if (!lmdb_store_path(path, dir, DATA_NAME))
        return lmdb_store_fail(text, TERCET_STORE_INVALID, "the path of the store is too long");
    int rc = mdb_env_info(env, &info);
    if (rc == 0)
        rc = mdb_env_stat(env, &stat_of_env);
    if (rc == 0 && stat(path, &file) != 0)
        rc = errno;
    if (rc != 0)
        return lmdb_store_fail(text, lmdb_store_error(rc), "cannot look at %s: %s", path,
                               lmdb_store_reason(rc));
    uint64_t present = (uint64_t)file.st_size / stat_of_env.ms_psize;
    uint64_t pages = info.me_last_pgno + 1;
    return present >= pages ? 0 : check_short_file(env, path, present, pages, text);
}
