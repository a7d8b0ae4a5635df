/* SPDX-License-Identifier: Apache-2.0
 *
 * Room in the store. How much there is, and what to say when there is none, the store's driver
 * knows (struct tercet_store_stats); it leaves enough to end what is open: work that releases
 * resources is never refused. Between two looks at the store's size, what is taken is counted.
 */
#ifndef TERCET_HEADROOM_H
#define TERCET_HEADROOM_H

#include <stdint.h>

struct coordinator;

/* Looks at the store's size when it is time to. */
void headroom_check(struct coordinator *c);

/* The bytes of the store that a record with a value of `size` bytes takes at most. */
uint64_t headroom_of(struct coordinator *c, uint64_t size);

/* Why new work that takes so much cannot be taken; NULL: it can, and is counted. */
const char *headroom_take(struct coordinator *c, uint64_t room);

#endif
