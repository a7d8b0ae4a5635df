/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections are handed to a daemon that is there: who puts another in its place, and stops it,
 * waits until it has taken what it was being given. microhttpd's part is played here.
 */
#include <arpa/inet.h>
#include <clock.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <parts.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHORTLY_MS 200 /* who does not wait has come by then */
#define PATIENCE_MS 60000

static struct door door;
static char old_daemon, new_daemon; /* nobody looks into them */
static sem_t is_given, may_return, is_replaced;
static struct MHD_Daemon *taker;

enum MHD_Result __wrap_MHD_add_connection(struct MHD_Daemon *daemon, int fd,
                                          const struct sockaddr *address, socklen_t size);
enum MHD_Result __wrap_MHD_add_connection(struct MHD_Daemon *daemon, int fd,
                                          const struct sockaddr *address, socklen_t size)
{
    (void)address;
    (void)size;
    taker = daemon;
    close(fd);
    sem_post(&is_given);
    while (sem_wait(&may_return) != 0)
        continue;
    return MHD_YES;
}

static bool comes(sem_t *what, int64_t within_ms)
{
    struct timespec until = clock_timespec(clock_wall_ms() + within_ms);
    int rc;
    while ((rc = sem_timedwait(what, &until)) != 0 && errno == EINTR)
        continue;
    return rc == 0;
}

static int visit(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_port = htons((uint16_t)atoi(strrchr(door.address, ':') + 1));
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0, "%s", strerror(errno));
    return fd;
}

static void *replace(void *ctx)
{
    (void)ctx;
    struct MHD_Daemon *old = door_replace(&door, (struct MHD_Daemon *)&new_daemon);
    sem_post(&is_replaced);
    return old;
}

Test(door, a_daemon_is_not_replaced_while_it_is_given_a_connection)
{
    char text[TERCET_TEXT_MAX];
    pthread_t thread;
    void *old;
    sem_init(&is_given, 0, 0);
    sem_init(&may_return, 0, 0);
    sem_init(&is_replaced, 0, 0);
    cr_assert_eq(door_listen(&door, "127.0.0.1:0", text), 0, "%s", text);
    cr_assert_eq(door_open(&door, (struct MHD_Daemon *)&old_daemon), 0);
    int first = visit();
    cr_assert(comes(&is_given, PATIENCE_MS));
    cr_assert_eq(pthread_create(&thread, NULL, replace, NULL), 0);
    cr_assert(!comes(&is_replaced, SHORTLY_MS), "it would be stopped, and used after that");
    sem_post(&may_return);
    cr_assert(comes(&is_replaced, PATIENCE_MS));
    pthread_join(thread, &old);
    cr_assert_eq(old, &old_daemon);
    cr_assert_eq(taker, (struct MHD_Daemon *)&old_daemon);
    int second = visit();
    cr_assert(comes(&is_given, PATIENCE_MS));
    cr_assert_eq(taker, (struct MHD_Daemon *)&new_daemon, "the next is the new one's");
    sem_post(&may_return);
    door_close(&door);
    close(first);
    close(second);
}
