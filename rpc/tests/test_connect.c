/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections that take their time, and those that have to be made again.
 */
#include "echo.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
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
    ssize_t size = read(from, data, sizeof(data));
    return size > 0 && write(to, data, (size_t)size) == size;
}

static void *relay_run(void *arg)
{
    struct relay *relay = arg;
    struct sockaddr_in name;
    int client = accept(relay->listener, NULL, NULL);
    int server = loopback_socket(&name, relay->server_port);
    poll(NULL, 0, DELAY_MS); /* the slow network that is tried here */
    cr_assert_eq(connect(server, (struct sockaddr *)&name, sizeof(name)), 0);
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
    socklen_t size = sizeof(name);
    relay->server_port = server_port;
    relay->listener = loopback_socket(&name, 0);
    cr_assert_eq(bind(relay->listener, (struct sockaddr *)&name, sizeof(name)), 0);
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
    snprintf(target, sizeof(target), "127.0.0.1:%d", relay.port);
    cr_assert_eq(crpc_channel_new(&channel, echo.loop, target, NULL), 0);
    cr_assert_eq(echo_unary(channel, "hello", NULL, 0, NULL, NULL), 0);
    crpc_channel_free(channel);
    pthread_join(relay.thread, NULL);
    close(relay.listener);
}

Test(connect, again_after_the_server_was_away)
{
    struct crpc_call_options patient = {
        .size = sizeof(patient), .timeout_ms = WAIT_S * 1000, .wait_for_ready = true};
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

/* -- Proxies named by the environment ---------------------------------------------------------- */

/* A listener that accepts nothing, named as the proxy for everything. */
static int proxy_start(void)
{
    static const char *const variables[] = {"http_proxy", "https_proxy", "grpc_proxy"};
    struct sockaddr_in name;
    socklen_t size = sizeof(name);
    char url[64];
    int listener = loopback_socket(&name, 0);

    cr_assert_eq(bind(listener, (struct sockaddr *)&name, sizeof(name)), 0);
    cr_assert_eq(listen(listener, 8), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&name, &size), 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", ntohs(name.sin_port));
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        setenv(variables[i], url, 1);
    unsetenv("no_proxy");
    unsetenv("no_grpc_proxy");
    return listener;
}

static bool was_connected_to(int listener, int ms)
{
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    return poll(&waiting, 1, ms) == 1;
}

Test(connect, proxies_of_the_environment_are_not_obeyed)
{
    struct crpc_channel_options options = {.size = sizeof(options), .own_connection = true};
    struct crpc_channel *channel;
    int proxy = proxy_start();
    cr_assert_eq(crpc_channel_new(&channel, echo.loop, echo.target, &options), 0);
    cr_assert_eq(echo_unary(channel, "hello", NULL, 0, NULL, NULL), 0);
    cr_assert_not(was_connected_to(proxy, 0));
    crpc_channel_free(channel);
    close(proxy);
}

Test(connect, a_proxy_is_used_when_that_is_asked_for)
{
    struct crpc_channel_options options = {
        .size = sizeof(options), .own_connection = true, .use_proxy = true};
    struct crpc_call_options brief = {.size = sizeof(brief), .timeout_ms = 300};
    struct crpc_channel *channel;
    int proxy = proxy_start();
    cr_assert_eq(crpc_channel_new(&channel, echo.loop, echo.target, &options), 0);
    cr_assert_eq(echo_unary(channel, "hello", NULL, 0, NULL, &brief), CRPC_ESTATUS);
    cr_assert(was_connected_to(proxy, WAIT_S * 1000));
    crpc_channel_free(channel);
    close(proxy);
}

/* -- A name whose address changes -------------------------------------------------------------- */

#define DNS_HEADER_SIZE 12

/* Answers every question for an IPv4 address: first with one where nobody listens, from `moved` on
 * with the server's. */
struct names {
    int socket;
    int port;
    pthread_t thread;
    struct event asked;
    atomic_bool has_moved, is_over;
};

static size_t answer(unsigned char *packet, size_t size, bool has_moved)
{
    unsigned char record[] = {0xc0, DNS_HEADER_SIZE, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 0};
    size_t end = DNS_HEADER_SIZE;
    while (end < size && packet[end] != 0)
        end += packet[end] + 1u;
    end += 5; /* the root, type and class */
    bool is_ipv4 = end <= size && packet[end - 3] == 1;
    packet[2] |= 0x80;
    memset(packet + 6, 0, 6);
    packet[7] = is_ipv4;
    if (!is_ipv4)
        return end;
    record[sizeof(record) - 1] = has_moved ? 1 : 9;
    memcpy(packet + end, record, sizeof(record));
    return end + sizeof(record);
}

static void *names_run(void *arg)
{
    struct names *names = arg;
    while (!atomic_load(&names->is_over)) {
        struct pollfd waiting = {.fd = names->socket, .events = POLLIN};
        struct sockaddr_in from;
        socklen_t from_size = sizeof(from);
        unsigned char packet[512 + 64];
        if (poll(&waiting, 1, 50) != 1)
            continue;
        ssize_t size =
            recvfrom(names->socket, packet, 512, 0, (struct sockaddr *)&from, &from_size);
        if (size < DNS_HEADER_SIZE)
            continue;
        size_t reply_size = answer(packet, (size_t)size, atomic_load(&names->has_moved));
        sendto(names->socket, packet, reply_size, 0, (struct sockaddr *)&from, from_size);
        event_post(&names->asked);
    }
    return NULL;
}

static void names_start(struct names *names)
{
    struct sockaddr_in name;
    socklen_t size = sizeof(name);
    close(loopback_socket(&name, 0));
    *names = (struct names){.asked = EVENT_INIT, .socket = socket(AF_INET, SOCK_DGRAM, 0)};
    cr_assert_eq(bind(names->socket, (struct sockaddr *)&name, sizeof(name)), 0);
    cr_assert_eq(getsockname(names->socket, (struct sockaddr *)&name, &size), 0);
    names->port = ntohs(name.sin_port);
    cr_assert_eq(pthread_create(&names->thread, NULL, names_run, names), 0);
}

/* gRPC's own pause of 30 s is longer than the call's deadline. */
Test(connect, a_name_is_asked_for_again_soon)
{
    struct crpc_call_options patient = {
        .size = sizeof(patient), .timeout_ms = WAIT_S * 1000, .wait_for_ready = true};
    struct crpc_channel *channel;
    struct names names;
    char target[64];
    names_start(&names);
    snprintf(target, sizeof(target), "dns://127.0.0.1:%d/moves.test:%d", names.port, echo.port);
    cr_assert_eq(crpc_channel_new(&channel, echo.loop, target, NULL), 0);
    cr_assert_eq(echo_unary(channel, "hello", NULL, 0, NULL, NULL), CRPC_ESTATUS);
    cr_assert(event_wait(&names.asked, 1));
    atomic_store(&names.has_moved, true);
    cr_assert_eq(echo_unary(channel, "hello", NULL, 0, NULL, &patient), 0);
    crpc_channel_free(channel);
    atomic_store(&names.is_over, true);
    pthread_join(names.thread, NULL);
    close(names.socket);
}
