/* SPDX-License-Identifier: Apache-2.0
 *
 * What participants did and initiators were told of one transaction, held against what was
 * promised. The simulator and the fault engine have more to say, each of what only it can see.
 */
#ifndef TERCET_TESTS_PROMISE_H
#define TERCET_TESTS_PROMISE_H

#include <stdbool.h>
#include <stdint.h>
#include <txn.h>

#define PROMISE_BRANCHES 4 /* by numbers from 1 */

/* How often the work of a branch was done, in local transactions that were committed. */
struct effects {
    int tries, confirms, cancels;
    bool is_cancelled_empty; /* a cancel of what was not tried */
};

struct promise {
    int shown; /* the decision that somebody has been told, as promise_decision has it */
    int floor; /* the highest rank that somebody has been told */
    /* a bit for each branch that its confirmation cancels, since its try is not done; the engine's
     */
    uint32_t left_out;
    struct effects effects[PROMISE_BRANCHES + 1];
};

/* The engine's: invariant `name` does not hold. May return. */
void violation(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* How far a transaction is: 1 trying, 2 decided, 3 over; 0: there is none. */
int promise_rank(int state);

/* TXN_CONFIRMING or TXN_CANCELLING; 0: it is not decided. */
int promise_decision(int state);

/* Somebody learns of a decision (0: of none): S2. */
void promise_show(struct promise *promise, const char *gid, int decision);

/* An effect is committed. op: t try, c confirm, x cancel, e a cancel of what was not tried. S1, S5,
 * S6, S7. */
void promise_effect(struct promise *promise, const char *gid, uint32_t branch, char op);

/* The transaction has ended in this state, and the branch is one of its own: S1, L2. */
void promise_rest(const struct promise *promise, const char *gid, uint32_t branch, int state);

#endif
