/* SPDX-License-Identifier: Apache-2.0
 *
 * What the coordinator sends through crpc. It is sent when the function returns: from then on it
 * is a packet, which no death takes back.
 */
#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct wire_call *wire_call(struct crpc_call *call)
{
    return (struct wire_call *)call;
}

/* -- Calls from outside ------------------------------------------------------------------------ */

struct crpc_call *wire_open(enum fake_kind kind, int number, uint64_t serial, enum method method)
{
    struct wire_call *call = must_alloc(sizeof(*call));
    *call = (struct wire_call){.number = number, .serial = serial, .method = method};
    fake_open(&call->base, kind);
    return &call->base;
}

struct crpc_call *wire_find(enum fake_kind kind, int number)
{
    for (struct crpc_call *call = fake_calls; call != NULL; call = call->next)
        if (call->kind == kind && wire_call(call)->number == number && !call->is_over &&
            !wire_call(call)->is_half_closed)
            return call;
    return NULL;
}

bool wire_all_accepted(void)
{
    for (struct crpc_call *call = fake_calls; call != NULL; call = call->next)
        if (call->kind == FAKE_ATTACH && !call->is_over && !wire_call(call)->is_accepted)
            return false;
    return true;
}

void wire_half_close(struct crpc_call *call)
{
    wire_call(call)->is_half_closed = true;
}

static void on_end(struct crpc_call *call)
{
    if (call->kind == FAKE_SESSION && !wire_call(call)->is_half_closed)
        initiators_lose(call);
}

static void post(const struct crpc_call *call, struct event *event)
{
    (void)call;
    life_post(event);
}

/* An outbox's next message may go at once. It is the product's work, so it may die and fail. */
void wire_settle(void)
{
    calls_outside--;
    fake_tell_all_sent();
    calls_outside++;
    fake_end_over();
}

/* -- Packets ----------------------------------------------------------------------------------- */

static struct packet *add_packet(enum packet_kind kind, int gid)
{
    if (world->packet_count == PACKETS_MAX) {
        violated("more than %d packets are under way", PACKETS_MAX);
        world->packet_count--;
    }
    struct packet *packet = &world->packets[world->packet_count++];
    *packet = (struct packet){.kind = kind, .life = world->life, .gid = gid};
    return packet;
}

static void send_call(const Tercet__V1__Call *message, uint64_t id, bool to_target)
{
    uint8_t payload[TERCET_PAYLOAD_MAX];
    char action[32];
    struct packet *packet = add_packet(PACKET_CALL, gid_number(message->gid));
    packet->call.id = id;
    packet->call.number = message->number;
    packet->call.low_water = message->low_water;
    packet->call.branch = message->branch;
    packet->call.call_kind = (int)message->kind;
    packet->call.to_target = to_target;
    snprintf(action, sizeof(action), "s%d/act", (int)message->branch - 1);
    payload_of(packet->gid, message->branch, payload, world->scenario->payload_size);
    packet->call.is_right = strcmp(message->action, action) == 0 &&
                            message->payload.len == world->scenario->payload_size &&
                            (message->payload.len == 0 ||
                             memcmp(message->payload.data, payload, message->payload.len) == 0);
    check_call(life.c, packet);
}

static ProtobufCMessage *decoded(const ProtobufCMessageDescriptor *type, struct crpc_bytes bytes)
{
    ProtobufCMessage *message = NULL;
    if (crpc_message_decode(&message, type, bytes, 0) != 0)
        violated("what was sent does not decode as %s", type->name);
    return message;
}

static struct packet *send_answer(int job, uint64_t serial, int code)
{
    struct packet *packet = add_packet(PACKET_ANSWER, job >= 0 ? gid_of_job(job) : -1);
    packet->answer.job = job;
    packet->answer.serial = serial;
    packet->answer.code = code;
    packet->answer.is_right = true;
    return packet;
}

static void note_transaction(struct packet *packet, const Tercet__V1__Transaction *transaction)
{
    packet->gid = gid_number(transaction->gid);
    packet->answer.has_transaction = true;
    packet->answer.state = (int)transaction->state;
    packet->answer.number = transaction->number;
    packet->answer.is_parked = transaction->parked;
    for (size_t i = 0; i < transaction->n_branches; i++)
        packet->answer.branches |= 1u << transaction->branches[i]->number;
    check_answer(life.c, packet);
}

/* The reply of a try that is done is the one that its participant gave. */
static void note_try(struct packet *packet, const Tercet__V1__TryResponse *response)
{
    char reply[REPLY_SIZE + 1];
    reply_of(packet->gid, response->branch, reply);
    packet->answer.is_right =
        response->outcome != TERCET__V1__TRY_STATE__TRY_DONE ||
        (response->reply.len == REPLY_SIZE && memcmp(response->reply.data, reply, REPLY_SIZE) == 0);
}

static void send_unary(const struct wire_call *call, struct crpc_bytes bytes)
{
    struct packet *packet = send_answer(call->number, call->serial, CRPC_OK);
    ProtobufCMessage *message = NULL;
    if (call->method == METHOD_TRY) {
        message = decoded(&tercet__v1__try_response__descriptor, bytes);
        note_try(packet, (const Tercet__V1__TryResponse *)message);
    } else if (call->method != METHOD_REGISTER && call->method != METHOD_PAUSE) {
        message = decoded(&tercet__v1__transaction__descriptor, bytes);
        note_transaction(packet, (const Tercet__V1__Transaction *)message);
    }
    crpc_message_free(message);
}

/* A session's ids carry the job in their low bits. */
static void send_session(struct crpc_bytes bytes)
{
    ProtobufCMessage *message = decoded(&tercet__v1__session_responses__descriptor, bytes);
    const Tercet__V1__SessionResponses *responses = (const Tercet__V1__SessionResponses *)message;
    for (size_t i = 0; i < responses->n_responses; i++) {
        const Tercet__V1__SessionResponse *response = responses->responses[i];
        struct packet *packet =
            send_answer((int)(response->id & 0xff), response->id >> 8, (int)response->code);
        if (response->response_case == TERCET__V1__SESSION_RESPONSE__RESPONSE_TRANSACTION)
            note_transaction(packet, response->transaction);
        else if (response->response_case == TERCET__V1__SESSION_RESPONSE__RESPONSE_TRIED)
            note_try(packet, response->tried);
    }
    crpc_message_free(message);
}

static void send_calls(struct wire_call *call, struct crpc_bytes bytes)
{
    ProtobufCMessage *message = decoded(&tercet__v1__attach_response__descriptor, bytes);
    const Tercet__V1__AttachResponse *response = (const Tercet__V1__AttachResponse *)message;
    for (size_t i = 0; i < response->n_calls; i++)
        send_call(response->calls[i], response->calls[i]->id, false);
    call->is_accepted = call->is_accepted || response->accepted != NULL;
    crpc_message_free(message);
}

static void send_snapshot(const struct wire_call *call, struct crpc_bytes bytes)
{
    ProtobufCMessage *message = decoded(&tercet__v1__transaction__descriptor, bytes);
    /* not an answer that ends the request */
    struct packet *packet = send_answer(call->number, 0, CRPC_OK);
    note_transaction(packet, (const Tercet__V1__Transaction *)message);
    crpc_message_free(message);
}

/* -- What the coordinator calls ---------------------------------------------------------------- */

static void on_reply(struct crpc_call *call, struct crpc_bytes reply)
{
    calls_outside++;
    send_unary(wire_call(call), reply);
    calls_outside--;
}

static void on_finish(struct crpc_call *base, const struct crpc_status *status)
{
    const struct wire_call *call = wire_call(base);
    calls_outside++;
    if (base->kind == FAKE_UNARY || base->kind == FAKE_WATCH)
        send_answer(call->number, call->serial, (int)status->code)->answer.is_last = true;
    calls_outside--;
}

static void on_send(struct crpc_call *call, struct crpc_bytes message)
{
    calls_outside++;
    if (call->kind == FAKE_ATTACH)
        send_calls(wire_call(call), message);
    else if (call->kind == FAKE_SESSION)
        send_session(message);
    else
        send_snapshot(wire_call(call), message);
    calls_outside--;
}

static uint64_t on_target_call(const struct crpc_channel *channel, const Tercet__V1__Call *call,
                               const struct crpc_call_options *options)
{
    static uint64_t last_id;
    (void)channel;
    (void)options;
    calls_outside++;
    send_call(call, ++last_id, true);
    calls_outside--;
    return last_id;
}

static void *alloc_outside(size_t size)
{
    calls_outside++;
    void *memory = must_alloc(size);
    calls_outside--;
    return memory;
}

const struct fake_hooks fake_hooks = {
    .peer = "unix:faults",
    .alloc = alloc_outside,
    .on_reply = on_reply,
    .on_finish = on_finish,
    .on_send = on_send,
    .on_end = on_end,
    .post = post,
    .on_target_call = on_target_call,
};
