/* SPDX-License-Identifier: Apache-2.0
 *
 * report.h: single figures.
 */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>

void report_number(cJSON *object, const char *name, double value)
{
    char text[32];
    snprintf(text, sizeof(text), value >= 1000 || value <= -1000 ? "%.0f" : "%.4g", value);
    cJSON_AddNumberToObject(object, name, strtod(text, NULL));
}

void report_ratio(cJSON *object, const char *name, double value, double by)
{
    if (by > 0 && value > 0)
        report_number(object, name, value / by);
    else
        cJSON_AddNullToObject(object, name);
}

void report_times(cJSON *object, const char *name, const struct histogram *histogram)
{
    cJSON *times = cJSON_AddObjectToObject(object, name);
    report_number(times, "p50", histogram_quantile_us(histogram, 0.5));
    report_number(times, "p99", histogram_quantile_us(histogram, 0.99));
    report_number(times, "p99.9", histogram_quantile_us(histogram, 0.999));
    report_number(times, "max", (double)histogram->max_ns / 1000);
    report_number(times, "count", (double)histogram->count);
}

double report_others(const struct load_result *load)
{
    double ours =
        load->coordinator_cpu + load->participants_cpu + load->database_cpu + load->load_cpu;
    double others = load->machine_cpu > ours ? load->machine_cpu - ours : 0;
    return load->seconds > 0 ? others / load->seconds : 0;
}
