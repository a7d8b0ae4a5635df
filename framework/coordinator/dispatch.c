/* SPDX-License-Identifier: Apache-2.0
 *
 * dispatch.h
 */
#include "dispatch.h"

#include "check.h"
#include "coordinator.h"
#include "outcall.h"
#include "pattern.h"
#include "reach.h"
#include "status.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_ACCEPTED 2 /* of AttachResponse */
#define DATABASE_MAX 64  /* characters */

/* -- Instances --------------------------------------------------------------------------------- */

static const char *check_hello(const struct instance *instance, const Tercet__V1__Hello *hello)
{
    const char *wrong = check_service(hello->service);
    if (wrong == NULL)
        wrong = offer_check(hello->actions, hello->n_actions, hello->timeouts, hello->n_timeouts);
    if (wrong == NULL && hello->n_actions == 0)
        wrong = "the hello names no actions: say what the service offers";
    if (wrong == NULL)
        wrong = check_text(hello->instance);
    if (wrong == NULL && (strlen(hello->database) > DATABASE_MAX || check_text(hello->database)))
        wrong = "a database is told in at most 64 characters of UTF-8";
    if (wrong == NULL && hello->sharded && hello->database[0] == '\0')
        wrong = "a sharded service's instance says which database it has";
    if (wrong == NULL)
        wrong = offer_check_versions(hello->version, hello->application_version);
    if (wrong == NULL && instance->service != NULL)
        wrong = "this stream has said hello already";
    return wrong;
}

static void mark_served(struct service *service)
{
    service->unserved_ms = 0;
}

/* When nobody is left. */
static void mark_unserved(const struct coordinator *c, struct service *service)
{
    if (!service_is_served(service))
        service->unserved_ms = c->clock.wall_ms;
}

/* Adds the instance to the service. */
static void join(struct service *service, struct instance *instance, const Tercet__V1__Hello *hello)
{
    offer_set(&instance->offer, hello->actions, hello->n_actions, hello->timeouts,
              hello->n_timeouts);
    offer_set_versions(&instance->offer, hello->version, hello->application_version);
    instance->name = must_strdup(hello->instance);
    instance->database = must_strdup(hello->database);
    instance->is_sharded = hello->sharded;
    instance->window = hello->window == 0 ? INSTANCE_WINDOW_DEFAULT : hello->window;
    if (instance->window > INSTANCE_WINDOW_MAX)
        instance->window = INSTANCE_WINDOW_MAX;
    instance_ref(instance);
    instance->service = service;
    instance->next = service->instances;
    service->instances = instance;
    mark_served(service);
}

static void leave(struct service *service, struct instance *instance)
{
    struct instance **link = &service->instances;
    while (*link != NULL && *link != instance)
        link = &(*link)->next;
    assert(*link == instance);
    *link = instance->next;
    instance->service = NULL;
}

/* An instance of the service that has its rows elsewhere, or NULL: a branch tried there would be
 * confirmed or cancelled here, where nobody knows it. Sharded services have several databases. */
static const struct instance *find_stranger(const struct service *service, const char *database)
{
    const struct instance *other = service->instances;
    while (other != NULL && (database[0] == '\0' || other->database[0] == '\0' ||
                             strcmp(database, other->database) == 0))
        other = other->next;
    return other;
}

static void refuse_instance(struct coordinator *c, struct instance *instance,
                            const Tercet__V1__Hello *hello, const struct instance *other)
{
    static const char *const kinds[] = {"one database", "several databases (sharded)"};
    bool is_mixed = other->is_sharded != hello->sharded;
    if (is_mixed)
        crpc_call_fail(instance->call, CRPC_FAILED_PRECONDITION,
                       "instance \"%s\" says that service %s has %s, this one that it has %s: "
                       "all instances say the same",
                       other->name, hello->service, kinds[other->is_sharded],
                       kinds[hello->sharded]);
    else
        crpc_call_fail(instance->call, CRPC_FAILED_PRECONDITION,
                       "service %s is served from database %.8s by instance \"%s\"; this "
                       "instance's is %.8s: all instances of a service share one database",
                       hello->service, other->database, other->name, hello->database);
    coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_WARNING,
                       "%s: instance \"%s\" is refused: its database is %.8s%s, that of \"%s\" is "
                       "%.8s%s",
                       hello->service, hello->instance, hello->database,
                       hello->sharded ? " (sharded)" : "", other->name, other->database,
                       other->is_sharded ? " (sharded)" : "");
}

/* Whether the instance was refused for its database. */
static bool refuse_stranger(struct coordinator *c, struct instance *instance,
                            const Tercet__V1__Hello *hello)
{
    const struct service *service = service_find(&c->services, hello->service);
    const struct instance *other = NULL;
    if (service == NULL)
        return false;
    if (service->instances != NULL && service->instances->is_sharded != hello->sharded)
        other = service->instances;
    else if (!hello->sharded)
        other = find_stranger(service, hello->database);
    if (other != NULL)
        refuse_instance(c, instance, hello, other);
    return other != NULL;
}

/* Refuses an instance whom the access rules do not bind to this service. Whether it was refused. */
static bool refuse_unbound(struct coordinator *c, struct instance *instance, const char *service)
{
    if (scope_covers(instance->rights.serves, service))
        return false;
    crpc_call_fail(instance->call, CRPC_PERMISSION_DENIED,
                   "the access rules do not bind this participant to the service %s: a line "
                   "\"participant:%s\" with its token or identity is needed",
                   service, service);
    coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_WARNING,
                       "%s: an instance from %s is refused: the access rules bind it to others",
                       service, crpc_call_peer(instance->call));
    return true;
}

static bool refuse_beside_targets(struct coordinator *c, struct instance *instance,
                                  const Tercet__V1__Hello *hello)
{
    const struct service *service = service_find(&c->services, hello->service);
    if (!hello->sharded || service == NULL || service->targets.count == 0)
        return false;
    crpc_call_fail(instance->call, CRPC_FAILED_PRECONDITION,
                   "service %s is called at targets, too, which have no database of a sharded "
                   "service: remove them first (tercetctl unregister)",
                   service->name);
    return true;
}

/* 0 also when the instance was refused already. */
static int attach(struct coordinator *c, struct instance *instance, const Tercet__V1__Hello *hello,
                  struct refusal *no)
{
    int rc = refusal_if(no, TERCET_INVALID, check_hello(instance, hello));
    if (rc != 0 || refuse_unbound(c, instance, hello->service) ||
        refuse_stranger(c, instance, hello) || refuse_beside_targets(c, instance, hello))
        return rc;
    struct service *service =
        service_get_to_serve(&c->services, hello->service, strlen(hello->service), no);
    if (service == NULL)
        return no->code;
    join(service, instance, hello);
    coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_INFO, "%s: instance \"%s\" attached from %s",
                       service->name, instance->name, crpc_call_peer(instance->call));
    if (outbox_put_bytes(instance->outbox, FIELD_ACCEPTED, (struct crpc_bytes){NULL, 0}) ==
        CRPC_ENOMEM)
        crpc_call_fail(instance->call, CRPC_RESOURCE_EXHAUSTED, "out of memory: attach again");
    outcalls_touch(&c->outcalls, instance);
    outcall_close_breaker(c, service, NULL);
    outcall_pump(c, service);
    return 0;
}

/* The service stays: it has the instance. */
static void take_results(struct coordinator *c, struct instance *instance,
                         const Tercet__V1__AttachRequest *message)
{
    bool has_room = false;
    if (message->n_results > 0)
        instance->heard_ms = c->clock.now_ms;
    for (size_t i = 0; i < message->n_results; i++) {
        const Tercet__V1__CallResult *result = message->results[i];
        has_room |= outcall_answer(c, instance, result->id, result, result->reason) != NULL;
    }
    if (has_room)
        outcall_pump(c, instance->service);
}

bool dispatch_message(struct coordinator *c, struct instance *instance,
                      const Tercet__V1__AttachRequest *message)
{
    struct refusal no;
    if (instance->is_refused)
        return false;
    int rc = message->hello != NULL ? attach(c, instance, message->hello, &no) : 0;
    if (rc != 0)
        crpc_call_fail(instance->call, status_of_error(rc), "%s", no.text);
    else if (instance->service != NULL)
        take_results(c, instance, message);
    else if (message->hello == NULL)
        crpc_call_fail(instance->call, CRPC_FAILED_PRECONDITION,
                       "the first message of Attach must carry a hello");
    instance->is_refused = rc != 0 || instance->service == NULL;
    return !instance->is_refused;
}

void dispatch_detach(struct coordinator *c, struct instance *instance, const char *why)
{
    struct service *service = instance->service;
    outbox_close(instance->outbox);
    if (service == NULL)
        return;
    leave(service, instance);
    mark_unserved(c, service);
    coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_INFO, "%s: instance \"%s\" is gone: %s",
                       service->name, instance->name, why);
    breaker_lose_probe(&service->breaker);
    outcall_lose_instance(c, instance);
    outcall_pump(c, service);
    service_release(&c->services, service);
    instance_unref(instance);
}

/* -- Targets ----------------------------------------------------------------------------------- */

/* Restored targets are checked, too: --allow-target may have changed since they were registered. */
static int check_allowed(const struct coordinator *c, const char *target, struct refusal *no)
{
    const struct tercet_coordinator_options *options = &c->options;
    for (size_t i = 0; i < options->allow_target_count; i++)
        if (pattern_matches(options->allow_targets[i], target) ||
            pattern_matches(options->allow_targets[i], reach_host(target)))
            return 0;
    if (options->allow_target_count == 0)
        return 0;
    return refusal_set(no, TERCET_DENIED,
                       "the target %s is not among those that --allow-target lists: give the "
                       "coordinator one more, or register one of them",
                       target);
}

static int open_channel(struct crpc_channel **out, struct coordinator *c,
                        const struct service *service, const char *address, struct refusal *no)
{
    bool is_socket = strncmp(address, "unix:", 5) == 0;
    struct crpc_channel_options options = {.size = sizeof(options),
                                           .message_size_max = TERCET_MESSAGE_MAX,
                                           .tls = c->calls_with_tls && !is_socket ? &c->call_tls
                                                                                  : NULL};
    if (!c->calls_with_tls && !reach_is_local(address))
        coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_WARNING,
                           "%s at %s is called in plaintext: see --call-tls-ca", service->name,
                           address);
    return crpc_channel_new(out, c->loop, address, &options) == 0
               ? 0
               : refusal_set(no, TERCET_INVALID,
                             "the target is not a gRPC address: use dns:///host:port, host:port or "
                             "unix:/path");
}

/* At the limit a target that does not answer is removed, so that participants which come back at a
 * new port each time, without having removed the old one, do not add up. */
static int make_room(struct coordinator *c, struct service *service, struct refusal *no)
{
    if (service->targets.count < SERVICE_TARGETS_MAX)
        return 0;
    struct target *dead = target_find_dead(&service->targets);
    if (dead == NULL)
        return refusal_set(no, TERCET_EXHAUSTED,
                           "service %s has %d targets, and all of them answer: remove one first",
                           service->name, SERVICE_TARGETS_MAX);
    coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_WARNING,
                       "%s at %s is forgotten: it does not answer, and another needs its place",
                       service->name, dead->address);
    target_remove(&service->targets, dead);
    return 0;
}

static int add_target(struct coordinator *c, struct service *service,
                      const Tercet__V1__RegisterRequest *request, struct refusal *no)
{
    struct target *target = target_find(&service->targets, request->target);
    struct crpc_channel *channel = NULL;
    if (service_is_sharded(service))
        return refusal_set(no, TERCET_INVALID,
                           "service %s has several databases (sharded): what is tried at a target "
                           "would have none of them; attach instead",
                           service->name);
    int rc = target == NULL ? make_room(c, service, no) : 0;
    if (rc == 0 && target == NULL)
        rc = open_channel(&channel, c, service, request->target, no);
    if (rc != 0)
        return rc;
    if (target == NULL) {
        target = target_add(&service->targets, request->target, channel);
        mark_served(service);
        coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_INFO,
                           "%s is called at %s, too: it has %zu targets", service->name,
                           target->address, service->targets.count);
    }
    offer_set(&target->offer, request->actions, request->n_actions, request->timeouts,
              request->n_timeouts);
    offer_set_versions(&target->offer, request->version, request->application_version);
    target_set_token(target, request->token);
    outcall_close_breaker(c, service, target);
    return 0;
}

static void remove_target(struct coordinator *c, struct service *service, struct target *target)
{
    coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_INFO, "%s is not called at %s any more",
                       service->name, target->address);
    target_remove(&service->targets, target);
    mark_unserved(c, service);
}

/* Removes the target with this address; "": all of them. */
static void remove_targets(struct coordinator *c, struct service *service, const char *address)
{
    struct target *target = service->targets.first;
    while (target != NULL) {
        struct target *next = target->next;
        bool is_meant = address[0] == '\0' || strcmp(address, target->address) == 0;
        if (is_meant && target->channel != NULL)
            remove_target(c, service, target);
        target = next;
    }
}

static int check_registration(const Tercet__V1__RegisterRequest *request, struct refusal *no)
{
    const char *wrong = check_service(request->service);
    if (wrong == NULL && request->target[0] != '\0')
        wrong = check_target(request->target);
    if (wrong == NULL && request->remove && request->target[0] == '\0')
        wrong = "say which target is to be removed; an empty one without `remove` removes all";
    if (wrong == NULL)
        wrong = offer_check(request->actions, request->n_actions, request->timeouts,
                            request->n_timeouts);
    if (wrong == NULL)
        wrong = check_token(request->token);
    if (wrong == NULL)
        wrong = offer_check_versions(request->version, request->application_version);
    return refusal_if(no, TERCET_INVALID, wrong);
}

int dispatch_register(struct coordinator *c, const Tercet__V1__RegisterRequest *request,
                      struct refusal *no)
{
    int rc = check_registration(request, no);
    if (rc == 0 && request->target[0] != '\0' && !request->remove)
        rc = check_allowed(c, request->target, no);
    if (rc != 0)
        return rc;
    struct service *service =
        service_get_to_serve(&c->services, request->service, strlen(request->service), no);
    if (service == NULL)
        return no->code;
    if (request->remove || request->target[0] == '\0')
        remove_targets(c, service, request->target);
    else
        rc = add_target(c, service, request, no);
    if (rc == 0)
        outcall_pump(c, service);
    service_release(&c->services, service);
    return rc;
}

/* A status that a called participant gave in place of a result, in the arena. NULL: it says nothing
 * of the participant but that it cannot be reached. */
static const Tercet__V1__CallResult *result_of_status(struct arena *arena,
                                                      const struct event *event)
{
    Tercet__V1__CallResult *out = arena_alloc(arena, sizeof(*out));
    tercet__v1__call_result__init(out);
    out->reason = (char *)event->text;
    switch (event->code) {
    case CRPC_UNAVAILABLE:
    case CRPC_DEADLINE_EXCEEDED:
    case CRPC_CANCELLED:
    case CRPC_UNIMPLEMENTED:
    case CRPC_UNAUTHENTICATED:
    case CRPC_PERMISSION_DENIED:
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

void dispatch_target_answer(struct coordinator *c, const struct event *event)
{
    const Tercet__V1__CallResult *result = (const Tercet__V1__CallResult *)event->message;
    if (result == NULL)
        result = result_of_status(&c->scratch, event);
    struct service *service = outcall_answer(c, NULL, event->call_id, result, event->text);
    if (service == NULL)
        return;
    outcall_pump(c, service);
    service_release(&c->services, service);
}

void dispatch_pause(struct coordinator *c, struct service *service, bool is_paused)
{
    if (is_paused != service->is_paused)
        service->paused_ms = is_paused ? c->clock.wall_ms : 0;
    service->is_paused = is_paused;
    outcall_pump(c, service);
}
