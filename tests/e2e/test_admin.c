/* SPDX-License-Identifier: Apache-2.0
 *
 * What operators' own programs see and do, by tercet/admin.h.
 */
#include "fixture.h"

#include <stdio.h>

TestSuite(admin, .timeout = 400);

static struct tercet_admin *open_admin(void)
{
    struct tercet_admin *admin = NULL;
    char text[TERCET_TEXT_MAX];
    cr_assert_eq(tercet_admin_open(&admin, world.daemon.address, NULL, text), 0, "%s", text);
    return admin;
}

/* -- Looking ----------------------------------------------------------------------------------- */

static void begin_for(const char *gid, const char *customer)
{
    struct tercet_begin_options options = options_of(gid, 0);
    const struct tercet_metadata metadata = {.key = "customer", .value = customer};
    const struct tercet_branch branch = branch_of("stock");
    struct tercet_transaction *transaction = NULL;
    options.metadata = &metadata;
    options.metadata_count = 1;
    cr_assert_eq(tercet_begin(&transaction, world.client, &options), 0);
    cr_assert_eq(tercet_try(transaction, &branch, NULL), 0);
    tercet_transaction_free(transaction);
}

static bool check_first(const struct tercet_transaction_view *view, void *ctx)
{
    int *seen = ctx;
    ++*seen;
    cr_expect_str_eq(view->gid.text, "order:1");
    cr_expect_eq(view->state, TERCET_TRYING);
    cr_expect_eq(view->cause, TERCET_CAUSE_NONE);
    cr_expect_gt(view->created_ms, 0);
    cr_expect_eq(view->decided_ms, 0);
    cr_expect_eq(view->metadata_count, 1);
    cr_expect_str_eq(view->metadata[0].key, "customer");
    cr_expect_str_eq(view->metadata[0].value, "anna");
    cr_assert_eq(view->branch_count, 1);
    cr_expect_eq(view->branches[0]->branch.number, 1);
    cr_expect_str_eq(view->branches[0]->action, "stock/do");
    cr_expect_str_eq(view->branches[0]->try_state, "TRY_DONE");
    cr_expect_str_eq(view->branches[0]->end_state, "END_NONE");
    cr_expect_eq(view->branches[0]->reply.size, 7);
    return true;
}

Test(admin, shows_a_transaction)
{
    char text[TERCET_TEXT_MAX];
    int seen = 0;
    open_stock(NULL);
    struct tercet_admin *admin = open_admin();
    begin_for("order:1", "anna");
    cr_assert_eq(tercet_admin_show(admin, "order:1", check_first, &seen, text), 0, "%s", text);
    cr_assert_eq(seen, 1);
    cr_assert_eq(tercet_admin_show(admin, "order:2", check_first, &seen, text), TERCET_NOT_FOUND);
    cr_assert_neq(text[0], '\0');
    cr_assert_eq(seen, 1);
    tercet_admin_close(admin);
    close_all();
}

struct gids {
    size_t count, stop_at; /* 0: never */
    char text[256];
};

static bool add_gid(const struct tercet_transaction_view *view, void *ctx)
{
    struct gids *gids = ctx;
    size_t size = strlen(gids->text);
    snprintf(gids->text + size, sizeof(gids->text) - size, "%s ", view->gid.text);
    return ++gids->count != gids->stop_at;
}

static void expect_list(struct tercet_admin *admin, const struct tercet_list_options *options,
                        const char *gids_wanted)
{
    struct gids gids = {0};
    char text[TERCET_TEXT_MAX];
    cr_assert_eq(tercet_admin_list(admin, options, add_gid, &gids, text), 0, "%s", text);
    cr_expect_str_eq(gids.text, gids_wanted);
}

Test(admin, lists_what_is_asked_for)
{
    const struct tercet_metadata anna = {.key = "customer", .value = "anna"};
    const enum tercet_state cancelled = TERCET_CANCELLED;
    struct tercet_list_options by_metadata = {
        .size = sizeof(by_metadata), .metadata = &anna, .metadata_count = 1};
    struct tercet_list_options two = {.size = sizeof(two), .limit = 2};
    struct tercet_list_options over = {
        .size = sizeof(over), .states = &cancelled, .state_count = 1, .is_resolved = true};
    struct gids gids = {.stop_at = 1};
    open_stock(NULL);
    struct tercet_admin *admin = open_admin();
    begin_for("order:1", "anna");
    begin_for("order:2", "ben");
    begin_for("order:3", "anna");
    expect_list(admin, NULL, "order:1 order:2 order:3 ");
    expect_list(admin, &by_metadata, "order:1 order:3 ");
    expect_list(admin, &two, "order:1 order:2 ");
    cr_assert_eq(tercet_admin_list(admin, NULL, add_gid, &gids, NULL), 0);
    cr_expect_str_eq(gids.text, "order:1 ", "the callback wanted no more");
    cr_assert_eq(tercet_admin_decide(admin, "order:3", false, "over", NULL), 0);
    world_wait_state("order:3", TERCET_CANCELLED);
    expect_list(admin, &over, "order:3 ");
    by_metadata.metadata_count = TERCET_METADATA_MAX + 1;
    cr_assert_eq(tercet_admin_list(admin, &by_metadata, add_gid, &gids, NULL), TERCET_INVALID);
    tercet_admin_close(admin);
    close_all();
}

Test(admin, lists_more_than_a_page)
{
    struct gids gids = {0};
    open_stock(NULL);
    struct tercet_admin *admin = open_admin();
    for (int i = 0; i < 101; i++) {
        char gid[16];
        snprintf(gid, sizeof(gid), "%d", i);
        begin_for(gid, "anna");
    }
    cr_assert_eq(tercet_admin_list(admin, NULL, add_gid, &gids, NULL), 0);
    cr_assert_eq(gids.count, 101);
    tercet_admin_close(admin);
    close_all();
}

/* -- Acting ------------------------------------------------------------------------------------ */

Test(admin, decides_and_says_who_was_first)
{
    char text[TERCET_TEXT_MAX];
    open_stock(NULL);
    struct tercet_admin *admin = open_admin();
    begin_for("order:1", "anna");
    cr_assert_eq(tercet_admin_decide(admin, "order:1", true, NULL, text), 0, "%s", text);
    world_wait_state("order:1", TERCET_CONFIRMED);
    cr_assert_eq(tercet_admin_decide(admin, "order:1", false, "too late", text), TERCET_DECIDED);
    cr_assert_eq(tercet_admin_decide(admin, "no gid!", true, NULL, text), TERCET_INVALID);
    tercet_admin_close(admin);
    close_all();
}

Test(admin, pauses_retries_and_settles)
{
    const char *options[] = {"--park-after-failures", "2", NULL};
    const struct tercet_branch_id first = {.number = 1}, all = {.number = 0};
    struct tercet_result result;
    char text[TERCET_TEXT_MAX];
    open_stock(options);
    struct tercet_admin *admin = open_admin();
    cr_assert_eq(tercet_admin_pause(admin, "stock", true, text), 0, "%s", text);
    cr_assert(world_participant("stock").paused);
    cr_assert_eq(tercet_admin_pause(admin, "stock", false, text), 0);
    cr_assert_not(world_participant("stock").paused);
    cr_assert_eq(tercet_admin_pause(admin, "nobody", true, text), TERCET_NOT_FOUND);

    atomic_store(&stock.again[TERCET_CONFIRM], FOR_EVER);
    cr_assert_eq(RUN("order:1", TERCET_WAIT_DECIDED, &result, "stock"), 0);
    WAIT_FOR(world_is_parked("order:1"));
    cr_assert_eq(tercet_admin_retry(admin, "order:1", all, text), 0, "%s", text);
    WAIT_FOR(world_is_parked("order:1"));
    cr_assert_eq(tercet_admin_settle(admin, "order:1", first, "", text), TERCET_INVALID);
    cr_assert_eq(tercet_admin_settle_now(admin, "order:1", first, "", text), TERCET_INVALID);
    cr_assert_eq(tercet_admin_settle(admin, "order:1", first, "by hand", text), 0, "%s", text);
    world_wait_state("order:1", TERCET_CONFIRMED);
    tercet_admin_close(admin);
    close_all();
}
