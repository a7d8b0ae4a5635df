/* SPDX-License-Identifier: Apache-2.0
 *
 * A channel, and the calls under way on it.
 */
#ifndef CRPC_CHANNEL_H
#define CRPC_CHANNEL_H

#include "call.h"

struct crpc_channel {
    struct crpc_loop *loop;
    grpc_channel *core;
    size_t message_size_max;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct crpc_call *calls;
    bool is_closing;
};

/* What a call needs to be made. */
struct call_recipe {
    struct crpc_channel *channel;
    const ProtobufCServiceDescriptor *service;
    const char *method;
    const struct crpc_call_options *options;
    struct crpc_call_events events;
    void *ctx;
};

/* Starts a unary call, everything in one batch; on_end comes when all is over and the reply is in
 * call->message. *out, if wanted, is set before a callback can come. */
int client_unary_start(struct crpc_call **out, const struct call_recipe *recipe,
                       const ProtobufCMessage *request);

/* Adds a call to its channel. Errors: CRPC_ECLOSED. */
int channel_call_add(struct crpc_channel *channel, struct crpc_call *call);

#endif
