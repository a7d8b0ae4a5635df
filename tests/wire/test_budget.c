/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared memory: what each may have of it.
 */
#include "budget.h"

#include <criterion/criterion.h>

#define MAX ((size_t)100 << 20)

/* What one gets who takes and never gives back. */
static size_t take_all(struct budget *budget)
{
    size_t own = 0;
    while (budget_take(budget, own, 4096))
        own += 4096;
    return own;
}

Test(budget, one_alone_gets_half)
{
    struct budget budget = {.max = MAX};
    size_t own = take_all(&budget);
    cr_assert(own > MAX / 2 - 8192 && own <= MAX / 2 + 8192, "%zu", own);
    budget_give(&budget, own);
    cr_assert_eq(take_all(&budget), own);
}

Test(budget, many_get_the_same_and_leave_some)
{
    enum { COUNT = 40 };
    struct budget budget = {.max = MAX};
    size_t own[COUNT] = {0}, least = MAX, most = 0;
    bool goes_on = true;
    while (goes_on) {
        goes_on = false;
        for (int i = 0; i < COUNT; i++)
            if (budget_take(&budget, own[i], 4096)) {
                own[i] += 4096;
                goes_on = true;
            }
    }
    for (int i = 0; i < COUNT; i++) {
        least = own[i] < least ? own[i] : least;
        most = own[i] > most ? own[i] : most;
    }
    cr_assert_leq(most - least, 8192);
    cr_assert_leq(budget.used, MAX);
    cr_assert_gt(least, MAX / (COUNT + 2));
    cr_assert(budget_take(&budget, 0, 1 << 20), "who comes next gets some");
}

/* Until none of the group gets more. */
static void take_all_in(struct budget *budget, struct budget_group *group, size_t count,
                        size_t own[])
{
    for (bool goes_on = true; goes_on;) {
        goes_on = false;
        for (size_t i = 0; i < count; i++)
            if (budget_take_in(budget, group, own[i], 4096)) {
                own[i] += 4096;
                goes_on = true;
            }
    }
}

Test(budget, a_group_has_no_more_than_one_for_being_many)
{
    enum { COUNT = 4000 };
    static size_t own[COUNT];
    struct budget budget = {.max = MAX};
    struct budget_group group = {0}, other = {0};
    take_all_in(&budget, &group, COUNT, own);
    cr_assert_leq(group.used, MAX / 2 + 8192, "%zu", group.used);
    cr_assert_gt(group.used, MAX / 4);
    cr_assert_eq(budget.used, group.used);
    cr_assert(budget_take_in(&budget, &other, 0, MAX / 8), "another group gets much");
    for (size_t i = 0; i < COUNT; i++)
        budget_give_in(&budget, &group, own[i]);
    budget_give_in(&budget, &other, MAX / 8);
    cr_assert_eq(budget.used, 0);
    cr_assert_eq(group.used, 0);
}

/* Some of an address that never read leave room to those that do. */
Test(budget, who_comes_next_in_a_group_gets_some)
{
    enum { COUNT = 40 };
    size_t own[COUNT] = {0};
    struct budget budget = {.max = MAX};
    struct budget_group group = {0};
    take_all_in(&budget, &group, COUNT, own);
    cr_assert_gt(own[0], (size_t)1 << 20);
    cr_assert(budget_take_in(&budget, &group, 0, 1 << 20));
}

Test(budget, little_is_always_there_and_never_more_than_all)
{
    struct budget budget = {.max = MAX};
    size_t taken = 0;
    while (budget_take(&budget, 0, BUDGET_OWN_MIN))
        taken += BUDGET_OWN_MIN;
    cr_assert_eq(taken, MAX);
    cr_assert_eq(budget.used, MAX);
    cr_assert(budget_take(NULL, MAX, MAX), "no budget, no limit");
}

/* What is there already is counted, however much it is, and given back like the rest. */
Test(budget, what_is_forced_is_counted)
{
    struct budget budget = {.max = MAX};
    struct budget_group group = {0};
    budget_force_in(NULL, &group, 1);
    budget_force_in(&budget, NULL, MAX);
    budget_force_in(&budget, &group, 3);
    cr_assert_eq(budget.used, MAX + 3);
    cr_assert_eq(group.used, 3);
    cr_assert_not(budget_take(&budget, 0, 1), "nothing is left");
    budget_give_in(&budget, &group, 3);
    budget_give(&budget, MAX);
    cr_assert_eq(budget.used, 0);
    cr_assert_eq(group.used, 0);
}
