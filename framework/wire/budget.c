/* SPDX-License-Identifier: Apache-2.0
 *
 * budget.h
 */
#include "budget.h"

#include <assert.h>

bool budget_take(struct budget *budget, size_t own, size_t size)
{
    return budget_take_in(budget, NULL, own, size);
}

void budget_give(struct budget *budget, size_t size)
{
    budget_give_in(budget, NULL, size);
}

/* `free`: of the budget, before `size` is taken; `others`: what the group has. */
static bool may_take(size_t free, const struct budget_group *group, size_t others, size_t own,
                     size_t size)
{
    size_t room = free > others ? free - others : 0;
    if (size > free)
        return false;
    if (group != NULL && others + size > BUDGET_GROUP_MIN && others + size > free)
        return false;
    return own + size <= BUDGET_OWN_MIN || own + size <= room;
}

bool budget_take_in(struct budget *budget, struct budget_group *group, size_t own, size_t size)
{
    if (budget == NULL)
        return true;
    size_t used = atomic_fetch_add(&budget->used, size);
    size_t others = group != NULL ? atomic_fetch_add(&group->used, size) : 0;
    bool may = may_take(used < budget->max ? budget->max - used : 0, group, others, own, size);
    if (!may)
        budget_give_in(budget, group, size);
    return may;
}

void budget_force_in(struct budget *budget, struct budget_group *group, size_t size)
{
    if (budget == NULL)
        return;
    atomic_fetch_add(&budget->used, size);
    if (group != NULL)
        atomic_fetch_add(&group->used, size);
}

void budget_give_in(struct budget *budget, struct budget_group *group, size_t size)
{
    if (budget == NULL)
        return;
    size_t before = atomic_fetch_sub(&budget->used, size);
    assert(before >= size);
    if (group == NULL)
        return;
    before = atomic_fetch_sub(&group->used, size);
    assert(before >= size);
}
