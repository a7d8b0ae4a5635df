/* SPDX-License-Identifier: Apache-2.0
 *
 * store.h: checks at the door that hold for every driver; the work is the driver's.
 */
#include "store.h"

#include <assert.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static bool value_is_valid(const struct tercet_store_op *op)
{
    return op->size <= TERCET_STORE_VALUE_MAX && (op->value != NULL || op->size == 0);
}

static bool op_is_valid(const struct tercet_store_op *op)
{
    switch (op->kind) {
    case TERCET_STORE_PUT:
        return number_is_valid(op->number) && value_is_valid(op);
    case TERCET_STORE_DELETE:
        return number_is_valid(op->number);
    case TERCET_STORE_RESOLVE:
        return number_is_valid(op->number) && value_is_valid(op) &&
               text_fits(op->gid, TERCET_STORE_GID_MAX);
    case TERCET_STORE_META_PUT:
        return value_is_valid(op) && text_fits(op->name, TERCET_STORE_NAME_MAX);
    case TERCET_STORE_META_DELETE:
        return text_fits(op->name, TERCET_STORE_NAME_MAX);
    case TERCET_STORE_DROP:
        return true;
    }
    return false;
}

int store_acquire(struct store *store, uint32_t shard, struct tercet_store_lease *out)
{
    assert(store != NULL && out != NULL);
    if (shard >= store->shard_count)
        return TERCET_STORE_INVALID;
    return store->driver.acquire(store->state, shard, out);
}

void store_release(struct store *store, uint32_t shard, uint64_t epoch)
{
    assert(store != NULL);
    if (shard < store->shard_count)
        store->driver.release(store->state, shard, epoch);
}

int store_commit(struct store *store, uint32_t shard, uint64_t epoch,
                 const struct tercet_store_op *ops, size_t count)
{
    assert(store != NULL && (ops != NULL || count == 0));
    if (shard >= store->shard_count)
        return TERCET_STORE_INVALID;
    for (size_t i = 0; i < count; i++)
        if (!op_is_valid(&ops[i]))
            return TERCET_STORE_INVALID;
    return count == 0 ? 0 : store->driver.commit(store->state, shard, epoch, ops, count);
}

int store_scan(struct store *store, uint32_t shard, uint64_t from, uint64_t to,
               tercet_store_scan_fn each, void *ctx)
{
    assert(store != NULL && each != NULL);
    if (shard >= store->shard_count)
        return TERCET_STORE_INVALID;
    return store->driver.scan(store->state, shard, from, to, each, ctx);
}

int store_page(struct store *store, uint32_t shard, struct tercet_store_cursor *cursor,
               size_t limit, tercet_store_page_fn each, void *ctx)
{
    assert(store != NULL && cursor != NULL && each != NULL);
    if (shard >= store->shard_count)
        return TERCET_STORE_INVALID;
    size_t at_most = limit < INT_MAX ? limit : INT_MAX;
    return store->driver.page(store->state, shard, cursor, at_most, each, ctx);
}

int store_meta_scan(struct store *store, uint32_t shard, tercet_store_meta_fn each, void *ctx)
{
    assert(store != NULL && each != NULL);
    if (shard >= store->shard_count)
        return TERCET_STORE_INVALID;
    return store->driver.meta_scan(store->state, shard, each, ctx);
}

static void refuse_lookup(tercet_store_found_fn done, void *ctx)
{
    done(TERCET_STORE_INVALID, 0, (struct tercet_bytes){0}, ctx);
}

void store_get(struct store *store, uint32_t shard, uint64_t number, uint32_t part,
               tercet_store_found_fn done, void *ctx)
{
    assert(store != NULL && done != NULL);
    if (shard >= store->shard_count)
        refuse_lookup(done, ctx);
    else
        store->driver.get(store->state, shard, number, part, done, ctx);
}

void store_find(struct store *store, uint32_t shard, const char *gid, uint64_t number,
                tercet_store_found_fn done, void *ctx)
{
    assert(store != NULL && done != NULL);
    if (shard >= store->shard_count || (gid != NULL && !text_fits(gid, TERCET_STORE_GID_MAX)))
        refuse_lookup(done, ctx);
    else
        store->driver.find(store->state, shard, gid, number, done, ctx);
}

int store_buckets(struct store *store, uint32_t shard, tercet_store_bucket_fn each, void *ctx)
{
    assert(store != NULL && each != NULL);
    if (shard >= store->shard_count || store->driver.buckets == NULL)
        return TERCET_STORE_INVALID;
    return store->driver.buckets(store->state, shard, each, ctx);
}

int store_check(struct store *store, uint32_t shard, tercet_store_damage_fn each, void *ctx)
{
    assert(store != NULL && each != NULL);
    if (shard >= store->shard_count)
        return TERCET_STORE_INVALID;
    return store->driver.check != NULL ? store->driver.check(store->state, shard, each, ctx) : 0;
}

int store_backup(struct store *store, const struct tercet_store_backup *backup, uint64_t *bytes,
                 uint64_t *growth_bytes, char *text)
{
    assert(store != NULL && backup != NULL && backup->goes_on != NULL && text != NULL);
    if (store->driver.backup != NULL)
        return store->driver.backup(store->state, backup, bytes, growth_bytes, text);
    snprintf(text, TERCET_STORE_TEXT_MAX,
             "a store of this kind cannot be copied by the coordinator");
    return TERCET_STORE_INVALID;
}

int store_stats(struct store *store, struct tercet_store_stats *out)
{
    assert(store != NULL && out != NULL);
    return store->driver.stats(store->state, out);
}

uint64_t store_room_of(struct store *store, uint64_t size)
{
    assert(store != NULL);
    return store->driver.room_of != NULL ? store->driver.room_of(store->state, size) : size;
}

/* -- Opening and closing ----------------------------------------------------------------------- */

static void take_options(struct tercet_store_options *to, const struct tercet_store_options *from)
{
    memset(to, 0, sizeof(*to));
    if (from != NULL)
        memcpy(to, from, from->size < sizeof(*to) ? from->size : sizeof(*to));
    to->size = sizeof(*to);
}

static struct store *make_store(const struct tercet_store_driver *driver)
{
    struct store *store = calloc(1, sizeof(*store));
    if (store != NULL)
        memcpy(&store->driver, driver,
               driver->size < sizeof(store->driver) ? driver->size : sizeof(store->driver));
    return store;
}

typedef int (*open_fn)(void **state, const char *name, const struct tercet_store_options *options,
                       char *text);

static int open_by(struct store **out, const struct tercet_store_driver *driver, bool reads_alone,
                   const char *rest, const struct tercet_store_options *options, char *text)
{
    struct tercet_store_options chosen;
    struct store *store = make_store(driver);
    take_options(&chosen, options);
    if (store == NULL) {
        snprintf(text, TERCET_STORE_TEXT_MAX, "out of memory");
        return TERCET_STORE_NOMEM;
    }
    open_fn open = reads_alone ? store->driver.open_to_read : store->driver.open;
    int rc = open(&store->state, rest, &chosen, text);
    if (rc != 0) {
        free(store);
        return rc;
    }
    store->shard_count = driver->shard_count(store->state);
    *out = store;
    return 0;
}

int store_open_with(struct store **out, const struct tercet_store_driver *driver, const char *rest,
                    const struct tercet_store_options *options, char *text)
{
    char unread[TERCET_STORE_TEXT_MAX];
    return open_by(out, driver, false, rest, options, text != NULL ? text : unread);
}

/* An older driver's table ends before it. */
static bool can_read_beside(const struct tercet_store_driver *driver)
{
    return driver->size > offsetof(struct tercet_store_driver, open_to_read) &&
           driver->open_to_read != NULL;
}

int store_open_to_read_with(struct store **out, const struct tercet_store_driver *driver,
                            const char *rest, const struct tercet_store_options *options,
                            char *text)
{
    if (can_read_beside(driver))
        return open_by(out, driver, true, rest, options, text);
    snprintf(text, TERCET_STORE_TEXT_MAX,
             "a store of this kind cannot be read beside the process that has it open");
    return TERCET_STORE_INVALID;
}

bool store_can_be_read_beside(const struct store *store)
{
    assert(store != NULL);
    return store->driver.open_to_read != NULL;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    store->driver.close(store->state);
    free(store);
}
