/* SPDX-License-Identifier: Apache-2.0
 *
 * A hierarchical timing wheel (Varghese and Lauck, SOSP 1987): timers at a cost that does not
 * depend on how many there are. A node lies at the level of the highest 6 bits in which its time
 * differs from the wheel's; when the wheel's time reaches a slot of a higher level, its nodes move
 * down. Times are milliseconds, not negative. For one thread.
 */
#ifndef TERCET_WHEEL_H
#define TERCET_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_BITS 6
#define WHEEL_SLOTS (1 << WHEEL_BITS)
#define WHEEL_LEVELS 11 /* 66 bits: enough for any int64_t */
#define WHEEL_NEVER INT64_MAX

struct wheel_node {
    struct wheel_node *next;
    struct wheel_node **link; /* the pointer that points here; NULL: the node is in no list */
    int64_t at_ms;
};

struct wheel {
    int64_t now_ms;
    uint64_t used[WHEEL_LEVELS]; /* bit i: slot i is not empty */
    struct wheel_node *slots[WHEEL_LEVELS][WHEEL_SLOTS];
    struct wheel_node *due; /* in the order in which they became due */
    struct wheel_node **due_end;
};

/* An empty wheel whose time is `now_ms`. */
void wheel_init(struct wheel *wheel, int64_t now_ms);

/* Sets when the node is due, instead of what was set before; WHEEL_NEVER: not at all. */
void wheel_set(struct wheel *wheel, struct wheel_node *node, int64_t at_ms);

/* Moves the wheel's time on to `now_ms`: nodes set to then or before become due. A time before the
 * wheel's changes nothing. */
void wheel_advance(struct wheel *wheel, int64_t now_ms);

/* The node that became due first, or NULL. It stays due until it is set again. */
struct wheel_node *wheel_due(const struct wheel *wheel);

/* When to call wheel_advance next: no later than when the next node is due; it may be up to
 * WHEEL_LEVELS - 1 times earlier than that, to move nodes down. The wheel's own time when a node is
 * due already, WHEEL_NEVER when no node is set. */
int64_t wheel_next_ms(const struct wheel *wheel);

#endif
