/* SPDX-License-Identifier: Apache-2.0
 *
 * check.h: the rules.
 */
#include "check.h"

#include <stdio.h>
#include <string.h>

/* How far a transaction is; 0: it is not known. */
static int rank_of_state(int state)
{
    switch (state) {
    case TERCET_TRYING:
        return 1;
    case TERCET_CONFIRMING:
    case TERCET_CANCELLING:
        return 2;
    case TERCET_CONFIRMED:
    case TERCET_CANCELLED:
        return 3;
    default:
        return 0;
    }
}

/* How far it is at least, after this answer; -1: the answer says nothing. A try that was done has
 * begun it. */
static int rank_of(const struct observation *seen)
{
    if (seen->state != 0)
        return rank_of_state(seen->state);
    if (seen->code == TERCET_NOT_FOUND)
        return 0;
    return strcmp(seen->op, "try") == 0 && seen->code == 0 ? 1 : -1;
}

/* Whether the answer says exactly how far it is. */
static bool is_exact(const struct observation *seen)
{
    return seen->state != 0 || seen->code == TERCET_NOT_FOUND;
}

/* TERCET_CONFIRMED or TERCET_CANCELLED as the decision was told; 0: it was not. */
static int decision_of(const struct observation *seen)
{
    if (seen->state == TERCET_CONFIRMING || seen->state == TERCET_CONFIRMED)
        return TERCET_CONFIRMED;
    if (seen->state == TERCET_CANCELLING || seen->state == TERCET_CANCELLED)
        return TERCET_CANCELLED;
    return 0;
}

static bool is_asked(const struct transaction *transaction, char why[256])
{
    snprintf(why, 256, "nobody asked for it, and it %s",
             transaction->has_effects ? "has effects" : "was told of");
    return transaction->is_asked;
}

/* Who asks after another was told, or after a confirm or cancel left the coordinator, does not hear
 * of less. */
static bool is_forward(const struct transaction *transaction, char why[256])
{
    for (size_t i = 0; i < transaction->count; i++) {
        const struct observation *after = &transaction->observations[i];
        for (size_t j = 0; is_exact(after) && j < transaction->count; j++) {
            const struct observation *before = &transaction->observations[j];
            if (before->told_us >= after->asked_us || rank_of(before) <= rank_of(after))
                continue;
            snprintf(why, 256, "a %s was told %s, and then a %s %s", before->op,
                     before->state != 0 ? tercet_state_name(before->state) : "that it is done",
                     after->op,
                     after->state != 0 ? tercet_state_name(after->state) : "that there is none");
            return false;
        }
    }
    return true;
}

static bool is_decided_once(const struct transaction *transaction, char why[256])
{
    const struct observation *first = NULL;
    for (size_t i = 0; i < transaction->count; i++) {
        const struct observation *seen = &transaction->observations[i];
        if (decision_of(seen) == 0)
            continue;
        if (first == NULL)
            first = seen;
        if (decision_of(seen) == decision_of(first))
            continue;
        snprintf(why, 256, "a %s was told %s, a %s %s", first->op, tercet_state_name(first->state),
                 seen->op, tercet_state_name(seen->state));
        return false;
    }
    return true;
}

/* "Done" to a decision is that decision, and no other. */
static bool is_kept(const struct transaction *transaction, char why[256])
{
    for (size_t i = 0; i < transaction->count; i++) {
        const struct observation *seen = &transaction->observations[i];
        int wanted = strcmp(seen->op, "cancel") == 0 ? TERCET_CANCELLED : TERCET_CONFIRMED;
        if (seen->code != 0 ||
            (strcmp(seen->op, "run") != 0 && strcmp(seen->op, "confirm") != 0 &&
             strcmp(seen->op, "cancel") != 0) ||
            (decision_of(seen) == wanted && transaction->final == wanted))
            continue;
        snprintf(why, 256, "%s was acknowledged with %s; it ended %s", seen->op,
                 seen->state != 0 ? tercet_state_name(seen->state) : "no state",
                 transaction->final != 0 ? tercet_state_name(transaction->final) : "unknown");
        return false;
    }
    return true;
}

static bool has_ended(const struct transaction *transaction, char why[256])
{
    snprintf(why, 256, "it is %s at the end",
             !transaction->is_final_known ? "not told"
             : transaction->final == 0    ? "unknown, with effects"
                                          : tercet_state_name(transaction->final));
    if (!transaction->is_final_known)
        return false;
    return transaction->final == 0 ? !transaction->has_effects
                                   : rank_of_state(transaction->final) == 3;
}

const struct story_rule story_rules[] = {
    {"everything was asked for by somebody", is_asked},
    {"states never step backwards (S3, S10)", is_forward},
    {"nobody was told another decision (S2)", is_decided_once},
    {"every acknowledged decision is kept (S12)", is_kept},
    {"everything has ended (L1)", has_ended},
};
const size_t story_rule_count = sizeof(story_rules) / sizeof(story_rules[0]);
