/* SPDX-License-Identifier: Apache-2.0
 *
 * cutter.h: one thread that polls all sockets. A message is passed on when all of it is there.
 */
#include "cutter.h"

#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PAIRS_MAX 16
#define BUFFER_SIZE (1 << 18) /* the longest message */

/* One direction of one connection. */
struct half {
    int from, to;
    bool is_begun; /* a client of PostgreSQL begins with a message that has no type */
    size_t used;
    unsigned char *buffer;
};

struct pair {
    struct half halves[2]; /* by direction; from < 0: there is none */
};

struct cutter {
    pthread_t thread;
    enum cutter_protocol protocol;
    char path[108], server[108];
    int listening, wake[2];
    struct pair pairs[PAIRS_MAX];
    pthread_mutex_t lock; /* over what follows */
    enum cutter_direction direction;
    int countdown; /* messages until the cut; 0: none */
    bool after, has_cut;
};

/* -- Sockets ----------------------------------------------------------------------------------- */

static int open_socket(const char *path, bool listens)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    const struct sockaddr *where = (const struct sockaddr *)&address;
    int rc = listens ? bind(fd, where, sizeof(address)) : connect(fd, where, sizeof(address));
    if (rc == 0 && listens)
        rc = listen(fd, PAIRS_MAX);
    if (rc == 0)
        return fd;
    close(fd);
    return -1;
}

static void end_pair(struct pair *pair)
{
    for (int i = 0; i < 2; i++) {
        if (pair->halves[i].from >= 0)
            close(pair->halves[i].from);
        free(pair->halves[i].buffer);
        pair->halves[i] = (struct half){.from = -1, .to = -1};
    }
}

/* A client whom the server does not take, or who is one too many, is cut at once. */
static void accept_client(struct cutter *cutter)
{
    int client = accept4(cutter->listening, NULL, NULL, SOCK_CLOEXEC);
    int server = open_socket(cutter->server, false);
    for (int i = 0; i < PAIRS_MAX && client >= 0 && server >= 0; i++) {
        struct pair *pair = &cutter->pairs[i];
        if (pair->halves[0].from >= 0)
            continue;
        pair->halves[CUTTER_TO_SERVER] =
            (struct half){.from = client, .to = server, .buffer = malloc(BUFFER_SIZE)};
        pair->halves[CUTTER_TO_CLIENT] =
            (struct half){.from = server, .to = client, .buffer = malloc(BUFFER_SIZE)};
        return;
    }
    if (client >= 0)
        close(client);
    if (server >= 0)
        close(server);
}

/* -- Messages ---------------------------------------------------------------------------------- */

/* Of a value of Redis, a line or one with a length, or an array of such; 0 while it is not whole.
 */
static size_t value_size(const unsigned char *at, size_t used)
{
    const unsigned char *end = used > 0 ? memchr(at, '\n', used) : NULL;
    if (end == NULL)
        return 0;
    size_t size = (size_t)(end - at) + 1;
    long count = at[0] == '$' || at[0] == '*' ? strtol((const char *)at + 1, NULL, 10) : -1;
    if (at[0] == '$' && count >= 0)
        return size + (size_t)count + 2 <= used ? size + (size_t)count + 2 : 0;
    for (; count > 0; count--) {
        size_t part = value_size(at + size, used - size);
        if (part == 0)
            return 0;
        size += part;
    }
    return size;
}

/* Of the first message in the buffer; 0 while its head is not there. */
static size_t message_size(const struct cutter *cutter, const struct half *half,
                           enum cutter_direction direction)
{
    const unsigned char *at = half->buffer;
    if (cutter->protocol == CUTTER_REDIS)
        return value_size(at, half->used);
    if (half->used < 5)
        return 0;
    if (cutter->protocol == CUTTER_MYSQL)
        return 4 + ((size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16);
    bool has_type = direction == CUTTER_TO_CLIENT || half->is_begun;
    at += has_type;
    return has_type + ((size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3]);
}

/* Whether the connection is to be cut at this message. */
static bool count_message(struct cutter *cutter, enum cutter_direction direction, bool *after)
{
    pthread_mutex_lock(&cutter->lock);
    bool is_due =
        cutter->direction == direction && cutter->countdown > 0 && --cutter->countdown == 0;
    cutter->has_cut = cutter->has_cut || is_due;
    *after = cutter->after;
    pthread_mutex_unlock(&cutter->lock);
    return is_due;
}

static bool send_all(int fd, const unsigned char *data, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t now = send(fd, data + sent, size - sent, MSG_NOSIGNAL);
        if (now <= 0)
            return false;
        sent += (size_t)now;
    }
    return true;
}

/* false: this connection is over. */
static bool pass_on(struct cutter *cutter, struct half *half, enum cutter_direction direction)
{
    size_t size;
    while ((size = message_size(cutter, half, direction)) > 0 && size <= half->used) {
        bool after = false;
        bool is_cut = count_message(cutter, direction, &after);
        if ((!is_cut || after) && !send_all(half->to, half->buffer, size))
            return false;
        if (is_cut)
            return false;
        half->is_begun = true;
        half->used -= size;
        memmove(half->buffer, half->buffer + size, half->used);
    }
    return size <= BUFFER_SIZE;
}

static bool take_in(struct cutter *cutter, struct half *half, enum cutter_direction direction)
{
    ssize_t size = recv(half->from, half->buffer + half->used, BUFFER_SIZE - half->used, 0);
    if (size <= 0)
        return false;
    half->used += (size_t)size;
    return pass_on(cutter, half, direction);
}

/* -- The thread -------------------------------------------------------------------------------- */

static void *run(void *ctx)
{
    struct cutter *cutter = ctx;
    struct pollfd fds[2 + 2 * PAIRS_MAX];
    for (;;) {
        fds[0] = (struct pollfd){.fd = cutter->wake[0], .events = POLLIN};
        fds[1] = (struct pollfd){.fd = cutter->listening, .events = POLLIN};
        for (int i = 0; i < 2 * PAIRS_MAX; i++)
            fds[2 + i] =
                (struct pollfd){.fd = cutter->pairs[i / 2].halves[i % 2].from, .events = POLLIN};
        if (poll(fds, 2 + 2 * PAIRS_MAX, -1) < 0 || fds[0].revents != 0)
            return NULL;
        for (int i = 0; i < 2 * PAIRS_MAX; i++) {
            struct pair *pair = &cutter->pairs[i / 2];
            if (fds[2 + i].revents == 0 || pair->halves[i % 2].from < 0)
                continue;
            if (!take_in(cutter, &pair->halves[i % 2], (enum cutter_direction)(i % 2)))
                end_pair(pair);
        }
        if (fds[1].revents != 0)
            accept_client(cutter);
    }
}

struct cutter *cutter_start(enum cutter_protocol protocol, const char *path, const char *server)
{
    struct cutter *cutter = calloc(1, sizeof(*cutter));
    cutter->protocol = protocol;
    snprintf(cutter->path, sizeof(cutter->path), "%s", path);
    snprintf(cutter->server, sizeof(cutter->server), "%s", server);
    for (int i = 0; i < 2 * PAIRS_MAX; i++)
        cutter->pairs[i / 2].halves[i % 2].from = -1;
    pthread_mutex_init(&cutter->lock, NULL);
    unlink(path);
    cutter->listening = open_socket(path, true);
    if (cutter->listening >= 0 && pipe(cutter->wake) == 0 &&
        pthread_create(&cutter->thread, NULL, run, cutter) == 0)
        return cutter;
    return NULL;
}

void cutter_stop(struct cutter *cutter)
{
    close(cutter->wake[1]);
    pthread_join(cutter->thread, NULL);
    for (int i = 0; i < PAIRS_MAX; i++)
        end_pair(&cutter->pairs[i]);
    close(cutter->wake[0]);
    close(cutter->listening);
    unlink(cutter->path);
    pthread_mutex_destroy(&cutter->lock);
    free(cutter);
}

void cutter_arm(struct cutter *cutter, enum cutter_direction direction, int at, bool after)
{
    pthread_mutex_lock(&cutter->lock);
    cutter->direction = direction;
    cutter->countdown = at;
    cutter->after = after;
    cutter->has_cut = false;
    pthread_mutex_unlock(&cutter->lock);
}

bool cutter_has_cut(struct cutter *cutter)
{
    pthread_mutex_lock(&cutter->lock);
    bool has_cut = cutter->has_cut;
    pthread_mutex_unlock(&cutter->lock);
    return has_cut;
}
