/* SPDX-License-Identifier: Apache-2.0
 *
 * What clients and participants in other languages send that ours do not: each is told, and costs
 * nobody else.
 */
#include "fixture.h"

TestSuite(edges, .timeout = 400);

/* The next call's id; there must be one alone. */
static uint64_t next_call(struct puppet *puppet, Tercet__V1__Kind kind)
{
    Tercet__V1__AttachResponse *message = puppet_calls(puppet);
    cr_assert_eq(message->n_calls, 1);
    cr_assert_eq(message->calls[0]->kind, kind);
    uint64_t id = message->calls[0]->id;
    crpc_message_free(&message->base);
    return id;
}

static void start(const char *gid, struct told *told)
{
    struct tercet_begin_options options = options_of(gid, FOR_EVER);
    struct tercet_branch branch = branch_of("stock");
    branch.try_timeout_ms = FOR_EVER;
    options.wait = TERCET_WAIT_RESOLVED;
    cr_assert_eq(tercet_run_start(world.client, &branch, 1, &options, on_told, told), 0);
}

static void refuse(struct puppet *puppet, uint64_t id, char *reason)
{
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    Tercet__V1__CallResult result = TERCET__V1__CALL_RESULT__INIT, *results[] = {&result};
    result.id = id;
    result.outcome = TERCET__V1__OUTCOME__REFUSAL;
    result.reason = reason;
    request.results = results;
    request.n_results = 1;
    cr_assert_eq(crpc_stream_write(puppet->stream, &request.base), 0);
}

/* A forgotten field must not count as done. */
Test(edges, a_result_without_an_outcome_or_with_one_that_is_not_known_is_asked_again)
{
    struct puppet puppet;
    struct told told = {.count = 0};
    world_open(NULL);
    puppet_attach(&puppet, "stock", 1);
    start("order", &told);
    puppet_answer(&puppet, next_call(&puppet, TERCET__V1__KIND__TRY),
                  TERCET__V1__OUTCOME__OUTCOME_UNSPECIFIED);
    uint64_t again = next_call(&puppet, TERCET__V1__KIND__TRY);
    Tercet__V1__Transaction *shown = world_show("order");
    cr_assert_str_eq(shown->branches[0]->last_error,
                     "the participant's result has no outcome: DONE must be said");
    crpc_message_free(&shown->base);
    puppet_answer(&puppet, again, (Tercet__V1__Outcome)77);
    puppet_answer(&puppet, next_call(&puppet, TERCET__V1__KIND__TRY), TERCET__V1__OUTCOME__DONE);
    puppet_answer(&puppet, next_call(&puppet, TERCET__V1__KIND__CONFIRM),
                  TERCET__V1__OUTCOME__DONE);
    AWAIT(atomic_load(&told.count) == 1);
    cr_expect_eq(told.result.state, TERCET_CONFIRMED);
    shown = world_show("order");
    cr_assert_not_null(shown->branches[0]->try_failures);
    cr_expect_eq(shown->branches[0]->try_failures->count, 2);
    cr_expect_str_eq(shown->branches[0]->try_failures->last_error,
                     "the participant's outcome 77 is not known");
    crpc_message_free(&shown->base);
    puppet_die(&puppet);
    world_close();
}

/* At a character, within 256 bytes. */
Test(edges, a_reason_that_is_too_long_is_cut)
{
    enum { LETTERS = 150 }; /* of two bytes each */
    char reason[2 * LETTERS + 1];
    struct puppet puppet;
    struct told told = {.count = 0};
    for (size_t i = 0; i < LETTERS; i++)
        memcpy(reason + 2 * i, "\xc3\xa9", 3);
    world_open(NULL);
    puppet_attach(&puppet, "stock", 1);
    start("order", &told);
    refuse(&puppet, next_call(&puppet, TERCET__V1__KIND__TRY), reason);
    puppet_answer(&puppet, next_call(&puppet, TERCET__V1__KIND__CANCEL), TERCET__V1__OUTCOME__DONE);
    AWAIT(atomic_load(&told.count) == 1);
    cr_expect_eq(told.result.code, TERCET_REFUSED);
    Tercet__V1__Transaction *shown = world_show("order");
    size_t size = strlen(shown->reason);
    cr_expect(size >= 250 && size <= 256 && size % 2 == 0, "%zu bytes", size);
    cr_expect_eq(strncmp(shown->reason, reason, size), 0);
    crpc_message_free(&shown->base);
    puppet_die(&puppet);
    world_close();
}

static enum crpc_code run_waiting(Tercet__V1__Wait wait)
{
    Tercet__V1__RunRequest request = TERCET__V1__RUN_REQUEST__INIT;
    Tercet__V1__Branch branch = TERCET__V1__BRANCH__INIT, *branches[] = {&branch};
    branch.action = (char *)(uintptr_t) "stock/do";
    request.gid = (char *)(uintptr_t) "order";
    request.branches = branches;
    request.n_branches = 1;
    request.wait = wait;
    return world_call(&tercet__v1__coordinator__descriptor, "Run", &request.base, NULL);
}

Test(edges, a_wait_out_of_range_is_refused)
{
    Tercet__V1__ConfirmRequest confirm = TERCET__V1__CONFIRM_REQUEST__INIT;
    Tercet__V1__CancelRequest cancel = TERCET__V1__CANCEL_REQUEST__INIT;
    Tercet__V1__AwaitRequest await = TERCET__V1__AWAIT_REQUEST__INIT;
    const ProtobufCServiceDescriptor *service = &tercet__v1__coordinator__descriptor;
    open_stock(NULL);
    cr_expect_eq(run_waiting((Tercet__V1__Wait)9), CRPC_INVALID_ARGUMENT);
    cr_expect_eq(world_state("order"), 0, "nothing was begun");
    cr_expect_eq(run_waiting(TERCET__V1__WAIT__WAIT_RESOLVED), CRPC_OK);
    confirm.gid = cancel.gid = await.gid = (char *)(uintptr_t) "order";
    confirm.wait = cancel.wait = await.wait = (Tercet__V1__Wait)3;
    cr_expect_eq(world_call(service, "Confirm", &confirm.base, NULL), CRPC_INVALID_ARGUMENT);
    cr_expect_eq(world_call(service, "Cancel", &cancel.base, NULL), CRPC_INVALID_ARGUMENT);
    cr_expect_eq(world_call(service, "Await", &await.base, NULL), CRPC_INVALID_ARGUMENT);
    close_all();
}

/* Whoever begins with the try learns what was begun. */
Test(edges, a_try_without_a_gid_is_told_one)
{
    Tercet__V1__TryRequest request = TERCET__V1__TRY_REQUEST__INIT;
    Tercet__V1__BeginRequest begin = TERCET__V1__BEGIN_REQUEST__INIT;
    Tercet__V1__Branch branch = TERCET__V1__BRANCH__INIT;
    ProtobufCMessage *reply = NULL;
    branch.number = 1;
    branch.action = (char *)(uintptr_t) "stock/do";
    request.begin = &begin;
    request.branch = &branch;
    open_stock(NULL);
    cr_assert_eq(world_call(&tercet__v1__coordinator__descriptor, "Try", &request.base, &reply),
                 CRPC_OK);
    const Tercet__V1__TryResponse *tried = (const Tercet__V1__TryResponse *)reply;
    cr_expect_eq(tried->outcome, TERCET__V1__TRY_STATE__TRY_DONE);
    cr_expect_eq(world_state(tried->gid), TERCET_TRYING, "\"%s\"", tried->gid);
    crpc_message_free(reply);
    close_all();
}

static size_t list_in(Tercet__V1__State state)
{
    Tercet__V1__ListRequest request = TERCET__V1__LIST_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.states = &state;
    request.n_states = 1;
    cr_assert_eq(world_call(&tercet__v1__admin__descriptor, "List", &request.base, &reply),
                 CRPC_OK);
    size_t count = ((const Tercet__V1__ListResponse *)reply)->n_transactions;
    crpc_message_free(reply);
    return count;
}

Test(edges, a_terminal_state_finds_what_is_over_without_another_flag)
{
    struct tercet_result result;
    open_stock(NULL);
    cr_assert_eq(RUN("done", TERCET_WAIT_RESOLVED, &result, "stock"), 0);
    atomic_store(&stock.refuses, true);
    cr_assert_eq(RUN("not", TERCET_WAIT_RESOLVED, &result, "stock"), TERCET_REFUSED);
    WAIT_FOR(list_in(TERCET__V1__STATE__CONFIRMED) == 1);
    WAIT_FOR(list_in(TERCET__V1__STATE__CANCELLED) == 1);
    cr_expect_eq(list_in(TERCET__V1__STATE__TRYING), 0);
    close_all();
}
