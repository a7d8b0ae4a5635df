/* SPDX-License-Identifier: Apache-2.0
 *
 * Participants that are called, through the proxy: what they register is replaced by the proxy's
 * own address, and each Execute has its fate on the way there and back.
 */
#ifndef TERCET_TORTURE_EXECUTE_H
#define TERCET_TORTURE_EXECUTE_H

#include <crpc/crpc.h>
#include <stdbool.h>

void execute_open(struct crpc_loop *loop, struct crpc_channel *back, const char *own_address);
void execute_free(void);

/* Handlers of Participants.RegisterTarget and Participant.Execute. */
void execute_register(struct crpc_call *call, const ProtobufCMessage *request, void *ctx);
void execute_call(struct crpc_call *call, const ProtobufCMessage *request, void *ctx);

/* Calls with an encoded Call, whose answer goes nowhere. false: the service is not registered. */
bool execute_again(const char *service, struct crpc_bytes record);

#endif
