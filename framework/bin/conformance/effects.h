/* SPDX-License-Identifier: Apache-2.0
 *
 * Effects, as far as --probe shows them: whole numbers that hooks change. What one try, one confirm
 * and one cancel change is learned from the first of each; from then on the numbers must have
 * changed by what the effects so far add up to. Without a probe everything is right.
 */
#ifndef CONFORMANCE_EFFECTS_H
#define CONFORMANCE_EFFECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tercet/types.h>

#define EFFECTS_NUMBERS_MAX 16
#define EFFECTS_TEXT_MAX 1024
#define EFFECTS_KINDS 4 /* the index is an enum tercet_kind */

struct effects {
    const char *command; /* NULL: nothing is known of effects */
    size_t count;
    int64_t base[EFFECTS_NUMBERS_MAX]; /* what the wanted effects are counted from */
    long wanted[EFFECTS_KINDS];
    int64_t change[EFFECTS_KINDS][EFFECTS_NUMBERS_MAX]; /* by one of them */
    bool is_learned[EFFECTS_KINDS];
    char wrong[EFFECTS_TEXT_MAX]; /* why the last look failed; "": it did not */
};

/* Counts anew from what is there. */
void effects_begin(struct effects *effects);

/* One more effect of this kind is there, if all is right. Looks, the first time to learn. */
bool effects_add(struct effects *effects, enum tercet_kind kind);

/* Whether the numbers are what the wanted effects make of them. */
bool effects_hold(struct effects *effects);

/* The same, where each of `count` branches may have been tried and cancelled besides, or not. */
bool effects_hold_with_pairs(struct effects *effects, long count);

#endif
