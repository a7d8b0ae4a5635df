/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h: what a call does, and how it is counted.
 */
#include "database.h"

int participant_effect(struct participant *participant, const char *gid, uint32_t branch,
                       enum operation operation, tercet_db db)
{
    struct shared *shared = participant->shared;
    uint64_t seq;
    if (!seq_of_gid(shared, gid, &seq) || branch == 0 || branch > shared->options.branches)
        return 0; /* left over from another run at the same coordinator */
    if (participant->database != NULL)
        return participant->database->add(db, seq, branch, operation);
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

void participant_count_row(struct participant *participant, uint64_t seq, uint32_t branch,
                           enum operation operation)
{
    struct shared *shared = participant->shared;
    if (seq >= SEQ_MAX || branch == 0 || branch > shared->options.branches)
        return;
    uint8_t *effects = &shared->effects[seq * shared->options.branches + branch - 1];
    *effects = effects_add(*effects, operation);
}
