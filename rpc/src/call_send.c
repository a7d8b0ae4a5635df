/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending: one message under way at a time; the status or the half-close waits for it.
 */
#include "call.h"

#include "gate.h"

#include <stdlib.h>
#include <string.h>

/* What protobuf itself allows a message to have. */
#define MESSAGE_SIZE_MAX INT32_MAX

int message_measure(size_t *size_out, const ProtobufCMessage *message,
                    const ProtobufCMessageDescriptor *type)
{
    if (message == NULL || message->descriptor != type)
        return CRPC_EINVAL;
    *size_out = protobuf_c_message_get_packed_size(message);
    return *size_out > MESSAGE_SIZE_MAX ? CRPC_ETOOBIG : 0;
}

grpc_slice message_encode(const ProtobufCMessage *message, size_t size)
{
    grpc_slice slice = grpc_slice_malloc(size);
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    return slice;
}

static int bytes_check(const void *data, size_t size)
{
    if (data == NULL && size > 0)
        return CRPC_EINVAL;
    return size > MESSAGE_SIZE_MAX ? CRPC_ETOOBIG : 0;
}

int message_copy(grpc_slice *out, struct crpc_bytes bytes)
{
    int rc = bytes_check(bytes.data, bytes.size);
    if (rc == 0)
        *out = grpc_slice_from_copied_buffer(bytes.data, bytes.size);
    return rc;
}

int call_send_reserve(struct crpc_call *call)
{
    if (loop_is_forked())
        return CRPC_EFORKED;
    pthread_mutex_lock(&call->lock);
    int rc = call->is_sending ? CRPC_EBUSY : 0;
    if (call->is_over || call->is_closing)
        rc = CRPC_ECLOSED;
    if (rc == 0 && !call->is_stream)
        rc = CRPC_EINVAL;
    if (rc == 0) {
        call->is_sending = true;
        call_tag_expect(call);
    }
    pthread_mutex_unlock(&call->lock);
    return rc;
}

size_t call_headers_op(struct crpc_call *call, grpc_op *ops)
{
    pthread_mutex_lock(&call->lock);
    bool is_needed = call->is_server && !call->is_headers_sent;
    call->is_headers_sent = true;
    pthread_mutex_unlock(&call->lock);
    if (!is_needed)
        return 0;
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.count = call->headers_out.count;
    ops[0].data.send_initial_metadata.metadata = call->headers_out.entries;
    return 1;
}

void call_send_slice(struct crpc_call *call, grpc_slice slice)
{
    grpc_op ops[2];
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);

    connection_earned(call->connection, connection_frames_size(GRPC_SLICE_LENGTH(slice)));
    grpc_slice_unref(slice);
    memset(ops, 0, sizeof(ops));
    size_t count = call_headers_op(call, ops);
    ops[count].op = GRPC_OP_SEND_MESSAGE;
    ops[count].data.send_message.send_message = buffer;
    call_batch(call, ops, count + 1, &call->send_tag);
    grpc_byte_buffer_destroy(buffer);
}

int crpc_call_send(struct crpc_call *call, const ProtobufCMessage *message)
{
    size_t size;
    int rc = message_measure(&size, message, call->send_type);
    if (rc == 0)
        rc = call_send_reserve(call);
    if (rc == 0)
        call_send_slice(call, message_encode(message, size));
    return rc;
}

int crpc_call_send_bytes(struct crpc_call *call, struct crpc_bytes message)
{
    int rc = bytes_check(message.data, message.size);
    if (rc == 0)
        rc = call_send_reserve(call);
    if (rc == 0)
        call_send_slice(call, grpc_slice_from_copied_buffer(message.data, message.size));
    return rc;
}

int crpc_call_send_owned(struct crpc_call *call, void *data, size_t size)
{
    int rc = bytes_check(data, size);
    if (rc == 0)
        rc = call_send_reserve(call);
    if (rc == 0)
        call_send_slice(call, data != NULL ? grpc_slice_new(data, size, free) : grpc_empty_slice());
    return rc;
}

static void send_done(struct tag *tag, bool is_ok)
{
    struct crpc_call *call = TAG_OWNER(tag, struct crpc_call, send_tag);

    pthread_mutex_lock(&call->lock);
    call->is_sending = false;
    bool is_close_next = call->is_closing && !call->is_over;
    if (is_close_next)
        call_tag_expect(call);
    pthread_mutex_unlock(&call->lock);
    if (is_close_next)
        call_close_start(call);
    if (call->events.on_sent != NULL)
        call->events.on_sent(call, is_ok, call->ctx);
    call_tag_done(call);
}

void call_send_init(struct crpc_call *call)
{
    call->send_tag.done = send_done;
}
