/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections of the console: they are accepted here, not by microhttpd, which would spin when the
 * process has no descriptor left, and whose timeout a byte now and then puts off for ever.
 */
#include "parts.h"

#include <clock.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK_MS 1000 /* between two looks for who is late */
#define BACKLOG 64
#define PAUSE_MS 50 /* when even refusing fails */
#define HOST_SIZE 256

#define VISITORS_MAX (sizeof(((struct door *)0)->visitors) / sizeof(struct visitor))

/* -- Listening --------------------------------------------------------------------------------- */

/* A number, and nothing else: getaddrinfo also takes "+5", and cuts what is too large. */
static bool is_port(const char *text)
{
    const size_t size = strlen(text);
    return size >= 1 && size <= 5 && strspn(text, "0123456789") == size &&
           strtoul(text, NULL, 10) <= UINT16_MAX;
}

/* "host:port" or "[host]:port", apart. */
static bool split(char host[HOST_SIZE], const char **port, const char *address)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon[1] == '\0' || (size_t)(colon - address) >= HOST_SIZE)
        return false;
    size_t size = (size_t)(colon - address);
    const bool is_bracketed = size >= 2 && address[0] == '[' && address[size - 1] == ']';
    if (!is_bracketed && memchr(address, ':', size) != NULL)
        return false;
    if (!is_port(colon + 1))
        return false;
    memcpy(host, address + is_bracketed, size - 2 * is_bracketed);
    host[size - 2 * is_bracketed] = '\0';
    *port = colon + 1;
    return host[0] != '\0';
}

static int listen_at(const struct addrinfo *info)
{
    const int on = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Where it listens, as it is written in a URL. */
static void describe(struct door *door, int fd)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(address);
    char host[48] = "?", port[8] = "0";
    getsockname(fd, (struct sockaddr *)&address, &size);
    getnameinfo((struct sockaddr *)&address, size, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(door->address, sizeof(door->address),
             address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

/* Listens at each address that the name resolves to; with port 0 only at the first, since each
 * would get a port of its own. */
static int listen_at_all(struct door *door, const struct addrinfo *infos, bool is_any_port)
{
    for (const struct addrinfo *info = infos; info != NULL; info = info->ai_next) {
        int fd = door->listener_count < LISTENERS_MAX ? listen_at(info) : -1;
        if (fd < 0 && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT))
            continue;
        if (fd < 0)
            return -1;
        if (door->listener_count == 0)
            describe(door, fd);
        door->listeners[door->listener_count++] = fd;
        if (is_any_port)
            break;
    }
    return door->listener_count > 0 ? 0 : -1;
}

static void close_listeners(struct door *door)
{
    while (door->listener_count > 0)
        close(door->listeners[--door->listener_count]);
}

int door_listen(struct door *door, const char *address, char *text)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *infos = NULL;
    char host[HOST_SIZE];
    const char *port;
    door->wake = door->spare = -1;
    for (size_t i = 0; i < VISITORS_MAX; i++)
        door->visitors[i].fd = -1;
    pthread_mutex_init(&door->lock, NULL);
    pthread_mutex_init(&door->handing, NULL);
    if (!split(host, &port, address)) {
        snprintf(text, TERCET_TEXT_MAX,
                 "%.150s is no address: host:port is wanted, with a port of 0 to 65535", address);
        return TERCET_ADDRESS;
    }
    int rc = getaddrinfo(host, port, &hints, &infos);
    if (rc == 0)
        rc = listen_at_all(door, infos, strcmp(port, "0") == 0) == 0 ? 0 : EAI_SYSTEM;
    if (rc != 0)
        snprintf(text, TERCET_TEXT_MAX, "cannot listen on %.150s: %s", address,
                 rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    if (infos != NULL)
        freeaddrinfo(infos);
    return rc == 0 ? 0 : TERCET_ADDRESS;
}

/* -- Visitors ---------------------------------------------------------------------------------- */

static struct visitor *find(struct door *door, int fd)
{
    for (size_t i = 0; i < VISITORS_MAX; i++)
        if (door->visitors[i].fd == fd)
            return &door->visitors[i];
    return NULL;
}

static int socket_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info != NULL ? info->connect_fd : -1;
}

void door_note_connection(void *ctx, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct door *door = ctx;
    const int fd = socket_of(connection);
    (void)context;
    pthread_mutex_lock(&door->lock);
    struct visitor *visitor = find(door, code == MHD_CONNECTION_NOTIFY_STARTED ? -1 : fd);
    if (visitor != NULL && code == MHD_CONNECTION_NOTIFY_STARTED)
        *visitor = (struct visitor){fd, clock_monotonic_ms() + REQUEST_MS_MAX};
    else if (visitor != NULL)
        visitor->fd = -1; /* before it is closed: its number may be another's then */
    pthread_mutex_unlock(&door->lock);
}

void door_give_time(struct door *door, struct MHD_Connection *connection)
{
    const int fd = socket_of(connection);
    pthread_mutex_lock(&door->lock);
    struct visitor *visitor = find(door, fd);
    if (visitor != NULL)
        visitor->until_ms = clock_monotonic_ms() + REQUEST_MS_MAX;
    pthread_mutex_unlock(&door->lock);
}

/* Its thread sees that, and ends it. */
static void cut_late(struct door *door)
{
    const int64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&door->lock);
    for (size_t i = 0; i < VISITORS_MAX; i++) {
        struct visitor *visitor = &door->visitors[i];
        if (visitor->fd < 0 || now_ms < visitor->until_ms)
            continue;
        shutdown(visitor->fd, SHUT_RDWR);
        visitor->until_ms = INT64_MAX;
        door->cut++;
    }
    pthread_mutex_unlock(&door->lock);
}

/* -- Accepting --------------------------------------------------------------------------------- */

/* The process has no descriptor left for the connection that waits. The spare one is given up to
 * accept it, so that it can be closed at once: left alone it would hang. */
static void refuse_one(struct door *door, int listener)
{
    close(door->spare);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    else
        poll(NULL, 0, PAUSE_MS);
    door->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void accept_one(struct door *door, int listener)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    int fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
        refuse_one(door, listener);
        door->refused++;
        return;
    }
    if (fd < 0)
        return;
    /* It closes what it does not take. */
    pthread_mutex_lock(&door->handing);
    const bool is_taken =
        MHD_add_connection(door->daemon, fd, (struct sockaddr *)&peer, size) == MHD_YES;
    pthread_mutex_unlock(&door->handing);
    if (is_taken)
        door->accepted++;
    else
        door->refused++;
}

static void *run(void *ctx)
{
    struct door *door = ctx;
    struct pollfd polls[LISTENERS_MAX + 1];
    for (size_t i = 0; i < door->listener_count; i++)
        polls[i] = (struct pollfd){.fd = door->listeners[i], .events = POLLIN};
    polls[door->listener_count] = (struct pollfd){.fd = door->wake, .events = POLLIN};
    for (;;) {
        int count = poll(polls, door->listener_count + 1, TICK_MS);
        if (count > 0 && polls[door->listener_count].revents != 0)
            return NULL;
        for (size_t i = 0; count > 0 && i < door->listener_count; i++)
            if (polls[i].revents != 0)
                accept_one(door, polls[i].fd);
        cut_late(door);
    }
}

int door_open(struct door *door, struct MHD_Daemon *daemon)
{
    door->daemon = daemon;
    door->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    door->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (door->wake < 0 || pthread_create(&door->thread, NULL, run, door) != 0)
        return TERCET_NOMEM;
    pthread_setname_np(door->thread, "tercet-http");
    door->is_running = true;
    return 0;
}

struct MHD_Daemon *door_replace(struct door *door, struct MHD_Daemon *daemon)
{
    pthread_mutex_lock(&door->handing);
    struct MHD_Daemon *old = door->daemon;
    door->daemon = daemon;
    pthread_mutex_unlock(&door->handing);
    return old;
}

void door_close(struct door *door)
{
    const uint64_t one = 1;
    if (door->is_running) {
        while (write(door->wake, &one, sizeof(one)) < 0 && errno == EINTR)
            continue;
        pthread_join(door->thread, NULL);
        door->is_running = false;
    }
    close_listeners(door);
    if (door->wake >= 0)
        close(door->wake);
    if (door->spare >= 0)
        close(door->spare);
    door->wake = door->spare = -1;
}
