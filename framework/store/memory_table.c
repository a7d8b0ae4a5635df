/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_table.h: pointers in order, in an array of chunks, so that neither a put nor a removal
 * moves all of them.
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

/* The first of `count` entries whose key is not smaller. */
static size_t seek_in(struct memory_entry *const *items, size_t count, const void *key,
                      size_t key_size)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (compare(items[middle], key, key_size) < 0)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

/* The first chunk whose last key is not smaller. */
static size_t seek_chunk(const struct memory_table *table, const void *key, size_t key_size)
{
    size_t low = 0, high = table->chunk_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct memory_chunk *chunk = table->chunks[middle];
        if (compare(chunk->items[chunk->count - 1], key, key_size) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct memory_place memory_table_seek(const struct memory_table *table, const void *key,
                                      size_t key_size)
{
    struct memory_place place = {.chunk = seek_chunk(table, key, key_size)};
    if (place.chunk < table->chunk_count) {
        const struct memory_chunk *chunk = table->chunks[place.chunk];
        place.index = seek_in(chunk->items, chunk->count, key, key_size);
    }
    return place;
}

/* -- Reading ----------------------------------------------------------------------------------- */

const struct memory_entry *memory_table_at(const struct memory_table *table,
                                           struct memory_place place)
{
    return place.chunk < table->chunk_count ? table->chunks[place.chunk]->items[place.index] : NULL;
}

const struct memory_entry *memory_table_next(const struct memory_table *table,
                                             struct memory_place *place)
{
    const struct memory_entry *entry = memory_table_at(table, *place);
    if (entry != NULL && ++place->index == table->chunks[place->chunk]->count)
        *place = (struct memory_place){.chunk = place->chunk + 1};
    return entry;
}

const struct memory_entry *memory_table_previous(const struct memory_table *table,
                                                 struct memory_place *place)
{
    if (place->index == 0 && place->chunk == 0)
        return NULL;
    if (place->index == 0) {
        place->chunk--;
        place->index = table->chunks[place->chunk]->count;
    }
    place->index--;
    return memory_table_at(table, *place);
}

static struct memory_entry *found_at(const struct memory_table *table, struct memory_place place,
                                     const void *key, size_t key_size)
{
    struct memory_entry *entry =
        place.chunk < table->chunk_count ? table->chunks[place.chunk]->items[place.index] : NULL;
    return entry != NULL && compare(entry, key, key_size) == 0 ? entry : NULL;
}

const struct memory_entry *memory_table_get(const struct memory_table *table, const void *key,
                                            size_t key_size)
{
    return found_at(table, memory_table_seek(table, key, key_size), key, key_size);
}

/* -- Writing ----------------------------------------------------------------------------------- */

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

static struct memory_chunk *add_chunk(struct memory_table *table, size_t at)
{
    if (table->chunk_count == table->chunk_capacity) {
        table->chunk_capacity = table->chunk_capacity == 0 ? 4 : table->chunk_capacity * 2;
        table->chunks =
            or_abort(realloc(table->chunks, table->chunk_capacity * sizeof(table->chunks[0])));
    }
    memmove(&table->chunks[at + 1], &table->chunks[at],
            (table->chunk_count - at) * sizeof(table->chunks[0]));
    table->chunks[at] = or_abort(calloc(1, sizeof(*table->chunks[at])));
    table->chunk_count++;
    return table->chunks[at];
}

static void split(struct memory_table *table, size_t at)
{
    struct memory_chunk *upper = add_chunk(table, at + 1);
    struct memory_chunk *lower = table->chunks[at];
    upper->count = lower->count / 2;
    lower->count -= upper->count;
    memcpy(upper->items, &lower->items[lower->count], upper->count * sizeof(upper->items[0]));
}

/* Where a new entry is put that belongs at `place`: in a chunk that has room. */
static struct memory_place make_room(struct memory_table *table, struct memory_place place)
{
    const size_t last = table->chunk_count - 1; /* none: it is not used */
    if (place.chunk == table->chunk_count) {
        if (table->chunk_count > 0 && table->chunks[last]->count < MEMORY_CHUNK_MAX)
            return (struct memory_place){.chunk = last, .index = table->chunks[last]->count};
        add_chunk(table, place.chunk);
        return place;
    }
    if (table->chunks[place.chunk]->count < MEMORY_CHUNK_MAX)
        return place;
    split(table, place.chunk);
    const size_t lower = table->chunks[place.chunk]->count;
    if (place.index <= lower)
        return place;
    return (struct memory_place){.chunk = place.chunk + 1, .index = place.index - lower};
}

static void insert(struct memory_table *table, struct memory_place place,
                   struct memory_entry *entry)
{
    place = make_room(table, place);
    struct memory_chunk *chunk = table->chunks[place.chunk];
    memmove(&chunk->items[place.index + 1], &chunk->items[place.index],
            (chunk->count - place.index) * sizeof(chunk->items[0]));
    chunk->items[place.index] = entry;
    chunk->count++;
    table->count++;
}

void memory_table_put(struct memory_table *table, const void *key, size_t key_size,
                      const void *value, size_t size)
{
    struct memory_place place = memory_table_seek(table, key, key_size);
    struct memory_entry *entry = make_entry(key, key_size, value, size);
    struct memory_entry *old = found_at(table, place, key, key_size);
    table->bytes += entry_size(entry);
    if (old == NULL) {
        insert(table, place, entry);
        return;
    }
    table->bytes -= entry_size(old);
    table->chunks[place.chunk]->items[place.index] = entry;
    free(old);
}

void memory_table_delete(struct memory_table *table, const void *key, size_t key_size)
{
    struct memory_place place = memory_table_seek(table, key, key_size);
    if (found_at(table, place, key, key_size) != NULL)
        memory_table_remove(table, place);
}

static void remove_chunk(struct memory_table *table, size_t at)
{
    free(table->chunks[at]);
    table->chunk_count--;
    memmove(&table->chunks[at], &table->chunks[at + 1],
            (table->chunk_count - at) * sizeof(table->chunks[0]));
}

void memory_table_remove(struct memory_table *table, struct memory_place place)
{
    assert(place.chunk < table->chunk_count);
    struct memory_chunk *chunk = table->chunks[place.chunk];
    assert(place.index < chunk->count);
    table->bytes -= entry_size(chunk->items[place.index]);
    free(chunk->items[place.index]);
    chunk->count--;
    table->count--;
    memmove(&chunk->items[place.index], &chunk->items[place.index + 1],
            (chunk->count - place.index) * sizeof(chunk->items[0]));
    if (chunk->count == 0)
        remove_chunk(table, place.chunk);
}

void memory_table_clear(struct memory_table *table)
{
    for (size_t i = 0; i < table->chunk_count; i++) {
        for (size_t k = 0; k < table->chunks[i]->count; k++)
            free(table->chunks[i]->items[k]);
        free(table->chunks[i]);
    }
    free(table->chunks);
    memset(table, 0, sizeof(*table));
}
