/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses. gRPC would take an unguarded unix path away from the server that uses it, without a
 * word, and unlink it when it stops; and it takes a host without a port for port 443.
 */
#include "address.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PATH_SIZE_MAX (sizeof((struct sockaddr_un *)0)->sun_path)

static const char *skip(const char *text, const char *prefix)
{
    size_t size = strlen(prefix);
    return strncmp(text, prefix, size) == 0 ? text + size : NULL;
}

const char *address_unix_path(const char *address)
{
    const char *path = skip(address, "unix://");
    return path != NULL ? path : skip(address, "unix:");
}

const char *address_host_port(const char *address)
{
    static const char *const schemes[] = {"dns:///", "dns:", "ipv4:", "ipv6:"};
    const char *host = address;

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        const char *rest = skip(address, schemes[i]);
        if (rest != NULL) {
            host = rest;
            break;
        }
    }
    const char *colon = strrchr(host, ':');
    if (colon == NULL || colon == host || (strchr(host, ':') != colon && colon[-1] != ']'))
        return NULL;
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 5 || colon[1 + digits] != '\0' ||
        strtoul(colon + 1, NULL, 10) > 65535)
        return NULL;
    return host;
}

/* Removes a socket left by a dead server; anything else at the path is not ours. The lock is
 * held. */
static int stale_remove(const char *path)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return 0;
    if (!S_ISSOCK(status.st_mode) || unlink(path) != 0)
        return CRPC_EADDRESS;
    return 0;
}

int address_unix_lock(int *lock_out, const char *path)
{
    char name[PATH_SIZE_MAX + sizeof(".lock")];

    if (path[0] == '\0' || strlen(path) >= PATH_SIZE_MAX)
        return CRPC_EADDRESS;
    snprintf(name, sizeof(name), "%s.lock", path);
    /* The file stays when the server is gone: removing it would let two servers lock two files of
     * one name. */
    int lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return CRPC_EADDRESS;
    if (flock(lock, LOCK_EX | LOCK_NB) != 0 || stale_remove(path) != 0) {
        close(lock);
        return CRPC_EADDRESS;
    }
    *lock_out = lock;
    return 0;
}
