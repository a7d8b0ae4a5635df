/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h (public): Run, the whole plan in one request.
 */
#include "client.h"

#include <stdlib.h>

/* The branches as messages. */
struct plan {
    size_t count;
    Tercet__V1__Branch *branches;
    Tercet__V1__Branch **pointers;
    uint8_t **payloads; /* malloc'ed ones */
};

static void clear_plan(struct plan *plan)
{
    for (size_t i = 0; plan->payloads != NULL && i < plan->count; i++)
        free(plan->payloads[i]);
    free(plan->payloads);
    free(plan->pointers);
    free(plan->branches);
}

static int fill_plan(struct plan *plan, const struct tercet_branch *branches, struct refusal *no)
{
    int rc = 0;
    plan->branches = calloc(plan->count, sizeof(Tercet__V1__Branch));
    plan->pointers = calloc(plan->count, sizeof(Tercet__V1__Branch *));
    plan->payloads = calloc(plan->count, sizeof(uint8_t *));
    if (plan->branches == NULL || plan->pointers == NULL || plan->payloads == NULL)
        return refusal_set_plain(no, TERCET_NOMEM);
    for (size_t i = 0; rc == 0 && i < plan->count; i++) {
        plan->pointers[i] = &plan->branches[i];
        rc = client_branch_fill(&plan->branches[i], &plan->payloads[i], &branches[i],
                                (uint32_t)i + 1, no);
    }
    return rc;
}

static int pack_run(struct client_request *request, struct tercet_client *client,
                    const struct plan *plan, const struct tercet_begin_options *options,
                    struct refusal *no)
{
    Tercet__V1__SessionRequest message = TERCET__V1__SESSION_REQUEST__INIT;
    Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
    struct client_options wire;
    client_options_fill(&wire, options);
    run.gid = request->gid.text;
    run.options = &wire.message;
    run.branches = plan->pointers;
    run.n_branches = plan->count;
    run.wait = (Tercet__V1__Wait)options->wait;
    message.request_case = TERCET__V1__SESSION_REQUEST__REQUEST_RUN;
    message.run = &run;
    return client_request_pack(request, client, &message, no);
}

static int submit_run(struct tercet_client *client, const struct plan *plan,
                      const struct tercet_gid *gid, const struct tercet_begin_options *options,
                      const struct client_request *callbacks, struct refusal *no)
{
    struct client_request *request = client_request_new(CLIENT_RUN, gid);
    if (request == NULL)
        return refusal_set_plain(no, TERCET_NOMEM);
    request->wait = options->wait;
    request->on_result = callbacks->on_result;
    request->on_answer = callbacks->on_answer;
    request->ctx = callbacks->ctx;
    request->deadline_ms = clock_monotonic_ms() + options->timeout_ms;
    int rc = pack_run(request, client, plan, options, no);
    if (rc == 0)
        rc = client_submit(client, request, no);
    if (rc != 0)
        client_request_free(request);
    return rc;
}

static const char *check_count(const struct tercet_branch *branches, size_t branch_count)
{
    if (branches == NULL || branch_count == 0)
        return "a plan has at least one branch";
    if (branch_count > TERCET_BRANCHES_MAX)
        return "a transaction has at most 1024 branches";
    return NULL;
}

static int start_run(struct tercet_client *client, const struct tercet_branch *branches,
                     size_t branch_count, const struct tercet_begin_options *given,
                     const struct client_request *callbacks, struct tercet_gid *gid_out,
                     struct refusal *no)
{
    struct tercet_begin_options options;
    struct plan plan = {.count = branch_count};
    int rc = refusal_if(no, TERCET_INVALID, client_check_process(client));
    if (rc == 0)
        rc = refusal_if(no, TERCET_INVALID, check_count(branches, branch_count));
    if (rc == 0)
        rc = client_options_take(&options, gid_out, given, client, no);
    if (rc == 0)
        rc = fill_plan(&plan, branches, no);
    if (rc == 0)
        rc = submit_run(client, &plan, gid_out, &options, callbacks, no);
    clear_plan(&plan);
    return rc;
}

int tercet_run_start(struct tercet_client *client, const struct tercet_branch *branches,
                     size_t branch_count, const struct tercet_begin_options *options,
                     tercet_result_fn done, void *ctx)
{
    const struct client_request callbacks = {.on_result = done, .ctx = ctx};
    struct tercet_gid gid;
    struct refusal no;
    return start_run(client, branches, branch_count, options, &callbacks, &gid, &no);
}

int tercet_run_tried(struct tercet_client *client, const struct tercet_branch *branches,
                     size_t branch_count, const struct tercet_begin_options *options,
                     struct tercet_tried *tries, struct tercet_result *result)
{
    struct client_waiter waiter;
    const struct client_request callbacks = {.on_answer = client_on_waited_plan, .ctx = &waiter};
    struct tercet_gid gid = {.text = ""};
    struct refusal no;
    client_assert_may_block();
    client_waiter_init(&waiter, result, NULL);
    waiter.tries = tries;
    waiter.try_count = tries != NULL ? branch_count : 0;
    int rc = start_run(client, branches, branch_count, options, &callbacks, &gid, &no);
    return client_waiter_end(&waiter, rc, &gid, &no);
}

int tercet_run(struct tercet_client *client, const struct tercet_branch *branches,
               size_t branch_count, const struct tercet_begin_options *options,
               struct tercet_result *result)
{
    return tercet_run_tried(client, branches, branch_count, options, NULL, result);
}
