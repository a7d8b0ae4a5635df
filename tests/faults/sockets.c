/* SPDX-License-Identifier: Apache-2.0
 *
 * A library to be preloaded: the n-th call of its class fails, as TERCET_CALL=CLASS:ERROR:N[:on]
 * says; "on": from then on, ERROR a number, -1 a short write. A line "call fails" on standard error
 * says that it came to it.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_once_t read_once = PTHREAD_ONCE_INIT;
static char class_wanted[16];
static int error_wanted;
static unsigned nth_wanted;
static bool is_sticky;
static atomic_uint passed;

static void read_environment(void)
{
    char on[4] = "";
    const char *text = getenv("TERCET_CALL");
    if (text != NULL &&
        sscanf(text, "%15[^:]:%d:%u:%3s", class_wanted, &error_wanted, &nth_wanted, on) < 3)
        class_wanted[0] = '\0';
    is_sticky = on[0] != '\0';
}

/* The error with which this call is to fail; 0: it goes through. */
static int fault_of(const char *class)
{
    static const char line[] = "call fails\n";
    pthread_once(&read_once, read_environment);
    if (strcmp(class, class_wanted) != 0)
        return 0;
    unsigned nth = atomic_fetch_add(&passed, 1) + 1;
    if (nth < nth_wanted || (nth > nth_wanted && !is_sticky))
        return 0;
    if (nth == nth_wanted && write(STDERR_FILENO, line, sizeof(line) - 1) < 0)
        return 0;
    return error_wanted;
}

static bool fails(int fault)
{
    if (fault > 0)
        errno = fault;
    return fault > 0;
}

int socket(int domain, int type, int protocol)
{
    return fails(fault_of("socket")) ? -1 : (int)syscall(SYS_socket, domain, type, protocol);
}

int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
    return fails(fault_of("socket")) ? -1 : (int)syscall(SYS_bind, fd, address.__sockaddr__, size);
}

int listen(int fd, int backlog)
{
    return fails(fault_of("socket")) ? -1 : (int)syscall(SYS_listen, fd, backlog);
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
    return fails(fault_of("socket")) ? -1
                                     : (int)syscall(SYS_connect, fd, address.__sockaddr__, size);
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *size, int flags)
{
    return fails(fault_of("accept"))
               ? -1
               : (int)syscall(SYS_accept4, fd, address.__sockaddr__, size, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    int fault = fault_of("send");
    if (fails(fault))
        return -1;
    if (fault >= 0 || message->msg_iovlen == 0)
        return syscall(SYS_sendmsg, fd, message, flags);
    size_t size = message->msg_iov[0].iov_len;
    return syscall(SYS_sendto, fd, message->msg_iov[0].iov_base, size > 1 ? size / 2 : size, flags,
                   NULL, 0);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    return fails(fault_of("recv")) ? -1 : syscall(SYS_recvmsg, fd, message, flags);
}

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
    return fails(fault_of("poll")) ? -1
                                   : (int)syscall(SYS_epoll_wait, fd, events, count, timeout_ms);
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    return fails(fault_of("poll")) ? -1 : (int)syscall(SYS_poll, fds, count, timeout_ms);
}
