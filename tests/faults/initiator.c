/* SPDX-License-Identifier: Apache-2.0
 *
 * Initiators and operators: each goes through its script, one request at a time, and asks again
 * until it is answered. What it was told it keeps.
 */
#include "faults.h"

#include <stdlib.h>
#include <string.h>

#define AGAIN_MS 20 /* until a request is asked again */
#define SESSION 0   /* the one that all share */

/* The session in which a job's request was asked; NULL: it was not in one. */
static const struct crpc_call *session_of_job[JOBS_MAX];

static const struct step *step_of(int job)
{
    return &script_of(job)->steps[world->jobs[job].step];
}

bool initiators_are_done(void)
{
    for (int job = 0; job < world->scenario->job_count; job++)
        if (step_of(job)->op != OP_END)
            return false;
    return true;
}

int64_t initiators_next_ms(void)
{
    int64_t next_ms = INT64_MAX;
    for (int job = 0; job < world->scenario->job_count; job++) {
        const struct job *of = &world->jobs[job];
        if (step_of(job)->op != OP_END && of->serial == 0 && of->not_before_ms < next_ms)
            next_ms = of->not_before_ms;
    }
    return next_ms;
}

/* The calls of an earlier life are gone. */
void initiators_start(void)
{
    for (int job = 0; job < world->scenario->job_count; job++)
        world->jobs[job].serial = 0;
    memset(session_of_job, 0, sizeof(session_of_job));
}

/* -- Requests ---------------------------------------------------------------------------------- */

static void post_unary(int job, enum method method, const ProtobufCMessage *message)
{
    struct crpc_call *call = wire_open(method == METHOD_WATCH ? FAKE_WATCH : FAKE_UNARY, job,
                                       world->jobs[job].serial, method);
    life_post(fake_request(call, method, as_received(message)));
}

static void post_session(int job, enum method method, const ProtobufCMessage *message)
{
    Tercet__V1__SessionRequests requests = TERCET__V1__SESSION_REQUESTS__INIT;
    Tercet__V1__SessionRequest request = TERCET__V1__SESSION_REQUEST__INIT;
    Tercet__V1__SessionRequest *pointers[] = {&request};
    struct crpc_call *call = wire_find(FAKE_SESSION, SESSION);
    call = call != NULL ? call : wire_open(FAKE_SESSION, SESSION, 0, method);
    request.request_case = fake_session_case(method);
    request.begin = (Tercet__V1__BeginRequest *)(uintptr_t)message; /* or another of the union */
    session_of_job[job] = call;
    request.id = world->jobs[job].serial << 8 | (uint64_t)job;
    requests.n_requests = 1;
    requests.requests = pointers;
    life_post(fake_session(call, as_received(&requests.base)));
}

void initiators_lose(const struct crpc_call *session)
{
    for (int job = 0; job < world->scenario->job_count; job++)
        if (session_of_job[job] == session) {
            session_of_job[job] = NULL;
            world->jobs[job].serial = 0;
            world->jobs[job].not_before_ms = world->now_ms + AGAIN_MS;
        }
}

static void close_session(void)
{
    struct crpc_call *call = wire_find(FAKE_SESSION, SESSION);
    if (call == NULL)
        return;
    life_post(fake_session(call, NULL));
    wire_half_close(call);
}

static void ask(int job, enum method method, const ProtobufCMessage *message)
{
    bool in_session = world->scenario->uses_session && method < METHOD_WATCH;
    world->jobs[job].serial = ++world->serial;
    session_of_job[job] = NULL;
    if (in_session)
        post_session(job, method, message);
    else
        post_unary(job, method, message);
    if (!world->jobs[job].breaks_next)
        return;
    world->jobs[job].breaks_next = false;
    fake_break(wire_find(in_session ? FAKE_SESSION : FAKE_UNARY, in_session ? SESSION : job));
    world->jobs[job].serial = 0;
    world->jobs[job].not_before_ms = world->now_ms + AGAIN_MS;
}

static Tercet__V1__Branch branch_of(int job, uint32_t number, uint8_t *payload, char action[8])
{
    Tercet__V1__Branch branch = TERCET__V1__BRANCH__INIT;
    size_t size = world->scenario->payload_size;
    memcpy(action, "s0/act", 7);
    action[1] = (char)('0' + number - 1);
    payload_of(gid_of_job(job), number, payload, size);
    branch.number = number;
    branch.action = action;
    branch.payload.data = payload;
    branch.payload.len = size;
    branch.try_timeout_ms = 2000;
    return branch;
}

static Tercet__V1__Options options_of(void)
{
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    options.ordered = world->scenario->is_ordered;
    options.deadline_ms = world->scenario->deadline_ms != 0 ? world->scenario->deadline_ms : 60000;
    return options;
}

static void ask_run(int job, char *gid, uint32_t wait)
{
    static uint8_t payloads[BRANCHES][TERCET_PAYLOAD_MAX];
    char actions[BRANCHES][8];
    Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
    Tercet__V1__Options options = options_of();
    Tercet__V1__Branch branches[BRANCHES];
    Tercet__V1__Branch *pointers[BRANCHES];
    run.gid = gid;
    run.options = &options;
    run.branches = pointers;
    run.wait = (Tercet__V1__Wait)wait;
    run.n_branches = (size_t)script_of(job)->branch_count;
    for (size_t i = 0; i < run.n_branches; i++) {
        branches[i] = branch_of(job, (uint32_t)i + 1, payloads[i], actions[i]);
        pointers[i] = &branches[i];
    }
    ask(job, METHOD_RUN, &run.base);
}

/* A Try or an Enlist: the two messages are alike. */
static void ask_branch(int job, char *gid, enum method method, uint32_t number)
{
    static uint8_t payload[TERCET_PAYLOAD_MAX];
    char action[8];
    Tercet__V1__Branch branch = branch_of(job, number, payload, action);
    Tercet__V1__TryRequest to_try = TERCET__V1__TRY_REQUEST__INIT;
    Tercet__V1__EnlistRequest to_enlist = TERCET__V1__ENLIST_REQUEST__INIT;
    to_try.gid = to_enlist.gid = gid;
    to_try.branch = to_enlist.branch = &branch;
    ask(job, method, method == METHOD_TRY ? &to_try.base : &to_enlist.base);
}

static void ask_begin(int job, char *gid)
{
    Tercet__V1__BeginRequest request = TERCET__V1__BEGIN_REQUEST__INIT;
    Tercet__V1__Options options = options_of();
    request.gid = gid;
    request.options = &options;
    ask(job, METHOD_BEGIN, &request.base);
}

static void ask_decision(int job, char *gid, bool is_confirm, uint32_t wait)
{
    Tercet__V1__ConfirmRequest confirm = TERCET__V1__CONFIRM_REQUEST__INIT;
    Tercet__V1__CancelRequest cancel = TERCET__V1__CANCEL_REQUEST__INIT;
    confirm.gid = cancel.gid = gid;
    confirm.wait = cancel.wait = (Tercet__V1__Wait)wait;
    cancel.reason = (char *)(uintptr_t) "thought better of it";
    ask(job, is_confirm ? METHOD_CONFIRM : METHOD_CANCEL,
        is_confirm ? &confirm.base : &cancel.base);
}

/* Get, Await and Watch are alike, too. */
static void ask_about(int job, char *gid, enum method method)
{
    Tercet__V1__GetRequest get = TERCET__V1__GET_REQUEST__INIT;
    Tercet__V1__AwaitRequest await = TERCET__V1__AWAIT_REQUEST__INIT;
    Tercet__V1__WatchRequest watch = TERCET__V1__WATCH_REQUEST__INIT;
    get.gid = await.gid = watch.gid = gid;
    await.wait = TERCET__V1__WAIT__WAIT_RESOLVED;
    ask(job, method,
        method == METHOD_GET     ? &get.base
        : method == METHOD_AWAIT ? &await.base
                                 : &watch.base);
}

static void ask_operator(int job, char *gid, const struct step *step)
{
    Tercet__V1__RetryRequest retry = TERCET__V1__RETRY_REQUEST__INIT;
    Tercet__V1__SettleRequest settle = TERCET__V1__SETTLE_REQUEST__INIT;
    retry.gid = settle.gid = gid;
    retry.branch = settle.branch = step->value;
    settle.reason = (char *)(uintptr_t) "done by hand";
    ask(job, step->op == OP_RETRY ? METHOD_RETRY : METHOD_SETTLE,
        step->op == OP_RETRY ? &retry.base : &settle.base);
}

static void ask_service(int job, const struct step *step)
{
    char name[] = "s0", target[] = "unix:/target0";
    char *actions[] = {(char *)(uintptr_t) "act"};
    Tercet__V1__RegisterRequest to_register = TERCET__V1__REGISTER_REQUEST__INIT;
    Tercet__V1__PauseRequest pause = TERCET__V1__PAUSE_REQUEST__INIT;
    name[1] = target[strlen(target) - 1] = (char)('0' + step->value);
    to_register.service = pause.service = name;
    to_register.target = target;
    to_register.actions = actions;
    to_register.n_actions = 1;
    pause.paused = step->op == OP_PAUSE;
    if (step->op == OP_RESUME)
        world->paused &= ~(1u << step->value); /* from here on it may be resumed */
    ask(job, step->op == OP_REGISTER ? METHOD_REGISTER : METHOD_PAUSE,
        step->op == OP_REGISTER ? &to_register.base : &pause.base);
}

/* -- Steps ------------------------------------------------------------------------------------- */

static void begin_step(int job, const struct step *step)
{
    char *gid = (char *)(uintptr_t)gid_text(gid_of_job(job));
    switch (step->op) {
    case OP_BEGIN:
        ask_begin(job, gid);
        break;
    case OP_ENLIST:
    case OP_TRY:
        ask_branch(job, gid, step->op == OP_TRY ? METHOD_TRY : METHOD_ENLIST, step->value);
        break;
    case OP_CONFIRM:
    case OP_CANCEL:
        ask_decision(job, gid, step->op == OP_CONFIRM, step->value);
        break;
    case OP_CONFIRM_ONCE:
        ask_decision(job, gid, true, step->value);
        world->jobs[job].serial = 0;
        world->jobs[job].step++;
        break;
    case OP_RUN:
        ask_run(job, gid, step->value);
        break;
    case OP_RESOLVED:
    case OP_PARKED:
    case OP_GONE:
        ask_about(job, gid, METHOD_GET);
        break;
    case OP_AWAIT:
        ask_about(job, gid, METHOD_AWAIT);
        break;
    case OP_WATCH:
        ask_about(job, gid, METHOD_WATCH);
        break;
    case OP_REGISTER:
    case OP_PAUSE:
    case OP_RESUME:
        ask_service(job, step);
        break;
    case OP_RETRY:
    case OP_SETTLE:
        ask_operator(job, gid, step);
        break;
    default:
        break;
    }
}

/* Steps that nobody is asked for. */
static bool do_alone(int job, const struct step *step)
{
    struct job *of = &world->jobs[job];
    switch (step->op) {
    case OP_OWN:
        participant_own_try(gid_of_job(job), step->value);
        break;
    case OP_WAIT:
        of->not_before_ms = world->now_ms + step->value;
        break;
    case OP_CLOSE:
        close_session();
        break;
    case OP_BREAK:
        of->breaks_next = true;
        break;
    case OP_STOP:
        world->is_stopping = true;
        break;
    default:
        return false;
    }
    of->step++;
    return true;
}

void initiators_step(void)
{
    for (int job = 0; job < world->scenario->job_count; job++) {
        struct job *of = &world->jobs[job];
        while (of->serial == 0 && world->now_ms >= of->not_before_ms &&
               step_of(job)->op != OP_END && !world->is_stopping)
            if (!do_alone(job, step_of(job))) {
                begin_step(job, step_of(job));
                break;
            }
    }
}

/* One more question for each transaction, if it is to be there at all. */
void initiators_ask_again(void)
{
    for (int job = 0; job < world->scenario->job_count; job++)
        if (world->fates[gid_of_job(job)].end != 0 && world->scenario->retention_ms == 0) {
            world->jobs[job].serial = ++world->serial;
            Tercet__V1__GetRequest get = TERCET__V1__GET_REQUEST__INIT;
            get.gid = (char *)(uintptr_t)gid_text(gid_of_job(job));
            post_unary(job, METHOD_GET, &get.base);
        }
}

/* -- Answers ----------------------------------------------------------------------------------- */

static void advance(int job)
{
    world->jobs[job].serial = 0;
    world->jobs[job].step++;
}

static void again(int job, int64_t pause_ms)
{
    world->jobs[job].serial = 0;
    world->jobs[job].not_before_ms = world->now_ms + pause_ms;
}

static void answered_well(int job, const struct step *step, const struct packet *packet)
{
    bool is_over = packet->answer.state == TXN_CONFIRMED || packet->answer.state == TXN_CANCELLED;
    if (step->op == OP_AWAIT && !is_over)
        violated("%s is awaited, and told of in state %d", gid_text(gid_of_job(job)),
                 packet->answer.state);
    if (step->op == OP_PAUSE)
        world->paused |= 1u << step->value;
    if ((step->op == OP_RESOLVED && !is_over) ||
        (step->op == OP_PARKED && !is_over && !packet->answer.is_parked))
        again(job, AGAIN_MS);
    else if (step->op == OP_GONE)
        again(job, world->scenario->retention_ms / 20);
    else
        advance(job);
}

static void answered_badly(int job, const struct step *step, int code)
{
    bool is_about_service = step->op == OP_PAUSE || step->op == OP_RESUME;
    if (code == CRPC_UNAVAILABLE || code == CRPC_RESOURCE_EXHAUSTED ||
        (code == CRPC_NOT_FOUND && is_about_service)) {
        again(job, AGAIN_MS);
    } else if (code == CRPC_NOT_FOUND && step->op == OP_GONE) {
        advance(job);
    } else if (code == CRPC_FAILED_PRECONDITION && step->op == OP_SETTLE) {
        world->jobs[job].step--; /* until it is parked again */
        again(job, AGAIN_MS);
    } else if (code == CRPC_FAILED_PRECONDITION && step->op != OP_BEGIN && step->op != OP_RUN) {
        advance(job); /* decided otherwise; how it must end is checked in the end */
    } else {
        violated("%s, step %d: answered with code %d", gid_text(gid_of_job(job)),
                 world->jobs[job].step, code);
    }
}

void initiator_receive(const struct packet *packet)
{
    int job = packet->answer.job;
    check_told(packet);
    if (job < 0 || packet->answer.serial == 0 || packet->answer.serial != world->jobs[job].serial)
        return;
    if (world->is_audit) {
        world->jobs[job].serial = 0;
        if (packet->answer.code != CRPC_OK)
            violated("%s has ended, and a restart answers with code %d", gid_text(packet->gid),
                     packet->answer.code);
    } else if (packet->answer.code == CRPC_OK) {
        answered_well(job, step_of(job), packet);
    } else {
        answered_badly(job, step_of(job), packet->answer.code);
    }
}
