/* SPDX-License-Identifier: Apache-2.0
 *
 * What holds of every metric that is declared, and of samples and buckets.
 */
#include <criterion/criterion.h>
#include <metrics.h>
#include <stdio.h>
#include <string.h>

static const struct declared {
    const char *name, *unit, *labels, *help;
    enum tercet_metric_type type;
} declared[] = {
#define X(id, name, type, unit, scale, labels, help)                                               \
    {name, unit, labels, help, TERCET_METRIC_##type},
    METRICS(X)
#undef X
};

#define COUNT (sizeof(declared) / sizeof(declared[0]))

static bool ends_with(const char *name, const char *end)
{
    size_t size = strlen(name), end_size = strlen(end);
    return size > end_size && strcmp(name + size - end_size, end) == 0;
}

Test(declared, names_are_as_prometheus_asks)
{
    static const char *const suffixes[] = {"_total", "_count", "_sum", "_bucket", "_info"};
    for (size_t i = 0; i < COUNT; i++) {
        const char *name = declared[i].name;
        cr_assert(strncmp(name, "tercet_", 7) == 0 || strncmp(name, "process_", 8) == 0, "%s",
                  name);
        cr_assert_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name), "%s", name);
        for (size_t s = 0; s < sizeof(suffixes) / sizeof(suffixes[0]); s++)
            cr_assert(!ends_with(name, suffixes[s]), "%s: %s is the format's", name, suffixes[s]);
    }
}

Test(declared, a_unit_ends_the_name)
{
    for (size_t i = 0; i < COUNT; i++) {
        char end[32];
        snprintf(end, sizeof(end), "_%s", declared[i].unit);
        cr_assert(declared[i].unit[0] == '\0' || ends_with(declared[i].name, end), "%s: unit %s",
                  declared[i].name, declared[i].unit);
        cr_assert(declared[i].type != TERCET_METRIC_INFO || declared[i].unit[0] == '\0');
    }
}

Test(declared, each_is_there_once_and_explained)
{
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < i; k++)
            cr_assert_str_neq(declared[i].name, declared[k].name);
        cr_assert(ends_with(declared[i].help, "."), "%s: %s", declared[i].name, declared[i].help);
        cr_assert_null(strstr(declared[i].labels, "le"), "%s", declared[i].name);
    }
}

/* -- Samples ----------------------------------------------------------------------------------- */

struct seen {
    size_t count;
    struct tercet_metric last;
    uint64_t counts[METRIC_BUCKETS_MAX];
    double bounds[METRIC_BUCKETS_MAX];
    char names[256];
};

static void see(const struct tercet_metric *metric, void *ctx)
{
    struct seen *seen = ctx;
    seen->count++;
    seen->last = *metric;
    strncat(seen->names, metric->name, sizeof(seen->names) - strlen(seen->names) - 1);
    strcat(seen->names, " ");
    for (size_t i = 0; i < metric->bucket_count; i++)
        seen->counts[i] = metric->counts[i];
    for (size_t i = 0; i + 1 < metric->bucket_count; i++)
        seen->bounds[i] = metric->bounds[i];
}

Test(samples, those_of_one_name_come_together)
{
    struct samples samples = {0};
    struct seen seen = {0};
    samples_add(&samples, METRIC_OPEN, 1, "trying", NULL, NULL);
    samples_add(&samples, METRIC_PARKED, 2, NULL, NULL, NULL);
    samples_add(&samples, METRIC_OPEN, 3, "confirming", NULL, NULL);
    samples_visit(&samples, see, &seen);
    cr_assert_str_eq(seen.names, "tercet_transactions_open tercet_transactions_open "
                                 "tercet_branches_parked ");
    cr_assert_eq(seen.last.value, 2);
    samples_clear(&samples);
    cr_assert_eq(samples.count, 0);
}

Test(samples, labels_have_the_names_that_were_declared)
{
    struct samples samples = {0};
    struct seen seen = {0};
    samples_add(&samples, METRIC_SERVICE_RESULTS, 1, "a", "try", "done");
    samples_visit(&samples, see, &seen);
    cr_assert_eq(seen.last.label_count, 3);
    cr_assert_str_eq(seen.last.labels[0].value, "a");
    cr_assert_str_eq(seen.last.labels[2].value, "done");
    samples_clear(&samples);
}

Test(samples, a_bound_belongs_to_its_bucket)
{
    struct histogram histogram = {{0}, 0};
    struct samples samples = {0};
    struct seen seen = {0};
    const int64_t values_ms[] = {-5, 0, 1, 2, 3, 600000, 600001};
    for (size_t i = 0; i < sizeof(values_ms) / sizeof(values_ms[0]); i++)
        histogram_add(&histogram, METRIC_DECISION, values_ms[i]);
    samples_add_histogram(&samples, METRIC_DECISION, &histogram, "confirmed");
    samples_visit(&samples, see, &seen);
    const size_t last = seen.last.bucket_count - 1;
    cr_assert_eq(seen.bounds[0], 0.001);
    cr_assert_eq(seen.bounds[last - 1], 600);
    cr_assert_eq(seen.counts[0], 3, "-5 counts as 0, and 1 ms is at most 1 ms");
    cr_assert_eq(seen.counts[1], 1);
    cr_assert_eq(seen.counts[2], 1);
    cr_assert_eq(seen.counts[last - 1], 1);
    cr_assert_eq(seen.counts[last], 1);
    cr_assert_float_eq(seen.last.sum, 1200.007, 1e-9);
    samples_clear(&samples);
}

Test(samples, a_try_that_is_given_up_is_not_read_as_a_minute)
{
    struct histogram histogram = {{0}, 0};
    struct samples samples = {0};
    struct seen seen = {0};
    histogram_add(&histogram, METRIC_DECISION, 10005);
    samples_add_histogram(&samples, METRIC_DECISION, &histogram, "cancelled");
    samples_visit(&samples, see, &seen);
    size_t bucket = 0;
    while (bucket + 1 < seen.last.bucket_count && seen.counts[bucket] == 0)
        bucket++;
    cr_assert_eq(seen.counts[bucket], 1);
    cr_assert_eq(seen.bounds[bucket - 1], 10);
    cr_assert_eq(seen.bounds[bucket], 15);
    samples_clear(&samples);
}
