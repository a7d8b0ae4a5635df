/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage.h: the batch is written anew, element by element (protobuf encoding: a field's tag, then
 * a varint, 4 or 8 bytes, or a length and so many bytes).
 */
#include "salvage.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_ID 1u
#define VARINT_SIZE_MAX 10u

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

/* One field: its number, its wire type, and its value, which is a varint or a view. */
struct field {
    uint64_t number;
    unsigned type;
    uint64_t varint;
    struct crpc_bytes value;
    struct crpc_bytes whole; /* with tag and length */
};

static bool read_varint(struct reader *reader, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool read_value(struct reader *reader, struct field *out)
{
    uint64_t size = 0;
    switch (out->type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return read_varint(reader, &out->varint);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        size = 8;
        break;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        size = 4;
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (read_varint(reader, &size))
            break;
        return false;
    default:
        return false;
    }
    if (size > (uint64_t)(reader->end - reader->at))
        return false;
    out->value = (struct crpc_bytes){reader->at, (size_t)size};
    reader->at += size;
    return true;
}

static bool read_field(struct reader *reader, struct field *out)
{
    uint64_t tag;
    const uint8_t *start = reader->at;
    if (!read_varint(reader, &tag))
        return false;
    *out = (struct field){.number = tag >> 3, .type = (unsigned)(tag & 7)};
    if (!read_value(reader, out))
        return false;
    out->whole = (struct crpc_bytes){start, (size_t)(reader->at - start)};
    return true;
}

static struct reader reader_of(struct crpc_bytes bytes)
{
    return (struct reader){bytes.data, (const uint8_t *)bytes.data + bytes.size};
}

/* The last one counts, as for every decoder. */
static bool read_id(struct crpc_bytes element, uint64_t *id)
{
    struct reader reader = reader_of(element);
    struct field field;
    bool has_id = false;
    while (reader.at < reader.end) {
        if (!read_field(&reader, &field))
            return false;
        if (field.number != FIELD_ID || field.type != PROTOBUF_C_WIRE_TYPE_VARINT)
            continue;
        *id = field.varint;
        has_id = true;
    }
    return has_id;
}

/* -- Writing anew ------------------------------------------------------------------------------ */

static uint8_t *write_varint(uint8_t *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *out++ = (uint8_t)(value | 0x80);
    *out++ = (uint8_t)value;
    return out;
}

static uint8_t *write_bytes(uint8_t *out, struct crpc_bytes bytes)
{
    if (bytes.size > 0)
        memcpy(out, bytes.data, bytes.size);
    return out + bytes.size;
}

static uint8_t *write_replacement(uint8_t *out, unsigned field, uint64_t id, struct crpc_bytes rest)
{
    uint8_t id_field[2 * VARINT_SIZE_MAX];
    uint8_t *id_end = write_varint(id_field, FIELD_ID << 3 | PROTOBUF_C_WIRE_TYPE_VARINT);
    id_end = write_varint(id_end, id);
    size_t id_size = (size_t)(id_end - id_field);
    out = write_varint(out, (uint64_t)field << 3 | PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
    out = write_varint(out, id_size + rest.size);
    out = write_bytes(out, (struct crpc_bytes){id_field, id_size});
    return write_bytes(out, rest);
}

struct salvage {
    const ProtobufCMessageDescriptor *element_type;
    unsigned field;
    struct crpc_bytes rest;
    size_t replaced_count;
};

/* Writes a field as it is, or its replacement. CRPC_EDECODE: it cannot be told what it is. */
static int write_field(struct salvage *salvage, uint8_t **end, const struct field *field)
{
    ProtobufCMessage *element = NULL;
    uint64_t id;
    bool is_element =
        field->number == salvage->field && field->type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    int rc = is_element ? crpc_message_decode(&element, salvage->element_type, field->value, 0) : 0;
    crpc_message_free(element);
    if (rc == 0)
        *end = write_bytes(*end, field->whole);
    if (rc != CRPC_EDECODE || !read_id(field->value, &id))
        return rc;
    salvage->replaced_count++;
    *end = write_replacement(*end, salvage->field, id, salvage->rest);
    return 0;
}

/* An element at fault has at least its tag, its length and an id: it may grow by the rest, and by a
 * byte of a longer length or so. */
static size_t size_max(struct crpc_bytes bytes, struct crpc_bytes rest)
{
    size_t element_size_min = 4;
    return bytes.size + bytes.size / element_size_min * (rest.size + VARINT_SIZE_MAX) + rest.size;
}

static int decode_replaced(ProtobufCMessage **out, const ProtobufCMessageDescriptor *type,
                           struct salvage *salvage, struct crpc_bytes bytes)
{
    struct reader reader = reader_of(bytes);
    struct field field;
    uint8_t *room = malloc(size_max(bytes, salvage->rest));
    uint8_t *end = room;
    int rc = room != NULL ? 0 : CRPC_ENOMEM;
    while (rc == 0 && reader.at < reader.end)
        rc = read_field(&reader, &field) ? write_field(salvage, &end, &field) : CRPC_EDECODE;
    if (rc == 0 && salvage->replaced_count == 0)
        rc = CRPC_EDECODE;
    if (rc == 0)
        rc = crpc_message_decode(out, type, (struct crpc_bytes){room, (size_t)(end - room)}, 0);
    free(room);
    return rc;
}

int salvage_decode(ProtobufCMessage **out, const ProtobufCMessageDescriptor *type, unsigned field,
                   struct crpc_bytes rest, struct crpc_bytes bytes)
{
    const ProtobufCFieldDescriptor *elements = protobuf_c_message_descriptor_get_field(type, field);
    assert(elements != NULL && elements->type == PROTOBUF_C_TYPE_MESSAGE);
    int rc = crpc_message_decode(out, type, bytes, 0);
    if (rc != CRPC_EDECODE)
        return rc;
    struct salvage salvage = {elements->descriptor, field, rest, 0};
    return decode_replaced(out, type, &salvage, bytes);
}
