/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h: what a call does, and how it is counted.
 */
#include "participant.h"

int participant_effect(struct participant *participant, const char *gid, uint32_t branch,
                       enum operation operation, tercet_db db)
{
    struct shared *shared = participant->shared;
    uint64_t seq;
    if (!seq_of_gid(shared, gid, &seq) || branch == 0 || branch > shared->options.branches)
        return 0; /* left over from another run at the same coordinator */
#ifdef BENCH_SQLITE
    if (participant->ledger != NULL)
        return ledger_add(participant->ledger, db, seq, branch, operation);
#else
    (void)db;
#endif
    uint8_t *effects = &shared->effects[seq * shared->options.branches + branch - 1];
    *effects = effects_add(*effects, operation);
    return 0;
}
