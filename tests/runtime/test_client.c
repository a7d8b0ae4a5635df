/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's promise: one callback for each request, an answer or TERCET_UNKNOWN, whatever the
 * connection does.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(client, .timeout = 200);

static struct fake fake;
static struct results results = RESULTS_INIT;

static int start_example(struct tercet_client *client, const char *gid, int64_t timeout_ms)
{
    struct tercet_begin_options options = {
        .size = sizeof(options), .gid = gid, .timeout_ms = timeout_ms};
    return tercet_run_start(client, &branch_example, 1, &options, on_result, &results);
}

static void close_both(struct tercet_client *client)
{
    tercet_client_close(client);
    fake_stop(&fake);
}

/* What is sent */

Test(client, sends_the_whole_plan)
{
    const struct tercet_metadata metadata = {.key = "traceparent", .value = "00-ab-cd-01"};
    const struct tercet_branch branches[] = {branch_example,
                                             {.action = "payment/charge", .try_timeout_ms = 500}};
    struct tercet_begin_options options = {.size = sizeof(options),
                                           .gid = "order:1",
                                           .deadline_ms = 5000,
                                           .is_ordered = true,
                                           .retry_base_ms = 7,
                                           .metadata = &metadata,
                                           .metadata_count = 1,
                                           .wait = TERCET_WAIT_RESOLVED};
    fake_start(&fake);
    struct tercet_client *client = client_open(&fake, 0);
    cr_assert_eq(tercet_run_start(client, branches, 2, &options, on_result, &results), 0);
    const struct fake_event *event = fake_next(&fake, FAKE_REQUEST);
    const Tercet__V1__RunRequest *run = event->request->run;
    cr_assert_eq(event->request->request_case, TERCET__V1__SESSION_REQUEST__REQUEST_RUN);
    cr_assert_str_eq(run->gid, "order:1");
    cr_assert_eq(run->wait, TERCET__V1__WAIT__WAIT_RESOLVED);
    cr_assert_eq(run->options->deadline_ms, 5000);
    cr_assert_eq(run->options->retry_base_ms, 7);
    cr_assert(run->options->ordered);
    cr_assert_str_eq(run->options->metadata[0]->key, "traceparent");
    cr_assert_eq(run->n_branches, 2);
    cr_assert_eq(run->branches[0]->number, 1);
    cr_assert_eq(run->branches[1]->number, 2);
    cr_assert_eq(run->branches[0]->payload.len, 7);
    cr_assert_eq(memcmp(run->branches[0]->payload.data, "payload", 7), 0);
    cr_assert_str_eq(run->branches[1]->action, "payment/charge");
    cr_assert_eq(run->branches[1]->try_timeout_ms, 500);
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    struct tercet_result result = results_wait(&results, 1);
    cr_assert_eq(result.code, 0);
    cr_assert_eq(result.state, TERCET_CONFIRMED);
    cr_assert_eq(result.number, 42);
    cr_assert_str_eq(result.gid.text, "order:1");
    close_both(client);
}

Test(client, packs_a_message_as_payload)
{
    Tercet__V1__Metadata request = TERCET__V1__METADATA__INIT;
    const struct tercet_branch branch = {.action = "inventory/reserve", .request = &request.base};
    request.key = "bolt";
    fake_start(&fake);
    struct tercet_client *client = client_open(&fake, 0);
    cr_assert_eq(tercet_run_start(client, &branch, 1, NULL, on_result, &results), 0);
    const struct fake_event *event = fake_next(&fake, FAKE_REQUEST);
    const ProtobufCBinaryData *payload = &event->request->run->branches[0]->payload;
    Tercet__V1__Metadata *copy = tercet__v1__metadata__unpack(NULL, payload->len, payload->data);
    cr_assert_str_eq(copy->key, "bolt");
    tercet__v1__metadata__free_unpacked(copy, NULL);
    cr_assert_eq(strlen(event->request->run->gid), 26, "a gid is made");
    close_both(client);
}

Test(client, sends_the_token)
{
    struct tercet_client_options options = {.size = sizeof(options), .token = "sesame"};
    struct tercet_client *client = NULL;
    fake_start(&fake);
    cr_assert_eq(tercet_client_open(&client, fake.address, &options, NULL), 0);
    cr_assert_str_eq(fake_next(&fake, FAKE_SESSION)->stream->authorization, "Bearer sesame");
    close_both(client);
}

Test(client, puts_many_requests_into_one_message)
{
    static const uint8_t payload[4096];
    const struct tercet_branch branch = {.action = "inventory/reserve",
                                         .payload = {payload, sizeof(payload)}};
    enum { COUNT = 600 };
    fake_start(&fake);
    struct tercet_client *client = client_open(&fake, 0);
    struct fake_stream *stream = fake_next(&fake, FAKE_SESSION)->stream;
    fake_hold(&fake); /* so the transport takes a little, and the rest waits at the client */
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(tercet_run_start(client, &branch, 1, NULL, on_result, &results), 0);
    fake_answer_state(fake_next(&fake, FAKE_REQUEST), CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    fake_release(&fake, stream);
    for (unsigned i = 1; i < COUNT; i++)
        fake_answer_state(fake_next(&fake, FAKE_REQUEST), CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    results_wait(&results, COUNT);
    cr_assert_lt(fake_message_count(&fake), COUNT / 4, "%u messages for %d requests",
                 fake_message_count(&fake), COUNT);
    close_both(client);
}

/* A callback's next request. */
struct follower {
    struct tercet_client *client;
    struct results results;
};

static void start_follower(const struct tercet_result *result, void *ctx)
{
    struct follower *follower = ctx;
    (void)result;
    cr_assert_eq(
        tercet_run_start(follower->client, &branch_example, 1, NULL, on_result, &follower->results),
        0);
}

Test(client, puts_what_callbacks_of_one_message_start_into_one_message)
{
    enum { COUNT = 50 };
    struct follower follower = {.results = RESULTS_INIT};
    const struct fake_event *events[COUNT];
    fake_start(&fake);
    struct tercet_client *client = follower.client = client_open(&fake, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        cr_assert_eq(tercet_run_start(client, &branch_example, 1, NULL, start_follower, &follower),
                     0);
        events[i] = fake_next(&fake, FAKE_REQUEST);
    }
    unsigned before = fake_message_count(&fake);
    for (unsigned i = 0; i < COUNT; i++)
        fake_put_state(events[i], TERCET__V1__STATE__CONFIRMED);
    fake_flush(events[0]->stream);
    for (unsigned i = 0; i < COUNT; i++)
        events[i] = fake_next(&fake, FAKE_REQUEST);
    cr_assert_eq(fake_message_count(&fake), before + 1);
    for (unsigned i = 0; i < COUNT; i++)
        fake_answer_state(events[i], CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    results_wait(&follower.results, COUNT);
    close_both(client);
}

/* Lost connections */

Test(client, asks_again_after_a_lost_answer)
{
    fake_start(&fake);
    struct tercet_client *client = client_open(&fake, 0);
    cr_assert_eq(start_example(client, "order:1", 0), 0);
    const struct fake_event *first = fake_next(&fake, FAKE_REQUEST);
    fake_drop(first->stream);
    const struct fake_event *second = fake_next(&fake, FAKE_REQUEST);
    cr_assert_neq(first->stream, second->stream);
    cr_assert_str_eq(second->request->run->gid, "order:1");
    cr_assert_eq(second->request->id, first->request->id);
    cr_assert_str_eq(second->request->run->branches[0]->action,
                     first->request->run->branches[0]->action);
    fake_answer_state(second, CRPC_OK, TERCET__V1__STATE__CONFIRMING);
    cr_assert_eq(results_wait(&results, 1).code, 0);
    close_both(client);
    cr_assert_eq(results_count(&results), 1);
}

Test(client, asks_again_in_the_order_of_age)
{
    char gid[16];
    fake_start(&fake);
    struct tercet_client *client = client_open(&fake, 0);
    for (int i = 0; i < 20; i++) {
        snprintf(gid, sizeof(gid), "order:%d", i);
        cr_assert_eq(start_example(client, gid, 0), 0);
    }
    const struct fake_event *event = NULL;
    for (int i = 0; i < 20; i++)
        event = fake_next(&fake, FAKE_REQUEST);
    /* the last is not open any more */
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__CONFIRMING);
    results_wait(&results, 1);
    fake_drop(event->stream);
    for (int i = 0; i < 19; i++) {
        snprintf(gid, sizeof(gid), "order:%d", i);
        event = fake_next(&fake, FAKE_REQUEST);
        cr_assert_str_eq(event->request->run->gid, gid);
        fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__CONFIRMING);
    }
    results_wait(&results, 20);
    cr_assert_eq(fake_count(&fake, FAKE_REQUEST), 0);
    close_both(client);
}

Test(client, hears_an_answer_once)
{
    fake_start(&fake);
    struct tercet_client *client = client_open(&fake, 0);
    cr_assert_eq(start_example(client, NULL, 0), 0);
    const struct fake_event *event = fake_next(&fake, FAKE_REQUEST);
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__CONFIRMING);
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__CANCELLING);
    cr_assert_eq(start_example(client, NULL, 0), 0);
    fake_answer_state(fake_next(&fake, FAKE_REQUEST), CRPC_OK, TERCET__V1__STATE__CONFIRMING);
    cr_assert_eq(results_wait(&results, 2).code, 0);
    close_both(client);
    cr_assert_eq(results_count(&results), 2);
}

Test(client, survives_bytes_that_are_no_answer)
{
    fake_start(&fake);
    struct tercet_client *client = client_open(&fake, 0);
    cr_assert_eq(start_example(client, "order:1", 0), 0);
    const struct fake_event *event = fake_next(&fake, FAKE_REQUEST);
    cr_assert_eq(outbox_put_bytes(event->stream->outbox, 1, (struct crpc_bytes){"\xff\xff\xff", 3}),
                 0);
    outbox_flush(event->stream->outbox);
    event = fake_next(&fake, FAKE_REQUEST);
    cr_assert_str_eq(event->request->run->gid, "order:1");
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    cr_assert_eq(results_wait(&results, 1).code, 0);
    close_both(client);
}

/* Patience */

Test(client, loses_patience_without_knowing)
{
    fake_start(&fake);
    struct tercet_client *client = client_open(&fake, 0);
    cr_assert_eq(start_example(client, "order:1", 200), 0);
    const struct fake_event *event = fake_next(&fake, FAKE_REQUEST);
    struct tercet_result result = results_wait(&results, 1);
    cr_assert_eq(result.code, TERCET_UNKNOWN);
    cr_assert_eq(result.state, 0);
    cr_assert_str_eq(result.gid.text, "order:1");
    cr_assert_not_null(strstr(result.text, "same gid"), "%s", result.text);
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__CANCELLED); /* too late: nobody waits */
    cr_assert_eq(start_example(client, "order:1", 0), 0);
    fake_answer_state(fake_next(&fake, FAKE_REQUEST), CRPC_OK, TERCET__V1__STATE__CANCELLED);
    cr_assert_eq(results_wait(&results, 2).code, TERCET_REFUSED);
    close_both(client);
    cr_assert_eq(results_count(&results), 2);
}

Test(client, says_unknown_when_nobody_is_there)
{
    struct tercet_result result;
    struct tercet_begin_options options = {.size = sizeof(options), .timeout_ms = 3000};
    fake_start(&fake);
    struct tercet_client *client = client_open(&fake, 0);
    fake_stop(&fake);
    cr_assert_eq(tercet_run(client, &branch_example, 1, &options, &result), TERCET_UNKNOWN);
    cr_assert_not_null(strstr(result.text, "UNAVAILABLE"), "%s", result.text);
    cr_assert_eq(strlen(result.gid.text), 26);
    tercet_client_close(client);
}

/* Limits and closing */

Test(client, has_a_limit_of_open_requests)
{
    struct tercet_client_options options = {.size = sizeof(options), .requests_max = 2};
    struct tercet_client *client = NULL;
    struct tercet_result result;
    fake_start(&fake);
    cr_assert_eq(tercet_client_open(&client, fake.address, &options, NULL), 0);
    cr_assert_eq(start_example(client, NULL, 0), 0);
    cr_assert_eq(start_example(client, NULL, 0), 0);
    cr_assert_eq(start_example(client, NULL, 0), TERCET_EXHAUSTED);
    cr_assert_eq(tercet_get(client, "order:1", &result), TERCET_EXHAUSTED);
    cr_assert_not_null(strstr(result.text, "requests_max"));
    fake_answer_state(fake_next(&fake, FAKE_REQUEST), CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    results_wait(&results, 1);
    cr_assert_eq(start_example(client, NULL, 0), 0);
    close_both(client);
    cr_assert_eq(results_count(&results), 3);
}

static int run_blocking(struct blocking *blocking)
{
    return tercet_run(blocking->client, &branch_example, 1, NULL, &blocking->result);
}

Test(client, ends_open_requests_when_closed)
{
    fake_start(&fake);
    struct blocking blocking = {.client = client_open(&fake, 0)};
    cr_assert_eq(start_example(blocking.client, NULL, 0), 0);
    cr_assert_eq(start_example(blocking.client, NULL, 0), 0);
    blocking_start(&blocking, run_blocking);
    for (int i = 0; i < 3; i++)
        fake_next(&fake, FAKE_REQUEST);
    close_both(blocking.client);
    cr_assert_eq(results_count(&results), 2);
    cr_assert_eq(results.last.code, TERCET_UNKNOWN);
    cr_assert_eq(blocking_join(&blocking), TERCET_UNKNOWN);
}

static void start_another(const struct tercet_result *result, void *ctx)
{
    struct tercet_client **client = ctx;
    int rc = start_example(*client, NULL, 0);
    cr_assert_eq(rc, result->code == TERCET_UNKNOWN ? TERCET_CLOSED : 0);
    on_result(result, &results);
}

Test(client, takes_requests_from_a_callback)
{
    fake_start(&fake);
    struct tercet_client *client = client_open(&fake, 0);
    cr_assert_eq(tercet_run_start(client, &branch_example, 1, NULL, start_another, &client), 0);
    fake_answer_state(fake_next(&fake, FAKE_REQUEST), CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    results_wait(&results, 1);
    cr_assert_eq(tercet_run_start(client, &branch_example, 1, NULL, start_another, &client), 0);
    close_both(client);
    cr_assert_eq(results_count(&results), 3);
}

/* Arguments */

static void expect_invalid(struct tercet_client *client, const struct tercet_branch *branch,
                           size_t count, const struct tercet_begin_options *options,
                           const char *word)
{
    struct tercet_result result;
    cr_expect_eq(tercet_run(client, branch, count, options, &result), TERCET_INVALID, "%s", word);
    cr_expect_not_null(strstr(result.text, word), "\"%s\" says nothing of \"%s\"", result.text,
                       word);
}

Test(client, checks_before_it_sends)
{
    static uint8_t large[TERCET_PAYLOAD_MAX + 1];
    static struct tercet_branch many[TERCET_BRANCHES_MAX + 1];
    const struct tercet_metadata metadata = {.key = "Upper", .value = "x"};
    struct tercet_branch branch = {.action = "no slash"};
    struct tercet_begin_options options = {.size = sizeof(options)};
    fake_start(&fake);
    struct tercet_client *client = client_open(&fake, 0);
    expect_invalid(client, &branch, 1, NULL, "service/name");
    branch = (struct tercet_branch){.action = "a/b", .payload = {large, sizeof(large)}};
    expect_invalid(client, &branch, 1, NULL, "65536");
    branch.payload.size = TERCET_PAYLOAD_MAX;
    for (size_t i = 0; i <= TERCET_BRANCHES_MAX; i++)
        many[i] = branch;
    expect_invalid(client, many, 0, NULL, "at least one");
    expect_invalid(client, many, TERCET_BRANCHES_MAX + 1, NULL, "1024");
    expect_invalid(client, many, 17, NULL, "1 MiB");
    options.gid = "has space";
    expect_invalid(client, &branch, 1, &options, "gid");
    options.gid = NULL;
    options.metadata = &metadata;
    options.metadata_count = 1;
    expect_invalid(client, &branch, 1, &options, "metadata key");
    options.metadata_count = TERCET_METADATA_MAX + 1;
    expect_invalid(client, &branch, 1, &options, "16");
    options.metadata_count = 0;
    options.deadline_ms = UINT32_MAX;
    expect_invalid(client, &branch, 1, &options, "30 days");
    cr_assert_eq(tercet_get(client, NULL, NULL), TERCET_INVALID);
    close_both(client);
    cr_assert_eq(fake_message_count(&fake), 0);
}

Test(client, names_what_is_wrong_with_its_options)
{
    struct tercet_client *client = NULL;
    char text[TERCET_TEXT_MAX];
    struct tercet_client_options options = {.size = sizeof(options)};
    cr_assert_eq(tercet_client_open(&client, "nowhere", NULL, text), TERCET_ADDRESS);
    cr_assert_not_null(strstr(text, "host:port"));
    options.token = "two\nlines";
    cr_assert_eq(tercet_client_open(&client, "127.0.0.1:1", &options, text), TERCET_INVALID);
    options.token = NULL;
    options.tls_cert = "x";
    cr_assert_eq(tercet_client_open(&client, "127.0.0.1:1", &options, text), TERCET_TLS);
    options.tls_ca = "no certificate";
    options.tls_key = "x";
    cr_assert_eq(tercet_client_open(&client, "127.0.0.1:1", &options, NULL), TERCET_TLS);
    options = (struct tercet_client_options){.size = 1};
    cr_assert_eq(tercet_client_open(&client, "127.0.0.1:1", &options, text), TERCET_INVALID);
    cr_assert_null(client);
    tercet_client_close(NULL);
}
