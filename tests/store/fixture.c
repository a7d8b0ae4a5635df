/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture.h.
 */
#include "fixture.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fault.h"

void fixture_prepare(struct fixture *fixture, enum fixture_driver driver, int64_t bucket_ms)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->driver = driver;
    fixture->options.size = sizeof(fixture->options);
    fixture->options.bucket_ms = bucket_ms;
    fixture->options.size_max = 256u << 20;
    strcpy(fixture->root, "/tmp/tercet-store-XXXXXX");
    cr_assert_not_null(mkdtemp(fixture->root));
    snprintf(fixture->dir, sizeof(fixture->dir), "%s/store", fixture->root);
}

void fixture_acquire(struct fixture *fixture)
{
    struct tercet_store_lease lease;
    cr_assert_eq(store_acquire(fixture->store, 0, &lease), 0);
    fixture->epoch = lease.epoch;
    fixture->next_number = lease.next_number;
    cr_assert_neq(lease.source, 0);
    cr_assert(fixture->source == 0 || fixture->source == lease.source, "it keeps its identity");
    fixture->source = lease.source;
}

void fixture_reopen(struct fixture *fixture)
{
    char text[TERCET_STORE_TEXT_MAX] = "";
    if (fixture->driver == FIXTURE_LMDB) {
        store_close(fixture->store);
        fixture->store = NULL;
        int result = store_open(&fixture->store, fixture->dir, NULL, &fixture->options, text);
        cr_assert_eq(result, 0, "%d: %s", result, text);
    } else if (fixture->store == NULL) {
        cr_assert_eq(store_open(&fixture->store, "memory:", NULL, &fixture->options, NULL), 0);
    }
    fixture_acquire(fixture);
}

void fixture_open(struct fixture *fixture, enum fixture_driver driver, int64_t bucket_ms)
{
    fixture_prepare(fixture, driver, bucket_ms);
    fixture_reopen(fixture);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat, (void)type, (void)walk;
    return remove(path);
}

void fixture_close(struct fixture *fixture)
{
    store_close(fixture->store);
    cr_assert_eq(nftw(fixture->root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void fixture_fail_next(struct fixture *fixture)
{
    if (fixture->driver == FIXTURE_MEMORY)
        store_memory_fail(fixture->store, 1, false);
    else
        fault_next_sync();
}

/* -- Contents as text -------------------------------------------------------------------------- */

static void append(struct fixture *fixture, const char *key, const void *value, size_t size)
{
    size_t used = strlen(fixture->text);
    int added = snprintf(fixture->text + used, sizeof(fixture->text) - used, "%s%s=%.*s",
                         used > 0 ? " " : "", key, (int)size, (const char *)value);
    cr_assert_lt((size_t)added, sizeof(fixture->text) - used);
}

static int append_live(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    char key[40];
    snprintf(key, sizeof(key), "%" PRIu64 ".%" PRIu32, number, part);
    append(ctx, key, value, size);
    return 0;
}

const char *fixture_live(struct fixture *fixture)
{
    fixture->text[0] = '\0';
    cr_assert_eq(store_scan(fixture->store, 0, 1, UINT64_MAX, append_live, fixture), 0);
    return fixture->text;
}

static int append_resolved(uint64_t number, const void *value, size_t size, void *ctx)
{
    char key[24];
    snprintf(key, sizeof(key), "%" PRIu64, number);
    append(ctx, key, value, size);
    return 0;
}

const char *fixture_resolved(struct fixture *fixture, size_t limit)
{
    struct tercet_store_cursor cursor = {0};
    int count;
    fixture->text[0] = '\0';
    while ((count = store_page(fixture->store, 0, &cursor, limit, append_resolved, fixture)) > 0) {
        cr_assert_leq((size_t)count, limit);
        if ((size_t)count == limit)
            strcat(fixture->text, "|");
    }
    cr_assert_eq(count, 0);
    return fixture->text;
}

static int append_meta(const char *name, const void *value, size_t size, void *ctx)
{
    append(ctx, name, value, size);
    return 0;
}

const char *fixture_meta(struct fixture *fixture)
{
    fixture->text[0] = '\0';
    cr_assert_eq(store_meta_scan(fixture->store, 0, append_meta, fixture), 0);
    return fixture->text;
}

static const char *find(struct fixture *fixture, const char *gid, uint64_t number)
{
    struct store_value value;
    int result = store_find_wait(fixture->store, 0, gid, &number, &value);
    if (result != 0)
        return tercet_store_strerror(result);
    fixture->text[0] = '\0';
    append_resolved(number, value.data, value.size, fixture);
    store_value_free(&value);
    return fixture->text;
}

const char *fixture_find(struct fixture *fixture, const char *gid)
{
    return find(fixture, gid, 0);
}

const char *fixture_find_number(struct fixture *fixture, uint64_t number)
{
    return find(fixture, NULL, number);
}

/* -- Operations -------------------------------------------------------------------------------- */

struct tercet_store_op op_put(uint64_t number, uint32_t part, const char *value)
{
    return (struct tercet_store_op){.kind = TERCET_STORE_PUT,
                                    .number = number,
                                    .part = part,
                                    .value = value,
                                    .size = strlen(value)};
}

struct tercet_store_op op_delete(uint64_t number, uint32_t part)
{
    return (struct tercet_store_op){.kind = TERCET_STORE_DELETE, .number = number, .part = part};
}

struct tercet_store_op op_resolve(uint64_t number, const char *gid, int64_t time_ms,
                                  const char *value)
{
    return (struct tercet_store_op){.kind = TERCET_STORE_RESOLVE,
                                    .number = number,
                                    .gid = gid,
                                    .time_ms = time_ms,
                                    .value = value,
                                    .size = strlen(value)};
}

struct tercet_store_op op_meta(const char *name, const char *value)
{
    return (struct tercet_store_op){
        .kind = TERCET_STORE_META_PUT, .name = name, .value = value, .size = strlen(value)};
}

struct tercet_store_op op_meta_delete(const char *name)
{
    return (struct tercet_store_op){.kind = TERCET_STORE_META_DELETE, .name = name};
}

struct tercet_store_op op_drop(int64_t time_ms)
{
    return (struct tercet_store_op){.kind = TERCET_STORE_DROP, .time_ms = time_ms};
}
