/* SPDX-License-Identifier: Apache-2.0
 *
 * A histogram of times: 128 buckets for each power of two, so that a quantile is at most 0.4 %
 * wrong. Plain memory of a fixed size: it may lie in memory that processes share. Not thread-safe.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_SUB_BITS 7u
#define HISTOGRAM_SUB (1u << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_EXPONENT_MAX 45u /* 2^46 ns are 19 hours; what is longer counts as that */
#define HISTOGRAM_BUCKETS ((HISTOGRAM_EXPONENT_MAX - HISTOGRAM_SUB_BITS + 2) * HISTOGRAM_SUB)

struct histogram {
    uint64_t count;
    uint64_t max_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* A negative time counts as 0. */
void histogram_add(struct histogram *histogram, int64_t ns);

/* The time in microseconds that the fraction `quantile` (0.99, say) does not exceed; 0 when nothing
 * was counted. */
double histogram_quantile_us(const struct histogram *histogram, double quantile);

#endif
