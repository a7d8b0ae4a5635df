/* SPDX-License-Identifier: Apache-2.0
 *
 * An operator who acts at random while things go wrong; and, in the calm, one who resumes, retries,
 * and settles by hand what a broken promise keeps open.
 */
#include "sim.h"

#include <stdio.h>

#define ROUNDS_BEFORE_SETTLING 4

static void send(int job, int method, const ProtobufCMessage *message)
{
    request_send(NODE_OPERATOR, job, ++sim->last_id << 1, method, message);
}

static void retry(int job)
{
    Tercet__V1__RetryRequest request = TERCET__V1__RETRY_REQUEST__INIT;
    request.gid = (char *)(uintptr_t)gid_of(job);
    send(job, METHOD_RETRY, &request.base);
}

static void settle(int job, uint32_t branch, bool is_now)
{
    Tercet__V1__SettleRequest request = TERCET__V1__SETTLE_REQUEST__INIT;
    request.gid = (char *)(uintptr_t)gid_of(job);
    request.branch = branch;
    request.reason = "by hand";
    request.now = is_now;
    send(job, METHOD_SETTLE, &request.base);
}

static void decide(int job)
{
    Tercet__V1__DecideRequest request = TERCET__V1__DECIDE_REQUEST__INIT;
    request.gid = (char *)(uintptr_t)gid_of(job);
    request.confirm = chance(5000);
    request_send(NODE_OPERATOR, job, ++sim->last_id << 1 | (request.confirm ? 1u : 0u),
                 METHOD_DECIDE, &request.base);
}

static void pause_service(int service, bool is_paused)
{
    Tercet__V1__PauseRequest request = TERCET__V1__PAUSE_REQUEST__INIT;
    request.service = (char *)(uintptr_t)service_name(service);
    request.paused = is_paused;
    send(0, METHOD_PAUSE, &request.base);
}

/* The unresolved ones in one state, in any, or the resolved ones; the id says which. */
static void list(void)
{
    Tercet__V1__ListRequest request = TERCET__V1__LIST_REQUEST__INIT;
    Tercet__V1__State state = (Tercet__V1__State)random_between(LIST_ANY, LIST_RESOLVED);
    request.resolved = state == LIST_RESOLVED;
    request.n_states = state != LIST_ANY && !request.resolved ? 1 : 0;
    request.states = &state;
    uint64_t id = ++sim->last_id << LIST_BITS | state;
    check_list_asked(id);
    request_send(NODE_OPERATOR, 0, id, METHOD_LIST, &request.base);
}

static void act(struct happening *happening)
{
    int job = (int)random_below(sim->job_count);
    if (sim->is_calm) {
        happening_free(happening);
        return;
    }
    count_fault(FAULT_OPERATOR);
    switch (random_below(6)) {
    case 0:
        retry(job);
        break;
    case 1:
        settle(job, (uint32_t)random_between(1, BRANCHES_SIM), job % 3 == 0);
        break;
    case 2:
        decide(job);
        break;
    case 3:
        pause_service((int)random_below(sim->service_count), chance(5000));
        break;
    default:
        list();
        break;
    }
    happen(random_below(2 * sim->faults.operator_every_us), act);
    happening_free(happening);
}

void operator_start(void)
{
    if (sim->faults.operator_every_us > 0)
        happen(random_below(SECOND), act);
}

static void resume_all(const struct coordinator *c)
{
    for (int service = 0; service < sim->service_count; service++) {
        const struct service *known = service_find(&c->services, service_name(service));
        if (known != NULL && known->is_paused)
            pause_service(service, false);
    }
}

/* What needs a person: happening.id counts the rounds. */
void operator_tidy(struct happening *happening)
{
    const struct coordinator *c = sim->coordinator.c;
    if (c != NULL)
        resume_all(c);
    for (const struct entry *entry = c != NULL ? c->shards->table.oldest : NULL; entry != NULL;
         entry = entry->newer) {
        for (size_t i = 0; i < entry->txn.branch_count; i++) {
            const struct txn_branch *branch = &entry->txn.branches[i];
            if (branch->is_parked && branch->is_broken && happening->id >= ROUNDS_BEFORE_SETTLING)
                settle(job_of(entry->gid), branch->number, false);
            else if (branch->is_parked)
                retry(job_of(entry->gid));
        }
    }
    happen(sim->is_quiet ? 60 * SECOND : 2 * SECOND, operator_tidy)->id = happening->id + 1;
    happening_free(happening);
}
