/* SPDX-License-Identifier: Apache-2.0
 *
 * promise.h
 */
#include "promise.h"

int promise_rank(int state)
{
    static const int ranks[] = {0, 1, 2, 2, 3, 3};
    return ranks[state];
}

int promise_decision(int state)
{
    if (promise_rank(state) < 2)
        return 0;
    return state == TXN_CONFIRMING || state == TXN_CONFIRMED ? TXN_CONFIRMING : TXN_CANCELLING;
}

void promise_show(struct promise *promise, const char *gid, int decision)
{
    if (decision == 0)
        return;
    if (promise->shown != 0 && promise->shown != decision)
        violation("S2", "%s was seen decided %d, now %d", gid, promise->shown, decision);
    promise->shown = decision;
}

/* S1 */
static void agree(const struct promise *promise, const char *gid)
{
    int confirms = 0, cancels = 0;
    for (int b = 1; b <= PROMISE_BRANCHES; b++) {
        const struct effects *effects = &promise->effects[b];
        bool is_left_out = (promise->left_out >> b & 1) != 0;
        confirms += effects->confirms;
        cancels += is_left_out ? 0 : effects->cancels + effects->is_cancelled_empty;
        if (is_left_out && effects->confirms > 0)
            violation("S1", "%s/%d is confirmed, and its confirmation leaves it out", gid, b);
    }
    if (confirms > 0 && cancels > 0)
        violation("S1", "%s: one branch confirmed, another cancelled", gid);
}

void promise_effect(struct promise *promise, const char *gid, uint32_t branch, char op)
{
    struct effects *effects = &promise->effects[branch];
    if (op == 't' && (effects->cancels > 0 || effects->is_cancelled_empty))
        violation("S7", "%s/%u is tried after its cancel", gid, branch);
    if ((op == 'c' || op == 'x') && effects->tries == 0)
        violation("S5", "%s/%u: effect %c without a try", gid, branch, op);
    effects->tries += op == 't';
    effects->confirms += op == 'c';
    effects->cancels += op == 'x';
    effects->is_cancelled_empty |= op == 'e';
    if (effects->tries > 1 || effects->confirms + effects->cancels > 1)
        violation("S6", "%s/%u: effect %c happened twice", gid, branch, op);
    agree(promise, gid);
}

void promise_rest(const struct promise *promise, const char *gid, uint32_t branch, int state)
{
    const struct effects *effects = &promise->effects[branch];
    int ends = effects->confirms + effects->cancels;
    bool is_left_out = (promise->left_out >> branch & 1) != 0;
    if (effects->tries == 1 && ends == 0)
        violation("L2", "%s/%u is held for ever", gid, branch);
    if (state == TXN_CONFIRMED && effects->confirms == 0 && !is_left_out)
        violation("L2", "%s/%u: the transaction is confirmed, the branch is not", gid, branch);
    if ((state == TXN_CONFIRMED && effects->cancels > 0 && !is_left_out) ||
        (state == TXN_CANCELLED && effects->confirms > 0))
        violation("S1", "%s/%u has ended otherwise than its transaction, which is %d", gid, branch,
                  state);
}
