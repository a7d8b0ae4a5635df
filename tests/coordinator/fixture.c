/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture.h
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"
#include "plan.h"
#include "restore.h"

struct coordinator *fixture_open(struct store *store, size_t warm_max)
{
    const struct tercet_coordinator_options options = {.size = sizeof(options)};
    struct coordinator *c = calloc(1, sizeof(*c));
    engine_init(c, &options, 1000, 1700000001000);
    c->shards->store = store;
    c->restore_warm_max = warm_max;
    c->shards->headroom.stats = (struct tercet_store_stats){.room_bytes = UINT64_MAX};
    cr_assert_eq(shard_acquire(c->shards), 0);
    return c;
}

struct coordinator *fixture_start(struct store *store, size_t warm_max)
{
    struct refusal no;
    struct coordinator *c = fixture_open(store, warm_max);
    cr_assert_eq(restore_all(c, &no), 0, "%s", no.text);
    return c;
}

void fixture_stop(struct coordinator *c)
{
    store_release(c->shards->store, 0, c->shards->epoch);
    engine_clear(c);
    free(c);
}

void fixture_commit(struct coordinator *c)
{
    batch_submit(c->shards, false);
    cr_assert_not_null(c->shards->batcher.submitted);
    cr_assert_eq(batch_commit(c->shards, c->shards->batcher.submitted), 0);
    loop_committed(c, c->shards, 0);
}

void fixture_begin(struct coordinator *c, int i)
{
    char gid[16], actions[2][32];
    struct refusal no;
    struct found found;
    Tercet__V1__Branch branches[2] = {TERCET__V1__BRANCH__INIT, TERCET__V1__BRANCH__INIT};
    Tercet__V1__Branch *views[2] = {&branches[0], &branches[1]};
    Tercet__V1__RunRequest request = TERCET__V1__RUN_REQUEST__INIT;
    for (int b = 0; b < 2; b++) {
        snprintf(actions[b], sizeof(actions[b]), "old-%d-%d/do", i, b);
        branches[b].action = actions[b];
    }
    snprintf(gid, sizeof(gid), "order:%d", i);
    request.gid = gid;
    request.branches = views;
    request.n_branches = 2;
    cr_assert_null(find_gid(c, gid, &found));
    cr_assert_eq(plan_run(c, 1, &request, "", &found, &no), 0, "%s", no.text);
    find_clear(&found);
}
