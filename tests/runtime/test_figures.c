/* SPDX-License-Identifier: Apache-2.0
 *
 * What clients and participants measure of themselves.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <string.h>
#include <tercet/metrics.h>

TestSuite(figures, .timeout = 200);

static struct fake fake;
static struct bench bench;
static struct results results = RESULTS_INIT;

/* One series among those that are handed over; -1: it is not. */
struct wanted {
    const char *name, *labels[TERCET_METRIC_LABELS_MAX];
    double value;
};

static void look(const struct tercet_metric *metric, void *ctx)
{
    struct wanted *wanted = ctx;
    if (strcmp(metric->name, wanted->name) != 0)
        return;
    for (size_t i = 0; i < metric->label_count; i++)
        if (strcmp(metric->labels[i].value, wanted->labels[i]) != 0)
            return;
    wanted->value = metric->value; /* 0 of a histogram */
    for (size_t i = 0; i < metric->bucket_count; i++)
        wanted->value += (double)metric->counts[i];
}

static double of_client(struct tercet_client *client, const char *name, const char *label)
{
    struct wanted wanted = {.name = name, .labels = {label}, .value = -1};
    tercet_client_metrics(client, look, &wanted);
    return wanted.value;
}

static double of_participant(const char *name, const char *kind, const char *outcome)
{
    struct wanted wanted = {.name = name, .labels = {"inventory", kind, outcome}, .value = -1};
    tercet_participant_metrics(bench.participant, look, &wanted);
    return wanted.value;
}

static const struct fake_event *run(struct tercet_client *client)
{
    cr_assert_eq(tercet_run_start(client, &branch_example, 1, NULL, on_result, &results), 0);
    return fake_next(&fake, FAKE_REQUEST);
}

Test(figures, a_client_counts_what_became_of_its_requests)
{
    fake_start(&fake);
    struct tercet_client *client = client_open(&fake, 0);
    fake_answer_state(run(client), CRPC_OK, TERCET__V1__STATE__CONFIRMING);
    results_wait(&results, 1);
    fake_answer_code(run(client), CRPC_ALREADY_EXISTS, "other content");
    results_wait(&results, 2);
    run(client);
    cr_assert_eq(of_client(client, "tercet_client_requests", "TERCET_OK"), 1);
    cr_assert_eq(of_client(client, "tercet_client_requests", "TERCET_EXISTS"), 1);
    cr_assert_eq(of_client(client, "tercet_client_requests", "TERCET_UNKNOWN"), -1);
    cr_assert_eq(of_client(client, "tercet_client_request_duration_seconds", ""), 2);
    cr_assert_eq(of_client(client, "tercet_client_requests_open", ""), 1);
    cr_assert_gt(of_client(client, "tercet_client_requests_open_bytes", ""), 0);
    cr_assert_eq(of_client(client, "tercet_client_connected", ""), 1);
    tercet_client_close(client);
    fake_stop(&fake);
}

Test(figures, a_participant_counts_what_it_answered)
{
    struct call call;
    bench_open(&bench, NULL);
    call_fill(&call, TERCET_TRY, "order:1", "bytes");
    bench_call(&bench, &call);
    call_fill(&call, TERCET_CONFIRM, "order:1", "bytes");
    bench_call(&bench, &call);
    call_fill(&call, TERCET_TRY, "order:2", "refuse");
    bench_call(&bench, &call);
    call_fill(&call, TERCET_TRY, "order:3", "again");
    bench_call(&bench, &call);
    cr_assert_eq(of_participant("tercet_participant_calls", "try", "done"), 1);
    cr_assert_eq(of_participant("tercet_participant_calls", "confirm", "done"), 1);
    cr_assert_eq(of_participant("tercet_participant_calls", "try", "refused"), 1);
    cr_assert_eq(of_participant("tercet_participant_calls", "try", "again"), 1);
    cr_assert_eq(of_participant("tercet_participant_calls", "cancel", "done"), 0);
    cr_assert_eq(of_participant("tercet_participant_connected", "", ""), 1);
    cr_assert_eq(of_participant("tercet_participant_calls_waiting", "", ""), 0);
    bench_close(&bench);
}

Test(figures, a_hook_that_runs_is_seen)
{
    struct call call;
    bench_open(&bench, NULL);
    call_fill(&call, TERCET_TRY, "order:1", "gate");
    fake_put_call(bench.stream, &call.message);
    fake_flush(bench.stream);
    recorder_wait_entered(&bench.recorder, 1);
    cr_assert_eq(of_participant("tercet_participant_calls_running", "", ""), 1);
    recorder_open_gate(&bench.recorder);
    fake_next(&bench.fake, FAKE_RESULT);
    cr_assert_eq(of_participant("tercet_participant_call_duration_seconds", "", ""), 1);
    bench_close(&bench);
}
