/* SPDX-License-Identifier: Apache-2.0
 *
 * Ports and unix sockets of a server: bound here, and served by the gate; or by gRPC's own
 * listeners, when this version of it cannot be handed connections.
 */
#include "address.h"
#include "server.h"
#include "socket.h"
#include "tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int remember(struct crpc_server *server, const char *text, int lock)
{
    struct server_address *addresses =
        realloc(server->addresses, (server->address_count + 1) * sizeof(*addresses));
    if (addresses == NULL)
        return CRPC_ENOMEM;
    server->addresses = addresses;
    struct server_address *address = &addresses[server->address_count];
    if (snprintf(address->text, sizeof(address->text), "%s", text) >= (int)sizeof(address->text))
        return CRPC_EADDRESS;
    address->lock = lock;
    server->address_count++;
    return 0;
}

static void address_clear(struct server_address *address)
{
    const char *path = address_unix_path(address->text);
    if (path != NULL)
        unlink(path);
    if (address->lock >= 0)
        close(address->lock);
}

void server_addresses_clear(struct crpc_server *server)
{
    for (size_t i = 0; i < server->address_count; i++)
        address_clear(&server->addresses[i]);
    free(server->addresses);
    server->addresses = NULL;
    server->address_count = 0;
}

const char *crpc_server_address(const struct crpc_server *server, size_t i)
{
    return i < server->address_count ? server->addresses[i].text : NULL;
}

/* Serves a bound socket, which is closed when that fails. */
static int serve(struct crpc_server *server, int fd, const char *text,
                 const struct adopter *adopter, grpc_server_credentials *credentials)
{
    int rc = 0;
    if (adopter != NULL)
        rc = gate_add_listener(server->gate, fd, adopter);
    if (adopter == NULL || rc != 0)
        close(fd);
    if (adopter == NULL && grpc_server_add_http2_port(server->core, text, credentials) == 0)
        rc = CRPC_EADDRESS;
    return rc;
}

static int listen_unix(struct crpc_server *server, const char *path, const struct adopter *adopter,
                       grpc_server_credentials *credentials)
{
    char text[sizeof(server->addresses->text)];
    int lock;

    int rc = address_unix_lock(&lock, path);
    if (rc != 0)
        return rc;
    snprintf(text, sizeof(text), "unix:%s", path);
    int fd = socket_listen_unix(path);
    rc = fd >= 0 ? remember(server, text, lock) : fd;
    if (rc != 0) {
        if (fd >= 0)
            close(fd);
        close(lock);
        return rc;
    }
    if (adopter == NULL)
        unlink(path); /* gRPC binds it again; the lock is ours */
    rc = serve(server, fd, text, adopter, credentials);
    if (rc != 0)
        address_clear(&server->addresses[--server->address_count]);
    return rc;
}

static int listen_port(int *port_out, struct crpc_server *server, const char *address,
                       const struct adopter *adopter, grpc_server_credentials *credentials)
{
    struct listening sockets[SOCKETS_PER_ADDRESS_MAX];
    const char *host_port = address_host_port(address);
    if (host_port == NULL)
        return CRPC_EADDRESS;
    int count = sockets_listen(sockets, host_port), result = 0;
    for (int i = 0; i < count; i++) {
        if (result == 0)
            result = remember(server, sockets[i].address, -1);
        if (result == 0)
            result = serve(server, sockets[i].fd, sockets[i].address, adopter, credentials);
        else
            close(sockets[i].fd);
    }
    if (count < 0 || result != 0)
        return count < 0 ? count : result;
    *port_out = atoi(strrchr(sockets[0].address, ':') + 1);
    return 0;
}

/* The adopter's own credentials: those of a TLS address may change later. */
static int open_adopter(struct crpc_server *server, struct adopter *adopter,
                        const struct crpc_tls *tls)
{
    struct tls_feed **feed = &server->feeds[server->listener_count];
    grpc_server_credentials *credentials;
    int rc = tls != NULL ? tls_feed_new(feed, tls) : 0;
    if (rc == 0)
        rc = tls != NULL ? tls_feed_credentials(&credentials, *feed)
                         : tls_server_credentials(&credentials, NULL);
    if (rc != 0)
        return rc;
    if (!adopter_open(adopter, server->core, credentials))
        rc = CRPC_EINTERNAL;
    grpc_server_credentials_release(credentials);
    return rc;
}

int crpc_server_set_tls(struct crpc_server *server, const struct crpc_tls *tls)
{
    grpc_server_credentials *credentials;
    int rc = tls != NULL ? tls_server_credentials(&credentials, tls) : CRPC_EINVAL;
    if (rc != 0)
        return rc;
    if (!tls_server_usable(credentials))
        rc = CRPC_ETLS;
    grpc_server_credentials_release(credentials);
    size_t count = 0;
    for (size_t i = 0; i < ADOPTERS_MAX && rc == 0; i++) {
        if (server->feeds[i] == NULL)
            continue;
        rc = tls_feed_set(server->feeds[i], tls);
        count++;
    }
    return rc == 0 && count == 0 ? CRPC_EINVAL : rc;
}

int crpc_server_listen(struct crpc_server *server, const char *address, const struct crpc_tls *tls,
                       int *port_out)
{
    grpc_server_credentials *credentials;
    struct adopter *adopter = NULL;
    int port = 0;

    if (address == NULL || server->is_started)
        return CRPC_EINVAL;
    int rc = tls_server_credentials(&credentials, tls);
    if (rc != 0)
        return rc;
    if (server->gate != NULL && server->listener_count < ADOPTERS_MAX)
        adopter = &server->adopters[server->listener_count];
    const char *path = address_unix_path(address);
    if (tls != NULL && !tls_server_usable(credentials))
        rc = CRPC_ETLS;
    else if (server->gate != NULL && adopter == NULL)
        rc = CRPC_EADDRESS;
    else
        rc = path != NULL ? listen_unix(server, path, adopter, credentials)
                          : listen_port(&port, server, address, adopter, credentials);
    if (rc == 0 && adopter != NULL)
        rc = open_adopter(server, adopter, tls);
    grpc_server_credentials_release(credentials);
    if (rc != 0)
        return rc;
    server->listener_count++;
    if (port_out != NULL)
        *port_out = port;
    return 0;
}
