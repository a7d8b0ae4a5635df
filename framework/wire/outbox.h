/* SPDX-License-Identifier: Apache-2.0
 *
 * Many records a message, without a timer: records are encoded straight into the next message while
 * the previous one is in flight, and go out together when the transport has taken it. A message
 * made only of a repeated field is the concatenation of its elements, so one encode is enough
 * (protobuf encoding, "repeated fields").
 */
#ifndef TERCET_OUTBOX_H
#define TERCET_OUTBOX_H

#include "budget.h"

#include <crpc/crpc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message is closed for further records at this size, so that a large backlog goes out in
 * pieces. */
#define OUTBOX_MESSAGE_SIZE (128u * 1024)

struct outbox;

/* A batch writer on `call`, of which it holds a reference until freed. At most bytes_max wait in
 * it. The call's on_sent must be passed to outbox_sent. Any thread may use it. */
int outbox_new(struct outbox **out, struct crpc_call *call, size_t bytes_max);

/* What waits and what is in flight is taken from this budget, too, in this group (or NULL), which
 * outlive the outbox; before anything is put. */
void outbox_set_budget(struct outbox *outbox, struct budget *budget, struct budget_group *group);

/* Appends `record` as an element of the repeated field number `field` of the next message; it goes
 * with the next flush. Returns 0, CRPC_ETOOBIG when the reader is so slow that bytes_max would be
 * passed by a record as large as this one may be, or the budget (it is not taken), CRPC_ECLOSED
 * after the end, CRPC_ENOMEM. */
int outbox_put(struct outbox *outbox, unsigned field, const ProtobufCMessage *record);

/* The same for a record that is encoded already. */
int outbox_put_bytes(struct outbox *outbox, unsigned field, struct crpc_bytes record);

/* Sends what waits, unless a message is in flight: then that one's end does. */
void outbox_flush(struct outbox *outbox);

/* From the call's on_sent. */
void outbox_sent(struct outbox *outbox, bool ok);

/* Nothing more will be taken or sent; what waits is dropped. From the call's on_end, and before
 * freeing. */
void outbox_close(struct outbox *outbox);

/* Nothing waits and nothing is in flight. */
bool outbox_is_empty(struct outbox *outbox);

/* Ends the call with OK once everything put so far has been sent. Server's side. */
void outbox_finish(struct outbox *outbox);

void outbox_free(struct outbox *outbox);

#endif
