/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram.h.
 */
#include "histogram.h"

#include <assert.h>

static size_t bucket_of(uint64_t ns)
{
    if (ns < HISTOGRAM_SUB)
        return (size_t)ns;
    unsigned exponent = 63u - (unsigned)__builtin_clzll(ns);
    if (exponent > HISTOGRAM_EXPONENT_MAX)
        return HISTOGRAM_BUCKETS - 1;
    uint64_t mantissa = ns >> (exponent - HISTOGRAM_SUB_BITS); /* HISTOGRAM_SUB to twice that */
    return (exponent - HISTOGRAM_SUB_BITS) * (size_t)HISTOGRAM_SUB + (size_t)mantissa;
}

/* The middle of the bucket's times. */
static double bucket_ns(size_t bucket)
{
    if (bucket < HISTOGRAM_SUB)
        return (double)bucket;
    unsigned shift = (unsigned)(bucket / HISTOGRAM_SUB) - 1;
    uint64_t mantissa = bucket % HISTOGRAM_SUB + HISTOGRAM_SUB;
    return ((double)mantissa + 0.5) * (double)(UINT64_C(1) << shift);
}

void histogram_add(struct histogram *histogram, int64_t ns)
{
    uint64_t value = ns > 0 ? (uint64_t)ns : 0;
    size_t bucket = bucket_of(value);
    assert(bucket < HISTOGRAM_BUCKETS);
    histogram->buckets[bucket]++;
    histogram->count++;
    if (value > histogram->max_ns)
        histogram->max_ns = value;
}

double histogram_quantile_us(const struct histogram *histogram, double quantile)
{
    uint64_t wanted = (uint64_t)(quantile * (double)histogram->count + 0.999999);
    uint64_t seen = 0;
    if (histogram->count == 0)
        return 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted && seen > 0)
            return bucket_ns(i) / 1000;
    }
    return (double)histogram->max_ns / 1000;
}
