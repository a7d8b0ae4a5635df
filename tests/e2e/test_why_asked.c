/* SPDX-License-Identifier: Apache-2.0
 *
 * The six hanging orders of docs/operations.md, and some more: tercetctl why GID explains each.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

TestSuite(why_asked, .timeout = 400);

#define ANSWER_MAX 16384

/* Runs tercetctl without a way to the coordinator but the environment; its output. */
static char *ask(const char *arguments)
{
    static char output[ANSWER_MAX];
    char command[512];
    snprintf(command, sizeof(command), "TERCET_COORDINATOR=%s '%s' %s 2>&1", world.daemon.address,
             TERCETCTL, arguments);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    size_t size = fread(output, 1, sizeof(output) - 1, pipe);
    output[size] = '\0';
    cr_assert_eq(pclose(pipe), 0, "tercetctl %s: %s", arguments, output);
    return output;
}

/* Lines are broken at spaces: for searching, a space is a space. */
static void unwrap(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++)
        if (strchr(" \t\n", *from) == NULL)
            *to++ = *from;
        else if (to > text && to[-1] != ' ')
            *to++ = ' ';
    *to = '\0';
}

static bool says(const char *arguments, const char *const *parts)
{
    char *output = ask(arguments);
    unwrap(output);
    for (; *parts != NULL; parts++)
        if (strstr(output, *parts) == NULL)
            return false;
    return true;
}

/* Asks until the answer has all of the parts, in any order. */
static void await_parts(const char *arguments, const char *const *parts)
{
    int64_t until_ms = process_now_ms() + WAIT_MS;
    while (!says(arguments, parts)) {
        cr_assert_lt(process_now_ms(), until_ms, "tercetctl %s never said \"%s\", but: %s",
                     arguments, parts[0], ask(arguments));
        pause_shortly();
    }
}
#define AWAIT_SAYS(arguments, ...) await_parts(arguments, (const char *const[]){__VA_ARGS__, NULL})

#define ORDER_MS 600000

/* Begins a transaction of one branch, for ten minutes, and does not wait. */
static void order_within(const char *gid, const char *service, uint32_t try_timeout_ms)
{
    struct tercet_begin_options options = options_of(gid, ORDER_MS);
    struct tercet_branch branch = branch_of(service);
    struct tercet_result result;
    options.wait = TERCET_WAIT_NOT;
    branch.try_timeout_ms = try_timeout_ms;
    cr_assert_eq(tercet_run(world.client, &branch, 1, &options, &result), 0, "%s", result.text);
}

static void order(const char *gid, const char *service)
{
    order_within(gid, service, ORDER_MS);
}

Test(why_asked, a_name_that_nobody_serves)
{
    open_stock(NULL);
    order("order-1", "stcok");
    AWAIT_SAYS("why order-1", "order-1 is TRYING", "; its deadline cancels it in ",
               "branch 1 stcok/do", "its try waits: nobody serves stcok", "Was stock meant?",
               "tercetctl cancel order-1 --reason TEXT");
    AWAIT_SAYS("ls", "branch 1 stcok/do: nobody serves stcok");
    AWAIT_SAYS("show order-1", "waits: nobody serves stcok");
    AWAIT_SAYS("participants", "nobody attached for ");
    close_all();
}

Test(why_asked, a_participant_that_has_gone)
{
    struct tercet_result result;
    open_stock(NULL);
    atomic_store(&stock.again[TERCET_CONFIRM], FOR_EVER);
    cr_assert_eq(RUN("order-2", TERCET_WAIT_DECIDED, &result, "stock"), 0);
    party_leave(&stock);
    AWAIT_SAYS("why order-2", "order-2 is CONFIRMING",
               "its confirm waits: nobody serves stock: the last instance has left ",
               "Start a participant that serves stock",
               "tercetctl settle order-2 1 --now --reason TEXT");
    atomic_store(&stock.again[TERCET_CONFIRM], 0);
    party_come(&stock);
    world_wait_state("order-2", TERCET_CONFIRMED);
    AWAIT_SAYS("why order-2", "order-2 is over: CONFIRMED (all tries done)");
    close_all();
}

Test(why_asked, a_service_that_is_paused)
{
    open_stock(NULL);
    ask("pause stock");
    order("order-3", "stock");
    AWAIT_SAYS("why order-3", "its try waits: stock is paused by an operator for ",
               "tercetctl resume stock");
    AWAIT_SAYS("ls", "branch 1 stock/do: stock is paused by an operator");
    ask("resume stock");
    world_wait_state("order-3", TERCET_CONFIRMED);
    close_all();
}

/* Registered at a socket that nobody has made. */
static void register_in_vain(const char *service)
{
    Tercet__V1__RegisterRequest request = TERCET__V1__REGISTER_REQUEST__INIT;
    char target[sizeof(world.daemon.dir) + 16], *action = (char[]){"do"};
    snprintf(target, sizeof(target), "unix:%s/nobody", world.daemon.dir);
    request.service = (char *)(uintptr_t)service;
    request.target = target;
    request.actions = &action;
    request.n_actions = 1;
    cr_assert_eq(
        world_call(&tercet__v1__participants__descriptor, "RegisterTarget", &request.base, NULL),
        CRPC_OK);
}

Test(why_asked, a_breaker_that_is_open)
{
    world_open(NULL);
    register_in_vain("stock");
    order("order-4", "stock");
    AWAIT_SAYS("why order-4", "the breaker of stock is open, one probe goes at a time: ",
               "calls in a row got no answer, last: ", "tercetctl participants");
    world_close();
}

Test(why_asked, an_instance_that_is_full)
{
    struct puppet puppet;
    world_open(NULL);
    puppet_attach(&puppet, "stock", 1);
    order("order-5", "stock");
    crpc_message_free(&puppet_calls(&puppet)->base);
    order("order-6", "stock");
    AWAIT_SAYS("why order-6",
               "all instances of stock are full: they have 1 of 1 calls, the oldest for ",
               "at instance ", "start more instances of stock");
    AWAIT_SAYS("participants", "1 of 1 calls, the oldest for ");
    puppet_die(&puppet);
    world_close();
}

Test(why_asked, a_call_that_is_not_answered)
{
    open_stock(NULL);
    atomic_store(&stock.is_held, true);
    order("order-7", "stock");
    AWAIT(atomic_load(&stock.entered[TERCET_TRY]) == 1);
    AWAIT_SAYS("why order-7", "its try waits: called ", " ago, and instance ", " has not answered",
               "tercetctl show order-7 --history");
    party_release(&stock);
    world_wait_state("order-7", TERCET_CONFIRMED);
    close_all();
}

Test(why_asked, a_try_that_keeps_failing)
{
    open_stock(NULL);
    atomic_store(&stock.again[TERCET_TRY], FOR_EVER);
    order("order-8", "stock");
    AWAIT_SAYS("why order-8", "calls have failed, the last ", " at instance ", ": the disk said no",
               "tercetctl retry order-8 1");
    AWAIT_SAYS("show order-8 --history", "attempts, of branches whose calls failed", "try ",
               " again ", "the disk said no");
    AWAIT_SAYS("-o json show order-8 --history", "\"outcome\": \"AGAIN\"", "\"history\": [");
    close_all();
}

Test(why_asked, a_branch_that_is_parked)
{
    const char *const options[] = {"--park-after-failures", "2", NULL};
    struct tercet_result result;
    open_stock(options);
    atomic_store(&stock.again[TERCET_CONFIRM], FOR_EVER);
    cr_assert_eq(RUN("order-9", TERCET_WAIT_DECIDED, &result, "stock"), 0);
    WAIT_FOR(world_is_parked("order-9"));
    AWAIT_SAYS("why order-9", "PARKED: its confirm waits", "the disk said no",
               "tercetctl retry order-9 1", "tercetctl settle order-9 1 --reason TEXT");
    kill_and_restart();
    AWAIT_SAYS("show order-9", "PARKED", "confirm: ", " calls failed",
               "last error: the disk said no");
    ask("settle order-9 1 --reason 'by hand'");
    AWAIT_SAYS("why order-9", "order-9 is over: CONFIRMED");
    close_all();
}

/* The client library begins with the first branch; others may begin before. */
static void begin_empty(const char *gid)
{
    Tercet__V1__BeginRequest request = TERCET__V1__BEGIN_REQUEST__INIT;
    request.gid = (char *)(uintptr_t)gid;
    cr_assert_eq(world_call(&tercet__v1__coordinator__descriptor, "Begin", &request.base, NULL),
                 CRPC_OK);
}

Test(why_asked, an_initiator_that_does_not_decide)
{
    struct tercet_begin_options options = options_of("order-10", 600000);
    options.keeps_on_refusal = true;
    struct tercet_branch branch = branch_of("stock");
    struct tercet_transaction *transaction;
    struct tercet_result result;
    open_stock(NULL);
    cr_assert_eq(tercet_begin(&transaction, world.client, &options), 0);
    begin_empty("order-14");
    AWAIT_SAYS("why order-14", "it waits for its initiator", "it has no branches yet",
               "the deadline cancels it in ", "tercetctl cancel order-14 --reason TEXT");
    cr_assert_eq(tercet_try(transaction, &branch, NULL), 0);
    AWAIT_SAYS("why order-10", "it waits for its initiator", "1 of 1",
               "tercetctl confirm order-10 --reason TEXT");
    atomic_store(&stock.refuses, true);
    cr_assert_eq(tercet_try(transaction, &branch, NULL), TERCET_REFUSED);
    AWAIT_SAYS("why order-10", "1 of 2; branch 2 stock/do has refused: sold out");
    cr_assert_eq(tercet_enlist(transaction, &branch, NULL, &result), 0);
    AWAIT_SAYS("why order-10", "1 of 2; 1 more the initiator calls itself, and only it knows");
    tercet_transaction_free(transaction);
    close_all();
}

static void attach_shard(struct puppet *puppet, const char *database)
{
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    hello.service = (char *)(uintptr_t) "stock";
    hello.instance = hello.database = (char *)(uintptr_t)database;
    hello.sharded = true;
    puppet_hello(puppet, &hello);
}

/* Others of the service are there, and none of them can end the branch. */
Test(why_asked, a_database_that_is_away)
{
    struct puppet has_it, other;
    world_open(NULL);
    attach_shard(&has_it, "A");
    order("order-11", "stock");
    Tercet__V1__AttachResponse *tried = puppet_calls(&has_it);
    puppet_answer(&has_it, tried->calls[0]->id, TERCET__V1__OUTCOME__DONE);
    crpc_message_free(&tried->base);
    crpc_message_free(&puppet_calls(&has_it)->base); /* the confirm */
    puppet_die(&has_it);
    attach_shard(&other, "B");
    AWAIT_SAYS("why order-11", "the branch is in database A of the sharded service stock",
               "Start the instance of stock that has this database",
               "tercetctl settle order-11 1 --now --reason TEXT");
    puppet_die(&other);
    world_close();
}

static void on_tried(const struct tercet_tried *tried, void *count)
{
    (void)tried;
    atomic_fetch_add((atomic_int *)count, 1);
    happened();
}

static bool note_cancels(const struct tercet_transaction_view *view, void *ctx)
{
    *(struct tercet_transaction_view *)ctx = *view;
    cr_expect_eq(view->branches[0]->try_until_ms, view->cancels_ms);
    return true;
}

/* Then the deadline is not what ends it; with keep_on_refusal it is. */
Test(why_asked, a_try_whose_own_time_ends_first)
{
    struct tercet_begin_options options = options_of("order-13", ORDER_MS);
    struct tercet_branch branch = branch_of("stcok");
    struct tercet_transaction_view view = {.cancels_ms = 0};
    struct tercet_transaction *transaction;
    atomic_int tried = 0;
    struct tercet_admin *admin;
    char text[TERCET_TEXT_MAX];
    open_stock(NULL);
    order_within("order-12", "stcok", ORDER_MS / 2);
    AWAIT_SAYS("why order-12", "; it is cancelled in ",
               " unless the try of branch 1 is done by then");
    AWAIT_SAYS("show order-12", " from now, unless the try of branch 1 is done deadline ",
               "try: not known after ");
    AWAIT_SAYS("-o json show order-12", "\"cancels_for\": 1", "\"try_until_ms\": ");
    cr_assert_eq(tercet_admin_open(&admin, world.daemon.address, NULL, text), 0, "%s", text);
    cr_assert_eq(tercet_admin_show(admin, "order-12", note_cancels, &view, text), 0, "%s", text);
    cr_expect_eq(view.cancels_for.number, 1);
    cr_expect_gt(view.cancels_ms, view.created_ms + ORDER_MS / 4);
    cr_expect_lt(view.cancels_ms, view.created_ms + ORDER_MS * 3 / 4);
    tercet_admin_close(admin);

    options.keeps_on_refusal = true;
    branch.try_timeout_ms = ORDER_MS / 2;
    cr_assert_eq(tercet_begin(&transaction, world.client, &options), 0);
    cr_assert_eq(tercet_try_start(transaction, &branch, on_tried, &tried), 0);
    AWAIT_SAYS("why order-13", "; its deadline cancels it in ", "nobody serves stcok");
    ask("cancel order-13 --reason enough");
    AWAIT(atomic_load(&tried) == 1);
    tercet_transaction_free(transaction);
    close_all();
}

/* The commands can be copied: the gid is no option, and the way to the coordinator is in them. */
Test(why_asked, commands_that_can_be_copied)
{
    open_stock(NULL);
    order("-1", "stcok");
    AWAIT_SAYS("why -- -1", "tercetctl cancel --reason TEXT -- -1");
    char arguments[128];
    snprintf(arguments, sizeof(arguments), "--coordinator %s why -- -1", world.daemon.address);
    char wanted[128];
    snprintf(wanted, sizeof(wanted), "tercetctl --coordinator %s cancel --reason TEXT -- -1",
             world.daemon.address);
    AWAIT_SAYS(arguments, wanted);
    close_all();
}
