/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is to be answered: a unary call, a session, or a watcher. An answer is made ready when the
 * state it tells is there, and given when that state is durable; in between it is bytes.
 */
#ifndef TERCET_CALLER_H
#define TERCET_CALLER_H

#include "arena.h"
#include "peers.h"
#include "rights.h"

#include <crpc/crpc.h>
#include <outbox.h>
#include <pthread.h>
#include <refusal.h>
#include <stdatomic.h>
#include <stdbool.h>

/* bytes that a session may leave unread, or have waiting, before it is dropped */
#define SESSION_OUTBOX_MAX (64u * 1024 * 1024)
#define SESSION_OPEN_MAX 65536 /* requests of one session that wait for an answer */

struct coordinator;

enum caller_kind { CALLER_UNARY, CALLER_SESSION, CALLER_WATCH };

struct caller {
    atomic_uint references;
    atomic_bool is_gone; /* its call has ended: answers go nowhere */
    enum caller_kind kind;
    struct crpc_call *call; /* a reference */
    struct coordinator *c;  /* rpc.c's */
    /* Where it is counted, and for what budget; set before it is shared, NULL: nowhere */
    struct peers *peers;
    struct peer *peer;
    struct budget *unread;
    size_t reply_bytes;    /* of a unary answer that has been given, until the call is over */
    struct outbox *outbox; /* CALLER_SESSION */
    struct rights rights;  /* set before it is shared */
    bool is_refused;       /* the owner's: its call has been failed here */
    /* the owner's: of answers that wait until what they tell is durable */
    size_t held_bytes;
    /* the owner's: requests that wait for a state, or for what they are told to be durable */
    uint32_t open_count;
    /* the owner's: when too many requests are open, the next time to look for expired waiters */
    int64_t expired_drop_ms;
    bool is_half_closed; /* the owner's: the session has been half-closed by its client */
    bool is_touched;     /* the owner's: has answers to flush */
    struct caller *touched_next;

    /* CALLER_WATCH: the newest snapshot, while an older one is in flight. */
    pthread_mutex_t watch_lock;
    struct crpc_bytes watch_pending;
    size_t watch_bytes_in_flight;
    bool watch_in_flight;
    bool watch_is_last; /* end the call when what is pending has been sent */
};

/* References: one is the caller's of this. NULL when memory is short. */
struct caller *caller_new(enum caller_kind kind, struct crpc_call *call);
void caller_ref(struct caller *caller);
void caller_unref(struct caller *caller);

/* What waits for it to read is taken from `unread`; its peer is one of `peers`. Before it is
 * shared. false: no memory. */
bool caller_count(struct caller *caller, struct peers *peers, struct budget *unread);
/* Unary: whether there is memory for an answer of so many bytes, beside what its connection has not
 * read of others. */
bool caller_has_room(const struct caller *caller, size_t size);
/* What it is told else. */
#define CALLER_NO_ROOM                                                                             \
    "there is no memory for this answer beside those that its address leaves unread: what was "    \
    "asked for may have been done; ask again"

/* The group of the budget "unread" that it is in; NULL: none. */
struct budget_group *caller_group(const struct caller *caller);

/* Whom the caller's requests are counted for: whoever has its token, or without one is at its host.
 * Never 0. */
uint64_t caller_initiator(const struct caller *caller);

/* An answer as it will go out. */
struct answer {
    enum crpc_code code;
    const char *text;          /* of an error; else NULL or "" */
    struct crpc_bytes details; /* of an error: grpc-status-details-bin */
    struct crpc_bytes bytes;   /* session: a SessionResponse; unary and watch: the response */
};

/* What an answer tells. Views. */
struct reply {
    const struct refusal *no; /* NULL: the request was done */
    /* a tercet.v1.Transaction, TryResponse or response of Admin; with a refusal it may be NULL */
    const ProtobufCMessage *message;
};

/* Whether it can still be sent an answer. */
bool caller_takes(const struct caller *caller);
/* Fails its call, because too many answers wait to be read or to be durable. */
void caller_refuse(struct caller *caller);

/* Encodes for this caller, in the arena. `id` is the request's in its session. */
struct answer caller_encode(const struct caller *caller, struct arena *arena, uint64_t id,
                            const struct reply *reply);

/* Hands the answer over. A session's goes with the next caller_flush. */
void caller_deliver(struct caller *caller, const struct answer *answer);
void caller_flush(struct caller *caller);

/* CALLER_WATCH: sends the snapshot, or keeps it as the newest until the one in flight is sent.
 * `is_last` ends the stream after it. */
void caller_watch_push(struct caller *caller, struct crpc_bytes snapshot, bool is_last);
/* From the call's on_sent. */
void caller_watch_sent(struct caller *caller);

#endif
