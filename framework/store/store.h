/* SPDX-License-Identifier: Apache-2.0
 *
 * The store as the coordinator uses it: an open store of some driver. tercet/sys/store.h says what
 * each operation means; here are the checks that hold for every driver. Values carry no checksum
 * here: the coordinator's records do (coordinator/record.h).
 *
 * TERCET_STORE_UNKNOWN means that a batch may or may not be durable: the only way on is to acquire
 * again and read everything anew, the same path as a restart.
 */
#ifndef TERCET_STORE_H
#define TERCET_STORE_H

#include <tercet/sys/store.h>

struct store {
    struct tercet_store_driver driver; /* what a smaller table of an older driver lacks is NULL */
    void *state;
    uint32_t shard_count;
};

/* Opens the store that `name` names: SCHEME:REST with a driver of `others` (ended by NULL; or NULL:
 * none) or of ours: lmdb, memory; a name without a scheme is the directory of an LMDB store, and
 * ":memory:" is "memory:". Returns a code of the store, with a text (TERCET_STORE_TEXT_MAX bytes,
 * or NULL) that says what to do. */
int store_open(struct store **out, const char *name,
               const struct tercet_store_driver *const *others,
               const struct tercet_store_options *options, char *text);
/* The same with the driver given, and what stands behind the colon. */
int store_open_with(struct store **out, const struct tercet_store_driver *driver, const char *rest,
                    const struct tercet_store_options *options, char *text);
/* Beside another process that may have it open, to read it alone; TERCET_STORE_INVALID when the
 * driver cannot. */
int store_open_to_read(struct store **out, const char *name,
                       const struct tercet_store_driver *const *others,
                       const struct tercet_store_options *options, char *text);
int store_open_to_read_with(struct store **out, const struct tercet_store_driver *driver,
                            const char *rest, const struct tercet_store_options *options,
                            char *text);
bool store_can_be_read_beside(const struct store *store);
void store_close(struct store *store);

/* A shard that the store does not have is TERCET_STORE_INVALID in every function below. */
int store_acquire(struct store *store, uint32_t shard, struct tercet_store_lease *out);
void store_release(struct store *store, uint32_t shard, uint64_t epoch);

/* Also TERCET_STORE_INVALID, with nothing written, when an op is not valid. An empty batch is 0 and
 * writes nothing. */
int store_commit(struct store *store, uint32_t shard, uint64_t epoch,
                 const struct tercet_store_op *ops, size_t count);

int store_scan(struct store *store, uint32_t shard, uint64_t from, uint64_t to,
               tercet_store_scan_fn each, void *ctx);
int store_page(struct store *store, uint32_t shard, struct tercet_store_cursor *cursor,
               size_t limit, tercet_store_page_fn each, void *ctx);
int store_meta_scan(struct store *store, uint32_t shard, tercet_store_meta_fn each, void *ctx);

/* `done` is called exactly once: before these return, or later from any thread. A gid that cannot
 * be one is TERCET_STORE_INVALID. */
void store_get(struct store *store, uint32_t shard, uint64_t number, uint32_t part,
               tercet_store_found_fn done, void *ctx);
void store_find(struct store *store, uint32_t shard, const char *gid, uint64_t number,
                tercet_store_found_fn done, void *ctx);

/* The same for who may wait. The value is malloc'ed, the caller's (store_value_free); *out and
 * *number are untouched on failure. */
struct store_value {
    void *data;
    size_t size;
};
int store_get_wait(struct store *store, uint32_t shard, uint64_t number, uint32_t part,
                   struct store_value *out);
int store_find_wait(struct store *store, uint32_t shard, const char *gid, uint64_t *number,
                    struct store_value *out);
void store_value_free(struct store_value *value);

/* TERCET_STORE_INVALID, too, when the driver cannot tell. */
int store_buckets(struct store *store, uint32_t shard, tercet_store_bucket_fn each, void *ctx);

/* 0 as well when the driver can tell nothing. */
int store_check(struct store *store, uint32_t shard, tercet_store_damage_fn each, void *ctx);
/* TERCET_STORE_INVALID with a text, too, when the driver cannot. */
int store_backup(struct store *store, const struct tercet_store_backup *backup, uint64_t *bytes,
                 uint64_t *growth_bytes, char *text);

int store_stats(struct store *store, struct tercet_store_stats *out);
uint64_t store_room_of(struct store *store, uint64_t size);

/* -- Our drivers ------------------------------------------------------------------------------- */

/* "lmdb:DIR": LMDB in the directory, which is made when missing (its parent must exist), on a local
 * file system. One process at a time, not usable across fork. One shard. After a failed commit
 * reading may fail too (TERCET_STORE_IO), and acquire: then the store must be closed and opened
 * again, best by a restart of the process. */
extern const struct tercet_store_driver store_lmdb_driver;

/* "memory:": nothing is kept, for tests and for trying things out. Any number of shards. Running
 * out of memory while it writes ends the process. */
extern const struct tercet_store_driver store_memory_driver;

/* Memory store only: the n-th commit of shard 0 from now (1: the next) fails. With `applied` its
 * batch is in the store all the same, as a failed LMDB commit may be. */
void store_memory_fail(struct store *store, uint64_t nth, bool applied);

#endif
