/* SPDX-License-Identifier: Apache-2.0
 *
 * The store knows bytes, not transactions. It keeps, for one shard:
 *  - live records: key (number, part), both of them growing integers, value = bytes. Part 0 is a
 * transaction's state, parts 1.. are its branches; the store does not care.
 *  - resolved records: one value a number, in buckets of the time it was resolved, with an index by
 * gid; whole buckets are dropped when the retention time is over, and their pages are reused.
 *  - meta records: a few named values (registered participants, settings).
 *
 * All writes go through store_commit, one batch after another. Reads may come from other threads at
 * the same time; they see the last finished commit, and wait for each other. A callback (`each`)
 * must call nothing of the same store.
 *
 * acquire gives an epoch; every commit is fenced by it. STORE_UNKNOWN means that the batch may or
 * may not be durable: the only way on is to acquire again and read everything anew, the same path
 * as a restart. Values carry no checksum here: the coordinator's records do (coordinator/record.h).
 */
#ifndef TERCET_STORE_H
#define TERCET_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_RESULT_MAP(X)                                                                        \
    X(STORE_NOT_FOUND, -1, "not found")                                                            \
    X(STORE_FENCED, -2, "another owner has acquired this shard")                                   \
    X(STORE_UNKNOWN, -3, "the write failed and may or may not be durable")                         \
    X(STORE_LOCKED, -4, "another process holds this store")                                        \
    X(STORE_NEWER, -5, "the store was written by a newer version of this program")                 \
    X(STORE_CORRUPT, -6, "the store is damaged, or is not one of ours")                            \
    X(STORE_IO, -7, "the store cannot be read or opened")                                          \
    X(STORE_NOMEM, -8, "out of memory")                                                            \
    X(STORE_INVALID, -9, "an argument is invalid")
enum store_result {
#define STORE_RESULT_ENUM(name, value, text) name = value,
    STORE_RESULT_MAP(STORE_RESULT_ENUM)
#undef STORE_RESULT_ENUM
};
const char *store_strerror(int result);

#define STORE_TEXT_MAX 256 /* an error text that says what to do */
#define STORE_GID_MAX 64
#define STORE_NAME_MAX 128 /* a meta record's name */
#define STORE_VALUE_MAX (16u * 1024 * 1024)
/* past it, what is resolved goes to the newest bucket: nothing is refused */
#define STORE_BUCKETS_MAX 2048

struct store;

enum store_op_kind {
    STORE_PUT,      /* live (number, part) = value, new or replaced */
    STORE_DELETE,   /* live (number, part) goes; fine when it is not there */
    STORE_RESOLVE,  /* all live parts of number go; value is put in the bucket of time_ms and found
                       under gid. Fine  when it has been resolved before (replaces the value when it
                       is in the same bucket) */
    STORE_META_PUT, /* meta name = value */
    STORE_META_DELETE,
    STORE_DROP, /* every bucket that ended at or before time_ms goes, whole */
};

/* One write. Numbers are 1 to UINT64_MAX - 1, a gid and a name are not empty. Pointers are read
 * during store_commit only. */
struct store_op {
    enum store_op_kind kind;
    uint32_t part;
    uint64_t number;
    int64_t time_ms;  /* wall clock */
    const char *gid;  /* STORE_RESOLVE */
    const char *name; /* meta */
    const void *value;
    size_t size;
};

/* A value read: malloc'ed, the caller's (store_value_free). */
struct store_value {
    void *data;
    size_t size;
};
void store_value_free(struct store_value *value);

struct store_stats {
    /* durable commits since open; each is one forced write (two device flushes in LMDB) */
    uint64_t commits;
    uint64_t live_records; /* parts */
    uint64_t resolved_records;
    uint64_t bytes_used; /* of bytes_max, pages that cannot be reused now */
    uint64_t bytes_max;
    uint64_t disk_free_bytes; /* UINT64_MAX when there is no disk */
};

/* Takes the shard: a commit of its own (so a store that cannot write is found out here), which
 * raises the epoch. *next_number is larger than every number ever put or resolved, also of those
 * whose buckets have been dropped. STORE_IO when it cannot be written: then nobody holds the shard.
 * Only shard 0 today. */
int store_acquire(struct store *store, uint32_t shard, uint64_t *epoch, uint64_t *next_number);
void store_release(struct store *store, uint32_t shard, uint64_t epoch);

/* All of the batch or nothing, in the order given, durable on return: 0, STORE_FENCED or
 * STORE_INVALID (nothing written), or STORE_UNKNOWN. After STORE_UNKNOWN every further commit is
 * STORE_FENCED until acquired again. An empty batch is 0 and writes nothing. */
int store_commit(struct store *store, uint32_t shard, uint64_t epoch, const struct store_op *ops,
                 size_t count);

/* Every live record of the numbers `from` to `to`, both included, in key order; the value lives
 * until `each` returns; `each` returning non-zero ends the scan with that code. A long one must not
 * be held while commits go on: call it at start. */
typedef int (*store_scan_fn)(uint64_t number, uint32_t part, const void *value, size_t size,
                             void *ctx);
int store_scan(struct store *store, uint32_t shard, uint64_t from, uint64_t to, store_scan_fn each,
               void *ctx);

/* One live record, or STORE_NOT_FOUND. */
int store_get(struct store *store, uint64_t number, uint32_t part, struct store_value *out);

/* A resolved record: the newest under `gid` (*number is set), or when gid is NULL the newest under
 * *number. Or STORE_NOT_FOUND. */
int store_find(struct store *store, const char *gid, uint64_t *number, struct store_value *out);

/* Resolved records, newest bucket first and within it largest number first, starting after `cursor`
 * (zeroed: at the newest), at most `limit`. *cursor is moved so that the next call goes on. Returns
 * the count, or a negative code; `each` as above (the cursor then stays before the record that it
 * refused). */
struct store_cursor {
    int64_t bucket_ms;
    uint64_t number;
};
typedef int (*store_page_fn)(uint64_t number, const void *value, size_t size, void *ctx);
int store_page(struct store *store, struct store_cursor *cursor, size_t limit, store_page_fn each,
               void *ctx);

typedef int (*store_meta_fn)(const char *name, const void *value, size_t size, void *ctx);
int store_meta_scan(struct store *store, store_meta_fn each, void *ctx);

int store_stats(struct store *store, struct store_stats *out);

void store_close(struct store *store);

struct store_options {
    /* bytes of the map; default 64 GiB of address space (the file is sparse and grows as needed) */
    uint64_t size_max;
    /* width of a bucket of resolved records; default one day; an earlier run may have had
     * another */
    int64_t bucket_ms;
};

/* LMDB in directory `dir`, which is made when missing (its parent must exist). Errors, with a text
 * that says what to do in `text` (STORE_TEXT_MAX bytes, or NULL): STORE_LOCKED, STORE_NEWER,
 * STORE_CORRUPT, STORE_IO (also: not a local file system), STORE_INVALID (the path is too long),
 * STORE_NOMEM. options NULL: all defaults. Not usable across fork. After a failed commit reading
 * may fail too (STORE_IO), and acquire: then the store must be closed and opened again, best by a
 * restart of the process. */
int store_lmdb_open(struct store **out, const char *dir, const struct store_options *options,
                    char *text);

/* In memory: the test double, for tests and for trying things out. Running out of memory while it
 * writes ends the process. */
int store_memory_open(struct store **out, const struct store_options *options);

/* Memory store only: the n-th commit from now (1: the next) fails. With `applied` its batch is in
 * the store all the same, as a failed LMDB commit may be. */
void store_memory_fail(struct store *store, uint64_t nth, bool applied);

/* -- For drivers: what a store implements; every function above but the openers goes through it.
 * --- */
struct store_driver {
    int (*acquire)(struct store *, uint32_t shard, uint64_t *epoch, uint64_t *next_number);
    void (*release)(struct store *, uint32_t shard, uint64_t epoch);
    int (*commit)(struct store *, uint32_t shard, uint64_t epoch, const struct store_op *ops,
                  size_t count);
    int (*scan)(struct store *, uint32_t shard, uint64_t from, uint64_t to, store_scan_fn each,
                void *ctx);
    int (*get)(struct store *, uint64_t number, uint32_t part, struct store_value *out);
    int (*find)(struct store *, const char *gid, uint64_t *number, struct store_value *out);
    int (*page)(struct store *, struct store_cursor *cursor, size_t limit, store_page_fn each,
                void *ctx);
    int (*meta_scan)(struct store *, store_meta_fn each, void *ctx);
    int (*stats)(struct store *, struct store_stats *out);
    void (*close)(struct store *);
};
/* A driver's own struct begins with this. */
struct store {
    const struct store_driver *driver;
};

#endif
