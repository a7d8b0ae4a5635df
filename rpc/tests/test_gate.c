/* SPDX-License-Identifier: Apache-2.0
 *
 * Who gets in, who stays, and who is cut: limits on connections, and what is no misuse.
 */
#include "echo.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CROWD 300

static struct echo echo;

TestSuite(gate, .timeout = 240);

static struct crpc_connection_counts counts(void)
{
    struct crpc_connection_counts counts = {.size = sizeof(counts)};
    cr_assert_eq(crpc_server_connection_counts(echo.server, &counts), 0);
    return counts;
}

/* Waits until a count is at least so much; there is nothing to wait on but the count itself. */
#define AWAIT_COUNT(member, least)                                                                 \
    do {                                                                                           \
        int tries_left = WAIT_S * 200;                                                             \
        while (counts().member < (uint64_t)(least) && tries_left-- > 0)                            \
            usleep(5000);                                                                          \
        cr_assert_geq(counts().member, (uint64_t)(least));                                         \
    } while (0)

static void expect_echo(void)
{
    char reply[16];
    cr_assert_eq(echo_unary(echo.channel, "hello", reply, sizeof(reply), NULL, NULL), 0);
    cr_assert_str_eq(reply, "hello");
}

/* -- Raw connections --------------------------------------------------------------------------- */

static int connect_from(const char *address, int port)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    name.sin_addr.s_addr = inet_addr(address);
    cr_assert_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    name.sin_port = htons((uint16_t)port);
    cr_assert_eq(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    return fd;
}

static const char greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
#define GREETING_SIZE (sizeof(greeting) - 1)

/* Whether the other side closes, in reasonable time; what it says before is thrown away. */
static bool is_closed(int fd)
{
    char data[4096];
    for (;;) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        if (poll(&waiting, 1, WAIT_S * 1000) != 1)
            return false;
        if (recv(fd, data, sizeof(data), 0) <= 0)
            return true;
    }
}

#define FLOOD_MAX (256u << 20)

/* False when the connection has been cut. */
static bool send_all(int fd, const void *data, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t written = send(fd, (const char *)data + sent, size - sent, MSG_NOSIGNAL);
        if (written < 0)
            return false;
        sent += (size_t)written;
    }
    return true;
}

static size_t fill(char *data, size_t size_max, const void *pattern, size_t size)
{
    size_t filled = 0;
    for (; filled + size <= size_max; filled += size)
        memcpy(data + filled, pattern, size);
    return filled;
}

/* Sends `pattern` again and again until the connection is cut; false after FLOOD_MAX bytes. */
static bool flood(int fd, const void *pattern, size_t size)
{
    static char data[64 * 1024];
    size_t filled = fill(data, sizeof(data), pattern, size);
    for (size_t sent = 0; sent < FLOOD_MAX; sent += filled) {
        char answers[4096];
        if (!send_all(fd, data, filled))
            return true;
        while (recv(fd, answers, sizeof(answers), MSG_DONTWAIT) > 0)
            continue;
    }
    return false;
}

static const char window_update[] = "\0\0\4\10\0\0\0\0\0\0\0\0\1";
#define WINDOW_UPDATE_SIZE (sizeof(window_update) - 1)

/* A frame's head. */
static void put_head(char *at, size_t size, char type, char flags, uint32_t stream)
{
    const uint32_t number = htonl(stream);
    memcpy(at, (char[]){(char)(size >> 16), (char)(size >> 8), (char)size, type, flags}, 5);
    memcpy(at + 5, &number, sizeof(number));
}

/* Calls that are answered, with junk of so many bytes behind each, until the connection is cut;
 * false after FLOOD_MAX bytes. */
static bool flood_calls(int fd, size_t junk_size)
{
    static const char headers[] = "\x83\x86\x04\x14/crpc.test.Echo/Both\x01\x01"
                                  "a\0\x0c"
                                  "content-type\x10"
                                  "application/grpc\0\x02"
                                  "te\x08trailers";
    static char data[1 << 20];
    size_t at = 9 + sizeof(headers) - 1;
    memcpy(data + 9, headers, sizeof(headers) - 1);
    at += fill(data + at, junk_size, window_update, WINDOW_UPDATE_SIZE);
    for (uint32_t n = 0; n < FLOOD_MAX / junk_size; n++) {
        char answer[4096]; /* each call has one, so this does not wait in vain */
        put_head(data, sizeof(headers) - 1, 1, 5, 2 * n + 1);
        if (!send_all(fd, data, at) || recv(fd, answer, sizeof(answer), 0) <= 0)
            return true;
    }
    return false;
}

static int connect_greeted(void)
{
    int fd = connect_from("127.0.0.2", echo.port);
    cr_assert_eq(send(fd, greeting, GREETING_SIZE, MSG_NOSIGNAL), (ssize_t)GREETING_SIZE);
    return fd;
}

/* -- Limits ------------------------------------------------------------------------------------ */

Test(gate, an_address_has_so_many_connections)
{
    struct crpc_server_options options = {.size = sizeof(options), .connections_per_peer_max = 4};
    int fds[10];
    echo_start(&echo, &options, NULL);
    for (int i = 0; i < 10; i++)
        fds[i] = connect_from("127.0.0.2", echo.port);
    AWAIT_COUNT(refused_peer_max, 6);
    for (int i = 4; i < 10; i++)
        cr_assert(is_closed(fds[i]), "%d", i);
    expect_echo(); /* of another address */
    for (int i = 0; i < 10; i++)
        close(fds[i]);
    echo_stop(&echo);
}

Test(gate, an_address_makes_so_many_connections_a_second)
{
    struct crpc_server_options options = {
        .size = sizeof(options), .connections_per_peer_max = 4, .connection_rate_per_peer = 1};
    echo_start(&echo, &options, NULL);
    for (int i = 0; i < 1000 && counts().refused_peer_rate == 0; i++) {
        close(connect_from("127.0.0.2", echo.port));
        for (int tries_left = WAIT_S * 1000; counts().open >= 4 && tries_left > 0; tries_left--)
            usleep(1000);
    }
    AWAIT_COUNT(refused_peer_rate, 1);
    expect_echo();
    echo_stop(&echo);
}

Test(gate, there_are_so_many_connections_in_all)
{
    struct crpc_server_options options = {.size = sizeof(options), .connections_max = 3};
    int fds[8];
    echo_start(&echo, &options, NULL);
    expect_echo();
    for (int i = 0; i < 8; i++)
        fds[i] = connect_from("127.0.0.2", echo.port);
    AWAIT_COUNT(refused_max, 6);
    cr_assert_leq(counts().open, 3);
    expect_echo();
    for (int i = 0; i < 8; i++)
        close(fds[i]);
    echo_stop(&echo);
}

Test(gate, who_never_calls_is_cut)
{
    struct crpc_server_options options = {.size = sizeof(options), .first_request_ms = 200};
    echo_start(&echo, &options, NULL);
    expect_echo();
    int fd = connect_greeted();
    cr_assert(is_closed(fd));
    AWAIT_COUNT(cut_silent, 1);
    close(fd);
    expect_echo();
    cr_assert_eq(counts().cut_silent, 1, "who has called may be silent");
    echo_stop(&echo);
}

Test(gate, who_sends_no_frame_is_cut)
{
    struct crpc_server_options options = {.size = sizeof(options), .handshake_ms = 200};
    echo_start(&echo, &options, NULL);
    int fd = connect_from("127.0.0.2", echo.port);
    cr_assert(is_closed(fd));
    close(fd);
    expect_echo();
    echo_stop(&echo);
}

/* A call that meets with the end of its connection fails, the next connects anew. */
static void expect_echo_soon(void)
{
    int rc = -1;
    for (int tries_left = WAIT_S; rc != 0 && tries_left > 0; tries_left--)
        rc = echo_unary(echo.channel, "hello", NULL, 0, NULL, NULL);
    cr_assert_eq(rc, 0);
}

Test(gate, who_is_idle_or_old_is_let_go)
{
    struct crpc_server_options options = {
        .size = sizeof(options), .idle_ms = 1000, .age_max_ms = 3600000};
    echo_start(&echo, &options, NULL);
    expect_echo_soon();
    for (int i = 0; i < WAIT_S * 200 && counts().open > 0; i++)
        usleep(5000);
    cr_assert_eq(counts().open, 0);
    expect_echo_soon();
    echo_stop(&echo);
}

/* -- Descriptors ------------------------------------------------------------------------------- */

/* A crowd of peers in a process of its own: connects when it is told the port, leaves when told. */
static pid_t crowd_start(int *control)
{
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    *control = pair[0];
    if (pid > 0) {
        close(pair[1]);
        return pid;
    }
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int port;
    char done = 1;
    close(pair[0]);
    if (read(pair[1], &port, sizeof(port)) != sizeof(port))
        _exit(1);
    name.sin_port = htons((uint16_t)port);
    for (int i = 0; i < CROWD; i++)
        if (connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&name, sizeof(name)) != 0)
            _exit(2);
    if (write(pair[1], &done, 1) != 1 || read(pair[1], &done, 1) < 0)
        _exit(3);
    _exit(0);
}

Test(gate, survives_running_out_of_descriptors)
{
    struct rlimit limit = {64, 64};
    int control, status;
    char done;
    pid_t pid = crowd_start(&control);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    echo_start(&echo, NULL, NULL);
    expect_echo();
    cr_assert_eq(write(control, &echo.port, sizeof(echo.port)), (ssize_t)sizeof(echo.port));
    cr_assert_eq(read(control, &done, 1), 1);
    AWAIT_COUNT(refused_descriptors, CROWD - 64);
    expect_echo();
    close(control);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);

    struct crpc_channel_options own = {.size = sizeof(own), .own_connection = true};
    struct crpc_call_options patient = {
        .size = sizeof(patient), .timeout_ms = WAIT_S * 1000, .wait_for_ready = true};
    struct crpc_channel *channel;
    cr_assert_eq(crpc_channel_new(&channel, echo.loop, echo.target, &own), 0);
    cr_assert_eq(echo_unary(channel, "hello", NULL, 0, NULL, &patient), 0);
    crpc_channel_free(channel);
    echo_stop(&echo);
}

/* -- Misuse ------------------------------------------------------------------------------------ */

Test(gate, bytes_that_belong_to_no_call_end_in_a_cut)
{
    static const char settings[] = "\0\0\0\4\0\0\0\0\0";
    static const char priority[] = "\0\0\5\2\0\0\0\0\1\0\0\0\0\0";
    echo_start(&echo, NULL, NULL);
    const struct {
        const char *frame;
        size_t size;
    } kinds[] = {{window_update, WINDOW_UPDATE_SIZE},
                 {settings, sizeof(settings) - 1},
                 {priority, sizeof(priority) - 1}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        int fd = connect_greeted();
        cr_assert(flood(fd, kinds[i].frame, kinds[i].size), "%zu: open %llu waste %llu", i,
                  (unsigned long long)counts().open, (unsigned long long)counts().cut_waste);
        close(fd);
        expect_echo();
    }
    echo_stop(&echo);
}

/* What a call leaves unread is forgiven, not what is sent under its cover. */
Test(gate, calls_are_no_cover_for_other_bytes)
{
    echo_start(&echo, NULL, NULL);
    int fd = connect_greeted();
    cr_assert(flood_calls(fd, 900 * 1024));
    close(fd);
    AWAIT_COUNT(cut_waste, 1);
    cr_assert_eq(counts().cut_resets, 0);
    expect_echo();
    echo_stop(&echo);
}

static bool permit_nothing(struct crpc_call *call, struct crpc_status *why, void *ctx)
{
    (void)call;
    (void)why;
    (void)ctx;
    return false;
}

/* One who may do nothing is forgiven next to nothing. */
Test(gate, refused_calls_are_no_cover_for_other_bytes)
{
    struct crpc_server_options options = {.size = sizeof(options), .authorize = permit_nothing};
    echo_start(&echo, &options, NULL);
    int fd = connect_greeted();
    cr_assert(flood_calls(fd, 120 * 1024));
    close(fd);
    AWAIT_COUNT(cut_waste, 1);
    cr_assert_eq(counts().cut_resets, 0);
    echo_stop(&echo);
}

/* The streams are one connection's, and the call another's, of the same address. */
Test(gate, an_address_has_so_many_calls_open)
{
    struct crpc_server_options options = {.size = sizeof(options), .calls_per_peer_max = 3};
    struct crpc_channel_options own = {.size = sizeof(own), .own_connection = true};
    struct crpc_call_options bounded = {.size = sizeof(bounded), .timeout_ms = WAIT_S * 1000};
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    struct crpc_stream *streams[3];
    struct crpc_channel *channel;
    int code = 0;
    echo_start(&echo, &options, NULL);
    cr_assert_eq(crpc_channel_new(&channel, echo.loop, echo.target, &own), 0);
    for (size_t i = 0; i < 3; i++) {
        ProtobufCMessage *reply = NULL;
        cr_assert_eq(
            crpc_stream_open(&streams[i], channel, &crpc__test__echo__descriptor, "Both", &bounded),
            0);
        cr_assert_eq(crpc_stream_write(streams[i], &item.base), 0);
        cr_assert_eq(crpc_stream_read(&reply, streams[i]), 0);
        crpc_message_free(reply);
    }
    cr_assert_eq(echo_unary(echo.channel, "hello", NULL, 0, NULL, &bounded), CRPC_ESTATUS);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(crpc_stream_finish(streams[i], NULL), 0);
    for (int i = 0; i < 10000 && (code != 0 || i == 0); i++)
        code = echo_unary(echo.channel, "hello", NULL, 0, NULL, &bounded);
    cr_assert_eq(code, 0);
    crpc_channel_free(channel);
    echo_stop(&echo);
}

/* Each is answered: a connection that pings often is cut for what it costs, and not before. */
Test(gate, many_pings_are_no_misuse)
{
    static const char ping[] = "\0\0\10\6\0\0\0\0\00012345678";
    struct crpc_connection_counts before;
    echo_start(&echo, NULL, NULL);
    int fd = connect_greeted();
    for (int i = 0; i < 100; i++)
        cr_assert_eq(send(fd, ping, sizeof(ping) - 1, MSG_NOSIGNAL), (ssize_t)sizeof(ping) - 1);
    size_t answered = 0;
    char bytes[4096];
    before = counts();
    while (answered < 100 * (sizeof(ping) - 1)) { /* the server's settings are among them */
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        cr_assert_gt(n, 0);
        answered += (size_t)n;
    }
    cr_assert_eq(before.cut_waste, 0);
    close(fd);
    expect_echo();
    echo_stop(&echo);
}

/* -- What is none ------------------------------------------------------------------------------ */

static void expect_no_cut(void)
{
    struct crpc_connection_counts now = counts();
    cr_assert_eq(now.cut_waste + now.cut_resets + now.cut_silent + now.cut_streams, 0,
                 "waste %llu, resets %llu", (unsigned long long)now.cut_waste,
                 (unsigned long long)now.cut_resets);
    cr_assert_eq(now.refused_peer_max + now.refused_peer_rate + now.refused_max, 0);
}

Test(gate, many_calls_are_no_misuse)
{
    struct crpc_call_options none = {.size = sizeof(none), .timeout_ms = 1};
    echo_start(&echo, NULL, NULL);
    for (int i = 0; i < 3000; i++)
        expect_echo();
    for (int i = 0; i < 300; i++) /* some end by their deadline, which is theirs to choose */
        echo_unary(echo.channel, "hello", NULL, 0, NULL, &none);
    expect_no_cut();
    echo_stop(&echo);
}

/* Each way, much and little at a time. */
Test(gate, much_data_is_no_misuse)
{
    static const int sizes[] = {1, 1000, 900000}, times[] = {5000, 2000, 100};
    echo_start(&echo, NULL, NULL);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct crpc_call_options bounded = {.size = sizeof(bounded), .timeout_ms = 100000};
        Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
        struct crpc_stream *stream;
        item.text = "data";
        item.data.data = calloc(1, (size_t)sizes[i]);
        item.data.len = (size_t)sizes[i];
        cr_assert_eq(crpc_stream_open(&stream, echo.channel, &crpc__test__echo__descriptor, "Both",
                                      &bounded),
                     0);
        for (int n = 0; n < times[i]; n++) {
            ProtobufCMessage *reply = NULL;
            cr_assert_eq(crpc_stream_write(stream, &item.base), 0);
            cr_assert_eq(crpc_stream_read(&reply, stream), 0);
            crpc_message_free(reply);
        }
        cr_assert_eq(crpc_stream_finish(stream, NULL), 0);
        free(item.data.data);
    }
    expect_no_cut();
    echo_stop(&echo);
}

/* Its answer is an error; the other calls of the connection go on. */
static void send_what_is_too_large(size_t window_size)
{
    struct crpc_server_options options = {.size = sizeof(options),
                                          .stream_window_size = window_size};
    struct crpc_call_options bounded = {.size = sizeof(bounded), .timeout_ms = 100000};
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    echo_start(&echo, &options, NULL);
    item.text = "data";
    item.data.len = 4u << 20;
    item.data.data = calloc(1, item.data.len);
    for (int i = 0; i < 8; i++) {
        ProtobufCMessage *reply = NULL;
        struct crpc_result result;
        int rc = crpc_unary(&reply, echo.channel, &crpc__test__echo__descriptor, "Unary",
                            &item.base, &bounded, &result);
        cr_assert_eq(rc, CRPC_ESTATUS);
        cr_assert_eq(result.code, CRPC_RESOURCE_EXHAUSTED, "%s", result.message);
        crpc_result_clear(&result);
        expect_echo();
    }
    free(item.data.data);
    expect_no_cut();
    echo_stop(&echo);
}

Test(gate, a_message_that_is_too_large_is_no_misuse)
{
    send_what_is_too_large(0);
}

Test(gate, a_message_that_is_too_large_is_no_misuse_with_a_small_window)
{
    send_what_is_too_large(256 * 1024);
}

/* -- Names ------------------------------------------------------------------------------------- */

/* Whoever holds one of a name's addresses, the name is not half taken. */
Test(gate, a_name_is_bound_at_all_its_addresses_or_at_none)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    struct crpc_server *server;
    char where[64];
    int port;
    echo_start(&echo, NULL, NULL);
    cr_assert_eq(crpc_server_new(&server, echo.loop, NULL), 0);
    cr_assert_eq(crpc_server_listen(server, "localhost:0", NULL, &port), 0);
    snprintf(where, sizeof(where), "localhost:%d", port);
    cr_assert_eq(getaddrinfo("localhost", NULL, &hints, &found), 0);
    size_t count = 0;
    for (struct addrinfo *info = found; info != NULL; info = info->ai_next) {
        const char *address = crpc_server_address(server, count++);
        cr_assert_not_null(address);
        struct crpc_server *second;
        cr_assert_eq(crpc_server_new(&second, echo.loop, NULL), 0);
        cr_assert_eq(crpc_server_listen(second, address, NULL, NULL), CRPC_EADDRESS);
        cr_assert_eq(crpc_server_listen(second, where, NULL, NULL), CRPC_EADDRESS);
        crpc_server_free(second);
    }
    cr_assert_null(crpc_server_address(server, count));
    freeaddrinfo(found);
    crpc_server_free(server);
    echo_stop(&echo);
}
