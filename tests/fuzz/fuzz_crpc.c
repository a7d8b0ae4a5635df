/* SPDX-License-Identifier: Apache-2.0
 *
 * What crpc itself makes of a peer's bytes, without a network: requests of the reflection and the
 * health service, and metadata. The first byte chooses. Every request is answered once, by a
 * message that decodes; metadata comes out as it went in, and what may be sent is what the rules of
 * gRPC allow.
 */
#include "builtin_descriptors.h"
#include "fuzz.h"
#include "metadata.h"
#include "server.h"

#include <grpc/health/v1/health.pb-c.h>
#include <grpc/reflection/v1/reflection.pb-c.h>
#include <grpc/slice.h>
#include <wire_descriptors.h>

#define BODY_MAX 200
#define ENTRIES_MAX 8

/* -- A call, and the services' handlers -------------------------------------------------------- */

struct crpc_call {
    const struct crpc_call_events *events;
    void *events_ctx;
    const ProtobufCMessageDescriptor *answer; /* what it sends */
    unsigned answers;                         /* messages, or its end */
    bool has_ended;
};

struct served {
    const ProtobufCServiceDescriptor *service;
    const struct crpc_handler *handlers;
    void *ctx;
};

static struct served served[4];
static size_t served_count;

int crpc_server_add_service(struct crpc_server *server, const ProtobufCServiceDescriptor *service,
                            const struct crpc_handler *handlers, size_t handler_count, void *ctx)
{
    (void)server;
    MUST(served_count < 4 && handler_count <= 2);
    served[served_count++] = (struct served){service, handlers, ctx};
    return 0;
}

void crpc_call_ref(struct crpc_call *call)
{
    (void)call;
}

void crpc_call_unref(struct crpc_call *call)
{
    (void)call;
}

void crpc_call_events_set(struct crpc_call *call, const struct crpc_call_events *events, void *ctx)
{
    call->events = events;
    call->events_ctx = ctx;
}

int crpc_call_read(struct crpc_call *call)
{
    (void)call;
    return 0;
}

static void look_at(struct crpc_call *call, struct crpc_bytes bytes)
{
    ProtobufCMessage *message = NULL;
    MUST(crpc_message_decode(&message, call->answer, bytes, 0) == 0);
    crpc_message_free(message);
    call->answers++;
}

int crpc_call_send_owned(struct crpc_call *call, void *data, size_t size)
{
    look_at(call, (struct crpc_bytes){data, size});
    free(data);
    return 0;
}

int crpc_call_send(struct crpc_call *call, const ProtobufCMessage *message)
{
    uint8_t bytes[64];
    MUST(message->descriptor == call->answer &&
         protobuf_c_message_get_packed_size(message) <= sizeof(bytes));
    look_at(call, (struct crpc_bytes){bytes, protobuf_c_message_pack(message, bytes)});
    return 0;
}

int crpc_call_reply(struct crpc_call *call, const ProtobufCMessage *reply)
{
    call->has_ended = true;
    return crpc_call_send(call, reply);
}

int crpc_call_finish(struct crpc_call *call, const struct crpc_status *status)
{
    (void)status;
    call->has_ended = true;
    return 0;
}

int crpc_call_fail(struct crpc_call *call, enum crpc_code code, const char *format, ...)
{
    MUST(code != CRPC_OK && format[0] != '\0');
    call->answers++;
    call->has_ended = true;
    return 0;
}

static struct crpc_server *server_once(void)
{
    static struct crpc_server server;
    static const ProtobufCServiceDescriptor *services[4];
    if (served_count > 0)
        return &server;
    MUST(catalog_add(&server.catalog,
                     (struct crpc_bytes){builtin_descriptors, builtin_descriptors_size}) == 0);
    MUST(catalog_add(&server.catalog,
                     (struct crpc_bytes){wire_descriptors, wire_descriptors_size}) == 0);
    MUST(reflection_new(&server.reflection, &server) == 0 &&
         health_new(&server.health, &server) == 0);
    MUST(health_set(server.health, "tercet.v1.Coordinator", true) == 0);
    server.services = services;
    for (size_t i = 0; i < served_count; i++)
        services[server.service_count++] = served[i].service;
    return &server;
}

/* -- Requests ---------------------------------------------------------------------------------- */

static struct crpc_bytes take_body(struct input *input)
{
    size_t size = take_below(input, BODY_MAX);
    struct crpc_bytes body = {input->at, size < input->size ? size : input->size};
    input->at += body.size;
    input->size -= body.size;
    return body;
}

static void end_call(struct crpc_call *call)
{
    struct crpc_status ok = {.code = CRPC_OK, .message = ""};
    if (call->events != NULL)
        call->events->on_end(call, &ok, call->events_ctx);
}

static void ask_reflection(struct input *input)
{
    struct crpc_call call = {.answer =
                                 &grpc__reflection__v1__server_reflection_response__descriptor};
    unsigned asked = 0;
    server_once();
    served[0].handlers[0].on_open(&call, served[0].ctx);
    while (input->size > 0 && !call.has_ended) {
        call.events->on_message(&call, take_body(input), call.events_ctx);
        MUST(call.answers == ++asked);
        call.events->on_sent(&call, true, call.events_ctx);
    }
    call.events->on_half_closed(&call, call.events_ctx);
    MUST(call.has_ended);
    end_call(&call);
}

static void ask_health(struct input *input)
{
    struct crpc_call call = {.answer = &grpc__health__v1__health_check_response__descriptor};
    struct crpc_server *server = server_once();
    ProtobufCMessage *request = NULL;
    const struct served *health = &served[served_count - 1];
    uint8_t what = take(input);
    if (crpc_message_decode(&request, &grpc__health__v1__health_check_request__descriptor,
                            (struct crpc_bytes){input->at, input->size}, 0) != 0)
        return;
    health->handlers[what % 2].on_request(&call, request, health->ctx);
    crpc_message_free(request);
    MUST(call.answers == 1);
    if (what % 2 == 1) {
        MUST(health_set(server->health, "tercet.v1.Coordinator", what >= 128) == 0);
        call.events->on_sent(&call, true, call.events_ctx);
        MUST(call.answers <= 2);
    }
    end_call(&call);
}

/* -- Metadata ---------------------------------------------------------------------------------- */

static bool is_same(struct crpc_bytes bytes, grpc_slice slice)
{
    return bytes.size == GRPC_SLICE_LENGTH(slice) &&
           (bytes.size == 0 || memcmp(bytes.data, GRPC_SLICE_START_PTR(slice), bytes.size) == 0);
}

static grpc_slice take_slice(struct input *input)
{
    struct crpc_bytes body = take_body(input);
    return grpc_slice_from_copied_buffer(body.data, body.size);
}

static void receive_metadata(struct input *input)
{
    grpc_metadata entries[ENTRIES_MAX];
    grpc_metadata_array array = {.metadata = entries};
    struct metadata_in in = {.entries = NULL};
    while (array.count < ENTRIES_MAX && input->size > 0) {
        grpc_metadata *entry = &entries[array.count++];
        *entry = (grpc_metadata){.key = take_slice(input)};
        entry->value = take_slice(input);
    }
    metadata_in_copy(&in, &array);
    MUST(in.count == array.count);
    for (size_t i = 0; i < in.count; i++) {
        const char *key = in.entries[i].key;
        struct crpc_bytes value = in.entries[i].value, found = {NULL, 0};
        size_t key_size = GRPC_SLICE_LENGTH(entries[i].key);
        MUST(memcmp(key, GRPC_SLICE_START_PTR(entries[i].key), key_size) == 0 &&
             key[key_size] == '\0');
        MUST(is_same(value, entries[i].value) && ((const char *)value.data)[value.size] == '\0');
        MUST(metadata_in_get(&in, key, &found));
    }
    metadata_in_clear(&in);
    for (size_t i = 0; i < array.count; i++) {
        grpc_slice_unref(entries[i].key);
        grpc_slice_unref(entries[i].value);
    }
}

static bool is_key(const char *key)
{
    for (const char *c = key; *c != '\0'; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || strchr("_-.", *c) != NULL))
            return false;
    return key[0] != '\0' && strncmp(key, "grpc-", 5) != 0;
}

static bool is_value(struct crpc_bytes value)
{
    for (size_t i = 0; i < value.size; i++)
        if (((const uint8_t *)value.data)[i] < 0x20 || ((const uint8_t *)value.data)[i] > 0x7e)
            return false;
    return true;
}

static void send_metadata(struct input *input)
{
    struct metadata_out list = {.entries = NULL};
    while (input->size > 0) {
        struct crpc_bytes key_bytes = take_body(input);
        char key[BODY_MAX + 1] = "";
        memcpy(key, key_bytes.data, key_bytes.size);
        struct crpc_metadata entry = {.key = key, .value = take_body(input)};
        size_t count = list.count, size = strlen(key);
        bool is_binary = size > 4 && strcmp(key + size - 4, "-bin") == 0;
        int result = metadata_add(&list, &entry);
        MUST((result == 0) == (is_key(key) && (is_binary || is_value(entry.value))));
        MUST(list.count == count + (result == 0));
        MUST(result != 0 || is_same(entry.value, list.entries[count].value));
    }
    metadata_out_clear(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parts[])(struct input *) = {ask_reflection, ask_health, receive_metadata,
                                                    send_metadata};
    struct input input = {data, size};
    parts[take_below(&input, 4)](&input);
    return 0;
}
