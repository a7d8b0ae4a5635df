/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc.health.v1, https://github.com/grpc/grpc/blob/master/doc/health-checking.md.
 */
#ifndef CRPC_HEALTH_H
#define CRPC_HEALTH_H

#include <crpc/crpc.h>

struct health;

/* Adds the service to the server. */
int health_new(struct health **out, struct crpc_server *server);
void health_free(struct health *health);

/* Names the state of a service and tells those who watch it. Errors: CRPC_ENOMEM, CRPC_ECLOSED
 * while stopping. */
int health_set(struct health *health, const char *service, bool is_serving);

/* Everything stops serving; watchers are told, and their calls end. */
void health_stop(struct health *health);

#endif
