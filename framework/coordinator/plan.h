/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests checked and prepared: what is malformed ends here, what repeats is recognised by its
 * digest, what is new is made. int results are 0 or TERCET_ codes; then *text says what is wrong
 * (NULL: the code's own text).
 */
#ifndef TERCET_PLAN_H
#define TERCET_PLAN_H

#include "owner.h"

#include <tercet/store/v1/store.pb-c.h>

/* A transaction that was looked for: an entry, a resolved record, or neither. found_clear it. */
struct found {
    struct entry *entry;
    Tercet__Store__V1__Resolved *resolved;
    uint64_t number;
};
void found_clear(struct found *found);

/* TERCET_NOT_FOUND, TERCET_INVALID (gid). */
int plan_find(struct coordinator *c, const char *gid, struct found *found, const char **text);

/* The same request again finds what it made; other options are TERCET_EXISTS. */
int plan_begin(struct coordinator *c, const Tercet__V1__BeginRequest *message, const char *gid,
               struct found *found, const char **text);
int plan_run(struct coordinator *c, const Tercet__V1__RunRequest *message, struct found *found,
             const char **text, char made[TERCET_TEXT_MAX]);

/* Sizes, number, names. */
int plan_check_branch(const Tercet__V1__Branch *branch, const char **text);
/* What the owner enlists. `made` is room for a text. On success the service is to be released after
 * the enlistment. */
int plan_branch(struct coordinator *c, const Tercet__V1__Branch *branch, uint32_t number,
                enum txn_mode mode, struct branch_plan *plan, const char **text,
                char made[TERCET_TEXT_MAX]);
int plan_check_reason(const char *reason, const char **text);

/* Why it is being cancelled, while it is undecided and no reason is known. */
void plan_keep_reason(struct entry *entry, const char *reason);

/* The index of a branch in a resolved record; -1: none. */
int plan_resolved_branch(const Tercet__Store__V1__Resolved *resolved, uint32_t number);

int plan_error_of_core(int txn_result);

#endif
