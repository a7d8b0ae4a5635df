/* SPDX-License-Identifier: Apache-2.0
 *
 * An LMDB database of a test's own, with a barrier and a ledger in it. Each line of the ledger has
 * a number, so that an effect that is done twice is there twice.
 */
#ifndef LMDB_PLACE_H
#define LMDB_PLACE_H

#include <lmdb.h>
#include <tercet/barrier.h>

#define BYTES_MAX ((uint64_t)64 << 20) /* unless a test says otherwise */

struct place {
    char folder[64];
    struct tercet_barrier *barrier;
    MDB_dbi ledger;
};

/* A new folder; no barrier yet. */
struct place place_new(void);
void place_remove(struct place *place);

/* Opens the barrier and the ledger; options may be NULL. A code of the barrier's. */
int place_try_open(struct place *place, const struct tercet_barrier_options *options, char *text);
/* The same; it must work. */
void place_open(struct place *place, const struct tercet_barrier_options *options);

/* Inside a hook. 0, or what the hook is to return. */
int place_write(struct place *place, MDB_txn *txn, const char *gid, uint32_t branch,
                enum tercet_kind kind);
/* A hook, its ctx the place: writes a line. */
int place_hook(struct tercet_barrier_call *call, tercet_db db, void *place);
/* How many lines there are of this gid (NULL: any) and kind (0: any). */
int place_count(struct place *place, const char *gid, int kind);

#endif
