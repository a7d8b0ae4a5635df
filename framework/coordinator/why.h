/* SPDX-License-Identifier: Apache-2.0
 *
 * Why something is as it is, in words: what a branch waits for, why its try is not known, why a
 * transaction was cancelled that nobody refused.
 */
#ifndef TERCET_WHY_H
#define TERCET_WHY_H

#include "table.h"

#include <tercet/v1/tercet.pb-c.h>

struct coordinator;

#define WHY_NAME_MAX 100 /* bytes of an instance's name that a sentence has */

/* What a branch waits for. `instance` is a view, "" when nobody has the call. */
struct obstacle {
    Tercet__V1__WaitsFor waits_for;
    int64_t since_ms; /* wall clock; 0: not known */
    const char *instance;
    char text[TERCET_TEXT_MAX];
};

void why_branch_waits(struct obstacle *out, const struct coordinator *c, const struct entry *entry,
                      const struct txn_branch *branch);

/* What helps a branch that waits for this; "": nothing is to be done. */
void why_advise(char out[TERCET_TEXT_MAX], Tercet__V1__WaitsFor waits_for,
                const struct entry *entry, const struct txn_branch *branch);

/* What a service's calls wait for, `call` being the first of them. */
void why_call_waits(struct obstacle *out, const struct coordinator *c, const struct outcall *call);

/* Logs, at intervals, that the service's calls have waited for long, and why. */
void why_tell_waiting(struct coordinator *c, struct service *service);

/* Looks through all calls for the oldest at each target: service.target_oldest_ms. */
void why_date_targets(struct coordinator *c);

/* Whom the call was given to; a view; "": nobody. */
const char *why_called(const struct outcall *call);

/* The try is given up: what is known of it until now is kept in the branch's history. */
void why_note_unknown(struct coordinator *c, struct entry *entry, const struct txn_branch *branch);

/* Why the transaction was cancelled by its deadline or by a try's timeout: the branch to blame
 * most, with what why_note_unknown has kept. */
void why_cancelled(char text[TERCET_TEXT_MAX], const struct entry *entry);

#endif
