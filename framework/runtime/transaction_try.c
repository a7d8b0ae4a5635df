/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h (public): step by step; beginning, trying, enlisting.
 */
#include "transaction.h"

#include <stdlib.h>

/* -- Life -------------------------------------------------------------------------------------- */

/* The options as a message of its own. */
static Tercet__V1__BeginRequest *copy_begin(const struct tercet_gid *gid,
                                            const struct tercet_begin_options *options)
{
    Tercet__V1__BeginRequest begin = TERCET__V1__BEGIN_REQUEST__INIT;
    ProtobufCMessage *copy = NULL;
    struct client_options wire;
    struct tercet_gid gid_copy = *gid;
    client_options_fill(&wire, options);
    begin.gid = gid_copy.text;
    begin.options = &wire.message;
    return crpc_message_copy(&copy, &begin.base) == 0 ? (Tercet__V1__BeginRequest *)copy : NULL;
}

int tercet_begin(struct tercet_transaction **out, struct tercet_client *client,
                 const struct tercet_begin_options *given)
{
    struct tercet_begin_options options;
    struct tercet_gid gid;
    struct refusal no;
    int rc = client_options_take(&options, &gid, given, client, &no);
    if (rc != 0)
        return rc;
    struct tercet_transaction *transaction = calloc(1, sizeof(*transaction));
    if (transaction == NULL)
        return TERCET_NOMEM;
    atomic_init(&transaction->refs, 1);
    atomic_init(&transaction->is_begun, false);
    pthread_mutex_init(&transaction->lock, NULL);
    transaction->client = client;
    transaction->gid = gid;
    transaction->timeout_ms = options.timeout_ms;
    transaction->begin = copy_begin(&gid, &options);
    if (options.reports_own_tries)
        transaction->own_tries = calloc(TERCET_BRANCHES_MAX + 1, 1);
    if (transaction->begin == NULL ||
        (options.reports_own_tries && transaction->own_tries == NULL)) {
        transaction_unref(transaction);
        return TERCET_NOMEM;
    }
    *out = transaction;
    return 0;
}

const struct tercet_gid *tercet_transaction_gid(const struct tercet_transaction *transaction)
{
    return &transaction->gid;
}

void tercet_transaction_free(struct tercet_transaction *transaction)
{
    transaction_unref(transaction);
}

/* -- Try and enlist ---------------------------------------------------------------------------- */

static int take_number(struct tercet_transaction *transaction, enum client_kind kind, uint32_t *out,
                       struct refusal *no)
{
    int rc = 0;
    pthread_mutex_lock(&transaction->lock);
    if (transaction->is_dropped)
        rc = TERCET_DECIDED;
    else if (transaction->branch_count == TERCET_BRANCHES_MAX)
        rc = TERCET_EXHAUSTED;
    else
        *out = ++transaction->branch_count;
    if (rc == 0 && kind == CLIENT_ENLIST && transaction->own_tries != NULL)
        transaction->own_tries[*out] = OWN_TRY_OPEN;
    pthread_mutex_unlock(&transaction->lock);
    if (rc == TERCET_EXHAUSTED)
        return refusal_set(no, rc, "a transaction has at most 1024 branches");
    return rc == 0 ? 0 : refusal_set_plain(no, rc);
}

static int pack_branch(struct client_request *request, Tercet__V1__Branch *branch,
                       struct refusal *no)
{
    struct tercet_transaction *transaction = request->transaction;
    Tercet__V1__SessionRequest message = TERCET__V1__SESSION_REQUEST__INIT;
    Tercet__V1__TryRequest try_branch = TERCET__V1__TRY_REQUEST__INIT;
    Tercet__V1__EnlistRequest enlist = TERCET__V1__ENLIST_REQUEST__INIT;
    Tercet__V1__BeginRequest *begin =
        atomic_load(&transaction->is_begun) ? NULL : transaction->begin;
    if (request->kind == CLIENT_TRY) {
        try_branch.gid = request->gid.text;
        try_branch.branch = branch;
        try_branch.begin = begin;
        message.request_case = TERCET__V1__SESSION_REQUEST__REQUEST_TRY_BRANCH;
        message.try_branch = &try_branch;
    } else {
        enlist.gid = request->gid.text;
        enlist.branch = branch;
        enlist.begin = begin;
        message.request_case = TERCET__V1__SESSION_REQUEST__REQUEST_ENLIST;
        message.enlist = &enlist;
    }
    return client_request_pack(request, transaction->client, &message, no);
}

/* `callbacks` says kind, callback and ctx. */
static int start_branch(struct tercet_transaction *transaction, const struct tercet_branch *branch,
                        const struct client_request *callbacks, struct tercet_branch_id *out,
                        struct refusal *no)
{
    Tercet__V1__Branch wire;
    uint8_t *payload = NULL;
    struct client_request *request = NULL;
    uint32_t number = 0;
    int rc = refusal_if(no, TERCET_INVALID, client_check_process(transaction->client));
    if (rc == 0)
        rc = client_branch_fill(&wire, &payload, branch, 0, no);
    if (rc == 0 && (request = client_request_of(transaction, callbacks->kind)) == NULL)
        rc = refusal_set_plain(no, TERCET_NOMEM);
    if (rc == 0)
        rc = take_number(transaction, callbacks->kind, &number, no);
    if (rc == 0) {
        request->on_result = callbacks->on_result;
        request->on_tried = callbacks->on_tried;
        request->ctx = callbacks->ctx;
        request->branch.number = wire.number = number;
        rc = pack_branch(request, &wire, no);
    }
    if (rc == 0)
        rc = client_submit(transaction->client, request, no);
    if (rc != 0)
        client_request_free(request);
    else if (out != NULL)
        out->number = number;
    free(payload);
    return rc;
}

int tercet_try_start(struct tercet_transaction *transaction, const struct tercet_branch *branch,
                     tercet_tried_fn done, void *ctx)
{
    const struct client_request callbacks = {.kind = CLIENT_TRY, .on_tried = done, .ctx = ctx};
    struct refusal no;
    return start_branch(transaction, branch, &callbacks, NULL, &no);
}

int tercet_try(struct tercet_transaction *transaction, const struct tercet_branch *branch,
               struct tercet_tried *tried)
{
    struct client_waiter waiter;
    const struct client_request callbacks = {
        .kind = CLIENT_TRY, .on_tried = client_on_waited_tried, .ctx = &waiter};
    struct refusal no;
    client_assert_may_block();
    client_waiter_init(&waiter, NULL, tried);
    int rc = start_branch(transaction, branch, &callbacks, NULL, &no);
    return client_waiter_end(&waiter, rc, &transaction->gid, &no);
}

void tercet_tried_clear(struct tercet_tried *tried)
{
    free((void *)(uintptr_t)tried->reply.data);
    tried->reply = (struct tercet_bytes){.data = NULL, .size = 0};
}

int tercet_enlist(struct tercet_transaction *transaction, const struct tercet_branch *branch,
                  struct tercet_branch_id *out, struct tercet_result *result)
{
    struct client_waiter waiter;
    const struct client_request callbacks = {
        .kind = CLIENT_ENLIST, .on_result = client_on_waited_result, .ctx = &waiter};
    struct tercet_branch_id branch_id = {.number = 0};
    struct refusal no;
    client_assert_may_block();
    client_waiter_init(&waiter, result, NULL);
    int rc = start_branch(transaction, branch, &callbacks, &branch_id, &no);
    rc = client_waiter_end(&waiter, rc, &transaction->gid, &no);
    if (rc == 0 && out != NULL)
        *out = branch_id;
    return rc;
}

int tercet_own_tried(struct tercet_transaction *transaction, struct tercet_branch_id branch,
                     int code)
{
    int rc = TERCET_INVALID;
    if (transaction->own_tries == NULL || branch.number > TERCET_BRANCHES_MAX)
        return rc;
    pthread_mutex_lock(&transaction->lock);
    if (transaction->own_tries[branch.number] != OWN_TRY_NONE) {
        transaction->own_tries[branch.number] = code == 0 ? OWN_TRY_DONE : OWN_TRY_OPEN;
        rc = 0;
    }
    pthread_mutex_unlock(&transaction->lock);
    return rc;
}
