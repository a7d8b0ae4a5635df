/* SPDX-License-Identifier: Apache-2.0
 *
 * budget.h
 */
#include "budget.h"

#include <assert.h>

bool budget_take(struct budget *budget, size_t own, size_t size)
{
    if (budget == NULL)
        return true;
    size_t used = atomic_fetch_add(&budget->used, size) + size;
    size_t free = used < budget->max ? budget->max - used : 0;
    bool may = used <= budget->max && (own + size <= BUDGET_OWN_MIN || own + size <= free + size);
    if (!may)
        atomic_fetch_sub(&budget->used, size);
    return may;
}

void budget_give(struct budget *budget, size_t size)
{
    if (budget == NULL)
        return;
    size_t before = atomic_fetch_sub(&budget->used, size);
    assert(before >= size);
}
