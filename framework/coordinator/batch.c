/* SPDX-License-Identifier: Apache-2.0
 *
 * batch.h: two batches in turn, one being filled and one in flight, and the committer's thread.
 */
#include "batch.h"

#include "failpoint.h"
#include "owner.h"
#include "record.h"

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

int batch_commit(struct coordinator *c, const struct batch *batch)
{
    int rc;
    FAILPOINT_AROUND("commit",
                     rc = store_commit(c->store, 0, c->epoch, batch->ops, batch->op_count));
    return rc;
}

static void *run_committer(void *ctx)
{
    struct coordinator *c = ctx;
    struct batch *batch;
    while ((batch = next_submitted(&c->batcher)) != NULL) {
        struct event *event = event_new(EVENT_COMMITTED);
        if (event == NULL)
            abort();
        event->code = batch_commit(c, batch);
        queue_post(&c->queue, event);
    }
    return NULL;
}

static void init_batch(struct batch *batch)
{
    memset(batch, 0, sizeof(*batch));
    batch->last_next = &batch->first;
}

void batcher_init(struct coordinator *c)
{
    struct batcher *batcher = &c->batcher;
    init_batch(&batcher->batches[0]);
    init_batch(&batcher->batches[1]);
    batcher->filling = &batcher->batches[0];
    batcher->filling->seq = 1;
    pthread_mutex_init(&batcher->lock, NULL);
    pthread_cond_init(&batcher->changed, NULL);
}

int batcher_start(struct coordinator *c)
{
    struct batcher *batcher = &c->batcher;
    batcher_init(c);
    if (pthread_create(&batcher->thread, NULL, run_committer, c) != 0)
        return TERCET_NOMEM;
    pthread_setname_np(batcher->thread, "tercet-commit");
    return 0;
}

static void drop_effects(struct batch *batch)
{
    while (batch->first != NULL) {
        struct effect *effect = batch->first;
        batch->first = effect->next;
        caller_unref(effect->caller);
    }
    batch->last_next = &batch->first;
}

void batcher_stop(struct coordinator *c)
{
    struct batcher *batcher = &c->batcher;
    pthread_mutex_lock(&batcher->lock);
    batcher->is_stopping = true;
    pthread_cond_signal(&batcher->changed);
    pthread_mutex_unlock(&batcher->lock);
    pthread_join(batcher->thread, NULL);
    batcher_free(c);
}

void batcher_free(struct coordinator *c)
{
    struct batcher *batcher = &c->batcher;
    for (int i = 0; i < 2; i++) {
        drop_effects(&batcher->batches[i]);
        arena_free(&batcher->batches[i].arena);
        free(batcher->batches[i].ops);
    }
    pthread_cond_destroy(&batcher->changed);
    pthread_mutex_destroy(&batcher->lock);
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

static void leave_lazy(struct batcher *batcher, struct entry *entry)
{
    if (!entry->is_lazy)
        return;
    if (entry->lazy_prev != NULL)
        entry->lazy_prev->lazy_next = entry->lazy_next;
    else
        batcher->lazy = entry->lazy_next;
    if (entry->lazy_next != NULL)
        entry->lazy_next->lazy_prev = entry->lazy_prev;
    entry->is_lazy = false;
    batcher->lazy_count--;
}

static void add_dirty(struct batcher *batcher, struct entry *entry)
{
    if (entry->is_dirty)
        return;
    leave_lazy(batcher, entry);
    entry->is_dirty = true;
    entry->write_seq = batcher->filling->seq;
    entry->dirty_next = batcher->filling->dirty;
    batcher->filling->dirty = entry;
}

void batch_force(struct coordinator *c, struct entry *entry)
{
    add_dirty(&c->batcher, entry);
    c->batcher.filling->is_forced = true;
}

void batch_lazy(struct coordinator *c, struct entry *entry)
{
    struct batcher *batcher = &c->batcher;
    if (entry->is_dirty || entry->is_lazy)
        return;
    if (batcher->lazy == NULL)
        batcher->lazy_since_ms = c->now_ms;
    entry->is_lazy = true;
    entry->lazy_prev = NULL;
    entry->lazy_next = batcher->lazy;
    if (batcher->lazy != NULL)
        batcher->lazy->lazy_prev = entry;
    batcher->lazy = entry;
    batcher->lazy_count++;
}

void batch_put_branch(struct coordinator *c, const struct entry *entry,
                      const struct txn_branch *branch)
{
    struct batch *batch = c->batcher.filling;
    struct crpc_bytes record = record_of_branch(&batch->arena, entry, branch);
    struct tercet_store_op *op = add_op(batch, TERCET_STORE_PUT);
    op->number = entry->number;
    op->part = branch->number;
    op->value = record.data;
    op->size = record.size;
}

/* One write a name and batch: a later one takes the place of an earlier. */
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

void batch_put_meta(struct coordinator *c, const char *name, struct crpc_bytes value)
{
    struct batch *batch = c->batcher.filling;
    struct tercet_store_op *op = meta_op(batch, TERCET_STORE_META_PUT, name);
    op->value = arena_copy(&batch->arena, value.data, value.size);
    op->size = value.size;
    batch->is_forced = true;
}

void batch_delete_meta(struct coordinator *c, const char *name)
{
    meta_op(c->batcher.filling, TERCET_STORE_META_DELETE, name);
    c->batcher.filling->is_forced = true;
}

void batch_drop_resolved(struct coordinator *c, int64_t before_ms)
{
    add_op(c->batcher.filling, TERCET_STORE_DROP)->time_ms = before_ms;
    c->batcher.filling->is_forced = true;
}

/* One write for all that has become of the entry in this batch. */
static void encode_entry(struct coordinator *c, struct batch *batch, struct entry *entry)
{
    bool is_over = txn_is_resolved(&entry->txn);
    struct crpc_bytes record = is_over ? record_of_resolved(&batch->arena, entry, wall_offset_ms(c))
                                       : record_of_state(&batch->arena, entry, wall_offset_ms(c));
    struct tercet_store_op *op = add_op(batch, is_over ? TERCET_STORE_RESOLVE : TERCET_STORE_PUT);
    op->number = entry->number;
    op->value = record.data;
    op->size = record.size;
    op->gid = entry->gid;
    op->time_ms = retention_now_ms(c);
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
static void close_batch(struct coordinator *c, struct batch *batch)
{
    struct entry *entry = batch->dirty;
    while (entry != NULL) {
        struct entry *next = entry->dirty_next;
        encode_entry(c, batch, entry);
        entry = next;
    }
    batch->dirty = NULL;
    qsort(batch->ops, batch->op_count, sizeof(*batch->ops), compare_ops);
}

bool batch_is_idle(const struct coordinator *c)
{
    const struct batcher *batcher = &c->batcher;
    return batcher->in_flight == NULL && !batcher->filling->is_forced && batcher->lazy == NULL;
}

int64_t batch_due_ms(const struct coordinator *c)
{
    const struct batcher *batcher = &c->batcher;
    if (batcher->in_flight != NULL || batcher->lazy == NULL)
        return INT64_MAX;
    return batcher->lazy_since_ms + LAZY_MAX_MS;
}

/* Whether what is lazy is as much as `count`, or as old as `ms`. */
static bool lazy_has_come_to(const struct coordinator *c, size_t count, int64_t ms)
{
    const struct batcher *batcher = &c->batcher;
    return batcher->lazy != NULL && (c->is_stopping || batcher->lazy_count >= count ||
                                     c->now_ms >= batcher->lazy_since_ms + ms);
}

void batch_submit(struct coordinator *c)
{
    struct batcher *batcher = &c->batcher;
    struct batch *batch = batcher->filling;
    bool is_needed = batch->is_forced || lazy_has_come_to(c, LAZY_MAX_COUNT, LAZY_MAX_MS);
    if (batcher->in_flight != NULL || atomic_load(&c->has_failed) || !is_needed)
        return;
    if (lazy_has_come_to(c, LAZY_RIDE_COUNT, LAZY_RIDE_MS))
        while (batcher->lazy != NULL)
            add_dirty(batcher, batcher->lazy);
    batch->bytes_taken = c->bytes_taken;
    close_batch(c, batch);
    batcher->in_flight = batch;
    batcher->filling = batch == &batcher->batches[0] ? &batcher->batches[1] : &batcher->batches[0];
    batcher->filling->seq = batch->seq + 1;
    pthread_mutex_lock(&batcher->lock);
    batcher->submitted = batch;
    pthread_mutex_unlock(&batcher->lock);
    pthread_cond_signal(&batcher->changed);
}

/* -- Effects ----------------------------------------------------------------------------------- */

/* The batch that must be durable before anything is said of the entry; NULL: nothing of it is
 * pending. What is lazily pending is forced now, so that nobody is told what a crash could take
 * back (S10). */
static struct batch *holding_batch(struct coordinator *c, struct entry *entry)
{
    struct batcher *batcher = &c->batcher;
    if (entry == NULL)
        return batcher->filling->is_forced ? batcher->filling : batcher->in_flight;
    if (entry->is_lazy)
        batch_force(c, entry);
    if (entry->write_seq <= batcher->durable_seq)
        return NULL;
    if (batcher->in_flight != NULL && entry->write_seq == batcher->in_flight->seq)
        return batcher->in_flight;
    assert(entry->write_seq == batcher->filling->seq);
    return batcher->filling;
}

static struct effect *add_effect(struct batch *batch, enum effect_kind kind)
{
    struct effect *effect = arena_alloc(&batch->arena, sizeof(*effect));
    memset(effect, 0, sizeof(*effect));
    effect->kind = kind;
    *batch->last_next = effect;
    batch->last_next = &effect->next;
    return effect;
}

void batch_answer(struct coordinator *c, struct caller *caller, uint64_t id,
                  const struct reply *reply, struct entry *entry)
{
    if (!caller_takes(caller))
        return; /* an answer may have a megabyte */
    struct batch *batch = holding_batch(c, entry);
    if (batch == NULL) {
        struct answer answer = caller_encode(caller, &c->scratch, id, reply);
        caller_deliver(caller, &answer);
        owner_touch(c, caller);
        return;
    }
    struct effect *effect = add_effect(batch, EFFECT_ANSWER);
    caller_ref(caller);
    owner_owes(c, caller);
    effect->caller = caller;
    effect->answer = caller_encode(caller, &batch->arena, id, reply);
    caller->held_bytes += effect->answer.bytes.size;
    if (caller->kind == CALLER_SESSION && caller->held_bytes > SESSION_OUTBOX_MAX)
        caller_refuse(caller);
}

void batch_watch(struct coordinator *c, struct caller *caller, const ProtobufCMessage *snapshot,
                 bool is_last, struct entry *entry)
{
    struct batch *batch = holding_batch(c, entry);
    struct crpc_bytes bytes = arena_pack(batch != NULL ? &batch->arena : &c->scratch, 0, snapshot);
    if (batch == NULL) {
        caller_watch_push(caller, bytes, is_last);
        return;
    }
    struct effect *effect = add_effect(batch, EFFECT_WATCH);
    caller_ref(caller);
    effect->caller = caller;
    effect->answer.bytes = bytes;
    effect->is_last = is_last;
}

void batch_call(struct coordinator *c, struct entry *entry, uint32_t branch, enum tercet_kind kind,
                uint32_t attempt)
{
    struct batcher *batcher = &c->batcher;
    if (entry->write_seq <= batcher->durable_seq) {
        dispatch_call(c, entry, branch, kind, attempt);
        return;
    }
    bool is_in_flight = batcher->in_flight != NULL && entry->write_seq == batcher->in_flight->seq;
    struct effect *effect =
        add_effect(is_in_flight ? batcher->in_flight : batcher->filling, EFFECT_CALL);
    effect->entry = entry;
    effect->branch = branch;
    effect->attempt = attempt;
    effect->call_kind = kind;
}

static void release(struct coordinator *c, struct effect *effect)
{
    switch (effect->kind) {
    case EFFECT_ANSWER:
        effect->caller->held_bytes -= effect->answer.bytes.size;
        caller_deliver(effect->caller, &effect->answer);
        owner_touch(c, effect->caller);
        owner_has_answered(c, effect->caller);
        break;
    case EFFECT_WATCH:
        caller_watch_push(effect->caller, effect->answer.bytes, effect->is_last);
        break;
    case EFFECT_CALL:
        dispatch_call(c, effect->entry, effect->branch, effect->call_kind, effect->attempt);
        break;
    }
    caller_unref(effect->caller);
}

void batch_is_durable(struct coordinator *c)
{
    struct batch *batch = c->batcher.in_flight;
    assert(batch != NULL);
    c->batcher.durable_seq = batch->seq;
    c->bytes_durable = batch->bytes_taken;
    c->batcher.in_flight = NULL;
    FAILPOINT("release.before");
    for (struct effect *effect = batch->first; effect != NULL; effect = effect->next) {
        release(c, effect);
        FAILPOINT("release.each");
    }
    batch->first = NULL;
    batch->last_next = &batch->first;
    while (batch->over != NULL) {
        struct entry *entry = batch->over;
        batch->over = entry->dirty_next;
        owner_forget(c, entry);
    }
    batch->op_count = 0;
    batch->is_forced = false;
    arena_reset(&batch->arena);
}
