/* SPDX-License-Identifier: Apache-2.0
 *
 * What must hold of a transaction between any two steps, written without looking at the rules that
 * keep it so. It judges records from the disk too: nothing in them is taken for granted but the
 * array's size.
 */
#include "txn.h"

static bool options_are_sound(const struct txn_options *options)
{
    return options->retry_base_ms > 0 && options->retry_cap_ms > 0 &&
           options->parked_retry_ms > 0 && options->park_attempts > 0 && options->park_after_ms > 0;
}

static bool cause_is_sound(const struct txn *txn)
{
    switch (txn->state) {
    case TXN_TRYING:
        return txn->cause == TXN_CAUSE_NONE;
    case TXN_CONFIRMING:
    case TXN_CONFIRMED:
        return txn->cause == TXN_CAUSE_INITIATOR || txn->cause == TXN_CAUSE_ALL_TRIED ||
               txn->cause == TXN_CAUSE_OPERATOR;
    case TXN_CANCELLING:
    case TXN_CANCELLED:
        return txn->cause != TXN_CAUSE_NONE && txn->cause != TXN_CAUSE_ALL_TRIED &&
               txn->cause <= TXN_CAUSE_OPERATOR;
    default:
        return false;
    }
}

static bool flags_are_sound(const struct txn_branch *branch)
{
    switch (branch->end_state) {
    case TXN_END_NONE:
        return !branch->is_parked && !branch->is_broken && !branch->is_settled;
    case TXN_END_WAITING:
    case TXN_END_CALLING:
        return !branch->is_settled && (branch->is_parked || !branch->is_broken);
    case TXN_END_DONE:
        return !branch->is_parked;
    default:
        return false;
    }
}

/* The coordinator knows the state of tries that it calls, and never that of the others. */
static bool try_is_sound(const struct txn_branch *branch)
{
    switch (branch->try_state) {
    case TXN_TRY_OWN:
        return branch->mode == TXN_MODE_OWN;
    case TXN_TRY_WAITING:
    case TXN_TRY_CALLING:
    case TXN_TRY_DONE:
    case TXN_TRY_REFUSED:
    case TXN_TRY_UNKNOWN:
        return branch->mode == TXN_MODE_ROUTED;
    default:
        return false;
    }
}

static bool is_confirmation(const struct txn *txn)
{
    return txn->state == TXN_CONFIRMING || txn->state == TXN_CONFIRMED;
}

/* A branch that was never sent a try has no answer to one. It ends with the decision, without any
 * call; a confirmed transaction has such branches only if it is confirmed in part. */
static bool sent_is_sound(const struct txn *txn, const struct txn_branch *branch)
{
    switch (branch->sent) {
    case TXN_SENT_MAYBE:
        return true;
    case TXN_SENT_NOT:
    case TXN_SENT_HELD:
        break;
    default:
        return false;
    }
    if (branch->try_state == TXN_TRY_OWN || branch->try_state == TXN_TRY_DONE ||
        branch->try_state == TXN_TRY_REFUSED)
        return false;
    return txn->state == TXN_TRYING ||
           (branch->end_state == TXN_END_DONE && !branch->is_broken && !branch->is_settled &&
            branch->attempts == 0 && (!is_confirmation(txn) || txn->is_partial));
}

static bool branch_is_sound(const struct txn *txn, const struct txn_branch *branch)
{
    bool is_ending = txn->state != TXN_TRYING;
    return branch->number <= TXN_BRANCHES_MAX && try_is_sound(branch) && flags_are_sound(branch) &&
           sent_is_sound(txn, branch) && is_ending == (branch->end_state != TXN_END_NONE);
}

/* A partial confirm needs an initiator that judges failures itself, and at least one branch that is
 * left out. */
static bool part_is_sound(const struct txn *txn, size_t undone_count)
{
    return !txn->is_partial || (is_confirmation(txn) && txn->options.keeps_on_refusal &&
                                !txn->options.decides_itself && undone_count > 0);
}

bool txn_is_sound(const struct txn *txn)
{
    if (!cause_is_sound(txn) || !options_are_sound(&txn->options) ||
        txn->branch_count > txn->branch_capacity) {
        return false;
    }
    uint32_t previous = 0;
    size_t ended_count = 0;
    size_t undone_count = 0;
    for (size_t i = 0; i < txn->branch_count; i++) {
        const struct txn_branch *branch = &txn->branches[i];
        if (branch->number <= previous || !branch_is_sound(txn, branch))
            return false;
        previous = branch->number;
        ended_count += branch->end_state == TXN_END_DONE;
        undone_count += branch->try_state != TXN_TRY_OWN && branch->try_state != TXN_TRY_DONE;
    }
    if (!part_is_sound(txn, undone_count))
        return false;
    return txn->state == TXN_TRYING || (ended_count == txn->branch_count) == txn_is_resolved(txn);
}
