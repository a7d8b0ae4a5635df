/* SPDX-License-Identifier: Apache-2.0
 *
 * What needs no rule: how a transaction begins, and what can be asked of it.
 */
#include "txn.h"

#include <assert.h>

void txn_options_default(struct txn_options *options)
{
    *options = (struct txn_options){
        .retry_base_ms = 100,
        .retry_cap_ms = 60000,
        .parked_retry_ms = 300000,
        .park_attempts = 16,
        .park_after_ms = 600000,
    };
}

void txn_init(struct txn *txn, struct txn_branch *branches, uint16_t capacity,
              const struct txn_options *options, int64_t deadline_ms, uint64_t seed)
{
    *txn = (struct txn){
        .state = TXN_TRYING,
        .cause = TXN_CAUSE_NONE,
        .branch_capacity = capacity,
        .seed = seed,
        .deadline_ms = deadline_ms,
        .options = *options,
        .branches = branches,
    };
    assert(txn_is_sound(txn));
}

bool txn_mode_is_routed(enum txn_mode mode)
{
    switch (mode) {
    case TXN_MODE_ROUTED:
        return true;
    case TXN_MODE_OWN:
        break;
    }
    return false;
}

bool txn_try_is_open(const struct txn_branch *branch)
{
    return branch->try_state == TXN_TRY_WAITING || branch->try_state == TXN_TRY_CALLING;
}

bool txn_refusal_cancels(const struct txn *txn)
{
    return txn->options.decides_itself || !txn->options.keeps_on_refusal;
}

int64_t txn_cancels_ms(const struct txn *txn, uint32_t *number)
{
    assert(txn->state == TXN_TRYING);
    int64_t at_ms = txn->deadline_ms;
    *number = 0;
    for (size_t i = 0; txn_refusal_cancels(txn) && i < txn->branch_count; i++) {
        const struct txn_branch *branch = &txn->branches[i];
        if (txn_try_is_open(branch) && branch->try_until_ms < at_ms) {
            at_ms = branch->try_until_ms;
            *number = branch->number;
        }
    }
    return at_ms;
}

enum txn_owed txn_owed(const struct txn *txn, const struct txn_branch *branch)
{
    if (txn->state == TXN_TRYING)
        return TXN_OWED_UNDECIDED;
    if (branch->sent != TXN_SENT_MAYBE)
        return TXN_OWED_NOTHING;
    if (txn->state == TXN_CANCELLING || txn->state == TXN_CANCELLED)
        return TXN_OWED_CANCEL;
    bool is_vouched_for =
        branch->try_state == TXN_TRY_DONE || branch->try_state == TXN_TRY_OWN || !txn->is_partial;
    return is_vouched_for ? TXN_OWED_CONFIRM : TXN_OWED_CANCEL;
}

size_t txn_parked(const struct txn *txn)
{
    size_t count = 0;
    for (size_t i = 0; i < txn->branch_count; i++)
        count += txn->branches[i].is_parked;
    assert(count == 0 || txn->state == TXN_CONFIRMING || txn->state == TXN_CANCELLING);
    return count;
}

struct txn_branch *txn_find(const struct txn *txn, uint32_t number)
{
    assert(txn->branch_count <= txn->branch_capacity);
    size_t low = 0;
    size_t high = txn->branch_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (txn->branches[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    assert(low == 0 || txn->branches[low - 1].number < number);
    return low < txn->branch_count && txn->branches[low].number == number ? &txn->branches[low]
                                                                          : NULL;
}

bool txn_is_resolved(const struct txn *txn)
{
    return txn->state == TXN_CONFIRMED || txn->state == TXN_CANCELLED;
}
