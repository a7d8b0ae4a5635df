/* SPDX-License-Identifier: Apache-2.0
 *
 * What the processes of tercet-bench share: one block of memory (a memfd, sparse), mapped by all.
 * The first process writes options and addresses into it before it starts the others; each of them
 * writes its own part only.
 *
 *   tercet-bench ──fork, exec──▶ tercetd
 *                ──────────────▶ --role participant:0 ..., load, limits, echo-server:0 ...,
 *                                echo-client, fill, observer, trickle (with --unresolved)
 *
 * A role talks to the first process by lines: "ok" or "ok TEXT" on its standard output when it has
 * done what was asked, anything else is a failure; a word on its standard input asks for the next
 * thing. End of input: it ends.
 */
#ifndef BENCH_H
#define BENCH_H

#include "options.h"
#include "result.h"

#include <sys/types.h>

#define SEQ_MAX (UINT64_C(1) << 25) /* transactions of one run: 10 minutes at 55,000 a second */
#define RUN_ID_SIZE 16
#define ADDRESS_SIZE 256
#define WORD_SIZE 64
#define DOWN_SERVICE "down" /* of the participant after the last; its action is "work", too */

/* How a transaction ended, as its initiator was told. */
enum outcome {
    OUTCOME_NONE = 0, /* never started */
    OUTCOME_STARTED,  /* nothing was told */
    OUTCOME_CONFIRMED,
    OUTCOME_CANCELLED,
    OUTCOME_UNKNOWN, /* told that it is not known, or a failure */
};

/* Effects of one branch, counted in a byte: two bits an operation, and 3 is "3 or more". */
enum operation { OPERATION_TRY = 0, OPERATION_CONFIRM = 1, OPERATION_CANCEL = 2 };
static inline unsigned effects_get(uint8_t effects, enum operation operation)
{
    return (effects >> (2 * operation)) & 3u;
}
static inline uint8_t effects_add(uint8_t effects, enum operation operation)
{
    return effects_get(effects, operation) == 3 ? effects
                                                : (uint8_t)(effects + (1u << (2 * operation)));
}

struct shared {
    struct options options;
    char run_id[RUN_ID_SIZE];
    char dir[PATH_SIZE];
    char coordinator[ADDRESS_SIZE];
    char own[PARTICIPANTS_MAX][ADDRESS_SIZE]; /* --form own: where participants listen */
    char echo[PARTICIPANTS_MAX][ADDRESS_SIZE];
    pid_t echo_pids[PARTICIPANTS_MAX];
    pid_t coordinator_pid;                           /* 0: not ours */
    pid_t database_pid;                              /* 0: no server is ours */
    uint32_t connections;                            /* of a participant to its database */
    uint64_t database_commits[PARTICIPANTS_MAX + 1]; /* until the participants count */
    pid_t participant_pids[PARTICIPANTS_MAX + 1];
    uint64_t seq_end; /* transactions so far; who starts some goes on from here */
    struct load_result load;
    struct limits_result limits;
    struct unresolved_result unresolved;
    uint64_t fill_first, fill_count;         /* transactions that role fill is to make */
    uint64_t open_max;                       /* what role observer waits for */
    struct snapshot seen;                    /* by role observer */
    uint8_t outcomes[SEQ_MAX];               /* enum outcome */
    uint8_t effects[SEQ_MAX * BRANCHES_MAX]; /* [seq * options.branches + branch - 1] */
};

/* Maps the block of descriptor `fd`. NULL: errno says why. */
struct shared *shared_map(int fd);

/* The participant that has branch `branch` (from 1) of transaction `seq`. */
static inline uint32_t participant_of(const struct options *options, uint64_t seq, uint32_t branch)
{
    return (uint32_t)((seq + branch - 1) % options->participants);
}

/* --unresolved: the participant that is going to be down is one more. */
static inline uint32_t participant_count(const struct options *options)
{
    return options->participants + (options->unresolved > 0);
}

/* Whether the try of this branch is to be refused. */
static inline bool is_refused(const struct options *options, uint64_t seq, uint32_t branch)
{
    uint32_t dice = (uint32_t)((seq * UINT64_C(0x9E3779B97F4A7C15)) >> 33);
    return branch == options->branches && dice % 100 < options->refuse_percent;
}

/* The transaction's number in a gid of this run, "RUN_ID-000000000042"; false for a gid of
 * another's. */
bool seq_of_gid(const struct shared *shared, const char *gid, uint64_t *seq);

/* The other way round. */
void gid_of_seq(char *gid, size_t size, const struct shared *shared, uint64_t seq);

/* CLOCK_MONOTONIC: the same for all processes. */
int64_t now_ns(void);

/* The roles; each returns its process's exit status. */
int role_participant(struct shared *shared, uint32_t index);
int role_load(struct shared *shared);
int role_limits(struct shared *shared);
int role_echo_server(struct shared *shared, uint32_t index);
int role_echo_client(struct shared *shared);
int role_fill(struct shared *shared);
int role_observer(struct shared *shared);
int role_trickle(struct shared *shared);
int role_database(struct shared *shared);

/* For roles: says "ok", or "ok TEXT". */
void role_ok(const char *text);
/* The next word that is asked, of less than `size` characters. False: there is no more input. */
bool role_word(char *word, size_t size);
/* Waits for this word. False: there is no more input, or it is another word. */
bool role_wait(const char *word);
/* Says what is wrong, and returns 1. */
int role_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Compares what initiators were told with what participants counted. */
struct audit {
    uint64_t transactions, confirmed, cancelled, unknown;
    uint64_t effects; /* hooks that ran */
    uint64_t violations;
    char first[ERROR_SIZE]; /* what is wrong with the first bad one */
};
void audit_run(struct audit *out, const struct shared *shared);

/* Runs everything. Returns the exit status. */
int bench_run(struct shared *shared, int fd);

#endif
