/* SPDX-License-Identifier: Apache-2.0
 *
 * For writers of store drivers: whether a driver does what <tercet/sys/store.h> says. Link
 * tercet::conformance (pkg-config tercet-conformance), say how a store is made, and run the cases;
 * our own drivers pass the same. It needs no test framework: each case is reported by a call.
 *
 * A case opens a store of its own, with buckets of 1,000 ms, acquires shard 0 and uses it through
 * the driver's table. It runs in the calling thread (one starts a second) and takes some
 * milliseconds of work besides what the driver takes; one commits 2,051 records, one 400 batches.
 */
#ifndef TERCET_SYS_STORE_CONFORMANCE_H
#define TERCET_SYS_STORE_CONFORMANCE_H

#include <tercet/sys/store.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tercet_store_conformance {
    size_t size; /* sizeof(struct tercet_store_conformance) */
    const struct tercet_store_driver *driver;
    /* Before each case: writes a name (what stands behind the scheme's colon, in `name_size` bytes)
     * under which there is no store, or an empty one. Not 0: the case fails. */
    int (*make)(char *name, size_t name_size, void *ctx);
    /* After each case, when the store is closed: takes it away. NULL: there is nothing to do. */
    void (*remove)(const char *name, void *ctx);
    /* Sees to it that the next commit of this open store fails, is TERCET_STORE_UNKNOWN and leaves
     * nothing. NULL: that cannot be had, and what needs it is left out. */
    void (*fail_next)(void *state, void *ctx);
    /* What was committed is there after closing and opening again. false (a store in memory): where
     * a case would close and open, it only acquires again. */
    bool is_lasting;
    /* After each case; failure is NULL when it passed, else what was wrong, until it returns. */
    void (*report)(const char *name, const char *failure, void *ctx);
    void *ctx; /* given to the functions above */
};

/* The name of the i-th case, such as "numbers_are_never_reused"; NULL past the last. */
const char *tercet_store_conformance_case(size_t i);

/* Runs the case named `only`, or all (NULL). Returns how many failed. */
int tercet_store_conformance_run(const struct tercet_store_conformance *suite, const char *only);

#ifdef __cplusplus
}
#endif
#endif
