/* SPDX-License-Identifier: Apache-2.0
 *
 * queue.h
 */
#include "queue.h"

#include "caller.h"
#include "service.h"

#include <stdlib.h>
#include <time.h>

struct event *event_new(enum event_kind kind)
{
    struct event *event = calloc(1, sizeof(*event));
    if (event != NULL)
        event->kind = kind;
    return event;
}

void event_free(struct event *event)
{
    budget_give_in(event->budget, event->budget_group, event->budget_size);
    caller_unref(event->caller); /* after that: the group is its peer's */
    instance_unref(event->instance);
    crpc_message_free(event->message);
    free(event);
}

void queue_init(struct queue *queue)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    queue->first = NULL;
    queue->last_next = &queue->first;
    queue->count = 0;
    queue->is_busy = false;
}

void queue_destroy(struct queue *queue)
{
    while (queue->first != NULL) {
        struct event *event = queue->first;
        queue->first = event->next;
        event_free(event);
    }
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
}

/* With the lock held. Returns whether the owner is to be woken. */
static bool append(struct queue *queue, struct event *event)
{
    bool was_empty = queue->first == NULL;
    event->next = NULL;
    *queue->last_next = event;
    queue->last_next = &event->next;
    queue->count++;
    return was_empty;
}

void queue_post(struct queue *queue, struct event *event)
{
    pthread_mutex_lock(&queue->lock);
    bool was_empty = append(queue, event);
    pthread_mutex_unlock(&queue->lock);
    if (was_empty) /* after unlocking, or the owner would wake up and wait for the lock */
        pthread_cond_signal(&queue->changed);
}

bool queue_post_message(struct queue *queue, struct event *event, size_t size)
{
    pthread_mutex_lock(&queue->lock);
    bool reads_ahead =
        queue->is_busy && size <= READ_AHEAD_BYTES && queue->count < READ_AHEAD_EVENTS;
    event->is_read_ahead = reads_ahead;
    bool was_empty = append(queue, event);
    pthread_mutex_unlock(&queue->lock);
    if (was_empty)
        pthread_cond_signal(&queue->changed);
    return reads_ahead;
}

struct event *queue_take(struct queue *queue, int64_t until_ms, bool is_busy)
{
    struct timespec until = clock_timespec(until_ms);
    int rc = 0;
    pthread_mutex_lock(&queue->lock);
    queue->is_busy = is_busy;
    while (queue->first == NULL && rc == 0)
        rc = until_ms == INT64_MAX ? pthread_cond_wait(&queue->changed, &queue->lock)
                                   : pthread_cond_timedwait(&queue->changed, &queue->lock, &until);
    struct event *events = queue->first;
    queue->first = NULL;
    queue->last_next = &queue->first;
    queue->count = 0;
    pthread_mutex_unlock(&queue->lock);
    return events;
}
