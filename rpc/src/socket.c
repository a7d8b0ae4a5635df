/* SPDX-License-Identifier: Apache-2.0
 *
 * Sockets that listen. Half a name would be a trap: a second server on "localhost:P" would come up
 * on the other address, and who calls would reach the one or the other.
 */
#include "socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* How often to look for a port that is free at all addresses. */
#define FREE_PORT_TRIES 32

#define LOST_AFTER_MS 20000 /* a connection whose peer acknowledges nothing for so long */
#define BACKLOG 4096        /* the system cuts it to its limit */

static int port_of(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)(const void *)address)->sin6_port
                     : ((const struct sockaddr_in *)(const void *)address)->sin_port);
}

static void set_port(struct sockaddr_storage *address, int port)
{
    if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)(void *)address)->sin_port = htons((uint16_t)port);
}

/* [::] is every address of both kinds, as everywhere; any other IPv6 address is itself alone. */
static bool is_everywhere(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(
               &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static int bind_and_listen(int fd, const struct sockaddr_storage *address, socklen_t size)
{
    int on = 1, lost_after_ms = LOST_AFTER_MS, is_ipv6_only = !is_everywhere(address);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* Connections inherit these two. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost_after_ms, sizeof(lost_after_ms));
    if (address->ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_ipv6_only, sizeof(is_ipv6_only));
    return bind(fd, (const struct sockaddr *)address, size) == 0 ? listen(fd, BACKLOG) : -1;
}

static void describe(struct listening *out, struct sockaddr_storage *address, socklen_t size)
{
    char host[INET6_ADDRSTRLEN + 16];
    getsockname(out->fd, (struct sockaddr *)address, &size);
    if (getnameinfo((struct sockaddr *)address, size, host, sizeof(host), NULL, 0,
                    NI_NUMERICHOST) != 0)
        host[0] = '\0';
    snprintf(out->address, sizeof(out->address),
             address->ss_family == AF_INET6 ? "[%s]:%d" : "%s:%d", host, port_of(address));
}

/* The socket of one address; *port, when it is 0, becomes the one it got. Negative with errno. */
static int listen_at(struct listening *out, const struct addrinfo *info, int *port)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    memcpy(&address, info->ai_addr, info->ai_addrlen);
    set_port(&address, *port);
    out->fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (out->fd < 0)
        return -1;
    if (bind_and_listen(out->fd, &address, info->ai_addrlen) != 0) {
        int saved = errno;
        close(out->fd);
        errno = saved;
        return -1;
    }
    describe(out, &address, sizeof(address));
    *port = port_of(&address);
    return 0;
}

static bool is_not_here(int error)
{
    return error == EADDRNOTAVAIL || error == EAFNOSUPPORT;
}

static bool is_repeated(const struct addrinfo *first, const struct addrinfo *info)
{
    for (; first != info; first = first->ai_next)
        if (first->ai_addrlen == info->ai_addrlen &&
            memcmp(first->ai_addr, info->ai_addr, info->ai_addrlen) == 0)
            return true;
    return false;
}

/* All addresses or none; how many, or negative with errno. */
static int listen_at_all(struct listening *out, const struct addrinfo *first, int port)
{
    int count = 0, error = EADDRNOTAVAIL;
    for (const struct addrinfo *info = first; info != NULL; info = info->ai_next) {
        if (is_repeated(first, info) || count == SOCKETS_PER_ADDRESS_MAX)
            continue;
        if (listen_at(&out[count], info, &port) == 0) {
            count++;
            continue;
        }
        error = errno;
        if (is_not_here(error))
            continue;
        while (count > 0)
            close(out[--count].fd);
        break;
    }
    errno = error;
    return count > 0 ? count : -1;
}

/* Splits "host:port" or "[host]:port", which address_host_port has looked at. */
static int split(char *host, size_t host_size, const char *host_port)
{
    const char *colon = strrchr(host_port, ':');
    bool has_brackets = host_port[0] == '[';
    size_t size = (size_t)(colon - host_port) - 2 * has_brackets;
    if (size >= host_size)
        return -1;
    memcpy(host, host_port + has_brackets, size);
    host[size] = '\0';
    return atoi(colon + 1);
}

int sockets_listen(struct listening *out, const char *host_port)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char host[256];
    int count = -1;

    int port = split(host, sizeof(host), host_port);
    if (port < 0 || getaddrinfo(host, NULL, &hints, &found) != 0) {
        errno = EADDRNOTAVAIL;
        return CRPC_EADDRESS;
    }
    for (int i = 0; i < (port == 0 ? FREE_PORT_TRIES : 1) && count < 0; i++) {
        count = listen_at_all(out, found, port);
        if (count < 0 && errno != EADDRINUSE)
            break;
    }
    freeaddrinfo(found);
    return count > 0 ? count : CRPC_EADDRESS;
}

int socket_listen_unix(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(name.sun_path))
        return CRPC_EADDRESS;
    memcpy(name.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return CRPC_EADDRESS;
    if (bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    close(fd);
    return CRPC_EADDRESS;
}
