/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h: messages, tasks, the queue.
 */
#include "participant.h"

#include <stdlib.h>
#include <string.h>

struct participant_message *participant_message_new(ProtobufCMessage *message)
{
    struct participant_message *shared = malloc(sizeof(*shared));
    if (shared == NULL) {
        crpc_message_free(message);
        return NULL;
    }
    atomic_init(&shared->refs, 1);
    shared->message = message;
    return shared;
}

void participant_message_unref(struct participant_message *message)
{
    if (message == NULL || atomic_fetch_sub(&message->refs, 1) != 1)
        return;
    crpc_message_free(message->message);
    free(message);
}

struct participant_stream *participant_stream_ref(struct participant_stream *stream)
{
    atomic_fetch_add(&stream->refs, 1);
    return stream;
}

void participant_stream_unref(struct participant_stream *stream)
{
    if (stream == NULL || atomic_fetch_sub(&stream->refs, 1) != 1)
        return;
    outbox_free(stream->outbox);
    crpc_call_unref(stream->call);
    free(stream);
}

/* FNV-1a. All that happens to two branches with the same hash is that they wait for each other. */
static uint64_t branch_key(const Tercet__V1__Call *call)
{
    uint64_t key = 14695981039346656037u ^ call->branch;
    for (const char *c = call->gid; *c != '\0'; c++)
        key = (key ^ (unsigned char)*c) * 1099511628211u;
    return key;
}

struct participant_task *participant_task_new(const Tercet__V1__Call *call,
                                              struct participant_message *message)
{
    struct participant_task *task = calloc(1, sizeof(*task));
    if (task == NULL)
        return NULL;
    atomic_fetch_add(&message->refs, 1);
    task->message = message;
    task->call = call;
    task->received_ms = clock_monotonic_ms();
    task->branch_key = branch_key(call);
    return task;
}

void participant_task_free(struct participant_task *task)
{
    participant_message_unref(task->message);
    participant_stream_unref(task->stream);
    crpc_call_unref(task->execute);
    participant_deferral_free(task->deferral);
    free(task);
}

static struct participant_queue *queue_of(struct tercet_participant *participant,
                                          const struct participant_task *task)
{
    bool is_try = task->call->kind == TERCET__V1__KIND__TRY && task->deferral == NULL;
    return &participant->queues[is_try ? PARTICIPANT_TRIES : PARTICIPANT_ENDS];
}

bool participant_is_same_call(const Tercet__V1__Call *a, const Tercet__V1__Call *b)
{
    return a->kind == b->kind && a->branch == b->branch && strcmp(a->gid, b->gid) == 0;
}

/* The coordinator has given this one up, but counts its place in the window until it is answered,
 * and an instance that answers nothing as dead. */
void participant_drop_asked_again(struct participant_task *task)
{
    Tercet__V1__CallResult result = TERCET__V1__CALL_RESULT__INIT;
    if (task->execute != NULL) {
        crpc_call_fail(task->execute, CRPC_UNAVAILABLE, "asked again");
    } else {
        result.id = task->call->id;
        result.outcome = TERCET__V1__OUTCOME__AGAIN;
        result.reason = (char *)(uintptr_t) "asked again while its hook is pending";
        outbox_put(task->stream->outbox, FIELD_RESULTS, &result.base);
        outbox_flush(task->stream->outbox);
    }
    participant_task_free(task);
}

/* Whether the same call may be waiting for a hook that is finished later. It is not looked for
 * without need: the queue may be long. */
static bool may_wait_already(struct tercet_participant *participant,
                             const struct participant_task *task)
{
    return participant->has_deferred &&
           (task->call->attempt > 1 || participant_defer_is_pending(participant, task->branch_key));
}

/* The same call waits already: this copy takes its place, so that copies do not fill the window. */
static bool take_place(struct participant_queue *queue, struct participant_task *task)
{
    struct participant_task **at = &queue->first;
    while (*at != NULL && ((*at)->branch_key != task->branch_key || (*at)->deferral != NULL ||
                           !participant_is_same_call((*at)->call, task->call)))
        at = &(*at)->next;
    struct participant_task *old = *at;
    if (old == NULL)
        return false;
    *at = task;
    task->next = old->next;
    if (task->next == NULL)
        queue->last_next = &task->next;
    participant_drop_asked_again(old);
    return true;
}

void participant_push(struct tercet_participant *participant, struct participant_task *task)
{
    struct participant_queue *queue = queue_of(participant, task);
    if (may_wait_already(participant, task) && take_place(queue, task))
        return;
    task->next = NULL;
    *queue->last_next = task;
    queue->last_next = &task->next;
    participant->task_count++;
}

void participant_put_back(struct tercet_participant *participant, struct participant_task *task)
{
    struct participant_queue *queue = queue_of(participant, task);
    task->next = queue->first;
    queue->first = task;
    if (task->next == NULL)
        queue->last_next = &task->next;
    participant->task_count++;
}

void participant_unlock(struct tercet_participant *participant)
{
    bool has_work = participant->task_count > 0;
    pthread_mutex_unlock(&participant->lock);
    if (has_work)
        pthread_cond_signal(&participant->work);
}

static bool is_worked_on(const struct tercet_participant *participant,
                         const struct participant_worker *but, uint64_t key)
{
    for (uint32_t i = 0; i < participant->worker_count; i++) {
        const struct participant_worker *worker = &participant->workers[i];
        for (size_t j = 0; worker != but && j < worker->job_count; j++)
            if (worker->jobs[j].branch_key == key)
                return true;
    }
    return false;
}

static struct participant_task *unlink_task(struct tercet_participant *participant,
                                            struct participant_queue *queue,
                                            struct participant_task **at)
{
    struct participant_task *task = *at;
    *at = task->next;
    if (*at == NULL)
        queue->last_next = at;
    participant->task_count--;
    return task;
}

/* `but`: tries of this action stay; NULL: none do. */
static struct participant_task *pop_from(struct tercet_participant *participant,
                                         struct participant_queue *queue,
                                         const struct participant_worker *worker, const char *but)
{
    struct participant_task **at = &queue->first;
    while (*at != NULL) {
        if ((*at)->deferral == NULL && (*at)->stream != NULL &&
            atomic_load(&(*at)->stream->is_over)) {
            participant_task_free(unlink_task(participant, queue, at)); /* it is asked again */
            continue;
        }
        if (but != NULL && strcmp((*at)->call->action, but) == 0) {
            at = &(*at)->next;
            continue;
        }
        enum participant_turn turn = is_worked_on(participant, worker, (*at)->branch_key)
                                         ? PARTICIPANT_TURN_LATER
                                         : participant_defer_turn(participant, *at);
        if (turn == PARTICIPANT_TURN_NOW)
            return unlink_task(participant, queue, at);
        if (turn == PARTICIPANT_TURN_JOINS)
            participant_defer_join(participant, unlink_task(participant, queue, at));
        else
            at = &(*at)->next;
    }
    return NULL;
}

struct participant_task *participant_pop(struct tercet_participant *participant,
                                         const struct participant_worker *worker)
{
    struct participant_task *task = NULL;
    for (int i = 0; task == NULL && i < PARTICIPANT_QUEUES; i++)
        task = pop_from(participant, &participant->queues[i], worker, NULL);
    return task;
}

struct participant_task *participant_pop_other(struct tercet_participant *participant,
                                               const struct participant_worker *worker)
{
    struct participant_task *task =
        pop_from(participant, &participant->queues[PARTICIPANT_ENDS], worker, NULL);
    return task != NULL ? task
                        : pop_from(participant, &participant->queues[PARTICIPANT_TRIES], worker,
                                   participant->slow_action);
}
