/* SPDX-License-Identifier: Apache-2.0
 *
 * A coordinator without a will of its own: it keeps what arrives, and the test says what is
 * answered, when, and which stream breaks.
 */
#ifndef TERCET_TEST_FAKE_H
#define TERCET_TEST_FAKE_H

#include <crpc/crpc.h>
#include <outbox.h>
#include <pthread.h>
#include <stdbool.h>
#include <tercet/v1/tercet.pb-c.h>

#define WAIT_MS 80000 /* for what must come */

/* What can arrive. */
enum fake_kind {
    FAKE_SESSION,  /* a Session stream */
    FAKE_REQUEST,  /* a request in one */
    FAKE_ATTACH,   /* a hello */
    FAKE_RESULT,   /* a result */
    FAKE_REGISTER, /* a RegisterTarget */
    FAKE_END,      /* a stream of either kind has ended */
};

struct fake_stream {
    struct fake_stream *next;
    struct fake *fake;
    struct crpc_call *call;
    struct outbox *outbox;
    bool is_session;
    char authorization[128];
};

struct fake_event {
    struct fake_event *next;
    enum fake_kind kind;
    bool is_taken;
    struct fake_stream *stream; /* NULL for FAKE_REGISTER */
    ProtobufCMessage *owned;    /* the message it came in, kept by its first record */
    union {                     /* views */
        const Tercet__V1__SessionRequest *request;
        const Tercet__V1__Hello *hello;
        const Tercet__V1__CallResult *result;
        const Tercet__V1__RegisterRequest *registration;
        enum crpc_code code; /* FAKE_END */
    };
};

struct fake {
    struct crpc_loop *loop;
    struct crpc_server *server;
    char address[64];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct fake_event *first, **last_next;
    struct fake_stream *streams;
    unsigned message_count; /* of Session streams */
    bool is_holding;        /* Session streams are not read on */
    bool keeps_token;       /* registrations are answered so */
    enum crpc_code refusal; /* new streams, and registrations, end with it; CRPC_OK: they do not */
};

/* Serves on a loopback port of its own. */
void fake_start(struct fake *fake);
void fake_stop(struct fake *fake);

/* The next arrival of this kind; the test fails when none comes. Lives until fake_stop. */
struct fake_event *fake_next(struct fake *fake, enum fake_kind kind);
/* How many of this kind have arrived that were not taken. */
unsigned fake_count(struct fake *fake, enum fake_kind kind);
unsigned fake_message_count(struct fake *fake);

void fake_refuse(struct fake *fake, enum crpc_code code);
void fake_hold(struct fake *fake);
void fake_release(struct fake *fake, struct fake_stream *stream);

/* Ends the stream with UNAVAILABLE. */
void fake_drop(struct fake_stream *stream);

/* -- Session ----------------------------------------------------------------------------------- */

/* Answers the request; the response's id is set. */
void fake_answer(const struct fake_event *event, Tercet__V1__SessionResponse *response);
void fake_answer_code(const struct fake_event *event, enum crpc_code code, const char *text);
/* Answers with a transaction in this state; with a code other than OK, too. */
void fake_answer_state(const struct fake_event *event, enum crpc_code code,
                       Tercet__V1__State state);
/* Adds such an answer to the stream's next message, for fake_flush. */
void fake_put_state(const struct fake_event *event, Tercet__V1__State state);
void fake_answer_tried(const struct fake_event *event, Tercet__V1__TryState outcome,
                       Tercet__V1__State state, const char *text);

/* -- Attach ------------------------------------------------------------------------------------ */

/* Tells the instance that it is taken. */
void fake_accept(struct fake_stream *stream);
/* Adds a call to the next message. */
void fake_put_call(struct fake_stream *stream, const Tercet__V1__Call *call);
void fake_flush(struct fake_stream *stream);
/* Whether all that was flushed is taken by the transport within this time. */
bool fake_drains(struct fake_stream *stream, int ms);

#endif
