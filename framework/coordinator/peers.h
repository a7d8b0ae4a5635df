/* SPDX-License-Identifier: Apache-2.0
 *
 * What the callers of one connection, and of one address, have of the memory that all share: so
 * that nobody has more of it for having many calls, streams or connections. Any thread.
 */
#ifndef TERCET_PEERS_H
#define TERCET_PEERS_H

#include <budget.h>
#include <crpc/crpc.h>
#include <pthread.h>
#include <stdint.h>

#define PEERS_BUCKETS 1024

/* A connection, or an address (IPv6: a network of /64), as long as somebody has calls there. */
struct peer {
    struct peer *next;
    uint64_t key;
    uint32_t references;                  /* guarded by the lock */
    struct peer *address;                 /* of a connection; NULL: this is one */
    atomic_size_t replies;                /* bytes of unary answers that it has not read */
    struct budget_group unread, requests; /* of an address: of the budgets of these names */
};

struct peers {
    pthread_mutex_t lock;
    struct peer *buckets[PEERS_BUCKETS];
};

void peers_init(struct peers *peers);
/* All peers have been given back. */
void peers_destroy(struct peers *peers);

/* The call's connection; NULL without memory. All of unix sockets are one. */
struct peer *peers_get(struct peers *peers, struct crpc_call *call);
/* NULL is fine. */
void peers_put(struct peers *peers, struct peer *peer);

#endif
