/* SPDX-License-Identifier: Apache-2.0
 *
 * send.h
 */
#include "send.h"

#include "arena.h"
#include "coordinator.h"
#include "failpoint.h"
#include "terms.h"
#include "trace.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_CALLS 1 /* of AttachResponse */

struct breaker *send_breaker(const struct outcall *call)
{
    return call->target != NULL ? &call->target->breaker : &call->service->breaker;
}

/* -- Whom to give it to ------------------------------------------------------------------------ */

static bool has_more_room(const struct instance *instance, const struct instance *than)
{
    uint32_t room = instance->window - instance->call_count;
    uint32_t other = than != NULL ? than->window - than->call_count : 0;
    if (than == NULL || room != other)
        return than == NULL || room > other;
    return instance->last_given < than->last_given;
}

/* The instance with the most room that offers the action, of several the one that was given no call
 * for the longest time; NULL: none has any. *is_offered: some instance offers it. */
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
        if (has_more_room(instance, best))
            best = instance;
    }
    return best;
}

struct send_way send_choose(const struct coordinator *c, const struct service *service,
                            const struct branch_info *info)
{
    const char *action = info->action;
    struct send_way way = {.is_offered = false};
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

/* -- Giving it --------------------------------------------------------------------------------- */

/* What the participant is told; views of the entry's memory. false: the payload cannot be read. */
static bool fill_call(struct coordinator *c, const struct outcall *call, Tercet__V1__Call *out)
{
    if (!terms_fill(c, call->entry, txn_find(&call->entry->txn, call->branch), out))
        return false;
    out->id = call->id;
    out->kind = (Tercet__V1__Kind)call->kind;
    out->attempt = call->attempt;
    out->timeout_ms = call->timeout_ms;
    if (c->spans != NULL)
        trace_pass_on(c, call, out);
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

#define TARGET_METADATA_MAX 4 /* token, and trace context */

/* The token, and the trace context, which frameworks in many languages look for here and not in the
 * message. */
static size_t target_metadata(struct crpc_metadata out[TARGET_METADATA_MAX],
                              const struct target *target, const Tercet__V1__Call *message)
{
    const char *token = target->authorization;
    size_t count = 0;
    if (token != NULL)
        out[count++] =
            (struct crpc_metadata){.key = "authorization", .value = {token, strlen(token)}};
    for (size_t i = 0; i < message->n_metadata && count < TARGET_METADATA_MAX; i++) {
        const Tercet__V1__Metadata *entry = message->metadata[i];
        if (check_is_trace(entry->key))
            out[count++] = (struct crpc_metadata){.key = entry->key,
                                                  .value = {entry->value, strlen(entry->value)}};
    }
    return count;
}

static bool send_to_target(struct coordinator *c, struct target *target, struct outcall *call,
                           Tercet__V1__Call *message)
{
    struct crpc_metadata metadata[TARGET_METADATA_MAX];
    struct crpc_call_options options = {.size = sizeof(options),
                                        .timeout_ms = call->timeout_ms,
                                        .metadata = metadata,
                                        .metadata_count =
                                            target_metadata(metadata, target, message)};
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
    outcalls_give(&c->outcalls, call, instance);
    outcalls_touch(&c->outcalls, instance);
    return true;
}

/* The call leaves: what the core knows of it must be so before the step that follows. */
static void note_sent(struct coordinator *c, struct outcall *call)
{
    if (call->kind == TERCET_TRY)
        txn_try_leaves(&call->entry->txn, call->branch);
    call->is_sent = true;
    call->service->call_count++;
    breaker_note_sent(send_breaker(call));
    c->outcalls.calls_total++;
    if (call->instance != NULL)
        call->instance->last_given = c->outcalls.calls_total;
    else
        call->target->last_given = c->outcalls.calls_total;
    if (call->service->figures == NULL)
        call->service->figures = meter_service_of(&c->meter, call->service->name);
    meter_called(call->service->figures, call->kind);
}

bool send_give(struct coordinator *c, struct service *service, struct outcall *call,
               const struct send_way *way)
{
    Tercet__V1__Call message;
    call->sent_ms = c->clock.now_ms;
    call->timeout_ms = terms_timeout_ms(
        c, call->entry, txn_find(&call->entry->txn, call->branch), (enum tercet_kind)call->kind,
        way->instance != NULL ? &way->instance->offer : &way->target->offer);
    if (!fill_call(c, call, &message))
        return false;
    FAILPOINT("call.send");
    outcalls_unqueue(call);
    bool is_sent = way->instance != NULL ? send_to_instance(c, way->instance, call, &message)
                                         : send_to_target(c, way->target, call, &message);
    if (!is_sent) {
        outcalls_queue(call);
        service->was_not_sent = true;
        outcalls_tick_soon(&c->outcalls, c->clock.now_ms);
        return false;
    }
    note_sent(c, call);
    outcalls_tick_soon(&c->outcalls, c->clock.now_ms);
    return true;
}
