/* SPDX-License-Identifier: Apache-2.0
 *
 * A participant: a table of hooks that a coordinator calls. The barrier (barrier.h) sits between
 * the coordinator and the hooks, so a hook is run at most once with effect, never out of order, and
 * works inside the open local transaction of its own database.
 */
#ifndef TERCET_PARTICIPANT_H
#define TERCET_PARTICIPANT_H

#include <protobuf-c/protobuf-c.h>
#include <tercet/barrier.h>
#include <tercet/metrics.h>
#include <tercet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tercet_participant;

/* What a hook is told. Lives until the hook returns. */
struct tercet_call {
    const char *gid;
    struct tercet_branch_id branch;
    enum tercet_kind kind;
    const char *action; /* without the service */
    /* from 1; for the log, not for logic: the barrier has seen to repeats */
    uint32_t attempt;
    int64_t deadline_ms; /* time left until the coordinator calls again */
    struct tercet_bytes payload;
    const ProtobufCMessage *request; /* decoded, when the action names its descriptor; else NULL */
    const struct tercet_metadata *metadata;
    size_t metadata_count;
    tercet_db db; /* the open local transaction: `sqlite3 *` under the SQLite barrier */
    struct tercet_answer *answer; /* for tercet_reply and tercet_refuse */
    /* which coordinator's store this comes from: a random number, the same as long as that store
     * lives; 0 when the coordinator is too old to say */
    uint64_t source;
    /* whose hook this is, for tercet_finish; NULL in tercet_guard */
    struct tercet_participant *participant;
};

/* The value of the call's metadata entry with this key, or NULL. "traceparent" is the context of
 * this very call (W3C Trace Context) where the coordinator traces, else the initiator's: it is the
 * parent of the hook's own spans, and what a transaction that the hook runs is to be given. Lives
 * as long as the call. */
const char *tercet_call_metadata(const struct tercet_call *call, const char *key);

/* A hook. Returns 0 when its work is done, tercet_refuse(...) in a try that refuses, or any other
 * code to have its work rolled back and to be called again. */
typedef int (*tercet_hook)(const struct tercet_call *call, void *ctx);

/* Saves the try's reply, which the initiator gets, with the branch's row. Errors: TERCET_INVALID
 * past TERCET_REPLY_MAX. */
int tercet_reply(const struct tercet_call *call, const ProtobufCMessage *reply);
int tercet_reply_bytes(const struct tercet_call *call, struct tercet_bytes reply);

/* Returns TERCET_REFUSED, with a reason that the initiator sees (printf; cut at TERCET_TEXT_MAX):
 * `return tercet_refuse(call, "sold out");` A try that refuses and then returns 0 contradicts
 * itself: it counts as TERCET_AGAIN, with a text that says so. */
TERCET_MUST_USE int tercet_refuse(const struct tercet_call *call, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* Returns TERCET_AGAIN with a text for the operator: `return tercet_again(call, "disk: %s",
 * ...);` */
TERCET_MUST_USE int tercet_again(const struct tercet_call *call, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* -- Hooks that are finished later, for work outside of a database ------------------------------
 *
 * A hook that asks a bank or a mail server would hold up its worker, and the local transaction, for
 * as long as that takes. An action with is_deferred has its hooks run in no transaction (call->db
 * is NULL); they begin the work, `return tercet_defer(call, &deferred)`, and tercet_finish tells,
 * from any thread, how it ended. Then the barrier's row is written and the coordinator answered.
 *
 * Such work and the row cannot be one transaction, so the outside has to know gid and branch:
 *  - A hook may run again for what it has done, after a crash or a lost result: the same gid and
 *    branch again is the same work.
 *  - Before a try's hook first runs, that it has begun is kept in the database. A cancel runs its
 *    hook from then on, whether the try is known to have ended or not: it has to undo what is
 * there, and to keep what is still on its way from happening. After a refusal there is no cancel
 * hook.
 *  - A try that ends well after its cancel has ended at another instance is undone at once, by the
 *    cancel's hook.
 * While a hook of a branch is pending, its further calls wait: the same call asked again is
 * answered with the result, a cancel comes after it. Stream and coordinator may come and go
 * meanwhile. Timeouts (call_timeout_ms) go on as for all calls: give slow actions enough. */

/* Identifies one pending hook; may be copied. */
struct tercet_deferred {
    uint64_t id;
};

/* What a hook returns whose result will come by tercet_finish. */
#define TERCET_DEFERRED 1

/* In a hook of an action with is_deferred, once: `return tercet_defer(call, &deferred);` with
 * *deferred kept where tercet_finish is called, which may happen before the hook has returned. What
 * the hook was given lives until it returns: copy what is needed later. */
TERCET_MUST_USE int tercet_defer(const struct tercet_call *call, struct tercet_deferred *deferred);

/* How the work of a deferred hook has ended: `code` as a hook returns it; `reply` of a try that is
 * done; `text` (may be NULL) says why not. Copied. Any thread, also the hook's; does not block. 0:
 * taken. TERCET_NOT_FOUND: it was finished before, or defer_ms_max was over. TERCET_CLOSED: the
 * participant is being closed. TERCET_INVALID: the reply is too long; it can be finished again.
 * Not after tercet_participant_close has returned. */
int tercet_finish(struct tercet_participant *participant, struct tercet_deferred deferred, int code,
                  struct tercet_bytes reply, const char *text);

/* One action of a service. A NULL hook has nothing to do: only the barrier's row is written. */
struct tercet_action {
    /* such as "reserve": [a-z0-9_.-], without the service */
    const char *name;
    const ProtobufCMessageDescriptor *request; /* NULL: bytes */
    tercet_hook on_try;
    tercet_hook on_confirm;
    tercet_hook on_cancel;
    /* a local transaction of its own, not shared with other calls */
    bool is_alone;
    /* how long the coordinator waits for one call before it calls again, at most
     * TERCET_TIMEOUT_MS_MAX: for slow hooks; 0: its --call-timeout. An initiator may ask for less
     * or more, and a try is never waited for longer than its own timeout */
    uint32_t call_timeout_ms;
    uint32_t end_timeout_ms; /* of confirm and cancel; 0: as call_timeout_ms */
    /* the hooks work outside of the database, and may be finished later (tercet_defer) */
    bool is_deferred;
};

struct tercet_participant_options {
    size_t size;
    struct tercet_barrier *barrier; /* needed; outlives the participant */
    void *ctx;                      /* given to the hooks */
    uint32_t window;                /* calls taken at once at most; default 256 */
    uint32_t batch_max;             /* calls in one local transaction at most; default 64 */
    /* NULL: attach (no port). Else serve tercet.v1.Participant here and register at the
     * coordinator, beside other targets of the service; closing removes the target that listen
     * got */
    const char *listen;
    /* with listen: what the coordinator calls; default: what listen got */
    const char *target;
    const char *token; /* sent as "authorization: Bearer ..." */
    /* PEM texts; tls_ca "" means the system's roots; NULL: plaintext */
    const char *tls_ca, *tls_cert, *tls_key;
    tercet_log_fn on_log;
    void *log_ctx;
    /* threads that run hooks, each with a connection of the barrier's; 0: as many as it has
     * (tercet_barrier_connections: 1 where the database has one writer) */
    uint32_t workers;
    /* a local transaction takes no further call after so long, and its results are sent: slow hooks
     * do not hold up each other's; default 50 */
    uint32_t batch_time_ms;
    /* a deferred hook that is not finished for so long is run again when its call comes again;
     * default 600,000 */
    uint32_t defer_ms_max;
    /* The service is spread over several databases on purpose: each instance serves what is in its
     * own. A branch stays with the database that its try went to: its confirm or cancel waits until
     * an instance with that one is attached. All instances of the service say so. Not with
     * `listen`, and not on a memory barrier, which has no identity. Without it a second database is
     * refused */
    bool is_sharded;
    /* With listen: who may call. By default the participant makes a token at each start and hands
     * it to its coordinator, whose calls bring it; a coordinator that is too old for that is let in
     * without one, with a warning. With a `target` of yours several instances may be behind it:
     * give them one caller_token (16 to 255 printable ASCII characters without spaces), or a name
     * in the coordinator's certificate (caller_identity, as crpc and access rules know it; needs
     * tls_ca). Without either whoever reaches the address can call, of which the log warns. */
    const char *caller_token, *caller_identity;
    /* The version of the program, for the people who run it: the coordinator shows it beside that
     * of this library (tercetctl participants). UTF-8 of at most 63 bytes; NULL: not told */
    const char *version;
};

/* Offers `service`'s actions at the coordinator and keeps doing so: it connects by itself, again
 * after every loss, in the background. The hooks run on the participant's worker threads,
 * never two calls of one branch at once; confirms and cancels before tries, and a try whose time is
 * over before it began is not begun. `actions` is copied, not its strings. On an error `text` (may
 * be NULL, TERCET_TEXT_MAX bytes) says what is wrong. Errors: TERCET_INVALID, TERCET_ADDRESS,
 * TERCET_TLS. */
int tercet_participant_open(struct tercet_participant **out, const char *coordinator,
                            const char *service, const struct tercet_action *actions,
                            size_t action_count, const struct tercet_participant_options *options,
                            char *text);

/* Waits until the coordinator has accepted the service, at most timeout_ms. 0, or
 * TERCET_UNAVAILABLE with the last error in `text`. */
int tercet_participant_wait(struct tercet_participant *participant, int64_t timeout_ms, char *text);

/* What a participant knows of itself: for health checks, figures and logs of its program. */
struct tercet_participant_view {
    size_t size;       /* sizeof(struct tercet_participant_view), set by the caller */
    bool is_accepted;  /* the coordinator has taken the service, and has not been lost since */
    uint32_t waiting;  /* calls that have come, and wait for a worker or for a deferred hook */
    uint32_t working;  /* calls that workers are at */
    uint32_t deferred; /* hooks that tercet_finish has not ended yet, */
    int64_t oldest_deferred_ms; /* and how long the oldest of them has been pending; 0: none is */
    char coordinator[TERCET_TEXT_MAX]; /* its address, as it was given */
    char target[TERCET_TEXT_MAX];      /* where the participant is called; "": it attaches */
    /* why it was last not accepted, or lost the coordinator; kept when that is over; "": never */
    char last_error[TERCET_TEXT_MAX];
};

/* Fills `view`. Any thread, hooks too; does not block. TERCET_INVALID: its size is not set. */
int tercet_participant_look(struct tercet_participant *participant,
                            struct tercet_participant_view *view);

/* Hands each series of what is measured to the callback (tercet/metrics.h), labelled with the
 * service: calls by kind and outcome, how long they took, how many wait and run. Does not wait for
 * hooks; any thread, also a hook's. */
void tercet_participant_metrics(struct tercet_participant *participant, tercet_metric_fn each,
                                void *ctx);

/* Takes no more calls, finishes those it has begun, and frees. Not from a hook. Deferred hooks that
 * are pending are not waited for: their calls are made again, here or at another instance. */
void tercet_participant_close(struct tercet_participant *participant);

/* For services that initiators call themselves (own calls, tercet_enlist): one call through the
 * barrier with the ids from the metadata tercet-gid, tercet-branch and tercet-number. Blocks. 0,
 * TERCET_REFUSED, TERCET_BROKEN, or "ask again". `reply` (may be NULL) gets the try's reply,
 * malloc'ed. */
int tercet_barrier_guard(struct tercet_barrier *barrier, enum tercet_kind kind, const char *gid,
                         struct tercet_branch_id branch, uint64_t number, tercet_barrier_hook hook,
                         void *ctx, struct tercet_bytes *reply);

/* The same with a participant's hook, which may use tercet_reply, tercet_refuse and tercet_again
 * (call->action is "", there is no metadata). `text` (may be NULL, TERCET_TEXT_MAX bytes) gets the
 * reason of any result but 0. */
int tercet_guard(struct tercet_barrier *barrier, enum tercet_kind kind, const char *gid,
                 struct tercet_branch_id branch, uint64_t number, tercet_hook hook, void *ctx,
                 struct tercet_bytes *reply, char *text);

#ifdef __cplusplus
}
#endif
#endif
