/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks at the coordinator: its statistics, and what everybody's processes cost.
 */
#ifndef BENCH_OBSERVER_H
#define BENCH_OBSERVER_H

#include "bench.h"

struct crpc_loop;
struct crpc_channel;

struct observer {
    const char *coordinator;
    struct crpc_loop *loop; /* NULL: closed */
    struct crpc_channel *channel;
};

/* 0, or an error text. */
const char *observer_open(struct observer *observer);
/* Until the next question, which opens it again: gRPC's pollers share a process's connections, so
 * one that waits for nothing would take the load's messages and hand them on. */
void observer_close(struct observer *observer);

/* The statistics. False: there are none. */
bool observer_ask(struct observer *observer, struct snapshot *out);

/* The same with the time and the CPU time of all; the load is this process. */
bool observer_look(struct observer *observer, struct snapshot *out, const struct shared *shared);

/* Until no more than this are open; `out` (may be NULL) is what was seen then. False: not within
 * the time. */
bool observer_wait_open(struct observer *observer, uint64_t open_max, uint32_t timeout_s,
                        struct snapshot *out);

#endif
