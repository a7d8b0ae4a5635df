/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate's thread: its life, and what wakes it.
 */
#include "gate.h"

#include <crpc/crpc.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 128
#define NOTICE_PAUSE_MS 10000
#define LISTENER_PAUSE_MS 50 /* when even refusing fails for want of a descriptor */

int64_t gate_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int gate_new(struct gate **out, const struct gate_options *options)
{
    struct gate *gate = calloc(1, sizeof(*gate));
    if (gate == NULL)
        return CRPC_ENOMEM;
    gate->options = *options;
    pthread_mutex_init(&gate->lock, NULL);
    pthread_mutex_init(&gate->hand.lock, NULL);
    pthread_cond_init(&gate->hand.changed, NULL);
    gate->epoll = epoll_create1(EPOLL_CLOEXEC);
    gate->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    gate->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (gate->epoll < 0 || gate->wake < 0 ||
        epoll_ctl(gate->epoll, EPOLL_CTL_ADD, gate->wake, &event) != 0) {
        gate_free(gate);
        return CRPC_EINTERNAL;
    }
    *out = gate;
    return 0;
}

int gate_add_listener(struct gate *gate, int fd, const struct adopter *adopter)
{
    const size_t listeners_max = sizeof(gate->listeners) / sizeof(gate->listeners[0]);
    if (gate->listener_count == listeners_max)
        return CRPC_EADDRESS;
    gate->listeners[gate->listener_count++] = (struct gate_listener){fd, adopter};
    return 0;
}

static void listeners_listen(struct gate *gate, bool is_wanted)
{
    gate->are_listeners_paused = !is_wanted;
    for (size_t i = 0; i < gate->listener_count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &gate->listeners[i]};
        epoll_ctl(gate->epoll, is_wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, gate->listeners[i].fd,
                  &event);
    }
}

static bool is_listener(const struct gate *gate, const void *pointer)
{
    const struct gate_listener *listener = pointer;
    return listener >= gate->listeners && listener < gate->listeners + gate->listener_count;
}

static void connection_event(struct gate *gate, struct connection *connection, uint32_t events)
{
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        gate_remove(gate, connection);
    } else if (!connection->is_active) {
        connection->is_active = true;
        connection->next_active = gate->active;
        gate->active = connection;
    }
}

static void notice_text(char *text, size_t size, enum gate_reason reason, uint64_t count,
                        const char *peer)
{
    static const char *const formats[GATE_REASONS] = {
        [REFUSED_DESCRIPTORS] =
            "out of file descriptors: connections are refused (%" PRIu64 " so far, one of %s); "
            "raise the limit (LimitNOFILE, prlimit --nofile)",
        [REFUSED_MAX] = "%" PRIu64 " connections were refused, one of %s: there are "
                        "connections_max already",
        [REFUSED_PEER_MAX] = "%" PRIu64 " connections were refused, one of %s, which has "
                             "connections_per_peer_max already",
        [REFUSED_PEER_RATE] = "%" PRIu64 " connections were refused, one of %s, which makes more "
                              "a second than connection_rate_per_peer",
        [CUT_SILENT] = "%" PRIu64 " connections were cut, one of %s: they made no call",
        [CUT_WASTE] = "%" PRIu64 " connections were cut, one of %s: they sent much that belongs to "
                      "no call",
        [CUT_RESETS] = "%" PRIu64 " connections were cut, one of %s: they began calls and gave "
                       "them up at once, again and again",
        [CUT_STREAMS] = "%" PRIu64 " connections were cut, one of %s: they had more calls open "
                        "than concurrent_streams_max permits"};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, size, formats[reason], count, peer);
#pragma GCC diagnostic pop
}

/* Not under the lock: the callback may take long. */
static void tell(struct gate *gate)
{
    int64_t now_ms = gate_now_ms();
    for (int i = 0; i < GATE_REASONS && gate->options.on_notice != NULL; i++) {
        char text[256], peer[64];
        pthread_mutex_lock(&gate->lock);
        uint64_t count = gate->untold[i];
        bool is_due = count > 0 && now_ms >= gate->next_notice_ms[i];
        if (is_due) {
            gate->untold[i] = 0;
            gate->next_notice_ms[i] = now_ms + NOTICE_PAUSE_MS;
            peer_describe(peer, sizeof(peer), &gate->noted[i]);
        }
        pthread_mutex_unlock(&gate->lock);
        if (!is_due)
            continue;
        notice_text(text, sizeof(text), (enum gate_reason)i, count, peer);
        gate->options.on_notice(text, gate->options.notice_ctx);
    }
}

static void *gate_run(void *arg)
{
    struct gate *gate = arg;
    struct epoll_event events[EVENTS_MAX];

    listeners_listen(gate, true);
    for (;;) {
        int wait_ms = gate->are_listeners_paused ? LISTENER_PAUSE_MS : gate_wait_ms(gate);
        int count = epoll_wait(gate->epoll, events, EVENTS_MAX, wait_ms);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                return NULL;
            if (!is_listener(gate, events[i].data.ptr))
                connection_event(gate, events[i].data.ptr, events[i].events);
            else if (!gate->are_listeners_paused)
                gate_accept(gate, events[i].data.ptr);
        }
        gate_check(gate);
        tell(gate);
        if (gate->must_pause != gate->are_listeners_paused)
            listeners_listen(gate, !gate->must_pause);
        gate->must_pause = false;
    }
}

int gate_start(struct gate *gate)
{
    if (!gate_hand_start(gate))
        return CRPC_ENOMEM;
    if (pthread_create(&gate->thread, NULL, gate_run, gate) != 0)
        return CRPC_ENOMEM; /* gate_stop ends the others */
    pthread_setname_np(gate->thread, "crpc-accept");
    gate->is_running = true;
    return 0;
}

void gate_stop(struct gate *gate)
{
    if (gate->is_running) {
        uint64_t one = 1;
        while (write(gate->wake, &one, sizeof(one)) < 0 && errno == EINTR)
            continue;
        pthread_join(gate->thread, NULL);
        gate->is_running = false;
    }
    gate_hand_stop(gate);
    for (size_t i = 0; i < gate->listener_count; i++)
        close(gate->listeners[i].fd);
    gate->listener_count = 0;
    for (size_t i = 0; i < CONNECTION_BUCKETS; i++)
        while (gate->buckets[i] != NULL)
            gate_remove(gate, gate->buckets[i]);
}

void gate_free(struct gate *gate)
{
    if (gate == NULL)
        return;
    gate_stop(gate);
    origins_clear(&gate->origins);
    const int fds[] = {gate->epoll, gate->wake, gate->spare};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    pthread_cond_destroy(&gate->hand.changed);
    pthread_mutex_destroy(&gate->hand.lock);
    pthread_mutex_destroy(&gate->lock);
    free(gate);
}
