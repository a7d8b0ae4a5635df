/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h: what a participant has done, for whoever collects it.
 */
#include "participant.h"

void participant_note_answer(struct tercet_participant *participant,
                             const struct participant_task *task, unsigned outcome)
{
    const unsigned kind = (unsigned)task->call->kind;
    if (kind >= PARTICIPANT_KINDS || outcome >= PARTICIPANT_OUTCOMES)
        return;
    atomic_fetch_add_explicit(&participant->figures.answered[kind][outcome], 1,
                              memory_order_relaxed);
    shared_histogram_add(&participant->figures.took, METRIC_PARTICIPANT_DURATION,
                         clock_monotonic_ms() - task->received_ms);
}

static void measure(struct samples *samples, struct tercet_participant *participant)
{
    size_t running = 0;
    pthread_mutex_lock(&participant->lock);
    const bool is_accepted = participant->is_accepted;
    const uint32_t waiting = participant->task_count;
    for (uint32_t i = 0; i < participant->worker_count; i++)
        running += participant->workers[i].job_count;
    for (const struct participant_deferral *deferral = participant->deferrals; deferral != NULL;
         deferral = deferral->next)
        running += deferral->has_returned;
    pthread_mutex_unlock(&participant->lock);
    const char *service = participant->service;
    samples_add(samples, METRIC_PARTICIPANT_CONNECTED, is_accepted, service, NULL, NULL);
    samples_add(samples, METRIC_PARTICIPANT_WAITING, waiting, service, NULL, NULL);
    samples_add(samples, METRIC_PARTICIPANT_RUNNING, (double)running, service, NULL, NULL);
}

void tercet_participant_metrics(struct tercet_participant *participant, tercet_metric_fn each,
                                void *ctx)
{
    static const char *const outcomes[PARTICIPANT_OUTCOMES] = {"unknown", "done", "refused",
                                                               "again", "broken"};
    struct samples samples = {0};
    struct histogram took;
    measure(&samples, participant);
    for (unsigned kind = TERCET_TRY; kind < PARTICIPANT_KINDS; kind++)
        for (unsigned outcome = 1; outcome < PARTICIPANT_OUTCOMES; outcome++)
            samples_add(&samples, METRIC_PARTICIPANT_CALLS,
                        (double)atomic_load_explicit(&participant->figures.answered[kind][outcome],
                                                     memory_order_relaxed),
                        participant->service, tercet_kind_name((int)kind), outcomes[outcome]);
    shared_histogram_read(&took, &participant->figures.took);
    samples_add_histogram(&samples, METRIC_PARTICIPANT_DURATION, &took, participant->service);
    samples_visit(&samples, each, ctx);
    samples_clear(&samples);
}
