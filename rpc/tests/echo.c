/* SPDX-License-Identifier: Apache-2.0
 *
 * The Echo server of the tests. What a unary or Down request's text makes it do:
 *
 *   "fail"     ends with FAILED_PRECONDITION, a text and details
 *   "drop"     returns without a reply and without a reference
 *   "hold"     keeps the call in the log, and tells of its end there
 *   "meta"     sends back the metadata "x-text" and "x-raw-bin" as headers and trailers
 *   "big"      replies with `number` bytes of data
 *   "who"      replies with the peer's identities, one space between, "nobody" when there is none
 *   "left"     replies with the time left in number
 *   otherwise  replies with the request; Down sends `number` messages
 */
#include "echo.h"

#include "echo_descriptors.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void event_post(struct event *event)
{
    pthread_mutex_lock(&event->lock);
    event->count++;
    pthread_cond_broadcast(&event->changed);
    pthread_mutex_unlock(&event->lock);
}

bool event_wait_ms(struct event *event, int count, int ms)
{
    struct timespec until;
    int timed_out = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&event->lock);
    while (event->count < count && timed_out == 0)
        timed_out = pthread_cond_timedwait(&event->changed, &event->lock, &until);
    bool has_happened = event->count >= count;
    pthread_mutex_unlock(&event->lock);
    return has_happened;
}

bool event_wait(struct event *event, int count)
{
    return event_wait_ms(event, count, WAIT_S * 1000);
}

int event_count(struct event *event)
{
    pthread_mutex_lock(&event->lock);
    int count = event->count;
    pthread_mutex_unlock(&event->lock);
    return count;
}

static void on_logged_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct echo_log *log = ctx;
    (void)call;
    log->last_code = status->code;
    event_post(&log->ended);
}

static void call_hold(struct crpc_call *call, struct echo_log *log)
{
    static const struct crpc_call_events events = {.on_end = on_logged_end};
    crpc_call_events_set(call, &events, log);
    crpc_call_ref(call);
    log->held = call;
}

static void reply_meta(struct crpc_call *call, const Crpc__Test__Item *item)
{
    struct crpc_metadata entry = {.key = "x-text"};
    if (crpc_call_metadata_get(call, entry.key, &entry.value)) {
        cr_assert_eq(crpc_call_add_metadata(call, &entry), 0);
        cr_assert_eq(crpc_call_add_trailer(call, &entry), 0);
    }
    entry.key = "x-raw-bin";
    if (crpc_call_metadata_get(call, entry.key, &entry.value)) {
        cr_assert_eq(crpc_call_add_metadata(call, &entry), 0);
        cr_assert_eq(crpc_call_add_trailer(call, &entry), 0);
    }
    crpc_call_reply(call, &item->base);
}

static void reply_text(struct crpc_call *call, const char *text)
{
    Crpc__Test__Item reply = CRPC__TEST__ITEM__INIT;
    reply.text = (char *)(uintptr_t)text;
    crpc_call_reply(call, &reply.base);
}

static void reply_who(struct crpc_call *call)
{
    char text[512] = "";
    const char *identity;
    size_t size = 0;
    for (size_t i = 0; (identity = crpc_call_identity_at(call, i)) != NULL; i++) {
        cr_assert(crpc_call_has_identity(call, identity));
        size += (size_t)snprintf(text + size, sizeof(text) - size, i > 0 ? " %s" : "%s", identity);
        cr_assert_lt(size, sizeof(text));
    }
    cr_assert_eq(crpc_call_identity(call), crpc_call_identity_at(call, 0));
    cr_assert_not(crpc_call_has_identity(call, ""));
    reply_text(call, text[0] != '\0' ? text : "nobody");
}

static void reply_big(struct crpc_call *call, size_t size)
{
    Crpc__Test__Item reply = CRPC__TEST__ITEM__INIT;
    reply.data.data = calloc(1, size);
    reply.data.len = size;
    crpc_call_reply(call, &reply.base);
    free(reply.data.data);
}

static void reply_left(struct crpc_call *call)
{
    Crpc__Test__Item reply = CRPC__TEST__ITEM__INIT;
    reply.number = crpc_call_time_left_ms(call);
    crpc_call_reply(call, &reply.base);
}

static void fail_with_details(struct crpc_call *call)
{
    struct crpc_status status = {CRPC_FAILED_PRECONDITION,
                                 "not \xc3\xbc"
                                 "ber 100%",
                                 {"\0\1\2\xff", 4}};
    crpc_call_finish(call, &status);
}

static void on_unary(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    const Crpc__Test__Item *item = (const Crpc__Test__Item *)request;
    struct echo_log *log = ctx;

    if (strcmp(item->text, "fail") == 0)
        fail_with_details(call);
    else if (strcmp(item->text, "hold") == 0)
        call_hold(call, log);
    else if (strcmp(item->text, "meta") == 0)
        reply_meta(call, item);
    else if (strcmp(item->text, "big") == 0)
        reply_big(call, (size_t)item->number);
    else if (strcmp(item->text, "who") == 0)
        reply_who(call);
    else if (strcmp(item->text, "left") == 0)
        reply_left(call);
    else if (strcmp(item->text, "drop") != 0)
        crpc_call_reply(call, request);
    event_post(&log->opened);
}

/* -- Streams ----------------------------------------------------------------------------------- */

struct echo_stream {
    struct echo_log *log;
    int64_t left;  /* Down: still to be sent */
    int64_t count; /* Up */
    int64_t total;
    bool is_half_closed;
};

static void on_stream_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct echo_stream *stream = ctx;
    on_logged_end(call, status, stream->log);
    free(stream);
    crpc_call_unref(call);
}

static struct echo_stream *stream_new(struct crpc_call *call, const struct crpc_call_events *events,
                                      struct echo_log *log)
{
    struct echo_stream *stream = calloc(1, sizeof(*stream));
    stream->log = log;
    crpc_call_ref(call);
    crpc_call_events_set(call, events, stream);
    event_post(&log->opened);
    return stream;
}

static void finish_ok(struct crpc_call *call)
{
    struct crpc_status status = {.code = CRPC_OK, .message = ""};
    crpc_call_finish(call, &status);
}

static void down_next(struct crpc_call *call, struct echo_stream *stream)
{
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    if (stream->left == 0) {
        finish_ok(call);
        return;
    }
    item.number = stream->left--;
    crpc_call_send(call, &item.base);
}

static void on_down_sent(struct crpc_call *call, bool ok, void *ctx)
{
    if (ok)
        down_next(call, ctx);
}

static void on_down(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    static const struct crpc_call_events events = {.on_sent = on_down_sent,
                                                   .on_end = on_stream_end};
    const Crpc__Test__Item *item = (const Crpc__Test__Item *)request;
    struct echo_stream *stream;

    if (strcmp(item->text, "fail") == 0) {
        fail_with_details(call);
        return;
    }
    stream = stream_new(call, &events, ctx);
    stream->left = item->number;
    down_next(call, stream);
}

static void on_up_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    struct echo_stream *stream = ctx;
    ProtobufCMessage *message;

    cr_assert_eq(crpc_message_decode(&message, &crpc__test__item__descriptor, bytes, 0), 0);
    stream->count++;
    stream->total += ((Crpc__Test__Item *)message)->number;
    crpc_message_free(message);
    crpc_call_read(call);
}

static void on_up_half_closed(struct crpc_call *call, void *ctx)
{
    struct echo_stream *stream = ctx;
    Crpc__Test__Summary summary = CRPC__TEST__SUMMARY__INIT;
    summary.count = stream->count;
    summary.total = stream->total;
    event_post(&stream->log->half_closed);
    crpc_call_reply(call, &summary.base);
}

static void on_up(struct crpc_call *call, void *ctx)
{
    static const struct crpc_call_events events = {
        .on_message = on_up_message, .on_half_closed = on_up_half_closed, .on_end = on_stream_end};
    stream_new(call, &events, ctx);
    crpc_call_read(call);
}

static void on_both_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    (void)ctx;
    crpc_call_send_bytes(call, bytes);
}

static void on_both_sent(struct crpc_call *call, bool ok, void *ctx)
{
    (void)ctx;
    if (ok)
        crpc_call_read(call);
}

static void on_both_half_closed(struct crpc_call *call, void *ctx)
{
    (void)ctx;
    finish_ok(call);
}

static void on_both(struct crpc_call *call, void *ctx)
{
    static const struct crpc_call_events events = {.on_message = on_both_message,
                                                   .on_half_closed = on_both_half_closed,
                                                   .on_sent = on_both_sent,
                                                   .on_end = on_stream_end};
    stream_new(call, &events, ctx);
    crpc_call_read(call);
}

const struct crpc_handler echo_handlers[] = {
    {.method = "Unary", .kind = CRPC_UNARY, .on_request = on_unary},
    {.method = "Down", .kind = CRPC_SERVER_STREAMING, .on_request = on_down},
    {.method = "Up", .kind = CRPC_CLIENT_STREAMING, .on_open = on_up},
    {.method = "Both", .kind = CRPC_BIDIRECTIONAL, .on_open = on_both},
};
const size_t echo_handler_count = sizeof(echo_handlers) / sizeof(echo_handlers[0]);

/* -- The fixture ------------------------------------------------------------------------------- */

void echo_add_service(struct crpc_server *server, struct echo_log *log)
{
    struct crpc_bytes set = {echo_descriptors, echo_descriptors_size};
    cr_assert_eq(crpc_server_add_descriptors(server, set), 0);
    cr_assert_eq(crpc_server_add_service(server, &crpc__test__echo__descriptor, echo_handlers,
                                         echo_handler_count, log),
                 0);
}

static void start(struct echo *echo, unsigned threads, const struct crpc_server_options *server,
                  const struct crpc_channel_options *channel)
{
    const char *pollers = getenv("CRPC_TEST_POLLERS"); /* all suites with another number of them */
    if (pollers != NULL)
        threads = (unsigned)strtoul(pollers, NULL, 10);
    struct crpc_loop_options loop = {.size = sizeof(loop), .threads = threads};

    *echo = (struct echo){
        .log = {.opened = EVENT_INIT, .half_closed = EVENT_INIT, .ended = EVENT_INIT}};
    cr_assert_eq(crpc_loop_new(&echo->loop, &loop), 0);
    cr_assert_eq(crpc_server_new(&echo->server, echo->loop, server), 0);
    echo_add_service(echo->server, &echo->log);
    cr_assert_eq(crpc_server_listen(echo->server, "127.0.0.1:0", NULL, &echo->port), 0);
    cr_assert_gt(echo->port, 0);
    cr_assert_eq(crpc_server_start(echo->server), 0);
    snprintf(echo->target, sizeof(echo->target), "127.0.0.1:%d", echo->port);
    cr_assert_eq(crpc_channel_new(&echo->channel, echo->loop, echo->target, channel), 0);
}

void echo_start(struct echo *echo, const struct crpc_server_options *server,
                const struct crpc_channel_options *channel)
{
    start(echo, 1, server, channel);
}

void echo_start_threads(struct echo *echo, unsigned threads)
{
    start(echo, threads, NULL, NULL);
}

void echo_stop(struct echo *echo)
{
    crpc_channel_free(echo->channel);
    crpc_server_free(echo->server);
    if (echo->log.held != NULL)
        crpc_call_unref(echo->log.held);
    crpc_loop_free(echo->loop);
}

int echo_unary(struct crpc_channel *channel, const char *text, char *reply_text_out,
               size_t reply_size, struct crpc_result *result,
               const struct crpc_call_options *options)
{
    const struct crpc_call_options bounded = {.size = sizeof(bounded), .timeout_ms = WAIT_S * 1000};
    Crpc__Test__Item request = CRPC__TEST__ITEM__INIT;
    ProtobufCMessage *reply;

    request.text = (char *)(uintptr_t)text;
    int code = crpc_unary(&reply, channel, &crpc__test__echo__descriptor, "Unary", &request.base,
                          options != NULL ? options : &bounded, result);
    if (code != 0)
        return code;
    if (reply_text_out != NULL)
        snprintf(reply_text_out, reply_size, "%s", ((Crpc__Test__Item *)reply)->text);
    crpc_message_free(reply);
    return 0;
}
