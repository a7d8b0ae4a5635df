/* SPDX-License-Identifier: Apache-2.0
 *
 * Ways in which TCC coordinators have gone wrong, part two: those of retries, dead participants,
 * limits and doors.
 */
#include "fixture.h"
#include "grpc/health/v1/health.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(pitfalls_load, .timeout = 500);

/* -- Retries ----------------------------------------------------------------------------------- */

/* Failed calls of the branch that failed most. */
static uint32_t attempts_of(const char *gid)
{
    Tercet__V1__Transaction *transaction = world_show(gid);
    uint32_t attempts = 0;
    for (size_t i = 0; i < transaction->n_branches; i++)
        if (transaction->branches[i]->attempts > attempts)
            attempts = transaction->branches[i]->attempts;
    crpc_message_free(&transaction->base);
    return attempts;
}

Test(pitfalls_load, pitfall_13_a_confirm_that_never_succeeds_is_parked_tried_on_and_kept)
{
    static const char *const options[] = {"--park-after-failures", "3", "--retention", "1s", NULL};
    struct tercet_result result;
    open_all(options);
    atomic_store(&money.again[TERCET_CONFIRM], FOR_EVER);
    cr_assert_eq(RUN("never", TERCET_WAIT_DECIDED, &result, "stock", "money"), 0);
    cr_assert_eq(RUN("other", TERCET_WAIT_RESOLVED, &result, "stock"), 0);
    WAIT_FOR(world_is_parked("never"));
    /* the retention of what is over has passed, */
    WAIT_FOR(world_state("other") == 0);
    cr_assert_eq(world_state("never"), TERCET_CONFIRMING); /* and what is parked is there */
    uint32_t attempts = attempts_of("never");
    Tercet__V1__RetryRequest retry = TERCET__V1__RETRY_REQUEST__INIT;
    retry.gid = "never";
    cr_assert_eq(world_call(&tercet__v1__admin__descriptor, "Retry", &retry.base, NULL), CRPC_OK);
    /* a retry is for what waits, so the answer to this one must have come */
    WAIT_FOR(attempts_of("never") > attempts);
    atomic_store(&money.again[TERCET_CONFIRM], 0);
    cr_assert_eq(world_call(&tercet__v1__admin__descriptor, "Retry", &retry.base, NULL), CRPC_OK);
    AWAIT(atomic_load(&money.done[TERCET_CONFIRM]) == 1);
    close_all();
}

/* A called participant that counts, and answers "unavailable" until it is healed. */
struct patient {
    struct crpc_loop *loop;
    struct crpc_server *server;
    char target[64];
    atomic_int calls;
    atomic_bool is_healed;
};

static void on_execute(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    struct patient *patient = ctx;
    Tercet__V1__CallResult result = TERCET__V1__CALL_RESULT__INIT;
    result.outcome = TERCET__V1__OUTCOME__DONE;
    (void)request;
    atomic_fetch_add(&patient->calls, 1);
    happened();
    if (atomic_load(&patient->is_healed))
        crpc_call_reply(call, &result.base);
    else
        crpc_call_fail(call, CRPC_UNAVAILABLE, "ill");
}

static void patient_open(struct patient *patient, const char *service)
{
    static const struct crpc_handler handlers[] = {
        {.method = "Execute", .kind = CRPC_UNARY, .on_request = on_execute}};
    Tercet__V1__RegisterRequest request = TERCET__V1__REGISTER_REQUEST__INIT;
    char *actions[] = {"do"};
    int port = 0;
    *patient = (struct patient){.loop = NULL};
    cr_assert_eq(crpc_loop_new(&patient->loop, NULL), 0);
    cr_assert_eq(crpc_server_new(&patient->server, patient->loop, NULL), 0);
    cr_assert_eq(crpc_server_add_service(patient->server, &tercet__v1__participant__descriptor,
                                         handlers, 1, patient),
                 0);
    cr_assert_eq(crpc_server_listen(patient->server, "127.0.0.1:0", NULL, &port), 0);
    cr_assert_eq(crpc_server_start(patient->server), 0);
    snprintf(patient->target, sizeof(patient->target), "127.0.0.1:%d", port);
    request.service = (char *)(uintptr_t)service;
    request.target = patient->target;
    request.actions = actions;
    request.n_actions = 1;
    cr_assert_eq(
        world_call(&tercet__v1__participants__descriptor, "RegisterTarget", &request.base, NULL),
        CRPC_OK);
}

static void patient_close(struct patient *patient)
{
    crpc_server_free(patient->server);
    crpc_loop_free(patient->loop);
}

/* Many transactions wait for one dead participant: it is asked by probes, not once a transaction
 * and retry. */
Test(pitfalls_load, pitfall_14_a_dead_participant_gets_probes_and_all_goes_when_it_is_back)
{
    enum { TRANSACTIONS = 300, PROBES = 4 };
    struct tercet_result result;
    struct patient patient;
    char gid[32];
    open_all(NULL);
    patient_open(&patient, "ill");
    for (int i = 0; i < TRANSACTIONS; i++) {
        snprintf(gid, sizeof(gid), "ill-%d", i);
        cr_assert_eq(RUN(gid, TERCET_WAIT_NOT, &result, "ill", "stock"), 0);
    }
    WAIT_FOR(world_participant("ill").breaker_open && world_participant("ill").calls == 0);
    int before = atomic_load(&patient.calls);
    int64_t began_ms = process_now_ms();
    AWAIT(atomic_load(&patient.calls) >= before + PROBES);
    int64_t took_ms = process_now_ms() - began_ms;
    int calls = atomic_load(&patient.calls) - before;
    cr_assert_leq(calls, 2 + took_ms / 100, "%d calls within %d ms", calls, (int)took_ms);
    cr_assert_lt(atomic_load(&patient.calls), TRANSACTIONS, "%d calls in all",
                 atomic_load(&patient.calls));
    atomic_store(&patient.is_healed, true);
    for (int i = 0; i < TRANSACTIONS; i++) {
        snprintf(gid, sizeof(gid), "ill-%d", i);
        cr_assert_eq(tercet_await(world.client, gid, TERCET_WAIT_RESOLVED, WAIT_MS, &result), 0,
                     "%s", result.text);
    }
    cr_assert_not(world_participant("ill").breaker_open);
    patient_close(&patient);
    close_all();
}

/* -- Dead participants ------------------------------------------------------------------------- */

Test(pitfalls_load, pitfall_15_a_dead_participant_does_not_hold_up_the_others)
{
    struct tercet_result result;
    struct patient patient;
    struct party dead;
    open_all(NULL);
    patient_open(&patient, "ill");
    party_open(&dead, "dead");
    atomic_store(&dead.again[TERCET_CONFIRM], FOR_EVER);
    cr_assert_eq(RUN("half", TERCET_WAIT_DECIDED, &result, "dead", "stock", "money"), 0);
    party_leave(&dead);
    /* phase two does not stop at the dead first branch */
    AWAIT(atomic_load(&stock.done[TERCET_CONFIRM]) == 1);
    AWAIT(atomic_load(&money.done[TERCET_CONFIRM]) == 1);
    for (int i = 0; i < 200; i++)
        cr_assert_eq(RUN(NULL, TERCET_WAIT_NOT, &result, i % 2 == 0 ? "dead" : "ill", "stock"), 0);
    int64_t began_ms = process_now_ms();
    for (int i = 0; i < 100; i++)
        cr_assert_eq(RUN(NULL, TERCET_WAIT_RESOLVED, &result, "stock", "money"), 0);
    cr_assert_lt(process_now_ms() - began_ms, 10000,
                 "100 transactions of the living, behind 200 that wait");
    cr_assert_eq(world_state("half"), TERCET_CONFIRMING);
    party_close(&dead);
    patient_close(&patient);
    close_all();
}

Test(pitfalls_load, pitfall_16_two_coordinators_do_not_share_a_store)
{
    char store[160], line[PROCESS_LINE_MAX];
    const char *const argv[] = {TERCETD, "--data", store, "--listen", "127.0.0.1:0", NULL};
    struct process second;
    int status = 0;
    open_all(NULL);
    snprintf(store, sizeof(store), "%s/store", world.daemon.dir);
    process_start(&second, argv, "/dev/null", NULL);
    cr_assert_not(process_line(&second, "ready", line, WAIT_MS));
    cr_assert(process_wait(&second, WAIT_MS, &status));
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1, "status %d", status);
    struct tercet_result result;
    cr_assert_eq(RUN(NULL, TERCET_WAIT_RESOLVED, &result, "stock"), 0,
                 "the first is not disturbed");
    close_all();
}

/* -- Doors ------------------------------------------------------------------------------------- */

/* Asks at one address with a token (NULL: none). */
static enum crpc_code ask_with(const char *address, const char *token)
{
    Tercet__V1__StatisticsRequest request = TERCET__V1__STATISTICS_REQUEST__INIT;
    struct crpc_metadata metadata = {.key = "authorization"};
    struct crpc_call_options options = {.size = sizeof(options),
                                        .timeout_ms = WAIT_MS,
                                        .wait_for_ready = true,
                                        .metadata = &metadata};
    struct crpc_result result = {.code = CRPC_OK};
    struct crpc_channel *channel = NULL;
    ProtobufCMessage *reply = NULL;
    options.metadata_count = token != NULL ? 1 : 0;
    metadata.value = (struct crpc_bytes){token, token != NULL ? strlen(token) : 0};
    cr_assert_eq(crpc_channel_new(&channel, world.loop, address, NULL), 0);
    crpc_unary(&reply, channel, &tercet__v1__admin__descriptor, "GetStatistics", &request.base,
               &options, &result);
    enum crpc_code code = reply != NULL ? CRPC_OK : result.code;
    crpc_message_free(reply);
    crpc_result_clear(&result);
    crpc_channel_free(channel);
    return code;
}

/* As a load balancer asks: without a token. */
static enum crpc_code ask_health(void)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    return world_call(&grpc__health__v1__health__descriptor, "Check", &request.base, NULL);
}

/* In a folder of its own, beside what else the test keeps there. */
static void write_rules(struct daemon *folder, char access[160])
{
    *folder = (struct daemon){.dir = "/tmp/tercet-e2e-XXXXXX"};
    cr_assert_not_null(mkdtemp(folder->dir));
    snprintf(access, 160, "%s/access", folder->dir);
    FILE *rules = fopen(access, "we");
    cr_assert(rules != NULL && fputs("admin s3cret-s3cret-s3cret\n", rules) >= 0 &&
              fclose(rules) == 0);
}

Test(pitfalls_load, health_is_for_everybody_unless_it_is_guarded)
{
    struct daemon folder;
    char access[160];
    write_rules(&folder, access);
    const char *const options[] = {"--access", access, NULL};
    const char *const guarded[] = {"--access", access, "--guard-health", NULL};
    world_open(options);
    cr_assert_eq(ask_health(), CRPC_OK);
    cr_assert_eq(ask_with(world.daemon.address, NULL), CRPC_UNAUTHENTICATED, "and nothing else");
    world_close();
    world_open(guarded);
    cr_assert_eq(ask_health(), CRPC_UNAUTHENTICATED);
    world_close();
    daemon_clean(&folder);
}

Test(pitfalls_load, pitfall_24_the_second_port_is_no_back_door)
{
    struct daemon folder; /* of the rules and the socket */
    char access[160], socket[160];
    write_rules(&folder, access);
    snprintf(socket, sizeof(socket), "unix:%s/socket", folder.dir);
    const char *const options[] = {"--access", access, "--listen", socket, NULL};
    world_open(options);
    const char *const doors[] = {world.daemon.address, socket};
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(ask_with(doors[i], "Bearer s3cret-s3cret-s3cret"), CRPC_OK, "%s", doors[i]);
        cr_assert_eq(ask_with(doors[i], "Bearer wrong"), CRPC_UNAUTHENTICATED, "%s", doors[i]);
        cr_assert_eq(ask_with(doors[i], NULL), CRPC_UNAUTHENTICATED, "%s", doors[i]);
    }
    world_close();
    daemon_clean(&folder);
}

/* Without rules there is no door to other machines at all. */
Test(pitfalls_load, pitfall_24_nothing_but_loopback_is_served_without_rules)
{
    char dir[] = "/tmp/tercet-e2e-XXXXXX", line[PROCESS_LINE_MAX];
    const char *const argv[] = {TERCETD, "--data", dir, "--listen", "0.0.0.0:0", NULL};
    struct process process;
    int status = 0;
    cr_assert_not_null(mkdtemp(dir));
    process_start(&process, argv, "/dev/null", NULL);
    cr_assert_not(process_line(&process, "ready", line, WAIT_MS));
    cr_assert(process_wait(&process, WAIT_MS, &status));
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    rmdir(dir);
}

/* -- Limits ------------------------------------------------------------------------------------ */

Test(pitfalls_load, pitfall_28_limits_are_named_in_the_error)
{
    static const char *const options[] = {"--open-max", "3", NULL};
    static char large[TERCET_PAYLOAD_MAX + 1];
    struct tercet_branch branch = branch_of("stock");
    struct tercet_result result;
    open_all(options);
    branch.payload = (struct tercet_bytes){large, TERCET_PAYLOAD_MAX};
    cr_assert_eq(tercet_run(world.client, &branch, 1, NULL, &result), 0,
                 "the limit itself is fine: %s", result.text);
    branch.payload.size++;
    cr_assert_eq(tercet_run(world.client, &branch, 1, NULL, &result), TERCET_INVALID);
    cr_assert_not_null(strstr(result.text, "65536"), "%s", result.text);

    struct tercet_branch *many = calloc(TERCET_BRANCHES_MAX + 1, sizeof(*many));
    for (int i = 0; i <= TERCET_BRANCHES_MAX; i++)
        many[i] = branch_of(i % 2 == 0 ? "stock" : "money");
    struct tercet_begin_options resolved = options_of(NULL, 0);
    resolved.wait = TERCET_WAIT_RESOLVED;
    cr_assert_eq(tercet_run(world.client, many, TERCET_BRANCHES_MAX, &resolved, &result), 0, "%s",
                 result.text);
    cr_assert_eq(result.branch_count, TERCET_BRANCHES_MAX);
    cr_assert_eq(tercet_run(world.client, many, TERCET_BRANCHES_MAX + 1, &resolved, &result),
                 TERCET_INVALID);
    cr_assert_not_null(strstr(result.text, "1024"), "%s", result.text);
    free(many);

    WAIT_FOR(world_statistics().confirming == 0);
    atomic_store(&stock.again[TERCET_CONFIRM], FOR_EVER);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(RUN(NULL, TERCET_WAIT_DECIDED, &result, "stock"), 0);
    cr_assert_eq(RUN(NULL, TERCET_WAIT_DECIDED, &result, "stock"), TERCET_EXHAUSTED);
    cr_assert_not_null(strstr(result.text, "open-max"), "%s", result.text);
    atomic_store(&stock.again[TERCET_CONFIRM], 0);
    WAIT_FOR(RUN(NULL, TERCET_WAIT_DECIDED, &result, "stock") == 0); /* nothing was lost */
    close_all();
}
