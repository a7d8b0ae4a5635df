/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints what was measured, as one JSON object or as a table of its lines.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench.h"

#include <cjson/cJSON.h>

struct machine;

/* As the options say. */
void report_print(const struct shared *shared, const struct audit *audit,
                  const struct machine *machine);

/* Adds what --unresolved measured. */
void report_unresolved(cJSON *root, const struct shared *shared);

/* Figures are rounded for people: four digits are more than the machine repeats. */
void report_number(cJSON *object, const char *name, double value);
/* Null when either is 0. */
void report_ratio(cJSON *object, const char *name, double value, double by);
/* Quantiles and the like, in microseconds. */
void report_times(cJSON *object, const char *name, const struct histogram *histogram);
/* Cores that neither we nor our processes used. */
double report_others(const struct load_result *load);

#endif
