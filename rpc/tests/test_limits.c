/* SPDX-License-Identifier: Apache-2.0
 *
 * What is too much: large messages, hostile ones, writers that are faster than their readers.
 */
#include "echo.h"

#include <criterion/criterion.h>
#include <grpc/reflection/v1/reflection.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct echo echo;
static const struct crpc_call_options bounded = {.size = sizeof(bounded),
                                                 .timeout_ms = WAIT_S * 1000};

static void setup_small(void)
{
    struct crpc_server_options server = {.size = sizeof(server), .message_size_max = 10000};
    struct crpc_channel_options channel = {.size = sizeof(channel), .message_size_max = 20000};
    echo_start(&echo, &server, &channel);
}

static void teardown(void)
{
    echo_stop(&echo);
}

TestSuite(size, .init = setup_small, .fini = teardown, .timeout = 240);

/* Echoes an item with so many bytes of data; the code of its end, or of the failure. */
static int unary_with_data(size_t size, const char *text, int64_t number)
{
    struct crpc_result result = {.code = CRPC_OK};
    ProtobufCMessage *reply = NULL;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    item.data.data = calloc(1, size + 1);
    item.data.len = size;
    item.text = (char *)(uintptr_t)text;
    item.number = number;
    int code = crpc_unary(&reply, echo.channel, &crpc__test__echo__descriptor, "Unary", &item.base,
                          &bounded, &result);
    if (code == 0)
        crpc_message_free(reply);
    free(item.data.data);
    code = code == CRPC_ESTATUS ? (int)result.code : code;
    crpc_result_clear(&result);
    return code;
}

Test(size, of_a_request)
{
    cr_assert_eq(unary_with_data(9000, "", 0), 0);
    cr_assert_eq(unary_with_data(11000, "", 0), CRPC_RESOURCE_EXHAUSTED);
    cr_assert_eq(unary_with_data(9000, "", 0), 0);
    cr_assert_eq(event_count(&echo.log.opened), 2, "the handler must not see the large one");
}

/* Small on the wire: what counts is the size of the inflated message, and no more is made of it. */
Test(size, of_a_compressed_request)
{
    struct crpc_channel_options options = {
        .size = sizeof(options), .message_size_max = 20000, .compresses = true};
    struct crpc_channel *plain = echo.channel;
    cr_assert_eq(crpc_channel_new(&echo.channel, echo.loop, echo.target, &options), 0);
    cr_assert_eq(unary_with_data(9000, "", 0), 0);
    cr_assert_eq(unary_with_data(11000, "", 0), CRPC_RESOURCE_EXHAUSTED);
    cr_assert_eq(unary_with_data(3000000, "", 0), CRPC_RESOURCE_EXHAUSTED);
    cr_assert_eq(unary_with_data(9000, "", 0), 0);
    cr_assert_eq(event_count(&echo.log.opened), 2, "the handler must not see the large ones");
    crpc_channel_free(echo.channel);
    echo.channel = plain;
}

Test(size, of_a_reply)
{
    cr_assert_eq(unary_with_data(0, "big", 19000), 0);
    cr_assert_eq(unary_with_data(0, "big", 21000), CRPC_RESOURCE_EXHAUSTED);
    cr_assert_eq(unary_with_data(0, "big", 19000), 0);
}

Test(size, no_message_of_2_gib)
{
    struct crpc_call *call;
    char data[1] = {0};
    struct crpc_bytes message = {data, (size_t)INT32_MAX + 1};
    cr_assert_eq(crpc_call_open(&call, echo.channel, &crpc__test__echo__descriptor, "Both",
                                &bounded, NULL, NULL),
                 0);
    cr_assert_eq(crpc_call_send_bytes(call, message), CRPC_ETOOBIG);
    cr_assert_eq(crpc_call_send_owned(call, data, (size_t)INT32_MAX + 1), CRPC_ETOOBIG);
    cr_assert_eq(crpc_call_send_bytes(call, (struct crpc_bytes){NULL, 1}), CRPC_EINVAL);
    crpc_call_cancel(call);
    crpc_call_unref(call);
}

struct ending {
    struct event ended;
    int code;
};

static void on_ending(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct ending *ending = ctx;
    (void)call;
    ending->code = status->code;
    event_post(&ending->ended);
}

/* Ends an Echo.Unary call with these raw bytes as its request, or with none. */
static int unary_raw(const char *data, size_t size)
{
    static const struct crpc_call_events events = {.on_end = on_ending};
    struct ending ending = {EVENT_INIT, 0};
    struct crpc_call *call;
    cr_assert_eq(crpc_call_open(&call, echo.channel, &crpc__test__echo__descriptor, "Unary",
                                &bounded, &events, &ending),
                 0);
    if (data != NULL)
        cr_assert_eq(crpc_call_send_bytes(call, (struct crpc_bytes){data, size}), 0);
    crpc_call_half_close(call); /* too late when the server has refused the message */
    cr_assert(event_wait(&ending.ended, 1));
    crpc_call_unref(call);
    return ending.code;
}

Test(size, a_request_that_is_no_message)
{
    cr_assert_eq(unary_raw("\xff\xff\xff", 3), CRPC_INVALID_ARGUMENT);
    cr_assert_eq(unary_raw("\x12\x02\xc3\x28", 4), CRPC_INVALID_ARGUMENT,
                 "a text that is not UTF-8");
    cr_assert_eq(unary_raw(NULL, 0), CRPC_INTERNAL);
    cr_assert_eq(event_count(&echo.log.opened), 0);
    cr_assert_eq(unary_with_data(0, "", 0), 0);
}

static void on_owned_sent(struct crpc_call *call, bool ok, void *ctx)
{
    (void)call;
    if (ok)
        event_post(ctx);
}

Test(size, owned_data_is_freed_when_sent)
{
    static const struct crpc_call_events events = {.on_sent = on_owned_sent};
    struct event sent = EVENT_INIT;
    struct crpc_call *call;
    cr_assert_eq(crpc_call_open(&call, echo.channel, &crpc__test__echo__descriptor, "Up", &bounded,
                                &events, &sent),
                 0);
    for (int i = 1; i <= 100; i++) {
        cr_assert_eq(crpc_call_send_owned(call, calloc(1, 2), 0), 0);
        cr_assert(event_wait(&sent, 2 * i - 1));
        unsigned char *data = malloc(9000);
        memset(data, 0x12, 9000);
        memcpy(data, "\x1a\xa5\x46", 3); /* field 3, 8997 bytes */
        cr_assert_eq(crpc_call_send_owned(call, data, 9000), 0);
        cr_assert(event_wait(&sent, 2 * i));
    }
    crpc_call_cancel(call);
    crpc_call_unref(call);
}

/* -- Decoding ---------------------------------------------------------------------------------- */

/* `depth` messages, each inside the other; returns where they begin in `end`'s buffer. */
static struct crpc_bytes nested(unsigned char *buffer, size_t capacity, int depth)
{
    size_t begin = capacity;
    size_t size = 0;
    for (int i = 0; i < depth; i++) {
        /* The length of what is inside, as a varint of five bytes, from the back. */
        for (int k = 4; k >= 0; k--)
            buffer[--begin] = (unsigned char)((size >> (7 * k) & 0x7f) | (k < 4 ? 0x80 : 0));
        buffer[--begin] = 0x0a;
        size += 6;
    }
    return (struct crpc_bytes){buffer + begin, size};
}

Test(decode, nesting_is_bounded, .timeout = 240)
{
    static unsigned char buffer[6 * 100000];
    ProtobufCMessage *message = NULL;
    struct crpc_bytes shallow = nested(buffer, sizeof(buffer), 20);
    cr_assert_eq(crpc_message_decode(&message, &crpc__test__nest__descriptor, shallow, 0), 0);
    crpc_message_free(message);
    message = NULL;
    struct crpc_bytes deepest = nested(buffer, sizeof(buffer), 64);
    cr_assert_eq(crpc_message_decode(&message, &crpc__test__nest__descriptor, deepest, 0), 0);
    crpc_message_free(message);
    message = NULL;
    struct crpc_bytes deep = nested(buffer, sizeof(buffer), 65);
    cr_assert_eq(crpc_message_decode(&message, &crpc__test__nest__descriptor, deep, 0),
                 CRPC_EDECODE);
    struct crpc_bytes bottomless = nested(buffer, sizeof(buffer), 100000);
    cr_assert_eq(crpc_message_decode(&message, &crpc__test__nest__descriptor, bottomless, SIZE_MAX),
                 CRPC_EDECODE);
    cr_assert_null(message, "untouched on failure");
}

Test(decode, memory_is_bounded, .timeout = 240)
{
    /* Two bytes each: an empty message in `many`. */
    size_t size = 2 * 1024 * 1024;
    unsigned char *data = malloc(size);
    ProtobufCMessage *message = NULL;
    for (size_t i = 0; i < size; i += 2)
        memcpy(data + i, "\x12", 2);
    struct crpc_bytes bytes = {data, size};
    cr_assert_eq(crpc_message_decode(&message, &crpc__test__nest__descriptor, bytes, 1024 * 1024),
                 CRPC_EDECODE);
    cr_assert_null(message);
    struct crpc_bytes few = {data, 200};
    cr_assert_eq(crpc_message_decode(&message, &crpc__test__nest__descriptor, few, 0), 0);
    cr_assert_eq(((Crpc__Test__Nest *)message)->n_many, 100);
    crpc_message_free(message);
    free(data);
}

Test(decode, empty_and_nonsense)
{
    ProtobufCMessage *message = NULL;
    const ProtobufCMessageDescriptor *type = &crpc__test__item__descriptor;
    cr_assert_eq(crpc_message_decode(&message, type, (struct crpc_bytes){NULL, 0}, 0), 0);
    crpc_message_free(message);
    cr_assert_eq(crpc_message_decode(&message, type, (struct crpc_bytes){"\xff\xff\xff\xff", 4}, 0),
                 CRPC_EDECODE);
    cr_assert_eq(crpc_message_decode(&message, type, (struct crpc_bytes){NULL, 4}, 0), CRPC_EINVAL);
    cr_assert_eq(crpc_message_decode(&message, NULL, (struct crpc_bytes){NULL, 0}, 0), CRPC_EINVAL);
    /* A size that no memory has: it overflows nothing on the way to the first field, which is
     * none. */
    struct crpc_bytes endless = {"\0", SIZE_MAX / 32};
    cr_assert_eq(crpc_message_decode(&message, type, endless, 0), CRPC_EDECODE);
    crpc_message_free(NULL);
}

struct text_case {
    const char *bytes; /* of field 2 of Item, a string */
    size_t size;
    bool is_text;
};

Test(decode, text_is_utf8_without_nul)
{
    static const struct text_case cases[] = {
        {"", 0, true},
        {"plain", 5, true},
        {"\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80", 11, true},
        {"\xf4\x8f\xbf\xbf", 4, true},
        {"a\0b", 3, false},
        {"\xc3", 1, false},
        {"\xc3\x28", 2, false},
        {"\x80", 1, false},
        {"\xc0\x80", 2, false},
        {"\xc1\xbf", 2, false},
        {"\xe0\x9f\xbf", 3, false},
        {"\xed\xa0\x80", 3, false},
        {"\xf0\x8f\xbf\xbf", 4, false},
        {"\xf4\x90\x80\x80", 4, false},
        {"\xf8\x88\x80\x80\x80", 5, false},
        {"\xff", 1, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned char bytes[16] = {0x12, (unsigned char)cases[i].size};
        ProtobufCMessage *message = NULL;
        memcpy(bytes + 2, cases[i].bytes, cases[i].size);
        int expected = cases[i].is_text ? 0 : CRPC_EDECODE;
        struct crpc_bytes whole = {bytes, cases[i].size + 2};
        cr_expect_eq(crpc_message_decode(&message, &crpc__test__item__descriptor, whole, 0),
                     expected, "case %zu", i);
        crpc_message_free(message);
    }
}

Test(decode, text_is_looked_at_in_inner_messages_and_nowhere_else)
{
    const ProtobufCMessageDescriptor *set =
        &grpc__reflection__v1__server_reflection_response__descriptor;
    const ProtobufCMessageDescriptor *item = &crpc__test__item__descriptor;
    ProtobufCMessage *message = NULL;
    /* list_services_response { service { name: "\xff" } } */
    struct crpc_bytes inner = {"\x32\x05\x0a\x03\x0a\x01\xff", 7};
    cr_assert_eq(crpc_message_decode(&message, set, inner, 0), CRPC_EDECODE);
    /* The same bytes as `data` of an Item, and as a field that nobody knows. */
    cr_assert_eq(crpc_message_decode(&message, item, (struct crpc_bytes){"\x1a\x01\xff", 3}, 0), 0);
    crpc_message_free(message);
    cr_assert_eq(crpc_message_decode(&message, item, (struct crpc_bytes){"\x7a\x01\xff", 3}, 0), 0);
    crpc_message_free(message);
}

Test(decode, what_is_cut_short)
{
    static const char whole[] = "\x08\x81\x01\x12\x02hi\x2a\x02\x08\x05";
    bool is_boundary[sizeof(whole)] = {[0] = true, [3] = true, [7] = true, [11] = true};
    for (size_t size = 0; size < sizeof(whole); size++) {
        ProtobufCMessage *message = NULL;
        int result = crpc_message_decode(&message, &crpc__test__item__descriptor,
                                         (struct crpc_bytes){whole, size}, 0);
        cr_expect_eq(result, is_boundary[size] ? 0 : CRPC_EDECODE, "%zu bytes", size);
        crpc_message_free(message);
    }
}

/* -- Flow control ------------------------------------------------------------------------------ */

/* A server that reads only when it is told to. */
struct slow {
    struct event opened, read;
    struct crpc_call *call;
};

static void on_slow_message(struct crpc_call *call, struct crpc_bytes message, void *ctx)
{
    (void)call;
    (void)message;
    event_post(&((struct slow *)ctx)->read);
}

static void on_slow(struct crpc_call *call, void *ctx)
{
    static const struct crpc_call_events events = {.on_message = on_slow_message};
    struct slow *slow = ctx;
    crpc_call_events_set(call, &events, slow);
    crpc_call_ref(call);
    slow->call = call;
    event_post(&slow->opened);
}

struct writer {
    struct event sent, ended;
    int accepted;
};

static void on_sent(struct crpc_call *call, bool ok, void *ctx)
{
    (void)call;
    if (ok)
        event_post(&((struct writer *)ctx)->sent);
}

static void on_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    (void)call;
    (void)status;
    event_post(&((struct writer *)ctx)->ended);
}

#define PIECE_SIZE 8192
#define PIECES_BOUND 64 /* half a MiB, against endless */

/* Writes until the transport takes no more for half a second. */
static void write_until_stuck(struct crpc_call *call, struct writer *writer)
{
    static char data[PIECE_SIZE];
    while (writer->accepted < 10 * PIECES_BOUND) {
        cr_assert_eq(crpc_call_send_bytes(call, (struct crpc_bytes){data, sizeof(data)}), 0);
        writer->accepted++;
        if (!event_wait_ms(&writer->sent, writer->accepted, 500))
            return;
    }
}

Test(flow, a_slow_reader_holds_the_writer_back, .timeout = 240)
{
    static const struct crpc_handler handlers[] = {
        {.method = "Up", .kind = CRPC_CLIENT_STREAMING, .on_open = on_slow}};
    static const struct crpc_call_events events = {.on_sent = on_sent, .on_end = on_end};
    struct crpc_server_options options = {.size = sizeof(options), .stream_window_size = 65536};
    struct slow slow = {EVENT_INIT, EVENT_INIT, NULL};
    struct writer writer = {EVENT_INIT, EVENT_INIT, 0};
    struct crpc_loop *loop;
    struct crpc_server *server;
    struct crpc_channel *channel;
    struct crpc_call *call;
    char target[64];
    int port;
    cr_assert_eq(crpc_loop_new(&loop, NULL), 0);
    cr_assert_eq(crpc_server_new(&server, loop, &options), 0);
    cr_assert_eq(crpc_server_add_service(server, &crpc__test__echo__descriptor, handlers, 1, &slow),
                 0);
    cr_assert_eq(crpc_server_listen(server, "localhost:0", NULL, &port), 0);
    cr_assert_eq(crpc_server_start(server), 0);
    /* c-ares leaks ten bytes over "localhost" */
    snprintf(target, sizeof(target), "127.0.0.1:%d", port);
    cr_assert_eq(crpc_channel_new(&channel, loop, target, NULL), 0);
    cr_assert_eq(
        crpc_call_open(&call, channel, &crpc__test__echo__descriptor, "Up", NULL, &events, &writer),
        0);

    write_until_stuck(call, &writer);
    cr_assert_gt(writer.accepted, 1);
    cr_assert_lt(writer.accepted, PIECES_BOUND, "%d pieces were taken without a read",
                 writer.accepted);
    /* Reading lets it go on. */
    cr_assert(event_wait(&slow.opened, 1));
    for (int i = 1; !event_wait_ms(&writer.sent, writer.accepted, 0); i++) {
        cr_assert_eq(crpc_call_read(slow.call), 0);
        cr_assert(event_wait(&slow.read, i));
        if (i == writer.accepted - 1)
            cr_assert(event_wait(&writer.sent, writer.accepted));
    }
    crpc_call_cancel(call);
    cr_assert(event_wait(&writer.ended, 1));
    crpc_call_unref(call);
    crpc_call_unref(slow.call);
    crpc_channel_free(channel);
    crpc_server_free(server);
    crpc_loop_free(loop);
}

/* -- Options ----------------------------------------------------------------------------------- */

Test(options, keepalive_and_the_rest_are_taken, .timeout = 240)
{
    struct crpc_server_options server = {.size = sizeof(server),
                                         .metadata_size_max = 4096,
                                         .concurrent_streams_max = 4,
                                         .keepalive_ms = 1000,
                                         .keepalive_timeout_ms = 500,
                                         .ping_interval_min_ms = 100};
    struct crpc_channel_options channel = {.size = sizeof(channel),
                                           .keepalive_ms = UINT32_MAX,
                                           .keepalive_timeout_ms = 700,
                                           .reconnect_ms = 50,
                                           .stream_window_size = 65536,
                                           .own_connection = true};
    char reply[16];
    echo_start(&echo, &server, &channel);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(echo_unary(echo.channel, "hello", reply, sizeof(reply), NULL, NULL), 0);
    echo_stop(&echo);
}

/* Three hundred small ones, say: gRPC alone would end the connection, and with it all its calls. */
Test(options, a_call_with_too_much_metadata_ends_alone, .timeout = 240)
{
    enum { ENTRIES = 300 };
    static char keys[ENTRIES][16];
    static struct crpc_metadata entries[ENTRIES];
    struct crpc_server_options server = {.size = sizeof(server), .metadata_size_max = 4096};
    struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = WAIT_S * 1000};
    struct crpc_result result = {.code = CRPC_OK};
    struct crpc_stream *beside = NULL;
    ProtobufCMessage *message = NULL;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(keys[i], sizeof(keys[i]), "key-%d", i);
        entries[i] = (struct crpc_metadata){.key = keys[i], .value = {"0123456789", 10}};
    }
    options.metadata = entries;
    options.metadata_count = ENTRIES;
    echo_start(&echo, &server, NULL);
    cr_assert_eq(
        crpc_stream_open(&beside, echo.channel, &crpc__test__echo__descriptor, "Both", &bounded),
        0);
    cr_assert_eq(echo_unary(echo.channel, "hello", NULL, 0, &result, &options), CRPC_ESTATUS);
    cr_assert_eq(result.code, CRPC_RESOURCE_EXHAUSTED);
    cr_assert(strstr(result.message, "metadata") != NULL, "%s", result.message);
    crpc_result_clear(&result);
    cr_assert_eq(crpc_stream_write(beside, &item.base), 0);
    cr_assert_eq(crpc_stream_read(&message, beside), 0, "the connection goes on");
    crpc_message_free(message);
    crpc_stream_cancel(beside);
    crpc_stream_finish(beside, NULL);
    echo_stop(&echo);
}

Test(options, a_struct_of_size_0_is_refused)
{
    struct crpc_loop_options loop_options = {.size = 0};
    struct crpc_server_options server_options = {.size = 0};
    struct crpc_channel_options channel_options = {.size = 0};
    struct crpc_loop *loop = NULL;
    struct crpc_server *server = NULL;
    struct crpc_channel *channel = NULL;
    cr_assert_eq(crpc_loop_new(&loop, &loop_options), CRPC_EINVAL);
    cr_assert_eq(crpc_loop_new(&loop, NULL), 0);
    cr_assert_eq(crpc_server_new(&server, loop, &server_options), CRPC_EINVAL);
    cr_assert_eq(crpc_channel_new(&channel, loop, "localhost:1", &channel_options), CRPC_EINVAL);
    cr_assert_null(server);
    cr_assert_null(channel);
    crpc_loop_free(loop);
}

/* Only `size` and the fields an older caller knows are read. */
Test(options, a_shorter_struct_is_fine)
{
    struct crpc_loop_options options = {.size = offsetof(struct crpc_loop_options, on_log),
                                        .threads = 2};
    struct crpc_loop *loop;
    options.on_log = (crpc_log_fn)(uintptr_t)1;
    cr_assert_eq(crpc_loop_new(&loop, &options), 0);
    crpc_loop_free(loop);
}
