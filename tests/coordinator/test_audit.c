/* SPDX-License-Identifier: Apache-2.0
 *
 * What operators did is kept in the store, up to a limit, in order; and what is over is dropped at
 * their wish, no more than they asked for.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "audit.h"
#include "collect.h"
#include "record.h"
#include "restore.h"

#define HOUR_MS (3600 * 1000LL)

/* In a store of 1 MiB, which has room for the fewest. */
static struct store *open_small(void)
{
    struct store *store = NULL;
    const struct tercet_store_options options = {
        .size = sizeof(options), .size_max = 1 << 20, .bucket_ms = HOUR_MS};
    cr_assert_eq(store_open(&store, "memory:", NULL, &options, NULL), 0);
    return store;
}

static void note(struct coordinator *c, int i)
{
    struct caller caller = {.kind = CALLER_UNARY, .references = 2};
    char service[32];
    snprintf(service, sizeof(service), "service-%d", i);
    audit_note(c, &caller, &(struct audit_act){.action = "pause", .service = service}, NULL);
    fixture_commit(c);
}

static void expect_last(const struct coordinator *c, int count)
{
    char service[32];
    cr_assert_eq(c->audit.count, AUDIT_ENTRIES_MIN);
    for (int i = 0; i < AUDIT_ENTRIES_MIN; i++) {
        const Tercet__Store__V1__Audit *entry = c->audit.entries[i];
        snprintf(service, sizeof(service), "service-%d", count - AUDIT_ENTRIES_MIN + i);
        cr_assert_str_eq(entry->service, service);
        cr_assert_eq(entry->number, (uint64_t)(count - AUDIT_ENTRIES_MIN + i + 1));
    }
}

static int count_meta(const char *name, const void *value, size_t size, void *ctx)
{
    (void)value;
    (void)size;
    *(int *)ctx += strncmp(name, AUDIT_PREFIX, strlen(AUDIT_PREFIX)) == 0;
    return 0;
}

Test(audit, the_newest_are_kept_over_restarts_and_the_oldest_make_room)
{
    struct store *store = open_small();
    struct coordinator *c = fixture_start(store, 1);
    int kept = 0;
    for (int i = 0; i < 2 * AUDIT_ENTRIES_MIN; i++)
        note(c, i);
    expect_last(c, 2 * AUDIT_ENTRIES_MIN);
    fixture_stop(c);
    cr_assert_eq(store_meta_scan(store, 0, count_meta, &kept), 0);
    cr_assert_eq(kept, AUDIT_ENTRIES_MIN, "%d are in the store", kept);
    c = fixture_start(store, 1);
    expect_last(c, 2 * AUDIT_ENTRIES_MIN);
    note(c, 2 * AUDIT_ENTRIES_MIN);
    expect_last(c, 2 * AUDIT_ENTRIES_MIN + 1);
    fixture_stop(c);
    store_close(store);
}

Test(audit, a_damaged_record_stops_the_start)
{
    struct store *store = open_small();
    struct tercet_store_lease lease;
    struct refusal no;
    const struct tercet_store_op op = {
        .kind = TERCET_STORE_META_PUT, .name = AUDIT_PREFIX "1", .value = "damaged", .size = 7};
    cr_assert_eq(store_acquire(store, 0, &lease), 0);
    cr_assert_eq(store_commit(store, 0, lease.epoch, &op, 1), 0);
    struct coordinator *c = fixture_open(store, 1);
    cr_assert_eq(restore_all(c, &no), TERCET_FORMAT);
    cr_expect_not_null(strstr(no.text, "audit log is damaged"), "%s", no.text);
    fixture_stop(c);
    store_close(store);
}

/* -- Dropping what is over --------------------------------------------------------------------- */

/* Transactions that were over so many hours ago, by the clock of the retention. */
static void resolve(struct coordinator *c, uint64_t number, int hours_ago)
{
    const int64_t now_ms = retention_now_ms(&c->shards->retention, c->clock.now_ms);
    char gid[32];
    snprintf(gid, sizeof(gid), "order:%d", hours_ago);
    const struct tercet_store_op op = {.kind = TERCET_STORE_RESOLVE,
                                       .number = number,
                                       .gid = gid,
                                       .time_ms = now_ms - hours_ago * HOUR_MS,
                                       .value = "r",
                                       .size = 1};
    cr_assert_eq(store_commit(c->shards->store, 0, c->shards->epoch, &op, 1), 0);
}

static bool is_kept(struct coordinator *c, const char *gid)
{
    struct store_value value;
    uint64_t number = 0;
    int rc = store_find_wait(c->shards->store, 0, gid, &number, &value);
    if (rc == 0)
        store_value_free(&value);
    return rc == 0;
}

static void ask_why(struct coordinator *c, int64_t older_than_ms, bool is_dry, char *reason)
{
    struct caller caller = {.kind = CALLER_UNARY, .references = 2, .is_gone = true};
    struct request request = {.c = c, .caller = &caller};
    Tercet__V1__CollectRequest message = TERCET__V1__COLLECT_REQUEST__INIT;
    message.older_than_ms = older_than_ms;
    message.dry_run = is_dry;
    message.reason = reason;
    collect(&request, &message.base);
    if (!is_dry)
        fixture_commit(c); /* at least what it was asked for */
}

static void ask(struct coordinator *c, int64_t older_than_ms, bool is_dry)
{
    char reason[] = "";
    ask_why(c, older_than_ms, is_dry, reason);
}

Test(collect, what_is_old_enough_goes_in_whole_buckets_and_nothing_else)
{
    struct store *store = open_small();
    struct coordinator *c = fixture_start(store, 1);
    resolve(c, 1, 9);
    resolve(c, 2, 5);
    resolve(c, 3, 1);
    ask(c, 3 * HOUR_MS, true);
    cr_expect(is_kept(c, "order:9") && is_kept(c, "order:5"), "it was only to say so");
    ask(c, HOUR_MS / 2, false);
    cr_expect(is_kept(c, "order:9"), "an hour is kept: the request is refused");
    cr_expect_str_eq(c->audit.entries[c->audit.count - 1]->action, "gc");
    cr_expect_neq(c->audit.entries[c->audit.count - 1]->result[0], 'O', "refused");
    ask(c, 7 * HOUR_MS, false);
    cr_expect(!is_kept(c, "order:9") && is_kept(c, "order:5") && is_kept(c, "order:1"));
    ask(c, 3 * HOUR_MS, false);
    cr_expect(!is_kept(c, "order:5") && is_kept(c, "order:1"));
    cr_expect_str_eq(c->audit.entries[c->audit.count - 1]->result, "OK");
    fixture_stop(c);
    store_close(store);
}

/* -- Texts ------------------------------------------------------------------------------------- */

/* One of them is cut in the middle of a character, wherever the limit is. */
static void note_long_texts(struct coordinator *c, size_t first)
{
    struct caller caller = {.kind = CALLER_UNARY, .references = 2};
    char text[4 * TERCET_TEXT_MAX + 1] = "";
    memset(text, 'x', first);
    while (strlen(text) + 2 < sizeof(text))
        strcat(text, "\xd0\xb6");
    audit_note(
        c, &caller,
        &(struct audit_act){.action = "settle", .gid = text, .service = text, .reason = text},
        NULL);
    ask_why(c, HOUR_MS, false, text);
}

static void expect_text(const char *text)
{
    cr_expect_lt(strlen(text), TERCET_TEXT_MAX);
    cr_expect_gt(strlen(text), TERCET_TEXT_MAX - 8, "no more is cut than has to be: %s", text);
    cr_expect(crpc_is_text(text, strlen(text)), "%s", text);
}

Test(audit, texts_that_are_too_long_are_cut_and_read_again)
{
    struct store *store = open_small();
    struct coordinator *c = fixture_start(store, 1);
    note_long_texts(c, 0);
    note_long_texts(c, 1);
    fixture_stop(c);
    c = fixture_start(store, 1);
    cr_assert_eq(c->audit.count, 4);
    for (size_t i = 0; i < c->audit.count; i++) {
        expect_text(c->audit.entries[i]->reason);
        if (c->audit.entries[i]->gid[0] == '\0')
            continue;
        expect_text(c->audit.entries[i]->gid);
        expect_text(c->audit.entries[i]->service);
    }
    fixture_stop(c);
    store_close(store);
}

Test(audit, what_is_no_text_is_read_again_too)
{
    struct store *store = open_small();
    struct coordinator *c = fixture_start(store, 1);
    struct caller caller = {.kind = CALLER_UNARY, .references = 2};
    audit_note(c, &caller, &(struct audit_act){.action = "pause", .service = "a\xff\xd0"}, NULL);
    fixture_commit(c);
    fixture_stop(c);
    c = fixture_start(store, 1);
    cr_assert_eq(c->audit.count, 1);
    cr_expect_str_eq(c->audit.entries[0]->service, "a??");
    fixture_stop(c);
    store_close(store);
}
