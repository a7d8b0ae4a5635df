/* SPDX-License-Identifier: Apache-2.0
 *
 * inflate.h
 */
#include "inflate.h"

#include <crpc/crpc.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#define ROOM_FIRST 4096u
#define ANY_HEADER 32 /* added to the window's size: gzip's or zlib's */

/* What has been made, and room for more. */
struct plain {
    unsigned char *data;
    size_t size;
    size_t room;
    size_t room_max; /* one more than is permitted: a message that fills it is too large */
};

static int grow(struct plain *plain)
{
    size_t room = plain->room == 0 ? ROOM_FIRST : 2 * plain->room;
    if (room > plain->room_max)
        room = plain->room_max;
    unsigned char *data = realloc(plain->data, room);
    if (data == NULL)
        return CRPC_ENOMEM;
    plain->data = data;
    plain->room = room;
    return 0;
}

/* As much as the stream gives of what it was given. 1: that was its end. */
static int drain(struct plain *plain, z_stream *stream)
{
    int rc = Z_OK;
    do {
        int grown = plain->size == plain->room ? grow(plain) : 0;
        if (grown != 0)
            return grown;
        size_t room = plain->room - plain->size;
        stream->next_out = plain->data + plain->size;
        stream->avail_out = room < UINT_MAX ? (uInt)room : UINT_MAX;
        uInt before = stream->avail_out;
        rc = inflate(stream, Z_NO_FLUSH);
        plain->size += before - stream->avail_out;
        if (plain->size == plain->room_max)
            return CRPC_ETOOBIG;
        if (rc == Z_MEM_ERROR)
            return CRPC_ENOMEM;
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return CRPC_EDECODE;
    } while (rc == Z_OK && (stream->avail_in > 0 || stream->avail_out == 0));
    return rc == Z_STREAM_END ? 1 : 0;
}

static int inflate_slices(struct plain *plain, z_stream *stream, const grpc_slice_buffer *slices)
{
    int rc = 0;
    for (size_t i = 0; i < slices->count; i++) {
        const grpc_slice *slice = &slices->slices[i];
        if (rc == 1 && GRPC_SLICE_LENGTH(*slice) > 0)
            return CRPC_EDECODE;
        stream->next_in = (Bytef *)GRPC_SLICE_START_PTR(*slice);
        stream->avail_in = (uInt)GRPC_SLICE_LENGTH(*slice);
        while (rc == 0 && stream->avail_in > 0)
            rc = drain(plain, stream);
        if (rc < 0 || stream->avail_in > 0)
            return rc < 0 ? rc : CRPC_EDECODE;
    }
    return rc == 1 ? 0 : CRPC_EDECODE;
}

int inflate_message(grpc_slice *out, const grpc_byte_buffer *buffer, size_t size_max)
{
    struct plain plain = {.room_max = size_max + 1};
    z_stream stream = {.zalloc = Z_NULL};
    if (inflateInit2(&stream, MAX_WBITS + ANY_HEADER) != Z_OK)
        return CRPC_ENOMEM;
    int rc = inflate_slices(&plain, &stream, &buffer->data.raw.slice_buffer);
    inflateEnd(&stream);
    if (rc != 0) {
        free(plain.data);
        return rc;
    }
    *out = plain.data != NULL ? grpc_slice_new(plain.data, plain.size, free) : grpc_empty_slice();
    return 0;
}
