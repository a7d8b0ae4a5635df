/* SPDX-License-Identifier: Apache-2.0
 *
 * owner.h: the loop, and what the core's actions mean outside.
 */
#include "owner.h"

#include "check.h"
#include "failpoint.h"
#include "headroom.h"
#include "record.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void owner_log(const struct coordinator *c, enum tercet_log_level level, const char *format, ...)
{
    char text[512];
    va_list args;
    if (c->options.on_log == NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            /* a participant's or operator's words must not forge a line, nor steer a terminal */
            *at = '?';
    c->options.on_log(level, text, c->options.log_ctx);
}

void owner_fail(struct coordinator *c, const char *text)
{
    if (atomic_exchange(&c->has_failed, true))
        return;
    owner_log(c, TERCET_LOG_ERROR, "the coordinator stops: %s", text);
    if (c->options.on_failed != NULL)
        c->options.on_failed(text, c->options.failed_ctx);
}

uint64_t owner_low_water(const struct coordinator *c)
{
    return (c->table.oldest != NULL ? c->table.oldest->number : c->next_number) - 1;
}

void owner_touch(struct coordinator *c, struct caller *caller)
{
    if (caller->is_touched || caller->kind != CALLER_SESSION)
        return;
    caller_ref(caller);
    caller->is_touched = true;
    caller->touched_next = c->touched;
    c->touched = caller;
}

void owner_owes(struct coordinator *c, struct caller *caller)
{
    caller->open_count++;
    c->open_count++;
}

/* A session that has half-closed ends when it has all its answers. */
static void finish_if_done(struct caller *caller)
{
    if (caller->is_half_closed && caller->open_count == 0)
        outbox_finish(caller->outbox);
}

void owner_has_answered(struct coordinator *c, struct caller *caller)
{
    caller->open_count--;
    c->open_count--;
    finish_if_done(caller);
}

static void flush_callers(struct coordinator *c)
{
    while (c->touched != NULL) {
        struct caller *caller = c->touched;
        c->touched = caller->touched_next;
        caller->is_touched = false;
        caller_flush(caller);
        caller_unref(caller);
    }
}

/* -- Transactions ------------------------------------------------------------------------------ */

struct entry *owner_add(struct coordinator *c, const char *gid)
{
    struct txn_options options;
    struct entry *entry = table_add(&c->table, gid, c->next_number++);
    txn_options_default(&options);
    options.retry_base_ms = c->options.retry_base_ms;
    options.retry_cap_ms = c->options.retry_cap_ms;
    options.park_attempts = c->options.park_after_failures;
    options.park_after_ms = c->options.park_after_ms;
    txn_init(&entry->txn, NULL, 0, &options, c->now_ms, entry->number);
    entry->created_ms = c->wall_ms;
    table_recount(&c->table, entry);
    return entry;
}

static void drop_waiters(struct entry *entry)
{
    while (entry->waiters != NULL) {
        struct waiter *waiter = entry->waiters;
        entry->waiters = waiter->next;
        caller_unref(waiter->caller);
        free(waiter);
    }
}

void owner_forget(struct coordinator *c, struct entry *entry)
{
    dispatch_forget(c, entry);
    request_forget_watchers(c, entry);
    drop_waiters(entry);
    table_remove(&c->table, entry);
}

static void tell_parked(struct coordinator *c, const struct entry *entry, uint32_t number)
{
    const struct txn_branch *branch = txn_find(&entry->txn, number);
    const struct branch_info *info = entry_info(entry, branch);
    if (!alarm_is_told(&c->parked_alarm, c->now_ms))
        return;
    owner_log(c, TERCET_LOG_WARNING,
              "parked: transaction %s branch %u (%s/%s), %s, after %u failures: %s", entry->gid,
              number, info->service->name, info->action, tercet_state_name(entry->txn.state),
              branch->attempts, info->last_error != NULL ? info->last_error : "no answer");
}

static void count_parked(struct coordinator *c)
{
    uint64_t count = alarm_take_silent(&c->parked_alarm, c->now_ms);
    if (count > 0)
        owner_log(c, TERCET_LOG_WARNING, "parked: %llu more branches: see tercetctl ls --parked",
                  (unsigned long long)count);
}

static void decided(struct coordinator *c, struct entry *entry)
{
    entry->decided_ms = c->wall_ms;
    if (entry->txn.state == TXN_CONFIRMING || entry->txn.state == TXN_CONFIRMED)
        c->totals.confirmed++;
    else
        c->totals.cancelled++;
    request_decided(c, entry);
}

static void carry_out(struct coordinator *c, struct entry *entry, const struct txn_action *action)
{
    switch (action->kind) {
    case TXN_PERSIST:
        batch_force(c, entry);
        break;
    case TXN_MARK:
        batch_lazy(c, entry);
        break;
    case TXN_CALL_TRY:
        batch_call(c, entry, action->number, TERCET_TRY, action->attempt);
        break;
    case TXN_CALL_CONFIRM:
        batch_call(c, entry, action->number, TERCET_CONFIRM, action->attempt);
        break;
    case TXN_CALL_CANCEL:
        batch_call(c, entry, action->number, TERCET_CANCEL, action->attempt);
        break;
    case TXN_TRIED:
        request_tried(c, entry, action->number);
        break;
    case TXN_DECIDED:
        decided(c, entry);
        break;
    case TXN_PARKED:
        tell_parked(c, entry, action->number);
        break;
    case TXN_RESOLVED:
        entry->resolved_ms = c->wall_ms;
        request_resolved(c, entry);
        break;
    }
}

/* The reason of a cancellation is known before the core decides it, so that it is written with the
 * decision. */
static void keep_refusal(struct entry *entry, const struct txn_event *event)
{
    if (event->kind != TXN_TRY_IS_REFUSED || entry->reason != NULL ||
        entry->txn.state != TXN_TRYING)
        return;
    const struct txn_branch *branch = txn_find(&entry->txn, event->number);
    const char *reason = branch != NULL ? entry_info(entry, branch)->reason : NULL;
    entry->reason = reason != NULL ? must_strdup(reason) : NULL;
}

/* One step of the core; the actions are in the scratch arena. */
static int step(struct coordinator *c, struct entry *entry, struct txn_event event,
                struct txn_actions *actions)
{
    actions->count = 0;
    actions->capacity = 2u * (entry->txn.branch_count + 2u) + 8u;
    actions->items = arena_alloc(&c->scratch, actions->capacity * sizeof(*actions->items));
    event.now_ms = c->now_ms;
    int rc = txn_step(&entry->txn, &event, actions);
    table_set_wake(&c->table, entry, txn_wake_ms(&entry->txn));
    table_recount(&c->table, entry);
    return rc;
}

static void carry_out_all(struct coordinator *c, struct entry *entry,
                          const struct txn_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++)
        carry_out(c, entry, &actions->items[i]);
}

int owner_step(struct coordinator *c, struct entry *entry, struct txn_event event)
{
    struct txn_actions actions;
    keep_refusal(entry, &event);
    int rc = step(c, entry, event, &actions);
    carry_out_all(c, entry, &actions);
    return rc;
}

int owner_enlist(struct coordinator *c, struct entry *entry, const struct branch_plan *plan)
{
    struct txn_actions actions;
    struct txn_event event = {.kind = TXN_ENLIST,
                              .number = plan->number,
                              .digest = plan->digest,
                              .mode = plan->mode,
                              .try_timeout_ms = plan->try_timeout_ms};
    size_t count = entry->txn.branch_count;
    entry_reserve_branch(entry);
    int rc = step(c, entry, event, &actions);
    if (rc == 0 && entry->txn.branch_count > count) {
        struct branch_info *info = entry_insert_info(entry, plan->number);
        info->service = plan->service;
        info->service->branch_count++;
        info->action = must_strdup(plan->action);
        info->try_timeout_ms = (uint32_t)plan->try_timeout_ms;
        entry_keep_payload(&c->table, info, plan->payload.data, plan->payload.size);
        batch_put_branch(c, entry, txn_find(&entry->txn, plan->number));
        FAILPOINT("enlist");
    }
    carry_out_all(c, entry, &actions);
    return rc;
}

bool owner_warm(struct coordinator *c, struct entry *entry, size_t ahead)
{
    const char *wrong = NULL;
    if (entry->is_cold && atomic_load(&c->has_failed))
        return false; /* what an earlier try has loaded of it is not whole */
    int rc = restore_warm(c, entry, ahead, &wrong);
    if (rc != 0)
        owner_fail(c, wrong);
    return rc == 0;
}

bool owner_load_payload(struct coordinator *c, struct entry *entry, struct txn_branch *branch)
{
    struct branch_info *info = entry_info(entry, branch);
    struct store_value value;
    if (info->has_payload)
        return true;
    int rc = store_get_wait(c->store, 0, entry->number, branch->number, &value);
    if (rc != 0) {
        owner_fail(c, tercet_store_strerror(rc));
        return false;
    }
    Tercet__Store__V1__Branch *record =
        (Tercet__Store__V1__Branch *)record_decode(RECORD_BRANCH, value.data, value.size);
    store_value_free(&value);
    if (record == NULL) {
        owner_fail(c, "a branch's record is damaged");
        return false;
    }
    entry_keep_payload(&c->table, info, record->payload.data, record->payload.len);
    crpc_message_free(&record->base);
    return true;
}

/* -- The loop ---------------------------------------------------------------------------------- */

/* A status that a called participant gave in place of a result. NULL: it says nothing of the
 * participant but that it cannot be reached. */
static const Tercet__V1__CallResult *result_of_status(const struct event *event,
                                                      Tercet__V1__CallResult *out)
{
    tercet__v1__call_result__init(out);
    out->reason = (char *)event->text;
    switch (event->code) {
    case CRPC_UNAVAILABLE:
    case CRPC_DEADLINE_EXCEEDED:
    case CRPC_CANCELLED:
        return NULL;
    case CRPC_ABORTED:
        out->outcome = TERCET__V1__OUTCOME__REFUSAL;
        break;
    case CRPC_FAILED_PRECONDITION:
        out->outcome = TERCET__V1__OUTCOME__BROKEN;
        break;
    default:
        out->outcome = TERCET__V1__OUTCOME__AGAIN;
    }
    return out;
}

static void target_answered(struct coordinator *c, const struct event *event)
{
    Tercet__V1__CallResult made;
    const Tercet__V1__CallResult *result = (const Tercet__V1__CallResult *)event->message;
    if (result == NULL)
        result = result_of_status(event, &made);
    dispatch_result(c, NULL, event->call_id, result, event->text);
}

/* The stream's next message is asked for at the end of the turn: gRPC tells the peer of the room
 * that this one has left, in a system call, and what the turn has to send is awaited. */
static void read_later(struct coordinator *c, struct event *event)
{
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
    struct instance *instance = event->instance;
    const Tercet__V1__AttachRequest *message = (const Tercet__V1__AttachRequest *)event->message;
    if (message->hello != NULL) {
        const char *wrong = dispatch_attach(c, instance, message->hello);
        if (wrong != NULL) {
            crpc_call_fail(instance->call, CRPC_INVALID_ARGUMENT, "%s", wrong);
            return;
        }
    } else if (instance->service == NULL) {
        crpc_call_fail(instance->call, CRPC_FAILED_PRECONDITION,
                       "the first message of Attach must carry a hello");
        return;
    }
    for (size_t i = 0; i < message->n_results; i++)
        dispatch_result(c, instance, message->results[i]->id, message->results[i],
                        message->results[i]->reason);
    read_later(c, event);
}

static void session_message(struct coordinator *c, struct event *event)
{
    struct caller *caller = event->caller;
    const Tercet__V1__SessionRequests *message =
        (const Tercet__V1__SessionRequests *)event->message;
    if (message == NULL) {
        caller->is_half_closed = true;
        finish_if_done(caller);
        return;
    }
    request_session(c, caller, message);
    read_later(c, event);
}

static void committed(struct coordinator *c, int rc)
{
    char text[TERCET_TEXT_MAX];
    if (rc == 0) {
        batch_is_durable(c);
        return;
    }
    c->batcher.in_flight = NULL;
    snprintf(text, sizeof(text), "a commit failed, its outcome is not known: %s",
             tercet_store_strerror(rc));
    owner_fail(c, text);
}

static void handle(struct coordinator *c, struct event *event)
{
    switch (event->kind) {
    case EVENT_REQUEST:
        if (c->has_drained) /* it might wait for participants, whose streams are being ended */
            crpc_call_fail(event->caller->call, CRPC_UNAVAILABLE, COORDINATOR_STOPPING);
        else
            request_handle(c, event->caller, 0, event->method, event->message);
        break;
    case EVENT_SESSION:
        session_message(c, event);
        break;
    case EVENT_ATTACHED:
        instance_message(c, event);
        break;
    case EVENT_DETACHED:
        dispatch_detach(c, event->instance);
        break;
    case EVENT_RESULT:
        target_answered(c, event);
        break;
    case EVENT_COMMITTED:
        committed(c, event->code);
        break;
    case EVENT_CLOSE:
        c->is_closing = true;
        c->has_vain_waiters |= event->caller == NULL || event->caller->open_count > 0;
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
    if (event->kind == EVENT_STOP)
        c->is_stopping = true;
    else if (event->kind == EVENT_CLOSE)
        c->is_closing = true;
    else if (event->kind == EVENT_COMMITTED)
        c->batcher.in_flight = NULL;
    else if (event->kind == EVENT_REQUEST || event->kind == EVENT_SESSION)
        crpc_call_fail(event->caller->call, CRPC_UNAVAILABLE,
                       "the coordinator has stopped because its store failed");
}

static void handle_all(struct coordinator *c, struct event *events)
{
    while (events != NULL) {
        struct event *event = events;
        events = event->next;
        if (atomic_load(&c->has_failed))
            refuse(c, event);
        else
            handle(c, event);
        if (!event->reads_on)
            event_free(event);
        arena_reset(&c->scratch);
    }
}

/* At most so many a turn, so that a restart with a million of them serves new work at once. */
#define WAKES_PER_TURN 1000

static void wake_due(struct coordinator *c)
{
    for (int i = 0; i < WAKES_PER_TURN; i++) {
        struct entry *entry = table_due(&c->table, c->now_ms);
        if (entry == NULL || atomic_load(&c->has_failed) || !owner_warm(c, entry, WARM_AHEAD))
            return;
        owner_step(c, entry, (struct txn_event){.kind = TXN_WAKE});
    }
}

static int64_t retention_pause_ms(const struct coordinator *c)
{
    int64_t pause_ms = c->options.retention_ms / RETENTION_CHECKS;
    return pause_ms < RETENTION_CHECK_MS_MAX ? pause_ms + 1 : RETENTION_CHECK_MS_MAX;
}

static void check_retention(struct coordinator *c)
{
    if (c->now_ms < c->retention_check_ms)
        return;
    c->retention_check_ms = c->now_ms + retention_pause_ms(c);
    Tercet__Store__V1__Clock clock = TERCET__STORE__V1__CLOCK__INIT;
    clock.time_ms = retention_now_ms(c);
    batch_put_meta(c, RETENTION_CLOCK, record_encode(&c->scratch, RECORD_CLOCK, &clock.base));
    batch_drop_resolved(c, clock.time_ms - c->options.retention_ms);
    table_trim(&c->table);
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t owner_next_turn_ms(const struct coordinator *c)
{
    int64_t next = c->retention_check_ms;
    if (atomic_load(&c->has_failed))
        return INT64_MAX;
    next = earliest(next, table_next_wake_ms(&c->table));
    next = earliest(next, batch_due_ms(c));
    next = earliest(next, c->dispatch.tick_ms);
    next = earliest(next, alarm_next_ms(&c->parked_alarm));
    return next;
}

static bool may_end(const struct coordinator *c)
{
    return c->is_stopping &&
           (batch_is_idle(c) || (atomic_load(&c->has_failed) && c->batcher.in_flight == NULL));
}

static void drop_vain(struct coordinator *c)
{
    if (c->has_vain_waiters)
        request_drop_vain(c);
    c->has_vain_waiters = false;
}

static void tell_drained(struct coordinator *c)
{
    if (!c->is_closing || c->has_drained || (c->open_count > 0 && !atomic_load(&c->has_failed)))
        return;
    c->has_drained = true;
    sem_post(&c->drained);
}

void owner_turn(struct coordinator *c, struct event *events, int64_t now_ms, int64_t now_wall_ms)
{
    c->now_ms = now_ms;
    c->wall_ms = now_wall_ms;
    if (!atomic_load(&c->has_failed))
        headroom_check(c);
    handle_all(c, events);
    if (!atomic_load(&c->has_failed)) {
        check_retention(c);
        wake_due(c);
        count_parked(c);
        dispatch_tick(c);
        request_tell_watchers(c);
        batch_submit(c);
    }
    drop_vain(c);
    /* before the calls, most of which are confirms and cancels that nobody waits for */
    flush_callers(c);
    if (!atomic_load(&c->has_failed))
        dispatch_flush(c);
    read_on(c);
    tell_drained(c);
    arena_reset(&c->scratch);
}

static void *run_owner(void *ctx)
{
    struct coordinator *c = ctx;
    while (!may_end(c)) {
        struct event *events = queue_take(&c->queue, owner_next_turn_ms(c));
        owner_turn(c, events, clock_monotonic_ms(), clock_wall_ms());
    }
    return NULL;
}

int owner_start(struct coordinator *c)
{
    c->retention_check_ms = c->now_ms; /* its clock is written down before anything ends by it */
    if (pthread_create(&c->thread, NULL, run_owner, c) != 0)
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

void owner_drain(struct coordinator *c, int64_t until_ms)
{
    const struct timespec until = clock_timespec(until_ms);
    atomic_store(&c->is_draining, true);
    post(c, EVENT_CLOSE);
    while (sem_clockwait(&c->drained, CLOCK_MONOTONIC, &until) != 0 && errno == EINTR)
        continue;
}

void owner_stop(struct coordinator *c)
{
    post(c, EVENT_STOP);
    pthread_join(c->thread, NULL);
}
