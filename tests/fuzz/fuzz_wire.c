/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages from the wire. The first byte chooses a method and its request or response, the rest is
 * the message. What decodes has clean text all through, and packs into bytes that decode and pack
 * to the same.
 */
#include "check.h"
#include "fuzz.h"
#include "plan.h"

#include <crpc/crpc.h>
#include <salvage.h>
#include <tercet/v1/tercet.pb-c.h>

#define MEMORY_MAX (256 * 1024)
/* chunks are cut by the size of the bytes: what just fitted may need a little more */
#define MEMORY_AGAIN (3 * MEMORY_MAX)

static const ProtobufCServiceDescriptor *const services[] = {
    &tercet__v1__coordinator__descriptor,
    &tercet__v1__participants__descriptor,
    &tercet__v1__participant__descriptor,
    &tercet__v1__admin__descriptor,
};

static const ProtobufCMessageDescriptor *type_of(unsigned choice)
{
    unsigned count = 0;
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        count += services[i]->n_methods;
    unsigned index = choice / 2 % count;
    size_t i = 0;
    while (index >= services[i]->n_methods)
        index -= services[i++]->n_methods;
    const ProtobufCMethodDescriptor *method = &services[i]->methods[index];
    return choice % 2 == 0 ? method->input : method->output;
}

static void check_message(const ProtobufCMessage *message);

static void check_value(const ProtobufCFieldDescriptor *field, const void *value)
{
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = *(char *const *)value;
        MUST(text != NULL && crpc_is_text(text, strlen(text)));
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && *(ProtobufCMessage *const *)value != NULL)
        check_message(*(ProtobufCMessage *const *)value);
}

/* A oneof's fields lie on each other: only the one that is set may be looked at. */
static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const char *quantifier = (const char *)message + field->quantifier_offset;
    bool is_in_oneof = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    return !is_in_oneof || *(const uint32_t *)(const void *)quantifier == field->id;
}

static void check_field(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const char *member = (const char *)message + field->offset;
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        if (is_set(message, field))
            check_value(field, member);
        return;
    }
    size_t count =
        *(const size_t *)(const void *)((const char *)message + field->quantifier_offset);
    if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE)
        return;
    const void *const *items = *(const void *const *const *)(const void *)member;
    for (size_t i = 0; i < count; i++) {
        MUST(items[i] != NULL);
        check_value(field, &items[i]);
    }
}

static void check_message(const ProtobufCMessage *message)
{
    struct refusal no;
    MUST(protobuf_c_message_check(message));
    for (unsigned i = 0; i < message->descriptor->n_fields; i++)
        check_field(message, &message->descriptor->fields[i]);
    if (message->descriptor == &tercet__v1__branch__descriptor)
        MUST(plan_check_branch((const Tercet__V1__Branch *)(const void *)message, &no) == 0 ||
             no.text[0] != '\0');
}

/* The message packed, malloc'ed. */
static struct crpc_bytes pack(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *data = malloc(size > 0 ? size : 1);
    MUST(size <= crpc_message_size_max(message));
    MUST(data != NULL && protobuf_c_message_pack(message, data) == size);
    return (struct crpc_bytes){data, size};
}

/* A batch of which some elements cannot be decoded. */
static void check_salvage(const ProtobufCMessageDescriptor *type, struct crpc_bytes bytes)
{
    static const uint8_t rest[] = {4 << 3 | 2, 1, 'r'};
    ProtobufCMessage *message = NULL;
    int rc = CRPC_EDECODE;
    if (type == &tercet__v1__session_requests__descriptor)
        rc = salvage_decode(&message, type, 1, (struct crpc_bytes){NULL, 0}, bytes);
    else if (type == &tercet__v1__attach_request__descriptor)
        rc = salvage_decode(&message, type, 2, (struct crpc_bytes){rest, sizeof(rest)}, bytes);
    MUST((rc == 0) == (message != NULL));
    if (message != NULL)
        check_message(message);
    crpc_message_free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ProtobufCMessage *first = NULL;
    ProtobufCMessage *second = NULL;
    struct input input = {data, size};
    const ProtobufCMessageDescriptor *type = type_of(take(&input));
    if (crpc_message_decode(&first, type, (struct crpc_bytes){input.at, input.size}, MEMORY_MAX) !=
        0) {
        MUST(first == NULL);
        check_salvage(type, (struct crpc_bytes){input.at, input.size});
        return 0;
    }
    check_message(first);
    struct crpc_bytes packed = pack(first);
    MUST(crpc_message_decode(&second, type, packed, MEMORY_AGAIN) == 0);
    struct crpc_bytes again = pack(second);
    MUST(again.size == packed.size && memcmp(again.data, packed.data, packed.size) == 0);
    free((void *)packed.data);
    free((void *)again.data);
    crpc_message_free(first);
    crpc_message_free(second);
    return 0;
}
