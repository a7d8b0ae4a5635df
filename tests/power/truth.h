/* SPDX-License-Identifier: Apache-2.0
 *
 * What had been told of each transaction, by place in the write log: to the initiators, and to the
 * participants, who are called of what is durable alone.
 */
#ifndef TERCET_POWER_TRUTH_H
#define TERCET_POWER_TRUTH_H

#include "log.h"

#include <stdbool.h>

#define TRUTH_HOOK(branch, told) (4 * ((branch)&15) + ((told)-HOOK_TRY))

/* What must hold of a transaction at one place: */
struct truth_claim {
    bool is_begun;            /* it may be there */
    bool is_known;            /* it must be, unless its retention is over */
    uint64_t branches;        /* these must be: a bit each, 1 << number */
    uint64_t hooks;           /* that were run: 1 << TRUTH_HOOK(branch, told) */
    enum power_told decision; /* TOLD_CONFIRM or TOLD_CANCEL, it must have this one; 0: any */
    uint64_t number;          /* the largest told; 0: none */
    int64_t touched_ms;       /* it was not over before this time */
};

struct truth_txn {
    const char *gid;
    struct truth_claim claim; /* at the place where the truth stands */
    enum power_told decision; /* of the whole log; 0: none was told */
    uint64_t stamp;           /* from here on the judge's: the last image that it was in, */
    uint64_t found_branches;  /* and how (or, of hooks, which) */
    uint64_t found_number;    /* of the resolved record; 0: it is live */
    enum power_told found_decision;
    struct truth_txn *next; /* with the same hash */
};

struct truth_fact {
    size_t at; /* the record: it was told before what follows it */
    int64_t time_ms;
    const struct power_mark *mark;
    struct truth_txn *txn;
};

#define TRUTH_SLOTS 16384

struct truth {
    struct truth_txn *txns; /* in the order in which they began */
    size_t count;
    struct truth_fact *facts; /* in order */
    size_t fact_count;
    size_t stands; /* facts that are in the claims */
    struct truth_txn *slots[TRUTH_SLOTS];
    const char *wrong; /* a transaction of which both decisions were told; NULL: there is none */
};

/* Stands at the log's begin. */
void truth_read(struct truth *truth, const struct power_log *log);
void truth_free(struct truth *truth);

/* Goes on to where so many records have happened. */
void truth_advance(struct truth *truth, size_t cut);

/* NULL: nobody has begun it. */
struct truth_txn *truth_find(const struct truth *truth, const char *gid);

#endif
