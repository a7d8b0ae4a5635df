/* SPDX-License-Identifier: Apache-2.0
 *
 * The clients of a torture: two processes of buyers and watchers, each run with a log of its own
 * (history.h), and what the logs have said so far.
 */
#ifndef TERCET_TORTURE_CROWD_H
#define TERCET_TORTURE_CROWD_H

#include "process.h"

#define CROWD_CLIENTS 2
#define CROWD_PROXY_LOG "proxy.log"

struct crowd {
    const char *program, *folder, *coordinator, *direct;
    uint64_t seed;
    struct process processes[CROWD_CLIENTS];
    size_t log_of[CROWD_CLIENTS]; /* each one's newest log */
    long offsets[CROWD_CLIENTS];
    uint64_t in_flight[CROWD_CLIENTS]; /* asked by the newest, and not told yet */
    size_t log_count;
    uint64_t asked, confirmed, cancelled, unknown; /* lines */
};

void crowd_start(struct crowd *crowd, size_t i);
/* SIGTERM, and waits. false: some did not come to an end. */
bool crowd_stop(struct crowd *crowd);
void crowd_kill(struct crowd *crowd, size_t i);

/* Reads what the logs have new. */
void crowd_read(struct crowd *crowd);
uint64_t crowd_in_flight(const struct crowd *crowd);

/* All logs' paths and the proxy's, with commas. To be freed. */
char *crowd_logs(const struct crowd *crowd);

#endif
