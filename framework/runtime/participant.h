/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside a participant. Calls come from an attached stream or from the participant's own server,
 * wait in one bounded queue, and are worked on by a few threads, many in one local transaction. One
 * more keeps the way to the coordinator: it attaches, or registers, again and again.
 *
 *   attach: on_message ─┐                                            ┌─▶ the stream's outbox
 *                       ├─▶ queue ─▶ worker: barrier, hooks, commit ─┤
 *   listen: on_request ─┘                                            └─▶ the call's reply
 */
#ifndef TERCET_PARTICIPANT_INTERNAL_H
#define TERCET_PARTICIPANT_INTERNAL_H

#include "runtime.h"

#include <metrics.h>
#include <outbox.h>
#include <stdatomic.h>
#include <tercet/participant.h>
#include <tercet/v1/tercet.pb-c.h>

#ifndef TERCET_VERSION
#define TERCET_VERSION "unversioned"
#endif
#define PARTICIPANT_LIBRARY_VERSION "tercet-c " TERCET_VERSION /* what a coordinator is told */
#define PARTICIPANT_VERSION_MAX 63                             /* bytes */
#define PARTICIPANT_WINDOW_DEFAULT 256u
#define PARTICIPANT_WINDOW_MAX 65536u
#define PARTICIPANT_BATCH_DEFAULT 64u
#define PARTICIPANT_BATCH_MAX 1024u
#define PARTICIPANT_BATCH_TIME_MS_DEFAULT 50u
#define PARTICIPANT_DEFER_MS_DEFAULT 600000u
#define PARTICIPANT_WORKERS_MAX 256u
#define PARTICIPANT_ACTIONS_MAX 256u
#define PARTICIPANT_RECONNECT_MS_FIRST 50u
#define PARTICIPANT_RECONNECT_MS_LONGEST 250u
#define PARTICIPANT_DENIED_MS                                                                      \
    5000 /* pause after the coordinator has refused our credentials or what we offer */
#define PARTICIPANT_MISFIT_MS 1000 /* after it did not fit to the other instances: they may go */
/* between registrations: the coordinator may have lost the last one */
#define PARTICIPANT_REGISTER_MS 30000
#define PARTICIPANT_REGISTER_TIMEOUT_MS 5000
#define PARTICIPANT_CLOSE_MS 2000 /* for the last results to leave */
#define FIELD_RESULTS 2u          /* of AttachRequest */

/* A received message, shared by the calls that lie in it. */
struct participant_message {
    atomic_uint refs;
    ProtobufCMessage *message;
};

/* One attached stream; all but the reference count is guarded by the participant's lock, or set
 * before it is shared. */
struct participant_stream {
    atomic_uint refs;
    struct tercet_participant *participant;
    struct crpc_call *call;
    struct outbox *outbox;
    atomic_bool is_over;
    bool is_held; /* the queue is full: the next message is read when it has room again */
};

/* One call in the queue. */
struct participant_task {
    struct participant_task *next;
    const Tercet__V1__Call *call; /* in message */
    struct participant_message *message;
    struct participant_stream *stream; /* where the result is sent: this stream, */
    struct crpc_call *execute;         /* or as the answer of this call */
    int64_t received_ms;
    uint64_t
        branch_key; /* hash of gid and branch: calls with the same key never run at the same time */
    struct participant_deferral *deferral; /* its hook has run and was finished by tercet_finish;
                                              NULL: its hook has yet to run */
};

/* A hook that is to be finished by tercet_finish. Guarded by the lock. */
struct participant_deferral {
    struct participant_deferral *next;
    uint64_t id;
    uint64_t branch_key;
    struct participant_task *task; /* owned by this from the hook's return on */
    int64_t began_ms;
    bool has_returned; /* the hook has returned: tercet_finish hands the task to a worker */
    bool is_finished;
    int code; /* what tercet_finish said, with a reply (malloc'ed) and a text */
    void *reply;
    size_t reply_size;
    char text[TERCET_TEXT_MAX];
};

/* What a hook tells besides the code that it returns. */
struct tercet_answer {
    enum tercet_kind kind;
    void *reply; /* malloc'ed */
    size_t reply_size;
    char text[TERCET_TEXT_MAX];
    bool is_refused;             /* tercet_refuse was called */
    struct participant_job *job; /* NULL: not a participant's (tercet_guard) */
    uint64_t deferral_id;        /* tercet_defer was called; 0: it was not */
};

/* Sets the answer's text: cut at a character, and made valid UTF-8. */
void answer_say(struct tercet_answer *answer, const char *text);

/* The code that the barrier and the caller get for a hook's code: a hook that refused and returns 0
 * has contradicted itself. */
int answer_code(struct tercet_answer *answer, int code, enum tercet_kind kind);

/* Why the call was not done: the words of the database or of the hook, where it was one of them
 * that failed, as UTF-8 and at most as long as a text; else our own. */
const char *answer_reason(struct tercet_answer *answer, int hook_code,
                          const struct tercet_barrier_call *call);

enum participant_job_state {
    PARTICIPANT_JOB_WAITING,    /* not begun */
    PARTICIPANT_JOB_RUN,        /* has passed the barrier and has a result */
    PARTICIPANT_JOB_NOT_SERVED, /* there is no such action here */
    PARTICIPANT_JOB_LATE,       /* a try whose deadline has passed before it began */
    PARTICIPANT_JOB_OUTSIDE,    /* run outside of the database, with a result in `outside` */
    PARTICIPANT_JOB_PENDING,    /* to be finished by tercet_finish, which has the task now */
};

/* One call being worked on. */
struct participant_job {
    struct tercet_participant *participant;
    struct participant_task *task;      /* NULL: put back */
    const struct tercet_action *action; /* NULL: not served here */
    struct tercet_answer answer;
    enum participant_job_state state;
    int hook_code; /* what the hook returned; 0 when it did not run */
    uint64_t branch_key;
    struct tercet_barrier_call outside;
};

/* One thread that works on calls. */
struct participant_worker {
    struct tercet_participant *participant;
    pthread_t thread;
    bool is_started;
    struct participant_job
        *jobs; /* room for batch_max; job_count are in use. Guarded by the lock */
    size_t job_count;
    struct tercet_barrier_call *calls; /* of the jobs, one each */
};

/* Who may call a participant that listens; participant_door.c. */
struct participant_door {
    char *token;       /* that callers must send, and that the coordinator is told; NULL: none */
    char *identity;    /* name that a caller's certificate must have; NULL: any */
    bool is_own_token; /* generated at this start */
    atomic_bool is_lenient; /* the coordinator is too old to send a token */
    atomic_llong told_ms;   /* when the log last told of a refused caller */
};

struct participant_queue {
    struct participant_task *first, **last_next;
};
/* Confirms and cancels come before tries: they free what tries wait for. */
enum { PARTICIPANT_ENDS, PARTICIPANT_TRIES, PARTICIPANT_QUEUES };

#define PARTICIPANT_KINDS 4    /* enum tercet_kind */
#define PARTICIPANT_OUTCOMES 5 /* those of tercet.proto */

/* What was answered; no lock. */
struct participant_figures {
    atomic_ullong answered[PARTICIPANT_KINDS][PARTICIPANT_OUTCOMES];
    struct shared_histogram took;
};

struct tercet_participant {
    struct participant_figures figures;
    struct runtime_link link;
    struct runtime_log log;
    char service[TERCET_SERVICE_MAX + 1];
    char coordinator[TERCET_TEXT_MAX];
    struct tercet_action *actions;
    size_t action_count;
    struct tercet_barrier *barrier;
    char database[TERCET_BARRIER_IDENTITY_MAX + 1];
    void *ctx;
    uint32_t window, batch_max, batch_time_ms, defer_ms_max;
    struct crpc_server *server; /* listen mode, else NULL */
    char *target;
    char version[PARTICIPANT_VERSION_MAX + 1]; /* of the program; "": not told */
    bool is_sharded;
    bool is_own_target; /* the address that `listen` got, not one that the application named */
    bool has_deferred;  /* one of the actions is */
    bool
        *was_deferred; /* by action: it is not deferred now, but has been in this database before */
    struct participant_door door;

    pthread_t keeper;
    bool is_keeper_started;
    struct participant_worker *workers;
    uint32_t worker_count;

    pthread_mutex_t lock;
    pthread_cond_t work;    /* workers wait */
    pthread_cond_t changed; /* wakes the keeper thread, and threads in wait or close */
    struct participant_queue queues[PARTICIPANT_QUEUES];
    uint32_t task_count; /* in the queues */
    /* whose hook used up the time of a batch that was to have more: the next batch is of other
     * calls, if any wait; "": none */
    char slow_action[TERCET_ACTION_MAX + 1];
    struct participant_deferral *deferrals;
    uint64_t deferral_count; /* ever made; gives the next id */
    bool is_closing;
    struct participant_stream *stream; /* attach mode; NULL: none */
    bool is_registering;               /* listen mode: a registration is under way */
    int64_t due_ms;                    /* when to attach or register next */
    struct runtime_pause reconnect;
    bool is_accepted; /* the coordinator has accepted the service, and the connection stands */
    char last_error[TERCET_TEXT_MAX];
};

/* -- participant_queue.c ----------------------------------------------------------------------- */

/* Takes over the message. NULL without memory; the message is freed then. */
struct participant_message *participant_message_new(ProtobufCMessage *message);
void participant_message_unref(struct participant_message *message);

/* Makes a task of a call that lies in the message, of which it takes a reference. NULL without
 * memory. */
struct participant_task *participant_task_new(const Tercet__V1__Call *call,
                                              struct participant_message *message);
void participant_task_free(struct participant_task *task);

bool participant_is_same_call(const Tercet__V1__Call *a, const Tercet__V1__Call *b);
/* Frees a task whose call was sent again; the first copy is answered "again". */
void participant_drop_asked_again(struct participant_task *task);

/* With the lock held, which participant_unlock gives back. Only then does it wake a worker, which
 * would wait for the lock. A call that waits already for a deferred hook keeps its place, and the
 * new asker gets it: there is one place for a branch's try, confirm or cancel. */
void participant_push(struct tercet_participant *participant, struct participant_task *task);
void participant_unlock(struct tercet_participant *participant);
/* Puts a task that was not begun where it was; with the lock held. */
void participant_put_back(struct tercet_participant *participant, struct participant_task *task);
/* The first task of a branch that no other worker works on, or NULL; with the lock held. */
struct participant_task *participant_pop(struct tercet_participant *participant,
                                         const struct participant_worker *worker);
/* The same, but for tries of the slow action. */
struct participant_task *participant_pop_other(struct tercet_participant *participant,
                                               const struct participant_worker *worker);

struct participant_stream *participant_stream_ref(struct participant_stream *stream);
void participant_stream_unref(struct participant_stream *stream);

/* -- participant_metrics.c --------------------------------------------------------------------- */

void participant_note_answer(struct tercet_participant *participant,
                             const struct participant_task *task, unsigned outcome);

/* -- participant_attach.c ---------------------------------------------------------------------- */

/* Opens a stream and sends the hello; with the lock held. */
void participant_attach(struct tercet_participant *participant);
/* The stream, when it is held and the queue has room again: it is to be read on, once the lock,
 * which is held here, is free: gRPC sends something then. NULL: there is nothing to be read. */
struct participant_stream *participant_take_held(struct tercet_participant *participant);
/* Reads on, if there is a stream, and drops it. */
void participant_read_on(struct participant_stream *stream);
/* Waits, within bounds, until the results have left and the coordinator has ended the stream. */
void participant_detach(struct tercet_participant *participant);

/* -- participant_listen.c ---------------------------------------------------------------------- */

/* Starts the participant's own server. Errors: TERCET_ADDRESS, TERCET_TLS, TERCET_INVALID,
 * TERCET_NOMEM, with a text. */
int participant_listen(struct tercet_participant *participant,
                       const struct tercet_participant_options *options, char *text);
/* Registers at the coordinator; with the lock held. */
void participant_register(struct tercet_participant *participant);
/* Has the coordinator forget the target, if it is this participant's alone. Blocks, within
 * bounds. */
void participant_unregister(struct tercet_participant *participant);

/* -- participant_door.c ------------------------------------------------------------------------ */

/* What callers of a participant that listens have to show. Errors: TERCET_INVALID, TERCET_TLS,
 * TERCET_NOMEM, with a text. */
int participant_door_open(struct tercet_participant *participant,
                          const struct tercet_participant_options *options, char *text);
void participant_door_close(struct participant_door *door);
/* For crpc_server_options.authorize, with the participant as ctx. */
bool participant_door_authorize(struct crpc_call *call, struct crpc_status *why, void *ctx);
/* The coordinator has registered the participant, and says whether its calls bring the token. */
void participant_door_registered(struct tercet_participant *participant, bool keeps_token);

/* -- participant_batch.c, participant_hook.c --------------------------------------------------- */

/* Milliseconds until nobody waits for the call's answer any more; 0: nobody does. */
int64_t participant_time_left_ms(const struct participant_task *task);

/* A worker thread's function; ctx is its struct participant_worker. */
void *participant_work(void *ctx);

/* The barrier's hook; ctx is a struct participant_job. */
int participant_hook(struct tercet_barrier_call *call, tercet_db db, void *ctx);
/* Runs the job's hook of this kind; its answer is in the job. Returns its code, or TERCET_DEFERRED
 * where that is permitted. */
int participant_run_hook(struct participant_job *job, enum tercet_kind kind, tercet_db db);

/* -- participant_defer.c ----------------------------------------------------------------------- */

/* Notes in the database which actions are deferred, and learns which were once. Errors:
 * TERCET_STORE. */
int participant_defer_open(struct tercet_participant *participant);
/* Whether the job is run by participant_run_outside. */
bool participant_defer_concerns(const struct participant_job *job);

/* Runs a job whose action works outside of the database: it becomes OUTSIDE, PENDING, or WAITING
 * when a hook of its branch is pending. */
void participant_run_outside(struct participant_job *job);

/* What a waiting task may do while hooks of branches are pending: begin, wait, or, when it is the
 * same call asked again, be the one whose asker is told. With the lock held, as the next. */
enum participant_turn {
    PARTICIPANT_TURN_NOW,
    PARTICIPANT_TURN_LATER,
    PARTICIPANT_TURN_JOINS,
};
enum participant_turn participant_defer_turn(struct tercet_participant *participant,
                                             struct participant_task *task);
/* Whether a hook of the branch is pending. */
bool participant_defer_is_pending(struct tercet_participant *participant, uint64_t branch_key);
/* Takes over a task that is off the queue, and joins. */
void participant_defer_join(struct tercet_participant *participant, struct participant_task *task);
/* Frees all deferrals: none can be finished any more. */
void participant_defer_drop_all(struct tercet_participant *participant);
void participant_deferral_free(struct participant_deferral *deferral);

/* Notes why the coordinator cannot be reached, and when to try again; with the lock held. Returns
 * whether the reason is a new one. */
bool participant_lost(struct tercet_participant *participant, const struct crpc_status *status);
/* The coordinator has accepted the service; with the lock held. */
void participant_accepted(struct tercet_participant *participant);

/* What is offered, as a hello or a registration says it; views of the participant's actions. */
struct participant_offer {
    char **names; /* action_count of them */
    Tercet__V1__ActionTimeouts **timeouts;
    size_t timeout_count;
    Tercet__V1__ActionTimeouts *items;
};
/* false without memory. To be cleared in any case. */
bool participant_offer_make(struct participant_offer *out,
                            const struct tercet_participant *participant);
void participant_offer_clear(struct participant_offer *offer);

#endif
