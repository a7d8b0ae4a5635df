/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a call: references, tags, and the end.
 */
#include "call.h"

#include "util.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct crpc_call *call_new(const char *path, size_t path_size)
{
    struct crpc_call *call = calloc(1, sizeof(*call) + path_size + 1);
    if (call == NULL)
        return NULL;
    memcpy(call->path, path, path_size);
    atomic_init(&call->refs, 1);
    atomic_init(&call->users, 0);
    pthread_mutex_init(&call->lock, NULL);
    call->text = grpc_empty_slice();
    call->reply = grpc_empty_slice();
    call->message = grpc_empty_slice();
    grpc_metadata_array_init(&call->headers_array);
    grpc_metadata_array_init(&call->trailers_array);
    call_read_init(call);
    call_send_init(call);
    return call;
}

static void call_delete(struct crpc_call *call)
{
    assert(call->core == NULL && call->tag_count == 0);
    metadata_in_clear(&call->headers_in);
    metadata_in_clear(&call->trailers_in);
    free(call->text_in);
    free(call->peer);
    identities_clear(&call->identities);
    pthread_mutex_destroy(&call->lock);
    free(call);
}

/* Gives back all that is gRPC's: the call may outlive its loop from here on. call->lock held, or
 * nobody else there. */
static grpc_call *core_release(struct crpc_call *call)
{
    assert(call->incoming == NULL);
    call_message_clear(call);
    metadata_out_clear(&call->headers_out);
    metadata_out_clear(&call->trailers_out);
    grpc_metadata_array_destroy(&call->headers_array);
    grpc_metadata_array_destroy(&call->trailers_array);
    grpc_slice_unref(call->text);
    grpc_slice_unref(call->reply);
    grpc_call *core = call->core;
    call->core = NULL;
    return core;
}

static void refs_drop(struct crpc_call *call)
{
    unsigned before = atomic_fetch_sub_explicit(&call->refs, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1)
        call_delete(call);
}

void call_discard(struct crpc_call *call)
{
    grpc_call *core = core_release(call);
    if (core != NULL)
        grpc_call_unref(core);
    refs_drop(call);
}

void crpc_call_ref(struct crpc_call *call)
{
    atomic_fetch_add_explicit(&call->refs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&call->users, 1, memory_order_relaxed);
}

void crpc_call_unref(struct crpc_call *call)
{
    if (call == NULL)
        return;
    unsigned before = atomic_fetch_sub_explicit(&call->users, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1 && call->is_server)
        crpc_call_fail(call, CRPC_INTERNAL, "the handler dropped the call");
    refs_drop(call);
}

void call_handler_ref(struct crpc_call *call)
{
    call->is_handler_ref_held = true;
    crpc_call_ref(call);
}

void call_handler_unref(struct crpc_call *call)
{
    if (!call->is_handler_ref_held)
        return;
    call->is_handler_ref_held = false;
    crpc_call_unref(call);
}

void call_tag_expect(struct crpc_call *call)
{
    assert(!call->is_over && call->core != NULL);
    call->tag_count++;
}

void call_batch(struct crpc_call *call, const grpc_op *ops, size_t count, struct tag *tag)
{
    /* once the batch is started, its end may come before this returns */
    grpc_call *core = call->core;
    TAG_HAND_OVER(tag);
    grpc_call_error error = grpc_call_start_batch(core, ops, count, tag, NULL);
    assert(error == GRPC_CALL_OK);
}

void call_over(struct crpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    call->is_over = true;
    pthread_mutex_unlock(&call->lock);
}

static void server_status(struct crpc_call *call, struct crpc_status *out)
{
    bool is_ok = call->is_status_sent && !call->is_cancelled;
    out->code = is_ok ? CRPC_OK : CRPC_CANCELLED;
    out->message = is_ok ? "" : "the call was cancelled";
}

void call_status(struct crpc_call *call, struct crpc_status *out)
{
    memset(out, 0, sizeof(*out));
    if (call->is_server) {
        server_status(call, out);
        return;
    }
    out->code = (enum crpc_code)call->code;
    out->message = call->text_in != NULL ? call->text_in : "";
    metadata_in_get(&call->trailers_in, STATUS_DETAILS_KEY, &out->details);
}

/* Lets go of gRPC's part of the call. What its users may still ask for is copied before. */
static void call_detach(struct crpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    if (atomic_load_explicit(&call->users, memory_order_acquire) > 0)
        call_peer_load(call);
    grpc_call *core = core_release(call);
    pthread_mutex_unlock(&call->lock);
    grpc_call_unref(core);
}

static void call_end(struct crpc_call *call)
{
    struct crpc_status status;

    call_status(call, &status);
    if (call->events.on_end != NULL)
        call->events.on_end(call, &status, call->ctx);
    call_handler_unref(call);
    call_detach(call);
    if (call->is_server) {
        server_call_account(call);
        server_call_gone(call->server, call->is_late);
    } else {
        channel_call_gone(call->channel, call);
    }
    refs_drop(call);
}

void call_tag_done(struct crpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    assert(call->tag_count > 0);
    call->tag_count--;
    bool has_ended = call->is_over && call->tag_count == 0;
    pthread_mutex_unlock(&call->lock);
    if (has_ended)
        call_end(call);
}

void crpc_call_cancel(struct crpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    if (call->core != NULL && !call->is_over)
        grpc_call_cancel(call->core, NULL);
    pthread_mutex_unlock(&call->lock);
}

void crpc_call_events_set(struct crpc_call *call, const struct crpc_call_events *events, void *ctx)
{
    call->events = *events;
    call->ctx = ctx;
}
