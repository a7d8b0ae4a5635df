/* SPDX-License-Identifier: Apache-2.0
 *
 * Payloads of branches that only the store has: past a limit they do not stay in memory while their
 * branch waits.
 */
#ifndef TERCET_PAYLOAD_H
#define TERCET_PAYLOAD_H

#include "table.h"

struct coordinator;

/* The branch's payload, from the store when it is not in memory. false: the store cannot give it
 * (the coordinator fails). */
bool payload_load(struct coordinator *c, struct entry *entry, struct txn_branch *branch);

#endif
