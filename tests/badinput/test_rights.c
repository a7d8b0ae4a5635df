/* SPDX-License-Identifier: Apache-2.0
 *
 * Roles that are bound to names: whose service, whose transactions, which targets.
 */
#include "bench.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

BENCH_SUITE(rights);

#define PAYMENT "payment-0123456789"
#define STOCK "stock-0123456789"
#define WEB "shop-web-0123456789"
#define APP "shop-app-0123456789"
#define SHOP "shop-all-0123456789"
#define ANY "initiator-0123456789"
#define READER "reader-0123456789"
#define OPERATOR "operator-0123456789"
#define ADMINISTRATOR "admin-0123456789"
#define EVERY "every-service-0123456789"

static const char rules[] = "participant:payment " PAYMENT "\n"
                            "participant:stock " STOCK "\n"
                            "participant:stock-* " STOCK "\n"
                            "initiator:shop-web " WEB "\n"
                            "initiator:shop-app " APP "\n"
                            "initiator:shop-* " SHOP "\n"
                            "initiator " ANY "\n"
                            "reader " READER "\n"
                            "operator " OPERATOR "\n"
                            "admin " ADMINISTRATOR "\n";

static void start_with(const char *text, const char *allowed)
{
    static char file[128];
    const char *list[] = {"--access", file, allowed != NULL ? "--allow-target" : NULL, allowed,
                          NULL};
    bench_write_file("rules", text);
    snprintf(file, sizeof(file), "%s", daemon_path(&bench.daemon, "rules"));
    bench_launch(list);
    bench_connect(&bench);
}

static void start(const char *allowed)
{
    bench_prepare();
    cr_assert_eq(crpc_loop_new(&bench.loop, NULL), 0);
    start_with(rules, allowed);
}

static void stop(void)
{
    cr_assert_eq(bench_end(SIGTERM), 0);
    bench_stop(&bench);
}

/* -- Participants ------------------------------------------------------------------------------ */

/* Says hello as this service. What it comes to: OK, or how the stream ended. */
static enum crpc_code attach(const char *token, const char *service, char text[256])
{
    char *actions[] = {(char *)"do"}, bearer[64];
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    struct crpc_stream *stream = NULL;
    struct crpc_result result = {0};
    ProtobufCMessage *reply = NULL;
    snprintf(bearer, sizeof(bearer), "Bearer %s", token);
    const struct crpc_metadata entry = {"authorization", {bearer, strlen(bearer)}};
    const struct crpc_call_options options = {
        .size = sizeof(options), .timeout_ms = WAIT_MS, .metadata = &entry, .metadata_count = 1};
    hello.service = (char *)(uintptr_t)service;
    hello.actions = actions;
    hello.n_actions = 1;
    hello.instance = (char *)"by hand";
    request.hello = &hello;
    cr_assert_eq(crpc_stream_open(&stream, bench.channel, PARTICIPANTS, "Attach", &options), 0);
    (void)crpc_stream_write(stream, &request.base);
    bool is_accepted = crpc_stream_read(&reply, stream) == 0;
    crpc_message_free(reply);
    (void)crpc_stream_half_close(stream);
    (void)crpc_stream_finish(stream, &result);
    enum crpc_code code = is_accepted ? CRPC_OK : result.code;
    snprintf(text, 256, "%s", result.message != NULL ? result.message : "");
    crpc_result_clear(&result);
    return code;
}

static enum crpc_code registers(const char *token, const char *service, const char *target)
{
    Tercet__V1__RegisterRequest request = TERCET__V1__REGISTER_REQUEST__INIT;
    struct crpc_result result = {0};
    request.service = (char *)(uintptr_t)service;
    request.target = (char *)(uintptr_t)target;
    bench.token = token;
    ProtobufCMessage *reply = ask(&bench, PARTICIPANTS, "RegisterTarget", &request.base, &result);
    enum crpc_code code = reply != NULL ? CRPC_OK : result.code;
    crpc_message_free(reply);
    crpc_result_clear(&result);
    return code;
}

Test(rights, a_service_is_served_by_its_own_alone)
{
    char text[256] = "";
    start(NULL);
    cr_expect_eq(attach(STOCK, "payment", text), CRPC_PERMISSION_DENIED);
    cr_expect_not_null(strstr(text, "bind"), "%s", text);
    cr_expect_eq(attach(PAYMENT, "payment2", text), CRPC_PERMISSION_DENIED);
    cr_expect_eq(attach(PAYMENT, "payment", text), CRPC_OK, "%s", text);
    cr_expect_eq(attach(STOCK, "stock-2", text), CRPC_OK, "several rules a token");
    cr_expect_eq(registers(STOCK, "payment", "127.0.0.1:1"), CRPC_PERMISSION_DENIED);
    cr_expect_eq(registers(PAYMENT, "payment", "127.0.0.1:1"), CRPC_OK);
    cr_expect_eq(registers(STOCK, "payment", ""), CRPC_PERMISSION_DENIED);
    cr_expect_eq(registers(READER, "payment", ""), CRPC_PERMISSION_DENIED);
    cr_expect_eq(registers(OPERATOR, "payment", "127.0.0.1:2"), CRPC_PERMISSION_DENIED,
                 "operators only end registrations");
    cr_expect_eq(registers(OPERATOR, "payment", ""), CRPC_OK);
    stop();
}

/* Each rule is for its own token: one without a name is for every service, also for those that
 * other rules name, and does not widen these. With both, a token has what the wider one permits. */
Test(rights, a_rule_without_a_name_is_for_every_service)
{
    static const char both[] = "participant:payment " PAYMENT "\n"
                               "participant " EVERY "\n"
                               "participant:stock " STOCK "\n"
                               "participant " STOCK "\n";
    char text[256] = "";
    bench_prepare();
    cr_assert_eq(crpc_loop_new(&bench.loop, NULL), 0);
    start_with(both, NULL);
    cr_expect_eq(attach(EVERY, "payment", text), CRPC_OK, "%s", text);
    cr_expect_eq(attach(EVERY, "stock", text), CRPC_OK, "%s", text);
    cr_expect_eq(attach(STOCK, "payment", text), CRPC_OK, "%s", text);
    cr_expect_eq(attach(PAYMENT, "stock", text), CRPC_PERMISSION_DENIED);
    cr_expect_eq(registers(PAYMENT, "payment", "127.0.0.1:1"), CRPC_OK);
    cr_expect_eq(registers(EVERY, "payment", ""), CRPC_OK, "it may end others' registrations, too");
    stop();
}

Test(rights, targets_are_among_those_that_are_listed)
{
    start("127.0.0.1:7*");
    cr_expect_eq(registers(PAYMENT, "payment", "127.0.0.1:71"), CRPC_OK);
    cr_expect_eq(registers(PAYMENT, "payment", "dns:///127.0.0.1:72"), CRPC_OK);
    cr_expect_eq(registers(PAYMENT, "payment", "127.0.0.1:81"), CRPC_PERMISSION_DENIED);
    cr_expect_eq(registers(PAYMENT, "payment", "unix:/run/other.sock"), CRPC_PERMISSION_DENIED);
    cr_expect_eq(registers(PAYMENT, "payment", ""), CRPC_OK, "it can always be ended");
    stop();
}

/* -- Initiators -------------------------------------------------------------------------------- */

static bool begins_as(const char *token, const char *gid)
{
    bench.token = token;
    return begins(&bench, gid);
}

static bool is_denied(const char *token, const char *method, const ProtobufCMessage *request)
{
    bench.token = token;
    return fails(&bench, COORDINATOR, method, request, CRPC_PERMISSION_DENIED,
                 "begun by another initiator");
}

static bool sees(const char *token, const char *gid)
{
    Tercet__V1__GetRequest get = get_of(gid);
    struct crpc_result result = {0};
    bench.token = token;
    ProtobufCMessage *reply = ask(&bench, COORDINATOR, "Get", &get.base, &result);
    cr_expect(reply != NULL || result.code == CRPC_PERMISSION_DENIED, "%d", (int)result.code);
    crpc_message_free(reply);
    crpc_result_clear(&result);
    return reply != NULL;
}

static void check_all_denied(const char *token, const char *gid)
{
    Tercet__V1__Branch branch = branch_of(1, "stock/do", 0);
    Tercet__V1__BeginRequest begin = begin_of(gid);
    Tercet__V1__EnlistRequest enlist = enlist_of(gid, &branch);
    Tercet__V1__TryRequest try_branch = try_of(gid, &branch);
    Tercet__V1__ConfirmRequest confirm = confirm_of(gid);
    Tercet__V1__CancelRequest cancel = cancel_of(gid, "");
    Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
    Tercet__V1__Branch *branches[] = {&branch};
    run.gid = (char *)(uintptr_t)gid;
    run.branches = branches;
    run.n_branches = 1;
    cr_expect(is_denied(token, "Begin", &begin.base));
    cr_expect(is_denied(token, "Enlist", &enlist.base));
    cr_expect(is_denied(token, "Try", &try_branch.base));
    cr_expect(is_denied(token, "Confirm", &confirm.base));
    cr_expect(is_denied(token, "Cancel", &cancel.base));
    cr_expect(is_denied(token, "Run", &run.base));
    cr_expect_not(sees(token, gid));
}

Test(rights, an_initiator_has_what_it_began)
{
    Tercet__V1__CancelRequest cancel = cancel_of("by-web", "");
    start(NULL);
    cr_assert(begins_as(WEB, "by-web"));
    cr_assert(begins_as(ANY, "by-any"));
    check_all_denied(APP, "by-web");
    check_all_denied(APP, "by-any");
    check_all_denied(SHOP, "by-any");
    cr_expect(begins_as(WEB, "by-web"), "a repeat");
    cr_expect(sees(WEB, "by-web"));
    cr_expect(sees(SHOP, "by-web"));
    cr_expect(sees(ANY, "by-web"));
    cr_expect(sees(READER, "by-web"));
    cr_expect(sees(OPERATOR, "by-any"));
    bench.token = SHOP;
    cr_expect(is_in(&bench, "Cancel", &cancel.base, TERCET__V1__STATE__CANCELLED));
    cr_expect(sees(WEB, "by-web"), "when it is over, too");
    check_all_denied(APP, "by-web");
    stop();
}

/* Whose it is stands in its record. */
Test(rights, after_a_restart_too)
{
    start(NULL);
    cr_assert(begins_as(WEB, "open"));
    bench_end(SIGKILL);
    start_with(rules, NULL);
    check_all_denied(APP, "open");
    cr_expect(sees(WEB, "open"));
    stop();
}

/* -- Operators --------------------------------------------------------------------------------- */

static bool may(const char *token, const char *method, const ProtobufCMessage *request)
{
    struct crpc_result result = {0};
    bench.token = token;
    ProtobufCMessage *reply = ask(&bench, ADMIN, method, request, &result);
    bool may = reply != NULL || result.code != CRPC_PERMISSION_DENIED;
    crpc_message_free(reply);
    crpc_result_clear(&result);
    return may;
}

Test(rights, who_looks_does_not_decide)
{
    static const char *const tokens[] = {READER, OPERATOR, ADMINISTRATOR};
    Tercet__V1__ListRequest list = TERCET__V1__LIST_REQUEST__INIT;
    Tercet__V1__StatisticsRequest statistics = TERCET__V1__STATISTICS_REQUEST__INIT;
    Tercet__V1__ListParticipantsRequest participants = TERCET__V1__LIST_PARTICIPANTS_REQUEST__INIT;
    Tercet__V1__DecideRequest decide = TERCET__V1__DECIDE_REQUEST__INIT;
    Tercet__V1__SettleRequest settle = TERCET__V1__SETTLE_REQUEST__INIT;
    Tercet__V1__RetryRequest retry = TERCET__V1__RETRY_REQUEST__INIT;
    Tercet__V1__PauseRequest pause = TERCET__V1__PAUSE_REQUEST__INIT;
    start(NULL);
    for (size_t i = 0; i < 3; i++) {
        cr_expect(may(tokens[i], "List", &list.base), "%s", tokens[i]);
        cr_expect(may(tokens[i], "GetStatistics", &statistics.base), "%s", tokens[i]);
        cr_expect(may(tokens[i], "ListParticipants", &participants.base), "%s", tokens[i]);
        cr_expect_eq(may(tokens[i], "Decide", &decide.base), i > 0, "%s", tokens[i]);
        cr_expect_eq(may(tokens[i], "Settle", &settle.base), i > 0, "%s", tokens[i]);
        cr_expect_eq(may(tokens[i], "Retry", &retry.base), i > 0, "%s", tokens[i]);
        cr_expect_eq(may(tokens[i], "Pause", &pause.base), i > 0, "%s", tokens[i]);
    }
    cr_expect_not(may(WEB, "List", &list.base));
    stop();
}

/* -- Rules that cannot be ---------------------------------------------------------------------- */

Test(rights, rules_with_a_mistake_are_refused)
{
    static const char *const wrong[] = {"participant: " PAYMENT "\n", "reader:all " READER "\n",
                                        "participant:a/b " PAYMENT "\n", "reading " READER "\n"};
    char text[DAEMON_TEXT_MAX], file[128];
    bench_prepare();
    snprintf(file, sizeof(file), "--access=%s", daemon_path(&bench.daemon, "rules"));
    const char *list[] = {file, NULL};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        bench_write_file("rules", wrong[i]);
        cr_expect_eq(bench_try(text, list), 1, "%s", wrong[i]);
        cr_expect_not_null(strstr(text, "line 1"), "%s", text);
    }
}
