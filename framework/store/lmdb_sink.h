/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a copy of the store goes: a directory that is made, with a file in it. A thread of its own
 * does what may hang there (a network file system that does not answer, a pipe that nobody reads);
 * who gives it work waits for so long only, and may leave it.
 */
#ifndef TERCET_LMDB_SINK_H
#define TERCET_LMDB_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SINK_PIECE_SIZE (256u * 1024)
#define SINK_STALL_MS_DEFAULT 60000

struct lmdb_sink;

struct lmdb_sink_options {
    const char *directory;
    uint32_t stall_ms; /* a piece that takes longer is given up; 0: SINK_STALL_MS_DEFAULT */
    /* Asked several times a second while it is waited for; not 0: the waiting ends with this STORE_
     * code, whose text the function has filled. */
    int (*meanwhile)(void *ctx);
    void *ctx;
    char *text; /* TERCET_STORE_TEXT_MAX bytes, filled on each failure */
};

/* Makes the directory and the file, data.mdb. These return STORE_ codes. After one that is not 0
 * only lmdb_sink_drop may follow. */
int lmdb_sink_open(struct lmdb_sink **out, const struct lmdb_sink_options *options);
/* Where the next piece, of at most SINK_PIECE_SIZE, is to be put. */
unsigned char *lmdb_sink_piece(struct lmdb_sink *sink);
/* Writes it, and now and then makes what was written durable. */
int lmdb_sink_write(struct lmdb_sink *sink, size_t size);
/* As of the last piece; UINT64_MAX: not known. */
uint64_t lmdb_sink_free_bytes(const struct lmdb_sink *sink);
/* Makes file and name durable. */
int lmdb_sink_finish(struct lmdb_sink *sink);
/* Ends it; `removes` what was made. When the thread hangs it is left to itself, and so is what was
 * made. NULL is fine. */
void lmdb_sink_drop(struct lmdb_sink *sink, bool removes);

#endif
