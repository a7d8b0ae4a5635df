/* SPDX-License-Identifier: Apache-2.0
 *
 * Arguments for gRPC.
 */
#include "args.h"

#include <assert.h>
#include <limits.h>
#include <stdint.h>

static grpc_arg *args_next(struct args *args, const char *key, grpc_arg_type type)
{
    assert(args->count < ARGS_MAX);
    grpc_arg *arg = &args->list[args->count++];
    arg->type = type;
    arg->key = (char *)(uintptr_t)key; /* never written to, gRPC only misses the const */
    return arg;
}

void args_add(struct args *args, const char *key, size_t value)
{
    args_next(args, key, GRPC_ARG_INTEGER)->value.integer = value > INT_MAX ? INT_MAX : (int)value;
}

void args_add_text(struct args *args, const char *key, const char *text)
{
    args_next(args, key, GRPC_ARG_STRING)->value.string = (char *)(uintptr_t)text;
}

void args_add_pointer(struct args *args, const char *key, void *pointer,
                      const grpc_arg_pointer_vtable *table)
{
    grpc_arg *arg = args_next(args, key, GRPC_ARG_POINTER);
    arg->value.pointer.p = pointer;
    arg->value.pointer.vtable = table;
}

void args_add_common(struct args *args, size_t message_size_max, size_t metadata_size_max,
                     size_t stream_window_size)
{
    args_add(args, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, message_size_max);
    args_add(args, GRPC_ARG_MAX_METADATA_SIZE, metadata_size_max);
    /* Compressed messages are taken as they come: gRPC would inflate all of one before it looks at
     * its size (inflate.h). */
    args_add(args, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    args_add(args, GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET,
             1u << GRPC_COMPRESS_NONE | 1u << GRPC_COMPRESS_DEFLATE | 1u << GRPC_COMPRESS_GZIP);
    args_add(args, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    if (stream_window_size > 0) {
        args_add(args, GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, stream_window_size);
        args_add(args, GRPC_ARG_HTTP2_BDP_PROBE, 0); /* it would widen the window again */
    }
}
