/* SPDX-License-Identifier: Apache-2.0
 *
 * peers.h
 */
#include "peers.h"

#include <assert.h>
#include <reach.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define KEY_UNIX 0 /* of sockets of this machine: their peers have no address */

void peers_init(struct peers *peers)
{
    memset(peers->buckets, 0, sizeof(peers->buckets));
    pthread_mutex_init(&peers->lock, NULL);
}

void peers_destroy(struct peers *peers)
{
    for (size_t i = 0; i < PEERS_BUCKETS; i++)
        assert(peers->buckets[i] == NULL);
    pthread_mutex_destroy(&peers->lock);
}

static bool is_same(const struct peer *peer, uint64_t key, const struct peer *address)
{
    return peer->key == key && peer->address == address;
}

/* With the lock held: a reference. `address` is that of a connection, whose reference it takes. */
static struct peer *get(struct peers *peers, uint64_t key, struct peer *address)
{
    struct peer **bucket = &peers->buckets[key % PEERS_BUCKETS];
    struct peer *peer = *bucket;
    while (peer != NULL && !is_same(peer, key, address))
        peer = peer->next;
    if (peer == NULL) {
        peer = calloc(1, sizeof(*peer));
        if (peer == NULL)
            return NULL;
        peer->key = key;
        peer->address = address;
        peer->next = *bucket;
        *bucket = peer;
        if (address != NULL)
            address->references++;
    }
    peer->references++;
    return peer;
}

/* With the lock held. */
static void put(struct peers *peers, struct peer *peer)
{
    struct peer **link = &peers->buckets[peer->key % PEERS_BUCKETS];
    assert(peer->references > 0);
    if (--peer->references > 0)
        return;
    while (*link != NULL && *link != peer)
        link = &(*link)->next;
    assert(*link == peer);
    *link = peer->next;
    if (peer->address != NULL)
        put(peers, peer->address);
    free(peer);
}

struct peer *peers_get(struct peers *peers, struct crpc_call *call)
{
    uint8_t origin[16];
    const char *text = crpc_call_peer(call);
    uint64_t address_key =
        reach_origin(origin, text) ? XXH3_64bits(origin, sizeof(origin)) : KEY_UNIX;
    uint64_t key = XXH3_64bits(text, strlen(text));
    pthread_mutex_lock(&peers->lock);
    struct peer *address = get(peers, address_key, NULL);
    struct peer *peer = address != NULL ? get(peers, key, address) : NULL;
    if (address != NULL)
        put(peers, address); /* the connection has its own reference */
    pthread_mutex_unlock(&peers->lock);
    return peer;
}

void peers_put(struct peers *peers, struct peer *peer)
{
    if (peer == NULL)
        return;
    pthread_mutex_lock(&peers->lock);
    put(peers, peer);
    pthread_mutex_unlock(&peers->lock);
}
