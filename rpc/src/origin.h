/* SPDX-License-Identifier: Apache-2.0
 *
 * Where connections come from: an address, and how many of them it has and may make.
 */
#ifndef CRPC_ORIGIN_H
#define CRPC_ORIGIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ORIGIN_BUCKETS 1024

/* IPv4 addresses are mapped into IPv6. */
struct peer {
    bool is_unix;
    uint16_t port;
    uint8_t address[16];
};

/* One address, or the 64 bits of an IPv6 network that one customer gets. */
struct origin {
    struct origin *next;
    uint8_t address[16];
    uint32_t connections;
    atomic_uint open_calls; /* of all its connections, also of those that are gone */
    int64_t debt;           /* of all its connections (gate_watch.c); the gate's thread only */
    int64_t tokens;         /* thousandths of a connection that may be made now */
    int64_t filled_ms;
    int64_t punished_until_ms;
};

struct origins {
    struct origin *buckets[ORIGIN_BUCKETS];
    size_t count;
};

void peer_of_socket(struct peer *out, const struct sockaddr_storage *address);
/* From gRPC's "ipv4:1.2.3.4:5" or "ipv6:[::1]:5", with percents in it or not; false for others. */
bool peer_of_text(struct peer *out, const char *text);
bool peer_is_same(const struct peer *a, const struct peer *b);
uint64_t peer_hash(const struct peer *peer);
/* "1.2.3.4", "::1" or "a unix socket". */
void peer_describe(char *out, size_t size, const struct peer *peer);

/* The origin of a peer, made when it is new; NULL without memory. */
struct origin *origins_get(struct origins *origins, const struct peer *peer, uint32_t burst,
                           int64_t now_ms);
/* Takes the right to make one connection; at most `burst` at once, `rate` a second. */
bool origin_take(struct origin *origin, uint32_t burst, uint32_t rate, int64_t now_ms);
/* For some time it may make few connections only. */
void origin_punish(struct origin *origin, int64_t now_ms);
bool origin_is_punished(const struct origin *origin, int64_t now_ms);
/* Forgets those that are as if they were new. */
void origins_sweep(struct origins *origins, uint32_t burst, uint32_t rate, int64_t now_ms);
void origins_clear(struct origins *origins);

#endif
