/* SPDX-License-Identifier: Apache-2.0
 *
 * A coordinator that cannot be reached, a process that was forked, a hook that calls itself: each
 * is said at once.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(reach, .timeout = 200);

static struct fake fake;
static struct results results = RESULTS_INIT;

/* Nobody listens there. */
static const char *nowhere(void)
{
    static char address[64];
    snprintf(address, sizeof(address), "unix:/tmp/tercet-nobody-%ld", (long)getpid());
    return address;
}

struct lines {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char last[512];
};

static void keep_line(enum tercet_log_level level, const char *text, void *ctx)
{
    struct lines *lines = ctx;
    (void)level;
    pthread_mutex_lock(&lines->lock);
    snprintf(lines->last, sizeof(lines->last), "%s", text);
    pthread_cond_signal(&lines->changed);
    pthread_mutex_unlock(&lines->lock);
}

static struct tercet_client *open_at(const char *address, struct tercet_client_options *options)
{
    struct tercet_client *client = NULL;
    char text[TERCET_TEXT_MAX];
    options->size = sizeof(*options);
    cr_assert_eq(tercet_client_open(&client, address, options, text), 0, "%s", text);
    return client;
}

/* -- Nobody there ------------------------------------------------------------------------------ */

Test(reach, wait_says_that_nobody_is_there)
{
    struct tercet_client_options options = {.timeout_ms = 50000};
    struct tercet_client *client = open_at(nowhere(), &options);
    char text[TERCET_TEXT_MAX];
    cr_assert_eq(tercet_client_wait(client, 100, text), TERCET_UNAVAILABLE);
    cr_assert_eq(strncmp(text, "UNAVAILABLE: ", 13), 0, "%s", text);
    cr_assert_eq(tercet_client_wait(client, -1, text), TERCET_INVALID);
    tercet_client_close(client);
}

static int wait_for_life(struct blocking *blocking)
{
    return tercet_client_wait(blocking->client, 0, blocking->result.text);
}

static int wait_against(enum crpc_code code)
{
    struct blocking blocking = {.client = client_open(&fake, 0)};
    blocking_start(&blocking, wait_for_life);
    fake_answer_code(fake_next(&fake, FAKE_REQUEST), code, "so it is");
    int rc = blocking_join(&blocking);
    cr_assert_str_eq(blocking.result.text, rc == 0 ? "" : "so it is");
    tercet_client_close(blocking.client);
    return rc;
}

Test(reach, wait_takes_any_answer_but_a_denial)
{
    fake_start(&fake);
    cr_expect_eq(wait_against(CRPC_NOT_FOUND), 0);
    cr_expect_eq(wait_against(CRPC_PERMISSION_DENIED), TERCET_DENIED);
    fake_stop(&fake);
}

Test(reach, fails_fast_does_not_wait)
{
    struct tercet_client_options options = {.timeout_ms = 50000, .fails_fast = true};
    struct tercet_client *client = open_at(nowhere(), &options);
    struct tercet_result result;
    int rc = tercet_run(client, &branch_example, 1, NULL, &result);
    cr_assert(rc == TERCET_UNKNOWN || rc == TERCET_UNAVAILABLE, "%d", rc);
    cr_assert(strstr(result.text, "cannot be reached") != NULL, "%s", result.text);
    /* What is begun while no connection is tried was surely not sent. */
    for (rc = 0; rc != TERCET_UNAVAILABLE;)
        rc = tercet_run(client, &branch_example, 1, NULL, &result);
    cr_assert_str_eq(result.text, "the coordinator cannot be reached (fails_fast)");
    tercet_client_close(client);
}

Test(reach, fails_fast_ends_what_is_open_and_goes_on)
{
    struct tercet_client_options options = {.fails_fast = true};
    fake_start(&fake);
    struct tercet_client *client = open_at(fake.address, &options);
    cr_assert_eq(tercet_run_start(client, &branch_example, 1, NULL, on_result, &results), 0);
    fake_drop(fake_next(&fake, FAKE_REQUEST)->stream);
    struct tercet_result result = results_wait(&results, 1);
    cr_assert_eq(result.code, TERCET_UNKNOWN, "it may have been begun");
    cr_assert(strstr(result.text, "dropped by the test") != NULL, "%s", result.text);
    int rc;
    do
        rc = tercet_run_start(client, &branch_example, 1, NULL, on_result, &results);
    while (rc == TERCET_UNAVAILABLE);
    cr_assert_eq(rc, 0);
    fake_answer_state(fake_next(&fake, FAKE_REQUEST), CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    cr_assert_eq(results_wait(&results, 2).code, 0);
    tercet_client_close(client);
    fake_stop(&fake);
}

Test(reach, a_silent_coordinator_is_told)
{
    struct lines lines = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, ""};
    struct tercet_client_options options = {.on_log = keep_line, .log_ctx = &lines};
    fake_start(&fake);
    struct tercet_client *client = open_at(fake.address, &options);
    cr_assert_eq(tercet_run_start(client, &branch_example, 1, NULL, on_result, &results), 0);
    fake_next(&fake, FAKE_REQUEST); /* and no answer */
    pthread_mutex_lock(&lines.lock);
    while (lines.last[0] == '\0')
        pthread_cond_wait(&lines.changed, &lines.lock);
    cr_assert(strstr(lines.last, "no answer from the coordinator for 2000 ms") != NULL, "%s",
              lines.last);
    pthread_mutex_unlock(&lines.lock);
    tercet_client_close(client);
    fake_stop(&fake);
}

/* -- A child ----------------------------------------------------------------------------------- */

/* Every call, in the child. Returns what was wrong, 0 for nothing. */
static int use_everything(struct tercet_client *client, struct tercet_transaction *transaction)
{
    struct tercet_result result;
    struct tercet_tried tried;
    if (tercet_run(client, &branch_example, 1, NULL, &result) != TERCET_INVALID ||
        strstr(result.text, "forked") == NULL)
        return 1;
    if (tercet_try(transaction, &branch_example, &tried) != TERCET_INVALID ||
        strstr(tried.text, "forked") == NULL)
        return 2;
    if (tercet_confirm(transaction, TERCET_WAIT_DECIDED, &result) != TERCET_INVALID)
        return 3;
    if (tercet_get(client, "order:1", &result) != TERCET_INVALID)
        return 4;
    if (tercet_client_wait(client, 50000, NULL) != TERCET_INVALID)
        return 5;
    tercet_client_close(client);
    return 0;
}

Test(reach, a_child_is_told_at_once)
{
    struct tercet_transaction *transaction = NULL;
    int status = -1;
    fake_start(&fake);
    struct tercet_client *client = client_open(&fake, 0);
    cr_assert_eq(tercet_begin(&transaction, client, NULL), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(use_everything(client, transaction));
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status), "status %x", (unsigned)status);
    cr_assert_eq(WEXITSTATUS(status), 0);
    /* The parent goes on. */
    cr_assert_eq(tercet_run_start(client, &branch_example, 1, NULL, on_result, &results), 0);
    fake_answer_state(fake_next(&fake, FAKE_REQUEST), CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    cr_assert_eq(results_wait(&results, 1).code, 0);
    tercet_transaction_free(transaction);
    tercet_client_close(client);
    fake_stop(&fake);
}

/* -- A hook ------------------------------------------------------------------------------------ */

static int call_own_service(const struct tercet_call *call, void *ctx)
{
    const struct tercet_branch own = {.action = "inventory/reserve"};
    struct tercet_result result;
    int rc = tercet_run(ctx, &own, 1, NULL, &result);
    return tercet_again(call, "%s: %s", tercet_error_name(rc), result.text);
}

static int call_other_service(const struct tercet_call *call, void *ctx)
{
    const struct tercet_branch other = {.action = "inventory2/reserve"};
    int rc = tercet_run_start(ctx, &other, 1, NULL, on_result, &results);
    return tercet_again(call, "%d", rc);
}

Test(reach, a_hook_must_not_call_its_own_service)
{
    static const struct tercet_action actions[] = {{.name = "own", .on_try = call_own_service},
                                                   {.name = "other", .on_try = call_other_service}};
    struct tercet_participant *participant = NULL;
    struct tercet_participant_options options = {.size = sizeof(options)};
    fake_start(&fake);
    options.ctx = client_open(&fake, 0);
    cr_assert_eq(tercet_barrier_memory_open(&options.barrier, NULL), 0);
    cr_assert_eq(tercet_participant_open(&participant, fake.address, "inventory", actions, 2,
                                         &options, NULL),
                 0);
    struct fake_stream *stream = fake_next(&fake, FAKE_ATTACH)->stream;
    fake_accept(stream);
    for (int i = 0; i < 2; i++) {
        struct call call;
        call_fill(&call, TERCET_TRY, "order:1", i == 0 ? "own" : "other");
        fake_put_call(stream, &call.message);
        fake_flush(stream);
        const char *reason = fake_next(&fake, FAKE_RESULT)->result->reason;
        if (i == 0)
            cr_assert(strstr(reason, "TERCET_INVALID: a hook must not call its own") != NULL, "%s",
                      reason);
        else
            cr_assert_str_eq(reason, "0");
    }
    tercet_participant_close(participant);
    tercet_client_close(options.ctx);
    tercet_barrier_close(options.barrier);
    fake_stop(&fake);
}
