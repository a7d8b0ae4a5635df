/* SPDX-License-Identifier: Apache-2.0
 *
 * bare.h: a record of each kind; the messages are arrays of pointers to them.
 */
#include "bare.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER (UINT64_C(1) << 50) /* about as large as the coordinator's numbers are */
#define TIME_MS (INT64_C(1) << 40) /* and times */
#define ID 100000

struct bare {
    const struct options *options;
    char gid[32];
    char action[32];
    unsigned char payload[65536];
    Tercet__V1__Branch branches[BRANCHES_MAX];
    Tercet__V1__Branch *branch_pointers[BRANCHES_MAX];
    Tercet__V1__BeginRequest begin;
    Tercet__V1__RunRequest run;
    Tercet__V1__TryRequest try_branch;
    Tercet__V1__EnlistRequest enlist;
    Tercet__V1__ConfirmRequest confirm;
    Tercet__V1__SessionRequest request_kinds[BARE_KINDS_MAX];
    Tercet__V1__BranchStatus statuses[BRANCHES_MAX];
    Tercet__V1__BranchStatus *status_pointers[BRANCHES_MAX];
    Tercet__V1__Transaction transaction;
    Tercet__V1__TryResponse tried;
    Tercet__V1__SessionResponse told, told_tried;
    Tercet__V1__CallResult result;
    Tercet__V1__Call calls[2]; /* try, confirm */
    Tercet__V1__SessionRequests requests;
    Tercet__V1__AttachRequest results;
    Tercet__V1__SessionRequest *request_pointers[BARE_RECORDS_MAX];
    Tercet__V1__CallResult *result_pointers[BARE_RECORDS_MAX];
    Tercet__V1__Call *call_pointers[BARE_RECORDS_MAX];
};

uint32_t bare_requests(const struct options *options)
{
    return options->form == FORM_RUN ? 1 : options->branches + 1;
}

uint32_t bare_calls(const struct options *options)
{
    return options->form == FORM_OWN ? options->branches : 2 * options->branches;
}

/* -- Records ----------------------------------------------------------------------------------- */

static void make_branches(struct bare *bare)
{
    for (uint32_t i = 0; i < bare->options->branches; i++) {
        tercet__v1__branch__init(&bare->branches[i]);
        bare->branches[i].number = i + 1;
        bare->branches[i].action = bare->action;
        bare->branches[i].payload.data = bare->payload;
        bare->branches[i].payload.len = bare->options->payload_size;
        bare->branch_pointers[i] = &bare->branches[i];
        tercet__v1__branch_status__init(&bare->statuses[i]);
        bare->statuses[i].number = i + 1;
        bare->statuses[i].action = bare->action;
        bare->statuses[i].try_state = TERCET__V1__TRY_STATE__TRY_DONE;
        bare->statuses[i].end_state = TERCET__V1__END_STATE__END_CALLING;
        bare->status_pointers[i] = &bare->statuses[i];
    }
}

static void make_requests(struct bare *bare)
{
    tercet__v1__begin_request__init(&bare->begin);
    bare->begin.gid = bare->gid;
    tercet__v1__run_request__init(&bare->run);
    bare->run.gid = bare->gid;
    bare->run.branches = bare->branch_pointers;
    bare->run.n_branches = bare->options->branches;
    tercet__v1__try_request__init(&bare->try_branch);
    bare->try_branch.gid = bare->gid;
    bare->try_branch.branch = &bare->branches[0];
    tercet__v1__enlist_request__init(&bare->enlist);
    bare->enlist.gid = bare->gid;
    bare->enlist.branch = &bare->branches[0];
    tercet__v1__confirm_request__init(&bare->confirm);
    bare->confirm.gid = bare->gid;
}

static void make_session(struct bare *bare)
{
    uint32_t last = bare_requests(bare->options) - 1;
    for (uint32_t i = 0; i <= last; i++) {
        Tercet__V1__SessionRequest *request = &bare->request_kinds[i];
        tercet__v1__session_request__init(request);
        request->id = ID;
        if (bare->options->form == FORM_RUN) {
            request->request_case = TERCET__V1__SESSION_REQUEST__REQUEST_RUN;
            request->run = &bare->run;
        } else if (i == last) {
            request->request_case = TERCET__V1__SESSION_REQUEST__REQUEST_CONFIRM;
            request->confirm = &bare->confirm;
        } else if (bare->options->form == FORM_STEPS) {
            request->request_case = TERCET__V1__SESSION_REQUEST__REQUEST_TRY_BRANCH;
            request->try_branch = &bare->try_branch;
        } else {
            request->request_case = TERCET__V1__SESSION_REQUEST__REQUEST_ENLIST;
            request->enlist = &bare->enlist;
        }
    }
    tercet__v1__session_requests__init(&bare->requests);
    bare->requests.requests = bare->request_pointers;
}

static void make_answers(struct bare *bare)
{
    tercet__v1__transaction__init(&bare->transaction);
    bare->transaction.gid = bare->gid;
    bare->transaction.state = TERCET__V1__STATE__CONFIRMING;
    bare->transaction.cause = TERCET__V1__CAUSE__ALL_TRIED;
    bare->transaction.created_ms = bare->transaction.deadline_ms = bare->transaction.decided_ms =
        TIME_MS;
    bare->transaction.number = NUMBER;
    bare->transaction.branches = bare->status_pointers;
    bare->transaction.n_branches = bare->options->branches;
    tercet__v1__try_response__init(&bare->tried);
    bare->tried.outcome = TERCET__V1__TRY_STATE__TRY_DONE;
    bare->tried.state = TERCET__V1__STATE__TRYING;
    bare->tried.branch = 1;
    tercet__v1__session_response__init(&bare->told);
    bare->told.id = ID;
    bare->told.response_case = TERCET__V1__SESSION_RESPONSE__RESPONSE_TRANSACTION;
    bare->told.transaction = &bare->transaction;
    tercet__v1__session_response__init(&bare->told_tried);
    bare->told_tried.id = ID;
    bare->told_tried.response_case = TERCET__V1__SESSION_RESPONSE__RESPONSE_TRIED;
    bare->told_tried.tried = &bare->tried;
}

static void make_calls(struct bare *bare)
{
    tercet__v1__call_result__init(&bare->result);
    bare->result.id = NUMBER;
    bare->result.outcome = TERCET__V1__OUTCOME__DONE;
    tercet__v1__attach_request__init(&bare->results);
    bare->results.results = bare->result_pointers;
    for (unsigned i = 0; i < 2; i++) {
        Tercet__V1__Call *call = &bare->calls[i];
        tercet__v1__call__init(call);
        call->id = NUMBER;
        call->kind = i == 0 && bare->options->form != FORM_OWN ? TERCET__V1__KIND__TRY
                                                               : TERCET__V1__KIND__CONFIRM;
        call->gid = bare->gid;
        call->branch = 1;
        call->action = bare->action;
        call->payload.data = bare->payload;
        call->payload.len = bare->options->payload_size;
        call->attempt = 1;
        call->timeout_ms = 10000;
        call->number = call->low_water = NUMBER;
    }
}

struct bare *bare_new(const struct options *options)
{
    struct bare *bare = calloc(1, sizeof(*bare));
    if (bare == NULL)
        return NULL;
    bare->options = options;
    strcpy(bare->gid, "01JDEXAMPLE000-000000000042");
    strcpy(bare->action, "bench-0/work");
    make_branches(bare);
    make_requests(bare);
    make_session(bare);
    make_answers(bare);
    make_calls(bare);
    for (uint32_t i = 0; i < BARE_RECORDS_MAX; i++) {
        bare->request_pointers[i] = &bare->request_kinds[i % bare_requests(options)];
        bare->result_pointers[i] = &bare->result;
        bare->call_pointers[i] = &bare->calls[i % 2];
    }
    return bare;
}

void bare_free(struct bare *bare)
{
    free(bare);
}

/* -- Messages ---------------------------------------------------------------------------------- */

const ProtobufCMessage *bare_session_requests(struct bare *bare, uint32_t count)
{
    bare->requests.n_requests = count;
    return &bare->requests.base;
}

const ProtobufCMessage *bare_results(struct bare *bare, uint32_t count)
{
    bare->results.n_results = count;
    return &bare->results.base;
}

void bare_session_responses(struct bare *bare, Tercet__V1__SessionResponses *out,
                            const Tercet__V1__SessionRequests *requests)
{
    for (size_t i = 0; i < requests->n_requests; i++)
        out->responses[i] =
            requests->requests[i]->request_case == TERCET__V1__SESSION_REQUEST__REQUEST_TRY_BRANCH
                ? &bare->told_tried
                : &bare->told;
    out->n_responses = requests->n_requests;
}

void bare_calls_fill(struct bare *bare, Tercet__V1__AttachResponse *out, size_t count)
{
    out->calls = bare->call_pointers;
    out->n_calls = count < BARE_RECORDS_MAX ? count : BARE_RECORDS_MAX;
}

const ProtobufCMessage *bare_transaction(struct bare *bare)
{
    return &bare->transaction.base;
}

const ProtobufCMessage *bare_tried(struct bare *bare)
{
    return &bare->tried.base;
}

void bare_unary_kinds(struct bare *bare, struct exchange_kind *kinds)
{
    uint32_t last = bare_requests(bare->options) - 1;
    bool is_run = bare->options->form == FORM_RUN;
    bool is_steps = bare->options->form == FORM_STEPS;
    for (uint32_t i = 0; i <= last; i++)
        kinds[i] = (struct exchange_kind){
            .service = &tercet__v1__coordinator__descriptor,
            .method = is_run      ? "Run"
                      : i == last ? "Confirm"
                      : is_steps  ? "Try"
                                  : "Enlist",
            .request = is_run      ? &bare->run.base
                       : i == last ? &bare->confirm.base
                       : is_steps  ? &bare->try_branch.base
                                   : &bare->enlist.base,
            .reply = is_steps && i < last ? &tercet__v1__try_response__descriptor
                                          : &tercet__v1__transaction__descriptor,
        };
}
