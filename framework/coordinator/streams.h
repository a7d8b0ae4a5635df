/* SPDX-License-Identifier: Apache-2.0
 *
 * The streams that are open (Session, Watch, Attach), so that all of them can be ended when the
 * coordinator stops. Any thread.
 */
#ifndef TERCET_STREAMS_H
#define TERCET_STREAMS_H

#include <crpc/crpc.h>
#include <pthread.h>
#include <stdbool.h>

struct caller;
struct coordinator;
struct instance;

/* What a stream's callbacks are given. Either a caller or an instance, and a reference to it. */
struct stream {
    struct coordinator *c;
    struct caller *caller;     /* Session, Watch */
    struct instance *instance; /* Attach */
    uint64_t peer;             /* a hash of its address (IPv6: a /64); 0: a unix socket */
    struct stream *next;
    struct stream **link; /* the pointer that points here; NULL: it is in no list */
};

struct streams {
    pthread_mutex_t lock;
    struct stream *first;
    size_t peer_max; /* streams of one address (IPv6: a /64); 0: any number */
    bool are_ending; /* streams that begin from now on are ended at once */
};

void streams_init(struct streams *streams);
/* No stream may be open. */
void streams_destroy(struct streams *streams);

/* Begins a stream: sets its call's events. From here on its callbacks may come; the last of them
 * takes it out again. false: its address has as many as it may have, and the call has been
 * failed; no callback comes. */
bool streams_add(struct streams *streams, struct stream *stream, struct crpc_call *call,
                 const struct crpc_call_events *events);

/* Takes the stream out, before anything of it is freed. */
void streams_remove(struct streams *streams, struct stream *stream);

/* Ends every stream, also those that begin later; sessions end after the answers that they still
 * carry. */
void streams_end(struct streams *streams);

#endif
