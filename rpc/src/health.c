/* SPDX-License-Identifier: Apache-2.0
 *
 * The health service, over the public API. A watcher has one message under way at most; what
 * changes meanwhile is sent when it is out, the newest state only.
 */
#include "health.h"

#include "grpc/health/v1/health.pb-c.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;

#define SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN
#define NOTHING_SENT GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__UNKNOWN

struct service_state {
    char *name;
    bool is_serving;
};

struct watcher {
    struct watcher *next, *prev;
    struct health *health;
    struct crpc_call *call;
    serving_status sent; /* last */
    bool is_sending;
    char service[];
};

struct health {
    pthread_mutex_t lock;
    struct service_state *services;
    size_t service_count;
    struct watcher *watchers;
    bool is_stopping;
};

static struct service_state *service_find(const struct health *health, const char *name)
{
    for (size_t i = 0; i < health->service_count; i++)
        if (strcmp(health->services[i].name, name) == 0)
            return &health->services[i];
    return NULL;
}

static serving_status status_of(const struct health *health, const char *name)
{
    const struct service_state *service = service_find(health, name);
    if (service == NULL)
        return SERVICE_UNKNOWN;
    return service->is_serving && !health->is_stopping ? SERVING : NOT_SERVING;
}

/* Sends what the watcher does not know yet; lock held. */
static void watcher_push(struct watcher *watcher)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    struct health *health = watcher->health;

    if (watcher->is_sending)
        return;
    response.status = status_of(health, watcher->service);
    if (response.status != watcher->sent) {
        watcher->is_sending = crpc_call_send(watcher->call, &response.base) == 0;
        watcher->sent = response.status;
    } else if (health->is_stopping) {
        crpc_call_fail(watcher->call, CRPC_UNAVAILABLE, "the server is stopping");
    }
}

static void on_watch_sent(struct crpc_call *call, bool ok, void *ctx)
{
    struct watcher *watcher = ctx;
    (void)call;
    pthread_mutex_lock(&watcher->health->lock);
    watcher->is_sending = false;
    if (ok)
        watcher_push(watcher);
    pthread_mutex_unlock(&watcher->health->lock);
}

static void on_watch_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct watcher *watcher = ctx;
    struct health *health = watcher->health;
    (void)status;
    pthread_mutex_lock(&health->lock);
    if (watcher->prev != NULL)
        watcher->prev->next = watcher->next;
    else
        health->watchers = watcher->next;
    if (watcher->next != NULL)
        watcher->next->prev = watcher->prev;
    pthread_mutex_unlock(&health->lock);
    free(watcher);
    crpc_call_unref(call);
}

static void on_watch(struct crpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    static const struct crpc_call_events events = {.on_sent = on_watch_sent,
                                                   .on_end = on_watch_end};
    const Grpc__Health__V1__HealthCheckRequest *request =
        (const Grpc__Health__V1__HealthCheckRequest *)message;
    struct health *health = ctx;
    size_t size = strlen(request->service) + 1;
    struct watcher *watcher = calloc(1, sizeof(*watcher) + size);

    if (watcher == NULL) {
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    memcpy(watcher->service, request->service, size);
    watcher->health = health;
    watcher->call = call;
    watcher->sent = NOTHING_SENT;
    crpc_call_ref(call);
    crpc_call_events_set(call, &events, watcher);
    pthread_mutex_lock(&health->lock);
    watcher->next = health->watchers;
    if (health->watchers != NULL)
        health->watchers->prev = watcher;
    health->watchers = watcher;
    watcher_push(watcher);
    pthread_mutex_unlock(&health->lock);
}

static void on_check(struct crpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    const Grpc__Health__V1__HealthCheckRequest *request =
        (const Grpc__Health__V1__HealthCheckRequest *)message;
    struct health *health = ctx;

    pthread_mutex_lock(&health->lock);
    response.status = status_of(health, request->service);
    pthread_mutex_unlock(&health->lock);
    if (response.status == SERVICE_UNKNOWN)
        crpc_call_fail(call, CRPC_NOT_FOUND, "no service %.200s", request->service);
    else
        crpc_call_reply(call, &response.base);
}

static const struct crpc_handler handlers[] = {
    {.method = "Check", .kind = CRPC_UNARY, .on_request = on_check},
    {.method = "Watch", .kind = CRPC_SERVER_STREAMING, .on_request = on_watch},
};

int health_new(struct health **out, struct crpc_server *server)
{
    struct health *health = calloc(1, sizeof(*health));
    if (health == NULL)
        return CRPC_ENOMEM;
    pthread_mutex_init(&health->lock, NULL);
    int rc = health_set(health, "", true);
    if (rc == 0)
        rc = crpc_server_add_service(server, &grpc__health__v1__health__descriptor, handlers,
                                     sizeof(handlers) / sizeof(handlers[0]), health);
    if (rc != 0) {
        health_free(health);
        return rc;
    }
    *out = health;
    return 0;
}

void health_free(struct health *health)
{
    if (health == NULL)
        return;
    for (size_t i = 0; i < health->service_count; i++)
        free(health->services[i].name);
    free(health->services);
    pthread_mutex_destroy(&health->lock);
    free(health);
}

static int service_add(struct health *health, const char *name, bool is_serving)
{
    struct service_state *services =
        realloc(health->services, (health->service_count + 1) * sizeof(*services));
    if (services == NULL)
        return CRPC_ENOMEM;
    health->services = services;
    char *copy = strdup(name);
    if (copy == NULL)
        return CRPC_ENOMEM;
    services[health->service_count++] = (struct service_state){copy, is_serving};
    return 0;
}

static void watchers_push(struct health *health)
{
    for (struct watcher *watcher = health->watchers; watcher != NULL; watcher = watcher->next)
        watcher_push(watcher);
}

int health_set(struct health *health, const char *name, bool is_serving)
{
    int rc = 0;

    pthread_mutex_lock(&health->lock);
    struct service_state *service = service_find(health, name);
    if (health->is_stopping)
        rc = CRPC_ECLOSED;
    else if (service == NULL)
        rc = service_add(health, name, is_serving);
    else
        service->is_serving = is_serving;
    if (rc == 0)
        watchers_push(health);
    pthread_mutex_unlock(&health->lock);
    return rc;
}

void health_stop(struct health *health)
{
    pthread_mutex_lock(&health->lock);
    health->is_stopping = true;
    watchers_push(health);
    pthread_mutex_unlock(&health->lock);
}
