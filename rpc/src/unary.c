/* SPDX-License-Identifier: Apache-2.0
 *
 * Unary calls of a client, blocking and with a callback.
 */
#include "channel.h"
#include "result.h"
#include "util.h"

#include <stdlib.h>

/* -- Blocking: the waiter decodes, so the poller only signals ---------------------------------- */

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool has_ended;
    bool has_reply;
    grpc_slice reply;
};

static void on_waited_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct waiter *waiter = ctx;
    pthread_mutex_lock(&waiter->lock);
    waiter->has_ended = true;
    waiter->has_reply = status->code == CRPC_OK;
    if (waiter->has_reply)
        waiter->reply = call_message_steal(call);
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->lock);
}

static void waiter_wait(struct waiter *waiter)
{
    pthread_mutex_lock(&waiter->lock);
    while (!waiter->has_ended)
        pthread_cond_wait(&waiter->changed, &waiter->lock);
    pthread_mutex_unlock(&waiter->lock);
}

int crpc_unary(ProtobufCMessage **reply, struct crpc_channel *channel,
               const ProtobufCServiceDescriptor *service, const char *method,
               const ProtobufCMessage *request, const struct crpc_call_options *options,
               struct crpc_result *result_out)
{
    struct waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct call_recipe recipe = {channel, service, method, options, {.on_end = on_waited_end},
                                 &waiter};
    struct crpc_status status;
    struct crpc_call *call;

    loop_assert_may_block();
    if (reply == NULL)
        return CRPC_EINVAL;
    int result = client_unary_start(&call, &recipe, request);
    if (result != 0)
        return result;
    waiter_wait(&waiter);
    call_status(call, &status);
    result = CRPC_ESTATUS;
    if (waiter.has_reply) {
        result = crpc_message_decode(reply, call->receive_type, slice_bytes(&waiter.reply), 0);
        grpc_slice_unref(waiter.reply);
    }
    result_fill(result_out, &status);
    crpc_call_unref(call);
    return result;
}

/* -- With a callback --------------------------------------------------------------------------- */

struct unary {
    crpc_unary_fn done;
    void *ctx;
};

static void on_unary_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct unary *unary = ctx;
    struct crpc_status outcome = *status;
    ProtobufCMessage *reply = NULL;

    int rc = outcome.code != CRPC_OK
                 ? 0
                 : crpc_message_decode(&reply, call->receive_type, slice_bytes(&call->message), 0);
    if (rc != 0) {
        outcome.code = rc == CRPC_ENOMEM ? CRPC_RESOURCE_EXHAUSTED : CRPC_INTERNAL;
        outcome.message = crpc_strerror(rc);
    }
    unary->done(reply, &outcome, unary->ctx);
    crpc_message_free(reply);
    free(unary);
}

int crpc_unary_start(struct crpc_call **out, struct crpc_channel *channel,
                     const ProtobufCServiceDescriptor *service, const char *method,
                     const ProtobufCMessage *request, const struct crpc_call_options *options,
                     crpc_unary_fn done, void *ctx)
{
    if (done == NULL)
        return CRPC_EINVAL;
    struct unary *unary = malloc(sizeof(*unary));
    if (unary == NULL)
        return CRPC_ENOMEM;
    *unary = (struct unary){done, ctx};
    struct call_recipe recipe = {channel, service, method, options, {.on_end = on_unary_end},
                                 unary};
    int rc = client_unary_start(out, &recipe, request);
    if (rc != 0)
        free(unary);
    return rc;
}
