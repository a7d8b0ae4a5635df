/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in the store is served whatever came first: cold transactions are loaded although as many
 * services are known as there may be.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define TXNS 3

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
    struct coordinator *c = fixture_start(store, TXNS);
    for (int i = 0; i < TXNS; i++)
        fixture_begin(c, i);
    fixture_commit(c);
    fixture_stop(c);

    c = fixture_start(store, 0);
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
    fixture_stop(c);
    store_close(store);
}
