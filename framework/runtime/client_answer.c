/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h: what a coordinator's response means for the caller. An answer that says nothing of the
 * outcome is none: the request is asked again.
 */
#include "client.h"

#include <check.h>
#include <status.h>
#include <stdlib.h>
#include <string.h>

struct client_answer client_answer_new(const struct client_request *request)
{
    return (struct client_answer){.result = {.gid = request->gid}, .branch = request->branch};
}

static bool is_confirming(enum tercet_state state)
{
    return state == TERCET_CONFIRMING || state == TERCET_CONFIRMED;
}

static bool is_cancelling(enum tercet_state state)
{
    return state == TERCET_CANCELLING || state == TERCET_CANCELLED;
}

/* Values of a newer coordinator that this version has no name for count as not known. */
static enum tercet_state state_of(int state)
{
    return state >= TERCET_TRYING && state <= TERCET_CANCELLED ? (enum tercet_state)state
                                                               : (enum tercet_state)0;
}

static enum tercet_cause cause_of(int cause)
{
    return cause >= TERCET_CAUSE_NONE && cause <= TERCET_CAUSE_OPERATOR ? (enum tercet_cause)cause
                                                                        : TERCET_CAUSE_NONE;
}

static void fill_result(struct tercet_result *result, const Tercet__V1__Transaction *transaction)
{
    tercet_gid_set(&result->gid, transaction->gid);
    result->state = state_of(transaction->state);
    result->cause = cause_of(transaction->cause);
    result->number = transaction->number;
    result->branch_count = (uint32_t)transaction->n_branches;
    result->parked = transaction->parked;
}

static const Tercet__V1__Transaction *transaction_of(const Tercet__V1__SessionResponse *response)
{
    return response->response_case == TERCET__V1__SESSION_RESPONSE__RESPONSE_TRANSACTION
               ? response->transaction
               : NULL;
}

static const Tercet__V1__TryResponse *tried_of(const Tercet__V1__SessionResponse *response)
{
    return response->response_case == TERCET__V1__SESSION_RESPONSE__RESPONSE_TRIED ? response->tried
                                                                                   : NULL;
}

/* -- Failures ---------------------------------------------------------------------------------- */

/* Whether this failure is final. "A limit is reached" and "not allowed" say that nothing was done
 * for this copy of the request; they say nothing of an earlier copy. */
static bool is_final(int error, const struct client_request *request)
{
    if (error == TERCET_UNKNOWN)
        return false;
    return request->asks <= 1 || (error != TERCET_EXHAUSTED && error != TERCET_DENIED);
}

static bool read_failure(struct client_answer *answer, const struct client_request *request,
                         const Tercet__V1__SessionResponse *response)
{
    struct tercet_result *result = &answer->result;
    int error = error_of_status((enum crpc_code)response->code);
    if (!is_final(error, request))
        return false;
    if (transaction_of(response) != NULL)
        fill_result(result, transaction_of(response));
    else if (tried_of(response) != NULL)
        result->state = state_of((int)tried_of(response)->state);
    if (response->code == CRPC_FAILED_PRECONDITION)
        error = result->state == TERCET_TRYING ? TERCET_NOT_READY : TERCET_DECIDED;
    result->code = error;
    copy_text(result->text,
              response->message[0] != '\0' ? response->message : tercet_strerror(error));
    return true;
}

/* -- Answers ----------------------------------------------------------------------------------- */

static bool read_tried(struct client_answer *answer, const Tercet__V1__TryResponse *tried)
{
    struct tercet_result *result = &answer->result;
    result->state = state_of((int)tried->state);
    switch (tried->outcome) {
    case TERCET__V1__TRY_STATE__TRY_DONE:
        answer->reply = (struct tercet_bytes){.data = tried->reply.data, .size = tried->reply.len};
        return true;
    case TERCET__V1__TRY_STATE__TRY_REFUSED:
        result->code = TERCET_REFUSED;
        break;
    case TERCET__V1__TRY_STATE__TRY_NOT_KNOWN:
        result->code = TERCET_UNKNOWN;
        break;
    default: /* was not tried: the decision came first */
        if (result->state == TERCET_TRYING || result->state == 0)
            return false;
        result->code = TERCET_DECIDED;
        break;
    }
    copy_text(result->text,
              tried->reason[0] != '\0' ? tried->reason : tercet_strerror(result->code));
    return true;
}

/* -- Tries of a plan --------------------------------------------------------------------------- */

static const Tercet__V1__BranchStatus *find_branch(const Tercet__V1__Transaction *transaction,
                                                   uint32_t number)
{
    for (size_t i = 0; transaction != NULL && i < transaction->n_branches; i++)
        if (transaction->branches[i]->number == number)
            return transaction->branches[i];
    return NULL;
}

static int code_of_try(Tercet__V1__TryState state)
{
    switch (state) {
    case TERCET__V1__TRY_STATE__TRY_DONE:
        return 0;
    case TERCET__V1__TRY_STATE__TRY_REFUSED:
        return TERCET_REFUSED;
    case TERCET__V1__TRY_STATE__TRY_WAITING:
        return TERCET_DECIDED;
    default:
        return TERCET_UNKNOWN;
    }
}

static void copy_reply(struct tercet_tried *tried, const Tercet__V1__BranchStatus *branch)
{
    void *copy = branch->reply.len > 0 ? malloc(branch->reply.len) : NULL;
    if (copy != NULL) {
        memcpy(copy, branch->reply.data, branch->reply.len);
        tried->reply = (struct tercet_bytes){.data = copy, .size = branch->reply.len};
    } else if (branch->reply.len > 0) {
        tried->code = TERCET_NOMEM;
    }
}

struct tercet_tried client_answer_tried(const struct client_answer *answer, uint32_t number)
{
    const Tercet__V1__BranchStatus *branch = find_branch(answer->transaction, number);
    const char *text = answer->result.text;
    struct tercet_tried tried = {.code = answer->result.code != 0 ? answer->result.code
                                                                  : TERCET_UNKNOWN,
                                 .branch = {.number = number}};
    if (branch != NULL) {
        tried.code = code_of_try(branch->try_state);
        text = branch->reason[0] != '\0' ? branch->reason : branch->last_error;
    }
    if (tried.code == 0)
        copy_reply(&tried, branch);
    if (tried.code != 0)
        copy_text(tried.text, text[0] != '\0' ? text : tercet_strerror(tried.code));
    return tried;
}

/* -- Transactions ------------------------------------------------------------------------------ */

static bool has_come(enum tercet_state state, enum tercet_wait wait)
{
    if (wait == TERCET_WAIT_RESOLVED)
        return state == TERCET_CONFIRMED || state == TERCET_CANCELLED;
    return is_confirming(state) || is_cancelling(state);
}

/* A decision was asked for: it is as wanted, the other way, or not known. */
static int result_of_decision(bool is_as_wanted, bool is_other_way)
{
    if (is_as_wanted)
        return 0;
    return is_other_way ? TERCET_DECIDED : TERCET_UNKNOWN;
}

/* The code of a transaction that was answered without a failure; TERCET_UNKNOWN when it is not what
 * was asked for, yet. */
static int code_of(const struct client_request *request, enum tercet_state state)
{
    switch (request->kind) {
    case CLIENT_RUN:
        if (is_cancelling(state))
            return TERCET_REFUSED;
        return is_confirming(state) || (state == TERCET_TRYING && request->wait == TERCET_WAIT_NOT)
                   ? 0
                   : TERCET_UNKNOWN;
    case CLIENT_CONFIRM:
        return result_of_decision(is_confirming(state), is_cancelling(state));
    case CLIENT_CANCEL:
        return result_of_decision(is_cancelling(state), is_confirming(state));
    case CLIENT_ENLIST:
        return state == TERCET_TRYING ? 0 : TERCET_DECIDED;
    case CLIENT_AWAIT:
        return has_come(state, request->wait) ? 0 : TERCET_UNKNOWN;
    default:
        return 0;
    }
}

static bool read_transaction(struct client_answer *answer, const struct client_request *request,
                             const Tercet__V1__Transaction *transaction)
{
    struct tercet_result *result = &answer->result;
    fill_result(result, transaction);
    int code = code_of(request, result->state);
    if (code == TERCET_UNKNOWN)
        return false;
    result->code = code;
    bool only_asks = request->kind == CLIENT_GET || request->kind == CLIENT_AWAIT;
    if (code != 0 || (only_asks && is_cancelling(result->state)))
        copy_text(result->text, transaction->reason[0] != '\0' ? transaction->reason
                                                               : tercet_cause_text(result->cause));
    return true;
}

bool client_answer_read(struct client_answer *out, const struct client_request *request,
                        const Tercet__V1__SessionResponse *response)
{
    *out = client_answer_new(request);
    out->transaction = transaction_of(response);
    if (response->code != CRPC_OK)
        return read_failure(out, request, response);
    if (request->kind == CLIENT_TRY)
        return tried_of(response) != NULL && read_tried(out, tried_of(response));
    return transaction_of(response) != NULL &&
           read_transaction(out, request, transaction_of(response));
}
