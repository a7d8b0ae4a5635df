/* SPDX-License-Identifier: Apache-2.0
 *
 * What the transport can do and costs: records sent back and forth over crpc's streams between two
 * processes that do nothing but encode and decode them, in messages of as many records as the run's
 * were; what the run's own messages cost the process that takes and answers them; and one record at
 * a time.
 */
#include "bare.h"

#include <bench.pb-c.h>
#include <stdio.h>
#include <stdlib.h>

#define IN_FLIGHT 2        /* messages of a stream */
#define UNARY_IN_FLIGHT 64 /* calls of a connection, as the load has */
#define UNARY_CONNECTIONS_MAX 16
#define MESSAGE_SIZE_MAX (8u << 20)

/* -- The echo ---------------------------------------------------------------------------------- */

struct echo_batch {
    Tercet__Bench__V1__EchoBatch batch;
    Tercet__Bench__V1__EchoRecord record; /* all are the same */
    struct exchange_kind kind;
};

static bool make_batch(struct echo_batch *out, const struct options *options, uint32_t count)
{
    static unsigned char payload[65536];
    tercet__bench__v1__echo_record__init(&out->record);
    out->record.id = count;
    out->record.gid = (char *)(uintptr_t) "01JDEXAMPLE000000000000000";
    out->record.branch = 1;
    out->record.action = (char *)(uintptr_t) "bench-0/work";
    out->record.number = UINT64_C(1) << 50;
    out->record.payload.data = payload;
    out->record.payload.len = options->payload_size;
    tercet__bench__v1__echo_batch__init(&out->batch);
    out->batch.records = calloc(count, sizeof(*out->batch.records));
    out->batch.n_records = count;
    for (uint32_t i = 0; out->batch.records != NULL && i < count; i++)
        out->batch.records[i] = &out->record;
    out->kind =
        (struct exchange_kind){&tercet__bench__v1__echo__descriptor, "Exchange", &out->batch.base,
                               &tercet__bench__v1__echo_batch__descriptor};
    return out->batch.records != NULL;
}

static bool measure_capacity(struct shared *shared, struct crpc_channel *channel)
{
    struct limits_result *limits = &shared->limits;
    struct exchange_done done;
    struct echo_batch batch;
    bool is_good =
        make_batch(&batch, &shared->options, limits->batch) &&
        exchange_streams(&done, channel, &batch.kind, 1 + shared->options.participants, IN_FLIGHT,
                         shared->options.limits_s * 1000, shared->echo_pids[0]);
    if (is_good)
        limits->echo_records = (double)done.messages * limits->batch / done.seconds;
    free(batch.batch.records);
    return is_good;
}

/* One record to one server, and one to as many as a transaction has participants. */
static bool measure_trips(struct shared *shared, struct crpc_channel *const *channels)
{
    const struct options *options = &shared->options;
    struct limits_result *limits = &shared->limits;
    uint32_t fan =
        options->branches < options->participants ? options->branches : options->participants;
    uint32_t pause_us = (uint32_t)histogram_quantile_us(&limits->commit, 0.5);
    struct echo_batch batch;
    bool is_good =
        make_batch(&batch, options, 1) &&
        exchange_trips(&limits->echo, channels, 1, &batch.kind, pause_us,
                       options->limits_s * 500) &&
        exchange_trips(&limits->fan, channels, fan, &batch.kind, pause_us, options->limits_s * 500);
    free(batch.batch.records);
    return is_good;
}

/* -- What the run's messages cost -------------------------------------------------------------- */

/* The server's CPU microseconds for what one transaction has of this. */
static double each_us(const struct exchange_done *done, double messages_each)
{
    return done->server_cpu * 1e6 / (double)done->messages * messages_each;
}

static bool measure_unary(struct shared *shared, struct bare *bare, struct crpc_loop *loop)
{
    const struct crpc_channel_options options = {.size = sizeof(options), .own_connection = true};
    struct exchange_kind kinds[BARE_KINDS_MAX];
    struct crpc_channel *channels[UNARY_CONNECTIONS_MAX] = {NULL};
    struct exchange_done done;
    uint32_t requests = bare_requests(&shared->options);
    uint32_t in_flight = shared->options.in_flight;
    uint32_t count = (in_flight + UNARY_IN_FLIGHT - 1) / UNARY_IN_FLIGHT;
    int rc = 0;
    count = count > UNARY_CONNECTIONS_MAX ? UNARY_CONNECTIONS_MAX : count;
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = crpc_channel_new(&channels[i], loop, shared->echo[0], &options);
    bare_unary_kinds(bare, kinds);
    bool is_good =
        rc == 0 && exchange_unary(&done, channels, count, kinds, requests,
                                  in_flight < UNARY_IN_FLIGHT ? in_flight : UNARY_IN_FLIGHT,
                                  shared->options.limits_s * 500, shared->echo_pids[0]);
    if (is_good)
        shared->limits.initiator_cpu_us = each_us(&done, requests);
    for (uint32_t i = 0; i < count; i++)
        crpc_channel_free(channels[i]);
    return is_good;
}

static bool measure_session(struct shared *shared, struct bare *bare, struct crpc_channel *channel)
{
    uint32_t records = shared->limits.initiator_batch;
    const struct exchange_kind kind = {&tercet__v1__coordinator__descriptor, "Session",
                                       bare_session_requests(bare, records),
                                       &tercet__v1__session_responses__descriptor};
    struct exchange_done done;
    if (!exchange_streams(&done, channel, &kind, 1, shared->limits.streams_in_flight,
                          shared->options.limits_s * 500, shared->echo_pids[0]))
        return false;
    shared->limits.initiator_cpu_us =
        each_us(&done, (double)bare_requests(&shared->options) / records);
    return true;
}

static bool measure_attached(struct shared *shared, struct bare *bare, struct crpc_channel *channel)
{
    uint32_t records = shared->limits.participant_batch;
    const struct exchange_kind kind = {&tercet__v1__participants__descriptor, "Attach",
                                       bare_results(bare, records),
                                       &tercet__v1__attach_response__descriptor};
    struct exchange_done done;
    if (!exchange_streams(&done, channel, &kind,
                          shared->options.in_flight == 1 ? 1 : shared->options.participants,
                          shared->limits.streams_in_flight, shared->options.limits_s * 500,
                          shared->echo_pids[0]))
        return false;
    shared->limits.participants_cpu_us =
        each_us(&done, (double)bare_calls(&shared->options) / records);
    return true;
}

static bool measure_bare(struct shared *shared, struct crpc_loop *loop,
                         struct crpc_channel *channel)
{
    struct bare *bare = bare_new(&shared->options);
    bool is_good = bare != NULL &&
                   (shared->options.api == API_UNARY ? measure_unary(shared, bare, loop)
                                                     : measure_session(shared, bare, channel)) &&
                   measure_attached(shared, bare, channel);
    bare_free(bare);
    return is_good;
}

/* -- All --------------------------------------------------------------------------------------- */

int role_echo_client(struct shared *shared)
{
    const struct crpc_channel_options options = {.size = sizeof(options),
                                                 .message_size_max = MESSAGE_SIZE_MAX};
    struct crpc_loop *loop = NULL;
    struct crpc_channel *channels[PARTICIPANTS_MAX] = {NULL};
    int rc = crpc_loop_new(&loop, NULL);
    for (uint32_t i = 0; i < shared->options.participants && rc == 0; i++)
        rc = crpc_channel_new(&channels[i], loop, shared->echo[i], &options);
    const char *failed = rc != 0                                    ? crpc_strerror(rc)
                         : !measure_capacity(shared, channels[0])   ? "full streams"
                         : !measure_bare(shared, loop, channels[0]) ? "the run's own messages"
                         : !measure_trips(shared, channels)         ? "one record at a time"
                                                                    : NULL;
    for (uint32_t i = 0; i < PARTICIPANTS_MAX; i++)
        crpc_channel_free(channels[i]);
    crpc_loop_free(loop);
    if (failed != NULL)
        return role_fail("the echo failed: %s", failed);
    role_ok("");
    return 0;
}
