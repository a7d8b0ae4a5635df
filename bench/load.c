/* SPDX-License-Identifier: Apache-2.0
 *
 * The load's process. Without a rate each slot starts its next transaction when the last has ended;
 * with one, a thread starts them when they are due, and time counts from then (else a slow answer
 * would hide those that it held up: "coordinated omission").
 */
#include "load.h"

#include "observer.h"
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OTHER_WAIT_EVERY 16 /* one transaction in so many waits for what --wait does not say */
#define DRAIN_TIMEOUT_S 90
#define TICK_NS 200000

/* -- Transactions ------------------------------------------------------------------------------ */

enum outcome load_outcome(int code, enum tercet_state state)
{
    if (code == 0)
        return OUTCOME_CONFIRMED;
    if (code == TERCET_REFUSED || state == TERCET_CANCELLING || state == TERCET_CANCELLED)
        return OUTCOME_CANCELLED;
    return OUTCOME_UNKNOWN;
}

struct tercet_branch load_branch(const struct slot *slot, uint32_t number)
{
    const struct load *load = slot->load;
    return (struct tercet_branch){
        .action = load->actions[participant_of(load->options, slot->seq, number)],
        .payload = {load->payload, load->options->payload_size},
    };
}

static void stop(struct load *load)
{
    pthread_mutex_lock(&load->lock);
    atomic_store(&load->is_stopping, true);
    pthread_cond_broadcast(&load->changed);
    pthread_cond_broadcast(&load->stopping);
    pthread_mutex_unlock(&load->lock);
}

void load_error(struct load *load, const char *text)
{
    pthread_mutex_lock(&load->lock);
    if (load->shared->load.error[0] == '\0')
        snprintf(load->shared->load.error, ERROR_SIZE, "%s", text);
    pthread_mutex_unlock(&load->lock);
    stop(load);
}

static void leave(struct slot *slot)
{
    struct load *load = slot->load;
    pthread_mutex_lock(&load->lock);
    load->running--;
    if (load->free_slots == NULL || load->running == 0)
        pthread_cond_broadcast(&load->changed);
    slot->next_free = load->free_slots;
    load->free_slots = slot;
    pthread_mutex_unlock(&load->lock);
}

/* Gives the slot a new transaction. False: there are to be no more. */
static bool start(struct slot *slot, int64_t start_ns)
{
    struct load *load = slot->load;
    uint64_t seq = atomic_load(&load->is_stopping) ? SEQ_MAX : atomic_fetch_add(&load->next_seq, 1);
    if (seq >= SEQ_MAX) {
        leave(slot);
        return false;
    }
    slot->seq = seq;
    slot->start_ns = start_ns;
    slot->branch = 0;
    bool is_other = seq % OTHER_WAIT_EVERY == OTHER_WAIT_EVERY - 1;
    slot->is_resolved_wanted = (load->options->wait == WAIT_RESOLVED) != is_other;
    gid_of_seq(slot->gid, sizeof(slot->gid), load->shared, seq);
    load->shared->outcomes[seq] = OUTCOME_STARTED;
    if (load->backend->start(slot))
        return true;
    leave(slot);
    return false;
}

/* With the lock held. */
static void record(struct load *load, const struct slot *slot, enum outcome outcome, int64_t now)
{
    struct load_result *result = &load->shared->load;
    int64_t counts_at = load->options->rate > 0 ? slot->start_ns : now;
    if (outcome == OUTCOME_CONFIRMED)
        result->confirmed++;
    else if (outcome == OUTCOME_CANCELLED)
        result->cancelled++;
    else
        result->unknown++;
    if (now >= load->begin_ns && now < load->end_ns)
        result->finished++;
    if (counts_at >= load->begin_ns && counts_at < load->end_ns)
        histogram_add(slot->is_resolved_wanted ? &result->resolved : &result->decision,
                      now - slot->start_ns);
}

void load_finish(struct slot *slot, enum outcome outcome, const char *text)
{
    struct load *load = slot->load;
    int64_t now = now_ns();
    load->shared->outcomes[slot->seq] = (uint8_t)outcome;
    pthread_mutex_lock(&load->lock);
    record(load, slot, outcome, now);
    if (outcome == OUTCOME_UNKNOWN && load->shared->load.error[0] == '\0')
        snprintf(load->shared->load.error, ERROR_SIZE, "%s: %s", slot->gid,
                 text != NULL ? text : "not known");
    pthread_mutex_unlock(&load->lock);
    if (load->options->rate > 0)
        leave(slot);
    else
        start(slot, now_ns());
}

/* -- Starting ---------------------------------------------------------------------------------- */

static void start_all(struct load *load)
{
    load->running = load->options->in_flight;
    for (uint32_t i = 0; i < load->options->in_flight; i++)
        start(&load->slots[i], now_ns());
}

/* A free slot; NULL when nothing more is to be started. */
static struct slot *take_slot(struct load *load)
{
    pthread_mutex_lock(&load->lock);
    while (load->free_slots == NULL && !atomic_load(&load->is_stopping))
        pthread_cond_wait(&load->changed, &load->lock);
    struct slot *slot = atomic_load(&load->is_stopping) ? NULL : load->free_slots;
    if (slot != NULL) {
        load->free_slots = slot->next_free;
        load->running++;
    }
    pthread_mutex_unlock(&load->lock);
    return slot;
}

static void sleep_until(int64_t at_ns)
{
    const struct timespec until = {.tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* Wakes at most every TICK_NS, and starts what has become due: on a virtual machine a sleep costs
 * more than a transaction. What starts later for that counts from when it was due all the same. */
static void *start_at_rate(void *ctx)
{
    struct load *load = ctx;
    int64_t begin = now_ns();
    int64_t woken = begin;
    for (uint64_t i = 0; !atomic_load(&load->is_stopping); i++) {
        int64_t due = begin + (int64_t)((double)i * 1e9 / load->options->rate);
        if (due > now_ns()) {
            sleep_until(due > woken + TICK_NS ? due : woken + TICK_NS);
            woken = now_ns();
        }
        struct slot *slot = take_slot(load);
        if (slot != NULL)
            start(slot, due);
    }
    return NULL;
}

static bool drain(struct load *load)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DRAIN_TIMEOUT_S;
    int rc = 0;
    pthread_mutex_lock(&load->lock);
    while (load->running > 0 && rc == 0)
        rc = pthread_cond_timedwait(&load->changed, &load->lock, &until);
    pthread_mutex_unlock(&load->lock);
    return rc == 0;
}

/* -- The run ----------------------------------------------------------------------------------- */

static void subtract(struct load_result *out, const struct snapshot *begin,
                     const struct snapshot *end)
{
    out->seconds = (double)(end->at_ns - begin->at_ns) * 1e-9;
    out->ended = end->ended - begin->ended;
    out->commits = end->commits - begin->commits;
    out->calls = end->calls - begin->calls;
    out->store_bytes = end->store_bytes;
    out->coordinator_cpu = end->coordinator_cpu - begin->coordinator_cpu;
    out->participants_cpu = end->participants_cpu - begin->participants_cpu;
    out->database_cpu = end->database_cpu - begin->database_cpu;
    out->load_cpu = end->load_cpu - begin->load_cpu;
    out->machine_cpu = end->machine_cpu - begin->machine_cpu;
    out->steal_cpu = end->steal_cpu - begin->steal_cpu;
}

/* Sleeps, or until the load stops by itself. */
static void let_run(struct load *load, uint32_t seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&load->lock);
    while (!atomic_load(&load->is_stopping) &&
           pthread_cond_timedwait(&load->stopping, &load->lock, &until) == 0)
        continue;
    pthread_mutex_unlock(&load->lock);
}

static void set_window(struct load *load, int64_t begin_ns, int64_t end_ns)
{
    pthread_mutex_lock(&load->lock);
    load->begin_ns = begin_ns;
    load->end_ns = end_ns;
    pthread_mutex_unlock(&load->lock);
}

static const char *measure(struct load *load, struct observer *observer)
{
    struct shared *shared = load->shared;
    struct snapshot begin;
    struct snapshot end;
    let_run(load, load->options->warmup_s);
    if (!observer_look(observer, &begin, shared))
        return "the coordinator gives no statistics";
    observer_close(observer);
    set_window(load, begin.at_ns, INT64_MAX);
    let_run(load, load->options->duration_s);
    if (!observer_look(observer, &end, shared))
        return "the coordinator gives no statistics";
    set_window(load, begin.at_ns, end.at_ns);
    subtract(&shared->load, &begin, &end);
    shared->load.coordinator_rss_kib = process_memory_kib(shared->coordinator_pid, "VmRSS:");
    shared->load.coordinator_hwm_kib = process_memory_kib(shared->coordinator_pid, "VmHWM:");
    return NULL;
}

static const char *run(struct load *load, struct observer *observer)
{
    struct snapshot before;
    pthread_t starter;
    bool has_starter = load->options->rate > 0;
    if (!observer_ask(observer, &before))
        return "the coordinator gives no statistics";
    if (!has_starter)
        start_all(load);
    else if (pthread_create(&starter, NULL, start_at_rate, load) != 0)
        return "no thread";
    const char *why = measure(load, observer);
    stop(load);
    if (has_starter)
        pthread_join(starter, NULL);
    if (!drain(load))
        return "transactions without an answer after 90 s";
    uint64_t seq_end = atomic_load(&load->next_seq);
    load->shared->seq_end = seq_end < SEQ_MAX ? seq_end : SEQ_MAX;
    if (why == NULL && !observer_wait_open(observer, snapshot_open(&before), DRAIN_TIMEOUT_S, NULL))
        why = "transactions that are not resolved after 90 s";
    return why;
}

static const struct backend *choose_backend(const struct options *options)
{
    if (options->api == API_UNARY)
        return &backend_unary;
    return options->form == FORM_OWN ? &backend_blocking : &backend_session;
}

static struct load *load_new(struct shared *shared)
{
    struct load *load = calloc(1, sizeof(*load));
    if (load == NULL)
        return NULL;
    load->shared = shared;
    load->options = &shared->options;
    load->backend = choose_backend(load->options);
    load->begin_ns = load->end_ns = INT64_MAX;
    atomic_init(&load->next_seq, shared->seq_end);
    pthread_mutex_init(&load->lock, NULL);
    pthread_cond_init(&load->changed, NULL);
    pthread_cond_init(&load->stopping, NULL);
    memset(load->payload, 'x', sizeof(load->payload));
    for (uint32_t i = 0; i < load->options->participants; i++)
        snprintf(load->actions[i], sizeof(load->actions[i]), "bench-%u/work", i);
    for (uint32_t i = 0; i < load->options->in_flight; i++) {
        load->slots[i] = (struct slot){.load = load, .index = i, .next_free = load->free_slots};
        load->free_slots = &load->slots[i];
    }
    return load;
}

int role_load(struct shared *shared)
{
    struct observer observer = {.coordinator = shared->coordinator};
    struct load *load = load_new(shared);
    int status = 0;
    if (load == NULL)
        return role_fail("out of memory");
    const char *why = observer_open(&observer);
    if (why == NULL)
        why = load->backend->open(load);
    if (why == NULL) {
        role_ok("");
        why = role_wait("go") ? run(load, &observer) : "was not told to go";
    }
    if (why != NULL)
        status = role_fail("%s", why);
    load->backend->close(load);
    observer_close(&observer);
    if (status == 0)
        role_ok("");
    pthread_cond_destroy(&load->stopping);
    pthread_cond_destroy(&load->changed);
    pthread_mutex_destroy(&load->lock);
    free(load);
    return status;
}
