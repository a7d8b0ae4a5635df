/* SPDX-License-Identifier: Apache-2.0
 *
 * SIGHUP: what a running tercetd takes anew, and what it says of the rest.
 */
#ifndef TERCETD_RELOAD_H
#define TERCETD_RELOAD_H

#include "tercetd_http.h"
#include "tercetd_options.h"

struct reload {
    struct tercet_coordinator *coordinator;
    struct http *http;             /* NULL: there is no HTTP port */
    const struct arguments *first; /* it was opened with them */
    const struct arguments *now;   /* the last that were taken; first, or from malloc */
};

/* Reads the configuration file, access rules and certificates anew. What is wrong is logged, and
 * the old ones stay. */
void reload_run(struct reload *reload);

void reload_clear(struct reload *reload);

#endif
