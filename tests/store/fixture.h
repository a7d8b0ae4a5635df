/* SPDX-License-Identifier: Apache-2.0
 *
 * A store of either driver in a directory of its own, and its contents as text, so that tests read
 * as stories.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <criterion/criterion.h>
#include <string.h>

#include "contents.h"

enum fixture_driver { FIXTURE_MEMORY, FIXTURE_LMDB };

struct fixture {
    enum fixture_driver driver;
    struct tercet_store_options options;
    char root[64]; /* removed at the end, with what is in it */
    char dir[80];  /* the store's */
    struct store *store;
    uint64_t epoch;
    uint64_t next_number;
    uint64_t source;
    char text[CONTENTS_MAX]; /* what the functions below return */
};

/* Opens and acquires. Buckets are bucket_ms wide (0: a day). */
void fixture_open(struct fixture *fixture, enum fixture_driver driver, int64_t bucket_ms);

/* Only makes the directory. */
void fixture_prepare(struct fixture *fixture, enum fixture_driver driver, int64_t bucket_ms);

/* Opens what was prepared, or closes and opens again; acquires. The memory store is only acquired
 * again. */
void fixture_reopen(struct fixture *fixture);
void fixture_acquire(struct fixture *fixture);
void fixture_close(struct fixture *fixture);

/* The next commit fails and leaves nothing. */
void fixture_fail_next(struct fixture *fixture);

/* "1.0=a 1.1=b": number, part, value. */
const char *fixture_live(struct fixture *fixture);
/* "2=b 1=a": the resolved ones as they are paged, `limit` a page; the pages are parted by "|". */
const char *fixture_resolved(struct fixture *fixture, size_t limit);
/* "name=value" */
const char *fixture_meta(struct fixture *fixture);
/* "2=b" or the text of the error. */
const char *fixture_find(struct fixture *fixture, const char *gid);
const char *fixture_find_number(struct fixture *fixture, uint64_t number);

#define COMMIT(fixture, ...)                                                                       \
    store_commit((fixture)->store, 0, (fixture)->epoch, (struct tercet_store_op[]){__VA_ARGS__},   \
                 sizeof((struct tercet_store_op[]){__VA_ARGS__}) / sizeof(struct tercet_store_op))
#define COMMIT_OK(fixture, ...) cr_assert_eq(COMMIT(fixture, __VA_ARGS__), 0)

#endif
