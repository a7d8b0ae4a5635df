/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h: a worker. Takes what waits, runs it through the barrier in one go, and sends the
 * results.
 */
#include "participant.h"

#include <failpoint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFERRAL_LOOK_MS 1000 /* between two looks at what waits for hooks that are pending */

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

/* Takes the task, unless nobody waits for it any more. */
static void add_job(struct participant_worker *worker, struct participant_task *task)
{
    bool is_lost = task->stream != NULL && atomic_load(&task->stream->is_over);
    if (is_lost && task->deferral == NULL) {
        participant_task_free(task);
        return;
    }
    worker->jobs[worker->job_count++] = (struct participant_job){
        .participant = worker->participant, .task = task, .branch_key = task->branch_key};
}

/* With the lock held. What waits for a hook that is finished later comes to its turn by time, too,
 * and a call that was taken off the queue but not run may have made room for more to be read. */
static void wait_for_work(struct tercet_participant *participant)
{
    struct participant_stream *held = participant_take_held(participant);
    if (held != NULL) {
        pthread_mutex_unlock(&participant->lock);
        participant_read_on(held);
        pthread_mutex_lock(&participant->lock);
    } else if (participant->deferrals != NULL) {
        runtime_wait_until(&participant->work, &participant->lock,
                           clock_monotonic_ms() + DEFERRAL_LOOK_MS);
    } else {
        pthread_cond_wait(&participant->work, &participant->lock);
    }
}

/* The first call of a batch. *is_of_others: there is a slow action, and this is another call. */
static struct participant_task *pop(const struct participant_worker *worker, bool *is_of_others)
{
    struct tercet_participant *participant = worker->participant;
    struct participant_task *task = NULL;
    if (participant->slow_action[0] != '\0')
        task = participant_pop_other(participant, worker);
    *is_of_others = task != NULL;
    return task != NULL ? task : participant_pop(participant, worker);
}

static struct participant_task *pop_more(const struct participant_worker *worker, bool is_of_others)
{
    struct tercet_participant *participant = worker->participant;
    return is_of_others ? participant_pop_other(participant, worker)
                        : participant_pop(participant, worker);
}

/* Waits for calls. Those of a stream that is gone are dropped: the coordinator asks again. Returns
 * how many, 0 when closing. */
static size_t take_jobs(struct participant_worker *worker)
{
    struct tercet_participant *participant = worker->participant;
    struct participant_task *task = NULL;
    bool is_of_others = false;
    pthread_mutex_lock(&participant->lock);
    while (!participant->is_closing && (task = pop(worker, &is_of_others)) == NULL)
        wait_for_work(participant);
    while (task != NULL) {
        add_job(worker, task);
        bool may_more = !participant->is_closing && worker->job_count < participant->batch_max;
        task = may_more ? pop_more(worker, is_of_others) : NULL;
    }
    size_t count = worker->job_count;
    struct participant_stream *held = participant_take_held(participant);
    pthread_mutex_unlock(&participant->lock);
    participant_read_on(held);
    return count;
}

/* Where jobs were not begun for want of time, the last that was has taken it: a quick action must
 * not wait until all calls of a slow one are through. With the lock held. */
static void note_slow_action(const struct participant_worker *worker)
{
    const struct participant_job *last = NULL;
    bool is_full = false;
    for (size_t i = 0; i < worker->job_count; i++) {
        const struct participant_job *job = &worker->jobs[i];
        is_full = is_full || job->state == PARTICIPANT_JOB_WAITING;
        if (job->state == PARTICIPANT_JOB_RUN || job->state == PARTICIPANT_JOB_OUTSIDE)
            last = job;
    }
    snprintf(worker->participant->slow_action, sizeof(worker->participant->slow_action), "%s",
             is_full && last != NULL ? last->task->call->action : "");
}

/* Gives up the branches, and the jobs that were not begun for want of time: to whoever is free. */
static void release_jobs(struct participant_worker *worker)
{
    struct tercet_participant *participant = worker->participant;
    pthread_mutex_lock(&participant->lock);
    note_slow_action(worker);
    for (size_t i = worker->job_count; i-- > 0;) {
        struct participant_job *job = &worker->jobs[i];
        if (job->state == PARTICIPANT_JOB_WAITING)
            participant_put_back(participant, job->task);
        if (job->state == PARTICIPANT_JOB_WAITING || job->state == PARTICIPANT_JOB_PENDING)
            job->task = NULL;
    }
    worker->job_count = 0;
    bool has_work = participant->task_count > 0;
    pthread_mutex_unlock(&participant->lock);
    if (has_work)
        pthread_cond_broadcast(&participant->work);
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

static enum participant_job_state state_of(const struct participant_job *job)
{
    bool is_try = job->task->call->kind == TERCET__V1__KIND__TRY && job->task->deferral == NULL;
    if (job->action == NULL)
        return PARTICIPANT_JOB_NOT_SERVED;
    return is_try && participant_time_left_ms(job->task) == 0 ? PARTICIPANT_JOB_LATE
                                                              : PARTICIPANT_JOB_WAITING;
}

/* Jobs whose action is not served here, or whose time is over, stay out of the barrier. Those that
 * it gets, but does not come to before the time of a batch is over, go on waiting. */
static void run_jobs(struct participant_worker *worker, size_t count)
{
    const struct tercet_participant *participant = worker->participant;
    size_t n = 0, done = 0;
    for (size_t i = 0; i < count; i++) {
        struct participant_job *job = &worker->jobs[i];
        job->answer.kind = (enum tercet_kind)job->task->call->kind;
        job->action = find_action(participant, job->task->call->action);
        job->state = state_of(job);
        if (job->state == PARTICIPANT_JOB_WAITING && !participant_defer_concerns(job))
            worker->calls[n++] = barrier_call_of(job);
    }
    if (n > 0)
        done = tercet_barrier_run_for(participant->barrier, worker->calls, n,
                                      participant->batch_time_ms);
    for (size_t i = 0; i < count && done > 0; i++)
        if (worker->jobs[i].state == PARTICIPANT_JOB_WAITING &&
            !participant_defer_concerns(&worker->jobs[i])) {
            worker->jobs[i].state = PARTICIPANT_JOB_RUN;
            done--;
        }
}

/* Those whose hooks work outside of the database, one after the other, until the time of a batch is
 * over; at least one. */
static void run_outside(struct participant_worker *worker, size_t count)
{
    int64_t until_ms = clock_monotonic_ms() + worker->participant->batch_time_ms;
    bool has_time = true;
    for (size_t i = 0; i < count && has_time; i++) {
        struct participant_job *job = &worker->jobs[i];
        if (job->state != PARTICIPANT_JOB_WAITING || !participant_defer_concerns(job))
            continue;
        participant_run_outside(job);
        has_time = clock_monotonic_ms() < until_ms;
    }
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

static void deliver(const struct participant_job *job, Tercet__V1__CallResult *result)
{
    const struct participant_task *task = job->task;
    participant_note_answer(job->participant, task, (unsigned)result->outcome);
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
    deliver(job, &result);
}

static void tell_again(const struct participant_job *job)
{
    char text[TERCET_TEXT_MAX];
    Tercet__V1__CallResult result = TERCET__V1__CALL_RESULT__INIT;
    if (job->state == PARTICIPANT_JOB_NOT_SERVED)
        runtime_text(text, "this instance does not serve action %s", job->task->call->action);
    else
        runtime_text(text, "%s",
                     "the try waited until its time was over, and was not begun: the service has "
                     "more to do than it can");
    result.outcome = TERCET__V1__OUTCOME__AGAIN;
    result.reason = text;
    deliver(job, &result);
}

/* One flush serves all results of a stream; two streams in a batch are rare. */
static void flush_streams(const struct participant_job *jobs, size_t count)
{
    const struct participant_stream *flushed = NULL;
    for (size_t i = 0; i < count; i++) {
        if (jobs[i].task == NULL)
            continue;
        struct participant_stream *stream = jobs[i].task->stream;
        if (stream != NULL && stream != flushed)
            outbox_flush(stream->outbox);
        flushed = stream;
    }
}

static void finish_jobs(struct participant_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(jobs[i].answer.reply);
        if (jobs[i].task != NULL)
            participant_task_free(jobs[i].task);
    }
}

static void tell_all(struct participant_worker *worker, size_t count)
{
    struct tercet_barrier_call *call = worker->calls;
    for (size_t i = 0; i < count; i++) {
        struct participant_job *job = &worker->jobs[i];
        if (job->task == NULL)
            continue;
        if (job->state == PARTICIPANT_JOB_OUTSIDE) {
            tell(job, &job->outside);
            free(job->outside.reply);
            continue;
        }
        if (job->state != PARTICIPANT_JOB_RUN) {
            tell_again(job);
            continue;
        }
        tell(job, call);
        free(call->reply);
        free(call->reason);
        call++;
    }
    flush_streams(worker->jobs, count);
    finish_jobs(worker->jobs, count);
}

void *participant_work(void *ctx)
{
    struct participant_worker *worker = ctx;
    while (!is_closing(worker->participant)) {
        size_t count = take_jobs(worker);
        if (count == 0)
            continue;
        FAILPOINT("participant.call");
        run_jobs(worker, count);
        run_outside(worker, count);
        FAILPOINT("participant.after_commit");
        release_jobs(worker);
        tell_all(worker, count);
        FAILPOINT("participant.sent");
    }
    return NULL;
}
