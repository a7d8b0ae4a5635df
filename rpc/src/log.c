/* SPDX-License-Identifier: Apache-2.0
 *
 * The gRPC library's log, rate-limited: a port scan makes it write a line a connection. The hook is
 * one for the process and belongs to the first loop; it must be in place before grpc_init.
 */
#include "core_version.h"
#include "loop.h"

#include <stdio.h>
#include <time.h>

#define LINES_PER_SECOND_MAX 20

static struct {
    pthread_mutex_t lock;
    struct crpc_loop *owner;
    crpc_log_fn on_log;
    void *ctx;
    time_t second;
    unsigned lines; /* in this second */
    unsigned dropped;
} hook = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void log_to_stderr(bool is_error, const char *text, void *ctx)
{
    (void)ctx;
    fprintf(stderr, "grpc: %s: %s\n", is_error ? "error" : "info", text);
}

/* True when this line may be written; tells of the dropped ones when a new second begins. */
static bool take_line(void)
{
    struct timespec now;
    char text[64];

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec != hook.second) {
        if (hook.dropped > 0) {
            snprintf(text, sizeof(text), "%u lines more were dropped", hook.dropped);
            hook.on_log(true, text, hook.ctx);
        }
        hook.second = now.tv_sec;
        hook.lines = 0;
        hook.dropped = 0;
    }
    if (hook.lines < LINES_PER_SECOND_MAX) {
        hook.lines++;
        return true;
    }
    hook.dropped++;
    return false;
}

static void on_line(bool is_error, const char *text)
{
    pthread_mutex_lock(&hook.lock);
    if (hook.on_log == NULL)
        hook.on_log = log_to_stderr;
    if (take_line())
        hook.on_log(is_error, text, hook.ctx);
    pthread_mutex_unlock(&hook.lock);
}

void log_hook_add(struct crpc_loop *loop, crpc_log_fn on_log, void *ctx)
{
    pthread_mutex_lock(&hook.lock);
    if (hook.owner == NULL) {
        hook.owner = loop;
        hook.on_log = on_log != NULL ? on_log : log_to_stderr;
        hook.ctx = ctx;
        core_set_log(on_line);
    }
    pthread_mutex_unlock(&hook.lock);
}

void log_hook_remove(struct crpc_loop *loop)
{
    pthread_mutex_lock(&hook.lock);
    if (hook.owner == loop) {
        hook.owner = NULL;
        hook.on_log = log_to_stderr;
        hook.ctx = NULL;
    }
    pthread_mutex_unlock(&hook.lock);
}
