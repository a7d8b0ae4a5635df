/* SPDX-License-Identifier: Apache-2.0
 *
 * One life of the coordinator: what tercet_coordinator_open does but for the door, then turn by
 * turn under virtual time, what has been sent received in between, and an orderly stop when
 * everything is over. The committer is its own thread, or its part is done here; either way what a
 * batch holds back waits for `overlap` turns, so that the order of everything is the scenario's.
 */
#include "faults.h"

#include <engine.h>
#include <failpoint.h>
#include <restore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define STORE_SIZE (32u << 20)
#define CALL_TIMEOUT_MS 400
#define HANG_S 30           /* of real time: a life takes milliseconds */
#define TURNS_MAX 20000     /* of a life */
#define COMMIT_MS_MAX 20000 /* of real time, until the committer has answered */

struct life life;

/* -- Crash points ------------------------------------------------------------------------------ */

static void pass(const char *name)
{
    if (world->is_audit)
        return;
    int point = point_find(name);
    order->ever_passed[point] = 1;
    if (++world->passed[point] != order->passing || point != order->point)
        return;
    order->deaths++;
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* -- Events ------------------------------------------------------------------------------------ */

void life_post(struct event *event)
{
    queue_post(&life.c->queue, event);
}

static void attach(int service)
{
    char name[8];
    char *actions[] = {(char *)(uintptr_t) "act"};
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    snprintf(name, sizeof(name), "s%d", service);
    hello.service = name;
    hello.actions = actions;
    hello.n_actions = 1;
    request.hello = &hello;
    life_post(fake_attached(wire_open(FAKE_ATTACH, service, 0, METHOD_BEGIN),
                            as_received(&request.base)));
}

/* -- Start and end ----------------------------------------------------------------------------- */

static void on_failed(const char *text, void *ctx)
{
    (void)text;
    (void)ctx;
    _exit(EXIT_STORE_FAILED); /* as tercetd does */
}

static struct tercet_coordinator_options options(void)
{
    const struct scenario *scenario = world->scenario;
    return (struct tercet_coordinator_options){
        .size = sizeof(struct tercet_coordinator_options),
        .retention_ms =
            scenario->retention_ms != 0 ? scenario->retention_ms : INT64_C(7) * 24 * 3600 * 1000,
        .open_max = 1000,
        .call_timeout_ms = CALL_TIMEOUT_MS,
        .retry_base_ms = 20,
        .retry_cap_ms = 100,
        .park_after_failures = scenario->park_after != 0 ? scenario->park_after : 20,
        .park_after_ms = 60000,
        .on_failed = on_failed,
    };
}

/* A start that is refused says why. */
__attribute__((noreturn)) static void refuse_start(const char *text)
{
    snprintf(world->start_text, sizeof(world->start_text), "%s", text);
    if (text[0] == '\0')
        violated("a start is refused without a word");
    _exit(EXIT_NOT_STARTED);
}

static void open_store(struct coordinator *c)
{
    struct tercet_store_options store_options = {.size = sizeof(store_options),
                                                 .size_max = STORE_SIZE,
                                                 .source = 1,
                                                 .bucket_ms = c->options.retention_ms / 7};
    char text[TERCET_STORE_TEXT_MAX] = "";
    if (store_open(&c->shards->store, order->dir, NULL, &store_options, text) != 0)
        refuse_start(text);
    int rc = shard_acquire(c->shards);
    if (rc != 0)
        refuse_start(tercet_store_strerror(rc));
}

/* In the product's own place and order; memory that is short ends the process. */
static void start(void)
{
    struct coordinator *c = calloc(1, sizeof(*c));
    struct refusal no;
    if (c == NULL)
        refuse_start("out of memory");
    memset(&life, 0, sizeof(life));
    life.c = c;
    const struct tercet_coordinator_options chosen = options();
    engine_init(c, &chosen, world->now_ms, WALL_MS + world->now_ms);
    open_store(c);
    if (restore_all(c, &no) != 0)
        refuse_start(no.text);
    mutate_restored(c);
    if (world->scenario->has_committer && batcher_start(c->shards, &c->queue) != 0)
        refuse_start("cannot start the committer's thread");
    c->shards->retention.check_ms = c->clock.now_ms;
}

static void tear_down(void)
{
    struct coordinator *c = life.c;
    if (world->scenario->has_committer)
        batcher_stop(c->shards);
    fake_crash();
    store_release(c->shards->store, 0, c->shards->epoch);
    store_close(c->shards->store);
    engine_clear(c);
    free(c);
}

/* -- Committing -------------------------------------------------------------------------------- */

/* The committer's event, out of what is posted; the rest stays. */
static struct event *await_committer(struct coordinator *c)
{
    int64_t until_ms = clock_monotonic_ms() + COMMIT_MS_MAX;
    struct event *committed = NULL;
    while (committed == NULL) {
        struct event *events = queue_take(&c->queue, until_ms, false);
        if (events == NULL)
            violated("the committer does not answer");
        while (events != NULL) {
            struct event *next = events->next;
            if (events->kind == EVENT_COMMITTED)
                committed = events;
            else
                queue_post(&c->queue, events);
            events = next;
        }
    }
    return committed;
}

static struct event *commit_here(struct coordinator *c, struct batch *batch)
{
    struct event *event = fake_event(EVENT_COMMITTED);
    calls_outside--;
    event->shard = c->shards;
    event->code = batch_commit(c->shards, batch);
    calls_outside++;
    if (event->code != 0 && order->mutant == MUTANT_FAILED_COMMIT_GOES_ON)
        event->code = 0;
    return event;
}

/* After a turn: a batch that the turn has closed begins to wait, and one that has waited goes
 * on. */
static void work_on_batch(struct coordinator *c)
{
    if (c->shards->batcher.in_flight != NULL && life.held == NULL && life.committed == NULL) {
        life.turns_held = world->scenario->overlap;
        if (world->scenario->has_committer)
            life.committed = await_committer(c);
        else
            life.held = c->shards->batcher.submitted;
        c->shards->batcher.submitted = NULL;
    }
    if ((life.held == NULL && life.committed == NULL) || life.turns_held-- > 0)
        return;
    if (life.held != NULL)
        life.committed = commit_here(c, life.held);
    life.held = NULL;
    life_post(life.committed);
    life.committed = NULL;
}

/* -- Turns ------------------------------------------------------------------------------------- */

static void turn(struct coordinator *c)
{
    struct event *events = queue_take(&c->queue, 0, false);
    calls_outside--;
    loop_turn(c, events, world->now_ms, WALL_MS + world->now_ms);
    calls_outside++;
    mutant_catch_up();
    work_on_batch(c);
    wire_settle();
}

/* What is there now; what it leads to comes with the next turn. */
static void deliver(void)
{
    size_t count = world->packet_count;
    for (size_t i = 0; i < count; i++) {
        struct packet packet = world->packets[i];
        if (packet.kind == PACKET_CALL)
            participant_receive(&packet);
        else
            initiator_receive(&packet);
    }
    memmove(world->packets, world->packets + count,
            (world->packet_count - count) * sizeof(world->packets[0]));
    world->packet_count -= count;
}

static bool is_waiting(const struct coordinator *c)
{
    return c->queue.first == NULL && world->packet_count == 0 && life.held == NULL &&
           life.committed == NULL && initiators_next_ms() > world->now_ms &&
           loop_next_turn_ms(c) > world->now_ms;
}

static bool is_at_rest(const struct coordinator *c)
{
    return wire_all_accepted() && c->shards->table.count == 0 && batch_is_idle(c->shards) &&
           c->queue.first == NULL && world->packet_count == 0;
}

static void pass_time(const struct coordinator *c)
{
    int64_t next_ms =
        loop_next_turn_ms(c) < initiators_next_ms() ? loop_next_turn_ms(c) : initiators_next_ms();
    world->now_ms = next_ms != INT64_MAX ? next_ms : world->now_ms + 1;
}

/* Those that are not attached, or not any more. */
static void attach_all(void)
{
    for (int i = 0; i < SERVICES; i++)
        if ((world->scenario->targets & 1u << i) == 0 && wire_find(FAKE_ATTACH, i) == NULL)
            attach(i);
}

/* Until every job is done and nothing is left, or until the scenario wants a stop. */
static void run_turns(struct coordinator *c)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        attach_all();
        initiators_step();
        turn(c);
        deliver();
        if (world->is_stopping || (initiators_are_done() && is_at_rest(c)))
            return;
        if (is_waiting(c))
            pass_time(c);
    }
    violated("it does not come to its end within %d turns", TURNS_MAX);
}

static void stop(struct coordinator *c)
{
    life_post(fake_event(EVENT_STOP));
    for (int i = 0; i < TURNS_MAX; i++) {
        turn(c);
        deliver();
        if (c->is_stopping && batch_is_idle(c->shards)) {
            calls_outside--;
            tear_down();
            calls_outside++;
            return;
        }
    }
    violated("it does not stop");
}

/* -- The process ------------------------------------------------------------------------------- */

static void begin(void)
{
    calls_outside--;
    start();
    calls_outside++;
    initiators_start();
    participants_start();
}

/* What was sent by one that died comes when all is over. */
static void deliver_late(void)
{
    memcpy(world->packets, world->late, world->late_count * sizeof(world->late[0]));
    world->packet_count = world->late_count;
    world->late_count = 0;
    deliver();
}

/* Once more from the store: what was told is still told. */
static void audit(void)
{
    world->is_audit = true;
    call_order->is_on = false;
    begin();
    initiators_ask_again();
    run_turns(life.c);
    check_store_at_rest(life.c->shards->store);
    stop(life.c);
    check_rest();
}

void life_run(void)
{
    const struct rlimit no_core = {0, 0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &no_core);
    alarm(HANG_S);
    if (!order->is_loud)
        dup2(order->words, STDERR_FILENO);
    failpoint_watch(pass);
    calls_outside = 1;
    call_order->is_on = true;
    world->life++;
    world->is_stopping = false;
    begin();
    run_turns(life.c);
    bool is_over = initiators_are_done();
    if (is_over)
        deliver_late();
    stop(life.c);
    call_order->is_on = false;
    if (is_over) {
        audit();
        world->has_ended = true;
    }
    _exit(0);
}
