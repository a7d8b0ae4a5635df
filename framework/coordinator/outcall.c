/* SPDX-License-Identifier: Apache-2.0
 *
 * outcall.h
 */
#include "outcall.h"

#include "check.h"
#include "coordinator.h"
#include "failpoint.h"
#include "terms.h"
#include "why.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_CALLS 1 /* of AttachResponse */
#define TICK_MS 20
/* calls of a sharded service that are looked at in vain in one go */
#define ROTATIONS_MAX 256

/* -- Ids --------------------------------------------------------------------------------------- */

static void give_id(struct outcalls *calls, struct outcall *call)
{
    if (calls->free_count == 0) {
        uint32_t old = calls->place_count;
        calls->place_count = old == 0 ? 256 : old * 2;
        calls->calls = must_realloc(calls->calls, calls->place_count * sizeof(*calls->calls));
        calls->free_places =
            must_realloc(calls->free_places, calls->place_count * sizeof(*calls->free_places));
        for (uint32_t place = calls->place_count; place > old; place--) {
            calls->calls[place - 1] = NULL;
            calls->free_places[calls->free_count++] = place - 1;
        }
    }
    uint32_t place = calls->free_places[--calls->free_count];
    calls->calls[place] = call;
    call->id = (uint64_t)++calls->generation << 32 | place;
}

size_t outcall_count(const struct outcalls *calls)
{
    return calls->place_count - calls->free_count;
}

static struct outcall *find_call(const struct outcalls *calls, uint64_t id)
{
    uint32_t place = (uint32_t)id;
    if (place >= calls->place_count || calls->calls[place] == NULL || calls->calls[place]->id != id)
        return NULL;
    return calls->calls[place];
}

static void take_id(struct outcalls *calls, struct outcall *call)
{
    uint32_t place = (uint32_t)call->id;
    calls->calls[place] = NULL;
    calls->free_places[calls->free_count++] = place;
}

/* -- Lists ------------------------------------------------------------------------------------- */

static void wait_append(struct service *service, struct outcall *call)
{
    assert(!call->is_sent && !call->is_finished);
    call->next = NULL;
    call->prev = service->waiting_last;
    if (service->waiting_last != NULL)
        service->waiting_last->next = call;
    else
        service->waiting_first = call;
    service->waiting_last = call;
    service->waiting_count++;
}

static void wait_remove(struct service *service, struct outcall *call)
{
    assert(!call->is_sent && !call->is_finished && service->waiting_count > 0);
    assert(call->prev != NULL ? call->prev->next == call : service->waiting_first == call);
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        service->waiting_first = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    else
        service->waiting_last = call->prev;
    service->waiting_count--;
}

static void instance_add(struct outcalls *calls, struct instance *instance, struct outcall *call)
{
    call->instance = instance;
    call->prev = NULL;
    call->next = instance->sent;
    if (instance->sent != NULL)
        instance->sent->prev = call;
    instance->sent = call;
    instance->call_count++;
    wheel_set(&calls->wheel, &call->due, call->sent_ms + call->timeout_ms);
}

static void instance_remove(struct outcalls *calls, struct outcall *call)
{
    struct instance *instance = call->instance;
    assert(instance->call_count > 0);
    assert(call->prev != NULL ? call->prev->next == call : instance->sent == call);
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        instance->sent = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    instance->call_count--;
    wheel_set(&calls->wheel, &call->due, WHEEL_NEVER);
}

/* Off the lists of those that wait and are under way, and no longer found by its id. */
static void unlink_call(struct outcalls *calls, struct outcall *call)
{
    struct service *service = call->service;
    assert(!call->is_finished);
    if (!call->is_sent)
        wait_remove(service, call);
    else if (call->instance != NULL)
        instance_remove(calls, call);
    else
        call->target = target_end_call(&service->targets, call->target);
    if (call->is_sent) {
        assert(service->call_count > 0);
        service->call_count--;
    }
    take_id(calls, call);
}

/* -- Finishing --------------------------------------------------------------------------------- */

/* Says which call it is, before it loses its transaction. */
static void name_call(struct outcall *call)
{
    const struct entry *entry = call->entry;
    char name[TERCET_ACTION_MAX + TERCET_GID_MAX + 64];
    if (call->name != NULL)
        return;
    snprintf(name, sizeof(name), "the %s of branch %u (%s/%s) of transaction %s",
             tercet_kind_name(call->kind), call->branch, call->service->name,
             entry_info(entry, txn_find(&entry->txn, call->branch))->action, entry->gid);
    call->name = must_strdup(name);
}

static void free_call(struct outcall *call)
{
    if (call != NULL)
        free(call->name);
    free(call);
}

/* The call's outcome is to be reported. A late call also stays on its other lists. */
static void finish(struct outcalls *calls, struct outcall *call,
                   const Tercet__V1__CallResult *result, const char *text)
{
    assert(call->entry != NULL && !call->is_finished);
    call->is_finished = true;
    call->result = result;
    call->text = text;
    call->finished_next = NULL;
    if (calls->finished_last != NULL)
        calls->finished_last->finished_next = call;
    else
        calls->finished_first = call;
    calls->finished_last = call;
}

/* It is over: told to its transaction, unless nobody wants to know. */
static void end_call(struct outcalls *calls, struct outcall *call,
                     const Tercet__V1__CallResult *result, const char *text)
{
    unlink_call(calls, call);
    if (call->entry != NULL)
        finish(calls, call, result, text);
    else
        free_call(call);
}

/* Nobody wants the answer any more. A call under way keeps its place in the window until it comes,
 * a finished one its place on the list. */
static void abandon(struct outcalls *calls, struct outcall *call)
{
    if (call->is_sent && call->instance != NULL && !call->is_finished)
        name_call(call);
    call->entry = NULL;
    if (call->is_sent || call->is_finished)
        return;
    unlink_call(calls, call);
    free_call(call);
}

static void abandon_of(struct outcalls *calls, struct branch_info *info)
{
    abandon(calls, info->call);
    info->call = NULL;
}

static struct outcall *pop_finished(struct outcalls *calls)
{
    struct outcall *call = calls->finished_first;
    if (call == NULL)
        return NULL;
    calls->finished_first = call->finished_next;
    if (calls->finished_first == NULL)
        calls->finished_last = NULL;
    assert(call->is_finished);
    call->is_finished = false;
    return call;
}

struct outcall *outcall_take_finished(struct coordinator *c)
{
    struct outcall *call;
    while ((call = pop_finished(&c->outcalls)) != NULL) {
        struct entry *entry = call->entry;
        if (entry != NULL) {
            struct branch_info *info = entry_info(entry, txn_find(&entry->txn, call->branch));
            assert(info->call == call);
            info->call = NULL;
            return call;
        }
        outcall_let_go(call);
    }
    return NULL;
}

void outcall_let_go(struct outcall *call)
{
    call->entry = NULL;
    if (!call->is_late)
        free_call(call);
}

static void tick_soon(struct coordinator *c)
{
    if (c->outcalls.tick_ms > c->clock.now_ms + TICK_MS)
        c->outcalls.tick_ms = c->clock.now_ms + TICK_MS;
}

/* -- The breaker ------------------------------------------------------------------------------- */

/* That of whom the call was given to. */
static struct breaker *breaker_of(const struct outcall *call)
{
    return call->target != NULL ? &call->target->breaker : &call->service->breaker;
}

static void tell_closed(const struct coordinator *c, const struct service *service,
                        const char *where)
{
    coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_INFO,
                       "%s%s%s answers again; %llu calls wait for it", service->name,
                       where[0] != '\0' ? " at " : "", where,
                       (unsigned long long)service->waiting_count);
}

void outcall_close_breaker(struct coordinator *c, struct service *service, struct target *target)
{
    if (breaker_close(target != NULL ? &target->breaker : &service->breaker))
        tell_closed(c, service, target != NULL ? target->address : "");
}

/* A call got no answer: `text` says why. */
static void count_failure(struct coordinator *c, struct outcall *call, const char *text)
{
    struct service *service = call->service;
    const struct target *target = call->target;
    copy_text(service->last_error, text);
    if (target != NULL)
        copy_text(call->target->last_error, text);
    if (breaker_fail(breaker_of(call), c->clock.now_ms))
        coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_WARNING,
                           "%s%s%s does not answer (%s): one probe at a time from now on",
                           service->name, target != NULL ? " at " : "",
                           target != NULL ? target->address : "", text);
    if (breaker_of(call)->is_open)
        tick_soon(c);
}

/* -- Sending ----------------------------------------------------------------------------------- */

/* The instance with the most room that offers the action; NULL: none has any. *is_offered: some
 * instance offers it. */
static struct instance *choose_instance(const struct service *service,
                                        const struct branch_info *info, bool *is_offered)
{
    struct instance *best = NULL;
    for (struct instance *instance = service->instances; instance != NULL;
         instance = instance->next) {
        if (instance->is_ending || offer_find(&instance->offer, info->action) == NULL)
            continue;
        *is_offered = true;
        bool has_branch = info->database == NULL || strcmp(info->database, instance->database) == 0;
        if (instance->call_count >= instance->window || !has_branch)
            continue;
        if (best == NULL ||
            instance->window - instance->call_count > best->window - best->call_count)
            best = instance;
    }
    return best;
}

/* What the participant is told; views of the entry's memory. false: the payload cannot be read. */
static bool fill_call(struct coordinator *c, const struct outcall *call, Tercet__V1__Call *out)
{
    if (!terms_fill(c, call->entry, txn_find(&call->entry->txn, call->branch), out))
        return false;
    out->id = call->id;
    out->kind = (Tercet__V1__Kind)call->kind;
    out->attempt = call->attempt;
    out->timeout_ms = call->timeout_ms;
    return true;
}

/* A called participant's answer, on an RPC thread. */
struct target_call {
    struct coordinator *coordinator;
    uint64_t id;
};

static void on_target_answer(const ProtobufCMessage *reply, const struct crpc_status *status,
                             void *ctx)
{
    struct target_call *target_call = ctx;
    struct event *event = event_new(EVENT_RESULT);
    if (event == NULL)
        abort();
    event->call_id = target_call->id;
    event->code = (int)status->code;
    copy_text(event->text, crpc_is_text(status->message, strlen(status->message))
                               ? status->message
                               : "(a text that is not UTF-8)");
    if (reply != NULL && crpc_message_copy(&event->message, reply) == CRPC_ENOMEM)
        or_die(NULL);
    queue_post(&target_call->coordinator->queue, event);
    free(target_call);
}

static bool send_to_target(struct coordinator *c, struct target *target, struct outcall *call,
                           Tercet__V1__Call *message)
{
    const char *token = target->authorization;
    const struct crpc_metadata authorization = {
        .key = "authorization", .value = {token, token != NULL ? strlen(token) : 0}};
    struct crpc_call_options options = {.size = sizeof(options),
                                        .timeout_ms = call->timeout_ms,
                                        .metadata = &authorization,
                                        .metadata_count = token != NULL};
    struct target_call *target_call = must_alloc(sizeof(*target_call));
    target_call->coordinator = c;
    target_call->id = call->id;
    message->id = 0; /* its answer needs none */
    int rc;
    FAILPOINT_AROUND("send.target", rc = crpc_unary_start(NULL, target->channel,
                                                          &tercet__v1__participant__descriptor,
                                                          "Execute", &message->base, &options,
                                                          on_target_answer, target_call));
    if (rc != 0) {
        free(target_call);
        return false;
    }
    call->target = target;
    target->call_count++;
    return true;
}

static bool send_to_instance(struct coordinator *c, struct instance *instance, struct outcall *call,
                             const Tercet__V1__Call *message)
{
    if (outbox_put(instance->outbox, FIELD_CALLS, &message->base) != 0)
        return false;
    instance_add(&c->outcalls, instance, call);
    outcall_touch(&c->outcalls, instance);
    return true;
}

/* Whether the core still waits for an answer of this kind: what it has asked for may have been held
 * for a while. */
static bool is_wanted(const struct txn *txn, const struct txn_branch *branch, enum tercet_kind kind)
{
    if (kind == TERCET_TRY)
        return txn->state == TXN_TRYING && branch->try_state == TXN_TRY_CALLING;
    return branch->end_state == TXN_END_CALLING;
}

/* The call leaves: what the core knows of it must be so before the step that follows. */
static void note_sent(struct coordinator *c, struct outcall *call)
{
    if (call->kind == TERCET_TRY)
        txn_try_leaves(&call->entry->txn, call->branch);
    call->is_sent = true;
    call->service->call_count++;
    breaker_note_sent(breaker_of(call));
    c->outcalls.calls_total++;
}

/* Who may be given a call: one of them, or nobody. */
struct way {
    struct instance *instance;
    struct target *target;
    bool is_offered; /* somebody offers the action */
};

static struct way find_way(const struct coordinator *c, const struct service *service,
                           const struct branch_info *info)
{
    const char *action = info->action;
    struct way way = {.is_offered = false};
    way.instance = choose_instance(service, info, &way.is_offered);
    if (!breaker_lets_through(&service->breaker, c->clock.now_ms))
        way.instance = NULL;
    /* which database a target has is not known */
    bool is_bound = info->database != NULL || service_is_sharded(service);
    if (way.instance == NULL && service->targets.count > 0 && !is_bound) {
        way.target = target_choose(&service->targets, action, c->clock.now_ms);
        way.is_offered = way.is_offered || target_any_offers(&service->targets, action);
    }
    return way;
}

/* Sends a waiting call. false: it still waits. */
static bool send_call(struct coordinator *c, struct service *service, struct outcall *call,
                      const struct way *way)
{
    Tercet__V1__Call message;
    call->sent_ms = c->clock.now_ms;
    call->timeout_ms = terms_timeout_ms(
        c, call->entry, txn_find(&call->entry->txn, call->branch), (enum tercet_kind)call->kind,
        way->instance != NULL ? &way->instance->offer : &way->target->offer);
    if (!fill_call(c, call, &message))
        return false;
    FAILPOINT("call.send");
    wait_remove(service, call);
    bool is_sent = way->instance != NULL ? send_to_instance(c, way->instance, call, &message)
                                         : send_to_target(c, way->target, call, &message);
    if (!is_sent) {
        wait_append(service, call);
        service->was_not_sent = true;
        tick_soon(c);
        return false;
    }
    note_sent(c, call);
    tick_soon(c);
    return true;
}

/* A try stays with the first database that it can be given to, before which that is written: so its
 * confirm or cancel finds the row. false: it is too late for that, another may have it. */
static bool bind_branch(struct outcall *call, struct branch_info *info,
                        const struct instance *instance, bool is_held)
{
    if (info->database != NULL || !instance->is_sharded)
        return true;
    if (call->kind != TERCET_TRY)
        return false;
    if (is_held)
        info->database = must_strdup(instance->database);
    return is_held;
}

/* false: nothing more can go now. */
static bool pump_one(struct coordinator *c, struct service *service)
{
    struct outcall *call = service->waiting_first;
    const struct txn_branch *branch = txn_find(&call->entry->txn, call->branch);
    struct branch_info *info = entry_info(call->entry, branch);
    bool is_held = call->kind == TERCET_TRY && branch->sent == TXN_SENT_HELD;
    if (!is_wanted(&call->entry->txn, branch, call->kind)) {
        abandon_of(&c->outcalls, info);
        return true;
    }
    struct way way = find_way(c, service, info);
    const char *wrong = NULL;
    if (service_is_served(service) && !way.is_offered)
        /* Instances are there, but of a version that does not know this action: the call does not
         * stand in the others' way. */
        wrong = "no instance of the service offers this action";
    else if (way.instance == NULL && way.target == NULL)
        return false;
    else if (way.instance != NULL && !bind_branch(call, info, way.instance, is_held))
        wrong = "the branch was begun before its service had several databases: run it anew";
    if (wrong == NULL && !is_held)
        return send_call(c, service, call, &way);
    call->is_held = wrong == NULL;
    end_call(&c->outcalls, call, NULL, wrong);
    return true;
}

/* Of several databases one may have no room, or nobody: what waits for it lets the others pass. */
static bool may_rotate(struct service *service, uint32_t *rotated)
{
    if ((!service_is_sharded(service) && service->targets.count < 2) ||
        ++*rotated >= ROTATIONS_MAX || *rotated >= service->waiting_count)
        return false;
    struct outcall *call = service->waiting_first;
    wait_remove(service, call);
    wait_append(service, call);
    return true;
}

void outcall_pump(struct coordinator *c, struct service *service)
{
    uint32_t rotated = 0;
    while (service->waiting_first != NULL && !service->is_paused && !atomic_load(&c->has_failed)) {
        if (pump_one(c, service))
            rotated = 0;
        else if (!may_rotate(service, &rotated))
            break;
    }
    if (rotated >= ROTATIONS_MAX) {
        service->was_not_sent = true;
        tick_soon(c);
    }
}

void outcall_begin(struct coordinator *c, struct entry *entry, uint32_t branch,
                   enum tercet_kind kind, uint32_t attempt)
{
    const struct txn_branch *of = txn_find(&entry->txn, branch);
    struct branch_info *info = entry_info(entry, of);
    if (!is_wanted(&entry->txn, of, kind))
        return;
    if (info->call != NULL)
        abandon(&c->outcalls, info->call);
    struct outcall *call = must_alloc(sizeof(*call));
    call->service = info->service;
    call->entry = entry;
    call->branch = branch;
    call->kind = (uint8_t)kind;
    call->attempt = attempt;
    call->sent_ms = c->clock.now_ms;
    give_id(&c->outcalls, call);
    info->call = call;
    wait_append(info->service, call);
    if (info->service->unserved_ms == 0 && !service_is_served(info->service))
        info->service->unserved_ms = c->clock.wall_ms;
    outcall_pump(c, info->service);
    if (entry->shard->table.payload_bytes > c->payload_bytes_max)
        entry_drop_payload(&entry->shard->table, info);
}

void outcall_withdraw(struct coordinator *c, struct entry *entry)
{
    for (size_t i = 0; i < entry->txn.branch_count; i++) {
        struct outcall *call = entry->infos[i].call;
        bool waits = call != NULL && !call->is_sent && !call->is_finished;
        if (waits && !is_wanted(&entry->txn, &entry->txn.branches[i], call->kind))
            abandon_of(&c->outcalls, &entry->infos[i]);
    }
}

void outcall_forget(struct coordinator *c, struct entry *entry)
{
    for (size_t i = 0; i < entry->txn.branch_count; i++) {
        struct branch_info *info = &entry->infos[i];
        if (info->service == NULL)
            continue; /* not restored yet */
        if (info->call != NULL)
            abandon_of(&c->outcalls, info);
        assert(info->service->branch_count > 0);
        info->service->branch_count--;
        service_release(&c->services, info->service);
    }
}

/* -- Answers ----------------------------------------------------------------------------------- */

struct service *outcall_answer(struct coordinator *c, const struct instance *instance, uint64_t id,
                               const Tercet__V1__CallResult *result, const char *text)
{
    struct outcall *call = find_call(&c->outcalls, id);
    if (call == NULL || !call->is_sent || call->instance != instance)
        return NULL;
    FAILPOINT("result");
    struct service *service = call->service;
    call->is_late = false;
    if (result != NULL)
        outcall_close_breaker(c, service, call->target);
    else
        count_failure(c, call, text);
    end_call(&c->outcalls, call, result, text);
    return service;
}

void outcall_lose_instance(struct coordinator *c, struct instance *instance)
{
    while (instance->sent != NULL) {
        instance->sent->is_late = false;
        end_call(&c->outcalls, instance->sent, NULL, "the participant's instance was lost");
    }
}

/* -- Time -------------------------------------------------------------------------------------- */

/* The answer did not come in time. */
static void expire(struct coordinator *c, struct outcall *call)
{
    char *text = arena_alloc(&c->scratch, TERCET_TEXT_MAX);
    snprintf(text, TERCET_TEXT_MAX,
             "no answer from instance \"%.100s\" within the call timeout, %u ms",
             call->instance->name, call->timeout_ms);
    call->is_late = true;
    wheel_set(&c->outcalls.wheel, &call->due,
              call->sent_ms + SILENCE_FACTOR * (int64_t)call->timeout_ms);
    count_failure(c, call, text);
    if (call->entry == NULL)
        return;
    name_call(call);
    finish(&c->outcalls, call, NULL, text);
}

/* Whether the instance may still be at work on what it was given before: then it is not silent. */
static bool is_behind_another(const struct outcall *call)
{
    const struct outcall *other = call->instance->sent;
    while (other != NULL && (other->is_late || other->sent_ms > call->sent_ms))
        other = other->next;
    return other != NULL;
}

/* The instance has given no sign of life. One that does not even take the status is cut off. */
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

/* The instance answers others. Its place in the window is free again: what it answers to this one
 * is nobody's any more. */
static void give_up(struct coordinator *c, struct outcall *call)
{
    if (alarm_is_told(&c->outcalls.alarm, c->clock.now_ms))
        coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_WARNING,
                           "%s: instance \"%s\" does not answer %s: given up after %lld ms",
                           call->service->name, call->instance->name, call->name,
                           (long long)(c->clock.now_ms - call->sent_ms));
    unlink_call(&c->outcalls, call);
    free_call(call);
}

/* It is late for so long that nobody believes in its answer any more. */
static void despair_of(struct coordinator *c, struct outcall *call)
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
            despair_of(c, call);
        else
            expire(c, call);
    }
    uint64_t silent = alarm_take_silent(&c->outcalls.alarm, c->clock.now_ms);
    if (silent > 0)
        coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_WARNING,
                           "%llu more calls were given up without an answer",
                           (unsigned long long)silent);
}

void outcall_tick(struct coordinator *c)
{
    struct outcalls *calls = &c->outcalls;
    if (c->clock.now_ms < calls->tick_ms)
        return;
    calls->tick_ms = c->clock.now_ms + TICK_MS;
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
        calls->tick_ms = c->clock.now_ms + 50 * TICK_MS;
}

/* -- All of them ------------------------------------------------------------------------------- */

void outcall_touch(struct outcalls *calls, struct instance *instance)
{
    if (instance->is_touched)
        return;
    instance_ref(instance);
    instance->is_touched = true;
    instance->touched_next = calls->touched;
    calls->touched = instance;
}

void outcall_flush(struct outcalls *calls)
{
    while (calls->touched != NULL) {
        struct instance *instance = calls->touched;
        calls->touched = instance->touched_next;
        instance->is_touched = false;
        outbox_flush(instance->outbox);
        instance_unref(instance);
    }
}

void outcall_free_all(struct outcalls *calls)
{
    struct outcall *call;
    outcall_flush(calls);
    while ((call = pop_finished(calls)) != NULL)
        outcall_let_go(call);
    for (uint32_t place = 0; place < calls->place_count; place++)
        free_call(calls->calls[place]);
    free(calls->calls);
    free(calls->free_places);
}
