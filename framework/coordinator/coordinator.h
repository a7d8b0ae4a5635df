/* SPDX-License-Identifier: Apache-2.0
 *
 * The coordinator's state, with a struct for each part that has some: the ground on which the other
 * files stand. Here is also what any of them may do: log, and fail.
 */
#ifndef TERCET_COORDINATOR_STATE_H
#define TERCET_COORDINATOR_STATE_H

#include "alarm.h"
#include "answer.h"
#include "arena.h"
#include "audit.h"
#include "clerk.h"
#include "expose.h"
#include "find.h"
#include "loglevel.h"
#include "meter.h"
#include "outcalls.h"
#include "pulse.h"
#include "queue.h"
#include "service.h"
#include "shard.h"
#include "streams.h"
#include "waiter.h"

#include <budget.h>
#include <crpc/crpc.h>
#include <otlp.h>
#include <semaphore.h>
#include <stdarg.h>
#include <tercet/coordinator.h>

#ifndef TERCET_VERSION
#define TERCET_VERSION "unversioned"
#endif

#define COORDINATOR_STOPPING "the coordinator is stopping: try again soon"

/* transactions that are loaded whole before anything is served */
#define RESTORE_WARM_MAX 20000
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
    int64_t started_ms; /* wall clock */
    size_t restore_warm_max;
    size_t payload_bytes_max;

    /* The owner's, like everything that these hold. */
    struct clock clock;
    struct shard *shards; /* shard_count of them */
    size_t shard_count;
    struct services services;
    struct outcalls outcalls;
    struct answers answers;
    struct waiting waiting;
    struct finds finds;
    struct arena scratch;  /* emptied after each event and at the end of the turn */
    struct event *reading; /* of streams whose next message is asked for after the turn */
    struct alarm parked_alarm;
    struct alarm cancelled_alarm; /* of cancellations by a deadline or timeout */
    struct totals totals;
    struct audit audit;
    struct meter meter;
    struct spans *spans;         /* that wait for a collector; NULL: there is none */
    uint64_t trace_chosen_below; /* of 2^63: which trace ids are sampled */
    bool is_closing;             /* takes no new transactions */
    bool has_drained;            /* takes no more requests, and has posted this: */
    /* no answer is owed any more; the thread that closes waits for it */
    sem_t drained;
    atomic_bool is_draining; /* whoever loses a caller posts EVENT_CALLER_LOST */
    bool is_stopping;

    struct queue queue;
    pthread_t thread;
    atomic_bool has_failed;
    struct pulse pulse;

    struct spans span_queue; /* `spans`, once it is open */
    struct otlp *otlp;
    struct crpc_loop *loop;
    struct crpc_server *server;
    struct streams streams;
    struct clerk clerk;
    struct expose expose;
    struct loglevel loglevel;
    struct budget unread;   /* answers that wait to be read, or to be durable */
    struct budget calls;    /* to participants, that wait to be read: unread answers stop none */
    struct budget requests; /* that wait for the owner */
    struct peers peers;
    struct access *access;
    /* for targets, when calls_with_tls; its strings are the coordinator's */
    struct crpc_tls call_tls;
    bool calls_with_tls;
};

/* The shard that keeps what belongs to the process: registered participants. */
struct shard *coordinator_home(const struct coordinator *c);

/* Fail-stop: nothing more is written, sent or acknowledged. */
void coordinator_fail(struct coordinator *c, const char *text);

/* One line, of the part LOG_TRANSACTIONS unless told, and if that is to be logged. Any thread. */
void coordinator_log(const struct coordinator *c, enum tercet_log_level level, const char *format,
                     ...) __attribute__((format(printf, 3, 4)));
void coordinator_log_of(const struct coordinator *c, enum log_part part,
                        enum tercet_log_level level, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same of a line that is about one transaction: its gid and trace id are in *record, and its
 * level; and whether such a line is wanted at all. See trace_log. */
void coordinator_log_record(const struct coordinator *c, enum log_part part,
                            struct tercet_log_record *record, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));
bool coordinator_logs(const struct coordinator *c, enum log_part part, enum tercet_log_level level);

#endif
