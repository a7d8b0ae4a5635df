/* SPDX-License-Identifier: Apache-2.0
 *
 * What the outcome of a call means to its transaction: the event of the core that it is, and what
 * is kept of it.
 */
#ifndef TERCET_OUTCOME_H
#define TERCET_OUTCOME_H

#include "outcalls.h"

struct coordinator;

/* Tells the core what a finished call (outcalls_take_finished) means for its transaction. */
void outcome_apply(struct coordinator *c, const struct outcall *call);

#endif
