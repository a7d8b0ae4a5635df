/* SPDX-License-Identifier: Apache-2.0
 *
 * The methods of Admin that settle things, and its statistics.
 */
#ifndef TERCET_ADMIN_H
#define TERCET_ADMIN_H

#include "request.h"

/* Each takes its own request's message. */
void admin_retry(struct request *r, const ProtobufCMessage *message);
void admin_settle(struct request *r, const ProtobufCMessage *message);
void admin_decide(struct request *r, const ProtobufCMessage *message);
void admin_list_audit(struct request *r, const ProtobufCMessage *message);
void admin_statistics(struct request *r, const ProtobufCMessage *message);

#endif
