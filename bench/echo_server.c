/* SPDX-License-Identifier: Apache-2.0
 *
 * A server that decodes what comes, and answers at once with as much as a coordinator would: what
 * the transport and the encoding cost by themselves.
 */
#include "bare.h"

#include <bench.pb-c.h>
#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_SIZE_MAX (8u << 20)
#define STREAMS_MAX 4096

/* -- Answers ----------------------------------------------------------------------------------- */

/* How a kind of stream is answered. */
struct answerer {
    struct bare *bare;
    const ProtobufCMessageDescriptor *request;
    void (*answer)(struct crpc_call *call, const ProtobufCMessage *request, struct bare *bare);
};

static void echo(struct crpc_call *call, const ProtobufCMessage *request, struct bare *bare)
{
    (void)bare;
    crpc_call_send(call, request); /* a failure is followed by the call's end */
}

static void answer_session(struct crpc_call *call, const ProtobufCMessage *request,
                           struct bare *bare)
{
    const Tercet__V1__SessionRequests *requests = (const void *)request;
    Tercet__V1__SessionResponses responses = TERCET__V1__SESSION_RESPONSES__INIT;
    responses.responses = malloc((requests->n_requests + 1) * sizeof(*responses.responses));
    if (responses.responses == NULL)
        abort();
    bare_session_responses(bare, &responses, requests);
    crpc_call_send(call, &responses.base);
    free(responses.responses);
}

static void answer_attach(struct crpc_call *call, const ProtobufCMessage *request,
                          struct bare *bare)
{
    const Tercet__V1__AttachRequest *results = (const void *)request;
    Tercet__V1__AttachResponse calls = TERCET__V1__ATTACH_RESPONSE__INIT;
    bare_calls_fill(bare, &calls, results->n_results);
    crpc_call_send(call, &calls.base);
}

static void on_transaction_wanted(struct crpc_call *call, const ProtobufCMessage *request,
                                  void *ctx)
{
    const struct answerer *answerer = ctx;
    (void)request;
    crpc_call_reply(call, bare_transaction(answerer->bare));
}

static void on_try_wanted(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    const struct answerer *answerer = ctx;
    (void)request;
    crpc_call_reply(call, bare_tried(answerer->bare));
}

/* -- Streams ----------------------------------------------------------------------------------- */

static void on_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    const struct answerer *answerer = ctx;
    ProtobufCMessage *request = NULL;
    if (crpc_message_decode(&request, answerer->request, bytes, 0) != 0) {
        crpc_call_fail(call, CRPC_INVALID_ARGUMENT, "not such a message");
        return;
    }
    answerer->answer(call, request, answerer->bare);
    crpc_message_free(request);
}

static void on_sent(struct crpc_call *call, bool ok, void *ctx)
{
    (void)ctx;
    if (ok)
        crpc_call_read(call);
}

static void on_half_closed(struct crpc_call *call, void *ctx)
{
    const struct crpc_status status = {.code = CRPC_OK, .message = ""};
    (void)ctx;
    crpc_call_finish(call, &status);
}

static void on_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    (void)status;
    (void)ctx;
    crpc_call_unref(call);
}

static void on_open(struct crpc_call *call, void *ctx)
{
    static const struct crpc_call_events events = {.on_message = on_message,
                                                   .on_sent = on_sent,
                                                   .on_half_closed = on_half_closed,
                                                   .on_end = on_end};
    crpc_call_ref(call);
    crpc_call_events_set(call, &events, ctx);
    crpc_call_read(call);
}

/* -- The server -------------------------------------------------------------------------------- */

static int add_services(struct crpc_server *server, struct answerer answerers[3])
{
    static const struct crpc_handler echo_handlers[] = {
        {.method = "Exchange", .kind = CRPC_BIDIRECTIONAL, .on_open = on_open}};
    static const struct crpc_handler coordinator_handlers[] = {
        {.method = "Session", .kind = CRPC_BIDIRECTIONAL, .on_open = on_open},
        {.method = "Run", .on_request = on_transaction_wanted},
        {.method = "Enlist", .on_request = on_transaction_wanted},
        {.method = "Confirm", .on_request = on_transaction_wanted},
        {.method = "Try", .on_request = on_try_wanted},
    };
    static const struct crpc_handler participants_handlers[] = {
        {.method = "Attach", .kind = CRPC_BIDIRECTIONAL, .on_open = on_open}};
    int rc = crpc_server_add_service(server, &tercet__bench__v1__echo__descriptor, echo_handlers, 1,
                                     &answerers[0]);
    if (rc == 0)
        rc = crpc_server_add_service(server, &tercet__v1__coordinator__descriptor,
                                     coordinator_handlers, 5, &answerers[1]);
    if (rc == 0)
        rc = crpc_server_add_service(server, &tercet__v1__participants__descriptor,
                                     participants_handlers, 1, &answerers[2]);
    return rc;
}

static int serve(struct crpc_server *server, struct shared *shared, uint32_t index)
{
    char address[PATH_SIZE + 32] = "127.0.0.1:0";
    int port = 0;
    if (shared->options.transport == TRANSPORT_UNIX)
        snprintf(address, sizeof(address), "unix:%s/echo-%u.sock", shared->dir, index);
    int rc = crpc_server_listen(server, address, NULL, &port);
    if (rc == 0)
        rc = crpc_server_start(server);
    if (rc != 0)
        return role_fail("%s", crpc_strerror(rc));
    if (port > 0)
        snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    snprintf(shared->echo[index], ADDRESS_SIZE, "%.*s", ADDRESS_SIZE - 1, address);
    role_ok("");
    role_wait("");
    return 0;
}

int role_echo_server(struct shared *shared, uint32_t index)
{
    const struct crpc_server_options options = {.size = sizeof(options),
                                                .message_size_max = MESSAGE_SIZE_MAX,
                                                .concurrent_streams_max = STREAMS_MAX};
    struct bare *bare = bare_new(&shared->options);
    struct answerer answerers[3] = {
        {bare, &tercet__bench__v1__echo_batch__descriptor, echo},
        {bare, &tercet__v1__session_requests__descriptor, answer_session},
        {bare, &tercet__v1__attach_request__descriptor, answer_attach},
    };
    struct crpc_loop *loop = NULL;
    struct crpc_server *server = NULL;
    int rc = bare == NULL ? CRPC_ENOMEM : crpc_loop_new(&loop, NULL);
    if (rc == 0)
        rc = crpc_server_new(&server, loop, &options);
    if (rc == 0)
        rc = add_services(server, answerers);
    int status = rc == 0 ? serve(server, shared, index) : role_fail("%s", crpc_strerror(rc));
    crpc_server_free(server);
    crpc_loop_free(loop);
    bare_free(bare);
    return status;
}
