/* SPDX-License-Identifier: Apache-2.0
 *
 * How the blocking calls tell their end.
 */
#ifndef CRPC_RESULT_H
#define CRPC_RESULT_H

#include <crpc/crpc.h>

/* Copies a status; `out` may be NULL, and is cleared before it is filled. Without memory the code
 * alone is kept. */
void result_fill(struct crpc_result *out, const struct crpc_status *status);

#endif
