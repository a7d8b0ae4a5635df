/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding of bytes that nobody vouches for. protobuf-c limits neither the memory nor the depth of what it decodes
 * (80 times the bytes, a stack frame of 1 kB a level); its allocator is asked once a level, so it can limit both.
 */
#include <crpc/crpc.h>
#include <stdlib.h>

#define MEMORY_FACTOR 64
#define MEMORY_DEFAULT_MIN (64 * 1024)
#define STACK_SIZE_MAX (96 * 1024) /* about a hundred levels */

struct budget {
    size_t memory_left;
    uintptr_t stack_top;
};

static void *budget_alloc(void *ctx, size_t size)
{
    struct budget *budget = ctx;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    uintptr_t used = here < budget->stack_top ? budget->stack_top - here : here - budget->stack_top;

    if (used > STACK_SIZE_MAX || size > budget->memory_left)
        return NULL;
    budget->memory_left -= size;
    return malloc(size);
}

static void budget_free(void *ctx, void *data)
{
    (void)ctx;
    free(data);
}

int crpc_message_decode(ProtobufCMessage **out, const ProtobufCMessageDescriptor *type, struct crpc_bytes bytes,
                        size_t memory_max)
{
    if (type == NULL || (bytes.data == NULL && bytes.size > 0))
        return CRPC_EINVAL;
    if (memory_max == 0) {
        memory_max = bytes.size > SIZE_MAX / MEMORY_FACTOR ? SIZE_MAX : bytes.size * MEMORY_FACTOR;
        if (memory_max < MEMORY_DEFAULT_MIN)
            memory_max = MEMORY_DEFAULT_MIN;
    }
    struct budget budget = {memory_max, (uintptr_t)__builtin_frame_address(0)};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, bytes.size, bytes.data);
    if (message == NULL)
        return CRPC_EDECODE;
    *out = message;
    return 0;
}

void crpc_message_free(ProtobufCMessage *message)
{
    /* The default allocator frees with free(), as ours does. */
    if (message != NULL)
        protobuf_c_message_free_unpacked(message, NULL);
}
