/* SPDX-License-Identifier: Apache-2.0
 *
 * headroom.h
 */
#include "headroom.h"

#include "owner.h"

#include <assert.h>

#define CHECK_MS 200 /* between two looks at the store's size */

/* Why there is no room for so many bytes more; NULL: there is. */
static const char *no_room(const struct coordinator *c, uint64_t more)
{
    static_assert(STORE_FULL_PERCENT == 80 && DISK_RESERVE_BYTES == 64 << 20, "the texts say so");
    const struct store_stats *stats = &c->store_stats;
    if (stats->bytes_used + more > stats->bytes_max / 100 * STORE_FULL_PERCENT)
        return "the store is 80 % full: new work waits until resolved transactions are dropped, or "
               "give it more with --store-size";
    if (stats->disk_free_bytes < DISK_RESERVE_BYTES + more)
        return "the disk has less than 64 MiB free: new work waits until there is more";
    return NULL;
}

void headroom_check(struct coordinator *c)
{
    if (c->now_ms < c->headroom_check_ms)
        return;
    c->headroom_check_ms = c->now_ms + CHECK_MS;
    uint64_t durable = c->bytes_durable;
    if (store_stats(c->store, &c->store_stats) != 0)
        return;
    c->bytes_seen = durable;
    bool was_refusing = c->refuses != NULL;
    c->refuses = no_room(c, c->bytes_taken - c->bytes_seen);
    if (was_refusing != (c->refuses != NULL))
        owner_log(c, TERCET_LOG_WARNING, "%s",
                  c->refuses != NULL ? c->refuses : "there is room again: new work is taken");
}

/* A large value has pages of its own; the rest is for its key, its action, and its part of the
 * transaction's state. */
uint64_t headroom_of(uint64_t size)
{
    return 500 + (size <= 2000 ? 2 * size : (size + 300 + 4095) / 4096 * 4096);
}

const char *headroom_take(struct coordinator *c, uint64_t room)
{
    const char *text =
        c->refuses != NULL ? c->refuses : no_room(c, c->bytes_taken - c->bytes_seen + room);
    if (text == NULL)
        c->bytes_taken += room;
    return text;
}
