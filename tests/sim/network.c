/* SPDX-License-Identifier: Apache-2.0
 *
 * Packets between nodes; what the coordinator sends through crpc becomes some of them.
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

struct sim_call *network_open(enum fake_kind kind, int node, int job, uint64_t id)
{
    struct sim_call *call = must_alloc(sizeof(*call));
    *call = (struct sim_call){.node = node, .job = job, .id = id, .life = sim->coordinator.life};
    fake_open(&call->base, kind);
    return call;
}

void network_check_read(uint32_t life)
{
    for (const struct crpc_call *call = fake_calls; call != NULL; call = call->next)
        if (sim_call(call)->life == life && call->unread > 0 && !network_is_over(call))
            violation("L2", "a stream of node %d is not read on", sim_call(call)->node);
}

bool network_is_over(const struct crpc_call *call)
{
    return call->is_over || coordinator_of(sim_call(call)->life) == NULL;
}

bool network_owes_answer(void)
{
    for (const struct crpc_call *call = fake_calls; call != NULL; call = call->next)
        if (call->kind == FAKE_UNARY && !call->is_over)
            return true;
    return false;
}

static void end_later(struct happening *happening)
{
    fake_end(happening->call, coordinator_of(sim_call(happening->call)->life) != NULL);
    happening_free(happening);
}

static void on_over(struct crpc_call *call)
{
    if (call->kind == FAKE_ATTACH)
        participant_stream_lost(sim_call(call)->node - NODE_SERVICE, call);
    crpc_call_ref(call);
    happen(random_below(20000), end_later)->call = call;
}

void network_break(struct crpc_call *call)
{
    count_fault(FAULT_STREAM_BROKEN);
    fake_break(call);
}

static void post(const struct crpc_call *call, struct event *event)
{
    coordinator_post(sim_call(call)->life, event);
}

/* -- What the coordinator sends ---------------------------------------------------------------- */

static bool answers_with_transaction(int method)
{
    return method <= METHOD_WATCH || method == METHOD_RETRY || method == METHOD_SETTLE ||
           method == METHOD_DECIDE;
}

static void check_answer(const struct sim_call *call, int method, int job, struct crpc_bytes bytes)
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

static void send_answer(const struct sim_call *call, int code, const char *text,
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

static void on_reply(struct crpc_call *base, struct crpc_bytes reply)
{
    const struct sim_call *call = sim_call(base);
    if (!coordinator_may_send())
        return;
    check_answer(call, call->method, call->job, reply);
    send_answer(call, CRPC_OK, NULL, reply);
}

static void on_finish(struct crpc_call *call, const struct crpc_status *status)
{
    if (coordinator_may_send() && call->kind == FAKE_UNARY)
        send_answer(sim_call(call), (int)status->code, status->message,
                    (struct crpc_bytes){NULL, 0});
}

static void send_calls(struct sim_call *call, const Tercet__V1__AttachResponse *message)
{
    for (size_t i = 0; i < message->n_calls; i++) {
        struct happening *packet = happen(-1, participant_receive);
        check_call_sent(message->calls[i]);
        packet->who = call->node - NODE_SERVICE;
        packet->method = ROUTE_ATTACH;
        packet->call = &call->base;
        crpc_call_ref(packet->call);
        happening_set_message(packet, &message->calls[i]->base);
        network_send(packet, NODE_COORDINATOR, call->node);
    }
}

/* The ids of session requests carry what the answer's receiver must know. */
static void send_session_answers(struct sim_call *call, const Tercet__V1__SessionResponses *message)
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
    if (!network_is_over(happening->call))
        fake_tell_sent(happening->call);
    happening_free(happening);
}

static void send_message(struct sim_call *call, struct crpc_bytes bytes)
{
    struct happening view = {.bytes = (uint8_t *)(uintptr_t)bytes.data, .size = bytes.size};
    ProtobufCMessage *message = NULL;
    if (call->base.kind == FAKE_ATTACH) {
        message = happening_message(&view, &tercet__v1__attach_response__descriptor);
        send_calls(call, (const Tercet__V1__AttachResponse *)message);
    } else if (call->base.kind == FAKE_SESSION) {
        message = happening_message(&view, &tercet__v1__session_responses__descriptor);
        send_session_answers(call, (const Tercet__V1__SessionResponses *)message);
    } else {
        check_answer(call, METHOD_GET, call->job, bytes);
        send_answer(call, CRPC_OK, NULL, bytes);
    }
    crpc_message_free(message);
}

static void on_send(struct crpc_call *call, struct crpc_bytes bytes)
{
    if (coordinator_may_send())
        send_message(sim_call(call), bytes);
    crpc_call_ref(call);
    happen(random_below(sim->faults.latency_us), sent)->call = call;
    if (call->kind != FAKE_WATCH && chance(sim->faults.stream))
        network_break(call);
}

/* -- Registered participants ------------------------------------------------------------------- */

/* A target call's id tells whose it is, too. */
#define LIFE_SHIFT 40

void network_target_answer(uint64_t id, const Tercet__V1__CallResult *result, int code)
{
    if (fake_answer_target(id, result, (enum crpc_code)code))
        coordinator_post((uint32_t)(id >> LIFE_SHIFT), NULL);
}

static void target_times_out(struct happening *happening)
{
    network_target_answer(happening->id, NULL, CRPC_DEADLINE_EXCEEDED);
    happening_free(happening);
}

static uint64_t on_target_call(const struct crpc_channel *channel, const Tercet__V1__Call *call,
                               const struct crpc_call_options *options)
{
    uint64_t id = (uint64_t)sim->acting->life << LIFE_SHIFT | ++sim->last_id;
    int service = channel->target[1] - '0';
    happen(options->timeout_ms * 1000, target_times_out)->id = id;
    if (!coordinator_may_send())
        return id;
    struct happening *packet = happen(-1, participant_receive);
    check_call_sent(call);
    packet->who = service;
    packet->method = ROUTE_TARGET;
    packet->id = id;
    happening_set_message(packet, &call->base);
    network_send(packet, NODE_COORDINATOR, NODE_SERVICE + service);
    return id;
}

const struct fake_hooks fake_hooks = {
    .peer = "unix:sim",
    .alloc = must_alloc,
    .on_reply = on_reply,
    .on_finish = on_finish,
    .on_send = on_send,
    .on_over = on_over,
    .post = post,
    .on_target_call = on_target_call,
};

/* -- The end of a coordinator ------------------------------------------------------------------ */

void network_leave(uint32_t life)
{
    for (const struct crpc_call *call = fake_calls; call != NULL; call = call->next)
        if (call->kind == FAKE_ATTACH && !call->is_over && sim_call(call)->life == life)
            participant_stream_lost(sim_call(call)->node - NODE_SERVICE, call);
}

void network_crash(uint32_t life)
{
    struct crpc_call *next;
    network_leave(life);
    for (struct crpc_call *call = fake_calls; call != NULL; call = next) {
        next = call->next;
        if (sim_call(call)->life == life)
            fake_end(call, false);
    }
}
