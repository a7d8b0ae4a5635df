/* SPDX-License-Identifier: Apache-2.0
 *
 * A shard: one set of transactions, with the store that holds it. What belongs to the process
 * (server, streams, access, participants, calls) is not in it. Numbers, epoch and low-water mark
 * are the shard's own. The owner's, but for the store, which the committer writes.
 */
#ifndef TERCET_SHARD_H
#define TERCET_SHARD_H

#include "batch.h"
#include "headroom.h"
#include "retention.h"
#include "table.h"

#include <store.h>

/* The time of a turn: everything that the turn does, it does at this time. */
struct clock {
    int64_t now_ms;  /* monotonic: what waits is measured by it */
    int64_t wall_ms; /* since 1970: what is written down */
};

/* The difference between the two: wall = monotonic + offset. */
static inline int64_t clock_offset_ms(const struct clock *clock)
{
    return clock->wall_ms - clock->now_ms;
}

struct shard {
    uint32_t number;           /* in its store */
    const struct clock *clock; /* the process's */
    struct store *store;
    uint64_t epoch;       /* under which it was acquired */
    uint64_t source;      /* its identity, kept in the store from its birth */
    uint64_t next_number; /* of the next transaction */
    struct table table;
    struct batcher batcher;
    struct retention retention;
    struct headroom headroom;
};

/* Makes a zeroed shard, empty and without a store. `clock` lives longer. */
void shard_init(struct shard *shard, uint32_t number, const struct clock *clock);
/* Frees it, but for its store. It has no entries and no effects any more. */
void shard_clear(struct shard *shard);

/* Acquires it in its store: epoch and next number. 0 or a code of the store. */
int shard_acquire(struct shard *shard);

/* A new entry of this shard, without branches. `number` is larger than every one before. */
struct entry *shard_add(struct shard *shard, const char *gid, uint64_t number);

/* Every transaction numbered up to here has ended, durably. */
uint64_t shard_low_water(const struct shard *shard);

#endif
