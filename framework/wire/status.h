/* SPDX-License-Identifier: Apache-2.0
 *
 * Result codes to gRPC status codes and back; one table.
 */
#ifndef TERCET_STATUS_H
#define TERCET_STATUS_H

#include <crpc/crpc.h>

/* The status code that tells a peer of a TERCET_ result. 0 is CRPC_OK. */
enum crpc_code status_of_error(int error);

/* The TERCET_ result for a status code that a coordinator answered. Codes that say nothing of the
 * outcome (UNAVAILABLE, CANCELLED, DEADLINE_EXCEEDED, UNKNOWN, INTERNAL...) are TERCET_UNKNOWN: ask
 * again. */
int error_of_status(enum crpc_code code);

/* A crpc function's result as a TERCET_ one. */
int error_of_crpc(int crpc_error);

#endif
