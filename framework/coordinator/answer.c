/* SPDX-License-Identifier: Apache-2.0
 *
 * answer.h
 */
#include "answer.h"

#include "coordinator.h"

#include <assert.h>

void answer_owe(struct answers *answers, struct caller *caller)
{
    caller->open_count++;
    answers->owed_count++;
}

static void finish_if_done(struct caller *caller)
{
    if (caller->is_half_closed && caller->open_count == 0)
        outbox_finish(caller->outbox);
}

void answer_settle(struct answers *answers, struct caller *caller)
{
    assert(caller->open_count > 0 && answers->owed_count > 0);
    caller->open_count--;
    answers->owed_count--;
    finish_if_done(caller);
}

void answer_half_close(struct caller *caller)
{
    assert(caller->kind == CALLER_SESSION);
    caller->is_half_closed = true;
    finish_if_done(caller);
}

static void touch(struct answers *answers, struct caller *caller)
{
    if (caller->is_touched || caller->kind != CALLER_SESSION)
        return;
    caller_ref(caller);
    caller->is_touched = true;
    caller->touched_next = answers->touched;
    answers->touched = caller;
}

void answer_deliver(struct answers *answers, struct caller *caller, const struct answer *answer)
{
    caller_deliver(caller, answer);
    touch(answers, caller);
}

void answer_give(struct coordinator *c, struct caller *caller, uint64_t id,
                 const struct reply *reply)
{
    struct answer answer = caller_encode(caller, &c->scratch, id, reply);
    answer_deliver(&c->answers, caller, &answer);
}

void answer_error(struct coordinator *c, struct caller *caller, uint64_t id,
                  const struct refusal *no)
{
    struct reply reply = {.no = no};
    answer_give(c, caller, id, &reply);
}

void answer_flush(struct answers *answers)
{
    while (answers->touched != NULL) {
        struct caller *caller = answers->touched;
        answers->touched = caller->touched_next;
        caller->is_touched = false;
        caller_flush(caller);
        caller_unref(caller);
    }
}
