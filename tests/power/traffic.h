/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions of every form against one tercetd, from several threads, and the participants that
 * they call. Everything that is told to one of them is marked in the write log when it has been
 * heard.
 */
#ifndef TERCET_POWER_TRAFFIC_H
#define TERCET_POWER_TRAFFIC_H

#include "log.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <tercet/tercet.h>

#define TRAFFIC_SERVICES 3
#define TRAFFIC_PATIENCE_MS 60000

struct traffic {
    int log;
    uint64_t seed;
    uint64_t txns; /* wanted */
    atomic_uint_fast64_t begun, ended;
    int ended_event; /* an eventfd: there are more that have ended */
    atomic_uint_fast64_t confirmed, cancelled, unknown;
    struct tercet_client *client;
    struct tercet_barrier *barriers[TRAFFIC_SERVICES];
    struct tercet_participant *participants[TRAFFIC_SERVICES];
    pthread_t *threads;
    size_t thread_count;
};

/* Opens client and participants; false, with a word on standard error: it does not work. */
bool traffic_open(struct traffic *traffic, const char *coordinator);
bool traffic_start(struct traffic *traffic, size_t thread_count);
/* Waits until all have ended. */
void traffic_join(struct traffic *traffic);
void traffic_close(struct traffic *traffic);

#endif
