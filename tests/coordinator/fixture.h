/* SPDX-License-Identifier: Apache-2.0
 *
 * A coordinator without threads or a door, at a store that the test gives it. Its batches are
 * committed when the test says so.
 */
#ifndef TEST_COORDINATOR_FIXTURE_H
#define TEST_COORDINATOR_FIXTURE_H

#include "loop.h"

/* It owns the store, from which nothing is restored yet. */
struct coordinator *fixture_open(struct store *store, size_t warm_max);
/* Restored from the store; more than `warm_max` transactions stay cold. */
struct coordinator *fixture_start(struct store *store, size_t warm_max);
void fixture_stop(struct coordinator *c);

/* Submits what is to be written, which must be something, and makes it durable. */
void fixture_commit(struct coordinator *c);

/* A Run order:i of two branches, old-i-0/do and old-i-1/do: services that nobody else names. */
void fixture_begin(struct coordinator *c, int i);

#endif
