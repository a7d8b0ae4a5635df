/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks at everything in a store while it is in use: each record whole, each transaction with its
 * branches, what is over found by its gid. In steps of some hundred records with pauses, in a
 * thread of its own.
 */
#ifndef TERCET_SCRUB_H
#define TERCET_SCRUB_H

#include <store.h>

struct scrub_counts {
    uint64_t live;     /* unresolved transactions, */
    uint64_t branches; /* and theirs */
    uint64_t resolved;
    uint64_t meta;
    uint64_t damages;
};

struct scrub {
    struct store *store;
    uint32_t shard;
    void (*on_damage)(const char *text, void *ctx); /* each, in a line for an operator */
    bool (*goes_on)(void *ctx);                     /* asked between two steps */
    void *ctx;
    struct scrub_counts counts; /* comes out */
};

/* 0, also when there are damages; TERCET_STORE_NOMEM; 1 when it was not to go on. */
int scrub_run(struct scrub *scrub);

#endif
