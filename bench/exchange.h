/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the echo client's process: the same message over and over to a server that only decodes it
 * and answers, and what that costs the server.
 */
#ifndef BENCH_EXCHANGE_H
#define BENCH_EXCHANGE_H

#include "bench.h"

#include <crpc/crpc.h>
#include <semaphore.h>
#include <stdatomic.h>

/* One kind of message. The messages are read only. */
struct exchange_kind {
    const ProtobufCServiceDescriptor *service;
    const char *method;
    const ProtobufCMessage *request;
    const ProtobufCMessageDescriptor *reply;
};

struct exchange_done {
    double seconds;
    uint64_t messages; /* that were answered */
    double server_cpu; /* seconds of the server's process */
};

/* The answers of one exchange, counted by any thread. */
struct exchange_meter {
    atomic_uint_fast64_t messages;
    sem_t heard; /* the first answer */
};

void exchange_meter_init(struct exchange_meter *meter);
void exchange_meter_count(struct exchange_meter *meter);

/* Measures from the first answer on, so that neither connecting nor a slow start counts, for the
 * time, and longer when nothing is answered within it. False: no two answers came. */
bool exchange_meter_run(struct exchange_meter *meter, struct exchange_done *out,
                        uint32_t milliseconds, pid_t server);

/* `streams` streams with so many messages under way on each, for the time. False: it failed. */
bool exchange_streams(struct exchange_done *out, struct crpc_channel *channel,
                      const struct exchange_kind *kind, uint32_t streams, uint32_t in_flight,
                      uint32_t milliseconds, pid_t server);

/* Unary calls, the kinds in turn, so many under way on each channel. */
bool exchange_unary(struct exchange_done *out, struct crpc_channel *const *channels,
                    uint32_t channel_count, const struct exchange_kind *kinds, uint32_t kind_count,
                    uint32_t in_flight, uint32_t milliseconds, pid_t server);

/* One message at a time over a stream to each of the channels, all of them answered before the
 * next; between them a pause, in which everybody falls asleep, as in a run with one transaction at
 * a time. Adds the times to the histogram, until the last answer. */
bool exchange_trips(struct histogram *out, struct crpc_channel *const *channels,
                    uint32_t channel_count, const struct exchange_kind *kind, uint32_t pause_us,
                    uint32_t milliseconds);

#endif
