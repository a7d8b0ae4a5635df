/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may be given a waiting call, and giving it to him. The owner's.
 */
#ifndef TERCET_SEND_H
#define TERCET_SEND_H

#include "outcalls.h"

struct coordinator;

/* To whom a call can be given now: an instance, a target, or neither. */
struct send_way {
    struct instance *instance;
    struct target *target;
    bool is_offered; /* somebody offers the action */
};

/* An attached instance with room comes first, else a registered target. */
struct send_way send_choose(const struct coordinator *c, const struct service *service,
                            const struct branch_info *info);
/* Sends a waiting call that way. false: it still waits. */
bool send_give(struct coordinator *c, struct service *service, struct outcall *call,
               const struct send_way *way);
/* The breaker of whom the call was given to. */
struct breaker *send_breaker(const struct outcall *call);

#endif
