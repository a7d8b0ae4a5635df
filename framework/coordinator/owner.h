/* SPDX-License-Identifier: Apache-2.0
 *
 * The coordinator's state, and its owner: the one thread that has all transactions. A turn drains
 * the events, steps the core, hands a batch to the committer, and flushes what may go out. No
 * locks, no waiting for participants.
 */
#ifndef TERCET_OWNER_H
#define TERCET_OWNER_H

#include "alarm.h"
#include "arena.h"
#include "batch.h"
#include "dispatch.h"
#include "queue.h"
#include "streams.h"
#include "table.h"

#include <crpc/crpc.h>
#include <semaphore.h>
#include <store.h>
#include <tercet/coordinator.h>
#include <tercet/v1/tercet.pb-c.h>

#ifndef TERCET_VERSION
#define TERCET_VERSION "unversioned"
#endif

#define COORDINATOR_STOPPING "the coordinator is stopping: try again soon"

/* an undecided transaction gets at least this after a restart */
#define RESTART_GRACE_MS 5000
#define RETENTION_CHECKS 10          /* in a retention time, */
#define RETENTION_CHECK_MS_MAX 60000 /* but one a minute at least */
#define TRY_TIMEOUT_MS_DEFAULT 10000
/* transactions that are loaded whole before anything is served */
#define RESTORE_WARM_MAX 20000
/* cold ones that are loaded with one that is woken: one look into the store for all */
#define WARM_AHEAD 63
/* past it, payloads of branches that wait are left to the store */
#define PAYLOADS_BYTES_MAX (64u * 1024 * 1024)

struct totals {
    uint64_t begun;
    uint64_t confirmed;
    uint64_t cancelled;
};

struct access; /* access.h */

struct coordinator {
    /* its strings are not kept; the log and numbers are */
    struct tercet_coordinator_options options;
    struct store *store;
    uint64_t epoch;
    uint64_t next_number;
    uint64_t source;    /* the identity of the store, kept in it from its birth */
    int64_t started_ms; /* wall clock */
    size_t restore_warm_max;
    size_t payload_bytes_max;

    /* The owner's. */
    struct table table;
    struct batcher batcher;
    struct dispatch dispatch;
    struct arena scratch;   /* emptied every turn */
    struct caller *touched; /* with answers to flush */
    struct entry *changed;  /* with watchers to be told */
    struct event *reading;  /* of streams whose next message is to be asked for */
    int64_t now_ms;         /* one "now" a turn: monotonic, */
    int64_t wall_ms;        /* and wall clock */
    int64_t retention_check_ms;
    int64_t retention_offset_ms; /* what makes the retention clock of now_ms */
    int64_t headroom_check_ms;
    struct alarm parked_alarm;
    struct totals totals;
    struct tercet_store_stats store_stats;
    const char *refuses;    /* why new work is refused; NULL: it is not */
    uint64_t bytes_taken;   /* by new work since the start, at most; of these */
    uint64_t bytes_durable; /*   are written, and */
    uint64_t bytes_seen;    /*   were when the store was last asked for its size */
    uint64_t open_count;    /* answers that are owed, watchers' not counted */
    bool is_closing;        /* takes no new transactions */
    /* from then on: some may wait in vain, and are looked for at the end of the turn */
    bool has_vain_waiters;
    bool has_drained; /* takes no requests, and has told so: */
    /* nothing is owed any more, or will be answered; for the thread that closes */
    sem_t drained;
    atomic_bool is_draining; /* who loses a caller posts EVENT_CLOSE */
    bool is_stopping;

    struct queue queue;
    pthread_t thread;
    atomic_bool has_failed;

    struct crpc_loop *loop;
    struct crpc_server *server;
    struct streams streams;
    struct access *access;
    /* for targets, when calls_with_tls; its strings are the coordinator's */
    struct crpc_tls call_tls;
    bool calls_with_tls;
    char **addresses;
    size_t address_count;
};

/* The difference between the clocks: wall = monotonic + offset. */
static inline int64_t wall_offset_ms(const struct coordinator *c)
{
    return c->wall_ms - c->now_ms;
}

/* What resolved records are kept and dropped by: it runs while the coordinator runs, and is written
 * down. By the wall clock, one that jumps would drop what has just ended, and a repeated Run would
 * begin anew (S11, S14). */
#define RETENTION_CLOCK "retention" /* the meta record's name */
static inline int64_t retention_now_ms(const struct coordinator *c)
{
    return c->now_ms + c->retention_offset_ms;
}

/* One turn: everything that was posted, everything that is due. The thread does nothing but this; a
 * simulation calls it with a clock of its own. Takes the events over. */
void owner_turn(struct coordinator *c, struct event *events, int64_t now_ms, int64_t now_wall_ms);
/* When the next turn is due although nothing is posted. */
int64_t owner_next_turn_ms(const struct coordinator *c);

int owner_start(struct coordinator *c);
/* Finishes what is to be written, and ends the thread. */
void owner_stop(struct coordinator *c);
/* New transactions are refused from here on; waits until no answer is owed to anybody who is still
 * there, not longer than until then, by the monotonic clock. */
void owner_drain(struct coordinator *c, int64_t until_ms);

/* An answer is owed to the caller from here on, and no longer. */
void owner_owes(struct coordinator *c, struct caller *caller);
void owner_has_answered(struct coordinator *c, struct caller *caller);

/* Feeds one event of a transaction to the core and carries its actions out. */
int owner_step(struct coordinator *c, struct entry *entry, struct txn_event event);

/* A branch as it is asked for. Views. */
struct branch_plan {
    uint32_t number;
    uint64_t digest;
    struct service *service;
    const char *action; /* without the service */
    struct tercet_bytes payload;
    int64_t try_timeout_ms;
    enum txn_mode mode;
};

/* Adds the branch, durably, and begins its try when it is routed. The core's result; 0 for a
 * repeat. */
int owner_enlist(struct coordinator *c, struct entry *entry, const struct branch_plan *plan);

/* A new entry with the coordinator's defaults, TRYING. */
struct entry *owner_add(struct coordinator *c, const char *gid);
/* The entry is over and durably so. */
void owner_forget(struct coordinator *c, struct entry *entry);

/* An answer to be flushed at the end of the turn. */
void owner_touch(struct coordinator *c, struct caller *caller);

/* Every transaction numbered up to here has ended, durably. */
uint64_t owner_low_water(const struct coordinator *c);

/* The entry with everything that belongs to it, loaded when it is cold, and with it up to `ahead`
 * cold ones that follow it by number. false: the store cannot give them (the coordinator fails). */
bool owner_warm(struct coordinator *c, struct entry *entry, size_t ahead);

/* The branch's payload, from the store when it is not in memory. false: the store cannot give it
 * (the coordinator fails). */
bool owner_load_payload(struct coordinator *c, struct entry *entry, struct txn_branch *branch);

/* Fail-stop: nothing more is written, sent or acknowledged. */
void owner_fail(struct coordinator *c, const char *text);

void owner_log(const struct coordinator *c, enum tercet_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* request.c: the methods. */
void request_handle(struct coordinator *c, struct caller *caller, uint64_t id, enum method method,
                    const ProtobufCMessage *message);
void request_session(struct coordinator *c, struct caller *caller,
                     const Tercet__V1__SessionRequests *message);
/* Tells everybody who waits for what has come. */
void request_tried(struct coordinator *c, struct entry *entry, uint32_t branch);
void request_decided(struct coordinator *c, struct entry *entry);
void request_resolved(struct coordinator *c, struct entry *entry);
/* At the end of a turn: tells watchers what the turn has changed, all at once. Many branches change
 * in one turn, and each telling is the whole transaction. */
void request_tell_watchers(struct coordinator *c);
/* Nothing is owed any more to those whose call has ended; when the coordinator stops, those who
 * only await are told so. */
void request_drop_vain(struct coordinator *c);
/* The entry goes. */
void request_forget_watchers(struct coordinator *c, struct entry *entry);

/* admin.c */
void admin_handle(struct coordinator *c, struct caller *caller, enum method method,
                  const ProtobufCMessage *message);
/* The first entry numbered above `number`, or NULL: where a page begins. Behind a million of them
 * it costs as much as behind ten. */
struct entry *admin_entry_after(struct coordinator *c, uint64_t number);

/* restore.c: reads everything the store holds. 0 or a TERCET_ code with a text. */
int restore_all(struct coordinator *c, char *text);
/* owner_warm. 0, a code of the store, or 1 when records contradict each other; then *wrong is a
 * text. */
int restore_warm(struct coordinator *c, struct entry *entry, size_t ahead, const char **wrong);

/* rpc.c: the services. */
int rpc_add_services(struct coordinator *c);

#endif
