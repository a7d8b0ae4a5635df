/* SPDX-License-Identifier: Apache-2.0
 *
 * How long the records of transactions that are over are kept. They are kept and dropped by a clock
 * of their own, which runs while a coordinator runs and is written down: by the wall clock, one
 * that jumps would drop what has just ended, and a repeated Run would begin anew (S11, S14).
 */
#ifndef TERCET_RETENTION_H
#define TERCET_RETENTION_H

#include "arena.h"

#include <stdint.h>

#define RETENTION_CLOCK "retention"  /* name of the meta record that keeps the clock */
#define RETENTION_CHECKS 10          /* in a retention time, */
#define RETENTION_CHECK_MS_MAX 60000 /* but one a minute at least */

struct shard;

struct retention {
    int64_t check_ms;  /* when retention_check is due, by the monotonic clock */
    int64_t offset_ms; /* retention clock = monotonic clock + offset */
};

/* What the retention clock says at a time of the monotonic one. */
static inline int64_t retention_now_ms(const struct retention *retention, int64_t now_ms)
{
    return now_ms + retention->offset_ms;
}

/* When it is time to: writes the clock down, and drops what ended longer ago than `keep_ms`.
 * `scratch` is used for the length of the call. */
void retention_check(struct shard *shard, struct arena *scratch, int64_t keep_ms);

#endif
