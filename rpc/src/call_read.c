/* SPDX-License-Identifier: Apache-2.0
 *
 * Receiving: one read at a time, asked for by the user.
 */
#include "call.h"

#include "gate.h"
#include "inflate.h"

#include <assert.h>
#include <grpc/byte_buffer_reader.h>

struct crpc_bytes slice_bytes(const grpc_slice *slice)
{
    return (struct crpc_bytes){GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice)};
}

int call_message_take(struct crpc_call *call, grpc_byte_buffer *buffer)
{
    grpc_byte_buffer_reader reader;
    int rc = 0;

    assert(!call->has_message && buffer->type == GRPC_BB_RAW);
    if (buffer->data.raw.compression != GRPC_COMPRESS_NONE) {
        rc = inflate_message(&call->message, buffer, call->message_size_max);
    } else if (buffer->data.raw.slice_buffer.count == 1) {
        call->message = grpc_slice_ref(buffer->data.raw.slice_buffer.slices[0]);
    } else {
        int is_readable = grpc_byte_buffer_reader_init(&reader, buffer);
        assert(is_readable);
        call->message = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    grpc_byte_buffer_destroy(buffer);
    call->has_message = rc == 0;
    return rc;
}

grpc_slice call_message_steal(struct crpc_call *call)
{
    assert(call->has_message);
    grpc_slice message = call->message;
    call->message = grpc_empty_slice();
    call->has_message = false;
    return message;
}

void call_message_clear(struct crpc_call *call)
{
    if (call->has_message)
        grpc_slice_unref(call_message_steal(call));
}

int crpc_call_read(struct crpc_call *call)
{
    if (loop_is_forked())
        return CRPC_EFORKED;
    pthread_mutex_lock(&call->lock);
    int rc = call->is_reading ? CRPC_EBUSY : 0;
    if (call->is_over || call->is_read_out)
        rc = CRPC_ECLOSED;
    if (rc == 0) {
        call->is_reading = true;
        call_tag_expect(call);
    }
    pthread_mutex_unlock(&call->lock);
    if (rc != 0)
        return rc;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->incoming};
    call_batch(call, &op, 1, &call->read_tag);
    return 0;
}

static enum crpc_code code_of(int error)
{
    return error == CRPC_EDECODE ? CRPC_INTERNAL : CRPC_RESOURCE_EXHAUSTED;
}

/* The message cannot be inflated: the call ends, on a client with CANCELLED. */
static void message_refuse(struct crpc_call *call, int error)
{
    bool is_request = call->on_request_read != NULL;
    call->on_request_read = NULL;
    if (!call->is_server)
        crpc_call_cancel(call);
    else if (error == CRPC_ETOOBIG)
        crpc_call_fail(call, code_of(error), "the message has more than %zu bytes once inflated",
                       call->message_size_max);
    else
        crpc_call_fail(call, code_of(error), "the compressed message cannot be inflated: %s",
                       crpc_strerror(error));
    if (is_request)
        call_handler_unref(call);
}

static void message_deliver(struct crpc_call *call, grpc_byte_buffer *buffer)
{
    size_t size = grpc_byte_buffer_length(buffer);
    int rc = call_message_take(call, buffer);
    call->has_read = true;
    connection_earned(call->connection, size + connection_frames_size(size));
    if (rc != 0) {
        message_refuse(call, rc);
        return;
    }
    if (call->on_request_read != NULL) {
        void (*on_request_read)(struct crpc_call *) = call->on_request_read;
        call->on_request_read = NULL;
        on_request_read(call);
    } else if (call->events.on_message != NULL) {
        call->events.on_message(call, slice_bytes(&call->message), call->ctx);
    }
    call_message_clear(call);
}

/* No message came: the peer has no more, or the call is failing and on_end will tell. */
static void half_close_deliver(struct crpc_call *call)
{
    if (call->on_request_read != NULL) {
        call->on_request_read = NULL;
        crpc_call_fail(call, CRPC_INTERNAL, "the client sent no request");
        call_handler_unref(call);
    } else if (call->events.on_half_closed != NULL) {
        call->events.on_half_closed(call, call->ctx);
    }
}

static void read_done(struct tag *tag, bool is_ok)
{
    struct crpc_call *call = TAG_OWNER(tag, struct crpc_call, read_tag);
    grpc_byte_buffer *buffer = call->incoming;

    call->incoming = NULL;
    pthread_mutex_lock(&call->lock);
    call->is_reading = false;
    if (buffer == NULL)
        call->is_read_out = true;
    pthread_mutex_unlock(&call->lock);
    if (buffer != NULL)
        message_deliver(call, buffer);
    else if (!call->is_server || (is_ok && !grpc_call_failed_before_recv_message(call->core)))
        half_close_deliver(call);
    call_tag_done(call);
}

void call_read_init(struct crpc_call *call)
{
    call->read_tag.done = read_done;
}
