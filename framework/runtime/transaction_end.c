/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h (public): step by step; confirming and cancelling.
 *
 * While the coordinator has not said that it knows the transaction, a Begin goes before the
 * decision: a confirm of no branches works, and a cancel overtakes a try that is still on its way.
 * A cancel of what was never sent is answered here.
 */
#include "transaction.h"

#include <check.h>

struct decision {
    enum client_kind kind;
    enum tercet_wait wait;
    bool is_forced;
    const char *reason;
    tercet_result_fn done;
    void *ctx;
};

static const char *check_decision(const struct decision *decision)
{
    if (decision->wait != TERCET_WAIT_DECIDED && decision->wait != TERCET_WAIT_RESOLVED)
        return "wait is TERCET_WAIT_DECIDED or TERCET_WAIT_RESOLVED here";
    return decision->reason != NULL ? check_text(decision->reason) : NULL;
}

static int pack_decision(struct client_request *request, const struct decision *decision,
                         struct refusal *no)
{
    Tercet__V1__SessionRequest message = TERCET__V1__SESSION_REQUEST__INIT;
    Tercet__V1__ConfirmRequest confirm = TERCET__V1__CONFIRM_REQUEST__INIT;
    Tercet__V1__CancelRequest cancel = TERCET__V1__CANCEL_REQUEST__INIT;
    if (request->kind == CLIENT_CONFIRM) {
        confirm.gid = request->gid.text;
        confirm.force = decision->is_forced;
        confirm.wait = (Tercet__V1__Wait)decision->wait;
        message.request_case = TERCET__V1__SESSION_REQUEST__REQUEST_CONFIRM;
        message.confirm = &confirm;
    } else {
        cancel.gid = request->gid.text;
        if (decision->reason != NULL)
            cancel.reason = (char *)(uintptr_t)decision->reason;
        cancel.wait = (Tercet__V1__Wait)decision->wait;
        message.request_case = TERCET__V1__SESSION_REQUEST__REQUEST_CANCEL;
        message.cancel = &cancel;
    }
    return client_request_pack(request, request->transaction->client, &message, no);
}

/* The decision's request, or a begin that it waits for. */
static int make_request(struct client_request **out, struct tercet_transaction *transaction,
                        const struct decision *decision, enum client_kind kind, struct refusal *no)
{
    Tercet__V1__SessionRequest message = TERCET__V1__SESSION_REQUEST__INIT;
    struct client_request *request = client_request_of(transaction, kind);
    if (request == NULL)
        return refusal_set_plain(no, TERCET_NOMEM);
    request->wait = decision->wait;
    request->on_result = decision->done;
    request->ctx = decision->ctx;
    int rc = 0;
    if (kind == CLIENT_BEGIN) {
        message.request_case = TERCET__V1__SESSION_REQUEST__REQUEST_BEGIN;
        message.begin = transaction->begin;
        rc = client_request_pack(request, transaction->client, &message, no);
    } else if (kind != CLIENT_DROP) {
        rc = pack_decision(request, decision, no);
    }
    if (rc != 0) {
        client_request_free(request);
        return rc;
    }
    *out = request;
    return 0;
}

/* Puts a begin before a decision. */
static int make_begin(struct client_request **inout, struct tercet_transaction *transaction,
                      const struct decision *decision, struct refusal *no)
{
    struct client_request *begin = NULL;
    int rc = make_request(&begin, transaction, decision, CLIENT_BEGIN, no);
    if (rc != 0) {
        client_request_free(*inout);
        return rc;
    }
    begin->then = *inout;
    *inout = begin;
    return 0;
}

/* Whether this is a cancel of what was never sent; nothing will be sent then any more. */
static int check_dropped(struct tercet_transaction *transaction, enum client_kind *kind,
                         struct refusal *no)
{
    int rc = 0;
    pthread_mutex_lock(&transaction->lock);
    if (*kind == CLIENT_CANCEL && transaction->branch_count == 0 && !transaction->is_confirmed)
        transaction->is_dropped = true;
    if (*kind == CLIENT_CONFIRM && !transaction->is_dropped)
        transaction->is_confirmed = true;
    if (transaction->is_dropped && *kind == CLIENT_CONFIRM)
        rc = TERCET_DECIDED;
    else if (transaction->is_dropped)
        *kind = CLIENT_DROP;
    pthread_mutex_unlock(&transaction->lock);
    return rc == 0 ? 0 : refusal_set_plain(no, rc);
}

/* A confirm vouches for the own tries; where they are reported, it must not do so against them. */
static const char *check_own_tries(struct tercet_transaction *transaction,
                                   const struct decision *decision)
{
    bool is_open = false;
    if (transaction->own_tries == NULL || decision->kind != CLIENT_CONFIRM || decision->is_forced)
        return NULL;
    pthread_mutex_lock(&transaction->lock);
    for (uint32_t i = 1; i <= transaction->branch_count; i++)
        is_open |= transaction->own_tries[i] == OWN_TRY_OPEN;
    pthread_mutex_unlock(&transaction->lock);
    return is_open ? "an enlisted branch was not reported as tried and done: call its participant, "
                     "then tercet_own_tried"
                   : NULL;
}

static int start_decision(struct tercet_transaction *transaction, const struct decision *decision,
                          struct refusal *no)
{
    enum client_kind kind = decision->kind;
    struct client_request *request = NULL;
    int rc = refusal_if(no, TERCET_INVALID, client_check_process(transaction->client));
    if (rc == 0)
        rc = refusal_if(no, TERCET_INVALID, check_decision(decision));
    if (rc == 0)
        rc = refusal_if(no, TERCET_NOT_READY, check_own_tries(transaction, decision));
    if (rc == 0)
        rc = check_dropped(transaction, &kind, no);
    if (rc == 0)
        rc = make_request(&request, transaction, decision, kind, no);
    if (rc == 0 && kind != CLIENT_DROP && !atomic_load(&transaction->is_begun))
        rc = make_begin(&request, transaction, decision, no);
    if (rc != 0)
        return rc;
    rc = client_submit(transaction->client, request, no);
    if (rc != 0)
        client_request_free(request);
    return rc;
}

static int decide(struct tercet_transaction *transaction, struct decision *decision,
                  struct tercet_result *result)
{
    struct client_waiter waiter;
    struct refusal no;
    client_assert_may_block();
    client_waiter_init(&waiter, result, NULL);
    decision->done = client_on_waited_result;
    decision->ctx = &waiter;
    int rc = start_decision(transaction, decision, &no);
    return client_waiter_end(&waiter, rc, &transaction->gid, &no);
}

int tercet_confirm(struct tercet_transaction *transaction, enum tercet_wait wait,
                   struct tercet_result *result)
{
    struct decision decision = {.kind = CLIENT_CONFIRM, .wait = wait};
    return decide(transaction, &decision, result);
}

int tercet_confirm_force(struct tercet_transaction *transaction, enum tercet_wait wait,
                         struct tercet_result *result)
{
    struct decision decision = {.kind = CLIENT_CONFIRM, .wait = wait, .is_forced = true};
    return decide(transaction, &decision, result);
}

int tercet_cancel(struct tercet_transaction *transaction, enum tercet_wait wait, const char *reason,
                  struct tercet_result *result)
{
    struct decision decision = {.kind = CLIENT_CANCEL, .wait = wait, .reason = reason};
    return decide(transaction, &decision, result);
}

int tercet_confirm_start(struct tercet_transaction *transaction, enum tercet_wait wait,
                         tercet_result_fn done, void *ctx)
{
    const struct decision decision = {
        .kind = CLIENT_CONFIRM, .wait = wait, .done = done, .ctx = ctx};
    struct refusal no;
    return start_decision(transaction, &decision, &no);
}

int tercet_cancel_start(struct tercet_transaction *transaction, enum tercet_wait wait,
                        const char *reason, tercet_result_fn done, void *ctx)
{
    const struct decision decision = {
        .kind = CLIENT_CANCEL, .wait = wait, .reason = reason, .done = done, .ctx = ctx};
    struct refusal no;
    return start_decision(transaction, &decision, &no);
}
