/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that cannot be taken: each gets the right status and a text that says what to do, and
 * nothing else happens.
 */
#include "bench.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* The request ends with this code, and a text that has these words. */
#define REFUSED(service, method, request, code, words)                                             \
    cr_expect(fails(&bench, service, method, &(request).base, code, words), "%s: %s", method, words)
#define INVALID(method, request, words)                                                            \
    REFUSED(COORDINATOR, method, request, CRPC_INVALID_ARGUMENT, words)

BENCH_SUITE(gids);
BENCH_SUITE(states);
BENCH_SUITE(sizes);
BENCH_SUITE(names);

/* -- gids -------------------------------------------------------------------------------------- */

BENCH_TEST(gids, unknown)
{
    Tercet__V1__GetRequest get = get_of("nobody");
    Tercet__V1__ConfirmRequest confirm = confirm_of("nobody");
    Tercet__V1__CancelRequest cancel = cancel_of("nobody", "");
    Tercet__V1__Branch branch = branch_of(1, "stock/reserve", 1);
    Tercet__V1__EnlistRequest enlist = enlist_of("nobody", &branch);
    Tercet__V1__TryRequest to_try = try_of("nobody", &branch);
    Tercet__V1__AwaitRequest await = TERCET__V1__AWAIT_REQUEST__INIT;
    Tercet__V1__WatchRequest watch = TERCET__V1__WATCH_REQUEST__INIT;
    struct crpc_stream *stream;
    struct crpc_result result = {.code = CRPC_OK};
    REFUSED(COORDINATOR, "Get", get, CRPC_NOT_FOUND, "no transaction with this gid");
    REFUSED(COORDINATOR, "Confirm", confirm, CRPC_NOT_FOUND, "no transaction with this gid");
    REFUSED(COORDINATOR, "Cancel", cancel, CRPC_NOT_FOUND, "no transaction with this gid");
    REFUSED(COORDINATOR, "Enlist", enlist, CRPC_NOT_FOUND, "no transaction with this gid");
    REFUSED(COORDINATOR, "Try", to_try, CRPC_NOT_FOUND, "no transaction with this gid");
    REFUSED(ADMIN, "Show", get, CRPC_NOT_FOUND, "no transaction with this gid");
    await.gid = watch.gid = get.gid;
    REFUSED(COORDINATOR, "Await", await, CRPC_NOT_FOUND, "no transaction with this gid");
    cr_assert_eq(crpc_stream_open(&stream, bench.channel, COORDINATOR, "Watch", NULL), 0);
    cr_assert_eq(crpc_stream_write(stream, &watch.base), 0);
    crpc_stream_half_close(stream);
    crpc_stream_finish(stream, &result);
    cr_assert_eq(result.code, CRPC_NOT_FOUND);
    crpc_result_clear(&result);
}

BENCH_TEST(gids, malformed)
{
    static const char *const bad[] = {
        "a b",
        "a/b",
        "a\xc3\xbc",
        "a\n",
        "a\"",
        "\x7f",
        "1234567890123456789012345678901234567890123456789012345678901234x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *words =
            strlen(bad[i]) > 64 ? "at most 64 characters" : "made of the characters";
        Tercet__V1__BeginRequest begin = begin_of(bad[i]);
        Tercet__V1__GetRequest get = get_of(bad[i]);
        Tercet__V1__AwaitRequest await = TERCET__V1__AWAIT_REQUEST__INIT;
        Tercet__V1__CancelRequest cancel = cancel_of(bad[i], "");
        Tercet__V1__Branch branch = branch_of(1, "stock/reserve", 1);
        Tercet__V1__Branch *branches[] = {&branch};
        Tercet__V1__TryRequest to_try = try_of(bad[i], &branch);
        Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
        run.gid = begin.gid;
        run.branches = branches;
        run.n_branches = 1;
        to_try.begin = &begin;
        INVALID("Begin", begin, words);
        await.gid = get.gid;
        INVALID("Get", get, words);
        INVALID("Await", await, words);
        INVALID("Cancel", cancel, words);
        INVALID("Try", to_try, words);
        INVALID("Run", run, words);
        REFUSED(ADMIN, "Show", get, CRPC_INVALID_ARGUMENT, words);
    }
}

BENCH_TEST(gids, empty_where_one_is_needed)
{
    Tercet__V1__GetRequest get = get_of("");
    Tercet__V1__ConfirmRequest confirm = confirm_of("");
    Tercet__V1__CancelRequest cancel = cancel_of("", "");
    Tercet__V1__Branch branch = branch_of(1, "stock/reserve", 1);
    Tercet__V1__EnlistRequest enlist = enlist_of("", &branch);
    Tercet__V1__AwaitRequest await = TERCET__V1__AWAIT_REQUEST__INIT;
    INVALID("Await", await, "the gid is empty");
    INVALID("Get", get, "the gid is empty");
    INVALID("Confirm", confirm, "the gid is empty");
    INVALID("Cancel", cancel, "the gid is empty");
    INVALID("Enlist", enlist, "the gid is empty");
}

BENCH_TEST(gids, of_64_characters_and_all_kinds)
{
    cr_assert(begins(&bench, "1234567890123456789012345678901234567890123456789012345678901234"));
    cr_assert(begins(&bench, "aZ09._:-"));
}

BENCH_TEST(gids, two_that_differ)
{
    Tercet__V1__Branch branch = branch_of(1, "stock/reserve", 1);
    Tercet__V1__EnlistRequest enlist = enlist_of("one", &branch);
    Tercet__V1__BeginRequest begin = begin_of("two");
    enlist.begin = &begin;
    INVALID("Enlist", enlist, "differ");
}

/* -- States ------------------------------------------------------------------------------------ */

BENCH_TEST(states, confirm_after_cancel_and_the_reverse)
{
    Tercet__V1__CancelRequest cancel = cancel_of("first", "no");
    Tercet__V1__ConfirmRequest confirm = confirm_of("first");
    cr_assert(begins(&bench, "first"));
    cr_assert(is_in(&bench, "Cancel", &cancel.base, TERCET__V1__STATE__CANCELLED));
    cr_assert(is_in(&bench, "Cancel", &cancel.base, TERCET__V1__STATE__CANCELLED));
    REFUSED(COORDINATOR, "Confirm", confirm, CRPC_FAILED_PRECONDITION, "decided already");
    cr_assert(begins(&bench, "second"));
    cancel = cancel_of("second", "no");
    confirm = confirm_of("second");
    cr_assert(is_in(&bench, "Confirm", &confirm.base, TERCET__V1__STATE__CONFIRMED));
    cr_assert(is_in(&bench, "Confirm", &confirm.base, TERCET__V1__STATE__CONFIRMED));
    REFUSED(COORDINATOR, "Cancel", cancel, CRPC_FAILED_PRECONDITION, "decided already");
}

/* On a session an error comes with the transaction as it stands. */
BENCH_TEST(states, the_loser_is_told_who_won)
{
    Tercet__V1__SessionRequest request = TERCET__V1__SESSION_REQUEST__INIT;
    Tercet__V1__SessionRequest *list[] = {&request};
    Tercet__V1__SessionRequests requests = TERCET__V1__SESSION_REQUESTS__INIT;
    Tercet__V1__ConfirmRequest confirm = confirm_of("kept-over");
    ProtobufCMessage *message = NULL;
    struct crpc_stream *stream;
    request.id = 7;
    request.request_case = TERCET__V1__SESSION_REQUEST__REQUEST_CONFIRM;
    request.confirm = &confirm;
    requests.requests = list;
    requests.n_requests = 1;
    cr_assert_eq(crpc_stream_open(&stream, bench.channel, COORDINATOR, "Session", NULL), 0);
    cr_assert_eq(crpc_stream_write(stream, &requests.base), 0);
    cr_assert_eq(crpc_stream_read(&message, stream), 0);
    const Tercet__V1__SessionResponse *response =
        ((const Tercet__V1__SessionResponses *)message)->responses[0];
    cr_assert_eq(response->id, 7);
    cr_assert_eq(response->code, CRPC_FAILED_PRECONDITION);
    cr_assert_eq(response->response_case, TERCET__V1__SESSION_RESPONSE__RESPONSE_TRANSACTION);
    cr_assert_eq(response->transaction->state, TERCET__V1__STATE__CANCELLED);
    cr_assert_str_eq(response->transaction->reason, "it is over");
    crpc_message_free(message);
    crpc_stream_half_close(stream);
    crpc_stream_finish(stream, NULL);
}

BENCH_TEST(states, same_content_again_and_other_content)
{
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    Tercet__V1__BeginRequest begin = begin_of("again");
    Tercet__V1__Branch branch = branch_of(1, "stock/reserve", 10);
    Tercet__V1__EnlistRequest enlist = enlist_of("again", &branch);
    cr_assert(begins(&bench, "again"));
    cr_assert(begins(&bench, "again"));
    options.ordered = true;
    begin.options = &options;
    REFUSED(COORDINATOR, "Begin", begin, CRPC_ALREADY_EXISTS, "another gid makes another");
    cr_assert(is_in(&bench, "Enlist", &enlist.base, TERCET__V1__STATE__TRYING));
    cr_assert(is_in(&bench, "Enlist", &enlist.base, TERCET__V1__STATE__TRYING));
    branch.payload.len = 11;
    REFUSED(COORDINATOR, "Enlist", enlist, CRPC_ALREADY_EXISTS, "another payload");
    branch = branch_of(1, "stock/other", 10);
    REFUSED(COORDINATOR, "Enlist", enlist, CRPC_ALREADY_EXISTS, "another");
    branch = branch_of(1, "stock/reserve", 10);
    branch.try_timeout_ms = 1;
    REFUSED(COORDINATOR, "Enlist", enlist, CRPC_ALREADY_EXISTS, "another");
    branch.try_timeout_ms = 0;
    Tercet__V1__TryRequest to_try = try_of("again", &branch);
    REFUSED(COORDINATOR, "Try", to_try, CRPC_ALREADY_EXISTS, "another");
}

/* The gid may be the begin's alone: it finds and makes the same transaction. */
BENCH_TEST(states, the_gid_of_the_begin_alone)
{
    Tercet__V1__Branch branch = branch_of(1, "stock/reserve", 10);
    Tercet__V1__BeginRequest begin = begin_of("by-begin");
    Tercet__V1__EnlistRequest enlist = enlist_of("", &branch);
    enlist.begin = &begin;
    cr_assert(is_in(&bench, "Enlist", &enlist.base, TERCET__V1__STATE__TRYING));
    cr_assert(is_in(&bench, "Enlist", &enlist.base, TERCET__V1__STATE__TRYING));
    Tercet__V1__CancelRequest cancel = cancel_of("by-begin", "");
    cr_assert(is_in(&bench, "Cancel", &cancel.base, TERCET__V1__STATE__CANCELLING));
}

BENCH_TEST(states, content_of_a_transaction_that_is_over)
{
    Tercet__V1__Branch branch = branch_of(1, "stock/reserve", 1);
    Tercet__V1__Branch *branches[] = {&branch};
    Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
    Tercet__V1__EnlistRequest enlist = enlist_of("kept-over", &branch);
    char gid[] = "kept-over";
    run.gid = gid;
    run.branches = branches;
    run.n_branches = 1;
    REFUSED(COORDINATOR, "Run", run, CRPC_ALREADY_EXISTS, "another gid makes another");
    REFUSED(COORDINATOR, "Enlist", enlist, CRPC_FAILED_PRECONDITION, "decided already");
    Tercet__V1__BeginRequest begin = begin_of("kept-over");
    cr_assert(is_in(&bench, "Begin", &begin.base, TERCET__V1__STATE__CANCELLED));
}

BENCH_TEST(states, confirm_while_a_try_is_not_done)
{
    struct participant *participant = participant_open(&bench);
    Tercet__V1__Branch held = branch_of(1, "stock/hold", 1);
    Tercet__V1__TryRequest to_try = try_of("early", &held);
    Tercet__V1__ConfirmRequest confirm = confirm_of("early");
    const struct crpc_call_options brief = {.size = sizeof(brief), .timeout_ms = 300};
    ProtobufCMessage *reply = NULL;
    struct crpc_result result = {.code = CRPC_OK};
    cr_assert(begins(&bench, "early"));
    cr_assert_eq(
        crpc_unary(&reply, bench.channel, COORDINATOR, "Try", &to_try.base, &brief, &result),
        CRPC_ESTATUS);
    cr_assert_eq(result.code, CRPC_DEADLINE_EXCEEDED);
    crpc_result_clear(&result);
    REFUSED(COORDINATOR, "Confirm", confirm, CRPC_FAILED_PRECONDITION,
            "a try is not known to be done");
    confirm.force = true;
    confirm.wait = TERCET__V1__WAIT__WAIT_RESOLVED;
    cr_assert(is_in(&bench, "Confirm", &confirm.base, TERCET__V1__STATE__CONFIRMED));
    participant_close(participant);
}

/* -- Sizes and counts -------------------------------------------------------------------------- */

BENCH_TEST(sizes, payload)
{
    struct participant *participant = participant_open(&bench);
    Tercet__V1__Branch branch = branch_of(1, "stock/reserve", 65536);
    Tercet__V1__Branch *branches[] = {&branch};
    Tercet__V1__EnlistRequest enlist = enlist_of("payload", &branch);
    Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
    char gid[] = "payload-run";
    run.gid = gid;
    run.branches = branches;
    run.n_branches = 1;
    run.wait = TERCET__V1__WAIT__WAIT_RESOLVED;
    cr_assert(begins(&bench, "payload"));
    branch.payload.len = 65537;
    INVALID("Enlist", enlist, "at most 65536 bytes");
    INVALID("Run", run, "at most 65536 bytes");
    branch.payload.len = 65536;
    cr_assert(is_in(&bench, "Enlist", &enlist.base, TERCET__V1__STATE__TRYING));
    cr_assert(is_in(&bench, "Run", &run.base, TERCET__V1__STATE__CONFIRMED));
    participant_close(participant);
}

/* A plan of `count` branches with payloads of `size` bytes. */
struct plan {
    Tercet__V1__RunRequest run;
    Tercet__V1__Branch *branches;
};

static struct plan plan_of(const char *gid, size_t count, size_t size)
{
    struct plan plan = {TERCET__V1__RUN_REQUEST__INIT, calloc(count, sizeof(*plan.branches))};
    plan.run.gid = (char *)gid;
    plan.run.branches = calloc(count, sizeof(*plan.run.branches));
    plan.run.n_branches = count;
    plan.run.wait = TERCET__V1__WAIT__WAIT_RESOLVED;
    for (size_t i = 0; i < count; i++) {
        plan.branches[i] = branch_of(0, "stock/reserve", size);
        plan.run.branches[i] = &plan.branches[i];
    }
    return plan;
}

static void plan_free(struct plan *plan)
{
    free(plan->run.branches);
    free(plan->branches);
}

BENCH_TEST(sizes, message)
{
    struct participant *participant = participant_open(&bench);
    struct plan large = plan_of("large", 17, 65000);
    struct plan fitting = plan_of("fitting", 15, 65536);
    REFUSED(COORDINATOR, "Run", large.run, CRPC_RESOURCE_EXHAUSTED, "larger than max");
    cr_assert(is_in(&bench, "Run", &fitting.run.base, TERCET__V1__STATE__CONFIRMED));
    Tercet__V1__GetRequest get = get_of("large");
    REFUSED(COORDINATOR, "Get", get, CRPC_NOT_FOUND, "");
    plan_free(&large);
    plan_free(&fitting);
    participant_close(participant);
}

BENCH_TEST(sizes, branches)
{
    struct participant *participant = participant_open(&bench);
    struct plan many = plan_of("many", 1025, 1);
    struct plan most = plan_of("most", 1024, 1);
    struct plan none = plan_of("none", 0, 0);
    INVALID("Run", many.run, "at most 1024 branches");
    INVALID("Run", none.run, "no branches");
    cr_assert(is_in(&bench, "Run", &most.run.base, TERCET__V1__STATE__CONFIRMED));
    plan_free(&many);
    plan_free(&most);
    plan_free(&none);
    participant_close(participant);
}

BENCH_TEST(sizes, branch_numbers)
{
    static const uint32_t bad[] = {0, 1025, UINT32_MAX};
    Tercet__V1__Branch branch = branch_of(1, "stock/reserve", 1);
    Tercet__V1__EnlistRequest enlist = enlist_of("numbers", &branch);
    Tercet__V1__TryRequest to_try = try_of("numbers", &branch);
    cr_assert(begins(&bench, "numbers"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        branch.number = bad[i];
        INVALID("Enlist", enlist, "number is 1 to 1024");
        INVALID("Try", to_try, "number is 1 to 1024");
    }
    branch.number = 1024;
    cr_assert(is_in(&bench, "Enlist", &enlist.base, TERCET__V1__STATE__TRYING));
    struct plan plan = plan_of("number-run", 3, 1);
    plan.branches[1].number = 1025;
    INVALID("Run", plan.run, "number is 1 to 1024");
    plan.branches[0].number = plan.branches[1].number = 1;
    INVALID("Run", plan.run, "the same number");
    plan_free(&plan);
    enlist.branch = NULL;
    INVALID("Enlist", enlist, "the branch is missing");
}

BENCH_TEST(sizes, time_limits)
{
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    Tercet__V1__BeginRequest begin = begin_of("limits");
    Tercet__V1__Branch branch = branch_of(1, "stock/reserve", 1);
    Tercet__V1__EnlistRequest enlist = enlist_of("limits", &branch);
    begin.options = &options;
    options.deadline_ms = 2592000001u;
    INVALID("Begin", begin, "30 days");
    options.deadline_ms = UINT32_MAX;
    INVALID("Begin", begin, "30 days");
    options.deadline_ms = 0;
    options.retry_cap_ms = 3600001;
    INVALID("Begin", begin, "an hour");
    options.retry_cap_ms = 0;
    options.retry_base_ms = UINT32_MAX;
    INVALID("Begin", begin, "an hour");
    options.retry_base_ms = 0;
    options.deadline_ms = 2592000000u;
    cr_assert(is_in(&bench, "Begin", &begin.base, TERCET__V1__STATE__TRYING));
    branch.try_timeout_ms = UINT32_MAX;
    INVALID("Enlist", enlist, "30 days");
}

/* -- Metadata and names ------------------------------------------------------------------------ */

static bool begins_with_metadata(const char *gid, const char *key, const char *value, size_t count,
                                 const char *words)
{
    Tercet__V1__Metadata entries[17];
    Tercet__V1__Metadata *list[17];
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    Tercet__V1__BeginRequest begin = begin_of(gid);
    for (size_t i = 0; i < count; i++) {
        tercet__v1__metadata__init(&entries[i]);
        entries[i].key = (char *)key;
        entries[i].value = (char *)value;
        list[i] = &entries[i];
    }
    options.metadata = list;
    options.n_metadata = count;
    begin.options = &options;
    return words == NULL
               ? is_in(&bench, "Begin", &begin.base, TERCET__V1__STATE__TRYING)
               : fails(&bench, COORDINATOR, "Begin", &begin.base, CRPC_INVALID_ARGUMENT, words);
}

BENCH_TEST(names, metadata)
{
    static char large[4100];
    memset(large, 'x', sizeof(large) - 1);
    cr_assert(begins_with_metadata("m-17", "key", "value", 17, "at most 16 metadata entries"));
    cr_assert(begins_with_metadata("m-16", "key", "value", 16, NULL));
    cr_assert(begins_with_metadata("m-large", "key", large, 1, "at most 4096 bytes"));
    large[4093] = '\0';
    cr_assert(begins_with_metadata("m-largest", "key", large, 1, NULL));
    static const char *const bad_keys[] = {"",           "Key",       "a b",  "grpc-timeout",
                                           "tercet-gid", "k\xc3\xbc", ":path"};
    for (size_t i = 0; i < sizeof(bad_keys) / sizeof(bad_keys[0]); i++)
        cr_expect(
            begins_with_metadata("m-key", bad_keys[i], "value", 1, "a metadata key is made of"),
            "key \"%s\"", bad_keys[i]);
    cr_assert(begins_with_metadata("m-value", "key", "two\nlines", 1, "printable ASCII"));
    cr_assert(begins_with_metadata("m-value", "key", "\xc3\xbc", 1, "printable ASCII"));
}

BENCH_TEST(names, actions)
{
    static const struct {
        const char *action;
        const char *words;
    } bad[] = {
        {"", "an action is \"service/name\""},
        {"stock", "an action is \"service/name\""},
        {"/reserve", "an action is \"service/name\""},
        {"stock reserve", "an action is \"service/name\""},
        {"stock/", "an action's name is"},
        {"stock/a/b", "an action's name is"},
        {"stock/a b", "an action's name is"},
        {"st\xc3\xb6"
         "ck/reserve",
         "an action is \"service/name\""},
        {"s1234567890123456789012345678901234567890123456789012345678901234/a",
         "at most 63 characters"},
        {"s/a1234567890123456789012345678901234567890123456789012345678901234",
         "at most 64 characters"},
    };
    cr_assert(begins(&bench, "actions"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        Tercet__V1__Branch branch = branch_of(1, bad[i].action, 1);
        Tercet__V1__EnlistRequest enlist = enlist_of("actions", &branch);
        Tercet__V1__TryRequest to_try = try_of("actions", &branch);
        INVALID("Enlist", enlist, bad[i].words);
        INVALID("Try", to_try, bad[i].words);
    }
}

BENCH_TEST(names, an_action_that_a_served_service_does_not_offer)
{
    struct participant *participant = participant_open(&bench);
    Tercet__V1__Branch branch = branch_of(1, "stock/steal", 1);
    Tercet__V1__Branch *branches[] = {&branch};
    Tercet__V1__TryRequest to_try = try_of("offers", &branch);
    Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
    char gid[] = "offers-run";
    run.gid = gid;
    run.branches = branches;
    run.n_branches = 1;
    cr_assert(begins(&bench, "offers"));
    INVALID("Try", to_try, "does not offer the action \"steal\"");
    INVALID("Run", run, "does not offer the action \"steal\"");
    Tercet__V1__GetRequest get = get_of("offers-run");
    REFUSED(COORDINATOR, "Get", get, CRPC_NOT_FOUND, "");
    participant_close(participant);
}

BENCH_TEST(names, texts)
{
    static char large[258];
    Tercet__V1__CancelRequest cancel = cancel_of("texts", large);
    Tercet__V1__SettleRequest settle = TERCET__V1__SETTLE_REQUEST__INIT;
    cr_assert(begins(&bench, "texts"));
    cancel = cancel_of("texts", "\xff\xfe");
    INVALID("Cancel", cancel, "UTF-8");
    settle.gid = cancel.gid;
    settle.branch = 1;
    REFUSED(ADMIN, "Settle", settle, CRPC_INVALID_ARGUMENT, "say why");
    memset(large, 'x', 257); /* more than is kept of a reason: it is cut */
    cancel = cancel_of("texts", large);
    cancel.wait = (Tercet__V1__Wait)9;
    INVALID("Cancel", cancel, "WAIT_NOT");
    cancel.wait = TERCET__V1__WAIT__WAIT_DECIDED;
    Tercet__V1__Transaction *cancelled =
        (Tercet__V1__Transaction *)ask(&bench, COORDINATOR, "Cancel", &cancel.base, NULL);
    cr_assert_eq(cancelled->state, TERCET__V1__STATE__CANCELLED);
    cr_assert_eq(strlen(cancelled->reason), 255);
    crpc_message_free(&cancelled->base);
    /* with a terminal state the list finds it, and without another word */
    Tercet__V1__State states[] = {TERCET__V1__STATE__CANCELLED};
    Tercet__V1__ListRequest list = TERCET__V1__LIST_REQUEST__INIT;
    list.states = states, list.n_states = 1;
    Tercet__V1__ListResponse *listed =
        (Tercet__V1__ListResponse *)ask(&bench, ADMIN, "List", &list.base, NULL);
    bool is_listed = false;
    for (size_t i = 0; i < listed->n_transactions; i++)
        is_listed |= strcmp(listed->transactions[i]->gid, "texts") == 0;
    cr_assert(is_listed);
    crpc_message_free(&listed->base);
}

/* An Await ends when its time is over, although nothing else happens. */
BENCH_TEST(names, await_timeout)
{
    char gid[] = "kept-open";
    Tercet__V1__AwaitRequest await = TERCET__V1__AWAIT_REQUEST__INIT;
    await.gid = gid;
    await.wait = TERCET__V1__WAIT__WAIT_RESOLVED;
    await.timeout_ms = 100;
    REFUSED(COORDINATOR, "Await", await, CRPC_UNKNOWN, "has not come");
}

BENCH_TEST(names, methods_and_services)
{
    char text[256];
    struct crpc_bytes nothing = {"", 0};
    ProtobufCServiceDescriptor other = *COORDINATOR;
    cr_assert_eq(send_raw(&bench, &tercet__v1__participant__descriptor, "Execute", nothing, text),
                 CRPC_UNIMPLEMENTED, "the coordinator is no participant");
    cr_assert_not_null(strstr(text, "/tercet.v1.Participant/Execute"));
    other.name = "tercet.v1.Nothing";
    cr_assert_eq(send_raw(&bench, &other, "Begin", nothing, text), CRPC_UNIMPLEMENTED);
    other.name = "tercet.v2.Coordinator";
    cr_assert_eq(send_raw(&bench, &other, "Begin", nothing, text), CRPC_UNIMPLEMENTED);
}
