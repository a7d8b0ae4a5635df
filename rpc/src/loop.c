/* SPDX-License-Identifier: Apache-2.0
 *
 * The threads that poll. Nothing blocks on them.
 */
#include "loop.h"

#include "util.h"

#include <assert.h>
#include <stdlib.h>

#define POLLERS_MAX 256

static _Thread_local bool is_poller;
static atomic_bool is_forked;
static pthread_once_t watching_forks = PTHREAD_ONCE_INIT;

static void after_fork_in_child(void)
{
    atomic_store(&is_forked, true);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, after_fork_in_child);
}

bool loop_is_forked(void)
{
    return atomic_load_explicit(&is_forked, memory_order_relaxed);
}

static void *poll_run(void *arg)
{
    grpc_completion_queue *queue = arg;

    is_poller = true;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        assert(event.type == GRPC_OP_COMPLETE);
        struct tag *tag = event.tag;
        TAG_TAKE(tag);
        tag->done(tag, event.success != 0);
    }
}

static bool poller_start(struct poller *poller)
{
    poller->queue = grpc_completion_queue_create_for_next(NULL);
    if (pthread_create(&poller->thread, NULL, poll_run, poller->queue) == 0) {
        pthread_setname_np(poller->thread, "crpc-poller");
        return true;
    }
    grpc_completion_queue_shutdown(poller->queue);
    poll_run(poller->queue);
    is_poller = false;
    grpc_completion_queue_destroy(poller->queue);
    return false;
}

int crpc_loop_new(struct crpc_loop **out, const struct crpc_loop_options *given)
{
    struct crpc_loop_options options;
    if (options_copy(&options, sizeof(options), given) != 0 || options.threads > POLLERS_MAX)
        return CRPC_EINVAL;
    if (loop_is_forked())
        return CRPC_EFORKED;
    pthread_once(&watching_forks, watch_forks);
    unsigned count = options.threads > 0 ? options.threads : 1;
    struct crpc_loop *loop = calloc(1, sizeof(*loop) + count * sizeof(loop->pollers[0]));
    if (loop == NULL)
        return CRPC_ENOMEM;
    log_hook_add(loop, options.on_log, options.log_ctx);
    grpc_init();
    while (loop->poller_count < count && poller_start(&loop->pollers[loop->poller_count]))
        loop->poller_count++;
    if (loop->poller_count < count) {
        crpc_loop_free(loop);
        return CRPC_ENOMEM;
    }
    *out = loop;
    return 0;
}

void crpc_loop_free(struct crpc_loop *loop)
{
    if (loop == NULL || loop_is_forked())
        return;
    loop_assert_may_block();
    assert(atomic_load(&loop->owners) == 0 && "a loop was freed before its servers and channels");
    for (unsigned i = 0; i < loop->poller_count; i++)
        grpc_completion_queue_shutdown(loop->pollers[i].queue);
    for (unsigned i = 0; i < loop->poller_count; i++) {
        pthread_join(loop->pollers[i].thread, NULL);
        grpc_completion_queue_destroy(loop->pollers[i].queue);
    }
    grpc_shutdown();
    log_hook_remove(loop);
    free(loop);
}

grpc_completion_queue *loop_next_queue(struct crpc_loop *loop)
{
    if (loop->poller_count == 1)
        return loop->pollers[0].queue;
    unsigned turn = atomic_fetch_add_explicit(&loop->next, 1, memory_order_relaxed);
    return loop->pollers[turn % loop->poller_count].queue;
}

void loop_assert_may_block(void)
{
    assert(!is_poller && "a blocking crpc function was called from a callback");
}
