/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange.h: streams, many messages at once.
 */
#include "exchange.h"

#include "process.h"

#include <time.h>

#define END_TIMEOUT_S 10
#define ANSWER_TIMEOUT_S 30
#define STREAMS_LIMIT (PARTICIPANTS_MAX + 1)

/* -- The meter --------------------------------------------------------------------------------- */

void exchange_meter_init(struct exchange_meter *meter)
{
    atomic_init(&meter->messages, 0);
    sem_init(&meter->heard, 0, 0);
}

void exchange_meter_count(struct exchange_meter *meter)
{
    if (atomic_fetch_add(&meter->messages, 1) == 0)
        sem_post(&meter->heard);
}

static bool wait_posts(sem_t *posted, uint32_t count, int timeout_s)
{
    struct timespec until;
    bool is_posted = true;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_s;
    for (uint32_t i = 0; i < count; i++)
        is_posted = is_posted && sem_timedwait(posted, &until) == 0;
    return is_posted;
}

bool exchange_meter_run(struct exchange_meter *meter, struct exchange_done *out,
                        uint32_t milliseconds, pid_t server)
{
    const struct timespec pause = {.tv_sec = milliseconds / 1000,
                                   .tv_nsec = milliseconds % 1000 * 1000000L};
    const struct timespec step = {.tv_nsec = 1000000};
    *out = (struct exchange_done){.messages = 0};
    if (!wait_posts(&meter->heard, 1, ANSWER_TIMEOUT_S))
        return false;
    uint64_t before = atomic_load(&meter->messages);
    int64_t begin = now_ns();
    double cpu = process_cpu(server);
    nanosleep(&pause, NULL);
    for (int i = 0; i < ANSWER_TIMEOUT_S * 1000 && atomic_load(&meter->messages) == before; i++)
        nanosleep(&step, NULL);
    out->messages = atomic_load(&meter->messages) - before;
    out->seconds = (double)(now_ns() - begin) * 1e-9;
    out->server_cpu = process_cpu(server) - cpu;
    return out->messages > 0;
}

/* -- Streams ----------------------------------------------------------------------------------- */

struct exchange {
    const struct exchange_kind *kind;
    uint32_t in_flight_max;
    atomic_bool is_stopping;
    struct exchange_meter meter;
    sem_t ended;
};

/* One stream; its callbacks never overlap. */
struct stream {
    struct exchange *exchange;
    struct crpc_call *call;
    uint32_t in_flight;
    bool is_sending;
    bool is_closed;
};

/* Sends when there is room; closes when it is time and all is back. */
static void go_on(struct stream *stream)
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
    stream->is_sending = crpc_call_send(stream->call, exchange->kind->request) == 0;
    if (stream->is_sending && stream->in_flight++ == 0)
        crpc_call_read(stream->call);
}

static void on_sent(struct crpc_call *call, bool ok, void *ctx)
{
    struct stream *stream = ctx;
    (void)call;
    stream->is_sending = false;
    if (ok)
        go_on(stream);
}

static void on_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    struct stream *stream = ctx;
    ProtobufCMessage *reply = NULL;
    if (crpc_message_decode(&reply, stream->exchange->kind->reply, bytes, 0) != 0) {
        crpc_call_cancel(call);
        return;
    }
    crpc_message_free(reply);
    exchange_meter_count(&stream->exchange->meter);
    if (--stream->in_flight > 0)
        crpc_call_read(call);
    go_on(stream);
}

static void on_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct stream *stream = ctx;
    (void)call;
    (void)status;
    sem_post(&stream->exchange->ended);
}

static int open_stream(struct stream *stream, struct exchange *exchange,
                       struct crpc_channel *channel)
{
    static const struct crpc_call_events events = {
        .on_message = on_message, .on_sent = on_sent, .on_end = on_end};
    const struct crpc_call_options options = {.size = sizeof(options), .wait_for_ready = true};
    *stream = (struct stream){.exchange = exchange, .is_sending = true, .in_flight = 1};
    int rc = crpc_call_open(&stream->call, channel, exchange->kind->service, exchange->kind->method,
                            &options, &events, stream);
    if (rc == 0)
        rc = crpc_call_read(stream->call);
    return rc != 0 ? rc : crpc_call_send(stream->call, exchange->kind->request);
}

bool exchange_streams(struct exchange_done *out, struct crpc_channel *channel,
                      const struct exchange_kind *kind, uint32_t streams, uint32_t in_flight,
                      uint32_t milliseconds, pid_t server)
{
    struct exchange exchange = {.kind = kind, .in_flight_max = in_flight};
    struct stream opened[STREAMS_LIMIT];
    uint32_t count = 0;
    exchange_meter_init(&exchange.meter);
    sem_init(&exchange.ended, 0, 0);
    while (count < streams && open_stream(&opened[count], &exchange, channel) == 0)
        count++;
    bool is_good = exchange_meter_run(&exchange.meter, out, milliseconds, server);
    atomic_store(&exchange.is_stopping, true);
    is_good = wait_posts(&exchange.ended, count, END_TIMEOUT_S) && is_good;
    for (uint32_t i = 0; i < count; i++)
        crpc_call_unref(opened[i].call);
    return count == streams && is_good;
}
