/* SPDX-License-Identifier: Apache-2.0
 *
 * Packets between nodes; and crpc as the coordinator sees it, in place of the library: what it
 * sends becomes packets, what arrives is posted as RPC threads would.
 */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct crpc_call {
    unsigned references;
    enum call_kind kind;
    int node, job, method, floor;
    uint64_t id;
    uint32_t life;
    bool is_over;  /* nothing more is sent */
    bool is_ended; /* the coordinator has been told */
    /* messages that the coordinator was given and has not asked for the next after */
    int unread;
    struct caller *caller;
    struct instance *instance;
    struct crpc_call *next, *prev;
};

struct crpc_channel {
    int service;
};

struct target_call_open {
    struct target_call_open *next;
    struct crpc_channel *channel;
    uint64_t id;
    uint32_t life;
    crpc_unary_fn done;
    void *ctx;
};

/* -- Packets ----------------------------------------------------------------------------------- */

bool network_is_cut(int from, int to)
{
    return sim->cut_until_us[from][to] > sim->now_us;
}

static int64_t delay(void)
{
    const struct faults *f = &sim->faults;
    int64_t delay_us = 20 + random_below(2 * f->latency_us);
    if (chance(f->slow)) {
        count_fault(FAULT_SLOW);
        delay_us += random_below(4 * SECOND);
    }
    return delay_us;
}

static void capture(const struct happening *packet)
{
    if (sim->captured_count == sizeof(sim->captured) / sizeof(sim->captured[0]) ||
        !chance(sim->faults.capture))
        return;
    struct happening *copy = happen_copy(packet);
    if (copy->call != NULL)
        crpc_call_unref(copy->call);
    copy->call = NULL;
    sim->captured[sim->captured_count++] = copy;
}

void network_send(struct happening *packet, int from, int to)
{
    if (to < NODE_INITIATOR)
        capture(packet);
    if (chance(sim->faults.doubling)) {
        count_fault(FAULT_DOUBLED);
        happen_at(happen_copy(packet),
                  sim->now_us + delay() + random_below(chance(2000) ? 6 * SECOND : SECOND / 50));
    }
    if (network_is_cut(from, to) || chance(sim->faults.loss)) {
        count_fault(network_is_cut(from, to) ? FAULT_CUT : FAULT_LOST);
        trace("lost: %d -> %d", from, to);
        happening_free(packet);
        return;
    }
    happen_at(packet, sim->now_us + delay());
}

/* -- The life of a call ------------------------------------------------------------------------ */

struct crpc_call *network_open(enum call_kind kind, int node, int job, uint64_t id)
{
    struct crpc_call *call = must_alloc(sizeof(*call));
    *call = (struct crpc_call){.references = 1,
                               .kind = kind,
                               .node = node,
                               .job = job,
                               .id = id,
                               .life = sim->coordinator.life};
    call->next = sim->calls;
    if (sim->calls != NULL)
        sim->calls->prev = call;
    sim->calls = call;
    if (kind == CALL_ATTACH)
        call->instance = instance_new(call);
    else
        call->caller = caller_new(kind == CALL_SESSION ? CALLER_SESSION
                                  : kind == CALL_WATCH ? CALLER_WATCH
                                                       : CALLER_UNARY,
                                  call);
    return call;
}

void network_given(struct crpc_call *call)
{
    call->unread++;
}

void network_check_read(uint32_t life)
{
    for (const struct crpc_call *call = sim->calls; call != NULL; call = call->next)
        if (call->life == life && call->unread > 0 && !network_is_over(call))
            violation("L2", "a stream of node %d is not read on", call->node);
}

struct caller *network_caller(struct crpc_call *call)
{
    return call->caller;
}

struct instance *network_instance(struct crpc_call *call)
{
    return call->instance;
}

bool network_is_over(const struct crpc_call *call)
{
    return call->is_over || coordinator_of(call->life) == NULL;
}

uint32_t network_life(const struct crpc_call *call)
{
    return call->life;
}

int network_node(const struct crpc_call *call)
{
    return call->node;
}

void network_set(struct crpc_call *call, int method, int floor)
{
    call->method = method;
    call->floor = floor;
}

size_t network_open_count(void)
{
    size_t count = 0;
    for (const struct crpc_call *call = sim->calls; call != NULL; call = call->next)
        count++;
    return count;
}

bool network_owes_answer(void)
{
    for (const struct crpc_call *call = sim->calls; call != NULL; call = call->next)
        if (call->kind == CALL_UNARY && !call->is_over)
            return true;
    return false;
}

void crpc_call_ref(struct crpc_call *call)
{
    call->references++;
}

void crpc_call_unref(struct crpc_call *call)
{
    if (call != NULL && --call->references == 0)
        free(call);
}

/* The coordinator learns that the call has ended. `is_told`: its process still lives. */
static void end(struct crpc_call *call, bool is_told)
{
    if (call->is_ended)
        return;
    call->is_over = call->is_ended = true;
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        sim->calls = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    if (call->caller != NULL) {
        atomic_store(&call->caller->is_gone, true);
        if (call->caller->outbox != NULL)
            outbox_close(call->caller->outbox);
        caller_unref(call->caller);
    } else if (is_told) {
        struct event *event = event_new(EVENT_DETACHED);
        event->instance = call->instance;
        coordinator_post(call->life, event);
    } else {
        instance_unref(call->instance);
    }
    crpc_call_unref(call);
}

static void end_later(struct happening *happening)
{
    end(happening->call, coordinator_of(happening->call->life) != NULL);
    happening_free(happening);
}

static void close_call(struct crpc_call *call)
{
    if (call->is_over)
        return;
    call->is_over = true;
    if (call->kind == CALL_ATTACH)
        participant_stream_lost(call->node - NODE_SERVICE, call);
    crpc_call_ref(call);
    happen(random_below(20000), end_later)->call = call;
}

void network_break(struct crpc_call *call)
{
    count_fault(FAULT_STREAM_BROKEN);
    close_call(call);
}

/* -- What the coordinator sends ---------------------------------------------------------------- */

static bool answers_with_transaction(int method)
{
    return method <= METHOD_WATCH || method == METHOD_RETRY || method == METHOD_SETTLE ||
           method == METHOD_DECIDE;
}

static void check_answer(const struct crpc_call *call, int method, int job, struct crpc_bytes bytes)
{
    struct happening view = {.bytes = (uint8_t *)bytes.data, .size = bytes.size};
    ProtobufCMessage *message = NULL;
    if (method == METHOD_TRY) {
        message = happening_message(&view, &tercet__v1__try_response__descriptor);
        check_tried_sent(job, (const Tercet__V1__TryResponse *)message);
    } else if (method == METHOD_LIST) {
        message = happening_message(&view, &tercet__v1__list_response__descriptor);
        const Tercet__V1__ListResponse *list = (const Tercet__V1__ListResponse *)message;
        for (size_t i = 0; i < list->n_transactions; i++)
            check_answer_sent(method, job_of(list->transactions[i]->gid), list->transactions[i]);
        check_left_out(call->id, list);
    } else if (answers_with_transaction(method)) {
        message = happening_message(&view, &tercet__v1__transaction__descriptor);
        check_answer_sent(method, job, (const Tercet__V1__Transaction *)message);
    }
    crpc_message_free(message);
}

static void send_answer(const struct crpc_call *call, int code, const char *text,
                        struct crpc_bytes bytes)
{
    struct happening *packet = happen(-1, initiator_answer);
    packet->who = call->node;
    packet->job = call->job;
    packet->id = call->id;
    packet->method = call->method;
    packet->floor = call->floor;
    packet->code = code;
    if (text != NULL)
        snprintf(packet->text, sizeof(packet->text), "%s", text);
    packet->bytes = must_alloc(bytes.size + 1);
    packet->size = bytes.size;
    if (bytes.size > 0)
        memcpy(packet->bytes, bytes.data, bytes.size);
    network_send(packet, NODE_COORDINATOR, call->node);
}

int crpc_call_reply_bytes(struct crpc_call *call, struct crpc_bytes reply)
{
    if (call->is_over)
        return CRPC_ECLOSED;
    close_call(call);
    if (!coordinator_may_send())
        return 0;
    check_answer(call, call->method, call->job, reply);
    send_answer(call, CRPC_OK, NULL, reply);
    return 0;
}

int crpc_call_finish(struct crpc_call *call, const struct crpc_status *status)
{
    if (call->is_over)
        return CRPC_ECLOSED;
    close_call(call);
    if (coordinator_may_send() && call->kind == CALL_UNARY)
        send_answer(call, (int)status->code, status->message, (struct crpc_bytes){NULL, 0});
    return 0;
}

int crpc_call_fail(struct crpc_call *call, enum crpc_code code, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct crpc_status status = {.code = code, .message = text};
    return crpc_call_finish(call, &status);
}

static void send_calls(const struct crpc_call *call, const Tercet__V1__AttachResponse *message)
{
    for (size_t i = 0; i < message->n_calls; i++) {
        struct happening *packet = happen(-1, participant_receive);
        check_call_sent(message->calls[i]);
        packet->who = call->node - NODE_SERVICE;
        packet->method = ROUTE_ATTACH;
        packet->call = (struct crpc_call *)call;
        crpc_call_ref(packet->call);
        happening_set_message(packet, &message->calls[i]->base);
        network_send(packet, NODE_COORDINATOR, call->node);
    }
}

/* The ids of session requests carry what the answer's receiver must know. */
static void send_session_answers(struct crpc_call *call,
                                 const Tercet__V1__SessionResponses *message)
{
    for (size_t i = 0; i < message->n_responses; i++) {
        const Tercet__V1__SessionResponse *response = message->responses[i];
        bool is_tried = response->response_case == TERCET__V1__SESSION_RESPONSE__RESPONSE_TRIED;
        struct happening view = {0};
        call->id = response->id;
        call->job = (int)(response->id & 0xff);
        call->method = (int)(response->id >> 8 & 0xff);
        call->floor = (int)(response->id >> 16 & 0xff);
        if (response->response_case != TERCET__V1__SESSION_RESPONSE__RESPONSE__NOT_SET) {
            happening_set_message(&view,
                                  is_tried ? &response->tried->base : &response->transaction->base);
            check_answer(call, is_tried ? METHOD_TRY : METHOD_GET, call->job,
                         (struct crpc_bytes){view.bytes, view.size});
        }
        struct crpc_bytes bytes = {view.bytes, response->code == 0 ? view.size : 0};
        send_answer(call, (int)response->code, response->message, bytes);
        free(view.bytes);
    }
}

static void sent(struct happening *happening)
{
    struct crpc_call *call = happening->call;
    if (!network_is_over(call)) {
        if (call->kind == CALL_ATTACH)
            outbox_sent(call->instance->outbox, true);
        else if (call->kind == CALL_SESSION)
            outbox_sent(call->caller->outbox, true);
        else
            caller_watch_sent(call->caller);
    }
    happening_free(happening);
}

int crpc_call_send_owned(struct crpc_call *call, void *data, size_t size)
{
    struct happening view = {.bytes = data, .size = size};
    ProtobufCMessage *message = NULL;
    if (call->is_over)
        return CRPC_ECLOSED;
    if (coordinator_may_send()) {
        if (call->kind == CALL_ATTACH) {
            message = happening_message(&view, &tercet__v1__attach_response__descriptor);
            send_calls(call, (const Tercet__V1__AttachResponse *)message);
        } else if (call->kind == CALL_SESSION) {
            message = happening_message(&view, &tercet__v1__session_responses__descriptor);
            send_session_answers(call, (const Tercet__V1__SessionResponses *)message);
        } else {
            check_answer(call, METHOD_GET, call->job, (struct crpc_bytes){data, size});
            send_answer(call, CRPC_OK, NULL, (struct crpc_bytes){data, size});
        }
        crpc_message_free(message);
    }
    free(data);
    crpc_call_ref(call);
    happen(random_below(sim->faults.latency_us), sent)->call = call;
    if (call->kind != CALL_WATCH && chance(sim->faults.stream))
        network_break(call);
    return 0;
}

int crpc_call_read(struct crpc_call *call)
{
    call->unread = 0;
    return 0;
}

void crpc_call_cancel(struct crpc_call *call)
{
    close_call(call);
}

const char *crpc_call_peer(struct crpc_call *call)
{
    (void)call;
    return "sim";
}

/* -- Registered participants ------------------------------------------------------------------- */

int crpc_channel_new(struct crpc_channel **out, struct crpc_loop *loop, const char *target,
                     const struct crpc_channel_options *options)
{
    (void)loop;
    (void)options;
    *out = must_alloc(sizeof(**out));
    (*out)->service = target[1] - '0';
    return 0;
}

static void finish_target(struct target_call_open **link, const Tercet__V1__CallResult *result,
                          int code)
{
    struct target_call_open *open = *link;
    struct crpc_status status = {.code = (enum crpc_code)code,
                                 .message = code == CRPC_OK ? "" : "simulated"};
    *link = open->next;
    open->done(result != NULL ? &result->base : NULL, &status, open->ctx);
    free(open);
}

void crpc_channel_free(struct crpc_channel *channel)
{
    struct target_call_open **link = &sim->targets;
    while (*link != NULL)
        if ((*link)->channel == channel)
            finish_target(link, NULL, CRPC_CANCELLED);
        else
            link = &(*link)->next;
    free(channel);
}

void network_target_answer(uint64_t id, const Tercet__V1__CallResult *result, int code)
{
    struct target_call_open **link = &sim->targets;
    while (*link != NULL && (*link)->id != id)
        link = &(*link)->next;
    if (*link == NULL)
        return;
    uint32_t life = (*link)->life;
    finish_target(link, code == CRPC_OK ? result : NULL, code);
    coordinator_post(life, NULL);
}

static void target_times_out(struct happening *happening)
{
    network_target_answer(happening->id, NULL, CRPC_DEADLINE_EXCEEDED);
    happening_free(happening);
}

int crpc_unary_start(struct crpc_call **out, struct crpc_channel *channel,
                     const ProtobufCServiceDescriptor *service, const char *method,
                     const ProtobufCMessage *request, const struct crpc_call_options *options,
                     crpc_unary_fn done, void *ctx)
{
    struct target_call_open *open = must_alloc(sizeof(*open));
    (void)out;
    (void)service;
    (void)method;
    *open = (struct target_call_open){
        .next = sim->targets, .channel = channel, .done = done, .ctx = ctx};
    open->id = ++sim->last_id;
    open->life = sim->acting->life;
    sim->targets = open;
    happen(options->timeout_ms * 1000, target_times_out)->id = open->id;
    if (!coordinator_may_send())
        return 0;
    struct happening *packet = happen(-1, participant_receive);
    check_call_sent((const Tercet__V1__Call *)request);
    packet->who = channel->service;
    packet->method = ROUTE_TARGET;
    packet->id = open->id;
    happening_set_message(packet, request);
    network_send(packet, NODE_COORDINATOR, NODE_SERVICE + channel->service);
    return 0;
}

void network_leave(uint32_t life)
{
    for (const struct crpc_call *call = sim->calls; call != NULL; call = call->next)
        if (call->kind == CALL_ATTACH && !call->is_over && call->life == life)
            participant_stream_lost(call->node - NODE_SERVICE, call);
}

void network_crash(uint32_t life)
{
    struct crpc_call *next;
    network_leave(life);
    for (struct crpc_call *call = sim->calls; call != NULL; call = next) {
        next = call->next;
        if (call->life == life)
            end(call, false);
    }
}
