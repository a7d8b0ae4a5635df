/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside a client. A request is packed once and stays in the table until it has ended; the stream
 * is only how it travels at the moment. The life of a request:
 *
 *   client_submit ── asked on the stream, if there is one
 *       │   answered for good ───────────────────────▶ ended
 *       │   answered "not now" ── pause ── asked again
 *       │   stream lost ── pause, new stream ── asked again, oldest first
 *       └── timeout over, or client closed ─────────▶ ended: TERCET_UNKNOWN
 *
 * Who takes a request out of the table ends it, outside of the lock: so it is ended once. Only the
 * poller (answers, denials) and the timer thread (everything else) do. The timer thread also opens
 * the streams.
 */
#ifndef TERCET_CLIENT_INTERNAL_H
#define TERCET_CLIENT_INTERNAL_H

#include "client_table.h"
#include "runtime.h"

#include <metrics.h>
#include <outbox.h>
#include <refusal.h>
#include <stdatomic.h>
#include <tercet/client.h>
#include <tercet/v1/tercet.pb-c.h>

#define CLIENT_TIMEOUT_MS_DEFAULT 60000
#define CLIENT_REQUESTS_MAX_DEFAULT 10000u
#define CLIENT_BYTES_MAX (64u * 1024 * 1024) /* of open requests together */
/* pauses before a request that was answered "not now" is sent again */
#define CLIENT_PAUSE_MS_FIRST 100u
#define CLIENT_PAUSE_MS_LONGEST 1000u
#define CLIENT_RECONNECT_MS_FIRST 50u
#define CLIENT_RECONNECT_MS_LONGEST 250u
/* before the next stream, when the coordinator has denied the last */
#define CLIENT_DENIED_MS 1000u
/* without any answer on a stream, after which the log says so */
#define CLIENT_SLOW_MS 2000

/* -- Requests ---------------------------------------------------------------------------------- */

enum client_kind {
    CLIENT_BEGIN,
    CLIENT_ENLIST,
    CLIENT_TRY,
    CLIENT_CONFIRM,
    CLIENT_CANCEL,
    CLIENT_RUN,
    CLIENT_GET,
    CLIENT_AWAIT,
    CLIENT_DROP, /* a cancel of what was never sent: ended here, with an answer of our own */
};

/* How a request ended. */
struct client_answer {
    struct tercet_result result;
    struct tercet_branch_id branch;             /* enlist, try */
    struct tercet_bytes reply;                  /* try: a view into the message received */
    const Tercet__V1__Transaction *transaction; /* a view, too; NULL: the answer has none */
};
typedef void (*client_answer_fn)(const struct client_answer *answer, void *ctx);

struct client_request {
    struct client_entry entry;
    int64_t begun_ms; /* when it was submitted */
    enum client_kind kind;
    enum tercet_wait wait;
    struct tercet_gid gid;
    struct tercet_branch_id branch;
    uint8_t *bytes; /* a SessionRequest */
    size_t size;
    int64_t deadline_ms; /* when the caller's timeout ends */
    bool is_pausing;     /* not under way: will be sent again at entry.wake_ms */
    unsigned asks;       /* how often it was sent */
    struct runtime_pause pause;
    struct tercet_transaction *transaction; /* a reference, or NULL */
    struct client_request *then;            /* begin: the decision that waits for it */
    tercet_result_fn on_result;             /* one of these three */
    tercet_tried_fn on_tried;
    client_answer_fn on_answer;
    void *ctx;
};

/* A request without bytes. NULL without memory. */
struct client_request *client_request_new(enum client_kind kind, const struct tercet_gid *gid);
/* The same for a transaction, with a reference to it and its timeout running. */
struct client_request *client_request_of(struct tercet_transaction *transaction,
                                         enum client_kind kind);
/* Frees a request that is in no table, and the one that waits for it. */
void client_request_free(struct client_request *request);

/* -- The client -------------------------------------------------------------------------------- */

/* One session with the coordinator. All but the reference count is guarded by the client's lock, or
 * set before it is shared. */
struct client_stream {
    atomic_uint refs;
    struct tercet_client *client;
    struct crpc_call *call;
    struct outbox *outbox;
    bool has_answered; /* a message came: the coordinator has accepted the session */
    bool is_slow_told;
    int64_t opened_ms;
};

#define CLIENT_CODES 32 /* result codes, 0 to -31 */

/* What has become of requests; no lock. */
struct client_figures {
    atomic_ullong ended[CLIENT_CODES];
    struct shared_histogram took;
};

struct tercet_client {
    struct client_figures figures;
    struct runtime_link link;
    struct runtime_log log;
    int64_t timeout_ms;
    uint32_t requests_max;
    bool fails_fast;
    atomic_uint_fast64_t last_id;
    pthread_t timer;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    int64_t wake_ms; /* when the timer thread wakes by itself */
    bool is_closing;
    unsigned submitting; /* threads that still use the stream; closing waits for them */
    struct client_table table;
    size_t bytes;                 /* of the table's requests */
    struct client_stream *stream; /* NULL: there is none; open one at reconnect_ms */
    int64_t reconnect_ms;
    struct runtime_pause reconnect;
    char last_error[TERCET_TEXT_MAX];
};

/* Packs the request's message with a new id. Errors: TERCET_NOMEM, TERCET_INVALID when it is too
 * large. */
int client_request_pack(struct client_request *request, struct tercet_client *client,
                        Tercet__V1__SessionRequest *message, struct refusal *no);

/* Takes over a packed request with its deadline, and asks. When this fails, the request stays the
 * caller's. Errors: TERCET_EXHAUSTED, TERCET_CLOSED, TERCET_NOMEM,
 * TERCET_UNAVAILABLE. */
int client_submit(struct tercet_client *client, struct client_request *request, struct refusal *no);

/* A request ends with this code. */
void client_note_end(struct tercet_client *client, const struct client_request *request, int code);

/* Why this process, or this thread, cannot use the client; NULL: it can. To be asked before any
 * lock is taken: in a child, one may be held for ever. */
const char *client_check_process(const struct tercet_client *client);

/* -- With the lock held ------------------------------------------------------------------------ */

/* Puts the request into the stream, or lets it wait for one, or pause when the stream cannot take
 * it. */
void client_ask(struct tercet_client *client, struct client_request *request, int64_t now_ms);

/* Lets it pause, and be asked again then. */
void client_ask_later(struct tercet_client *client, struct client_request *request, int64_t now_ms);

/* Takes it out of the table, to be ended. */
void client_take(struct tercet_client *client, struct client_request *request);

/* Makes the timer thread wake at that time or before. */
void client_wake_by(struct tercet_client *client, int64_t at_ms);

/* Opens a stream and asks all that is open, oldest first. */
void client_stream_open(struct tercet_client *client, int64_t now_ms);

/* -- Without the lock -------------------------------------------------------------------------- */

/* Ends a request that was taken: calls back, or goes on with what waited for it; frees it. */
void client_end(struct tercet_client *client, struct client_request *request,
                const struct client_answer *answer);
/* The same with a code and a text. */
void client_end_with(struct tercet_client *client, struct client_request *request, int code,
                     const char *text);

struct client_stream *client_stream_ref(struct client_stream *stream);
void client_stream_unref(struct client_stream *stream);
void client_stream_flush(struct client_stream *stream);

/* The timer thread's function; ctx is the client. */
void *client_timer_run(void *ctx);

/* Reads a response. False: it says "not now", so ask again. */
bool client_answer_read(struct client_answer *out, const struct client_request *request,
                        const Tercet__V1__SessionResponse *response);

/* How branch `number` of the answer's transaction was tried; its reply is malloc'ed. */
struct tercet_tried client_answer_tried(const struct client_answer *answer, uint32_t number);

/* An empty answer with gid and branch. */
struct client_answer client_answer_new(const struct client_request *request);

/* -- Blocking ---------------------------------------------------------------------------------- */

/* A thread that blocks until another delivers its result. */
struct client_waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_done;
    struct tercet_result *result; /* where to, or NULL */
    struct tercet_tried *tried;
    struct tercet_tried *tries; /* of a plan */
    size_t try_count;
    int code;
};
void client_waiter_init(struct client_waiter *waiter, struct tercet_result *result,
                        struct tercet_tried *tried);
void client_on_waited_result(const struct tercet_result *result, void *ctx);
void client_on_waited_tried(const struct tercet_tried *tried, void *ctx);
void client_on_waited_plan(const struct client_answer *answer, void *ctx);
/* Waits unless rc says that nothing was started: then fills in what is known. Returns the call's
 * code. */
int client_waiter_end(struct client_waiter *waiter, int rc, const struct tercet_gid *gid,
                      const struct refusal *no);

/* To be called before and after the application's callbacks. */
void client_callback_begin(void);
void client_callback_end(void);

/* Asserts that this thread is not in a callback of a client: blocking there would be a deadlock. */
void client_assert_may_block(void);

/* -- Messages from options --------------------------------------------------------------------- */

/* The caller's options, checked, with the gid they give or one made. Errors: TERCET_INVALID. */
int client_options_take(struct tercet_begin_options *out, struct tercet_gid *gid_out,
                        const struct tercet_begin_options *given,
                        const struct tercet_client *client, struct refusal *no);

/* The options on the wire: views into `options`, valid until client_options_clear. */
struct client_options {
    Tercet__V1__Options message;
    Tercet__V1__Metadata entries[TERCET_METADATA_MAX];
    Tercet__V1__Metadata *pointers[TERCET_METADATA_MAX];
};
void client_options_fill(struct client_options *out, const struct tercet_begin_options *options);

/* A branch on the wire, checked. *payload_out is malloc'ed for a message, else NULL; the caller
 * frees it after packing. Errors: TERCET_INVALID, TERCET_NOMEM. */
int client_branch_fill(Tercet__V1__Branch *out, uint8_t **payload_out,
                       const struct tercet_branch *branch, uint32_t number, struct refusal *no);

#endif
