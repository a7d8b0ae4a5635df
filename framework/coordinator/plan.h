/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions begun, and branches prepared: what is malformed ends here, what repeats is
 * recognised by its digest, what is new is made. int results are 0 or TERCET_ codes; then *text
 * says what is wrong (NULL: the code's own text).
 */
#ifndef TERCET_PLAN_H
#define TERCET_PLAN_H

#include "find.h"
#include "step.h"

#include <tercet/v1/tercet.pb-c.h>

#define TRY_TIMEOUT_MS_DEFAULT 10000

/* `found` is what was found of the request's gid; one that is empty finds nothing, and is made.
 * What is begun becomes the entry that was found. The same request again finds what it made; other
 * options are TERCET_EXISTS. */
int plan_begin(struct coordinator *c, const Tercet__V1__BeginRequest *message, const char *gid,
               struct found *found, const char **text);
int plan_run(struct coordinator *c, const Tercet__V1__RunRequest *message, struct found *found,
             const char **text, char made[TERCET_TEXT_MAX]);

/* Sizes, number, names. */
int plan_check_branch(const Tercet__V1__Branch *branch, const char **text);
/* What step_enlist is given. `made` is room for a text. On success the service is to be released
 * after the enlistment. */
int plan_branch(struct coordinator *c, const Tercet__V1__Branch *branch, uint32_t number,
                enum txn_mode mode, struct branch_plan *plan, const char **text,
                char made[TERCET_TEXT_MAX]);

#endif
