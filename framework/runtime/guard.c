/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h (public): one call through the barrier, for services that initiators call
 * themselves.
 */
#include <stdlib.h>
#include <tercet/participant.h>

int tercet_barrier_guard(struct tercet_barrier *barrier, enum tercet_kind kind, const char *gid,
                         struct tercet_branch_id branch, uint64_t number, tercet_barrier_hook hook,
                         void *ctx, struct tercet_bytes *reply)
{
    struct tercet_barrier_call call = {
        .gid = gid,
        .branch = branch.number,
        .number = number,
        .kind = kind,
        .hook = hook,
        .ctx = ctx,
    };
    tercet_barrier_run(barrier, &call, 1);
    if (call.result == 0 && reply != NULL)
        *reply = (struct tercet_bytes){.data = call.reply, .size = call.reply_size};
    else
        free(call.reply);
    return call.result;
}
