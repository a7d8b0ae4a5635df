/* SPDX-License-Identifier: Apache-2.0
 *
 * The services of the coordinator, on RPC threads: decode, post to the owner, nothing else.
 */
#ifndef TERCET_RPC_H
#define TERCET_RPC_H

struct coordinator;

/* Adds the services to c->server. A code of crpc. */
int rpc_add_services(struct coordinator *c);

#endif
