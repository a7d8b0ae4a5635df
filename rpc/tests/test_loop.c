/* SPDX-License-Identifier: Apache-2.0
 *
 * Loops: gRPC's log comes to the first one's hook, limited; and nothing blocks on a poller.
 */
#include "echo.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

struct lines {
    struct event written;
    bool has_error;
};

static void on_log(bool is_error, const char *text, void *ctx)
{
    struct lines *lines = ctx;
    cr_assert_not_null(text);
    lines->has_error |= is_error;
    event_post(&lines->written);
}

/* Later cores write to standard error and ask nobody. */
static void skip_without_hook(void)
{
#ifndef CRPC_CORE_HAS_LOG_FUNCTION
    cr_skip_test("this gRPC core has no hook for its log");
#endif
}

/* Each certificate that cannot be read makes gRPC write lines. */
static void make_noise(struct crpc_loop *loop, int times)
{
    const struct crpc_tls tls = {
        .size = sizeof(tls),
        .cert = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        .key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"};
    struct crpc_server *server;
    cr_assert_eq(crpc_server_new(&server, loop, NULL), 0);
    for (int i = 0; i < times; i++)
        cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", &tls, NULL), CRPC_ETLS);
    crpc_server_free(server);
}

Test(log, goes_to_the_hook_and_is_limited, .timeout = 240)
{
    skip_without_hook();
    struct lines lines = {EVENT_INIT, false};
    struct crpc_loop_options options = {
        .size = sizeof(options), .on_log = on_log, .log_ctx = &lines};
    struct crpc_loop *loop;
    cr_assert_eq(crpc_loop_new(&loop, &options), 0);
    make_noise(loop, 1);
    cr_assert_gt(event_count(&lines.written), 0);
    cr_assert(lines.has_error);
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    make_noise(loop, 400);
    clock_gettime(CLOCK_MONOTONIC, &end);
    int seconds = (int)(end.tv_sec - begin.tv_sec) + 2;
    cr_assert_leq(event_count(&lines.written), 21 * seconds);
    crpc_loop_free(loop);
}

static void never(bool is_error, const char *text, void *ctx)
{
    (void)is_error;
    (void)ctx;
    cr_assert_fail("a second loop's hook was called: %s", text);
}

Test(log, is_the_first_loops, .timeout = 240)
{
    skip_without_hook();
    struct lines lines = {EVENT_INIT, false};
    struct crpc_loop_options first = {.size = sizeof(first), .on_log = on_log, .log_ctx = &lines};
    struct crpc_loop_options second = {.size = sizeof(second), .on_log = never};
    struct crpc_loop *loops[2];
    cr_assert_eq(crpc_loop_new(&loops[0], &first), 0);
    cr_assert_eq(crpc_loop_new(&loops[1], &second), 0);
    make_noise(loops[1], 1);
    cr_assert_gt(event_count(&lines.written), 0);
    crpc_loop_free(loops[1]);
    crpc_loop_free(loops[0]);
}

static void on_blocking(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    (void)request;
    crpc_channel_free(ctx); /* would wait for this very thread */
    crpc_call_fail(call, CRPC_ABORTED, "not reached");
}

Test(callbacks, may_not_block, .timeout = 240, .signal = 6)
{
    static const struct crpc_handler handlers[] = {{"Unary", CRPC_UNARY, on_blocking, NULL}};
    struct crpc_loop *loop;
    struct crpc_server *server;
    struct crpc_channel *channel;
    struct crpc_channel *other;
    char target[64];
    int port;
    cr_assert_eq(crpc_loop_new(&loop, NULL), 0);
    cr_assert_eq(crpc_channel_new(&other, loop, "127.0.0.1:1", NULL), 0);
    cr_assert_eq(crpc_server_new(&server, loop, NULL), 0);
    cr_assert_eq(crpc_server_add_service(server, &crpc__test__echo__descriptor, handlers, 1, other),
                 0);
    cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", NULL, &port), 0);
    cr_assert_eq(crpc_server_start(server), 0);
    snprintf(target, sizeof(target), "127.0.0.1:%d", port);
    cr_assert_eq(crpc_channel_new(&channel, loop, target, NULL), 0);
    echo_unary(channel, "hello", NULL, 0, NULL, NULL);
}

/* In the child: nothing hangs, everything says why. The number of what went wrong, or 0. */
static int use_after_fork(struct echo *echo, struct crpc_stream *stream)
{
    struct crpc_channel *channel;
    struct crpc_server *server;
    struct crpc_loop *loop;
    ProtobufCMessage *reply;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    const int results[] = {
        echo_unary(echo->channel, "hello", NULL, 0, NULL, NULL),
        crpc_loop_new(&loop, NULL),
        crpc_channel_new(&channel, echo->loop, echo->target, NULL),
        crpc_server_new(&server, echo->loop, NULL),
        crpc_stream_write(stream, &item.base),
        crpc_stream_read(&reply, stream),
        crpc_stream_finish(stream, NULL),
    };
    for (int i = 0; i < (int)(sizeof(results) / sizeof(results[0])); i++)
        if (results[i] != CRPC_EFORKED)
            return i + 1;
    crpc_channel_free(echo->channel);
    crpc_server_stop(echo->server, 1000);
    crpc_server_free(echo->server);
    crpc_loop_free(echo->loop);
    return 0;
}

Test(fork, a_child_is_told_and_does_not_hang, .timeout = 240)
{
    struct crpc_stream *stream;
    struct echo echo;
    int status;
    echo_start(&echo, NULL, NULL);
    cr_assert_eq(echo_unary(echo.channel, "hello", NULL, 0, NULL, NULL), 0);
    cr_assert_eq(
        crpc_stream_open(&stream, echo.channel, &crpc__test__echo__descriptor, "Both", NULL), 0);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        alarm(WAIT_S);
        _exit(use_after_fork(&echo, stream));
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status), "the child hung or crashed: %d", status);
    cr_assert_eq(WEXITSTATUS(status), 0, "use %d of crpc", WEXITSTATUS(status));
    crpc_stream_cancel(stream);
    cr_assert_eq(crpc_stream_finish(stream, NULL), CRPC_ESTATUS);
    cr_assert_eq(echo_unary(echo.channel, "hello", NULL, 0, NULL, NULL), 0, "the parent goes on");
    echo_stop(&echo);
}
