/* SPDX-License-Identifier: Apache-2.0
 *
 * How much room a message needs at most. protobuf-c's own count is exact, and takes as long as the packing itself: it looks at
 * every value. Here a number counts as its longest encoding, so only lengths are looked at.
 */
#include <crpc/crpc.h>
#include <string.h>

#define TAG_MAX 5u
#define VARINT_MAX 10u
#define VARINT32_MAX 5u

static size_t tag_max(const ProtobufCFieldDescriptor *field)
{
    return field->id < 16 ? 1 : TAG_MAX;
}

/* What comes behind the tag, of the value that lies at `at`. */
static size_t value_max(const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(char *const *)at;
        return VARINT_MAX + (text != NULL ? strlen(text) : 0);
    }
    case PROTOBUF_C_TYPE_BYTES:
        return VARINT_MAX + ((const ProtobufCBinaryData *)at)->len;
    case PROTOBUF_C_TYPE_MESSAGE: {
        const ProtobufCMessage *message = *(ProtobufCMessage *const *)at;
        return VARINT_MAX + (message != NULL ? crpc_message_size_max(message) : 0);
    }
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_BOOL:
        return VARINT32_MAX;
    default: /* an int32 and an enum below zero are as long as an int64 */
        return VARINT_MAX;
    }
}

/* How far apart the elements of an array lie whose lengths are looked at; 0: they are not. */
static size_t element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 0;
    }
}

/* Packed or not: `at` is the array, one tag and one length more than needed do no harm. */
static size_t array_max(const ProtobufCFieldDescriptor *field, const char *at, size_t count)
{
    size_t step = element_size(field->type);
    if (step == 0)
        return TAG_MAX + VARINT_MAX + count * (TAG_MAX + VARINT_MAX);
    size_t size = count * tag_max(field);
    for (size_t i = 0; i < count; i++)
        size += value_max(field, at + i * step);
    return size;
}

static size_t field_max(const ProtobufCFieldDescriptor *field, const char *message)
{
    const char *at = message + field->offset;
    const char *quantifier = message + field->quantifier_offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)(const void *)quantifier;
        return count > 0 ? array_max(field, *(char *const *)(const void *)at, count) : 0;
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 && *(const uint32_t *)(const void *)quantifier != field->id)
        return 0; /* the place is another field's */
    return tag_max(field) + value_max(field, at);
}

size_t crpc_message_size_max(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    size_t size = 0;
    for (unsigned i = 0; i < type->n_fields; i++)
        size += field_max(&type->fields[i], (const char *)message);
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        size += TAG_MAX + message->unknown_fields[i].len;
    return size;
}
