/* SPDX-License-Identifier: Apache-2.0
 *
 * The messages of a run as they are on the wire, for a server that does nothing with them: what
 * initiators ask and participants answer, and what a coordinator sends back.
 */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include "exchange.h"

#include <tercet/v1/tercet.pb-c.h>

#define BARE_RECORDS_MAX 65536u /* of a message */
#define BARE_KINDS_MAX (BRANCHES_MAX + 1)

struct bare;

struct bare *bare_new(const struct options *options);
void bare_free(struct bare *bare);

/* Requests of an initiator, and answers of a participant, a transaction. */
uint32_t bare_requests(const struct options *options);
uint32_t bare_calls(const struct options *options);

/* So many records in one message, those of a transaction one after another. Lives until the next
 * call. */
const ProtobufCMessage *bare_session_requests(struct bare *bare, uint32_t count);
const ProtobufCMessage *bare_results(struct bare *bare, uint32_t count);
/* What the coordinator answers, and calls. The caller's own struct, so that several threads can
 * send at once. */
void bare_session_responses(struct bare *bare, Tercet__V1__SessionResponses *out,
                            const Tercet__V1__SessionRequests *requests);
void bare_calls_fill(struct bare *bare, Tercet__V1__AttachResponse *out, size_t count);

/* A transaction's requests as unary calls: kinds, bare_requests of them. */
void bare_unary_kinds(struct bare *bare, struct exchange_kind *kinds);
const ProtobufCMessage *bare_transaction(struct bare *bare);
const ProtobufCMessage *bare_tried(struct bare *bare);

#endif
