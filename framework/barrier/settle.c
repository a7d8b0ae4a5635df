/* SPDX-License-Identifier: Apache-2.0
 *
 * settle.h
 */
#include "settle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void settle_drop_reply(struct tercet_barrier_call *call)
{
    free(call->reply);
    call->reply = NULL;
    call->reply_size = 0;
}

void settle_drop_answer(struct tercet_barrier_call *call)
{
    settle_drop_reply(call);
    free(call->reason);
    call->reason = NULL;
    call->broken = 0;
}

static enum tercet_barrier_state state_after(enum tercet_kind kind)
{
    return kind == TERCET_TRY       ? TERCET_BARRIER_TRIED
           : kind == TERCET_CONFIRM ? TERCET_BARRIER_CONFIRMED
                                    : TERCET_BARRIER_CANCELLED;
}

/* The text as the reply or the reason: both are the caller's. */
static void take_text(struct tercet_barrier_call *call,
                      const struct tercet_barrier_outcome *outcome)
{
    char *text = malloc(outcome->text_size + 1);
    if (text != NULL) {
        memcpy(text, outcome->text, outcome->text_size);
        text[outcome->text_size] = '\0';
    }
    settle_drop_answer(call);
    if (text == NULL && outcome->verdict == TERCET_BARRIER_REPLIED)
        call->result = TERCET_STORE; /* the row has it, for who asks again */
    else if (outcome->verdict == TERCET_BARRIER_REPLIED)
        call->reply = text;
    else
        call->reason = text;
    call->reply_size = call->reply != NULL ? outcome->text_size : 0;
}

/* The answer of the call whose change it was. */
static void take_verdict(struct tercet_barrier *barrier, struct tercet_barrier_call *call,
                         const struct tercet_barrier_outcome *outcome)
{
    char line[2 * TERCET_TEXT_MAX];
    if (outcome->verdict == TERCET_BARRIER_LATE) {
        settle_drop_answer(call);
        call->result = TERCET_REFUSED;
        return;
    }
    if (outcome->verdict == TERCET_BARRIER_REFUSED)
        call->result = call->kind == TERCET_TRY ? TERCET_REFUSED : TERCET_AGAIN;
    if (outcome->verdict == TERCET_BARRIER_FAILED)
        call->result = TERCET_STORE;
    take_text(call, outcome);
    if (outcome->verdict != TERCET_BARRIER_FAILED || barrier->on_log == NULL)
        return;
    snprintf(line, sizeof(line), "barrier: a hook's work on branch %" PRIu32 " of %s failed: %.*s",
             call->branch, call->gid, (int)outcome->text_size, outcome->text);
    barrier->on_log(TERCET_LOG_ERROR, line, barrier->log_ctx);
}

void settle_call(struct tercet_barrier *barrier, void *state, const struct tercet_barrier_key *key,
                 struct tercet_barrier_call *call)
{
    struct tercet_barrier_outcome outcome = {.verdict = TERCET_BARRIER_AS_ASKED};
    if (call->result == TERCET_INVALID)
        return;
    barrier->driver.outcome(state, key, &outcome);
    bool is_its_own = outcome.to == state_after(call->kind);
    if (outcome.verdict == TERCET_BARRIER_AS_ASKED ||
        (outcome.verdict == TERCET_BARRIER_REPLIED && !is_its_own))
        return;
    if (outcome.verdict == TERCET_BARRIER_MET || !is_its_own) {
        settle_drop_answer(call);
        call->result = SETTLE_RUN_AGAIN;
        return;
    }
    take_verdict(barrier, call, &outcome);
}
