/* SPDX-License-Identifier: Apache-2.0
 *
 * The methods a server serves, found by their path "/package.Service/Method".
 */
#ifndef CRPC_METHODS_H
#define CRPC_METHODS_H

#include <crpc/crpc.h>

struct method_entry {
    char *path;
    size_t path_size;
    const ProtobufCMethodDescriptor *descriptor;
    const struct crpc_handler *handler;
    void *ctx;
};

/* A hash table with open addressing; never more than half full. */
struct method_table {
    struct method_entry *slots;
    size_t count, capacity;
};

/* Adds a method that is not in the table. Errors: CRPC_ENOMEM. */
int methods_add(struct method_table *table, const ProtobufCServiceDescriptor *service,
                const ProtobufCMethodDescriptor *method, const struct crpc_handler *handler,
                void *ctx);

/* NULL when there is none. The entry does not move any more once all have been added. */
const struct method_entry *methods_find(const struct method_table *table, const void *path,
                                        size_t size);

void methods_clear(struct method_table *table);

/* "/package.Service/Method"; the caller frees. NULL without memory. */
char *method_path(const ProtobufCServiceDescriptor *service,
                  const ProtobufCMethodDescriptor *method);

/* True when the server sends a stream of messages. */
bool method_sends_stream(const struct method_entry *method);

#endif
