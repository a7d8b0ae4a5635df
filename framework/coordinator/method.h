/* SPDX-License-Identifier: Apache-2.0
 *
 * From a request to the function that handles it: the table of methods, unary and in sessions.
 */
#ifndef TERCET_METHOD_H
#define TERCET_METHOD_H

#include "caller.h"
#include "find.h"

#include <tercet/v1/tercet.pb-c.h>

struct coordinator;

/* A unary request. */
void method_handle(struct coordinator *c, struct caller *caller, enum method method,
                   const ProtobufCMessage *message);
/* The store has answered (EVENT_FOUND): handles what was held behind the question, and frees that.
 */
void method_continue(struct coordinator *c, struct find *find);
/* The same, but refuses what was held: nothing is acknowledged any more. */
void method_refuse(struct coordinator *c, struct find *find, const char *text);
/* A message of a session: many requests. */
void method_handle_session(struct coordinator *c, struct caller *caller,
                           const Tercet__V1__SessionRequests *message);

#endif
