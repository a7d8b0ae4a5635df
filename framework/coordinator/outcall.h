/* SPDX-License-Identifier: Apache-2.0
 *
 * When calls of hooks leave, and what their answers do to what waits. The owner's.
 *
 * A call waits in its service's queue until somebody has room for it: attached instances first,
 * else a registered target. Instances that do not answer open their service's breaker, a target its
 * own: then one probe goes out at a time, not one call a transaction; when it answers, everything
 * that waits goes, as fast as the windows allow. What waits has not failed: the core's parking
 * clock runs on all the same.
 *
 * A call that is finished, answered or not, is its own outcome: it is taken off every other list
 * and put on the list of the finished, which the loop empties (outcome.h). Nothing here knows what
 * an outcome means to the transaction.
 */
#ifndef TERCET_OUTCALL_H
#define TERCET_OUTCALL_H

#include "outcalls.h"

struct coordinator;

/* Begins the call that the core has asked for, unless the core wants it no more. It leaves now, or
 * when there is room for it. */
void outcall_begin(struct coordinator *c, struct entry *entry, uint32_t branch,
                   enum tercet_kind kind, uint32_t attempt);
/* Takes back what waits and is wanted no more: no try leaves after the decision, and nothing for a
 * branch that was settled. */
void outcall_withdraw(struct coordinator *c, struct entry *entry);
/* The entry will be freed: its calls are abandoned. */
void outcall_forget(struct coordinator *c, struct entry *entry);

/* An answer from the instance (NULL: from a target): the call is finished. NULL `result`: there is
 * none, `text` says why. Both live until the finished calls have been taken. The call's service, in
 * which there may be room now; NULL: no such call was given to it. */
struct service *outcall_answer(struct coordinator *c, const struct instance *instance, uint64_t id,
                               const Tercet__V1__CallResult *result, const char *text);
/* Finishes every call under way at the instance, without an answer. */
void outcall_lose_instance(struct coordinator *c, struct instance *instance);

/* Sends what waits for the service, as far as windows, breaker and pause allow. */
void outcall_pump(struct coordinator *c, struct service *service);
/* The target, or for NULL an instance of the service, has answered: closes the breaker. */
void outcall_close_breaker(struct coordinator *c, struct service *service, struct target *target);
/* The call got no answer: `text` says why. Its breaker counts it. */
void outcall_count_failure(struct coordinator *c, struct outcall *call, const char *text);

#endif
