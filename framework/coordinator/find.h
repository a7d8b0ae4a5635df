/* SPDX-License-Identifier: Apache-2.0
 *
 * A transaction by its gid: unresolved and in memory, over and in the store, or unknown.
 */
#ifndef TERCET_FIND_H
#define TERCET_FIND_H

#include "table.h"

#include <tercet/store/v1/store.pb-c.h>

struct coordinator;

/* What was found: an entry, the record of one that is over with its number, or neither. find_clear
 * it. */
struct found {
    struct entry *entry;
    Tercet__Store__V1__Resolved *resolved;
    uint64_t number;
};
void find_clear(struct found *found);

/* 0, TERCET_INVALID (no gid), TERCET_NOT_FOUND, TERCET_FORMAT (its record is damaged),
 * TERCET_UNAVAILABLE (the coordinator fails). *text says what is wrong; NULL: the code's own text.
 */
int find_gid(struct coordinator *c, const char *gid, struct found *found, const char **text);

/* The index of a branch in a resolved record; -1: none. */
int find_resolved_branch(const Tercet__Store__V1__Resolved *resolved, uint32_t number);

#endif
