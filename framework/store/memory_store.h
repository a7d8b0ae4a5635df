/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory driver's insides: the same tables and keys as the LMDB driver has, under
 * one lock a shard.
 */
#ifndef TERCET_MEMORY_STORE_H
#define TERCET_MEMORY_STORE_H

#include <pthread.h>

#include "bucket.h"
#include "key.h"
#include "memory_table.h"
#include "store.h"

struct memory_bucket {
    struct memory_table records; /* number -> value */
    struct memory_table gids;    /* gid -> number */
};

struct memory_shard {
    pthread_mutex_t lock; /* guards all that follows */
    struct memory_table live;
    struct memory_table meta;
    struct buckets buckets; /* state is struct memory_bucket */
    uint64_t source;
    uint64_t epoch;
    bool is_held;
    uint64_t number_top;
    uint64_t commits;
    uint64_t fail_in; /* commits until one fails; 0: none does */
    bool fail_applied;
};

struct memory_store {
    uint64_t size_max;
    uint32_t shard_count;
    struct memory_shard shards[];
};

static inline struct memory_shard *memory_store_shard(void *state, uint32_t index)
{
    return &((struct memory_store *)state)->shards[index];
}

/* -- memory_read.c ----------------------------------------------------------------------------- */
int memory_store_scan(void *state, uint32_t index, uint64_t from, uint64_t to,
                      tercet_store_scan_fn each, void *ctx);
void memory_store_get(void *state, uint32_t index, uint64_t number, uint32_t part,
                      tercet_store_found_fn done, void *ctx);
void memory_store_find(void *state, uint32_t index, const char *gid, uint64_t number,
                       tercet_store_found_fn done, void *ctx);
int memory_store_page(void *state, uint32_t index, struct tercet_store_cursor *cursor, size_t limit,
                      tercet_store_page_fn each, void *ctx);
int memory_store_meta_scan(void *state, uint32_t index, tercet_store_meta_fn each, void *ctx);
int memory_store_buckets(void *state, uint32_t index, tercet_store_bucket_fn each, void *ctx);
int memory_store_stats(void *state, struct tercet_store_stats *out);

#endif
