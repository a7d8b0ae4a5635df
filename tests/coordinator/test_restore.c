/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in the store is served whatever came first: cold transactions are loaded although as many services are known as there
 * may be.
 */
#include "owner.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "plan.h"

#define TXNS 3

static struct coordinator *start(struct store *store, size_t warm_max)
{
    const struct tercet_coordinator_options options = {.size = sizeof(options)};
    char text[TERCET_TEXT_MAX] = "";
    struct coordinator *c = calloc(1, sizeof(*c));
    engine_init(c, &options, 1000, 1700000001000);
    c->store = store;
    c->restore_warm_max = warm_max;
    c->store_stats = (struct store_stats){.bytes_max = 1u << 30, .disk_free_bytes = UINT64_MAX};
    cr_assert_eq(engine_acquire(c), 0);
    batcher_init(c);
    cr_assert_eq(restore_all(c, text), 0, "%s", text);
    return c;
}

static void stop(struct coordinator *c)
{
    store_release(c->store, 0, c->epoch);
    engine_clear(c);
    batcher_free(c);
    free(c);
}

static void commit(struct coordinator *c)
{
    batch_submit(c);
    cr_assert_not_null(c->batcher.submitted);
    cr_assert_eq(batch_commit(c, c->batcher.submitted), 0);
    batch_is_durable(c);
}

/* A Run of two branches, of two services that nobody else names. */
static void begin(struct coordinator *c, int i)
{
    char gid[16], actions[2][32], made[TERCET_TEXT_MAX];
    const char *text = NULL;
    struct found found = {.entry = NULL};
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
    cr_assert_eq(plan_run(c, &request, &found, &text, made), 0, "%s", text);
    found_clear(&found);
}

static void fill_services(struct coordinator *c)
{
    char name[32];
    for (int i = 0; i < SERVICES_MAX; i++) {
        int size = snprintf(name, sizeof(name), "new-%d", i);
        cr_assert_not_null(dispatch_service(c, name, (size_t)size));
    }
    cr_assert_null(dispatch_service(c, "another", 7));
}

Test(restore, cold_ones_are_loaded_past_the_limit_of_services)
{
    struct store *store = NULL;
    cr_assert_eq(store_memory_open(&store, NULL), 0);
    struct coordinator *c = start(store, TXNS);
    for (int i = 0; i < TXNS; i++)
        begin(c, i);
    commit(c);
    stop(c);

    c = start(store, 0);
    fill_services(c);
    for (struct entry *entry = c->table.oldest; entry != NULL; entry = entry->newer) {
        char name[32];
        cr_assert(entry->is_cold);
        cr_assert(owner_warm(c, entry, 0));
        cr_assert_not(entry->is_cold);
        for (int b = 0; b < 2; b++) {
            snprintf(name, sizeof(name), "old-%s-%d", entry->gid + strlen("order:"), b);
            cr_expect_str_eq(entry->infos[b].service->name, name);
            cr_expect_str_eq(entry->infos[b].action, "do");
        }
    }
    cr_expect_eq(c->dispatch.service_count, SERVICES_MAX + 2 * TXNS);
    stop(c);
    store_close(store);
}
