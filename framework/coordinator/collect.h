/* SPDX-License-Identifier: Apache-2.0
 *
 * Dropping what is kept of transactions that are over, before the retention does: an operator's
 * wish when the store fills. Whole buckets of the store go.
 */
#ifndef TERCET_COLLECT_H
#define TERCET_COLLECT_H

#include "request.h"

/* Whoever asks again under a gid that was dropped begins anew: what is younger stays. */
#define COLLECT_AGE_MS_MIN (3600 * 1000)

/* METHOD_COLLECT. */
void collect(struct request *r, const ProtobufCMessage *message);

#endif
