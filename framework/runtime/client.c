/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h (public): opening and closing a client, and asking.
 */
#include "client.h"

#include <assert.h>
#include <check.h>
#include <stdlib.h>

static int take_options(struct tercet_client_options *out,
                        const struct tercet_client_options *given, char *text)
{
    if (runtime_options_take(out, sizeof(*out), given) != 0 || out->timeout_ms < 0 ||
        out->timeout_ms > TERCET_TIMEOUT_MS_MAX) {
        runtime_text(text, "the options need their size, and a timeout of 0 to 30 days");
        return TERCET_INVALID;
    }
    if (out->timeout_ms == 0)
        out->timeout_ms = CLIENT_TIMEOUT_MS_DEFAULT;
    if (out->requests_max == 0)
        out->requests_max = CLIENT_REQUESTS_MAX_DEFAULT;
    return 0;
}

static struct tercet_client *new_client(const struct tercet_client_options *options)
{
    struct tercet_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return NULL;
    client->log = (struct runtime_log){.on_log = options->on_log, .ctx = options->log_ctx};
    client->timeout_ms = options->timeout_ms;
    client->requests_max = options->requests_max;
    client->fails_fast = options->fails_fast;
    client->reconnect = (struct runtime_pause){.first_ms = CLIENT_RECONNECT_MS_FIRST,
                                               .longest_ms = CLIENT_RECONNECT_MS_LONGEST};
    atomic_init(&client->last_id, 0);
    pthread_mutex_init(&client->lock, NULL);
    runtime_condition_init(&client->wake);
    return client;
}

static void free_client(struct tercet_client *client)
{
    runtime_link_close(&client->link);
    client_table_free(&client->table);
    pthread_cond_destroy(&client->wake);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

int tercet_client_open(struct tercet_client **out, const char *coordinator,
                       const struct tercet_client_options *given, char *text)
{
    struct tercet_client_options options;
    int rc = take_options(&options, given, text);
    if (rc != 0)
        return rc;
    struct runtime_credentials credentials = {options.token, options.tls_ca, options.tls_cert,
                                              options.tls_key, false};
    struct tercet_client *client = new_client(&options);
    if (client == NULL) {
        runtime_text(text, "%s", tercet_strerror(TERCET_NOMEM));
        return TERCET_NOMEM;
    }
    rc = runtime_link_open(&client->link, coordinator, &credentials, text);
    if (rc == 0 && pthread_create(&client->timer, NULL, client_timer_run, client) == 0) {
        pthread_setname_np(client->timer, "tercet-timer");
    } else if (rc == 0) {
        runtime_text(text, "no thread can be started");
        rc = TERCET_NOMEM;
    }
    if (rc != 0) {
        free_client(client);
        return rc;
    }
    *out = client;
    return 0;
}

void tercet_client_close(struct tercet_client *client)
{
    if (client == NULL || runtime_link_is_forked(&client->link))
        return;
    client_assert_may_block();
    pthread_mutex_lock(&client->lock);
    assert(!client->is_closing);
    client->is_closing = true;
    pthread_cond_broadcast(&client->wake);
    pthread_mutex_unlock(&client->lock);
    pthread_join(client->timer, NULL);

    pthread_mutex_lock(&client->lock);
    while (client->submitting > 0)
        pthread_cond_wait(&client->wake, &client->lock);
    pthread_mutex_unlock(&client->lock);
    free_client(client);
}

const char *client_check_process(const struct tercet_client *client)
{
    return runtime_link_is_forked(&client->link)
               ? "this process was forked after the client was opened, which serves the parent "
                 "only: open clients in the child, before any is opened in the parent"
               : NULL;
}

/* -- Asking ------------------------------------------------------------------------------------ */

/* What is asked for, and who is told. */
struct question {
    enum client_kind kind;
    enum tercet_wait wait;
    int64_t timeout_ms;
    tercet_result_fn done;
    void *ctx;
};

static int pack_question(struct client_request *request, struct tercet_client *client,
                         int64_t timeout_ms, struct refusal *no)
{
    Tercet__V1__SessionRequest message = TERCET__V1__SESSION_REQUEST__INIT;
    Tercet__V1__GetRequest get = TERCET__V1__GET_REQUEST__INIT;
    Tercet__V1__AwaitRequest await = TERCET__V1__AWAIT_REQUEST__INIT;
    get.gid = await.gid = request->gid.text;
    await.wait = (Tercet__V1__Wait)request->wait;
    await.timeout_ms = (uint32_t)timeout_ms;
    if (request->kind == CLIENT_GET) {
        message.request_case = TERCET__V1__SESSION_REQUEST__REQUEST_GET;
        message.get = &get;
    } else {
        message.request_case = TERCET__V1__SESSION_REQUEST__REQUEST_AWAIT_STATE;
        message.await_state = &await;
    }
    return client_request_pack(request, client, &message, no);
}

static const char *check_question(const struct question *question, const char *gid)
{
    if (question->wait != TERCET_WAIT_DECIDED && question->wait != TERCET_WAIT_RESOLVED)
        return "wait is TERCET_WAIT_DECIDED or TERCET_WAIT_RESOLVED here";
    if (question->timeout_ms < 0 || question->timeout_ms > TERCET_TIMEOUT_MS_MAX)
        return "a timeout is 0 to 30 days";
    return gid != NULL ? check_gid(gid) : "no gid is given";
}

static int start_question(struct tercet_client *client, const char *gid_text,
                          const struct question *question, struct tercet_gid *gid,
                          struct refusal *no)
{
    int rc = refusal_if(no, TERCET_INVALID, client_check_process(client));
    if (rc == 0)
        rc = refusal_if(no, TERCET_INVALID, check_question(question, gid_text));
    if (rc != 0)
        return rc;
    tercet_gid_set(gid, gid_text);
    struct client_request *request = client_request_new(question->kind, gid);
    if (request == NULL)
        return refusal_set_plain(no, TERCET_NOMEM);
    request->wait = question->wait;
    request->on_result = question->done;
    request->ctx = question->ctx;
    int64_t timeout_ms = question->timeout_ms > 0 ? question->timeout_ms : client->timeout_ms;
    request->deadline_ms = clock_monotonic_ms() + timeout_ms;
    rc = pack_question(request, client, timeout_ms, no);
    if (rc == 0)
        rc = client_submit(client, request, no);
    if (rc != 0)
        client_request_free(request);
    return rc;
}

static int ask(struct tercet_client *client, const char *gid_text, struct question *question,
               struct tercet_result *result)
{
    struct client_waiter waiter;
    struct tercet_gid gid = {.text = ""};
    struct refusal no;
    client_assert_may_block();
    client_waiter_init(&waiter, result, NULL);
    question->done = client_on_waited_result;
    question->ctx = &waiter;
    int rc = start_question(client, gid_text, question, &gid, &no);
    return client_waiter_end(&waiter, rc, &gid, &no);
}

/* Why no sign of life came. */
static void say_unreachable(struct tercet_client *client, char *text)
{
    pthread_mutex_lock(&client->lock);
    runtime_text(text, "%s",
                 client->last_error[0] != '\0' ? client->last_error
                                               : "no answer, and no error, in this time");
    pthread_mutex_unlock(&client->lock);
}

/* Any answer is a sign of life; that this gid is not known is the usual one. */
int tercet_client_wait(struct tercet_client *client, int64_t timeout_ms, char *text)
{
    struct question question = {.kind = CLIENT_GET, .timeout_ms = timeout_ms};
    struct tercet_gid gid;
    struct tercet_result result;
    tercet_gid_make(&gid);
    int rc = ask(client, gid.text, &question, &result);
    if (rc == TERCET_NOT_FOUND)
        rc = 0;
    if (rc == TERCET_UNKNOWN) {
        say_unreachable(client, text);
        return TERCET_UNAVAILABLE;
    }
    runtime_text(text, "%s", rc == 0 ? "" : result.text);
    return rc;
}

int tercet_get(struct tercet_client *client, const char *gid, struct tercet_result *result)
{
    struct question question = {.kind = CLIENT_GET};
    return ask(client, gid, &question, result);
}

int tercet_await(struct tercet_client *client, const char *gid, enum tercet_wait wait,
                 int64_t timeout_ms, struct tercet_result *result)
{
    struct question question = {.kind = CLIENT_AWAIT, .wait = wait, .timeout_ms = timeout_ms};
    return ask(client, gid, &question, result);
}

int tercet_await_start(struct tercet_client *client, const char *gid_text, enum tercet_wait wait,
                       int64_t timeout_ms, tercet_result_fn done, void *ctx)
{
    const struct question question = {CLIENT_AWAIT, wait, timeout_ms, done, ctx};
    struct tercet_gid gid;
    struct refusal no;
    return start_question(client, gid_text, &question, &gid, &no);
}
