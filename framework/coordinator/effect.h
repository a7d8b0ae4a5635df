/* SPDX-License-Identifier: Apache-2.0
 *
 * What leaves the process because of a transaction: answers, watchers' snapshots, calls. Each
 * leaves now when all that it depends on is durable, or else is held with the batch that makes it
 * so, and leaves when the loop releases that batch.
 */
#ifndef TERCET_EFFECT_H
#define TERCET_EFFECT_H

#include "batch.h"
#include "caller.h"

struct coordinator;

/* An answer about `entry`. `id` is the request's in its session. */
void effect_answer(struct coordinator *c, struct caller *caller, uint64_t id,
                   const struct reply *reply, struct entry *entry);
/* An answer about anything that has been forced in the shard so far. */
void effect_answer_forced(struct coordinator *c, struct caller *caller, const struct reply *reply,
                          struct shard *shard);
/* A watcher's snapshot of `entry`; `is_last`: its stream ends after it. */
void effect_watch(struct coordinator *c, struct caller *caller, const ProtobufCMessage *snapshot,
                  bool is_last, struct entry *entry);

/* The call that the core has asked for. */
void effect_call(struct coordinator *c, struct entry *entry, uint32_t branch, enum tercet_kind kind,
                 uint32_t attempt);

/* The batch is durable: sends what was held with it. */
void effect_release(struct coordinator *c, struct batch *batch);
/* The batch will not become durable: frees what was held with it. */
void effect_drop(struct batch *batch);

#endif
