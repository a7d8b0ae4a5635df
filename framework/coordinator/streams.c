/* SPDX-License-Identifier: Apache-2.0
 *
 * streams.h
 */
#include "streams.h"

#include "coordinator.h"

#include <assert.h>

void streams_init(struct streams *streams)
{
    *streams = (struct streams){.first = NULL};
    pthread_mutex_init(&streams->lock, NULL);
}

void streams_destroy(struct streams *streams)
{
    assert(streams->first == NULL);
    pthread_mutex_destroy(&streams->lock);
}

/* A session ends with OK behind the answers that it still carries, because a client of gRPC's C
 * core drops what it has not read yet when an error comes. A watcher or a participant loses nothing
 * that is not sent again. */
static void end_one(struct stream *stream)
{
    struct caller *caller = stream->caller;
    if (caller != NULL && caller->kind == CALLER_SESSION)
        outbox_finish(caller->outbox);
    else
        crpc_call_fail(caller != NULL ? caller->call : stream->instance->call, CRPC_UNAVAILABLE,
                       COORDINATOR_STOPPING);
}

void streams_add(struct streams *streams, struct stream *stream, struct crpc_call *call,
                 const struct crpc_call_events *events)
{
    assert(stream->link == NULL && (stream->caller == NULL) != (stream->instance == NULL));
    pthread_mutex_lock(&streams->lock);
    stream->next = streams->first;
    stream->link = &streams->first;
    if (stream->next != NULL)
        stream->next->link = &stream->next;
    streams->first = stream;
    crpc_call_events_set(call, events, stream);
    if (streams->are_ending)
        end_one(stream);
    pthread_mutex_unlock(&streams->lock);
}

void streams_remove(struct streams *streams, struct stream *stream)
{
    pthread_mutex_lock(&streams->lock);
    assert(stream->link != NULL && *stream->link == stream);
    *stream->link = stream->next;
    if (stream->next != NULL)
        stream->next->link = stream->link;
    stream->link = NULL;
    pthread_mutex_unlock(&streams->lock);
}

void streams_end(struct streams *streams)
{
    pthread_mutex_lock(&streams->lock);
    streams->are_ending = true;
    for (struct stream *stream = streams->first; stream != NULL; stream = stream->next)
        end_one(stream);
    pthread_mutex_unlock(&streams->lock);
}
