/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h: the worker. Takes what waits, runs it through the barrier in one go, and sends the
 * results.
 */
#include "participant.h"

#include <failpoint.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_RESULTS 2u /* of AttachRequest */

/* -- Taking ------------------------------------------------------------------------------------ */

/* The action in "service/name"; NULL when it is not served here. */
static const struct tercet_action *find_action(const struct tercet_participant *participant,
                                               const char *action)
{
    size_t size = strlen(participant->service);
    if (strncmp(action, participant->service, size) != 0 || action[size] != '/')
        return NULL;
    for (size_t i = 0; i < participant->action_count; i++)
        if (strcmp(participant->actions[i].name, action + size + 1) == 0)
            return &participant->actions[i];
    return NULL;
}

/* Waits for calls. Those of a stream that is gone are dropped: the coordinator asks again. Returns
 * how many, 0 when closing. */
static size_t take_jobs(struct tercet_participant *participant)
{
    size_t count = 0;
    pthread_mutex_lock(&participant->lock);
    while (participant->task_count == 0 && !participant->is_closing)
        pthread_cond_wait(&participant->work, &participant->lock);
    while (!participant->is_closing && count < participant->batch_max &&
           participant->task_count > 0) {
        struct participant_task *task = participant_pop(participant);
        participant->jobs[count] =
            (struct participant_job){.participant = participant, .task = task};
        if (task->stream != NULL && atomic_load(&task->stream->is_over))
            participant_task_free(task);
        else
            count++;
    }
    struct participant_stream *held = participant_take_held(participant);
    pthread_mutex_unlock(&participant->lock);
    participant_read_on(held);
    return count;
}

static bool is_closing(struct tercet_participant *participant)
{
    pthread_mutex_lock(&participant->lock);
    bool is_closing = participant->is_closing;
    pthread_mutex_unlock(&participant->lock);
    return is_closing;
}

/* -- Running ----------------------------------------------------------------------------------- */

static struct tercet_barrier_call barrier_call_of(struct participant_job *job)
{
    const Tercet__V1__Call *call = job->task->call;
    return (struct tercet_barrier_call){
        .gid = call->gid,
        .branch = call->branch,
        .number = call->number,
        .low_water = call->low_water,
        .source = call->source,
        .kind = (enum tercet_kind)call->kind,
        .alone = job->action->is_alone,
        .hook = participant_hook,
        .ctx = job,
    };
}

/* Jobs whose action is not served here stay out of the barrier. */
static void run_jobs(struct tercet_participant *participant, size_t count)
{
    struct tercet_barrier_call *calls = participant->barrier_calls;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct participant_job *job = &participant->jobs[i];
        job->answer.kind = (enum tercet_kind)job->task->call->kind;
        job->action = find_action(participant, job->task->call->action);
        if (job->action != NULL)
            calls[n++] = barrier_call_of(job);
    }
    if (n > 0)
        tercet_barrier_run(participant->barrier, calls, n);
}

/* -- Telling ----------------------------------------------------------------------------------- */

static Tercet__V1__Outcome outcome_of(int result)
{
    switch (result) {
    case 0:
        return TERCET__V1__OUTCOME__DONE;
    case TERCET_REFUSED:
        return TERCET__V1__OUTCOME__REFUSAL;
    case TERCET_BROKEN:
        return TERCET__V1__OUTCOME__BROKEN;
    default:
        return TERCET__V1__OUTCOME__AGAIN;
    }
}

static void deliver(const struct participant_task *task, Tercet__V1__CallResult *result)
{
    result->id = task->call->id;
    if (task->execute != NULL)
        crpc_call_reply(task->execute, &result->base);
    else /* refused when the stream is over: then the coordinator asks again */
        outbox_put(task->stream->outbox, FIELD_RESULTS, &result->base);
}

static void tell(struct participant_job *job, const struct tercet_barrier_call *call)
{
    Tercet__V1__CallResult result = TERCET__V1__CALL_RESULT__INIT;
    result.outcome = outcome_of(call->result);
    if (call->result == 0) {
        result.reply.data = call->reply;
        result.reply.len = call->reply_size;
    } else {
        result.reason = (char *)(uintptr_t)answer_reason(&job->answer, job->hook_code, call);
    }
    deliver(job->task, &result);
}

static void tell_not_served(const struct participant_job *job)
{
    char text[TERCET_TEXT_MAX];
    Tercet__V1__CallResult result = TERCET__V1__CALL_RESULT__INIT;
    runtime_text(text, "this instance does not serve action %s", job->task->call->action);
    result.outcome = TERCET__V1__OUTCOME__AGAIN;
    result.reason = text;
    deliver(job->task, &result);
}

static void finish_job(struct participant_job *job)
{
    free(job->answer.reply);
    participant_task_free(job->task);
}

/* One flush serves all results of a stream; two streams in a batch are rare. */
static void flush_streams(const struct participant_job *jobs, size_t count)
{
    const struct participant_stream *flushed = NULL;
    for (size_t i = 0; i < count; i++) {
        struct participant_stream *stream = jobs[i].task->stream;
        if (stream != NULL && stream != flushed)
            outbox_flush(stream->outbox);
        flushed = stream;
    }
}

static void tell_all(struct tercet_participant *participant, size_t count)
{
    struct tercet_barrier_call *call = participant->barrier_calls;
    for (size_t i = 0; i < count; i++) {
        if (participant->jobs[i].action == NULL) {
            tell_not_served(&participant->jobs[i]);
            continue;
        }
        tell(&participant->jobs[i], call);
        free(call->reply);
        call++;
    }
    flush_streams(participant->jobs, count);
    for (size_t i = 0; i < count; i++)
        finish_job(&participant->jobs[i]);
}

void *participant_work(void *ctx)
{
    struct tercet_participant *participant = ctx;
    while (!is_closing(participant)) {
        size_t count = take_jobs(participant);
        if (count == 0)
            continue;
        FAILPOINT("participant.call");
        run_jobs(participant, count);
        FAILPOINT("participant.after_commit");
        tell_all(participant, count);
        FAILPOINT("participant.sent");
    }
    return NULL;
}
