/* SPDX-License-Identifier: Apache-2.0
 *
 * runtime.h: which process this is, and whether the thread is inside of a hook.
 */
#include "runtime.h"

#include <assert.h>
#include <stdatomic.h>

static atomic_uint fork_count;
static _Thread_local const char *hook_service;

static void after_fork_in_child(void)
{
    atomic_fetch_add(&fork_count, 1);
    hook_service = NULL;
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, after_fork_in_child);
}

unsigned tercet_runtime_fork_count(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    return atomic_load_explicit(&fork_count, memory_order_relaxed);
}

const char *tercet_runtime_hook_service(void)
{
    return hook_service;
}

void tercet_runtime_hook_enter(const char *service)
{
    assert(hook_service == NULL);
    hook_service = service;
}

void tercet_runtime_hook_leave(void)
{
    hook_service = NULL;
}
