/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory driver's insides: the same tables and keys as the LMDB driver has, under one lock.
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

struct memory_store {
    struct store base;
    pthread_mutex_t lock; /* guards all that follows */
    struct memory_table live;
    struct memory_table meta;
    struct buckets buckets; /* state is struct memory_bucket */
    uint64_t size_max;
    uint64_t epoch;
    bool is_held;
    uint64_t number_top;
    uint64_t commits;
    uint64_t fail_in; /* commits until one fails; 0: none does */
    bool fail_applied;
};

/* -- memory_read.c ----------------------------------------------------------------------------- */
int memory_store_scan(struct store *base, uint32_t shard, uint64_t from, uint64_t to,
                      store_scan_fn each, void *ctx);
int memory_store_get(struct store *base, uint64_t number, uint32_t part, struct store_value *out);
int memory_store_find(struct store *base, const char *gid, uint64_t *number,
                      struct store_value *out);
int memory_store_page(struct store *base, struct store_cursor *cursor, size_t limit,
                      store_page_fn each, void *ctx);
int memory_store_meta_scan(struct store *base, store_meta_fn each, void *ctx);
int memory_store_stats(struct store *base, struct store_stats *out);

#endif
