/* SPDX-License-Identifier: Apache-2.0
 *
 * On what terms a participant is called: what it is told of the transaction, and how long its
 * answer is waited for.
 */
#ifndef TERCET_TERMS_H
#define TERCET_TERMS_H

#include "service.h"
#include "table.h"

#include <tercet/v1/tercet.pb-c.h>

struct coordinator;

/* All but the call's own id, kind, attempt and timeout; views of the entry's memory. false: the
 * payload cannot be read. */
bool terms_fill(struct coordinator *c, struct entry *entry, struct txn_branch *branch,
                Tercet__V1__Call *out);

/* The call's timeout: the initiator's, else that of the participant. */
uint32_t terms_timeout_ms(const struct coordinator *c, const struct entry *entry,
                          const struct txn_branch *branch, enum tercet_kind kind,
                          const struct offer *offer);

#endif
