/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream through the proxy: the peer's call at the front, one of our own to tercetd at the back,
 * and records between them, each with its fate. What is lost of a session breaks the stream soon,
 * as with gRPC it could not be lost otherwise; calls of participants and their results may be lost
 * alone: the coordinator asks again after --call-timeout.
 */
#ifndef TERCET_TORTURE_RELAY_H
#define TERCET_TORTURE_RELAY_H

#include <crpc/crpc.h>
#include <stdbool.h>
#include <tercet/v1/tercet.pb-c.h>

enum relay_kind { RELAY_ATTACH, RELAY_SESSION };

#define SERVICE_MAX 64

/* Late copies get ids with this bit, which no one else uses; the answers to such ids go nowhere. */
#define LATE_ID ((uint64_t)1 << 63)

/* The handlers of the two services that have streams; on_open's ctx is the channel to tercetd. */
void relay_open_attach(struct crpc_call *front, void *channel);
void relay_open_session(struct crpc_call *front, void *channel);

/* Gives a late copy, one encoded record, to whoever is there now: an instance of the service, or
 * the coordinator. false: there is none. */
bool relay_deliver(enum relay_kind kind, const char *service, struct crpc_bytes record);

/* One fault of a whole stream, drawn: it stalls, half-closes or is cut. */
void relay_trouble(void);

/* Nothing is open any more. */
bool relay_is_none(void);

#endif
