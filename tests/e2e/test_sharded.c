/* SPDX-License-Identifier: Apache-2.0
 *
 * One service on several databases, on purpose: each branch stays with the one that has its row.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(sharded, .timeout = 300);

/* An instance on an SQLite file of its own. */
struct shop {
    char path[96];
    struct tercet_barrier *barrier;
    struct tercet_participant *participant;
    atomic_int done[4]; /* hooks that ran, by kind */
};
static struct shop shops[2];

static int count(const struct tercet_call *call, void *ctx)
{
    struct shop *shop = ctx;
    atomic_fetch_add(&shop->done[call->kind], 1);
    happened();
    return 0;
}

static void open_participant(struct shop *shop, bool is_sharded)
{
    char text[TERCET_TEXT_MAX] = "";
    static const struct tercet_action actions[] = {
        {.name = "do", .on_try = count, .on_confirm = count, .on_cancel = count}};
    struct tercet_participant_options options = {.size = sizeof(options),
                                                 .barrier = shop->barrier,
                                                 .ctx = shop,
                                                 .window = 4,
                                                 .is_sharded = is_sharded};
    cr_assert_eq(tercet_participant_open(&shop->participant, world.daemon.address, "stock", actions,
                                         1, &options, text),
                 0, "%s", text);
}

static void attach(struct shop *shop)
{
    char text[TERCET_TEXT_MAX] = "";
    open_participant(shop, true);
    cr_assert_eq(tercet_participant_wait(shop->participant, WAIT_MS, text), 0, "%s", text);
}

static void leave(struct shop *shop)
{
    tercet_participant_close(shop->participant);
    shop->participant = NULL;
}

static void open_two(void)
{
    char text[TERCET_TEXT_MAX] = "";
    world_open(NULL);
    for (int i = 0; i < 2; i++) {
        struct shop *shop = &shops[i];
        snprintf(shop->path, sizeof(shop->path), "/tmp/tercet-sharded-%d-%ld.db", i,
                 (long)getpid());
        cr_assert_eq(tercet_barrier_sqlite_open(&shop->barrier, shop->path, NULL, text), 0, "%s",
                     text);
        attach(shop);
    }
}

static void close_two(void)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 2; i++) {
        leave(&shops[i]);
        tercet_barrier_close(shops[i].barrier);
        for (int j = 0; j < 3; j++) {
            char path[128];
            snprintf(path, sizeof(path), "%.95s%s", shops[i].path, endings[j]);
            unlink(path);
        }
    }
    world_close();
}

static int done(int i, enum tercet_kind kind)
{
    return atomic_load(&shops[i].done[kind]);
}

/* As many branches as there are, half of them cancelled: no cancel is empty, no confirm broken. */
Test(sharded, each_branch_ends_where_it_was_tried)
{
    enum { PAIRS = 40 };
    static struct told told[2 * PAIRS];
    struct tercet_begin_options options = options_of(NULL, 0);
    struct tercet_branch good[] = {branch_of("stock"), branch_of("stock")};
    struct party refuser;
    open_two();
    party_open(&refuser, "money");
    atomic_store(&refuser.refuses, true);
    struct tercet_branch bad[] = {branch_of("stock"), branch_of("money")};
    bad[1].action = "money/do";
    options.wait = TERCET_WAIT_RESOLVED;
    options.is_ordered = true;
    for (int i = 0; i < PAIRS; i++) {
        cr_assert_eq(tercet_run_start(world.client, good, 2, &options, on_told, &told[2 * i]), 0);
        cr_assert_eq(tercet_run_start(world.client, bad, 2, &options, on_told, &told[2 * i + 1]),
                     0);
    }
    for (int i = 0; i < 2 * PAIRS; i++) {
        AWAIT(atomic_load(&told[i].count) == 1);
        cr_assert_eq(told[i].result.code, i % 2 == 0 ? 0 : TERCET_REFUSED, "%s",
                     told[i].result.text);
    }
    for (int i = 0; i < 2; i++) {
        cr_assert_gt(done(i, TERCET_TRY), 0, "both have a part");
        cr_assert_eq(done(i, TERCET_TRY), done(i, TERCET_CONFIRM) + done(i, TERCET_CANCEL));
    }
    cr_assert_eq(done(0, TERCET_CONFIRM) + done(1, TERCET_CONFIRM), 2 * PAIRS);
    cr_assert_eq(done(0, TERCET_CANCEL) + done(1, TERCET_CANCEL), PAIRS);
    party_close(&refuser);
    close_two();
}

/* Its database is away when it is decided, and the coordinator is killed meanwhile: the other one
 * is not asked, and goes on with its own. */
Test(sharded, what_has_its_row_elsewhere_waits_for_it)
{
    struct tercet_branch branch = branch_of("stock");
    struct tercet_result result;
    struct tercet_transaction *transaction = NULL;
    struct tercet_begin_options options = options_of("waits", FOR_EVER);
    open_two();
    cr_assert_eq(tercet_begin(&transaction, world.client, &options), 0);
    cr_assert_eq(tercet_try(transaction, &branch, NULL), 0);
    int has = done(0, TERCET_TRY) == 1 ? 0 : 1;
    leave(&shops[has]);
    cr_assert_eq(tercet_confirm(transaction, TERCET_WAIT_DECIDED, &result), 0, "%s", result.text);
    kill_and_restart();
    for (int i = 0; i < 10; i++)
        cr_assert_eq(RUN(NULL, TERCET_WAIT_RESOLVED, &result, "stock"), 0, "%s", result.text);
    cr_assert_eq(world_state("waits"), TERCET_CONFIRMING);
    cr_assert_not(world_is_parked("waits"));
    Tercet__V1__Transaction *waiting = world_show("waits");
    cr_assert_not_null(strstr(waiting->branches[0]->obstacle->text, "no instance with that one"),
                       "%s", waiting->branches[0]->obstacle->text);
    crpc_message_free(&waiting->base);
    cr_assert_eq(done(1 - has, TERCET_CONFIRM), 10);
    attach(&shops[has]);
    world_wait_state("waits", TERCET_CONFIRMED);
    cr_assert_eq(done(has, TERCET_CONFIRM), 1);
    tercet_transaction_free(transaction);
    close_two();
}

Test(sharded, all_instances_say_the_same)
{
    char text[TERCET_TEXT_MAX] = "";
    open_two();
    leave(&shops[1]);
    open_participant(&shops[1], false);
    WAIT_FOR(tercet_participant_wait(shops[1].participant, 20, text) == TERCET_UNAVAILABLE &&
             strstr(text, "several databases (sharded)") != NULL);
    close_two();
}

/* -- Databases that are away ------------------------------------------------------------------- */

static void puppet_at(struct puppet *puppet, const char *database, bool is_sharded)
{
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    hello.service = (char *)"stock";
    hello.instance = hello.database = (char *)(uintptr_t)database;
    hello.sharded = is_sharded;
    hello.window = 2000;
    puppet_hello(puppet, &hello);
}

/* Answers so many tries, and nothing else. */
static void take_tries(struct puppet *puppet, int count)
{
    while (count > 0) {
        Tercet__V1__AttachResponse *message = puppet_calls(puppet);
        for (size_t i = 0; i < message->n_calls; i++)
            if (message->calls[i]->kind == TERCET__V1__KIND__TRY) {
                count--;
                puppet_answer(puppet, message->calls[i]->id, TERCET__V1__OUTCOME__DONE);
            }
        crpc_message_free(&message->base);
    }
}

static void run_one(struct told *told)
{
    struct tercet_branch branch = branch_of("stock");
    struct tercet_begin_options options = options_of(NULL, FOR_EVER);
    branch.try_timeout_ms = FOR_EVER;
    options.wait = TERCET_WAIT_DECIDED;
    cr_assert_eq(tercet_run_start(world.client, &branch, 1, &options, on_told, told), 0);
}

Test(sharded, however_many_wait_for_a_database_that_is_away_the_others_go_on)
{
    enum { COUNT = 600 };
    static struct told told[COUNT], last;
    struct puppet away, there;
    world_open(NULL);
    puppet_at(&away, "A", true);
    for (int i = 0; i < COUNT; i++)
        run_one(&told[i]);
    take_tries(&away, COUNT);
    for (int i = 0; i < COUNT; i++)
        AWAIT(atomic_load(&told[i].count) == 1);
    puppet_die(&away);
    WAIT_FOR(world_participant("stock").waiting == COUNT);
    puppet_at(&there, "B", true);
    run_one(&last);
    take_tries(&there, 1);
    AWAIT(atomic_load(&last.count) == 1);
    cr_assert_eq(last.result.code, 0, "%s", last.result.text);
    puppet_die(&there);
    world_close();
}

/* Tried while the service had one database: no other may say that there is nothing to undo. */
Test(sharded, an_end_goes_to_no_database_that_may_not_have_the_branch)
{
    struct puppet first, other;
    struct tercet_result result;
    struct tercet_transaction *transaction = NULL;
    struct tercet_branch branch = branch_of("stock");
    struct tercet_begin_options options = options_of("before", FOR_EVER);
    static struct told told;
    options.keeps_on_refusal = true;
    world_open(NULL);
    puppet_at(&first, "A", false);
    cr_assert_eq(tercet_begin(&transaction, world.client, &options), 0);
    cr_assert_eq(tercet_try_start(transaction, &branch, NULL, NULL), 0);
    take_tries(&first, 1);
    (void)told;
    WAIT_FOR(world_participant("stock").calls == 0);
    puppet_die(&first);
    WAIT_FOR(world_participant("stock").n_instances == 0);
    puppet_at(&other, "B", true);
    cr_assert_eq(tercet_cancel(transaction, TERCET_WAIT_DECIDED, "x", &result), 0);
    run_one(&told); /* what comes after it does go there, */
    take_tries(&other, 1);
    AWAIT(atomic_load(&told.count) == 1);
    cr_assert_leq(world_participant("stock").calls, 1, "and it does not: the confirm alone did");
    tercet_transaction_free(transaction);
    puppet_die(&other);
    world_close();
}

Test(sharded, own_calls_and_targets_are_refused)
{
    static const char *const actions[] = {"do"};
    struct puppet puppet;
    struct tercet_result result;
    struct tercet_admin *admin = NULL;
    struct tercet_transaction *transaction = NULL;
    struct tercet_branch branch = branch_of("stock");
    struct tercet_begin_options options = options_of("own", FOR_EVER);
    char text[TERCET_TEXT_MAX] = "";
    world_open(NULL);
    puppet_at(&puppet, "A", true);
    cr_assert_eq(tercet_begin(&transaction, world.client, &options), 0);
    cr_assert_eq(tercet_enlist(transaction, &branch, NULL, &result), TERCET_INVALID);
    cr_assert_not_null(strstr(result.text, "sharded"), "%s", result.text);
    cr_assert_eq(tercet_admin_open(&admin, world.daemon.address, NULL, text), 0, "%s", text);
    cr_assert_eq(tercet_admin_register(admin, "stock", "127.0.0.1:1", actions, 1, text),
                 TERCET_INVALID);
    cr_assert_not_null(strstr(text, "sharded"), "%s", text);
    tercet_admin_close(admin);
    tercet_transaction_free(transaction);
    puppet_die(&puppet);
    world_close();
}
