/* SPDX-License-Identifier: Apache-2.0
 *
 * A map from bytes to bytes, ordered as LMDB orders: by bytes, then the shorter key first. It
 * cannot fail: without memory the process ends.
 */
#ifndef TERCET_MEMORY_TABLE_H
#define TERCET_MEMORY_TABLE_H

#include <stddef.h>

struct memory_entry {
    size_t key_size;
    size_t value_size;
    unsigned char bytes[]; /* the key, then the value */
};

/* Some entries that follow each other, so that no change moves more than these. */
#define MEMORY_CHUNK_MAX 256
struct memory_chunk {
    size_t count; /* at least 1 */
    struct memory_entry *items[MEMORY_CHUNK_MAX];
};

struct memory_table {
    struct memory_chunk **chunks; /* in order */
    size_t chunk_count;
    size_t chunk_capacity;
    size_t count; /* of entries */
    size_t bytes; /* of all entries */
};

/* Where an entry is, until the next change. */
struct memory_place {
    size_t chunk, index;
};

static inline const void *memory_entry_value(const struct memory_entry *entry)
{
    return entry->bytes + entry->key_size;
}

/* The place of the first entry whose key is not smaller, or that past the last. */
struct memory_place memory_table_seek(const struct memory_table *table, const void *key,
                                      size_t key_size);

/* NULL past the last. */
const struct memory_entry *memory_table_at(const struct memory_table *table,
                                           struct memory_place place);

/* The entry at a place, which then is moved to the next; NULL past the last. */
const struct memory_entry *memory_table_next(const struct memory_table *table,
                                             struct memory_place *place);

/* The entry before a place, which is moved to it; NULL: there is none. */
const struct memory_entry *memory_table_previous(const struct memory_table *table,
                                                 struct memory_place *place);

/* NULL when there is none. */
const struct memory_entry *memory_table_get(const struct memory_table *table, const void *key,
                                            size_t key_size);

void memory_table_put(struct memory_table *table, const void *key, size_t key_size,
                      const void *value, size_t size);
void memory_table_delete(struct memory_table *table, const void *key, size_t key_size);
void memory_table_remove(struct memory_table *table, struct memory_place place);
void memory_table_clear(struct memory_table *table);

#endif
