/* SPDX-License-Identifier: Apache-2.0
 *
 * Metadata, both directions.
 */
#include "metadata.h"

#include <grpc/slice.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SIZE_MAX 256
#define VALUE_SIZE_MAX (64 * 1024)
#define LENGTHS_SIZE 8 /* of an entry on the wire; room enough for two NULs, too */

static bool entry_is_legal(grpc_slice key, grpc_slice value)
{
    if (GRPC_SLICE_LENGTH(key) > KEY_SIZE_MAX || GRPC_SLICE_LENGTH(value) > VALUE_SIZE_MAX)
        return false;
    return grpc_header_key_is_legal(key) &&
           (grpc_is_binary_header(key) || grpc_header_nonbin_value_is_legal(value));
}

static int list_reserve(struct metadata_out *list)
{
    if (list->count < list->capacity)
        return 0;
    size_t capacity = list->capacity > 0 ? 2 * list->capacity : 4;
    grpc_metadata *entries = realloc(list->entries, capacity * sizeof(*entries));
    if (entries == NULL)
        return CRPC_ENOMEM;
    list->entries = entries;
    list->capacity = capacity;
    return 0;
}

int metadata_add_reserved(struct metadata_out *list, const char *key, struct crpc_bytes value)
{
    if (list_reserve(list) != 0)
        return CRPC_ENOMEM;
    grpc_metadata *entry = &list->entries[list->count];
    memset(entry, 0, sizeof(*entry));
    entry->key = grpc_slice_from_copied_string(key);
    entry->value = grpc_slice_from_copied_buffer(value.data, value.size);
    if (!entry_is_legal(entry->key, entry->value)) {
        grpc_slice_unref(entry->key);
        grpc_slice_unref(entry->value);
        return CRPC_EINVAL;
    }
    list->count++;
    return 0;
}

int metadata_add(struct metadata_out *list, const struct crpc_metadata *entry)
{
    if (entry->key == NULL || (entry->value.data == NULL && entry->value.size > 0))
        return CRPC_EINVAL;
    if (entry->key[0] == ':' || strncmp(entry->key, "grpc-", 5) == 0)
        return CRPC_EINVAL;
    return metadata_add_reserved(list, entry->key, entry->value);
}

void metadata_out_clear(struct metadata_out *list)
{
    for (size_t i = 0; i < list->count; i++) {
        grpc_slice_unref(list->entries[i].key);
        grpc_slice_unref(list->entries[i].value);
    }
    free(list->entries);
    memset(list, 0, sizeof(*list));
}

/* Appends a slice and a NUL at *at, which moves on. */
static const void *put_slice(char **at, const grpc_slice *slice)
{
    char *begin = *at;
    size_t size = GRPC_SLICE_LENGTH(*slice);
    memcpy(begin, GRPC_SLICE_START_PTR(*slice), size);
    begin[size] = '\0';
    *at = begin + size + 1;
    return begin;
}

size_t metadata_size(const grpc_metadata_array *list)
{
    size_t size = 0;
    for (size_t i = 0; i < list->count; i++)
        size += GRPC_SLICE_LENGTH(list->metadata[i].key) +
                GRPC_SLICE_LENGTH(list->metadata[i].value) + LENGTHS_SIZE;
    return size;
}

void metadata_in_copy(struct metadata_in *to, const grpc_metadata_array *from)
{
    size_t size = from->count * sizeof(*to->entries) + metadata_size(from);
    struct crpc_metadata *entries = size > 0 ? malloc(size) : NULL;
    if (entries == NULL)
        return;
    char *at = (char *)(entries + from->count);
    for (size_t i = 0; i < from->count; i++) {
        entries[i].key = put_slice(&at, &from->metadata[i].key);
        entries[i].value.size = GRPC_SLICE_LENGTH(from->metadata[i].value);
        entries[i].value.data = put_slice(&at, &from->metadata[i].value);
    }
    to->entries = entries;
    to->count = from->count;
}

bool metadata_in_get(const struct metadata_in *list, const char *key, struct crpc_bytes *out)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->entries[i].key, key) == 0) {
            *out = list->entries[i].value;
            return true;
        }
    }
    return false;
}

void metadata_in_clear(struct metadata_in *list)
{
    free(list->entries);
    memset(list, 0, sizeof(*list));
}
