/* SPDX-License-Identifier: Apache-2.0
 *
 * Every kind of call, in both forms of the client, with one poller and with several.
 */
#include "echo.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct echo echo;

static void setup(void)
{
    echo_start(&echo, NULL, NULL);
}

static void teardown(void)
{
    echo_stop(&echo);
}

TestSuite(kinds, .init = setup, .fini = teardown, .timeout = 240);

static const struct crpc_call_options bounded = {.size = sizeof(bounded),
                                                 .timeout_ms = WAIT_S * 1000};

static struct crpc_stream *stream_open(const char *method)
{
    struct crpc_stream *stream;
    cr_assert_eq(
        crpc_stream_open(&stream, echo.channel, &crpc__test__echo__descriptor, method, &bounded),
        0);
    return stream;
}

static void write_number(struct crpc_stream *stream, int64_t number)
{
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    item.number = number;
    cr_assert_eq(crpc_stream_write(stream, &item.base), 0);
}

static int64_t read_number(struct crpc_stream *stream)
{
    ProtobufCMessage *message;
    cr_assert_eq(crpc_stream_read(&message, stream), 0);
    int64_t number = ((Crpc__Test__Item *)message)->number;
    crpc_message_free(message);
    return number;
}

static void expect_end(struct crpc_stream *stream)
{
    ProtobufCMessage *message;
    cr_assert_eq(crpc_stream_read(&message, stream), CRPC_END);
    cr_assert_eq(crpc_stream_read(&message, stream), CRPC_END);
}

Test(kinds, unary_blocking)
{
    char reply[64];
    struct crpc_result result = {.code = CRPC_UNKNOWN};
    cr_assert_eq(echo_unary(echo.channel, "hello", reply, sizeof(reply), &result, NULL), 0);
    cr_assert_str_eq(reply, "hello");
    cr_assert_eq(result.code, CRPC_OK);
    cr_assert_str_eq(result.message, "");
    crpc_result_clear(&result);
}

Test(kinds, unary_empty_message_is_a_message)
{
    char reply[64] = "x";
    cr_assert_eq(echo_unary(echo.channel, "", reply, sizeof(reply), NULL, NULL), 0);
    cr_assert_str_eq(reply, "");
}

static void on_unary_done(const ProtobufCMessage *reply, const struct crpc_status *status,
                          void *ctx)
{
    struct event *event = ctx;
    if (status->code == CRPC_OK && reply != NULL && ((const Crpc__Test__Item *)reply)->number == 7)
        event_post(event);
}

Test(kinds, unary_with_callback)
{
    struct event done = EVENT_INIT;
    struct crpc_call *call;
    Crpc__Test__Item request = CRPC__TEST__ITEM__INIT;
    request.number = 7;
    for (int i = 0; i < 100; i++) {
        bool keeps_call = i % 2 == 0;
        cr_assert_eq(crpc_unary_start(keeps_call ? &call : NULL, echo.channel,
                                      &crpc__test__echo__descriptor, "Unary", &request.base,
                                      &bounded, on_unary_done, &done),
                     0);
        if (keeps_call)
            crpc_call_unref(call);
    }
    cr_assert(event_wait(&done, 100));
}

Test(kinds, server_streaming_blocking)
{
    struct crpc_stream *stream = stream_open("Down");
    write_number(stream, 3);
    cr_assert_eq(crpc_stream_half_close(stream), 0);
    cr_assert_eq(read_number(stream), 3);
    cr_assert_eq(read_number(stream), 2);
    cr_assert_eq(read_number(stream), 1);
    expect_end(stream);
    cr_assert_eq(crpc_stream_finish(stream, NULL), 0);
}

Test(kinds, client_streaming_blocking)
{
    struct crpc_stream *stream = stream_open("Up");
    ProtobufCMessage *message;
    for (int64_t i = 1; i <= 10; i++)
        write_number(stream, i);
    cr_assert_eq(crpc_stream_half_close(stream), 0);
    cr_assert_eq(crpc_stream_read(&message, stream), 0);
    cr_assert_eq(((Crpc__Test__Summary *)message)->count, 10);
    cr_assert_eq(((Crpc__Test__Summary *)message)->total, 55);
    crpc_message_free(message);
    cr_assert_eq(crpc_stream_finish(stream, NULL), 0);
}

Test(kinds, bidirectional_blocking)
{
    struct crpc_stream *stream = stream_open("Both");
    for (int64_t i = 0; i < 50; i++) {
        write_number(stream, i);
        cr_assert_eq(read_number(stream), i);
    }
    cr_assert_eq(crpc_stream_half_close(stream), 0);
    expect_end(stream);
    struct crpc_result result = {.code = CRPC_UNKNOWN};
    cr_assert_eq(crpc_stream_finish(stream, &result), 0);
    cr_assert_eq(result.code, CRPC_OK);
    crpc_result_clear(&result);
}

struct writer {
    struct crpc_stream *stream;
    int64_t count;
};

static void *write_run(void *arg)
{
    struct writer *writer = arg;
    for (int64_t i = 0; i < writer->count; i++)
        write_number(writer->stream, i);
    crpc_stream_half_close(writer->stream);
    return NULL;
}

Test(kinds, one_thread_reads_while_another_writes)
{
    struct writer writer = {stream_open("Both"), 2000};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, write_run, &writer), 0);
    for (int64_t i = 0; i < writer.count; i++)
        cr_assert_eq(read_number(writer.stream), i);
    expect_end(writer.stream);
    pthread_join(thread, NULL);
    cr_assert_eq(crpc_stream_finish(writer.stream, NULL), 0);
}

Test(kinds, finish_drops_what_was_not_read)
{
    struct crpc_stream *stream = stream_open("Down");
    write_number(stream, 500);
    cr_assert_eq(read_number(stream), 500);
    cr_assert_eq(crpc_stream_finish(stream, NULL), 0);
}

/* -- The callback form, bidirectional: sends the next when the echo of the last is in ---------- */

struct ping {
    struct event ended;
    int64_t sent, received, count;
    int headers, half_closed, ends;
    int code;
    bool is_in_callback; /* callbacks of one call never overlap */
    int overlaps;
};

static void enter(struct ping *ping)
{
    if (__atomic_exchange_n(&ping->is_in_callback, true, __ATOMIC_SEQ_CST))
        ping->overlaps++;
}

static void leave(struct ping *ping)
{
    __atomic_store_n(&ping->is_in_callback, false, __ATOMIC_SEQ_CST);
}

static void ping_send(struct crpc_call *call, struct ping *ping)
{
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    item.number = ping->sent++;
    cr_assert_eq(crpc_call_send(call, &item.base), 0);
}

static void on_ping_headers(struct crpc_call *call, void *ctx)
{
    struct ping *ping = ctx;
    (void)call;
    enter(ping);
    ping->headers++;
    leave(ping);
}

static void on_ping_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    struct ping *ping = ctx;
    ProtobufCMessage *message;
    enter(ping);
    cr_assert_eq(crpc_message_decode(&message, &crpc__test__item__descriptor, bytes, 0), 0);
    cr_assert_eq(((Crpc__Test__Item *)message)->number, ping->received);
    crpc_message_free(message);
    ping->received++;
    cr_assert_eq(crpc_call_read(call), 0);
    leave(ping);
}

static void on_ping_sent(struct crpc_call *call, bool ok, void *ctx)
{
    struct ping *ping = ctx;
    enter(ping);
    cr_assert(ok);
    if (ping->sent < ping->count)
        ping_send(call, ping);
    else
        cr_assert_eq(crpc_call_half_close(call), 0);
    leave(ping);
}

static void on_ping_half_closed(struct crpc_call *call, void *ctx)
{
    struct ping *ping = ctx;
    (void)call;
    enter(ping);
    ping->half_closed++;
    leave(ping);
}

static void on_ping_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct ping *ping = ctx;
    (void)call;
    enter(ping);
    ping->ends++;
    ping->code = status->code;
    leave(ping);
    event_post(&ping->ended);
}

static const struct crpc_call_events ping_events = {on_ping_headers, on_ping_message,
                                                    on_ping_half_closed, on_ping_sent, on_ping_end};

static struct crpc_call *ping_start(struct ping *ping, int64_t count)
{
    struct crpc_call *call;
    *ping = (struct ping){.ended = EVENT_INIT, .count = count};
    cr_assert_eq(crpc_call_open(&call, echo.channel, &crpc__test__echo__descriptor, "Both",
                                &bounded, &ping_events, ping),
                 0);
    cr_assert_eq(crpc_call_read(call), 0);
    ping_send(call, ping);
    return call;
}

static void ping_check(struct ping *ping, struct crpc_call *call)
{
    cr_assert(event_wait(&ping->ended, 1));
    cr_assert_eq(ping->code, CRPC_OK);
    cr_assert_eq(ping->received, ping->count);
    cr_assert_eq(ping->headers, 1);
    cr_assert_eq(ping->half_closed, 1);
    cr_assert_eq(ping->ends, 1);
    cr_assert_eq(ping->overlaps, 0);
    crpc_call_unref(call);
}

Test(kinds, bidirectional_with_callbacks)
{
    struct ping ping;
    struct crpc_call *call = ping_start(&ping, 300);
    cr_assert_str_eq(crpc_call_method(call), "/crpc.test.Echo/Both");
    ping_check(&ping, call);
}

Test(threads, many_calls_on_three_pollers, .timeout = 240)
{
    enum { CALLS = 12 };
    struct ping pings[CALLS];
    struct crpc_call *calls[CALLS];
    echo_start_threads(&echo, 3);
    for (int i = 0; i < CALLS; i++)
        calls[i] = ping_start(&pings[i], 200);
    for (int i = 0; i < CALLS; i++)
        ping_check(&pings[i], calls[i]);
    echo_stop(&echo);
}
