/* SPDX-License-Identifier: Apache-2.0
 *
 * The core: one transaction as a pure step function, event in, actions out. No clock, no disk, no
 * socket, no allocation: time comes in with the event, memory from the caller; its object files
 * call nothing but memory functions (a test looks).
 *
 *             all tries done, confirm asked
 *   TRYING ────────────────────────────────▶ CONFIRMING ──all acknowledged──▶ CONFIRMED
 *      │  refused, unknown, cancel asked, deadline
 *      └───────────────────────────────────▶ CANCELLING ──all acknowledged──▶ CANCELLED
 *
 * The rules are a table, state x event (txn.c). After every event the transaction is advanced: what
 * is due is called, what is over is ended. So a restart needs no code of its own: load the fields,
 * feed TXN_WAKE.
 *
 * The caller carries the actions out in order, with one promise: nothing that follows a TXN_PERSIST
 * leaves the process before the transaction, as it is after this step, is durable. TXN_MARK asks
 * for the same write, but any later one will do: losing it costs one repeated call. Every call
 * handed out by TXN_CALL_* is answered, in the end, by one event of that branch and kind (done,
 * refused, failed, broken); answers that come late or twice do no harm.
 *
 * Only the caller knows whether a try was sent, which decides what a branch is owed (enum
 * txn_sent): the caller says so by txn_try_leaves before it sends one, and lets none leave after
 * the decision.
 */
#ifndef TERCET_TXN_H
#define TERCET_TXN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TXN_BRANCHES_MAX 1024
#define TXN_NEVER INT64_MAX

/* The values are those of the wire and of the store. */
enum txn_state {
    TXN_TRYING = 1,
    TXN_CONFIRMING = 2,
    TXN_CANCELLING = 3,
    TXN_CONFIRMED = 4,
    TXN_CANCELLED = 5,
};
#define TXN_STATE_COUNT 5

enum txn_cause {
    TXN_CAUSE_NONE = 0,
    TXN_CAUSE_INITIATOR = 1,
    TXN_CAUSE_ALL_TRIED = 2,
    TXN_CAUSE_REFUSED = 3,
    TXN_CAUSE_TRY_UNKNOWN = 4,
    TXN_CAUSE_DEADLINE = 5,
    TXN_CAUSE_OPERATOR = 6,
};

/* Who calls a branch's try. It is chosen when the branch is enlisted and never changes. Later modes
 * (saga, two-phase message, XA) are further values, and the compiler then names the switches that
 * must know them. */
enum txn_mode {
    TXN_MODE_ROUTED = 1, /* the coordinator does, and knows what came of it */
    TXN_MODE_OWN = 2,    /* the initiator does, by itself: nothing is known here */
};

/* What is known of a branch's try. WAITING and CALLING are told apart only while running: a record
 * restores both as WAITING. */
enum txn_try {
    TXN_TRY_OWN = 1,     /* nothing: the branch's mode is TXN_MODE_OWN */
    TXN_TRY_WAITING = 2, /* to be called at next_ms (TXN_NEVER: after its predecessor) */
    TXN_TRY_CALLING = 3,
    TXN_TRY_DONE = 4,
    TXN_TRY_REFUSED = 5,
    TXN_TRY_UNKNOWN = 6, /* no answer within its own timeout */
};

/* Whether a try of the branch may have reached its participant. A branch that was never sent a try
 * needs no confirm or cancel. The value never increases. */
enum txn_sent {
    TXN_SENT_MAYBE = 0, /* one may have left */
    TXN_SENT_NOT = 1,   /* none has, in this process's life: a record restores it as MAYBE */
    TXN_SENT_HELD =
        2, /* none has, and none will before TXN_TRY_MAY_GO is durable: records say so */
};

/* How far the branch's confirm or cancel is. */
enum txn_end {
    TXN_END_NONE = 0,
    TXN_END_WAITING = 1,
    TXN_END_CALLING = 2,
    TXN_END_DONE = 3,
};

/* What the decision asks of a branch. */
enum txn_owed {
    TXN_OWED_UNDECIDED = 0,
    TXN_OWED_CONFIRM = 1,
    TXN_OWED_CANCEL = 2,
    TXN_OWED_NOTHING = 3, /* its try was never sent: it ended with the decision */
};

struct txn_branch {
    /* of everything the initiator said of it; equal digests are the same content */
    uint64_t digest;
    int64_t next_ms;  /* WAITING: when to call */
    int64_t since_ms; /* when this phase began for the branch */
    /* routed try: unknown from then on; TXN_NEVER: its turn has not come yet */
    int64_t try_until_ms;
    int64_t try_timeout_ms; /* routed try: how long it may take once its turn has come */
    uint32_t number;        /* 1..TXN_BRANCHES_MAX; the array is sorted by it */
    uint32_t attempts;      /* failed calls in this phase */
    uint8_t mode;           /* enum txn_mode */
    uint8_t try_state;      /* enum txn_try */
    uint8_t end_state;      /* enum txn_end */
    uint8_t sent;           /* enum txn_sent */
    bool is_parked;         /* needs a person: listed, alarmed, still retried slowly */
    bool is_broken;         /* the participant answered with a broken promise */
    bool is_settled;        /* a person said it is resolved */
};

/* Pacing. Zero is not a default here: the caller fills everything (txn_options_default). */
struct txn_options {
    uint32_t retry_base_ms; /* 100: the n-th retry waits a random time up to base * 2^(n-1), */
    /* 60,000: but at most this (full jitter, as in AWS's "Exponential Backoff And Jitter") */
    uint32_t retry_cap_ms;
    uint32_t parked_retry_ms; /* 300,000: parked branches wait between half of this and this */
    uint32_t park_attempts;   /* 16 failures park a branch, */
    int64_t park_after_ms;    /* and so do 600,000 ms without success */
    bool is_ordered;          /* routed tries one after another, by number */
    bool decides_itself;      /* Run: confirm when every branch is tried */
    /* a refused or unknown try does not cancel: the initiator decides, and a confirm leaves out
     * what is not done */
    bool keeps_on_refusal;
};
void txn_options_default(struct txn_options *options);

struct txn {
    uint8_t state; /* enum txn_state */
    uint8_t cause; /* enum txn_cause */
    /* CONFIRMING, CONFIRMED: some routed try is not done, and its branch is cancelled, not
     * confirmed */
    bool is_partial;
    uint16_t branch_count;
    /* of `branches`, which is the caller's memory; grown by the caller before TXN_ENLIST */
    uint16_t branch_capacity;
    uint64_t seed;       /* of the jitter */
    int64_t deadline_ms; /* TRYING: cancel from then on */
    struct txn_options options;
    struct txn_branch *branches;
};

enum txn_event_kind {
    TXN_ENLIST = 0,  /* number, digest, mode, try_timeout_ms, is_held */
    TXN_CONFIRM,     /* is_forced; cause: OPERATOR, else the initiator's */
    TXN_CANCEL,      /* cause: INITIATOR or OPERATOR */
    TXN_TRY_IS_DONE, /* number: answers of participants to TXN_CALL_TRY */
    TXN_TRY_IS_REFUSED,
    TXN_TRY_HAS_FAILED, /* no answer, or "ask again" */
    TXN_END_IS_DONE,    /* number, is_confirm: answers to TXN_CALL_CONFIRM and TXN_CALL_CANCEL */
    TXN_END_HAS_FAILED,
    TXN_END_IS_BROKEN, /* "no try seen", or the other way already: a broken promise */
    TXN_RETRY,         /* number, 0 for all: what waits is due now */
    TXN_SETTLE,        /* number: a person declares a parked branch (is_forced: any) resolved */
    TXN_WAKE,          /* time has passed, or the transaction was loaded from the store */
    TXN_TRY_MAY_GO,    /* number: a held try can go; it is asked for anew, behind a write */
};
#define TXN_EVENT_COUNT 13

struct txn_event {
    enum txn_event_kind kind;
    /* monotonic; every time in struct txn is on this clock; never smaller than in the event before
     * (smaller ones are harmless) */
    int64_t now_ms;
    uint32_t number;
    uint64_t digest;
    int64_t try_timeout_ms;
    enum txn_mode mode;
    bool is_held; /* routed: nobody can be called now; see TXN_SENT_HELD */
    bool is_forced;
    bool is_confirm;
    enum txn_cause cause;
};

enum txn_action_kind {
    TXN_PERSIST = 1, /* the transaction must be durable before anything that follows leaves */
    TXN_MARK,        /* it should be written, with some later write */
    TXN_CALL_TRY,    /* number, attempt */
    TXN_CALL_CONFIRM,
    TXN_CALL_CANCEL,
    TXN_TRIED,    /* number: its try is done, refused or unknown now: tell who waits */
    TXN_DECIDED,  /* tell who waits */
    TXN_PARKED,   /* number: raise an alarm */
    TXN_RESOLVED, /* every branch has acknowledged: the transaction is over */
};

struct txn_action {
    enum txn_action_kind kind;
    uint32_t number;
    uint32_t attempt; /* calls: 1 for the first of its phase */
};

/* The most actions one step can give: two per branch (its end, its call), a few for the
 * transaction. */
#define TXN_ACTIONS_MAX (2 * TXN_BRANCHES_MAX + 8)
struct txn_actions {
    struct txn_action *items; /* the caller's memory */
    size_t count;
    size_t capacity; /* at least 2 * (branch_count + 1) + 8: asserted */
};

/* What a request is told. */
#define TXN_RESULT_MAP(X)                                                                          \
    X(TXN_EXISTS, -1, "this branch number exists with other content")                              \
    X(TXN_DECIDED_ALREADY, -2, "the transaction has been decided already")                         \
    X(TXN_NOT_READY, -3, "a try is not known to be done")                                          \
    X(TXN_LIMIT, -4, "too many branches, or a branch number out of range")                         \
    X(TXN_NO_BRANCH, -5, "there is no branch with this number")                                    \
    X(TXN_NOT_PARKED, -6, "the branch is not parked")                                              \
    X(TXN_UNDECIDED, -7, "the transaction is not decided yet")                                     \
    X(TXN_ENDED, -8, "the branch has ended already")
enum txn_result {
#define TXN_RESULT_ENUM(name, value, text) name = value,
    TXN_RESULT_MAP(TXN_RESULT_ENUM)
#undef TXN_RESULT_ENUM
};

/* A new transaction, TRYING, without branches. `branches` is the caller's array. */
void txn_init(struct txn *txn, struct txn_branch *branches, uint16_t capacity,
              const struct txn_options *options, int64_t deadline_ms, uint64_t seed);

/* One event. Appends to actions (which the caller empties). Returns 0 or what the request is told;
 * a request that is refused changes nothing. Repeats are 0 without effect. */
int txn_step(struct txn *txn, const struct txn_event *event, struct txn_actions *actions);

/* A try of the branch is about to leave: from now on the branch is owed its end. TRYING, and not
 * held. */
void txn_try_leaves(struct txn *txn, uint32_t number);

/* TRYING: the first branch for whose sake a confirm is refused, or NULL. */
const struct txn_branch *txn_unready(const struct txn *txn, bool is_forced);

/* What the branch has to be told, or has been told. Looks at state, is_partial, try_state, sent. */
enum txn_owed txn_owed(const struct txn *txn, const struct txn_branch *branch);

/* When TXN_WAKE is due: TXN_NEVER when nothing waits for time. */
int64_t txn_wake_ms(const struct txn *txn);

/* When the transaction is cancelled unless it is decided before, or the try in the way is done:
 * its deadline, or the end of a try whose failure would cancel it. *number is that try's branch, 0
 * for the deadline. Of a transaction in state TRYING. */
int64_t txn_cancels_ms(const struct txn *txn, uint32_t *number);

/* Whether a try that is refused or not known cancels the transaction: one that decides itself has
 * no one else to judge it. */
bool txn_refusal_cancels(const struct txn *txn);

/* How many branches are parked. */
size_t txn_parked(const struct txn *txn);

/* The branch with this number, or NULL. */
struct txn_branch *txn_find(const struct txn *txn, uint32_t number);

/* Whether branches of this mode are tried by the coordinator. */
bool txn_mode_is_routed(enum txn_mode mode);

/* Whether an answer about the branch's try can still come and matter. */
bool txn_try_is_open(const struct txn_branch *branch);

/* CONFIRMED or CANCELLED. */
bool txn_is_resolved(const struct txn *txn);

/* Makes a transaction whose fields were read from a record ready for TXN_WAKE: what was CALLING is
 * WAITING and due at `now_ms`, and phases begin anew at `now_ms`. Returns false when the fields
 * contradict each other (a damaged record). */
bool txn_restore(struct txn *txn, int64_t now_ms);

/* Whether every invariant of the structure holds; asserted by txn_step before and after. */
bool txn_is_sound(const struct txn *txn);

#endif
