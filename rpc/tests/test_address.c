/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a server may listen: ports, unix sockets, and what is refused.
 */
#include "echo.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct echo echo;
static char directory[64];
static char path[96];
static char address[112];

static void setup(void)
{
    echo_start(&echo, NULL, NULL);
    snprintf(directory, sizeof(directory), "/tmp/crpc-test-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/socket", directory);
    snprintf(address, sizeof(address), "unix:%s", path);
}

static void teardown(void)
{
    char lock[112];
    echo_stop(&echo);
    snprintf(lock, sizeof(lock), "%s.lock", path);
    unlink(lock);
    unlink(path);
    cr_assert_eq(rmdir(directory), 0);
}

TestSuite(address, .init = setup, .fini = teardown, .timeout = 240);

static int try_listen(const char *where)
{
    struct crpc_server *server;
    cr_assert_eq(crpc_server_new(&server, echo.loop, NULL), 0);
    int result = crpc_server_listen(server, where, NULL, NULL);
    crpc_server_free(server);
    return result;
}

Test(address, a_port_in_use_is_refused)
{
    char where[64];
    snprintf(where, sizeof(where), "127.0.0.1:%d", echo.port);
    cr_assert_eq(try_listen(where), CRPC_EADDRESS);
}

Test(address, malformed_ones_are_refused)
{
    const char *const bad[] = {
        "",     "127.0.0.1", "localhost", "127.0.0.1:",     "127.0.0.1:99999", ":0x",
        "::1:", "::1",       "unix:",     "127.0.0.1:12ab", "no such host:1",  ":80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_eq(try_listen(bad[i]), CRPC_EADDRESS, "%s", bad[i]);
    cr_assert_eq(try_listen(NULL), CRPC_EINVAL);
}

Test(address, all_forms_are_taken)
{
    const char *const good[] = {"127.0.0.1:0", "localhost:0", "ipv4:127.0.0.1:0", "dns:localhost:0",
                                "dns:///localhost:0"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        cr_assert_eq(try_listen(good[i]), 0, "%s", good[i]);
}

Test(address, several_at_once)
{
    struct crpc_server *server;
    struct crpc_channel *channel;
    char target[64];
    int ports[2];
    int unix_port = -1;
    cr_assert_eq(crpc_server_new(&server, echo.loop, NULL), 0);
    echo_add_service(server, &echo.log);
    cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", NULL, &ports[0]), 0);
    cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", NULL, &ports[1]), 0);
    cr_assert_eq(crpc_server_listen(server, address, NULL, &unix_port), 0);
    cr_assert_eq(unix_port, 0);
    cr_assert_neq(ports[0], ports[1]);
    cr_assert_eq(crpc_server_start(server), 0);
    for (int i = 0; i < 2; i++) {
        snprintf(target, sizeof(target), "ipv4:127.0.0.1:%d", ports[i]);
        cr_assert_eq(crpc_channel_new(&channel, echo.loop, target, NULL), 0);
        cr_assert_eq(echo_unary(channel, "hello", NULL, 0, NULL, NULL), 0);
        crpc_channel_free(channel);
    }
    crpc_server_free(server);
}

static struct crpc_server *unix_server(void)
{
    struct crpc_server *server;
    cr_assert_eq(crpc_server_new(&server, echo.loop, NULL), 0);
    echo_add_service(server, &echo.log);
    cr_assert_eq(crpc_server_listen(server, address, NULL, NULL), 0);
    cr_assert_eq(crpc_server_start(server), 0);
    return server;
}

static int unix_call(void)
{
    struct crpc_channel_options options = {.size = sizeof(options), .own_connection = true};
    struct crpc_channel *channel;
    char reply[16];
    cr_assert_eq(crpc_channel_new(&channel, echo.loop, address, &options), 0);
    int code = echo_unary(channel, "hello", reply, sizeof(reply), NULL, NULL);
    crpc_channel_free(channel);
    return code;
}

Test(address, a_unix_socket_cannot_be_stolen)
{
    struct crpc_server *server = unix_server();
    char other[128];
    cr_assert_eq(unix_call(), 0);
    cr_assert_eq(try_listen(address), CRPC_EADDRESS);
    snprintf(other, sizeof(other), "unix://%s", path);
    cr_assert_eq(try_listen(other), CRPC_EADDRESS);
    cr_assert_eq(unix_call(), 0, "the first server must still be there");
    crpc_server_free(server);
    server = unix_server();
    cr_assert_eq(unix_call(), 0);
    crpc_server_free(server);
}

Test(address, a_stale_socket_is_removed)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    memcpy(name.sun_path, path, strlen(path) + 1);
    cr_assert_eq(bind(dead, (struct sockaddr *)&name, sizeof(name)), 0);
    close(dead);
    struct crpc_server *server = unix_server();
    cr_assert_eq(unix_call(), 0);
    crpc_server_free(server);
}

Test(address, a_file_in_the_way_is_left_alone)
{
    struct stat status;
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fclose(file);
    cr_assert_eq(try_listen(address), CRPC_EADDRESS);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert(S_ISREG(status.st_mode));
}

Test(address, a_path_too_long_or_without_directory)
{
    char where[300];
    memset(where, 'x', sizeof(where));
    memcpy(where, "unix:/tmp/", 10);
    where[sizeof(where) - 1] = '\0';
    cr_assert_eq(try_listen(where), CRPC_EADDRESS);
    snprintf(where, sizeof(where), "unix:%s/none/socket", directory);
    cr_assert_eq(try_listen(where), CRPC_EADDRESS);
}
