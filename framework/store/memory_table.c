/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_table.h: a sorted array of pointers.
 */
#include "memory_table.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int compare(const struct memory_entry *entry, const void *key, size_t key_size)
{
    size_t common = entry->key_size < key_size ? entry->key_size : key_size;
    int order = memcmp(entry->bytes, key, common);
    if (order != 0 || entry->key_size == key_size)
        return order;
    return entry->key_size < key_size ? -1 : 1;
}

size_t memory_table_seek(const struct memory_table *table, const void *key, size_t key_size)
{
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(table->items[middle], key, key_size) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct memory_table *table, size_t index, const void *key, size_t key_size)
{
    return index < table->count && compare(table->items[index], key, key_size) == 0;
}

const struct memory_entry *memory_table_get(const struct memory_table *table, const void *key,
                                            size_t key_size)
{
    size_t index = memory_table_seek(table, key, key_size);
    return is_at(table, index, key, key_size) ? table->items[index] : NULL;
}

static void *or_abort(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static size_t entry_size(const struct memory_entry *entry)
{
    return sizeof(*entry) + entry->key_size + entry->value_size;
}

static struct memory_entry *make_entry(const void *key, size_t key_size, const void *value,
                                       size_t size)
{
    struct memory_entry *entry = or_abort(malloc(sizeof(*entry) + key_size + size));
    entry->key_size = key_size;
    entry->value_size = size;
    memcpy(entry->bytes, key, key_size);
    if (size > 0)
        memcpy(entry->bytes + key_size, value, size);
    return entry;
}

void memory_table_put(struct memory_table *table, const void *key, size_t key_size,
                      const void *value, size_t size)
{
    size_t index = memory_table_seek(table, key, key_size);
    struct memory_entry *entry = make_entry(key, key_size, value, size);
    if (is_at(table, index, key, key_size))
        memory_table_remove(table, index);
    if (table->count == table->capacity) {
        table->capacity = table->capacity == 0 ? 16 : table->capacity * 2;
        table->items = or_abort(realloc(table->items, table->capacity * sizeof(table->items[0])));
    }
    memmove(&table->items[index + 1], &table->items[index],
            (table->count - index) * sizeof(table->items[0]));
    table->items[index] = entry;
    table->count++;
    table->bytes += entry_size(entry);
}

void memory_table_delete(struct memory_table *table, const void *key, size_t key_size)
{
    size_t index = memory_table_seek(table, key, key_size);
    if (is_at(table, index, key, key_size))
        memory_table_remove(table, index);
}

void memory_table_remove(struct memory_table *table, size_t index)
{
    assert(index < table->count);
    table->bytes -= entry_size(table->items[index]);
    free(table->items[index]);
    table->count--;
    memmove(&table->items[index], &table->items[index + 1],
            (table->count - index) * sizeof(table->items[0]));
}

void memory_table_clear(struct memory_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->items[i]);
    free(table->items);
    memset(table, 0, sizeof(*table));
}
