/* SPDX-License-Identifier: Apache-2.0
 *
 * Whom a peer's certificate names.
 */
#ifndef CRPC_IDENTITY_H
#define CRPC_IDENTITY_H

#include <grpc/grpc.h>
#include <stddef.h>

struct identities {
    char **names;
    size_t count;
};

/* Fills `out` from what the peer of the call has proved; empty when that is nothing. */
void identities_load(struct identities *out, grpc_call *core);
void identities_clear(struct identities *identities);

#endif
