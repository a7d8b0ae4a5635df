/* SPDX-License-Identifier: Apache-2.0
 *
 * Participants: the real barrier over the memory driver, which here is a database on a disk: what
 * has been committed survives a crash of the process. Hooks leave effects, staged with the local
 * transaction, which the checker is told of when it commits.
 */
#include "sim.h"

#include <drivers.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORK_MAX 16     /* calls in one local transaction */
#define FIELD_RESULTS 2 /* of AttachRequest */

static struct participant_actor *running; /* whose local transaction is open */

const char *service_name(int service)
{
    static const char *const names[SERVICES] = {"s0", "s1", "s2", "s3"};
    return names[service];
}

int service_of(const char *action)
{
    return action[1] - '0';
}

static int index_of(const struct participant_actor *p)
{
    return (int)(p - sim->participants);
}

/* -- The database ------------------------------------------------------------------------------ */

static void stage(const char *gid, uint32_t branch, char op)
{
    size_t at = running->staged_count++;
    running->staged[at] = (struct effect_staged){.job = job_of(gid), .branch = branch, .op = op};
}

static int database_begin(void *driver)
{
    running->staged_count = running->savepoint = 0;
    return memory_driver.begin(driver);
}

static void tell_effects(void)
{
    for (size_t i = 0; i < running->staged_count; i++)
        check_effect(index_of(running), running->staged[i].job, running->staged[i].branch,
                     running->staged[i].op);
    running->staged_count = 0;
}

/* A crash before the commit loses the work; a failing commit may have been applied all the same. */
static int database_commit(void *driver)
{
    const struct faults *f = &sim->faults;
    bool is_lost = chance(f->database_lost);
    bool is_before = crash_is_due("before a participant's commit");
    if (is_before || chance(f->service_crash) || crash_is_due("after a participant's commit")) {
        count_fault(FAULT_SERVICE_CRASH);
        running->is_crashing = true;
        is_lost = is_before || is_lost || (f->service_crash > 0 && chance(5000));
    } else if (is_lost) {
        count_fault(FAULT_DATABASE_LOST);
    }
    if (is_lost)
        return TERCET_STORE;
    int rc = memory_driver.commit(driver);
    tell_effects();
    if (rc == 0 && chance(f->database_kept)) {
        count_fault(FAULT_DATABASE_KEPT);
        return TERCET_STORE;
    }
    return rc;
}

static void database_rollback(void *driver)
{
    running->staged_count = 0;
    memory_driver.rollback(driver);
}

static int database_savepoint(void *driver)
{
    running->savepoint = running->staged_count;
    return memory_driver.savepoint(driver);
}

static int database_rollback_to(void *driver)
{
    running->staged_count = running->savepoint;
    return memory_driver.rollback_to(driver);
}

static int database_insert(void *driver, const struct tercet_barrier_key *key,
                           enum tercet_barrier_state state, bool *inserted)
{
    bool is_cancel = state == TERCET_BARRIER_CANCELLED;
    struct tercet_barrier_row row;
    if (is_cancel && mutant_now() == MUTANT_NO_EMPTY_CANCEL) {
        memory_driver.read(driver, key, &row);
        free(row.reply);
        *inserted = row.state == TERCET_BARRIER_NONE;
        if (*inserted)
            stage(key->gid, key->branch, 'e');
        return 0;
    }
    if (!is_cancel && mutant_now() == MUTANT_NO_ROW_ON_TRY && chance(1000)) {
        *inserted = true;
        return 0;
    }
    int rc = memory_driver.insert(driver, key, state, inserted);
    if (rc == 0 && *inserted && is_cancel)
        stage(key->gid, key->branch, 'e');
    return rc;
}

static int database_mark_read(void *driver, uint64_t *mark)
{
    int rc = memory_driver.mark_read(driver, mark);
    if (mutant_now() == MUTANT_NO_MARK_CHECK)
        *mark = 0;
    return rc;
}

static int open_database(struct tercet_barrier **out)
{
    struct tercet_barrier_driver driver = memory_driver;
    struct tercet_barrier_options options = {.size = sizeof(options),
                                             .collect_rows_max = 1 + (uint32_t)random_below(8)};
    void *memory = NULL;
    driver.begin = database_begin;
    driver.commit = database_commit;
    driver.rollback = database_rollback;
    driver.savepoint = database_savepoint;
    driver.rollback_to = database_rollback_to;
    driver.insert = database_insert;
    driver.mark_read = database_mark_read;
    int rc = memory_driver_open(&memory);
    return rc == 0 ? tercet_barrier_new(out, &driver, memory, &options) : rc;
}

/* -- The hooks --------------------------------------------------------------------------------- */

static int hook(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    static const char ops[] = {[TERCET_TRY] = 't', [TERCET_CONFIRM] = 'c', [TERCET_CANCEL] = 'x'};
    const struct faults *f = &sim->faults;
    (void)db;
    (void)ctx;
    if (call->kind == TERCET_TRY && chance(f->refuse)) {
        count_fault(FAULT_REFUSED);
        return TERCET_REFUSED;
    }
    stage(call->gid, call->branch, ops[call->kind]); /* and with an error it is rolled back */
    if (chance(f->again)) {
        count_fault(FAULT_AGAIN);
        return chance(5000) ? TERCET_AGAIN : chance(5000) ? TERCET_REFUSED : 7;
    }
    if (call->kind == TERCET_TRY) {
        call->reply = must_alloc(80);
        call->reply_size = (size_t)snprintf(call->reply, 80, "%s/%u", call->gid, call->branch);
    }
    return 0;
}

/* -- Answers ----------------------------------------------------------------------------------- */

static void result_arrives(struct happening *packet)
{
    struct crpc_call *stream = packet->call;
    if (packet->method == ROUTE_TARGET) {
        ProtobufCMessage *result = happening_message(packet, &tercet__v1__call_result__descriptor);
        network_target_answer(packet->id, (const Tercet__V1__CallResult *)result, packet->code);
        crpc_message_free(result);
    } else if (stream != NULL && !network_is_over(stream)) {
        happening_wrap(packet, FIELD_RESULTS, 0);
        coordinator_post(
            sim_call(stream)->life,
            fake_attached(stream,
                          happening_message(packet, &tercet__v1__attach_request__descriptor)));
    }
    happening_free(packet);
}

static Tercet__V1__Outcome outcome_of(int result)
{
    if (result == 0)
        return TERCET__V1__OUTCOME__DONE;
    if (result == TERCET_REFUSED)
        return TERCET__V1__OUTCOME__REFUSAL;
    return result == TERCET_BROKEN ? TERCET__V1__OUTCOME__BROKEN : TERCET__V1__OUTCOME__AGAIN;
}

/* What a registered participant may say in place of a result. */
static int status_of(const Tercet__V1__CallResult *result)
{
    static const int vague[] = {CRPC_UNAVAILABLE, CRPC_DEADLINE_EXCEEDED, CRPC_CANCELLED,
                                CRPC_INTERNAL, CRPC_UNKNOWN};
    if (!chance(sim->faults.status))
        return CRPC_OK;
    count_fault(FAULT_STATUS);
    if (result->outcome == TERCET__V1__OUTCOME__REFUSAL)
        return CRPC_ABORTED;
    if (result->outcome == TERCET__V1__OUTCOME__BROKEN)
        return CRPC_FAILED_PRECONDITION;
    return vague[random_below(5)];
}

static void answer(const struct happening *packet, const Tercet__V1__Call *message,
                   const struct tercet_barrier_call *call)
{
    Tercet__V1__CallResult result = TERCET__V1__CALL_RESULT__INIT;
    struct happening *reply =
        happen(-1, packet->method == ROUTE_OWN ? initiator_own_result : result_arrives);
    result.id = message->id;
    result.outcome = outcome_of(call->result);
    if (call->kind != TERCET_TRY && chance(sim->faults.broken)) {
        count_fault(FAULT_BROKEN);
        result.outcome = TERCET__V1__OUTCOME__BROKEN;
    }
    result.reply.data = call->reply;
    result.reply.len = call->reply_size;
    result.reason =
        call->result == 0 ? result.reason : (char *)(uintptr_t)tercet_strerror(call->result);
    reply->who = packet->who;
    reply->job = packet->job;
    reply->method = packet->method;
    reply->id = packet->id;
    reply->floor = (int)call->branch;
    reply->call = packet->call;
    if (reply->call != NULL)
        crpc_call_ref(reply->call);
    happening_set_message(reply, &result.base);
    if (packet->method == ROUTE_TARGET)
        reply->code = status_of(&result);
    trace("%s: %s/%u %s: %s", service_name(packet->who), call->gid, call->branch,
          tercet_kind_name(call->kind), call->result == 0 ? "done" : tercet_strerror(call->result));
    int to = packet->method == ROUTE_OWN ? NODE_INITIATOR + sim->jobs[packet->job].initiator
                                         : NODE_COORDINATOR;
    network_send(reply, NODE_SERVICE + packet->who, to);
}

/* -- Working ----------------------------------------------------------------------------------- */

static void drop_inbox(struct participant_actor *p)
{
    while (p->inbox_count > 0)
        happening_free(p->inbox[--p->inbox_count]);
}

static void run_inbox(struct participant_actor *p, size_t count)
{
    struct tercet_barrier_call calls[WORK_MAX];
    ProtobufCMessage *messages[WORK_MAX];
    for (size_t i = 0; i < count; i++) {
        messages[i] = happening_message(p->inbox[i], &tercet__v1__call__descriptor);
        const Tercet__V1__Call *message = (const Tercet__V1__Call *)messages[i];
        calls[i] = (struct tercet_barrier_call){.gid = message->gid,
                                                .branch = message->branch,
                                                .number = message->number,
                                                .low_water = message->low_water,
                                                .kind = (enum tercet_kind)message->kind,
                                                .hook = hook};
    }
    running = p;
    tercet_barrier_run(p->barrier, calls, count);
    running = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!p->is_crashing)
            answer(p->inbox[i], (const Tercet__V1__Call *)messages[i], &calls[i]);
        free(calls[i].reply);
        crpc_message_free(messages[i]);
        happening_free(p->inbox[i]);
    }
    p->inbox_count -= count;
    memmove(p->inbox, p->inbox + count, p->inbox_count * sizeof(p->inbox[0]));
}

static void work(struct happening *happening)
{
    struct participant_actor *p = &sim->participants[happening->who];
    p->is_working = false;
    happening_free(happening);
    while (p->inbox_count > 0 && !p->is_crashing)
        run_inbox(p, (size_t)random_between(1, p->inbox_count < WORK_MAX ? (int64_t)p->inbox_count
                                                                         : WORK_MAX));
    if (p->is_crashing) {
        p->is_crashing = false;
        participant_go_away(index_of(p), random_below(SECOND / 2));
    }
}

bool participant_is_away(int service)
{
    return sim->participants[service].away_until_us > sim->now_us;
}

void participant_receive(struct happening *packet)
{
    struct participant_actor *p = &sim->participants[packet->who];
    if (participant_is_away(packet->who) ||
        p->inbox_count == sizeof(p->inbox) / sizeof(p->inbox[0])) {
        happening_free(packet);
        return;
    }
    p->inbox[p->inbox_count++] = packet;
    if (!p->is_working)
        happen(paced(NODE_SERVICE + packet->who, random_below(3000)), work)->who = index_of(p);
    p->is_working = true;
}

/* -- Coming and going -------------------------------------------------------------------------- */

static void hello(struct participant_actor *p)
{
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    Tercet__V1__Hello say = TERCET__V1__HELLO__INIT;
    char *actions[] = {"act"};
    say.service = (char *)(uintptr_t)service_name(index_of(p));
    say.actions = actions;
    say.n_actions = 1;
    say.instance = "sim";
    say.window = (uint32_t)random_below(6);
    request.hello = &say;
    p->stream = &network_open(FAKE_ATTACH, NODE_SERVICE + index_of(p), 0, 0)->base;
    crpc_call_ref(p->stream);
    coordinator_post(sim_call(p->stream)->life,
                     fake_attached(p->stream, as_received(&request.base)));
}

static void attach(struct happening *happening)
{
    struct participant_actor *p = &sim->participants[happening->who];
    int node = NODE_SERVICE + happening->who;
    bool is_possible = sim->coordinator.c != NULL && !participant_is_away(happening->who) &&
                       !network_is_cut(node, NODE_COORDINATOR) &&
                       !network_is_cut(NODE_COORDINATOR, node);
    if (p->stream == NULL && is_possible)
        hello(p);
    int64_t pause_us = p->stream == NULL ? random_between(1000, 100000)
                       : sim->is_quiet   ? 30 * SECOND
                                         : SECOND / 4;
    happen(paced(node, pause_us), attach)->who = happening->who;
    happening_free(happening);
}

void participant_stream_lost(int service, const struct crpc_call *stream)
{
    struct participant_actor *p = &sim->participants[service];
    if (p->stream != stream)
        return;
    crpc_call_unref(p->stream);
    p->stream = NULL;
}

void participant_go_away(int service, int64_t length_us)
{
    struct participant_actor *p = &sim->participants[service];
    trace("%s is away for %.3f s", service_name(service), (double)length_us / 1e6);
    p->away_until_us = sim->now_us + length_us;
    drop_inbox(p);
    if (p->stream != NULL && chance(sim->faults.half_open)) {
        count_fault(FAULT_HALF_OPEN);
        participant_stream_lost(service, p->stream);
    } else if (p->stream != NULL && chance(7000)) {
        network_break(p->stream);
    }
}

static void register_target(struct happening *happening)
{
    Tercet__V1__RegisterRequest request = TERCET__V1__REGISTER_REQUEST__INIT;
    char *actions[] = {"act"};
    char target[16];
    int service = happening->who;
    snprintf(target, sizeof(target), "%s:1", service_name(service));
    request.service = (char *)(uintptr_t)service_name(service);
    request.actions = actions;
    request.n_actions = 1;
    request.target = target;
    request_send(NODE_SERVICE + service, 0, ++sim->last_id, METHOD_REGISTER, &request.base);
    happen(sim->is_quiet ? 60 * SECOND : random_between(SECOND / 2, 2 * SECOND), register_target)
        ->who = service;
    happening_free(happening);
}

void participants_start(void)
{
    sim->service_count = (int)random_between(2, SERVICES);
    for (int service = 0; service < sim->service_count; service++) {
        struct participant_actor *p = &sim->participants[service];
        if (open_database(&p->barrier) != 0)
            abort();
        p->is_target = chance(2500);
        happen(random_below(100000), p->is_target ? register_target : attach)->who = service;
    }
}

void participants_close(void)
{
    for (int service = 0; service < sim->service_count; service++) {
        struct participant_actor *p = &sim->participants[service];
        drop_inbox(p);
        if (p->stream != NULL)
            crpc_call_unref(p->stream);
        p->stream = NULL;
        tercet_barrier_close(p->barrier);
    }
}
