/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h: hooks that work outside of a database and may be finished later.
 *
 * Their work and the barrier's row cannot be one transaction. So two rows keep what is known: the
 * branch's own, written when the work is done, and one of the number BEGUN higher, written before a
 * try's hook first runs. A cancel runs its hook when either is there: what was begun is undone even
 * if nobody knows how it ended. Both rows end in one transaction.
 *
 * An action that was deferred once and is no longer may have left BEGUN rows: a row of the database
 * tells of such actions, and then each end looks for them.
 */
#include "participant.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/sys/barrier.h>

#define BEGUN TERCET_BARRIER_BEGUN

/* -- The barrier ------------------------------------------------------------------------------- */

/* Stands in for the hook: notes that the barrier would run it now. The hook itself runs later,
 * outside of the local transaction. */
static int note_turn(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    bool *is_turn = ctx;
    (void)call;
    (void)db;
    *is_turn = true;
    return TERCET_AGAIN;
}

static struct tercet_barrier_call call_of(const struct participant_job *job, enum tercet_kind kind,
                                          uint32_t offset)
{
    const Tercet__V1__Call *wire = job->task->call;
    return (struct tercet_barrier_call){.gid = wire->gid,
                                        .branch = wire->branch + offset,
                                        .number = wire->number,
                                        .low_water = wire->low_water,
                                        .source = wire->source,
                                        .kind = kind};
}

/* Whether the barrier would run the hook for the row at this offset; else *out is the answer. */
static bool is_turn(struct participant_job *job, enum tercet_kind kind, uint32_t offset,
                    struct tercet_barrier_call *out)
{
    bool is_turn = false;
    *out = call_of(job, kind, offset);
    out->hook = note_turn;
    out->ctx = &is_turn;
    tercet_barrier_run(job->participant->barrier, out, 1);
    return is_turn;
}

/* Makes it durable that the try's hook has begun; only then may it run. */
static bool begin_try(struct participant_job *job)
{
    struct tercet_barrier_call begun = call_of(job, TERCET_TRY, BEGUN);
    tercet_barrier_run(job->participant->barrier, &begun, 1);
    free(begun.reply);
    begun.reply = NULL;
    if (begun.result != 0)
        job->outside = begun;
    return begun.result == 0;
}

/* The branch's own row has nothing to be undone, but there may be one that says that it was begun.
 */
static bool was_begun(struct participant_job *job)
{
    struct tercet_barrier_call begun;
    bool was_begun = is_turn(job, TERCET_CANCEL, BEGUN, &begun);
    if (!was_begun && begun.result != 0)
        job->outside = begun;
    return was_begun;
}

/* Whether the hook is to be run now; else job->outside is the answer. */
static bool may_run(struct participant_job *job, enum tercet_kind kind)
{
    bool is_next = is_turn(job, kind, 0, &job->outside);
    if (kind == TERCET_TRY)
        return is_next && begin_try(job);
    if (kind == TERCET_CANCEL && !is_next && job->outside.result == 0)
        return was_begun(job);
    return is_next;
}

/* The work is done: the row says so. A copy, since the database may have it run again. */
static int save_reply(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    const struct tercet_answer *answer = ctx;
    (void)db;
    if (answer->reply_size == 0)
        return 0;
    call->reply = malloc(answer->reply_size);
    if (call->reply == NULL)
        return TERCET_NOMEM;
    memcpy(call->reply, answer->reply, answer->reply_size);
    call->reply_size = answer->reply_size;
    return 0;
}

static void keep_try(struct participant_job *job)
{
    job->outside = call_of(job, TERCET_TRY, 0);
    job->outside.hook = save_reply;
    job->outside.ctx = &job->answer;
    tercet_barrier_run(job->participant->barrier, &job->outside, 1);
}

/* Both rows, in one transaction. A branch that was tried before its action was deferred has no
 * second one. */
static void keep_end(struct participant_job *job, enum tercet_kind kind)
{
    struct tercet_barrier_call calls[] = {call_of(job, kind, 0), call_of(job, kind, BEGUN)};
    tercet_barrier_run(job->participant->barrier, calls, 2);
    job->outside = calls[0];
}

/* -- Actions that were deferred once ----------------------------------------------------------- */

/* FNV-1a of "service/name": two actions with the same one are looked after alike, no more. */
static uint64_t hash_of(const struct tercet_participant *participant, const char *action)
{
    const char *const parts[] = {participant->service, "/", action};
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        for (const char *c = parts[i]; *c != '\0'; c++)
            hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    return hash;
}

/* A call of the row, of no transaction, that says so of an action. */
static struct tercet_barrier_call mark_of(const struct tercet_participant *participant,
                                          const struct tercet_action *action,
                                          char gid[TERCET_GID_MAX + 1])
{
    snprintf(gid, TERCET_GID_MAX + 1, "tercet.deferred:%016" PRIx64,
             hash_of(participant, action->name));
    return (struct tercet_barrier_call){.gid = gid, .branch = 1, .kind = TERCET_TRY};
}

/* The row is there from now on: confirmed, so that nobody takes it for work that was left. */
static int set_mark(struct tercet_participant *participant, const struct tercet_action *action)
{
    char gid[TERCET_GID_MAX + 1];
    struct tercet_barrier_call calls[2] = {mark_of(participant, action, gid),
                                           mark_of(participant, action, gid)};
    calls[1].kind = TERCET_CONFIRM;
    tercet_barrier_run(participant->barrier, calls, 2);
    free(calls[0].reply);
    return calls[1].result;
}

/* A try runs its hook where there is no row, and then leaves none. */
static int has_mark(struct tercet_participant *participant, const struct tercet_action *action,
                    bool *has_mark)
{
    char gid[TERCET_GID_MAX + 1];
    bool is_missing = false;
    struct tercet_barrier_call call = mark_of(participant, action, gid);
    call.hook = note_turn;
    call.ctx = &is_missing;
    tercet_barrier_run(participant->barrier, &call, 1);
    free(call.reply);
    *has_mark = !is_missing;
    return is_missing ? 0 : call.result;
}

int participant_defer_open(struct tercet_participant *participant)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < participant->action_count; i++) {
        const struct tercet_action *action = &participant->actions[i];
        if (action->is_deferred)
            rc = set_mark(participant, action);
        else
            rc = has_mark(participant, action, &participant->was_deferred[i]);
    }
    return rc;
}

bool participant_defer_concerns(const struct participant_job *job)
{
    const struct tercet_participant *participant = job->participant;
    return job->action->is_deferred ||
           (participant->was_deferred[job->action - participant->actions] &&
            job->task->call->kind != TERCET__V1__KIND__TRY);
}

static bool is_begun(struct participant_job *job)
{
    struct tercet_barrier_call begun;
    return is_turn(job, TERCET_CONFIRM, BEGUN, &begun); /* which writes no row where none is */
}

static void run_plain(struct participant_job *job, enum tercet_kind kind, uint32_t offset,
                      tercet_barrier_hook hook)
{
    job->outside = call_of(job, kind, offset);
    job->outside.hook = hook;
    job->outside.ctx = job;
    tercet_barrier_run(job->participant->barrier, &job->outside, 1);
}

/* What was begun outside and is not known to have ended is undone by today's cancel, too, once: by
 * the BEGUN row where that is alone, else by the branch's own. */
static void cancel_plain(struct participant_job *job)
{
    bool is_tried = is_turn(job, TERCET_CANCEL, 0, &job->outside);
    if (!is_tried && job->outside.result != 0)
        return;
    if (is_begun(job)) {
        run_plain(job, TERCET_CANCEL, BEGUN, is_tried ? NULL : participant_hook);
        if (job->outside.result != 0)
            return;
    }
    if (is_tried)
        run_plain(job, TERCET_CANCEL, 0, participant_hook);
}

static void confirm_plain(struct participant_job *job)
{
    run_plain(job, TERCET_CONFIRM, 0, participant_hook);
    struct tercet_barrier_call begun = call_of(job, TERCET_CONFIRM, BEGUN);
    if (job->outside.result != 0)
        return;
    tercet_barrier_run(job->participant->barrier, &begun, 1);
    if (begun.result == TERCET_STORE)
        job->outside.result = TERCET_STORE; /* asked again, it is found confirmed */
}

/* -- Pending hooks ----------------------------------------------------------------------------- */

static struct participant_deferral **find(struct tercet_participant *participant, uint64_t id)
{
    struct participant_deferral **link = &participant->deferrals;
    while (*link != NULL && (*link)->id != id)
        link = &(*link)->next;
    return link;
}

/* With the lock held. */
static struct participant_deferral *take(struct participant_deferral **link)
{
    struct participant_deferral *deferral = *link;
    *link = deferral->next;
    deferral->next = NULL;
    return deferral;
}

void participant_deferral_free(struct participant_deferral *deferral)
{
    if (deferral != NULL)
        free(deferral->reply);
    free(deferral);
}

/* The hook has deferred, but returned a result all the same: that counts. */
static void forget_deferral(struct participant_job *job)
{
    struct tercet_participant *participant = job->participant;
    pthread_mutex_lock(&participant->lock);
    struct participant_deferral **link = find(participant, job->answer.deferral_id);
    if (*link != NULL)
        participant_deferral_free(take(link));
    pthread_mutex_unlock(&participant->lock);
}

/* -- Results ----------------------------------------------------------------------------------- */

/* Done outside, but cancelled meanwhile, by another instance: it is undone. */
static void undo(struct participant_job *job)
{
    job->answer.kind = TERCET_CANCEL;
    int code = participant_run_hook(job, TERCET_CANCEL, NULL);
    if (job->answer.deferral_id != 0)
        forget_deferral(job); /* the call is answered: nobody waits for the end of it */
    if (code != 0 && code != TERCET_DEFERRED)
        runtime_log(&job->participant->log, TERCET_LOG_ERROR,
                    "participant %s: the try of branch %u of transaction %s was done after its "
                    "cancel, and could not be undone: %s",
                    job->participant->service, job->task->call->branch, job->task->call->gid,
                    job->answer.text[0] != '\0' ? job->answer.text : tercet_strerror(code));
}

/* What the hook, or tercet_finish, has said is kept, and becomes the call's result. */
static void settle(struct participant_job *job, enum tercet_kind kind, int code)
{
    job->hook_code = code;
    if (code == 0 && kind == TERCET_TRY) {
        keep_try(job);
        if (job->outside.result == TERCET_REFUSED)
            undo(job);
        return;
    }
    if (code == 0)
        keep_end(job, kind);
    else if (code == TERCET_REFUSED) /* nothing was done: nothing is to be undone */
        keep_end(job, TERCET_CANCEL);
    if (code != 0 && (code != TERCET_REFUSED || job->outside.result == 0))
        job->outside.result = code;
}

/* -- Those that are pending -------------------------------------------------------------------- */

static struct participant_deferral **find_branch(struct tercet_participant *participant,
                                                 uint64_t key)
{
    struct participant_deferral **link = &participant->deferrals;
    while (*link != NULL && (*link)->branch_key != key)
        link = &(*link)->next;
    return link;
}

/* The coordinator has asked again: who asked last is told. */
static void join(struct participant_deferral *deferral, struct participant_task *task)
{
    struct participant_task *old = deferral->task;
    deferral->task = task;
    participant_drop_asked_again(old);
}

bool participant_defer_is_pending(struct tercet_participant *participant, uint64_t branch_key)
{
    return *find_branch(participant, branch_key) != NULL;
}

enum participant_turn participant_defer_turn(struct tercet_participant *participant,
                                             struct participant_task *task)
{
    struct participant_deferral **link = find_branch(participant, task->branch_key);
    struct participant_deferral *deferral = *link;
    if (deferral == NULL || task->deferral != NULL)
        return PARTICIPANT_TURN_NOW;
    if (clock_monotonic_ms() - deferral->began_ms > (int64_t)participant->defer_ms_max) {
        take(link);
        runtime_log(&participant->log, TERCET_LOG_WARNING,
                    "participant %s: tercet_finish has not come for %u ms: the hook is run again "
                    "(branch %u of transaction %s)",
                    participant->service, participant->defer_ms_max, task->call->branch,
                    task->call->gid);
        participant_task_free(deferral->task);
        participant_deferral_free(deferral);
        return PARTICIPANT_TURN_NOW;
    }
    if (!participant_is_same_call(deferral->task->call, task->call))
        return PARTICIPANT_TURN_LATER;
    return PARTICIPANT_TURN_JOINS;
}

void participant_defer_join(struct tercet_participant *participant, struct participant_task *task)
{
    join(*find_branch(participant, task->branch_key), task);
}

void participant_defer_drop_all(struct tercet_participant *participant)
{
    pthread_mutex_lock(&participant->lock);
    while (participant->deferrals != NULL) {
        struct participant_deferral *deferral = take(&participant->deferrals);
        if (deferral->task->execute != NULL)
            crpc_call_fail(deferral->task->execute, CRPC_UNAVAILABLE, "this instance is closing");
        participant_task_free(deferral->task);
        participant_deferral_free(deferral);
    }
    pthread_mutex_unlock(&participant->lock);
}

/* -- Working ----------------------------------------------------------------------------------- */

/* The hook has returned TERCET_DEFERRED. *out is the deferral if it has been finished meanwhile.
 * false: the hook has never called tercet_defer. */
static bool hand_over(struct participant_job *job, struct participant_deferral **out)
{
    struct tercet_participant *participant = job->participant;
    *out = NULL;
    pthread_mutex_lock(&participant->lock);
    struct participant_deferral **link = find(participant, job->answer.deferral_id);
    bool is_there = job->answer.deferral_id != 0 && *link != NULL;
    if (is_there && (*link)->is_finished)
        *out = take(link);
    else if (is_there)
        (*link)->has_returned = true;
    pthread_mutex_unlock(&participant->lock);
    return is_there;
}

static void take_finish(struct participant_job *job, struct participant_deferral *deferral,
                        enum tercet_kind kind)
{
    free(job->answer.reply);
    job->answer = (struct tercet_answer){.kind = kind, .job = job};
    job->answer.reply = deferral->reply;
    job->answer.reply_size = deferral->reply_size;
    deferral->reply = NULL;
    copy_text(job->answer.text, deferral->text);
    settle(job, kind, deferral->code);
    participant_deferral_free(deferral);
}

static void run_hook(struct participant_job *job, enum tercet_kind kind)
{
    struct participant_deferral *finished = NULL;
    int code = participant_run_hook(job, kind, NULL);
    if (code == TERCET_DEFERRED && hand_over(job, &finished)) {
        job->state = finished == NULL ? PARTICIPANT_JOB_PENDING : PARTICIPANT_JOB_OUTSIDE;
        if (finished != NULL)
            take_finish(job, finished, kind);
        return;
    }
    if (job->answer.deferral_id != 0)
        forget_deferral(job);
    if (code == TERCET_DEFERRED) {
        copy_text(job->answer.text, "the hook returned TERCET_DEFERRED without tercet_defer");
        code = TERCET_AGAIN;
    }
    settle(job, kind, code);
}

static bool is_pending(struct participant_job *job)
{
    pthread_mutex_lock(&job->participant->lock);
    bool is_pending = participant_defer_is_pending(job->participant, job->branch_key);
    pthread_mutex_unlock(&job->participant->lock);
    return is_pending;
}

void participant_run_outside(struct participant_job *job)
{
    struct participant_deferral *finished = job->task->deferral;
    enum tercet_kind kind = (enum tercet_kind)job->task->call->kind;
    if (finished == NULL && is_pending(job)) {
        job->state = PARTICIPANT_JOB_WAITING; /* deferred in this very batch */
        return;
    }
    job->state = PARTICIPANT_JOB_OUTSIDE;
    job->task->deferral = NULL;
    if (finished != NULL)
        take_finish(job, finished, kind);
    else if (!job->action->is_deferred && kind == TERCET_CANCEL)
        cancel_plain(job);
    else if (!job->action->is_deferred)
        confirm_plain(job);
    else if (may_run(job, kind))
        run_hook(job, kind);
}

/* -- For the application ----------------------------------------------------------------------- */

static struct participant_deferral *new_deferral(struct participant_job *job)
{
    struct participant_deferral *deferral = calloc(1, sizeof(*deferral));
    if (deferral == NULL)
        return NULL;
    deferral->task = job->task;
    deferral->branch_key = job->branch_key;
    deferral->began_ms = clock_monotonic_ms();
    pthread_mutex_lock(&job->participant->lock);
    deferral->id = ++job->participant->deferral_count;
    deferral->next = job->participant->deferrals;
    job->participant->deferrals = deferral;
    pthread_mutex_unlock(&job->participant->lock);
    return deferral;
}

int tercet_defer(const struct tercet_call *call, struct tercet_deferred *out)
{
    struct participant_job *job = call->answer->job;
    if (job == NULL || !job->action->is_deferred)
        return tercet_again(call, "tercet_defer is for actions that say is_deferred");
    if (job->answer.deferral_id != 0)
        return tercet_again(call, "the hook called tercet_defer twice");
    struct participant_deferral *deferral = new_deferral(job);
    if (deferral == NULL)
        return TERCET_NOMEM;
    job->answer.deferral_id = deferral->id;
    *out = (struct tercet_deferred){.id = deferral->id};
    return TERCET_DEFERRED;
}

static int fill(struct participant_deferral *deferral, int code, struct tercet_bytes reply,
                const char *text)
{
    enum tercet_kind kind = (enum tercet_kind)deferral->task->call->kind;
    if (code == 0 && kind == TERCET_TRY && reply.size > 0) {
        deferral->reply = malloc(reply.size);
        if (deferral->reply == NULL)
            return TERCET_NOMEM;
        memcpy(deferral->reply, reply.data, reply.size);
        deferral->reply_size = reply.size;
    }
    struct tercet_answer answer = {.kind = kind};
    if (text != NULL)
        answer_say(&answer, text);
    memcpy(deferral->text, answer.text, sizeof(deferral->text));
    deferral->code = answer_code(&answer, code, kind);
    deferral->is_finished = true;
    return 0;
}

/* It is a worker's turn, before all else that waits. */
static void put_finished(struct tercet_participant *participant, struct participant_deferral **link)
{
    struct participant_deferral *deferral = take(link);
    deferral->task->deferral = deferral;
    participant_put_back(participant, deferral->task);
}

int tercet_finish(struct tercet_participant *participant, struct tercet_deferred deferred, int code,
                  struct tercet_bytes reply, const char *text)
{
    if (reply.size > TERCET_REPLY_MAX || (reply.size > 0 && reply.data == NULL) ||
        code == TERCET_DEFERRED)
        return TERCET_INVALID;
    pthread_mutex_lock(&participant->lock);
    struct participant_deferral **link = find(participant, deferred.id);
    int rc = 0;
    if (participant->is_closing)
        rc = TERCET_CLOSED;
    else if (deferred.id == 0 || *link == NULL || (*link)->is_finished)
        rc = TERCET_NOT_FOUND;
    else
        rc = fill(*link, code, reply, text);
    if (rc == 0 && (*link)->has_returned)
        put_finished(participant, link);
    participant_unlock(participant);
    return rc;
}
