/* SPDX-License-Identifier: Apache-2.0
 *
 * engine.h
 */
#include "engine.h"

#include "effect.h"
#include "step.h"

#include <stdlib.h>
#include <string.h>

#define RETENTION_MS_DEFAULT (7LL * 24 * 3600 * 1000)
#define OPEN_MAX_DEFAULT 1000000
#define OPEN_BYTES 1024 /* that an open transaction takes, about */
#define STREAMS_PER_PEER_DEFAULT 4096
#define UNREAD_BYTES_MAX ((size_t)192 << 20)
#define REQUEST_BYTES_MAX ((size_t)128 << 20)
#define CALL_TIMEOUT_MS_DEFAULT 10000

static size_t share_of(uint64_t memory_max, unsigned parts, size_t at_most)
{
    return memory_max == 0 || memory_max / parts > at_most ? at_most : (size_t)(memory_max / parts);
}

static void take_options(struct coordinator *c, const struct tercet_coordinator_options *options)
{
    struct tercet_coordinator_options *to = &c->options;
    size_t size = options->size < sizeof(*to) ? options->size : sizeof(*to);
    memcpy(to, options, size);
    to->retention_ms = to->retention_ms != 0 ? to->retention_ms : RETENTION_MS_DEFAULT;
    if (to->open_max == 0)
        to->open_max = (uint32_t)share_of(to->memory_max, 4 * OPEN_BYTES, OPEN_MAX_DEFAULT);
    if (to->streams_per_peer_max == 0)
        to->streams_per_peer_max = STREAMS_PER_PEER_DEFAULT;
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

/* What may wait in memory, in parts of --memory-max; the rest is for what is open, and for gRPC. */
static void take_memory(struct coordinator *c)
{
    uint64_t memory_max = c->options.memory_max;
    c->unread.max = memory_max != 0 ? (size_t)(memory_max / 4) : UNREAD_BYTES_MAX;
    c->calls.max = c->unread.max;
    c->requests.max = memory_max != 0 ? (size_t)(memory_max / 8) : REQUEST_BYTES_MAX;
    c->payload_bytes_max = share_of(memory_max, 8, PAYLOADS_BYTES_MAX);
    c->finds.held_bytes_max = share_of(memory_max, 16, FIND_HELD_BYTES_MAX);
    c->restore_warm_max = share_of(memory_max, 8 * OPEN_BYTES, RESTORE_WARM_MAX);
}

void engine_init(struct coordinator *c, const struct tercet_coordinator_options *options,
                 int64_t now_ms, int64_t wall_ms)
{
    take_options(c, options);
    take_memory(c);
    c->streams.peer_max = c->options.streams_per_peer_max;
    c->clock = (struct clock){.now_ms = now_ms, .wall_ms = wall_ms};
    c->started_ms = wall_ms;
    c->shard_count = 1;
    c->shards = must_alloc(c->shard_count * sizeof(*c->shards));
    for (size_t i = 0; i < c->shard_count; i++)
        shard_init(&c->shards[i], (uint32_t)i, &c->clock);
    wheel_init(&c->outcalls.wheel, now_ms);
    waiter_init(&c->waiting, now_ms);
    queue_init(&c->queue);
    clerk_init(&c->clerk);
    expose_init(&c->expose);
    meter_init(&c->meter);
    peers_init(&c->peers);
    loglevel_init(&c->loglevel);
    sem_init(&c->drained, 0, 0);
}

static void clear_shard(struct coordinator *c, struct shard *shard)
{
    effect_drop(&shard->batcher.batches[0]);
    effect_drop(&shard->batcher.batches[1]);
    while (shard->table.oldest != NULL)
        step_forget(c, shard->table.oldest);
    shard_clear(shard);
}

void engine_clear(struct coordinator *c)
{
    for (size_t i = 0; i < c->shard_count; i++)
        clear_shard(c, &c->shards[i]);
    free(c->shards);
    audit_free(&c->audit);
    find_free_all(&c->finds);
    outcalls_free_all(&c->outcalls);
    service_free_all(&c->services);
    queue_destroy(&c->queue);
    clerk_destroy(&c->clerk);
    expose_destroy(&c->expose);
    meter_free(&c->meter);
    peers_destroy(&c->peers);
    sem_destroy(&c->drained);
    arena_free(&c->scratch);
}
