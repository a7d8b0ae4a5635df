/* SPDX-License-Identifier: Apache-2.0
 *
 * What callers are owed, and given. An answer that may be given at once is given here; one that
 * must wait until its state is durable goes through effect.h. The owner's.
 */
#ifndef TERCET_ANSWER_H
#define TERCET_ANSWER_H

#include "caller.h"

struct coordinator;

struct answers {
    struct caller *touched; /* sessions with answers to flush */
    uint64_t owed_count;    /* watchers' not counted */
};

/* Begins and ends a debt: an answer is owed to the caller. */
void answer_owe(struct answers *answers, struct caller *caller);
void answer_settle(struct answers *answers, struct caller *caller);
/* The session sends nothing more: it ends when it has all its answers. */
void answer_half_close(struct caller *caller);

/* Queues an encoded answer; it is sent at the end of the turn. */
void answer_deliver(struct answers *answers, struct caller *caller, const struct answer *answer);
/* Encodes an answer, or a refusal, and hands it over. `id` is the request's in its session. */
void answer_give(struct coordinator *c, struct caller *caller, uint64_t id,
                 const struct reply *reply);
void answer_error(struct coordinator *c, struct caller *caller, uint64_t id,
                  const struct refusal *no);
/* Sends the answers that were queued in this turn. */
void answer_flush(struct answers *answers);

#endif
