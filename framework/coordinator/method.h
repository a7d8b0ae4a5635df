/* SPDX-License-Identifier: Apache-2.0
 *
 * From a request to the function that handles it: the table of methods, unary and in sessions.
 */
#ifndef TERCET_METHOD_H
#define TERCET_METHOD_H

#include "caller.h"
#include "queue.h"

#include <tercet/v1/tercet.pb-c.h>

struct coordinator;

/* A unary request. */
void method_handle(struct coordinator *c, struct caller *caller, enum method method,
                   const ProtobufCMessage *message);
/* A message of a session: many requests. */
void method_handle_session(struct coordinator *c, struct caller *caller,
                           const Tercet__V1__SessionRequests *message);

#endif
