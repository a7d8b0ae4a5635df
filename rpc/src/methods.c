/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of methods.
 */
#include "methods.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/. */
static uint32_t hash_bytes(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}

/* The slot that holds the path, or the free one where it belongs. */
static struct method_entry *slot_find(const struct method_table *table, const void *path,
                                      size_t size)
{
    size_t i = hash_bytes(path, size) % table->capacity;
    for (;; i = (i + 1) % table->capacity) {
        struct method_entry *slot = &table->slots[i];
        if (slot->path == NULL || (slot->path_size == size && memcmp(slot->path, path, size) == 0))
            return slot;
    }
}

static int table_grow(struct method_table *table)
{
    struct method_table larger = {.count = table->count,
                                  .capacity = table->capacity > 0 ? 2 * table->capacity : 32};
    larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
    if (larger.slots == NULL)
        return CRPC_ENOMEM;
    for (size_t i = 0; i < table->capacity; i++)
        if (table->slots[i].path != NULL)
            *slot_find(&larger, table->slots[i].path, table->slots[i].path_size) = table->slots[i];
    free(table->slots);
    *table = larger;
    return 0;
}

int methods_add(struct method_table *table, const ProtobufCServiceDescriptor *service,
                const ProtobufCMethodDescriptor *method, const struct crpc_handler *handler,
                void *ctx)
{
    if (2 * (table->count + 1) > table->capacity && table_grow(table) != 0)
        return CRPC_ENOMEM;
    char *path = method_path(service, method);
    if (path == NULL)
        return CRPC_ENOMEM;
    struct method_entry *slot = slot_find(table, path, strlen(path));
    assert(slot->path == NULL);
    *slot = (struct method_entry){path, strlen(path), method, handler, ctx};
    table->count++;
    return 0;
}

const struct method_entry *methods_find(const struct method_table *table, const void *path,
                                        size_t size)
{
    if (table->capacity == 0)
        return NULL;
    const struct method_entry *slot = slot_find(table, path, size);
    return slot->path != NULL ? slot : NULL;
}

void methods_clear(struct method_table *table)
{
    for (size_t i = 0; i < table->capacity; i++)
        free(table->slots[i].path);
    free(table->slots);
    memset(table, 0, sizeof(*table));
}

char *method_path(const ProtobufCServiceDescriptor *service,
                  const ProtobufCMethodDescriptor *method)
{
    char *path;
    return asprintf(&path, "/%s/%s", service->name, method->name) < 0 ? NULL : path;
}

bool method_sends_stream(const struct method_entry *method)
{
    return method->handler->kind == CRPC_SERVER_STREAMING ||
           method->handler->kind == CRPC_BIDIRECTIONAL;
}
