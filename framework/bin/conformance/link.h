/* SPDX-License-Identifier: Apache-2.0
 *
 * The way to the participant that is tried: we listen as a coordinator does, for participants that
 * attach or register a target, or call one at a target that was named. Answers are kept as they
 * came; what is right, others judge.
 */
#ifndef CONFORMANCE_LINK_H
#define CONFORMANCE_LINK_H

#include <crpc/crpc.h>
#include <tercet/types.h>
#include <tercet/v1/tercet.pb-c.h>

struct link;

enum answer_state {
    ANSWER_NONE = 0, /* none yet */
    ANSWER_CAME,
    ANSWER_LOST, /* the connection was lost, or the status says that nothing is known */
};

struct answer {
    enum answer_state state;
    int outcome; /* Tercet__V1__Outcome, as it came */
    void *reply; /* malloc'ed; NULL when empty */
    size_t reply_size;
    char text[TERCET_TEXT_MAX]; /* the reason, or the status and its text; cut */
};

/* One call: filled by the caller, `answer` by the link. */
struct ask {
    Tercet__V1__Call call;
    struct answer answer;
};

/* What the participant has said of itself. */
struct introduction {
    char service[TERCET_SERVICE_MAX + 1];
    char action[TERCET_ACTION_MAX + 1]; /* its first one's full name */
    char database[80];
    char wrong[TERCET_TEXT_MAX]; /* in what it said; "": nothing */
    bool is_attached;            /* else it listens */
    unsigned count;              /* how often it has come so far; 0: never */
};

/* Where the participant is, and what both ends show each other. PEM texts, not files; all texts
 * outlive the link; NULL: none. */
struct link_options {
    const char *address;      /* where participants find us; not used when */
    const char *target;       /* names whom to call */
    const char *call_token;   /* with which the target is called */
    const char *token;        /* which those who attach or register have to bring */
    struct crpc_tls tls;      /* ours; without `cert`: plaintext */
    struct crpc_tls call_tls; /* of calls; without `ca`: plaintext */
};

/* Listens, or calls a target. On an error `text` (TERCET_TEXT_MAX bytes) says what is wrong. */
int link_open(struct link **out, const struct link_options *options, char *text);
void link_close(struct link *link);

/* Where participants find us; "" with a target. */
const char *link_address(const struct link *link);

/* How many calls did not bring the token, and were refused. */
unsigned link_refused(struct link *link);

/* Waits until a participant has come more often than `count` times, and tells what it said. With a
 * target that was named it is there at once. false: none has, in this time. */
bool link_wait(struct link *link, unsigned count, int64_t timeout_ms, struct introduction *out);

/* Sends the calls, all in one message where the participant is attached. `timeout_ms` (0: none) is
 * the RPC's own deadline where it listens. The asks are the link's until link_let_go. */
void link_ask(struct link *link, struct ask *asks, size_t count, int64_t timeout_ms);
/* Waits until `wanted` of them have an answer or have lost it; returns how many. */
size_t link_collect(struct link *link, const struct ask *asks, size_t count, size_t wanted,
                    int64_t timeout_ms);
/* What comes from now on is for nobody. */
void link_let_go(struct link *link, struct ask *asks, size_t count);

/* Ends the participant's stream, as a coordinator does that stops. false: none is attached. */
bool link_drop(struct link *link);

/* The first thing in its answers that no answer may have, and how many such there were; text "":
 * none. */
unsigned link_faults(struct link *link, char text[TERCET_TEXT_MAX]);

#endif
