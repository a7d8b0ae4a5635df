/* SPDX-License-Identifier: Apache-2.0
 *
 * Feeds the core (core/txn.h) one event of a transaction, and carries its actions out: what is to
 * be written goes to batch.h, what is to leave to effect.h, who is to be told to waiter.h.
 */
#ifndef TERCET_STEP_H
#define TERCET_STEP_H

#include "table.h"

#include <refusal.h>

struct coordinator;

/* One event; its time is the turn's. The core's result, a TXN_ code or 0. */
int step_event(struct coordinator *c, struct entry *entry, struct txn_event event);

/* A branch as it is asked for. Views. */
struct branch_plan {
    uint32_t number;
    uint64_t digest;
    struct service *service;
    const char *action; /* without the service */
    struct tercet_bytes payload;
    int64_t try_timeout_ms;
    struct call_timeouts timeouts;
    enum txn_mode mode;
};

/* Adds the branch, durably, and begins its try when the coordinator is to call it. The core's
 * result; 0 for a repeat. */
int step_enlist(struct coordinator *c, struct entry *entry, const struct branch_plan *plan);

/* Frees the entry: its end is durable, or the process ends. */
void step_forget(struct coordinator *c, struct entry *entry);

/* Why it is being cancelled, while it is undecided and no reason is known. "": no reason. */
void step_keep_reason(struct entry *entry, const char *reason);

/* The TERCET_ code for a result of the core (0 for 0), with the reason in words. */
int step_refusal(const struct entry *entry, int txn_result, struct refusal *no);

#endif
