/* SPDX-License-Identifier: Apache-2.0
 *
 * Client calls: made, started, and what their status says.
 */
#include "channel.h"

#include "methods.h"
#include "util.h"

#include <grpc/support/time.h>
#include <stdlib.h>
#include <string.h>

static gpr_timespec deadline_of(const struct crpc_call_options *options)
{
    if (options->timeout_ms <= 0)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_millis(options->timeout_ms, GPR_TIMESPAN));
}

static int options_read(struct crpc_call_options *out, const struct crpc_call_options *given)
{
    if (options_copy(out, sizeof(*out), given) != 0 || out->timeout_ms < 0 ||
        (out->metadata == NULL && out->metadata_count > 0))
        return CRPC_EINVAL;
    return 0;
}

static int metadata_take(struct crpc_call *call, const struct crpc_call_options *options)
{
    int rc = 0;
    for (size_t i = 0; i < options->metadata_count && rc == 0; i++)
        rc = metadata_add(&call->headers_out, &options->metadata[i]);
    return rc;
}

static void core_create(struct crpc_call *call, const struct call_recipe *recipe)
{
    struct crpc_channel *channel = recipe->channel;
    grpc_slice path = grpc_slice_from_copied_string(call->path);
    call->core =
        grpc_channel_create_call(channel->core, NULL, GRPC_PROPAGATE_DEFAULTS,
                                 loop_next_queue(channel->loop), path, NULL, call->deadline, NULL);
    grpc_slice_unref(path);
}

static struct crpc_call *call_alloc(const struct call_recipe *recipe,
                                    const ProtobufCMethodDescriptor *method)
{
    char *path = method_path(recipe->service, method);
    struct crpc_call *call = path != NULL ? call_new(path, strlen(path)) : NULL;
    free(path);
    if (call == NULL)
        return NULL;
    call->channel = recipe->channel;
    call->message_size_max = recipe->channel->message_size_max;
    call->is_stream = true;
    call->send_type = method->input;
    call->receive_type = method->output;
    call->events = recipe->events;
    call->ctx = recipe->ctx;
    return call;
}

/* A call that is not started, counted in its channel. Errors: CRPC_EINVAL, CRPC_ENOMEM,
 * CRPC_ECLOSED, CRPC_EFORKED. */
static int call_make(struct crpc_call **out, uint32_t *flags_out, const struct call_recipe *recipe)
{
    struct crpc_call_options options;

    if (loop_is_forked())
        return CRPC_EFORKED;
    if (recipe->channel == NULL || recipe->service == NULL || recipe->method == NULL ||
        options_read(&options, recipe->options) != 0)
        return CRPC_EINVAL;
    const ProtobufCMethodDescriptor *method =
        protobuf_c_service_descriptor_get_method_by_name(recipe->service, recipe->method);
    if (method == NULL)
        return CRPC_EINVAL;
    struct crpc_call *call = call_alloc(recipe, method);
    if (call == NULL)
        return CRPC_ENOMEM;
    call->deadline = deadline_of(&options);
    int rc = metadata_take(call, &options);
    if (rc == 0)
        core_create(call, recipe);
    if (rc == 0)
        rc = channel_call_add(recipe->channel, call);
    if (rc != 0) {
        call_discard(call);
        return rc;
    }
    *out = call;
    *flags_out = options.wait_for_ready ? GRPC_INITIAL_METADATA_WAIT_FOR_READY |
                                              GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET
                                        : 0;
    return 0;
}

static void headers_take(struct crpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    if (!call->is_headers_in) {
        metadata_in_copy(&call->headers_in, &call->headers_array);
        call->is_headers_in = true;
    }
    pthread_mutex_unlock(&call->lock);
}

static void headers_done(struct tag *tag, bool is_ok)
{
    struct crpc_call *call = TAG_OWNER(tag, struct crpc_call, headers_tag);
    if (is_ok) {
        headers_take(call);
        if (call->events.on_headers != NULL)
            call->events.on_headers(call, call->ctx);
    }
    call_tag_done(call);
}

static void status_take(struct crpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    metadata_in_copy(&call->trailers_in, &call->trailers_array);
    call->text_in = text_copy(GRPC_SLICE_START_PTR(call->text), GRPC_SLICE_LENGTH(call->text));
    call->is_over = true;
    pthread_mutex_unlock(&call->lock);
}

static void status_done(struct tag *tag, bool is_ok)
{
    struct crpc_call *call = TAG_OWNER(tag, struct crpc_call, end_tag);
    (void)is_ok;
    status_take(call);
    call_tag_done(call);
}

static void headers_send_op(grpc_op *op, const struct crpc_call *call, uint32_t flags)
{
    op->op = GRPC_OP_SEND_INITIAL_METADATA;
    op->flags = flags;
    op->data.send_initial_metadata.count = call->headers_out.count;
    op->data.send_initial_metadata.metadata = call->headers_out.entries;
}

static void headers_receive_op(grpc_op *op, struct crpc_call *call)
{
    op->op = GRPC_OP_RECV_INITIAL_METADATA;
    op->data.recv_initial_metadata.recv_initial_metadata = &call->headers_array;
}

static void status_receive_op(grpc_op *op, struct crpc_call *call)
{
    op->op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    op->data.recv_status_on_client.trailing_metadata = &call->trailers_array;
    op->data.recv_status_on_client.status = &call->code;
    op->data.recv_status_on_client.status_details = &call->text;
}

/* Hands out the reference, if one is wanted, and counts the tags, before a callback can come. */
static void start_prepare(struct crpc_call **out, struct crpc_call *call, unsigned tag_count)
{
    if (out != NULL) {
        crpc_call_ref(call);
        *out = call;
    }
    pthread_mutex_lock(&call->lock);
    for (unsigned i = 0; i < tag_count; i++)
        call_tag_expect(call);
    pthread_mutex_unlock(&call->lock);
}

int crpc_call_open(struct crpc_call **out, struct crpc_channel *channel,
                   const ProtobufCServiceDescriptor *service, const char *method,
                   const struct crpc_call_options *options, const struct crpc_call_events *events,
                   void *ctx)
{
    static const struct crpc_call_events no_events = {.on_end = NULL};
    struct call_recipe recipe = {
        channel, service, method, options, events != NULL ? *events : no_events, ctx};
    struct crpc_call *call;
    grpc_op ops[2];
    uint32_t flags;

    int rc = call_make(&call, &flags, &recipe);
    if (rc != 0)
        return rc;
    memset(ops, 0, sizeof(ops));
    headers_send_op(&ops[0], call, flags);
    status_receive_op(&ops[1], call);
    call->end_tag.done = status_done;
    call->headers_tag.done = headers_done;
    start_prepare(out, call, 2);
    call_batch(call, ops, 2, &call->end_tag);
    memset(ops, 0, sizeof(ops));
    headers_receive_op(&ops[0], call);
    call_batch(call, ops, 1, &call->headers_tag);
    return 0;
}

static void status_replace(struct crpc_call *call, grpc_status_code code, const char *text)
{
    call->code = code;
    free(call->text_in);
    call->text_in = strdup(text);
}

/* Everything is in. A call that failed has no reply, whatever was received before. */
static void unary_done(struct tag *tag, bool is_ok)
{
    struct crpc_call *call = TAG_OWNER(tag, struct crpc_call, end_tag);
    grpc_byte_buffer *reply = call->incoming;

    (void)is_ok;
    call->incoming = NULL;
    headers_take(call);
    status_take(call);
    if (reply != NULL && call->code == GRPC_STATUS_OK) {
        if (call_message_take(call, reply) != 0)
            status_replace(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
                           "the compressed reply cannot be inflated, or is too large then");
    } else if (reply != NULL) {
        grpc_byte_buffer_destroy(reply);
    } else if (call->code == GRPC_STATUS_OK) {
        status_replace(call, GRPC_STATUS_INTERNAL, "the server ended the call without a reply");
    }
    call_tag_done(call);
}

static void unary_batch(struct crpc_call *call, uint32_t flags, grpc_slice request)
{
    grpc_op ops[6];
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&request, 1);

    memset(ops, 0, sizeof(ops));
    headers_send_op(&ops[0], call, flags);
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = buffer;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    headers_receive_op(&ops[3], call);
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &call->incoming;
    status_receive_op(&ops[5], call);
    call_batch(call, ops, 6, &call->end_tag);
    grpc_byte_buffer_destroy(buffer);
}

int client_unary_start(struct crpc_call **out, const struct call_recipe *recipe,
                       const ProtobufCMessage *request)
{
    struct crpc_call *call;
    uint32_t flags;
    size_t size = 0;

    int rc = call_make(&call, &flags, recipe);
    if (rc != 0)
        return rc;
    rc = message_measure(&size, request, call->send_type);
    if (rc != 0) {
        channel_call_gone(recipe->channel, call);
        call_discard(call);
        return rc;
    }
    call->end_tag.done = unary_done;
    call->is_closing = true;
    call->is_read_out = true;
    start_prepare(out, call, 1);
    grpc_slice slice = message_encode(request, size);
    unary_batch(call, flags, slice);
    grpc_slice_unref(slice);
    return 0;
}
