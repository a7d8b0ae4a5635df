/* SPDX-License-Identifier: Apache-2.0
 *
 * streams.h
 */
#include "streams.h"

#include "coordinator.h"

#include <assert.h>
#include <reach.h>
#include <xxhash.h>

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

/* A hash of the address; 0 for unix sockets, whose peers cannot be told apart. */
static uint64_t peer_of(struct crpc_call *call)
{
    uint8_t origin[16];
    return reach_origin(origin, crpc_call_peer(call)) ? XXH3_64bits(origin, sizeof(origin)) : 0;
}

/* With the lock held. */
static bool has_room_for(const struct streams *streams, uint64_t peer)
{
    size_t count = 0;
    if (streams->peer_max == 0 || peer == 0)
        return true;
    for (const struct stream *other = streams->first; other != NULL; other = other->next)
        count += other->peer == peer;
    return count < streams->peer_max;
}

bool streams_add(struct streams *streams, struct stream *stream, struct crpc_call *call,
                 const struct crpc_call_events *events)
{
    assert(stream->link == NULL && (stream->caller == NULL) != (stream->instance == NULL));
    stream->peer = peer_of(call);
    pthread_mutex_lock(&streams->lock);
    if (!has_room_for(streams, stream->peer)) {
        pthread_mutex_unlock(&streams->lock);
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED,
                       "this address has %zu streams open, which is the limit (--streams-per-peer)",
                       streams->peer_max);
        return false;
    }
    stream->next = streams->first;
    stream->link = &streams->first;
    if (stream->next != NULL)
        stream->next->link = &stream->next;
    streams->first = stream;
    crpc_call_events_set(call, events, stream);
    if (streams->are_ending)
        end_one(stream);
    pthread_mutex_unlock(&streams->lock);
    return true;
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
