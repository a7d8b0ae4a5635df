/* SPDX-License-Identifier: Apache-2.0
 *
 * Metadata on its way out (a growing list of slices) and as received (one block of memory, keys and
 * values NUL-terminated, because gRPC's own belong to its call).
 */
#ifndef CRPC_METADATA_H
#define CRPC_METADATA_H

#include <crpc/crpc.h>
#include <grpc/grpc.h>

#define STATUS_DETAILS_KEY "grpc-status-details-bin"

struct metadata_out {
    grpc_metadata *entries;
    size_t count, capacity;
};

/* Checks and copies an entry. Errors: CRPC_EINVAL, CRPC_ENOMEM. */
int metadata_add(struct metadata_out *list, const struct crpc_metadata *entry);
/* As metadata_add, for a key of gRPC's own. */
int metadata_add_reserved(struct metadata_out *list, const char *key, struct crpc_bytes value);
void metadata_out_clear(struct metadata_out *list);

struct metadata_in {
    struct crpc_metadata *entries; /* NULL when there is none, or no memory for them */
    size_t count;
};

/* Of keys and values, and of what tells their lengths. */
size_t metadata_size(const grpc_metadata_array *list);
void metadata_in_copy(struct metadata_in *to, const grpc_metadata_array *from);
bool metadata_in_get(const struct metadata_in *list, const char *key, struct crpc_bytes *out);
void metadata_in_clear(struct metadata_in *list);

#endif
