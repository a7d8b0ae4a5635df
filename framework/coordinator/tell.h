/* SPDX-License-Identifier: Apache-2.0
 *
 * What callers are told of a transaction: it as a whole, a try's outcome, the record of one that is
 * over. Told at once, or when it is durable (effect.h).
 */
#ifndef TERCET_TELL_H
#define TERCET_TELL_H

#include "caller.h"
#include "table.h"

#include <tercet/store/v1/store.pb-c.h>

struct coordinator;

/* The transaction as it stands, with a refusal or without (NULL). `id` is the request's in its
 * session. */
void tell_entry(struct coordinator *c, struct caller *caller, uint64_t id, struct entry *entry,
                const struct refusal *no);
/* What a try has come to. */
void tell_try(struct coordinator *c, struct caller *caller, uint64_t id, struct entry *entry,
              const struct txn_branch *branch);
/* The same for a resolved transaction. */
void tell_resolved(struct coordinator *c, struct caller *caller, uint64_t id, uint64_t number,
                   const Tercet__Store__V1__Resolved *resolved, const struct refusal *no);

#endif
