/* SPDX-License-Identifier: Apache-2.0
 *
 * The timing wheel against a list that is searched from end to end.
 */
#include "wheel.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define NODES 200
#define STEPS 20000

static uint64_t draw(uint64_t *state, uint64_t limit)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % limit;
}

/* Near, far, past, never: every level gets its share. */
static int64_t draw_time(uint64_t *state, int64_t now_ms)
{
    switch (draw(state, 8)) {
    case 0:
        return WHEEL_NEVER;
    case 1:
        return now_ms - (int64_t)draw(state, (uint64_t)now_ms + 1);
    case 2:
        return WHEEL_NEVER - 1 - (int64_t)draw(state, 1000);
    default:
        return now_ms + (int64_t)draw(state, 1ull << (1 + draw(state, 40)));
    }
}

static int64_t earliest(const struct wheel_node *nodes)
{
    int64_t at_ms = WHEEL_NEVER;
    for (size_t i = 0; i < NODES; i++)
        if (nodes[i].link != NULL && nodes[i].at_ms < at_ms)
            at_ms = nodes[i].at_ms;
    return at_ms;
}

/* Nothing is due early, nothing late. */
static void take_due(struct wheel *wheel, struct wheel_node *nodes, int64_t now_ms)
{
    struct wheel_node *node;
    wheel_advance(wheel, now_ms);
    while ((node = wheel_due(wheel)) != NULL) {
        cr_assert_leq(node->at_ms, now_ms);
        wheel_set(wheel, node, WHEEL_NEVER);
    }
    cr_assert_gt(earliest(nodes), now_ms, "something is due and was not told");
}

static void check_next(const struct wheel *wheel, const struct wheel_node *nodes, int64_t now_ms)
{
    int64_t first_ms = earliest(nodes);
    int64_t next_ms = wheel_next_ms(wheel);
    if (first_ms == WHEEL_NEVER)
        cr_assert_eq(next_ms, WHEEL_NEVER);
    else if (first_ms <= now_ms)
        cr_assert_eq(next_ms, now_ms);
    else
        cr_assert(next_ms > now_ms && next_ms <= first_ms, "the next time is too late, or spins");
}

Test(wheel, it_wakes_what_a_search_would_wake)
{
    static struct wheel_node nodes[NODES];
    struct wheel wheel;
    uint64_t state = 1;
    int64_t now_ms = 123456789;
    wheel_init(&wheel, now_ms);
    for (int i = 0; i < STEPS; i++) {
        struct wheel_node *node = &nodes[draw(&state, NODES)];
        wheel_set(&wheel, node, draw_time(&state, now_ms));
        check_next(&wheel, nodes, now_ms);
        if (draw(&state, 4) != 0)
            continue;
        now_ms += (int64_t)draw(&state, 1ull << draw(&state, 30));
        take_due(&wheel, nodes, now_ms);
    }
}

Test(wheel, what_is_due_comes_in_the_order_in_which_it_became_so)
{
    struct wheel_node nodes[4] = {{0}};
    struct wheel wheel;
    wheel_init(&wheel, 0);
    wheel_set(&wheel, &nodes[0], 70);
    wheel_set(&wheel, &nodes[1], 5000);
    wheel_set(&wheel, &nodes[2], 5000);
    wheel_set(&wheel, &nodes[3], 71);
    wheel_advance(&wheel, 6000);
    const size_t order[] = {0, 3, 1, 2};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(wheel_due(&wheel), &nodes[order[i]], "the %zuth", i);
        wheel_set(&wheel, &nodes[order[i]], WHEEL_NEVER);
    }
    cr_assert_null(wheel_due(&wheel));
}

Test(wheel, a_time_that_goes_back_changes_nothing)
{
    struct wheel_node node = {0};
    struct wheel wheel;
    wheel_init(&wheel, 1000);
    wheel_set(&wheel, &node, 1500);
    wheel_advance(&wheel, 1400);
    wheel_advance(&wheel, 0);
    cr_assert_null(wheel_due(&wheel));
    wheel_advance(&wheel, 1500);
    cr_assert_eq(wheel_due(&wheel), &node);
}
