/* SPDX-License-Identifier: Apache-2.0
 *
 * engine.h
 */
#include "engine.h"

#include <string.h>

#define RETENTION_MS_DEFAULT (7LL * 24 * 3600 * 1000)
#define OPEN_MAX_DEFAULT 1000000
#define CALL_TIMEOUT_MS_DEFAULT 10000

static void take_options(struct coordinator *c, const struct tercet_coordinator_options *options)
{
    struct tercet_coordinator_options *to = &c->options;
    size_t size = options->size < sizeof(*to) ? options->size : sizeof(*to);
    memcpy(to, options, size);
    to->retention_ms = to->retention_ms != 0 ? to->retention_ms : RETENTION_MS_DEFAULT;
    to->open_max = to->open_max != 0 ? to->open_max : OPEN_MAX_DEFAULT;
    to->call_timeout_ms = to->call_timeout_ms != 0 ? to->call_timeout_ms : CALL_TIMEOUT_MS_DEFAULT;
    struct txn_options defaults;
    txn_options_default(&defaults);
    to->retry_base_ms = to->retry_base_ms != 0 ? to->retry_base_ms : defaults.retry_base_ms;
    to->retry_cap_ms = to->retry_cap_ms != 0 ? to->retry_cap_ms : defaults.retry_cap_ms;
    to->park_after_failures =
        to->park_after_failures != 0 ? to->park_after_failures : defaults.park_attempts;
    to->park_after_ms =
        to->park_after_ms != 0 ? to->park_after_ms : (uint32_t)defaults.park_after_ms;
}

void engine_init(struct coordinator *c, const struct tercet_coordinator_options *options,
                 int64_t now_ms, int64_t wall_ms)
{
    take_options(c, options);
    c->restore_warm_max = RESTORE_WARM_MAX;
    c->payload_bytes_max = PAYLOADS_BYTES_MAX;
    c->now_ms = now_ms;
    c->wall_ms = c->started_ms = wall_ms;
    table_init(&c->table, now_ms);
    queue_init(&c->queue);
    sem_init(&c->drained, 0, 0);
}

/* A store that is made anew, or restored from a backup, goes on above the numbers that were given
 * without it: participants keep the highest mark they saw, and would refuse what is at or below it.
 * A second of wall clock is worth 2^20 numbers; the sum stays below 2^53. */
int engine_acquire(struct coordinator *c)
{
    uint64_t by_clock = (uint64_t)(c->started_ms / 1000) << 20;
    struct tercet_store_lease lease;
    int rc = store_acquire(c->store, 0, &lease);
    if (rc != 0)
        return rc;
    c->epoch = lease.epoch;
    c->source = lease.source;
    c->next_number = lease.next_number > by_clock ? lease.next_number : by_clock;
    return 0;
}

void engine_clear(struct coordinator *c)
{
    while (c->table.oldest != NULL)
        owner_forget(c, c->table.oldest);
    table_free(&c->table);
    dispatch_free(c);
    queue_destroy(&c->queue);
    sem_destroy(&c->drained);
    arena_free(&c->scratch);
}
