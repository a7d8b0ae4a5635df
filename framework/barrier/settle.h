/* SPDX-License-Identifier: Apache-2.0
 *
 * What a commit has made of the calls of a batch, where a database decides only then whether a row
 * was changed as it was asked (tercet_barrier_driver.outcome).
 */
#ifndef BARRIER_SETTLE_H
#define BARRIER_SETTLE_H

#include "pool.h"

/* The result of a call whose answer was built on a change that did not come about: it is run again.
 * Nobody outside of the barrier sees it. */
#define SETTLE_RUN_AGAIN 1

/* After a commit: gives the call the answer that the database has found, or SETTLE_RUN_AGAIN. */
void settle_call(struct tercet_barrier *barrier, void *state, const struct tercet_barrier_key *key,
                 struct tercet_barrier_call *call);

/* Frees the reply; frees all that the call was answered with, but for its result. */
void settle_drop_reply(struct tercet_barrier_call *call);
void settle_drop_answer(struct tercet_barrier_call *call);

#endif
