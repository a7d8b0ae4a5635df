/* SPDX-License-Identifier: Apache-2.0
 *
 * The unresolved transactions in memory: found by gid, ordered by number, woken by time. One
 * thread's.
 */
#ifndef TERCET_TABLE_H
#define TERCET_TABLE_H

#include "history.h"
#include "offer.h"
#include "txn.h"
#include "wheel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tercet/types.h>

#define TRY_TIMEOUT_MS_DEFAULT 10000

struct service; /* service.h */
struct outcall; /* outcall.h */
struct shard;   /* shard.h */
struct waiter;  /* waiter.h */

/* What the coordinator keeps of a branch beside the core's struct txn_branch, in the same order. */
struct branch_info {
    struct service *service;
    struct outcall *call;    /* the call of the current phase, waiting or under way */
    char *action;            /* name without the service */
    void *payload;           /* only in the store unless has_payload */
    void *reply;             /* of the try */
    char *reason;            /* of a refusal or settlement; NULL: none */
    struct history *history; /* of its calls, once one has failed; NULL: all went well */
    char *database;          /* which has the branch, of a sharded service; NULL: any */
    int64_t enlisted_ms;     /* wall clock */
    uint32_t payload_size;
    uint32_t reply_size;
    uint32_t try_timeout_ms;
    struct call_timeouts timeouts; /* as the initiator asks */
    bool has_payload;
    bool has_told_span; /* its span is on its way (trace.h) */
};

struct entry {
    struct txn txn;
    struct branch_info *infos; /* txn.branch_capacity of them */
    struct shard *shard;
    uint64_t number;
    int64_t created_ms; /* wall clock, as all below */
    int64_t deadline_wall_ms;
    int64_t decided_ms;
    int64_t resolved_ms;
    uint64_t plan_digest;
    char *reason;                     /* of a cancellation; NULL: none */
    char *begun_by;                   /* the name its initiator is bound to; NULL: none */
    struct tercet_metadata *metadata; /* one block, with its strings */
    struct waiter *waiters;
    uint32_t waiter_count;
    uint32_t waiter_sweep;      /* when so many wait, the expired ones are dropped */
    struct entry *changed_next; /* of those whose watchers are told at the end of the turn */
    bool has_changed;           /* it is one of these */
    uint32_t metadata_count;
    /* Loaded from the store: tries that were done may be WAITING again, because that they were done
     * is written lazily. */
    bool was_restored;
    /* only gid, number and txn.state are here: the rest is in the store (restore.c) */
    bool is_cold;
    uint8_t counted_state; /* as table_recount has last seen it; 0: never */
    uint16_t counted_parked;

    /* The write that is pending or under way (batch.c). */
    uint64_t write_seq; /* batch of the last forced or lazy write; 0: none yet */
    struct entry *dirty_next;
    bool is_dirty; /* in the batch being filled */
    bool is_lazy;  /* to be written with some later batch */
    struct entry *lazy_next;
    struct entry *lazy_prev;

    /* Table's own. */
    struct entry *hash_next;
    struct entry *older; /* by number */
    struct entry *newer;
    struct wheel_node wake;
    char gid[TERCET_GID_MAX + 1];
};

/* Of all entries; what is parked of those that are cold is not known. */
struct table_counts {
    size_t in_state[TXN_CANCELLED + 1];
    size_t parked_branches;
};

struct table {
    struct entry **buckets;
    /* grows by one at a time (linear hashing, Litwin 1980): no insertion moves more than one
     * bucket */
    size_t bucket_count;
    size_t bucket_capacity; /* a power of two */
    size_t count;
    size_t peak;          /* of count, since memory was last given back */
    size_t payload_bytes; /* of the payloads that are in memory */
    size_t history_bytes; /* of the branches' histories */
    struct table_counts counts;
    struct entry *oldest;
    struct entry *newest;
    struct wheel wheel;
};

void table_init(struct table *table, int64_t now_ms);
/* Frees the table and all its entries. */
void table_free(struct table *table);

struct entry *table_find(const struct table *table, const char *gid);

/* A new entry, without branches. `number` is larger than every one before. txn is for the caller to
 * fill. */
struct entry *table_add(struct table *table, const char *gid, uint64_t number);
void table_remove(struct table *table, struct entry *entry);

/* The entry's state or what is parked of it may have changed. */
void table_recount(struct table *table, struct entry *entry);

/* Sets when the entry is to be woken; TXN_NEVER: not. */
void table_set_wake(struct table *table, struct entry *entry, int64_t wake_ms);
/* The entry that has been due the longest by now, or NULL; it is so until its wake is set anew. */
struct entry *table_due(struct table *table, int64_t now_ms);
/* When table_due has to be asked again. */
int64_t table_next_wake_ms(const struct table *table);

/* Gives memory back to the system when few entries are left of many. */
void table_trim(struct table *table);

/* A branch's payload: kept in memory (copied), or left to the store. */
void entry_keep_payload(struct table *table, struct branch_info *info, const void *data,
                        size_t size);
void entry_drop_payload(struct table *table, struct branch_info *info);

/* Makes room for one more branch in both arrays. */
void entry_reserve_branch(struct entry *entry);
/* Opens a gap for a new branch's info at the place where the core has put the branch, zeroed. */
struct branch_info *entry_insert_info(struct entry *entry, uint32_t number);
/* The info of a branch that exists. */
struct branch_info *entry_info(const struct entry *entry, const struct txn_branch *branch);

#endif
