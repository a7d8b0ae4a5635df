/* SPDX-License-Identifier: Apache-2.0
 *
 * outcall.h
 */
#include "outcall.h"

#include "arena.h"
#include "coordinator.h"
#include "failpoint.h"
#include "send.h"
#include "trace.h"

#include <assert.h>
#include <string.h>

/* calls of a sharded service that are passed over in one pump, when none of them can go */
#define ROTATIONS_MAX 256

/* -- The breaker ------------------------------------------------------------------------------- */

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

void outcall_count_failure(struct coordinator *c, struct outcall *call, const char *text)
{
    struct service *service = call->service;
    const struct target *target = call->target;
    copy_text(service->last_error, text);
    if (target != NULL)
        copy_text(call->target->last_error, text);
    if (breaker_fail(send_breaker(call), c->clock.now_ms))
        coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_WARNING,
                           "%s%s%s does not answer (%s): one probe at a time from now on",
                           service->name, target != NULL ? " at " : "",
                           target != NULL ? target->address : "", text);
    if (send_breaker(call)->is_open)
        outcalls_tick_soon(&c->outcalls, c->clock.now_ms);
}

/* -- The queue --------------------------------------------------------------------------------- */

/* Whether the core still waits for an answer of this kind: what it has asked for may have been held
 * for a while. */
static bool is_wanted(const struct txn *txn, const struct txn_branch *branch, enum tercet_kind kind)
{
    if (kind == TERCET_TRY)
        return txn->state == TXN_TRYING && branch->try_state == TXN_TRY_CALLING;
    return branch->end_state == TXN_END_CALLING;
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

/* Each held try that can go is a step and a write. When a service comes that a million of them wait
 * for, they go a thousand a turn, so that others have theirs in between. */
static bool may_let_go(struct coordinator *c, struct service *service)
{
    if (c->outcalls.let_go_count < HELD_PER_TURN)
        return true;
    service->was_not_sent = true;
    c->outcalls.tick_ms = c->clock.now_ms;
    return false;
}

/* Sends or ends the first call of the queue. false: nothing more can go now. */
static bool pump_one(struct coordinator *c, struct service *service)
{
    struct outcall *call = service->waiting_first;
    const struct txn_branch *branch = txn_find(&call->entry->txn, call->branch);
    struct branch_info *info = entry_info(call->entry, branch);
    bool is_held = call->kind == TERCET_TRY && branch->sent == TXN_SENT_HELD;
    if (!is_wanted(&call->entry->txn, branch, call->kind)) {
        outcalls_abandon(&c->outcalls, info);
        return true;
    }
    if (is_held && !may_let_go(c, service))
        return false;
    struct send_way way = send_choose(c, service, info);
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
        return send_give(c, service, call, &way);
    call->is_held = wrong == NULL;
    c->outcalls.let_go_count += call->is_held;
    outcalls_end(&c->outcalls, call, NULL, wrong);
    return true;
}

/* Of several databases one may have no room, or no instance: the call that waits for it goes to the
 * end of the queue, so that others pass. */
static bool may_rotate(struct service *service, uint32_t *rotated)
{
    if ((!service_is_sharded(service) && service->targets.count < 2) ||
        ++*rotated >= ROTATIONS_MAX || *rotated >= service->waiting_count)
        return false;
    struct outcall *call = service->waiting_first;
    outcalls_unqueue(call);
    outcalls_queue(call);
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
        outcalls_tick_soon(&c->outcalls, c->clock.now_ms);
    }
}

/* The call that the branch has, if any, is not waited for any more. */
static void abandon(struct coordinator *c, struct branch_info *info)
{
    if (info->call == NULL)
        return;
    trace_overtaken(c, info->call);
    outcalls_abandon(&c->outcalls, info);
}

void outcall_begin(struct coordinator *c, struct entry *entry, uint32_t branch,
                   enum tercet_kind kind, uint32_t attempt)
{
    const struct txn_branch *of = txn_find(&entry->txn, branch);
    struct branch_info *info = entry_info(entry, of);
    if (!is_wanted(&entry->txn, of, kind))
        return;
    abandon(c, info);
    struct outcall *call = must_alloc(sizeof(*call));
    call->service = info->service;
    call->entry = entry;
    call->branch = branch;
    call->kind = (uint8_t)kind;
    call->attempt = attempt;
    call->sent_ms = c->clock.now_ms;
    outcalls_add(&c->outcalls, call);
    info->call = call;
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
            outcalls_abandon(&c->outcalls, &entry->infos[i]);
    }
}

void outcall_forget(struct coordinator *c, struct entry *entry)
{
    for (size_t i = 0; i < entry->txn.branch_count; i++) {
        struct branch_info *info = &entry->infos[i];
        if (info->service == NULL)
            continue; /* not restored yet */
        abandon(c, info);
        assert(info->service->branch_count > 0);
        info->service->branch_count--;
        service_release(&c->services, info->service);
    }
}

/* -- Answers ----------------------------------------------------------------------------------- */

struct service *outcall_answer(struct coordinator *c, const struct instance *instance, uint64_t id,
                               const Tercet__V1__CallResult *result, const char *text)
{
    struct outcall *call = outcalls_find(&c->outcalls, id);
    if (call == NULL || !call->is_sent || call->instance != instance)
        return NULL;
    FAILPOINT("result");
    struct service *service = call->service;
    call->is_late = false;
    if (result != NULL)
        outcall_close_breaker(c, service, call->target);
    else
        outcall_count_failure(c, call, text);
    outcalls_end(&c->outcalls, call, result, text);
    return service;
}

void outcall_lose_instance(struct coordinator *c, struct instance *instance)
{
    while (instance->sent != NULL) {
        instance->sent->is_late = false;
        outcalls_end(&c->outcalls, instance->sent, NULL, "the participant's instance was lost");
    }
}
