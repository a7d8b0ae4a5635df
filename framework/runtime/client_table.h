/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's open requests: found by id, walked from the oldest, and in a heap by when something is
 * to be done about them. No locks here.
 */
#ifndef TERCET_CLIENT_TABLE_H
#define TERCET_CLIENT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_BUCKETS 4096u /* a power of two; ids count up, so they spread evenly */

struct client_request;

/* What a request carries to be in a table. */
struct client_entry {
    uint64_t id;
    int64_t wake_ms; /* monotonic; change it with client_table_wake_set only */
    struct client_request *next_in_bucket, *older, *newer;
    size_t heap_index;
};

struct client_table {
    struct client_request *buckets[CLIENT_BUCKETS];
    struct client_request *oldest, *newest;
    struct client_request **heap;
    size_t count, heap_capacity;
};

void client_table_free(struct client_table *table);

/* Adds a request whose entry has id and wake_ms. False without memory. */
bool client_table_add(struct client_table *table, struct client_request *request);
struct client_request *client_table_find(const struct client_table *table, uint64_t id);
void client_table_remove(struct client_table *table, struct client_request *request);

void client_table_wake_set(struct client_table *table, struct client_request *request,
                           int64_t wake_ms);

/* The request to be looked at first; NULL when there is none. */
struct client_request *client_table_first(const struct client_table *table);

#endif
