/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls of dispatch.h, between its two files.
 */
#ifndef TERCET_OUTCALL_H
#define TERCET_OUTCALL_H

#include "dispatch.h"

/* Sends what waits for the service, as far as windows, breaker and pause allow. */
void outcall_pump(struct coordinator *c, struct service *service);

/* The service has shown that it is there. */
void outcall_close_breaker(struct coordinator *c, struct service *service);

/* Tells every call under way at the instance as failed. */
void outcall_instance_lost(struct coordinator *c, struct service *service,
                           struct instance *instance);

/* The instance's outbox is to be flushed at the end of the turn. */
void outcall_touch(struct coordinator *c, struct instance *instance);

void outcall_free_all(struct coordinator *c);

#endif
