/* SPDX-License-Identifier: Apache-2.0
 *
 * The last thing sent: a server's status, with the reply of a unary call; a client's half-close.
 */
#include "call.h"

#include "gate.h"

#include "util.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int metadata_add_locked(struct crpc_call *call, struct metadata_out *list,
                               const struct crpc_metadata *entry, const bool *is_too_late)
{
    if (!call->is_server || entry == NULL)
        return CRPC_EINVAL;
    pthread_mutex_lock(&call->lock);
    int rc = call->is_over || call->is_closing || *is_too_late ? CRPC_ECLOSED
                                                               : metadata_add(list, entry);
    pthread_mutex_unlock(&call->lock);
    return rc;
}

int crpc_call_add_metadata(struct crpc_call *call, const struct crpc_metadata *entry)
{
    return metadata_add_locked(call, &call->headers_out, entry, &call->is_headers_sent);
}

int crpc_call_add_trailer(struct crpc_call *call, const struct crpc_metadata *entry)
{
    return metadata_add_locked(call, &call->trailers_out, entry, &call->is_closing);
}

static void status_start(struct crpc_call *call)
{
    grpc_op ops[3];
    grpc_byte_buffer *reply = NULL;

    memset(ops, 0, sizeof(ops));
    size_t count = call_headers_op(call, ops);
    if (call->has_reply) {
        reply = grpc_raw_byte_buffer_create(&call->reply, 1);
        connection_earned(call->connection, connection_frames_size(GRPC_SLICE_LENGTH(call->reply)));
        ops[count].op = GRPC_OP_SEND_MESSAGE;
        ops[count++].data.send_message.send_message = reply;
    }
    ops[count].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[count].data.send_status_from_server.trailing_metadata_count = call->trailers_out.count;
    ops[count].data.send_status_from_server.trailing_metadata = call->trailers_out.entries;
    ops[count].data.send_status_from_server.status = call->code;
    ops[count].data.send_status_from_server.status_details = &call->text;
    call_batch(call, ops, count + 1, &call->close_tag);
    if (reply != NULL)
        grpc_byte_buffer_destroy(reply);
}

void call_close_start(struct crpc_call *call)
{
    if (call->is_server) {
        status_start(call);
        return;
    }
    grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    call_batch(call, &op, 1, &call->close_tag);
}

static void close_done(struct tag *tag, bool is_ok)
{
    struct crpc_call *call = TAG_OWNER(tag, struct crpc_call, close_tag);
    call->is_status_sent = is_ok;
    call_tag_done(call);
}

/* Marks the send side as closing; *is_now says that nothing is under way that it would have to wait
 * for. call->lock held. */
static int close_reserve(struct crpc_call *call, bool *is_now)
{
    if (call->is_over || call->is_closing)
        return CRPC_ECLOSED;
    call->is_closing = true;
    call->close_tag.done = close_done;
    *is_now = !call->is_sending;
    if (*is_now)
        call_tag_expect(call);
    return 0;
}

static int status_set(struct crpc_call *call, const struct crpc_status *status)
{
    if (status->details.size > 0) {
        int rc = metadata_add_reserved(&call->trailers_out, STATUS_DETAILS_KEY, status->details);
        if (rc != 0)
            return rc;
    }
    const char *text = status->message != NULL ? status->message : "";
    call->code = (grpc_status_code)status->code;
    call->text = grpc_slice_from_copied_buffer(text, text_cut(text, CRPC_STATUS_TEXT_MAX));
    return 0;
}

int crpc_call_finish(struct crpc_call *call, const struct crpc_status *status)
{
    bool is_now = false;

    if (!call->is_server || status == NULL || (int)status->code < CRPC_OK ||
        status->code > CRPC_UNAUTHENTICATED ||
        (status->details.data == NULL && status->details.size > 0))
        return CRPC_EINVAL;
    pthread_mutex_lock(&call->lock);
    int rc = call->is_over || call->is_closing ? CRPC_ECLOSED : status_set(call, status);
    if (rc == 0)
        rc = close_reserve(call, &is_now);
    pthread_mutex_unlock(&call->lock);
    if (is_now)
        call_close_start(call);
    return rc;
}

int crpc_call_fail(struct crpc_call *call, enum crpc_code code, const char *format, ...)
{
    char text[CRPC_STATUS_TEXT_MAX + 4];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    struct crpc_status status = {.code = code, .message = text};
    return crpc_call_finish(call, &status);
}

/* Ends the call with a reply. Takes over the slice in any case. */
static int reply_slice(struct crpc_call *call, grpc_slice slice)
{
    bool is_now = false;

    pthread_mutex_lock(&call->lock);
    int rc = close_reserve(call, &is_now);
    if (rc == 0) {
        call->reply = slice;
        call->has_reply = true;
        call->code = GRPC_STATUS_OK;
    }
    pthread_mutex_unlock(&call->lock);
    if (is_now)
        call_close_start(call);
    if (rc != 0)
        grpc_slice_unref(slice);
    return rc;
}

int crpc_call_reply(struct crpc_call *call, const ProtobufCMessage *reply)
{
    size_t size;
    int rc = call->is_stream ? CRPC_EINVAL : message_measure(&size, reply, call->send_type);
    return rc != 0 ? rc : reply_slice(call, message_encode(reply, size));
}

int crpc_call_reply_bytes(struct crpc_call *call, struct crpc_bytes reply)
{
    grpc_slice slice;
    int rc = call->is_stream ? CRPC_EINVAL : message_copy(&slice, reply);
    return rc != 0 ? rc : reply_slice(call, slice);
}

int crpc_call_half_close(struct crpc_call *call)
{
    bool is_now = false;

    if (call->is_server)
        return CRPC_EINVAL;
    pthread_mutex_lock(&call->lock);
    int rc = close_reserve(call, &is_now);
    pthread_mutex_unlock(&call->lock);
    if (is_now)
        call_close_start(call);
    return rc;
}
