/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections that take their time, and those that have to be made again.
 */
#include "echo.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct echo echo;

static void setup(void)
{
    echo_start(&echo, NULL, NULL);
}

static void teardown(void)
{
    echo_stop(&echo);
}

TestSuite(connect, .init = setup, .fini = teardown, .timeout = 240);

/* -- A relay that passes one connection on, but not at once ------------------------------------ */

#define DELAY_MS 400

struct relay {
    int listener;
    int port;
    int server_port;
    pthread_t thread;
};

static int loopback_socket(struct sockaddr_in *name, int port)
{
    *name = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    name->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return socket(AF_INET, SOCK_STREAM, 0);
}

/* Passes on what there is to read; false at the end. */
static bool shovel(int from, int to)
{
    char data[4096];
    ssize_t size = read(from, data, sizeof data);
    return size > 0 && write(to, data, (size_t)size) == size;
}

static void *relay_run(void *arg)
{
    struct relay *relay = arg;
    struct sockaddr_in name;
    int client = accept(relay->listener, NULL, NULL);
    int server = loopback_socket(&name, relay->server_port);
    poll(NULL, 0, DELAY_MS); /* the slow network that is tried here */
    cr_assert_eq(connect(server, (struct sockaddr *)&name, sizeof name), 0);
    struct pollfd ends[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    bool is_open = true;
    while (is_open && poll(ends, 2, WAIT_S * 1000) > 0) {
        if (ends[0].revents != 0)
            is_open = shovel(client, server);
        if (is_open && ends[1].revents != 0)
            is_open = shovel(server, client);
    }
    close(client);
    close(server);
    return NULL;
}

static void relay_start(struct relay *relay, int server_port)
{
    struct sockaddr_in name;
    socklen_t size = sizeof name;
    relay->server_port = server_port;
    relay->listener = loopback_socket(&name, 0);
    cr_assert_eq(bind(relay->listener, (struct sockaddr *)&name, sizeof name), 0);
    cr_assert_eq(listen(relay->listener, 8), 0);
    cr_assert_eq(getsockname(relay->listener, (struct sockaddr *)&name, &size), 0);
    relay->port = ntohs(name.sin_port);
    cr_assert_eq(pthread_create(&relay->thread, NULL, relay_run, relay), 0);
}

Test(connect, a_slow_handshake_is_waited_for)
{
    struct relay relay;
    struct crpc_channel *channel;
    char target[64];
    relay_start(&relay, echo.port);
    snprintf(target, sizeof target, "127.0.0.1:%d", relay.port);
    cr_assert_eq(crpc_channel_new(&channel, echo.loop, target, NULL), 0);
    cr_assert_eq(echo_unary(channel, "hello", NULL, 0, NULL, NULL), 0);
    crpc_channel_free(channel);
    pthread_join(relay.thread, NULL);
    close(relay.listener);
}

Test(connect, again_after_the_server_was_away)
{
    struct crpc_call_options patient = {
        .size = sizeof patient, .timeout_ms = WAIT_S * 1000, .wait_for_ready = true};
    struct timespec begin, end;
    cr_assert_eq(echo_unary(echo.channel, "hello", NULL, 0, NULL, NULL), 0);
    crpc_server_free(echo.server);
    for (int i = 0; i < 20; i++) /* the pauses between attempts grow */
        cr_assert_eq(echo_unary(echo.channel, "hello", NULL, 0, NULL, NULL), CRPC_ESTATUS);
    cr_assert_eq(crpc_server_new(&echo.server, echo.loop, NULL), 0);
    echo_add_service(echo.server, &echo.log);
    cr_assert_eq(crpc_server_listen(echo.server, echo.target, NULL, NULL), 0);
    cr_assert_eq(crpc_server_start(echo.server), 0);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    cr_assert_eq(echo_unary(echo.channel, "hello", NULL, 0, NULL, &patient), 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    cr_assert_leq(end.tv_sec - begin.tv_sec, 2, "the longest pause is half a second");
}
