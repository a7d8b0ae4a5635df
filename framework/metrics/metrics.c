/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.h
 */
#include "metrics.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_SIZE 16 /* of a label's name */

enum scale {
#define X(id, ...) SCALE_##id,
    METRIC_SCALES(X)
#undef X
};

static const struct {
    int64_t per_unit;
    int64_t bounds[METRIC_BUCKETS_MAX]; /* up to the first 0 */
} scales[] = {
#define X(id, per_unit, ...) {per_unit, {__VA_ARGS__}},
    METRIC_SCALES(X)
#undef X
};

static const struct {
    const char *name, *unit, *labels, *help;
    enum tercet_metric_type type;
    enum scale scale;
} metrics[METRIC_COUNT] = {
#define X(id, name, type, unit, scale, labels, help)                                               \
    {name, unit, labels, help, TERCET_METRIC_##type, SCALE_##scale},
    METRICS(X)
#undef X
};

struct sample {
    enum metric metric;
    const char *labels[TERCET_METRIC_LABELS_MAX];
    double value;
    struct histogram *histogram;
};

/* -- Histograms -------------------------------------------------------------------------------- */

static size_t bound_count(enum scale scale)
{
    size_t count = 0;
    while (count < METRIC_BUCKETS_MAX - 1 && scales[scale].bounds[count] != 0)
        count++;
    return count;
}

static size_t bucket_of(enum metric metric, int64_t value)
{
    const int64_t *bounds = scales[metrics[metric].scale].bounds;
    const size_t count = bound_count(metrics[metric].scale);
    size_t i = 0;
    assert(metrics[metric].type == TERCET_METRIC_HISTOGRAM);
    while (i < count && value > bounds[i])
        i++;
    return i;
}

void histogram_add(struct histogram *histogram, enum metric metric, int64_t value)
{
    value = value > 0 ? value : 0;
    histogram->counts[bucket_of(metric, value)]++;
    histogram->sum += (uint64_t)value;
}

void shared_histogram_add(struct shared_histogram *histogram, enum metric metric, int64_t value)
{
    value = value > 0 ? value : 0;
    atomic_fetch_add_explicit(&histogram->counts[bucket_of(metric, value)], 1,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum, (uint64_t)value, memory_order_relaxed);
}

void shared_histogram_read(struct histogram *out, struct shared_histogram *histogram)
{
    for (size_t i = 0; i < METRIC_BUCKETS_MAX; i++)
        out->counts[i] = atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
    out->sum = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
}

/* -- Samples ----------------------------------------------------------------------------------- */

static struct sample *new_sample(struct samples *samples, enum metric metric)
{
    if (samples->count == samples->capacity) {
        const size_t capacity = samples->capacity == 0 ? 256 : samples->capacity * 2;
        struct sample *grown = realloc(samples->items, capacity * sizeof(*grown));
        samples->is_short |= grown == NULL;
        if (grown == NULL)
            return NULL;
        samples->items = grown;
        samples->capacity = capacity;
    }
    struct sample *sample = &samples->items[samples->count];
    *sample = (struct sample){.metric = metric};
    samples->count++;
    return sample;
}

void samples_add(struct samples *samples, enum metric metric, double value, const char *first,
                 const char *second, const char *third)
{
    struct sample *sample = new_sample(samples, metric);
    if (sample == NULL)
        return;
    sample->value = value;
    sample->labels[0] = first;
    sample->labels[1] = second;
    sample->labels[2] = third;
}

void samples_add_histogram(struct samples *samples, enum metric metric,
                           const struct histogram *histogram, const char *first)
{
    struct histogram *copy = malloc(sizeof(*copy));
    struct sample *sample = copy != NULL ? new_sample(samples, metric) : NULL;
    samples->is_short |= sample == NULL;
    if (sample == NULL) {
        free(copy);
        return;
    }
    *copy = *histogram;
    sample->histogram = copy;
    sample->labels[0] = first;
}

/* "a,b" and the sample's values. */
static void fill_labels(struct tercet_metric *out, const struct sample *sample,
                        char names[TERCET_METRIC_LABELS_MAX][LABEL_SIZE])
{
    const char *rest = metrics[sample->metric].labels;
    while (*rest != '\0') {
        const size_t i = out->label_count++, size = strcspn(rest, ",");
        assert(i < TERCET_METRIC_LABELS_MAX && size < LABEL_SIZE && sample->labels[i] != NULL);
        memcpy(names[i], rest, size);
        names[i][size] = '\0';
        out->labels[i] = (struct tercet_metric_label){names[i], sample->labels[i]};
        rest += size + (rest[size] == ',');
    }
}

static void visit(const struct sample *sample, tercet_metric_fn each, void *ctx)
{
    const enum scale scale = metrics[sample->metric].scale;
    const double per_unit = (double)scales[scale].per_unit;
    double bounds[METRIC_BUCKETS_MAX];
    char names[TERCET_METRIC_LABELS_MAX][LABEL_SIZE];
    struct tercet_metric out = {.size = sizeof(out),
                                .name = metrics[sample->metric].name,
                                .unit = metrics[sample->metric].unit,
                                .help = metrics[sample->metric].help,
                                .type = metrics[sample->metric].type,
                                .value = sample->value};
    fill_labels(&out, sample, names);
    if (sample->histogram != NULL) {
        out.bucket_count = bound_count(scale) + 1;
        for (size_t i = 0; i + 1 < out.bucket_count; i++)
            bounds[i] = (double)scales[scale].bounds[i] / per_unit;
        out.bounds = bounds;
        out.counts = sample->histogram->counts;
        out.sum = (double)sample->histogram->sum / per_unit;
    }
    each(&out, ctx);
}

void samples_visit(const struct samples *samples, tercet_metric_fn each, void *ctx)
{
    for (int metric = 0; metric < METRIC_COUNT; metric++)
        for (size_t i = 0; i < samples->count; i++)
            if (samples->items[i].metric == (enum metric)metric)
                visit(&samples->items[i], each, ctx);
}

void samples_clear(struct samples *samples)
{
    for (size_t i = 0; i < samples->count; i++)
        free(samples->items[i].histogram);
    free(samples->items);
    *samples = (struct samples){0};
}
