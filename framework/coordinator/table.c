/* SPDX-License-Identifier: Apache-2.0
 *
 * table.h: a chained hash by gid, a list by number, a timing wheel.
 */
#include "table.h"

#include "arena.h"

#include <assert.h>
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define BUCKETS_FIRST 1024u
#define TRIM_PEAK_MIN 65536 /* memory is given back only after a peak of more entries than this */

void table_init(struct table *table, int64_t now_ms)
{
    memset(table, 0, sizeof(*table));
    table->bucket_count = table->bucket_capacity = BUCKETS_FIRST;
    table->buckets = must_alloc(table->bucket_capacity * sizeof(struct entry *));
    wheel_init(&table->wheel, now_ms);
}

/* -- Hash -------------------------------------------------------------------------------------- */

/* The buckets past bucket_count are not there yet: what belongs there is still where it will be
 * split from. */
static size_t bucket_index(const struct table *table, const char *gid)
{
    uint64_t hash = XXH3_64bits(gid, strlen(gid));
    size_t index = hash & (table->bucket_capacity - 1);
    return index < table->bucket_count ? index : hash & (table->bucket_capacity / 2 - 1);
}

static void hash_insert(struct table *table, struct entry *entry)
{
    struct entry **bucket = &table->buckets[bucket_index(table, entry->gid)];
    entry->hash_next = *bucket;
    *bucket = entry;
}

/* Adds a bucket, and moves to it its part of the one that it is split from. */
static void hash_grow(struct table *table)
{
    if (table->bucket_count == table->bucket_capacity) {
        table->buckets =
            must_realloc(table->buckets, 2 * table->bucket_capacity * sizeof(struct entry *));
        table->bucket_capacity *= 2;
    }
    struct entry **split = &table->buckets[table->bucket_count - table->bucket_capacity / 2];
    struct entry *entry = *split;
    *split = NULL;
    table->buckets[table->bucket_count++] = NULL;
    while (entry != NULL) {
        struct entry *next = entry->hash_next;
        hash_insert(table, entry);
        entry = next;
    }
}

static void hash_remove(struct table *table, struct entry *entry)
{
    struct entry **link = &table->buckets[bucket_index(table, entry->gid)];
    while (*link != NULL && *link != entry)
        link = &(*link)->hash_next;
    assert(*link == entry);
    *link = entry->hash_next;
}

struct entry *table_find(const struct table *table, const char *gid)
{
    struct entry *entry = table->buckets[bucket_index(table, gid)];
    while (entry != NULL && strcmp(entry->gid, gid) != 0)
        entry = entry->hash_next;
    return entry;
}

/* -- Time -------------------------------------------------------------------------------------- */

void table_set_wake(struct table *table, struct entry *entry, int64_t wake_ms)
{
    wheel_set(&table->wheel, &entry->wake, wake_ms);
}

struct entry *table_due(struct table *table, int64_t now_ms)
{
    wheel_advance(&table->wheel, now_ms);
    struct wheel_node *node = wheel_due(&table->wheel);
    return node != NULL ? (struct entry *)((char *)node - offsetof(struct entry, wake)) : NULL;
}

int64_t table_next_wake_ms(const struct table *table)
{
    return wheel_next_ms(&table->wheel);
}

/* -- Entries ----------------------------------------------------------------------------------- */

struct entry *table_add(struct table *table, const char *gid, uint64_t number)
{
    assert(table->newest == NULL || number > table->newest->number);
    if (table->count == table->bucket_count)
        hash_grow(table);
    struct entry *entry = must_alloc(sizeof(*entry));
    entry->number = number;
    memcpy(entry->gid, gid, strlen(gid) + 1);
    hash_insert(table, entry);
    entry->older = table->newest;
    if (table->newest != NULL)
        table->newest->newer = entry;
    else
        table->oldest = entry;
    table->newest = entry;
    table->count++;
    table->peak = table->count > table->peak ? table->count : table->peak;
    return entry;
}

/* State 0 is that of an entry that is not counted: new, or about to go. Nobody reads its count,
 * which goes below zero and comes back. */
static void count_as(struct table *table, struct entry *entry, unsigned state, size_t parked)
{
    struct table_counts *counts = &table->counts;
    assert(entry->counted_state == 0 || counts->in_state[entry->counted_state] > 0);
    assert(counts->parked_branches >= entry->counted_parked);
    counts->in_state[entry->counted_state]--;
    counts->in_state[state]++;
    counts->parked_branches += parked;
    counts->parked_branches -= entry->counted_parked;
    entry->counted_state = (uint8_t)state;
    entry->counted_parked = (uint16_t)parked;
}

void table_recount(struct table *table, struct entry *entry)
{
    count_as(table, entry, entry->txn.state, entry->is_cold ? 0 : txn_parked(&entry->txn));
}

void entry_keep_payload(struct table *table, struct branch_info *info, const void *data,
                        size_t size)
{
    assert(!info->has_payload);
    info->payload = must_alloc(size);
    if (size > 0)
        memcpy(info->payload, data, size);
    info->payload_size = (uint32_t)size;
    info->has_payload = true;
    table->payload_bytes += size;
}

void entry_drop_payload(struct table *table, struct branch_info *info)
{
    if (!info->has_payload)
        return;
    assert(table->payload_bytes >= info->payload_size);
    free(info->payload);
    info->payload = NULL;
    info->has_payload = false;
    table->payload_bytes -= info->payload_size;
}

static void free_info(struct table *table, struct branch_info *info)
{
    entry_drop_payload(table, info);
    free(info->action);
    free(info->reply);
    free(info->reason);
    history_free(info->history, &table->history_bytes);
    free(info->database);
}

static void free_entry(struct table *table, struct entry *entry)
{
    for (size_t i = 0; i < entry->txn.branch_count; i++)
        free_info(table, &entry->infos[i]);
    free(entry->infos);
    free(entry->txn.branches);
    free(entry->reason);
    free(entry->begun_by);
    free(entry->metadata);
    free(entry);
}

void table_remove(struct table *table, struct entry *entry)
{
    assert(table->count > 0 && entry->waiters == NULL);
    assert(entry->older != NULL ? entry->older->newer == entry : table->oldest == entry);
    assert(entry->newer != NULL ? entry->newer->older == entry : table->newest == entry);
    table_set_wake(table, entry, TXN_NEVER);
    count_as(table, entry, 0, 0);
    hash_remove(table, entry);
    if (entry->older != NULL)
        entry->older->newer = entry->newer;
    else
        table->oldest = entry->newer;
    if (entry->newer != NULL)
        entry->newer->older = entry->older;
    else
        table->newest = entry->older;
    table->count--;
    assert((table->count == 0) == (table->oldest == NULL && table->newest == NULL));
    free_entry(table, entry);
}

/* What a thread frees, the C library keeps for that thread; after an outage that would be most of
 * the memory. */
void table_trim(struct table *table)
{
    if (table->peak < TRIM_PEAK_MIN || table->count > table->peak / 4)
        return;
    table->peak = table->count;
    malloc_trim(0);
}

void table_free(struct table *table)
{
    while (table->oldest != NULL)
        table_remove(table, table->oldest);
    free(table->buckets);
}

void entry_reserve_branch(struct entry *entry)
{
    struct txn *txn = &entry->txn;
    if (txn->branch_count < txn->branch_capacity || txn->branch_capacity == TXN_BRANCHES_MAX)
        return;
    size_t old = txn->branch_capacity;
    size_t capacity = old == 0 ? 2 : old * 2;
    if (capacity > TXN_BRANCHES_MAX)
        capacity = TXN_BRANCHES_MAX;
    txn->branches = must_realloc(txn->branches, capacity * sizeof(*txn->branches));
    entry->infos = must_realloc(entry->infos, capacity * sizeof(*entry->infos));
    txn->branch_capacity = (uint16_t)capacity;
}

struct branch_info *entry_insert_info(struct entry *entry, uint32_t number)
{
    const struct txn_branch *branch = txn_find(&entry->txn, number);
    assert(branch != NULL);
    size_t at = (size_t)(branch - entry->txn.branches);
    size_t behind = entry->txn.branch_count - 1u - at;
    memmove(&entry->infos[at + 1], &entry->infos[at], behind * sizeof(*entry->infos));
    memset(&entry->infos[at], 0, sizeof(*entry->infos));
    return &entry->infos[at];
}

struct branch_info *entry_info(const struct entry *entry, const struct txn_branch *branch)
{
    assert(branch >= entry->txn.branches && branch < entry->txn.branches + entry->txn.branch_count);
    return &entry->infos[branch - entry->txn.branches];
}
