/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies of a store that is written to: one moment of it, or nothing at all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "fixture.h"

#define SUITE lmdb_backup
#define TIMEOUT .timeout = 60

/* Someone who writes while it is copied. */
struct writer {
    struct fixture *fixture;
    uint64_t asked;
    size_t value_size; /* rewritten so often; 0: nothing is written */
    uint64_t ends_after;
};

static bool goes_on(uint64_t bytes, void *ctx)
{
    struct writer *writer = ctx;
    (void)bytes;
    char *value = calloc(1, writer->value_size + 1);
    const struct tercet_store_op op = {
        .kind = TERCET_STORE_PUT, .number = 7, .value = value, .size = writer->value_size};
    if (writer->value_size > 0)
        cr_assert_eq(store_commit(writer->fixture->store, 0, writer->fixture->epoch, &op, 1), 0);
    free(value);
    return ++writer->asked <= writer->ends_after;
}

static int copy(struct writer *writer, const char *directory, uint64_t growth_bytes_max,
                char text[TERCET_STORE_TEXT_MAX])
{
    const struct tercet_store_backup backup = {.directory = directory,
                                               .growth_bytes_max = growth_bytes_max,
                                               .goes_on = goes_on,
                                               .ctx = writer};
    uint64_t bytes = 0, growth_bytes = 0;
    text[0] = '\0';
    int rc = store_backup(writer->fixture->store, &backup, &bytes, &growth_bytes, text);
    cr_assert(rc != 0 || bytes > 0);
    return rc;
}

/* Of 32 MiB. */
static void open_large(struct fixture *fixture)
{
    static char value[1 << 20];
    fixture_open(fixture, FIXTURE_LMDB, 1000);
    for (uint64_t number = 100; number < 132; number++) {
        const struct tercet_store_op op = {
            .kind = TERCET_STORE_PUT, .number = number, .value = value, .size = sizeof(value)};
        cr_assert_eq(store_commit(fixture->store, 0, fixture->epoch, &op, 1), 0);
    }
}

static void path_of(const struct fixture *fixture, const char *name, char out[160])
{
    snprintf(out, 160, "%s/%s", fixture->root, name);
}

Test(SUITE, a_copy_is_the_store_of_one_moment, TIMEOUT)
{
    struct fixture fixture, restored = {.driver = FIXTURE_LMDB};
    struct writer writer = {.fixture = &fixture, .ends_after = UINT64_MAX};
    char path[160], text[TERCET_STORE_TEXT_MAX];
    fixture_open(&fixture, FIXTURE_LMDB, 1000);
    COMMIT_OK(&fixture, op_put(1, 0, "one"), op_put(1, 1, "branch"), op_meta("name", "value"));
    COMMIT_OK(&fixture, op_resolve(2, "gid", 1500, "two"));
    path_of(&fixture, "copy", path);
    cr_assert_eq(copy(&writer, path, 1 << 20, text), 0, "%s", text);
    COMMIT_OK(&fixture, op_put(3, 0, "later"));
    cr_assert_eq(store_open(&restored.store, path, NULL, &fixture.options, text), 0, "%s", text);
    cr_assert_str_eq(fixture_live(&restored), "1.0=one 1.1=branch");
    cr_assert_str_eq(fixture_find(&restored, "gid"), "2=two");
    cr_assert_str_eq(fixture_meta(&restored), "name=value");
    store_close(restored.store);
    cr_assert_neq(copy(&writer, path, 1 << 20, text), 0);
    cr_assert_not_null(strstr(text, "cannot make"), "never over another one: %s", text);
    fixture_close(&fixture);
}

/* The copying ends early, says why, and leaves nothing. */
static void expect_ended(struct writer *writer, uint64_t growth_bytes_max, const char *words)
{
    char path[160], text[TERCET_STORE_TEXT_MAX];
    struct stat status;
    path_of(writer->fixture, "copy", path);
    cr_assert_neq(copy(writer, path, growth_bytes_max, text), 0);
    cr_assert_not_null(strstr(text, words), "%s", text);
    cr_assert_neq(stat(path, &status), 0, "%s is left", path);
}

Test(SUITE, a_store_that_grows_too_much_meanwhile_ends_it, TIMEOUT)
{
    struct fixture fixture;
    struct writer writer = {.fixture = &fixture, .value_size = 1 << 20, .ends_after = UINT64_MAX};
    char path[160], text[TERCET_STORE_TEXT_MAX];
    open_large(&fixture);
    expect_ended(&writer, 2 << 20, "grew by");
    path_of(&fixture, "copy", path);
    writer.value_size = 1000;
    cr_assert_eq(copy(&writer, path, 2 << 20, text), 0, "%s", text);
    fixture_close(&fixture);
}

/* While it lasts what is freed cannot be used again: a full store would end the coordinator. */
Test(SUITE, a_store_that_is_about_to_be_full_ends_it, TIMEOUT)
{
    struct fixture fixture;
    struct writer writer = {.fixture = &fixture, .value_size = 1 << 20, .ends_after = UINT64_MAX};
    open_large(&fixture);
    fixture.options.size_max = 48 << 20;
    fixture_reopen(&fixture);
    expect_ended(&writer, 1 << 30, "comes near its size_max");
    COMMIT_OK(&fixture, op_put(9, 0, "goes on"));
    fixture_close(&fixture);
}

struct onlooker {
    struct fixture *fixture;
    bool has_seen;
};

/* What is freed while it is copied counts as used, and the text says by whom. */
static bool look_on(uint64_t bytes, void *ctx)
{
    static char value[100000];
    struct onlooker *onlooker = ctx;
    struct tercet_store_stats stats;
    (void)bytes;
    memset(value, 'v', sizeof(value) - 1);
    COMMIT_OK(onlooker->fixture, op_put(1, 0, value));
    for (int i = 0; i < 5; i++) /* the readers are not looked at each time */
        cr_assert_eq(store_stats(onlooker->fixture->store, &stats), 0);
    onlooker->has_seen =
        onlooker->has_seen || strstr(stats.room_text, "a backup of its own") != NULL;
    return true;
}

Test(SUITE, what_it_pins_is_counted, TIMEOUT)
{
    struct fixture fixture;
    struct onlooker onlooker = {.fixture = &fixture};
    struct tercet_store_stats stats;
    uint64_t bytes, growth_bytes;
    char path[160], text[TERCET_STORE_TEXT_MAX];
    open_large(&fixture);
    path_of(&fixture, "copy", path);
    const struct tercet_store_backup backup = {
        .directory = path, .growth_bytes_max = 1 << 30, .goes_on = look_on, .ctx = &onlooker};
    cr_assert_eq(store_backup(fixture.store, &backup, &bytes, &growth_bytes, text), 0, "%s", text);
    cr_assert(onlooker.has_seen);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(store_stats(fixture.store, &stats), 0);
    cr_assert_null(strstr(stats.room_text, "backup"), "%s", stats.room_text);
    fixture_close(&fixture);
}

/* Whatever hangs there, the store does not go on being pinned, and the next copy can be made. */
Test(SUITE, a_target_that_takes_nothing_ends_it, TIMEOUT)
{
    struct fixture fixture;
    struct writer writer = {.fixture = &fixture, .ends_after = UINT64_MAX};
    char path[160], other[160], text[TERCET_STORE_TEXT_MAX];
    uint64_t bytes = 0, growth_bytes = 0;
    open_large(&fixture);
    path_of(&fixture, "hangs", path);
    path_of(&fixture, "other", other);
    const struct tercet_store_backup backup = {.directory = path,
                                               .growth_bytes_max = 1 << 30,
                                               .goes_on = goes_on,
                                               .ctx = &writer,
                                               .stall_ms = 300};
    fault_hold_writes(true);
    cr_assert_neq(store_backup(fixture.store, &backup, &bytes, &growth_bytes, text), 0);
    cr_assert_not_null(strstr(text, "has taken nothing for 1 s"), "%s", text);
    cr_assert_not_null(strstr(text, path), "%s", text);
    COMMIT_OK(&fixture, op_put(9, 0, "goes on"));
    fault_hold_writes(false);
    cr_assert_eq(copy(&writer, other, 1 << 30, text), 0, "%s", text);
    fixture_close(&fixture);
}

Test(SUITE, it_can_be_ended, TIMEOUT)
{
    struct fixture fixture;
    struct writer writer = {.fixture = &fixture, .ends_after = 2};
    open_large(&fixture);
    expect_ended(&writer, 1 << 30, "was ended");
    COMMIT_OK(&fixture, op_put(9, 0, "goes on"));
    fixture_close(&fixture);
}
