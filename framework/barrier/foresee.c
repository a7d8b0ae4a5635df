/* SPDX-License-Identifier: Apache-2.0
 *
 * foresee.h
 */
#include "foresee.h"

#include <string.h>

size_t foresee_changes(struct tercet_barrier_change *changes,
                       const struct tercet_barrier_call *call, bool has_ended)
{
    struct tercet_barrier_change change = {
        .key = {.gid = call->gid, .branch = call->branch, .number = call->number},
        .to = call->kind == TERCET_TRY       ? TERCET_BARRIER_TRIED
              : call->kind == TERCET_CONFIRM ? TERCET_BARRIER_CONFIRMED
                                             : TERCET_BARRIER_CANCELLED};
    size_t n = 0;
    if (call->kind != TERCET_CONFIRM && !has_ended)
        changes[n++] = change;
    change.from = TERCET_BARRIER_TRIED;
    if (call->kind != TERCET_TRY)
        changes[n++] = change;
    return n;
}

bool foresee_has_branch(const struct tercet_barrier_call *calls, size_t count,
                        const struct tercet_barrier_call *call)
{
    for (size_t i = 0; i < count; i++)
        if (calls[i].result != TERCET_INVALID && calls[i].branch == call->branch &&
            strcmp(calls[i].gid, call->gid) == 0)
            return true;
    return false;
}
