/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of unresolved transactions: what is in it is found, what has gone is not, however it
 * grows.
 */
#include "table.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define ENTRIES 20000u

static const char *gid_of(uint64_t number)
{
    static char gid[TERCET_GID_MAX + 1];
    snprintf(gid, sizeof(gid), "gid-%llu", (unsigned long long)number);
    return gid;
}

static void fill(struct table *table, uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number <= to; number++)
        table_add(table, gid_of(number), number);
}

Test(table, everything_is_found_while_it_grows_and_shrinks)
{
    struct table table;
    table_init(&table, 0);
    fill(&table, 1, ENTRIES);
    for (uint64_t number = 1; number <= ENTRIES; number++) {
        struct entry *entry = table_find(&table, gid_of(number));
        cr_assert_not_null(entry, "%s", gid_of(number));
        cr_assert_eq(entry->number, number);
    }
    for (uint64_t number = 1; number <= ENTRIES; number += 2)
        table_remove(&table, table_find(&table, gid_of(number)));
    fill(&table, ENTRIES + 1, 2 * ENTRIES);
    for (uint64_t number = 1; number <= 2 * ENTRIES; number++)
        cr_assert_eq(table_find(&table, gid_of(number)) != NULL,
                     number > ENTRIES || number % 2 == 0, "%s", gid_of(number));
    cr_assert_eq(table.count, ENTRIES + ENTRIES / 2);
    table_free(&table);
}

Test(table, they_are_in_the_order_of_their_numbers)
{
    struct table table;
    table_init(&table, 0);
    fill(&table, 1, 5);
    table_remove(&table, table_find(&table, "gid-1"));
    table_remove(&table, table_find(&table, "gid-3"));
    table_remove(&table, table_find(&table, "gid-5"));
    cr_assert_eq(table.oldest->number, 2);
    cr_assert_eq(table.oldest->newer->number, 4);
    cr_assert_eq(table.newest->number, 4);
    table_free(&table);
}

Test(table, entries_are_woken_when_they_are_due)
{
    struct table table;
    table_init(&table, 1000);
    fill(&table, 1, 3);
    table_set_wake(&table, table_find(&table, "gid-1"), 3000);
    table_set_wake(&table, table_find(&table, "gid-2"), 2000);
    cr_assert_null(table_due(&table, 1999));
    cr_assert_eq(table_due(&table, 2000)->number, 2);
    table_remove(&table, table_find(&table, "gid-2"));
    cr_assert_null(table_due(&table, 2999));
    cr_assert_leq(table_next_wake_ms(&table), 3000);
    cr_assert_eq(table_due(&table, 3000)->number, 1);
    table_free(&table);
}

Test(table, payloads_are_counted)
{
    struct table table;
    struct branch_info info = {0};
    table_init(&table, 0);
    entry_keep_payload(&table, &info, "payload", 7);
    cr_assert(info.has_payload && info.payload_size == 7);
    cr_assert_eq(table.payload_bytes, 7);
    entry_drop_payload(&table, &info);
    entry_drop_payload(&table, &info);
    cr_assert(!info.has_payload && info.payload_size == 7,
              "its size is told although it is in the store only");
    cr_assert_eq(table.payload_bytes, 0);
    table_free(&table);
}
