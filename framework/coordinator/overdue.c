/* SPDX-License-Identifier: Apache-2.0
 *
 * overdue.h
 */
#include "overdue.h"

#include "arena.h"
#include "coordinator.h"
#include "outcall.h"
#include "why.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>

/* The answer did not come in time. */
static void expire(struct coordinator *c, struct outcall *call)
{
    char *text = arena_alloc(&c->scratch, TERCET_TEXT_MAX);
    snprintf(
        text, TERCET_TEXT_MAX, "no answer from instance \"%.*s\" within the call timeout, %u ms",
        text_whole(call->instance->name, WHY_NAME_MAX), call->instance->name, call->timeout_ms);
    call->is_late = true;
    wheel_set(&c->outcalls.wheel, &call->due,
              call->sent_ms + SILENCE_FACTOR * (int64_t)call->timeout_ms);
    outcall_count_failure(c, call, text);
    if (call->entry == NULL)
        return;
    outcalls_name(call);
    outcalls_finish(&c->outcalls, call, NULL, text);
}

/* Whether the instance may still be at work on what it was given before: then it is not silent. */
static bool is_behind_another(const struct outcall *call)
{
    const struct outcall *other = call->instance->sent;
    while (other != NULL && (other->is_late || other->sent_ms > call->sent_ms))
        other = other->next;
    return other != NULL;
}

/* The instance has answered nothing since it was given the call: its stream is ended with a status.
 * When it does not take even that, the call is cancelled the next time. */
static void end_silent(struct coordinator *c, struct outcall *call)
{
    struct instance *instance = call->instance;
    long long silent_ms = (long long)(c->clock.now_ms - call->sent_ms);
    wheel_set(&c->outcalls.wheel, &call->due, c->clock.now_ms + call->timeout_ms);
    if (instance->is_ending) {
        crpc_call_cancel(instance->call);
        return;
    }
    instance->is_ending = true;
    coordinator_log_of(
        c, LOG_PARTICIPANTS, TERCET_LOG_WARNING,
        "%s: instance \"%s\" is ended: it has answered nothing for %lld ms, since it "
        "was given %s",
        call->service->name, instance->name, silent_ms, call->name);
    crpc_call_fail(instance->call, CRPC_DEADLINE_EXCEEDED,
                   "nothing was answered for %lld ms, since this instance was given %s: attach "
                   "again; slow hooks need a longer call timeout",
                   silent_ms, call->name);
}

/* The instance answers other calls, but not this one. Its place in the window is freed; should an
 * answer still come, it is ignored. */
static void give_up(struct coordinator *c, struct outcall *call)
{
    if (alarm_is_told(&c->outcalls.alarm, c->clock.now_ms))
        coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_WARNING,
                           "%s: instance \"%s\" does not answer %s: given up after %lld ms",
                           call->service->name, call->instance->name, call->name,
                           (long long)(c->clock.now_ms - call->sent_ms));
    outcalls_drop(&c->outcalls, call);
}

/* SILENCE_FACTOR times its timeout has passed: its answer is not expected any more. */
static void give_up_or_end(struct coordinator *c, struct outcall *call)
{
    struct service *service = call->service;
    assert(call->is_late && call->name != NULL);
    if (call->is_finished || is_behind_another(call))
        wheel_set(&c->outcalls.wheel, &call->due, c->clock.now_ms + call->timeout_ms);
    else if (call->instance->heard_ms <= call->sent_ms)
        end_silent(c, call);
    else {
        give_up(c, call);
        outcall_pump(c, service);
    }
}

static void tick_sent(struct coordinator *c)
{
    struct wheel *wheel = &c->outcalls.wheel;
    struct wheel_node *node;
    wheel_advance(wheel, c->clock.now_ms);
    while ((node = wheel_due(wheel)) != NULL) {
        struct outcall *call = (struct outcall *)((char *)node - offsetof(struct outcall, due));
        if (call->is_late)
            give_up_or_end(c, call);
        else
            expire(c, call);
    }
    uint64_t silent = alarm_take_silent(&c->outcalls.alarm, c->clock.now_ms);
    if (silent > 0)
        coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_WARNING,
                           "%llu more calls were given up without an answer",
                           (unsigned long long)silent);
}

void overdue_tick(struct coordinator *c)
{
    struct outcalls *calls = &c->outcalls;
    if (c->clock.now_ms < calls->tick_ms)
        return;
    calls->tick_ms = c->clock.now_ms + OUTCALLS_TICK_MS;
    tick_sent(c);
    bool is_needed = wheel_next_ms(&calls->wheel) != WHEEL_NEVER;
    for (struct service *service = c->services.first; service != NULL; service = service->next) {
        bool is_due =
            service->breaker.is_open || service->was_not_sent || target_any_open(&service->targets);
        is_needed = is_needed || (is_due && service->waiting_first != NULL);
        service->was_not_sent = false;
        if (is_due)
            outcall_pump(c, service);
        why_tell_waiting(c, service);
    }
    if (!is_needed)
        calls->tick_ms = c->clock.now_ms + 50 * OUTCALLS_TICK_MS;
}
