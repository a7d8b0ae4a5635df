/* SPDX-License-Identifier: Apache-2.0
 *
 * The initiator: starts transactions and decides them. All requests of a client share one stream,
 * and those made at the same time share messages. A request whose answer does not arrive is sent
 * again under the same gid, over a new connection if necessary, until the answer is there or the
 * caller's timeout has passed. Then the result is TERCET_UNKNOWN: never a refusal, and never a
 * cancel after a confirm was sent.
 *
 * After a fork, a client serves the parent only: in the child every call fails at once with
 * TERCET_INVALID, and tercet_client_close does nothing. A hook must not run its own service: a call
 * that would is TERCET_INVALID.
 */
#ifndef TERCET_CLIENT_H
#define TERCET_CLIENT_H

#include <protobuf-c/protobuf-c.h>
#include <tercet/metrics.h>
#include <tercet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tercet_client;

struct tercet_client_options {
    size_t size;
    int64_t timeout_ms;    /* of each call, unless it has its own; default 60,000 */
    uint32_t requests_max; /* without an answer at once; default 10,000: past it TERCET_EXHAUSTED */
    const char *token;     /* sent as "authorization: Bearer ..." */
    /* PEM texts; tls_ca "" means the system's roots; NULL: plaintext */
    const char *tls_ca, *tls_cert, *tls_key;
    tercet_log_fn on_log;
    void *log_ctx;
    /* Do not wait for a coordinator that cannot be reached: a call ends as soon as its connection
     * fails, with TERCET_UNAVAILABLE when nothing was sent, else with TERCET_UNKNOWN. */
    bool fails_fast;
};

/* Connects in the background. `coordinator`: "host:port", "dns:///host:port", "unix:/path". On an
 * error `text` (may be NULL, TERCET_TEXT_MAX bytes) says what is wrong. */
int tercet_client_open(struct tercet_client **out, const char *coordinator,
                       const struct tercet_client_options *options, char *text);

/* Waits until the coordinator answers a request, at most timeout_ms (0: the client's timeout). 0:
 * it can be reached and serves initiators. TERCET_UNAVAILABLE: it cannot, or not in time;
 * TERCET_DENIED: it does not let this client in. `text` (may be NULL, TERCET_TEXT_MAX bytes) says
 * what happened. */
int tercet_client_wait(struct tercet_client *client, int64_t timeout_ms, char *text);

/* Hands each series of what is measured to the callback (tercet/metrics.h): requests by result,
 * how long they took, how many are open. Does not wait for anybody; any thread. Nothing in a child
 * of the process that opened it. */
void tercet_client_metrics(struct tercet_client *client, tercet_metric_fn each, void *ctx);

/* Ends open requests with TERCET_UNKNOWN and frees. Not from a callback. */
void tercet_client_close(struct tercet_client *client);

/* How a call ended, as far as it is known. Fixed size: nothing to free. */
struct tercet_result {
    int code; /* the same as the call returns */
    struct tercet_gid gid;
    enum tercet_state state; /* 0 when not known */
    enum tercet_cause cause;
    uint64_t number; /* of the transaction at its coordinator */
    uint32_t branch_count;
    bool parked; /* some branch needs a person */
    /* a refusal's reason, or what is wrong and what to do; "" after a success */
    char text[TERCET_TEXT_MAX];
};

/* What a coordinator waits for before it answers. The values are those of the wire. */
enum tercet_wait {
    /* the decision is durable; confirms or cancels are retried in the background until they
     * succeed */
    TERCET_WAIT_DECIDED = 0,
    TERCET_WAIT_RESOLVED = 1, /* every branch has acknowledged */
    TERCET_WAIT_NOT = 2,      /* Run: the plan is durable */
};

struct tercet_begin_options {
    size_t size;
    const char *gid;      /* NULL: one is made */
    uint32_t deadline_ms; /* from now to the decision; then cancelled. 0: 60 s */
    bool is_ordered;      /* Run: tries one after another */
    /* Step by step: a refused or unknown try does not cancel the transaction by itself. A confirm
     * is then for the branches whose tries are done: who refused is cancelled, who was never sent a
     * try is left out. */
    bool keeps_on_refusal;
    /* 0: the coordinator's defaults */
    uint32_t retry_base_ms, retry_cap_ms, park_after_failures, park_after_ms;
    /* passed to the participants. An entry "traceparent" (W3C Trace Context) makes the transaction
     * part of the caller's trace, see docs/tracing.md */
    const struct tercet_metadata *metadata;
    size_t metadata_count;
    enum tercet_wait wait;
    int64_t timeout_ms; /* of this call; 0: the client's */
    /* step by step: tercet_confirm asks for a tercet_own_tried of each own call */
    bool reports_own_tries;
};

/* One branch of a plan: a message, or bytes when `request` is NULL. */
struct tercet_branch {
    const char *action; /* "service/name" */
    const ProtobufCMessage *request;
    struct tercet_bytes payload;
    uint32_t try_timeout_ms; /* 0: 10 s */
    /* how long the coordinator waits for one call of a hook before it calls again; 0: as the
     * participant asks, else a try for which try_timeout_ms was given as long as it has, and all
     * others the coordinator's --call-timeout */
    uint32_t call_timeout_ms;
    uint32_t end_timeout_ms; /* the same of confirm and cancel; 0: as call_timeout_ms */
};

/* -- Run: the whole plan in one request -------------------------------------------------------- */

/* Tries all branches; confirms when all are done, cancels when one refuses or is not known in time.
 * Blocks until what options->wait says. 0: confirmed (or, with TERCET_WAIT_NOT, durable).
 * TERCET_REFUSED: cancelled, result->text says why. TERCET_UNKNOWN: the timeout has passed, or the
 * client was closed: wait with tercet_await, ask with tercet_get, or run again under the same gid.
 * `result` may be NULL. */
int tercet_run(struct tercet_client *client, const struct tercet_branch *branches,
               size_t branch_count, const struct tercet_begin_options *options,
               struct tercet_result *result);

/* A try's reply: bytes, malloc'ed; tercet_tried_clear frees them. */
struct tercet_tried {
    int code;
    struct tercet_branch_id branch;
    struct tercet_bytes reply;
    char text[TERCET_TEXT_MAX];
};
void tercet_tried_clear(struct tercet_tried *tried);

/* As tercet_run, and tells how each try ended: tries[i] is that of branches[i], with its reply, or
 * with TERCET_REFUSED, TERCET_UNKNOWN or (not tried any more) TERCET_DECIDED and a text. All
 * branch_count of them are filled in, whatever happens: clear them all. */
int tercet_run_tried(struct tercet_client *client, const struct tercet_branch *branches,
                     size_t branch_count, const struct tercet_begin_options *options,
                     struct tercet_tried *tries, struct tercet_result *result);

/* As tercet_run with a callback, called once, on a thread of the client's: it must not block. What
 * callbacks start is sent when those of all answers that came together have returned. When this
 * returns an error the callback is not called. */
typedef void (*tercet_result_fn)(const struct tercet_result *result, void *ctx);
int tercet_run_start(struct tercet_client *client, const struct tercet_branch *branches,
                     size_t branch_count, const struct tercet_begin_options *options,
                     tercet_result_fn done, void *ctx);

/* -- Step by step ------------------------------------------------------------------------------ */

struct tercet_transaction;

/* Begins without a round trip: the first try or enlist carries it. From one thread at a time, or
 * with tries in parallel. */
int tercet_begin(struct tercet_transaction **out, struct tercet_client *client,
                 const struct tercet_begin_options *options);
const struct tercet_gid *tercet_transaction_gid(const struct tercet_transaction *transaction);

/* Frees the handle. A transaction that was neither confirmed nor cancelled is cancelled by its
 * deadline. */
void tercet_transaction_free(struct tercet_transaction *transaction);

/* Enlists the branch durably and calls its try, through the coordinator. Blocks. 0: done;
 * TERCET_REFUSED: the participant will not, and (unless keeps_on_refusal) everything is being
 * cancelled; TERCET_DECIDED: decided before this; TERCET_UNKNOWN: no answer in time. `tried` may be
 * NULL. */
int tercet_try(struct tercet_transaction *transaction, const struct tercet_branch *branch,
               struct tercet_tried *tried);
typedef void (*tercet_tried_fn)(const struct tercet_tried *tried, void *ctx);
int tercet_try_start(struct tercet_transaction *transaction, const struct tercet_branch *branch,
                     tercet_tried_fn done, void *ctx);

/* Own calls: enlists durably, without calling. The caller then calls the participant itself with
 * this gid and branch (metadata tercet-gid, tercet-branch, tercet-number = result->number). Confirm
 * and cancel come from the coordinator.
 *
 * The coordinator does not see own tries: tercet_confirm vouches that each of them was answered
 * with done. A confirm of a branch whose try never reached its participant is a broken promise, and
 * is parked. With options.reports_own_tries the client keeps count: */
int tercet_enlist(struct tercet_transaction *transaction, const struct tercet_branch *branch,
                  struct tercet_branch_id *out, struct tercet_result *result);

/* Says how the own call to `branch` was answered: 0, TERCET_REFUSED, TERCET_UNKNOWN or any other
 * code; the last one counts. With options.reports_own_tries, tercet_confirm is TERCET_NOT_READY
 * while an enlisted branch was not reported with 0. Errors: TERCET_INVALID (not an own branch of
 * this transaction). */
int tercet_own_tried(struct tercet_transaction *transaction, struct tercet_branch_id branch,
                     int code);

/* Confirms, or cancels. 0: decided so, durably (or resolved, with TERCET_WAIT_RESOLVED).
 * TERCET_DECIDED: the other way already; result says which. TERCET_NOT_READY: a try is not known to
 * be done (with keeps_on_refusal: neither done nor refused, and it may still be). TERCET_UNKNOWN:
 * ask again, the same call. */
int tercet_confirm(struct tercet_transaction *transaction, enum tercet_wait wait,
                   struct tercet_result *result);
int tercet_cancel(struct tercet_transaction *transaction, enum tercet_wait wait, const char *reason,
                  struct tercet_result *result);
int tercet_confirm_start(struct tercet_transaction *transaction, enum tercet_wait wait,
                         tercet_result_fn done, void *ctx);
int tercet_cancel_start(struct tercet_transaction *transaction, enum tercet_wait wait,
                        const char *reason, tercet_result_fn done, void *ctx);
/* As tercet_confirm, although a try is not known to be done: the caller vouches for it. Nobody can
 * for a try that was never sent to anybody: TERCET_NOT_READY. With keeps_on_refusal: confirms what
 * is done and cancels the rest, whatever is known of it. */
int tercet_confirm_force(struct tercet_transaction *transaction, enum tercet_wait wait,
                         struct tercet_result *result);

/* -- Asking ------------------------------------------------------------------------------------ */

/* The transaction as it stands. 0, TERCET_NOT_FOUND, TERCET_UNKNOWN. */
int tercet_get(struct tercet_client *client, const char *gid, struct tercet_result *result);

/* Blocks until the transaction is decided or resolved (TERCET_WAIT_DECIDED, TERCET_WAIT_RESOLVED),
 * whoever decides it: after a TERCET_UNKNOWN, or in a process that only knows its gid. 0:
 * result->state says which way, for a cancelled one result->text why; `result` may be NULL. Waits
 * on through a lost connection and a restart of the coordinator. `timeout_ms`: of this call, 0
 * the client's, at most 30 days; past it TERCET_UNKNOWN: tercet_get tells how it stands.
 * TERCET_NOT_FOUND: resolved longer ago than the coordinator keeps it, or not begun; after a
 * TERCET_UNKNOWN its begin may still be on the way: run again under the same gid. Each that waits
 * is one of the client's requests_max. */
int tercet_await(struct tercet_client *client, const char *gid, enum tercet_wait wait,
                 int64_t timeout_ms, struct tercet_result *result);
/* The same with a callback, as tercet_run_start. */
int tercet_await_start(struct tercet_client *client, const char *gid, enum tercet_wait wait,
                       int64_t timeout_ms, tercet_result_fn done, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
