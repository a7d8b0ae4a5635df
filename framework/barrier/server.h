/* SPDX-License-Identifier: Apache-2.0
 *
 * What the drivers of databases that are servers have in common: when a connection that failed is
 * tried again, and how a barrier is opened by a URL.
 */
#ifndef BARRIER_SERVER_H
#define BARRIER_SERVER_H

#include <tercet/sys/barrier.h>

/* When to connect next; all 0 at first. */
struct server_retry {
    int64_t due_ms, pause_ms;
};

bool server_retry_is_due(const struct server_retry *retry);
/* After a failure: twice as long after each, and never the same for all connections. */
void server_retry_plan(struct server_retry *retry);
void server_retry_clear(struct server_retry *retry);

/* The end of what opens a driver's state: hands it over when its connecting went well (`rc` is 0).
 * Else `text`, which may be NULL, says why not, and the state is freed. Returns `rc`. */
int server_hand_over(void **out, const struct tercet_barrier_driver *driver, void *state, int rc,
                     char *text);

/* Opens a driver's state: connected, or `text` says why not. */
typedef int (*server_open_fn)(void **out, const char *url,
                              const struct tercet_barrier_options *options, char *text);

/* A barrier over this driver: the body of its public open function. */
int server_open_barrier(struct tercet_barrier **out, const char *url,
                        const struct tercet_barrier_options *options, char *text,
                        server_open_fn open, const struct tercet_barrier_driver *driver);

#endif
