/* SPDX-License-Identifier: Apache-2.0
 *
 * retention.h
 */
#include "retention.h"

#include "batch.h"
#include "record.h"
#include "shard.h"

static int64_t pause_ms(int64_t keep_ms)
{
    int64_t pause_ms = keep_ms / RETENTION_CHECKS;
    return pause_ms < RETENTION_CHECK_MS_MAX ? pause_ms + 1 : RETENTION_CHECK_MS_MAX;
}

void retention_check(struct shard *shard, struct arena *scratch, int64_t keep_ms)
{
    Tercet__Store__V1__Clock clock = TERCET__STORE__V1__CLOCK__INIT;
    if (shard->clock->now_ms < shard->retention.check_ms)
        return;
    shard->retention.check_ms = shard->clock->now_ms + pause_ms(keep_ms);
    clock.time_ms = retention_now_ms(&shard->retention, shard->clock->now_ms);
    batch_put_meta(shard, RETENTION_CLOCK, record_encode(scratch, RECORD_CLOCK, &clock.base));
    batch_drop_resolved(shard, clock.time_ms - keep_ms);
    table_trim(&shard->table);
}
