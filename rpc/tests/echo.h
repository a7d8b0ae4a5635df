/* SPDX-License-Identifier: Apache-2.0
 *
 * What the suites share: a loop, an Echo server, a channel to it, and waits that end.
 *
 * The server does as the request's text says, see echo.c.
 */
#ifndef CRPC_TEST_ECHO_H
#define CRPC_TEST_ECHO_H

#include "crpc_test.pb-c.h"

#include <crpc/crpc.h>
#include <pthread.h>
#include <time.h>

#define WAIT_S 20

/* Something that happens on another thread, counted, and waited for with a time limit. */
struct event {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int count;
};

#define EVENT_INIT                                                                                 \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0                                     \
    }

void event_post(struct event *event);
/* Waits until it has happened `count` times; false after WAIT_S. */
bool event_wait(struct event *event, int count);
/* False when it has not happened `count` times after so many ms. */
bool event_wait_ms(struct event *event, int count, int ms);
int event_count(struct event *event);

/* What the server has seen. */
struct echo_log {
    struct event opened;      /* a handler was called */
    struct event half_closed; /* by the client of an Up */
    struct event ended;       /* on_end of a call whose handler set events */
    int last_code;            /* of on_end */
    struct crpc_call *held;   /* by "hold"; a reference */
};

struct echo {
    struct crpc_loop *loop;
    struct crpc_server *server;
    struct crpc_channel *channel;
    struct echo_log log;
    int port;
    char target[64];
};

extern const struct crpc_handler echo_handlers[];
extern const size_t echo_handler_count;

/* A server at a port of its own with all four kinds, and a channel; both with options, NULL for
 * default. Asserts. */
void echo_start(struct echo *echo, const struct crpc_server_options *server,
                const struct crpc_channel_options *channel);
void echo_start_threads(struct echo *echo, unsigned threads);
void echo_stop(struct echo *echo);

/* Adds descriptors and the Echo service with `log` as ctx. */
void echo_add_service(struct crpc_server *server, struct echo_log *log);

/* A blocking unary call of Echo.Unary with this text; the reply's text is put into `reply` (may be
 * NULL). */
int echo_unary(struct crpc_channel *channel, const char *text, char *reply, size_t reply_size,
               struct crpc_result *result, const struct crpc_call_options *options);

#endif
