/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks at everything in a store while it is in use: each record whole, each transaction with its
 * branches, what is over found by its gid. In short steps with pauses, in a thread or process of
 * its own.
 */
#ifndef TERCET_SCRUB_H
#define TERCET_SCRUB_H

#include <store.h>

/* What a store is made of, in the order in which it is read. */
enum scrub_part {
    SCRUB_UNRESOLVED = 1,
    SCRUB_RESOLVED = 2,
    SCRUB_OTHERS = 4, /* registered participants, settings */
    SCRUB_INDEX = 8,  /* whether buckets and their indexes fit together */
    SCRUB_ALL = 15,
};
/* "unresolved", "resolved", "others" or "index". */
const char *scrub_part_name(enum scrub_part part);

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
    /* what is read next, in words; may be NULL */
    void (*on_step)(enum scrub_part part, const char *text, void *ctx);
    void *ctx;
    unsigned parts;             /* of enum scrub_part; 0: all */
    struct scrub_counts counts; /* comes out */
};

/* 0, also when there are damages; TERCET_STORE_NOMEM; 1 when it was not to go on. */
int scrub_run(struct scrub *scrub);

#endif
