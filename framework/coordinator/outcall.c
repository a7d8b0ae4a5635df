/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls of dispatch.h: waiting, under way, answered, late.
 */
#include "outcall.h"

#include "check.h"
#include "failpoint.h"
#include "owner.h"

#include <stdlib.h>
#include <string.h>

#define FIELD_CALLS 1 /* of AttachResponse */
#define TICK_MS 20

/* -- Ids --------------------------------------------------------------------------------------- */

static void give_id(struct dispatch *d, struct outcall *call)
{
    if (d->free_count == 0) {
        uint32_t old = d->place_count;
        d->place_count = old == 0 ? 256 : old * 2;
        d->calls = must_realloc(d->calls, d->place_count * sizeof(*d->calls));
        d->free_places = must_realloc(d->free_places, d->place_count * sizeof(*d->free_places));
        for (uint32_t place = d->place_count; place > old; place--) {
            d->calls[place - 1] = NULL;
            d->free_places[d->free_count++] = place - 1;
        }
    }
    uint32_t place = d->free_places[--d->free_count];
    d->calls[place] = call;
    call->id = (uint64_t)++d->generation << 32 | place;
}

static struct outcall *find_call(const struct dispatch *d, uint64_t id)
{
    uint32_t place = (uint32_t)id;
    if (place >= d->place_count || d->calls[place] == NULL || d->calls[place]->id != id)
        return NULL;
    return d->calls[place];
}

static void take_id(struct dispatch *d, struct outcall *call)
{
    uint32_t place = (uint32_t)call->id;
    d->calls[place] = NULL;
    d->free_places[d->free_count++] = place;
}

/* -- Lists ------------------------------------------------------------------------------------- */

static void wait_append(struct service *service, struct outcall *call)
{
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

static void instance_add(struct dispatch *d, struct instance *instance, struct outcall *call)
{
    call->instance = instance;
    call->prev = NULL;
    call->next = instance->sent;
    if (instance->sent != NULL)
        instance->sent->prev = call;
    instance->sent = call;
    instance->call_count++;
    call->sent_next = NULL;
    call->sent_prev = d->sent_last;
    if (d->sent_last != NULL)
        d->sent_last->sent_next = call;
    else
        d->sent_first = call;
    d->sent_last = call;
}

static void instance_remove(struct dispatch *d, struct outcall *call)
{
    struct instance *instance = call->instance;
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        instance->sent = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    instance->call_count--;
    if (call->sent_prev != NULL)
        call->sent_prev->sent_next = call->sent_next;
    else
        d->sent_first = call->sent_next;
    if (call->sent_next != NULL)
        call->sent_next->sent_prev = call->sent_prev;
    else
        d->sent_last = call->sent_prev;
}

/* Out of every list, and gone. */
static void free_call(struct coordinator *c, struct outcall *call)
{
    struct service *service = call->service;
    if (!call->is_sent)
        wait_remove(service, call);
    else if (call->instance != NULL)
        instance_remove(&c->dispatch, call);
    else
        service->target_calls--;
    if (call->is_sent)
        service->call_count--;
    take_id(&c->dispatch, call);
    free(call);
}

/* Nobody wants the answer any more. A call under way keeps its place in the window until it
 * comes. */
static void abandon(struct coordinator *c, struct outcall *call)
{
    call->entry = NULL;
    if (!call->is_sent)
        free_call(c, call);
}

static void tick_soon(struct coordinator *c)
{
    if (c->dispatch.tick_ms > c->now_ms + TICK_MS)
        c->dispatch.tick_ms = c->now_ms + TICK_MS;
}

/* -- The breaker ------------------------------------------------------------------------------- */

void outcall_close_breaker(struct coordinator *c, struct service *service)
{
    if (breaker_close(&service->breaker))
        owner_log(c, TERCET_LOG_INFO, "%s answers again; %llu calls wait for it", service->name,
                  (unsigned long long)service->waiting_count);
}

/* A call got no answer: `text` says why. */
static void count_failure(struct coordinator *c, struct service *service, const char *text)
{
    copy_text(service->last_error, text);
    if (breaker_fail(&service->breaker, c->now_ms))
        owner_log(c, TERCET_LOG_WARNING, "%s does not answer (%s): one probe at a time from now on",
                  service->name, text);
    if (service->breaker.is_open)
        tick_soon(c);
}

static bool may_send(const struct coordinator *c, const struct service *service)
{
    return !service->is_paused && breaker_lets_through(&service->breaker, c->now_ms);
}

/* -- Failing ----------------------------------------------------------------------------------- */

/* Takes the call from its branch, so that what it leads to may begin the next. */
static struct entry *detach_from_branch(struct outcall *call)
{
    struct entry *entry = call->entry;
    if (entry != NULL)
        entry_info(entry, txn_find(&entry->txn, call->branch))->call = NULL;
    call->entry = NULL;
    return entry;
}

static void note_error(struct entry *entry, uint32_t branch, const char *text)
{
    struct branch_info *info = entry_info(entry, txn_find(&entry->txn, branch));
    char cut[TERCET_TEXT_MAX];
    copy_text(cut, text);
    free(info->last_error);
    info->last_error = must_strdup(cut);
}

static void step_failed(struct coordinator *c, struct entry *entry, const struct outcall *call,
                        const char *text)
{
    bool is_try = call->kind == TERCET_TRY;
    note_error(entry, call->branch, text);
    owner_step(c, entry,
               (struct txn_event){.kind = is_try ? TXN_TRY_HAS_FAILED : TXN_END_HAS_FAILED,
                                  .number = call->branch,
                                  .is_confirm = call->kind == TERCET_CONFIRM});
}

/* -- Sending ----------------------------------------------------------------------------------- */

static bool offers(const struct instance *instance, const char *action)
{
    for (size_t i = 0; i < instance->action_count; i++)
        if (strcmp(instance->actions[i], action) == 0)
            return true;
    return false;
}

/* The instance with the most room that offers the action; NULL: none has any. *is_offered: some
 * instance offers it. */
static struct instance *choose_instance(const struct service *service, const char *action,
                                        bool *is_offered)
{
    struct instance *best = NULL;
    for (struct instance *instance = service->instances; instance != NULL;
         instance = instance->next) {
        if (!offers(instance, action))
            continue;
        *is_offered = true;
        if (instance->call_count >= instance->window)
            continue;
        if (best == NULL ||
            instance->window - instance->call_count > best->window - best->call_count)
            best = instance;
    }
    return best;
}

static Tercet__V1__Metadata **call_metadata(struct coordinator *c, const struct entry *entry)
{
    size_t count = entry->metadata_count;
    Tercet__V1__Metadata *items = arena_alloc(&c->scratch, count * sizeof(*items));
    Tercet__V1__Metadata **pointers = arena_alloc(&c->scratch, count * sizeof(*pointers));
    for (size_t i = 0; i < count; i++) {
        tercet__v1__metadata__init(&items[i]);
        items[i].key = (char *)entry->metadata[i].key;
        items[i].value = (char *)entry->metadata[i].value;
        pointers[i] = &items[i];
    }
    return pointers;
}

/* What the participant is told; views of the entry's memory. false: the payload cannot be read. */
static bool fill_call(struct coordinator *c, const struct outcall *call, Tercet__V1__Call *out)
{
    struct entry *entry = call->entry;
    struct txn_branch *branch = txn_find(&entry->txn, call->branch);
    if (!owner_load_payload(c, entry, branch))
        return false;
    const struct branch_info *info = entry_info(entry, branch);
    size_t action_size = strlen(call->service->name) + strlen(info->action) + 2;
    char *action = arena_alloc(&c->scratch, action_size);
    tercet__v1__call__init(out);
    stpcpy(stpcpy(stpcpy(action, call->service->name), "/"), info->action);
    out->id = call->id;
    out->kind = (Tercet__V1__Kind)call->kind;
    out->gid = entry->gid;
    out->branch = call->branch;
    out->action = action;
    out->payload.data = info->payload;
    out->payload.len = info->payload_size;
    out->attempt = call->attempt;
    out->timeout_ms = c->options.call_timeout_ms;
    out->number = entry->number;
    out->low_water = owner_low_water(c);
    out->source = c->source;
    out->metadata = call_metadata(c, entry);
    out->n_metadata = entry->metadata_count;
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

static bool send_to_target(struct coordinator *c, struct outcall *call,
                           const Tercet__V1__Call *message)
{
    struct crpc_call_options options = {.size = sizeof(options),
                                        .timeout_ms = c->options.call_timeout_ms};
    struct target_call *target_call = must_alloc(sizeof(*target_call));
    target_call->coordinator = c;
    target_call->id = call->id;
    call->service->target_calls++;
    int rc;
    FAILPOINT_AROUND("send.target", rc = crpc_unary_start(NULL, call->service->channel,
                                                          &tercet__v1__participant__descriptor,
                                                          "Execute", &message->base, &options,
                                                          on_target_answer, target_call));
    if (rc == 0)
        return true;
    call->service->target_calls--;
    free(target_call);
    return false;
}

void outcall_touch(struct coordinator *c, struct instance *instance)
{
    if (instance->is_touched)
        return;
    instance_ref(instance);
    instance->is_touched = true;
    instance->touched_next = c->dispatch.touched;
    c->dispatch.touched = instance;
}

static bool send_to_instance(struct coordinator *c, struct instance *instance, struct outcall *call,
                             const Tercet__V1__Call *message)
{
    if (outbox_put(instance->outbox, FIELD_CALLS, &message->base) != 0)
        return false;
    instance_add(&c->dispatch, instance, call);
    outcall_touch(c, instance);
    return true;
}

/* Sends a waiting call. false: it still waits. */
static bool send_call(struct coordinator *c, struct service *service, struct outcall *call,
                      struct instance *instance)
{
    Tercet__V1__Call message;
    if (!fill_call(c, call, &message))
        return false;
    FAILPOINT("call.send");
    wait_remove(service, call);
    bool is_sent = instance != NULL ? send_to_instance(c, instance, call, &message)
                                    : send_to_target(c, call, &message);
    if (!is_sent) {
        wait_append(service, call);
        service->was_not_sent = true;
        tick_soon(c);
        return false;
    }
    call->is_sent = true;
    call->sent_ms = c->now_ms;
    service->call_count++;
    breaker_note_sent(&service->breaker);
    c->dispatch.calls_total++;
    tick_soon(c);
    return true;
}

/* Instances are there, but of a version that does not know this action: it does not stand in the
 * others' way. */
static void give_back(struct coordinator *c, struct outcall *call)
{
    struct outcall copy = *call;
    struct entry *entry = detach_from_branch(call);
    free_call(c, call);
    step_failed(c, entry, &copy, "no instance of the service offers this action");
}

/* false: nothing more can go now. */
static bool pump_one(struct coordinator *c, struct service *service)
{
    struct outcall *call = service->waiting_first;
    const char *action = entry_info(call->entry, txn_find(&call->entry->txn, call->branch))->action;
    bool is_offered = service->channel != NULL;
    struct instance *instance = choose_instance(service, action, &is_offered);
    if (instance == NULL && !is_offered && service->instances != NULL) {
        give_back(c, call);
        return true;
    }
    if (instance == NULL && (service->channel == NULL || service->target_calls >= TARGET_WINDOW))
        return false;
    return send_call(c, service, call, instance);
}

void outcall_pump(struct coordinator *c, struct service *service)
{
    while (service->waiting_first != NULL && may_send(c, service) && !atomic_load(&c->has_failed))
        if (!pump_one(c, service))
            break;
}

void dispatch_call(struct coordinator *c, struct entry *entry, uint32_t branch,
                   enum tercet_kind kind, uint32_t attempt)
{
    struct txn_branch *of = txn_find(&entry->txn, branch);
    struct branch_info *info = entry_info(entry, of);
    bool is_wanted = kind == TERCET_TRY
                         ? entry->txn.state == TXN_TRYING && of->try_state == TXN_TRY_CALLING
                         : of->end_state == TXN_END_CALLING;
    if (!is_wanted)
        return;
    if (info->call != NULL)
        abandon(c, info->call);
    struct outcall *call = must_alloc(sizeof(*call));
    call->service = info->service;
    call->entry = entry;
    call->branch = branch;
    call->kind = (uint8_t)kind;
    call->attempt = attempt;
    give_id(&c->dispatch, call);
    info->call = call;
    wait_append(info->service, call);
    outcall_pump(c, info->service);
    if (c->table.payload_bytes > c->payload_bytes_max)
        entry_drop_payload(&c->table, entry_info(entry, txn_find(&entry->txn, branch)));
}

void dispatch_forget(struct coordinator *c, struct entry *entry)
{
    for (size_t i = 0; i < entry->txn.branch_count; i++) {
        struct branch_info *info = &entry->infos[i];
        if (info->service == NULL)
            continue; /* not restored yet */
        if (info->call != NULL)
            abandon(c, info->call);
        info->service->branch_count--;
        dispatch_service_release(c, info->service);
    }
}

/* -- Answers ----------------------------------------------------------------------------------- */

/* NULL, or why the reply cannot be kept: a transaction is one message and one record, with all its
 * replies. */
static const char *check_reply(const struct entry *entry, uint32_t branch, size_t size)
{
    size_t sum = size;
    if (size > TERCET_REPLY_MAX)
        return "the try's reply is larger than 16384 bytes";
    for (size_t i = 0; i < entry->txn.branch_count; i++)
        sum += entry->txn.branches[i].number != branch ? entry->infos[i].reply_size : 0;
    return sum > TERCET_REPLIES_MAX
               ? "the replies of the transaction's tries have more than 1048576 bytes together"
               : NULL;
}

static void save_reply(struct entry *entry, uint32_t branch, const Tercet__V1__CallResult *result)
{
    struct branch_info *info = entry_info(entry, txn_find(&entry->txn, branch));
    free(info->reply);
    info->reply = NULL;
    info->reply_size = (uint32_t)result->reply.len;
    if (result->reply.len > 0) {
        info->reply = must_alloc(result->reply.len);
        memcpy(info->reply, result->reply.data, result->reply.len);
    }
}

static void save_reason(struct entry *entry, uint32_t branch, const char *reason)
{
    struct branch_info *info = entry_info(entry, txn_find(&entry->txn, branch));
    char cut[TERCET_TEXT_MAX];
    copy_text(cut, check_text(reason) == NULL
                       ? reason
                       : "refused (the reason is longer than 256 bytes or not UTF-8)");
    free(info->reason);
    info->reason = cut[0] != '\0' ? must_strdup(cut) : NULL;
}

static void step_try_answer(struct coordinator *c, struct entry *entry, const struct outcall *call,
                            const Tercet__V1__CallResult *result)
{
    struct txn_event event = {.number = call->branch};
    const char *wrong = check_reply(entry, call->branch, result->reply.len);
    switch (result->outcome) {
    case TERCET__V1__OUTCOME__DONE:
    case TERCET__V1__OUTCOME__OUTCOME_UNSPECIFIED:
        if (wrong != NULL) {
            step_failed(c, entry, call, wrong);
            return;
        }
        save_reply(entry, call->branch, result);
        event.kind = TXN_TRY_IS_DONE;
        break;
    case TERCET__V1__OUTCOME__REFUSAL:
        save_reason(entry, call->branch, result->reason);
        event.kind = TXN_TRY_IS_REFUSED;
        break;
    default:
        step_failed(c, entry, call, result->reason);
        return;
    }
    owner_step(c, entry, event);
}

static void step_end_answer(struct coordinator *c, struct entry *entry, const struct outcall *call,
                            const Tercet__V1__CallResult *result)
{
    struct txn_event event = {.number = call->branch, .is_confirm = call->kind == TERCET_CONFIRM};
    switch (result->outcome) {
    case TERCET__V1__OUTCOME__DONE:
    case TERCET__V1__OUTCOME__OUTCOME_UNSPECIFIED:
        event.kind = TXN_END_IS_DONE;
        break;
    case TERCET__V1__OUTCOME__BROKEN:
        note_error(entry, call->branch,
                   result->reason[0] != '\0' ? result->reason : "broken promise");
        event.kind = TXN_END_IS_BROKEN;
        break;
    default:
        step_failed(c, entry, call, result->reason);
        return;
    }
    owner_step(c, entry, event);
}

void dispatch_result(struct coordinator *c, const struct instance *instance, uint64_t call_id,
                     const Tercet__V1__CallResult *message, const char *text)
{
    struct outcall *call = find_call(&c->dispatch, call_id);
    if (call == NULL || !call->is_sent || call->instance != instance)
        return;
    FAILPOINT("result");
    struct service *service = call->service;
    struct outcall copy = *call;
    struct entry *entry = detach_from_branch(call);
    free_call(c, call);
    if (message != NULL)
        outcall_close_breaker(c, service);
    else
        count_failure(c, service, text);
    if (entry != NULL && message == NULL)
        step_failed(c, entry, &copy, text);
    else if (entry != NULL && copy.kind == TERCET_TRY)
        step_try_answer(c, entry, &copy, message);
    else if (entry != NULL)
        step_end_answer(c, entry, &copy, message);
    outcall_pump(c, service);
    dispatch_service_release(c, service);
}

void outcall_instance_lost(struct coordinator *c, struct service *service,
                           struct instance *instance)
{
    breaker_lose_probe(&service->breaker);
    service->call_count++; /* keeps the service while its calls are told */
    while (instance->sent != NULL) {
        struct outcall *call = instance->sent;
        struct outcall copy = *call;
        struct entry *entry = detach_from_branch(call);
        free_call(c, call);
        if (entry != NULL)
            step_failed(c, entry, &copy, "the participant's instance was lost");
    }
    service->call_count--;
}

/* -- Time -------------------------------------------------------------------------------------- */

/* The answer did not come in time. The call keeps its place in the window: the instance may still
 * work on it. */
static void expire(struct coordinator *c, struct outcall *call)
{
    struct outcall copy = *call;
    struct service *service = call->service;
    call->is_late = true;
    struct entry *entry = detach_from_branch(call);
    count_failure(c, service, "no answer within the call timeout");
    if (entry != NULL)
        step_failed(c, entry, &copy, "no answer within the call timeout");
}

static void tick_sent(struct coordinator *c)
{
    int64_t timeout_ms = c->options.call_timeout_ms;
    struct outcall *call = c->dispatch.sent_first;
    while (call != NULL && c->now_ms - call->sent_ms >= timeout_ms) {
        struct outcall *next = call->sent_next;
        if (c->now_ms - call->sent_ms >= SILENCE_FACTOR * timeout_ms)
            crpc_call_cancel(call->instance->call);
        else if (!call->is_late)
            expire(c, call);
        call = next;
    }
}

void dispatch_tick(struct coordinator *c)
{
    if (c->now_ms < c->dispatch.tick_ms)
        return;
    c->dispatch.tick_ms = c->now_ms + TICK_MS;
    bool is_needed = c->dispatch.sent_first != NULL;
    tick_sent(c);
    for (struct service *service = c->dispatch.services; service != NULL; service = service->next) {
        bool is_due = service->breaker.is_open || service->was_not_sent;
        is_needed = is_needed || (is_due && service->waiting_first != NULL);
        service->was_not_sent = false;
        if (is_due)
            outcall_pump(c, service);
    }
    if (!is_needed)
        c->dispatch.tick_ms = c->now_ms + 50 * TICK_MS;
}

void outcall_free_all(struct coordinator *c)
{
    struct dispatch *d = &c->dispatch;
    for (uint32_t place = 0; place < d->place_count; place++)
        free(d->calls[place]);
    free(d->calls);
    free(d->free_places);
}
