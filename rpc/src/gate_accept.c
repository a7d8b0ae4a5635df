/* SPDX-License-Identifier: Apache-2.0
 *
 * Who gets in. When descriptors run out, connections are accepted and closed, so that those who
 * wait are told and the listener is drained: gRPC 1.51 would give the listener up for good
 * (CVE-2023-4785).
 */
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 64

/* Connections leave so many descriptors free (of a limit below twice of it, a quarter: the process
 * itself has a dozen), for files and for the connections that the process makes itself. */
#define RESERVE 32

/* The lowest free number is what a new descriptor gets, so one from the reserve shows that all
 * below are taken. */
static bool is_of_reserve(int fd)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return false;
    rlim_t reserve = limit.rlim_cur < 2 * RESERVE ? limit.rlim_cur / 4 : RESERVE;
    return (rlim_t)fd >= limit.rlim_cur - reserve;
}

static int accept_now(int listener, struct sockaddr_storage *address)
{
    socklen_t size = sizeof(*address);
    return accept4(listener, (struct sockaddr *)address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void note(struct gate *gate, enum gate_reason reason, const struct peer *peer)
{
    pthread_mutex_lock(&gate->lock);
    gate_note(gate, reason, peer);
    pthread_mutex_unlock(&gate->lock);
}

/* There is no descriptor left: the spare one is for the connection that waits longest. false: that
 * did not help. */
static bool refuse_with_spare(struct gate *gate, int listener)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    struct peer peer;

    if (gate->spare >= 0)
        close(gate->spare);
    int fd = accept_now(listener, &address);
    if (fd >= 0)
        close(fd);
    gate->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    peer_of_socket(&peer, &address);
    note(gate, REFUSED_DESCRIPTORS, &peer);
    return true;
}

/* Errors of the connection that waited, not of the listener (accept(2)). */
static bool is_of_connection(int error)
{
    return error == EINTR || error == ECONNABORTED || error == EPROTO || error == EPERM ||
           error == ENETDOWN || error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET ||
           error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENETUNREACH;
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Whether the limits permit one more connection; lock held. *origin_out is where it is counted. */
static enum gate_reason judge(struct gate *gate, const struct peer *peer,
                              struct origin **origin_out)
{
    const struct gate_options *options = &gate->options;
    int64_t now_ms = gate_now_ms();

    if (options->connections_max > 0 && gate->connection_count >= options->connections_max)
        return REFUSED_MAX;
    struct origin *origin = origins_get(&gate->origins, peer, options->per_peer_max, now_ms);
    if (origin == NULL)
        return REFUSED_MAX;
    *origin_out = origin;
    if (peer->is_unix)
        return GATE_REASONS;
    if (origin->connections >= options->per_peer_max)
        return REFUSED_PEER_MAX;
    if (!origin_take(origin, options->per_peer_max, options->per_peer_rate, now_ms))
        return REFUSED_PEER_RATE;
    return GATE_REASONS;
}

/* A second descriptor of the connection, or negative when there is none to be had. */
static int duplicate(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0 && is_of_reserve(copy)) {
        close(copy);
        return -1;
    }
    return copy;
}

static void admit(struct gate *gate, const struct gate_listener *listener, int fd,
                  const struct sockaddr_storage *address)
{
    struct connection *connection = NULL;
    struct origin *origin = NULL;
    struct peer peer;

    peer_of_socket(&peer, address);
    pthread_mutex_lock(&gate->lock);
    enum gate_reason reason = is_of_reserve(fd) ? REFUSED_DESCRIPTORS : judge(gate, &peer, &origin);
    int copy = reason == GATE_REASONS ? duplicate(fd) : -1;
    if (copy >= 0)
        connection = gate_add(gate, &peer, origin, copy);
    if (reason == GATE_REASONS && connection == NULL)
        reason = REFUSED_DESCRIPTORS;
    if (reason != GATE_REASONS)
        gate_note(gate, reason, &peer);
    pthread_mutex_unlock(&gate->lock);
    if (connection != NULL)
        gate_hand_over(gate, listener, connection, fd);
    else
        close(fd);
}

void gate_accept(struct gate *gate, const struct gate_listener *listener)
{
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        if (gate_hand_is_full(gate)) {
            gate->must_pause = true;
            return;
        }
        int fd = accept_now(listener->fd, &address);
        if (fd >= 0) {
            admit(gate, listener, fd, &address);
        } else if (is_shortage(errno)) {
            if (!refuse_with_spare(gate, listener->fd)) {
                gate->must_pause = true;
                return;
            }
        } else if (!is_of_connection(errno)) {
            return;
        }
    }
}
