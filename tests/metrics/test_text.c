/* SPDX-License-Identifier: Apache-2.0
 *
 * Series as text: OpenMetrics, and the older format.
 */
#include <criterion/criterion.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/metrics.h>

#include "scarce.h"

static struct tercet_metrics_text *text;

static void begin(enum tercet_metrics_format format)
{
    cr_assert_eq(tercet_metrics_text_new(&text, format), 0);
}

static void end_is(const char *expected)
{
    const char *data;
    size_t size;
    cr_assert_eq(tercet_metrics_text_end(text, &data, &size), 0);
    cr_assert_str_eq(data, expected);
    cr_assert_eq(size, strlen(expected));
    tercet_metrics_text_free(text);
}

static struct tercet_metric metric(const char *name, enum tercet_metric_type type, double value)
{
    return (struct tercet_metric){.size = sizeof(struct tercet_metric),
                                  .name = name,
                                  .unit = "",
                                  .help = "Words.",
                                  .type = type,
                                  .value = value};
}

static void add_labelled(const char *name, enum tercet_metric_type type, double value,
                         const char *label)
{
    struct tercet_metric one = metric(name, type, value);
    one.label_count = 1;
    one.labels[0] = (struct tercet_metric_label){"who", label};
    tercet_metrics_text_add(&one, text);
}

Test(text, nothing_is_an_end)
{
    begin(TERCET_METRICS_OPENMETRICS);
    end_is("# EOF\n");
    begin(TERCET_METRICS_PROMETHEUS);
    end_is("");
}

Test(text, a_counter_has_its_suffix_where_the_format_wants_it)
{
    struct tercet_metric one = metric("a_b", TERCET_METRIC_COUNTER, 3);
    begin(TERCET_METRICS_OPENMETRICS);
    tercet_metrics_text_add(&one, text);
    end_is("# TYPE a_b counter\n# HELP a_b Words.\na_b_total 3\n# EOF\n");
    begin(TERCET_METRICS_PROMETHEUS);
    tercet_metrics_text_add(&one, text);
    end_is("# TYPE a_b_total counter\n# HELP a_b_total Words.\na_b_total 3\n");
}

Test(text, an_info_is_a_gauge_in_the_older_format)
{
    begin(TERCET_METRICS_OPENMETRICS);
    add_labelled("a", TERCET_METRIC_INFO, 1, "x");
    end_is("# TYPE a info\n# HELP a Words.\na_info{who=\"x\"} 1\n# EOF\n");
    begin(TERCET_METRICS_PROMETHEUS);
    add_labelled("a", TERCET_METRIC_INFO, 1, "x");
    end_is("# TYPE a_info gauge\n# HELP a_info Words.\na_info{who=\"x\"} 1\n");
}

Test(text, a_unit_is_told)
{
    struct tercet_metric one = metric("a_seconds", TERCET_METRIC_GAUGE, 0.25);
    one.unit = "seconds";
    begin(TERCET_METRICS_OPENMETRICS);
    tercet_metrics_text_add(&one, text);
    end_is("# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n# HELP a_seconds Words.\n"
           "a_seconds 0.25\n# EOF\n");
}

Test(text, whatever_a_label_says_it_is_one_line)
{
    begin(TERCET_METRICS_OPENMETRICS);
    add_labelled("a", TERCET_METRIC_GAUGE, 1, "q\"b\\n\nl}\xc3\xa9");
    end_is("# TYPE a gauge\n# HELP a Words.\na{who=\"q\\\"b\\\\n\\nl}\xc3\xa9\"} 1\n# EOF\n");
}

Test(text, help_is_one_line_too)
{
    struct tercet_metric one = metric("a", TERCET_METRIC_GAUGE, 1);
    one.help = "a \"b\"\nc\\";
    begin(TERCET_METRICS_PROMETHEUS);
    tercet_metrics_text_add(&one, text);
    end_is("# TYPE a gauge\n# HELP a a \"b\"\\nc\\\\\na 1\n");
}

Test(text, a_histogram_is_summed_up)
{
    static const double bounds[] = {0.5, 1};
    static const uint64_t counts[] = {2, 0, 1};
    struct tercet_metric one = metric("a", TERCET_METRIC_HISTOGRAM, 0);
    one.bucket_count = 3;
    one.bounds = bounds;
    one.counts = counts;
    one.sum = 7.5;
    begin(TERCET_METRICS_OPENMETRICS);
    tercet_metrics_text_add(&one, text);
    end_is("# TYPE a histogram\n# HELP a Words.\na_bucket{le=\"0.5\"} 2\na_bucket{le=\"1.0\"} 2\n"
           "a_bucket{le=\"+Inf\"} 3\na_count 3\na_sum 7.5\n# EOF\n");
    begin(TERCET_METRICS_PROMETHEUS);
    tercet_metrics_text_add(&one, text);
    end_is("# TYPE a histogram\n# HELP a Words.\na_bucket{le=\"0.5\"} 2\na_bucket{le=\"1\"} 2\n"
           "a_bucket{le=\"+Inf\"} 3\na_count 3\na_sum 7.5\n");
}

Test(text, what_has_one_name_stands_together)
{
    begin(TERCET_METRICS_OPENMETRICS);
    add_labelled("a", TERCET_METRIC_GAUGE, 1, "x");
    add_labelled("b", TERCET_METRIC_GAUGE, 2, "x");
    add_labelled("a", TERCET_METRIC_GAUGE, 3, "y");
    end_is("# TYPE a gauge\n# HELP a Words.\na{who=\"x\"} 1\na{who=\"y\"} 3\n"
           "# TYPE b gauge\n# HELP b Words.\nb{who=\"x\"} 2\n# EOF\n");
}

Test(text, numbers_read_back_as_they_were)
{
    const double values[] = {0, 1, 0.1, 1.0 / 3, 123456789, 9007199254740991.0, 1e300, -2.5};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        const char *data;
        size_t size;
        begin(TERCET_METRICS_PROMETHEUS);
        struct tercet_metric one = metric("a", TERCET_METRIC_GAUGE, values[i]);
        tercet_metrics_text_add(&one, text);
        cr_assert_eq(tercet_metrics_text_end(text, &data, &size), 0);
        cr_assert_eq(strtod(strstr(data, "\na ") + 3, NULL), values[i], "%s", data);
        tercet_metrics_text_free(text);
    }
    begin(TERCET_METRICS_PROMETHEUS);
    add_labelled("a", TERCET_METRIC_GAUGE, INFINITY, "up");
    add_labelled("a", TERCET_METRIC_GAUGE, -INFINITY, "down");
    add_labelled("a", TERCET_METRIC_GAUGE, NAN, "none");
    end_is("# TYPE a gauge\n# HELP a Words.\na{who=\"up\"} +Inf\na{who=\"down\"} -Inf\n"
           "a{who=\"none\"} NaN\n");
}

/* A text that would miss a series is none. */
Test(text, want_of_memory_is_told)
{
    const struct tercet_metric one = metric("one", TERCET_METRIC_GAUGE, 1);
    const struct tercet_metric two = metric("two", TERCET_METRIC_COUNTER, 2);
    int at = 1;
    for (bool has_failed = true; has_failed; at++) {
        const char *data = NULL;
        size_t size = 0;
        text = NULL;
        scarce_fail_at(at);
        int rc = tercet_metrics_text_new(&text, TERCET_METRICS_OPENMETRICS);
        if (rc == 0) {
            tercet_metrics_text_add(&one, text);
            tercet_metrics_text_add(&two, text);
            rc = tercet_metrics_text_end(text, &data, &size);
        }
        has_failed = scarce_has_failed();
        scarce_fail_at(0);
        cr_assert_eq(rc, has_failed ? TERCET_NOMEM : 0, "fault %d: %d", at, rc);
        tercet_metrics_text_free(text);
    }
    cr_assert_gt(at, 6, "the text, two families with name and lines");
}

/* comma.sh runs it where numbers are written with a comma; elsewhere it is the plain case. */
Test(text, a_number_has_a_point_in_every_locale)
{
    const double bounds[] = {0.25, 1};
    const uint64_t counts[] = {1, 0, 2};
    struct tercet_metric one = metric("a", TERCET_METRIC_GAUGE, -1234.5);
    struct tercet_metric two = metric("b", TERCET_METRIC_GAUGE, 1.5e300);
    struct tercet_metric three = metric("c", TERCET_METRIC_GAUGE, 1e21);
    struct tercet_metric four = metric("d", TERCET_METRIC_HISTOGRAM, 0);
    const char *name = getenv("TERCET_TEST_LOCALE");
    if (name != NULL) {
        char number[8];
        cr_assert_not_null(setlocale(LC_NUMERIC, name));
        snprintf(number, sizeof(number), "%.1f", 1.5);
        cr_assert_str_eq(number, "1,5", "it is what it is for");
    }
    four.bucket_count = 3;
    four.bounds = bounds;
    four.counts = counts;
    four.sum = 0.1;
    begin(TERCET_METRICS_OPENMETRICS);
    tercet_metrics_text_add(&one, text);
    tercet_metrics_text_add(&two, text);
    tercet_metrics_text_add(&three, text);
    tercet_metrics_text_add(&four, text);
    end_is("# TYPE a gauge\n# HELP a Words.\na -1234.5\n"
           "# TYPE b gauge\n# HELP b Words.\nb 1.5e+300\n"
           "# TYPE c gauge\n# HELP c Words.\nc 1e+21\n"
           "# TYPE d histogram\n# HELP d Words.\nd_bucket{le=\"0.25\"} 1\nd_bucket{le=\"1.0\"} 1\n"
           "d_bucket{le=\"+Inf\"} 3\nd_count 3\nd_sum 0.1\n# EOF\n");
}
