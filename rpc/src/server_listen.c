/* SPDX-License-Identifier: Apache-2.0
 *
 * Ports and unix sockets of a server.
 */
#include "address.h"
#include "server.h"
#include "tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int unix_lock_keep(struct crpc_server *server, int lock)
{
    int *locks = realloc(server->unix_locks, (server->unix_lock_count + 1) * sizeof *locks);
    if (locks == NULL)
        return CRPC_ENOMEM;
    server->unix_locks = locks;
    locks[server->unix_lock_count++] = lock;
    return 0;
}

static int listen_unix(struct crpc_server *server, const char *path,
                       grpc_server_credentials *credentials)
{
    char address[128 + sizeof "unix:"];
    int lock;

    int result = address_unix_lock(&lock, path);
    if (result != 0)
        return result;
    snprintf(address, sizeof address, "unix:%s", path);
    result = unix_lock_keep(server, lock);
    if (result != 0) {
        close(lock);
        return result;
    }
    if (grpc_server_add_http2_port(server->core, address, credentials) != 0)
        return 0;
    close(lock);
    server->unix_lock_count--;
    return CRPC_EADDRESS;
}

static int listen_port(int *port_out, struct crpc_server *server, const char *address,
                       grpc_server_credentials *credentials)
{
    const char *host_port = address_host_port(address);
    if (host_port == NULL)
        return CRPC_EADDRESS;
    int port = grpc_server_add_http2_port(server->core, host_port, credentials);
    if (port <= 0)
        return CRPC_EADDRESS;
    *port_out = port;
    return 0;
}

int crpc_server_listen(struct crpc_server *server, const char *address, const struct crpc_tls *tls,
                       int *port_out)
{
    grpc_server_credentials *credentials;
    int port = 0;

    if (address == NULL || server->is_started)
        return CRPC_EINVAL;
    int result = tls_server_credentials(&credentials, tls);
    if (result != 0)
        return result;
    const char *path = address_unix_path(address);
    result = path != NULL ? listen_unix(server, path, credentials)
                          : listen_port(&port, server, address, credentials);
    if (result == CRPC_EADDRESS && tls != NULL && !tls_server_usable(credentials))
        result = CRPC_ETLS;
    grpc_server_credentials_release(credentials);
    if (result != 0)
        return result;
    server->listener_count++;
    if (port_out != NULL)
        *port_out = port;
    return 0;
}
