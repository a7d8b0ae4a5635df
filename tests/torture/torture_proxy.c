/* SPDX-License-Identifier: Apache-2.0
 *
 * torture_proxy: stands between tercetd and its participants and initiators, and forwards record by
 * record. In a storm it loses, doubles, keeps back and overtakes records, delivers copies of them
 * late, and stalls, half-closes and cuts streams. What leaves the coordinator is logged
 * (witness.h). SIGUSR1: a storm begins. SIGUSR2: calm; prints "calm ..." with the storm's counts
 * when nothing is held any more. SIGHUP: delivers all late copies that are kept, and prints
 * "delivered N". SIGTERM: the end.
 */
#include "execute.h"
#include "fate.h"
#include "late.h"
#include "later.h"
#include "relay.h"
#include "witness.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wire_descriptors.h>

#define TICK_MS 20
#define TROUBLE_TICKS 50 /* of this many ticks one brings trouble to a stream */
#define STREAMS_MAX 4096

struct proxy {
    struct crpc_loop *loop;
    struct crpc_channel *back;
    struct crpc_server *server;
    char address[64];
};

static void must(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "torture_proxy: %s: %s\n", what, crpc_strerror(rc));
    exit(1);
}

static void serve(struct proxy *proxy)
{
    static const struct crpc_handler participants[] = {
        {.method = "Attach", .kind = CRPC_BIDIRECTIONAL, .on_open = relay_open_attach},
        {.method = "RegisterTarget", .kind = CRPC_UNARY, .on_request = execute_register}};
    static const struct crpc_handler participant[] = {
        {.method = "Execute", .kind = CRPC_UNARY, .on_request = execute_call}};
    static const struct crpc_handler coordinator[] = {
        {.method = "Session", .kind = CRPC_BIDIRECTIONAL, .on_open = relay_open_session}};
    const struct crpc_server_options options = {.size = sizeof(options),
                                                .concurrent_streams_max = STREAMS_MAX};
    const struct crpc_bytes descriptors = {wire_descriptors, wire_descriptors_size};
    int port = 0;
    must(crpc_server_new(&proxy->server, proxy->loop, &options), "server");
    must(crpc_server_add_descriptors(proxy->server, descriptors), "descriptors");
    must(crpc_server_add_service(proxy->server, &tercet__v1__participants__descriptor, participants,
                                 2, proxy->back),
         "Participants");
    must(crpc_server_add_service(proxy->server, &tercet__v1__participant__descriptor, participant,
                                 1, NULL),
         "Participant");
    must(crpc_server_add_service(proxy->server, &tercet__v1__coordinator__descriptor, coordinator,
                                 1, proxy->back),
         "Coordinator");
    must(crpc_server_listen(proxy->server, "127.0.0.1:0", NULL, &port), "listen");
    snprintf(proxy->address, sizeof(proxy->address), "127.0.0.1:%d", port);
    execute_open(proxy->loop, proxy->back, proxy->address);
    must(crpc_server_start(proxy->server), "start");
}

static void tick(void)
{
    if (!fate_is_storm())
        return;
    late_deliver(false);
    if (fate_random(TROUBLE_TICKS) == 0)
        relay_trouble();
}

static void calm_down(void)
{
    fate_calm();
    later_await_idle();
    fputs("calm ", stdout);
    fate_print(stdout);
    putchar('\n');
}

/* Until SIGTERM. */
static void run(const sigset_t *signals)
{
    const struct timespec pause = {.tv_nsec = TICK_MS * 1000000};
    int signal;
    while ((signal = sigtimedwait(signals, NULL, &pause)) != SIGTERM) {
        if (signal == SIGUSR1)
            fate_storm();
        else if (signal == SIGUSR2)
            calm_down();
        else if (signal == SIGHUP)
            printf("delivered %zu\n", late_deliver(true));
        else
            tick();
        fflush(stdout);
    }
}

static void close_proxy(struct proxy *proxy)
{
    later_stop();
    late_free();
    crpc_server_free(proxy->server);
    execute_free();
    crpc_channel_free(proxy->back);
    crpc_loop_free(proxy->loop);
}

int main(int argc, char **argv)
{
    static const int known[] = {SIGUSR1, SIGUSR2, SIGHUP, SIGTERM};
    struct proxy proxy = {0};
    sigset_t signals;
    if (argc != 4) {
        fputs("usage: torture_proxy COORDINATOR SEED LOG\n", stderr);
        return 2;
    }
    if (!witness_open(argv[3])) {
        perror(argv[3]);
        return 1;
    }
    sigemptyset(&signals);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        sigaddset(&signals, known[i]);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    fate_seed(strtoull(argv[2], NULL, 10));
    later_start();
    must(crpc_loop_new(&proxy.loop, NULL), "loop");
    must(crpc_channel_new(&proxy.back, proxy.loop, argv[1], NULL), argv[1]);
    serve(&proxy);
    printf("ready %s\n", proxy.address);
    fflush(stdout);
    run(&signals);
    close_proxy(&proxy);
    return 0;
}
