/* SPDX-License-Identifier: Apache-2.0
 *
 * The LMDB driver's insides. Functions return 0, an LMDB code or an errno, unless they say "STORE_
 * code".
 *
 * The format, version 3: as version 2, but the records may say what programs that know only
 * version 2 would misread (framework/coordinator/record.h). Named databases:
 *   tercet                 "format" = "tercet" and a version of 2 bytes; "epoch" and "next" = 8
 * bytes: the last epoch given out, and a number larger than every one that has been deleted or
 * dropped; "source" = 8 bytes: the store's identity (added later, so it may be missing)
 *   live, meta             records as in store.h; a meta key is the name
 *   records/<start>-<end>  a bucket (16 hexadecimal digits each): number -> value
 *   gids/<start>-<end>     its index: gid -> number (8), check (8): XXH3-64 of the gid, seeded by
 *                          the number. Version 1 had no check: such entries stay
 * Keys and integers are as in key.h.
 *
 * Locks, in the order in which they are taken: writer, layout, gids. LMDB lets only one transaction
 * at a time open or drop named databases, and dropping closes the handle for all: so a batch that
 * makes or drops a bucket holds `layout`, as every read does; all other batches go on beside the
 * reads.
 */
#ifndef TERCET_LMDB_STORE_H
#define TERCET_LMDB_STORE_H

#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "bucket.h"
#include "key.h"
#include "store.h"

#define FORMAT_VERSION 3u
#define FORMAT_MAGIC "tercet"
#define FORMAT_SIZE 8u

struct lmdb_bucket {
    MDB_dbi records;
    MDB_dbi index;
    uint64_t number_max;                    /* at least that of the last record; the writer's */
    char gid_max[TERCET_STORE_GID_MAX + 1]; /* at least the last gid of the index; under `gids` */
};

/* The process that keeps pages from being reused. */
struct lmdb_pin {
    int pid;        /* 0: none does */
    uint64_t txnid; /* what later transactions have freed is not free yet */
    char name[32];
};

struct lmdb_store {
    MDB_env *env;
    int lock_fd;     /* -1: none */
    bool only_reads; /* another process may have it open, and write to it */
    MDB_dbi system, live, meta;
    char path[PATH_MAX];   /* of data.mdb */
    struct stat file;      /* of the file that is open */
    atomic_bool is_gone;   /* it is not the one at `path` any more */
    atomic_bool is_copied; /* a backup is under way, and keeps pages from being reused */
    tercet_log_fn on_log;
    void *log_ctx;

    pthread_mutex_t writer; /* acquire, release, commit; guards what follows */
    uint64_t epoch;
    bool is_held;
    uint64_t number_top;  /* the largest number ever seen */
    uint64_t next_stored; /* "next" in the database */

    /* guards what follows; the writer, who alone changes `buckets`, may read them without it */
    pthread_mutex_t layout;
    struct buckets buckets; /* state is struct lmdb_bucket */
    MDB_txn *reader;        /* reset between reads; NULL before the first */
    bool is_broken;         /* the buckets could not be loaded */

    pthread_mutex_t gids;
    _Atomic uint64_t commits;
    _Atomic uint64_t bytes_known; /* the file was as long as this at least */

    struct lmdb_pin pin; /* under `layout`, as what follows */
    unsigned looks;      /* how often stats has been asked for */
    int warned_pid;
};

/* -- lmdb.c ------------------------------------------------------------------------------------ */
void lmdb_store_close(void *state);

/* The STORE_ code of an LMDB code or errno. */
int lmdb_store_error(int rc);

/* An integer of the database "tercet". */
int lmdb_store_system_get(MDB_txn *txn, MDB_dbi system, const char *name, uint64_t *value);
int lmdb_store_system_put(MDB_txn *txn, MDB_dbi system, const char *name, uint64_t value);

/* -- lmdb_batch.c: applying one batch. --------------------------------------------------------- */

/* The driver's commit, with the epoch in the hands of the caller. Returns 0, TERCET_STORE_FENCED or
 * TERCET_STORE_UNKNOWN. */
int lmdb_store_write(struct lmdb_store *store, uint64_t epoch, const struct tercet_store_op *ops,
                     size_t count);

/* -- lmdb_bucket.c: the table of buckets. The caller holds `layout`. --------------------------- */

/* Reads the table, number_top and next_stored anew; is_broken tells of a failure. */
int lmdb_store_load(struct lmdb_store *store);
void lmdb_store_unload(struct lmdb_store *store);

/* Makes the bucket of this time. */
int lmdb_store_make_bucket(struct lmdb_store *store, MDB_txn *txn, int64_t time_ms,
                           struct lmdb_bucket **out);

/* Forgets the buckets that another process has dropped, as the transaction sees it. */
void lmdb_store_forget_dropped(struct lmdb_store *store, MDB_txn *txn);

/* Drops the bucket with this index. */
int lmdb_store_drop_bucket(struct lmdb_store *store, MDB_txn *txn, size_t index);

/* No gid of the bucket is larger than gid_max; these two take `gids`. */
bool lmdb_store_may_have_gid(struct lmdb_store *store, const struct lmdb_bucket *bucket,
                             const char *gid);
void lmdb_store_raise_gid(struct lmdb_store *store, struct lmdb_bucket *bucket, const char *gid);

/* -- lmdb_index.c: the entries of the index by gid. Keys and values lie in pages that nothing
 * guards against a flipped bit: so each entry says that it is whole, and what is not found is
 * looked for between two whole ones of the same bucket. -- */
#define INDEX_ENTRY_SIZE 16u
void lmdb_index_encode(unsigned char *out, const char *gid, uint64_t number);
/* 0, or MDB_CORRUPTED. */
int lmdb_index_decode(const MDB_val *gid, const MDB_val *entry, uint64_t *number);
/* 0, MDB_NOTFOUND or what is wrong. */
int lmdb_index_get(MDB_txn *txn, const struct lmdb_bucket *bucket, const char *gid,
                   uint64_t *number);
/* 0 when the entry is whole and its record is in the bucket. */
int lmdb_index_check(MDB_txn *txn, const struct lmdb_bucket *bucket, const MDB_val *gid,
                     const MDB_val *entry);
/* The same for the first and the last entry, and that they stand where they belong. */
int lmdb_index_check_ends(MDB_txn *txn, const struct lmdb_bucket *bucket);

/* -- lmdb_read.c ------------------------------------------------------------------------------- */

/* A read transaction; takes `layout`, which lmdb_store_read_end gives back. Returns a STORE_
 * code. */
int lmdb_store_read_begin(struct lmdb_store *store, MDB_txn **txn);
void lmdb_store_read_end(struct lmdb_store *store, MDB_txn *txn);

int lmdb_store_scan(void *state, uint32_t shard, uint64_t from, uint64_t to,
                    tercet_store_scan_fn each, void *ctx);
void lmdb_store_get(void *state, uint32_t shard, uint64_t number, uint32_t part,
                    tercet_store_found_fn done, void *ctx);
void lmdb_store_find(void *state, uint32_t shard, const char *gid, uint64_t number,
                     tercet_store_found_fn done, void *ctx);
int lmdb_store_page(void *state, uint32_t shard, struct tercet_store_cursor *cursor, size_t limit,
                    tercet_store_page_fn each, void *ctx);
int lmdb_store_meta_scan(void *state, uint32_t shard, tercet_store_meta_fn each, void *ctx);
int lmdb_store_buckets(void *state, uint32_t shard, tercet_store_bucket_fn each, void *ctx);

/* -- lmdb_stats.c ------------------------------------------------------------------------------ */
int lmdb_store_stats(void *state, struct tercet_store_stats *out);
uint64_t lmdb_store_room_of(void *state, uint64_t size);

/* How many pages of number `from` and above the free list holds that were freed before the
 * transaction `before`. */
int lmdb_store_free_pages(MDB_txn *txn, uint64_t from, uint64_t before, uint64_t *count);

/* -- lmdb_check.c, lmdb_backup.c --------------------------------------------------------------- */
int lmdb_store_check(void *state, uint32_t shard, tercet_store_damage_fn each, void *ctx);
int lmdb_store_backup(void *state, const struct tercet_store_backup *backup, uint64_t *bytes,
                      uint64_t *growth_bytes, char *text);

/* -- lmdb_open.c ------------------------------------------------------------------------------- */
/* The size of the map that the options ask for, in whole pages. */
uint64_t lmdb_store_map_size(const struct tercet_store_options *options);

int lmdb_store_open(void **out, const char *dir, const struct tercet_store_options *options,
                    char *text);
int lmdb_store_open_to_read(void **out, const char *dir, const struct tercet_store_options *options,
                            char *text);

/* -- lmdb_watch.c ------------------------------------------------------------------------------ */
void lmdb_store_log(const struct lmdb_store *store, enum tercet_log_level level, const char *format,
                    ...) __attribute__((format(printf, 3, 4)));

/* Remembers which file is open. Returns an LMDB code or an errno. */
int lmdb_store_watch(struct lmdb_store *store);

/* Is it still the one at its path, and as long as it was? The first time that it is not is
 * logged. */
bool lmdb_store_file_is_there(struct lmdb_store *store);

/* Clears the slots of readers that have died, and finds who pins pages. */
void lmdb_store_look_at_readers(struct lmdb_store *store, struct lmdb_pin *pin);

/* Warns once of a process that pins much. */
void lmdb_store_tell_pin(struct lmdb_store *store, const struct lmdb_pin *pin, uint64_t bytes);

/* What an LMDB code or errno means, and what to do. */
const char *lmdb_store_reason(int rc);

/* -- lmdb_file.c: the directory and the file. These return STORE_ codes and fill `text`. ------- */

/* Makes the directory when missing and takes its lock file. */
int lmdb_store_lock(const char *dir, int *fd, char *text);

/* Is this file system type (statfs) one whose files live on another machine? */
bool lmdb_store_is_network(uint64_t type);

/* Makes data.mdb when there is none (*is_new), and there has not been one or options->begins_anew;
 * all at once, by renaming, so that a crash leaves none or a whole one. */
int lmdb_store_create(const char *dir, const struct tercet_store_options *options, bool *is_new,
                      char *text);

/* Is the file as long as its last used page? Reading past the end would be a SIGBUS. */
int lmdb_store_check_length(MDB_env *env, const char *dir, char *text);

/* Fills `text` and returns `code`. */
int lmdb_store_fail(char *text, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes "<dir>/<name>" into `out` (PATH_MAX bytes); false when it does not fit. */
bool lmdb_store_path(char *out, const char *dir, const char *name);

#endif
