/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h (public): opening, waiting, closing; and the keeper, the thread that attaches or
 * registers.
 */
#include "participant.h"

#include <assert.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

/* -- The way to the coordinator ---------------------------------------------------------------- */

bool participant_lost(struct tercet_participant *participant, const struct crpc_status *status)
{
    char text[TERCET_TEXT_MAX];
    int64_t pause_ms = runtime_pause_next(&participant->reconnect);
    if (runtime_is_denial(status->code))
        pause_ms = PARTICIPANT_DENIED_MS;
    else if (status->code == CRPC_FAILED_PRECONDITION)
        pause_ms = PARTICIPANT_MISFIT_MS;
    runtime_text(text, "%s: %s", crpc_code_name((int)status->code), status->message);
    bool is_news = !participant->is_closing &&
                   (participant->is_accepted || strcmp(text, participant->last_error) != 0);
    memcpy(participant->last_error, text, sizeof(text));
    participant->is_accepted = false;
    participant->due_ms = clock_monotonic_ms() + pause_ms;
    pthread_cond_broadcast(&participant->changed);
    return is_news;
}

void participant_accepted(struct tercet_participant *participant)
{
    if (participant->is_accepted)
        return;
    participant->is_accepted = true;
    runtime_pause_reset(&participant->reconnect);
    pthread_cond_broadcast(&participant->changed);
}

static void add_timeouts(struct participant_offer *offer, const struct tercet_action *action)
{
    Tercet__V1__ActionTimeouts *item = &offer->items[offer->timeout_count];
    if (action->call_timeout_ms == 0 && action->end_timeout_ms == 0)
        return;
    tercet__v1__action_timeouts__init(item);
    item->action = (char *)(uintptr_t)action->name;
    item->call_timeout_ms = action->call_timeout_ms;
    item->end_timeout_ms = action->end_timeout_ms;
    offer->timeouts[offer->timeout_count++] = item;
}

bool participant_offer_make(struct participant_offer *out,
                            const struct tercet_participant *participant)
{
    size_t count = participant->action_count;
    *out = (struct participant_offer){.names = calloc(count, sizeof(*out->names)),
                                      .timeouts = calloc(count, sizeof(*out->timeouts)),
                                      .items = calloc(count, sizeof(*out->items))};
    if (out->names == NULL || out->timeouts == NULL || out->items == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        out->names[i] = (char *)(uintptr_t)participant->actions[i].name;
        add_timeouts(out, &participant->actions[i]);
    }
    return true;
}

void participant_offer_clear(struct participant_offer *offer)
{
    free(offer->names);
    free(offer->timeouts);
    free(offer->items);
}

static void *keep(void *ctx)
{
    struct tercet_participant *participant = ctx;
    pthread_mutex_lock(&participant->lock);
    while (!participant->is_closing) {
        bool is_idle = participant->stream == NULL && !participant->is_registering;
        if (!is_idle || participant->due_ms > clock_monotonic_ms())
            runtime_wait_until(&participant->changed, &participant->lock,
                               is_idle ? participant->due_ms : RUNTIME_NEVER);
        else if (participant->server != NULL)
            participant_register(participant);
        else
            participant_attach(participant);
    }
    pthread_mutex_unlock(&participant->lock);
    return NULL;
}

/* -- Opening ----------------------------------------------------------------------------------- */

static const char *check_actions(const struct tercet_action *actions, size_t count)
{
    if (actions == NULL || count == 0 || count > PARTICIPANT_ACTIONS_MAX)
        return "a service has 1 to 256 actions";
    for (size_t i = 0; i < count; i++) {
        const char *why =
            actions[i].name != NULL ? check_action_name(actions[i].name) : "an action needs a name";
        if (why == NULL && (actions[i].call_timeout_ms > TERCET_TIMEOUT_MS_MAX ||
                            actions[i].end_timeout_ms > TERCET_TIMEOUT_MS_MAX))
            why = "a call's timeout is at most 30 days";
        if (why != NULL)
            return why;
        for (size_t j = 0; j < i; j++)
            if (strcmp(actions[i].name, actions[j].name) == 0)
                return "two actions have the same name";
    }
    return NULL;
}

static const char *check_options(const struct tercet_participant_options *options)
{
    if (options->barrier == NULL)
        return "the options need a barrier: tercet_barrier_sqlite_open or "
               "tercet_barrier_memory_open gives one";
    if (options->window > PARTICIPANT_WINDOW_MAX)
        return "a window is at most 65536 calls";
    if (options->batch_max > PARTICIPANT_BATCH_MAX)
        return "a batch is at most 1024 calls";
    if (options->is_sharded && options->listen != NULL)
        return "a service of several databases (is_sharded) attaches: its instances do not listen";
    if (options->version != NULL && (strlen(options->version) > PARTICIPANT_VERSION_MAX ||
                                     check_text(options->version) != NULL))
        return "a version has at most 63 bytes of UTF-8";
    if (options->workers > tercet_barrier_connections(options->barrier))
        return "more workers than the barrier has connections: each needs one (connections_max; a "
               "database with one writer, as SQLite, has one)";
    return NULL;
}

static struct tercet_participant *new_participant(const char *service,
                                                  const struct tercet_participant_options *options)
{
    struct tercet_participant *participant = calloc(1, sizeof(*participant));
    if (participant == NULL)
        return NULL;
    memcpy(participant->service, service, strlen(service) + 1);
    participant->log = (struct runtime_log){.on_log = options->on_log, .ctx = options->log_ctx};
    participant->barrier = options->barrier;
    participant->ctx = options->ctx;
    participant->window = options->window != 0 ? options->window : PARTICIPANT_WINDOW_DEFAULT;
    participant->batch_max =
        options->batch_max != 0 ? options->batch_max : PARTICIPANT_BATCH_DEFAULT;
    participant->reconnect = (struct runtime_pause){.first_ms = PARTICIPANT_RECONNECT_MS_FIRST,
                                                    .longest_ms = PARTICIPANT_RECONNECT_MS_LONGEST};
    participant->batch_time_ms =
        options->batch_time_ms != 0 ? options->batch_time_ms : PARTICIPANT_BATCH_TIME_MS_DEFAULT;
    participant->is_sharded = options->is_sharded;
    if (options->version != NULL)
        strcpy(participant->version, options->version);
    participant->defer_ms_max =
        options->defer_ms_max != 0 ? options->defer_ms_max : PARTICIPANT_DEFER_MS_DEFAULT;
    participant->worker_count =
        options->workers != 0 ? options->workers : tercet_barrier_connections(options->barrier);
    for (int i = 0; i < PARTICIPANT_QUEUES; i++)
        participant->queues[i].last_next = &participant->queues[i].first;
    pthread_mutex_init(&participant->lock, NULL);
    runtime_condition_init(&participant->work);
    runtime_condition_init(&participant->changed);
    return participant;
}

static int copy_actions(struct tercet_participant *participant, const struct tercet_action *actions,
                        size_t count)
{
    participant->actions = calloc(count, sizeof(*participant->actions));
    participant->workers = calloc(participant->worker_count, sizeof(*participant->workers));
    participant->was_deferred = calloc(count, sizeof(*participant->was_deferred));
    if (participant->actions == NULL || participant->workers == NULL ||
        participant->was_deferred == NULL)
        return TERCET_NOMEM;
    for (uint32_t i = 0; i < participant->worker_count; i++) {
        struct participant_worker *worker = &participant->workers[i];
        worker->participant = participant;
        worker->jobs = calloc(participant->batch_max, sizeof(*worker->jobs));
        worker->calls = calloc(participant->batch_max, sizeof(*worker->calls));
        if (worker->jobs == NULL || worker->calls == NULL)
            return TERCET_NOMEM;
    }
    memcpy(participant->actions, actions, count * sizeof(*actions));
    participant->action_count = count;
    for (size_t i = 0; i < count; i++)
        participant->has_deferred |= actions[i].is_deferred;
    return 0;
}

static int start_worker(struct participant_worker *worker)
{
    worker->is_started = pthread_create(&worker->thread, NULL, participant_work, worker) == 0;
    if (!worker->is_started)
        return TERCET_NOMEM;
    pthread_setname_np(worker->thread, "tercet-worker");
    return 0;
}

static int start_threads(struct tercet_participant *participant)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < participant->worker_count; i++)
        rc = start_worker(&participant->workers[i]);
    if (rc == 0)
        participant->is_keeper_started =
            pthread_create(&participant->keeper, NULL, keep, participant) == 0;
    if (!participant->is_keeper_started)
        return TERCET_NOMEM;
    pthread_setname_np(participant->keeper, "tercet-keeper");
    return 0;
}

/* Everything in order; what was begun is undone by closing. */
static int start(struct tercet_participant *participant, const char *coordinator,
                 const struct tercet_participant_options *options, char *text)
{
    struct runtime_credentials credentials = {options->token, options->tls_ca, options->tls_cert,
                                              options->tls_key, options->listen != NULL};
    int rc = tercet_barrier_identity(participant->barrier, participant->database);
    if (rc != 0) {
        runtime_text(text, "the barrier cannot tell which database it is in: %s",
                     tercet_strerror(rc));
        return rc;
    }
    rc = participant_defer_open(participant);
    if (rc != 0) {
        runtime_text(text, "the barrier's table cannot be used: %s", tercet_strerror(rc));
        return rc;
    }
    runtime_text(participant->coordinator, "%s", coordinator);
    rc = runtime_link_open(&participant->link, coordinator, &credentials, text);
    if (rc == 0 && options->listen != NULL)
        rc = participant_listen(participant, options, text);
    if (rc == 0) {
        rc = start_threads(participant);
        if (rc != 0)
            runtime_text(text, "no thread can be started");
    }
    return rc;
}

int tercet_participant_open(struct tercet_participant **out, const char *coordinator,
                            const char *service, const struct tercet_action *actions,
                            size_t action_count, const struct tercet_participant_options *given,
                            char *text)
{
    struct tercet_participant_options options;
    const char *why =
        service != NULL ? check_service(service) : "a participant needs a service's name";
    if (runtime_options_take(&options, sizeof(options), given) != 0)
        why = "the options need their size";
    if (why == NULL)
        why = check_options(&options);
    if (why == NULL)
        why = check_actions(actions, action_count);
    if (why != NULL) {
        runtime_text(text, "%s", why);
        return TERCET_INVALID;
    }
    struct tercet_participant *participant = new_participant(service, &options);
    int rc = participant != NULL ? copy_actions(participant, actions, action_count) : TERCET_NOMEM;
    if (rc == 0)
        rc = start(participant, coordinator, &options, text);
    else
        runtime_text(text, "%s", tercet_strerror(rc));
    if (rc != 0) {
        tercet_participant_close(participant);
        return rc;
    }
    *out = participant;
    return 0;
}

int tercet_participant_wait(struct tercet_participant *participant, int64_t timeout_ms, char *text)
{
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    pthread_mutex_lock(&participant->lock);
    while (!participant->is_accepted && clock_monotonic_ms() < until_ms)
        runtime_wait_until(&participant->changed, &participant->lock, until_ms);
    bool is_accepted = participant->is_accepted;
    if (!is_accepted)
        runtime_text(text, "%s",
                     participant->last_error[0] != '\0' ? participant->last_error
                                                        : "no answer yet");
    pthread_mutex_unlock(&participant->lock);
    return is_accepted ? 0 : TERCET_UNAVAILABLE;
}

static void look_at_deferrals(const struct tercet_participant *participant,
                              struct tercet_participant_view *out)
{
    int64_t now_ms = clock_monotonic_ms();
    for (const struct participant_deferral *one = participant->deferrals; one != NULL;
         one = one->next) {
        out->deferred++;
        if (now_ms - one->began_ms > out->oldest_deferred_ms)
            out->oldest_deferred_ms = now_ms - one->began_ms;
    }
}

int tercet_participant_look(struct tercet_participant *participant,
                            struct tercet_participant_view *view)
{
    struct tercet_participant_view now = {.size = view->size};
    if (view->size < sizeof(view->size))
        return TERCET_INVALID;
    pthread_mutex_lock(&participant->lock);
    now.is_accepted = participant->is_accepted;
    now.waiting = participant->task_count;
    for (uint32_t i = 0; i < participant->worker_count; i++)
        now.working += (uint32_t)participant->workers[i].job_count;
    look_at_deferrals(participant, &now);
    memcpy(now.coordinator, participant->coordinator, sizeof(now.coordinator));
    runtime_text(now.target, "%s", participant->target != NULL ? participant->target : "");
    memcpy(now.last_error, participant->last_error, sizeof(now.last_error));
    pthread_mutex_unlock(&participant->lock);
    memcpy(view, &now, view->size < sizeof(now) ? view->size : sizeof(now));
    return 0;
}

/* -- Closing ----------------------------------------------------------------------------------- */

static void stop_threads(struct tercet_participant *participant)
{
    pthread_mutex_lock(&participant->lock);
    participant->is_closing = true;
    pthread_cond_broadcast(&participant->work);
    pthread_cond_broadcast(&participant->changed);
    pthread_mutex_unlock(&participant->lock);
    for (uint32_t i = 0; participant->workers != NULL && i < participant->worker_count; i++)
        if (participant->workers[i].is_started)
            pthread_join(participant->workers[i].thread, NULL);
    if (participant->is_keeper_started)
        pthread_join(participant->keeper, NULL);
}

/* Calls that were not begun: whoever called asks again, another instance or later. */
static void drop_tasks(struct tercet_participant *participant)
{
    struct participant_task *task;
    pthread_mutex_lock(&participant->lock);
    while ((task = participant_pop(participant, NULL)) != NULL) {
        if (task->execute != NULL)
            crpc_call_fail(task->execute, CRPC_UNAVAILABLE, "this instance is closing");
        participant_task_free(task);
    }
    pthread_mutex_unlock(&participant->lock);
}

static void check_closer(const struct tercet_participant *participant)
{
    for (uint32_t i = 0; participant->workers != NULL && i < participant->worker_count; i++) {
        const struct participant_worker *worker = &participant->workers[i];
        assert(!(worker->is_started && pthread_equal(pthread_self(), worker->thread)) &&
               "a hook must not close its participant");
        (void)worker;
    }
}

static void free_workers(struct tercet_participant *participant)
{
    for (uint32_t i = 0; participant->workers != NULL && i < participant->worker_count; i++) {
        free(participant->workers[i].jobs);
        free(participant->workers[i].calls);
    }
    free(participant->workers);
}

void tercet_participant_close(struct tercet_participant *participant)
{
    if (participant == NULL)
        return;
    check_closer(participant);
    stop_threads(participant);
    participant_defer_drop_all(participant);
    drop_tasks(participant);
    participant_detach(participant);
    participant_unregister(participant);
    if (participant->server != NULL)
        crpc_server_stop(participant->server, PARTICIPANT_CLOSE_MS);
    crpc_server_free(participant->server);
    runtime_link_close(&participant->link);
    free(participant->actions);
    free(participant->was_deferred);
    free_workers(participant);
    free(participant->target);
    participant_door_close(&participant->door);
    pthread_cond_destroy(&participant->work);
    pthread_cond_destroy(&participant->changed);
    pthread_mutex_destroy(&participant->lock);
    free(participant);
}
