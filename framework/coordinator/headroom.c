/* SPDX-License-Identifier: Apache-2.0
 *
 * headroom.h
 */
#include "headroom.h"

#include "owner.h"

#define CHECK_MS 200 /* between two looks at the store's size */

/* Why there is no room for so many bytes more; NULL: there is. A store that has not said yet how
 * much it has gets no new work. */
static const char *no_room(const struct coordinator *c, uint64_t more)
{
    if (c->store_stats.room_bytes > 0 && more <= c->store_stats.room_bytes)
        return NULL;
    return c->store_stats.room_text[0] != '\0'
               ? c->store_stats.room_text
               : "the store does not say how much room it has: try again";
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

uint64_t headroom_of(struct coordinator *c, uint64_t size)
{
    return store_room_of(c->store, size);
}

const char *headroom_take(struct coordinator *c, uint64_t room)
{
    const char *text =
        c->refuses != NULL ? c->refuses : no_room(c, c->bytes_taken - c->bytes_seen + room);
    if (text == NULL)
        c->bytes_taken += room;
    return text;
}
