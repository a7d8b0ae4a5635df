/* SPDX-License-Identifier: Apache-2.0
 *
 * A real tercetd and a collector: which spans there are, whose children, over refusals, retries and
 * restarts; and what is passed on to participants.
 */
#include "collector.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TRACE_ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT_ID "00f067aa0ba902b7"
#define SAMPLED "00-" TRACE_ID "-" PARENT_ID "-01"
#define NOT_SAMPLED "00-" TRACE_ID "-" PARENT_ID "-00"

static struct collector collector;
static int64_t began_ms;

TestSuite(trace, .timeout = 400);

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Opens all, with a collector; further options may be NULL. */
static void trace_open(const char *const *further)
{
    const char *options[10] = {"--otlp"};
    size_t count = 2;
    began_ms = wall_ms();
    collector_open(&collector);
    options[1] = collector.url;
    for (; further != NULL && *further != NULL; further++)
        options[count++] = *further;
    open_all(options);
}

static void trace_close(void)
{
    close_all();
    collector_close(&collector);
}

static int run_with(const char *gid, const char *traceparent, struct tercet_result *result)
{
    const struct tercet_branch branches[] = {branch_of("stock"), branch_of("money")};
    const struct tercet_metadata metadata[] = {{"traceparent", traceparent},
                                               {"tracestate", "vendor=1"}};
    struct tercet_begin_options options = options_of(gid, 0);
    options.metadata = metadata;
    options.metadata_count = traceparent != NULL ? 2 : 0;
    options.wait = TERCET_WAIT_RESOLVED;
    return tercet_run(world.client, branches, 2, &options, result);
}

/* -- What a span is ---------------------------------------------------------------------------- */

static bool is_same(ProtobufCBinaryData a, ProtobufCBinaryData b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* Of one trace, each with an id of its own, and begun and ended within the test. */
static void check_all(const char *gid, const Collector__Span *root, size_t count)
{
    const Collector__Span *span;
    size_t i = 0;
    for (; (span = collector_find(&collector, gid, NULL, i)) != NULL; i++) {
        cr_assert(is_same(span->trace_id, root->trace_id), "%s", span->name);
        cr_assert_eq(span->trace_id.len, 16);
        cr_assert_eq(span->span_id.len, 8);
        cr_assert_eq(span->flags & 1, 1);
        cr_assert_leq((uint64_t)began_ms * 1000000, span->start_time_unix_nano, "%s", span->name);
        cr_assert_leq(span->start_time_unix_nano, span->end_time_unix_nano, "%s", span->name);
        cr_assert_leq(span->end_time_unix_nano, ((uint64_t)wall_ms() + 1000) * 1000000);
        for (size_t k = 0; k < i; k++)
            cr_assert_not(is_same(span->span_id, collector_find(&collector, gid, NULL, k)->span_id),
                          "%s has the id of another", span->name);
    }
    cr_assert_eq(i, count, "%zu spans", i);
}

static const Collector__Span *child_of(const Collector__Span *parent, const char *gid,
                                       const char *name, Collector__Kind kind)
{
    const Collector__Span *span = collector_await(&collector, gid, name);
    cr_assert(is_same(span->parent_span_id, parent->span_id), "%s is no child of %s", name,
              parent->name);
    cr_assert_eq(span->kind, kind, "%s", name);
    cr_assert_leq(parent->start_time_unix_nano, span->start_time_unix_nano, "%s", name);
    return span;
}

static void check_call(const Collector__Span *branch, const char *kind, int64_t number,
                       const char *outcome)
{
    char name[64];
    snprintf(name, sizeof(name), "%s %s", kind, branch->name);
    const Collector__Span *call = child_of(branch, "order", name, COLLECTOR__KIND__CLIENT);
    cr_assert_str_eq(span_text(call, "tercet.service"), span_text(branch, "tercet.service"));
    cr_assert_str_eq(span_text(call, "tercet.action"), "do");
    cr_assert_str_eq(span_text(call, "tercet.kind"), kind);
    cr_assert_str_eq(span_text(call, "tercet.outcome"), outcome);
    cr_assert_str_neq(span_text(call, "tercet.instance"), "");
    cr_assert_eq(span_number(call, "tercet.attempt"), 1);
    cr_assert_eq(span_number(call, "tercet.branch"), number);
    cr_assert_null(call->status);
    cr_assert_leq(call->end_time_unix_nano, branch->end_time_unix_nano);
}

static void check_resource(void)
{
    const Collector__ResourceSpans *of = collector.requests[0]->resource_spans[0];
    const char *name = "", *version = "", *instance = "";
    for (size_t i = 0; i < of->resource->n_attributes; i++) {
        const Collector__KeyValue *pair = of->resource->attributes[i];
        if (strcmp(pair->key, "service.name") == 0)
            name = pair->value->string_value;
        if (strcmp(pair->key, "service.version") == 0)
            version = pair->value->string_value;
        if (strcmp(pair->key, "service.instance.id") == 0)
            instance = pair->value->string_value;
    }
    cr_assert_str_eq(name, "tercetd");
    cr_assert(version[0] >= '0' && version[0] <= '9');
    cr_assert_eq(strlen(instance), 16, "%s", instance);
    cr_assert_str_eq(of->scope_spans[0]->scope->name, "tercet");
    cr_assert_eq(of->base.n_unknown_fields + of->resource->base.n_unknown_fields, 0);
}

Test(trace, a_transaction_its_branches_and_their_calls)
{
    struct tercet_result result;
    char expected[128];
    trace_open(NULL);
    cr_assert_eq(run_with("order", SAMPLED, &result), 0, "%s", result.text);
    const Collector__Span *root = collector_await(&collector, "order", "transaction");
    cr_assert_str_eq(hex(&root->trace_id), TRACE_ID);
    cr_assert_str_eq(hex(&root->parent_span_id), PARENT_ID);
    cr_assert_str_eq(root->trace_state, "vendor=1");
    cr_assert_eq(root->kind, COLLECTOR__KIND__SERVER);
    cr_assert_str_eq(span_text(root, "tercet.outcome"), "confirmed");
    cr_assert_str_eq(span_text(root, "tercet.cause"), "all tries done");
    cr_assert_eq(span_number(root, "tercet.branches"), 2);
    cr_assert_eq(span_number(root, "tercet.number"), (int64_t)result.number);
    cr_assert_null(root->status);
    cr_assert_eq(root->n_events, 1);
    cr_assert_str_eq(root->events[0]->name, "confirm");
    cr_assert_leq(root->events[0]->time_unix_nano, root->end_time_unix_nano);
    for (int64_t number = 1; number <= 2; number++) {
        const char *name = number == 1 ? "stock/do" : "money/do";
        const Collector__Span *branch = child_of(root, "order", name, COLLECTOR__KIND__INTERNAL);
        cr_assert_str_eq(span_text(branch, "tercet.try"), "done");
        cr_assert_str_eq(span_text(branch, "tercet.outcome"), "confirmed");
        cr_assert_null(branch->status);
        check_call(branch, "try", number, "done");
        check_call(branch, "confirm", number, "done");
    }
    check_all("order", root, 7);
    check_resource();
    const Collector__Span *confirm = collector_find(&collector, "order", "confirm stock/do", 0);
    snprintf(expected, sizeof(expected), "tracestate=vendor=1;traceparent=00-%s-%s-01;", TRACE_ID,
             hex(&confirm->span_id));
    cr_assert_str_eq(stock.metadata, expected, "the hook is a child of its call");
    trace_close();
}

/* -- Who begins a trace ------------------------------------------------------------------------ */

/* The traceparent that the hook of `party` was given last: trace id and flags. */
static void check_passed(const struct party *party, const char *trace_id, const char *flags)
{
    const char *header = strstr(party->metadata, "traceparent=");
    cr_assert_not_null(header, "%s", party->metadata);
    cr_assert_eq(strncmp(header + 15, trace_id, 32), 0, "%s: %s", party->metadata, trace_id);
    cr_assert_eq(strncmp(header + 65, flags, 2), 0, "%s: %s", party->metadata, flags);
}

Test(trace, without_a_context_the_coordinator_begins_one)
{
    struct tercet_result result;
    trace_open(NULL);
    cr_assert_eq(run_with("own", NULL, &result), 0);
    const Collector__Span *root = collector_await(&collector, "own", "transaction");
    cr_assert_eq(root->parent_span_id.len, 0);
    check_all("own", root, 7);
    check_passed(&stock, hex(&root->trace_id), "03");
    /* one that cannot be read counts as none, and its state is worth nothing */
    cr_assert_eq(run_with("unread", "00-not-a-01", &result), 0);
    root = collector_await(&collector, "unread", "transaction");
    cr_assert_eq(root->parent_span_id.len, 0);
    cr_assert_str_eq(root->trace_state, "");
    check_all("unread", root, 7);
    check_passed(&stock, hex(&root->trace_id), "03");
    cr_assert_null(strstr(stock.metadata, "tracestate"));
    cr_assert_not(
        is_same(root->trace_id, collector_find(&collector, "own", "transaction", 0)->trace_id));
    trace_close();
}

Test(trace, whoever_began_it_decides_whether_it_is_sampled)
{
    static const char *const none[] = {"--trace-sample", "0", NULL};
    struct tercet_result result;
    trace_open(none);
    cr_assert_eq(run_with("unsampled", NOT_SAMPLED, &result), 0);
    cr_assert_not_null(strstr(stock.metadata, "traceparent=" NOT_SAMPLED ";"), "%s",
                       stock.metadata);
    cr_assert_eq(run_with("nobody", NULL, &result), 0);
    const char *header = strstr(stock.metadata, "traceparent=00-");
    cr_assert_not_null(header);
    cr_assert_eq(strncmp(header + 65, "02", 2), 0, "the participant need not ask itself: %s",
                 stock.metadata);
    cr_assert_eq(run_with("sampled", SAMPLED, &result), 0);
    collector_await(&collector, "sampled", "transaction");
    check_passed(&stock, TRACE_ID, "01");
    cr_assert_eq(collector_count(&collector), 7, "of that one alone");
    trace_close();
}

Test(trace, half_of_them_are_sampled_by_their_ids)
{
    static const char *const half[] = {"--trace-sample", "0.5", NULL};
    struct tercet_result result;
    char gid[16];
    size_t sampled = 0;
    trace_open(half);
    for (int i = 0; i < 64; i++) {
        snprintf(gid, sizeof(gid), "gid-%d", i);
        cr_assert_eq(run_with(gid, NULL, &result), 0);
    }
    cr_assert_eq(run_with("last", SAMPLED, &result), 0);
    collector_await(&collector, "last", "transaction");
    for (int i = 0; i < 64; i++) {
        snprintf(gid, sizeof(gid), "gid-%d", i);
        sampled += collector_find(&collector, gid, "transaction", 0) != NULL;
    }
    /* of 64 with chance 1/2: below 8 or above 56 once in 10^10 times */
    cr_assert(sampled >= 8 && sampled <= 56, "%zu", sampled);
    cr_assert_eq(collector_count(&collector), 7 * (sampled + 1), "each whole or not at all");
    trace_close();
}

/* Frameworks put the context into a call's own metadata. */
Test(trace, a_unary_call_brings_its_context)
{
    Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
    Tercet__V1__Branch branch = TERCET__V1__BRANCH__INIT, *branches = &branch;
    const struct crpc_metadata headers[] = {
        {.key = "traceparent", .value = {SAMPLED, sizeof(SAMPLED) - 1}},
        {.key = "tracestate", .value = {"vendor=2", 8}}};
    struct crpc_call_options options = {
        .size = sizeof(options), .timeout_ms = WAIT_MS, .metadata = headers, .metadata_count = 2};
    struct crpc_result status = {.code = CRPC_OK};
    ProtobufCMessage *reply = NULL;
    trace_open(NULL);
    branch.action = "stock/do";
    run.gid = "unary";
    run.branches = &branches;
    run.n_branches = 1;
    run.wait = TERCET__V1__WAIT__WAIT_RESOLVED;
    for (int i = 0; i < 2; i++) { /* asked again, it is the same */
        int rc = crpc_unary(&reply, world.channel, &tercet__v1__coordinator__descriptor, "Run",
                            &run.base, &options, &status);
        cr_assert_eq(rc, 0, "%s: %s", crpc_strerror(rc), status.message);
        crpc_result_clear(&status);
        crpc_message_free(reply);
        options.metadata_count = 0;
    }
    const Collector__Span *root = collector_await(&collector, "unary", "transaction");
    cr_assert_str_eq(hex(&root->trace_id), TRACE_ID);
    cr_assert_str_eq(hex(&root->parent_span_id), PARENT_ID);
    cr_assert_str_eq(root->trace_state, "vendor=2");
    check_all("unary", root, 4);
    trace_close();
}

/* -- What fails -------------------------------------------------------------------------------- */

static void check_error(const Collector__Span *span, const char *text)
{
    cr_assert_not_null(span->status, "%s", span->name);
    cr_assert_eq(span->status->code, COLLECTOR__CODE__ERROR);
    cr_assert_not_null(strstr(span->status->message, text), "%s: %s", span->name,
                       span->status->message);
}

Test(trace, a_refusal_is_an_error_of_all_that_it_ended)
{
    struct tercet_result result;
    trace_open(NULL);
    atomic_store(&money.refuses, true);
    cr_assert_eq(run_with("refused", SAMPLED, &result), TERCET_REFUSED);
    const Collector__Span *root = collector_await(&collector, "refused", "transaction");
    check_error(root, "sold out");
    cr_assert_str_eq(span_text(root, "tercet.outcome"), "cancelled");
    cr_assert_str_eq(root->events[0]->name, "cancel");
    const Collector__Span *refuser = collector_await(&collector, "refused", "money/do");
    check_error(refuser, "sold out");
    cr_assert_str_eq(span_text(refuser, "tercet.try"), "refused");
    cr_assert_eq(span_number(refuser, "tercet.failures"), -1, "none failed");
    const Collector__Span *call = collector_await(&collector, "refused", "try money/do");
    check_error(call, "sold out");
    cr_assert_str_eq(span_text(call, "tercet.outcome"), "refused");
    cr_assert_null(collector_await(&collector, "refused", "stock/do")->status);
    trace_close();
}

Test(trace, each_attempt_is_a_span_and_an_event_of_its_branch)
{
    struct tercet_result result;
    trace_open(NULL);
    atomic_store(&stock.again[TERCET_CONFIRM], 2);
    cr_assert_eq(run_with("again", SAMPLED, &result), 0);
    const Collector__Span *root = collector_await(&collector, "again", "transaction");
    const Collector__Span *branch = collector_find(&collector, "again", "stock/do", 0);
    cr_assert_eq(branch->n_events, 2);
    cr_assert_str_eq(branch->events[1]->name, "retry");
    cr_assert_str_eq(branch->events[1]->attributes[0]->value->string_value, "the disk said no");
    cr_assert_eq(span_number(branch, "tercet.failures"), 2);
    for (size_t i = 0; i < 3; i++) {
        const Collector__Span *call = collector_find(&collector, "again", "confirm stock/do", i);
        cr_assert_eq(span_number(call, "tercet.attempt"), (int64_t)i + 1);
        cr_assert_str_eq(span_text(call, "tercet.outcome"), i < 2 ? "again" : "done");
        cr_assert(is_same(call->parent_span_id, branch->span_id));
        if (i < 2)
            check_error(call, "the disk said no");
    }
    check_all("again", root, 9);
    trace_close();
}

Test(trace, a_try_that_the_decision_overtakes_has_its_span)
{
    const struct tercet_branch branch = branch_of("stock");
    const struct tercet_metadata metadata = {"traceparent", SAMPLED};
    struct tercet_begin_options options = options_of("overtaken", 0);
    struct tercet_result result;
    struct told told = {.count = 0};
    options.metadata = &metadata;
    options.metadata_count = 1;
    options.wait = TERCET_WAIT_NOT;
    trace_open(NULL);
    atomic_store(&stock.is_held, true);
    cr_assert_eq(tercet_run(world.client, &branch, 1, &options, &result), 0);
    AWAIT(atomic_load(&stock.entered[TERCET_TRY]) == 1);
    Tercet__V1__CancelRequest cancel = TERCET__V1__CANCEL_REQUEST__INIT;
    enum crpc_code code;
    cancel.gid = "overtaken";
    cancel.reason = "changed my mind";
    Tercet__V1__Transaction *shown = world_ask("Cancel", &cancel.base, &code);
    cr_assert_eq(code, CRPC_OK);
    crpc_message_free(&shown->base);
    const Collector__Span *call = collector_await(&collector, "overtaken", "try stock/do");
    cr_assert_str_eq(span_text(call, "tercet.outcome"), "abandoned");
    party_release(&stock);
    const Collector__Span *root = collector_await(&collector, "overtaken", "transaction");
    cr_assert_null(root->status, "it was asked for");
    cr_assert_str_eq(span_text(root, "tercet.reason"), "changed my mind");
    cr_assert_eq(atomic_load(&told.count), 0);
    check_all("overtaken", root, 4);
    trace_close();
}

Test(trace, a_try_that_the_deadline_waited_for_is_an_error)
{
    const struct tercet_branch branches[] = {branch_of("stock"), branch_of("money")};
    struct tercet_begin_options options = options_of("late", 300);
    struct tercet_result result;
    options.wait = TERCET_WAIT_DECIDED;
    trace_open(NULL);
    atomic_store(&money.is_held, true);
    tercet_run(world.client, branches, 2, &options, &result);
    cr_assert_eq(result.state, TERCET_CANCELLING, "%s", tercet_state_name(result.state));
    party_release(&money);
    const Collector__Span *root = collector_await(&collector, "late", "transaction");
    check_error(root, "");
    cr_assert_str_eq(span_text(root, "tercet.cause"), "the deadline passed");
    const Collector__Span *branch = collector_await(&collector, "late", "money/do");
    check_error(branch, "");
    cr_assert_str_eq(span_text(branch, "tercet.try"), "unknown");
    trace_close();
}

/* -- Restarts ---------------------------------------------------------------------------------- */

static void check_over_a_restart(const char *gid, const char *traceparent)
{
    struct tercet_result result;
    const struct tercet_branch branches[] = {branch_of("stock"), branch_of("money")};
    const struct tercet_metadata metadata = {"traceparent", traceparent};
    struct tercet_begin_options options = options_of(gid, 0);
    options.metadata = &metadata;
    options.metadata_count = traceparent != NULL;
    atomic_store(&money.again[TERCET_CONFIRM], FOR_EVER);
    cr_assert_eq(tercet_run(world.client, branches, 2, &options, &result), 0);
    collector_await(&collector, gid, "stock/do");
    const Collector__Span *before = collector_await(&collector, gid, "confirm money/do");
    kill_and_restart();
    atomic_store(&money.again[TERCET_CONFIRM], 0);
    const Collector__Span *root = collector_await(&collector, gid, "transaction");
    const Collector__Span *branch = collector_find(&collector, gid, "money/do", 0);
    cr_assert(is_same(before->parent_span_id, branch->span_id), "told before it died");
    cr_assert(is_same(branch->parent_span_id, root->span_id));
    cr_assert(is_same(before->trace_id, root->trace_id));
    cr_assert_null(collector_find(&collector, gid, "transaction", 1), "once");
    cr_assert_null(collector_find(&collector, gid, "money/do", 1), "once");
    cr_assert_leq(branch->start_time_unix_nano, before->start_time_unix_nano);
    for (size_t i = 0; collector_find(&collector, gid, "confirm money/do", i + 1) != NULL; i++)
        cr_assert_not(is_same(before->span_id,
                              collector_find(&collector, gid, "confirm money/do", i + 1)->span_id));
    cr_assert_str_eq(hex(&root->parent_span_id), traceparent != NULL ? PARENT_ID : "");
}

Test(trace, a_restart_goes_on_with_the_same_ids)
{
    trace_open(NULL);
    check_over_a_restart("theirs", SAMPLED);
    check_over_a_restart("ours", NULL);
    trace_close();
}

/* -- Participants that are called -------------------------------------------------------------- */

struct target {
    pthread_mutex_t lock;
    char traceparent[64], tracestate[32], in_message[64];
};

static void on_execute(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    const Tercet__V1__Call *told = (const Tercet__V1__Call *)request;
    Tercet__V1__CallResult result = TERCET__V1__CALL_RESULT__INIT;
    struct target *target = ctx;
    struct crpc_bytes value;
    pthread_mutex_lock(&target->lock);
    if (crpc_call_metadata_get(call, "traceparent", &value))
        snprintf(target->traceparent, sizeof(target->traceparent), "%.*s", (int)value.size,
                 (const char *)value.data);
    if (crpc_call_metadata_get(call, "tracestate", &value))
        snprintf(target->tracestate, sizeof(target->tracestate), "%.*s", (int)value.size,
                 (const char *)value.data);
    for (size_t i = 0; i < told->n_metadata; i++)
        if (strcmp(told->metadata[i]->key, "traceparent") == 0)
            snprintf(target->in_message, sizeof(target->in_message), "%s",
                     told->metadata[i]->value);
    pthread_mutex_unlock(&target->lock);
    result.outcome = TERCET__V1__OUTCOME__DONE;
    crpc_call_reply(call, &result.base);
}

static void register_target(struct crpc_server *server)
{
    Tercet__V1__RegisterRequest request = TERCET__V1__REGISTER_REQUEST__INIT;
    char *actions[] = {"do"};
    request.service = "called";
    request.actions = actions;
    request.n_actions = 1;
    request.target = (char *)(uintptr_t)crpc_server_address(server, 0);
    cr_assert_eq(
        world_call(&tercet__v1__participants__descriptor, "RegisterTarget", &request.base, NULL),
        CRPC_OK);
}

Test(trace, a_called_participant_has_it_in_the_calls_metadata_too)
{
    static const struct crpc_handler handlers[] = {
        {.method = "Execute", .kind = CRPC_UNARY, .on_request = on_execute}};
    static struct target target = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const struct tercet_branch branch = branch_of("called");
    const struct tercet_metadata metadata[] = {{"traceparent", SAMPLED}, {"tracestate", "v=1"}};
    struct tercet_begin_options options = options_of("called", 0);
    struct tercet_result result;
    struct crpc_server *server = NULL;
    char expected[64];
    options.metadata = metadata;
    options.metadata_count = 2;
    options.wait = TERCET_WAIT_RESOLVED;
    trace_open(NULL);
    cr_assert_eq(crpc_server_new(&server, world.loop, NULL), 0);
    cr_assert_eq(
        crpc_server_add_service(server, &tercet__v1__participant__descriptor, handlers, 1, &target),
        0);
    cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", NULL, NULL), 0);
    cr_assert_eq(crpc_server_start(server), 0);
    register_target(server);
    cr_assert_eq(tercet_run(world.client, &branch, 1, &options, &result), 0, "%s", result.text);
    const Collector__Span *call = collector_await(&collector, "called", "confirm called/do");
    snprintf(expected, sizeof(expected), "00-%s-%s-01", TRACE_ID, hex(&call->span_id));
    cr_assert_str_eq(target.traceparent, expected);
    cr_assert_str_eq(target.in_message, expected);
    cr_assert_str_eq(target.tracestate, "v=1");
    cr_assert_str_eq(span_text(call, "tercet.instance"), crpc_server_address(server, 0));
    crpc_server_free(server);
    trace_close();
}

/* -- Collectors that are not what they should be ----------------------------------------------- */

static void run_many(int count)
{
    struct tercet_result result;
    for (int i = 0; i < count; i++)
        cr_assert_eq(run_with(NULL, SAMPLED, &result), 0, "%s", result.text);
}

/* A transaction of so many branches. */
static void run_wide(size_t count)
{
    struct tercet_branch branches[100];
    struct tercet_begin_options options = options_of(NULL, 0);
    struct tercet_result result;
    cr_assert_leq(count, 100);
    for (size_t i = 0; i < count; i++)
        branches[i] = (struct tercet_branch){.action = "stock/nothing"};
    options.wait = TERCET_WAIT_RESOLVED;
    cr_assert_eq(tercet_run(world.client, branches, count, &options, &result), 0, "%s",
                 result.text);
}

static bool log_says(const char *text)
{
    char *log = daemon_log(&world.daemon);
    bool does = strstr(log, text) != NULL;
    free(log);
    return does;
}

/* "...were lost: 12 for want of room", and not 0. */
static bool has_told_drops(void)
{
    static const char words[] = "were lost: ";
    char *log = daemon_log(&world.daemon);
    const char *at = log;
    unsigned long long count = 0;
    while (count == 0 && (at = strstr(at, words)) != NULL) {
        at += sizeof(words) - 1;
        count = strtoull(at, NULL, 10);
    }
    free(log);
    return count > 0;
}

Test(trace, one_that_is_full_gets_it_again)
{
    struct tercet_result result;
    trace_open(NULL);
    collector_set(&collector, COLLECTOR_IS_FULL);
    cr_assert_eq(run_with("later", SAMPLED, &result), 0);
    AWAIT(collector_asked(&collector) > 0);
    collector_set(&collector, COLLECTOR_TAKES);
    const Collector__Span *root = collector_await(&collector, "later", "transaction");
    check_all("later", root, 7);
    WAIT_FOR(log_says("takes no spans: UNAVAILABLE: later"));
    trace_close();
}

Test(trace, what_one_refuses_is_lost_and_said)
{
    struct tercet_result result;
    trace_open(NULL);
    collector_set(&collector, COLLECTOR_REFUSES);
    cr_assert_eq(run_with("never", SAMPLED, &result), 0);
    WAIT_FOR(log_says("that the collector at"));
    cr_assert(log_says("it said last: not these"));
    collector_set(&collector, COLLECTOR_TAKES);
    cr_assert_eq(run_with("next", SAMPLED, &result), 0);
    collector_await(&collector, "next", "transaction");
    cr_assert_null(collector_find(&collector, "never", "transaction", 0), "not sent again");
    trace_close();
}

/* Nothing waits for it: not transactions, and not the stop. */
Test(trace, one_that_hangs_holds_up_nobody)
{
    trace_open(NULL);
    collector_set(&collector, COLLECTOR_HANGS);
    run_many(20);
    AWAIT(collector_asked(&collector) > 0);
    run_many(20);
    cr_assert_eq(daemon_stop(&world.daemon), 0);
    trace_close();
}

/* It is away: what waits is bounded, what finds no room is counted; when it is there, it gets what
 * has waited. */
Test(trace, one_that_is_away_costs_a_bounded_queue)
{
    static const char *const little[] = {"--memory-max", "32M", NULL};
    struct tercet_result result;
    trace_open(little);
    collector_leave(&collector);
    for (int i = 0; i < 12; i++)
        run_wide(100); /* 301 spans of some 400 bytes each: 1.4 MB, where there is room for 1 MiB */
    WAIT_FOR(has_told_drops());
    cr_assert(log_says("takes no spans: UNAVAILABLE"));
    collector_open(&collector);
    AWAIT(collector_count(&collector) > 0);
    cr_assert_eq(run_with("back", SAMPLED, &result), 0);
    collector_await(&collector, "back", "transaction");
    trace_close();
}

Test(trace, what_is_left_is_sent_when_it_stops)
{
    struct tercet_result result;
    trace_open(NULL);
    cr_assert_eq(run_with("last", SAMPLED, &result), 0);
    cr_assert_eq(daemon_stop(&world.daemon), 0);
    check_all("last", collector_await(&collector, "last", "transaction"), 7);
    trace_close();
}

/* -- Options ----------------------------------------------------------------------------------- */

static void write_file(char path[160], const char *name, const char *text)
{
    snprintf(path, 160, "%s", daemon_path(&world.daemon, name));
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static void restart_with(const char *const *options)
{
    cr_assert_eq(daemon_stop(&world.daemon), 0);
    daemon_options(&world.daemon, options);
    world_restart();
}

Test(trace, headers_go_with_each_export)
{
    struct tercet_result result;
    char path[160];
    trace_open(NULL);
    write_file(path, "headers", "# for the collector\n\nAuthorization:  Bearer secret \n");
    const char *const options[] = {"--quiet",        "--otlp", collector.url,
                                   "--otlp-headers", path,     NULL};
    cr_assert_eq(daemon_stop(&world.daemon), 0);
    daemon_options(&world.daemon, options);
    world_restart();
    cr_assert_eq(run_with("token", SAMPLED, &result), 0);
    collector_await(&collector, "token", "transaction");
    cr_assert_str_eq(collector.token, "Bearer secret");
    trace_close();
}

/* A certificate of 127.0.0.1, which signs itself; false: there is no openssl. */
static bool make_certificate(char **cert, char **key)
{
    char command[512], path[160];
    snprintf(command, sizeof(command),
             "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "
             "2 -subj /CN=collector -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out "
             "cert.pem >openssl.log 2>&1",
             world.daemon.dir);
    if (system("openssl version >/dev/null 2>&1") != 0)
        return false;
    cr_assert_eq(system(command), 0, "%s", command);
    snprintf(path, sizeof(path), "%s/cert.pem", world.daemon.dir);
    cr_assert_eq(crpc_file_read(cert, path), 0);
    snprintf(path, sizeof(path), "%s/key.pem", world.daemon.dir);
    cr_assert_eq(crpc_file_read(key, path), 0);
    return true;
}

Test(trace, over_tls_the_collector_has_to_prove_itself)
{
    struct crpc_tls tls = {.size = sizeof(tls)};
    char *cert = NULL, *key = NULL, url[64], path[160];
    struct tercet_result result;
    open_all(NULL);
    if (!make_certificate(&cert, &key)) {
        close_all();
        cr_skip_test("openssl is not there to make a certificate");
    }
    tls.cert = cert;
    tls.key = key;
    collector.tls = &tls;
    collector_open(&collector);
    snprintf(url, sizeof(url), "https%s", strchr(collector.url, ':'));
    snprintf(path, sizeof(path), "%s/cert.pem", world.daemon.dir);
    restart_with((const char *const[]){"--quiet", "--otlp", url, NULL});
    cr_assert_eq(run_with("untrusted", SAMPLED, &result), 0);
    WAIT_FOR(log_says("takes no spans: UNAVAILABLE"));
    cr_assert_eq(collector_asked(&collector), 0);
    restart_with((const char *const[]){"--quiet", "--otlp", url, "--otlp-ca", path, NULL});
    cr_assert_eq(run_with("trusted", SAMPLED, &result), 0);
    collector_await(&collector, "trusted", "transaction");
    trace_close();
    free(cert);
    free(key);
}

static void check_not_started(const char *const *options, const char *says)
{
    char text[DAEMON_TEXT_MAX];
    int status = daemon_run_alone(options, text);
    cr_assert(status == 1 || status == 2, "%d: %s", status, text);
    cr_assert_not_null(strstr(text, says), "%s", text);
}

Test(trace, wrong_options_are_said)
{
    char path[160];
    world_open(NULL);
    write_file(path, "headers", "good: 1\nBearer secret\n");
    const char *const cases[][2][7] = {
        {{TERCETD, "--data", "memory:", "--otlp", "localhost:4317", NULL},
         {"--otlp localhost:4317): http://HOST:4317 or https://HOST:4317 is wanted"}},
        {{TERCETD, "--data", "memory:", "--trace-sample", "0.5", NULL}, {"needs --otlp"}},
        {{TERCETD, "--data", "memory:", "--trace-sample", "5", NULL}, {"from 0 (none) to 1 (all)"}},
        {{TERCETD, "--otlp=http://127.0.0.1:1", "--data", "memory:", "--otlp-headers", path, NULL},
         {"(--otlp-headers), line 2: a line is \"name: value\""}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_not_started(cases[i][0], cases[i][1][0]);
    world_close();
}

/* -- The log ----------------------------------------------------------------------------------- */

Test(trace, lines_about_a_transaction_name_it_and_its_trace)
{
    static const char *const json[] = {"--log-format", "json", NULL};
    struct tercet_result result;
    trace_open(json);
    atomic_store(&stock.again[TERCET_TRY], 1);
    cr_assert_eq(run_with("logged", SAMPLED, &result), 0);
    WAIT_FOR(log_says("\"gid\": \"logged\", \"trace_id\": \"" TRACE_ID "\"}"));
    trace_close();
    world_open(NULL);
    party_open(&stock, "stock");
    party_open(&money, "money");
    atomic_store(&stock.again[TERCET_TRY], 1);
    cr_assert_eq(run_with("logged", SAMPLED, &result), 0);
    WAIT_FOR(log_says(" trace_id=" TRACE_ID "\n"));
    close_all();
}
