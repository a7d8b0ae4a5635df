/* SPDX-License-Identifier: Apache-2.0
 *
 * tercet/metrics.h: series as OpenMetrics 1.0 or as Prometheus' text 0.0.4. They differ in where
 * _total and _info belong, in units, in how whole numbers are bounds, and in the end.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/metrics.h>

struct buffer {
    char *data;
    size_t size, capacity;
};

/* All series of one name. */
struct family {
    struct family *next;
    char *name;
    struct buffer lines;
};

struct tercet_metrics_text {
    enum tercet_metrics_format format;
    struct family *first;
    struct family **last_next;
    struct family *current; /* the last one that was added to */
    struct buffer whole;
    bool is_short; /* of memory */
};

/* -- Bytes ------------------------------------------------------------------------------------- */

static void append(struct tercet_metrics_text *text, struct buffer *buffer, const char *data,
                   size_t size)
{
    if (buffer->capacity - buffer->size <= size) {
        const size_t capacity = (buffer->size + size + 1) * 2;
        char *grown = realloc(buffer->data, capacity);
        text->is_short |= grown == NULL;
        if (grown == NULL)
            return;
        buffer->data = grown;
        buffer->capacity = capacity;
    }
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    buffer->data[buffer->size] = '\0';
}

static void append_text(struct tercet_metrics_text *text, struct buffer *buffer, const char *line)
{
    append(text, buffer, line, strlen(line));
}

/* Backslash and line end, and in a label's value quotes. */
static void append_escaped(struct tercet_metrics_text *text, struct buffer *buffer,
                           const char *value, bool is_label)
{
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\n')
            append(text, buffer, "\\n", 2);
        else if (*c == '\\')
            append(text, buffer, "\\\\", 2);
        else if (*c == '"' && is_label)
            append(text, buffer, "\\\"", 2);
        else
            append(text, buffer, c, 1);
    }
}

/* Whatever the process's locale puts between digits (a comma, say, of one byte or more) becomes the
 * point that the formats want. */
static void use_point(char *number)
{
    char *mark = number + strspn(number, "+-0123456789");
    if (*mark == '\0' || *mark == 'e')
        return;
    const char *rest = mark + strcspn(mark, "0123456789");
    *mark = '.';
    memmove(mark + 1, rest, strlen(rest) + 1);
}

/* The shortest text that reads back as the same number. A bound of OpenMetrics has a point. */
static void append_number(struct tercet_metrics_text *text, struct buffer *buffer, double value,
                          bool wants_point)
{
    char number[40];
    if (isinf(value) || isnan(value)) {
        append_text(text, buffer, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(number, sizeof(number), "%.*g", digits, value);
        if (strtod(number, NULL) == value)
            break;
    }
    use_point(number);
    append_text(text, buffer, number);
    if (wants_point && strpbrk(number, ".e") == NULL)
        append(text, buffer, ".0", 2);
}

/* -- Series ------------------------------------------------------------------------------------ */

static void append_labels(struct tercet_metrics_text *text, struct buffer *buffer,
                          const struct tercet_metric *metric, const double *bound)
{
    const char *before = "{";
    for (size_t i = 0; i < metric->label_count; i++) {
        append_text(text, buffer, before);
        append_text(text, buffer, metric->labels[i].name);
        append_text(text, buffer, "=\"");
        append_escaped(text, buffer, metric->labels[i].value, true);
        append(text, buffer, "\"", 1);
        before = ",";
    }
    if (bound != NULL) {
        append_text(text, buffer, before);
        append_text(text, buffer, "le=\"");
        append_number(text, buffer, *bound, text->format == TERCET_METRICS_OPENMETRICS);
        append(text, buffer, "\"", 1);
    }
    if (metric->label_count > 0 || bound != NULL)
        append(text, buffer, "}", 1);
}

static void append_sample(struct tercet_metrics_text *text, struct buffer *buffer,
                          const struct tercet_metric *metric, const char *suffix, double value)
{
    append_text(text, buffer, metric->name);
    append_text(text, buffer, suffix);
    append_labels(text, buffer, metric, NULL);
    append(text, buffer, " ", 1);
    append_number(text, buffer, value, false);
    append(text, buffer, "\n", 1);
}

static void append_histogram(struct tercet_metrics_text *text, struct buffer *buffer,
                             const struct tercet_metric *metric)
{
    const double above = INFINITY;
    uint64_t count = 0;
    for (size_t i = 0; i < metric->bucket_count; i++) {
        count += metric->counts[i];
        append_text(text, buffer, metric->name);
        append_text(text, buffer, "_bucket");
        append_labels(text, buffer, metric,
                      i + 1 < metric->bucket_count ? &metric->bounds[i] : &above);
        append(text, buffer, " ", 1);
        append_number(text, buffer, (double)count, false);
        append(text, buffer, "\n", 1);
    }
    append_sample(text, buffer, metric, "_count", (double)count);
    append_sample(text, buffer, metric, "_sum", metric->sum);
}

/* -- Families ---------------------------------------------------------------------------------- */

static void append_comment(struct tercet_metrics_text *text, struct buffer *buffer,
                           const char *what, const struct tercet_metric *metric, const char *value)
{
    const bool is_old = text->format == TERCET_METRICS_PROMETHEUS;
    append_text(text, buffer, "# ");
    append_text(text, buffer, what);
    append(text, buffer, " ", 1);
    append_text(text, buffer, metric->name);
    if (is_old && metric->type == TERCET_METRIC_COUNTER)
        append_text(text, buffer, "_total");
    if (is_old && metric->type == TERCET_METRIC_INFO)
        append_text(text, buffer, "_info");
    append(text, buffer, " ", 1);
    append_escaped(text, buffer, value, !is_old);
    append(text, buffer, "\n", 1);
}

static void begin_family(struct tercet_metrics_text *text, struct buffer *buffer,
                         const struct tercet_metric *metric)
{
    static const char *const types[] = {[TERCET_METRIC_GAUGE] = "gauge",
                                        [TERCET_METRIC_COUNTER] = "counter",
                                        [TERCET_METRIC_HISTOGRAM] = "histogram",
                                        [TERCET_METRIC_INFO] = "info"};
    const bool is_old = text->format == TERCET_METRICS_PROMETHEUS;
    const bool is_info = metric->type == TERCET_METRIC_INFO;
    append_comment(text, buffer, "TYPE", metric, is_old && is_info ? "gauge" : types[metric->type]);
    if (!is_old && metric->unit[0] != '\0')
        append_comment(text, buffer, "UNIT", metric, metric->unit);
    append_comment(text, buffer, "HELP", metric, metric->help);
}

static struct family *add_family(struct tercet_metrics_text *text,
                                 const struct tercet_metric *metric)
{
    struct family *family = calloc(1, sizeof(*family));
    if (family != NULL)
        family->name = strdup(metric->name);
    if (family == NULL || family->name == NULL) {
        text->is_short = true;
        free(family);
        return NULL;
    }
    *text->last_next = family;
    text->last_next = &family->next;
    begin_family(text, &family->lines, metric);
    return family;
}

static struct family *family_of(struct tercet_metrics_text *text,
                                const struct tercet_metric *metric)
{
    struct family *family = text->current;
    if (family != NULL && strcmp(family->name, metric->name) == 0)
        return family;
    for (family = text->first; family != NULL; family = family->next)
        if (strcmp(family->name, metric->name) == 0)
            return family;
    return add_family(text, metric);
}

/* -- The text ---------------------------------------------------------------------------------- */

int tercet_metrics_text_new(struct tercet_metrics_text **out, enum tercet_metrics_format format)
{
    struct tercet_metrics_text *text = calloc(1, sizeof(*text));
    if (text == NULL)
        return TERCET_NOMEM;
    text->format = format;
    text->last_next = &text->first;
    *out = text;
    return 0;
}

void tercet_metrics_text_add(const struct tercet_metric *metric, void *ctx)
{
    struct tercet_metrics_text *text = ctx;
    struct family *family = family_of(text, metric);
    text->current = family;
    if (family == NULL)
        return;
    switch (metric->type) {
    case TERCET_METRIC_GAUGE:
        append_sample(text, &family->lines, metric, "", metric->value);
        break;
    case TERCET_METRIC_COUNTER:
        append_sample(text, &family->lines, metric, "_total", metric->value);
        break;
    case TERCET_METRIC_INFO:
        append_sample(text, &family->lines, metric, "_info", 1);
        break;
    case TERCET_METRIC_HISTOGRAM:
        append_histogram(text, &family->lines, metric);
        break;
    }
}

int tercet_metrics_text_end(struct tercet_metrics_text *text, const char **out, size_t *size)
{
    text->whole.size = 0;
    for (const struct family *family = text->first; family != NULL; family = family->next)
        if (family->lines.size > 0)
            append(text, &text->whole, family->lines.data, family->lines.size);
    append_text(text, &text->whole, text->format == TERCET_METRICS_OPENMETRICS ? "# EOF\n" : "");
    if (text->is_short)
        return TERCET_NOMEM;
    *out = text->whole.data;
    *size = text->whole.size;
    return 0;
}

void tercet_metrics_text_free(struct tercet_metrics_text *text)
{
    if (text == NULL)
        return;
    while (text->first != NULL) {
        struct family *family = text->first;
        text->first = family->next;
        free(family->lines.data);
        free(family->name);
        free(family);
    }
    free(text->whole.data);
    free(text);
}
