/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that is freed all at once: that of one batch of writes, or of one turn of the loop. What
 * was allocated does not move.
 */
#ifndef TERCET_ARENA_H
#define TERCET_ARENA_H

#include <crpc/crpc.h>
#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* the first one is being filled */
    size_t used;                /* bytes of the first one */
};

/* Memory aligned for any type. Never NULL: without memory the process ends, because a coordinator
 * that cannot write a decision down must stop. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_copy(struct arena *arena, const void *data, size_t size);
/* The packed message behind `head_size` bytes that the caller fills. */
struct crpc_bytes arena_pack(struct arena *arena, size_t head_size,
                             const ProtobufCMessage *message);

/* Frees everything but one block, which is kept for the next use. */
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);

/* calloc, realloc and strdup that end the process when there is no memory, for the same reason.
 * or_die passes on what is not NULL, and ends the process for NULL. */
void *or_die(void *memory);
void *must_alloc(size_t size);
void *must_realloc(void *data, size_t size);
char *must_strdup(const char *text);

#endif
