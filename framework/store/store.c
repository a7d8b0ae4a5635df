/* SPDX-License-Identifier: Apache-2.0
 *
 * store.h: checks at the door that hold for every driver; the work is the driver's.
 */
#include "store.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

const char *store_strerror(int result)
{
    switch (result) {
    case 0:
        return "done";
#define STORE_RESULT_TEXT(name, value, text)                                                       \
    case name:                                                                                     \
        return text;
        STORE_RESULT_MAP(STORE_RESULT_TEXT)
#undef STORE_RESULT_TEXT
    default:
        return "not a result of the store";
    }
}

void store_value_free(struct store_value *value)
{
    if (value == NULL)
        return;
    free(value->data);
    value->data = NULL;
    value->size = 0;
}

static bool text_fits(const char *text, size_t size_max)
{
    if (text == NULL)
        return false;
    size_t size = strnlen(text, size_max + 1);
    return size > 0 && size <= size_max;
}

static bool number_is_valid(uint64_t number)
{
    return number > 0 && number < UINT64_MAX;
}

static bool value_is_valid(const struct store_op *op)
{
    return op->size <= STORE_VALUE_MAX && (op->value != NULL || op->size == 0);
}

static bool op_is_valid(const struct store_op *op)
{
    switch (op->kind) {
    case STORE_PUT:
        return number_is_valid(op->number) && value_is_valid(op);
    case STORE_DELETE:
        return number_is_valid(op->number);
    case STORE_RESOLVE:
        return number_is_valid(op->number) && value_is_valid(op) &&
               text_fits(op->gid, STORE_GID_MAX);
    case STORE_META_PUT:
        return value_is_valid(op) && text_fits(op->name, STORE_NAME_MAX);
    case STORE_META_DELETE:
        return text_fits(op->name, STORE_NAME_MAX);
    case STORE_DROP:
        return true;
    }
    return false;
}

int store_acquire(struct store *store, uint32_t shard, uint64_t *epoch, uint64_t *next_number)
{
    assert(store != NULL && epoch != NULL && next_number != NULL);
    if (shard != 0)
        return STORE_INVALID;
    return store->driver->acquire(store, shard, epoch, next_number);
}

void store_release(struct store *store, uint32_t shard, uint64_t epoch)
{
    assert(store != NULL);
    if (shard == 0)
        store->driver->release(store, shard, epoch);
}

int store_commit(struct store *store, uint32_t shard, uint64_t epoch, const struct store_op *ops,
                 size_t count)
{
    assert(store != NULL && (ops != NULL || count == 0));
    if (shard != 0)
        return STORE_INVALID;
    for (size_t i = 0; i < count; i++)
        if (!op_is_valid(&ops[i]))
            return STORE_INVALID;
    return count == 0 ? 0 : store->driver->commit(store, shard, epoch, ops, count);
}

int store_scan(struct store *store, uint32_t shard, uint64_t from, uint64_t to, store_scan_fn each,
               void *ctx)
{
    assert(store != NULL && each != NULL);
    return shard != 0 ? STORE_INVALID : store->driver->scan(store, shard, from, to, each, ctx);
}

int store_get(struct store *store, uint64_t number, uint32_t part, struct store_value *out)
{
    assert(store != NULL && out != NULL);
    return store->driver->get(store, number, part, out);
}

int store_find(struct store *store, const char *gid, uint64_t *number, struct store_value *out)
{
    assert(store != NULL && number != NULL && out != NULL);
    if (gid != NULL && !text_fits(gid, STORE_GID_MAX))
        return STORE_INVALID;
    return store->driver->find(store, gid, number, out);
}

int store_page(struct store *store, struct store_cursor *cursor, size_t limit, store_page_fn each,
               void *ctx)
{
    assert(store != NULL && cursor != NULL && each != NULL);
    return store->driver->page(store, cursor, limit < INT_MAX ? limit : INT_MAX, each, ctx);
}

int store_meta_scan(struct store *store, store_meta_fn each, void *ctx)
{
    assert(store != NULL && each != NULL);
    return store->driver->meta_scan(store, each, ctx);
}

int store_stats(struct store *store, struct store_stats *out)
{
    assert(store != NULL && out != NULL);
    return store->driver->stats(store, out);
}

void store_close(struct store *store)
{
    if (store != NULL)
        store->driver->close(store);
}
