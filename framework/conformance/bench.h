/* SPDX-License-Identifier: Apache-2.0
 *
 * What the cases of the store's suite share: an open store, its contents as text, and checks that
 * end the case.
 */
#ifndef TERCET_CONFORMANCE_BENCH_H
#define TERCET_CONFORMANCE_BENCH_H

#include <store.h>
#include <string.h>
#include <tercet/sys/store_conformance.h>

#include "contents.h"

#define BENCH_NAME_MAX 4096

struct bench {
    const struct tercet_store_conformance *suite;
    char name[BENCH_NAME_MAX];
    struct store *store;
    struct tercet_store_lease lease;
    char text[CONTENTS_MAX];    /* what the functions below return */
    char failure[CONTENTS_MAX]; /* empty: nothing is wrong so far */
};

void bench_acquire(struct bench *bench);
/* Closes, opens and acquires again; a store that does not last is only acquired. */
void bench_reopen(struct bench *bench);

const char *bench_live(struct bench *bench);
const char *bench_resolved(struct bench *bench, size_t limit);
const char *bench_meta(struct bench *bench);
const char *bench_find(struct bench *bench, const char *gid);
const char *bench_find_number(struct bench *bench, uint64_t number);

/* Notes what is wrong, the first time. */
void bench_fail(struct bench *bench, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* These return from the function that they stand in. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (bench->failure[0] == '\0' && !(condition))                                             \
            bench_fail(bench, "line %d: not so: %s", __LINE__, #condition);                        \
        if (bench->failure[0] != '\0')                                                             \
            return;                                                                                \
    } while (0)
#define CHECK_TEXT(got, wanted)                                                                    \
    do {                                                                                           \
        const char *text_got = (got), *text_wanted = (wanted);                                     \
        if (bench->failure[0] == '\0' && strcmp(text_got, text_wanted) != 0)                       \
            bench_fail(bench, "line %d: %s is \"%s\", not \"%s\"", __LINE__, #got, text_got,       \
                       text_wanted);                                                               \
        if (bench->failure[0] != '\0')                                                             \
            return;                                                                                \
    } while (0)

#define COMMIT(...)                                                                                \
    store_commit(bench->store, 0, bench->lease.epoch, (struct tercet_store_op[]){__VA_ARGS__},     \
                 sizeof((struct tercet_store_op[]){__VA_ARGS__}) / sizeof(struct tercet_store_op))
#define COMMIT_OK(...) CHECK(COMMIT(__VA_ARGS__) == 0)

struct bench_case {
    const char *name;
    void (*run)(struct bench *bench);
    bool needs_failure; /* needs fail_next */
};
extern const struct bench_case read_cases[], write_cases[]; /* ended by a NULL name */

#endif
