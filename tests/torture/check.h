/* SPDX-License-Identifier: Apache-2.0
 *
 * The clients' logs as transactions with observations, and the rules that these have to keep.
 */
#ifndef TERCET_TORTURE_CHECK_H
#define TERCET_TORTURE_CHECK_H

#include "history.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An answer. */
struct observation {
    char op[12];
    int code;
    int state; /* 0: not told */
    int64_t asked_us, told_us;
};

struct transaction {
    char gid[TERCET_GID_MAX + 1];
    bool is_asked; /* somebody began it */
    bool has_effects;
    bool is_final_known;
    int final; /* the state at the end; 0: tercetd does not know it */
    struct observation *observations;
    size_t count, room;
};

struct story {
    struct transaction *transactions;
    size_t count, room;
    uint32_t *places; /* by hash: 1 + the index in `transactions`; 0: free */
    size_t place_count;
};

/* Adds a log. Ends the program (2) at a line that is none, but for one without an end: its writer
 * was killed. */
void story_read(struct story *story, const char *path);

/* The transaction, made when there is none. Valid until the next one is made. */
struct transaction *story_find(struct story *story, const char *gid);

void story_add(struct transaction *transaction, const struct observation *observation);
uint64_t story_answers(const struct story *story);
void story_free(struct story *story);

struct story_rule {
    const char *name;
    bool (*holds)(const struct transaction *transaction, char why[256]);
};
extern const struct story_rule story_rules[];
extern const size_t story_rule_count;

#endif
