/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines, cancellation from both sides, and what may be done with a call when.
 */
#include "echo.h"

#include <criterion/criterion.h>
#include <stdio.h>
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

TestSuite(deadline, .init = setup, .fini = teardown, .timeout = 240);
TestSuite(cancel, .init = setup, .fini = teardown, .timeout = 240);
TestSuite(order, .init = setup, .fini = teardown, .timeout = 240);

static const struct crpc_call_options bounded = {.size = sizeof(bounded),
                                                 .timeout_ms = WAIT_S * 1000};

Test(deadline, ends_the_call_on_both_sides)
{
    struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = 100};
    struct crpc_result result = {.code = CRPC_OK};
    cr_assert_eq(echo_unary(echo.channel, "hold", NULL, 0, &result, &options), CRPC_ESTATUS);
    cr_assert_eq(result.code, CRPC_DEADLINE_EXCEEDED);
    crpc_result_clear(&result);
    cr_assert(event_wait(&echo.log.ended, 1));
    cr_assert_eq(echo.log.last_code, CRPC_CANCELLED);
    cr_assert_leq(crpc_call_time_left_ms(echo.log.held), 20); /* gRPC rounds up on the wire */
}

static int64_t left_with(int64_t timeout_ms)
{
    struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = timeout_ms};
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    ProtobufCMessage *reply;
    item.text = (char[]){"left"};
    cr_assert_eq(crpc_unary(&reply, echo.channel, &crpc__test__echo__descriptor, "Unary",
                            &item.base, &options, NULL),
                 0);
    int64_t left_ms = ((Crpc__Test__Item *)reply)->number;
    crpc_message_free(reply);
    return left_ms;
}

Test(deadline, is_seen_by_the_server)
{
    int64_t left_ms = left_with(15000);
    cr_assert_gt(left_ms, 5000);
    cr_assert_leq(left_ms, 16000); /* gRPC rounds up on the wire */
    cr_assert_eq(left_with(0), INT64_MAX);
}

Test(deadline, wait_for_ready_waits_no_longer)
{
    struct crpc_call_options options = {
        .size = sizeof(options), .timeout_ms = 200, .wait_for_ready = true};
    struct crpc_result result = {.code = CRPC_OK};
    crpc_server_stop(echo.server, 0);
    cr_assert_eq(echo_unary(echo.channel, "x", NULL, 0, &result, &options), CRPC_ESTATUS);
    cr_assert_eq(result.code, CRPC_DEADLINE_EXCEEDED);
    crpc_result_clear(&result);
}

/* -- Cancellation ------------------------------------------------------------------------------ */

static int last_code;

static void on_done(const ProtobufCMessage *reply, const struct crpc_status *status, void *ctx)
{
    cr_assert_null(reply);
    last_code = status->code;
    event_post(ctx);
}

Test(cancel, unary_by_the_client)
{
    struct event done = EVENT_INIT;
    struct crpc_call *call;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    item.text = (char[]){"hold"};
    cr_assert_eq(crpc_unary_start(&call, echo.channel, &crpc__test__echo__descriptor, "Unary",
                                  &item.base, &bounded, on_done, &done),
                 0);
    cr_assert(event_wait(&echo.log.opened, 1));
    crpc_call_cancel(call);
    cr_assert(event_wait(&done, 1));
    cr_assert_eq(last_code, CRPC_CANCELLED);
    cr_assert(event_wait(&echo.log.ended, 1));
    cr_assert_eq(echo.log.last_code, CRPC_CANCELLED);
    /* All of it is too late, and harmless. */
    crpc_call_cancel(call);
    cr_assert_eq(crpc_call_reply(echo.log.held, &item.base), CRPC_ECLOSED);
    cr_assert_eq(crpc_call_fail(echo.log.held, CRPC_ABORTED, "x"), CRPC_ECLOSED);
    crpc_call_cancel(echo.log.held);
    crpc_call_unref(call);
    cr_assert_eq(event_count(&done), 1);
    cr_assert_eq(event_count(&echo.log.ended), 1);
}

Test(cancel, by_the_server)
{
    struct event done = EVENT_INIT;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    item.text = (char[]){"hold"};
    cr_assert_eq(crpc_unary_start(NULL, echo.channel, &crpc__test__echo__descriptor, "Unary",
                                  &item.base, &bounded, on_done, &done),
                 0);
    cr_assert(event_wait(&echo.log.opened, 1));
    crpc_call_cancel(echo.log.held);
    cr_assert(event_wait(&done, 1));
    cr_assert_eq(last_code, CRPC_CANCELLED);
    cr_assert(event_wait(&echo.log.ended, 1));
}

static void *cancel_run(void *arg)
{
    cr_assert(event_wait(&echo.log.opened, 1));
    crpc_stream_cancel(arg);
    return NULL;
}

Test(cancel, a_blocked_reader)
{
    struct crpc_result result = {.code = CRPC_OK};
    struct crpc_stream *stream;
    ProtobufCMessage *message;
    pthread_t thread;
    cr_assert_eq(
        crpc_stream_open(&stream, echo.channel, &crpc__test__echo__descriptor, "Both", &bounded),
        0);
    cr_assert_eq(pthread_create(&thread, NULL, cancel_run, stream), 0);
    cr_assert_eq(crpc_stream_read(&message, stream), CRPC_END);
    pthread_join(thread, NULL);
    cr_assert_eq(crpc_stream_finish(stream, &result), CRPC_ESTATUS);
    cr_assert_eq(result.code, CRPC_CANCELLED);
    crpc_result_clear(&result);
    cr_assert(event_wait(&echo.log.ended, 1));
    cr_assert_eq(echo.log.last_code, CRPC_CANCELLED);
}

/* A cancelled stream of requests must not look complete: a server that counted them would act on a
 * part. */
static void half_close_server(struct crpc_call_options *options, bool cancels, bool stops)
{
    struct crpc_stream *stream;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    cr_assert_eq(
        crpc_stream_open(&stream, echo.channel, &crpc__test__echo__descriptor, "Up", options), 0);
    cr_assert_eq(crpc_stream_write(stream, &item.base), 0);
    cr_assert(event_wait(&echo.log.opened, 1));
    if (cancels)
        crpc_stream_cancel(stream);
    if (stops)
        crpc_server_stop(echo.server, 0);
    cr_assert(event_wait(&echo.log.ended, 1));
    cr_assert_eq(echo.log.last_code, CRPC_CANCELLED);
    cr_assert_eq(event_count(&echo.log.half_closed), 0);
    cr_assert_eq(crpc_stream_finish(stream, NULL), CRPC_ESTATUS);
}

Test(cancel, by_the_client_is_no_half_close)
{
    struct crpc_call_options options = {.size = sizeof(options)};
    half_close_server(&options, true, false);
}

Test(cancel, by_the_deadline_is_no_half_close)
{
    struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = 200};
    half_close_server(&options, false, false);
}

Test(cancel, by_a_hard_stop_is_no_half_close)
{
    struct crpc_call_options options = {.size = sizeof(options)};
    half_close_server(&options, false, true);
}

Test(cancel, freeing_a_channel_ends_its_calls)
{
    struct crpc_channel *channel;
    struct event done = EVENT_INIT;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    item.text = (char[]){"hold"};
    cr_assert_eq(crpc_channel_new(&channel, echo.loop, echo.target, NULL), 0);
    cr_assert_eq(crpc_unary_start(NULL, channel, &crpc__test__echo__descriptor, "Unary", &item.base,
                                  &bounded, on_done, &done),
                 0);
    cr_assert(event_wait(&echo.log.opened, 1));
    crpc_channel_free(channel);
    cr_assert_eq(event_count(&done), 1);
    cr_assert_eq(last_code, CRPC_CANCELLED);
}

static bool note_arrival(struct crpc_call *call, struct crpc_status *why, void *ctx)
{
    (void)call;
    (void)why;
    event_post(ctx);
    return true;
}

/* The handler is never called, so the library alone must let go of the call; a leak otherwise. */
Test(waiting, a_request_that_never_comes, .timeout = 240)
{
    struct event arrived = EVENT_INIT;
    struct crpc_server_options options = {
        .size = sizeof(options), .authorize = note_arrival, .authorize_ctx = &arrived};
    struct crpc_call *call;
    echo_start(&echo, &options, NULL);
    cr_assert_eq(crpc_call_open(&call, echo.channel, &crpc__test__echo__descriptor, "Unary",
                                &bounded, NULL, NULL),
                 0);
    cr_assert(event_wait(&arrived, 1));
    crpc_call_cancel(call);
    crpc_call_unref(call);
    crpc_server_stop(echo.server, WAIT_S * 1000);
    cr_assert_eq(event_count(&echo.log.opened), 0);
    echo_stop(&echo);
}

/* -- One read, one send, nothing after the end ------------------------------------------------- */

struct client {
    struct event headers, sent, messages, half_closed, ended;
    int code;
};

static void on_message(struct crpc_call *call, struct crpc_bytes message, void *ctx)
{
    (void)call;
    (void)message;
    event_post(&((struct client *)ctx)->messages);
}

static void on_half_closed(struct crpc_call *call, void *ctx)
{
    (void)call;
    event_post(&((struct client *)ctx)->half_closed);
}

static void on_sent(struct crpc_call *call, bool ok, void *ctx)
{
    (void)call;
    (void)ok;
    event_post(&((struct client *)ctx)->sent);
}

static void on_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct client *client = ctx;
    (void)call;
    client->code = status->code;
    event_post(&client->ended);
}

static const struct crpc_call_events client_events = {.on_message = on_message,
                                                      .on_half_closed = on_half_closed,
                                                      .on_sent = on_sent,
                                                      .on_end = on_end};

#define CLIENT_INIT                                                                                \
    {                                                                                              \
        EVENT_INIT, EVENT_INIT, EVENT_INIT, EVENT_INIT, EVENT_INIT, 0                              \
    }

Test(order, a_second_read_is_busy)
{
    struct client client = CLIENT_INIT;
    struct crpc_call *call;
    cr_assert_eq(crpc_call_open(&call, echo.channel, &crpc__test__echo__descriptor, "Both",
                                &bounded, &client_events, &client),
                 0);
    cr_assert_eq(crpc_call_read(call), 0);
    cr_assert_eq(crpc_call_read(call), CRPC_EBUSY);
    crpc_call_cancel(call);
    cr_assert(event_wait(&client.ended, 1));
    crpc_call_unref(call);
}

/* A server that listens and has not been started: what is sent to it stays under way until it is.
 */
static struct crpc_server *late_server(struct crpc_channel **channel)
{
    struct crpc_server *server;
    char target[64];
    int port = 0;
    cr_assert_eq(crpc_server_new(&server, echo.loop, NULL), 0);
    echo_add_service(server, &echo.log);
    cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", NULL, &port), 0);
    snprintf(target, sizeof(target), "127.0.0.1:%d", port);
    cr_assert_eq(crpc_channel_new(channel, echo.loop, target, NULL), 0);
    return server;
}

Test(order, a_second_send_is_busy_and_half_close_waits)
{
    struct client client = CLIENT_INIT;
    struct crpc_call_options options = bounded;
    struct crpc_channel *channel;
    struct crpc_server *server = late_server(&channel);
    struct crpc_call *call;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    options.wait_for_ready = true;
    cr_assert_eq(crpc_call_open(&call, channel, &crpc__test__echo__descriptor, "Up", &options,
                                &client_events, &client),
                 0);
    cr_assert_eq(crpc_call_send(call, &item.base), 0);
    cr_assert_eq(crpc_call_send(call, &item.base), CRPC_EBUSY);
    cr_assert_eq(crpc_call_half_close(call), 0);
    cr_assert_eq(crpc_call_half_close(call), CRPC_ECLOSED);
    cr_assert_eq(crpc_call_send(call, &item.base), CRPC_ECLOSED);
    cr_assert_eq(crpc_call_read(call), 0);
    cr_assert_eq(crpc_server_start(server), 0);
    cr_assert(event_wait(&client.ended, 1));
    cr_assert_eq(client.code, CRPC_OK);
    cr_assert_eq(event_count(&client.sent), 1);
    cr_assert_eq(event_count(&client.messages), 1);
    cr_assert_eq(event_count(&echo.log.half_closed), 1);
    crpc_call_unref(call);
    crpc_channel_free(channel);
    crpc_server_free(server);
}

Test(order, everything_is_closed_after_the_end)
{
    struct client client = CLIENT_INIT;
    struct crpc_call *call;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    cr_assert_eq(crpc_call_open(&call, echo.channel, &crpc__test__echo__descriptor, "Both",
                                &bounded, &client_events, &client),
                 0);
    cr_assert_str_eq(crpc_call_peer(call), "", "no headers yet");
    cr_assert_eq(crpc_call_read(call), 0); /* first: the server ends the call at the half-close */
    cr_assert_eq(crpc_call_half_close(call), 0);
    cr_assert(event_wait(&client.ended, 1));
    cr_assert_eq(client.code, CRPC_OK);
    cr_assert_eq(event_count(&client.half_closed), 1);
    cr_assert_eq(crpc_call_read(call), CRPC_ECLOSED);
    cr_assert_eq(crpc_call_send(call, &item.base), CRPC_ECLOSED);
    cr_assert_eq(crpc_call_half_close(call), CRPC_ECLOSED);
    crpc_call_cancel(call);
    /* What can be asked of it stays. */
    cr_assert(strncmp(crpc_call_peer(call), "ipv4:127.0.0.1:", 15) == 0, "%s",
              crpc_call_peer(call));
    cr_assert_null(crpc_call_identity(call));
    cr_assert_str_eq(crpc_call_method(call), "/crpc.test.Echo/Both");
    crpc_call_unref(call);
    cr_assert_eq(event_count(&client.ended), 1);
}

Test(order, a_client_that_lets_go_still_gets_its_end)
{
    struct client client = CLIENT_INIT;
    struct crpc_call *call;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    cr_assert_eq(crpc_call_open(&call, echo.channel, &crpc__test__echo__descriptor, "Down",
                                &bounded, &client_events, &client),
                 0);
    item.number = 1;
    cr_assert_eq(crpc_call_send(call, &item.base), 0);
    cr_assert_eq(crpc_call_half_close(call), 0);
    cr_assert_eq(crpc_call_read(call), 0); /* last: the end lies behind the message */
    crpc_call_unref(call);
    cr_assert(event_wait(&client.messages, 1));
    cr_assert(event_wait(&client.ended, 1));
    cr_assert_eq(client.code, CRPC_OK);
}
