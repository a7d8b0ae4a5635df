/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture.h.
 */
#include "fixture.h"

#include <ftw.h>
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
    (void)stat;
    (void)type;
    (void)walk;
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

const char *fixture_live(struct fixture *fixture)
{
    return contents_live(fixture->store, fixture->text);
}

const char *fixture_resolved(struct fixture *fixture, size_t limit)
{
    return contents_resolved(fixture->store, limit, fixture->text);
}

const char *fixture_meta(struct fixture *fixture)
{
    return contents_meta(fixture->store, fixture->text);
}

const char *fixture_find(struct fixture *fixture, const char *gid)
{
    return contents_find(fixture->store, gid, 0, fixture->text);
}

const char *fixture_find_number(struct fixture *fixture, uint64_t number)
{
    return contents_find(fixture->store, NULL, number, fixture->text);
}
