/* SPDX-License-Identifier: Apache-2.0
 *
 * crpc as the coordinator sees it, in place of the library and without a network. What the
 * coordinator sends goes to the hooks of whoever links this; what a poller's thread would tell it
 * is told when they say so. One thread.
 */
#ifndef TERCET_TESTS_CRPC_FAKE_H
#define TERCET_TESTS_CRPC_FAKE_H

#include <crpc/crpc.h>
#include <loop.h>
#include <stdbool.h>
#include <stdint.h>

enum fake_kind { FAKE_UNARY, FAKE_WATCH, FAKE_SESSION, FAKE_ATTACH };

/* A call that the coordinator serves: the head of a struct of the user's own, from malloc. */
struct crpc_call {
    unsigned references;
    unsigned sends;  /* messages sent, of which the coordinator has not been told that they are */
    unsigned unread; /* messages that it was given and has not asked for the next after */
    enum fake_kind kind;
    bool is_over;              /* nothing more is sent, */
    bool is_ended;             /* and the coordinator has been told */
    struct caller *caller;     /* a reference; NULL for FAKE_ATTACH, */
    struct instance *instance; /* which has this one */
    struct crpc_call *next;
};

struct crpc_channel {
    char target[64];
};

/* Calls a harness; all are there but those said to be optional. */
struct fake_hooks {
    const char *peer; /* the address of every peer */
    /* Memory that does not run out. */
    void *(*alloc)(size_t size);
    /* A unary call's answer, a call's end with a status, a message of a stream. A call that ends is
     * over before it is told. */
    void (*on_reply)(struct crpc_call *call, struct crpc_bytes reply);
    void (*on_finish)(struct crpc_call *call, const struct crpc_status *status);
    void (*on_send)(struct crpc_call *call, struct crpc_bytes message);
    /* The call is over, by either side. Optional. */
    void (*on_over)(struct crpc_call *call);
    /* It leaves the list. Optional. */
    void (*on_end)(struct crpc_call *call);
    /* The event is for the coordinator that serves the call. */
    void (*post)(const struct crpc_call *call, struct event *event);
    /* A call to a registered target; returns the id by which it is answered, of its own. */
    uint64_t (*on_target_call)(const struct crpc_channel *channel, const Tercet__V1__Call *call,
                               const struct crpc_call_options *options);
};
extern const struct fake_hooks fake_hooks;

/* Those that have not ended, the newest first. */
extern struct crpc_call *fake_calls;

/* Opens a call at the coordinator, with its caller or instance, as a poller would. */
void fake_open(struct crpc_call *call, enum fake_kind kind);

/* What a poller makes of a message that has come: an event with a reference to the call's caller or
 * instance. The message is taken over; NULL: the peer has half-closed. */
struct event *fake_request(struct crpc_call *call, enum method method, ProtobufCMessage *message);
struct event *fake_session(struct crpc_call *call, ProtobufCMessage *message);
struct event *fake_attached(struct crpc_call *call, ProtobufCMessage *message);

/* What a method's request is, and what it is called in a session. */
const ProtobufCMessageDescriptor *fake_request_type(enum method method);
Tercet__V1__SessionRequest__RequestCase fake_session_case(enum method method);

/* The peer breaks the call; fine when it is over. */
void fake_break(struct crpc_call *call);

/* Tells the coordinator of one message that it has been sent, or of all of them, those included
 * that follow from it. */
void fake_tell_sent(struct crpc_call *call);
void fake_tell_all_sent(void);

/* Takes the call out of the list; fine when it has ended. `is_told`: the coordinator lives, and
 * learns it. */
void fake_end(struct crpc_call *call, bool is_told);
/* The same for each that is over. */
void fake_end_over(void);
/* The coordinator's process dies: every call ends. */
void fake_crash(void);

/* Answers a call to a registered target: with the result, or with the status when there is none.
 * False: there is no such call (any more). */
bool fake_answer_target(uint64_t id, const Tercet__V1__CallResult *result, enum crpc_code code);
/* The id of the oldest; false: there is none. */
bool fake_oldest_target_call(uint64_t *id);

/* The message as if it had come: decoded from its bytes, so that it can be freed. */
ProtobufCMessage *as_received(const ProtobufCMessage *message);

/* An event; there is always memory for it. */
struct event *fake_event(enum event_kind kind);

#endif
