/* SPDX-License-Identifier: Apache-2.0
 *
 * wheel.h
 */
#include "wheel.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

void wheel_init(struct wheel *wheel, int64_t now_ms)
{
    assert(now_ms >= 0);
    memset(wheel, 0, sizeof(*wheel));
    wheel->now_ms = now_ms;
    wheel->due_end = &wheel->due;
}

static void push(struct wheel_node **head, struct wheel_node *node)
{
    node->next = *head;
    node->link = head;
    if (node->next != NULL)
        node->next->link = &node->next;
    *head = node;
}

static void append_due(struct wheel *wheel, struct wheel_node *node)
{
    assert(*wheel->due_end == NULL);
    node->next = NULL;
    node->link = wheel->due_end;
    *wheel->due_end = node;
    wheel->due_end = &node->next;
}

static unsigned digit(int64_t ms, int level)
{
    return (unsigned)((uint64_t)ms >> (WHEEL_BITS * level)) & (WHEEL_SLOTS - 1);
}

/* The highest digit in which two different times differ. */
static int level_of(int64_t a_ms, int64_t b_ms)
{
    return (63 - __builtin_clzll((uint64_t)a_ms ^ (uint64_t)b_ms)) / WHEEL_BITS;
}

static void put(struct wheel *wheel, struct wheel_node *node)
{
    if (node->at_ms <= wheel->now_ms) {
        append_due(wheel, node);
        return;
    }
    int level = level_of(node->at_ms, wheel->now_ms);
    unsigned slot = digit(node->at_ms, level);
    assert(level < WHEEL_LEVELS && slot > digit(wheel->now_ms, level));
    push(&wheel->slots[level][slot], node);
    wheel->used[level] |= 1ull << slot;
}

/* When `link` is the head of a slot's list, that slot is empty now. */
static void note_empty(struct wheel *wheel, struct wheel_node *const *link)
{
    struct wheel_node *const *first = &wheel->slots[0][0];
    if (link < first || link >= first + WHEEL_LEVELS * WHEEL_SLOTS)
        return;
    size_t index = (size_t)(link - first);
    wheel->used[index / WHEEL_SLOTS] &= ~(1ull << index % WHEEL_SLOTS);
}

static void take(struct wheel *wheel, struct wheel_node *node)
{
    struct wheel_node **link = node->link;
    if (link == NULL)
        return;
    assert(*link == node);
    *link = node->next;
    if (node->next != NULL)
        node->next->link = link;
    else if (wheel->due_end == &node->next)
        wheel->due_end = link;
    else
        note_empty(wheel, link);
    node->link = NULL;
}

void wheel_set(struct wheel *wheel, struct wheel_node *node, int64_t at_ms)
{
    if (node->link != NULL && node->at_ms == at_ms)
        return;
    take(wheel, node);
    node->at_ms = at_ms;
    if (at_ms != WHEEL_NEVER)
        put(wheel, node);
}

/* The lowest level that is not empty, or -1. All its slots are ahead of the wheel's time, and come
 * before every slot of the levels above. */
static int first_level(const struct wheel *wheel)
{
    for (int level = 0; level < WHEEL_LEVELS; level++)
        if (wheel->used[level] != 0)
            return level;
    return -1;
}

/* When the level's first slot begins. */
static int64_t first_slot_ms(const struct wheel *wheel, int level)
{
    int shift = WHEEL_BITS * level;
    uint64_t slot = (uint64_t)__builtin_ctzll(wheel->used[level]);
    uint64_t above = shift + WHEEL_BITS < 64
                         ? (uint64_t)wheel->now_ms >> (shift + WHEEL_BITS) << (shift + WHEEL_BITS)
                         : 0;
    return (int64_t)(above | slot << shift);
}

/* The wheel's time is the beginning of the slot: its nodes move to lower levels, or are due. The
 * list has the newest first. */
static void empty_slot(struct wheel *wheel, int level)
{
    assert(level >= 0 && level < WHEEL_LEVELS && wheel->used[level] != 0);
    unsigned slot = (unsigned)__builtin_ctzll(wheel->used[level]);
    struct wheel_node *node = wheel->slots[level][slot];
    struct wheel_node *reversed = NULL;
    wheel->slots[level][slot] = NULL;
    wheel->used[level] &= wheel->used[level] - 1;
    while (node != NULL) {
        struct wheel_node *next = node->next;
        node->next = reversed;
        reversed = node;
        node = next;
    }
    while (reversed != NULL) {
        struct wheel_node *next = reversed->next;
        put(wheel, reversed);
        reversed = next;
    }
}

void wheel_advance(struct wheel *wheel, int64_t now_ms)
{
    int level;
    assert(now_ms >= 0);
    while ((level = first_level(wheel)) >= 0) {
        int64_t start_ms = first_slot_ms(wheel, level);
        if (start_ms > now_ms)
            break;
        assert(start_ms > wheel->now_ms);
        wheel->now_ms = start_ms;
        empty_slot(wheel, level);
    }
    if (now_ms > wheel->now_ms)
        wheel->now_ms = now_ms;
}

struct wheel_node *wheel_due(const struct wheel *wheel)
{
    return wheel->due;
}

int64_t wheel_next_ms(const struct wheel *wheel)
{
    if (wheel->due != NULL)
        return wheel->now_ms;
    int level = first_level(wheel);
    return level < 0 ? WHEEL_NEVER : first_slot_ms(wheel, level);
}
