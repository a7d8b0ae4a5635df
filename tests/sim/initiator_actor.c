/* SPDX-License-Identifier: Apache-2.0
 *
 * Initiators: each transaction is a script of requests, repeated under the same gid until one is
 * answered. A timeout says nothing of the outcome. Some go away in the middle, some confirm what
 * was not tried.
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_JOB(id) ((int)((id)&0xff))
#define OWN_ATTEMPTS 6
#define PAYLOAD_LARGE 3000
#define FIELD_REQUESTS 1 /* of SessionRequests */
#define JOBS_CALM 3      /* where every place is tried */

const char *gid_of(int job)
{
    static char gids[4][16];
    static unsigned turn;
    char *gid = gids[turn++ % 4];
    snprintf(gid, sizeof(gids[0]), "gid-%02d", job);
    return gid;
}

/* Every branch has another; some have none, and all have a large one where the store is small. */
struct crpc_bytes payload_of(int job, int branch)
{
    static uint8_t bytes[PAYLOAD_LARGE];
    size_t least = sim->faults.store_size_max > 0 ? PAYLOAD_LARGE - 26 : 0;
    for (size_t i = 0; bytes[0] == 0 && i < sizeof(bytes); i++)
        bytes[sizeof(bytes) - 1 - i] = (uint8_t)('a' + i % 26);
    size_t size = least + (size_t)(job + branch * 7) % 26;
    return (struct crpc_bytes){bytes + sizeof(bytes) - size, size};
}

int job_of(const char *gid)
{
    return atoi(gid + 4);
}

static struct job *self(int job)
{
    return &sim->jobs[job];
}

/* -- On the way -------------------------------------------------------------------------------- */

void request_send(int node, int job, uint64_t id, int method, const ProtobufCMessage *message)
{
    struct happening *packet = happen(-1, request_arrive);
    packet->who = node;
    packet->job = job;
    packet->id = id;
    packet->method = method;
    packet->floor = sim->seen[job].promise.floor;
    happening_set_message(packet, message);
    network_send(packet, node, NODE_COORDINATOR);
}

static void arrive_unary(struct happening *packet)
{
    struct sim_call *call = network_open(packet->method == METHOD_WATCH ? FAKE_WATCH : FAKE_UNARY,
                                         packet->who, packet->job, packet->id);
    enum method method = (enum method)packet->method;
    call->method = packet->method;
    call->floor = packet->floor;
    coordinator_post(
        call->life,
        fake_request(&call->base, method, happening_message(packet, fake_request_type(method))));
}

static struct crpc_call *session_of(int initiator)
{
    struct crpc_call **session = &sim->sessions[initiator];
    if (*session != NULL &&
        (network_is_over(*session) || sim_call(*session)->life != sim->coordinator.life)) {
        crpc_call_unref(*session);
        *session = NULL;
    }
    if (*session == NULL) {
        *session = &network_open(FAKE_SESSION, NODE_INITIATOR + initiator, 0, 0)->base;
        crpc_call_ref(*session);
    }
    return *session;
}

static void session_event(struct crpc_call *session, ProtobufCMessage *message)
{
    coordinator_post(sim_call(session)->life, fake_session(session, message));
}

/* The id is told with the answer, so all that its receiver must know is in it. */
static void arrive_in_session(struct happening *packet)
{
    struct crpc_call *session = session_of(packet->who - NODE_INITIATOR);
    happening_wrap(packet, fake_session_case((enum method)packet->method), packet->id);
    happening_wrap(packet, FIELD_REQUESTS, 0);
    session_event(session, happening_message(packet, &tercet__v1__session_requests__descriptor));
    if (chance(100)) {
        session_event(session, NULL); /* the initiator has half-closed: the next goes by another */
        crpc_call_unref(session);
        sim->sessions[packet->who - NODE_INITIATOR] = NULL;
    }
}

void request_arrive(struct happening *packet)
{
    bool is_initiator = packet->who >= NODE_INITIATOR && packet->who < NODE_OPERATOR;
    if (sim->coordinator.c != NULL) {
        if (is_initiator && self(packet->job)->uses_session && packet->method < METHOD_WATCH)
            arrive_in_session(packet);
        else
            arrive_unary(packet);
    }
    happening_free(packet);
}

/* -- Requests ---------------------------------------------------------------------------------- */

static void ask(int job);

static void ask_again(struct happening *happening)
{
    struct job *j = self(happening->job);
    if (!j->is_over && j->request_id == happening->id) {
        j->attempts++;
        if (!sim->is_calm && chance(sim->faults.loss / 8 + 30)) {
            count_fault(FAULT_ABANDONED);
            trace("initiator %d goes away from %s", j->initiator, gid_of(happening->job));
            j->is_over = true;
        } else {
            ask(happening->job);
        }
    }
    happening_free(happening);
}

static void fill_options(const struct job *j, Tercet__V1__Options *options)
{
    tercet__v1__options__init(options);
    options->deadline_ms = j->deadline_ms;
    options->ordered = j->is_ordered;
    options->keep_on_refusal = j->keeps;
    options->retry_cap_ms = 1500;
}

static void fill_branch(int job, int number, Tercet__V1__Branch *branch, char *action)
{
    tercet__v1__branch__init(branch);
    sprintf(action, "%s/act", service_name(self(job)->services[number]));
    branch->number = (uint32_t)number;
    branch->action = action;
    branch->payload.data = (uint8_t *)(uintptr_t)payload_of(job, number).data;
    branch->payload.len = payload_of(job, number).size;
    branch->try_timeout_ms = 200 + 400 * (uint32_t)(job % 5);
}

static void ask_run(int job, uint64_t id)
{
    const struct job *j = self(job);
    Tercet__V1__RunRequest request = TERCET__V1__RUN_REQUEST__INIT;
    Tercet__V1__Options options;
    Tercet__V1__Branch branches[BRANCHES_SIM];
    Tercet__V1__Branch *pointers[BRANCHES_SIM];
    char actions[BRANCHES_SIM][16];
    fill_options(j, &options);
    for (int i = 0; i < j->branch_count; i++) {
        fill_branch(job, i + 1, &branches[i], actions[i]);
        pointers[i] = &branches[i];
    }
    request.gid = (char *)(uintptr_t)gid_of(job);
    request.options = &options;
    request.branches = pointers;
    request.n_branches = (size_t)j->branch_count;
    request.wait = (Tercet__V1__Wait)j->wait;
    request_send(NODE_INITIATOR + j->initiator, job, id, METHOD_RUN, &request.base);
}

static void ask_begin(int job, uint64_t id)
{
    Tercet__V1__BeginRequest request = TERCET__V1__BEGIN_REQUEST__INIT;
    Tercet__V1__Options options;
    fill_options(self(job), &options);
    request.gid = (char *)(uintptr_t)gid_of(job);
    request.options = &options;
    request_send(NODE_INITIATOR + self(job)->initiator, job, id, METHOD_BEGIN, &request.base);
}

/* A Try or an Enlist: the messages have the same fields. */
static void ask_branch(int job, uint64_t id)
{
    const struct job *j = self(job);
    Tercet__V1__TryRequest to_try = TERCET__V1__TRY_REQUEST__INIT;
    Tercet__V1__EnlistRequest to_enlist = TERCET__V1__ENLIST_REQUEST__INIT;
    Tercet__V1__BeginRequest begin = TERCET__V1__BEGIN_REQUEST__INIT;
    Tercet__V1__Options options;
    Tercet__V1__Branch branch;
    char action[16];
    fill_options(j, &options);
    begin.options = &options;
    fill_branch(job, j->step, &branch, action);
    to_try.gid = to_enlist.gid = (char *)(uintptr_t)gid_of(job);
    to_try.branch = to_enlist.branch = &branch;
    to_try.begin = to_enlist.begin = j->begins_with_first && j->step == 1 ? &begin : NULL;
    if (j->kind == JOB_TRY)
        request_send(NODE_INITIATOR + j->initiator, job, id, METHOD_TRY, &to_try.base);
    else
        request_send(NODE_INITIATOR + j->initiator, job, id, METHOD_ENLIST, &to_enlist.base);
}

static void ask_own(int job, uint64_t id)
{
    const struct job *j = self(job);
    struct happening *packet = happen(-1, participant_receive);
    Tercet__V1__Call call = TERCET__V1__CALL__INIT;
    char action[16];
    sprintf(action, "%s/act", service_name(j->services[j->step]));
    call.kind = TERCET__V1__KIND__TRY;
    call.gid = (char *)(uintptr_t)gid_of(job);
    call.branch = (uint32_t)j->step;
    call.action = action;
    call.number = j->number;
    packet->who = j->services[j->step];
    packet->job = job;
    packet->id = id;
    packet->method = ROUTE_OWN;
    happening_set_message(packet, &call.base);
    network_send(packet, NODE_INITIATOR + j->initiator, NODE_SERVICE + packet->who);
}

static void ask_decision(int job, uint64_t id)
{
    const struct job *j = self(job);
    int node = NODE_INITIATOR + j->initiator;
    Tercet__V1__ConfirmRequest to_confirm = TERCET__V1__CONFIRM_REQUEST__INIT;
    Tercet__V1__CancelRequest to_cancel = TERCET__V1__CANCEL_REQUEST__INIT;
    to_confirm.gid = to_cancel.gid = (char *)(uintptr_t)gid_of(job);
    to_confirm.force = j->is_rogue;
    to_confirm.wait = to_cancel.wait = (Tercet__V1__Wait)j->wait;
    if (j->wants_cancel)
        request_send(node, job, id, METHOD_CANCEL, &to_cancel.base);
    else
        request_send(node, job, id, METHOD_CONFIRM, &to_confirm.base);
}

/* Get, Await or Watch. */
static int draw_question(int job)
{
    if (chance(2000))
        return METHOD_WATCH;
    return (job + self(job)->attempts) % 2 == 0 ? METHOD_AWAIT : METHOD_GET;
}

static void ask_state(int job, uint64_t id, int method)
{
    Tercet__V1__GetRequest request = TERCET__V1__GET_REQUEST__INIT;
    Tercet__V1__AwaitRequest await = TERCET__V1__AWAIT_REQUEST__INIT;
    Tercet__V1__WatchRequest watch = TERCET__V1__WATCH_REQUEST__INIT;
    const struct job *j = self(job);
    int node = NODE_INITIATOR + j->initiator;
    request.gid = await.gid = watch.gid = (char *)(uintptr_t)gid_of(job);
    await.wait = (Tercet__V1__Wait)j->wait;
    await.timeout_ms = job % 3 == 0 ? 300 : 0;
    request_send(node, job, id, method,
                 method == METHOD_WATCH   ? &watch.base
                 : method == METHOD_AWAIT ? &await.base
                                          : &request.base);
}

static uint64_t new_id(int job, int method)
{
    return ++sim->last_id << 24 | (uint64_t)sim->seen[job].promise.floor << 16 |
           (uint64_t)method << 8 | (uint64_t)job;
}

static bool goes_away(int job, const char *when)
{
    if (!crash_is_due(when))
        return false;
    count_fault(FAULT_ABANDONED);
    self(job)->is_over = true;
    return true;
}

static void ask(int job)
{
    struct job *j = self(job);
    int last = j->branch_count + 1;
    int branch_method = j->kind == JOB_TRY ? METHOD_TRY : METHOD_ENLIST;
    int method = j->step > last    ? draw_question(job)
                 : j->step == last ? METHOD_CONFIRM
                 : j->step > 0     ? branch_method
                                   : METHOD_BEGIN;
    uint64_t id = j->request_id =
        new_id(job, j->kind == JOB_RUN && j->step == 0 ? METHOD_RUN : method);
    if (sim->seen[job].asked_us == 0)
        sim->seen[job].asked_us = sim->now_us;
    if (goes_away(job, "before a request"))
        return;
    if (j->step == 0 && j->kind == JOB_RUN)
        ask_run(job, id);
    else if (j->step == 0)
        ask_begin(job, id);
    else if (j->step < last && j->asks_own)
        ask_own(job, id);
    else if (j->step < last)
        ask_branch(job, id);
    else if (j->step == last)
        ask_decision(job, id);
    else
        ask_state(job, id, method);
    if (goes_away(job, "after a request"))
        return;
    struct happening *timeout =
        happen(paced(NODE_INITIATOR + j->initiator, random_between(100000, 1500000)), ask_again);
    timeout->job = job;
    timeout->id = id;
}

static void kick(struct happening *happening)
{
    struct job *j = self(happening->job);
    if (!j->is_over && j->request_id == happening->id)
        ask(happening->job);
    happening_free(happening);
}

/* The next request, after a while. */
static void go_on(int job, int64_t pause_us)
{
    uint64_t id = self(job)->request_id = ++sim->last_id << 24;
    struct happening *happening =
        happen(paced(NODE_INITIATOR + self(job)->initiator, random_below(pause_us)), kick);
    happening->job = job;
    happening->id = id;
}

/* -- Answers ----------------------------------------------------------------------------------- */

static void decide_next(struct job *j, bool is_fine)
{
    j->wants_cancel = j->wants_cancel || (!is_fine && !j->is_rogue && !j->confirms_part);
    j->step = is_fine || j->confirms_part ? j->step + 1 : j->branch_count + 1;
    j->attempts = 0;
    j->asks_own = 0;
}

static void branch_is_told(struct job *j, bool is_done)
{
    j->told_count += is_done;
    j->all_told = j->told_count == j->branch_count;
    decide_next(j, is_done);
}

static void tried(int job, const Tercet__V1__TryResponse *answer)
{
    struct job *j = self(job);
    if (answer->state != TERCET__V1__STATE__TRYING)
        j->step = j->branch_count + 2;
    else
        branch_is_told(j, answer->outcome == TERCET__V1__TRY_STATE__TRY_DONE);
    go_on(job, 5000);
}

static void told(int job, int method, const Tercet__V1__Transaction *answer)
{
    struct job *j = self(job);
    int last = j->branch_count + 1;
    j->number = answer->number;
    if (promise_rank((int)answer->state) == 3) {
        j->is_over = true;
        return;
    }
    if (method == METHOD_BEGIN && j->step == 0)
        j->step = 1;
    else if (method == METHOD_ENLIST && j->step < last)
        j->asks_own = 1;
    else if (j->step <= last)
        j->step = last + 1;
    j->attempts = 0;
    go_on(job, j->step > last ? SECOND / 2 : 5000);
}

/* New work may be refused; what ends a transaction never is (L4). */
static void full(struct job *j, const struct happening *packet)
{
    if (packet->method >= METHOD_CONFIRM && packet->method != METHOD_RUN)
        violation("L4", "%s is refused by method %d: %s", gid_of(packet->job), packet->method,
                  packet->text);
    if (packet->floor == 0)
        j->is_over = true;
    j->wants_cancel = true;
    j->step = j->branch_count + 1;
}

/* An answer comes when what was to be waited for is there. */
static void check_wait(const struct job *j, const struct happening *packet, int state)
{
    static const int ranks[] = {[TERCET__V1__WAIT__WAIT_DECIDED] = 2,
                                [TERCET__V1__WAIT__WAIT_RESOLVED] = 3,
                                [TERCET__V1__WAIT__WAIT_NOT] = 1};
    bool waits = packet->method >= METHOD_CONFIRM && packet->method <= METHOD_AWAIT &&
                 packet->method != METHOD_GET;
    if (waits && promise_rank(state) < ranks[j->wait])
        violation("wait", "%s is answered in state %d, wait was %d", gid_of(packet->job), state,
                  j->wait);
}

static void failed(const struct happening *packet)
{
    int job = packet->job, method = packet->method, code = packet->code;
    const char *text = packet->text;
    struct job *j = self(job);
    /* its text begins so, whichever branch it names */
    bool is_not_ready = strstr(text, tercet_strerror(TERCET_NOT_READY)) == text;
    switch (code) {
    case CRPC_FAILED_PRECONDITION:
        if (is_not_ready && method == METHOD_CONFIRM && j->all_told && !j->keeps &&
            j->kind == JOB_TRY)
            violation("S10",
                      "%s: every try was told as done, and the confirm is told that one is not",
                      gid_of(job));
        j->wants_cancel = j->wants_cancel || is_not_ready;
        j->step = is_not_ready ? j->branch_count + 1 : j->branch_count + 2;
        break;
    case CRPC_NOT_FOUND:
        if (packet->floor > 0)
            violation("S12", "%s was acknowledged and is not known", gid_of(job));
        j->step = 0;
        break;
    case CRPC_UNAVAILABLE:
        break;
    case CRPC_UNKNOWN:
        if (method != METHOD_AWAIT)
            violation("harness", "%s is answered with UNKNOWN: %s", gid_of(job), text);
        break; /* it has not come in the time that was given */
    case CRPC_RESOURCE_EXHAUSTED:
        count_fault(FAULT_FULL);
        full(j, packet);
        break;
    default:
        violation("harness", "%s: %s", crpc_code_name(code), text);
    }
    if (!j->is_over)
        go_on(job, SECOND / 4);
}

static void take_answer(struct happening *packet, bool is_waited_for)
{
    int job = packet->job;
    bool is_tried = packet->method == METHOD_TRY;
    ProtobufCMessage *message =
        happening_message(packet, is_tried ? &tercet__v1__try_response__descriptor
                                           : &tercet__v1__transaction__descriptor);
    const Tercet__V1__TryResponse *try_response = (const Tercet__V1__TryResponse *)message;
    const Tercet__V1__Transaction *transaction = (const Tercet__V1__Transaction *)message;
    if (packet->method == METHOD_DECIDE)
        check_decided(job, (packet->id & 1) != 0, (int)transaction->state);
    check_answer_received(packet->floor, job,
                          is_tried ? (int)try_response->state : (int)transaction->state);
    if (!is_tried && packet->who != NODE_OPERATOR)
        check_wait(self(job), packet, (int)transaction->state);
    if (is_tried && try_response->outcome == TERCET__V1__TRY_STATE__TRY_DONE)
        sim->seen[job].branch[try_response->branch].is_told = true;
    if (is_waited_for && is_tried)
        tried(job, try_response);
    else if (is_waited_for)
        told(job, packet->method, transaction);
    crpc_message_free(message);
}

void initiator_answer(struct happening *packet)
{
    bool is_transaction = packet->method <= METHOD_WATCH ||
                          (packet->method >= METHOD_RETRY && packet->method <= METHOD_DECIDE);
    bool is_initiator = packet->who >= NODE_INITIATOR && packet->who < NODE_OPERATOR;
    bool is_waited_for =
        is_initiator && !self(packet->job)->is_over && self(packet->job)->request_id == packet->id;
    if (is_initiator)
        trace("%s: answer to method %d: %s %s", gid_of(packet->job), packet->method,
              crpc_code_name(packet->code), packet->text);
    if (is_waited_for)
        self(packet->job)->request_id = 0;
    if (packet->code == CRPC_OK && is_transaction)
        take_answer(packet, is_waited_for);
    else if (is_waited_for)
        failed(packet);
    happening_free(packet);
}

void initiator_own_result(struct happening *packet)
{
    struct job *j = self(packet->job);
    if (!j->is_over && j->request_id == packet->id && j->asks_own) {
        ProtobufCMessage *message = happening_message(packet, &tercet__v1__call_result__descriptor);
        int outcome = (int)((const Tercet__V1__CallResult *)message)->outcome;
        if (outcome != TERCET__V1__OUTCOME__AGAIN || ++j->attempts > OWN_ATTEMPTS)
            branch_is_told(j, outcome == TERCET__V1__OUTCOME__DONE);
        crpc_message_free(message);
        go_on(packet->job, SECOND / 10);
    }
    happening_free(packet);
}

/* -- Start and end ----------------------------------------------------------------------------- */

static void draw_job(int job)
{
    struct job *j = self(job);
    j->kind = (enum job_kind)random_below(3);
    j->initiator = (int)random_below(INITIATORS);
    j->branch_count = (int)random_between(1, BRANCHES_SIM);
    for (int i = 1; i <= j->branch_count; i++)
        j->services[i] = (int)random_below(sim->service_count);
    j->deadline_ms = (uint32_t)random_between(300, 8000);
    j->keeps = chance(2000);
    j->confirms_part = j->keeps && j->kind == JOB_TRY && job % 2 == 0;
    j->is_ordered = chance(3000);
    j->uses_session = chance(5000);
    j->wait = (int)random_below(j->kind == JOB_RUN ? 3 : 2);
    j->wants_cancel = chance(1500);
    j->is_rogue = chance(sim->faults.rogue);
    j->begins_with_first = j->kind != JOB_RUN && chance(5000);
    if (j->kind != JOB_OWN && job % 5 == 4 && sim->service_count < SERVICES)
        j->services[j->branch_count] = sim->service_count; /* which nobody serves */
    j->step = j->begins_with_first ? 1 : 0;
    go_on(job, sim->plan.is_calm || sim->faults.store_size_max > 0 ? SECOND / 5 : 5 * SECOND);
}

void initiators_start(void)
{
    sim->job_count = (int)random_between(2, sim->plan.is_calm ? JOBS_CALM : JOBS_MAX);
    for (int job = 0; job < sim->job_count; job++)
        draw_job(job);
}

void initiators_close(void)
{
    for (int i = 0; i < INITIATORS; i++)
        if (sim->sessions[i] != NULL)
            crpc_call_unref(sim->sessions[i]);
}

bool initiators_are_done(void)
{
    for (int job = 0; job < sim->job_count; job++)
        if (!self(job)->is_over)
            return false;
    return true;
}
