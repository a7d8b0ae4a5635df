/* SPDX-License-Identifier: Apache-2.0
 *
 * A transaction by its gid: unresolved and in memory, over and in the store, or unknown. What is
 * not in memory the store is asked for, and the owner does not wait for its answer: whoever asks
 * for that gid is held behind the question, in order, until EVENT_FOUND comes. A store that answers
 * at once (LMDB, memory) holds nobody. The owner's.
 */
#ifndef TERCET_FIND_H
#define TERCET_FIND_H

#include "caller.h"
#include "queue.h"
#include "table.h"

#include <refusal.h>
#include <stdatomic.h>
#include <tercet/store/v1/store.pb-c.h>

#define FIND_HELD_MAX 16384                     /* requests held at once, */
#define FIND_HELD_BYTES_MAX (64u * 1024 * 1024) /* and what their messages take */
#define FIND_BUCKETS 256

struct coordinator;
struct shard;

/* What was found: an entry, the record of a transaction that is over with its number, or neither.
 */
struct found {
    struct shard *shard; /* that the gid belongs to; NULL: there is no gid, or none that can be */
    struct entry *entry;
    Tercet__Store__V1__Resolved *resolved;
    uint64_t number;
    /* 0, TERCET_INVALID (no gid), TERCET_NOT_FOUND, TERCET_FORMAT (its record is damaged),
     * TERCET_UNAVAILABLE (the coordinator fails) */
    int error;
    const char *text; /* what is wrong; NULL: the code's own text */
};
/* The result where the request names no gid. */
#define FOUND_NOTHING ((struct found){.error = TERCET_NOT_FOUND})
void find_clear(struct found *found);

/* 0 or the refusal's code: that of found->error, in words. */
int find_check(const struct found *found, struct refusal *no);
/* TERCET_DECIDED, of one that is over: how it was decided. */
int find_decided_otherwise(const struct found *found, struct refusal *no);

/* The index of a branch in a resolved record; -1: none. */
int find_resolved_branch(const Tercet__Store__V1__Resolved *resolved, uint32_t number);

/* A request that is held. */
struct held {
    struct held *next;
    struct caller *caller; /* a reference */
    uint64_t id;           /* in its session */
    enum method method;
    ProtobufCMessage *message; /* its own */
    size_t size;               /* of the message, packed */
};

/* A question to the store, and its answer. */
struct find {
    struct find *next; /* in its bucket */
    struct coordinator *c;
    struct shard *shard;
    struct held *first;
    struct held **end;
    struct event *event; /* EVENT_FOUND, to be posted by whoever answers later */
    atomic_int state;    /* enum find_state, find.c */
    int rc;              /* the answer: the store's result, */
    uint64_t number;
    Tercet__Store__V1__Resolved *resolved; /* and the record; NULL although rc is 0: damaged */
    char gid[TERCET_GID_MAX + 1];
};

struct finds {
    struct find *buckets[FIND_BUCKETS]; /* questions without an answer, hashed by gid */
    size_t count;                       /* of them */
    size_t held_count;
    size_t held_bytes, held_bytes_max;
    struct find
        *spare; /* used for the next question: most are answered at once, so that one is enough */
};

/* Looks for the transaction. NULL: *found is filled, find_clear it; else the question to be held
 * behind. */
struct find *find_gid(struct coordinator *c, const char *gid, struct found *found);
/* Makes a gid for who named none: nothing is found of it. */
void find_make_gid(struct coordinator *c, struct tercet_gid *made, struct found *found);

/* Holds a request behind the question; its message is copied. false: too much is held, or there is
 * no memory. */
bool find_hold(struct coordinator *c, struct find *find, struct caller *caller, uint64_t id,
               enum method method, const ProtobufCMessage *message);

/* The question has been answered (EVENT_FOUND): takes it off the list of those that are not, and
 * gives what was found. The find is the caller's, until find_free. */
struct found find_take(struct coordinator *c, struct find *find);
/* The request that was held first, the caller's (find_free_held), or NULL. */
struct held *find_take_held(struct coordinator *c, struct find *find);
void find_free_held(struct held *held);
void find_free(struct find *find);

/* Frees them all. None may be under way in the store. */
void find_free_all(struct finds *finds);

#endif
