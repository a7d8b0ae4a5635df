/* SPDX-License-Identifier: Apache-2.0
 *
 * Server reflection, both versions, and the descriptors behind it.
 */
#include "echo.h"

#include "grpc/reflection/v1/reflection.pb-c.h"
#include "grpc/reflection/v1alpha/reflection.pb-c.h"

#include <criterion/criterion.h>
#include <string.h>

#define REQUEST(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define RESPONSE(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

typedef Grpc__Reflection__V1__ServerReflectionRequest request_type;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_type;

static struct echo echo;
static struct crpc_stream *stream;
static const struct crpc_call_options bounded = {.size = sizeof(bounded),
                                                 .timeout_ms = WAIT_S * 1000};

static void setup(void)
{
    echo_start(&echo, NULL, NULL);
    cr_assert_eq(crpc_stream_open(&stream, echo.channel,
                                  &grpc__reflection__v1__server_reflection__descriptor,
                                  "ServerReflectionInfo", &bounded),
                 0);
}

static void teardown(void)
{
    cr_assert_eq(crpc_stream_half_close(stream), 0);
    cr_assert_eq(crpc_stream_finish(stream, NULL), 0);
    echo_stop(&echo);
}

TestSuite(reflection, .init = setup, .fini = teardown, .timeout = 240);

static response_type *ask(int what, const char *text)
{
    request_type request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    ProtobufCMessage *response;
    request.host = (char[]){"here"};
    request.message_request_case = what;
    request.list_services = (char *)(uintptr_t)text; /* all of the texts share the union */
    cr_assert_eq(crpc_stream_write(stream, &request.base), 0);
    cr_assert_eq(crpc_stream_read(&response, stream), 0);
    return (response_type *)response;
}

static bool lists(const response_type *response, const char *name)
{
    for (size_t i = 0; i < response->list_services_response->n_service; i++)
        if (strcmp(response->list_services_response->service[i]->name, name) == 0)
            return true;
    return false;
}

Test(reflection, lists_services)
{
    response_type *response = ask(REQUEST(LIST_SERVICES), "*");
    cr_assert_eq(response->message_response_case, RESPONSE(LIST_SERVICES_RESPONSE));
    cr_assert_eq(response->list_services_response->n_service, 4);
    cr_assert(lists(response, "crpc.test.Echo"));
    cr_assert(lists(response, "grpc.health.v1.Health"));
    cr_assert(lists(response, "grpc.reflection.v1.ServerReflection"));
    cr_assert(lists(response, "grpc.reflection.v1alpha.ServerReflection"));
    cr_assert_str_eq(response->valid_host, "here");
    cr_assert_str_eq(response->original_request->list_services, "*");
    crpc_message_free(&response->base);
}

/* Field 1 of a FileDescriptorProto, which comes first: its name. */
static bool is_file(ProtobufCBinaryData file, const char *name)
{
    size_t size = strlen(name);
    if (file.len <= size + 2 || file.data[0] != 0x0a || file.data[1] != size)
        return false;
    return memcmp(file.data + 2, name, size) == 0;
}

static void expect_files(int what, const char *text, const char *const *names, size_t count)
{
    response_type *response = ask(what, text);
    cr_assert_eq(response->message_response_case, RESPONSE(FILE_DESCRIPTOR_RESPONSE), "%s", text);
    cr_assert_eq(response->file_descriptor_response->n_file_descriptor_proto, count);
    for (size_t i = 0; i < count; i++)
        cr_assert(is_file(response->file_descriptor_response->file_descriptor_proto[i], names[i]),
                  "%s", names[i]);
    crpc_message_free(&response->base);
}

static const char *const echo_files[] = {"crpc_test.proto", "crpc_test_import.proto",
                                         "crpc_test_base.proto"};

Test(reflection, finds_files_with_what_they_import)
{
    expect_files(REQUEST(FILE_BY_FILENAME), "crpc_test.proto", echo_files, 3);
    expect_files(REQUEST(FILE_BY_FILENAME), "crpc_test_base.proto", &echo_files[2], 1);
}

Test(reflection, finds_symbols)
{
    const char *const symbols[] = {"crpc.test.Echo", "crpc.test.Echo.Down", "crpc.test.Item",
                                   "crpc.test.Item.Color", "crpc.test.Item.Part"};
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
        expect_files(REQUEST(FILE_CONTAINING_SYMBOL), symbols[i], echo_files, 3);
    expect_files(REQUEST(FILE_CONTAINING_SYMBOL), "crpc.test.base.Size", &echo_files[2], 1);
}

static void expect_error(int what, const char *text, int code)
{
    response_type *response = ask(what, text);
    cr_assert_eq(response->message_response_case, RESPONSE(ERROR_RESPONSE), "%s", text);
    cr_assert_eq(response->error_response->error_code, code);
    crpc_message_free(&response->base);
}

Test(reflection, says_what_it_does_not_know)
{
    expect_error(REQUEST(FILE_BY_FILENAME), "no_such.proto", CRPC_NOT_FOUND);
    const char *const symbols[] = {
        "crpc.test.Ech", "crpc.test.Echo.",  "crpc.test.EchoX",      "crpc.test", "", "crpc.test.",
        "Echo",          "crpc.test.Item.x", "crpc.test.Echo.Down.x"};
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
        expect_error(REQUEST(FILE_CONTAINING_SYMBOL), symbols[i], CRPC_NOT_FOUND);
    expect_error(REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE), "crpc.test.None", CRPC_NOT_FOUND);
    expect_error(REQUEST(_NOT_SET), "", CRPC_INVALID_ARGUMENT);
}

Test(reflection, knows_no_extensions)
{
    response_type *response = ask(REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE), "crpc.test.Item");
    cr_assert_eq(response->message_response_case, RESPONSE(ALL_EXTENSION_NUMBERS_RESPONSE));
    cr_assert_str_eq(response->all_extension_numbers_response->base_type_name, "crpc.test.Item");
    cr_assert_eq(response->all_extension_numbers_response->n_extension_number, 0);
    crpc_message_free(&response->base);
}

Test(reflection, v1alpha_answers_too)
{
    Grpc__Reflection__V1alpha__ServerReflectionRequest request =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__INIT;
    ProtobufCMessage *message;
    struct crpc_stream *alpha;
    cr_assert_eq(crpc_stream_open(&alpha, echo.channel,
                                  &grpc__reflection__v1alpha__server_reflection__descriptor,
                                  "ServerReflectionInfo", &bounded),
                 0);
    request.message_request_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL;
    request.file_containing_symbol = (char[]){"grpc.health.v1.Health"};
    cr_assert_eq(crpc_stream_write(alpha, &request.base), 0);
    cr_assert_eq(crpc_stream_read(&message, alpha), 0);
    Grpc__Reflection__V1alpha__ServerReflectionResponse *response =
        (Grpc__Reflection__V1alpha__ServerReflectionResponse *)message;
    cr_assert_eq(
        response->message_response_case,
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE);
    cr_assert(is_file(response->file_descriptor_response->file_descriptor_proto[0],
                      "grpc/health/v1/health.proto"));
    crpc_message_free(message);
    cr_assert_eq(crpc_stream_finish(alpha, NULL), 0);
}

Test(stopping, ends_open_reflection_streams, .timeout = 240)
{
    struct crpc_result result = {.code = CRPC_OK};
    ProtobufCMessage *response;
    request_type request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    echo_start(&echo, NULL, NULL);
    cr_assert_eq(crpc_stream_open(&stream, echo.channel,
                                  &grpc__reflection__v1__server_reflection__descriptor,
                                  "ServerReflectionInfo", &bounded),
                 0);
    cr_assert_eq(crpc_stream_write(stream, &request.base), 0);
    cr_assert_eq(crpc_stream_read(&response, stream), 0);
    crpc_message_free(response);
    crpc_server_stop(echo.server, WAIT_S * 1000);
    cr_assert_eq(crpc_stream_finish(stream, &result), CRPC_ESTATUS);
    cr_assert_eq(result.code, CRPC_UNAVAILABLE);
    cr_assert_str_eq(result.message, "the server is stopping");
    crpc_result_clear(&result);
    echo_stop(&echo);
}
