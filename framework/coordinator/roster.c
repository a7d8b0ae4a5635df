/* SPDX-License-Identifier: Apache-2.0
 *
 * roster.h
 */
#include "roster.h"

#include "audit.h"
#include "coordinator.h"
#include "dispatch.h"
#include "effect.h"
#include "reach.h"
#include "record.h"
#include "why.h"

#include <stdio.h>
#include <string.h>

/* An answer about what has been forced so far in the shard that has the participants. */
static void answer_when_durable(struct request *r, const ProtobufCMessage *message)
{
    struct reply reply = {.message = message};
    effect_answer_forced(r->c, r->caller, &reply, coordinator_home(r->c));
}

static uint32_t age_ms(int64_t now_ms, int64_t since_ms)
{
    int64_t age_ms = now_ms - since_ms;
    if (age_ms <= 0)
        return 0;
    return age_ms < UINT32_MAX ? (uint32_t)age_ms : UINT32_MAX;
}

/* How long the instance's oldest call is under way; 0: it has none. */
static uint32_t oldest_call_ms(const struct instance *instance, int64_t now_ms)
{
    int64_t oldest_ms = now_ms;
    for (const struct outcall *call = instance->sent; call != NULL; call = call->next)
        oldest_ms = call->sent_ms < oldest_ms ? call->sent_ms : oldest_ms;
    return age_ms(now_ms, oldest_ms);
}

static Tercet__V1__Instance **list_instances(struct arena *arena, const struct service *service,
                                             int64_t now_ms, size_t *count)
{
    *count = 0;
    for (const struct instance *instance = service->instances; instance != NULL;
         instance = instance->next)
        (*count)++;
    Tercet__V1__Instance **pointers = arena_alloc(arena, *count * sizeof(*pointers));
    size_t i = 0;
    for (struct instance *instance = service->instances; instance != NULL;
         instance = instance->next) {
        pointers[i] = arena_alloc(arena, sizeof(Tercet__V1__Instance));
        tercet__v1__instance__init(pointers[i]);
        pointers[i]->name = instance->name;
        pointers[i]->peer = (char *)crpc_call_peer(instance->call);
        pointers[i]->window = instance->window;
        pointers[i]->calls = instance->call_count;
        pointers[i]->oldest_call_ms = oldest_call_ms(instance, now_ms);
        pointers[i]->version = instance->offer.version;
        pointers[i]->application_version = instance->offer.application_version;
        i++;
    }
    return pointers;
}

static void add_actions(char **actions, size_t *count, const struct offer *offer)
{
    for (size_t i = 0; i < offer->count; i++) {
        size_t k = 0;
        while (k < *count && strcmp(actions[k], offer->actions[i].name) != 0)
            k++;
        if (k == *count)
            actions[(*count)++] = offer->actions[i].name;
    }
}

/* What the registered targets and every instance offer, each once. */
static char **union_of_actions(struct arena *arena, const struct service *service, size_t *count)
{
    size_t room = 0;
    const struct instance *instance;
    const struct target *target;
    for (instance = service->instances; instance != NULL; instance = instance->next)
        room += instance->offer.count;
    for (target = service->targets.first; target != NULL; target = target->next)
        room += target->offer.count;
    char **actions = arena_alloc(arena, room * sizeof(char *));
    *count = 0;
    for (target = service->targets.first; target != NULL; target = target->next)
        add_actions(actions, count, &target->offer);
    for (instance = service->instances; instance != NULL; instance = instance->next)
        add_actions(actions, count, &instance->offer);
    return actions;
}

static Tercet__V1__Target **list_targets(struct arena *arena, const struct service *service,
                                         size_t *count)
{
    Tercet__V1__Target **pointers = arena_alloc(arena, service->targets.count * sizeof(*pointers));
    *count = 0;
    for (struct target *target = service->targets.first; target != NULL; target = target->next) {
        if (target->channel == NULL)
            continue;
        Tercet__V1__Target *out = arena_alloc(arena, sizeof(*out));
        tercet__v1__target__init(out);
        out->target = target->address;
        out->calls = target->call_count;
        out->breaker_open = target->breaker.is_open;
        out->failures = target->breaker.failures;
        out->last_error = target->last_error;
        out->version = target->offer.version;
        out->application_version = target->offer.application_version;
        pointers[(*count)++] = out;
    }
    return pointers;
}

static uint32_t failures_of(const struct service *service)
{
    uint32_t failures = service->breaker.failures;
    for (const struct target *target = service->targets.first; target != NULL;
         target = target->next)
        if (target->channel != NULL && target->breaker.failures > failures)
            failures = target->breaker.failures;
    return failures;
}

/* How long the service's oldest call is under way. */
static uint32_t oldest_of_all_ms(const Tercet__V1__ParticipantStatus *status,
                                 const struct service *service, int64_t now_ms)
{
    bool has_target_calls = target_call_count(&service->targets) > 0;
    uint32_t oldest_ms = has_target_calls ? age_ms(now_ms, service->target_oldest_ms) : 0;
    for (size_t i = 0; i < status->n_instances; i++)
        if (status->instances[i]->oldest_call_ms > oldest_ms)
            oldest_ms = status->instances[i]->oldest_call_ms;
    return oldest_ms;
}

static Tercet__V1__ParticipantStatus *participant_status(struct arena *arena,
                                                         struct service *service, int64_t now_ms)
{
    Tercet__V1__ParticipantStatus *out = arena_alloc(arena, sizeof(*out));
    tercet__v1__participant_status__init(out);
    out->service = service->name;
    out->actions = union_of_actions(arena, service, &out->n_actions);
    out->instances = list_instances(arena, service, now_ms, &out->n_instances);
    out->oldest_call_ms = oldest_of_all_ms(out, service, now_ms);
    out->unserved_ms = service->unserved_ms;
    out->targets = list_targets(arena, service, &out->n_targets);
    out->target = out->n_targets > 0 ? out->targets[0]->target : out->target;
    out->paused = service->is_paused;
    out->breaker_open =
        service->instances != NULL ? service->breaker.is_open : target_all_open(&service->targets);
    out->failures = failures_of(service);
    out->waiting = service->waiting_count;
    out->calls = service->call_count;
    out->last_error = service->last_error;
    return out;
}

void roster_list(struct request *r, const ProtobufCMessage *message)
{
    Tercet__V1__ListParticipantsResponse response = TERCET__V1__LIST_PARTICIPANTS_RESPONSE__INIT;
    struct services *services = &r->c->services;
    struct arena *scratch = &r->c->scratch;
    (void)message;
    response.participants = arena_alloc(scratch, services->count * sizeof(*response.participants));
    why_date_targets(r->c);
    for (struct service *service = services->first; service != NULL; service = service->next)
        response.participants[response.n_participants++] =
            participant_status(scratch, service, r->c->clock.now_ms);
    request_answer(r, &response.base);
}

/* -- Writing a service down -------------------------------------------------------------------- */

static char **names_of(struct arena *arena, const struct offer *offer)
{
    char **names = arena_alloc(arena, offer->count * sizeof(*names));
    for (size_t i = 0; i < offer->count; i++)
        names[i] = offer->actions[i].name;
    return names;
}

/* Of the actions that ask for some. */
static Tercet__Store__V1__ActionTimeouts **timeouts_of(struct arena *arena,
                                                       const struct offer *offer, size_t *count)
{
    Tercet__Store__V1__ActionTimeouts **out = arena_alloc(arena, offer->count * sizeof(*out));
    *count = 0;
    for (size_t i = 0; i < offer->count; i++) {
        const struct offered *action = &offer->actions[i];
        if (action->timeouts.call_ms == 0 && action->timeouts.end_ms == 0)
            continue;
        Tercet__Store__V1__ActionTimeouts *one = arena_alloc(arena, sizeof(*one));
        tercet__store__v1__action_timeouts__init(one);
        one->action = action->name;
        one->call_timeout_ms = action->timeouts.call_ms;
        one->end_timeout_ms = action->timeouts.end_ms;
        out[(*count)++] = one;
    }
    return out;
}

static void write_first_target(struct arena *arena, Tercet__Store__V1__Participant *record,
                               const struct target *target)
{
    record->actions = names_of(arena, &target->offer);
    record->n_actions = target->offer.count;
    record->timeouts = timeouts_of(arena, &target->offer, &record->n_timeouts);
    record->target = target->address;
    record->token = (char *)(uintptr_t)target_token(target);
    record->version = (char *)(uintptr_t)target->offer.version;
    record->application_version = (char *)(uintptr_t)target->offer.application_version;
}

static void write_targets(struct arena *arena, Tercet__Store__V1__Participant *record,
                          const struct targets *targets)
{
    record->further = arena_alloc(arena, targets->count * sizeof(*record->further));
    for (const struct target *target = targets->first; target != NULL; target = target->next) {
        if (target->channel == NULL)
            continue;
        if (record->target[0] == '\0') {
            write_first_target(arena, record, target);
            continue;
        }
        Tercet__Store__V1__Target *out = arena_alloc(arena, sizeof(*out));
        tercet__store__v1__target__init(out);
        out->target = target->address;
        out->token = (char *)(uintptr_t)target_token(target);
        out->actions = names_of(arena, &target->offer);
        out->n_actions = target->offer.count;
        out->timeouts = timeouts_of(arena, &target->offer, &out->n_timeouts);
        out->version = (char *)(uintptr_t)target->offer.version;
        out->application_version = (char *)(uintptr_t)target->offer.application_version;
        record->further[record->n_further++] = out;
    }
}

static void write_service(struct coordinator *c, const char *name)
{
    char key[TERCET_STORE_NAME_MAX];
    const struct service *service = service_find(&c->services, name);
    snprintf(key, sizeof(key), "participant/%s", name);
    if (service == NULL || (service->targets.count == 0 && !service->is_paused)) {
        batch_delete_meta(coordinator_home(c), key);
        return;
    }
    Tercet__Store__V1__Participant record = TERCET__STORE__V1__PARTICIPANT__INIT;
    record.service = (char *)service->name;
    record.paused = service->is_paused;
    write_targets(&c->scratch, &record, &service->targets);
    batch_put_meta(coordinator_home(c), key,
                   record_encode(&c->scratch, RECORD_PARTICIPANT, &record.base));
}

static bool is_end(const Tercet__V1__RegisterRequest *request)
{
    return request->remove || request->target[0] == '\0';
}

/* Who serves a service may be registered for it; an operator may end that, too. */
static int check_registrant(const struct request *r, const Tercet__V1__RegisterRequest *request,
                            struct refusal *no)
{
    const struct rights *rights = &r->caller->rights;
    if (!scope_covers(rights->serves, request->service) &&
        (!is_end(request) || rights->is_no_operator))
        return refusal_set(no, TERCET_DENIED,
                           "the access rules do not bind this participant to the service %s: a "
                           "line \"participant:%s\" with its token or identity is needed",
                           request->service, request->service);
    return 0;
}

/* Sockets and loopback are this machine's: what somebody elsewhere names there is not its own. */
static const char *check_reach(const struct request *r, const Tercet__V1__RegisterRequest *request)
{
    bool is_listed = r->c->options.allow_target_count > 0;
    const char *target = request->target;
    if (!is_listed && !is_end(request) && reach_is_here(target) &&
        !reach_is_here(crpc_call_peer(r->caller->call)))
        return "a participant on another machine names a target on this one: unix sockets and "
               "loopback addresses are for those who connect from here (see --allow-target)";
    return NULL;
}

/* A participant's own coming and going is no operator's act, whatever it says of itself: else it
 * could push out of the log what operators did. */
static void note_registration(struct request *r, const Tercet__V1__RegisterRequest *request)
{
    if (!audit_is_person(r->caller) || r->caller->rights.is_no_operator)
        return;
    audit_note(r->c, r->caller,
               &(struct audit_act){.action = is_end(request) ? "unregister" : "register",
                                   .service = request->service,
                                   .reason = request->target[0] != '\0' ? request->target : "all"},
               NULL);
}

void roster_register(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__RegisterRequest *request = (const Tercet__V1__RegisterRequest *)message;
    Tercet__V1__RegisterResponse response = TERCET__V1__REGISTER_RESPONSE__INIT;
    struct refusal no;
    int rc = check_registrant(r, request, &no);
    if (rc == 0)
        rc = refusal_if(&no, TERCET_DENIED, check_reach(r, request));
    if (rc == 0)
        rc = dispatch_register(r->c, request, &no);
    if (rc != 0) {
        coordinator_log_of(r->c, LOG_PARTICIPANTS, TERCET_LOG_WARNING,
                           "a registration from %s is refused: %s", crpc_call_peer(r->caller->call),
                           no.text);
        answer_error(r->c, r->caller, r->id, &no);
        return;
    }
    response.keeps_token = request->token[0] != '\0';
    write_service(r->c, request->service);
    note_registration(r, request);
    answer_when_durable(r, &response.base);
}

void roster_pause(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__PauseRequest *request = (const Tercet__V1__PauseRequest *)message;
    const struct audit_act act = {.action = request->paused ? "pause" : "resume",
                                  .service = request->service};
    Tercet__V1__PauseResponse response = TERCET__V1__PAUSE_RESPONSE__INIT;
    struct service *service = service_find(&r->c->services, request->service);
    if (service == NULL) {
        struct refusal no;
        refusal_set(&no, TERCET_NOT_FOUND, "no such service is known: see tercetctl participants");
        audit_note(r->c, r->caller, &act, &no);
        answer_error(r->c, r->caller, r->id, &no);
        return;
    }
    coordinator_log_of(r->c, LOG_PARTICIPANTS, TERCET_LOG_WARNING, "%s: %s by an operator",
                       service->name, request->paused ? "paused" : "resumed");
    dispatch_pause(r->c, service, request->paused);
    write_service(r->c, request->service);
    audit_note(r->c, r->caller, &act, NULL);
    answer_when_durable(r, &response.base);
}
