/* SPDX-License-Identifier: Apache-2.0
 *
 * dispatch.h: services, their instances and targets. outcall.c has the calls.
 */
#include "dispatch.h"

#include "check.h"
#include "outcall.h"
#include "owner.h"
#include "reach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_ACCEPTED 2 /* of AttachResponse */

/* -- Services ---------------------------------------------------------------------------------- */

static struct service *find_service(const struct coordinator *c, const char *name, size_t size)
{
    struct service *service = c->dispatch.services;
    while (service != NULL &&
           (strlen(service->name) != size || memcmp(service->name, name, size) != 0))
        service = service->next;
    return service;
}

struct service *dispatch_find(const struct coordinator *c, const char *name)
{
    return find_service(c, name, strlen(name));
}

struct service *dispatch_service(struct coordinator *c, const char *name, size_t name_size)
{
    struct service *service = find_service(c, name, name_size);
    if (service != NULL || c->dispatch.service_count >= SERVICES_MAX)
        return service;
    return dispatch_service_restored(c, name, name_size);
}

struct service *dispatch_service_restored(struct coordinator *c, const char *name, size_t name_size)
{
    struct service *service = find_service(c, name, name_size);
    if (service != NULL)
        return service;
    service = must_alloc(sizeof(*service));
    memcpy(service->name, name, name_size);
    service->next = c->dispatch.services;
    c->dispatch.services = service;
    c->dispatch.service_count++;
    return service;
}

static void free_actions(char **actions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(actions[i]);
    free(actions);
}

static void free_service(struct service *service)
{
    free_actions(service->actions, service->action_count);
    free(service->target);
    crpc_channel_free(service->channel);
    free(service);
}

void dispatch_service_release(struct coordinator *c, struct service *service)
{
    if (service->branch_count > 0 || service->instances != NULL || service->target != NULL ||
        service->call_count > 0 || service->is_paused)
        return;
    struct service **link = &c->dispatch.services;
    while (*link != service)
        link = &(*link)->next;
    *link = service->next;
    c->dispatch.service_count--;
    free_service(service);
}

void dispatch_sweep(struct coordinator *c)
{
    struct service *service = c->dispatch.services;
    while (service != NULL) {
        struct service *next = service->next;
        dispatch_service_release(c, service);
        service = next;
    }
}

static bool offers(char *const *actions, size_t count, const char *action)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(actions[i], action) == 0)
            return true;
    return false;
}

const char *dispatch_check_action(const struct service *service, const char *action,
                                  char text[TERCET_TEXT_MAX])
{
    if (service->target == NULL && service->instances == NULL)
        return NULL;
    if (service->target != NULL &&
        (service->action_count == 0 || offers(service->actions, service->action_count, action)))
        return NULL;
    for (const struct instance *instance = service->instances; instance != NULL;
         instance = instance->next)
        if (offers(instance->actions, instance->action_count, action))
            return NULL;
    snprintf(text, TERCET_TEXT_MAX,
             "service %s does not offer the action \"%s\": see tercetctl participants",
             service->name, action);
    return text;
}

/* -- Instances --------------------------------------------------------------------------------- */

struct instance *instance_new(struct crpc_call *call)
{
    struct instance *instance = calloc(1, sizeof(*instance));
    if (instance == NULL || outbox_new(&instance->outbox, call, INSTANCE_OUTBOX_MAX) != 0) {
        free(instance);
        return NULL;
    }
    instance->references = 1;
    crpc_call_ref(call);
    instance->call = call;
    return instance;
}

void instance_ref(struct instance *instance)
{
    atomic_fetch_add(&instance->references, 1);
}

void instance_unref(struct instance *instance)
{
    if (instance == NULL || atomic_fetch_sub(&instance->references, 1) > 1)
        return;
    outbox_free(instance->outbox);
    crpc_call_unref(instance->call);
    free_actions(instance->actions, instance->action_count);
    free(instance->name);
    free(instance);
}

static char **copy_actions(char **actions, size_t count)
{
    char **copy = must_alloc((count + 1) * sizeof(char *));
    for (size_t i = 0; i < count; i++)
        copy[i] = must_strdup(actions[i]);
    return copy;
}

static const char *check_actions(char **actions, size_t count)
{
    const char *wrong = count > SERVICE_ACTIONS_MAX ? "a service offers at most 256 actions" : NULL;
    for (size_t i = 0; i < count && wrong == NULL; i++)
        wrong = check_action_name(actions[i]);
    return wrong;
}

const char *dispatch_attach(struct coordinator *c, struct instance *instance,
                            const Tercet__V1__Hello *hello)
{
    const char *wrong = check_service(hello->service);
    if (wrong == NULL)
        wrong = check_actions(hello->actions, hello->n_actions);
    if (wrong == NULL && hello->n_actions == 0)
        wrong = "the hello names no actions: say what the service offers";
    if (wrong == NULL)
        wrong = check_text(hello->instance);
    if (wrong == NULL && instance->service != NULL)
        wrong = "this stream has said hello already";
    if (wrong != NULL)
        return wrong;
    struct service *service = dispatch_service(c, hello->service, strlen(hello->service));
    if (service == NULL)
        return "too many services are known (4096)";
    instance->actions = copy_actions(hello->actions, hello->n_actions);
    instance->action_count = hello->n_actions;
    instance->name = must_strdup(hello->instance);
    instance->window = hello->window == 0 ? INSTANCE_WINDOW_DEFAULT : hello->window;
    if (instance->window > INSTANCE_WINDOW_MAX)
        instance->window = INSTANCE_WINDOW_MAX;
    instance_ref(instance);
    instance->service = service;
    instance->next = service->instances;
    service->instances = instance;
    owner_log(c, TERCET_LOG_INFO, "%s: instance \"%s\" attached from %s", service->name,
              instance->name, crpc_call_peer(instance->call));
    if (outbox_put_bytes(instance->outbox, FIELD_ACCEPTED, (struct crpc_bytes){NULL, 0}) ==
        CRPC_ENOMEM)
        crpc_call_fail(instance->call, CRPC_RESOURCE_EXHAUSTED, "out of memory: attach again");
    outcall_touch(c, instance);
    outcall_close_breaker(c, service);
    outcall_pump(c, service);
    return NULL;
}

void dispatch_detach(struct coordinator *c, struct instance *instance)
{
    struct service *service = instance->service;
    outbox_close(instance->outbox);
    if (service == NULL)
        return;
    struct instance **link = &service->instances;
    while (*link != instance)
        link = &(*link)->next;
    *link = instance->next;
    instance->service = NULL;
    owner_log(c, TERCET_LOG_INFO, "%s: instance \"%s\" is gone", service->name, instance->name);
    outcall_instance_lost(c, service, instance);
    outcall_pump(c, service);
    dispatch_service_release(c, service);
    instance_unref(instance);
}

/* -- Targets ----------------------------------------------------------------------------------- */

static const char *open_target(struct coordinator *c, struct service *service, const char *target)
{
    bool is_socket = strncmp(target, "unix:", 5) == 0;
    struct crpc_channel_options options = {.size = sizeof(options),
                                           .message_size_max = TERCET_MESSAGE_MAX,
                                           .tls = c->calls_with_tls && !is_socket ? &c->call_tls
                                                                                  : NULL};
    struct crpc_channel *channel = NULL;
    if (!c->calls_with_tls && !reach_is_local(target))
        owner_log(c, TERCET_LOG_WARNING, "%s at %s is called in plaintext: see --call-tls-ca",
                  service->name, target);
    if (crpc_channel_new(&channel, c->loop, target, &options) != 0)
        return "the target is not a gRPC address: use dns:///host:port, host:port or unix:/path";
    crpc_channel_free(service->channel);
    free(service->target);
    service->channel = channel;
    service->target = must_strdup(target);
    return NULL;
}

static void close_target(struct service *service)
{
    crpc_channel_free(service->channel);
    free(service->target);
    service->channel = NULL;
    service->target = NULL;
}

const char *dispatch_register(struct coordinator *c, const char *name, char **actions,
                              size_t action_count, const char *target)
{
    const char *wrong = check_service(name);
    if (wrong == NULL)
        wrong = check_actions(actions, action_count);
    if (wrong != NULL)
        return wrong;
    struct service *service = dispatch_service(c, name, strlen(name));
    if (service == NULL)
        return "too many services are known (4096)";
    if (target == NULL || target[0] == '\0')
        close_target(service);
    else if (service->target == NULL || strcmp(service->target, target) != 0)
        wrong = open_target(c, service, target);
    if (wrong == NULL) {
        free_actions(service->actions, service->action_count);
        service->actions = copy_actions(actions, action_count);
        service->action_count = action_count;
        outcall_close_breaker(c, service);
        outcall_pump(c, service);
    }
    dispatch_service_release(c, service);
    return wrong;
}

void dispatch_pause(struct coordinator *c, struct service *service, bool is_paused)
{
    service->is_paused = is_paused;
    outcall_pump(c, service);
}

void dispatch_flush(struct coordinator *c)
{
    while (c->dispatch.touched != NULL) {
        struct instance *instance = c->dispatch.touched;
        c->dispatch.touched = instance->touched_next;
        instance->is_touched = false;
        outbox_flush(instance->outbox);
        instance_unref(instance);
    }
}

void dispatch_free(struct coordinator *c)
{
    dispatch_flush(c);
    outcall_free_all(c);
    while (c->dispatch.services != NULL) {
        struct service *service = c->dispatch.services;
        c->dispatch.services = service->next;
        while (service->instances != NULL) {
            struct instance *instance = service->instances;
            service->instances = instance->next;
            instance_unref(instance);
        }
        free_service(service);
    }
}
