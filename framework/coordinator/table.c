/* SPDX-License-Identifier: Apache-2.0
 *
 * table.h: a chained hash by gid, a list by number, a binary heap by time.
 */
#include "table.h"

#include "arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define BUCKETS_FIRST 1024u
#define NOT_IN_HEAP SIZE_MAX

void table_init(struct table *table)
{
    memset(table, 0, sizeof(*table));
    table->bucket_count = BUCKETS_FIRST;
    table->buckets = must_alloc(table->bucket_count * sizeof(struct entry *));
}

/* -- Hash ------------------------------------------------------------------------------------------------------ */

static struct entry **bucket_of(const struct table *table, const char *gid)
{
    return &table->buckets[XXH3_64bits(gid, strlen(gid)) & (table->bucket_count - 1)];
}

static void hash_insert(struct table *table, struct entry *entry)
{
    struct entry **bucket = bucket_of(table, entry->gid);
    entry->hash_next = *bucket;
    *bucket = entry;
}

static void hash_grow(struct table *table)
{
    free(table->buckets);
    table->bucket_count *= 2;
    table->buckets = must_alloc(table->bucket_count * sizeof(struct entry *));
    for (struct entry *entry = table->oldest; entry != NULL; entry = entry->newer)
        hash_insert(table, entry);
}

static void hash_remove(struct table *table, struct entry *entry)
{
    struct entry **link = bucket_of(table, entry->gid);
    while (*link != entry)
        link = &(*link)->hash_next;
    *link = entry->hash_next;
}

struct entry *table_find(const struct table *table, const char *gid)
{
    struct entry *entry = *bucket_of(table, gid);
    while (entry != NULL && strcmp(entry->gid, gid) != 0)
        entry = entry->hash_next;
    return entry;
}

/* -- Heap ------------------------------------------------------------------------------------------------------ */

static void heap_put(struct table *table, size_t i, struct entry *entry)
{
    table->heap[i] = entry;
    entry->heap_index = i;
}

static void heap_up(struct table *table, size_t i)
{
    struct entry *entry = table->heap[i];
    while (i > 0 && table->heap[(i - 1) / 2]->wake_ms > entry->wake_ms) {
        heap_put(table, i, table->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(table, i, entry);
}

static void heap_down(struct table *table, size_t i)
{
    struct entry *entry = table->heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= table->heap_count)
            break;
        if (child + 1 < table->heap_count && table->heap[child + 1]->wake_ms < table->heap[child]->wake_ms)
            child++;
        if (table->heap[child]->wake_ms >= entry->wake_ms)
            break;
        heap_put(table, i, table->heap[child]);
        i = child;
    }
    heap_put(table, i, entry);
}

static void heap_add(struct table *table, struct entry *entry)
{
    if (table->heap_count == table->heap_capacity) {
        table->heap_capacity = table->heap_capacity == 0 ? 64 : table->heap_capacity * 2;
        table->heap = must_realloc(table->heap, table->heap_capacity * sizeof(struct entry *));
    }
    heap_put(table, table->heap_count++, entry);
    heap_up(table, entry->heap_index);
}

static void heap_remove(struct table *table, struct entry *entry)
{
    size_t i = entry->heap_index;
    struct entry *last = table->heap[--table->heap_count];
    entry->heap_index = NOT_IN_HEAP;
    if (last == entry)
        return;
    heap_put(table, i, last);
    heap_up(table, i);
    heap_down(table, last->heap_index);
}

void table_set_wake(struct table *table, struct entry *entry, int64_t wake_ms)
{
    bool is_in = entry->heap_index != NOT_IN_HEAP;
    if (is_in && entry->wake_ms == wake_ms)
        return;
    entry->wake_ms = wake_ms;
    if (wake_ms == TXN_NEVER) {
        if (is_in)
            heap_remove(table, entry);
    } else if (!is_in) {
        heap_add(table, entry);
    } else {
        heap_up(table, entry->heap_index);
        heap_down(table, entry->heap_index);
    }
}

struct entry *table_first_to_wake(const struct table *table)
{
    return table->heap_count > 0 ? table->heap[0] : NULL;
}

/* -- Entries ----------------------------------------------------------------------------------------------------- */

struct entry *table_add(struct table *table, const char *gid, uint64_t number)
{
    assert(table->newest == NULL || number > table->newest->number);
    if (table->count == table->bucket_count)
        hash_grow(table);
    struct entry *entry = must_alloc(sizeof(*entry));
    entry->number = number;
    entry->heap_index = NOT_IN_HEAP;
    entry->wake_ms = TXN_NEVER;
    memcpy(entry->gid, gid, strlen(gid) + 1);
    hash_insert(table, entry);
    entry->older = table->newest;
    if (table->newest != NULL)
        table->newest->newer = entry;
    else
        table->oldest = entry;
    table->newest = entry;
    table->count++;
    return entry;
}

static void free_info(struct branch_info *info)
{
    free(info->action);
    free(info->payload);
    free(info->reply);
    free(info->reason);
    free(info->last_error);
}

static void free_entry(struct entry *entry)
{
    for (size_t i = 0; i < entry->txn.branch_count; i++)
        free_info(&entry->infos[i]);
    free(entry->infos);
    free(entry->txn.branches);
    free(entry->reason);
    free(entry->metadata);
    free(entry);
}

void table_remove(struct table *table, struct entry *entry)
{
    table_set_wake(table, entry, TXN_NEVER);
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
    free_entry(entry);
}

void table_free(struct table *table)
{
    while (table->oldest != NULL)
        table_remove(table, table->oldest);
    free(table->buckets);
    free(table->heap);
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
    size_t at = (size_t)(txn_find(&entry->txn, number) - entry->txn.branches);
    size_t behind = entry->txn.branch_count - 1u - at;
    memmove(&entry->infos[at + 1], &entry->infos[at], behind * sizeof(*entry->infos));
    memset(&entry->infos[at], 0, sizeof(*entry->infos));
    return &entry->infos[at];
}

struct branch_info *entry_info(const struct entry *entry, const struct txn_branch *branch)
{
    return &entry->infos[branch - entry->txn.branches];
}
