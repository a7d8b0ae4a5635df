/* SPDX-License-Identifier: Apache-2.0
 *
 * What a connection costs, and when it is cut.
 *
 * The kernel counts the bytes that gRPC read; calls tell how many were of use. What is left over
 * (headers without an end, frames that mean nothing, calls reset before anybody saw them) is a debt
 * that is forgiven at WASTE_RATE, and what calls left unread from a budget of its own. Calls that
 * their client gives up within a blink are counted besides: little to send, much to undo.
 */
#include "gate.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define WASTE_MAX (256 * 1024) /* bytes of debt without a permitted call open */
#define WASTE_RATE 16          /* bytes forgiven a millisecond */
/* Bytes that permitted calls may leave unread, while they are open and when they have ended: gRPC
 * opens a stream's window as wide for whoever sends fast. */
#define UNREAD_MAX_DEFAULT (16 * 1024 * 1024)
#define REFUSED_UNREAD_MAX (64 * 1024) /* by a call that was refused: the window it begins with */
#define UNREAD_RATE 1024               /* bytes forgiven a millisecond, past GATE_UNREAD_BURST */
/* the burst of a connection none of whose calls was permitted */
#define UNREAD_BURST_REFUSED (2 * 1024 * 1024)
/* gRPC reads megabytes of a call's first message before it tells of the call: so long a debt up to
 * UNREAD_MAX_DEFAULT may be that of a call that is yet to be told. Counted in checks that found
 * gRPC reading, one in SUSPECT_PAUSE_MS at most: on a busy machine it is late, and costs nothing.
 */
#define CALL_DELAY_CHECKS 20
/* headers that gRPC keeps for itself */
#define HEADERS_SPARE 512
#define RESETS_RATE_MS 5 /* one is forgiven in so many milliseconds */
#define SUSPECT_PAUSE_MS 10
#define PAUSE_MS 100
#define SWEEP_PAUSE_MS 500
#define DRAINS_MAX 64
#define STREAMS_SPARE 64

static void cut(struct gate *gate, struct connection *connection, enum gate_reason reason)
{
    pthread_mutex_lock(&gate->lock);
    gate_note(gate, reason, &connection->peer);
    if (reason != CUT_SILENT)
        origin_punish(connection->origin, gate_now_ms());
    pthread_mutex_unlock(&gate->lock);
    /* The connection ends with a reset: else a peer that goes on writing would hang with a full
     * window, and gRPC would still read what is in the socket. */
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    shutdown(connection->fd, SHUT_RDWR);
    for (int i = 0; i < DRAINS_MAX; i++)
        if (recv(connection->fd, NULL, 1 << 30, MSG_TRUNC | MSG_DONTWAIT) <= 0)
            break;
    struct epoll_event event = {.events = 0, .data.ptr = connection};
    epoll_ctl(gate->epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

/* By gRPC, of what came. */
static int64_t bytes_read(const struct connection *connection)
{
    struct tcp_info info = {.tcpi_bytes_received = 0};
    socklen_t size = sizeof(info);
    int waiting = 0;
    /* The bytes received are asked for first: what arrives between the two calls then counts as not
     * read. */
    if (getsockopt(connection->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
        ioctl(connection->fd, SIOCINQ, &waiting) != 0)
        return connection->read;
    int64_t read = (int64_t)info.tcpi_bytes_received - waiting;
    return read > connection->read ? read : connection->read;
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* An address that owes much for calls which nobody has seen has a share of the limit on each
 * connection; one that was just punished has no more for its open calls. */
static int64_t waste_max(const struct gate *gate, const struct connection *connection,
                         unsigned admitted_calls)
{
    if (admitted_calls == 0 && connection->origin->debt > 2 * UNREAD_MAX_DEFAULT)
        return WASTE_MAX / 4;
    /* the window that a connection's first call finds */
    int64_t least = WASTE_MAX + (int64_t)gate->options.unread_max;
    bool is_punished = origin_is_punished(connection->origin, connection->checked_ms);
    return admitted_calls == 0 || is_punished ? least : least + UNREAD_MAX_DEFAULT;
}

/* What calls that have ended left unread is no debt, whether it came before their end or after: but
 * within a budget, or whoever ends calls might send anything between them. */
static void forgive_unread(struct connection *connection, int64_t passed_ms)
{
    connection->unread_tokens =
        min(connection->unread_tokens + passed_ms * UNREAD_RATE, GATE_UNREAD_BURST);
    int64_t unread = atomic_load(&connection->unread), tokens = connection->unread_tokens;
    if (!atomic_load(&connection->was_admitted))
        tokens -= GATE_UNREAD_BURST - UNREAD_BURST_REFUSED;
    int64_t forgiven = min(min(connection->debt, unread), tokens);
    if (forgiven <= 0)
        return;
    atomic_fetch_sub(&connection->unread, forgiven);
    connection->unread_tokens -= forgiven;
    connection->debt -= forgiven;
}

static bool is_wasteful(const struct gate *gate, struct connection *connection,
                        unsigned admitted_calls, bool is_reading)
{
    int64_t over = connection->debt - waste_max(gate, connection, admitted_calls);
    if (over <= 0) {
        connection->over_checks = 0;
        return false;
    }
    connection->over_checks += is_reading;
    bool may_be_a_call = (!connection->is_distrusted || atomic_load(&connection->was_admitted)) &&
                         connection->origin->debt <= UNREAD_MAX_DEFAULT;
    return !may_be_a_call || connection->over_checks > CALL_DELAY_CHECKS;
}

/* Before it has heard of the limit, a client may open some more. */
static unsigned streams_max(const struct gate *gate, const struct connection *connection)
{
    unsigned most = gate->options.streams_max;
    bool is_punished = origin_is_punished(connection->origin, connection->checked_ms);
    return is_punished ? most / 4 + STREAMS_SPARE : most + most / 4 + STREAMS_SPARE;
}

/* gRPC holds a peer to the limit on calls only when the peer has acknowledged it. */
static enum gate_reason judge(const struct gate *gate, struct connection *connection,
                              unsigned admitted_calls, bool is_reading)
{
    if (is_wasteful(gate, connection, admitted_calls, is_reading))
        return CUT_WASTE;
    if (connection->reset_tokens < 0)
        return CUT_RESETS;
    if (atomic_load(&connection->open_calls) > streams_max(gate, connection))
        return CUT_STREAMS;
    return GATE_REASONS;
}

/* Returns false when the connection has been cut. */
static bool check(struct gate *gate, struct connection *connection, int64_t now_ms)
{
    int64_t passed_ms = now_ms - connection->checked_ms;
    /* before what calls leave when they end is looked at: one may end meanwhile */
    unsigned admitted_calls = atomic_load(&connection->admitted_calls);
    int64_t read = bytes_read(connection);
    int64_t spent = read - (int64_t)atomic_load(&connection->earned);
    bool is_reading = read > connection->read;
    int64_t debt_before = connection->debt;

    connection->checked_ms = now_ms;
    connection->debt += spent - connection->spent - passed_ms * WASTE_RATE;
    connection->read = read;
    connection->spent = spent;
    if (connection->debt < 0)
        connection->debt = 0;
    forgive_unread(connection, passed_ms);
    connection->origin->debt += connection->debt - debt_before;
    int64_t resets = (int64_t)atomic_exchange(&connection->resets, 0);
    connection->reset_tokens =
        min(connection->reset_tokens + passed_ms - resets * RESETS_RATE_MS, GATE_RESETS_BURST);
    enum gate_reason reason = judge(gate, connection, admitted_calls, is_reading);
    if (reason != GATE_REASONS)
        cut(gate, connection, reason);
    return reason == GATE_REASONS;
}

/* Those that have shown nothing yet, or nothing good lately, are looked at more often. */
static int64_t pause_ms(const struct connection *connection)
{
    bool is_suspect = !atomic_load(&connection->has_called) || connection->debt > WASTE_MAX / 4 ||
                      atomic_load(&connection->resets) > 0 ||
                      connection->reset_tokens < GATE_RESETS_BURST / 2;
    return is_suspect ? SUSPECT_PAUSE_MS : PAUSE_MS;
}

static void check_active(struct gate *gate, int64_t now_ms)
{
    struct connection **link = &gate->active;
    struct connection *connection;

    gate->next_check_ms = INT64_MAX;
    while ((connection = *link) != NULL) {
        int64_t due_ms = connection->checked_ms + pause_ms(connection);
        if (now_ms < due_ms) {
            if (due_ms < gate->next_check_ms)
                gate->next_check_ms = due_ms;
            link = &connection->next_active;
            continue;
        }
        *link = connection->next_active;
        connection->is_active = false;
        struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = connection};
        if (check(gate, connection, now_ms))
            epoll_ctl(gate->epoll, EPOLL_CTL_MOD, connection->fd, &event);
    }
}

static void check_silent(struct gate *gate, int64_t now_ms)
{
    while (gate->oldest != NULL) {
        struct connection *connection = gate->oldest;
        bool has_called = atomic_load(&connection->has_called);
        if (!has_called && now_ms < connection->opened_ms + gate->options.first_request_ms)
            return;
        gate_wait_no_more(gate, connection);
        if (!has_called)
            cut(gate, connection, CUT_SILENT);
    }
}

void gate_check(struct gate *gate)
{
    int64_t now_ms = gate_now_ms();
    if (gate->active != NULL)
        check_active(gate, now_ms);
    if (now_ms < gate->next_sweep_ms)
        return;
    gate->next_sweep_ms = now_ms + SWEEP_PAUSE_MS;
    check_silent(gate, now_ms);
    pthread_mutex_lock(&gate->lock);
    origins_sweep(&gate->origins, gate->options.per_peer_max, gate->options.per_peer_rate, now_ms);
    pthread_mutex_unlock(&gate->lock);
}

int gate_wait_ms(const struct gate *gate)
{
    int64_t next_ms = gate->active != NULL ? gate->next_check_ms : INT64_MAX;
    if ((gate->oldest != NULL || gate->origins.count > 0) && gate->next_sweep_ms < next_ms)
        next_ms = gate->next_sweep_ms;
    if (next_ms == INT64_MAX)
        return -1;
    int64_t wait_ms = next_ms - gate_now_ms();
    return wait_ms < 0 ? 0 : (int)min(wait_ms, 60000);
}

void connection_call_admitted(struct connection *connection)
{
    if (connection == NULL)
        return;
    atomic_fetch_add(&connection->admitted_calls, 1);
    atomic_store(&connection->was_admitted, true);
}

void connection_call_ended(struct connection *connection, const struct call_account *account)
{
    if (connection == NULL)
        return;
    if (account->was_reset || !atomic_load(&connection->was_admitted))
        atomic_fetch_add(&connection->resets, 1);
    if (!account->was_reset)
        connection_earned(connection, account->headers_size + HEADERS_SPARE);
    if (account->is_unread && account->was_admitted)
        atomic_store(&connection->unread, UNREAD_MAX_DEFAULT);
    else if (account->is_unread && atomic_load(&connection->unread) < REFUSED_UNREAD_MAX)
        atomic_store(&connection->unread, REFUSED_UNREAD_MAX);
    if (account->was_admitted)
        atomic_fetch_sub(&connection->admitted_calls, 1);
    atomic_fetch_sub(&connection->open_calls, 1);
    atomic_fetch_sub(&connection->origin->open_calls, 1);
    connection_unref(connection);
}

void connection_earned(struct connection *connection, size_t size)
{
    if (connection != NULL)
        atomic_fetch_add_explicit(&connection->earned, (long long)size, memory_order_relaxed);
}

size_t connection_frames_size(size_t message_size)
{
    return 128 + message_size / 32;
}
