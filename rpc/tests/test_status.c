/* SPDX-License-Identifier: Apache-2.0
 *
 * How calls end: status, text, details; and metadata both ways.
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

TestSuite(status, .init = setup, .fini = teardown, .timeout = 240);
TestSuite(metadata, .init = setup, .fini = teardown, .timeout = 240);

static const struct crpc_call_options bounded = {.size = sizeof(bounded),
                                                 .timeout_ms = WAIT_S * 1000};

static void expect_details(struct crpc_result *result)
{
    cr_assert_eq(result->code, CRPC_FAILED_PRECONDITION);
    cr_assert_str_eq(result->message, "not \xc3\xbc"
                                      "ber 100%");
    cr_assert_eq(result->details_size, 4);
    cr_assert_arr_eq(result->details, "\0\1\2\xff", 4);
}

Test(status, text_and_details_arrive)
{
    struct crpc_result result = {.code = CRPC_OK};
    cr_assert_eq(echo_unary(echo.channel, "fail", NULL, 0, &result, NULL), CRPC_ESTATUS);
    expect_details(&result);
    crpc_result_clear(&result);
    cr_assert_null(result.message);
}

Test(status, of_a_stream)
{
    struct crpc_result result = {.code = CRPC_OK};
    struct crpc_stream *stream;
    ProtobufCMessage *message;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    item.text = (char[]){"fail"};
    cr_assert_eq(
        crpc_stream_open(&stream, echo.channel, &crpc__test__echo__descriptor, "Down", &bounded),
        0);
    cr_assert_eq(crpc_stream_write(stream, &item.base), 0);
    cr_assert_eq(crpc_stream_read(&message, stream), CRPC_END);
    cr_assert_eq(crpc_stream_finish(stream, &result), CRPC_ESTATUS);
    expect_details(&result);
    crpc_result_clear(&result);
}

Test(status, result_may_be_unwanted)
{
    cr_assert_eq(echo_unary(echo.channel, "fail", NULL, 0, NULL, NULL), CRPC_ESTATUS);
}

static void on_failed(const ProtobufCMessage *reply, const struct crpc_status *status, void *ctx)
{
    cr_assert_null(reply);
    cr_assert_eq(status->code, CRPC_FAILED_PRECONDITION);
    cr_assert_eq(status->details.size, 4);
    event_post(ctx);
}

Test(status, callback_form)
{
    struct event done = EVENT_INIT;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    item.text = (char[]){"fail"};
    cr_assert_eq(crpc_unary_start(NULL, echo.channel, &crpc__test__echo__descriptor, "Unary",
                                  &item.base, &bounded, on_failed, &done),
                 0);
    cr_assert(event_wait(&done, 1));
}

Test(status, a_dropped_call_is_internal)
{
    struct crpc_result result = {.code = CRPC_OK};
    cr_assert_eq(echo_unary(echo.channel, "drop", NULL, 0, &result, NULL), CRPC_ESTATUS);
    cr_assert_eq(result.code, CRPC_INTERNAL);
    crpc_result_clear(&result);
}

Test(status, a_method_without_handler_is_unimplemented)
{
    struct crpc_result result = {.code = CRPC_OK};
    ProtobufCMessage *reply;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    cr_assert_eq(crpc_unary(&reply, echo.channel, &crpc__test__echo__descriptor, "Unserved",
                            &item.base, &bounded, &result),
                 CRPC_ESTATUS);
    cr_assert_eq(result.code, CRPC_UNIMPLEMENTED);
    crpc_result_clear(&result);
}

Test(status, an_unknown_service_is_unimplemented)
{
    struct crpc_result result = {.code = CRPC_OK};
    ProtobufCMessage *reply;
    Crpc__Test__Nest nest = CRPC__TEST__NEST__INIT;
    cr_assert_eq(crpc_unary(&reply, echo.channel, &crpc__test__other__descriptor, "Deep",
                            &nest.base, &bounded, &result),
                 CRPC_ESTATUS);
    cr_assert_eq(result.code, CRPC_UNIMPLEMENTED);
    crpc_result_clear(&result);
}

Test(status, wrong_arguments_of_a_client)
{
    ProtobufCMessage *reply;
    struct crpc_call *call;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    Crpc__Test__Summary summary = CRPC__TEST__SUMMARY__INIT;
    const ProtobufCServiceDescriptor *service = &crpc__test__echo__descriptor;
    struct crpc_call_options negative = {.size = sizeof(negative), .timeout_ms = -1};
    cr_assert_eq(crpc_unary(&reply, echo.channel, service, "NoSuch", &item.base, &bounded, NULL),
                 CRPC_EINVAL);
    cr_assert_eq(crpc_unary(&reply, echo.channel, service, "Unary", &summary.base, &bounded, NULL),
                 CRPC_EINVAL);
    cr_assert_eq(crpc_unary(&reply, echo.channel, service, "Unary", NULL, &bounded, NULL),
                 CRPC_EINVAL);
    cr_assert_eq(crpc_unary(&reply, echo.channel, service, "Unary", &item.base, &negative, NULL),
                 CRPC_EINVAL);
    cr_assert_eq(crpc_call_open(&call, echo.channel, service, "NoSuch", &bounded, NULL, NULL),
                 CRPC_EINVAL);
}

Test(status, nobody_listens)
{
    struct crpc_result result = {.code = CRPC_OK};
    crpc_server_stop(echo.server, 0);
    cr_assert_eq(echo_unary(echo.channel, "hello", NULL, 0, &result, NULL), CRPC_ESTATUS);
    cr_assert_eq(result.code, CRPC_UNAVAILABLE);
    crpc_result_clear(&result);
}

/* -- What the server answers by hand ----------------------------------------------------------- */

static void on_long_text(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    char text[4096];
    (void)request;
    (void)ctx;
    /* Two-byte characters behind one of one byte: the cut falls within a character. */
    text[0] = 'x';
    for (size_t i = 1; i + 1 < sizeof(text); i += 2)
        memcpy(text + i, "\xc3\xbc", 2);
    text[sizeof(text) - 1] = '\0';
    struct crpc_status bad = {.code = (enum crpc_code)17, .message = ""};
    cr_assert_eq(crpc_call_finish(call, &bad), CRPC_EINVAL);
    struct crpc_status status = {.code = CRPC_ABORTED, .message = text};
    cr_assert_eq(crpc_call_finish(call, &status), 0);
    cr_assert_eq(crpc_call_finish(call, &status), CRPC_ECLOSED);
    cr_assert_eq(crpc_call_fail(call, CRPC_INTERNAL, "again"), CRPC_ECLOSED);
    cr_assert_eq(crpc_call_reply(call, request), CRPC_ECLOSED);
}

Test(handlers, long_text_is_cut_at_a_character_and_a_second_finish_refused, .timeout = 240)
{
    static const struct crpc_handler handlers[] = {
        {.method = "Unary", .kind = CRPC_UNARY, .on_request = on_long_text}};
    struct crpc_result result = {.code = CRPC_OK};
    char target[64];
    int port;
    struct crpc_loop *loop;
    struct crpc_server *server;
    struct crpc_channel *channel;
    cr_assert_eq(crpc_loop_new(&loop, NULL), 0);
    cr_assert_eq(crpc_server_new(&server, loop, NULL), 0);
    cr_assert_eq(crpc_server_add_service(server, &crpc__test__echo__descriptor, handlers, 1, NULL),
                 0);
    cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", NULL, &port), 0);
    cr_assert_eq(crpc_server_start(server), 0);
    snprintf(target, sizeof(target), "dns:///127.0.0.1:%d", port);
    cr_assert_eq(crpc_channel_new(&channel, loop, target, NULL), 0);
    cr_assert_eq(echo_unary(channel, "", NULL, 0, &result, NULL), CRPC_ESTATUS);
    cr_assert_eq(result.code, CRPC_ABORTED);
    size_t text_size = strlen(result.message);
    cr_assert_eq(text_size, CRPC_STATUS_TEXT_MAX - 1);
    cr_assert_eq(memcmp(result.message + text_size - 2, "\xc3\xbc", 2), 0);
    crpc_result_clear(&result);
    crpc_channel_free(channel);
    crpc_server_free(server);
    crpc_loop_free(loop);
}

/* -- Metadata ---------------------------------------------------------------------------------- */

struct seen {
    struct event headers, ended;
    char text[32];
    unsigned char raw[8];
    size_t raw_size;
    char trailer[32];
    size_t trailer_raw_size;
    bool has_iterated;
};

static void on_headers(struct crpc_call *call, void *ctx)
{
    struct seen *seen = ctx;
    struct crpc_bytes value;
    struct crpc_metadata entry;
    if (crpc_call_metadata_get(call, "x-text", &value))
        snprintf(seen->text, sizeof(seen->text), "%s", (const char *)value.data);
    if (crpc_call_metadata_get(call, "x-raw-bin", &value) && value.size <= sizeof(seen->raw)) {
        memcpy(seen->raw, value.data, value.size);
        seen->raw_size = value.size;
    }
    for (size_t i = 0; crpc_call_metadata(call, i, &entry); i++)
        seen->has_iterated |= strcmp(entry.key, "x-text") == 0;
    event_post(&seen->headers);
}

static void on_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct seen *seen = ctx;
    struct crpc_bytes value;
    cr_assert_eq(status->code, CRPC_OK);
    if (crpc_call_trailer_get(call, "x-text", &value))
        snprintf(seen->trailer, sizeof(seen->trailer), "%s", (const char *)value.data);
    if (crpc_call_trailer_get(call, "x-raw-bin", &value))
        seen->trailer_raw_size = value.size;
    event_post(&seen->ended);
}

Test(metadata, both_ways)
{
    static const struct crpc_call_events events = {.on_headers = on_headers, .on_end = on_end};
    const unsigned char raw[] = {0, 1, 0xfe, 0xff, '\n'};
    struct crpc_metadata entries[] = {{"x-text", {"hello there", 11}},
                                      {"x-raw-bin", {raw, sizeof(raw)}}};
    struct crpc_call_options options = {.size = sizeof(options),
                                        .timeout_ms = WAIT_S * 1000,
                                        .metadata = entries,
                                        .metadata_count = 2};
    struct seen seen = {.headers = EVENT_INIT, .ended = EVENT_INIT};
    struct crpc_call *call;
    struct crpc_bytes value;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    item.text = (char[]){"meta"};
    cr_assert_eq(crpc_call_open(&call, echo.channel, &crpc__test__echo__descriptor, "Unary",
                                &options, &events, &seen),
                 0);
    cr_assert_eq(crpc_call_send(call, &item.base), 0);
    cr_assert_eq(crpc_call_half_close(call), 0);
    cr_assert_eq(crpc_call_read(call), 0);
    cr_assert(event_wait(&seen.ended, 1));
    cr_assert_eq(event_count(&seen.headers), 1);
    cr_assert_str_eq(seen.text, "hello there");
    cr_assert_eq(seen.raw_size, sizeof(raw));
    cr_assert_arr_eq(seen.raw, raw, sizeof(raw));
    cr_assert(seen.has_iterated);
    cr_assert_str_eq(seen.trailer, "hello there");
    cr_assert_eq(seen.trailer_raw_size, sizeof(raw));
    /* Views live as long as the call. */
    cr_assert(crpc_call_metadata_get(call, "x-text", &value));
    cr_assert_eq(value.size, 11);
    cr_assert_not(crpc_call_metadata_get(call, "x-none", &value));
    crpc_call_unref(call);
}

static int call_with(const char *key, const char *value)
{
    struct crpc_metadata entry = {key, {value, strlen(value)}};
    struct crpc_call_options options = {.size = sizeof(options),
                                        .timeout_ms = WAIT_S * 1000,
                                        .metadata = &entry,
                                        .metadata_count = 1};
    return echo_unary(echo.channel, "hello", NULL, 0, NULL, &options);
}

Test(metadata, keys_and_values_are_checked)
{
    cr_assert_eq(call_with("x-fine.key_1", "value"), 0);
    cr_assert_eq(call_with("grpc-timeout", "1S"), CRPC_EINVAL);
    cr_assert_eq(call_with(":path", "/x"), CRPC_EINVAL);
    cr_assert_eq(call_with("X-Upper", "x"), CRPC_EINVAL);
    cr_assert_eq(call_with("x space", "x"), CRPC_EINVAL);
    cr_assert_eq(call_with("", "x"), CRPC_EINVAL);
    cr_assert_eq(call_with("x-text", "line\nbreak"), CRPC_EINVAL);
    cr_assert_eq(call_with("x-raw-bin", "line\nbreak"), 0);
}

Test(metadata, of_a_client_cannot_be_added_later)
{
    struct crpc_call *call;
    struct crpc_metadata entry = {"x-late", {"x", 1}};
    cr_assert_eq(crpc_call_open(&call, echo.channel, &crpc__test__echo__descriptor, "Both",
                                &bounded, NULL, NULL),
                 0);
    cr_assert_eq(crpc_call_add_metadata(call, &entry), CRPC_EINVAL);
    cr_assert_eq(crpc_call_add_trailer(call, &entry), CRPC_EINVAL);
    cr_assert_eq(crpc_call_fail(call, CRPC_ABORTED, "no"), CRPC_EINVAL);
    crpc_call_cancel(call);
    crpc_call_unref(call);
}

Test(names, codes_and_errors)
{
    cr_assert_str_eq(crpc_code_name(CRPC_NOT_FOUND), "NOT_FOUND");
    cr_assert_str_eq(crpc_code_name(99), "UNKNOWN");
    cr_assert_str_eq(crpc_strerror(CRPC_END), "the stream has no more messages");
    cr_assert_str_eq(crpc_strerror(-99), "unknown error");
    struct crpc_result result = {.code = CRPC_OK};
    crpc_result_clear(&result);
}
