/* SPDX-License-Identifier: Apache-2.0
 *
 * crpc as the coordinator sees it, in place of the library. What it sends is sent when the function
 * returns: from then on it is a packet, which no death takes back.
 */
#include "faults.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct crpc_call {
    unsigned references;
    unsigned sends; /* under way */
    enum call_kind kind;
    int number;
    uint64_t serial;
    enum method method;
    bool is_over;
    bool is_half_closed;
    bool is_accepted;          /* CALL_ATTACH */
    struct caller *caller;     /* a reference; NULL for CALL_ATTACH, */
    struct instance *instance; /* which has this one */
    struct crpc_call *next;
};

struct crpc_channel {
    int service;
};

struct target_call {
    struct target_call *next;
    struct crpc_channel *channel;
    uint64_t id;
    crpc_unary_fn done;
    void *ctx;
};

static struct crpc_call *calls;
static struct target_call *target_calls;
static uint64_t target_ids;

/* -- Calls from outside ------------------------------------------------------------------------ */

struct crpc_call *wire_open(enum call_kind kind, int number, uint64_t serial, enum method method)
{
    static const enum caller_kind kinds[] = {CALLER_UNARY, CALLER_WATCH, CALLER_SESSION};
    struct crpc_call *call = must_alloc(sizeof(*call));
    *call = (struct crpc_call){.references = 1,
                               .kind = kind,
                               .number = number,
                               .serial = serial,
                               .method = method,
                               .next = calls};
    calls = call;
    if (kind == CALL_ATTACH)
        call->instance = instance_new(call);
    else
        call->caller = caller_new(kinds[kind], call);
    return call;
}

struct crpc_call *wire_find(enum call_kind kind, int number)
{
    for (struct crpc_call *call = calls; call != NULL; call = call->next)
        if (call->kind == kind && call->number == number && !call->is_over && !call->is_half_closed)
            return call;
    return NULL;
}

bool wire_all_accepted(void)
{
    for (const struct crpc_call *call = calls; call != NULL; call = call->next)
        if (call->kind == CALL_ATTACH && !call->is_over && !call->is_accepted)
            return false;
    return true;
}

void wire_half_close(struct crpc_call *call)
{
    call->is_half_closed = true;
}

struct caller *wire_caller(struct crpc_call *call)
{
    return call->caller;
}

struct instance *wire_instance(struct crpc_call *call)
{
    return call->instance;
}

void wire_break(struct crpc_call *call)
{
    call->is_over = true;
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

/* What has been sent; an outbox's next message may go at once. It is the product's work, so it may
 * die and fail. */
static void tell_sent(struct crpc_call *call)
{
    while (call->sends > 0 && !call->is_over) {
        call->sends--;
        calls_outside--;
        if (call->kind == CALL_WATCH)
            caller_watch_sent(call->caller);
        else
            outbox_sent(call->kind == CALL_ATTACH ? call->instance->outbox : call->caller->outbox,
                        true);
        calls_outside++;
    }
}

static void end(struct crpc_call *call, bool is_told)
{
    if (call->kind == CALL_SESSION && !call->is_half_closed)
        initiators_lose(call);
    if (call->caller != NULL) {
        atomic_store(&call->caller->is_gone, true);
        if (call->caller->outbox != NULL)
            outbox_close(call->caller->outbox);
        caller_unref(call->caller);
    } else if (is_told) {
        struct event *event = life_event(EVENT_DETACHED);
        event->instance = call->instance;
        life_post(event);
    } else {
        instance_unref(call->instance);
    }
    crpc_call_unref(call);
}

void wire_settle(void)
{
    for (struct crpc_call *call = calls; call != NULL; call = call->next)
        tell_sent(call);
    for (struct crpc_call **link = &calls; *link != NULL;) {
        struct crpc_call *call = *link;
        if (call->is_over) {
            *link = call->next;
            end(call, true);
        } else {
            link = &call->next;
        }
    }
}

void wire_close(void)
{
    while (calls != NULL) {
        struct crpc_call *call = calls;
        calls = call->next;
        call->is_over = true;
        end(call, false);
    }
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

static void send_unary(const struct crpc_call *call, struct crpc_bytes bytes)
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

static void send_calls(struct crpc_call *call, struct crpc_bytes bytes)
{
    ProtobufCMessage *message = decoded(&tercet__v1__attach_response__descriptor, bytes);
    const Tercet__V1__AttachResponse *response = (const Tercet__V1__AttachResponse *)message;
    for (size_t i = 0; i < response->n_calls; i++)
        send_call(response->calls[i], response->calls[i]->id, false);
    call->is_accepted = call->is_accepted || response->accepted != NULL;
    crpc_message_free(message);
}

static void send_snapshot(const struct crpc_call *call, struct crpc_bytes bytes)
{
    ProtobufCMessage *message = decoded(&tercet__v1__transaction__descriptor, bytes);
    /* not an answer that ends the request */
    struct packet *packet = send_answer(call->number, 0, CRPC_OK);
    note_transaction(packet, (const Tercet__V1__Transaction *)message);
    crpc_message_free(message);
}

/* -- What the coordinator calls ---------------------------------------------------------------- */

int crpc_call_reply_bytes(struct crpc_call *call, struct crpc_bytes reply)
{
    if (call->is_over)
        return CRPC_ECLOSED;
    calls_outside++;
    call->is_over = true;
    send_unary(call, reply);
    calls_outside--;
    return 0;
}

int crpc_call_finish(struct crpc_call *call, const struct crpc_status *status)
{
    if (call->is_over)
        return CRPC_ECLOSED;
    calls_outside++;
    call->is_over = true;
    if (call->kind == CALL_UNARY || call->kind == CALL_WATCH)
        send_answer(call->number, call->serial, (int)status->code)->answer.is_last = true;
    calls_outside--;
    return 0;
}

int crpc_call_fail(struct crpc_call *call, enum crpc_code code, const char *format, ...)
{
    struct crpc_status status = {.code = code, .message = format};
    return crpc_call_finish(call, &status);
}

int crpc_call_send_owned(struct crpc_call *call, void *data, size_t size)
{
    if (call->is_over)
        return CRPC_ECLOSED;
    calls_outside++;
    if (call->kind == CALL_ATTACH)
        send_calls(call, (struct crpc_bytes){data, size});
    else if (call->kind == CALL_SESSION)
        send_session((struct crpc_bytes){data, size});
    else
        send_snapshot(call, (struct crpc_bytes){data, size});
    free(data);
    call->sends++;
    calls_outside--;
    return 0;
}

int crpc_call_read(struct crpc_call *call)
{
    (void)call;
    return 0;
}

void crpc_call_cancel(struct crpc_call *call)
{
    call->is_over = true;
}

const char *crpc_call_peer(struct crpc_call *call)
{
    (void)call;
    return "faults";
}

/* -- Registered targets ------------------------------------------------------------------------ */

int crpc_channel_new(struct crpc_channel **out, struct crpc_loop *loop, const char *target,
                     const struct crpc_channel_options *options)
{
    (void)loop;
    (void)options;
    calls_outside++;
    struct crpc_channel *channel = must_alloc(sizeof(*channel));
    calls_outside--;
    channel->service = target[strlen(target) - 1] - '0';
    *out = channel;
    return 0;
}

static void finish_target(struct target_call **link, const Tercet__V1__CallResult *result,
                          enum crpc_code code)
{
    struct target_call *call = *link;
    struct crpc_status status = {.code = code, .message = code == CRPC_OK ? "" : "not today"};
    *link = call->next;
    call->done(result != NULL ? &result->base : NULL, &status, call->ctx);
    free(call);
}

void crpc_channel_free(struct crpc_channel *channel)
{
    struct target_call **link = &target_calls;
    if (channel == NULL)
        return;
    while (*link != NULL)
        if ((*link)->channel == channel)
            finish_target(link, NULL, CRPC_CANCELLED);
        else
            link = &(*link)->next;
    free(channel);
}

void wire_answer_target(uint64_t id, const Tercet__V1__CallResult *result)
{
    struct target_call **link = &target_calls;
    while (*link != NULL && (*link)->id != id)
        link = &(*link)->next;
    if (*link != NULL)
        finish_target(link, result, CRPC_OK);
}

int crpc_unary_start(struct crpc_call **out, struct crpc_channel *channel,
                     const ProtobufCServiceDescriptor *service, const char *method,
                     const ProtobufCMessage *request, const struct crpc_call_options *options,
                     crpc_unary_fn done, void *ctx)
{
    (void)out;
    (void)service;
    (void)method;
    (void)options;
    calls_outside++;
    struct target_call *call = must_alloc(sizeof(*call));
    *call = (struct target_call){
        .next = target_calls, .channel = channel, .id = ++target_ids, .done = done, .ctx = ctx};
    target_calls = call;
    send_call((const Tercet__V1__Call *)request, call->id, true);
    calls_outside--;
    return 0;
}
