/* SPDX-License-Identifier: Apache-2.0
 *
 * service.h
 */
#include "service.h"

#include "arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- Actions ----------------------------------------------------------------------------------- */

bool service_is_served(const struct service *service)
{
    return service->targets.count > 0 || service->instances != NULL;
}

bool service_is_sharded(const struct service *service)
{
    return service->instances != NULL && service->instances->is_sharded;
}

int service_check_action(const struct service *service, const char *action, struct refusal *no)
{
    if (!service_is_served(service))
        return 0;
    if (target_any_offers(&service->targets, action))
        return 0;
    for (const struct instance *instance = service->instances; instance != NULL;
         instance = instance->next)
        if (offer_find(&instance->offer, action) != NULL)
            return 0;
    return refusal_set(no, TERCET_INVALID,
                       "service %s does not offer the action \"%s\": see tercetctl participants",
                       service->name, action);
}

/* -- Services ---------------------------------------------------------------------------------- */

static struct service *find(const struct services *services, const char *name, size_t size)
{
    struct service *service = services->first;
    while (service != NULL &&
           (strlen(service->name) != size || memcmp(service->name, name, size) != 0))
        service = service->next;
    return service;
}

struct service *service_find(const struct services *services, const char *name)
{
    return find(services, name, strlen(name));
}

static size_t count_served(const struct services *services)
{
    size_t count = 0;
    for (const struct service *service = services->first; service != NULL; service = service->next)
        count += service->was_served;
    return count;
}

/* *own: how many of them this initiator has named. */
static size_t count_unserved(const struct services *services, uint64_t initiator, size_t *own)
{
    size_t count = 0;
    *own = 0;
    for (const struct service *service = services->first; service != NULL;
         service = service->next) {
        count += !service->was_served;
        *own += !service->was_served && service->initiator == initiator;
    }
    return count;
}

struct service *service_get_to_serve(struct services *services, const char *name, size_t name_size,
                                     struct refusal *no)
{
    struct service *service = find(services, name, name_size);
    bool is_counted = service != NULL && service->was_served;
    if (!is_counted && count_served(services) >= SERVICES_MAX) {
        refusal_set(no, TERCET_EXHAUSTED, "too many services are known (%d)", SERVICES_MAX);
        return NULL;
    }
    service = service_get_restored(services, name, name_size);
    service->was_served = true;
    return service;
}

static int may_name(const struct services *services, uint64_t initiator, const char *name,
                    size_t name_size, struct refusal *no)
{
    size_t own;
    size_t count = count_unserved(services, initiator, &own);
    if (own < SERVICES_UNSERVED_EACH && count < SERVICES_UNSERVED_MAX)
        return 0;
    return refusal_set(
        no, TERCET_EXHAUSTED,
        "unresolved transactions of %s name %zu services that nobody has served yet, "
        "and %.*s is one more: is it spelt right? See tercetctl participants",
        own < SERVICES_UNSERVED_EACH ? "all initiators" : "this initiator",
        own < SERVICES_UNSERVED_EACH ? count : own, (int)name_size, name);
}

struct service *service_get_to_call(struct services *services, uint64_t initiator, const char *name,
                                    size_t name_size, struct refusal *no)
{
    struct service *service = find(services, name, name_size);
    if (service != NULL)
        return service;
    if (may_name(services, initiator, name, name_size, no) != 0)
        return NULL;
    service = service_get_restored(services, name, name_size);
    service->initiator = initiator;
    return service;
}

struct service *service_get_restored(struct services *services, const char *name, size_t name_size)
{
    struct service *service = find(services, name, name_size);
    if (service != NULL)
        return service;
    assert(name_size <= TERCET_SERVICE_MAX);
    service = must_alloc(sizeof(*service));
    memcpy(service->name, name, name_size);
    service->next = services->first;
    services->first = service;
    services->count++;
    return service;
}

static void free_service(struct service *service)
{
    target_free_all(&service->targets);
    free(service);
}

static bool is_wanted(const struct service *service)
{
    return service->branch_count > 0 || service->instances != NULL || service->targets.count > 0 ||
           service->call_count > 0 || service->is_paused;
}

void service_release(struct services *services, struct service *service)
{
    struct service **link = &services->first;
    if (is_wanted(service))
        return;
    assert(services->count > 0 && service->waiting_first == NULL);
    while (*link != NULL && *link != service)
        link = &(*link)->next;
    assert(*link == service);
    *link = service->next;
    services->count--;
    assert((services->count == 0) == (services->first == NULL));
    free_service(service);
}

void service_sweep(struct services *services)
{
    struct service *service = services->first;
    while (service != NULL) {
        struct service *next = service->next;
        service_release(services, service);
        service = next;
    }
}

void service_free_all(struct services *services)
{
    while (services->first != NULL) {
        struct service *service = services->first;
        services->first = service->next;
        while (service->instances != NULL) {
            struct instance *instance = service->instances;
            service->instances = instance->next;
            instance_unref(instance);
        }
        free_service(service);
    }
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
    if (instance == NULL)
        return;
    unsigned before = atomic_fetch_sub(&instance->references, 1);
    assert(before > 0);
    if (before > 1)
        return;
    outbox_free(instance->outbox);
    crpc_call_unref(instance->call);
    offer_clear(&instance->offer);
    free(instance->name);
    free(instance->database);
    rights_clear(&instance->rights);
    free(instance);
}
