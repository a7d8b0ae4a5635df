/* SPDX-License-Identifier: Apache-2.0
 *
 * Admin.List: transactions by what they are, a page at a time.
 */
#ifndef TERCET_LISTING_H
#define TERCET_LISTING_H

#include "request.h"
#include "shard.h"

void listing_list(struct request *r, const ProtobufCMessage *message);

/* The shard's first entry numbered above `number`, or NULL: where a page begins. Behind a million
 * of them it costs as much as behind ten. */
struct entry *listing_entry_after(struct coordinator *c, struct shard *shard, uint64_t number);

#endif
