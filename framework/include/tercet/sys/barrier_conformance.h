/* SPDX-License-Identifier: Apache-2.0
 *
 * For writers of barrier drivers: whether a barrier over a driver of theirs answers as
 * <tercet/barrier.h> says. Link tercet::conformance (pkg-config tercet-conformance), say how a
 * database is made and a ledger in it is written and counted, and run the cases; our own drivers
 * pass the same. It needs no test framework: each case is reported by a call.
 *
 * A case gets an empty database, opens a barrier on it, and calls it from the calling thread only.
 * What several connections do at once is not tried here, nor what happens when the database fails.
 */
#ifndef TERCET_SYS_BARRIER_CONFORMANCE_H
#define TERCET_SYS_BARRIER_CONFORMANCE_H

#include <tercet/sys/barrier.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tercet_barrier_conformance {
    size_t size; /* sizeof(struct tercet_barrier_conformance) */
    /* Makes an empty database with an empty ledger: lines of gid, branch and kind, without a unique
     * key, so that an effect that is done twice shows. *place is given to the functions below. Not
     * 0: the case fails. */
    int (*make)(void **place, void *ctx);
    /* Takes it away; its barrier is closed. */
    void (*remove)(void *place, void *ctx);
    /* Opens a barrier on the database; 0 or a TERCET_ code. Twice for one place where a case closes
     * it and opens it again. Pass the options on to tercet_barrier_new. */
    int (*open)(struct tercet_barrier **out, void *place,
                const struct tercet_barrier_options *options, void *ctx);
    /* Inside a hook: writes a line to the ledger by the hook's handle. Returns 0, or what the hook
     * is to return. The work of hooks that fail must be undone by the barrier; where the handle is
     * NULL, which can undo nothing, only hooks that do not fail write. */
    int (*write)(void *place, tercet_db db, const char *gid, uint32_t branch, enum tercet_kind kind,
                 void *ctx);
    /* Outside of hooks: how many lines of this gid (NULL: any) and kind (0: any) are committed. */
    int (*count)(void *place, const char *gid, int kind, void *ctx);
    /* The rows outlive a close, and the database has an identity. false (a database in memory): it
     * is empty after each open, and has none. */
    bool is_lasting;
    /* After each case; failure is NULL when it passed, else what was wrong, until it returns. */
    void (*report)(const char *name, const char *failure, void *ctx);
    void *ctx; /* given to the functions above */
};

/* The name of the i-th case, such as "every_cell"; NULL past the last. */
const char *tercet_barrier_conformance_case(size_t i);

/* Runs the case named `only`, or all (NULL). Returns how many failed. A case that fails may leave
 * memory allocated. */
int tercet_barrier_conformance_run(const struct tercet_barrier_conformance *suite,
                                   const char *only);

#ifdef __cplusplus
}
#endif
#endif
