/* SPDX-License-Identifier: Apache-2.0
 *
 * The well-behaved client beside an attack: asks for the server's health, one call after the other
 * over one connection, until its standard input ends. Then it says how that went: calls, how many
 * were not answered, and the median, 99th and longest time in microseconds.
 */
#include "grpc/health/v1/health.pb-c.h"

#include <crpc/crpc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CALLS_MAX 1000000
#define TIMEOUT_MS 60000
#define PAUSE_US 500

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static struct crpc_metadata token = {.key = "authorization"};

static bool ask(struct crpc_channel *channel)
{
    const struct crpc_call_options options = {.size = sizeof(options),
                                              .timeout_ms = TIMEOUT_MS,
                                              .metadata = &token,
                                              .metadata_count = token.value.size > 0};
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    ProtobufCMessage *reply;
    int rc = crpc_unary(&reply, channel, &grpc__health__v1__health__descriptor, "Check",
                        &request.base, &options, NULL);
    if (rc == 0)
        crpc_message_free(reply);
    return rc == 0;
}

static bool is_over(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, 0) != 0;
}

static void run(struct crpc_channel *channel, int64_t *times)
{
    size_t count = 0, lost = 0;
    while (!is_over() && count < CALLS_MAX) {
        int64_t begin_us = now_us();
        lost += !ask(channel);
        times[count++] = now_us() - begin_us;
        usleep(PAUSE_US);
    }
    qsort(times, count, sizeof(times[0]), compare);
    if (count > 0)
        printf("%zu %zu %lld %lld %lld\n", count, lost, (long long)times[count / 2],
               (long long)times[count * 99 / 100], (long long)times[count - 1]);
}

/* witness TARGET CA-FILE|- [AUTHORIZATION] */
int main(int argc, char **argv)
{
    struct crpc_tls tls = {.size = sizeof(tls)};
    struct crpc_channel_options options = {.size = sizeof(options)};
    struct crpc_loop *loop;
    struct crpc_channel *channel;
    char *ca = NULL;
    int64_t *times = calloc(CALLS_MAX, sizeof(*times));

    if (argc < 3 || times == NULL ||
        (strcmp(argv[2], "-") != 0 && crpc_file_read(&ca, argv[2]) != 0))
        return 2;
    if (argc > 3)
        token.value = (struct crpc_bytes){argv[3], strlen(argv[3])};
    tls.ca = ca;
    options.tls = ca != NULL ? &tls : NULL;
    if (crpc_loop_new(&loop, NULL) != 0 || crpc_channel_new(&channel, loop, argv[1], &options) != 0)
        return 2;
    if (ask(channel)) {
        puts("ready");
        fflush(stdout);
        run(channel, times);
    }
    crpc_channel_free(channel);
    crpc_loop_free(loop);
    free(ca);
    free(times);
    return 0;
}
