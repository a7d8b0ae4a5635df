/* SPDX-License-Identifier: Apache-2.0
 *
 * tercet/coordinator.h: opening and closing, in the order that keeps every promise: the store
 * first, then what it holds, then the door; and the door first when closing.
 */
#include "access.h"
#include "check.h"
#include "engine.h"
#include "etcd.h"
#include "loop.h"
#include "reach.h"
#include "restore.h"
#include "rpc.h"
#include "status.h"
#include "trace.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STORE_SIZE_MIN (1u << 20)
#define MEMORY_MIN (32u << 20)
#define RPC_THREADS_DEFAULT 2 /* what one peer sends must not hold up the others */
#define LISTEN_DEFAULT "127.0.0.1:7420"
#define BUCKETS_PER_RETENTION 7
#define BUCKET_MS_MIN 1000
#define CONCURRENT_CALLS_MAX 1024

struct tercet_coordinator {
    struct coordinator c;
};

/* -- Options ----------------------------------------------------------------------------------- */

static int check_addresses(const struct tercet_coordinator_options *options, struct refusal *no)
{
    bool is_guarded = options->access != NULL || options->tls_ca != NULL;
    for (size_t i = 0; i < options->listen_count; i++)
        if (!is_guarded && !reach_is_local(options->listen[i]))
            return refusal_set(no, TERCET_ADDRESS,
                               "%s can be reached from other machines: give access rules (tokens) "
                               "or a CA for client certificates, or listen on 127.0.0.1",
                               options->listen[i]);
    return 0;
}

static int check_server_tls(const struct tercet_coordinator_options *options, struct refusal *no)
{
    return refusal_if(no, TERCET_TLS,
                      check_tls_server(options->tls_ca, options->tls_cert, options->tls_key));
}

static int take_log_levels(struct coordinator *c, struct refusal *no)
{
    if (c->options.log_levels == NULL)
        return 0;
    int rc = loglevel_set(&c->loglevel, LOGLEVEL_DEFAULT, no);
    return rc == 0 ? loglevel_set(&c->loglevel, c->options.log_levels, no) : rc;
}

static int check_memory(const struct tercet_coordinator_options *options, struct refusal *no)
{
    if (options->memory_max == 0 || options->memory_max >= MEMORY_MIN)
        return 0;
    return refusal_set(no, TERCET_INVALID, "the memory to do with (--memory-max) is at least 32M");
}

/* Less holds nothing but the tables themselves. */
static int check_store_size(const struct tercet_coordinator_options *options, struct refusal *no)
{
    if (options->store_size_max == 0 || options->store_size_max >= STORE_SIZE_MIN)
        return 0;
    return refusal_set(no, TERCET_INVALID, "the store's size (--store-size) is at least 1M");
}

/* -- The store --------------------------------------------------------------------------------- */

static int error_of_store(int rc)
{
    switch (rc) {
    case TERCET_STORE_LOCKED:
        return TERCET_LOCKED;
    case TERCET_STORE_NEWER:
    case TERCET_STORE_CORRUPT:
        return TERCET_FORMAT;
    case TERCET_STORE_NOMEM:
        return TERCET_NOMEM;
    case TERCET_STORE_INVALID:
        return TERCET_INVALID;
    default:
        return TERCET_STORE;
    }
}

static void on_store_line(enum tercet_log_level level, const char *text, void *ctx)
{
    coordinator_log_of(ctx, LOG_STORE, level, "%s", text);
}

/* Those that the program has brought, and that of etcd, which is no part of the store library. The
 * caller's. */
static const struct tercet_store_driver **all_drivers(const struct coordinator *c)
{
    const struct tercet_store_driver *const *others = c->options.store_drivers;
    size_t count = 0;
    while (others != NULL && others[count] != NULL)
        count++;
    const struct tercet_store_driver **all =
        must_alloc((count + 2) * sizeof(struct tercet_store_driver *));
    for (size_t i = 0; i < count; i++)
        all[i] = others[i];
    all[count] = &store_etcd_driver;
    all[count + 1] = NULL;
    return all;
}

/* One shard in one store: nothing else knows that there are no more. */
static int open_store(struct coordinator *c, struct refusal *no)
{
    struct shard *shard = &c->shards[0];
    int64_t bucket_ms = c->options.retention_ms / BUCKETS_PER_RETENTION;
    struct tercet_store_options options = {.size = sizeof(options),
                                           .size_max = c->options.store_size_max,
                                           .bucket_ms = bucket_ms > BUCKET_MS_MIN ? bucket_ms
                                                                                  : BUCKET_MS_MIN,
                                           .begins_anew = c->options.store_begins_anew,
                                           .on_log = on_store_line,
                                           .log_ctx = c,
                                           .waits_on = c->options.waits_on,
                                           .waits_ctx = c->options.waits_ctx};
    const struct tercet_store_driver **drivers = all_drivers(c);
    char text[TERCET_TEXT_MAX] = "";
    int rc = store_open(&shard->store, c->options.data, drivers, &options, text);
    free(drivers);
    if (rc != 0)
        return refusal_set(no, error_of_store(rc), "%s",
                           text[0] != '\0' ? text : tercet_store_strerror(rc));
    c->clerk.store_name = must_strdup(c->options.data);
    rc = shard_acquire(shard);
    if (rc == 0)
        return 0;
    store_close(shard->store);
    shard->store = NULL;
    return refusal_set(no, error_of_store(rc), "%s", tercet_store_strerror(rc));
}

static void close_stores(struct coordinator *c)
{
    for (size_t i = 0; i < c->shard_count; i++) {
        struct shard *shard = &c->shards[i];
        if (shard->store == NULL)
            continue;
        store_release(shard->store, shard->number, shard->epoch);
        store_close(shard->store);
        shard->store = NULL;
    }
}

/* -- The door ---------------------------------------------------------------------------------- */

static const struct crpc_tls *tls_of(const struct tercet_coordinator_options *options,
                                     struct crpc_tls *tls)
{
    if (options->tls_cert == NULL)
        return NULL;
    *tls = (struct crpc_tls){.size = sizeof(*tls),
                             .ca = options->tls_ca,
                             .cert = options->tls_cert,
                             .key = options->tls_key};
    return tls;
}

static char *copy_pem(const char *text)
{
    return text != NULL && text[0] != '\0' ? must_strdup(text) : NULL;
}

/* What targets are called with. That it is PEM is looked at now; a key of another certificate shows
 * with the first call. */
static int take_call_tls(struct coordinator *c, struct refusal *no)
{
    const struct tercet_coordinator_options *options = &c->options;
    struct crpc_channel_options channel_options = {.size = sizeof(channel_options),
                                                   .tls = &c->call_tls};
    struct crpc_channel *channel = NULL;
    const char *why =
        check_tls_client(options->call_tls_ca, options->call_tls_cert, options->call_tls_key);
    if (why != NULL)
        return refusal_set(no, TERCET_TLS, "calls (call_tls_...): %s", why);
    if (options->call_tls_ca == NULL)
        return 0;
    c->calls_with_tls = true;
    c->call_tls = (struct crpc_tls){.size = sizeof(c->call_tls),
                                    .ca = copy_pem(options->call_tls_ca),
                                    .cert = copy_pem(options->call_tls_cert),
                                    .key = copy_pem(options->call_tls_key)};
    if (crpc_channel_new(&channel, c->loop, "127.0.0.1:1", &channel_options) != 0)
        return refusal_set(
            no, TERCET_TLS,
            "the certificates or the key for calls (--call-tls-ca, -cert, -key) cannot be "
            "used: PEM is wanted");
    crpc_channel_free(channel);
    return 0;
}

static void free_call_tls(struct coordinator *c)
{
    free((void *)c->call_tls.ca);
    free((void *)c->call_tls.cert);
    free((void *)c->call_tls.key);
}

/* Why one host:port cannot be listened at, as errno; 0: nobody knows (any more). */
static int probe(const char *address)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *info = NULL;
    const char *colon = strrchr(address, ':');
    char host[256];
    int on = 1, error = 0;
    const size_t brackets = address[0] == '[' ? 1 : 0;
    if (strncmp(address, "unix:", 5) == 0 || colon == NULL || colon < address + 2 * brackets)
        return 0;
    snprintf(host, sizeof(host), "%.*s", (int)((size_t)(colon - address) - 2 * brackets),
             address + brackets);
    if (getaddrinfo(host, colon + 1, &hints, &info) != 0)
        return 0;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd >= 0 && bind(fd, info->ai_addr, info->ai_addrlen) != 0)
        error = errno;
    if (fd >= 0)
        close(fd);
    freeaddrinfo(info);
    return error;
}

/* What is in the way there, and what to do. */
static const char *explain_listen(const char *address, int rc)
{
    switch (rc == CRPC_EADDRESS ? probe(address) : 0) {
    case EADDRINUSE:
        return "it is in use, perhaps by another tercetd (ss -ltnp tells): stop that, or take "
               "another, such as 127.0.0.1:0 for a free port";
    case EACCES:
        return "it is not permitted: a port below 1024 wants root or CAP_NET_BIND_SERVICE";
    case EADDRNOTAVAIL:
        return "this machine has no such address";
    default:
        return crpc_strerror(rc);
    }
}

static int listen_at(struct coordinator *c, const char *address, const struct crpc_tls *tls,
                     struct refusal *no)
{
    int rc = crpc_server_listen(c->server, address, tls, NULL);
    if (rc != 0)
        return refusal_set(no, error_of_crpc(rc), "cannot listen on %s: %s", address,
                           explain_listen(address, rc));
    return 0;
}

/* Connections were refused or cut. */
static void on_notice(const char *text, void *ctx)
{
    coordinator_log_of(ctx, LOG_CONNECTIONS, TERCET_LOG_WARNING, "%s", text);
}

/* Streams are calls, too, and others shall have room beside them. */
static uint32_t calls_per_peer_max(const struct tercet_coordinator_options *options)
{
    uint32_t streams_max = options->streams_per_peer_max;
    return streams_max > UINT32_MAX - CONCURRENT_CALLS_MAX ? UINT32_MAX
                                                           : streams_max + CONCURRENT_CALLS_MAX;
}

static int open_server(struct coordinator *c, struct refusal *no)
{
    struct crpc_tls tls;
    struct crpc_server_options options = {
        .size = sizeof(options),
        .message_size_max = TERCET_MESSAGE_MAX,
        .concurrent_streams_max = CONCURRENT_CALLS_MAX,
        .authorize = access_authorize,
        .authorize_ctx = c->access,
        .connections_max = c->options.connections_max,
        .connections_per_peer_max = c->options.connections_per_peer_max,
        .connection_rate_per_peer = c->options.connection_rate_per_peer,
        .calls_per_peer_max = calls_per_peer_max(&c->options),
        .first_request_ms = c->options.first_request_ms,
        .idle_ms = c->options.connection_idle_ms,
        .age_max_ms = c->options.connection_age_max_ms,
        .on_notice = on_notice,
        .notice_ctx = c};
    int rc = crpc_server_new(&c->server, c->loop, &options);
    if (rc == 0)
        rc = rpc_add_services(c);
    if (rc != 0)
        return refusal_set(no, error_of_crpc(rc), "%s", crpc_strerror(rc));
    for (size_t i = 0; i < c->options.listen_count && rc == 0; i++)
        rc = listen_at(c, c->options.listen[i], tls_of(&c->options, &tls), no);
    if (rc == 0 && c->options.own_socket != NULL)
        rc = listen_at(c, c->options.own_socket, NULL, no);
    return rc;
}

/* -- Traces ------------------------------------------------------------------------------------ */

#define SPANS_BYTES_MAX ((size_t)16 << 20)
#define SPANS_SHARE 32 /* of --memory-max */

static void on_trace_line(enum tercet_log_level level, const char *text, void *ctx)
{
    coordinator_log_of(ctx, LOG_CONNECTIONS, level, "%s", text);
}

static size_t span_bytes(uint64_t memory_max)
{
    const uint64_t share = memory_max / SPANS_SHARE;
    return memory_max == 0 || share > SPANS_BYTES_MAX ? SPANS_BYTES_MAX : (size_t)share;
}

static int open_traces(struct coordinator *c, struct refusal *no)
{
    char instance[2 * sizeof(uint64_t) + 1];
    const struct tercet_coordinator_options *options = &c->options;
    const struct otlp_options otlp = {.url = options->otlp,
                                      .ca = options->otlp_ca,
                                      .headers = options->otlp_headers,
                                      .version = TERCET_VERSION,
                                      .instance = instance,
                                      .on_log = on_trace_line,
                                      .log_ctx = c};
    if (options->otlp == NULL)
        return 0;
    snprintf(instance, sizeof(instance), "%016llx",
             (unsigned long long)coordinator_home(c)->source);
    spans_init(&c->span_queue, span_bytes(options->memory_max));
    int rc = otlp_open(&c->otlp, c->loop, &c->span_queue, &otlp, no);
    if (rc != 0) {
        spans_destroy(&c->span_queue);
        return rc;
    }
    c->spans = &c->span_queue;
    trace_set_sample(c, options->trace_sample == 0 ? 1 : options->trace_sample);
    return 0;
}

/* After the owner has ended. */
static void close_traces(struct coordinator *c)
{
    if (c->spans == NULL)
        return;
    otlp_close(c->otlp);
    spans_destroy(c->spans);
    c->spans = NULL;
}

/* -- Opening and closing ----------------------------------------------------------------------- */

/* Everything that was opened, in reverse; for a failed open and at the end of a close. */
static void tear_down(struct tercet_coordinator *coordinator)
{
    struct coordinator *c = &coordinator->c;
    crpc_server_free(c->server);
    streams_destroy(&c->streams);
    close_stores(c);
    engine_clear(c);
    close_traces(c);
    crpc_loop_free(c->loop);
    access_free(c->access);
    free_call_tls(c);
    free(coordinator);
}

static int open_parts(struct coordinator *c, struct refusal *no)
{
    const struct crpc_loop_options loop_options = {
        .size = sizeof(loop_options),
        .threads = c->options.rpc_threads > 0 ? c->options.rpc_threads : RPC_THREADS_DEFAULT};
    int rc = check_addresses(&c->options, no);
    if (rc == 0)
        rc = check_server_tls(&c->options, no);
    if (rc == 0)
        rc = check_store_size(&c->options, no);
    if (rc == 0)
        rc = check_memory(&c->options, no);
    if (rc == 0)
        rc = take_log_levels(c, no);
    if (rc == 0)
        rc = access_new(&c->access, c->options.access, no);
    if (rc == 0 && c->options.is_health_guarded)
        access_guard_health(c->access);
    if (rc == 0)
        access_believe(c->access, c->options.own_secret);
    if (rc == 0 && crpc_loop_new(&c->loop, &loop_options) != 0)
        rc = refusal_set(no, TERCET_NOMEM, "cannot start the RPC threads");
    if (rc == 0)
        rc = take_call_tls(c, no);
    if (rc == 0)
        rc = open_store(c, no);
    if (rc == 0)
        rc = open_traces(c, no);
    if (rc == 0)
        rc = restore_all(c, no);
    if (rc == 0)
        rc = open_server(c, no);
    return rc;
}

static void stop_committers(struct coordinator *c, size_t count)
{
    for (size_t i = 0; i < count; i++)
        batcher_stop(&c->shards[i]);
}

static int start_committers(struct coordinator *c)
{
    int rc = 0;
    for (size_t i = 0; i < c->shard_count && rc == 0; i++) {
        rc = batcher_start(&c->shards[i], &c->queue);
        if (rc != 0)
            stop_committers(c, i);
    }
    return rc;
}

/* The committer, then the owner, then the door. */
static int start_parts(struct coordinator *c, struct refusal *no)
{
    int rc = start_committers(c);
    if (rc != 0)
        return refusal_set(no, rc, "cannot start the committer's thread");
    rc = loop_start(c);
    if (rc != 0) {
        stop_committers(c, c->shard_count);
        return refusal_set(no, rc, "cannot start the owner's thread");
    }
    rc = crpc_server_start(c->server);
    if (rc == 0)
        return 0;
    loop_stop(c);
    stop_committers(c, c->shard_count);
    return refusal_set(no, error_of_crpc(rc), "%s", crpc_strerror(rc));
}

static size_t open_count(const struct coordinator *c)
{
    size_t count = 0;
    for (size_t i = 0; i < c->shard_count; i++)
        count += c->shards[i].table.count;
    return count;
}

int tercet_coordinator_open(struct tercet_coordinator **out,
                            const struct tercet_coordinator_options *options, char *text)
{
    static const char *const default_listen[] = {LISTEN_DEFAULT};
    struct refusal no;
    if (options == NULL || options->data == NULL) {
        refusal_set(&no, TERCET_INVALID, "options.data is needed: the directory of the store");
        return refusal_tell(&no, text);
    }
    struct tercet_coordinator *coordinator = calloc(1, sizeof(*coordinator));
    if (coordinator == NULL) {
        refusal_set_plain(&no, TERCET_NOMEM);
        return refusal_tell(&no, text);
    }
    struct coordinator *c = &coordinator->c;
    streams_init(&c->streams);
    engine_init(c, options, clock_monotonic_ms(), clock_wall_ms());
    if (c->options.listen_count == 0) {
        c->options.listen = default_listen;
        c->options.listen_count = 1;
    }
    int rc = open_parts(c, &no);
    if (rc == 0) {
        coordinator_log(c, TERCET_LOG_INFO, "%zu unresolved transactions were found in the store",
                        open_count(c));
        rc = start_parts(c, &no);
    }
    if (rc != 0) {
        tear_down(coordinator);
        return refusal_tell(&no, text);
    }
    *out = coordinator;
    return 0;
}

int tercet_coordinator_set_access(struct tercet_coordinator *coordinator, const char *access,
                                  char *text)
{
    struct refusal no;
    int rc = access_replace(coordinator->c.access, access, &no);
    return rc == 0 ? 0 : refusal_tell(&no, text);
}

int tercet_coordinator_set_log_levels(struct tercet_coordinator *coordinator, const char *levels,
                                      char *text)
{
    struct refusal no;
    int rc = loglevel_set(&coordinator->c.loglevel, levels, &no);
    return rc == 0 ? 0 : refusal_tell(&no, text);
}

int tercet_coordinator_set_tls(struct tercet_coordinator *coordinator, const char *tls_ca,
                               const char *tls_cert, const char *tls_key, char *text)
{
    struct refusal no;
    const struct crpc_tls tls = {
        .size = sizeof(tls), .ca = tls_ca, .cert = tls_cert, .key = tls_key};
    int rc = refusal_if(&no, TERCET_TLS, check_tls_server(tls_ca, tls_cert, tls_key));
    if (rc != 0)
        return refusal_tell(&no, text);
    rc = crpc_server_set_tls(coordinator->c.server, &tls);
    if (rc == 0)
        return 0;
    refusal_set(&no, rc == CRPC_ENOMEM ? TERCET_NOMEM : TERCET_TLS, "%s",
                rc == CRPC_EINVAL ? "TLS, or the CA for clients, cannot come or go while it runs"
                                  : crpc_strerror(rc));
    return refusal_tell(&no, text);
}

int tercet_coordinator_metrics(struct tercet_coordinator *coordinator, tercet_metric_fn each,
                               void *ctx)
{
    return expose_visit(&coordinator->c, each, ctx);
}

void tercet_coordinator_health(struct tercet_coordinator *coordinator,
                               struct tercet_coordinator_health *out)
{
    struct coordinator *c = &coordinator->c;
    const struct tercet_coordinator_health health = {
        .size = out->size,
        .held_up_ms = pulse_held_up_ms(&c->pulse, clock_monotonic_ms()),
        .has_failed = atomic_load(&c->has_failed),
        .is_accepting = atomic_load(&c->pulse.is_accepting),
    };
    memcpy(out, &health, out->size < sizeof(health) ? out->size : sizeof(health));
}

const char *tercet_coordinator_address(const struct tercet_coordinator *coordinator, size_t i)
{
    const char *address = crpc_server_address(coordinator->c.server, i);
    const char *own = coordinator->c.options.own_socket;
    return address != NULL && own != NULL && strcmp(address, own) == 0 ? NULL : address;
}

void tercet_coordinator_close(struct tercet_coordinator *coordinator, uint32_t grace_ms)
{
    if (coordinator == NULL)
        return;
    struct coordinator *c = &coordinator->c;
    int64_t until_ms = clock_monotonic_ms() + grace_ms;
    crpc_server_health_set(c->server, "", false);
    loop_drain(c, until_ms);
    clerk_close(&c->clerk);
    streams_end(&c->streams);
    int64_t left_ms = atomic_load(&c->has_failed) ? 0 : until_ms - clock_monotonic_ms();
    crpc_server_stop(c->server, left_ms > 0 ? (uint32_t)left_ms : 0);
    loop_stop(c);
    stop_committers(c, c->shard_count);
    tear_down(coordinator);
}
