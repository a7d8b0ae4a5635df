/* SPDX-License-Identifier: Apache-2.0
 *
 * What other threads tell the owner: events, in order. RPC threads decode and post; nobody waits
 * for an answer here.
 */
#ifndef TERCET_QUEUE_H
#define TERCET_QUEUE_H

#include <budget.h>
#include <clock.h>
#include <protobuf-c/protobuf-c.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <tercet/types.h>

struct caller;
struct find;
struct instance;
struct shard;

enum event_kind {
    EVENT_REQUEST,  /* caller, method, message: one unary request */
    EVENT_SESSION,  /* caller, message: a SessionRequests; NULL: it will send nothing more */
    EVENT_ATTACHED, /* instance, message: an AttachRequest with hello, results or both */
    EVENT_DETACHED, /* instance: its stream has ended */
    /* call_id, message (a CallResult) or NULL with code and text: a called participant's answer */
    EVENT_RESULT,
    EVENT_COMMITTED,   /* shard, code: the store's result for its batch in flight */
    EVENT_FOUND,       /* find: the store has answered a question that was left to it */
    EVENT_MEASURE,     /* somebody waits for figures (expose.h) */
    EVENT_CALLER_LOST, /* caller: its call has ended, while the coordinator stops */
    EVENT_CLOSE,       /* takes no new transactions from here on */
    EVENT_STOP,
};

/* The unary methods, of Coordinator, Participants and Admin. */
enum method {
    METHOD_BEGIN,
    METHOD_ENLIST,
    METHOD_TRY,
    METHOD_CONFIRM,
    METHOD_CANCEL,
    METHOD_RUN,
    METHOD_GET,
    METHOD_AWAIT,
    METHOD_WATCH,
    METHOD_REGISTER,
    METHOD_LIST,
    METHOD_LIST_PARTICIPANTS,
    METHOD_RETRY,
    METHOD_SETTLE,
    METHOD_DECIDE,
    METHOD_PAUSE,
    METHOD_STATISTICS,
    METHOD_LIST_AUDIT,
    METHOD_COLLECT,
    METHOD_CHECK, /* these two are the clerk's, not the owner's */
    METHOD_BACKUP,
};

struct event {
    struct event *next;
    /* of those that end with their stream's next message being asked for */
    struct event *read_next;
    enum event_kind kind;
    enum method method;
    struct caller *caller;     /* a reference */
    struct instance *instance; /* a reference */
    struct shard *shard;
    struct find *find;
    ProtobufCMessage *message;         /* the event's own */
    struct budget *budget;             /* which has this much of it; NULL: none */
    struct budget_group *budget_group; /* the caller's, in it; NULL: none */
    size_t budget_size;
    uint64_t call_id;
    int code;
    int64_t took_us;    /* EVENT_COMMITTED: the commit */
    bool is_read_ahead; /* its stream's next message has been asked for */
    bool reads_on;      /* it is asked for at the end of the turn */
    char text[TERCET_TEXT_MAX];
};

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct event *first;
    struct event **last_next;
    size_t count;
    bool is_busy; /* there is much under way */
};

/* Streams are read ahead while the owner is busy, no more events than this wait, and by messages of
 * at most this many bytes: together 256 KiB. */
#define READ_AHEAD_EVENTS 64
#define READ_AHEAD_BYTES 4096

void queue_init(struct queue *queue);
/* Frees the events that are left, with what they own. */
void queue_destroy(struct queue *queue);

/* Takes the event over. */
void queue_post(struct queue *queue, struct event *event);

/* Posts a message of `size` bytes that came over a stream. True: the stream's next message is to be
 * asked for at once, because the owner is busy, this one is small and few wait: a backlog of small
 * messages is handled in one turn then, where one a turn would each be committed and answered
 * alone. False: the owner asks when it has handled this one, which costs less while little is under
 * way. */
bool queue_post_message(struct queue *queue, struct event *event, size_t size);

/* All events at once, in order; NULL when none came until `until_ms` (monotonic; INT64_MAX: for
 * ever). `is_busy`: much is under way, here and at participants. */
struct event *queue_take(struct queue *queue, int64_t until_ms, bool is_busy);

/* A zeroed event; NULL when memory is short. */
struct event *event_new(enum event_kind kind);
void event_free(struct event *event);

#endif
