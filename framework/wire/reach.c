/* SPDX-License-Identifier: Apache-2.0
 *
 * reach.h
 */
#include "reach.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOST_SIZE_MAX 256

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

/* The host of the address as a resolver sees it: without scheme, name server, brackets and port. */
static void copy_host(char out[HOST_SIZE_MAX], const char *address)
{
    const char *host = reach_host(address);
    if (begins_with(host, "//")) /* dns://NAME SERVER/HOST */
        host = strchr(host + 2, '/') != NULL ? strchr(host + 2, '/') + 1 : host + 2;
    bool is_quoted = begins_with(host, "%5B") || begins_with(host, "%5b");
    host += is_quoted ? 3 : host[0] == '[' ? 1 : 0;
    size_t size = strcspn(host, "]%");
    if (strchr(host, ':') == strrchr(host, ':')) /* no IPv6 address: what follows is the port */
        size = strcspn(host, ":");
    snprintf(out, HOST_SIZE_MAX, "%.*s", (int)size, host);
    size = strlen(out);
    if (size > 0 && out[size - 1] == '.')
        out[size - 1] = '\0';
}

static bool is_here_v4(uint32_t address)
{
    return address >> 24 == 127 || address >> 24 == 0;
}

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* before IPv4 in IPv6 */

/* IPv4 in IPv6, mapped or as of old, of which :: and ::1 are two. */
static bool is_here_v6(const uint8_t bytes[16])
{
    static const uint8_t compatible[12];
    uint32_t last;
    memcpy(&last, bytes + 12, sizeof(last));
    if (memcmp(bytes, compatible, 12) != 0 && memcmp(bytes, mapped, 12) != 0)
        return false;
    return is_here_v4(ntohl(last));
}

/* Old resolvers take 2130706433, 0x7f000001 and 127.1 as addresses, too. */
bool reach_is_here(const char *address)
{
    char host[HOST_SIZE_MAX];
    struct in6_addr v6;
    struct in_addr v4;
    copy_host(host, address);
    if (begins_with(address, "unix") || strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_aton(host, &v4) != 0)
        return is_here_v4(ntohl(v4.s_addr));
    return inet_pton(AF_INET6, host, &v6) == 1 && is_here_v6(v6.s6_addr);
}

bool reach_origin(uint8_t out[16], const char *peer)
{
    char host[HOST_SIZE_MAX];
    copy_host(host, peer);
    if (inet_pton(AF_INET, host, out + sizeof(mapped)) == 1) {
        memcpy(out, mapped, sizeof(mapped));
        return true;
    }
    if (inet_pton(AF_INET6, host, out) != 1)
        return false;
    if (memcmp(out, mapped, sizeof(mapped)) != 0)
        memset(out + REACH_NETWORK_SIZE, 0, 16 - REACH_NETWORK_SIZE);
    return true;
}
