/* SPDX-License-Identifier: Apache-2.0
 *
 * The public header compiles alone.
 */
#include <crpc/crpc.h>

extern int crpc_header_compiles;
int crpc_header_compiles = CRPC_EINVAL;
