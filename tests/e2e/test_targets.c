/* SPDX-License-Identifier: Apache-2.0
 *
 * Registered targets: several of one service, each with a breaker of its own.
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

TestSuite(targets, .timeout = 300);

static struct tercet_admin *admin;

static void open_world(void)
{
    char text[TERCET_TEXT_MAX] = "";
    world_open(NULL);
    cr_assert_eq(tercet_admin_open(&admin, world.daemon.address, NULL, text), 0, "%s", text);
}

static void close_world(void)
{
    tercet_admin_close(admin);
    world_close();
}

static int register_at(const char *target, char *text)
{
    static const char *const actions[] = {"do"};
    return tercet_admin_register(admin, "stock", target, actions, 1, text);
}

/* What is told of the service's targets. */
struct seen {
    size_t count;
    size_t busy; /* with calls under way */
    size_t open;
    char open_at[64];
};

static bool see(const struct tercet_target_view *view, void *ctx)
{
    struct seen *seen = ctx;
    seen->count++;
    seen->busy += view->calls > 0;
    if (view->is_breaker_open) {
        seen->open++;
        snprintf(seen->open_at, sizeof(seen->open_at), "%s", view->target);
    }
    return true;
}

static struct seen look(void)
{
    struct seen seen = {.count = 0};
    cr_assert_eq(tercet_admin_targets(admin, "stock", see, &seen, NULL), 0);
    return seen;
}

static void start_one(const char *gid, struct told *told)
{
    struct tercet_begin_options options = options_of(gid, FOR_EVER);
    struct tercet_branch branch = branch_of("stock");
    branch.try_timeout_ms = FOR_EVER;
    options.wait = TERCET_WAIT_RESOLVED;
    cr_assert_eq(tercet_run_start(world.client, &branch, 1, &options, on_told, told), 0);
}

/* Two on one database, each at its own port. */
static void open_two(struct party *first, struct party *second)
{
    party_init(first, "stock");
    party_listen(first);
    party_init(second, "stock");
    tercet_barrier_close(second->barrier);
    second->barrier = first->barrier;
    second->is_guest = true;
    party_listen(second);
}

#define TURNS 10

/* One transaction after another: both are idle each time. */
static void take_turns(struct party *first, struct party *second)
{
    struct tercet_result result;
    for (int i = 0; i < TURNS; i++)
        cr_assert_eq(RUN(NULL, TERCET_WAIT_RESOLVED, &result, "stock"), 0, "%s", result.text);
    const struct party *parties[] = {first, second};
    for (int i = 0; i < 2; i++)
        cr_expect_gt(atomic_load(&parties[i]->done[TERCET_TRY]) +
                         atomic_load(&parties[i]->done[TERCET_CONFIRM]),
                     0, "one is never called");
}

Test(targets, share_the_calls)
{
    struct party first, second;
    struct told one = {.count = 0}, two = {.count = 0};
    open_world();
    open_two(&first, &second);
    cr_assert_eq(look().count, 2);
    take_turns(&first, &second);
    atomic_store(&first.is_held, true);
    atomic_store(&second.is_held, true);
    start_one("one", &one);
    WAIT_FOR(look().busy == 1);
    start_one("two", &two);
    WAIT_FOR(look().busy == 2);
    party_release(&first);
    party_release(&second);
    AWAIT(atomic_load(&one.count) == 1 && atomic_load(&two.count) == 1);
    cr_assert_eq(one.result.code, 0, "%s", one.result.text);
    cr_assert_eq(two.result.code, 0, "%s", two.result.text);
    cr_assert_eq(atomic_load(&first.done[TERCET_TRY]) + atomic_load(&second.done[TERCET_TRY]),
                 2 + TURNS);
    party_close(&second);
    cr_assert_eq(look().count, 1, "who closes is not called any more");
    party_close(&first);
    close_world();
}

Test(targets, one_that_is_dead_has_a_breaker_of_its_own)
{
    struct tercet_result result;
    struct party alive;
    char text[TERCET_TEXT_MAX] = "";
    open_world();
    cr_assert_eq(register_at("127.0.0.1:1", text), 0, "%s", text);
    party_init(&alive, "stock");
    party_listen(&alive);
    while (look().open == 0)
        cr_assert_eq(RUN(NULL, TERCET_WAIT_RESOLVED, &result, "stock"), 0, "%s", result.text);
    struct seen seen = look();
    cr_assert_eq(seen.open, 1);
    cr_assert_str_eq(seen.open_at, "127.0.0.1:1");
    cr_assert_not(world_participant("stock").breaker_open);
    cr_assert_eq(tercet_admin_unregister(admin, "stock", "127.0.0.1:1", text), 0, "%s", text);
    cr_assert_eq(look().count, 1);
    cr_assert_eq(RUN(NULL, TERCET_WAIT_RESOLVED, &result, "stock"), 0, "%s", result.text);
    cr_assert_eq(tercet_admin_unregister(admin, "stock", NULL, text), 0, "%s", text);
    cr_assert_eq(look().count, 0);
    party_close(&alive);
    close_world();
}

/* With their tokens: else they would refuse the calls of the next life. */
Test(targets, outlive_the_coordinator)
{
    struct party first, second;
    struct told one = {.count = 0}, two = {.count = 0};
    open_world();
    open_two(&first, &second);
    tercet_admin_close(admin);
    kill_and_restart();
    cr_assert_eq(tercet_admin_open(&admin, world.daemon.address, NULL, NULL), 0);
    cr_assert_eq(look().count, 2);
    atomic_store(&first.is_held, true);
    atomic_store(&second.is_held, true);
    start_one("one", &one);
    start_one("two", &two);
    WAIT_FOR(look().busy == 2);
    party_release(&first);
    party_release(&second);
    AWAIT(atomic_load(&one.count) == 1 && atomic_load(&two.count) == 1);
    party_close(&second);
    party_close(&first);
    close_world();
}

Test(targets, what_is_none_is_refused)
{
    static const char *const wrong[] = {"http://localhost:80", "https://localhost:443", "nonsense",
                                        "ftp:localhost:80",    "localhost:80/path",     "a:b:80"};
    open_world();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char text[TERCET_TEXT_MAX] = "";
        cr_assert_eq(register_at(wrong[i], text), TERCET_INVALID, "%s is taken", wrong[i]);
        cr_assert_not_null(strstr(text, "host:port, dns:///host:port or unix:/path"), "%s", text);
    }
    cr_assert_eq(look().count, 0);
    close_world();
}

/* Participants that come back at ever new ports do not add up: the dead make room. */
Test(targets, too_many)
{
    enum { TARGETS_MAX = 64 };
    char target[32], text[TERCET_TEXT_MAX] = "";
    struct told told = {.count = 0};
    open_world();
    for (int i = 1; i <= TARGETS_MAX; i++) {
        snprintf(target, sizeof(target), "127.0.0.1:%d", i);
        cr_assert_eq(register_at(target, text), 0, "%s", text);
        cr_assert_eq(register_at(target, text), 0, "the same again: %s", text);
    }
    cr_assert_eq(look().count, TARGETS_MAX);
    cr_assert_eq(register_at("127.0.0.1:65", text), TERCET_EXHAUSTED);
    cr_assert_not_null(strstr(text, "64 targets"), "%s", text);
    start_one("sent-to-the-dead", &told);
    WAIT_FOR(look().open > 0);
    cr_assert_eq(register_at("127.0.0.1:65", text), 0, "%s", text);
    cr_assert_eq(look().count, TARGETS_MAX);
    close_world();
}

static bool note_address(const struct tercet_target_view *view, void *ctx)
{
    snprintf(ctx, 128, "%s", view->target);
    return true;
}

/* At the address that one of them had there is another program now, which refuses at once. */
Test(targets, one_that_is_another_program_takes_no_calls)
{
    struct tercet_result result;
    struct party other, alive;
    char text[TERCET_TEXT_MAX] = "", address[128] = "";
    open_world();
    party_init(&other, "money");
    party_listen(&other);
    cr_assert_eq(tercet_admin_targets(admin, "money", note_address, address, NULL), 0);
    cr_assert_eq(register_at(address, text), 0, "%s", text);
    party_init(&alive, "stock");
    party_listen(&alive);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(RUN(NULL, TERCET_WAIT_RESOLVED, &result, "stock"), 0, "%s", result.text);
    party_close(&alive);
    party_close(&other);
    close_world();
}

/* It alone offers an action that many wait for. */
Test(targets, a_dead_one_does_not_hold_up_what_others_offer)
{
    static const char *const old_actions[] = {"old"};
    static struct told told[20];
    struct tercet_result result;
    struct party alive;
    char text[TERCET_TEXT_MAX] = "";
    open_world();
    cr_assert_eq(tercet_admin_register(admin, "stock", "127.0.0.1:1", old_actions, 1, text), 0,
                 "%s", text);
    party_init(&alive, "stock");
    party_listen(&alive);
    for (int i = 0; i < 20; i++) {
        struct tercet_branch branch = branch_of("stock");
        struct tercet_begin_options options = options_of(NULL, 60000);
        branch.action = "stock/old";
        branch.try_timeout_ms = 50000;
        cr_assert_eq(tercet_run_start(world.client, &branch, 1, &options, on_told, &told[i]), 0);
    }
    WAIT_FOR(look().open == 1);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(RUN(NULL, TERCET_WAIT_RESOLVED, &result, "stock"), 0, "%s", result.text);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(atomic_load(&told[i].count), 0, "they wait all the while");
    party_close(&alive);
    world_close();
    tercet_admin_close(admin);
}
