/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc.health.v1: Check and Watch.
 */
#include "echo.h"

#include "grpc/health/v1/health.pb-c.h"

#include <criterion/criterion.h>

#define SERVICE "crpc.test.Echo"
#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

static struct echo echo;

static void setup(void)
{
    echo_start(&echo, NULL, NULL);
}

static void teardown(void)
{
    echo_stop(&echo);
}

TestSuite(health, .init = setup, .fini = teardown, .timeout = 240);

static const struct crpc_call_options bounded = {.size = sizeof(bounded),
                                                 .timeout_ms = WAIT_S * 1000};

/* The serving status, or minus the code of the call's end. */
static int check(const char *service)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct crpc_result result = {.code = CRPC_OK};
    ProtobufCMessage *reply;
    request.service = (char *)(uintptr_t)service;
    int code = crpc_unary(&reply, echo.channel, &grpc__health__v1__health__descriptor, "Check",
                          &request.base, &bounded, &result);
    int status = -(int)result.code;
    crpc_result_clear(&result);
    if (code != 0)
        return status;
    status = (int)((Grpc__Health__V1__HealthCheckResponse *)reply)->status;
    crpc_message_free(reply);
    return status;
}

Test(health, check)
{
    cr_assert_eq(check(""), STATUS(SERVING));
    cr_assert_eq(check(SERVICE), STATUS(SERVING));
    cr_assert_eq(check("no.such.Service"), -CRPC_NOT_FOUND);
    cr_assert_eq(crpc_server_health_set(echo.server, SERVICE, false), 0);
    cr_assert_eq(check(SERVICE), STATUS(NOT_SERVING));
    cr_assert_eq(check(""), STATUS(SERVING));
    cr_assert_eq(crpc_server_health_set(echo.server, SERVICE, true), 0);
    cr_assert_eq(check(SERVICE), STATUS(SERVING));
    cr_assert_eq(crpc_server_health_set(echo.server, NULL, true), CRPC_EINVAL);
}

static struct crpc_stream *watch(const char *service)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct crpc_stream *stream;
    request.service = (char *)(uintptr_t)service;
    cr_assert_eq(crpc_stream_open(&stream, echo.channel, &grpc__health__v1__health__descriptor,
                                  "Watch", &bounded),
                 0);
    cr_assert_eq(crpc_stream_write(stream, &request.base), 0);
    cr_assert_eq(crpc_stream_half_close(stream), 0);
    return stream;
}

static int next(struct crpc_stream *stream)
{
    ProtobufCMessage *message;
    int code = crpc_stream_read(&message, stream);
    if (code != 0)
        return code;
    int status = (int)((Grpc__Health__V1__HealthCheckResponse *)message)->status;
    crpc_message_free(message);
    return status;
}

Test(health, watch_tells_of_changes)
{
    struct crpc_stream *stream = watch(SERVICE);
    cr_assert_eq(next(stream), STATUS(SERVING));
    cr_assert_eq(crpc_server_health_set(echo.server, SERVICE, true), 0); /* none */
    cr_assert_eq(crpc_server_health_set(echo.server, SERVICE, false), 0);
    cr_assert_eq(next(stream), STATUS(NOT_SERVING));
    cr_assert_eq(crpc_server_health_set(echo.server, SERVICE, true), 0);
    cr_assert_eq(next(stream), STATUS(SERVING));
    crpc_stream_cancel(stream);
    cr_assert_eq(crpc_stream_finish(stream, NULL), CRPC_ESTATUS);
}

Test(health, watch_waits_for_an_unknown_service)
{
    struct crpc_stream *stream = watch("later");
    cr_assert_eq(next(stream), STATUS(SERVICE_UNKNOWN));
    cr_assert_eq(crpc_server_health_set(echo.server, "later", true), 0);
    cr_assert_eq(next(stream), STATUS(SERVING));
    crpc_stream_cancel(stream);
    cr_assert_eq(crpc_stream_finish(stream, NULL), CRPC_ESTATUS);
}

static void *stop_run(void *arg)
{
    (void)arg;
    crpc_server_stop(echo.server, WAIT_S * 1000);
    return NULL;
}

Test(health, stopping_is_told_and_ends_the_watch)
{
    struct crpc_result result = {.code = CRPC_OK};
    struct crpc_stream *streams[3] = {watch(SERVICE), watch(""), watch("unknown")};
    const int first[3] = {STATUS(SERVING), STATUS(SERVING), STATUS(SERVICE_UNKNOWN)};
    pthread_t thread;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(next(streams[i]), first[i]);
    cr_assert_eq(pthread_create(&thread, NULL, stop_run, NULL), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(next(streams[i]), STATUS(NOT_SERVING));
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(next(streams[i]), CRPC_END);
        cr_assert_eq(crpc_stream_finish(streams[i], &result), CRPC_ESTATUS);
        cr_assert_eq(result.code, CRPC_UNAVAILABLE);
        crpc_result_clear(&result);
    }
    pthread_join(thread, NULL);
    cr_assert_eq(crpc_server_health_set(echo.server, SERVICE, true), CRPC_ECLOSED);
}

Test(without, health_and_reflection, .timeout = 240)
{
    struct crpc_server_options options = {
        .size = sizeof(options), .without_health = true, .without_reflection = true};
    echo_start(&echo, &options, NULL);
    cr_assert_eq(check(""), -CRPC_UNIMPLEMENTED);
    cr_assert_eq(crpc_server_health_set(echo.server, "", true), CRPC_EINVAL);
    echo_stop(&echo);
}
