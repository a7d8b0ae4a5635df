/* SPDX-License-Identifier: Apache-2.0
 *
 * accept_guard.h
 */
#include "accept_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOG_PAUSE_MS 10000

static struct {
    pthread_mutex_t lock; /* over all below */
    int spare;            /* a descriptor that is of no use but to be given up; -1: it is */
    uint64_t refused;     /* connections, since the last line of the log */
    int64_t next_log_ms;
    tercet_log_fn on_log;
    void *log_ctx;
} guard = {.lock = PTHREAD_MUTEX_INITIALIZER, .spare = -1};

static int take_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void accept_guard_open(tercet_log_fn on_log, void *log_ctx)
{
    pthread_mutex_lock(&guard.lock);
    guard.on_log = on_log;
    guard.log_ctx = log_ctx;
    if (guard.spare < 0)
        guard.spare = take_spare();
    pthread_mutex_unlock(&guard.lock);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Under the lock. */
static void count_refused(void)
{
    char text[TERCET_TEXT_MAX];
    guard.refused++;
    if (guard.on_log == NULL || now_ms() < guard.next_log_ms)
        return;
    snprintf(text, sizeof(text),
             "out of file descriptors: connections are refused (%" PRIu64
             " so far); raise LimitNOFILE",
             guard.refused);
    guard.on_log(TERCET_LOG_ERROR, text, guard.log_ctx);
    guard.refused = 0;
    guard.next_log_ms = now_ms() + LOG_PAUSE_MS;
}

/* The lowest free number is what a new descriptor gets, so one from the reserve shows that all
 * below are taken. */
static bool is_of_reserve(int fd)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return false;
    rlim_t reserve =
        limit.rlim_cur < 2 * ACCEPT_GUARD_RESERVE ? limit.rlim_cur / 2 : ACCEPT_GUARD_RESERVE;
    return (rlim_t)fd >= limit.rlim_cur - reserve;
}

static int accept_now(int listener, struct sockaddr *address, socklen_t *size, int flags)
{
    return (int)syscall(SYS_accept4, listener, address, size, flags);
}

static void refuse(int fd)
{
    pthread_mutex_lock(&guard.lock);
    close(fd);
    count_refused();
    pthread_mutex_unlock(&guard.lock);
}

/* There is no descriptor left: the spare one is for the connection that waits longest. false: that
 * did not help. */
static bool refuse_with_spare(int listener)
{
    pthread_mutex_lock(&guard.lock);
    if (guard.spare >= 0)
        close(guard.spare);
    int fd = accept_now(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        close(fd);
    guard.spare = take_spare();
    if (fd >= 0)
        count_refused();
    pthread_mutex_unlock(&guard.lock);
    return fd >= 0;
}

/* Errors of the connection that waited, not of the listener (accept(2)). */
static bool is_of_connection(int error)
{
    return error == ECONNABORTED || error == EPROTO || error == EPERM || error == ENETDOWN ||
           error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET || error == EHOSTUNREACH ||
           error == EOPNOTSUPP || error == ENETUNREACH;
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* In place of the C library's, whose declaration has a union of GNU's in it; hence the other name
 * here. What it answers is a connection, EAGAIN, EINTR, or an error that is the caller's fault.
 * After an EAGAIN the library waits for the next connection, which makes it look again at those
 * that still wait. */
int accept_guarded(int listener, struct sockaddr *address, socklen_t *size,
                   int flags) __asm__("accept4");
int accept_guarded(int listener, struct sockaddr *address, socklen_t *size, int flags)
{
    const socklen_t room = size != NULL ? *size : 0;
    for (;;) {
        if (size != NULL)
            *size = room;
        int fd = accept_now(listener, address, size, flags);
        if (fd >= 0 && !is_of_reserve(fd))
            return fd;
        if (fd >= 0) {
            refuse(fd);
        } else if (is_shortage(errno)) {
            if (!refuse_with_spare(listener)) {
                errno = EAGAIN;
                return -1;
            }
        } else if (!is_of_connection(errno)) {
            return -1;
        }
    }
}
