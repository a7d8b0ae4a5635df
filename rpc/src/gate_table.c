/* SPDX-License-Identifier: Apache-2.0
 *
 * The connections that there are, and what is counted of them.
 */
#include "gate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

void connection_unref(struct connection *connection)
{
    if (connection != NULL && atomic_fetch_sub(&connection->refs, 1) == 1)
        free(connection);
}

/* Calls over a unix socket cannot be told apart by their peer, so it is not known what they cost.
 */
static bool watch(struct gate *gate, struct connection *connection)
{
    struct epoll_event event = {.events = connection->peer.is_unix ? 0 : EPOLLIN | EPOLLONESHOT,
                                .data.ptr = connection};
    return epoll_ctl(gate->epoll, EPOLL_CTL_ADD, connection->fd, &event) == 0;
}

static void wait_for_call(struct gate *gate, struct connection *connection)
{
    if (gate->options.first_request_ms == UINT32_MAX || connection->peer.is_unix)
        return;
    connection->is_waiting = true;
    connection->older = gate->newest;
    if (gate->newest != NULL)
        gate->newest->newer = connection;
    else
        gate->oldest = connection;
    gate->newest = connection;
}

void gate_wait_no_more(struct gate *gate, struct connection *connection)
{
    if (!connection->is_waiting)
        return;
    connection->is_waiting = false;
    if (connection->older != NULL)
        connection->older->newer = connection->newer;
    else
        gate->oldest = connection->newer;
    if (connection->newer != NULL)
        connection->newer->older = connection->older;
    else
        gate->newest = connection->older;
    connection->newer = connection->older = NULL;
}

struct connection *gate_add(struct gate *gate, const struct peer *peer, struct origin *origin,
                            int fd)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL) {
        close(fd);
        return NULL;
    }
    connection->fd = fd;
    connection->peer = *peer;
    connection->origin = origin;
    connection->opened_ms = connection->checked_ms = gate_now_ms();
    connection->is_distrusted = origin_is_punished(origin, connection->opened_ms);
    connection->reset_tokens = GATE_RESETS_BURST;
    connection->unread_tokens = GATE_UNREAD_BURST;
    atomic_init(&connection->refs, 1);
    if (!watch(gate, connection)) {
        close(fd);
        free(connection);
        return NULL;
    }
    struct connection **bucket = &gate->buckets[peer_hash(peer) % CONNECTION_BUCKETS];
    connection->next = *bucket;
    *bucket = connection;
    origin->connections++;
    gate->connection_count++;
    wait_for_call(gate, connection);
    return connection;
}

void gate_remove(struct gate *gate, struct connection *connection)
{
    pthread_mutex_lock(&gate->lock);
    struct connection **link = &gate->buckets[peer_hash(&connection->peer) % CONNECTION_BUCKETS];
    while (*link != connection)
        link = &(*link)->next;
    *link = connection->next;
    connection->origin->connections--;
    connection->origin->debt -= connection->debt;
    gate->connection_count--;
    pthread_mutex_unlock(&gate->lock);
    gate_wait_no_more(gate, connection);
    for (link = &gate->active; connection->is_active && *link != NULL;)
        if (*link == connection) {
            *link = connection->next_active;
            connection->is_active = false;
        } else {
            link = &(*link)->next_active;
        }
    /* Closing alone would not end the watch: gRPC may have the socket open still. */
    epoll_ctl(gate->epoll, EPOLL_CTL_DEL, connection->fd, NULL);
    close(connection->fd);
    connection_unref(connection);
}

/* Lock held: the origin stays as long as it has calls open, or connections. */
static void count_call(struct connection *connection)
{
    atomic_fetch_add(&connection->refs, 1);
    atomic_fetch_add(&connection->open_calls, 1);
    atomic_fetch_add(&connection->origin->open_calls, 1);
    atomic_store_explicit(&connection->has_called, true, memory_order_relaxed);
}

struct connection *gate_call_began(struct gate *gate, const char *text)
{
    struct connection *connection = NULL;
    struct peer peer;

    if (gate == NULL || !peer_of_text(&peer, text))
        return NULL;
    pthread_mutex_lock(&gate->lock);
    for (connection = gate->buckets[peer_hash(&peer) % CONNECTION_BUCKETS]; connection != NULL;
         connection = connection->next)
        if (peer_is_same(&connection->peer, &peer)) {
            count_call(connection);
            break;
        }
    pthread_mutex_unlock(&gate->lock);
    return connection;
}

bool gate_has_too_many_calls(const struct gate *gate, const struct connection *connection)
{
    return connection != NULL &&
           atomic_load(&connection->origin->open_calls) > gate->options.calls_per_peer_max;
}

void gate_note(struct gate *gate, enum gate_reason reason, const struct peer *peer)
{
    gate->counts[reason]++;
    gate->untold[reason]++;
    gate->noted[reason] = *peer;
}

void gate_counts(struct gate *gate, struct crpc_connection_counts *out)
{
    pthread_mutex_lock(&gate->lock);
    out->open = gate->connection_count;
    out->refused_descriptors = gate->counts[REFUSED_DESCRIPTORS];
    out->refused_max = gate->counts[REFUSED_MAX];
    out->refused_peer_max = gate->counts[REFUSED_PEER_MAX];
    out->refused_peer_rate = gate->counts[REFUSED_PEER_RATE];
    out->cut_silent = gate->counts[CUT_SILENT];
    out->cut_waste = gate->counts[CUT_WASTE];
    out->cut_resets = gate->counts[CUT_RESETS];
    out->cut_streams = gate->counts[CUT_STREAMS];
    pthread_mutex_unlock(&gate->lock);
}
