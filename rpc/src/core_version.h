/* SPDX-License-Identifier: Apache-2.0
 *
 * What differs between versions of the gRPC core, all of it: where its functions are declared,
 * which of its inner parts may be relied on, how a connection that we have accepted is handed to
 * it, and who gets its log.
 */
#ifndef CRPC_CORE_VERSION_H
#define CRPC_CORE_VERSION_H

#include "args.h"

#include <grpc/grpc_security.h>
#if __has_include(<grpc/credentials.h>) /* from 1.66 on */
#include <grpc/credentials.h>
#endif
#include <stdbool.h>

#define ADOPTERS_MAX 16

/* Takes connections over on behalf of a server: one for each address and its credentials. */
struct adopter {
    void *handler; /* gRPC's, NULL until it is made; lives until the server has shut down */
    char name[sizeof("external:") + 8];
};

/* A line of the core's log. */
typedef void (*core_log_fn)(bool is_error, const char *text);
/* Before grpc_init: `on_line` gets the log from now on. Later cores write to standard error, and
 * ask nobody. */
void core_set_log(core_log_fn on_line);

/* Whether this version can be handed connections. If not, its own listeners are used, and what they
 * accept is neither limited nor watched. */
bool core_can_adopt(void);

/* Adds what grpc_server_create has to know of all adopters that there may be. They live as long as
 * the server. */
void adopters_add_args(struct args *args, struct adopter adopters[ADOPTERS_MAX]);

/* Before the server starts. False when gRPC cannot use the credentials. */
bool adopter_open(struct adopter *adopter, grpc_server *core, grpc_server_credentials *credentials);

/* Gives the connected socket `fd` to gRPC, which closes it in the end. Between the server's start
 * and its shutdown; any thread but a poller. */
void adopter_take(const struct adopter *adopter, int listener, int fd);

#endif
