/* SPDX-License-Identifier: Apache-2.0
 *
 * A server's life: options, services, start, stop.
 */
#include "server.h"
#include "tls.h"

#include "args.h"
#include "builtin_descriptors.h"
#include "util.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGE_SIZE_DEFAULT (1024 * 1024)
#define METADATA_SIZE_DEFAULT (16 * 1024)
/* gRPC ends the whole connection past its limit; up to it a call is refused alone (call_accept) */
#define METADATA_SPARE_FACTOR 4
#define STREAMS_DEFAULT 128
#define KEEPALIVE_MS_DEFAULT 30000
#define KEEPALIVE_TIMEOUT_MS_DEFAULT 10000
#define PING_INTERVAL_MS_DEFAULT 5000
#define HANDSHAKE_MS_DEFAULT 10000
#define FIRST_REQUEST_MS_DEFAULT 60000
#define IDLE_MS_DEFAULT 300000
#define AGE_GRACE_MS_DEFAULT 30000
#define PER_PEER_DEFAULT 1024
#define RATE_DEFAULT 500
#define CALLS_PER_PEER_DEFAULT 4096

static size_t or_default(size_t value, size_t otherwise)
{
    return value > 0 ? value : otherwise;
}

/* How long a connection may take to become one, be without calls, and last. */
static void add_lifetime_args(struct args *args, const struct crpc_server_options *options)
{
    args_add(args, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
             (size_t)interval_ms(options->handshake_ms, HANDSHAKE_MS_DEFAULT));
    args_add(args, GRPC_ARG_MAX_CONNECTION_IDLE_MS,
             (size_t)interval_ms(options->idle_ms, IDLE_MS_DEFAULT));
    if (options->age_max_ms == 0)
        return;
    args_add(args, GRPC_ARG_MAX_CONNECTION_AGE_MS, (size_t)interval_ms(options->age_max_ms, 0));
    args_add(args, GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
             (size_t)interval_ms(options->age_grace_ms, AGE_GRACE_MS_DEFAULT));
}

static int make_gate(struct crpc_server *server, const struct crpc_server_options *options)
{
    const struct gate_options gate_options = {
        .connections_max = options->connections_max,
        .per_peer_max = (uint32_t)or_default(options->connections_per_peer_max, PER_PEER_DEFAULT),
        .per_peer_rate = (uint32_t)or_default(options->connection_rate_per_peer, RATE_DEFAULT),
        .first_request_ms =
            (uint32_t)or_default(options->first_request_ms, FIRST_REQUEST_MS_DEFAULT),
        .streams_max = (uint32_t)or_default(options->concurrent_streams_max, STREAMS_DEFAULT),
        .calls_per_peer_max =
            (uint32_t)or_default(options->calls_per_peer_max, CALLS_PER_PEER_DEFAULT),
        .unread_max = options->stream_window_size,
        .on_notice = options->on_notice,
        .notice_ctx = options->notice_ctx};
    return core_can_adopt() ? gate_new(&server->gate, &gate_options) : 0;
}

static grpc_server *core_new(const struct crpc_server_options *options,
                             struct adopter adopters[ADOPTERS_MAX])
{
    struct args args = {.count = 0};

    args_add_common(&args, or_default(options->message_size_max, MESSAGE_SIZE_DEFAULT),
                    METADATA_SPARE_FACTOR *
                        or_default(options->metadata_size_max, METADATA_SIZE_DEFAULT),
                    options->stream_window_size);
    /* two servers on one port would share it silently */
    args_add(&args, GRPC_ARG_ALLOW_REUSEPORT, 0);
    args_add(&args, GRPC_ARG_MAX_CONCURRENT_STREAMS,
             or_default(options->concurrent_streams_max, STREAMS_DEFAULT));
    args_add(&args, GRPC_ARG_KEEPALIVE_TIME_MS,
             (size_t)interval_ms(options->keepalive_ms, KEEPALIVE_MS_DEFAULT));
    args_add(&args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
             (size_t)interval_ms(options->keepalive_timeout_ms, KEEPALIVE_TIMEOUT_MS_DEFAULT));
    args_add(&args, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    args_add(&args, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
             (size_t)interval_ms(options->ping_interval_min_ms, PING_INTERVAL_MS_DEFAULT));
    /* Past its limit on pings gRPC 1.51 makes an error and a GOAWAY of each further one: 4 KiB for
     * 17 bytes that come, and others waited for seconds. The gate counts the bytes, and cuts. */
    if (core_can_adopt())
        args_add(&args, GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
    add_lifetime_args(&args, options);
    adopters_add_args(&args, adopters);
    grpc_channel_args core_args = {args.count, args.list};
    return grpc_server_create(&core_args, NULL);
}

/* Health and reflection are services like all others. */
static int builtins_add(struct crpc_server *server)
{
    struct crpc_bytes set = {builtin_descriptors, builtin_descriptors_size};
    int rc = 0;

    if (server->with_health || server->with_reflection)
        rc = crpc_server_add_descriptors(server, set);
    if (rc == 0 && server->with_health)
        rc = health_new(&server->health, server);
    if (rc == 0 && server->with_reflection)
        rc = reflection_new(&server->reflection, server);
    return rc;
}

int crpc_server_new(struct crpc_server **out, struct crpc_loop *loop,
                    const struct crpc_server_options *given)
{
    struct crpc_server_options options;

    if (loop == NULL || options_copy(&options, sizeof(options), given) != 0)
        return CRPC_EINVAL;
    if (loop_is_forked())
        return CRPC_EFORKED;
    struct crpc_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return CRPC_ENOMEM;
    server->loop = loop;
    atomic_fetch_add(&loop->owners, 1);
    server->authorize = options.authorize;
    server->authorize_ctx = options.authorize_ctx;
    server->with_health = !options.without_health;
    server->with_reflection = !options.without_reflection;
    pthread_mutex_init(&server->lock, NULL);
    condition_init(&server->changed);
    server->message_size_max = or_default(options.message_size_max, MESSAGE_SIZE_DEFAULT);
    server->metadata_size_max = or_default(options.metadata_size_max, METADATA_SIZE_DEFAULT);
    server->core = core_new(&options, server->adopters);
    for (unsigned i = 0; i < loop->poller_count; i++)
        grpc_server_register_completion_queue(server->core, loop->pollers[i].queue, NULL);
    int rc = make_gate(server, &options);
    if (rc == 0)
        rc = builtins_add(server);
    if (rc != 0) {
        crpc_server_free(server);
        return rc;
    }
    *out = server;
    return 0;
}

int crpc_server_add_descriptors(struct crpc_server *server, struct crpc_bytes set)
{
    if (server->is_started || set.data == NULL)
        return CRPC_EINVAL;
    return catalog_add(&server->catalog, set);
}

static int handler_check(const struct crpc_server *server,
                         const ProtobufCServiceDescriptor *service,
                         const struct crpc_handler *handler)
{
    enum crpc_kind kind;
    bool wants_request = handler->kind == CRPC_UNARY || handler->kind == CRPC_SERVER_STREAMING;

    if (handler->method == NULL ||
        protobuf_c_service_descriptor_get_method_by_name(service, handler->method) == NULL)
        return CRPC_EMISMATCH;
    if ((handler->on_request != NULL) != wants_request ||
        (handler->on_open != NULL) == wants_request)
        return CRPC_EMISMATCH;
    if (catalog_kind(&kind, &server->catalog, service->name, handler->method) &&
        kind != handler->kind)
        return CRPC_EMISMATCH;
    return 0;
}

static int service_check(const struct crpc_server *server,
                         const ProtobufCServiceDescriptor *service,
                         const struct crpc_handler *handlers, size_t handler_count)
{
    for (size_t i = 0; i < server->service_count; i++)
        if (strcmp(server->services[i]->name, service->name) == 0)
            return CRPC_EEXISTS;
    for (size_t i = 0; i < handler_count; i++) {
        int rc = handler_check(server, service, &handlers[i]);
        for (size_t k = 0; k < i && rc == 0; k++)
            rc = strcmp(handlers[k].method, handlers[i].method) == 0 ? CRPC_EEXISTS : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

int crpc_server_add_service(struct crpc_server *server, const ProtobufCServiceDescriptor *service,
                            const struct crpc_handler *handlers, size_t handler_count, void *ctx)
{
    if (service == NULL || server->is_started || (handlers == NULL && handler_count > 0))
        return CRPC_EINVAL;
    int rc = service_check(server, service, handlers, handler_count);
    if (rc != 0)
        return rc;
    const ProtobufCServiceDescriptor **services =
        realloc(server->services, (server->service_count + 1) * sizeof(*services));
    if (services == NULL)
        return CRPC_ENOMEM;
    server->services = services;
    services[server->service_count++] = service;
    for (size_t i = 0; i < handler_count && rc == 0; i++) {
        const ProtobufCMethodDescriptor *method =
            protobuf_c_service_descriptor_get_method_by_name(service, handlers[i].method);
        rc = methods_add(&server->methods, service, method, &handlers[i], ctx);
    }
    if (rc == 0 && server->health != NULL)
        rc = health_set(server->health, service->name, true);
    return rc;
}

int crpc_server_start(struct crpc_server *server)
{
    if (server->is_started || server->is_stopping || server->listener_count == 0)
        return CRPC_EINVAL;
    grpc_server_start(server->core);
    server->is_started = true;
    int rc = server_accept_start(server);
    return rc == 0 && server->gate != NULL ? gate_start(server->gate) : rc;
}

int crpc_server_health_set(struct crpc_server *server, const char *service, bool is_serving)
{
    if (service == NULL || server->health == NULL)
        return CRPC_EINVAL;
    return health_set(server->health, service, is_serving);
}

int crpc_server_connection_counts(struct crpc_server *server, struct crpc_connection_counts *out)
{
    struct crpc_connection_counts counts = {.size = sizeof(counts)};
    if (out == NULL || out->size < sizeof(out->size))
        return CRPC_EINVAL;
    size_t size = out->size < sizeof(counts) ? out->size : sizeof(counts);
    if (server->gate != NULL)
        gate_counts(server->gate, &counts);
    counts.size = out->size;
    memcpy(out, &counts, size);
    return 0;
}

static void shutdown_done(struct tag *tag, bool is_ok)
{
    struct crpc_server *server = TAG_OWNER(tag, struct crpc_server, shutdown_tag);
    (void)is_ok;
    pthread_mutex_lock(&server->lock);
    server->is_shut = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

static void stop_begin(struct crpc_server *server)
{
    if (server->gate != NULL)
        gate_stop(server->gate);
    if (server->health != NULL)
        health_stop(server->health);
    if (server->reflection != NULL)
        reflection_stop(server->reflection);
}

/* gRPC tells clients to go, and closes a connection as soon as nothing is under way on it. It has
 * every client answer first, who then has read all that was sent before: so this comes behind the
 * last answer. Else a client that is far behind would lose what it has not read to the reset that
 * its next word gets. */
static void shut(struct crpc_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->is_shutting = true;
    pthread_mutex_unlock(&server->lock);
    server->shutdown_tag.done = shutdown_done;
    TAG_HAND_OVER(&server->shutdown_tag);
    grpc_server_shutdown_and_notify(server->core, server->loop->pollers[0].queue,
                                    &server->shutdown_tag);
}

/* server->lock held, as below. */
static bool is_answered(const struct crpc_server *server)
{
    return server->call_count == server->late_count;
}

static bool is_quiet(const struct crpc_server *server)
{
    return server->is_shut && server->slots_posted == 0 && server->call_count == 0;
}

/* Returns false when it is not so by the deadline; NULL: now. */
static bool wait_until(struct crpc_server *server, bool (*is_so)(const struct crpc_server *),
                       const struct timespec *deadline)
{
    bool is_in_time = deadline != NULL;

    pthread_mutex_lock(&server->lock);
    while (!is_so(server) && is_in_time)
        is_in_time = condition_wait_until(&server->changed, &server->lock, deadline);
    bool result = is_so(server);
    pthread_mutex_unlock(&server->lock);
    return result;
}

void crpc_server_stop(struct crpc_server *server, uint32_t grace_ms)
{
    if (loop_is_forked())
        return;
    loop_assert_may_block();
    pthread_mutex_lock(&server->lock);
    bool is_first = !server->is_stopping;
    server->is_stopping = true;
    pthread_mutex_unlock(&server->lock);
    if (!server->is_started && server->listener_count == 0)
        return; /* gRPC wants a shutdown only from a server that has ports */
    struct timespec deadline = deadline_after_ms(grace_ms);
    const struct timespec *until = grace_ms > 0 ? &deadline : NULL;
    if (is_first) {
        stop_begin(server);
        if (server->is_started)
            wait_until(server, is_answered, until);
        shut(server);
    }
    if (wait_until(server, is_quiet, until))
        return;
    grpc_server_cancel_all_calls(server->core);
    pthread_mutex_lock(&server->lock);
    while (!is_quiet(server))
        pthread_cond_wait(&server->changed, &server->lock);
    pthread_mutex_unlock(&server->lock);
}

static void slots_free(struct crpc_server *server)
{
    size_t count =
        server->slots != NULL ? (size_t)server->loop->poller_count * REQUESTS_PER_QUEUE : 0;
    for (size_t i = 0; i < count; i++) {
        grpc_metadata_array_destroy(&server->slots[i].metadata);
        grpc_call_details_destroy(&server->slots[i].details);
    }
    free(server->slots);
}

void crpc_server_free(struct crpc_server *server)
{
    if (server == NULL || loop_is_forked())
        return;
    crpc_server_stop(server, 0);
    grpc_server_destroy(server->core);
    slots_free(server);
    health_free(server->health);
    reflection_free(server->reflection);
    methods_clear(&server->methods);
    catalog_clear(&server->catalog);
    free(server->services);
    gate_free(server->gate);
    for (size_t i = 0; i < ADOPTERS_MAX; i++)
        tls_feed_free(server->feeds[i]);
    server_addresses_clear(server);
    atomic_fetch_sub(&server->loop->owners, 1);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
