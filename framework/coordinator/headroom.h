/* SPDX-License-Identifier: Apache-2.0
 *
 * Room in the store. How much there is, and what to say when there is none, the store's driver
 * knows (struct tercet_store_stats); it leaves enough to end what is open: work that releases
 * resources is never refused. Between two looks at the store's size, what is taken is counted.
 */
#ifndef TERCET_HEADROOM_H
#define TERCET_HEADROOM_H

#include <refusal.h>
#include <stdbool.h>
#include <stdint.h>
#include <store.h>

struct headroom {
    struct tercet_store_stats stats; /* as of the last look */
    const char *refuses;             /* why new work is refused; NULL: it is not */
    uint64_t taken_bytes;            /* by new work since the start, at most */
    uint64_t durable_bytes;          /* of these, so many are written */
    uint64_t seen_bytes;             /* durable_bytes when the store was last asked for its size */
    int64_t check_ms;                /* when the next look is due */
    int rc;                          /* the store's result when it was last asked */
};

/* Looks at the store's size when it is time to. Whether new work is refused from now on, or taken
 * again, where it was the other way before. */
bool headroom_check(struct headroom *headroom, struct store *store, int64_t now_ms);

/* 0: new work that takes so many bytes (store_room_of) can be taken, and is counted. Else
 * TERCET_EXHAUSTED. */
int headroom_take(struct headroom *headroom, uint64_t bytes, struct refusal *no);

#endif
