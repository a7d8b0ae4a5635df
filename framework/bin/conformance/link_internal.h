/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside link.c, link_attach.c and link_target.c.
 */
#ifndef CONFORMANCE_LINK_INTERNAL_H
#define CONFORMANCE_LINK_INTERNAL_H

#include "link.h"

#include <pthread.h>

#define TOKEN_MAX 255  /* characters */
#define TARGETS_MAX 16 /* that one participant may register, one after the other */

/* A call under way. */
struct pending {
    struct pending *next;
    struct link *link;
    struct ask *ask; /* NULL: nobody waits for the answer any more */
    uint64_t id;
    uint32_t kind;
    const struct stream *stream; /* on which it goes; NULL: to a target */
    bool is_waiting;             /* until there is room in the stream's window */
};

struct link {
    struct link_options options;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct crpc_loop *loop;
    struct crpc_server *server;
    char address[64];

    struct introduction introduction;
    struct stream *stream;        /* where the participant is attached, */
    uint32_t window;              /* and takes so many calls at once; or */
    struct crpc_channel *channel; /* where it listens */
    struct crpc_channel *channels[TARGETS_MAX];
    char *targets[TARGETS_MAX];
    size_t target_count;
    char authorization[sizeof("Bearer ") + TOKEN_MAX]; /* of calls to it; "": none */

    struct pending *pending;
    uint64_t last_id;
    unsigned refused_count;
    unsigned fault_count;
    char fault[TERCET_TEXT_MAX];
};

/* All but link_listen want the lock to be held. */
void link_fault(struct link *link, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes the call out of those under way, and frees it. */
void link_finish(struct pending *pending, enum answer_state state,
                 const Tercet__V1__CallResult *result, const char *text);
/* A result that came on the stream. */
void link_take_result(struct link *link, const struct stream *stream,
                      const Tercet__V1__CallResult *result);
/* The participant has come, once more. */
void link_introduce(struct link *link, const char *service, char **actions, size_t action_count,
                    const char *database);

int link_listen(struct link *link, char *text);
/* Sends what waits, as far as the participant's window allows. */
void stream_send(struct link *link);
/* Calls at the target from now on, with this token ("": none). false: that is no target. */
bool target_use(struct link *link, const char *target, const char *token);
/* Without the lock. */
void target_call(struct pending *pending, const Tercet__V1__Call *call,
                 struct crpc_channel *channel, int64_t timeout_ms);
int target_register(struct link *link, const Tercet__V1__RegisterRequest *request);

#endif
