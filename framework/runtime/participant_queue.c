/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h: messages, tasks, the queue.
 */
#include "participant.h"

#include <stdlib.h>

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
    return task;
}

void participant_task_free(struct participant_task *task)
{
    participant_message_unref(task->message);
    participant_stream_unref(task->stream);
    crpc_call_unref(task->execute);
    free(task);
}

void participant_push(struct tercet_participant *participant, struct participant_task *task)
{
    task->next = NULL;
    *participant->last_next = task;
    participant->last_next = &task->next;
    participant->task_count++;
}

void participant_unlock(struct tercet_participant *participant)
{
    bool has_work = participant->task_count > 0;
    pthread_mutex_unlock(&participant->lock);
    if (has_work)
        pthread_cond_signal(&participant->work);
}

struct participant_task *participant_pop(struct tercet_participant *participant)
{
    struct participant_task *task = participant->first;
    if (task == NULL)
        return NULL;
    participant->first = task->next;
    if (participant->first == NULL)
        participant->last_next = &participant->first;
    participant->task_count--;
    return task;
}
