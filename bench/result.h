/* SPDX-License-Identifier: Apache-2.0
 *
 * What the roles of tercet-bench have measured: plain memory that they share.
 */
#ifndef BENCH_RESULT_H
#define BENCH_RESULT_H

#include "histogram.h"

#include <stdbool.h>
#include <stdint.h>

#define ERROR_SIZE 256

/* What the load saw from the window's begin to its end. */
struct load_result {
    double seconds;
    uint64_t finished;                      /* answered in the window */
    uint64_t confirmed, cancelled, unknown; /* in the whole run */
    struct histogram decision, resolved;
    /* differences of the coordinator's statistics */
    uint64_t ended, commits, calls;
    uint64_t store_bytes; /* used at the end */
    /* CPU seconds */
    double coordinator_cpu, participants_cpu, database_cpu, load_cpu, machine_cpu, steal_cpu;
    uint64_t coordinator_rss_kib, coordinator_hwm_kib;
    char error[ERROR_SIZE]; /* the first failure; "" */
};

/* What the machine can do, measured in the same run. */
struct limits_result {
    /* As the run had it; what follows is measured with that. */
    double group;               /* transactions a commit */
    uint32_t batch;             /* records a message, over all streams */
    uint32_t initiator_batch;   /* and over the initiator's, */
    uint32_t participant_batch; /* over a participant's */
    uint32_t streams_in_flight; /* messages of a stream */

    double echo_records;       /* round trips of records a second, in messages of `batch` */
    double store_transactions; /* a second, at that group */
    /* round trip of one message with one record, one at a time, with pauses */
    struct histogram echo;
    /* the same to as many processes as a transaction has participants, until all are back */
    struct histogram fan;
    struct histogram commit;    /* of one transaction's records */
    struct histogram fdatasync; /* after 4 KiB were appended */
    /* --barrier postgres|mysql|lmdb: the database without Tercet (role_database.c) */
    double database_batch;         /* calls a commit, as the run had it */
    double database_transactions;  /* a second, at that */
    struct histogram database_try; /* of one branch's try alone, to the end of its commit */
    /* CPU microseconds a transaction: of a process that decodes what a coordinator is sent, and
     * encodes and sends what it sends; of one that writes the same records to the store in the same
     * groups. */
    double initiator_cpu_us, participants_cpu_us, store_cpu_us;
};

/* The coordinator as it is at some time, and what all have cost until then. */
struct snapshot {
    int64_t at_ns;
    uint64_t trying, confirming, cancelling;
    uint64_t ended, commits, calls; /* since the coordinator's start */
    uint64_t store_bytes, resolved_records;
    /* seconds; for the load only */
    double coordinator_cpu, participants_cpu, database_cpu, load_cpu, machine_cpu, steal_cpu;
};

/* Transactions that are not resolved. */
static inline uint64_t snapshot_open(const struct snapshot *snapshot)
{
    return snapshot->trying + snapshot->confirming + snapshot->cancelling;
}

/* -- With --unresolved ------------------------------------------------------------------------- */

/* When the coordinator is looked at, in this order. */
#define MOMENT_MAP(X)                                                                              \
    X(START, "start")           /* nothing has been done */                                        \
    X(EMPTY, "worked_empty")    /* after the new work with nothing unresolved */                   \
    X(TRYING, "trying")         /* all tried, nothing decided */                                   \
    X(CONFIRMING, "confirming") /* decided, and the participant is down */                         \
    X(FULL, "worked_full")      /* after the new work */                                           \
    X(RESTARTED, "restarted")   /* after the kill */                                               \
    X(DRAINED, "drained")       /* the participant is back, all are resolved */                    \
    X(SETTLED, "settled")       /* their records' retention is over */                             \
    X(WORKED, "worked_drained") /* after the new work with nothing unresolved */                   \
    X(REFILLED, "refilled")     /* CONFIRMING once more */                                         \
    X(REDRAINED, "redrained")                                                                      \
    X(RESETTLED, "resettled")
enum moment {
#define MOMENT_ENUM(name, text) MOMENT_##name,
    MOMENT_MAP(MOMENT_ENUM)
#undef MOMENT_ENUM
        MOMENTS
};

struct look {
    bool was_taken;
    struct snapshot seen;
    uint64_t file_bytes; /* of the store that the disk holds */
    uint64_t resident_kib;
    uint64_t anonymous_kib; /* of those: not of any file, so without the store's pages */
};

enum { WORK_EMPTY, WORK_FULL, WORK_DRAINED, WORKS }; /* windows of new work */

/* A client that does one transaction after another, with pauses, whatever happens to the
 * coordinator. */
struct trickle_result {
    int64_t first_ns;          /* when the first was decided; 0: not yet */
    struct histogram decision; /* of the others */
};

struct unresolved_result {
    int64_t begin_ns;
    struct look looks[MOMENTS];
    struct load_result works[WORKS];
    /* of the fills, and of what ends them */
    double try_seconds[2], confirm_seconds[2], drain_seconds[2];
    double ready_seconds, decided_seconds; /* of the restart, from exec */
    struct trickle_result trickle;
};

#endif
