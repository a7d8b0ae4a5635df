/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes that are no requests: cut short, changed, random, with text that is none; to every unary
 * method and to both streams. What happens to be a valid request is answered like one; nothing else
 * is, and nothing ends the coordinator.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

BENCH_SUITE(garbage);
BENCH_SUITE(streams);

struct method {
    const ProtobufCServiceDescriptor *service;
    const char *name;
};

static const struct method methods[] = {
    {COORDINATOR, "Begin"},
    {COORDINATOR, "Enlist"},
    {COORDINATOR, "Try"},
    {COORDINATOR, "Confirm"},
    {COORDINATOR, "Cancel"},
    {COORDINATOR, "Run"},
    {COORDINATOR, "Get"},
    {COORDINATOR, "Watch"},
    {COORDINATOR, "Await"},
    {PARTICIPANTS, "RegisterTarget"},
    {ADMIN, "List"},
    {ADMIN, "Show"},
    {ADMIN, "Retry"},
    {ADMIN, "Settle"},
    {ADMIN, "Decide"},
    {ADMIN, "Pause"},
    {ADMIN, "ListParticipants"},
    {ADMIN, "GetStatistics"},
    {COORDINATOR, "Session"},
    {PARTICIPANTS, "Attach"},
};
#define METHOD_COUNT (sizeof(methods) / sizeof(methods[0]))

/* What a peer may be told of bytes that are wrong; anything else would blame the coordinator. */
static bool is_blame(enum crpc_code code)
{
    return code == CRPC_INVALID_ARGUMENT || code == CRPC_NOT_FOUND ||
           code == CRPC_FAILED_PRECONDITION || code == CRPC_ALREADY_EXISTS;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static bool is_stream(const struct method *method)
{
    return strcmp(method->name, "Session") == 0 || strcmp(method->name, "Attach") == 0;
}

BENCH_TEST(garbage, no_protobuf_at_all)
{
    static const struct crpc_bytes bad[] = {
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11}, /* a tag without an end */
        {"\x0a\xff\xff\xff\xff\x0f", 6},                      /* 4 GiB announced */
        {"\x0b\x0c", 2},                                      /* a group */
        {"\x0f", 1},                                          /* wire type 7 */
        {"GET / HTTP/1.1\r\n\r\n", 18},
    };
    for (size_t m = 0; m < METHOD_COUNT; m++)
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            char text[256];
            enum crpc_code code =
                send_raw(&bench, methods[m].service, methods[m].name, bad[i], text);
            cr_expect_eq(code, CRPC_INVALID_ARGUMENT, "%s, case %zu: %s %s", methods[m].name, i,
                         crpc_code_name((int)code), text);
            cr_expect(strstr(text, "not a valid protobuf") != NULL, "%s: \"%s\"", methods[m].name,
                      text);
        }
}

BENCH_TEST(garbage, random_bytes)
{
    uint32_t seed = 2463534242;
    for (int round = 0; round < 20; round++)
        for (size_t m = 0; m < METHOD_COUNT; m++) {
            uint8_t bytes[64];
            size_t size = next_random(&seed) % sizeof(bytes) + 1;
            for (size_t i = 0; i < size; i++)
                bytes[i] = (uint8_t)next_random(&seed);
            enum crpc_code code = send_raw(&bench, methods[m].service, methods[m].name,
                                           (struct crpc_bytes){bytes, size}, NULL);
            cr_expect(is_blame(code) || code == CRPC_OK, "%s: %s", methods[m].name,
                      crpc_code_name((int)code));
        }
}

/* A request with everything in it. */
static size_t pack_run(uint8_t *bytes, const char *gid)
{
    Tercet__V1__Metadata metadata = TERCET__V1__METADATA__INIT;
    Tercet__V1__Metadata *entries[] = {&metadata};
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    Tercet__V1__Branch branch = branch_of(2, "later/do", 20);
    Tercet__V1__Branch *branches[] = {&branch};
    Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
    char key[] = "traceparent", value[] = "00-11-22-01";
    metadata.key = key;
    metadata.value = value;
    options.deadline_ms = 60000;
    options.ordered = true;
    options.metadata = entries;
    options.n_metadata = 1;
    run.gid = (char *)gid;
    run.options = &options;
    run.branches = branches;
    run.n_branches = 1;
    run.wait = TERCET__V1__WAIT__WAIT_NOT;
    return tercet__v1__run_request__pack(&run, bytes);
}

BENCH_TEST(garbage, cut_short)
{
    uint8_t bytes[256];
    size_t size = pack_run(bytes, "cut");
    size_t invalid = 0;
    for (size_t cut = 0; cut < size; cut++) {
        enum crpc_code code =
            send_raw(&bench, COORDINATOR, "Run", (struct crpc_bytes){bytes, cut}, NULL);
        invalid += code == CRPC_INVALID_ARGUMENT;
        /* Without its last field, WAIT_NOT, it is a plan that waits for a participant. */
        cr_expect(code == CRPC_INVALID_ARGUMENT ||
                      (cut == size - 2 && code == CRPC_DEADLINE_EXCEEDED),
                  "%zu bytes: %s", cut, crpc_code_name((int)code));
        if (cut == size - 3)
            cut++; /* which is not tried: it would wait */
    }
    cr_expect_eq(invalid, size - 1);
    cr_assert_eq(send_raw(&bench, COORDINATOR, "Run", (struct crpc_bytes){bytes, size}, NULL),
                 CRPC_OK);
}

BENCH_TEST(garbage, one_byte_changed)
{
    uint8_t bytes[256];
    uint32_t seed = 88172645;
    for (int round = 0; round < 300; round++) {
        char gid[16];
        snprintf(gid, sizeof(gid), "changed-%d", round);
        size_t size = pack_run(bytes, gid);
        /* The last two bytes say "do not wait". */
        bytes[next_random(&seed) % (size - 2)] = (uint8_t)next_random(&seed);
        enum crpc_code code =
            send_raw(&bench, COORDINATOR, "Run", (struct crpc_bytes){bytes, size}, NULL);
        cr_expect(is_blame(code) || code == CRPC_OK, "round %d: %s", round,
                  crpc_code_name((int)code));
    }
}

BENCH_TEST(garbage, text_that_is_none)
{
    static const struct {
        const char *method;
        struct crpc_bytes bytes;
    } bad[] = {
        {"Begin",
         {"\x0a\x03"
          "a\0b",
          5}},                            /* a NUL in a gid */
        {"Get", {"\x0a\x01\0", 3}},       /* nothing but NUL */
        {"Get", {"\x0a\x02\xc3\x28", 4}}, /* a broken sequence */
        /* a reason with an overlong NUL */
        {"Cancel", {"\x0a\x09kept-open\x12\x02\xc0\x80", 15}},
        {"Cancel", {"\x0a\x09kept-open\x12\x03\xed\xa0\x80", 16}}, /* a surrogate */
        /* an action, one message further in */
        {"Enlist", {"\x0a\x09kept-open\x12\x07\x08\x01\x12\x03s/\xff", 20}},
        /* metadata, two further in */
        {"Begin", {"\x0a\x01m\x12\x0a\x42\x08\x0a\x01k\x12\x03v\0w", 15}},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[256];
        enum crpc_code code = send_raw(&bench, COORDINATOR, bad[i].method, bad[i].bytes, text);
        cr_expect_eq(code, CRPC_INVALID_ARGUMENT, "case %zu: %s", i, crpc_code_name((int)code));
        cr_expect(strstr(text, "not UTF-8 or has a NUL") != NULL, "case %zu: %s", i, text);
    }
}

/* Thousands of empty messages in a small one. */
BENCH_TEST(garbage, small_on_the_wire_and_large_in_memory)
{
    size_t size = 1000 * 1000;
    uint8_t *bytes = calloc(1, size);
    for (size_t i = 0; i < size; i += 2)
        bytes[i] = 0x1a; /* an empty branch */
    enum crpc_code code =
        send_raw(&bench, COORDINATOR, "Run", (struct crpc_bytes){bytes, size}, NULL);
    cr_expect(code == CRPC_INVALID_ARGUMENT, "%s", crpc_code_name((int)code));
    for (size_t i = 0; i < size; i += 2)
        bytes[i] = 0x0a; /* an empty request */
    code = send_raw(&bench, COORDINATOR, "Session", (struct crpc_bytes){bytes, size}, NULL);
    cr_expect(code == CRPC_INVALID_ARGUMENT || code == CRPC_RESOURCE_EXHAUSTED || code == CRPC_OK,
              "%s", crpc_code_name((int)code));
    free(bytes);
}

/* What a port scan leaves behind: connections that say nothing, or no HTTP/2, or a broken one. */
BENCH_TEST(garbage, no_http2)
{
    static const struct crpc_bytes sent[] = {
        {"", 0},
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27},
        /* the beginning of a TLS hello */
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11},
        /* a frame of 16 MiB */
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x04\x00\x00\x00\x00\x00", 33},
        /* a continuation of nothing */
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x01\x09\x00\x00\x00\x00\x00x", 34},
    };
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int connections[200];
    address.sin_port = htons((uint16_t)atoi(strrchr(bench.daemon.address, ':') + 1));
    for (int i = 0; i < 200; i++) {
        const struct crpc_bytes *bytes = &sent[i % 5];
        connections[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(connect(connections[i], (struct sockaddr *)&address, sizeof(address)), 0);
        cr_assert_eq(send(connections[i], bytes->data, bytes->size, MSG_NOSIGNAL),
                     (ssize_t)bytes->size);
    }
    bench_check_serving(&bench);
    for (int i = 0; i < 200; i++)
        close(connections[i]);
    bench_check_serving(&bench);
    char *log = daemon_log(&bench.daemon);
    cr_expect_lt(strlen(log), 20000, "the log is flooded: %zu bytes", strlen(log));
    free(log);
}

/* -- Streams ----------------------------------------------------------------------------------- */

/* Sends these on one Attach and waits for its end. */
static enum crpc_code attach(const Tercet__V1__AttachRequest *const *messages, size_t count,
                             char text[256])
{
    struct crpc_stream *stream;
    struct crpc_result result = {.code = CRPC_OK};
    ProtobufCMessage *message;
    cr_assert_eq(crpc_stream_open(&stream, bench.channel, PARTICIPANTS, "Attach", NULL), 0);
    for (size_t i = 0; i < count; i++)
        crpc_stream_write(stream, &messages[i]->base);
    crpc_stream_half_close(stream);
    while (crpc_stream_read(&message, stream) == 0)
        crpc_message_free(message);
    crpc_stream_finish(stream, &result);
    enum crpc_code code = result.code;
    snprintf(text, 256, "%s", result.message);
    crpc_result_clear(&result);
    return code;
}

static bool attach_fails(const Tercet__V1__AttachRequest *const *messages, size_t count,
                         enum crpc_code code, const char *words)
{
    char text[256];
    enum crpc_code got = attach(messages, count, text);
    if (got != code || strstr(text, words) == NULL)
        fprintf(stderr, "Attach: %s \"%s\", not %s with \"%s\"\n", crpc_code_name((int)got), text,
                crpc_code_name((int)code), words);
    return got == code && strstr(text, words) != NULL;
}

static bool hello_fails(const char *service, const char *action, const char *instance,
                        const char *words)
{
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    const Tercet__V1__AttachRequest *messages[] = {&request};
    char *actions[] = {(char *)action};
    hello.service = (char *)service;
    hello.actions = actions;
    hello.n_actions = action != NULL;
    hello.instance = (char *)instance;
    request.hello = &hello;
    return attach_fails(messages, 1, CRPC_INVALID_ARGUMENT, words);
}

BENCH_TEST(streams, hello)
{
    static char large[300];
    memset(large, 'x', sizeof(large) - 1);
    cr_expect(hello_fails("", "do", "i", "a service's name"));
    cr_expect(hello_fails("a/b", "do", "i", "a service's name"));
    cr_expect(hello_fails("a b", "do", "i", "a service's name"));
    cr_expect(hello_fails(large, "do", "i", "at most 63 characters"));
    cr_expect(hello_fails("later", "", "i", "an action's name"));
    cr_expect(hello_fails("later", "later/do", "i", "without the service"));
    cr_expect(hello_fails("later", large, "i", "at most 64 characters"));
    cr_expect(hello_fails("later", NULL, "i", "names no actions"));
    cr_expect(hello_fails("later", "do", large, "at most 256 bytes"));
}

BENCH_TEST(streams, attach_without_a_hello_and_with_two)
{
    Tercet__V1__CallResult result = TERCET__V1__CALL_RESULT__INIT;
    Tercet__V1__CallResult *results[] = {&result};
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    Tercet__V1__AttachRequest without = TERCET__V1__ATTACH_REQUEST__INIT;
    Tercet__V1__AttachRequest with = TERCET__V1__ATTACH_REQUEST__INIT;
    const Tercet__V1__AttachRequest *first[] = {&without};
    const Tercet__V1__AttachRequest *twice[] = {&with, &with};
    char service[] = "later", action[] = "do";
    char *actions[] = {action};
    without.results = results;
    without.n_results = 1;
    hello.service = service;
    hello.actions = actions;
    hello.n_actions = 1;
    with.hello = &hello;
    cr_assert(attach_fails(first, 1, CRPC_FAILED_PRECONDITION, "must carry a hello"));
    cr_assert(attach_fails(twice, 2, CRPC_INVALID_ARGUMENT, "said hello already"));
}

/* A branch tried in one database and confirmed in another would be torn: while an instance is
 * attached, those with another database are not. */
BENCH_TEST(streams, two_databases_behind_one_service)
{
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    const Tercet__V1__AttachRequest *messages[] = {&request};
    struct crpc_stream *stream = NULL;
    ProtobufCMessage *message = NULL;
    struct crpc_result result;
    char service[] = "later", action[] = "do", one[] = "0123456789", two[] = "fedcba9876",
         text[256];
    static char large[66];
    char *actions[] = {action};
    hello.service = service;
    hello.actions = actions;
    hello.n_actions = 1;
    hello.database = one;
    request.hello = &hello;
    cr_assert_eq(crpc_stream_open(&stream, bench.channel, PARTICIPANTS, "Attach", NULL), 0);
    cr_assert_eq(crpc_stream_write(stream, &request.base), 0);
    cr_assert_eq(crpc_stream_read(&message, stream), 0, "it is accepted");
    crpc_message_free(message);
    hello.database = two;
    cr_assert(attach_fails(messages, 1, CRPC_FAILED_PRECONDITION, "share one database"));
    hello.database = one;
    cr_assert_eq(attach(messages, 1, text), CRPC_OK, "%s", text);
    hello.database = (char *)"";
    cr_assert_eq(attach(messages, 1, text), CRPC_OK, "older participants do not tell: %s", text);
    hello.database = memset(large, 'x', sizeof(large) - 1);
    cr_assert(attach_fails(messages, 1, CRPC_INVALID_ARGUMENT, "at most 64 characters"));
    crpc_stream_half_close(stream);
    while (crpc_stream_read(&message, stream) == 0)
        crpc_message_free(message);
    crpc_stream_finish(stream, &result);
    crpc_result_clear(&result);
}

/* Results for calls that nobody made, among them numbers that a table's index could be made of. */
BENCH_TEST(streams, results_for_unknown_calls)
{
    static const uint64_t ids[] = {0,          1,           255,         256,
                                   0xffffffff, 0x100000000, 0x1000000ff, UINT64_MAX};
    struct participant *participant = participant_open(&bench);
    Tercet__V1__CallResult results[8];
    Tercet__V1__CallResult *list[8];
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    const Tercet__V1__AttachRequest *messages[] = {&request};
    char service[] = "later", action[] = "do", text[256];
    char *actions[] = {action};
    for (size_t i = 0; i < 8; i++) {
        tercet__v1__call_result__init(&results[i]);
        results[i].id = ids[i];
        results[i].outcome = (Tercet__V1__Outcome)(i * 1000);
        list[i] = &results[i];
    }
    hello.service = service;
    hello.actions = actions;
    hello.n_actions = 1;
    request.hello = &hello;
    request.results = list;
    request.n_results = 8;
    cr_assert_eq(attach(messages, 1, text), CRPC_OK, "%s", text);
    participant_close(participant);
}

/* A participant that guesses the ids of others' calls, which were sent to another instance or still
 * wait for one. */
BENCH_TEST(streams, results_for_calls_of_others)
{
    enum { GENERATIONS = 8, PLACES = 256, COUNT = GENERATIONS * PLACES };
    static Tercet__V1__CallResult results[COUNT];
    static Tercet__V1__CallResult *list[COUNT];
    struct participant *participant = participant_open(&bench);
    Tercet__V1__Branch held = branch_of(1, "stock/hold", 1);
    Tercet__V1__Branch waiting = branch_of(2, "absent/do", 1);
    Tercet__V1__Branch *branches[] = {&held, &waiting};
    Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    const Tercet__V1__AttachRequest *messages[] = {&request};
    char gid[] = "others", service[] = "later", action[] = "do", text[256];
    char *actions[] = {action};
    run.gid = gid;
    run.branches = branches;
    run.n_branches = 2;
    run.wait = TERCET__V1__WAIT__WAIT_NOT;
    cr_assert(is_in(&bench, "Run", &run.base, TERCET__V1__STATE__TRYING));
    for (size_t i = 0; i < COUNT; i++) {
        tercet__v1__call_result__init(&results[i]);
        results[i].id = (uint64_t)(i / PLACES) << 32 | i % PLACES;
        results[i].outcome = TERCET__V1__OUTCOME__DONE;
        list[i] = &results[i];
    }
    hello.service = service;
    hello.actions = actions;
    hello.n_actions = 1;
    request.hello = &hello;
    request.results = list;
    request.n_results = COUNT;
    cr_assert_eq(attach(messages, 1, text), CRPC_OK, "%s", text);
    Tercet__V1__GetRequest get = get_of(gid);
    cr_assert(is_in(&bench, "Get", &get.base, TERCET__V1__STATE__TRYING),
              "a stranger has answered");
    Tercet__V1__CancelRequest cancel = cancel_of(gid, "");
    cr_assert(is_in(&bench, "Cancel", &cancel.base, TERCET__V1__STATE__CANCELLING));
    participant_close(participant);
}

BENCH_TEST(streams, session_with_nothing_in_it)
{
    Tercet__V1__SessionRequest empty = TERCET__V1__SESSION_REQUEST__INIT;
    Tercet__V1__SessionRequest *list[] = {&empty, &empty};
    Tercet__V1__SessionRequests requests = TERCET__V1__SESSION_REQUESTS__INIT;
    ProtobufCMessage *message = NULL;
    struct crpc_stream *stream;
    struct crpc_result result = {.code = CRPC_OK};
    cr_assert_eq(crpc_stream_open(&stream, bench.channel, COORDINATOR, "Session", NULL), 0);
    cr_assert_eq(crpc_stream_write(stream, &requests.base), 0);
    requests.requests = list;
    requests.n_requests = 2;
    cr_assert_eq(crpc_stream_write(stream, &requests.base), 0);
    cr_assert_eq(crpc_stream_read(&message, stream), 0);
    const Tercet__V1__SessionResponses *responses = (const Tercet__V1__SessionResponses *)message;
    cr_assert_geq(responses->n_responses, 1);
    cr_assert_eq(responses->responses[0]->code, CRPC_INVALID_ARGUMENT);
    cr_assert_not_null(strstr(responses->responses[0]->message, "does not know"));
    crpc_message_free(message);
    crpc_stream_half_close(stream);
    crpc_stream_finish(stream, &result);
    cr_assert_eq(result.code, CRPC_OK);
    crpc_result_clear(&result);
}

/* The answer to request `id` of the open session. */
static enum crpc_code read_answer(struct crpc_stream *stream, uint64_t id, char text[256])
{
    for (;;) {
        ProtobufCMessage *message = NULL;
        enum crpc_code code = CRPC_UNKNOWN;
        cr_assert_eq(crpc_stream_read(&message, stream), 0, "the session has ended");
        const Tercet__V1__SessionResponses *list = (const Tercet__V1__SessionResponses *)message;
        for (size_t i = 0; i < list->n_responses; i++)
            if (list->responses[i]->id == id) {
                code = (enum crpc_code)list->responses[i]->code;
                snprintf(text, 256, "%s", list->responses[i]->message);
            }
        crpc_message_free(message);
        if (code != CRPC_UNKNOWN)
            return code;
    }
}

/* Text that is none costs the request that it is in, not those beside it and not the session. */
BENCH_TEST(streams, session_with_a_request_that_is_no_text)
{
    char bad_gid[] = "caf\xe9", good_gid[] = "kept-open", text[256];
    Tercet__V1__GetRequest bad = get_of(bad_gid), good = get_of(good_gid);
    Tercet__V1__SessionRequest first = TERCET__V1__SESSION_REQUEST__INIT;
    Tercet__V1__SessionRequest second = TERCET__V1__SESSION_REQUEST__INIT;
    Tercet__V1__SessionRequest *list[] = {&first, &second};
    Tercet__V1__SessionRequests requests = TERCET__V1__SESSION_REQUESTS__INIT;
    struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = WAIT_MS};
    struct crpc_stream *stream;
    struct crpc_result result = {.code = CRPC_OK};
    first.id = 300, first.request_case = TERCET__V1__SESSION_REQUEST__REQUEST_GET, first.get = &bad;
    second.id = 2, second.request_case = TERCET__V1__SESSION_REQUEST__REQUEST_GET;
    second.get = &good;
    requests.requests = list;
    cr_assert_eq(crpc_stream_open(&stream, bench.channel, COORDINATOR, "Session", &options), 0);
    for (int again = 0; again < 2; again++) {
        requests.n_requests = 1; /* by itself, so that its answer comes by itself */
        cr_assert_eq(crpc_stream_write(stream, &requests.base), 0);
        cr_assert_eq(read_answer(stream, 300, text), CRPC_INVALID_ARGUMENT);
        cr_assert_not_null(strstr(text, "UTF-8 without NUL"), "%s", text);
        requests.n_requests = 2;
        cr_assert_eq(crpc_stream_write(stream, &requests.base), 0);
        cr_assert_eq(read_answer(stream, 2, text), CRPC_OK, "%s", text);
    }
    crpc_stream_half_close(stream);
    crpc_stream_finish(stream, &result);
    cr_assert_eq(result.code, CRPC_OK);
    crpc_result_clear(&result);
}

/* The next call of the attached instance. */
static uint64_t read_call(struct crpc_stream *stream, Tercet__V1__Kind *kind)
{
    uint64_t id = 0;
    while (id == 0) {
        ProtobufCMessage *message = NULL;
        cr_assert_eq(crpc_stream_read(&message, stream), 0, "the stream has ended");
        const Tercet__V1__AttachResponse *response = (const Tercet__V1__AttachResponse *)message;
        if (response->n_calls > 0) {
            id = response->calls[0]->id;
            *kind = response->calls[0]->kind;
        }
        crpc_message_free(message);
    }
    return id;
}

static void answer_call(struct crpc_stream *stream, uint64_t id, Tercet__V1__Outcome outcome,
                        char *reason)
{
    Tercet__V1__CallResult result = TERCET__V1__CALL_RESULT__INIT;
    Tercet__V1__CallResult *results[] = {&result};
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    result.id = id;
    result.outcome = outcome;
    result.reason = reason;
    request.results = results;
    request.n_results = 1;
    cr_assert_eq(crpc_stream_write(stream, &request.base), 0);
}

/* A result whose reason is no text has failed, and is asked for again over the same stream. */
BENCH_TEST(streams, a_result_that_is_no_text)
{
    char gid[] = "no-text", service[] = "later", action[] = "do", bad[] = "caf\xe9", none[] = "";
    char *actions[] = {action};
    Tercet__V1__Branch branch = branch_of(1, "later/do", 1);
    Tercet__V1__Branch *branches[] = {&branch};
    Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
    Tercet__V1__AwaitRequest await = TERCET__V1__AWAIT_REQUEST__INIT;
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = WAIT_MS};
    struct crpc_stream *stream;
    Tercet__V1__Kind kind;
    run.gid = gid, run.branches = branches, run.n_branches = 1;
    run.wait = TERCET__V1__WAIT__WAIT_NOT;
    hello.service = service, hello.actions = actions, hello.n_actions = 1;
    request.hello = &hello;
    cr_assert_eq(crpc_stream_open(&stream, bench.channel, PARTICIPANTS, "Attach", &options), 0);
    cr_assert_eq(crpc_stream_write(stream, &request.base), 0);
    cr_assert(is_in(&bench, "Run", &run.base, TERCET__V1__STATE__TRYING));
    uint64_t id = read_call(stream, &kind);
    answer_call(stream, id, TERCET__V1__OUTCOME__REFUSAL, bad);
    id = read_call(stream, &kind);
    cr_assert_eq(kind, TERCET__V1__KIND__TRY, "what could not be read was not a refusal");
    answer_call(stream, id, TERCET__V1__OUTCOME__DONE, none);
    id = read_call(stream, &kind);
    cr_assert_eq(kind, TERCET__V1__KIND__CONFIRM);
    answer_call(stream, id, TERCET__V1__OUTCOME__DONE, none);
    await.gid = gid;
    await.wait = TERCET__V1__WAIT__WAIT_RESOLVED;
    cr_assert(is_in(&bench, "Await", &await.base, TERCET__V1__STATE__CONFIRMED));
    crpc_stream_half_close(stream);
    crpc_stream_finish(stream, NULL);
}

BENCH_TEST(streams, session_with_a_message_too_large)
{
    size_t size = 1024 * 1024 + 1;
    uint8_t *bytes = calloc(1, size);
    char text[256];
    for (size_t m = 0; m < METHOD_COUNT; m++) {
        if (!is_stream(&methods[m]))
            continue;
        enum crpc_code code = send_raw(&bench, methods[m].service, methods[m].name,
                                       (struct crpc_bytes){bytes, size}, text);
        cr_expect_eq(code, CRPC_RESOURCE_EXHAUSTED, "%s: %s %s", methods[m].name,
                     crpc_code_name((int)code), text);
    }
    free(bytes);
}

/* A called participant whose status text is no text: it is shown to operators, and must not spoil
 * the message it comes in. */
static void on_execute(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    const Tercet__V1__Call *asked = (const Tercet__V1__Call *)request;
    Tercet__V1__CallResult done = TERCET__V1__CALL_RESULT__INIT;
    struct crpc_status status = {.code = CRPC_UNKNOWN, .message = "caf\xe9"};
    (void)ctx;
    done.outcome = TERCET__V1__OUTCOME__DONE;
    if (asked->kind == TERCET__V1__KIND__TRY)
        crpc_call_finish(call, &status);
    else
        crpc_call_reply(call, &done.base);
}

BENCH_TEST(streams, status_text_of_a_called_participant)
{
    static const struct crpc_handler handlers[] = {{.method = "Execute", .on_request = on_execute}};
    struct crpc_server *server;
    int port;
    char target[64], service[] = "foreign";
    Tercet__V1__RegisterRequest to_register = TERCET__V1__REGISTER_REQUEST__INIT;
    Tercet__V1__Branch branch = branch_of(1, "foreign/do", 1);
    Tercet__V1__TryRequest to_try = try_of("foreign", &branch);
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    Tercet__V1__BeginRequest begin = begin_of("foreign");
    cr_assert_eq(crpc_server_new(&server, bench.loop, NULL), 0);
    cr_assert_eq(
        crpc_server_add_service(server, &tercet__v1__participant__descriptor, handlers, 1, NULL),
        0);
    cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", NULL, &port), 0);
    cr_assert_eq(crpc_server_start(server), 0);
    snprintf(target, sizeof(target), "127.0.0.1:%d", port);
    to_register.service = service;
    to_register.target = target;
    crpc_message_free(ask(&bench, PARTICIPANTS, "RegisterTarget", &to_register.base, NULL));
    begin.options = &options;
    options.keep_on_refusal = true;
    cr_assert(is_in(&bench, "Begin", &begin.base, TERCET__V1__STATE__TRYING));
    branch.try_timeout_ms = 300;
    crpc_message_free(ask(&bench, COORDINATOR, "Try", &to_try.base, NULL));
    Tercet__V1__GetRequest get = get_of("foreign");
    ProtobufCMessage *reply = ask(&bench, COORDINATOR, "Get", &get.base, NULL);
    cr_assert_not_null(reply, "the answer can be decoded");
    cr_expect_str_eq(((const Tercet__V1__Transaction *)reply)->branches[0]->last_error,
                     "(a text that is not UTF-8)");
    crpc_message_free(reply);
    crpc_server_free(server);
}

BENCH_TEST(streams, targets)
{
    static char large[300];
    Tercet__V1__RegisterRequest to_register = TERCET__V1__REGISTER_REQUEST__INIT;
    Tercet__V1__PauseRequest pause = TERCET__V1__PAUSE_REQUEST__INIT;
    static const char *const bad_targets[] = {"nowhere://", "nowhere", "host:",     "host:70000",
                                              "host:port",  ":1",      "dns:///:1", "unix:"};
    char service[] = "later", bad[] = "a b", target[] = "127.0.0.1:1", spaced[] = "a b:1";
    memset(large, 'x', sizeof(large) - 1);
    to_register.service = bad;
    to_register.target = target;
    cr_expect(fails(&bench, PARTICIPANTS, "RegisterTarget", &to_register.base,
                    CRPC_INVALID_ARGUMENT, "a service's name"));
    to_register.service = service;
    to_register.target = large;
    cr_expect(fails(&bench, PARTICIPANTS, "RegisterTarget", &to_register.base,
                    CRPC_INVALID_ARGUMENT, "at most 256"));
    to_register.target = spaced;
    cr_expect(fails(&bench, PARTICIPANTS, "RegisterTarget", &to_register.base,
                    CRPC_INVALID_ARGUMENT, "without spaces"));
    for (size_t i = 0; i < sizeof(bad_targets) / sizeof(bad_targets[0]); i++) {
        to_register.target = (char *)bad_targets[i];
        cr_expect(fails(&bench, PARTICIPANTS, "RegisterTarget", &to_register.base,
                        CRPC_INVALID_ARGUMENT, "a target is host:port"),
                  "%s", bad_targets[i]);
    }
    pause.service = service;
    cr_expect(fails(&bench, ADMIN, "Pause", &pause.base, CRPC_NOT_FOUND, "no such service"));
}
