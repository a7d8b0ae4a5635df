/* SPDX-License-Identifier: Apache-2.0
 *
 * The coordinator's figures, for those who scrape: the owner makes samples of what it has when it
 * is asked to, as one more event, and whoever asked makes text of them on his own thread. What the
 * owner pays is a copy now and then; between two scrapes nothing.
 */
#ifndef TERCET_EXPOSE_H
#define TERCET_EXPOSE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <tercet/metrics.h>

/* Who asks waits for the owner at most so long; then he gets the figures of the last time. */
#define EXPOSE_PATIENCE_MS 1000
/* Figures as young as this are handed out again: the owner makes some 20 times a second, however
 * many ask. */
#define EXPOSE_FRESH_MS 50

struct coordinator;

struct expose {
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t changed;
    struct figures *latest; /* a reference; NULL: nobody has asked yet */
    uint64_t turns;         /* how often the owner has made some */
    bool is_asked;          /* EVENT_MEASURE is posted */
};

void expose_init(struct expose *expose);
void expose_destroy(struct expose *expose);

/* Makes samples of everything, for those who wait. The owner's. */
void expose_measure(struct coordinator *c);

/* Hands each series to the callback. TERCET_UNAVAILABLE: the owner did not answer, and never has.
 * Any thread but the owner's. */
int expose_visit(struct coordinator *c, tercet_metric_fn each, void *ctx);

#endif
