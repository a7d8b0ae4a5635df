/* SPDX-License-Identifier: Apache-2.0
 *
 * headroom.h
 */
#include "headroom.h"

#include <assert.h>
#include <stddef.h>

#define CHECK_MS 200 /* between two looks at the store's size */

static const char *text_of(const struct headroom *headroom)
{
    return headroom->stats.room_text[0] != '\0'
               ? headroom->stats.room_text
               : "the store does not say how much room it has: try again";
}

/* Why there is no room for so many bytes more; NULL: there is. A store that has not said yet how
 * much it has gets no new work. */
static const char *no_room(const struct headroom *headroom, uint64_t more)
{
    const struct tercet_store_stats *stats = &headroom->stats;
    assert(headroom->seen_bytes <= headroom->taken_bytes);
    more += headroom->taken_bytes - headroom->seen_bytes;
    return more > stats->room_bytes || stats->room_bytes == 0 ? text_of(headroom) : NULL;
}

bool headroom_check(struct headroom *headroom, struct store *store, int64_t now_ms)
{
    if (now_ms < headroom->check_ms)
        return false;
    headroom->check_ms = now_ms + CHECK_MS;
    uint64_t durable_bytes = headroom->durable_bytes;
    headroom->rc = store_stats(store, &headroom->stats);
    if (headroom->rc != 0)
        return false;
    headroom->seen_bytes = durable_bytes;
    bool was_refusing = headroom->refuses != NULL;
    headroom->refuses = no_room(headroom, 0);
    return was_refusing != (headroom->refuses != NULL);
}

int headroom_take(struct headroom *headroom, uint64_t bytes, struct refusal *no)
{
    const char *text = headroom->refuses != NULL ? headroom->refuses : no_room(headroom, bytes);
    if (text == NULL)
        headroom->taken_bytes += bytes;
    return refusal_if(no, TERCET_EXHAUSTED, text);
}
