/* SPDX-License-Identifier: Apache-2.0
 *
 * shard.h
 */
#include "shard.h"

#include <assert.h>
#include <stddef.h>

void shard_init(struct shard *shard, uint32_t number, const struct clock *clock)
{
    shard->number = number;
    shard->clock = clock;
    table_init(&shard->table, clock->now_ms);
    batcher_init(&shard->batcher);
}

void shard_clear(struct shard *shard)
{
    assert(shard->table.count == 0);
    table_free(&shard->table);
    batcher_free(&shard->batcher);
}

/* A store that is made anew, or restored from a backup, goes on above the numbers that were given
 * without it: participants keep the highest mark they saw, and would refuse what is at or below it.
 * A second of wall clock is worth 2^20 numbers; the sum stays below 2^53. */
int shard_acquire(struct shard *shard)
{
    uint64_t by_clock = (uint64_t)(shard->clock->wall_ms / 1000) << 20;
    struct tercet_store_lease lease;
    int rc = store_acquire(shard->store, shard->number, &lease);
    if (rc != 0)
        return rc;
    shard->epoch = lease.epoch;
    shard->source = lease.source;
    shard->next_number = lease.next_number > by_clock ? lease.next_number : by_clock;
    return 0;
}

struct entry *shard_add(struct shard *shard, const char *gid, uint64_t number)
{
    struct entry *entry = table_add(&shard->table, gid, number);
    entry->shard = shard;
    return entry;
}

uint64_t shard_low_water(const struct shard *shard)
{
    const struct entry *oldest = shard->table.oldest;
    assert(oldest == NULL || oldest->number < shard->next_number);
    return (oldest != NULL ? oldest->number : shard->next_number) - 1;
}
