/* SPDX-License-Identifier: Apache-2.0
 *
 * A store that answers later (--late-finds): as one across a network would, some of the questions
 * for a gid are answered after a while, and all that are open when the coordinator's process dies.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

struct late_find {
    struct late_find *next;
    uint64_t id;
    uint32_t life; /* who asks */
    uint32_t shard;
    char gid[TERCET_GID_MAX + 1];
    tercet_store_found_fn done;
    void *ctx;
};

static void answer(struct late_find **link)
{
    struct late_find *late = *link;
    *link = late->next;
    sim->store->driver.find(sim->store->state, late->shard, late->gid, 0, late->done, late->ctx);
    free(late);
}

static void answer_one(struct happening *happening)
{
    struct late_find **link = &sim->late_finds;
    while (*link != NULL && (*link)->id != happening->id)
        link = &(*link)->next;
    if (*link != NULL) {
        answer(link);
        coordinator_post(happening->life, NULL);
    }
    happening_free(happening);
}

void late_store_answer_all(uint32_t life)
{
    struct late_find **link = &sim->late_finds;
    while (*link != NULL)
        if ((*link)->life == life)
            answer(link);
        else
            link = &(*link)->next;
}

static void find(void *state, uint32_t shard, const char *gid, uint64_t number,
                 tercet_store_found_fn done, void *ctx)
{
    if (gid == NULL || chance(5000)) {
        sim->store->driver.find(state, shard, gid, number, done, ctx);
        return;
    }
    struct late_find *late = must_alloc(sizeof(*late));
    late->next = sim->late_finds;
    late->id = ++sim->last_id;
    late->life = sim->acting->life;
    late->shard = shard;
    strcpy(late->gid, gid);
    late->done = done;
    late->ctx = ctx;
    sim->late_finds = late;
    count_fault(FAULT_LATE_FIND);
    struct happening *happening =
        happen(random_between(10, chance(500) ? SECOND : 5000), answer_one);
    happening->id = late->id;
    happening->life = late->life;
}

struct store *late_store(void)
{
    sim->late_store = *sim->store;
    sim->late_store.driver.find = find;
    return &sim->late_store;
}
