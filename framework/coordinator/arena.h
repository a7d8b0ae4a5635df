/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that goes all at once: what one batch of writes, or one turn, needs. Addresses stay.
 */
#ifndef TERCET_ARENA_H
#define TERCET_ARENA_H

#include <crpc/crpc.h>
#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* the first is being filled */
    size_t used;                /* of the first */
};

/* Memory aligned for anything. Never NULL: the process ends when there is none, as a coordinator
 * that cannot write a decision down must. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_copy(struct arena *arena, const void *data, size_t size);
/* The message's bytes behind a head that the caller fills. */
struct crpc_bytes arena_pack(struct arena *arena, size_t head_size,
                             const ProtobufCMessage *message);

/* Frees everything but one block for the next use. */
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);

/* malloc, calloc and strdup for what must not fail, for the same reason; and what they do: passes
 * memory on, ends the process for NULL. */
void *or_die(void *memory);
void *must_alloc(size_t size);
void *must_realloc(void *data, size_t size);
char *must_strdup(const char *text);

#endif
