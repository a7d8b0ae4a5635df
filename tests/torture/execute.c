/* SPDX-License-Identifier: Apache-2.0
 *
 * execute.h
 */
#include "execute.h"

#include "fate.h"
#include "late.h"
#include "later.h"
#include "witness.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/v1/tercet.pb-c.h>

#define CALL_MS 10000
#define LOST_MS 5000 /* after which the caller of a call without an answer has long gone */
#define TWICE_MS_MAX 500
#define HELD_MS_MAX 2000

#define PARTICIPANT (&tercet__v1__participant__descriptor)
#define PARTICIPANTS (&tercet__v1__participants__descriptor)

/* Where a service is to be called. Those that were replaced stay: calls of them may be under
 * way. */
struct target {
    char service[SERVICE_MAX];
    struct crpc_channel *channel;
    bool is_current;
    struct target *next;
};

static struct {
    struct crpc_loop *loop;
    struct crpc_channel *back;
    const char *own_address;
    pthread_mutex_t lock; /* over `targets` */
    struct target *targets;
} executes = {.lock = PTHREAD_MUTEX_INITIALIZER};

void execute_open(struct crpc_loop *loop, struct crpc_channel *back, const char *own_address)
{
    executes.loop = loop;
    executes.back = back;
    executes.own_address = own_address;
}

void execute_free(void)
{
    while (executes.targets != NULL) {
        struct target *target = executes.targets;
        executes.targets = target->next;
        crpc_channel_free(target->channel);
        free(target);
    }
}

/* -- Registering ------------------------------------------------------------------------------- */

static void keep_target(const char *service, const char *address)
{
    struct target *target = calloc(1, sizeof(*target));
    if (target == NULL || crpc_channel_new(&target->channel, executes.loop, address, NULL) != 0)
        abort();
    snprintf(target->service, sizeof(target->service), "%s", service);
    target->is_current = true;
    pthread_mutex_lock(&executes.lock);
    for (struct target *old = executes.targets; old != NULL; old = old->next)
        if (strcmp(old->service, service) == 0)
            old->is_current = false;
    target->next = executes.targets;
    executes.targets = target;
    pthread_mutex_unlock(&executes.lock);
}

static void on_registered(const ProtobufCMessage *reply, const struct crpc_status *status,
                          void *ctx)
{
    struct crpc_call *front = ctx;
    if (reply != NULL)
        crpc_call_reply(front, reply);
    else
        crpc_call_finish(front, status);
    crpc_call_unref(front);
}

void execute_register(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    const Tercet__V1__RegisterRequest *given = (const Tercet__V1__RegisterRequest *)request;
    const struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = CALL_MS};
    Tercet__V1__RegisterRequest changed = *given;
    char no_token[] = ""; /* the calls come from here, and bring none */
    (void)ctx;
    changed.token = no_token;
    if (given->target[0] != '\0') {
        keep_target(given->service, given->target);
        changed.target = (char *)(uintptr_t)executes.own_address;
    }
    crpc_call_ref(call);
    if (crpc_unary_start(NULL, executes.back, PARTICIPANTS, "RegisterTarget", &changed.base,
                         &options, on_registered, call) == 0)
        return;
    crpc_call_fail(call, CRPC_UNAVAILABLE, "the proxy cannot go on");
    crpc_call_unref(call);
}

/* -- Calling ----------------------------------------------------------------------------------- */

/* A call on its way there, or its answer on its way back. */
struct execution {
    struct crpc_call *front; /* NULL: nobody waits for the answer */
    char service[SERVICE_MAX];
    size_t size;
    uint8_t data[];
};

static struct execution *new_execution(struct crpc_call *front, const char *service,
                                       const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    struct execution *execution = calloc(1, sizeof(*execution) + size);
    if (execution == NULL)
        abort();
    execution->size = protobuf_c_message_pack(message, execution->data);
    snprintf(execution->service, sizeof(execution->service), "%s", service);
    execution->front = front;
    if (front != NULL)
        crpc_call_ref(front);
    return execution;
}

static void free_execution(struct execution *execution)
{
    if (execution->front != NULL)
        crpc_call_unref(execution->front);
    free(execution);
}

static void give_up(void *ctx, bool is_over)
{
    struct execution *execution = ctx;
    (void)is_over;
    if (execution->front != NULL)
        crpc_call_fail(execution->front, CRPC_UNAVAILABLE, "lost by the proxy");
    free_execution(execution);
}

static void answer(void *ctx, bool is_over)
{
    struct execution *execution = ctx;
    const struct crpc_bytes bytes = {.data = execution->data, .size = execution->size};
    if (!is_over)
        crpc_call_reply_bytes(execution->front, bytes);
    free_execution(execution);
}

static void on_executed(const ProtobufCMessage *reply, const struct crpc_status *status, void *ctx)
{
    struct execution *execution = ctx;
    struct crpc_call *front = execution->front;
    if (front == NULL)
        fate_count(FATE_ANSWERED);
    if (front != NULL && reply == NULL)
        crpc_call_finish(front, status);
    if (front != NULL && reply != NULL) {
        struct execution *back = new_execution(front, execution->service, reply);
        enum fate fate = fate_of_record(false);
        if (fate == FATE_DROPPED)
            later_do(LOST_MS, give_up, back);
        else
            later_do(fate == FATE_HELD ? fate_random(HELD_MS_MAX) : 0, answer, back);
    }
    free_execution(execution);
}

/* The service's current channel, which lives as long as the program. */
static struct crpc_channel *find_channel(const char *service)
{
    struct crpc_channel *channel = NULL;
    pthread_mutex_lock(&executes.lock);
    for (struct target *target = executes.targets; target != NULL && channel == NULL;
         target = target->next)
        if (target->is_current && strcmp(target->service, service) == 0)
            channel = target->channel;
    pthread_mutex_unlock(&executes.lock);
    return channel;
}

static void call_target(void *ctx, bool is_over)
{
    struct execution *execution = ctx;
    const struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = CALL_MS};
    const struct crpc_bytes bytes = {.data = execution->data, .size = execution->size};
    struct crpc_channel *channel = is_over ? NULL : find_channel(execution->service);
    ProtobufCMessage *message = NULL;
    if (channel == NULL ||
        crpc_message_decode(&message, &tercet__v1__call__descriptor, bytes, 0) != 0 ||
        crpc_unary_start(NULL, channel, PARTICIPANT, "Execute", message, &options, on_executed,
                         execution) != 0)
        give_up(execution, is_over);
    crpc_message_free(message);
}

void execute_call(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    const Tercet__V1__Call *given = (const Tercet__V1__Call *)request;
    char service[SERVICE_MAX];
    (void)ctx;
    witness_call(given);
    snprintf(service, sizeof(service), "%.*s", (int)strcspn(given->action, "/"), given->action);
    struct execution *execution = new_execution(call, service, request);
    const struct crpc_bytes bytes = {.data = execution->data, .size = execution->size};
    switch (fate_of_record(true)) {
    case FATE_DROPPED:
        later_do(LOST_MS, give_up, execution);
        return;
    case FATE_HELD:
        later_do(fate_random(HELD_MS_MAX), call_target, execution);
        return;
    case FATE_TWICE:
        later_do(fate_random(TWICE_MS_MAX), call_target, new_execution(NULL, service, request));
        break;
    case FATE_LATE:
        late_keep(RELAY_ATTACH, true, service, bytes);
        break;
    default:
        break;
    }
    call_target(execution, false);
}

bool execute_again(const char *service, struct crpc_bytes record)
{
    struct execution *execution = calloc(1, sizeof(*execution) + record.size);
    if (execution == NULL)
        abort();
    execution->size = record.size;
    memcpy(execution->data, record.data, record.size);
    snprintf(execution->service, sizeof(execution->service), "%s", service);
    bool is_known = find_channel(service) != NULL;
    call_target(execution, false);
    return is_known;
}
