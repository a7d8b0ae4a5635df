/* SPDX-License-Identifier: Apache-2.0
 *
 * Channels.
 */
#include "channel.h"

#include "args.h"
#include "tls.h"
#include "util.h"

#include <assert.h>
#include <grpc/grpc_security.h>
#include <stdlib.h>

#define MESSAGE_SIZE_DEFAULT (4 * 1024 * 1024)
#define METADATA_SIZE_MAX (16 * 1024)
/* A gRPC server of any language permits a ping every five minutes unless it is told otherwise, and
 * drops who pings more often. */
#define KEEPALIVE_MS_DEFAULT 330000
#define KEEPALIVE_TIMEOUT_MS_DEFAULT 10000
#define RECONNECT_MS_MIN 100
#define RESOLVE_MS_MIN 500 /* gRPC would not ask DNS again for 30 s */
#define CONNECT_TIMEOUT_MS 5000
#define RECONNECT_MS_DEFAULT 250

/* How connections are made and kept. */
static void add_connection_args(struct args *args, const struct crpc_channel_options *options)
{
    uint32_t reconnect_ms =
        options->reconnect_ms > 0 ? options->reconnect_ms : RECONNECT_MS_DEFAULT;
    uint32_t first_ms = reconnect_ms < RECONNECT_MS_MIN ? reconnect_ms : RECONNECT_MS_MIN;

    args_add(args, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, first_ms);
    /* In spite of its name this is how long an attempt may take: a TLS handshake with a busy or
     * distant server takes a while. The pauses after a refusal are those above and below. */
    args_add(args, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_TIMEOUT_MS);
    args_add(args, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, reconnect_ms);
    args_add(args, GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, RESOLVE_MS_MIN);
    args_add(args, GRPC_ARG_KEEPALIVE_TIME_MS,
             (size_t)interval_ms(options->keepalive_ms, KEEPALIVE_MS_DEFAULT));
    args_add(args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
             (size_t)interval_ms(options->keepalive_timeout_ms, KEEPALIVE_TIMEOUT_MS_DEFAULT));
    args_add(args, GRPC_ARG_ENABLE_HTTP_PROXY, options->use_proxy);
    if (options->own_connection)
        args_add(args, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
}

static grpc_channel *core_new(const char *target, grpc_channel_credentials *credentials,
                              const struct crpc_channel_options *options,
                              const struct crpc_tls *tls)
{
    struct args args = {.count = 0};

    args_add_common(&args, options->message_size_max, METADATA_SIZE_MAX,
                    options->stream_window_size);
    if (options->compresses)
        args_add(&args, GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM, GRPC_COMPRESS_GZIP);
    args_add(&args, GRPC_ARG_ENABLE_RETRIES, 0); /* a fifth of the CPU time (measured) */
    add_connection_args(&args, options);
    if (tls->server_name != NULL)
        args_add_text(&args, GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, tls->server_name);
    grpc_channel_args core_args = {args.count, args.list};
    return grpc_channel_create(target, credentials, &core_args);
}

int crpc_channel_new(struct crpc_channel **out, struct crpc_loop *loop, const char *target,
                     const struct crpc_channel_options *given)
{
    struct crpc_channel_options options;
    struct crpc_tls tls;
    grpc_channel_credentials *credentials;

    if (loop == NULL || target == NULL || options_copy(&options, sizeof(options), given) != 0 ||
        options_copy(&tls, sizeof(tls), options.tls) != 0)
        return CRPC_EINVAL;
    if (options.message_size_max == 0)
        options.message_size_max = MESSAGE_SIZE_DEFAULT;
    if (loop_is_forked())
        return CRPC_EFORKED;
    int rc = tls_channel_credentials(&credentials, options.tls);
    if (rc != 0)
        return rc;
    struct crpc_channel *channel = calloc(1, sizeof(*channel));
    if (channel != NULL) {
        channel->loop = loop;
        channel->message_size_max = options.message_size_max;
        atomic_fetch_add(&loop->owners, 1);
        pthread_mutex_init(&channel->lock, NULL);
        condition_init(&channel->changed);
        channel->core = core_new(target, credentials, &options, &tls);
        assert(channel->core != NULL);
        *out = channel;
    }
    grpc_channel_credentials_release(credentials);
    return channel != NULL ? 0 : CRPC_ENOMEM;
}

void crpc_channel_free(struct crpc_channel *channel)
{
    if (channel == NULL || loop_is_forked())
        return;
    loop_assert_may_block();
    pthread_mutex_lock(&channel->lock);
    channel->is_closing = true;
    for (struct crpc_call *call = channel->calls; call != NULL; call = call->next)
        crpc_call_cancel(call);
    while (channel->calls != NULL)
        pthread_cond_wait(&channel->changed, &channel->lock);
    pthread_mutex_unlock(&channel->lock);
    grpc_channel_destroy(channel->core);
    atomic_fetch_sub(&channel->loop->owners, 1);
    pthread_cond_destroy(&channel->changed);
    pthread_mutex_destroy(&channel->lock);
    free(channel);
}

int channel_call_add(struct crpc_channel *channel, struct crpc_call *call)
{
    pthread_mutex_lock(&channel->lock);
    bool is_open = !channel->is_closing;
    if (is_open) {
        call->next = channel->calls;
        if (channel->calls != NULL)
            channel->calls->prev = call;
        channel->calls = call;
    }
    pthread_mutex_unlock(&channel->lock);
    return is_open ? 0 : CRPC_ECLOSED;
}

void channel_call_gone(struct crpc_channel *channel, struct crpc_call *call)
{
    pthread_mutex_lock(&channel->lock);
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        channel->calls = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    pthread_cond_broadcast(&channel->changed);
    pthread_mutex_unlock(&channel->lock);
}
