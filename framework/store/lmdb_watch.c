/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens to a store from outside while it is open: its file is deleted, replaced or cut, or
 * another process reads it and keeps its pages from being reused.
 */
#include "lmdb_store.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PINNED_WARN_BYTES (64ull * 1024 * 1024)

void lmdb_store_log(const struct lmdb_store *store, enum tercet_log_level level, const char *format,
                    ...)
{
    char line[PATH_MAX + TERCET_STORE_TEXT_MAX];
    va_list args;
    if (store->on_log == NULL)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    store->on_log(level, line, store->log_ctx);
}

/* -- The file ---------------------------------------------------------------------------------- */

int lmdb_store_watch(struct lmdb_store *store)
{
    int fd;
    int rc = mdb_env_get_fd(store->env, &fd);
    if (rc == 0 && fstat(fd, &store->file) != 0)
        rc = errno;
    return rc;
}

/* What has become of the file; NULL: it is there. */
static const char *what_happened(struct lmdb_store *store)
{
    /* Before the look: the file may grow meanwhile. */
    uint64_t known = atomic_load(&store->bytes_known);
    struct stat now;
    if (stat(store->path, &now) != 0)
        return errno == ENOENT ? "has been deleted" : "cannot be looked at any more";
    if (now.st_dev != store->file.st_dev || now.st_ino != store->file.st_ino)
        return "has been replaced by another file";
    uint64_t size = (uint64_t)now.st_size;
    if (size < known)
        return "has been cut short";
    /* Another thread may have seen it longer: then the next look knows. */
    if (size > known)
        atomic_store(&store->bytes_known, size);
    return NULL;
}

bool lmdb_store_file_is_there(struct lmdb_store *store)
{
    const char *what = what_happened(store);
    if (what == NULL)
        return true;
    if (!atomic_exchange(&store->is_gone, true))
        lmdb_store_log(store, TERCET_LOG_ERROR,
                       "%s %s while this program had it open: nothing more is written; restore a "
                       "backup",
                       store->path, what);
    return false;
}

/* -- Readers ----------------------------------------------------------------------------------- */

/* The reader of another process, or the backup of this one, that is the furthest behind. */
struct reader {
    int pid; /* 0: there is none */
    uint64_t txnid;
    bool counts_own; /* a backup reads for long: our other readers are too short to count */
};

/* One line of mdb_reader_list: pid, thread, transaction ("-": none); the first is a head. */
static int see_reader(const char *line, void *ctx)
{
    struct reader *oldest = ctx;
    unsigned long long txnid;
    int pid;
    if (sscanf(line, "%d %*x %llu", &pid, &txnid) == 2 && (oldest->counts_own || pid != getpid()) &&
        (oldest->pid == 0 || txnid < oldest->txnid)) {
        oldest->pid = pid;
        oldest->txnid = txnid;
    }
    return 0;
}

static void name_process(int pid, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    FILE *file = fopen(path, "re");
    snprintf(out, size, "?");
    if (file == NULL)
        return;
    if (fgets(out, (int)size, file) != NULL)
        out[strcspn(out, "\n")] = '\0';
    fclose(file);
}

void lmdb_store_look_at_readers(struct lmdb_store *store, struct lmdb_pin *pin)
{
    struct reader oldest = {.counts_own = atomic_load(&store->is_copied)};
    int dead = 0;
    *pin = (struct lmdb_pin){.txnid = UINT64_MAX};
    if (mdb_reader_check(store->env, &dead) == 0 && dead > 0)
        lmdb_store_log(store, TERCET_LOG_WARNING,
                       "%d readers of the store ended without a word: their slots are cleared",
                       dead);
    mdb_reader_list(store->env, see_reader, &oldest);
    if (oldest.pid == 0)
        return;
    pin->pid = oldest.pid;
    pin->txnid = oldest.txnid;
    if (oldest.pid == getpid())
        snprintf(pin->name, sizeof(pin->name), "a backup of its own");
    else
        name_process(oldest.pid, pin->name, sizeof(pin->name));
}

void lmdb_store_tell_pin(struct lmdb_store *store, const struct lmdb_pin *pin, uint64_t bytes)
{
    bool is_large = pin->pid != 0 && bytes > PINNED_WARN_BYTES;
    if (is_large && store->warned_pid != pin->pid)
        lmdb_store_log(store, TERCET_LOG_WARNING,
                       "process %d (%s) reads the store, and keeps %llu MiB of it from being used "
                       "again: the file grows until it ends",
                       pin->pid, pin->name, (unsigned long long)(bytes >> 20));
    store->warned_pid = is_large ? pin->pid : 0;
}

/* -- Texts ------------------------------------------------------------------------------------- */

const char *lmdb_store_reason(int rc)
{
    switch (rc) {
    case MDB_MAP_FULL:
        return "the store is full: give it more with --store-size";
    case ENOSPC:
        return "No space left on device: make room on the disk";
    case EDQUOT:
        return "Disk quota exceeded: raise it, or make room";
    case EIO:
        return "Input/output error: the disk failed, or is full";
    case EFBIG:
        return "the file would be larger than the system permits: raise the limit (ulimit -f)";
    case EMFILE:
        return "Too many open files: raise the limit (ulimit -n, LimitNOFILE=)";
    case ENFILE:
        return "Too many open files in the whole system";
    case ENOMEM:
        return "there is not enough memory or address space for the map: give less with "
               "--store-size, or raise the limit (ulimit -v)";
    case EAGAIN:
        return "another process that reads the store has the same process id, such as one in "
               "another container: stop it";
    case MDB_READERS_FULL:
        return "too many processes read the store: stop some";
    default:
        return mdb_strerror(rc);
    }
}
