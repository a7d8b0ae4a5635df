/* SPDX-License-Identifier: Apache-2.0
 *
 * outcalls.h
 */
#include "outcalls.h"

#include "arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

size_t outcalls_count(const struct outcalls *calls)
{
    return calls->place_count - calls->free_count;
}

struct outcall *outcalls_find(const struct outcalls *calls, uint64_t id)
{
    uint32_t place = (uint32_t)id;
    if (place >= calls->place_count || calls->calls[place] == NULL || calls->calls[place]->id != id)
        return NULL;
    return calls->calls[place];
}

static void take_id(struct outcalls *calls, struct outcall *call)
{
    uint32_t place = (uint32_t)call->id;
    assert(place < calls->place_count && calls->calls[place] == call);
    assert(calls->free_count < calls->place_count);
    calls->calls[place] = NULL;
    calls->free_places[calls->free_count++] = place;
}

/* -- Lists ------------------------------------------------------------------------------------- */

void outcalls_queue(struct outcall *call)
{
    struct service *service = call->service;
    assert(!call->is_sent && !call->is_finished);
    assert((service->waiting_count == 0) == (service->waiting_first == NULL));
    call->next = NULL;
    call->prev = service->waiting_last;
    if (service->waiting_last != NULL)
        service->waiting_last->next = call;
    else
        service->waiting_first = call;
    service->waiting_last = call;
    service->waiting_count++;
}

void outcalls_unqueue(struct outcall *call)
{
    struct service *service = call->service;
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
    assert((service->waiting_count == 0) == (service->waiting_first == NULL));
}

void outcalls_give(struct outcalls *calls, struct outcall *call, struct instance *instance)
{
    assert(call->instance == NULL && call->target == NULL && !call->is_finished);
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
    assert((instance->call_count == 0) == (instance->sent == NULL));
    wheel_set(&calls->wheel, &call->due, WHEEL_NEVER);
}

/* Off the lists of those that wait and are under way, and no longer found by its id. */
static void unlink_call(struct outcalls *calls, struct outcall *call)
{
    struct service *service = call->service;
    assert(!call->is_finished);
    if (!call->is_sent)
        outcalls_unqueue(call);
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

void outcalls_add(struct outcalls *calls, struct outcall *call)
{
    give_id(calls, call);
    outcalls_queue(call);
}

/* -- Finishing --------------------------------------------------------------------------------- */

void outcalls_name(struct outcall *call)
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

void outcalls_finish(struct outcalls *calls, struct outcall *call,
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

void outcalls_end(struct outcalls *calls, struct outcall *call,
                  const Tercet__V1__CallResult *result, const char *text)
{
    unlink_call(calls, call);
    if (call->entry != NULL)
        outcalls_finish(calls, call, result, text);
    else
        free_call(call);
}

static void abandon(struct outcalls *calls, struct outcall *call)
{
    if (call->is_sent && call->instance != NULL && !call->is_finished)
        outcalls_name(call);
    call->entry = NULL;
    if (call->is_sent || call->is_finished)
        return;
    unlink_call(calls, call);
    free_call(call);
}

void outcalls_abandon(struct outcalls *calls, struct branch_info *info)
{
    abandon(calls, info->call);
    info->call = NULL;
}

void outcalls_drop(struct outcalls *calls, struct outcall *call)
{
    assert(call->entry == NULL);
    unlink_call(calls, call);
    free_call(call);
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

struct outcall *outcalls_take_finished(struct outcalls *calls)
{
    struct outcall *call;
    while ((call = pop_finished(calls)) != NULL) {
        struct entry *entry = call->entry;
        if (entry != NULL) {
            struct branch_info *info = entry_info(entry, txn_find(&entry->txn, call->branch));
            assert(info->call == call);
            info->call = NULL;
            return call;
        }
        outcalls_let_go(call);
    }
    return NULL;
}

void outcalls_let_go(struct outcall *call)
{
    call->entry = NULL;
    if (!call->is_late)
        free_call(call);
}

/* -- All of them ------------------------------------------------------------------------------- */

void outcalls_touch(struct outcalls *calls, struct instance *instance)
{
    if (instance->is_touched)
        return;
    instance_ref(instance);
    instance->is_touched = true;
    instance->touched_next = calls->touched;
    calls->touched = instance;
}

void outcalls_flush(struct outcalls *calls)
{
    calls->let_go_count = 0;
    while (calls->touched != NULL) {
        struct instance *instance = calls->touched;
        calls->touched = instance->touched_next;
        assert(instance->is_touched);
        instance->is_touched = false;
        outbox_flush(instance->outbox);
        instance_unref(instance);
    }
}

void outcalls_free_all(struct outcalls *calls)
{
    struct outcall *call;
    outcalls_flush(calls);
    while ((call = pop_finished(calls)) != NULL)
        outcalls_let_go(call);
    for (uint32_t place = 0; place < calls->place_count; place++)
        free_call(calls->calls[place]);
    free(calls->calls);
    free(calls->free_places);
}

void outcalls_tick_soon(struct outcalls *calls, int64_t now_ms)
{
    if (calls->tick_ms > now_ms + OUTCALLS_TICK_MS)
        calls->tick_ms = now_ms + OUTCALLS_TICK_MS;
}
