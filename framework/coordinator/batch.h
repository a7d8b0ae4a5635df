/* SPDX-License-Identifier: Apache-2.0
 *
 * Group commit. What one turn after another wants written is collected in the batch being filled,
 * while the committer makes the batch before it durable with one sync. What depends on a batch,
 * answers and calls, is held with it (effect.h) until it is durable. Several states of one
 * transaction within a batch collapse into one write. A write is
 *
 *   forced  with this batch, and a batch with something forced in it is committed at once; or
 *   lazy    with a later batch that is committed anyway, once LAZY_RIDE_COUNT wait or they are
 *           LAZY_RIDE_MS old: resolving transactions makes a batch write more pages, as many for
 *           one transaction as for thirty. After LAZY_MAX_MS they get a batch of their own. A lazy
 *           write that is lost costs one repeated call.
 */
#ifndef TERCET_BATCH_H
#define TERCET_BATCH_H

#include "arena.h"
#include "table.h"

#include <pthread.h>
#include <store.h>

#define LAZY_RIDE_MS 25
#define LAZY_RIDE_COUNT 32
#define LAZY_MAX_MS 50
#define LAZY_MAX_COUNT 4096

struct effect; /* effect.h */
struct queue;  /* queue.h */
struct shard;  /* shard.h */

struct batch {
    uint64_t seq;
    struct arena arena; /* memory of its writes and its effects */
    struct tercet_store_op *ops;
    size_t op_count;
    size_t op_capacity;
    struct entry *dirty; /* to be encoded when the batch is closed */
    /* resolved with this batch: forgotten when it is durable (linked by dirty_next) */
    struct entry *over;
    struct effect *first_effect;
    struct effect **effects_end;
    bool is_forced;
    uint64_t taken_bytes; /* headroom.taken_bytes when the batch was closed */
};

struct batcher {
    struct batch batches[2];
    struct batch *filling;
    struct batch *in_flight; /* NULL: the committer is idle */
    uint64_t durable_seq;
    struct entry *lazy;
    size_t lazy_count;
    int64_t lazy_since_ms;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct batch *submitted; /* for the committer */
    struct queue *queue;     /* the committer's: where it posts EVENT_COMMITTED */
    bool is_stopping;
};

/* An empty batcher, without a thread: whoever has called it takes what batch_submit leaves in
 * `submitted`, commits it, and posts EVENT_COMMITTED with what batch_commit returns. */
void batcher_init(struct batcher *batcher);
/* There are no effects any more, and no thread. */
void batcher_free(struct batcher *batcher);

/* Starts the committer's thread, which does that and posts to `queue`. TERCET_NOMEM. */
int batcher_start(struct shard *shard, struct queue *queue);
/* Ends the thread. Nothing may be in flight. */
void batcher_stop(struct shard *shard);

/* Writes the batch. A code of the store. The committer's. */
int batch_commit(struct shard *shard, const struct batch *batch);

/* Writes of a transaction's state, forced and lazy. */
void batch_force(struct entry *entry);
void batch_lazy(struct entry *entry);
/* A new branch's record; the state is to be forced besides. */
void batch_put_branch(const struct entry *entry, const struct txn_branch *branch);
void batch_put_meta(struct shard *shard, const char *name, struct crpc_bytes value);
void batch_delete_meta(struct shard *shard, const char *name);
void batch_drop_resolved(struct shard *shard, int64_t before_ms);

/* The batch that has the entry's last write and is not durable yet; NULL: nothing is pending. */
struct batch *batch_pending(const struct entry *entry);
/* The batch that must be durable before anything is told of the entry; NULL: nothing is pending.
 * What is lazily pending is forced. */
struct batch *batch_holding(struct entry *entry);
/* The batch that must be durable before anything is told of what has been forced so far, or NULL.
 */
struct batch *batch_of_all(struct shard *shard);

/* Hands the batch to the committer when that is idle and something is to be written. `is_stopping`:
 * what is lazy is to be written, too. */
void batch_submit(struct shard *shard, bool is_stopping);
/* The batch in flight is durable. It is the caller's until batch_reuse: its effects are to be
 * released, then what is over is to be forgotten. */
struct batch *batch_finish(struct shard *shard);
/* The next entry that is over with the batch, taken off its list; NULL: there is none. */
struct entry *batch_take_over(struct batch *batch);
void batch_reuse(struct batch *batch);
/* The batch in flight has failed: whether it was written is not known, and nothing that depends on
 * it is sent. */
void batch_abandon(struct shard *shard);

/* When a lazy write is due; INT64_MAX: none. */
int64_t batch_due_ms(const struct shard *shard);
/* Nothing waits to be written and nothing is in flight. */
bool batch_is_idle(const struct shard *shard);

#endif
