/* SPDX-License-Identifier: Apache-2.0
 *
 * tercet/enter.h, for all databases: they differ in their SQL, and in how a statement is carried
 * out. All values stand in the text: gids have no character that ends one, the others are numbers
 * and hexadecimal digits.
 */
#ifndef BARRIER_ENTER_H
#define BARRIER_ENTER_H

#include <stdio.h>
#include <tercet/enter.h>

/* What a statement came to. */
struct enter_result {
    uint64_t changed; /* rows */
    bool has_row;
    char first[48]; /* of the row's columns, as text */
    char *second;   /* malloc'ed; NULL: there is none */
};

struct enter_sql {
    /* Formats, with the values that they take. */
    const char *known;   /* -> source, mark */
    const char *adopted; /* the same after `adopt`: as it is now, whatever the snapshot says */
    const char *adopt;   /* source (%s) */
    const char *insert;  /* gid (%s), branch (%u), number (PRIu64), state (%d) */
    const char *mark;    /* -> mark */
    const char *row;     /* gid, branch -> state, reply as hexadecimal digits */
    const char *move;    /* state, gid, branch */
    const char *reply;   /* hexadecimal digits (%s), gid, branch */
    int (*run)(void *conn, const char *sql, struct enter_result *result, char *text);
};

int enter_barrier(const struct enter_sql *sql, void *conn, struct tercet_barrier_call *call,
                  char *text);
int leave_barrier(const struct enter_sql *sql, void *conn, struct tercet_barrier_call *call,
                  struct tercet_bytes reply, char *text);

/* Keeps the columns of a row (NULL: SQL's). TERCET_NOMEM. */
int enter_keep(struct enter_result *result, const char *first, const char *second);

#endif
