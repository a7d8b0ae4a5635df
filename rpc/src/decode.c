/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding of bytes that nobody vouches for. protobuf-c limits neither the memory nor the depth of what it decodes
 * (80 times the bytes, a stack frame of 1 kB a level), and it looks at no text. So the bytes are walked first, for the
 * depth and the text, and its allocator has a budget.
 */
#include <crpc/crpc.h>
#include <stdlib.h>

#define MEMORY_FACTOR 64
#define MEMORY_DEFAULT_MIN (64 * 1024)
#define DEPTH_MAX 64 /* messages inside each other */
#define FIELD_NUMBER_MAX ((1u << 29) - 1)

/* -- Text ------------------------------------------------------------------------------------- */

/* The length of the UTF-8 character that begins at text, 0 when there is none (RFC 3629: no overlong forms, no
 * surrogates). NUL counts as none: a C string would end there, and hide the rest from every later check. */
static size_t character_length(const uint8_t *text, size_t size)
{
    static const uint32_t smallest[5] = {0, 1, 0x80, 0x800, 0x10000};
    size_t length = text[0] < 0x80 ? 1 : text[0] >> 5 == 6 ? 2 : text[0] >> 4 == 14 ? 3 : text[0] >> 3 == 30 ? 4 : 0;
    if (length == 0 || length > size)
        return 0;
    uint32_t point = length == 1 ? text[0] : text[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if (text[i] >> 6 != 2)
            return 0;
        point = point << 6 | (text[i] & 0x3f);
    }
    if (point < smallest[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    return length;
}

static bool is_text(const uint8_t *text, size_t size)
{
    while (size > 0) {
        size_t length = character_length(text, size);
        if (length == 0)
            return false;
        text += length;
        size -= length;
    }
    return true;
}

/* -- The walk --------------------------------------------------------------------------------- */

struct wire {
    const uint8_t *at;
    const uint8_t *end;
};

static bool take_varint(struct wire *wire, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && wire->at < wire->end; shift += 7) {
        uint8_t byte = *wire->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool skip(struct wire *wire, uint64_t size)
{
    if (size > (uint64_t)(wire->end - wire->at))
        return false;
    wire->at += size;
    return true;
}

static bool is_wire_good(struct wire wire, const ProtobufCMessageDescriptor *type, int depth);

/* What a length stands before: text, a message, or what needs no look. */
static bool is_value_good(struct wire value, const ProtobufCFieldDescriptor *field, int depth)
{
    if (field != NULL && field->type == PROTOBUF_C_TYPE_STRING)
        return is_text(value.at, (size_t)(value.end - value.at));
    if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE)
        return is_wire_good(value, field->descriptor, depth + 1);
    return true;
}

/* One field, https://protobuf.dev/programming-guides/encoding/; groups are not in proto3. */
static bool take_field(struct wire *wire, const ProtobufCMessageDescriptor *type, int depth)
{
    uint64_t tag;
    uint64_t number;
    if (!take_varint(wire, &tag) || tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX)
        return false;
    switch (tag & 7) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return take_varint(wire, &number);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return skip(wire, 8);
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return skip(wire, 4);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        break;
    default:
        return false;
    }
    if (!take_varint(wire, &number))
        return false;
    struct wire value = {wire->at, NULL};
    if (!skip(wire, number))
        return false;
    value.end = wire->at;
    return is_value_good(value, protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3)), depth);
}

static bool is_wire_good(struct wire wire, const ProtobufCMessageDescriptor *type, int depth)
{
    if (depth > DEPTH_MAX)
        return false;
    while (wire.at < wire.end)
        if (!take_field(&wire, type, depth))
            return false;
    return true;
}

/* -- Memory ----------------------------------------------------------------------------------- */

struct budget {
    size_t left;
    bool was_short; /* of memory, not of budget */
};

static void *budget_alloc(void *ctx, size_t size)
{
    struct budget *budget = ctx;
    if (size > budget->left)
        return NULL;
    void *data = malloc(size);
    budget->left -= size;
    if (data == NULL)
        budget->was_short = true;
    return data;
}

static void budget_free(void *ctx, void *data)
{
    (void)ctx;
    free(data);
}

int crpc_message_decode(ProtobufCMessage **out, const ProtobufCMessageDescriptor *type, struct crpc_bytes bytes,
                        size_t memory_max)
{
    static const uint8_t nothing;
    if (type == NULL || (bytes.data == NULL && bytes.size > 0))
        return CRPC_EINVAL;
    if (memory_max == 0) {
        memory_max = bytes.size > SIZE_MAX / MEMORY_FACTOR ? SIZE_MAX : bytes.size * MEMORY_FACTOR;
        if (memory_max < MEMORY_DEFAULT_MIN)
            memory_max = MEMORY_DEFAULT_MIN;
    }
    const uint8_t *data = bytes.size > 0 ? bytes.data : &nothing;
    if (!is_wire_good((struct wire){data, data + bytes.size}, type, 0))
        return CRPC_EDECODE;
    struct budget budget = {.left = memory_max};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, bytes.size, data);
    if (message == NULL)
        return budget.was_short ? CRPC_ENOMEM : CRPC_EDECODE;
    *out = message;
    return 0;
}

void crpc_message_free(ProtobufCMessage *message)
{
    /* The default allocator frees with free(), as ours does. */
    if (message != NULL)
        protobuf_c_message_free_unpacked(message, NULL);
}
