/* SPDX-License-Identifier: Apache-2.0
 *
 * The identity that a store gets at its birth: a random number of 64 bits, never 0.
 */
#ifndef TERCET_STORE_SOURCE_H
#define TERCET_STORE_SOURCE_H

#include <stdint.h>

/* Returns 0 or an errno. */
int source_make(uint64_t *out);

#endif
