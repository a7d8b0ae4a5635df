/* SPDX-License-Identifier: Apache-2.0
 *
 * Tries that were held since nobody served their service go when somebody comes, so many a turn.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "find.h"
#include "outcall.h"
#include "plan.h"

#define WAITING (2 * HELD_PER_TURN + HELD_PER_TURN / 2)

static void begin(struct coordinator *c, int i)
{
    char gid[16], action[] = "stock/reserve";
    struct refusal no;
    struct found found;
    Tercet__V1__Branch branch = TERCET__V1__BRANCH__INIT, *branches[] = {&branch};
    Tercet__V1__RunRequest request = TERCET__V1__RUN_REQUEST__INIT;
    snprintf(gid, sizeof(gid), "order:%d", i);
    branch.action = action;
    request.gid = gid;
    request.branches = branches;
    request.n_branches = 1;
    cr_assert_null(find_gid(c, gid, &found));
    cr_assert_eq(plan_run(c, 1, &request, "", &found, &no), 0, "%s", no.text);
    find_clear(&found);
}

/* How many tries the service's instance frees in what is left of this turn. */
static int let_go(struct coordinator *c, struct service *service)
{
    struct outcall *call;
    int count = 0;
    outcall_pump(c, service);
    while ((call = outcalls_take_finished(&c->outcalls)) != NULL) {
        cr_assert(call->is_held && call->result == NULL && call->text == NULL);
        outcalls_let_go(call);
        count++;
    }
    return count;
}

static void end_turn(struct coordinator *c)
{
    cr_assert(service_find(&c->services, "stock")->was_not_sent);
    cr_assert_eq(c->outcalls.tick_ms, c->clock.now_ms, "the next turn begins at once");
    outcalls_flush(&c->outcalls);
}

Test(outcall, held_tries_go_so_many_a_turn)
{
    struct store *store = NULL;
    struct instance instance = {.window = 1};
    cr_assert_eq(store_open(&store, "memory:", NULL, NULL, NULL), 0);
    struct coordinator *c = fixture_start(store, 0);
    for (int i = 0; i < WAITING; i++)
        begin(c, i);
    fixture_commit(c);
    struct service *service = service_find(&c->services, "stock");
    cr_assert_eq(service->waiting_count, WAITING);
    cr_assert_eq(let_go(c, service), 0, "nobody serves it");

    offer_set(&instance.offer, (char *[]){(char *)"reserve"}, 1, NULL, 0);
    service->instances = &instance;
    cr_expect_eq(let_go(c, service), HELD_PER_TURN);
    cr_expect_eq(let_go(c, service), 0, "whatever else happens in this turn");
    end_turn(c);
    cr_expect_eq(let_go(c, service), HELD_PER_TURN);
    end_turn(c);
    cr_expect_eq(let_go(c, service), WAITING - 2 * HELD_PER_TURN);
    cr_expect_eq(service->waiting_count, 0);
    service->instances = NULL;
    offer_clear(&instance.offer);
    fixture_stop(c);
    store_close(store);
}
