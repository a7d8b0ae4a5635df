/* SPDX-License-Identifier: Apache-2.0
 *
 * Participants: they attach and go, are registered, paused and resumed, and answer. The owner's.
 */
#ifndef TERCET_DISPATCH_H
#define TERCET_DISPATCH_H

#include "service.h"

#include <tercet/v1/tercet.pb-c.h>

struct coordinator;
struct event;

/* A message of the instance's stream: a hello, results, or both. false: it broke the rules, and the
 * stream is being ended. The message lives until the finished calls have been taken (outcall.h). */
bool dispatch_message(struct coordinator *c, struct instance *instance,
                      const Tercet__V1__AttachRequest *message);
/* The instance's stream has ended; `why` is for people. */
void dispatch_detach(struct coordinator *c, struct instance *instance, const char *why);

/* What a registered target has answered (EVENT_RESULT), or that it has not. */
void dispatch_target_answer(struct coordinator *c, const struct event *event);

/* Adds a target, or removes one or all. 0, TERCET_INVALID or TERCET_EXHAUSTED. */
int dispatch_register(struct coordinator *c, const Tercet__V1__RegisterRequest *request,
                      struct refusal *no);
void dispatch_pause(struct coordinator *c, struct service *service, bool is_paused);

#endif
