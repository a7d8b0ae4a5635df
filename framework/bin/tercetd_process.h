/* SPDX-License-Identifier: Apache-2.0
 *
 * What is measured of the process itself, for its metrics.
 */
#ifndef TERCETD_PROCESS_H
#define TERCETD_PROCESS_H

#include <tercet/metrics.h>

/* Any thread. */
void process_add_metrics(tercet_metric_fn each, void *ctx);

#endif
