/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory driver: ownership and writing. Nothing here is durable; commits fail when a test asks
 * for it.
 */
#include "memory_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MAX_DEFAULT (UINT64_C(64) << 30)

static int memory_acquire(struct store *base, uint32_t shard, uint64_t *epoch,
                          uint64_t *next_number)
{
    struct memory_store *store = (struct memory_store *)base;
    (void)shard;
    pthread_mutex_lock(&store->lock);
    store->epoch++;
    store->is_held = true;
    store->commits++;
    *epoch = store->epoch;
    *next_number = store->number_top + 1;
    pthread_mutex_unlock(&store->lock);
    return 0;
}

static void memory_release(struct store *base, uint32_t shard, uint64_t epoch)
{
    struct memory_store *store = (struct memory_store *)base;
    (void)shard;
    pthread_mutex_lock(&store->lock);
    if (epoch == store->epoch)
        store->is_held = false;
    pthread_mutex_unlock(&store->lock);
}

static void put(struct memory_store *store, const struct store_op *op)
{
    unsigned char key[KEY_LIVE_SIZE];
    key_encode_live(key, op->number, op->part);
    memory_table_put(&store->live, key, sizeof(key), op->value, op->size);
    if (op->number > store->number_top)
        store->number_top = op->number;
}

static void delete (struct memory_store *store, const struct store_op *op)
{
    unsigned char key[KEY_LIVE_SIZE];
    key_encode_live(key, op->number, op->part);
    memory_table_delete(&store->live, key, sizeof(key));
}

static void delete_all_parts(struct memory_store *store, uint64_t number)
{
    unsigned char key[KEY_NUMBER_SIZE];
    key_encode(key, number, sizeof(key));
    size_t index = memory_table_seek(&store->live, key, sizeof(key));
    while (index < store->live.count &&
           memcmp(store->live.items[index]->bytes, key, sizeof(key)) == 0)
        memory_table_remove(&store->live, index);
}

static struct memory_bucket *bucket_of(struct memory_store *store, int64_t time_ms)
{
    struct bucket *found = buckets_find(&store->buckets, time_ms);
    if (found != NULL)
        return found->state;
    struct bucket made = buckets_span(&store->buckets, time_ms);
    struct memory_bucket *state = calloc(1, sizeof(*state));
    made.state = state;
    if (state == NULL || buckets_insert(&store->buckets, &made) != 0)
        abort();
    return state;
}

static void resolve(struct memory_store *store, const struct store_op *op)
{
    struct memory_bucket *bucket = bucket_of(store, op->time_ms);
    unsigned char key[KEY_NUMBER_SIZE];
    key_encode(key, op->number, sizeof(key));
    delete_all_parts(store, op->number);
    memory_table_put(&bucket->records, key, sizeof(key), op->value, op->size);
    memory_table_put(&bucket->gids, op->gid, strlen(op->gid), key, sizeof(key));
    if (op->number > store->number_top)
        store->number_top = op->number;
}

static void free_bucket(struct memory_bucket *bucket)
{
    memory_table_clear(&bucket->records);
    memory_table_clear(&bucket->gids);
    free(bucket);
}

static void drop(struct memory_store *store, int64_t time_ms)
{
    struct buckets *buckets = &store->buckets;
    while (buckets->count > 0 && buckets->items[0].end_ms <= time_ms) {
        free_bucket(buckets->items[0].state);
        buckets_remove(buckets, 0);
    }
}

static void apply(struct memory_store *store, const struct store_op *op)
{
    switch (op->kind) {
    case STORE_PUT:
        put(store, op);
        break;
    case STORE_DELETE:
        delete (store, op);
        break;
    case STORE_RESOLVE:
        resolve(store, op);
        break;
    case STORE_META_PUT:
        memory_table_put(&store->meta, op->name, strlen(op->name), op->value, op->size);
        break;
    case STORE_META_DELETE:
        memory_table_delete(&store->meta, op->name, strlen(op->name));
        break;
    case STORE_DROP:
        drop(store, op->time_ms);
        break;
    }
}

static bool fails_now(struct memory_store *store)
{
    if (store->fail_in == 0)
        return false;
    store->fail_in--;
    return store->fail_in == 0;
}

static int commit(struct memory_store *store, uint64_t epoch, const struct store_op *ops,
                  size_t count)
{
    if (!store->is_held || epoch != store->epoch)
        return STORE_FENCED;
    bool is_failing = fails_now(store);
    if (is_failing)
        store->is_held = false;
    for (size_t i = 0; i < count && (!is_failing || store->fail_applied); i++)
        apply(store, &ops[i]);
    if (is_failing)
        return STORE_UNKNOWN;
    store->commits++;
    return 0;
}

static int memory_commit(struct store *base, uint32_t shard, uint64_t epoch,
                         const struct store_op *ops, size_t count)
{
    struct memory_store *store = (struct memory_store *)base;
    (void)shard;
    pthread_mutex_lock(&store->lock);
    int result = commit(store, epoch, ops, count);
    pthread_mutex_unlock(&store->lock);
    return result;
}

static void memory_close(struct store *base)
{
    struct memory_store *store = (struct memory_store *)base;
    for (size_t i = 0; i < store->buckets.count; i++)
        free_bucket(store->buckets.items[i].state);
    buckets_clear(&store->buckets);
    memory_table_clear(&store->live);
    memory_table_clear(&store->meta);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static const struct store_driver memory_driver = {
    .acquire = memory_acquire,
    .release = memory_release,
    .commit = memory_commit,
    .scan = memory_store_scan,
    .get = memory_store_get,
    .find = memory_store_find,
    .page = memory_store_page,
    .meta_scan = memory_store_meta_scan,
    .stats = memory_store_stats,
    .close = memory_close,
};

int store_memory_open(struct store **out, const struct store_options *options)
{
    struct memory_store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return STORE_NOMEM;
    store->base.driver = &memory_driver;
    pthread_mutex_init(&store->lock, NULL);
    buckets_init(&store->buckets, options != NULL ? options->bucket_ms : 0);
    store->size_max =
        options != NULL && options->size_max > 0 ? options->size_max : SIZE_MAX_DEFAULT;
    *out = &store->base;
    return 0;
}

void store_memory_fail(struct store *base, uint64_t nth, bool applied)
{
    struct memory_store *store = (struct memory_store *)base;
    assert(base->driver == &memory_driver);
    pthread_mutex_lock(&store->lock);
    store->fail_in = nth;
    store->fail_applied = applied;
    pthread_mutex_unlock(&store->lock);
}
