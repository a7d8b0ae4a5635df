/* SPDX-License-Identifier: Apache-2.0
 *
 * A store is read by another process (inspect.c): LMDB trusts its pages, so that one which is
 * damaged may end whoever reads it. Here is who starts that process, and what its lines mean.
 */
#ifndef TERCET_CHECKER_H
#define TERCET_CHECKER_H

#include "scrub.h"

#include <inttypes.h>

/* How its lines begin. */
#define CHECKER_READING "reading "      /* PART: WHAT */
#define CHECKER_DAMAGED "damaged: "     /* TEXT */
#define CHECKER_COUNTS "read: "         /* of a part that has been read: CHECKER_COUNTS_FORMAT */
#define CHECKER_FAILED "cannot check: " /* TEXT */
#define CHECKER_DONE "done: "           /* TEXT: all that was to be read has been */
#define CHECKER_COUNTS_FORMAT                                                                      \
    "%" PRIu64 " unresolved, %" PRIu64 " branches, %" PRIu64 " resolved, %" PRIu64 " others"

#define CHECKER_TEXT_MAX 512

struct checker {
    const char *program; /* tercetd, or one that does as it when called with --check */
    const char *data;    /* the store's name */
    uint64_t store_size; /* 0: the default */
    void (*on_damage)(const char *text, void *ctx);
    bool (*goes_on)(void *ctx); /* asked ten times a second */
    void *ctx;
    struct scrub_counts counts;  /* comes out */
    char text[CHECKER_TEXT_MAX]; /* why it cannot be checked; "": it was not to go on */
};

/* 0, also when there are damages; -1: it could not be read to its end, and `text` says why. A
 * reader that ends over a damaged page is a damage, and what it has not come to is read by
 * others. Blocks; any thread. */
int checker_run(struct checker *checker);

#endif
