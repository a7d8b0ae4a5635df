/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory driver: ownership and writing. Nothing here is durable; commits fail when a test asks
 * for it.
 */
#include "memory_store.h"

#include "source.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MAX_DEFAULT (UINT64_C(64) << 30)

static int memory_acquire(void *state, uint32_t index, struct tercet_store_lease *out)
{
    struct memory_shard *shard = memory_store_shard(state, index);
    pthread_mutex_lock(&shard->lock);
    shard->epoch++;
    shard->is_held = true;
    shard->commits++;
    *out = (struct tercet_store_lease){
        .epoch = shard->epoch, .next_number = shard->number_top + 1, .source = shard->source};
    pthread_mutex_unlock(&shard->lock);
    return 0;
}

static void memory_release(void *state, uint32_t index, uint64_t epoch)
{
    struct memory_shard *shard = memory_store_shard(state, index);
    pthread_mutex_lock(&shard->lock);
    if (epoch == shard->epoch)
        shard->is_held = false;
    pthread_mutex_unlock(&shard->lock);
}

static void put(struct memory_shard *shard, const struct tercet_store_op *op)
{
    unsigned char key[KEY_LIVE_SIZE];
    key_encode_live(key, op->number, op->part);
    memory_table_put(&shard->live, key, sizeof(key), op->value, op->size);
    if (op->number > shard->number_top)
        shard->number_top = op->number;
}

static void delete (struct memory_shard *shard, const struct tercet_store_op *op)
{
    unsigned char key[KEY_LIVE_SIZE];
    key_encode_live(key, op->number, op->part);
    memory_table_delete(&shard->live, key, sizeof(key));
}

static void delete_all_parts(struct memory_shard *shard, uint64_t number)
{
    unsigned char key[KEY_NUMBER_SIZE];
    key_encode(key, number, sizeof(key));
    for (;;) {
        struct memory_place place = memory_table_seek(&shard->live, key, sizeof(key));
        const struct memory_entry *entry = memory_table_at(&shard->live, place);
        if (entry == NULL || memcmp(entry->bytes, key, sizeof(key)) != 0)
            return;
        memory_table_remove(&shard->live, place);
    }
}

static struct memory_bucket *bucket_of(struct memory_shard *shard, int64_t time_ms)
{
    struct bucket *found = buckets_find(&shard->buckets, time_ms);
    if (found != NULL)
        return found->state;
    struct bucket made = buckets_span(&shard->buckets, time_ms);
    struct memory_bucket *state = calloc(1, sizeof(*state));
    made.state = state;
    if (state == NULL || buckets_insert(&shard->buckets, &made) != 0)
        abort();
    return state;
}

static void resolve(struct memory_shard *shard, const struct tercet_store_op *op)
{
    struct memory_bucket *bucket = bucket_of(shard, op->time_ms);
    unsigned char key[KEY_NUMBER_SIZE];
    key_encode(key, op->number, sizeof(key));
    delete_all_parts(shard, op->number);
    memory_table_put(&bucket->records, key, sizeof(key), op->value, op->size);
    memory_table_put(&bucket->gids, op->gid, strlen(op->gid), key, sizeof(key));
    if (op->number > shard->number_top)
        shard->number_top = op->number;
}

static void free_bucket(struct memory_bucket *bucket)
{
    memory_table_clear(&bucket->records);
    memory_table_clear(&bucket->gids);
    free(bucket);
}

static void drop(struct memory_shard *shard, int64_t time_ms)
{
    struct buckets *buckets = &shard->buckets;
    while (buckets->count > 0 && buckets->items[0].end_ms <= time_ms) {
        free_bucket(buckets->items[0].state);
        buckets_remove(buckets, 0);
    }
}

static void apply(struct memory_shard *shard, const struct tercet_store_op *op)
{
    switch (op->kind) {
    case TERCET_STORE_PUT:
        put(shard, op);
        break;
    case TERCET_STORE_DELETE:
        delete (shard, op);
        break;
    case TERCET_STORE_RESOLVE:
        resolve(shard, op);
        break;
    case TERCET_STORE_META_PUT:
        memory_table_put(&shard->meta, op->name, strlen(op->name), op->value, op->size);
        break;
    case TERCET_STORE_META_DELETE:
        memory_table_delete(&shard->meta, op->name, strlen(op->name));
        break;
    case TERCET_STORE_DROP:
        drop(shard, op->time_ms);
        break;
    }
}

static bool fails_now(struct memory_shard *shard)
{
    if (shard->fail_in == 0)
        return false;
    shard->fail_in--;
    return shard->fail_in == 0;
}

static int commit(struct memory_shard *shard, uint64_t epoch, const struct tercet_store_op *ops,
                  size_t count)
{
    if (!shard->is_held || epoch != shard->epoch)
        return TERCET_STORE_FENCED;
    bool is_failing = fails_now(shard);
    if (is_failing)
        shard->is_held = false;
    for (size_t i = 0; i < count && (!is_failing || shard->fail_applied); i++)
        apply(shard, &ops[i]);
    if (is_failing)
        return TERCET_STORE_UNKNOWN;
    shard->commits++;
    return 0;
}

static int memory_commit(void *state, uint32_t index, uint64_t epoch,
                         const struct tercet_store_op *ops, size_t count)
{
    struct memory_shard *shard = memory_store_shard(state, index);
    pthread_mutex_lock(&shard->lock);
    int rc = commit(shard, epoch, ops, count);
    pthread_mutex_unlock(&shard->lock);
    return rc;
}

static void free_shard(struct memory_shard *shard)
{
    for (size_t i = 0; i < shard->buckets.count; i++)
        free_bucket(shard->buckets.items[i].state);
    buckets_clear(&shard->buckets);
    memory_table_clear(&shard->live);
    memory_table_clear(&shard->meta);
    pthread_mutex_destroy(&shard->lock);
}

static void memory_close(void *state)
{
    struct memory_store *store = state;
    for (uint32_t i = 0; i < store->shard_count; i++)
        free_shard(&store->shards[i]);
    free(store);
}

static uint32_t memory_shard_count(void *state)
{
    return ((const struct memory_store *)state)->shard_count;
}

static int init_shard(struct memory_shard *shard, uint32_t index,
                      const struct tercet_store_options *options)
{
    shard->source = options->source != 0 ? options->source + index : 0;
    if (shard->source == 0 && source_make(&shard->source) != 0)
        return TERCET_STORE_IO;
    pthread_mutex_init(&shard->lock, NULL);
    buckets_init(&shard->buckets, options->bucket_ms);
    return 0;
}

static int refuse(char *text, int code, const char *what)
{
    snprintf(text, TERCET_STORE_TEXT_MAX, "%s", what);
    return code;
}

static int memory_open(void **out, const char *name, const struct tercet_store_options *options,
                       char *text)
{
    uint32_t count = options->shard_count > 0 ? options->shard_count : 1;
    if (name[0] != '\0')
        return refuse(text, TERCET_STORE_INVALID,
                      "a store in memory has no name: say memory: and nothing behind it");
    struct memory_store *store = calloc(1, sizeof(*store) + count * sizeof(store->shards[0]));
    if (store == NULL)
        return refuse(text, TERCET_STORE_NOMEM, "out of memory");
    store->size_max = options->size_max > 0 ? options->size_max : SIZE_MAX_DEFAULT;
    while (store->shard_count < count) {
        if (init_shard(&store->shards[store->shard_count], store->shard_count, options) != 0) {
            memory_close(store);
            return refuse(text, TERCET_STORE_IO, "the system gives no random number");
        }
        store->shard_count++;
    }
    *out = store;
    return 0;
}

/* The value, once as it is and once as it becomes; keys, gid, and the tables themselves. */
static uint64_t memory_room_of(void *state, uint64_t size)
{
    (void)state;
    return 500 + 2 * size;
}

const struct tercet_store_driver store_memory_driver = {
    .size = sizeof(struct tercet_store_driver),
    .version = TERCET_STORE_VERSION,
    .scheme = "memory",
    .open = memory_open,
    .close = memory_close,
    .shard_count = memory_shard_count,
    .acquire = memory_acquire,
    .release = memory_release,
    .commit = memory_commit,
    .scan = memory_store_scan,
    .get = memory_store_get,
    .find = memory_store_find,
    .page = memory_store_page,
    .meta_scan = memory_store_meta_scan,
    .stats = memory_store_stats,
    .room_of = memory_room_of,
    .buckets = memory_store_buckets,
};

void store_memory_fail(struct store *store, uint64_t nth, bool applied)
{
    assert(store->driver.open == memory_open);
    struct memory_shard *shard = memory_store_shard(store->state, 0);
    pthread_mutex_lock(&shard->lock);
    shard->fail_in = nth;
    shard->fail_applied = applied;
    pthread_mutex_unlock(&shard->lock);
}
