/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h: the participant's own server, for those who would rather be called, and its
 * registration.
 */
#include "participant.h"

#include <reach.h>
#include <status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wire_descriptors.h>

#define STREAMS_SPARE                                                                              \
    128u /* calls more than we take, so that their callers hear that it is full                    \
          */

/* -- Execute ----------------------------------------------------------------------------------- */

static struct participant_task *make_task(struct crpc_call *call, const ProtobufCMessage *request)
{
    ProtobufCMessage *copy = NULL;
    if (crpc_message_copy(&copy, request) != 0) /* the request lives until the handler returns */
        return NULL;
    struct participant_message *message = participant_message_new(copy);
    if (message == NULL)
        return NULL;
    struct participant_task *task =
        participant_task_new((const Tercet__V1__Call *)message->message, message);
    participant_message_unref(message);
    if (task == NULL)
        return NULL;
    crpc_call_ref(call);
    task->execute = call;
    return task;
}

static void on_execute(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    struct tercet_participant *participant = ctx;
    struct participant_task *task = make_task(call, request);
    if (task == NULL) {
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    pthread_mutex_lock(&participant->lock);
    bool is_closing = participant->is_closing;
    bool is_full = participant->task_count >= participant->window;
    if (!is_closing && !is_full)
        participant_push(participant, task);
    participant_unlock(participant);
    if (is_closing)
        crpc_call_fail(call, CRPC_UNAVAILABLE, "this instance is closing");
    else if (is_full)
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "%u calls wait here already (window)",
                       participant->window);
    if (is_closing || is_full)
        participant_task_free(task);
}

/* -- The address ------------------------------------------------------------------------------- */

static int check_listen(const struct tercet_participant_options *options, char *text)
{
    const char *host = reach_host(options->listen);
    bool has_mutual_tls =
        options->tls_cert != NULL && options->tls_ca != NULL && options->tls_ca[0] != '\0';
    bool is_anywhere = strncmp(host, "0.0.0.0:", 8) == 0 || strncmp(host, "[::]:", 5) == 0;
    if (!reach_is_local(options->listen) && !has_mutual_tls)
        runtime_text(text,
                     "listen at loopback or a unix socket, or give tls_ca, tls_cert and tls_key");
    else if (options->target == NULL && is_anywhere)
        runtime_text(text,
                     "listening at every address needs a target that the coordinator can call");
    else
        return 0;
    return TERCET_ADDRESS;
}

/* What the coordinator is to call: as given, or the address with the port that it got. */
static char *make_target(const struct tercet_participant_options *options, int port)
{
    char *target = NULL;
    const char *host = reach_host(options->listen), *colon = strrchr(host, ':');
    if (options->target != NULL || strncmp(options->listen, "unix:", 5) == 0 || colon == NULL)
        return strdup(options->target != NULL ? options->target : options->listen);
    return asprintf(&target, "%.*s:%d", (int)(colon - host), host, port) < 0 ? NULL : target;
}

/* -- Starting ---------------------------------------------------------------------------------- */

static int start_server(struct tercet_participant *participant,
                        const struct tercet_participant_options *options, int *port_out)
{
    static const struct crpc_handler handlers[] = {
        {.method = "Execute", .kind = CRPC_UNARY, .on_request = on_execute}};
    struct crpc_server_options server_options = {
        .size = sizeof(server_options),
        .concurrent_streams_max = participant->window + participant->batch_max + STREAMS_SPARE,
        .authorize = participant_door_authorize,
        .authorize_ctx = participant};
    bool has_ca = options->tls_ca != NULL && options->tls_ca[0] != '\0';
    struct crpc_tls tls = {.size = sizeof(tls),
                           .ca = has_ca ? options->tls_ca : NULL,
                           .cert = options->tls_cert,
                           .key = options->tls_key};
    struct crpc_bytes descriptors = {wire_descriptors, wire_descriptors_size};
    int rc = crpc_server_new(&participant->server, participant->link.loop, &server_options);
    if (rc == 0)
        rc = crpc_server_add_descriptors(participant->server, descriptors);
    if (rc == 0)
        rc = crpc_server_add_service(participant->server, &tercet__v1__participant__descriptor,
                                     handlers, 1, participant);
    if (rc == 0)
        rc = crpc_server_listen(participant->server, options->listen,
                                options->tls_cert != NULL ? &tls : NULL, port_out);
    if (rc == 0)
        rc = crpc_server_start(participant->server);
    return error_of_crpc(rc);
}

int participant_listen(struct tercet_participant *participant,
                       const struct tercet_participant_options *options, char *text)
{
    int port = 0;
    int rc = check_listen(options, text);
    if (rc == 0)
        rc = participant_door_open(participant, options, text);
    if (rc != 0)
        return rc;
    participant->is_own_target = options->target == NULL;
    rc = start_server(participant, options, &port);
    if (rc == 0 && (participant->target = make_target(options, port)) == NULL)
        rc = TERCET_NOMEM;
    if (rc != 0)
        runtime_text(text, "listen at %s: %s", options->listen, tercet_strerror(rc));
    return rc;
}

/* -- Registering ------------------------------------------------------------------------------- */

static void on_registered(const ProtobufCMessage *reply, const struct crpc_status *status,
                          void *ctx)
{
    struct tercet_participant *participant = ctx;
    bool is_news = false;
    if (reply != NULL)
        participant_door_registered(participant,
                                    ((const Tercet__V1__RegisterResponse *)reply)->keeps_token);
    pthread_mutex_lock(&participant->lock);
    participant->is_registering = false;
    if (status->code == CRPC_OK) {
        participant_accepted(participant);
        participant->due_ms = clock_monotonic_ms() + PARTICIPANT_REGISTER_MS;
    } else {
        is_news = participant_lost(participant, status);
    }
    pthread_cond_broadcast(&participant->changed);
    pthread_mutex_unlock(&participant->lock);
    if (is_news)
        runtime_log(&participant->log, TERCET_LOG_WARNING, "participant %s: not registered: %s: %s",
                    participant->service, crpc_code_name((int)status->code), status->message);
}

static int send_registration(struct tercet_participant *participant,
                             const struct participant_offer *offer)
{
    Tercet__V1__RegisterRequest request = TERCET__V1__REGISTER_REQUEST__INIT;
    request.service = participant->service;
    request.actions = offer->names;
    request.n_actions = participant->action_count;
    request.timeouts = offer->timeouts;
    request.n_timeouts = offer->timeout_count;
    request.target = participant->target;
    request.version = (char *)(uintptr_t)PARTICIPANT_LIBRARY_VERSION;
    request.application_version = participant->version;
    if (participant->door.token != NULL)
        request.token = participant->door.token;
    return runtime_link_unary(&participant->link, &tercet__v1__participants__descriptor,
                              "RegisterTarget", &request.base, PARTICIPANT_REGISTER_TIMEOUT_MS,
                              on_registered, participant);
}

/* A target that was named by the application may stand for others, too, and stays. */
void participant_unregister(struct tercet_participant *participant)
{
    Tercet__V1__RegisterRequest request = TERCET__V1__REGISTER_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    if (participant->target == NULL || !participant->is_own_target || !participant->is_accepted)
        return;
    request.service = participant->service;
    request.target = participant->target;
    request.remove = true;
    if (runtime_link_ask(&reply, &participant->link, &tercet__v1__participants__descriptor,
                         "RegisterTarget", &request.base, PARTICIPANT_CLOSE_MS, NULL) == 0)
        crpc_message_free(reply);
}

void participant_register(struct tercet_participant *participant)
{
    struct participant_offer offer;
    participant->is_registering = true;
    int rc = participant_offer_make(&offer, participant) ? send_registration(participant, &offer)
                                                         : CRPC_ENOMEM;
    participant_offer_clear(&offer);
    if (rc != 0) {
        const struct crpc_status status = {.code = CRPC_UNAVAILABLE, .message = crpc_strerror(rc)};
        participant->is_registering = false;
        participant_lost(participant, &status);
    }
}
