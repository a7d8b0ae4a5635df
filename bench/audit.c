/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h: was every effect there exactly once? A hook's work happens at most once; a confirmed
 * transaction has each branch tried and confirmed; a cancelled one has no branch confirmed, and
 * each that was tried is cancelled. One whose outcome was not told may be either, but the same for
 * all branches.
 */
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>

static const char *wrong_with_branch(uint8_t effects, enum outcome outcome)
{
    unsigned tries = effects_get(effects, OPERATION_TRY);
    unsigned confirms = effects_get(effects, OPERATION_CONFIRM);
    unsigned cancels = effects_get(effects, OPERATION_CANCEL);
    if (tries > 1 || confirms > 1 || cancels > 1)
        return "a hook had its effect twice";
    if (confirms > 0 && cancels > 0)
        return "confirmed and cancelled";
    if (tries != confirms + cancels)
        return tries > 0 ? "tried, and neither confirmed nor cancelled"
                         : "confirmed or cancelled without a try";
    if (outcome == OUTCOME_CONFIRMED && confirms == 0)
        return "a confirm is missing";
    if (outcome == OUTCOME_CANCELLED && confirms > 0)
        return "a cancelled transaction has a confirm";
    return NULL;
}

static const char *wrong_with(const uint8_t *effects, uint32_t branches, enum outcome outcome,
                              uint64_t *ran)
{
    bool has_confirm = false;
    bool has_other = false;
    for (uint32_t i = 0; i < branches; i++) {
        const char *wrong = wrong_with_branch(effects[i], outcome);
        for (unsigned operation = OPERATION_TRY; operation <= OPERATION_CANCEL; operation++)
            *ran += effects_get(effects[i], (enum operation)operation);
        if (wrong != NULL)
            return wrong;
        if (effects_get(effects[i], OPERATION_CONFIRM) > 0)
            has_confirm = true;
        else
            has_other = true;
    }
    return has_confirm && has_other ? "one branch is confirmed and another is not" : NULL;
}

static void count_outcome(struct audit *out, enum outcome outcome)
{
    out->transactions++;
    if (outcome == OUTCOME_CONFIRMED)
        out->confirmed++;
    else if (outcome == OUTCOME_CANCELLED)
        out->cancelled++;
    else
        out->unknown++;
}

void audit_run(struct audit *out, const struct shared *shared)
{
    uint32_t branches = shared->options.branches;
    *out = (struct audit){.transactions = 0};
    for (uint64_t seq = 0; seq < shared->seq_end; seq++) {
        enum outcome outcome = (enum outcome)shared->outcomes[seq];
        const char *wrong =
            wrong_with(&shared->effects[seq * branches], branches, outcome, &out->effects);
        count_outcome(out, outcome);
        if (wrong == NULL)
            continue;
        if (out->violations++ == 0)
            snprintf(out->first, sizeof(out->first), "transaction %s-%012" PRIu64 ": %s",
                     shared->run_id, seq, wrong);
    }
}
