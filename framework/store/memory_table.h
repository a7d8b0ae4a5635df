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

struct memory_table {
    struct memory_entry **items; /* in order */
    size_t count;
    size_t capacity;
    size_t bytes; /* of all entries */
};

static inline const void *memory_entry_value(const struct memory_entry *entry)
{
    return entry->bytes + entry->key_size;
}

/* The index of the first entry whose key is not smaller; count when there is none. */
size_t memory_table_seek(const struct memory_table *table, const void *key, size_t key_size);

/* NULL when there is none. */
const struct memory_entry *memory_table_get(const struct memory_table *table, const void *key,
                                            size_t key_size);

void memory_table_put(struct memory_table *table, const void *key, size_t key_size,
                      const void *value, size_t size);
void memory_table_delete(struct memory_table *table, const void *key, size_t key_size);
void memory_table_remove(struct memory_table *table, size_t index);
void memory_table_clear(struct memory_table *table);

#endif
