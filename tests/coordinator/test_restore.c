/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in the store is served whatever came first: cold transactions are loaded although as many
 * services are known as there may be. A branch has the mode in which it was enlisted.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "plan.h"
#include "record.h"
#include "restore.h"

#define LATER_MS 1234
#define TXNS 3

static void fill_services(struct coordinator *c)
{
    char name[32];
    struct refusal no;
    for (int i = 0; i < SERVICES_MAX; i++) {
        int size = snprintf(name, sizeof(name), "new-%d", i);
        cr_assert_not_null(service_get_to_serve(&c->services, name, (size_t)size, &no));
    }
    cr_assert_null(service_get_to_serve(&c->services, "another", 7, &no));
}

Test(restore, cold_ones_are_loaded_past_the_limit_of_services)
{
    struct store *store = NULL;
    cr_assert_eq(store_open(&store, "memory:", NULL, NULL, NULL), 0);
    struct coordinator *c = fixture_start(store, TXNS);
    for (int i = 0; i < TXNS; i++)
        fixture_begin(c, i);
    fixture_commit(c);
    fixture_stop(c);

    c = fixture_start(store, 0);
    fill_services(c);
    for (struct entry *entry = c->shards->table.oldest; entry != NULL; entry = entry->newer) {
        char name[32];
        cr_assert(entry->is_cold);
        cr_assert(restore_warm(c, entry, 0));
        cr_assert_not(entry->is_cold);
        for (int b = 0; b < 2; b++) {
            snprintf(name, sizeof(name), "old-%s-%d", entry->gid + strlen("order:"), b);
            cr_expect_str_eq(entry->infos[b].service->name, name);
            cr_expect_str_eq(entry->infos[b].action, "do");
        }
    }
    cr_expect_eq(c->services.count, SERVICES_MAX + 2 * TXNS);
    fixture_stop(c);
    store_close(store);
}

/* -- Modes ------------------------------------------------------------------------------------- */

static void enlist(struct coordinator *c, struct entry *entry, uint32_t number, enum txn_mode mode)
{
    Tercet__V1__Branch branch = TERCET__V1__BRANCH__INIT;
    char action[] = "stock/reserve";
    struct branch_plan plan;
    struct refusal no;
    branch.action = action;
    cr_assert_eq(plan_branch(c, 1, &branch, number, mode, &plan, &no), 0, "%s", no.text);
    cr_assert_eq(step_enlist(c, entry, &plan), 0);
}

/* Branch 1 is called by the initiator, branch 2, which comes later, by the coordinator. */
static struct store *store_with_modes(void)
{
    struct store *store = NULL;
    struct found found;
    struct refusal no;
    Tercet__V1__BeginRequest request = TERCET__V1__BEGIN_REQUEST__INIT;
    cr_assert_eq(store_open(&store, "memory:", NULL, NULL, NULL), 0);
    struct coordinator *c = fixture_start(store, 1);
    cr_assert_null(find_gid(c, "g", &found));
    cr_assert_eq(plan_begin(c, &request, "g", "", &found, &no), 0, "%s", no.text);
    enlist(c, found.entry, 1, TXN_MODE_OWN);
    c->clock.wall_ms += LATER_MS;
    enlist(c, found.entry, 2, TXN_MODE_ROUTED);
    find_clear(&found);
    fixture_commit(c);
    fixture_stop(c);
    return store;
}

Test(restore, a_branch_has_its_mode)
{
    struct store *store = store_with_modes();
    struct coordinator *c = fixture_start(store, 1);
    const struct txn *txn = &table_find(&c->shards->table, "g")->txn;
    cr_expect_eq(txn->branches[0].mode, TXN_MODE_OWN);
    cr_expect_eq(txn->branches[1].mode, TXN_MODE_ROUTED);
    fixture_stop(c);
    store_close(store);
}

Test(restore, a_branch_that_came_later_has_its_time)
{
    struct store *store = store_with_modes();
    struct coordinator *c = fixture_start(store, 1);
    const struct entry *entry = table_find(&c->shards->table, "g");
    cr_expect_eq(entry->infos[0].enlisted_ms, 0, "with the transaction");
    cr_expect_eq(entry->infos[1].enlisted_ms, entry->created_ms + LATER_MS);
    fixture_stop(c);
    store_close(store);
}

/* Branch 1's record is what `change` makes of it. */
static void change_branch(struct store *store,
                          struct crpc_bytes (*change)(struct arena *, struct store_value *))
{
    struct arena arena = {0};
    struct store_value value;
    struct tercet_store_lease lease;
    cr_assert_eq(store_acquire(store, 0, &lease), 0);
    uint64_t number = lease.next_number - 1;
    cr_assert_eq(store_get_wait(store, 0, number, 1, &value), 0);
    struct crpc_bytes bytes = change(&arena, &value);
    struct tercet_store_op op = {.kind = TERCET_STORE_PUT,
                                 .number = number,
                                 .part = 1,
                                 .value = bytes.data,
                                 .size = bytes.size};
    cr_assert_eq(store_commit(store, 0, lease.epoch, &op, 1), 0);
    store_value_free(&value);
    arena_free(&arena);
}

/* It says that the branch is routed. */
static struct crpc_bytes with_another_mode(struct arena *arena, struct store_value *value)
{
    Tercet__Store__V1__Branch *record =
        (Tercet__Store__V1__Branch *)record_decode(RECORD_BRANCH, value->data, value->size);
    cr_assert(record != NULL && record->own_call);
    record->own_call = false;
    struct crpc_bytes bytes = record_encode(arena, RECORD_BRANCH, &record->base);
    crpc_message_free(&record->base);
    return bytes;
}

Test(restore, a_mode_that_contradicts_the_state_is_damage)
{
    struct store *store = store_with_modes();
    change_branch(store, with_another_mode);
    struct coordinator *c = fixture_start(store, 0);
    cr_expect_not(restore_warm(c, c->shards->table.oldest, 0));
    cr_expect(atomic_load(&c->has_failed));
    fixture_stop(c);
    store_close(store);
}

/* -- Newer programs ---------------------------------------------------------------------------- */

/* It is of the first version that this program does not know, and whole. */
static struct crpc_bytes of_a_newer_version(struct arena *arena, struct store_value *value)
{
    uint8_t *record = arena_alloc(arena, value->size);
    memcpy(record, value->data, value->size);
    record[0] = RECORD_VERSION_MAX + 1;
    uint64_t sum = XXH3_64bits_withSeed(record + RECORD_HEAD_SIZE, value->size - RECORD_HEAD_SIZE,
                                        (uint64_t)record[0] << 8 | record[1]);
    for (int i = 0; i < 8; i++)
        record[4 + i] = (uint8_t)(sum >> (8 * i));
    return (struct crpc_bytes){record, value->size};
}

/* Not as damaged: a backup would not help. */
Test(restore, a_newer_programs_record_is_refused_as_such)
{
    struct store *store = store_with_modes();
    struct refusal no;
    change_branch(store, of_a_newer_version);
    struct coordinator *c = fixture_open(store, 0);
    cr_expect_eq(restore_all(c, &no), TERCET_FORMAT);
    cr_expect(strstr(no.text, "start the newer one again") != NULL, "%s", no.text);
    fixture_stop(c);
    store_close(store);
}
