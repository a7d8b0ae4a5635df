/* SPDX-License-Identifier: Apache-2.0
 *
 * What the transport can do: records sent back and forth over crpc's streams between two processes that do nothing but
 * encode and decode them, in messages of as many records as the run's were; and one record at a time.
 */
#include "bench.h"

#include <bench.pb-c.h>
#include <crpc/crpc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define IN_FLIGHT 2 /* messages of a stream */
#define END_TIMEOUT_S 10
#define STREAMS_LIMIT (PARTICIPANTS_MAX + 1)
#define MESSAGE_SIZE_MAX (8u << 20)

/* -- Server -------------------------------------------------------------------------------------------------------- */

static void on_request_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    ProtobufCMessage *batch = NULL;
    (void)ctx;
    if (crpc_message_decode(&batch, &tercet__bench__v1__echo_batch__descriptor, bytes, 0) != 0) {
        crpc_call_fail(call, CRPC_INVALID_ARGUMENT, "not a batch");
        return;
    }
    crpc_call_send(call, batch); /* a failure is followed by the call's end */
    crpc_message_free(batch);
}

static void on_reply_sent(struct crpc_call *call, bool ok, void *ctx)
{
    (void)ctx;
    if (ok)
        crpc_call_read(call);
}

static void on_request_end(struct crpc_call *call, void *ctx)
{
    const struct crpc_status status = {.code = CRPC_OK, .message = ""};
    (void)ctx;
    crpc_call_finish(call, &status);
}

static void on_server_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    (void)status;
    (void)ctx;
    crpc_call_unref(call);
}

static void on_open(struct crpc_call *call, void *ctx)
{
    static const struct crpc_call_events events = {.on_message = on_request_message, .on_sent = on_reply_sent,
        .on_half_closed = on_request_end, .on_end = on_server_end};
    crpc_call_ref(call);
    crpc_call_events_set(call, &events, ctx);
    crpc_call_read(call);
}

static int serve(struct crpc_server *server, struct shared *shared)
{
    static const struct crpc_handler handlers[] = {
        {.method = "Exchange", .kind = CRPC_BIDIRECTIONAL, .on_open = on_open}};
    char address[PATH_SIZE + 32] = "127.0.0.1:0";
    int port = 0;
    if (shared->options.transport == TRANSPORT_UNIX)
        snprintf(address, sizeof(address), "unix:%s/echo.sock", shared->dir);
    int rc = crpc_server_add_service(server, &tercet__bench__v1__echo__descriptor, handlers, 1, NULL);
    if (rc == 0)
        rc = crpc_server_listen(server, address, NULL, &port);
    if (rc == 0)
        rc = crpc_server_start(server);
    if (rc != 0)
        return role_fail("%s", crpc_strerror(rc));
    if (port > 0)
        snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    snprintf(shared->echo, sizeof(shared->echo), "%.*s", ADDRESS_SIZE - 1, address);
    role_ok("");
    role_wait("");
    return 0;
}

int role_echo_server(struct shared *shared)
{
    const struct crpc_server_options options = {.size = sizeof(options), .message_size_max = MESSAGE_SIZE_MAX};
    struct crpc_loop *loop = NULL;
    struct crpc_server *server = NULL;
    int rc = crpc_loop_new(&loop, NULL);
    if (rc == 0)
        rc = crpc_server_new(&server, loop, &options);
    int status = rc == 0 ? serve(server, shared) : role_fail("%s", crpc_strerror(rc));
    crpc_server_free(server);
    crpc_loop_free(loop);
    return status;
}

/* -- Client -------------------------------------------------------------------------------------------------------- */

struct exchange {
    struct crpc_channel *channel;
    Tercet__Bench__V1__EchoBatch batch;
    struct histogram *times; /* NULL: not wanted */
    unsigned in_flight_max;
    atomic_bool is_stopping;
    atomic_uint_fast64_t records; /* that came back */
    sem_t ended;
};

/* One stream; its callbacks never overlap. */
struct echo_stream {
    struct exchange *exchange;
    struct crpc_call *call;
    unsigned in_flight;
    bool is_sending;
    bool is_closed;
    int64_t sent_ns;
};

/* Sends when there is room; closes when it is time and all is back. */
static void go_on(struct echo_stream *stream)
{
    struct exchange *exchange = stream->exchange;
    if (stream->is_sending || stream->is_closed)
        return;
    if (atomic_load(&exchange->is_stopping)) {
        if (stream->in_flight == 0) {
            stream->is_closed = true;
            crpc_call_half_close(stream->call);
            crpc_call_read(stream->call);
        }
        return;
    }
    if (stream->in_flight == exchange->in_flight_max)
        return;
    stream->sent_ns = now_ns();
    stream->is_sending = crpc_call_send(stream->call, &exchange->batch.base) == 0;
    if (stream->is_sending && stream->in_flight++ == 0)
        crpc_call_read(stream->call);
}

static void on_sent(struct crpc_call *call, bool ok, void *ctx)
{
    struct echo_stream *stream = ctx;
    (void)call;
    stream->is_sending = false;
    if (ok)
        go_on(stream);
}

static void on_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    struct echo_stream *stream = ctx;
    ProtobufCMessage *batch = NULL;
    if (crpc_message_decode(&batch, &tercet__bench__v1__echo_batch__descriptor, bytes, 0) != 0) {
        crpc_call_cancel(call);
        return;
    }
    const Tercet__Bench__V1__EchoBatch *echoed = (const void *)batch;
    atomic_fetch_add(&stream->exchange->records, echoed->n_records);
    crpc_message_free(batch);
    if (stream->exchange->times != NULL)
        histogram_add(stream->exchange->times, now_ns() - stream->sent_ns);
    if (--stream->in_flight > 0)
        crpc_call_read(call);
    go_on(stream);
}

static void on_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct echo_stream *stream = ctx;
    (void)call;
    (void)status;
    sem_post(&stream->exchange->ended);
}

static int open_stream(struct echo_stream *stream, struct exchange *exchange)
{
    static const struct crpc_call_events events = {.on_message = on_message, .on_sent = on_sent, .on_end = on_end};
    const struct crpc_call_options options = {.size = sizeof(options), .wait_for_ready = true};
    *stream = (struct echo_stream){.exchange = exchange, .is_sending = true, .in_flight = 1};
    int rc = crpc_call_open(&stream->call, exchange->channel, &tercet__bench__v1__echo__descriptor, "Exchange",
                            &options, &events, stream);
    if (rc != 0)
        return rc;
    stream->sent_ns = now_ns();
    rc = crpc_call_read(stream->call);
    return rc != 0 ? rc : crpc_call_send(stream->call, &exchange->batch.base);
}

/* Runs `count` streams for the time. The seconds it took, or 0 when it failed. */
static double exchange_run(struct exchange *exchange, uint32_t count, uint32_t seconds)
{
    struct echo_stream streams[STREAMS_LIMIT];
    const struct timespec pause = {.tv_sec = seconds};
    struct timespec until;
    uint32_t opened = 0;
    bool is_ended = true;
    int64_t begin = now_ns();
    sem_init(&exchange->ended, 0, 0);
    while (opened < count && open_stream(&streams[opened], exchange) == 0)
        opened++;
    nanosleep(&pause, NULL);
    double took = (double)(now_ns() - begin) * 1e-9;
    uint64_t records = atomic_load(&exchange->records);
    atomic_store(&exchange->is_stopping, true);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += END_TIMEOUT_S;
    for (uint32_t i = 0; i < opened; i++)
        is_ended = is_ended && sem_timedwait(&exchange->ended, &until) == 0;
    atomic_store(&exchange->records, records);
    for (uint32_t i = 0; i < opened; i++)
        crpc_call_unref(streams[i].call);
    return opened == count && is_ended ? took : 0;
}

static void make_batch(struct exchange *exchange, struct shared *shared, uint32_t count)
{
    Tercet__Bench__V1__EchoRecord *records = calloc(count, sizeof(*records));
    Tercet__Bench__V1__EchoRecord **pointers = calloc(count, sizeof(Tercet__Bench__V1__EchoRecord *));
    tercet__bench__v1__echo_batch__init(&exchange->batch);
    for (uint32_t i = 0; i < count; i++) {
        tercet__bench__v1__echo_record__init(&records[i]);
        records[i].id = i + 1;
        records[i].gid = (char *)(uintptr_t)"01JDEXAMPLE000000000000000";
        records[i].branch = 1;
        records[i].action = (char *)(uintptr_t)"bench-0/work";
        records[i].number = UINT64_C(1) << 50;
        records[i].payload.data = calloc(1, shared->options.payload_size + 1);
        records[i].payload.len = shared->options.payload_size;
        pointers[i] = &records[i];
    }
    exchange->batch.records = pointers;
    exchange->batch.n_records = count;
}

static void free_batch(struct exchange *exchange)
{
    Tercet__Bench__V1__EchoRecord *records = exchange->batch.records[0];
    for (size_t i = 0; i < exchange->batch.n_records; i++)
        free(records[i].payload.data);
    free(records);
    free(exchange->batch.records);
}

static double measure(struct crpc_channel *channel, struct shared *shared, uint32_t batch, uint32_t streams,
                      struct histogram *times)
{
    struct exchange exchange = {.channel = channel, .times = times, .in_flight_max = times != NULL ? 1 : IN_FLIGHT};
    make_batch(&exchange, shared, batch);
    double took = exchange_run(&exchange, streams, shared->options.limits_s);
    free_batch(&exchange);
    return took > 0 ? (double)atomic_load(&exchange.records) / took : 0;
}

int role_echo_client(struct shared *shared)
{
    const struct crpc_channel_options options = {.size = sizeof(options), .message_size_max = MESSAGE_SIZE_MAX};
    struct crpc_loop *loop = NULL;
    struct crpc_channel *channel = NULL;
    int rc = crpc_loop_new(&loop, NULL);
    if (rc == 0)
        rc = crpc_channel_new(&channel, loop, shared->echo, &options);
    if (rc == 0) {
        uint32_t streams = 1 + shared->options.participants;
        shared->limits.echo_records = measure(channel, shared, shared->limits.batch, streams, NULL);
        if (measure(channel, shared, 1, 1, &shared->limits.echo) == 0)
            rc = CRPC_EINTERNAL;
    }
    crpc_channel_free(channel);
    crpc_loop_free(loop);
    if (rc != 0 || shared->limits.echo_records == 0)
        return role_fail("the echo failed: %s", crpc_strerror(rc));
    role_ok("");
    return 0;
}
