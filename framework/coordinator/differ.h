/* SPDX-License-Identifier: Apache-2.0
 *
 * A request that repeats a gid or a branch number with other content: which field is another one.
 */
#ifndef TERCET_DIFFER_H
#define TERCET_DIFFER_H

#include "find.h"

#include <tercet/v1/tercet.pb-c.h>

struct branch_plan; /* step.h */
struct shard;

/* A Begin or a Run on its way. Views. */
struct asked {
    struct coordinator *c;
    struct shard *shard;
    uint64_t initiator; /* caller_initiator's */
    const char *gid;
    const char *begun_by; /* the name of who asks; "": none */
    const Tercet__V1__Options *options;
    const Tercet__V1__RunRequest *run; /* NULL: a Begin */
    uint32_t *numbers;                 /* of the run's branches */
    uint64_t digest;
};

/* TERCET_EXISTS: in what the transaction that was found is another one than was asked for.
 * `digests` are those of the run's branches. */
int differ_refusal(const struct found *found, const struct asked *asked, const uint64_t *digests,
                   struct refusal *no);

/* The same of a branch, which has the number of the plan's. */
int differ_branch(const struct found *found, const struct branch_plan *plan, struct refusal *no);

#endif
