/* SPDX-License-Identifier: Apache-2.0
 *
 * Group commit. What one turn after another wants written is collected in the batch being filled,
 * while the committer makes the batch before it durable with one sync. What depends on a batch,
 * answers and calls, is held with it and released when it is durable. Several states of one
 * transaction within a batch collapse into one write.
 *
 *   forced   the transaction is written with this batch, and a batch with something forced is
 * committed at once lazy     written with a later batch that is there anyway, when there are
 * LAZY_RIDE_COUNT or they are LAZY_RIDE_MS old: each batch that ends transactions writes more
 * pages, as many for one as for thirty. With a batch of its own at the latest LAZY_MAX_MS later.
 * Losing it costs one repeated call
 */
#ifndef TERCET_BATCH_H
#define TERCET_BATCH_H

#include "arena.h"
#include "caller.h"
#include "table.h"

#include <pthread.h>
#include <store.h>

#define LAZY_RIDE_MS 25
#define LAZY_RIDE_COUNT 32
#define LAZY_MAX_MS 50
#define LAZY_MAX_COUNT 4096

struct coordinator;

enum effect_kind { EFFECT_ANSWER, EFFECT_WATCH, EFFECT_CALL };

/* Something that leaves the process once its batch is durable. */
struct effect {
    struct effect *next;
    enum effect_kind kind;
    struct caller *caller; /* a reference */
    struct answer answer;
    bool is_last;        /* EFFECT_WATCH */
    struct entry *entry; /* EFFECT_CALL */
    uint32_t branch;
    uint32_t attempt;
    enum tercet_kind call_kind;
};

struct batch {
    uint64_t seq;
    struct arena arena;
    struct tercet_store_op *ops;
    size_t op_count;
    size_t op_capacity;
    struct entry *dirty; /* to be encoded when the batch is closed */
    /* resolved with this batch: forgotten when it is durable (linked by dirty_next) */
    struct entry *over;
    struct effect *first;
    struct effect **last_next;
    bool is_forced;
    uint64_t bytes_taken; /* the coordinator's, when the batch was closed */
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
    bool is_stopping;
};

/* With the committer's thread, or without it: then who has called batcher_init takes what
 * batch_submit leaves in `submitted`, commits it, and posts EVENT_COMMITTED with what batch_commit
 * returns. */
void batcher_init(struct coordinator *c);
void batcher_free(struct coordinator *c);
int batcher_start(struct coordinator *c);
int batch_commit(struct coordinator *c, const struct batch *batch);
/* Nothing may be in flight. */
void batcher_stop(struct coordinator *c);

/* Writes of a transaction's state. */
void batch_force(struct coordinator *c, struct entry *entry);
void batch_lazy(struct coordinator *c, struct entry *entry);
/* A new branch's record; the state is to be forced besides. */
void batch_put_branch(struct coordinator *c, const struct entry *entry,
                      const struct txn_branch *branch);
void batch_put_meta(struct coordinator *c, const char *name, struct crpc_bytes value);
void batch_delete_meta(struct coordinator *c, const char *name);
void batch_drop_resolved(struct coordinator *c, int64_t before_ms);

/* Holds an answer about `entry` (NULL: about anything that has been forced so far) until what it
 * tells is durable. */
void batch_answer(struct coordinator *c, struct caller *caller, uint64_t id,
                  const struct reply *reply, struct entry *entry);
void batch_watch(struct coordinator *c, struct caller *caller, const ProtobufCMessage *snapshot,
                 bool is_last, struct entry *entry);
void batch_call(struct coordinator *c, struct entry *entry, uint32_t branch, enum tercet_kind kind,
                uint32_t attempt);

/* Hands the batch to the committer when it is idle and something is to be written. */
void batch_submit(struct coordinator *c);
/* The batch in flight is durable: releases what it holds. */
void batch_is_durable(struct coordinator *c);
/* When a lazy write is due; INT64_MAX: none. */
int64_t batch_due_ms(const struct coordinator *c);
/* Nothing waits to be written and nothing is in flight. */
bool batch_is_idle(const struct coordinator *c);

#endif
