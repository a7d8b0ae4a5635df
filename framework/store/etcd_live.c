/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd_store.h: which parts are live. etcd has them; here they are counted, in a table hashed by
 * number with open addressing.
 */
#include "etcd_store.h"

#include <stdlib.h>
#include <string.h>

#define PLACES_MIN 64u

static size_t start_of(const struct etcd_live *live, uint64_t number)
{
    return (size_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (live->place_count - 1);
}

/* The number's place, or the empty one where it belongs. */
static struct etcd_parts *place_of(const struct etcd_live *live, uint64_t number)
{
    size_t i = start_of(live, number);
    while (live->places[i].number != 0 && live->places[i].number != number)
        i = (i + 1) & (live->place_count - 1);
    return &live->places[i];
}

static void grow(struct etcd_live *live)
{
    struct etcd_live old = *live;
    if (live->place_count > 0 && (live->used + 1) * 2 <= live->place_count)
        return;
    live->place_count = old.place_count > 0 ? old.place_count * 2 : PLACES_MIN;
    live->places = etcd_alloc(live->place_count * sizeof(*live->places));
    for (size_t i = 0; i < old.place_count; i++)
        if (old.places[i].number != 0)
            *place_of(live, old.places[i].number) = old.places[i];
    free(old.places);
}

void etcd_live_put(struct etcd_live *live, uint64_t number, uint32_t part)
{
    grow(live);
    struct etcd_parts *at = place_of(live, number);
    for (uint32_t i = 0; i < at->count; i++)
        if (at->parts[i] == part)
            return;
    if (at->count == at->capacity) {
        at->capacity = at->capacity > 0 ? at->capacity * 2 : 4;
        at->parts = realloc(at->parts, at->capacity * sizeof(*at->parts));
        if (at->parts == NULL)
            abort();
    }
    live->used += at->number == 0;
    at->number = number;
    at->parts[at->count++] = part;
    live->parts++;
}

/* What stood behind the place moves up, so that it is found from where it belongs. */
static void close_gap(struct etcd_live *live, struct etcd_parts *gap)
{
    size_t mask = live->place_count - 1;
    size_t hole = (size_t)(gap - live->places);
    for (size_t i = (hole + 1) & mask; live->places[i].number != 0; i = (i + 1) & mask) {
        size_t home = start_of(live, live->places[i].number);
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        live->places[hole] = live->places[i];
        hole = i;
    }
    live->places[hole] = (struct etcd_parts){.number = 0};
    live->used--;
}

static bool has(const struct etcd_live *live, uint64_t number)
{
    return live->place_count > 0 && place_of(live, number)->number != 0;
}

void etcd_live_forget(struct etcd_live *live, uint64_t number)
{
    if (!has(live, number))
        return;
    struct etcd_parts *at = place_of(live, number);
    live->parts -= at->count;
    free(at->parts);
    close_gap(live, at);
}

void etcd_live_delete(struct etcd_live *live, uint64_t number, uint32_t part)
{
    if (!has(live, number))
        return;
    struct etcd_parts *at = place_of(live, number);
    for (uint32_t i = 0; i < at->count; i++) {
        if (at->parts[i] != part)
            continue;
        at->parts[i] = at->parts[--at->count];
        live->parts--;
        break;
    }
    if (at->count == 0)
        etcd_live_forget(live, number);
}

void etcd_live_clear(struct etcd_live *live)
{
    for (size_t i = 0; i < live->place_count; i++)
        free(live->places[i].parts);
    free(live->places);
    memset(live, 0, sizeof(*live));
}
