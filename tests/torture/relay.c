/* SPDX-License-Identifier: Apache-2.0
 *
 * relay.h
 */
#include "relay.h"

#include "fate.h"
#include "late.h"
#include "later.h"
#include "witness.h"

#include <clock.h>
#include <outbox.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTBOX_BYTES_MAX (64u << 20)
#define SOON_MS 5
#define TWICE_MS_MAX 500
#define HELD_MS_MAX 2000 /* longer than the coordinator waits for an answer */
#define STALL_MS_MAX 3000
#define CUT_MS_MAX 2000
#define FIELD_RECORDS 1u /* of SessionRequests, SessionResponses, AttachResponse */
#define FIELD_RESULTS 2u /* of AttachRequest */

enum direction { TO_BACK, TO_FRONT };

struct relay {
    atomic_int refs;
    enum relay_kind kind;
    char service[SERVICE_MAX]; /* of an attached instance, once it has said hello */
    struct crpc_call *front, *back;
    struct outbox *boxes[2]; /* by direction */
    atomic_bool is_over;
    atomic_int_fast64_t stall_until_ms[2];
    struct relay *next;
};

static struct {
    pthread_mutex_t lock; /* over all below */
    struct relay *first;
} relays = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct relay *relay_ref(struct relay *relay)
{
    atomic_fetch_add(&relay->refs, 1);
    return relay;
}

static void relay_unref(struct relay *relay)
{
    if (atomic_fetch_sub(&relay->refs, 1) != 1)
        return;
    outbox_free(relay->boxes[TO_BACK]);
    outbox_free(relay->boxes[TO_FRONT]);
    crpc_call_unref(relay->front);
    if (relay->back != NULL)
        crpc_call_unref(relay->back);
    free(relay);
}

/* -- Sending ----------------------------------------------------------------------------------- */

static void send_now(struct relay *relay, enum direction direction, unsigned field,
                     struct crpc_bytes record)
{
    if (outbox_put_bytes(relay->boxes[direction], field, record) == 0)
        outbox_flush(relay->boxes[direction]);
}

/* A record on its way. */
struct parcel {
    struct relay *relay;
    enum direction direction;
    unsigned field;
    size_t size;
    uint8_t data[];
};

static void deliver(void *ctx, bool is_over)
{
    struct parcel *parcel = ctx;
    if (!is_over)
        send_now(parcel->relay, parcel->direction, parcel->field,
                 (struct crpc_bytes){parcel->data, parcel->size});
    relay_unref(parcel->relay);
    free(parcel);
}

static void send_later(struct relay *relay, enum direction direction, unsigned field,
                       struct crpc_bytes record, uint64_t ms)
{
    struct parcel *parcel = malloc(sizeof(*parcel) + record.size);
    if (parcel == NULL)
        abort();
    *parcel = (struct parcel){
        .relay = relay_ref(relay), .direction = direction, .field = field, .size = record.size};
    memcpy(parcel->data, record.data, record.size);
    later_do(ms, deliver, parcel);
}

static void send(struct relay *relay, enum direction direction, unsigned field,
                 struct crpc_bytes record)
{
    int64_t stalled_ms = atomic_load(&relay->stall_until_ms[direction]) - clock_monotonic_ms();
    if (stalled_ms > 0)
        send_later(relay, direction, field, record, (uint64_t)stalled_ms);
    else
        send_now(relay, direction, field, record);
}

static void cut(void *ctx, bool is_over)
{
    struct relay *relay = ctx;
    if (!is_over && !atomic_load(&relay->is_over)) {
        crpc_call_cancel(relay->back);
        crpc_call_cancel(relay->front);
    }
    relay_unref(relay);
}

/* A lost record of a session is the stream's end, at last. */
static void lose(struct relay *relay)
{
    if (relay->kind == RELAY_SESSION)
        later_do(fate_random(CUT_MS_MAX), cut, relay_ref(relay));
}

static void meet_fate(struct relay *relay, enum direction direction, unsigned field,
                      struct crpc_bytes record, enum fate fate)
{
    if (fate == FATE_DROPPED) {
        lose(relay);
        return;
    }
    if (fate == FATE_HELD) {
        send_later(relay, direction, field, record, fate_random(HELD_MS_MAX));
        return;
    }
    send(relay, direction, field, record);
    if (fate == FATE_TWICE)
        send_later(relay, direction, field, record, fate_random(TWICE_MS_MAX));
}

/* -- Records ----------------------------------------------------------------------------------- */

static uint8_t *pack(struct crpc_bytes *out, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *data = malloc(size + 1);
    if (data == NULL)
        abort();
    protobuf_c_message_pack(message, data);
    *out = (struct crpc_bytes){.data = data, .size = size};
    return data;
}

/* `id` is the record's own. A late copy is wanted of what has an effect at the other side. */
static void relay_record(struct relay *relay, enum direction direction, unsigned field,
                         ProtobufCMessage *record, uint64_t *id, bool has_late)
{
    struct crpc_bytes bytes;
    if ((*id & LATE_ID) != 0) {
        fate_count(FATE_ANSWERED);
        return;
    }
    enum fate fate = fate_of_record(has_late);
    uint8_t *data = pack(&bytes, record);
    meet_fate(relay, direction, field, bytes, fate);
    free(data);
    if (fate != FATE_LATE)
        return;
    *id |= LATE_ID;
    data = pack(&bytes, record);
    late_keep(relay->kind, false, relay->service, bytes);
    free(data);
}

static void relay_hello(struct relay *relay, Tercet__V1__AttachRequest *request)
{
    struct crpc_bytes bytes;
    snprintf(relay->service, sizeof(relay->service), "%s", request->hello->service);
    uint8_t *data = pack(&bytes, &request->hello->base);
    send_now(relay, TO_BACK, 1, bytes);
    free(data);
}

static void split_attach(struct relay *relay, enum direction direction, ProtobufCMessage *message)
{
    if (direction == TO_BACK) {
        Tercet__V1__AttachRequest *request = (Tercet__V1__AttachRequest *)message;
        if (request->hello != NULL)
            relay_hello(relay, request);
        for (size_t i = 0; i < request->n_results; i++)
            relay_record(relay, direction, FIELD_RESULTS, &request->results[i]->base,
                         &request->results[i]->id, false);
        return;
    }
    Tercet__V1__AttachResponse *response = (Tercet__V1__AttachResponse *)message;
    if (response->accepted != NULL)
        send_now(relay, TO_FRONT, 2, (struct crpc_bytes){.data = "", .size = 0});
    for (size_t i = 0; i < response->n_calls; i++) {
        witness_call(response->calls[i]);
        relay_record(relay, direction, FIELD_RECORDS, &response->calls[i]->base,
                     &response->calls[i]->id, true);
    }
}

static void split_session(struct relay *relay, enum direction direction, ProtobufCMessage *message)
{
    if (direction == TO_BACK) {
        Tercet__V1__SessionRequests *requests = (Tercet__V1__SessionRequests *)message;
        for (size_t i = 0; i < requests->n_requests; i++)
            relay_record(relay, direction, FIELD_RECORDS, &requests->requests[i]->base,
                         &requests->requests[i]->id, true);
        return;
    }
    Tercet__V1__SessionResponses *responses = (Tercet__V1__SessionResponses *)message;
    for (size_t i = 0; i < responses->n_responses; i++)
        relay_record(relay, direction, FIELD_RECORDS, &responses->responses[i]->base,
                     &responses->responses[i]->id, false);
}

static void split(struct relay *relay, enum direction direction, struct crpc_bytes bytes)
{
    static const ProtobufCMessageDescriptor *const types[2][2] = {
        [RELAY_ATTACH] = {&tercet__v1__attach_request__descriptor,
                          &tercet__v1__attach_response__descriptor},
        [RELAY_SESSION] = {&tercet__v1__session_requests__descriptor,
                           &tercet__v1__session_responses__descriptor}};
    ProtobufCMessage *message = NULL;
    if (crpc_message_decode(&message, types[relay->kind][direction], bytes, 0) != 0) {
        fprintf(stderr, "torture_proxy: a message cannot be decoded\n");
        abort();
    }
    if (relay->kind == RELAY_ATTACH)
        split_attach(relay, direction, message);
    else
        split_session(relay, direction, message);
    crpc_message_free(message);
}

/* -- The two calls ----------------------------------------------------------------------------- */

static void on_front_message(struct crpc_call *call, struct crpc_bytes message, void *ctx)
{
    split(ctx, TO_BACK, message);
    crpc_call_read(call);
}

static void on_back_message(struct crpc_call *call, struct crpc_bytes message, void *ctx)
{
    split(ctx, TO_FRONT, message);
    crpc_call_read(call);
}

/* What the peer has said is sent before its end is. */
static void half_close_when_empty(void *ctx, bool is_over)
{
    struct relay *relay = ctx;
    if (!is_over && !atomic_load(&relay->is_over) && !outbox_is_empty(relay->boxes[TO_BACK])) {
        later_do(SOON_MS, half_close_when_empty, relay);
        return;
    }
    if (!is_over)
        crpc_call_half_close(relay->back);
    relay_unref(relay);
}

static void on_front_half_closed(struct crpc_call *call, void *ctx)
{
    struct relay *relay = ctx;
    (void)call;
    int64_t stalled_ms = atomic_load(&relay->stall_until_ms[TO_BACK]) - clock_monotonic_ms();
    later_do(stalled_ms > 0 ? (uint64_t)stalled_ms : 0, half_close_when_empty, relay_ref(relay));
}

static void on_front_sent(struct crpc_call *call, bool ok, void *ctx)
{
    (void)call;
    outbox_sent(((struct relay *)ctx)->boxes[TO_FRONT], ok);
}

static void on_back_sent(struct crpc_call *call, bool ok, void *ctx)
{
    (void)call;
    outbox_sent(((struct relay *)ctx)->boxes[TO_BACK], ok);
}

static void forget(struct relay *relay)
{
    pthread_mutex_lock(&relays.lock);
    struct relay **at = &relays.first;
    while (*at != NULL && *at != relay)
        at = &(*at)->next;
    bool is_found = *at != NULL;
    if (is_found)
        *at = relay->next;
    pthread_mutex_unlock(&relays.lock);
    if (is_found)
        relay_unref(relay);
}

static void on_front_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct relay *relay = ctx;
    (void)call;
    (void)status;
    atomic_store(&relay->is_over, true);
    outbox_close(relay->boxes[TO_FRONT]);
    crpc_call_cancel(relay->back);
    forget(relay);
    relay_unref(relay);
}

static void on_back_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct relay *relay = ctx;
    (void)call;
    if (relay->boxes[TO_BACK] != NULL)
        outbox_close(relay->boxes[TO_BACK]);
    crpc_call_finish(relay->front, status);
    relay_unref(relay);
}

static const struct crpc_call_events front_events = {.on_message = on_front_message,
                                                     .on_half_closed = on_front_half_closed,
                                                     .on_sent = on_front_sent,
                                                     .on_end = on_front_end};
static const struct crpc_call_events back_events = {
    .on_message = on_back_message, .on_sent = on_back_sent, .on_end = on_back_end};

static bool open_back(struct relay *relay, struct crpc_channel *channel)
{
    const struct crpc_call_options options = {.size = sizeof(options)};
    if (relay->kind == RELAY_ATTACH)
        return crpc_call_open(&relay->back, channel, &tercet__v1__participants__descriptor,
                              "Attach", &options, &back_events, relay) == 0;
    return crpc_call_open(&relay->back, channel, &tercet__v1__coordinator__descriptor, "Session",
                          &options, &back_events, relay) == 0;
}

/* References: the list's, the front call's, the back call's. All callbacks come from the one thread
 * of the loop, which is this one. */
static void relay_open(struct crpc_call *front, struct crpc_channel *channel, enum relay_kind kind)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    if (relay == NULL)
        abort();
    relay->kind = kind;
    atomic_init(&relay->refs, 3);
    crpc_call_ref(front);
    relay->front = front;
    if (!open_back(relay, channel)) {
        crpc_call_fail(front, CRPC_UNAVAILABLE, "the proxy cannot go on");
        crpc_call_unref(front);
        free(relay);
        return;
    }
    if (outbox_new(&relay->boxes[TO_BACK], relay->back, OUTBOX_BYTES_MAX) != 0 ||
        outbox_new(&relay->boxes[TO_FRONT], front, OUTBOX_BYTES_MAX) != 0)
        abort();
    pthread_mutex_lock(&relays.lock);
    relay->next = relays.first;
    relays.first = relay;
    pthread_mutex_unlock(&relays.lock);
    crpc_call_events_set(front, &front_events, relay);
    crpc_call_read(front);
    crpc_call_read(relay->back);
}

void relay_open_attach(struct crpc_call *front, void *channel)
{
    relay_open(front, channel, RELAY_ATTACH);
}

void relay_open_session(struct crpc_call *front, void *channel)
{
    relay_open(front, channel, RELAY_SESSION);
}

/* -- Whole streams ----------------------------------------------------------------------------- */

bool relay_is_none(void)
{
    pthread_mutex_lock(&relays.lock);
    bool is_none = relays.first == NULL;
    pthread_mutex_unlock(&relays.lock);
    return is_none;
}

/* One that fits (`service` NULL: any), drawn; the caller's reference. */
static struct relay *pick(enum relay_kind kind, const char *service)
{
    struct relay *picked = NULL;
    uint64_t count = 0;
    pthread_mutex_lock(&relays.lock);
    for (struct relay *relay = relays.first; relay != NULL; relay = relay->next)
        if (service == NULL || (relay->kind == kind && strcmp(relay->service, service) == 0))
            if (fate_random(++count) == 0)
                picked = relay;
    if (picked != NULL)
        relay_ref(picked);
    pthread_mutex_unlock(&relays.lock);
    return picked;
}

bool relay_deliver(enum relay_kind kind, const char *service, struct crpc_bytes record)
{
    struct relay *relay = pick(kind, service);
    if (relay == NULL)
        return false;
    send_now(relay, kind == RELAY_ATTACH ? TO_FRONT : TO_BACK, FIELD_RECORDS, record);
    relay_unref(relay);
    return true;
}

static void finish_front(struct relay *relay)
{
    const struct crpc_status status = {.code = CRPC_UNAVAILABLE,
                                       .message = "half-closed by the proxy"};
    crpc_call_finish(relay->front, &status);
}

void relay_trouble(void)
{
    struct relay *relay = pick(RELAY_SESSION, NULL);
    if (relay == NULL)
        return;
    switch (fate_random(6)) {
    case 0:
    case 1:
    case 2:
        fate_count(FATE_STALLED);
        atomic_store(&relay->stall_until_ms[fate_random(2)],
                     clock_monotonic_ms() + (int64_t)fate_random(STALL_MS_MAX));
        break;
    case 3:
        fate_count(FATE_CUT);
        later_do(0, cut, relay_ref(relay));
        break;
    case 4:
        fate_count(FATE_HALF_CLOSED);
        crpc_call_half_close(relay->back);
        break;
    default:
        fate_count(FATE_HALF_CLOSED);
        finish_front(relay);
    }
    relay_unref(relay);
}
