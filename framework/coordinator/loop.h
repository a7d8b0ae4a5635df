/* SPDX-License-Identifier: Apache-2.0
 *
 * The owner: the one thread that has all transactions. A turn drains the events, does what is due,
 * steps the core, hands batches to the committer, and flushes what may go out. No locks, no waiting
 * for participants.
 */
#ifndef TERCET_LOOP_H
#define TERCET_LOOP_H

#include "coordinator.h"

/* One turn: everything that was posted, everything that is due. The thread does nothing but this; a
 * simulation calls it with a clock of its own. Takes the events over. */
void loop_turn(struct coordinator *c, struct event *events, int64_t now_ms, int64_t wall_ms);
/* When the next turn is due although nothing is posted. */
int64_t loop_next_turn_ms(const struct coordinator *c);

/* What has become of the shard's batch in flight: the store's result. What depends on it leaves,
 * what is over with it is forgotten; or the coordinator fails. */
void loop_committed(struct coordinator *c, struct shard *shard, int rc);

/* Starts the owner's thread. TERCET_NOMEM. */
int loop_start(struct coordinator *c);
/* Finishes what is to be written, and ends the thread. */
void loop_stop(struct coordinator *c);
/* New transactions are refused from here on; waits until no answer is owed to anybody who is still
 * there, not longer than until then, by the monotonic clock. */
void loop_drain(struct coordinator *c, int64_t until_ms);

#endif
