/* SPDX-License-Identifier: Apache-2.0
 *
 * From a posted request to the handler. Requests are generic: core gives us every method, also
 * those nobody serves, which would hang with registered methods alone.
 */
#include "call.h"
#include "server.h"

#include <assert.h>
#include <grpc/support/alloc.h>
#include <stdlib.h>
#include <string.h>

#define BLINK_MS 100 /* a call that is given up sooner was not meant to be answered */

static void request_post(struct request_slot *slot)
{
    TAG_HAND_OVER(&slot->tag);
    grpc_call_error error =
        grpc_server_request_call(slot->server->core, &slot->core, &slot->details, &slot->metadata,
                                 slot->queue, slot->queue, &slot->tag);
    assert(error == GRPC_CALL_OK);
}

/* The call as core sees it is over, with *is_cancelled to say how. */
static void server_end_done(struct tag *tag, bool is_ok)
{
    struct crpc_call *call = TAG_OWNER(tag, struct crpc_call, end_tag);
    (void)is_ok;
    call_over(call);
    call_tag_done(call);
}

/* RECV_CLOSE goes first and alone, or a cancellation would be noticed no sooner than the reply
 * fails. */
static void close_watch(struct crpc_call *call)
{
    call->end_tag.done = server_end_done;
    pthread_mutex_lock(&call->lock);
    call_tag_expect(call);
    pthread_mutex_unlock(&call->lock);
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                  .data.recv_close_on_server.cancelled = &call->is_cancelled};
    call_batch(call, &op, 1, &call->end_tag);
}

static bool is_authorized(struct crpc_call *call, struct crpc_server *server)
{
    struct crpc_status why = {.code = CRPC_PERMISSION_DENIED, .message = "not permitted"};

    if (server->authorize == NULL || server->authorize(call, &why, server->authorize_ctx)) {
        call->was_admitted = true;
        connection_call_admitted(call->connection);
        return true;
    }
    if (why.code == CRPC_OK)
        why.code = CRPC_PERMISSION_DENIED;
    if (crpc_call_finish(call, &why) == CRPC_EINVAL)
        crpc_call_fail(call, CRPC_PERMISSION_DENIED, "not permitted");
    return false;
}

static void request_deliver(struct crpc_call *call)
{
    ProtobufCMessage *request;
    int rc = crpc_message_decode(&request, call->receive_type, slice_bytes(&call->message), 0);

    if (rc == 0) {
        call->method->handler->on_request(call, request, call->method->ctx);
        crpc_message_free(request);
    } else if (rc == CRPC_ENOMEM) {
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "out of memory");
    } else {
        crpc_call_fail(
            call, CRPC_INVALID_ARGUMENT,
            "the request is not a valid protobuf %s, or a text in it is not UTF-8 or has a NUL: "
            "encode it anew",
            call->receive_type->name);
    }
    call_handler_unref(call);
}

static bool takes_request(const struct crpc_handler *handler)
{
    return handler->kind == CRPC_UNARY || handler->kind == CRPC_SERVER_STREAMING;
}

static bool has_room_for_headers(struct crpc_call *call)
{
    size_t size_max = call->server->metadata_size_max;

    if (call->headers_size <= size_max)
        return true;
    crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED,
                   "the metadata of this call take %zu bytes, and %zu are permitted",
                   call->headers_size, size_max);
    return false;
}

/* Checked first: nothing else is done for it. Whoever goes on after that is cut like one who resets
 * his calls. */
static bool has_room_for_calls(struct crpc_call *call)
{
    if (!gate_has_too_many_calls(call->server->gate, call->connection))
        return true;
    call->is_one_too_many = true;
    crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED,
                   "this address has as many calls open as it may have: wait until some end");
    return false;
}

/* Goes on to the handler, or ends the call. */
static void call_accept(struct crpc_call *call)
{
    const struct method_entry *method = call->method;

    call_handler_ref(call);
    if (call->is_late) {
        crpc_call_fail(call, CRPC_UNAVAILABLE, "the server stops: call again, or another server");
        call_handler_unref(call);
    } else if (!has_room_for_calls(call) || !has_room_for_headers(call) ||
               !is_authorized(call, call->server)) {
        call_handler_unref(call);
    } else if (method == NULL) {
        crpc_call_fail(call, CRPC_UNIMPLEMENTED, "no method %s", call->path);
        call_handler_unref(call);
    } else if (takes_request(method->handler)) {
        call->on_request_read = request_deliver;
        if (crpc_call_read(call) != 0)
            call->on_request_read = NULL;
    } else {
        method->handler->on_open(call, method->ctx);
        call_handler_unref(call);
    }
}

/* Finds the connection that the call came by. */
static void call_attribute(struct crpc_call *call)
{
    if (call->server->gate == NULL)
        return;
    char *peer = grpc_call_get_peer(call->core);
    call->connection = gate_call_began(call->server->gate, peer);
    gpr_free(peer);
    call->began_ms = gate_now_ms();
}

static struct crpc_call *call_from_slot(struct request_slot *slot)
{
    grpc_slice path = slot->details.method;
    struct crpc_call *call =
        call_new((const char *)GRPC_SLICE_START_PTR(path), GRPC_SLICE_LENGTH(path));
    if (call == NULL)
        return NULL;
    call->is_server = true;
    call->server = slot->server;
    call->message_size_max = slot->server->message_size_max;
    call->core = slot->core;
    call->deadline = slot->details.deadline;
    call_attribute(call);
    call->is_headers_in = true;
    call->method =
        methods_find(&slot->server->methods, GRPC_SLICE_START_PTR(path), GRPC_SLICE_LENGTH(path));
    if (call->method != NULL) {
        call->receive_type = call->method->descriptor->input;
        call->send_type = call->method->descriptor->output;
        call->is_stream = method_sends_stream(call->method);
    }
    metadata_in_copy(&call->headers_in, &slot->metadata);
    call->headers_size = GRPC_SLICE_LENGTH(path) + metadata_size(&slot->metadata);
    return call;
}

/* One request fewer is posted. */
static void slot_retire(struct crpc_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->slots_posted--;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

/* Counts the call, NULL without memory for it; false when the request shall not be posted again. */
static bool slot_count(struct crpc_server *server, struct crpc_call *call)
{
    pthread_mutex_lock(&server->lock);
    bool is_wanted = !server->is_shutting;
    if (call != NULL) {
        call->is_late = server->is_stopping;
        server->call_count++;
        server->late_count += call->is_late;
    }
    pthread_mutex_unlock(&server->lock);
    return is_wanted;
}

static void request_done(struct tag *tag, bool is_ok)
{
    struct request_slot *slot = TAG_OWNER(tag, struct request_slot, tag);
    struct crpc_server *server = slot->server;

    if (!is_ok) {
        slot_retire(server);
        return;
    }
    struct crpc_call *call = call_from_slot(slot);
    if (call == NULL)
        grpc_call_unref(slot->core);
    grpc_call_details_destroy(&slot->details);
    grpc_call_details_init(&slot->details);
    slot->core = NULL;
    bool is_wanted = slot_count(server, call);
    if (is_wanted)
        request_post(slot);
    if (call != NULL) {
        close_watch(call);
        call_accept(call);
    }
    /* Last: with it the server may be gone. */
    if (!is_wanted)
        slot_retire(server);
}

int server_accept_start(struct crpc_server *server)
{
    size_t count = (size_t)server->loop->poller_count * REQUESTS_PER_QUEUE;
    server->slots = calloc(count, sizeof(*server->slots));
    if (server->slots == NULL)
        return CRPC_ENOMEM;
    server->slots_posted = count;
    for (size_t i = 0; i < count; i++) {
        struct request_slot *slot = &server->slots[i];
        slot->tag.done = request_done;
        slot->server = server;
        slot->queue = server->loop->pollers[i % server->loop->poller_count].queue;
        grpc_metadata_array_init(&slot->metadata);
        grpc_call_details_init(&slot->details);
        request_post(slot);
    }
    return 0;
}

/* Whether the client may have sent, or send yet, messages that nobody reads: of one that is too
 * large core says no more than that the call was cancelled. */
static bool call_is_unread(const struct crpc_call *call)
{
    bool takes_messages = call->method != NULL && !takes_request(call->method->handler);
    return takes_messages || !call->has_read;
}

/* By its client, within a blink. */
static bool was_given_up(const struct crpc_call *call)
{
    return call->is_cancelled && !call->is_status_sent && gate_now_ms() - call->began_ms < BLINK_MS;
}

void server_call_account(struct crpc_call *call)
{
    if (call->connection == NULL)
        return;
    const struct call_account account = {.headers_size = call->headers_size,
                                         .was_admitted = call->was_admitted,
                                         .was_reset = call->is_one_too_many || was_given_up(call),
                                         .is_unread = call_is_unread(call)};
    connection_call_ended(call->connection, &account);
    call->connection = NULL;
}

void server_call_gone(struct crpc_server *server, bool is_late)
{
    pthread_mutex_lock(&server->lock);
    server->call_count--;
    server->late_count -= is_late;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}
