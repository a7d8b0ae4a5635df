/* SPDX-License-Identifier: Apache-2.0
 *
 * Adding services: what fits the .proto and what does not; and who may call at all.
 */
#include "echo.h"

#include "echo_descriptors.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct crpc_loop *loop;
static struct crpc_server *server;

static void setup(void)
{
    struct crpc_bytes set = {echo_descriptors, echo_descriptors_size};
    cr_assert_eq(crpc_loop_new(&loop, NULL), 0);
    cr_assert_eq(crpc_server_new(&server, loop, NULL), 0);
    cr_assert_eq(crpc_server_add_descriptors(server, set), 0);
}

static void teardown(void)
{
    crpc_server_free(server);
    crpc_loop_free(loop);
}

TestSuite(service, .init = setup, .fini = teardown, .timeout = 240);

static void take_request(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    (void)request;
    (void)ctx;
    crpc_call_fail(call, CRPC_ABORTED, "never called");
}

static void take_open(struct crpc_call *call, void *ctx)
{
    (void)ctx;
    crpc_call_fail(call, CRPC_ABORTED, "never called");
}

static int add(struct crpc_handler handler)
{
    return crpc_server_add_service(server, &crpc__test__echo__descriptor, &handler, 1, NULL);
}

Test(service, a_wrong_kind_is_a_mismatch)
{
    cr_assert_eq(add((struct crpc_handler){"Down", CRPC_UNARY, take_request, NULL}),
                 CRPC_EMISMATCH);
    cr_assert_eq(add((struct crpc_handler){"Unary", CRPC_SERVER_STREAMING, take_request, NULL}),
                 CRPC_EMISMATCH);
    cr_assert_eq(add((struct crpc_handler){"Up", CRPC_BIDIRECTIONAL, NULL, take_open}),
                 CRPC_EMISMATCH);
    cr_assert_eq(add((struct crpc_handler){"Both", CRPC_CLIENT_STREAMING, NULL, take_open}),
                 CRPC_EMISMATCH);
    /* A service that was refused was not added. */
    cr_assert_eq(add((struct crpc_handler){"Down", CRPC_SERVER_STREAMING, take_request, NULL}), 0);
}

Test(service, a_wrong_callback_is_a_mismatch)
{
    cr_assert_eq(add((struct crpc_handler){"Unary", CRPC_UNARY, NULL, take_open}), CRPC_EMISMATCH);
    cr_assert_eq(add((struct crpc_handler){"Unary", CRPC_UNARY, take_request, take_open}),
                 CRPC_EMISMATCH);
    cr_assert_eq(add((struct crpc_handler){"Unary", CRPC_UNARY, NULL, NULL}), CRPC_EMISMATCH);
    cr_assert_eq(add((struct crpc_handler){"Both", CRPC_BIDIRECTIONAL, take_request, NULL}),
                 CRPC_EMISMATCH);
    cr_assert_eq(add((struct crpc_handler){"NoSuch", CRPC_UNARY, take_request, NULL}),
                 CRPC_EMISMATCH);
    cr_assert_eq(add((struct crpc_handler){NULL, CRPC_UNARY, take_request, NULL}), CRPC_EMISMATCH);
}

Test(service, twice_is_refused)
{
    const struct crpc_handler twice[] = {{"Unary", CRPC_UNARY, take_request, NULL},
                                         {"Unary", CRPC_UNARY, take_request, NULL}};
    cr_assert_eq(crpc_server_add_service(server, &crpc__test__echo__descriptor, twice, 2, NULL),
                 CRPC_EEXISTS);
    cr_assert_eq(add((struct crpc_handler){"Unary", CRPC_UNARY, take_request, NULL}), 0);
    cr_assert_eq(add((struct crpc_handler){"Unary", CRPC_UNARY, take_request, NULL}), CRPC_EEXISTS);
    cr_assert_eq(
        crpc_server_add_service(server, &grpc__health__v1__health__descriptor, NULL, 0, NULL),
        CRPC_EEXISTS);
}

Test(service, descriptors_that_are_none_are_refused)
{
    struct crpc_bytes nonsense = {"\xff\xff\xff", 3};
    cr_assert_eq(crpc_server_add_descriptors(server, nonsense), CRPC_EDECODE);
    cr_assert_eq(crpc_server_add_descriptors(server, (struct crpc_bytes){NULL, 0}), CRPC_EINVAL);
}

/* -- Who may call ------------------------------------------------------------------------------ */

static bool has_password(struct crpc_call *call, struct crpc_status *why, void *ctx)
{
    struct crpc_bytes value;
    if (crpc_call_metadata_get(call, "password", &value) && value.size == 6 &&
        memcmp(value.data, "sesame", 6) == 0)
        return true;
    why->code = CRPC_UNAUTHENTICATED;
    why->message = ctx;
    return false;
}

/* Makes one call with or without the password; the status code. */
static int call_guarded(struct crpc_channel *channel, const ProtobufCServiceDescriptor *service,
                        const char *method, const ProtobufCMessage *request, bool knows)
{
    struct crpc_metadata entry = {"password", {"sesame", 6}};
    struct crpc_call_options options = {.size = sizeof(options),
                                        .timeout_ms = WAIT_S * 1000,
                                        .metadata = &entry,
                                        .metadata_count = knows ? 1 : 0};
    struct crpc_result result = {.code = CRPC_OK};
    struct crpc_stream *stream;
    ProtobufCMessage *reply = NULL;
    cr_assert_eq(crpc_stream_open(&stream, channel, service, method, &options), 0);
    crpc_stream_write(stream, request);
    if (crpc_stream_read(&reply, stream) == 0)
        crpc_message_free(reply);
    crpc_stream_finish(stream, &result);
    int code = (int)result.code;
    if (code == CRPC_UNAUTHENTICATED)
        cr_assert_str_eq(result.message, "who are you");
    crpc_result_clear(&result);
    return code;
}

Test(authorize, holds_for_every_service, .timeout = 240)
{
    static char text[] = "who are you";
    struct crpc_server_options options = {
        .size = sizeof(options), .authorize = has_password, .authorize_ctx = text};
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    Grpc__Health__V1__HealthCheckRequest check = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    Grpc__Reflection__V1__ServerReflectionRequest ask =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    struct echo echo;
    echo_start(&echo, &options, NULL);
    for (int knows = 0; knows <= 1; knows++) {
        int expected = knows ? CRPC_OK : CRPC_UNAUTHENTICATED;
        const ProtobufCServiceDescriptor *service = &crpc__test__echo__descriptor;
        cr_assert_eq(call_guarded(echo.channel, service, "Unary", &item.base, knows), expected);
        cr_assert_eq(call_guarded(echo.channel, service, "Both", &item.base, knows), expected);
        cr_assert_eq(call_guarded(echo.channel, service, "Unserved", &item.base, knows),
                     knows ? CRPC_UNIMPLEMENTED : expected);
        cr_assert_eq(call_guarded(echo.channel, &grpc__health__v1__health__descriptor, "Check",
                                  &check.base, knows),
                     expected);
        cr_assert_eq(call_guarded(echo.channel,
                                  &grpc__reflection__v1__server_reflection__descriptor,
                                  "ServerReflectionInfo", &ask.base, knows),
                     expected);
    }
    echo_stop(&echo);
}
