/* SPDX-License-Identifier: Apache-2.0
 *
 * How much room a message needs at most. protobuf-c's own count is exact, and takes as long as the
 * packing itself: it looks at every value. Here a number counts as its longest encoding, so only
 * lengths are looked at.
 */
#include <crpc/crpc.h>
#include <stdbool.h>
#include <string.h>

#define TAG_MAX 5u
#define VARINT_MAX 10u

/* The most bytes that a number of this type takes: a negative int32 or enum takes as many as an
 * int64. 0: not a number, but a field with a length before it. */
static const uint8_t number_max[] = {
    [PROTOBUF_C_TYPE_INT32] = 10,  [PROTOBUF_C_TYPE_SINT32] = 5,  [PROTOBUF_C_TYPE_SFIXED32] = 4,
    [PROTOBUF_C_TYPE_INT64] = 10,  [PROTOBUF_C_TYPE_SINT64] = 10, [PROTOBUF_C_TYPE_SFIXED64] = 8,
    [PROTOBUF_C_TYPE_UINT32] = 5,  [PROTOBUF_C_TYPE_FIXED32] = 4, [PROTOBUF_C_TYPE_UINT64] = 10,
    [PROTOBUF_C_TYPE_FIXED64] = 8, [PROTOBUF_C_TYPE_FLOAT] = 4,   [PROTOBUF_C_TYPE_DOUBLE] = 8,
    [PROTOBUF_C_TYPE_BOOL] = 1,    [PROTOBUF_C_TYPE_ENUM] = 10,   [PROTOBUF_C_TYPE_STRING] = 0,
    [PROTOBUF_C_TYPE_BYTES] = 0,   [PROTOBUF_C_TYPE_MESSAGE] = 0,
};

static size_t tag_max(const ProtobufCFieldDescriptor *field)
{
    return field->id < 16 ? 1 : TAG_MAX;
}

/* The size of a field with a length before it, and of that length; the field is at `at`. */
static size_t value_max(ProtobufCType type, const void *at)
{
    if (type == PROTOBUF_C_TYPE_BYTES)
        return VARINT_MAX + ((const ProtobufCBinaryData *)at)->len;
    const void *value = *(const void *const *)at;
    if (value == NULL)
        return VARINT_MAX;
    return VARINT_MAX +
           (type == PROTOBUF_C_TYPE_STRING ? strlen(value) : crpc_message_size_max(value));
}

static size_t element_size(ProtobufCType type)
{
    return type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData) : sizeof(void *);
}

/* `at` is the array. The bound for numbers covers both encodings: a tag per number, or one tag and
 * length for all when they are packed. */
static size_t array_max(const ProtobufCFieldDescriptor *field, const char *at, size_t count)
{
    size_t number = number_max[field->type];
    if (number > 0)
        return TAG_MAX + VARINT_MAX + count * (tag_max(field) + number);
    size_t size = count * tag_max(field);
    for (size_t i = 0; i < count; i++)
        size += value_max(field->type, at + i * element_size(field->type));
    return size;
}

/* The size of a field that is optional, repeated, or has a length before it. */
static size_t field_max(const ProtobufCFieldDescriptor *field, const char *message)
{
    const char *at = message + field->offset;
    const char *quantifier = message + field->quantifier_offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)(const void *)quantifier;
        return count > 0 ? array_max(field, *(char *const *)(const void *)at, count) : 0;
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *(const uint32_t *)(const void *)quantifier != field->id)
        return 0; /* another field of the oneof is set */
    size_t number = number_max[field->type];
    return tag_max(field) + (number > 0 ? number : value_max(field->type, at));
}

static bool is_plain_number(const ProtobufCFieldDescriptor *field)
{
    return number_max[field->type] > 0 && field->label != PROTOBUF_C_LABEL_REPEATED &&
           (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0;
}

size_t crpc_message_size_max(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    size_t size = 0;
    /* most are plain numbers, whose bound needs no look at their value */
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        size += is_plain_number(field) ? tag_max(field) + number_max[field->type]
                                       : field_max(field, (const char *)message);
    }
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        size += TAG_MAX + message->unknown_fields[i].len;
    return size;
}
