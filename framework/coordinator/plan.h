/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions begun, and branches prepared: what is malformed ends here, what repeats is
 * recognised by its digest, what is new is made. int results are 0 or the refusal's
 * code.
 */
#ifndef TERCET_PLAN_H
#define TERCET_PLAN_H

#include "find.h"
#include "step.h"

#include <tercet/v1/tercet.pb-c.h>

/* Why the shard takes no new transactions; NULL: it does. Lives until the end of the turn. */
const char *plan_refuses(const struct coordinator *c, const struct shard *shard);

/* `found` is what was found of the request's gid; of one that is empty nothing, and it is made;
 * `begun_by` is the name that whoever asks is bound to, "" when to none.
 * What is begun becomes what was found. The same request again finds what it made; with other
 * options it is TERCET_EXISTS. */
int plan_begin(struct coordinator *c, const Tercet__V1__BeginRequest *message, const char *gid,
               const char *begun_by, struct found *found, struct refusal *no);
int plan_run(struct coordinator *c, uint64_t initiator, const Tercet__V1__RunRequest *message,
             const char *begun_by, struct found *found, struct refusal *no);

/* Sizes, number, names. */
int plan_check_branch(const Tercet__V1__Branch *branch, struct refusal *no);
/* What step_enlist is given. On success the service is to be released after the enlistment.
 * `initiator`: caller_initiator's. */
int plan_branch(struct coordinator *c, uint64_t initiator, const Tercet__V1__Branch *branch,
                uint32_t number, enum txn_mode mode, struct branch_plan *plan, struct refusal *no);
/* The transaction has a branch with this number already, with this digest: gives the plan the same
 * when the content is the same. */
void plan_match(struct branch_plan *plan, const Tercet__V1__Branch *branch, uint64_t known);

#endif
