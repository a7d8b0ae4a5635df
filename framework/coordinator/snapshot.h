/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions as they are shown: tercet.v1.Transaction from an entry, or from the record of a
 * resolved one. In an arena; strings and replies are views of what they were made from.
 */
#ifndef TERCET_SNAPSHOT_H
#define TERCET_SNAPSHOT_H

#include "arena.h"
#include "table.h"

#include <tercet/store/v1/store.pb-c.h>
#include <tercet/v1/tercet.pb-c.h>

struct coordinator;

Tercet__V1__Transaction *snapshot_of_entry(struct coordinator *c, struct arena *arena,
                                           const struct entry *entry);
Tercet__V1__Transaction *snapshot_of_resolved(struct arena *arena, uint64_t number,
                                              const Tercet__Store__V1__Resolved *resolved);

/* Adds to it what each branch waits for: costs more than the rest, and is for those who look. */
void snapshot_add_obstacles(struct coordinator *c, struct arena *arena,
                            Tercet__V1__Transaction *out, const struct entry *entry);
/* past it, the branches that follow are shown without their attempts */
#define HISTORY_SHOWN_BYTES_MAX (1024u * 1024)
/* Adds each branch's last attempts. */
void snapshot_add_history(struct arena *arena, Tercet__V1__Transaction *out,
                          const struct entry *entry);

/* What a try has come to. */
Tercet__V1__TryResponse *snapshot_of_try(struct arena *arena, const struct entry *entry,
                                         const struct txn_branch *branch);

#endif
