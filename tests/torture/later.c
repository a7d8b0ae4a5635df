/* SPDX-License-Identifier: Apache-2.0
 *
 * later.h: a heap and a thread.
 */
#include "later.h"

#include <clock.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct item {
    int64_t due_ms;
    uint64_t number;
    later_fn fn;
    void *ctx;
};

static struct {
    pthread_mutex_t lock; /* over all below */
    pthread_cond_t changed;
    pthread_cond_t idled; /* nothing waits and nothing is being done */
    pthread_t thread;
    struct item *items; /* a heap: none is before its parent, (i - 1) / 2 */
    size_t count, room;
    uint64_t number;
    bool is_busy; /* with one that is not in the heap any more */
    bool is_over;
} later = {.lock = PTHREAD_MUTEX_INITIALIZER, .idled = PTHREAD_COND_INITIALIZER};

static bool is_before(const struct item *a, const struct item *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->number < b->number;
}

static void swap(size_t i, size_t j)
{
    struct item item = later.items[i];
    later.items[i] = later.items[j];
    later.items[j] = item;
}

static void push(const struct item *item)
{
    if (later.count == later.room) {
        later.room = later.room == 0 ? 1024 : 2 * later.room;
        later.items = realloc(later.items, later.room * sizeof(*later.items));
        if (later.items == NULL)
            abort();
    }
    size_t i = later.count++;
    later.items[i] = *item;
    for (; i > 0 && is_before(&later.items[i], &later.items[(i - 1) / 2]); i = (i - 1) / 2)
        swap(i, (i - 1) / 2);
}

static struct item pop(void)
{
    struct item first = later.items[0];
    later.items[0] = later.items[--later.count];
    for (size_t i = 0, child; (child = 2 * i + 1) < later.count; i = child) {
        if (child + 1 < later.count && is_before(&later.items[child + 1], &later.items[child]))
            child++;
        if (!is_before(&later.items[child], &later.items[i]))
            break;
        swap(i, child);
    }
    return first;
}

static void wait_for(int64_t due_ms)
{
    const struct timespec time = {.tv_sec = due_ms / 1000, .tv_nsec = due_ms % 1000 * 1000000};
    pthread_cond_timedwait(&later.changed, &later.lock, &time);
}

static void *run(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&later.lock);
    while (!later.is_over || later.count > 0) {
        if (later.count == 0) {
            pthread_cond_wait(&later.changed, &later.lock);
        } else if (!later.is_over && later.items[0].due_ms > clock_monotonic_ms()) {
            wait_for(later.items[0].due_ms);
        } else {
            struct item item = pop();
            bool is_over = later.is_over;
            later.is_busy = true;
            pthread_mutex_unlock(&later.lock);
            item.fn(item.ctx, is_over);
            pthread_mutex_lock(&later.lock);
            later.is_busy = false;
            if (later.count == 0)
                pthread_cond_broadcast(&later.idled);
        }
    }
    pthread_mutex_unlock(&later.lock);
    return NULL;
}

void later_start(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&later.changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&later.thread, NULL, run, NULL) != 0)
        abort();
}

void later_stop(void)
{
    pthread_mutex_lock(&later.lock);
    later.is_over = true;
    pthread_cond_signal(&later.changed);
    pthread_mutex_unlock(&later.lock);
    pthread_join(later.thread, NULL);
    free(later.items);
}

void later_do(uint64_t ms, later_fn fn, void *ctx)
{
    pthread_mutex_lock(&later.lock);
    struct item item = {.due_ms = clock_monotonic_ms() + (int64_t)ms,
                        .number = later.number++,
                        .fn = fn,
                        .ctx = ctx};
    push(&item);
    pthread_cond_signal(&later.changed);
    pthread_mutex_unlock(&later.lock);
}

void later_await_idle(void)
{
    pthread_mutex_lock(&later.lock);
    while (later.count > 0 || later.is_busy)
        pthread_cond_wait(&later.idled, &later.lock);
    pthread_mutex_unlock(&later.lock);
}
