/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole coordinator but for its sockets and threads: a store in memory, the owner's turns by
 * hand. The first byte says whether the store begins with records of the input's; then come
 * operations, a byte and what it takes: requests, calls answered or not, streams that break, time,
 * restarts. What the coordinator has written itself it must take back at every restart (S15), and
 * nothing from outside may make it fail.
 */
#include "crpc_fake.h"
#include "engine.h"
#include "frame.h"
#include "fuzz.h"
#include "restore.h"
#include "store.h"

#define OPERATIONS_MAX 400
#define SETTLE_TURNS 40
#define BODY_MAX 200
#define RECORDS_MAX 12
#define HOOK_CALLS 16

struct world {
    struct coordinator *c;
    struct store *store;
    int64_t now_ms;
    int64_t wall_offset_ms;
    bool holds_commits;
    bool is_foreign; /* the store began with records that are not the coordinator's own */
};

struct fuzz_call {
    struct crpc_call base;
    uint64_t hook_calls[HOOK_CALLS]; /* that it was given last */
    size_t hook_call_count;
};

static struct world *current;

/* -- What the coordinator sends ---------------------------------------------------------------- */

static void swallow_reply(struct crpc_call *call, struct crpc_bytes reply)
{
    (void)call;
    (void)reply;
}

static void swallow_status(struct crpc_call *call, const struct crpc_status *status)
{
    (void)call;
    (void)status;
}

/* What leaves decodes; the calls of hooks are kept to be answered. */
static void on_send(struct crpc_call *call, struct crpc_bytes bytes)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        NULL, &tercet__v1__transaction__descriptor, &tercet__v1__session_responses__descriptor,
        &tercet__v1__attach_response__descriptor};
    struct fuzz_call *of = (struct fuzz_call *)call;
    ProtobufCMessage *message = NULL;
    MUST(crpc_message_decode(&message, types[call->kind], bytes, 0) == 0);
    if (call->kind == FAKE_ATTACH) {
        const Tercet__V1__AttachResponse *response = (const Tercet__V1__AttachResponse *)message;
        for (size_t i = 0; i < response->n_calls; i++)
            of->hook_calls[of->hook_call_count++ % HOOK_CALLS] = response->calls[i]->id;
    }
    crpc_message_free(message);
}

static void post_of_call(const struct crpc_call *call, struct event *event)
{
    (void)call;
    queue_post(&current->c->queue, event);
}

static uint64_t on_target_call(const struct crpc_channel *channel, const Tercet__V1__Call *call,
                               const struct crpc_call_options *options)
{
    static uint64_t last_id;
    (void)channel;
    (void)call;
    (void)options;
    return ++last_id;
}

const struct fake_hooks fake_hooks = {
    .peer = "unix:fuzz",
    .alloc = must_alloc,
    .on_reply = swallow_reply,
    .on_finish = swallow_status,
    .on_send = on_send,
    .post = post_of_call,
    .on_target_call = on_target_call,
};

static struct crpc_call *open_call(enum fake_kind kind)
{
    struct fuzz_call *call = calloc(1, sizeof(*call));
    MUST(call != NULL);
    fake_open(&call->base, kind);
    return &call->base;
}

/* The i-th open call of a kind, from the newest; NULL: there is none. */
static struct crpc_call *find_call(enum fake_kind kind, size_t i)
{
    for (struct crpc_call *call = fake_calls; call != NULL; call = call->next)
        if (call->kind == kind && !call->is_over && i-- == 0)
            return call;
    return NULL;
}

/* -- Start and end ----------------------------------------------------------------------------- */

static bool start(struct world *world)
{
    struct refusal no;
    struct coordinator *c = calloc(1, sizeof(*c));
    MUST(c != NULL);
    world->c = c;
    const struct tercet_coordinator_options options = {.size = sizeof(options),
                                                       .retention_ms = 100000,
                                                       .open_max = 40,
                                                       .call_timeout_ms = 400,
                                                       .retry_base_ms = 50,
                                                       .retry_cap_ms = 2000,
                                                       .park_after_failures = 4,
                                                       .park_after_ms = 8000};
    engine_init(c, &options, world->now_ms, world->now_ms + world->wall_offset_ms);
    c->shards->store = world->store;
    c->restore_warm_max = SIZE_MAX;
    c->payload_bytes_max = 0; /* each payload comes from the store */
    MUST(shard_acquire(c->shards) == 0);
    int rc = restore_all(c, &no);
    MUST(rc == 0 || (world->is_foreign && rc == TERCET_FORMAT && no.text[0] != '\0'));
    c->shards->retention.check_ms = c->clock.now_ms + 10000;
    return rc == 0;
}

static void stop(struct world *world)
{
    struct coordinator *c = world->c;
    fake_crash();
    engine_clear(c);
    free(c);
}

/* -- Turns ------------------------------------------------------------------------------------- */

static void post(struct world *world, struct event *event)
{
    queue_post(&world->c->queue, event);
}

static void commit(struct world *world)
{
    struct batch *batch = world->c->shards->batcher.submitted;
    if (batch == NULL || world->holds_commits)
        return;
    world->c->shards->batcher.submitted = NULL;
    struct event *event = fake_event(EVENT_COMMITTED);
    event->shard = world->c->shards;
    event->code =
        store_commit(world->store, 0, world->c->shards->epoch, batch->ops, batch->op_count);
    MUST(event->code == 0);
    post(world, event);
}

/* Until nothing more follows from what has come. */
static void settle(struct world *world)
{
    struct coordinator *c = world->c;
    for (int i = 0; i < SETTLE_TURNS; i++) {
        struct event *events = c->queue.first;
        c->queue.first = NULL;
        c->queue.last_next = &c->queue.first;
        loop_turn(c, events, world->now_ms, world->now_ms + world->wall_offset_ms);
        MUST(!atomic_load(&c->has_failed));
        MUST(c->shards->table.oldest == NULL ||
             shard_low_water(c->shards) < c->shards->table.oldest->number);
        commit(world);
        fake_tell_all_sent();
        fake_end_over();
        if (c->queue.first == NULL)
            break;
    }
}

/* -- Operations -------------------------------------------------------------------------------- */

static struct input take_body(struct input *input)
{
    size_t size = take_below(input, BODY_MAX);
    struct input body = {input->at, size < input->size ? size : input->size};
    input->at += body.size;
    input->size -= body.size;
    return body;
}

/* The rest of an operation as a message; NULL when it is none, as at the door. */
static ProtobufCMessage *take_message(struct input *input, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = NULL;
    struct input body = take_body(input);
    return crpc_message_decode(&message, type, (struct crpc_bytes){body.at, body.size}, 0) == 0
               ? message
               : NULL;
}

static struct crpc_call *find_or_open(enum fake_kind kind, size_t i)
{
    struct crpc_call *call = find_call(kind, i);
    return call != NULL ? call : open_call(kind);
}

static void post_session(struct world *world, size_t i, ProtobufCMessage *message)
{
    post(world, fake_session(find_or_open(FAKE_SESSION, i), message));
}

static void post_unary(struct world *world, enum method method, ProtobufCMessage *message)
{
    struct crpc_call *call = open_call(method == METHOD_WATCH ? FAKE_WATCH : FAKE_UNARY);
    post(world, fake_request(call, method, message));
}

static void do_unary(struct world *world, struct input *input)
{
    /* Await came when there was a corpus, whose bytes keep what they mean */
    uint8_t choice = take(input);
    enum method method =
        choice >= 240 ? METHOD_AWAIT : (enum method)(choice % 16 + (choice % 16 >= METHOD_AWAIT));
    ProtobufCMessage *message = take_message(input, fake_request_type(method));
    if (message != NULL)
        post_unary(world, method, message);
}

static Tercet__V1__CallResult take_result(struct input *input)
{
    Tercet__V1__CallResult result = TERCET__V1__CALL_RESULT__INIT;
    uint8_t what = take(input);
    result.outcome = (Tercet__V1__Outcome)(what % 6);
    result.reason = (char *)(uintptr_t)(what >= 128 ? "because" : "");
    return result;
}

/* One of the hook calls that an instance was given last, once or again. */
static void answer_hook(struct world *world, struct input *input)
{
    struct fuzz_call *call = (struct fuzz_call *)find_call(FAKE_ATTACH, take_below(input, 3));
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    Tercet__V1__CallResult result = take_result(input);
    Tercet__V1__CallResult *results[] = {&result};
    if (call == NULL || call->hook_call_count == 0)
        return;
    size_t back = take_below(input, HOOK_CALLS);
    size_t last = call->hook_call_count - 1;
    result.id = call->hook_calls[(last - (back < last ? back : last)) % HOOK_CALLS];
    request.results = results;
    request.n_results = 1;
    post(world, fake_attached(&call->base, as_received(&request.base)));
}

static void answer_target(struct input *input)
{
    static const enum crpc_code codes[] = {CRPC_OK, CRPC_OK, CRPC_ABORTED, CRPC_FAILED_PRECONDITION,
                                           CRPC_UNAVAILABLE};
    Tercet__V1__CallResult result = take_result(input);
    enum crpc_code code = codes[take_below(input, 5)];
    uint64_t id;
    if (fake_oldest_target_call(&id))
        fake_answer_target(id, &result, code);
}

/* A hello that will do. */
static void attach(struct world *world, struct input *input)
{
    static const char *const services[] = {"a", "b", "c"};
    static char *actions[] = {(char *)(uintptr_t) "x", (char *)(uintptr_t) "y"};
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    uint8_t what = take(input);
    hello.service = (char *)(uintptr_t)services[what % 3];
    hello.actions = actions;
    hello.n_actions = 1 + what / 3 % 2;
    hello.window = what / 6;
    request.hello = &hello;
    post(world, fake_attached(open_call(FAKE_ATTACH), as_received(&request.base)));
}

/* A plan that will do. */
static void run_plan(struct world *world, struct input *input)
{
    static const char *const gids[] = {"", "g1", "g2", "g3"};
    static const char *const actions[] = {"a/x", "b/x", "c/y", "a/y"};
    Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    Tercet__V1__Branch branches[3];
    Tercet__V1__Branch *views[3];
    uint8_t what = take(input);
    run.gid = (char *)(uintptr_t)gids[what % 4];
    run.wait = (Tercet__V1__Wait)(what / 4 % 3);
    run.n_branches = what / 12 % 4;
    options.ordered = what >= 128;
    options.deadline_ms = 1 + 10 * take(input);
    run.options = &options;
    run.branches = views;
    for (size_t i = 0; i < run.n_branches; i++) {
        views[i] = &branches[i];
        tercet__v1__branch__init(views[i]);
        branches[i].action = (char *)(uintptr_t)actions[take_below(input, 4)];
        branches[i].try_timeout_ms = 100;
    }
    post_unary(world, METHOD_RUN, as_received(&run.base));
}

static void decide(struct world *world, struct input *input)
{
    static const char *const gids[] = {"g1", "g2", "g3"};
    Tercet__V1__ConfirmRequest request = TERCET__V1__CONFIRM_REQUEST__INIT;
    Tercet__V1__CancelRequest cancel = TERCET__V1__CANCEL_REQUEST__INIT;
    uint8_t what = take(input);
    request.gid = cancel.gid = (char *)(uintptr_t)gids[what % 3];
    request.wait = cancel.wait = (Tercet__V1__Wait)(what / 6 % 2);
    request.force = what >= 128;
    if (what / 3 % 2 == 0)
        post_unary(world, METHOD_CONFIRM, as_received(&request.base));
    else
        post_unary(world, METHOD_CANCEL, as_received(&cancel.base));
}

static void break_call(struct input *input)
{
    enum fake_kind kind = (enum fake_kind)take_below(input, 4);
    struct crpc_call *call = find_call(kind, take_below(input, 4));
    if (call != NULL)
        fake_break(call);
}

static void disturb(struct world *world, uint8_t what)
{
    world->holds_commits = what / 13 % 2 == 1;
    world->wall_offset_ms += what >= 234 ? 3600000 : 0;
    if (what / 13 % 4 == 2) {
        stop(world);
        MUST(start(world) || world->is_foreign);
    }
}

static void operate(struct world *world, struct input *input)
{
    uint8_t what = take(input);
    ProtobufCMessage *message = NULL;
    switch (what % 13) {
    case 0:
        message = take_message(input, &tercet__v1__session_requests__descriptor);
        if (message != NULL)
            post_session(world, what / 13 % 2, message);
        break;
    case 1:
        do_unary(world, input);
        break;
    case 2:
        message = take_message(input, &tercet__v1__attach_request__descriptor);
        if (message != NULL)
            post(world, fake_attached(find_or_open(FAKE_ATTACH, what / 13 % 3), message));
        break;
    case 3:
        answer_hook(world, input);
        break;
    case 4:
        answer_target(input);
        break;
    case 5:
        attach(world, input);
        break;
    case 6:
    case 7:
        run_plan(world, input);
        break;
    case 8:
        decide(world, input);
        break;
    case 9:
        break_call(input);
        break;
    case 10:
        post_session(world, what / 13 % 2, NULL);
        break;
    case 11:
        world->now_ms += (int64_t)take(input) << (what / 13 % 8);
        break;
    default:
        disturb(world, what);
        break;
    }
}

/* -- The store at first ------------------------------------------------------------------------ */

static void put_records(struct world *world, struct input *input)
{
    struct tercet_store_lease lease = {0};
    uint64_t number = 1;
    struct tercet_store_op ops[RECORDS_MAX];
    size_t count = 1 + take_below(input, RECORDS_MAX);
    for (size_t i = 0; i < count; i++) {
        uint8_t what = take(input);
        enum record_type type = what % 8 == 0   ? RECORD_STATE
                                : what % 8 == 7 ? RECORD_PARTICIPANT
                                                : RECORD_BRANCH;
        struct input body = take_body(input);
        number += what >= 128;
        ops[i] = (struct tercet_store_op){.kind = type == RECORD_PARTICIPANT ? TERCET_STORE_META_PUT
                                                                             : TERCET_STORE_PUT,
                                          .number = number,
                                          .part = what % 8,
                                          .name = "participant/a",
                                          .value = frame_record(type, body.at, body.size),
                                          .size = RECORD_HEAD_SIZE + body.size};
    }
    MUST(store_acquire(world->store, 0, &lease) == 0);
    MUST(store_commit(world->store, 0, lease.epoch, ops, count) == 0);
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)ops[i].value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct tercet_store_options options = {
        .size = sizeof(options), .source = 1, .bucket_ms = 10000};
    struct world world = {.now_ms = 1000, .wall_offset_ms = 1700000000000};
    current = &world;
    MUST(store_open_with(&world.store, &store_memory_driver, "", &options, NULL) == 0);
    world.is_foreign = take(&input) >= 192;
    if (world.is_foreign)
        put_records(&world, &input);
    bool is_up = start(&world);
    for (size_t i = 0; is_up && i < OPERATIONS_MAX && input.size > 0; i++) {
        operate(&world, &input);
        settle(&world);
    }
    stop(&world);
    store_close(world.store);
    return 0;
}
