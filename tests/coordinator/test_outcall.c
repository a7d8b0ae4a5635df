/* SPDX-License-Identifier: Apache-2.0
 *
 * Tries that were held since nobody served their service go when somebody comes, so many a turn.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "find.h"
#include "history.h"
#include "outcall.h"
#include "plan.h"
#include "record.h"
#include "why.h"

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

/* -- What is kept of a try without an answer --------------------------------------------------- */

/* Gives the try to the instance, and gives it up. Its history's words. */
static const char *give_up(struct coordinator *c, struct entry *entry, size_t i,
                           struct instance *instance)
{
    const struct txn_branch *branch = &entry->txn.branches[i];
    struct outcall *call = entry_info(entry, branch)->call;
    cr_assert_not_null(call);
    call->instance = instance;
    call->is_sent = true;
    call->sent_ms = c->clock.now_ms - 2000;
    why_note_unknown(c, entry, branch);
    call->instance = NULL;
    call->is_sent = false;
    return history_error(entry_info(entry, branch)->history, TERCET_TRY);
}

Test(outcall, words_of_others_are_cut_between_characters)
{
    struct store *store = NULL;
    char words[TERCET_TEXT_MAX] = "x"; /* and characters of two bytes: each even limit is in one */
    while (strlen(words) + 2 < sizeof(words))
        strcat(words, "\xd0\xb6");
    struct instance instance = {.name = words};
    const struct history_note note = {.kind = TERCET_TRY, .error = words, .instance = "one"};
    cr_assert_eq(store_open(&store, "memory:", NULL, NULL, NULL), 0);
    struct coordinator *c = fixture_start(store, 1);
    fixture_begin(c, 0);
    fixture_commit(c);
    struct entry *entry = table_find(&c->shards->table, "order:0");
    cr_assert_not_null(entry);
    struct branch_info *info = entry_info(entry, &entry->txn.branches[0]);
    history_add(&info->history, &c->shards->table.history_bytes, &note);
    const char *failed = give_up(c, entry, 0, &instance);
    cr_expect_not_null(strstr(failed, "called again, no answer"), "%s", failed);
    cr_expect(crpc_is_text(failed, strlen(failed)), "%s", failed);
    const char *unanswered = give_up(c, entry, 1, &instance);
    cr_expect_not_null(strstr(unanswered, "no answer from instance"), "%s", unanswered);
    cr_expect(crpc_is_text(unanswered, strlen(unanswered)), "%s", unanswered);
    fixture_stop(c);
    store_close(store);
}
