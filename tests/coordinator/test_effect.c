/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers that wait until what they tell is durable.
 */
#include "fixture.h"

#include <criterion/criterion.h>

#include "effect.h"
#include "find.h"
#include "plan.h"

/* What is done is told, however little memory for answers is left: who is refused here would take
 * it for not done. (A session asks again for what it was not answered.) */
Test(effect, a_unary_request_that_is_done_is_answered_past_the_budget)
{
    struct store *store = NULL;
    struct found found;
    struct refusal no;
    Tercet__V1__BeginRequest request = TERCET__V1__BEGIN_REQUEST__INIT;
    Tercet__V1__Transaction done = TERCET__V1__TRANSACTION__INIT;
    const struct reply reply = {.message = &done.base};
    /* without a call: whoever failed it would end here */
    struct caller unary = {.kind = CALLER_UNARY, .references = 2};
    cr_assert_eq(store_open(&store, "memory:", NULL, NULL, NULL), 0);
    struct coordinator *c = fixture_start(store, 0);
    c->unread.max = 1;
    done.gid = (char *)(uintptr_t) "order:1";
    cr_assert_null(find_gid(c, "order:1", &found));
    cr_assert_eq(plan_begin(c, &request, "order:1", "", &found, &no), 0, "%s", no.text);
    effect_answer(c, &unary, 0, &reply, found.entry);
    cr_expect(caller_takes(&unary));
    cr_expect_gt(unary.held_bytes, c->unread.max);
    cr_expect_eq(c->unread.used, unary.held_bytes, "it counts all the same");
    find_clear(&found);
    atomic_store(&unary.is_gone, true);
    fixture_commit(c);
    cr_expect_eq(unary.held_bytes, 0);
    cr_expect_eq(c->unread.used, 0);
    fixture_stop(c);
    store_close(store);
}
