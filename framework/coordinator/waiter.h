/* SPDX-License-Identifier: Apache-2.0
 *
 * Who waits for which state of a transaction, and is told when it comes. step.c tells what has
 * come; a confirm that waited, and may be possible now, goes on a list that the loop empties. The
 * owner's.
 */
#ifndef TERCET_WAITER_H
#define TERCET_WAITER_H

#include "caller.h"
#include "table.h"
#include "wheel.h"

struct coordinator;

enum waiter_kind {
    WAITER_TRY,      /* for the outcome of a branch's try */
    WAITER_CONFIRM,  /* a confirm that waits until no try is open any more */
    WAITER_DECIDED,  /* for the decision */
    WAITER_RESOLVED, /* for the end */
    WAITER_WATCH,    /* for every change */
};

struct waiter {
    struct waiter *next;
    struct entry *entry;
    struct caller *caller; /* a reference */
    uint64_t id;           /* of the request in its session */
    uint32_t branch;       /* WAITER_TRY */
    int wait;              /* WAITER_CONFIRM: what the answer waits for, a tercet.v1.Wait */
    bool is_forced;        /* WAITER_CONFIRM */
    enum waiter_kind kind;
    bool is_await;         /* an Await, which only looks on: does not delay a shutdown */
    struct wheel_node end; /* is_await: when it expires */
};

struct waiting {
    struct entry *changed; /* with watchers to be told */
    struct waiter *ready;  /* WAITER_CONFIRM: to be tried again */
    struct waiter **ready_end;
    bool has_expired;   /* some may have: they are looked for at the end of the turn */
    struct wheel wheel; /* of every Await that has a timeout */
};

void waiter_init(struct waiting *waiting, int64_t now_ms);

/* The caller waits. The waiter is the entry's. */
struct waiter *waiter_add(struct coordinator *c, struct caller *caller, uint64_t id,
                          struct entry *entry, enum waiter_kind kind);
/* It is an Await's, which expires at `until_ms` (monotonic; WHEEL_NEVER: not), or at once when the
 * coordinator is closing. */
void waiter_set_await(struct coordinator *c, struct waiter *waiter, int64_t until_ms);
void waiter_free(struct coordinator *c, struct waiter *waiter);
/* Frees the waiters of an entry that will be freed. */
void waiter_forget(struct coordinator *c, struct entry *entry);

/* Answers who waits for this: a branch's try has an outcome; the transaction is decided; it is
 * resolved. */
void waiter_tried(struct coordinator *c, struct entry *entry, uint32_t branch);
void waiter_decided(struct coordinator *c, struct entry *entry);
void waiter_resolved(struct coordinator *c, struct entry *entry);

/* The confirm that has been ready the longest, the caller's to try and free; NULL: none is. */
struct waiter *waiter_take_ready(struct waiting *waiting);

/* Drops the entry's expired waiters: those whose call has ended, and every Await whose time is over
 * or which a shutdown would wait for. */
void waiter_drop_expired(struct coordinator *c, struct entry *entry);
void waiter_drop_all_expired(struct coordinator *c);
/* Drops every Await whose time is over. */
void waiter_drop_due(struct coordinator *c);
/* When waiter_drop_due is to be called next; WHEEL_NEVER: not. */
int64_t waiter_due_ms(const struct waiting *waiting);

/* At the end of a turn: tells watchers what the turn has changed, all at once. Many branches change
 * in one turn, and each telling is the whole transaction. */
void waiter_tell_watchers(struct coordinator *c);

#endif
