/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of a record at the proxy: drawn by a seed, as strong as the storm is, and counted.
 * Any thread.
 */
#ifndef TERCET_TORTURE_FATE_H
#define TERCET_TORTURE_FATE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define FATE_MAP(X)                                                                                \
    X(FATE_PASSED, "passed")                                                                       \
    X(FATE_DROPPED, "dropped")                                                                     \
    X(FATE_TWICE, "twice")     /* now, and once more soon */                                       \
    X(FATE_LATE, "late")       /* now, and once more later */                                      \
    X(FATE_HELD, "held")       /* others overtake it */                                            \
    X(FATE_STALLED, "stalled") /* a direction, for a while */                                      \
    X(FATE_CUT, "cut")         /* a stream, both ways */                                           \
    X(FATE_HALF_CLOSED, "half-closed")                                                             \
    X(FATE_DELIVERED, "late-delivered")                                                            \
    X(FATE_ANSWERED, "late-answered")

enum fate {
#define FATE_ENUM(name, text) name,
    FATE_MAP(FATE_ENUM)
#undef FATE_ENUM
        FATE_COUNT
};

void fate_seed(uint64_t seed);

/* Draws how strong each fault is this time, and forgets the counts. */
void fate_storm(void);
/* From now on everything passes. */
void fate_calm(void);
bool fate_is_storm(void);

/* One of the first five, counted. `has_late`: whether late copies of such a record are wanted. */
enum fate fate_of_record(bool has_late);

/* 0 to limit - 1. */
uint64_t fate_random(uint64_t limit);

void fate_count(enum fate fate);

/* "passed=1 dropped=0 ..." since the storm began, without a line's end. */
void fate_print(FILE *file);

#endif
