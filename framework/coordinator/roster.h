/* SPDX-License-Identifier: Apache-2.0
 *
 * Who serves what, as people see and change it: Participants.RegisterTarget, Admin.ListParticipants
 * and Admin.Pause. What is to outlive the process is written down here.
 */
#ifndef TERCET_ROSTER_H
#define TERCET_ROSTER_H

#include "request.h"

/* Each takes its own request's message. */
void roster_register(struct request *r, const ProtobufCMessage *message);
void roster_list(struct request *r, const ProtobufCMessage *message);
void roster_pause(struct request *r, const ProtobufCMessage *message);

#endif
