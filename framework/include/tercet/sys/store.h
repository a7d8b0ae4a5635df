/* SPDX-License-Identifier: Apache-2.0
 *
 * For writers of store drivers: what the coordinator needs of a database to keep transactions in.
 *
 * A store knows bytes, not transactions. It has shards, each of which keeps for itself:
 *  - live records: key (number, part), value = bytes. Part 0 is a transaction's state, parts 1 and
 *    up are its branches; the store does not care. Numbers mostly grow.
 *  - resolved records: one value per number, found by number and by gid, kept in buckets by the
 * time they were resolved (each tercet_store_options.bucket_ms wide). Whole buckets are dropped.
 *  - meta records: a few values by name (registered participants, settings).
 *  - an epoch, which rises with each acquire and fences every commit; a source, which is the
 *    shard's identity; and the largest number it has ever seen.
 *
 * One coordinator owns a shard at a time: it acquires the shard, commits batch after batch, one at
 * a time, and reads. A driver of a server may let other processes wait in acquire, so that one of
 * them goes on when the owner has gone. Reads come from other threads than commits, also at the
 * same time; they see a whole number of commits, at least those that had returned before the read
 * was called. What a shard answers does not depend on other shards.
 *
 * How long a function may take. acquire, release, commit, scan, page and meta_scan may wait for the
 * database: they are called at the start, from a thread of their own (commit), or rarely (a page of
 * an operator's list). find, get and stats are called by the thread that drives all transactions:
 * they must not wait for a disk that is not local, a network or a server. find and get therefore
 * complete by a callback, at once or later.
 *
 * Names. A store is opened by a name like a URL, SCHEME:REST, such as "lmdb:/var/lib/tercet" or
 * "memory:". The scheme chooses the driver (lower case letters, digits, + - .); what REST means is
 * the driver's.
 *
 * Whether a driver does what is written here is found out by the suite in
 * <tercet/sys/store_conformance.h>.
 */
#ifndef TERCET_SYS_STORE_H
#define TERCET_SYS_STORE_H

#include <tercet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a driver answers, besides 0. None of them is a code of enum tercet_error. */
#define TERCET_STORE_RESULT_MAP(X)                                                                 \
    X(TERCET_STORE_NOT_FOUND, -101, "not found")                                                   \
    X(TERCET_STORE_FENCED, -102, "another owner has acquired this shard")                          \
    X(TERCET_STORE_UNKNOWN, -103, "the write failed and may or may not be durable")                \
    X(TERCET_STORE_LOCKED, -104, "another process holds this store")                               \
    X(TERCET_STORE_NEWER, -105, "the store was written by a newer version of this program")        \
    X(TERCET_STORE_CORRUPT, -106, "the store is damaged, or is not one of ours")                   \
    X(TERCET_STORE_IO, -107, "the store cannot be read or opened")                                 \
    X(TERCET_STORE_NOMEM, -108, "out of memory")                                                   \
    X(TERCET_STORE_INVALID, -109, "an argument is invalid")
enum tercet_store_result {
#define TERCET_STORE_RESULT_ENUM(name, value, text) name = value,
    TERCET_STORE_RESULT_MAP(TERCET_STORE_RESULT_ENUM)
#undef TERCET_STORE_RESULT_ENUM
};
/* The constant text of a result ("done" for 0); never NULL. */
const char *tercet_store_strerror(int result);

#define TERCET_STORE_TEXT_MAX 256 /* bytes of an error text, which says what to do */
#define TERCET_STORE_GID_MAX 64   /* bytes of a gid, which is any bytes but NUL */
#define TERCET_STORE_NAME_MAX 128 /* bytes of a meta record's name, any bytes but NUL */
#define TERCET_STORE_VALUE_MAX (16u * 1024 * 1024)
/* Past it, what is resolved goes to the newest bucket: a resolve is never refused. */
#define TERCET_STORE_BUCKETS_MAX 2048

struct tercet_store_options {
    size_t size;
    /* bytes that the store may take, where the driver has such a limit; 0: the driver's default
     * (LMDB: 64 GiB of address space; its file is sparse and grows as needed) */
    uint64_t size_max;
    /* width of a bucket of resolved records, 0: one day; an earlier run may have had another */
    int64_t bucket_ms;
    /* shards of a store that is made anew, 0: 1; a driver may refuse more */
    uint32_t shard_count;
    /* the identity of a store that is made anew; 0: a random one. For tests that repeat exactly */
    uint64_t source;
    /* makes a new store where there has been one whose data are gone; else that is refused */
    bool begins_anew;
    /* lines for the operator, such as that a new store has been made; NULL: none */
    tercet_log_fn on_log;
    void *log_ctx;
    /* Where acquire waits for another process that owns the shard: asked several times a second
     * whether it is to wait on, with a text that says for whom. false: acquire gives up,
     * TERCET_STORE_LOCKED. NULL: it waits on */
    bool (*waits_on)(const char *text, void *ctx);
    void *waits_ctx;
};

enum tercet_store_op_kind {
    TERCET_STORE_PUT,      /* live (number, part) = value, new or replaced */
    TERCET_STORE_DELETE,   /* live (number, part) goes; fine when it is not there */
    TERCET_STORE_RESOLVE,  /* all live parts of number go; value is put in the bucket of time_ms and
                              found under gid. Fine when it has been resolved before: it replaces
                              the value when that is in the same bucket */
    TERCET_STORE_META_PUT, /* meta name = value, new or replaced */
    TERCET_STORE_META_DELETE, /* fine when it is not there */
    TERCET_STORE_DROP,        /* every bucket that ended at or before time_ms goes, whole */
};

/* One write. Numbers are 1 to UINT64_MAX - 1; a gid and a name are not empty; a value has at most
 * TERCET_STORE_VALUE_MAX bytes. All of it has been checked before the driver is called. Pointers
 * are read during commit only. */
struct tercet_store_op {
    enum tercet_store_op_kind kind;
    uint32_t part;
    uint64_t number;
    int64_t time_ms;  /* any int64_t: a wall clock may be wrong. Before 1970 counts as 1970 */
    const char *gid;  /* RESOLVE */
    const char *name; /* META_PUT, META_DELETE */
    const void *value;
    size_t size;
};

/* What acquire gives. */
struct tercet_store_lease {
    uint64_t epoch; /* larger than every one before */
    /* larger than every number ever put or resolved, also of those that were deleted or dropped */
    uint64_t next_number;
    /* The shard's identity, not 0: random, made with the shard and kept in it, the same for ever. A
     * store that has none yet (an older version made it) gets it here. */
    uint64_t source;
};

/* How full the store is, and whether there is room. */
struct tercet_store_stats {
    uint64_t commits;      /* durable ones since open, acquires included */
    uint64_t live_records; /* parts */
    uint64_t resolved_records;
    uint64_t bytes_used; /* of bytes_max, what cannot be used for something else now */
    uint64_t bytes_max;
    uint64_t disk_free_bytes; /* UINT64_MAX when there is no disk of ours */
    /* How much new transactions may still take, as counted by the driver's room_of; UINT64_MAX: no
     * limit. The driver must keep back enough for transactions that are under way to end: only new
     * ones are refused for lack of room. */
    uint64_t room_bytes;
    /* What to tell when room_bytes do not suffice: why, and what to do. */
    char room_text[TERCET_STORE_TEXT_MAX];
    uint64_t file_bytes; /* of the store's file; 0: it has none */
    uint64_t held_bytes; /* freed, and kept from being used again by another process that reads */
    uint64_t readers;    /* places for readers that have been taken */
};

/* Where a listing of resolved records goes on; zeroed: at the newest. Its meaning is the driver's,
 * but for the zeros; it is handed to operators and back, and may come from anybody. */
struct tercet_store_cursor {
    int64_t bucket_ms;
    uint64_t number;
};

/* The end of find or get: 0 with the record, or TERCET_STORE_NOT_FOUND, _CORRUPT, _IO or _NOMEM
 * with number 0 and no value. The value lives until this returns. It calls nothing of the store. */
typedef void (*tercet_store_found_fn)(int rc, uint64_t number, struct tercet_bytes value,
                                      void *ctx);

/* One record of a scan, a page or the meta records; the value lives until it returns. Not 0: the
 * reading ends and returns that. It calls nothing of the store. */
typedef int (*tercet_store_scan_fn)(uint64_t number, uint32_t part, const void *value, size_t size,
                                    void *ctx);
typedef int (*tercet_store_page_fn)(uint64_t number, const void *value, size_t size, void *ctx);
typedef int (*tercet_store_meta_fn)(const char *name, const void *value, size_t size, void *ctx);

/* A bucket of resolved records: [start_ms, end_ms), and what it holds. */
struct tercet_store_bucket {
    int64_t start_ms, end_ms;
    uint64_t records, bytes;
};
/* Calls nothing of the store. Not 0: the reading ends and returns that. */
typedef int (*tercet_store_bucket_fn)(const struct tercet_store_bucket *bucket, void *ctx);

/* A damage, in words for an operator. */
typedef void (*tercet_store_damage_fn)(const char *text, void *ctx);

/* A copy of a store that is in use. */
struct tercet_store_backup {
    const char *directory; /* is made, and must not be there before */
    /* The store may grow by so much while it is copied, because what is freed meanwhile cannot be
     * used again: past it the copying ends. */
    uint64_t growth_bytes_max;
    bool (*goes_on)(uint64_t bytes, void *ctx); /* asked now and then; false: it ends */
    void *ctx;
    /* What it is copied to may take nothing for so long: past it the copying ends, and what was
     * made is left. 0: the driver's default (LMDB: a minute) */
    uint32_t stall_ms;
};

#define TERCET_STORE_VERSION 1 /* of what the functions below mean */

/* `state` is what open made. shard is 0 to shard_count() - 1; the driver is never called with
 * another. Every function may be called from any thread; open comes first, close last, alone. */
struct tercet_store_driver {
    size_t size;        /* sizeof(struct tercet_store_driver) */
    uint32_t version;   /* TERCET_STORE_VERSION */
    const char *scheme; /* such as "lmdb" */

    /* Opens the store that `name`, the part after the scheme's colon, names, and makes it when
     * there is none. options: never NULL, all fields there, zero where a default is wanted. On
     * failure fills `text` (TERCET_STORE_TEXT_MAX bytes) with what is wrong and what to do, and
     * returns TERCET_STORE_LOCKED, _NEWER, _CORRUPT, _IO, _INVALID (the name, an option) or _NOMEM.
     */
    int (*open)(void **state, const char *name, const struct tercet_store_options *options,
                char *text);
    /* No find or get is under way: the caller has waited for them. */
    void (*close)(void *state);
    /* How many shards the store has, 1 at least; the same for ever. */
    uint32_t (*shard_count)(void *state);

    /* Takes the shard: durably raises its epoch (so a store that cannot write is found out here).
     * Whoever held it before is fenced. After a failure, _IO, _CORRUPT, _NOMEM or _LOCKED (waits_on
     * said so), nobody holds it. */
    int (*acquire)(void *state, uint32_t shard, struct tercet_store_lease *out);
    /* Gives the shard back; nothing when another epoch holds it. */
    void (*release)(void *state, uint32_t shard, uint64_t epoch);

    /* All `count` > 0 writes in their order, or none: durable on return of 0. TERCET_STORE_FENCED:
     * nothing was written, another epoch holds the shard, or none. TERCET_STORE_UNKNOWN: it may or
     * may not be, and from then on the shard is held by nobody: every further commit is FENCED
     * until somebody acquires, after which reads show what is true. A driver whose engine limits
     * what one transaction may have may part a large batch: all writes of one number stay together,
     * and when it fails (UNKNOWN) or is read meanwhile, some numbers' may be there and others' not.
     */
    int (*commit)(void *state, uint32_t shard, uint64_t epoch, const struct tercet_store_op *ops,
                  size_t count);

    /* Every live record of the numbers `from` to `to`, both included, by number and part. 0, what
     * `each` returned, or _IO, _CORRUPT, _NOMEM. */
    int (*scan)(void *state, uint32_t shard, uint64_t from, uint64_t to, tercet_store_scan_fn each,
                void *ctx);
    /* One live record. Calls `done` once: before it returns, or later from any thread. */
    void (*get)(void *state, uint32_t shard, uint64_t number, uint32_t part,
                tercet_store_found_fn done, void *ctx);
    /* The resolved record of the newest bucket that has one under `gid`; with gid NULL, under
     * `number`. `gid` is read before it returns. Calls `done` once: before it returns, or later
     * from any thread. What is not certain to be missing is not NOT_FOUND. */
    void (*find)(void *state, uint32_t shard, const char *gid, uint64_t number,
                 tercet_store_found_fn done, void *ctx);
    /* Resolved records, newest bucket first and within it largest number first, at most `limit`,
     * beginning behind *cursor, which is moved with each record that `each` has taken. Returns how
     * many, what `each` returned (negative or positive: a caller's `each` returns no small positive
     * number), or _IO, _CORRUPT, _NOMEM. Buckets may be dropped and made between two pages. */
    int (*page)(void *state, uint32_t shard, struct tercet_store_cursor *cursor, size_t limit,
                tercet_store_page_fn each, void *ctx);
    /* Every meta record, in any order. */
    int (*meta_scan)(void *state, uint32_t shard, tercet_store_meta_fn each, void *ctx);

    /* Of the whole store; called five times a second. Values up to a second old are fine. While a
     * driver does not know whether the owner still has its shard it may hold this call up: then
     * nothing may be told anyway. TERCET_STORE_FENCED: the owner may have lost its shard, and what
     * it has in memory is not to be told any more. */
    int (*stats)(void *state, struct tercet_store_stats *out);
    /* The bytes that a record with a value of `size` bytes takes at most, in the units of
     * room_bytes; called for each new transaction. NULL: `size`. */
    uint64_t (*room_of)(void *state, uint64_t size);

    /* Whether the parts of a shard fit together, as far as the driver can tell at a glance; each
     * damage is told. From a thread of its own. NULL: it can tell nothing. */
    int (*check)(void *state, uint32_t shard, tercet_store_damage_fn each, void *ctx);
    /* Copies the whole store, as it is at one moment, while it is used: what the directory holds
     * then can be opened as a store of this driver, under the directory's name. From a thread of
     * its own, one at a time. Durable on return of 0, with the size of the copy and by how much the
     * store grew; else nothing is left, and `text` (TERCET_STORE_TEXT_MAX bytes) says why. NULL: it
     * cannot. */
    int (*backup)(void *state, const struct tercet_store_backup *backup, uint64_t *bytes,
                  uint64_t *growth_bytes, char *text);

    /* Opens a store, or a copy that `backup` has made (`name` is then its directory), to read it
     * alone: scan, get, find, page, meta_scan, check and close follow, and nothing else. Another
     * process may have the store open and write to it meanwhile: so a program of its own can look
     * at a store, and what is damaged there ends that program at worst. Makes nothing, takes
     * nothing; otherwise as open. NULL: it cannot. */
    int (*open_to_read)(void **state, const char *name, const struct tercet_store_options *options,
                        char *text);

    /* The buckets of resolved records, the newest first. 0, what `each` returned, or _IO, _CORRUPT,
     * _NOMEM. Called at an operator's wish, by the thread that drives all transactions. NULL: it
     * cannot tell. */
    int (*buckets)(void *state, uint32_t shard, tercet_store_bucket_fn each, void *ctx);
};

#ifdef __cplusplus
}
#endif
#endif
