/* SPDX-License-Identifier: Apache-2.0
 *
 * origin.h
 */
#include "origin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN 1000
#define PUNISHED_MS 10000
#define PUNISHED_BURST 10
#define PUNISHED_RATE 10

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void set_ipv4(struct peer *out, const void *address, uint16_t port)
{
    memcpy(out->address, mapped, sizeof(mapped));
    memcpy(out->address + sizeof(mapped), address, 4);
    out->port = port;
}

void peer_of_socket(struct peer *out, const struct sockaddr_storage *address)
{
    memset(out, 0, sizeof(*out));
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const void *)address;
        set_ipv4(out, &ipv4->sin_addr, ntohs(ipv4->sin_port));
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *ipv6 = (const void *)address;
        memcpy(out->address, &ipv6->sin6_addr, 16);
        out->port = ntohs(ipv6->sin6_port);
    } else {
        out->is_unix = true;
    }
}

/* "%5B" is "[", "%5D" is "]"; what stands behind another "%" is the interface: left out. */
static void plain_host(char *out, size_t size, const char *text, const char *end)
{
    size_t length = 0;
    for (; text < end && length + 1 < size; text++) {
        if (strncmp(text, "%5B", 3) == 0 || strncmp(text, "%5D", 3) == 0)
            text += 2;
        else if (*text == '%')
            break;
        else if (*text != '[' && *text != ']')
            out[length++] = *text;
    }
    out[length] = '\0';
}

bool peer_of_text(struct peer *out, const char *text)
{
    char host[INET6_ADDRSTRLEN];
    uint8_t ipv4[4];
    const char *colon = strrchr(text, ':');

    memset(out, 0, sizeof(*out));
    if (colon == NULL || (strncmp(text, "ipv4:", 5) != 0 && strncmp(text, "ipv6:", 5) != 0) ||
        colon < text + 5)
        return false;
    plain_host(host, sizeof(host), text + 5, colon);
    out->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    if (text[3] == '6')
        return inet_pton(AF_INET6, host, out->address) == 1;
    if (inet_pton(AF_INET, host, ipv4) != 1)
        return false;
    set_ipv4(out, ipv4, out->port);
    return true;
}

bool peer_is_same(const struct peer *a, const struct peer *b)
{
    return a->port == b->port && a->is_unix == b->is_unix &&
           memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

static uint64_t mix(uint64_t hash, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash ^ (hash >> 29);
}

uint64_t peer_hash(const struct peer *peer)
{
    const uint8_t port[2] = {(uint8_t)(peer->port >> 8), (uint8_t)peer->port};
    return mix(mix(UINT64_C(0xcbf29ce484222325), peer->address, sizeof(peer->address)), port, 2);
}

void peer_describe(char *out, size_t size, const struct peer *peer)
{
    if (peer->is_unix)
        snprintf(out, size, "a unix socket");
    else if (memcmp(peer->address, mapped, sizeof(mapped)) == 0)
        inet_ntop(AF_INET, peer->address + sizeof(mapped), out, (socklen_t)size);
    else
        inet_ntop(AF_INET6, peer->address, out, (socklen_t)size);
}

struct origin *origins_get(struct origins *origins, const struct peer *peer, uint32_t burst,
                           int64_t now_ms)
{
    uint8_t address[16];
    memcpy(address, peer->address, sizeof(address));
    if (memcmp(address, mapped, sizeof(mapped)) != 0)
        memset(address + 8, 0, 8);
    struct origin **bucket =
        &origins->buckets[mix(UINT64_C(0xcbf29ce484222325), address, 16) % ORIGIN_BUCKETS];
    for (struct origin *origin = *bucket; origin != NULL; origin = origin->next)
        if (memcmp(origin->address, address, sizeof(address)) == 0)
            return origin;
    struct origin *origin = calloc(1, sizeof(*origin));
    if (origin == NULL)
        return NULL;
    memcpy(origin->address, address, sizeof(address));
    origin->tokens = (int64_t)burst * TOKEN;
    origin->filled_ms = now_ms;
    origin->next = *bucket;
    *bucket = origin;
    origins->count++;
    return origin;
}

bool origin_is_punished(const struct origin *origin, int64_t now_ms)
{
    return now_ms < origin->punished_until_ms;
}

static void fill(struct origin *origin, uint32_t burst, uint32_t rate, int64_t now_ms)
{
    bool is_punished = origin_is_punished(origin, now_ms);
    int64_t most =
        (int64_t)(is_punished && burst > PUNISHED_BURST ? PUNISHED_BURST : burst) * TOKEN;
    int64_t a_second = is_punished && rate > PUNISHED_RATE ? PUNISHED_RATE : rate;

    origin->tokens += (now_ms - origin->filled_ms) * a_second; /* a thousandth a ms */
    if (origin->tokens > most)
        origin->tokens = most;
    origin->filled_ms = now_ms;
}

bool origin_take(struct origin *origin, uint32_t burst, uint32_t rate, int64_t now_ms)
{
    fill(origin, burst, rate, now_ms);
    if (origin->tokens < TOKEN)
        return false;
    origin->tokens -= TOKEN;
    return true;
}

void origin_punish(struct origin *origin, int64_t now_ms)
{
    origin->punished_until_ms = now_ms + PUNISHED_MS;
}

void origins_sweep(struct origins *origins, uint32_t burst, uint32_t rate, int64_t now_ms)
{
    for (size_t i = 0; i < ORIGIN_BUCKETS; i++)
        for (struct origin **link = &origins->buckets[i]; *link != NULL;) {
            struct origin *origin = *link;
            fill(origin, burst, rate, now_ms);
            bool is_as_new = origin->connections == 0 && atomic_load(&origin->open_calls) == 0 &&
                             now_ms >= origin->punished_until_ms &&
                             origin->tokens >= (int64_t)burst * TOKEN;
            if (is_as_new) {
                *link = origin->next;
                free(origin);
                origins->count--;
            } else {
                link = &origin->next;
            }
        }
}

void origins_clear(struct origins *origins)
{
    for (size_t i = 0; i < ORIGIN_BUCKETS; i++)
        while (origins->buckets[i] != NULL) {
            struct origin *origin = origins->buckets[i];
            origins->buckets[i] = origin->next;
            free(origin);
        }
    origins->count = 0;
}
