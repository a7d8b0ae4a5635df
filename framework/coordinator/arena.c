/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.h
 */
#include "arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE (64u * 1024)
#define ALIGNMENT alignof(max_align_t)

struct arena_block {
    struct arena_block *next;
    size_t capacity;
    alignas(max_align_t) unsigned char data[];
};

void *or_die(void *memory)
{
    if (memory == NULL) {
        fputs("tercet: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *must_alloc(size_t size)
{
    return or_die(calloc(1, size > 0 ? size : 1));
}

void *must_realloc(void *data, size_t size)
{
    return or_die(realloc(data, size));
}

char *must_strdup(const char *text)
{
    return or_die(strdup(text));
}

static void add_block(struct arena *arena, size_t size)
{
    size_t capacity = size > BLOCK_SIZE ? size : BLOCK_SIZE;
    struct arena_block *block = or_die(malloc(sizeof(*block) + capacity));
    block->capacity = capacity;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->used = 0;
}

static size_t round_up(size_t size)
{
    return (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t rounded = round_up(size);
    if (arena->blocks == NULL || arena->blocks->capacity - arena->used < rounded)
        add_block(arena, rounded);
    void *memory = arena->blocks->data + arena->used;
    arena->used += rounded;
    assert(arena->used <= arena->blocks->capacity);
    return memory;
}

void *arena_copy(struct arena *arena, const void *data, size_t size)
{
    void *copy = arena_alloc(arena, size);
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

struct crpc_bytes arena_pack(struct arena *arena, size_t head_size, const ProtobufCMessage *message)
{
    size_t size_max = head_size + crpc_message_size_max(message);
    uint8_t *data = arena_alloc(arena, size_max);
    size_t size = head_size + protobuf_c_message_pack(message, data + head_size);
    assert(size <= size_max);
    arena->used -= round_up(size_max) - round_up(size);
    return (struct crpc_bytes){data, size};
}

static void free_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_reset(struct arena *arena)
{
    if (arena->blocks != NULL) {
        free_blocks(arena->blocks->next);
        arena->blocks->next = NULL;
    }
    arena->used = 0;
}

void arena_free(struct arena *arena)
{
    free_blocks(arena->blocks);
    arena->blocks = NULL;
    arena->used = 0;
}
