/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd_store.h: from a batch to what is written. etcd refuses a transaction that writes a key
 * twice, so the writes of a batch come to one for each key first; then those of one number stand
 * together, so that a batch can be parted between numbers.
 */
#include "etcd_store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOMBSTONE UINT32_MAX

/* One part: what becomes of it; op NULL: it goes. */
struct part {
    uint32_t part;
    const struct tercet_store_op *op;
};

/* One number. */
struct unit {
    uint64_t number; /* 0: an empty place */
    bool is_cleared; /* what was there before goes */
    bool has_state;
    const struct tercet_store_op *state;
    struct part *parts;
    size_t count, capacity;
    struct done *done; /* newest first */
};

struct done {
    struct done *next; /* of the number */
    const struct tercet_store_op *op;
    struct etcd_bucket *bucket;
};

struct build {
    struct etcd_plan *plan;
    struct etcd_store *store;
    uint64_t batch, made;
    struct unit *units; /* hashed by number */
    size_t place_count;
    size_t *order; /* of places, as they came */
    size_t unit_count;
    const struct tercet_store_op **metas;
    size_t meta_count;
    struct etcd_bucket **dropped; /* not those of this batch */
    size_t dropped_count;
};

/* -- Writes ------------------------------------------------------------------------------------ */

static struct etcd_write *add_write(struct etcd_plan *plan, enum etcd_write_kind kind)
{
    if (plan->count == plan->capacity) {
        plan->capacity = plan->capacity > 0 ? plan->capacity * 2 : 64;
        plan->writes = realloc(plan->writes, plan->capacity * sizeof(*plan->writes));
        if (plan->writes == NULL)
            abort();
    }
    struct etcd_write *write = &plan->writes[plan->count++];
    write->kind = kind;
    write->ends_unit = false;
    write->end.size = 0;
    write->value = (struct etcd_buf){.data = NULL};
    return write;
}

static void end_unit(struct etcd_plan *plan)
{
    if (plan->count > 0)
        plan->writes[plan->count - 1].ends_unit = true;
}

static void add_delete(struct etcd_plan *plan, const struct etcd_key *from,
                       const struct etcd_key *to)
{
    struct etcd_write *write = add_write(plan, ETCD_DELETE);
    write->key = *from;
    write->end = *to;
}

/* Chunks may be written any time before what names them. */
static void add_chunks(struct build *build, const struct etcd_key *key, const void *value,
                       size_t size)
{
    uint32_t i = 0;
    for (size_t at = 0; at < size; at += ETCD_CHUNK_SIZE, i++) {
        struct etcd_write *write = add_write(build->plan, ETCD_PUT);
        size_t part = size - at < ETCD_CHUNK_SIZE ? size - at : ETCD_CHUNK_SIZE;
        etcd_key_chunk(&write->key, key, build->batch, i);
        etcd_buf_add(&write->value, (const char *)value + at, part);
        write->ends_unit = true;
    }
}

static bool is_in_chunks(size_t size)
{
    return size > ETCD_CHUNK_SIZE;
}

/* The put of a value; its chunks have been added if it has any. */
static void add_put(struct build *build, const struct etcd_key *key, const void *value, size_t size)
{
    struct etcd_write *write = add_write(build->plan, ETCD_PUT);
    write->key = *key;
    if (is_in_chunks(size)) {
        char text[64];
        int length = snprintf(text, sizeof(text), "c%016" PRIx64 " %08zx %016zx", build->batch,
                              (size + ETCD_CHUNK_SIZE - 1) / ETCD_CHUNK_SIZE, size);
        etcd_buf_add(&write->value, text, (size_t)length);
        return;
    }
    etcd_buf_add(&write->value, "v", 1);
    etcd_buf_add(&write->value, value, size);
}

/* -- What the ops come to ---------------------------------------------------------------------- */

static struct unit *unit_of(struct build *build, uint64_t number)
{
    size_t mask = build->place_count - 1;
    size_t i = (size_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 20) & mask;
    while (build->units[i].number != 0 && build->units[i].number != number)
        i = (i + 1) & mask;
    struct unit *unit = &build->units[i];
    if (unit->number == 0)
        build->order[build->unit_count++] = i;
    unit->number = number;
    if (number > build->plan->number_top)
        build->plan->number_top = number;
    return unit;
}

static void set_part(struct unit *unit, uint32_t part, const struct tercet_store_op *op)
{
    for (size_t i = 0; i < unit->count; i++)
        if (unit->parts[i].part == part) {
            unit->parts[i].op = op;
            return;
        }
    if (unit->count == unit->capacity) {
        unit->capacity = unit->capacity > 0 ? unit->capacity * 2 : 4;
        unit->parts = realloc(unit->parts, unit->capacity * sizeof(*unit->parts));
        if (unit->parts == NULL)
            abort();
    }
    unit->parts[unit->count++] = (struct part){.part = part, .op = op};
}

static void set(struct build *build, const struct tercet_store_op *op, bool is_put)
{
    struct unit *unit = unit_of(build, op->number);
    if (op->part != 0) {
        set_part(unit, op->part, is_put ? op : NULL);
        return;
    }
    unit->has_state = true;
    unit->state = is_put ? op : NULL;
}

static struct etcd_bucket *bucket_of(struct build *build, int64_t time_ms)
{
    struct buckets *buckets = &build->plan->buckets;
    struct bucket *found = buckets_find(buckets, time_ms);
    if (found != NULL)
        return found->state;
    struct bucket made = buckets_span(buckets, time_ms);
    struct etcd_bucket *state = etcd_alloc(sizeof(*state));
    /* Ids are unique for ever: batches are, and one makes fewer buckets than this. */
    state->id = (build->batch << 16) + build->made++;
    state->is_new = true;
    made.state = state;
    if (buckets_insert(buckets, &made) != 0)
        abort();
    return state;
}

static void resolve(struct build *build, const struct tercet_store_op *op)
{
    struct unit *unit = unit_of(build, op->number);
    struct etcd_bucket *bucket = bucket_of(build, op->time_ms);
    struct done *done = unit->done;
    unit->is_cleared = true;
    unit->has_state = false;
    unit->count = 0;
    while (done != NULL && done->bucket != bucket)
        done = done->next;
    if (done == NULL) {
        done = etcd_alloc(sizeof(*done));
        done->next = unit->done;
        done->bucket = bucket;
        unit->done = done;
        bucket->count++;
    }
    done->op = op;
}

static void forget_done(struct build *build, const struct etcd_bucket *bucket)
{
    for (size_t i = 0; i < build->unit_count; i++) {
        struct done **link = &build->units[build->order[i]].done;
        while (*link != NULL) {
            struct done *done = *link;
            if (done->bucket != bucket) {
                link = &done->next;
                continue;
            }
            *link = done->next;
            free(done);
        }
    }
}

static void drop(struct build *build, int64_t time_ms)
{
    struct buckets *buckets = &build->plan->buckets;
    while (buckets->count > 0 && buckets->items[0].end_ms <= time_ms) {
        struct etcd_bucket *bucket = buckets->items[0].state;
        forget_done(build, bucket);
        buckets_remove(buckets, 0);
        if (bucket->is_new) {
            free(bucket);
            continue;
        }
        build->dropped =
            realloc(build->dropped, (build->dropped_count + 1) * sizeof(struct etcd_bucket *));
        if (build->dropped == NULL)
            abort();
        build->dropped[build->dropped_count++] = bucket;
    }
}

static void set_meta(struct build *build, const struct tercet_store_op *op)
{
    for (size_t i = 0; i < build->meta_count; i++)
        if (strcmp(build->metas[i]->name, op->name) == 0) {
            build->metas[i] = op;
            return;
        }
    build->metas[build->meta_count++] = op;
}

static void take(struct build *build, const struct tercet_store_op *op)
{
    switch (op->kind) {
    case TERCET_STORE_PUT:
    case TERCET_STORE_DELETE:
        set(build, op, op->kind == TERCET_STORE_PUT);
        break;
    case TERCET_STORE_RESOLVE:
        resolve(build, op);
        break;
    case TERCET_STORE_META_PUT:
    case TERCET_STORE_META_DELETE:
        set_meta(build, op);
        break;
    case TERCET_STORE_DROP:
        drop(build, op->time_ms);
        break;
    }
}

/* -- What is written --------------------------------------------------------------------------- */

static void write_metas(struct build *build)
{
    for (size_t i = 0; i < build->meta_count; i++) {
        const struct tercet_store_op *op = build->metas[i];
        struct etcd_key key, end;
        etcd_key_meta(&key, build->store, op->name);
        if (op->kind == TERCET_STORE_META_PUT) {
            if (is_in_chunks(op->size))
                add_chunks(build, &key, op->value, op->size);
            add_put(build, &key, op->value, op->size);
        } else {
            etcd_key_past_chunks(&end, &key);
            add_delete(build->plan, &key, &end);
        }
        end_unit(build->plan);
    }
}

/* Before the records that are in them. */
static void write_buckets(struct build *build)
{
    struct buckets *buckets = &build->plan->buckets;
    for (size_t i = 0; i < buckets->count; i++) {
        const struct etcd_bucket *bucket = buckets->items[i].state;
        struct etcd_key key;
        char span[48];
        if (!bucket->is_new)
            continue;
        int size = snprintf(span, sizeof(span), "%" PRId64 " %" PRId64, buckets->items[i].start_ms,
                            buckets->items[i].end_ms);
        etcd_key_bucket(&key, build->store, bucket->id);
        add_put(build, &key, span, (size_t)size);
        end_unit(build->plan);
    }
}

/* The further parts that the batch puts and deletes, as one value. */
static struct etcd_buf group_of(const struct unit *unit)
{
    struct etcd_buf buf = {.data = NULL};
    for (size_t i = 0; i < unit->count; i++) {
        const struct tercet_store_op *op = unit->parts[i].op;
        if (op == NULL && unit->is_cleared)
            continue;
        etcd_buf_add_number(&buf, unit->parts[i].part, 4);
        etcd_buf_add_number(&buf, op != NULL ? op->size : TOMBSTONE, 4);
        if (op != NULL)
            etcd_buf_add(&buf, op->value, op->size);
    }
    return buf;
}

/* What was there of a number goes, but for the keys that are put in the same transaction. */
static void write_clear(struct build *build, const struct unit *unit, bool keeps_state,
                        const struct etcd_key *group)
{
    struct etcd_key from, to;
    etcd_key_live(&from, build->store, unit->number, keeps_state ? 1 : 0);
    etcd_key_live(&to, build->store, unit->number, UINT64_MAX);
    add_delete(build->plan, &from, group != NULL ? group : &to);
}

static void write_done(struct build *build, const struct unit *unit, bool only_chunks)
{
    for (const struct done *done = unit->done; done != NULL; done = done->next) {
        struct etcd_key key;
        char number[24];
        etcd_key_done(&key, build->store, done->bucket->id, unit->number);
        if (only_chunks) {
            if (is_in_chunks(done->op->size))
                add_chunks(build, &key, done->op->value, done->op->size);
            continue;
        }
        add_put(build, &key, done->op->value, done->op->size);
        etcd_key_gid(&key, build->store, done->bucket->id, done->op->gid);
        int size = snprintf(number, sizeof(number), "%016" PRIx64, unit->number);
        add_put(build, &key, number, (size_t)size);
    }
}

/* A put of part 0 that was in chunks leaves them when it is replaced; they go with the number. */
static void write_state(struct build *build, const struct unit *unit, const struct etcd_key *key)
{
    struct etcd_key end;
    etcd_key_past_chunks(&end, key);
    if (unit->state != NULL)
        add_put(build, key, unit->state->value, unit->state->size);
    else if (unit->has_state && !unit->is_cleared)
        add_delete(build->plan, key, &end);
}

static void write_unit(struct build *build, const struct unit *unit)
{
    struct etcd_key state, group;
    struct etcd_buf parts = group_of(unit);
    bool puts_state = unit->has_state && unit->state != NULL;
    etcd_key_live(&state, build->store, unit->number, 0);
    etcd_key_live(&group, build->store, unit->number, build->batch);
    if (puts_state && is_in_chunks(unit->state->size))
        add_chunks(build, &state, unit->state->value, unit->state->size);
    if (is_in_chunks(parts.size))
        add_chunks(build, &group, parts.data, parts.size);
    write_done(build, unit, true);
    if (unit->is_cleared)
        write_clear(build, unit, puts_state, parts.size > 0 ? &group : NULL);
    if (unit->has_state)
        write_state(build, unit, &state);
    if (parts.size > 0)
        add_put(build, &group, parts.data, parts.size);
    write_done(build, unit, false);
    end_unit(build->plan);
    etcd_buf_free(&parts);
}

/* A dropped bucket is not seen any more; a note of it lets its records go in slices, later
 * (etcd_sweep.c): deleting millions of keys at once would hold etcd up for all. */
static void write_drops(struct build *build)
{
    for (size_t i = 0; i < build->dropped_count; i++) {
        struct etcd_key key, end;
        uint64_t id = build->dropped[i]->id;
        etcd_key_bucket(&key, build->store, id);
        etcd_key_past_chunks(&end, &key);
        add_delete(build->plan, &key, &end);
        etcd_key_gone(&key, build->store, id);
        add_put(build, &key, "", 0);
        end_unit(build->plan);
        free(build->dropped[i]);
    }
}

/* -- The plan ---------------------------------------------------------------------------------- */

static void copy_buckets(struct buckets *to, const struct buckets *from)
{
    buckets_init(to, from->width_ms);
    for (size_t i = 0; i < from->count; i++) {
        struct bucket one = from->items[i];
        one.state = etcd_alloc(sizeof(struct etcd_bucket));
        *(struct etcd_bucket *)one.state = *(const struct etcd_bucket *)from->items[i].state;
        if (buckets_insert(to, &one) != 0)
            abort();
    }
}

void etcd_buckets_free(struct buckets *buckets)
{
    for (size_t i = 0; i < buckets->count; i++)
        free(buckets->items[i].state);
    buckets_clear(buckets);
}

static void build_free(struct build *build)
{
    for (size_t i = 0; i < build->unit_count; i++) {
        struct unit *unit = &build->units[build->order[i]];
        free(unit->parts);
        while (unit->done != NULL) {
            struct done *done = unit->done;
            unit->done = done->next;
            free(done);
        }
    }
    free(build->units);
    free(build->order);
    free(build->metas);
    free(build->dropped);
}

void etcd_plan_make(struct etcd_plan *plan, struct etcd_store *store, uint64_t batch,
                    const struct tercet_store_op *ops, size_t count)
{
    struct build build = {.plan = plan, .store = store, .batch = batch, .place_count = 16};
    memset(plan, 0, sizeof(*plan));
    while (build.place_count < 2 * count)
        build.place_count *= 2;
    build.units = etcd_alloc(build.place_count * sizeof(*build.units));
    build.order = etcd_alloc(count * sizeof(*build.order));
    build.metas = etcd_alloc(count * sizeof(*build.metas));
    pthread_mutex_lock(&store->lock);
    plan->number_top = store->number_top;
    copy_buckets(&plan->buckets, &store->buckets);
    pthread_mutex_unlock(&store->lock);
    for (size_t i = 0; i < count; i++)
        take(&build, &ops[i]);
    write_metas(&build);
    write_buckets(&build);
    for (size_t i = 0; i < build.unit_count; i++)
        write_unit(&build, &build.units[build.order[i]]);
    write_drops(&build);
    build_free(&build);
}

void etcd_plan_clear(struct etcd_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        etcd_buf_free(&plan->writes[i].value);
    free(plan->writes);
    etcd_buckets_free(&plan->buckets);
    memset(plan, 0, sizeof(*plan));
}

static void follow(struct etcd_live *live, const struct tercet_store_op *op)
{
    if (op->kind == TERCET_STORE_PUT)
        etcd_live_put(live, op->number, op->part);
    else if (op->kind == TERCET_STORE_DELETE)
        etcd_live_delete(live, op->number, op->part);
    else if (op->kind == TERCET_STORE_RESOLVE)
        etcd_live_forget(live, op->number);
}

void etcd_plan_apply(struct etcd_plan *plan, struct etcd_store *store,
                     const struct tercet_store_op *ops, size_t count)
{
    for (size_t i = 0; i < plan->buckets.count; i++)
        ((struct etcd_bucket *)plan->buckets.items[i].state)->is_new = false;
    pthread_mutex_lock(&store->lock);
    struct buckets old = store->buckets;
    store->buckets = plan->buckets;
    plan->buckets = old;
    for (size_t i = 0; i < count; i++)
        follow(&store->live, &ops[i]);
    store->commits++;
    pthread_mutex_unlock(&store->lock);
}
