/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses to listen at, and the lock file that guards a unix socket's path.
 */
#ifndef CRPC_ADDRESS_H
#define CRPC_ADDRESS_H

#include <crpc/crpc.h>

/* The path of "unix:/path", "unix:path" or "unix:///path"; NULL for other addresses. */
const char *address_unix_path(const char *address);

/* The "host:port" in an address, without scheme; NULL when it has no port. */
const char *address_host_port(const char *address);

/* Takes the lock beside a unix path and removes a socket that nobody serves any more. *lock_out is
 * a file descriptor to be closed when the server is gone. Errors: CRPC_EADDRESS. */
int address_unix_lock(int *lock_out, const char *path);

#endif
