/* SPDX-License-Identifier: Apache-2.0
 *
 * Images: what a disk may hold when the power goes at one place of the write log. Which place, and
 * which of the writes that were not sure to be there are, follow from a seed and the image's number
 * alone.
 */
#ifndef TERCET_POWER_IMAGE_H
#define TERCET_POWER_IMAGE_H

#include "model.h"

/* What becomes of the writes that are not sure. */
enum image_way {
    WAY_NONE, /* none of them is there */
    WAY_ALL,
    WAY_SOME, /* each is there or not */
    WAY_ALL_BUT_ONE,
    WAY_LAST,     /* only the last: a meta page without its data */
    WAY_SECTORS,  /* each sector is there or not */
    WAY_ONE_TORN, /* all are, but for some sectors of one */
    WAY_COUNT,
};

struct image_plan {
    uint64_t index;
    uint64_t state; /* of the draws */
    size_t cut;     /* so many records of the log have happened */
    enum image_way way;
};

struct image {
    unsigned char *data; /* the largest file's */
    size_t capacity;
    uint64_t hash;   /* of names and contents */
    uint64_t unsure; /* writes that could be there or not */
    uint64_t kept;   /* and are, whole or in part */
    uint64_t torn;   /* in part */
};

/* SplitMix64 (Steele, Lea and Flood 2014): 0..limit - 1. */
uint64_t image_draw(uint64_t *state, uint64_t limit);

/* The places of interest of a log: writes, and syncs that begin. */
struct image_places {
    size_t *items;
    size_t count;
};
void image_places_find(struct image_places *places, const struct power_log *log);

struct image_plan image_plan(const struct power_log *log, const struct image_places *places,
                             uint64_t seed, uint64_t index);

/* Makes the plan's image in the folder, which may hold an earlier one; `model` is at the cut. Ends
 * the process when the folder cannot be written. */
void image_make(struct image *image, const struct model *model, const struct image_plan *plan,
                const char *folder);
void image_free(struct image *image);

#endif
