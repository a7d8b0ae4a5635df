/* SPDX-License-Identifier: Apache-2.0
 *
 * What had been told of each transaction, by place in the write log: to the initiators, and to the participants, who are
 * called of what is durable alone.
 */
#ifndef TERCET_POWER_TRUTH_H
#define TERCET_POWER_TRUTH_H

#include "log.h"

#include <stdbool.h>

struct truth_fact {
    size_t at; /* the record: it was told before what follows it */
    int64_t time_ms;
    const struct power_mark *mark;
};

struct truth_txn {
    const char *gid;
    struct truth_fact *facts; /* in order */
    size_t count, capacity;
    enum power_told decision; /* TOLD_CONFIRM or TOLD_CANCEL, of the whole log; 0: none was told */
    uint64_t stamp;           /* the judge's */
    uint64_t found_branches;
    uint64_t found_number; /* of the resolved record; 0: it is live */
    enum power_told found_decision;
    struct truth_txn *next; /* with the same hash */
};

#define TRUTH_SLOTS 16384

struct truth {
    struct truth_txn *txns; /* in the order in which they began */
    size_t count, capacity;
    struct truth_txn *slots[TRUTH_SLOTS];
    const char *wrong; /* what was told contradicts itself: NULL, or the gid */
};

void truth_read(struct truth *truth, const struct power_log *log);
void truth_free(struct truth *truth);

/* NULL: nobody has begun it. */
struct truth_txn *truth_find(const struct truth *truth, const char *gid);

/* What must hold at one place: */
struct truth_claim {
    bool is_begun;            /* may be there */
    bool is_known;            /* must be there, unless its retention is over */
    uint64_t branches;        /* these must be: a bit each, 1 << number */
    enum power_told decision; /* it must have this one; 0: any */
    uint64_t number;          /* the largest told; 0: none */
    int64_t touched_ms;       /* it was not over before this time */
};
struct truth_claim truth_at(const struct truth_txn *txn, size_t cut);

/* The decision that a mark tells of; 0: of none. */
enum power_told truth_decision(const struct power_mark *mark);

#endif
