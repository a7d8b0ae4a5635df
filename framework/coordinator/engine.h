/* SPDX-License-Identifier: Apache-2.0
 *
 * All of a coordinator but its threads, its clock and its door: what tercetd, the simulator, the
 * crash matrix and the fuzzers run alike. Turns are the loop's (loop.h); who commits is the
 * caller's.
 */
#ifndef TERCET_ENGINE_H
#define TERCET_ENGINE_H

#include "coordinator.h"

/* Makes a zeroed coordinator with one shard, c->shards, which is ready for a store. The options'
 * numbers get their defaults; its strings are not copied. */
void engine_init(struct coordinator *c, const struct tercet_coordinator_options *options,
                 int64_t now_ms, int64_t wall_ms);

/* Frees what it holds in memory; the threads, the stores and the door are the caller's. */
void engine_clear(struct coordinator *c);

#endif
