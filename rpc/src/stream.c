/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocking streams over the callback form: one thread may wait in read, one in write.
 */
#include "call.h"
#include "result.h"
#include "util.h"

#include <assert.h>
#include <stdlib.h>

struct crpc_stream {
    struct crpc_call *call;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    grpc_slice message;
    bool has_message;
    bool is_out;  /* no more messages */
    bool is_sent; /* the send under way is done */
    bool is_draining;
    bool has_ended;
};

static void on_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    struct crpc_stream *stream = ctx;
    (void)bytes;
    pthread_mutex_lock(&stream->lock);
    bool is_draining = stream->is_draining;
    if (!is_draining) {
        assert(!stream->has_message);
        stream->message = call_message_steal(call);
        stream->has_message = true;
        pthread_cond_broadcast(&stream->changed);
    }
    pthread_mutex_unlock(&stream->lock);
    if (is_draining)
        crpc_call_read(call);
}

static void on_half_closed(struct crpc_call *call, void *ctx)
{
    struct crpc_stream *stream = ctx;
    (void)call;
    pthread_mutex_lock(&stream->lock);
    stream->is_out = true;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
}

static void on_sent(struct crpc_call *call, bool ok, void *ctx)
{
    struct crpc_stream *stream = ctx;
    (void)call;
    if (!ok)
        return; /* on_end follows */
    pthread_mutex_lock(&stream->lock);
    stream->is_sent = true;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
}

static void on_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct crpc_stream *stream = ctx;
    (void)call;
    (void)status;
    pthread_mutex_lock(&stream->lock);
    stream->has_ended = true;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
}

static void stream_free(struct crpc_stream *stream)
{
    if (stream->has_message)
        grpc_slice_unref(stream->message);
    pthread_cond_destroy(&stream->changed);
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

int crpc_stream_open(struct crpc_stream **out, struct crpc_channel *channel,
                     const ProtobufCServiceDescriptor *service, const char *method,
                     const struct crpc_call_options *options)
{
    static const struct crpc_call_events events = {.on_message = on_message,
                                                   .on_half_closed = on_half_closed,
                                                   .on_sent = on_sent,
                                                   .on_end = on_end};
    struct crpc_stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL)
        return CRPC_ENOMEM;
    pthread_mutex_init(&stream->lock, NULL);
    condition_init(&stream->changed);
    int rc = crpc_call_open(&stream->call, channel, service, method, options, &events, stream);
    if (rc != 0) {
        stream_free(stream);
        return rc;
    }
    *out = stream;
    return 0;
}

int crpc_stream_write(struct crpc_stream *stream, const ProtobufCMessage *message)
{
    loop_assert_may_block();
    pthread_mutex_lock(&stream->lock);
    stream->is_sent = false;
    pthread_mutex_unlock(&stream->lock);
    int rc = crpc_call_send(stream->call, message);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&stream->lock);
    while (!stream->is_sent && !stream->has_ended)
        pthread_cond_wait(&stream->changed, &stream->lock);
    rc = stream->is_sent ? 0 : CRPC_ECLOSED;
    pthread_mutex_unlock(&stream->lock);
    return rc;
}

int crpc_stream_half_close(struct crpc_stream *stream)
{
    return crpc_call_half_close(stream->call);
}

/* Waits for the message asked for. *out is the caller's. */
static int message_wait(grpc_slice *out, struct crpc_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    while (!stream->has_message && !stream->is_out && !stream->has_ended)
        pthread_cond_wait(&stream->changed, &stream->lock);
    int rc = stream->has_message ? 0 : CRPC_END;
    if (stream->has_message)
        *out = stream->message;
    stream->has_message = false;
    pthread_mutex_unlock(&stream->lock);
    return rc;
}

int crpc_stream_read(ProtobufCMessage **out, struct crpc_stream *stream)
{
    grpc_slice slice;

    loop_assert_may_block();
    int rc = crpc_call_read(stream->call);
    if (rc != 0)
        return rc == CRPC_ECLOSED ? CRPC_END : rc;
    rc = message_wait(&slice, stream);
    if (rc != 0)
        return rc;
    rc = crpc_message_decode(out, stream->call->receive_type, slice_bytes(&slice), 0);
    grpc_slice_unref(slice);
    return rc;
}

/* The status lies behind the messages that were not read: reads and drops them. */
static void drain(struct crpc_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->is_draining = true;
    pthread_mutex_unlock(&stream->lock);
    crpc_call_half_close(stream->call);
    crpc_call_read(stream->call);
    pthread_mutex_lock(&stream->lock);
    while (!stream->has_ended)
        pthread_cond_wait(&stream->changed, &stream->lock);
    pthread_mutex_unlock(&stream->lock);
}

int crpc_stream_finish(struct crpc_stream *stream, struct crpc_result *result_out)
{
    struct crpc_status status;

    if (loop_is_forked())
        return CRPC_EFORKED;
    loop_assert_may_block();
    drain(stream);
    call_status(stream->call, &status);
    result_fill(result_out, &status);
    crpc_call_unref(stream->call);
    stream_free(stream);
    return status.code == CRPC_OK ? 0 : CRPC_ESTATUS;
}

void crpc_stream_cancel(struct crpc_stream *stream)
{
    crpc_call_cancel(stream->call);
}
