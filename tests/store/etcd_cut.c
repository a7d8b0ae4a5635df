/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver of etcd behind a relay that loses answers: what was asked is done, and nobody says so.
 * Every batch is written once all the same.
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "contents.h"
#include "etcd.h"
#include "etcd_store.h"

#define PAIRS_MAX 64

/* One connection at a time matters; all are relayed by one thread. */
struct relay {
    int listener, port, target;
    int pairs[PAIRS_MAX][2]; /* client's, server's; -1: none */
    size_t count;
    atomic_bool loses;  /* the next answers: after what is asked next, the connection is cut */
    atomic_uint lost;   /* how often that was done */
    atomic_bool is_off; /* nobody is let through */
    atomic_bool ends;
};

static int connect_to(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    close(fd);
    return -1;
}

static void drop_pair(struct relay *relay, size_t i)
{
    close(relay->pairs[i][0]);
    close(relay->pairs[i][1]);
    relay->pairs[i][0] = relay->pairs[i][1] = -1;
}

static void let_in(struct relay *relay)
{
    int client = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC);
    int server = client >= 0 && !atomic_load(&relay->is_off) ? connect_to(relay->target) : -1;
    if (server < 0 || relay->count == PAIRS_MAX) {
        close(client);
        close(server);
        return;
    }
    relay->pairs[relay->count][0] = client;
    relay->pairs[relay->count++][1] = server;
}

/* false: the pair is over. */
static bool pass(int from, int to)
{
    char bytes[65536];
    ssize_t size = recv(from, bytes, sizeof(bytes), 0);
    return size > 0 && send(to, bytes, (size_t)size, MSG_NOSIGNAL) == size;
}

/* Something was asked. When answers are to be lost, the server has its time to do it, and then the
 * connection is gone. */
static bool pass_question(struct relay *relay, size_t i)
{
    if (!pass(relay->pairs[i][0], relay->pairs[i][1]))
        return false;
    if (!atomic_exchange(&relay->loses, false))
        return true;
    struct pollfd answer = {.fd = relay->pairs[i][1], .events = POLLIN};
    poll(&answer, 1, 1000); /* what is done makes an answer */
    atomic_fetch_add(&relay->lost, 1);
    return false;
}

static void serve_pair(struct relay *relay, size_t i, const struct pollfd *polled)
{
    bool goes_on = !atomic_load(&relay->is_off);
    if (goes_on && polled[0].revents != 0)
        goes_on = pass_question(relay, i);
    if (goes_on && polled[1].revents != 0)
        goes_on = pass(relay->pairs[i][1], relay->pairs[i][0]);
    if (!goes_on)
        drop_pair(relay, i);
}

static void *run_relay(void *ctx)
{
    struct relay *relay = ctx;
    while (!atomic_load(&relay->ends)) {
        struct pollfd polled[1 + 2 * PAIRS_MAX];
        size_t count = relay->count;
        polled[0] = (struct pollfd){.fd = relay->listener, .events = POLLIN};
        for (size_t i = 0; i < count; i++)
            for (int side = 0; side < 2; side++)
                polled[1 + 2 * i + (size_t)side] =
                    (struct pollfd){.fd = relay->pairs[i][side], .events = POLLIN};
        poll(polled, 1 + 2 * count, 20);
        for (size_t i = 0; i < count; i++)
            if (relay->pairs[i][0] >= 0)
                serve_pair(relay, i, &polled[1 + 2 * i]);
        if (polled[0].revents != 0)
            let_in(relay);
    }
    return NULL;
}

static void start_relay(struct relay *relay, pthread_t *thread)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    const char *etcd = getenv("TERCET_TEST_ETCD");
    cr_assert_not_null(etcd, "run by scripts/with-etcd");
    relay->target = atoi(strchr(etcd, ':') + 1);
    relay->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(relay->listener, (struct sockaddr *)&at, sizeof(at)), 0);
    cr_assert_eq(listen(relay->listener, 16), 0);
    cr_assert_eq(getsockname(relay->listener, (struct sockaddr *)&at, &size), 0);
    relay->port = ntohs(at.sin_port);
    cr_assert_eq(pthread_create(thread, NULL, run_relay, relay), 0);
}

static struct store *open_through(const struct relay *relay, const char *case_name)
{
    const struct tercet_store_options options = {.size = sizeof(options), .bucket_ms = 1000};
    struct store *store = NULL;
    char name[256], text[TERCET_STORE_TEXT_MAX] = "";
    snprintf(name, sizeof(name), "//127.0.0.1:%d/cut/%s-%d?lease=60s", relay->port, case_name,
             (int)getpid());
    cr_assert_eq(store_open_with(&store, &store_etcd_driver, name, &options, text), 0, "%s", text);
    return store;
}

static uint64_t batch_of(struct etcd_store *store)
{
    pthread_mutex_lock(&store->lock);
    uint64_t batch = store->batch;
    pthread_mutex_unlock(&store->lock);
    return batch;
}

static void end_relay(struct relay *relay, pthread_t thread)
{
    atomic_store(&relay->ends, true);
    pthread_join(thread, NULL);
    close(relay->listener);
}

Test(etcd_cut, a_batch_whose_answer_is_lost_is_written_once, .timeout = 120)
{
    static struct relay relay;
    struct tercet_store_lease lease;
    char live[CONTENTS_MAX];
    pthread_t thread;
    start_relay(&relay, &thread);
    struct store *store = open_through(&relay, "once");
    cr_assert_eq(store_acquire(store, 0, &lease), 0);
    uint64_t batch = batch_of(store->state);
    for (unsigned i = 1; i <= 5; i++) {
        struct tercet_store_op op = op_put(i, 0, "x");
        unsigned lost = atomic_load(&relay.lost);
        atomic_store(&relay.loses, true);
        cr_assert_eq(store_commit(store, 0, lease.epoch, &op, 1), 0);
        cr_assert_eq(batch_of(store->state), batch + i);
        /* its own upkeep may have met the cut instead: then that is asked again, too */
        cr_assert_gt(atomic_load(&relay.lost) + atomic_load(&relay.loses), lost);
    }
    cr_assert_geq(atomic_load(&relay.lost), 4);
    cr_assert_str_eq(contents_live(store, live), "1.0=x 2.0=x 3.0=x 4.0=x 5.0=x");
    store_close(store);
    end_relay(&relay, thread);
}

/* Longer than the driver's patience. */
Test(etcd_cut, a_batch_that_nobody_answers_is_unknown_until_it_is_acquired_again, .timeout = 120)
{
    static struct relay relay;
    struct tercet_store_lease lease, again;
    char live[CONTENTS_MAX];
    pthread_t thread;
    start_relay(&relay, &thread);
    struct store *store = open_through(&relay, "unknown");
    cr_assert_eq(store_acquire(store, 0, &lease), 0);
    struct tercet_store_op op = op_put(1, 0, "sure");
    cr_assert_eq(store_commit(store, 0, lease.epoch, &op, 1), 0);
    ((struct etcd_store *)store->state)->patience_ms = 1000;
    atomic_store(&relay.is_off, true);
    op = op_put(2, 0, "lost");
    cr_assert_eq(store_commit(store, 0, lease.epoch, &op, 1), TERCET_STORE_UNKNOWN);
    ((struct etcd_store *)store->state)->patience_ms = ETCD_PATIENCE_MS;
    atomic_store(&relay.is_off, false);
    cr_assert_eq(store_commit(store, 0, lease.epoch, &op, 1), TERCET_STORE_FENCED);
    cr_assert_eq(store_acquire(store, 0, &again), 0);
    cr_assert_eq(again.epoch, lease.epoch + 1);
    cr_assert_str_eq(contents_live(store, live), "1.0=sure");
    op = op_put(2, 0, "again");
    cr_assert_eq(store_commit(store, 0, again.epoch, &op, 1), 0);
    cr_assert_str_eq(contents_live(store, live), "1.0=sure 2.0=again");
    store_close(store);
    end_relay(&relay, thread);
}

/* -- An etcd that is full ---------------------------------------------------------------------- */

/* By with-etcd with a small quota (TERCET_TEST_QUOTA says so): work ends with a text, and new work
 * is refused. */
Test(etcd_full, a_full_etcd_takes_no_new_work, .timeout = 240)
{
    static unsigned char large[512 * 1024];
    const struct tercet_store_options options = {.size = sizeof(options), .bucket_ms = 1000};
    struct store *store = NULL;
    struct tercet_store_lease lease;
    struct tercet_store_stats stats = {.room_bytes = 1};
    char name[256], text[TERCET_STORE_TEXT_MAX] = "";
    int rc = 0;
    cr_assert_not_null(getenv("TERCET_TEST_QUOTA"), "run by scripts/with-etcd with a quota");
    snprintf(name, sizeof(name), "//%s/full", getenv("TERCET_TEST_ETCD"));
    cr_assert_eq(store_open_with(&store, &store_etcd_driver, name, &options, text), 0, "%s", text);
    cr_assert_eq(store_acquire(store, 0, &lease), 0);
    for (unsigned i = 1; i < 200 && rc == 0; i++) {
        struct tercet_store_op op = op_put(i, 0, "");
        op.value = large;
        op.size = sizeof(large);
        rc = store_commit(store, 0, lease.epoch, &op, 1);
    }
    cr_assert_eq(rc, TERCET_STORE_UNKNOWN);
    cr_assert_eq(etcd_upkeep_look(store->state, text), 0, "%s", text);
    cr_assert_eq(store_stats(store, &stats), 0);
    cr_assert_eq(stats.room_bytes, 0);
    cr_assert_not_null(strstr(stats.room_text, "NOSPACE"), "%s", stats.room_text);
    store_close(store);
}
