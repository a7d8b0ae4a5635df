/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a request was refused, for machines: the bytes of grpc-status-details-bin.
 */
#ifndef TERCET_DETAIL_H
#define TERCET_DETAIL_H

#include "arena.h"

#include <refusal.h>
#include <tercet/v1/tercet.pb-c.h>

/* A google.rpc.Status with one google.rpc.ErrorInfo, as tercet.proto documents it, in the arena.
 * `code` is gRPC's. `message`, the answer's, tells the state when it is a Transaction; it may be
 * NULL. */
struct crpc_bytes detail_encode(struct arena *arena, enum crpc_code code, const struct refusal *no,
                                const ProtobufCMessage *message);

#endif
