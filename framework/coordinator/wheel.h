/* SPDX-License-Identifier: Apache-2.0
 *
 * A hierarchical timing wheel (Varghese and Lauck, SOSP 1987): what is to be woken when, at a cost
 * that does not depend on how much waits. A node lies at the level of the highest 6 bits in which
 * its time differs from the wheel's; when the wheel comes to a slot of a higher level, its nodes
 * move down. Times are milliseconds, not negative. One thread's.
 */
#ifndef TERCET_WHEEL_H
#define TERCET_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_BITS 6
#define WHEEL_SLOTS (1 << WHEEL_BITS)
#define WHEEL_LEVELS 11 /* 66 bits: every time there is */
#define WHEEL_NEVER INT64_MAX

struct wheel_node {
    struct wheel_node *next;
    struct wheel_node **link; /* what points here; NULL: it is in no list */
    int64_t at_ms;
};

struct wheel {
    int64_t now_ms;
    uint64_t used[WHEEL_LEVELS]; /* a bit a slot with something in it */
    struct wheel_node *slots[WHEEL_LEVELS][WHEEL_SLOTS];
    struct wheel_node *due; /* in the order in which they became so */
    struct wheel_node **due_end;
};

/* An empty wheel that stands at `now_ms`. */
void wheel_init(struct wheel *wheel, int64_t now_ms);

/* Sets when the node is due, in place of what was set before; WHEEL_NEVER: not at all. */
void wheel_set(struct wheel *wheel, struct wheel_node *node, int64_t at_ms);

/* Makes due what is so by `now_ms`; a time before the last one changes nothing. */
void wheel_advance(struct wheel *wheel, int64_t now_ms);

/* The first that is due, or NULL. It stays so until it is set anew. */
struct wheel_node *wheel_due(const struct wheel *wheel);

/* When wheel_advance has something to do: at the latest when the next node is due, and at most
 * WHEEL_LEVELS - 1 times before. The wheel's own time when something is due already, WHEEL_NEVER
 * when nothing waits. */
int64_t wheel_next_ms(const struct wheel *wheel);

#endif
