/* SPDX-License-Identifier: Apache-2.0
 *
 * The etcd driver's insides. What is in etcd, P being the prefix of the store's name, numbers in
 * hexadecimal digits of fixed width, SSSS the shard:
 *
 *   P/format                        which format, how many shards, the store's identity
 *   P/member/ID                     exists while the lease of the process ID does: a hint
 *   P/SSSS/owner                    epoch and owner: the fence, compared by every write
 *   P/SSSS/batch                    number of the last batch, largest number of a record
 *   P/SSSS/live/NUMBER/0            part 0 of a live record; /BATCH: further parts, as that batch
 *                                   put and deleted them; a later batch counts before an earlier
 *   P/SSSS/bucket/ID                span of a bucket
 *   P/SSSS/done/BUCKET/~NUMBER      a resolved record; P/SSSS/gid/BUCKET/GID: its number
 *   P/SSSS/gone/BUCKET              a bucket that was dropped, whose records still go
 *   P/SSSS/meta/NAME
 *
 * A value begins with a letter: v, the rest is the value; or c, it is in chunks, behind the key:
 * KEY NUL BATCH/I. Chunks are written before what names them; those that nothing names are passed
 * over. A batch is one transaction of etcd, or, where etcd's limits are too small for it, several,
 * each with all that the batch writes of its numbers. Each compares owner and batch, and counts
 * batch up: so one that was sent again, since its outcome was not known, is written once.
 */
#ifndef TERCET_ETCD_STORE_H
#define TERCET_ETCD_STORE_H

#include <crpc/crpc.h>
#include <etcd/rpc.pb-c.h>
#include <pthread.h>
#include <stdatomic.h>

#include "bucket.h"
#include "store.h"

#define ETCD_ENDPOINTS_MAX 16
#define ETCD_ENDPOINT_SIZE 256
#define ETCD_PREFIX_MAX 128
#define ETCD_KEY_MAX 512
#define ETCD_OWNER_MAX 128

/* Limits that every etcd has unless it was started with smaller ones (--max-txn-ops 128,
 * --max-request-bytes 1.5 MiB), less what the fence takes. */
#define ETCD_TXN_OPS_MAX 126
#define ETCD_TXN_BYTES_MAX (1024u * 1024)
#define ETCD_CHUNK_SIZE (64u * 1024)

#define ETCD_CALL_MS 2000 /* one attempt */
#define ETCD_PATIENCE_MS                                                                           \
    30000                /* attempts together: far longer than etcd takes for a new leader         \
                          */
#define ETCD_PAUSE_MS 50 /* between two attempts */

struct etcd_key {
    size_t size;
    char bytes[ETCD_KEY_MAX];
};

struct etcd_buf {
    unsigned char *data;
    size_t size, capacity;
};

/* -- etcd_name.c: //HOST:PORT[,HOST:PORT]/PREFIX[?lease=5s&takeover=now] ------------------------
 */
struct etcd_name {
    char endpoints[ETCD_ENDPOINTS_MAX][ETCD_ENDPOINT_SIZE];
    size_t endpoint_count;
    char prefix[ETCD_PREFIX_MAX + 1]; /* "/tercet", say; no slash at its end */
    uint32_t lease_s;
    bool takes_over_now; /* does not wait for another owner's lease */
};
int etcd_name_parse(struct etcd_name *out, const char *name, char *text);

/* -- The store ----------------------------------------------------------------------------------
 */

/* The live parts of a number, for the count of them. */
struct etcd_parts {
    uint64_t number; /* 0: an empty place */
    uint32_t *parts;
    uint32_t count, capacity;
};
struct etcd_live {
    struct etcd_parts *places;
    size_t place_count, used;
    uint64_t parts; /* in all */
};

struct etcd_look; /* etcd_look.c */

/* Buckets with what the driver keeps of each; bucket.state is a struct etcd_bucket. */
struct etcd_bucket {
    uint64_t id;
    uint64_t count; /* records; one that was resolved twice counts twice until the next acquire */
    bool is_new;    /* made by the batch that is being written */
};

struct etcd_store {
    struct etcd_name name;
    struct tercet_store_options options;
    uint64_t id; /* of this process's hold on the store: random */
    uint64_t source;
    int64_t patience_ms; /* ETCD_PATIENCE_MS; tests have less */
    struct crpc_loop *loop;
    struct crpc_channel *channels[ETCD_ENDPOINTS_MAX];
    atomic_size_t current; /* the endpoint in use */
    atomic_uint walks;     /* ranges that are being read: their revision is not compacted */

    /* One shard. A commit is written by one thread at a time; what follows is guarded by `lock`,
     * which nobody holds while he waits for etcd. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_held;
    uint64_t epoch;
    char owner[ETCD_OWNER_MAX]; /* the value of P/SSSS/owner, while it is ours */
    uint64_t batch, number_top;
    struct buckets buckets;
    struct etcd_live live;
    uint64_t commits;
    int64_t lease_id;
    int64_t lease_until_ms; /* monotonic: it cannot have run out before */
    bool is_lease_lost;
    int64_t db_bytes, db_bytes_in_use;
    bool is_out_of_space, has_told_file;
    int64_t revision, compact_revision;
    bool is_closing;
    bool fails_next; /* for tests: the next commit is not sent, and its outcome unknown */

    pthread_t upkeep, looker;
    bool has_upkeep, has_looker;
    struct etcd_look *looks, **looks_end;
};

void etcd_log(const struct etcd_store *store, enum tercet_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int etcd_fail(char *text, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
void *etcd_alloc(size_t size); /* zeroed; ends the process when there is no memory */
void etcd_pause(int64_t ms);

/* -- etcd_key.c ---------------------------------------------------------------------------------
 */
#define ETCD_SHARD 0u /* there is one */
void etcd_key_format(struct etcd_key *key, const struct etcd_store *store);
void etcd_key_member(struct etcd_key *key, const struct etcd_store *store, uint64_t id);
/* `what` is owner, batch, or the begin of a kind: "live/". */
void etcd_key_shard(struct etcd_key *key, const struct etcd_store *store, const char *what);
void etcd_key_live(struct etcd_key *key, const struct etcd_store *store, uint64_t number,
                   uint64_t slot);
void etcd_key_bucket(struct etcd_key *key, const struct etcd_store *store, uint64_t id);
void etcd_key_gone(struct etcd_key *key, const struct etcd_store *store, uint64_t bucket);
void etcd_key_done(struct etcd_key *key, const struct etcd_store *store, uint64_t bucket,
                   uint64_t number);
void etcd_key_gid(struct etcd_key *key, const struct etcd_store *store, uint64_t bucket,
                  const char *gid);
void etcd_key_meta(struct etcd_key *key, const struct etcd_store *store, const char *name);
void etcd_key_chunk(struct etcd_key *key, const struct etcd_key *of, uint64_t batch, uint32_t i);
/* The key behind all that begin with this one. */
void etcd_key_past(struct etcd_key *end, const struct etcd_key *key);
/* The key behind this one and its chunks. */
void etcd_key_past_chunks(struct etcd_key *end, const struct etcd_key *key);
/* "KIND/ID/": all keys of a bucket. */
void etcd_key_of_bucket(struct etcd_key *key, const struct etcd_store *store, const char *kind,
                        uint64_t id);
/* The hexadecimal number behind `skip` bytes; false: there is none. */
bool etcd_key_read(uint64_t *out, const void *key, size_t size, size_t skip);
ProtobufCBinaryData etcd_bytes(const struct etcd_key *key);

void etcd_buf_add(struct etcd_buf *buf, const void *data, size_t size);
void etcd_buf_add_number(struct etcd_buf *buf, uint64_t value, size_t size);
void etcd_buf_free(struct etcd_buf *buf);

/* -- etcd_call.c --------------------------------------------------------------------------------
 */
enum etcd_outcome {
    ETCD_OK,
    ETCD_NO_ANSWER, /* it may have been done */
    ETCD_REFUSED,   /* it has not been done, and will not be when it is asked again */
    ETCD_NO_SPACE,  /* refused: the alarm NOSPACE is raised */
    ETCD_COMPACTED, /* refused: the revision is too old */
};
/* One attempt. `text` (TERCET_STORE_TEXT_MAX bytes) says what is wrong. *reply is the caller's. */
enum etcd_outcome etcd_call_once(struct etcd_store *store, ProtobufCMessage **reply,
                                 const ProtobufCServiceDescriptor *service, const char *method,
                                 const ProtobufCMessage *request, char *text);
/* Attempts at one endpoint after the other until there is an answer or `until_ms` is past: for
 * what may be done twice. */
enum etcd_outcome etcd_call(struct etcd_store *store, ProtobufCMessage **reply,
                            const ProtobufCServiceDescriptor *service, const char *method,
                            const ProtobufCMessage *request, int64_t until_ms, char *text);
enum etcd_outcome etcd_keep_alive(struct etcd_store *store, int64_t id, int64_t *ttl_s, char *text);
int etcd_call_open(struct etcd_store *store, char *text);
void etcd_call_close(struct etcd_store *store);

/* -- etcd_walk.c: reading a range, in pages at one revision, chunks put together ----------------
 */
typedef int (*etcd_walk_fn)(const char *key, size_t key_size, const unsigned char *value,
                            size_t size, void *ctx);
/* 0, what `each` returned, TERCET_STORE_IO or _CORRUPT. `want`: about how many are wanted. */
int etcd_walk(struct etcd_store *store, const struct etcd_key *from, const struct etcd_key *to,
              size_t want, etcd_walk_fn each, void *ctx);

/* -- etcd_read.c --------------------------------------------------------------------------------
 */
int etcd_store_scan(void *state, uint32_t shard, uint64_t from, uint64_t to,
                    tercet_store_scan_fn each, void *ctx);
int etcd_store_page(void *state, uint32_t shard, struct tercet_store_cursor *cursor, size_t limit,
                    tercet_store_page_fn each, void *ctx);
int etcd_store_meta_scan(void *state, uint32_t shard, tercet_store_meta_fn each, void *ctx);

/* -- etcd_look.c: a thread that answers get and find, many with one call ------------------------
 */
void etcd_store_get(void *state, uint32_t shard, uint64_t number, uint32_t part,
                    tercet_store_found_fn done, void *ctx);
void etcd_store_find(void *state, uint32_t shard, const char *gid, uint64_t number,
                     tercet_store_found_fn done, void *ctx);
void *etcd_look_run(void *store);

/* -- etcd_live.c --------------------------------------------------------------------------------
 */
void etcd_live_put(struct etcd_live *live, uint64_t number, uint32_t part);
void etcd_live_delete(struct etcd_live *live, uint64_t number, uint32_t part);
void etcd_live_forget(struct etcd_live *live, uint64_t number);
void etcd_live_clear(struct etcd_live *live);

/* -- etcd_plan.c: what a batch comes to ---------------------------------------------------------
 */
enum etcd_write_kind { ETCD_PUT, ETCD_DELETE };
struct etcd_write {
    enum etcd_write_kind kind;
    bool ends_unit; /* what is up to here may be parted from what follows, and not before */
    struct etcd_key key, end; /* end: of a range that is deleted */
    struct etcd_buf value;
};
struct etcd_plan {
    struct etcd_write *writes;
    size_t count, capacity;
    struct buckets buckets; /* as they are then */
    uint64_t number_top;
};
/* `batch` is the number of the batch, or of its first transaction. */
void etcd_plan_make(struct etcd_plan *plan, struct etcd_store *store, uint64_t batch,
                    const struct tercet_store_op *ops, size_t count);
void etcd_plan_clear(struct etcd_plan *plan);
/* The plan has been written: what the store keeps of its contents in memory follows. */
void etcd_plan_apply(struct etcd_plan *plan, struct etcd_store *store,
                     const struct tercet_store_op *ops, size_t count);
void etcd_buckets_free(struct buckets *buckets);

/* -- etcd_commit.c ------------------------------------------------------------------------------
 */
int etcd_store_commit(void *state, uint32_t shard, uint64_t epoch,
                      const struct tercet_store_op *ops, size_t count);
/* One fenced transaction, as often as it takes; counts batch up. 0, _FENCED or _UNKNOWN. */
int etcd_write_fenced(struct etcd_store *store, const struct etcd_write *writes, size_t count,
                      uint64_t number_top);

/* -- etcd_own.c ---------------------------------------------------------------------------------
 */
int etcd_store_acquire(void *state, uint32_t shard, struct tercet_store_lease *out);
void etcd_store_release(void *state, uint32_t shard, uint64_t epoch);
/* Reads what is at the prefix, or makes it. */
int etcd_own_format(struct etcd_store *store, char *text);

/* -- etcd_upkeep.c: the lease, compaction, how full etcd is -------------------------------------
 */
void *etcd_upkeep_run(void *store);
int etcd_upkeep_grant(struct etcd_store *store, char *text);
void etcd_upkeep_revoke(struct etcd_store *store);
int etcd_store_stats(void *state, struct tercet_store_stats *out);
/* Fills in how full etcd is, and whether its version will do. */
int etcd_upkeep_look(struct etcd_store *store, char *text);

/* -- etcd_sweep.c: deletes what is left of dropped buckets, a slice a call. false: nothing is left
 */
bool etcd_sweep(struct etcd_store *store);

#endif
