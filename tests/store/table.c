/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory driver's table against a plain array: what is drawn is put and deleted in both.
 */
#include <criterion/criterion.h>
#include <memory_table.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 6000
#define CHANGES 60000
#define KEY_SIZE 4

static uint32_t drawn = 4711;
static size_t draw(size_t below)
{
    drawn = drawn * 1103515245 + 12345;
    return (drawn >> 8) % below;
}

static void key_of(char out[8], size_t n)
{
    snprintf(out, 8, "%04zu", n);
}

/* What the table is to have: the values' sizes, 0 of what is not there. */
static size_t sizes[KEYS + 1];

static size_t following(size_t n)
{
    while (n < KEYS && sizes[n] == 0)
        n++;
    return n;
}

static void check_entry(const struct memory_entry *entry, size_t n)
{
    char key[8];
    key_of(key, n);
    cr_assert_not_null(entry, "%zu", n);
    cr_assert_eq(memcmp(entry->bytes, key, KEY_SIZE), 0, "%.4s for %zu", entry->bytes, n);
    cr_assert_eq(entry->value_size, sizes[n]);
}

static void check_order(const struct memory_table *table)
{
    struct memory_place place = {0};
    size_t count = 0;
    for (size_t n = following(0); n < KEYS; n = following(n + 1), count++)
        check_entry(memory_table_next(table, &place), n);
    cr_assert_null(memory_table_next(table, &place));
    cr_assert_eq(table->count, count);
    for (size_t n = KEYS; n-- > 0;)
        if (sizes[n] != 0)
            check_entry(memory_table_previous(table, &place), n);
    cr_assert_null(memory_table_previous(table, &place));
}

static void check_lookups(const struct memory_table *table)
{
    for (size_t n = 0; n < KEYS; n++) {
        char key[8];
        key_of(key, n);
        const size_t next = following(n);
        struct memory_place place = memory_table_seek(table, key, KEY_SIZE);
        const struct memory_entry *entry = memory_table_get(table, key, KEY_SIZE);
        cr_assert_eq(entry != NULL, sizes[n] != 0);
        if (next == KEYS)
            cr_assert_null(memory_table_at(table, place));
        else
            check_entry(memory_table_at(table, place), next);
    }
}

/* No chunk is empty, and the sums are right. */
static void check_sums(const struct memory_table *table)
{
    size_t bytes = 0;
    for (size_t n = 0; n < KEYS; n++)
        bytes += sizes[n] != 0 ? sizeof(struct memory_entry) + KEY_SIZE + sizes[n] : 0;
    cr_assert_eq(table->bytes, bytes);
    for (size_t i = 0; i < table->chunk_count; i++)
        cr_assert(table->chunks[i]->count > 0 && table->chunks[i]->count <= MEMORY_CHUNK_MAX);
}

static void check_all(const struct memory_table *table)
{
    check_order(table);
    check_lookups(table);
    check_sums(table);
}

static void put(struct memory_table *table, size_t n, size_t size)
{
    static const char value[32];
    char key[8];
    key_of(key, n);
    memory_table_put(table, key, KEY_SIZE, value, size);
    sizes[n] = size;
}

static void delete_one(struct memory_table *table, size_t n)
{
    char key[8];
    key_of(key, n);
    memory_table_delete(table, key, KEY_SIZE);
    sizes[n] = 0;
}

Test(memory_table, has_what_an_array_has)
{
    struct memory_table table = {0};
    memset(sizes, 0, sizeof(sizes));
    check_all(&table);
    for (size_t i = 0; i < CHANGES; i++) {
        /* it grows, then shrinks until it is nearly empty */
        if (draw(CHANGES) > i)
            put(&table, draw(KEYS), 1 + draw(32));
        else
            delete_one(&table, draw(KEYS));
        if (i % (CHANGES / 8) == 0)
            check_all(&table);
    }
    check_all(&table);
    for (size_t n = 0; n < KEYS; n++)
        delete_one(&table, n);
    check_all(&table);
    cr_assert_eq(table.chunk_count, 0);
    memory_table_clear(&table);
}

Test(memory_table, what_comes_in_order_fills_its_chunks)
{
    struct memory_table table = {0};
    memset(sizes, 0, sizeof(sizes));
    for (size_t n = 0; n < KEYS; n++)
        put(&table, n, 1);
    check_all(&table);
    cr_assert_eq(table.chunk_count, (KEYS + MEMORY_CHUNK_MAX - 1) / MEMORY_CHUNK_MAX);
    memory_table_clear(&table);
    cr_assert_eq(table.count, 0);
}
