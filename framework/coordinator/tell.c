/* SPDX-License-Identifier: Apache-2.0
 *
 * tell.h
 */
#include "tell.h"

#include "coordinator.h"
#include "effect.h"
#include "snapshot.h"

void tell_entry(struct coordinator *c, struct caller *caller, uint64_t id, struct entry *entry,
                const struct refusal *no)
{
    struct reply reply = {no, &snapshot_of_entry(c, &c->scratch, entry)->base};
    effect_answer(c, caller, id, &reply, entry);
}

/* A try that is done is told at once: its mark may be lost, the participant would say it again.
 * Everything else is told when it is durable. */
void tell_try(struct coordinator *c, struct caller *caller, uint64_t id, struct entry *entry,
              const struct txn_branch *branch)
{
    if (!caller_takes(caller))
        return; /* many may wait for a large reply */
    struct reply reply = {.message = &snapshot_of_try(&c->scratch, entry, branch)->base};
    if (branch->try_state == TXN_TRY_DONE && entry->txn.state == TXN_TRYING)
        answer_give(c, caller, id, &reply);
    else
        effect_answer(c, caller, id, &reply, entry);
}

void tell_resolved(struct coordinator *c, struct caller *caller, uint64_t id, uint64_t number,
                   const Tercet__Store__V1__Resolved *resolved, const struct refusal *no)
{
    Tercet__V1__Transaction *snapshot = snapshot_of_resolved(&c->scratch, number, resolved);
    struct reply reply = {no, &snapshot->base};
    answer_give(c, caller, id, &reply);
}
