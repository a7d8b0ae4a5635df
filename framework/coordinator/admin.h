/* SPDX-License-Identifier: Apache-2.0
 *
 * The methods of Participants.RegisterTarget and Admin: what operators see and settle.
 */
#ifndef TERCET_ADMIN_H
#define TERCET_ADMIN_H

#include "request.h"
#include "shard.h"

/* Each takes its own request's message. */
void admin_register(struct request *r, const ProtobufCMessage *message);
void admin_list(struct request *r, const ProtobufCMessage *message);
void admin_list_participants(struct request *r, const ProtobufCMessage *message);
void admin_retry(struct request *r, const ProtobufCMessage *message);
void admin_settle(struct request *r, const ProtobufCMessage *message);
void admin_decide(struct request *r, const ProtobufCMessage *message);
void admin_pause(struct request *r, const ProtobufCMessage *message);
void admin_statistics(struct request *r, const ProtobufCMessage *message);

/* The shard's first entry numbered above `number`, or NULL: where a page begins. Behind a million
 * of them it costs as much as behind ten. */
struct entry *admin_entry_after(struct coordinator *c, struct shard *shard, uint64_t number);

#endif
