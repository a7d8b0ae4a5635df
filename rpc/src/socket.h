/* SPDX-License-Identifier: Apache-2.0
 *
 * Sockets that listen.
 */
#ifndef CRPC_SOCKET_H
#define CRPC_SOCKET_H

#include <crpc/crpc.h>

#define SOCKETS_PER_ADDRESS_MAX 16

struct listening {
    int fd;
    char address[64]; /* "127.0.0.1:80", "[::1]:80" */
};

/* Listens at every address that "host:port" has on this machine, or at none; port 0 takes one that
 * is free at all of them. A name's address that the machine has not (::1 without IPv6) is left out.
 * Returns how many, into out[SOCKETS_PER_ADDRESS_MAX], or CRPC_EADDRESS with errno set. */
int sockets_listen(struct listening *out, const char *host_port);

/* Listens at a unix path. Returns the socket or CRPC_EADDRESS. */
int socket_listen_unix(const char *path);

#endif
