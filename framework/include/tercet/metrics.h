/* SPDX-License-Identifier: Apache-2.0
 *
 * Figures of a coordinator, a participant or a client, for whatever collects them: each is handed
 * to a callback, series by series. Who has nothing of his own gives them to a text, in the format
 * that Prometheus and its kin scrape.
 */
#ifndef TERCET_METRICS_H
#define TERCET_METRICS_H

#include <tercet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum tercet_metric_type {
    TERCET_METRIC_GAUGE,     /* `value`, which rises and falls */
    TERCET_METRIC_COUNTER,   /* `value` since the process has started; only grows */
    TERCET_METRIC_HISTOGRAM, /* buckets of what was observed since then */
    TERCET_METRIC_INFO       /* the labels alone say something; `value` is 1 */
};

#define TERCET_METRIC_LABELS_MAX 3

struct tercet_metric_label {
    const char *name;
    const char *value; /* UTF-8; any characters */
};

/* One series. It lives until the callback returns, but for name, unit and help, which are
 * constants. */
struct tercet_metric {
    size_t size;
    const char *name; /* without _total, _bucket and the like: "tercet_commit_duration_seconds" */
    const char *unit; /* "seconds", "bytes", or "": a number. The name ends with it */
    const char *help; /* one sentence */
    enum tercet_metric_type type;
    size_t label_count;
    struct tercet_metric_label labels[TERCET_METRIC_LABELS_MAX];
    double value;
    /* Of a histogram: how many values were at most bounds[i], and above bounds[i - 1]. The last
     * bucket has no bound: it takes what is above. */
    size_t bucket_count;
    const double *bounds;   /* bucket_count - 1 of them, ascending */
    const uint64_t *counts; /* bucket_count of them, not summed up */
    double sum;             /* of all values */
};

/* Series of one name come one after another. It is called on the thread that asks. */
typedef void (*tercet_metric_fn)(const struct tercet_metric *metric, void *ctx);

enum tercet_metrics_format {
    /* OpenMetrics 1.0: "application/openmetrics-text; version=1.0.0; charset=utf-8" */
    TERCET_METRICS_OPENMETRICS,
    /* the older text: "text/plain; version=0.0.4; charset=utf-8" */
    TERCET_METRICS_PROMETHEUS
};

/* Series as text. It may be filled from several sources: what has one name is brought together. Two
 * series of one name and the same labels (two clients in one process) are one too many: a callback
 * of your own between them can add a label. */
struct tercet_metrics_text;

/* TERCET_NOMEM. */
int tercet_metrics_text_new(struct tercet_metrics_text **out, enum tercet_metrics_format format);
/* Adds one series; a tercet_metric_fn, with the text as its ctx. One thread at a time. */
void tercet_metrics_text_add(const struct tercet_metric *metric, void *text);
/* What was added, ended as the format wants it, with a NUL that *size does not count. It lives as
 * long as the text, to which nothing is added any more. TERCET_NOMEM: memory was short, now or
 * before. */
int tercet_metrics_text_end(struct tercet_metrics_text *text, const char **out, size_t *size);
void tercet_metrics_text_free(struct tercet_metrics_text *text);

#ifdef __cplusplus
}
#endif
#endif
