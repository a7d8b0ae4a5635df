/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the core: when a branch is called again, and sums of times.
 */
#ifndef TERCET_TXN_PACE_H
#define TERCET_TXN_PACE_H

#include "txn.h"

/* Past the end of time is never. */
static inline int64_t pace_later(int64_t now_ms, int64_t delay_ms)
{
    int64_t sum;
    return __builtin_add_overflow(now_ms, delay_ms, &sum) ? TXN_NEVER : sum;
}

static inline int64_t pace_earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How long to wait after a failure, the attempts-th of the branch's phase: 1 to retry_cap_ms. */
int64_t pace_retry(const struct txn *txn, const struct txn_branch *branch);
/* The same of a parked branch: half of parked_retry_ms, to all of it. */
int64_t pace_parked(const struct txn *txn, const struct txn_branch *branch);

#endif
