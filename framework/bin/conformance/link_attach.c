/* SPDX-License-Identifier: Apache-2.0
 *
 * link.h: the coordinator's side of Attach and RegisterTarget.
 */
#include "link_internal.h"

#include <outbox.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wire_descriptors.h>

#define FIELD_CALLS 1u /* of AttachResponse */
#define FIELD_ACCEPTED 2u
#define WINDOW_DEFAULT 256u
#define OUTBOX_MAX (16u * 1024 * 1024)

/* One attached stream; lives until its on_end. */
struct stream {
    struct link *link;
    struct crpc_call *call;
    struct outbox *outbox;
    bool has_said_hello;
};

/* -- What comes -------------------------------------------------------------------------------- */

/* The lock is held. */
static void take_hello(struct stream *stream, const Tercet__V1__Hello *hello)
{
    struct link *link = stream->link;
    if (stream->has_said_hello)
        link_fault(link, "a second hello on one stream");
    stream->has_said_hello = true;
    link->stream = stream;
    link->window = hello->window == 0 ? WINDOW_DEFAULT : hello->window;
    link->introduction.is_attached = true;
    outbox_put_bytes(stream->outbox, FIELD_ACCEPTED, (struct crpc_bytes){NULL, 0});
    outbox_flush(stream->outbox);
    link_introduce(link, hello->service, hello->actions, hello->n_actions, hello->database);
}

static void take_message(struct stream *stream, const Tercet__V1__AttachRequest *message)
{
    struct link *link = stream->link;
    pthread_mutex_lock(&link->lock);
    if (message->hello != NULL)
        take_hello(stream, message->hello);
    if (!stream->has_said_hello)
        link_fault(link, "the first message of Attach has no hello");
    for (size_t i = 0; i < message->n_results; i++)
        link_take_result(link, stream, message->results[i]);
    pthread_mutex_unlock(&link->lock);
}

static void on_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    struct stream *stream = ctx;
    ProtobufCMessage *message = NULL;
    if (crpc_message_decode(&message, &tercet__v1__attach_request__descriptor, bytes, 0) != 0) {
        pthread_mutex_lock(&stream->link->lock);
        link_fault(stream->link,
                   "a message of %zu bytes is no AttachRequest (strings are UTF-8 "
                   "without NUL)",
                   bytes.size);
        pthread_mutex_unlock(&stream->link->lock);
        crpc_call_fail(call, CRPC_INVALID_ARGUMENT, "this is no AttachRequest");
        return;
    }
    take_message(stream, (const Tercet__V1__AttachRequest *)message);
    crpc_message_free(message);
    crpc_call_read(call);
}

static void on_half_closed(struct crpc_call *call, void *ctx)
{
    const struct crpc_status ok = {.code = CRPC_OK, .message = ""};
    (void)ctx;
    crpc_call_finish(call, &ok);
}

static void on_sent(struct crpc_call *call, bool ok, void *ctx)
{
    struct stream *stream = ctx;
    (void)call;
    outbox_sent(stream->outbox, ok);
}

/* What was not answered on it is lost. */
static void lose_all(struct link *link, const struct stream *stream)
{
    struct pending *next = NULL;
    for (struct pending *pending = link->pending; pending != NULL; pending = next) {
        next = pending->next;
        if (pending->stream == stream)
            link_finish(pending, ANSWER_LOST, NULL, "the stream has ended");
    }
}

static void on_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct stream *stream = ctx;
    struct link *link = stream->link;
    (void)status;
    pthread_mutex_lock(&link->lock);
    if (link->stream == stream)
        link->stream = NULL;
    lose_all(link, stream);
    pthread_mutex_unlock(&link->lock);
    outbox_close(stream->outbox);
    outbox_free(stream->outbox);
    free(stream);
    crpc_call_unref(call);
}

static void on_attach(struct crpc_call *call, void *ctx)
{
    static const struct crpc_call_events events = {.on_message = on_message,
                                                   .on_half_closed = on_half_closed,
                                                   .on_sent = on_sent,
                                                   .on_end = on_end};
    struct stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL || outbox_new(&stream->outbox, call, OUTBOX_MAX) != 0)
        abort();
    stream->link = ctx;
    stream->call = call;
    crpc_call_ref(call);
    crpc_call_events_set(call, &events, stream);
    crpc_call_read(call);
}

static void on_register(struct crpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    Tercet__V1__RegisterResponse response = TERCET__V1__REGISTER_RESPONSE__INIT;
    const Tercet__V1__RegisterRequest *request = (const Tercet__V1__RegisterRequest *)message;
    struct link *link = ctx;
    pthread_mutex_lock(&link->lock);
    int rc = target_register(link, request);
    pthread_mutex_unlock(&link->lock);
    response.keeps_token = request->token[0] != '\0';
    if (rc == 0)
        crpc_call_reply(call, &response.base);
    else
        crpc_call_fail(call, CRPC_INVALID_ARGUMENT, "the target is not a gRPC address");
}

/* -- What goes --------------------------------------------------------------------------------- */

/* The oldest call that waits, unless so many are under way that it has to; NULL: none may go. */
static struct pending *next_to_send(const struct link *link)
{
    struct pending *oldest = NULL;
    uint32_t sent_count = 0;
    for (struct pending *pending = link->pending; pending != NULL; pending = pending->next) {
        if (pending->stream != link->stream)
            continue;
        sent_count += !pending->is_waiting;
        if (pending->is_waiting && (oldest == NULL || pending->id < oldest->id))
            oldest = pending;
    }
    return sent_count < link->window ? oldest : NULL;
}

void stream_send(struct link *link)
{
    struct stream *stream = link->stream;
    struct pending *pending = NULL;
    while (stream != NULL && (pending = next_to_send(link)) != NULL) {
        pending->is_waiting = false;
        outbox_put(stream->outbox, FIELD_CALLS, &pending->ask->call.base);
    }
    if (stream != NULL)
        outbox_flush(stream->outbox);
}

bool link_drop(struct link *link)
{
    pthread_mutex_lock(&link->lock);
    struct crpc_call *call = link->stream != NULL ? link->stream->call : NULL;
    if (call != NULL)
        crpc_call_ref(call);
    pthread_mutex_unlock(&link->lock);
    if (call == NULL)
        return false;
    crpc_call_fail(call, CRPC_UNAVAILABLE, "the coordinator stops: attach again");
    crpc_call_unref(call);
    return true;
}

/* -- Who may come ------------------------------------------------------------------------------ */

static bool brings(struct crpc_call *call, const char *token)
{
    static const char prefix[] = "Bearer ";
    const size_t prefix_size = sizeof(prefix) - 1;
    struct crpc_bytes header = {NULL, 0};
    return crpc_call_metadata_get(call, "authorization", &header) &&
           header.size == prefix_size + strlen(token) &&
           memcmp(header.data, prefix, prefix_size) == 0 &&
           memcmp((const char *)header.data + prefix_size, token, strlen(token)) == 0;
}

static bool authorize(struct crpc_call *call, struct crpc_status *why, void *ctx)
{
    struct link *link = ctx;
    if (link->options.token == NULL || brings(call, link->options.token))
        return true;
    pthread_mutex_lock(&link->lock);
    link->refused_count++;
    pthread_mutex_unlock(&link->lock);
    *why = (struct crpc_status){.code = CRPC_UNAUTHENTICATED,
                                .message = "this call does not bring the token of --token"};
    return false;
}

/* -- Listening --------------------------------------------------------------------------------- */

int link_listen(struct link *link, char *text)
{
    const char *address = link->options.address;
    const struct crpc_tls *tls = &link->options.tls;
    static const struct crpc_handler handlers[] = {
        {.method = "Attach", .kind = CRPC_BIDIRECTIONAL, .on_open = on_attach},
        {.method = "RegisterTarget", .on_request = on_register}};
    const struct crpc_server_options options = {
        .size = sizeof(options), .authorize = authorize, .authorize_ctx = link};
    const struct crpc_bytes descriptors = {wire_descriptors, wire_descriptors_size};
    int rc = crpc_server_new(&link->server, link->loop, &options);
    if (rc == 0)
        rc = crpc_server_add_descriptors(link->server, descriptors);
    if (rc == 0)
        rc = crpc_server_add_service(link->server, &tercet__v1__participants__descriptor, handlers,
                                     2, link);
    if (rc == 0)
        rc = crpc_server_listen(link->server, address, tls->cert != NULL ? tls : NULL, NULL);
    if (rc == 0)
        rc = crpc_server_start(link->server);
    if (rc != 0)
        snprintf(text, TERCET_TEXT_MAX, "listen at %s: %s", address, crpc_strerror(rc));
    else
        snprintf(link->address, sizeof(link->address), "%s", crpc_server_address(link->server, 0));
    return rc;
}
