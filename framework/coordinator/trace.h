/* SPDX-License-Identifier: Apache-2.0
 *
 * The spans of a transaction, as OpenTelemetry has them: one of it, below the initiator's; one of
 * each branch, below it; and one of each call of a hook, below the branch's, which the participant
 * is told as its parent. Names and attributes are declared in trace.c, and told in docs/tracing.md.
 *
 * Nothing is kept for it: what a transaction belongs to is reckoned from its record, gid, number
 * and metadata, whenever it is needed. So a restart goes on with the same ids. Without a collector
 * nothing is reckoned, and metadata pass as they came.
 */
#ifndef TERCET_COORDINATOR_TRACE_H
#define TERCET_COORDINATOR_TRACE_H

#include "outcalls.h"

#include <traceparent.h>

struct coordinator;

#define TRACE_ID_TEXT_MAX (2 * TRACE_ID_SIZE)

/* Before the first transaction: what share of those whose initiator says nothing is traced. */
void trace_set_sample(struct coordinator *c, double ratio);

/* A transaction that has just been begun by this call: when its metadata say nothing of a trace,
 * the call's own do, where frameworks put it by themselves. */
void trace_adopt(struct entry *entry, struct crpc_call *call);

/* Puts the call's own context in the place of the initiator's. The message's metadata are views of
 * the scratch arena then. */
void trace_pass_on(struct coordinator *c, const struct outcall *call, Tercet__V1__Call *out);

/* The call is over. error "": it did not fail. */
void trace_call(struct coordinator *c, const struct outcall *call, const char *error);
/* Its answer is not waited for any more: the branch is called in another way, or has ended. */
void trace_overtaken(struct coordinator *c, const struct outcall *call);

/* The branch's participant has acknowledged its end. */
void trace_branch(struct coordinator *c, struct entry *entry, const struct txn_branch *branch);
/* The transaction has been loaded: what has ended before has been told then. */
void trace_restored(struct entry *entry);
/* It is over, and that is durable: its span, and those of branches that ended without a call. */
void trace_transaction(struct coordinator *c, struct entry *entry);

/* The digits of its trace id; false: it has none, since neither its initiator nor this coordinator
 * traces it. */
bool trace_id_of(const struct coordinator *c, const struct entry *entry,
                 char out[TRACE_ID_TEXT_MAX + 1]);

/* A line of the log about the transaction, with its gid and trace id. */
void trace_log(const struct coordinator *c, const struct entry *entry, enum tercet_log_level level,
               const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
