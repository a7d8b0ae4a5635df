/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding of bytes that nobody vouches for. protobuf-c limits neither the memory nor the depth of
 * what it decodes (80 times the bytes, a stack frame of 1 kB a level), and it looks at no text. So
 * the bytes are walked first, for the depth and the text, and its memory has a limit.
 */
#include <assert.h>
#include <crpc/crpc.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

#define MEMORY_FACTOR 64
#define MEMORY_DEFAULT_MIN (64 * 1024)
/* Past it, small messages in a large one are no more than an honest peer has. */
#define MEMORY_DEFAULT_LARGE (4u << 20)
#define MEMORY_FACTOR_LARGE 16
#define CHUNK_SIZE_MIN 256
#define CHUNK_SIZE_MAX (32 * 1024)
#define DEPTH_MAX 64 /* depth of nested messages */
#define FIELD_NUMBER_MAX ((1u << 29) - 1)

/* -- Text -------------------------------------------------------------------------------------- */

/* The length of the UTF-8 character that begins at text, 0 when there is none (RFC 3629: no
 * overlong forms, no surrogates). NUL counts as none: a C string would end there, and hide the rest
 * from every later check. */
static size_t character_length(const uint8_t *text, size_t size)
{
    static const uint32_t smallest[5] = {0, 1, 0x80, 0x800, 0x10000};
    size_t length = text[0] < 0x80       ? 1
                    : text[0] >> 5 == 6  ? 2
                    : text[0] >> 4 == 14 ? 3
                    : text[0] >> 3 == 30 ? 4
                                         : 0;
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

bool crpc_is_text(const void *data, size_t size)
{
    const uint8_t *text = data;
    while (size > 0) {
        size_t length = character_length(text, size);
        if (length == 0)
            return false;
        text += length;
        size -= length;
    }
    return true;
}

/* -- The walk ---------------------------------------------------------------------------------- */

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

/* Reads a field with a length before it: a text, a message, or bytes, which need no check. */
static bool is_value_good(struct wire value, const ProtobufCFieldDescriptor *field, int depth)
{
    if (field != NULL && field->type == PROTOBUF_C_TYPE_STRING)
        return crpc_is_text(value.at, (size_t)(value.end - value.at));
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
    return is_value_good(value, protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3)),
                         depth);
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

/* -- Memory ------------------------------------------------------------------------------------ */

/* A message and all that it points to lie in chunks, one after the other, so that a message of a
 * thousand records costs a few allocations and not thousands. The message begins the first chunk:
 * from there it is freed. */
struct chunk {
    struct chunk *next; /* the chunk before this one; of the first chunk: the newest */
    size_t used;
    size_t size;
    alignas(max_align_t) uint8_t data[];
};

struct memory {
    struct chunk *first;
    struct chunk *newest;
    size_t left;      /* bytes left of what the message may take in memory */
    size_t next_size; /* of a chunk */
    bool was_short;   /* malloc failed, not the budget */
};

static void free_chunks(struct chunk *first)
{
    struct chunk *chunk = first != NULL ? first->next : NULL;
    while (chunk != first) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(first);
}

/* A ring: first -> newest -> ... -> second -> first. */
static void link_chunk(struct memory *memory, struct chunk *chunk)
{
    if (memory->first == NULL)
        memory->first = chunk;
    chunk->next = memory->newest != NULL ? memory->newest : chunk;
    memory->first->next = chunk;
    memory->newest = chunk;
}

static struct chunk *add_chunk(struct memory *memory, size_t least)
{
    size_t size = memory->next_size > least ? memory->next_size : least;
    size = size < memory->left ? size : memory->left;
    if (size < least)
        return NULL;
    struct chunk *chunk = malloc(sizeof(*chunk) + size);
    if (chunk == NULL) {
        memory->was_short = true;
        return NULL;
    }
    chunk->used = 0;
    chunk->size = size;
    link_chunk(memory, chunk);
    memory->left -= size;
    memory->next_size = size < CHUNK_SIZE_MAX / 2 ? 2 * size : CHUNK_SIZE_MAX;
    return chunk;
}

static void *chunk_alloc(void *ctx, size_t size)
{
    struct memory *memory = ctx;
    struct chunk *chunk = memory->newest;
    assert(size < SIZE_MAX / 2); /* a few times the bytes that are decoded */
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (chunk == NULL || size > chunk->size - chunk->used)
        chunk = add_chunk(memory, size);
    if (chunk == NULL)
        return NULL;
    void *data = chunk->data + chunk->used;
    chunk->used += size;
    return data;
}

static void chunk_free(void *ctx, void *data)
{
    (void)ctx;
    (void)data; /* with all the others */
}

static int unpack(ProtobufCMessage **out, const ProtobufCMessageDescriptor *type,
                  struct crpc_bytes bytes, size_t memory_max)
{
    struct memory memory = {.left = memory_max, .next_size = CHUNK_SIZE_MIN};
    if (bytes.size > CHUNK_SIZE_MIN)
        memory.next_size = bytes.size < CHUNK_SIZE_MAX ? bytes.size : CHUNK_SIZE_MAX;
    ProtobufCAllocator allocator = {chunk_alloc, chunk_free, &memory};
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, bytes.size, bytes.data);
    if (message == NULL) {
        free_chunks(memory.first);
        return memory.was_short ? CRPC_ENOMEM : CRPC_EDECODE;
    }
    /* protobuf-c makes the message before what it points to */
    assert((uint8_t *)message == memory.first->data);
    *out = message;
    return 0;
}

static size_t times(size_t size, size_t factor)
{
    return size > SIZE_MAX / factor ? SIZE_MAX : size * factor;
}

static size_t default_memory(size_t size)
{
    size_t small = times(size, MEMORY_FACTOR), large = times(size, MEMORY_FACTOR_LARGE);
    if (small < MEMORY_DEFAULT_MIN)
        return MEMORY_DEFAULT_MIN;
    if (small < MEMORY_DEFAULT_LARGE)
        return small;
    return large > MEMORY_DEFAULT_LARGE ? large : MEMORY_DEFAULT_LARGE;
}

int crpc_message_decode(ProtobufCMessage **out, const ProtobufCMessageDescriptor *type,
                        struct crpc_bytes bytes, size_t memory_max)
{
    static const uint8_t nothing;
    if (type == NULL || (bytes.data == NULL && bytes.size > 0))
        return CRPC_EINVAL;
    if (memory_max == 0)
        memory_max = default_memory(bytes.size);
    const uint8_t *data = bytes.size > 0 ? bytes.data : &nothing;
    if (!is_wire_good((struct wire){data, data + bytes.size}, type, 0))
        return CRPC_EDECODE;
    return unpack(out, type, (struct crpc_bytes){data, bytes.size}, memory_max);
}

int crpc_message_copy(ProtobufCMessage **out, const ProtobufCMessage *message)
{
    uint8_t *bytes = malloc(crpc_message_size_max(message) + 1);
    if (bytes == NULL)
        return CRPC_ENOMEM;
    size_t size = protobuf_c_message_pack(message, bytes);
    /* What is in memory already needs no limit, and its text was looked at, or is our own. */
    int rc = unpack(out, message->descriptor, (struct crpc_bytes){bytes, size}, SIZE_MAX);
    free(bytes);
    return rc;
}

static struct chunk *first_chunk(const ProtobufCMessage *message)
{
    return (struct chunk *)((char *)message - offsetof(struct chunk, data));
}

size_t crpc_message_memory(const ProtobufCMessage *message)
{
    const struct chunk *first = first_chunk(message), *chunk = first;
    size_t size = 0;
    do
        size += sizeof(*chunk) + chunk->size;
    while ((chunk = chunk->next) != first);
    return size;
}

void crpc_message_free(ProtobufCMessage *message)
{
    if (message != NULL)
        free_chunks(first_chunk(message));
}
