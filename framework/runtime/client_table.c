/* SPDX-License-Identifier: Apache-2.0
 *
 * client_table.h: buckets, a list in order of age, a binary heap.
 */
#include "client_table.h"

#include "client.h"

#include <assert.h>
#include <stdlib.h>

#define HEAP_CAPACITY_FIRST 64u

void client_table_free(struct client_table *table)
{
    assert(table->count == 0 && table->oldest == NULL);
    free(table->heap);
}

/* -- The heap ---------------------------------------------------------------------------------- */

static void place(struct client_table *table, size_t index, struct client_request *request)
{
    table->heap[index] = request;
    request->entry.heap_index = index;
}

static void sift_up(struct client_table *table, size_t index)
{
    struct client_request *request = table->heap[index];
    while (index > 0 && table->heap[(index - 1) / 2]->entry.wake_ms > request->entry.wake_ms) {
        place(table, index, table->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    place(table, index, request);
}

static void sift_down(struct client_table *table, size_t index)
{
    struct client_request *request = table->heap[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child + 1 < table->count &&
            table->heap[child + 1]->entry.wake_ms < table->heap[child]->entry.wake_ms)
            child++;
        if (child >= table->count || table->heap[child]->entry.wake_ms >= request->entry.wake_ms)
            break;
        place(table, index, table->heap[child]);
        index = child;
    }
    place(table, index, request);
}

static bool make_room(struct client_table *table)
{
    if (table->count < table->heap_capacity)
        return true;
    size_t capacity = table->heap_capacity != 0 ? table->heap_capacity * 2 : HEAP_CAPACITY_FIRST;
    struct client_request **heap = realloc(table->heap, capacity * sizeof(struct client_request *));
    if (heap == NULL)
        return false;
    table->heap = heap;
    table->heap_capacity = capacity;
    return true;
}

void client_table_wake_set(struct client_table *table, struct client_request *request,
                           int64_t wake_ms)
{
    assert(table->heap[request->entry.heap_index] == request);
    request->entry.wake_ms = wake_ms;
    sift_up(table, request->entry.heap_index);
    sift_down(table, request->entry.heap_index);
}

struct client_request *client_table_first(const struct client_table *table)
{
    return table->count > 0 ? table->heap[0] : NULL;
}

/* -- Buckets and list -------------------------------------------------------------------------- */

static struct client_request **bucket_of(struct client_table *table, uint64_t id)
{
    return &table->buckets[id & (CLIENT_BUCKETS - 1)];
}

bool client_table_add(struct client_table *table, struct client_request *request)
{
    struct client_request **bucket = bucket_of(table, request->entry.id);
    if (!make_room(table))
        return false;
    request->entry.next_in_bucket = *bucket;
    *bucket = request;
    request->entry.newer = NULL;
    request->entry.older = table->newest;
    if (table->newest != NULL)
        table->newest->entry.newer = request;
    else
        table->oldest = request;
    table->newest = request;
    place(table, table->count++, request);
    sift_up(table, request->entry.heap_index);
    return true;
}

struct client_request *client_table_find(const struct client_table *table, uint64_t id)
{
    struct client_request *request = table->buckets[id & (CLIENT_BUCKETS - 1)];
    while (request != NULL && request->entry.id != id)
        request = request->entry.next_in_bucket;
    return request;
}

static void unlink_from_list(struct client_table *table, struct client_request *request)
{
    struct client_request *older = request->entry.older, *newer = request->entry.newer;
    if (older != NULL)
        older->entry.newer = newer;
    else
        table->oldest = newer;
    if (newer != NULL)
        newer->entry.older = older;
    else
        table->newest = older;
}

static void unlink_from_heap(struct client_table *table, size_t index)
{
    struct client_request *last = table->heap[--table->count];
    if (index == table->count)
        return;
    place(table, index, last);
    sift_up(table, index);
    sift_down(table, last->entry.heap_index);
}

void client_table_remove(struct client_table *table, struct client_request *request)
{
    struct client_request **at = bucket_of(table, request->entry.id);
    assert(table->count > 0 && table->heap[request->entry.heap_index] == request);
    while (*at != request)
        at = &(*at)->entry.next_in_bucket;
    *at = request->entry.next_in_bucket;
    unlink_from_list(table, request);
    unlink_from_heap(table, request->entry.heap_index);
}
