/* SPDX-License-Identifier: Apache-2.0
 *
 * batch.h: two batches in turn, one being filled and one in flight, and the committer's thread.
 */
#include "batch.h"

#include "failpoint.h"
#include "queue.h"
#include "record.h"
#include "shard.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* -- The committer ----------------------------------------------------------------------------- */

static struct batch *next_submitted(struct batcher *batcher)
{
    pthread_mutex_lock(&batcher->lock);
    while (batcher->submitted == NULL && !batcher->is_stopping)
        pthread_cond_wait(&batcher->changed, &batcher->lock);
    struct batch *batch = batcher->submitted;
    batcher->submitted = NULL;
    pthread_mutex_unlock(&batcher->lock);
    return batch;
}

int batch_commit(struct shard *shard, const struct batch *batch)
{
    int rc;
    FAILPOINT_AROUND("commit", rc = store_commit(shard->store, shard->number, shard->epoch,
                                                 batch->ops, batch->op_count));
    return rc;
}

static void *run_committer(void *ctx)
{
    struct shard *shard = ctx;
    struct batch *batch;
    while ((batch = next_submitted(&shard->batcher)) != NULL) {
        struct event *event = event_new(EVENT_COMMITTED);
        if (event == NULL)
            abort();
        event->shard = shard;
        const int64_t began_us = clock_monotonic_us();
        event->code = batch_commit(shard, batch);
        event->took_us = clock_monotonic_us() - began_us;
        queue_post(shard->batcher.queue, event);
    }
    return NULL;
}

static void init_batch(struct batch *batch)
{
    memset(batch, 0, sizeof(*batch));
    batch->effects_end = &batch->first_effect;
}

void batcher_init(struct batcher *batcher)
{
    init_batch(&batcher->batches[0]);
    init_batch(&batcher->batches[1]);
    batcher->filling = &batcher->batches[0];
    batcher->filling->seq = 1;
    pthread_mutex_init(&batcher->lock, NULL);
    pthread_cond_init(&batcher->changed, NULL);
}

void batcher_free(struct batcher *batcher)
{
    for (int i = 0; i < 2; i++) {
        assert(batcher->batches[i].first_effect == NULL);
        arena_free(&batcher->batches[i].arena);
        free(batcher->batches[i].ops);
    }
    pthread_cond_destroy(&batcher->changed);
    pthread_mutex_destroy(&batcher->lock);
}

int batcher_start(struct shard *shard, struct queue *queue)
{
    struct batcher *batcher = &shard->batcher;
    batcher->queue = queue;
    if (pthread_create(&batcher->thread, NULL, run_committer, shard) != 0)
        return TERCET_NOMEM;
    pthread_setname_np(batcher->thread, "tercet-commit");
    return 0;
}

void batcher_stop(struct shard *shard)
{
    struct batcher *batcher = &shard->batcher;
    assert(batcher->in_flight == NULL);
    pthread_mutex_lock(&batcher->lock);
    batcher->is_stopping = true;
    pthread_cond_signal(&batcher->changed);
    pthread_mutex_unlock(&batcher->lock);
    pthread_join(batcher->thread, NULL);
}

/* -- Writes ------------------------------------------------------------------------------------ */

static struct tercet_store_op *add_op(struct batch *batch, enum tercet_store_op_kind kind)
{
    if (batch->op_count == batch->op_capacity) {
        batch->op_capacity = batch->op_capacity == 0 ? 64 : batch->op_capacity * 2;
        batch->ops = must_realloc(batch->ops, batch->op_capacity * sizeof(*batch->ops));
    }
    struct tercet_store_op *op = &batch->ops[batch->op_count++];
    memset(op, 0, sizeof(*op));
    op->kind = kind;
    return op;
}

static void lazy_add(struct batcher *batcher, struct entry *entry, int64_t now_ms)
{
    assert(!entry->is_lazy && !entry->is_dirty);
    if (batcher->lazy == NULL)
        batcher->lazy_since_ms = now_ms;
    entry->is_lazy = true;
    entry->lazy_prev = NULL;
    entry->lazy_next = batcher->lazy;
    if (batcher->lazy != NULL)
        batcher->lazy->lazy_prev = entry;
    batcher->lazy = entry;
    batcher->lazy_count++;
}

static void lazy_remove(struct batcher *batcher, struct entry *entry)
{
    assert(entry->is_lazy && batcher->lazy_count > 0);
    assert(entry->lazy_prev != NULL ? entry->lazy_prev->lazy_next == entry
                                    : batcher->lazy == entry);
    if (entry->lazy_prev != NULL)
        entry->lazy_prev->lazy_next = entry->lazy_next;
    else
        batcher->lazy = entry->lazy_next;
    if (entry->lazy_next != NULL)
        entry->lazy_next->lazy_prev = entry->lazy_prev;
    entry->is_lazy = false;
    batcher->lazy_count--;
    assert((batcher->lazy_count == 0) == (batcher->lazy == NULL));
}

/* To be written with the batch being filled. */
static void add_dirty(struct batcher *batcher, struct entry *entry)
{
    if (entry->is_dirty)
        return;
    if (entry->is_lazy)
        lazy_remove(batcher, entry);
    entry->is_dirty = true;
    entry->write_seq = batcher->filling->seq;
    entry->dirty_next = batcher->filling->dirty;
    batcher->filling->dirty = entry;
}

void batch_force(struct entry *entry)
{
    struct batcher *batcher = &entry->shard->batcher;
    add_dirty(batcher, entry);
    batcher->filling->is_forced = true;
}

void batch_lazy(struct entry *entry)
{
    if (!entry->is_dirty && !entry->is_lazy)
        lazy_add(&entry->shard->batcher, entry, entry->shard->clock->now_ms);
}

void batch_put_branch(const struct entry *entry, const struct txn_branch *branch)
{
    struct batch *batch = entry->shard->batcher.filling;
    struct crpc_bytes record = record_of_branch(&batch->arena, entry, branch);
    struct tercet_store_op *op = add_op(batch, TERCET_STORE_PUT);
    op->number = entry->number;
    op->part = branch->number;
    op->value = record.data;
    op->size = record.size;
}

/* Within a batch there is one write per name: a later one replaces an earlier one. */
static struct tercet_store_op *meta_op(struct batch *batch, enum tercet_store_op_kind kind,
                                       const char *name)
{
    for (size_t i = 0; i < batch->op_count; i++) {
        struct tercet_store_op *op = &batch->ops[i];
        if (op->name != NULL && strcmp(op->name, name) == 0) {
            op->kind = kind;
            return op;
        }
    }
    struct tercet_store_op *op = add_op(batch, kind);
    op->name = arena_copy(&batch->arena, name, strlen(name) + 1);
    return op;
}

void batch_put_meta(struct shard *shard, const char *name, struct crpc_bytes value)
{
    struct batch *batch = shard->batcher.filling;
    struct tercet_store_op *op = meta_op(batch, TERCET_STORE_META_PUT, name);
    op->value = arena_copy(&batch->arena, value.data, value.size);
    op->size = value.size;
    batch->is_forced = true;
}

void batch_delete_meta(struct shard *shard, const char *name)
{
    meta_op(shard->batcher.filling, TERCET_STORE_META_DELETE, name);
    shard->batcher.filling->is_forced = true;
}

void batch_drop_resolved(struct shard *shard, int64_t before_ms)
{
    add_op(shard->batcher.filling, TERCET_STORE_DROP)->time_ms = before_ms;
    shard->batcher.filling->is_forced = true;
}

/* One write for all changes of the entry in this batch. */
static void encode_entry(struct shard *shard, struct batch *batch, struct entry *entry)
{
    int64_t offset_ms = clock_offset_ms(shard->clock);
    bool is_over = txn_is_resolved(&entry->txn);
    struct crpc_bytes record = is_over ? record_of_resolved(&batch->arena, entry, offset_ms)
                                       : record_of_state(&batch->arena, entry, offset_ms);
    struct tercet_store_op *op = add_op(batch, is_over ? TERCET_STORE_RESOLVE : TERCET_STORE_PUT);
    assert(entry->is_dirty && entry->write_seq == batch->seq);
    op->number = entry->number;
    op->value = record.data;
    op->size = record.size;
    op->gid = entry->gid;
    op->time_ms = retention_now_ms(&shard->retention, shard->clock->now_ms);
    entry->is_dirty = false;
    if (is_over) {
        entry->dirty_next = batch->over;
        batch->over = entry;
    }
}

static int compare_ops(const void *left, const void *right)
{
    const struct tercet_store_op *a = left;
    const struct tercet_store_op *b = right;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return a->part < b->part ? -1 : a->part > b->part;
}

/* Growing keys are what the store is fast with. The kinds are in an order that makes sorting safe:
 * a number is put before it is resolved, and a meta record is written once a batch. */
static void close_batch(struct shard *shard, struct batch *batch)
{
    struct entry *entry = batch->dirty;
    while (entry != NULL) {
        struct entry *next = entry->dirty_next;
        encode_entry(shard, batch, entry);
        entry = next;
    }
    batch->dirty = NULL;
    qsort(batch->ops, batch->op_count, sizeof(*batch->ops), compare_ops);
}

bool batch_is_idle(const struct shard *shard)
{
    const struct batcher *batcher = &shard->batcher;
    return batcher->in_flight == NULL && !batcher->filling->is_forced && batcher->lazy == NULL;
}

int64_t batch_due_ms(const struct shard *shard)
{
    const struct batcher *batcher = &shard->batcher;
    if (batcher->in_flight != NULL || batcher->lazy == NULL)
        return INT64_MAX;
    return batcher->lazy_since_ms + LAZY_MAX_MS;
}

/* Whether `count` lazy writes are pending, or the oldest is `ms` old. */
static bool lazy_has_come_to(const struct shard *shard, size_t count, int64_t ms)
{
    const struct batcher *batcher = &shard->batcher;
    return batcher->lazy != NULL &&
           (batcher->lazy_count >= count || shard->clock->now_ms >= batcher->lazy_since_ms + ms);
}

/* Hands the filled batch to the committer; the other batch is filled from now on. */
static void swap_batches(struct batcher *batcher)
{
    struct batch *batch = batcher->filling;
    assert(batcher->in_flight == NULL);
    batcher->in_flight = batch;
    batcher->filling = batch == &batcher->batches[0] ? &batcher->batches[1] : &batcher->batches[0];
    batcher->filling->seq = batch->seq + 1;
    assert(batcher->filling->op_count == 0 && batcher->filling->dirty == NULL);
}

void batch_submit(struct shard *shard, bool is_stopping)
{
    struct batcher *batcher = &shard->batcher;
    struct batch *batch = batcher->filling;
    bool ends_lazy = is_stopping && batcher->lazy != NULL;
    bool is_needed =
        batch->is_forced || ends_lazy || lazy_has_come_to(shard, LAZY_MAX_COUNT, LAZY_MAX_MS);
    if (batcher->in_flight != NULL || !is_needed)
        return;
    if (ends_lazy || lazy_has_come_to(shard, LAZY_RIDE_COUNT, LAZY_RIDE_MS))
        while (batcher->lazy != NULL)
            add_dirty(batcher, batcher->lazy);
    batch->taken_bytes = shard->headroom.taken_bytes;
    close_batch(shard, batch);
    swap_batches(batcher);
    pthread_mutex_lock(&batcher->lock);
    batcher->submitted = batch;
    pthread_mutex_unlock(&batcher->lock);
    pthread_cond_signal(&batcher->changed);
}

/* -- What depends on a batch ------------------------------------------------------------------- */

struct batch *batch_pending(const struct entry *entry)
{
    const struct batcher *batcher = &entry->shard->batcher;
    if (entry->write_seq <= batcher->durable_seq)
        return NULL;
    if (batcher->in_flight != NULL && entry->write_seq == batcher->in_flight->seq)
        return batcher->in_flight;
    assert(entry->write_seq == batcher->filling->seq);
    return batcher->filling;
}

/* What is lazy is forced now, so that nobody is told what a crash could take back (S10). */
struct batch *batch_holding(struct entry *entry)
{
    if (entry->is_lazy)
        batch_force(entry);
    return batch_pending(entry);
}

struct batch *batch_of_all(struct shard *shard)
{
    struct batcher *batcher = &shard->batcher;
    return batcher->filling->is_forced ? batcher->filling : batcher->in_flight;
}

struct batch *batch_finish(struct shard *shard)
{
    struct batch *batch = shard->batcher.in_flight;
    assert(batch != NULL && batch->seq > shard->batcher.durable_seq);
    shard->batcher.durable_seq = batch->seq;
    shard->batcher.in_flight = NULL;
    shard->headroom.durable_bytes = batch->taken_bytes;
    return batch;
}

struct entry *batch_take_over(struct batch *batch)
{
    struct entry *entry = batch->over;
    if (entry != NULL)
        batch->over = entry->dirty_next;
    return entry;
}

void batch_reuse(struct batch *batch)
{
    assert(batch->first_effect == NULL && batch->over == NULL);
    batch->op_count = 0;
    batch->is_forced = false;
    arena_reset(&batch->arena);
}

void batch_abandon(struct shard *shard)
{
    shard->batcher.in_flight = NULL;
}
