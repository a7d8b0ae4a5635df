/* SPDX-License-Identifier: Apache-2.0
 *
 * Server reflection, v1 and v1alpha,
 * https://github.com/grpc/grpc/blob/master/doc/server-reflection.md.
 */
#ifndef CRPC_REFLECTION_H
#define CRPC_REFLECTION_H

#include <crpc/crpc.h>

struct reflection;

/* Adds both versions to the server. */
int reflection_new(struct reflection **out, struct crpc_server *server);
void reflection_free(struct reflection *reflection);

/* Ends the streams that are open. */
void reflection_stop(struct reflection *reflection);

#endif
