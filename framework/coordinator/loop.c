/* SPDX-License-Identifier: Apache-2.0
 *
 * loop.h
 */
#include "loop.h"

#include "dispatch.h"
#include "effect.h"
#include "method.h"
#include "outcome.h"
#include "overdue.h"
#include "plan.h"
#include "request.h"
#include "restore.h"
#include "step.h"
#include "trace.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* entries woken in one turn, at most: a restart with a million of them serves new work at once */
#define WAKES_PER_TURN 1000
/* requests and calls under way, from which on streams are read ahead */
#define BUSY_COUNT 32

/* -- Streams ----------------------------------------------------------------------------------- */

/* The stream's next message, unless it has been asked for, is at the end of the turn: gRPC tells
 * the peer of the room that this one has left, in a system call, and what the turn has to send is
 * awaited. The event is kept until then. */
static void read_later(struct coordinator *c, struct event *event)
{
    if (event->is_read_ahead)
        return;
    event->reads_on = true;
    event->read_next = c->reading;
    c->reading = event;
}

static void read_on(struct coordinator *c)
{
    while (c->reading != NULL) {
        struct event *event = c->reading;
        c->reading = event->read_next;
        crpc_call_read(event->caller != NULL ? event->caller->call : event->instance->call);
        event_free(event);
    }
}

static void instance_message(struct coordinator *c, struct event *event)
{
    const Tercet__V1__AttachRequest *message = (const Tercet__V1__AttachRequest *)event->message;
    if (dispatch_message(c, event->instance, message))
        read_later(c, event);
}

static void session_message(struct coordinator *c, struct event *event)
{
    const Tercet__V1__SessionRequests *message =
        (const Tercet__V1__SessionRequests *)event->message;
    if (message == NULL) {
        answer_half_close(event->caller);
        return;
    }
    method_handle_session(c, event->caller, message);
    read_later(c, event);
}

/* -- Commits ----------------------------------------------------------------------------------- */

static void release(struct coordinator *c, struct batch *batch)
{
    struct entry *entry;
    effect_release(c, batch);
    while ((entry = batch_take_over(batch)) != NULL) {
        assert(!entry->is_dirty && !entry->is_lazy && txn_is_resolved(&entry->txn));
        if (c->spans != NULL)
            trace_transaction(c, entry);
        step_forget(c, entry);
    }
    batch_reuse(batch);
}

static const char lost_ownership[] =
    "this coordinator owns its store no more: another has taken it over, or may have since the "
    "lease ran out. Nothing that was promised is lost; started again, this one stands by";

void loop_committed(struct coordinator *c, struct shard *shard, int rc)
{
    char text[TERCET_TEXT_MAX];
    if (rc == 0) {
        release(c, batch_finish(shard));
        return;
    }
    batch_abandon(shard);
    if (rc == TERCET_STORE_FENCED) {
        coordinator_fail(c, lost_ownership);
        return;
    }
    snprintf(text, sizeof(text), "a commit failed, its outcome is not known: %s",
             tercet_store_strerror(rc));
    coordinator_fail(c, text);
}

static void submit_batches(struct coordinator *c)
{
    for (size_t i = 0; i < c->shard_count; i++)
        if (!atomic_load(&c->has_failed))
            batch_submit(&c->shards[i], c->is_stopping);
}

/* -- Events ------------------------------------------------------------------------------------ */

static void request_message(struct coordinator *c, struct event *event)
{
    if (c->has_drained) /* it might wait for participants, whose streams are being ended */
        crpc_call_fail(event->caller->call, CRPC_UNAVAILABLE, COORDINATOR_STOPPING);
    else
        method_handle(c, event->caller, event->method, event->message);
}

static void handle(struct coordinator *c, struct event *event)
{
    switch (event->kind) {
    case EVENT_REQUEST:
        request_message(c, event);
        break;
    case EVENT_SESSION:
        session_message(c, event);
        break;
    case EVENT_ATTACHED:
        instance_message(c, event);
        break;
    case EVENT_DETACHED:
        dispatch_detach(c, event->instance, event->text);
        break;
    case EVENT_RESULT:
        dispatch_target_answer(c, event);
        break;
    case EVENT_COMMITTED:
        meter_committed(&c->meter, event->shard->batcher.in_flight->op_count, event->took_us);
        loop_committed(c, event->shard, event->code);
        break;
    case EVENT_FOUND:
        method_continue(c, event->find);
        break;
    case EVENT_MEASURE:
        expose_measure(c);
        break;
    case EVENT_CALLER_LOST:
        c->waiting.has_expired |= event->caller->open_count > 0;
        break;
    case EVENT_CLOSE:
        c->is_closing = c->waiting.has_expired = true;
        break;
    case EVENT_STOP:
        c->is_stopping = true;
        break;
    }
}

/* After a failure nothing is acknowledged: requests are told to come back to a restarted
 * coordinator, all else is dropped. */
static void refuse(struct coordinator *c, struct event *event)
{
    static const char text[] = "the coordinator has stopped because its store failed";
    switch (event->kind) {
    case EVENT_REQUEST:
    case EVENT_SESSION:
        crpc_call_fail(event->caller->call, CRPC_UNAVAILABLE, "%s", text);
        break;
    case EVENT_FOUND:
        method_refuse(c, event->find, text);
        break;
    case EVENT_COMMITTED:
        batch_abandon(event->shard);
        break;
    case EVENT_MEASURE:
        expose_measure(c);
        break;
    case EVENT_CLOSE:
        c->is_closing = true;
        break;
    case EVENT_STOP:
        c->is_stopping = true;
        break;
    case EVENT_ATTACHED:
    case EVENT_DETACHED:
    case EVENT_RESULT:
    case EVENT_CALLER_LOST:
        break;
    }
}

/* Calls that have finished are told to their transactions, and confirms that this makes possible
 * are tried again, until there are none of either. */
static void settle(struct coordinator *c)
{
    struct outcall *call;
    do {
        while ((call = outcalls_take_finished(&c->outcalls)) != NULL) {
            outcome_apply(c, call);
            outcalls_let_go(call);
        }
    } while (request_confirm_ready(c));
    assert(c->outcalls.finished_first == NULL || atomic_load(&c->has_failed));
}

/* What an event leads to is settled before the event is freed: results are views of its message. */
static void handle_all(struct coordinator *c, struct event *events)
{
    size_t count = 0;
    while (events != NULL) {
        struct event *event = events;
        events = event->next;
        count++;
        if (atomic_load(&c->has_failed))
            refuse(c, event);
        else
            handle(c, event);
        settle(c);
        if (!event->reads_on)
            event_free(event);
        arena_reset(&c->scratch);
    }
    if (count > 0)
        meter_turn(&c->meter, count);
}

/* -- What is due ------------------------------------------------------------------------------- */

static void check_headroom(struct coordinator *c, struct shard *shard)
{
    struct headroom *headroom = &shard->headroom;
    if (headroom_check(headroom, shard->store, c->clock.now_ms))
        coordinator_log(c, TERCET_LOG_WARNING, "%s",
                        headroom->refuses != NULL ? headroom->refuses
                                                  : "there is room again: new work is taken");
    /* The store's file has been deleted, for example: what is decided from now on would be lost. */
    if (headroom->rc == TERCET_STORE_CORRUPT && !atomic_load(&c->has_failed))
        coordinator_fail(c, tercet_store_strerror(headroom->rc));
    if (headroom->rc == TERCET_STORE_FENCED && !atomic_load(&c->has_failed))
        coordinator_fail(c, lost_ownership);
}

static void wake_due(struct coordinator *c, struct shard *shard)
{
    for (int i = 0; i < WAKES_PER_TURN; i++) {
        struct entry *entry = table_due(&shard->table, c->clock.now_ms);
        if (entry == NULL || atomic_load(&c->has_failed) || !restore_warm(c, entry, WARM_AHEAD))
            return;
        step_event(c, entry, (struct txn_event){.kind = TXN_WAKE});
    }
}

/* Alarms that were only counted, without a log line of their own. */
static void tell_silent(struct coordinator *c)
{
    uint64_t count = alarm_take_silent(&c->parked_alarm, c->clock.now_ms);
    if (count > 0)
        coordinator_log(c, TERCET_LOG_WARNING,
                        "parked: %llu more branches: see tercetctl ls --parked",
                        (unsigned long long)count);
    count = alarm_take_silent(&c->cancelled_alarm, c->clock.now_ms);
    if (count > 0)
        coordinator_log(c, TERCET_LOG_INFO,
                        "cancelled: %llu more transactions, by deadlines and tries' timeouts: see "
                        "tercetctl ls --state cancelled",
                        (unsigned long long)count);
}

static void do_what_is_due(struct coordinator *c)
{
    for (size_t i = 0; i < c->shard_count; i++) {
        retention_check(&c->shards[i], &c->scratch, c->options.retention_ms);
        wake_due(c, &c->shards[i]);
    }
    tell_silent(c);
    overdue_tick(c);
    settle(c);
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t loop_next_turn_ms(const struct coordinator *c)
{
    int64_t next_ms = earliest(c->outcalls.tick_ms, alarm_next_ms(&c->parked_alarm));
    next_ms = earliest(next_ms, alarm_next_ms(&c->cancelled_alarm));
    next_ms = earliest(next_ms, waiter_due_ms(&c->waiting));
    if (atomic_load(&c->has_failed))
        return INT64_MAX;
    for (size_t i = 0; i < c->shard_count; i++) {
        const struct shard *shard = &c->shards[i];
        next_ms = earliest(next_ms, shard->retention.check_ms);
        next_ms = earliest(next_ms, table_next_wake_ms(&shard->table));
        next_ms = earliest(next_ms, batch_due_ms(shard));
    }
    return next_ms;
}

/* -- The turn ---------------------------------------------------------------------------------- */

static void drop_expired(struct coordinator *c)
{
    waiter_drop_due(c);
    if (c->waiting.has_expired)
        waiter_drop_all_expired(c);
    c->waiting.has_expired = false;
}

static void tell_drained(struct coordinator *c)
{
    bool is_owing = c->answers.owed_count > 0 && !atomic_load(&c->has_failed);
    if (!c->is_closing || c->has_drained || is_owing)
        return;
    c->has_drained = true;
    sem_post(&c->drained);
}

static bool is_accepting(const struct coordinator *c)
{
    for (size_t i = 0; i < c->shard_count; i++)
        if (plan_refuses(c, &c->shards[i]) != NULL)
            return false;
    return !atomic_load(&c->has_failed);
}

void loop_turn(struct coordinator *c, struct event *events, int64_t now_ms, int64_t wall_ms)
{
    c->clock = (struct clock){.now_ms = now_ms, .wall_ms = wall_ms};
    for (size_t i = 0; i < c->shard_count && !atomic_load(&c->has_failed); i++)
        check_headroom(c, &c->shards[i]);
    handle_all(c, events);
    if (!atomic_load(&c->has_failed)) {
        do_what_is_due(c);
        waiter_tell_watchers(c);
        submit_batches(c);
    }
    drop_expired(c);
    /* answers before calls, most of which are confirms and cancels that nobody waits for */
    answer_flush(&c->answers);
    if (!atomic_load(&c->has_failed))
        outcalls_flush(&c->outcalls);
    read_on(c);
    tell_drained(c);
    arena_reset(&c->scratch);
    atomic_store_explicit(&c->pulse.is_accepting, is_accepting(c), memory_order_relaxed);
}

/* -- The thread -------------------------------------------------------------------------------- */

static bool may_end(const struct coordinator *c)
{
    bool has_failed = atomic_load(&c->has_failed);
    for (size_t i = 0; i < c->shard_count; i++) {
        const struct shard *shard = &c->shards[i];
        if (has_failed ? shard->batcher.in_flight != NULL : !batch_is_idle(shard))
            return false;
    }
    return c->is_stopping && c->finds.count == 0;
}

/* Whether so much is under way that it pays to collect messages. */
static bool is_busy(const struct coordinator *c)
{
    return c->answers.owed_count + outcalls_count(&c->outcalls) >= BUSY_COUNT;
}

static void *run(void *ctx)
{
    struct coordinator *c = ctx;
    while (!may_end(c)) {
        const int64_t until_ms = loop_next_turn_ms(c);
        pulse_rest(&c->pulse, until_ms);
        struct event *events = queue_take(&c->queue, until_ms, is_busy(c));
        const int64_t now_ms = clock_monotonic_ms();
        pulse_work(&c->pulse, now_ms);
        loop_turn(c, events, now_ms, clock_wall_ms());
    }
    return NULL;
}

int loop_start(struct coordinator *c)
{
    atomic_store(&c->pulse.is_accepting, is_accepting(c));
    for (size_t i = 0; i < c->shard_count; i++)
        /* the retention clock is written down before anything ends by it */
        c->shards[i].retention.check_ms = c->clock.now_ms;
    if (pthread_create(&c->thread, NULL, run, c) != 0)
        return TERCET_NOMEM;
    pthread_setname_np(c->thread, "tercet-owner");
    return 0;
}

static void post(struct coordinator *c, enum event_kind kind)
{
    struct event *event = event_new(kind);
    if (event == NULL)
        abort();
    queue_post(&c->queue, event);
}

void loop_drain(struct coordinator *c, int64_t until_ms)
{
    const struct timespec until = clock_timespec(until_ms);
    atomic_store(&c->is_draining, true);
    post(c, EVENT_CLOSE);
    while (sem_clockwait(&c->drained, CLOCK_MONOTONIC, &until) != 0 && errno == EINTR)
        continue;
}

void loop_stop(struct coordinator *c)
{
    post(c, EVENT_STOP);
    pthread_join(c->thread, NULL);
}
