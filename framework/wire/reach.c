/* SPDX-License-Identifier: Apache-2.0
 *
 * reach.h
 */
#include "reach.h"

#include <stddef.h>
#include <string.h>

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

const char *reach_host(const char *address)
{
    static const char *const schemes[] = {"dns:///", "dns:", "ipv4:", "ipv6:"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (begins_with(address, schemes[i]))
            return address + strlen(schemes[i]);
    return address;
}

bool reach_is_local(const char *address)
{
    const char *host = reach_host(address);
    size_t number_size = strspn(host, "0123456789.");
    return begins_with(address, "unix:") || begins_with(host, "localhost:") ||
           begins_with(host, "[::1]:") ||
           (begins_with(host, "127.") && (host[number_size] == ':' || host[number_size] == '\0'));
}

bool reach_is_here(const char *address)
{
    static const char *const here[] = {"0.0.0.0", "[::]", "[::ffff:127.", "%5B::1%5D",
                                       "%5B::ffff:127."};
    const char *host = reach_host(address);
    for (size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++)
        if (begins_with(host, here[i]))
            return true;
    return reach_is_local(address);
}
