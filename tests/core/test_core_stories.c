/* SPDX-License-Identifier: Apache-2.0
 *
 * Golden traces of whole transactions. story.h explains the language; S and L are the invariants of
 * RELIABILITY.md, P the pitfalls of other coordinators that a story keeps us from.
 */
#include "story.h"

#include <criterion/criterion.h>

TestSuite(core_stories, .timeout = 20);

Test(core_stories, run_decides_itself_when_all_are_tried)
{
    story_expect("0 begin itself : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 : PERSIST, TRY 2#1\n"
                 "5 tried 2 : MARK, TRIED 2\n"
                 "6 show : TRYING NONE; 1 CALLING NONE; 2 DONE NONE\n"
                 "7 tried 1 : PERSIST, TRIED 1, DECIDED, CONFIRM 1#1, CONFIRM 2#1\n"
                 "9 confirmed 1 : MARK\n"
                 "9 confirmed 2 : MARK, RESOLVED\n"
                 "9 show : CONFIRMED ALL_TRIED; 1 DONE DONE; 2 DONE DONE\n"
                 "9 due : never\n");
}

Test(core_stories, step_by_step_with_a_confirm_that_fails_twice)
{
    story_expect("0 begin : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "2 tried 1 : MARK, TRIED 1\n"
                 "3 enlist 2 : PERSIST, TRY 2#1\n"
                 "4 confirm : NOT_READY\n"
                 "5 tried 2 : MARK, TRIED 2\n"
                 "6 confirm : PERSIST, DECIDED, CONFIRM 1#1, CONFIRM 2#1\n"
                 "7 confirmed 2 : MARK\n"
                 "8 confirm-failed 1 : -\n"
                 "8 due : 9\n"
                 "9 wake : CONFIRM 1#2\n"
                 "12 confirm-failed 1 : -\n"
                 "13 wake : CONFIRM 1#3\n"
                 "20 confirmed 1 : MARK, RESOLVED\n"
                 "20 show : CONFIRMED INITIATOR; 1 DONE DONE; 2 DONE DONE\n");
}

/* P8: every enlisted branch is cancelled, tried or not. */
Test(core_stories, own_calls_then_cancel)
{
    story_expect("0 begin : -\n"
                 "0 enlist 1 own : PERSIST\n"
                 "0 enlist 2 own : PERSIST\n"
                 "0 tried 1 : -\n"
                 "3 cancel : PERSIST, DECIDED, CANCEL 1#1, CANCEL 2#1\n"
                 "4 cancelled 1 : MARK\n"
                 "5 cancelled 2 : MARK, RESOLVED\n"
                 "5 show : CANCELLED INITIATOR; 1 OWN DONE; 2 OWN DONE\n");
}

Test(core_stories, an_operator_cancels)
{
    story_expect("0 begin : -\n"
                 "0 enlist 1 own : PERSIST\n"
                 "3 cancel operator : PERSIST, DECIDED, CANCEL 1#1\n"
                 "4 cancelled 1 : MARK, RESOLVED\n"
                 "5 show : CANCELLED OPERATOR; 1 OWN DONE\n");
}

Test(core_stories, ordered_run)
{
    story_expect("0 begin itself ordered : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 : PERSIST\n"
                 "0 enlist 3 : PERSIST\n"
                 "0 due : 1000\n"
                 "2 failed 1 : -\n"
                 "2 retry 2 : -\n"
                 "3 wake : TRY 1#2\n"
                 "4 tried 1 : MARK, TRIED 1, TRY 2#1\n"
                 "6 tried 2 : MARK, TRIED 2, TRY 3#1\n"
                 "8 tried 3 : PERSIST, TRIED 3, DECIDED, CONFIRM 1#1, CONFIRM 2#1, CONFIRM 3#1\n");
}

/* The second try's time begins with its turn, not with its enlistment. */
Test(core_stories, an_ordered_try_has_its_whole_timeout)
{
    story_expect("0 begin itself ordered deadline=5000 : -\n"
                 "0 enlist 1 timeout=100 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 timeout=100 : PERSIST\n"
                 "90 tried 1 : MARK, TRIED 1, TRY 2#1\n"
                 "150 wake : -\n"
                 "150 due : 190\n"
                 "189 tried 2 : PERSIST, TRIED 2, DECIDED, CONFIRM 1#1, CONFIRM 2#1\n");
}

Test(core_stories, ordered_branches_never_run_at_once_whatever_the_order_of_enlisting)
{
    story_expect("0 begin ordered : -\n"
                 "0 enlist 3 : PERSIST, TRY 3#1\n"
                 "1 enlist 1 : PERSIST\n"
                 "1 enlist 2 own : PERSIST\n"
                 "1 enlist 4 : PERSIST\n"
                 "2 tried 3 : MARK, TRIED 3, TRY 1#1\n"
                 "3 tried 1 : MARK, TRIED 1, TRY 4#1\n"
                 "4 show : TRYING NONE; 1 DONE NONE; 2 OWN NONE; 3 DONE NONE; 4 CALLING NONE\n");
}

Test(core_stories, an_ordered_refusal_stops_the_rest)
{
    story_expect("0 begin ordered keeps : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 : PERSIST\n"
                 "4 refused 1 : MARK, TRIED 1\n"
                 "5 wake : -\n"
                 "5 enlist 3 : PERSIST\n"
                 "6 retry : -\n"
                 "1000 wake : PERSIST, DECIDED, CANCEL 1#1\n"
                 "1001 cancelled 1 : MARK, RESOLVED\n"
                 "1001 show : CANCELLED DEADLINE; 1 REFUSED DONE; 2 WAITING DONE unsent; "
                 "3 WAITING DONE unsent\n");
}

/* S1, P8: who refused is cancelled too, for another copy of its try may be under way; who was never
 * sent one owes nothing. */
Test(core_stories, a_refusal_cancels_all_that_may_have_been_tried)
{
    story_expect("0 begin itself ordered : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 : PERSIST\n"
                 "4 refused 1 : PERSIST, TRIED 1, DECIDED, CANCEL 1#1\n"
                 "5 tried 1 : -\n"
                 "6 cancelled 2 : -\n"
                 "7 cancelled 1 : MARK, RESOLVED\n"
                 "7 show : CANCELLED REFUSED; 1 REFUSED DONE; 2 WAITING DONE unsent\n");
}

/* P27: confirm after a failed try takes a forced request. */
Test(core_stories, a_refusal_kept_for_the_initiator)
{
    story_expect("0 begin keeps : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 : PERSIST, TRY 2#1\n"
                 "4 refused 1 : MARK, TRIED 1\n"
                 "5 tried 2 : MARK, TRIED 2\n"
                 "7 tried 1 : -\n"
                 "8 cancel : PERSIST, DECIDED, CANCEL 1#1, CANCEL 2#1\n");
}

Test(core_stories, a_run_does_not_keep_refusals)
{
    story_expect("0 begin itself keeps : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "1 refused 1 : PERSIST, TRIED 1, DECIDED, CANCEL 1#1\n");
}

Test(core_stories, an_unknown_try_cancels)
{
    story_expect("0 begin : -\n"
                 "0 enlist 1 timeout=10 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 timeout=20 : PERSIST, TRY 2#1\n"
                 "0 due : 10\n"
                 "9 failed 1 : -\n"
                 "9 due : 10\n"
                 "10 wake : PERSIST, TRIED 1, DECIDED, CANCEL 1#1, CANCEL 2#1\n"
                 "11 show : CANCELLING TRY_UNKNOWN; 1 UNKNOWN CALLING; 2 CALLING CALLING\n"
                 "12 tried 1 : -\n"
                 "13 tried 2 : -\n");
}

Test(core_stories, an_unknown_try_kept_may_turn_out_done)
{
    story_expect("0 begin keeps : -\n"
                 "0 enlist 1 timeout=10 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 own : PERSIST\n"
                 "10 wake : MARK, TRIED 1\n"
                 "10 due : 1000\n"
                 "11 failed 1 : -\n"
                 "12 confirm : NOT_READY\n"
                 "13 tried 1 : MARK, TRIED 1\n"
                 "14 confirm : PERSIST, DECIDED, CONFIRM 1#1, CONFIRM 2#1\n");
}

Test(core_stories, an_unknown_try_kept_may_turn_out_refused)
{
    story_expect("0 begin keeps : -\n"
                 "0 enlist 1 timeout=10 : PERSIST, TRY 1#1\n"
                 "10 wake : MARK, TRIED 1\n"
                 "13 refused 1 : MARK, TRIED 1\n"
                 "14 show : TRYING NONE; 1 REFUSED NONE\n");
}

/* An answer that is there first wins over its timeout: the event is applied before time is. */
Test(core_stories, an_answer_at_the_timeout_counts)
{
    story_expect("0 begin : -\n"
                 "0 enlist 1 timeout=10 : PERSIST, TRY 1#1\n"
                 "10 tried 1 : MARK, TRIED 1\n");
}

/* P10: the initiator is gone. */
Test(core_stories, the_deadline_cancels)
{
    story_expect("0 begin deadline=50 : -\n"
                 "0 enlist 1 timeout=500 : PERSIST, TRY 1#1\n"
                 "1 tried 1 : MARK, TRIED 1\n"
                 "1 enlist 2 own : PERSIST\n"
                 "1 due : 50\n"
                 "49 wake : -\n"
                 "50 wake : PERSIST, DECIDED, CANCEL 1#1, CANCEL 2#1\n"
                 "51 show : CANCELLING DEADLINE; 1 DONE CALLING; 2 OWN CALLING\n");
}

/* S4, P11: whichever comes first wins, and the loser is told. */
Test(core_stories, confirm_comes_before_the_deadline)
{
    story_expect("0 begin deadline=50 : -\n"
                 "0 enlist 1 own : PERSIST\n"
                 "50 confirm : PERSIST, DECIDED, CONFIRM 1#1\n"
                 "50 wake : -\n"
                 "51 cancel : DECIDED_ALREADY\n"
                 "52 confirm : -\n"
                 "53 confirmed 1 : MARK, RESOLVED\n"
                 "54 confirm : -\n"
                 "55 cancel operator : DECIDED_ALREADY\n");
}

Test(core_stories, the_deadline_comes_before_confirm)
{
    story_expect("0 begin deadline=50 : -\n"
                 "0 enlist 1 own : PERSIST\n"
                 "50 wake : PERSIST, DECIDED, CANCEL 1#1\n"
                 "50 confirm : DECIDED_ALREADY\n"
                 "51 confirm forced : DECIDED_ALREADY\n"
                 "52 cancel : -\n"
                 "53 cancelled 1 : MARK, RESOLVED\n"
                 "54 confirm : DECIDED_ALREADY\n"
                 "55 cancel : -\n");
}

Test(core_stories, the_deadline_comes_with_the_last_try)
{
    story_expect("0 begin itself deadline=50 : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "50 tried 1 : PERSIST, TRIED 1, DECIDED, CANCEL 1#1\n"
                 "51 show : CANCELLING DEADLINE; 1 DONE CALLING\n");
}

/* S9: a branch that comes with the deadline is in, and so it is cancelled. */
Test(core_stories, enlisting_at_the_deadline)
{
    story_expect("0 begin deadline=50 : -\n"
                 "50 enlist 1 own : PERSIST, DECIDED, CANCEL 1#1\n"
                 "51 enlist 2 : DECIDED_ALREADY\n");
}

/* P13: never given up, never deleted. */
Test(core_stories, parked_by_failures_and_still_retried)
{
    story_expect("0 begin park_attempts=2 : -\n"
                 "0 enlist 1 own : PERSIST\n"
                 "0 enlist 2 own : PERSIST\n"
                 "1 confirm : PERSIST, DECIDED, CONFIRM 1#1, CONFIRM 2#1\n"
                 "2 confirmed 2 : MARK\n"
                 "3 confirm-failed 1 : -\n"
                 "4 wake : CONFIRM 1#2\n"
                 "5 confirm-failed 1 : MARK, PARKED 1\n"
                 "5 due : 6\n"
                 "6 wake : CONFIRM 1#3\n"
                 "6 due : never\n"
                 "7 confirm-failed 1 : -\n"
                 "8 wake : CONFIRM 1#4\n"
                 "8 show : CONFIRMING INITIATOR; 1 OWN CALLING parked; 2 OWN DONE\n"
                 "9 confirmed 1 : MARK, RESOLVED\n"
                 "9 show : CONFIRMED INITIATOR; 1 OWN DONE; 2 OWN DONE\n");
}

/* A call that never comes back is an alarm too. */
Test(core_stories, parked_by_time)
{
    story_expect("0 begin park_after=100 : -\n"
                 "0 enlist 1 own : PERSIST\n"
                 "0 enlist 2 own : PERSIST\n"
                 "5 cancel : PERSIST, DECIDED, CANCEL 1#1, CANCEL 2#1\n"
                 "6 cancelled 2 : MARK\n"
                 "6 due : 105\n"
                 "104 cancel-failed 1 : -\n"
                 "105 wake : MARK, CANCEL 1#2, PARKED 1\n"
                 "105 show : CANCELLING INITIATOR; 1 OWN CALLING parked; 2 OWN DONE\n"
                 "200 wake : -\n"
                 "201 cancelled 1 : MARK, RESOLVED\n");
}

/* P26: "no try seen" is its own answer and parks at once. */
Test(core_stories, a_broken_promise)
{
    story_expect("0 begin : -\n"
                 "0 enlist 1 own : PERSIST\n"
                 "0 confirm : PERSIST, DECIDED, CONFIRM 1#1\n"
                 "1 confirm-broken 1 : MARK, PARKED 1\n"
                 "1 show : CONFIRMING INITIATOR; 1 OWN WAITING parked broken\n"
                 "2 wake : CONFIRM 1#2\n"
                 "3 confirm-broken 1 : MARK\n"
                 "4 wake : CONFIRM 1#3\n"
                 "5 cancel-broken 1 : -\n"
                 "6 confirmed 1 : MARK, RESOLVED\n"
                 "6 confirm-broken 1 : -\n"
                 "6 show : CONFIRMED INITIATOR; 1 OWN DONE broken\n");
}

/* P13: a person may end it; that is durable before it is acknowledged (S12). */
Test(core_stories, a_person_settles_a_parked_branch)
{
    story_expect("0 begin park_attempts=1 : -\n"
                 "0 enlist 1 own : PERSIST\n"
                 "0 enlist 2 own : PERSIST\n"
                 "0 settle 1 forced : UNDECIDED\n"
                 "0 cancel : PERSIST, DECIDED, CANCEL 1#1, CANCEL 2#1\n"
                 "0 settle 1 : NOT_PARKED\n"
                 "1 cancel-failed 1 : MARK, PARKED 1\n"
                 "2 wake : CANCEL 1#2\n"
                 "3 settle 1 : PERSIST\n"
                 "3 settle 1 : -\n"
                 "4 cancel-failed 1 : -\n"
                 "5 cancelled 1 : -\n"
                 "6 cancel-failed 2 : MARK, PARKED 2\n"
                 "6 settle 2 : PERSIST, RESOLVED\n"
                 "7 settle 2 : -\n"
                 "8 settle 3 : NO_BRANCH\n"
                 "8 show : CANCELLED INITIATOR; 1 OWN DONE settled; 2 OWN DONE settled\n");
}

/* A person need not wait for the parking, and settles nothing that has ended. */
Test(core_stories, a_person_settles_at_once)
{
    story_expect(
        "0 begin : -\n"
        "0 enlist 1 own : PERSIST\n"
        "0 enlist 2 own : PERSIST\n"
        "0 enlist 3 own : PERSIST\n"
        "1 confirm : PERSIST, DECIDED, CONFIRM 1#1, CONFIRM 2#1, CONFIRM 3#1\n"
        "2 confirmed 2 : MARK\n"
        "2 settle 2 forced : ENDED\n"
        "2 settle 1 forced : PERSIST\n"
        "3 settle 1 forced : -\n"
        "3 crash : CONFIRM 3#1\n"
        "4 confirm-broken 1 : -\n"
        "5 confirm-failed 3 : -\n"
        "5 settle 3 forced : PERSIST, RESOLVED\n"
        "5 show : CONFIRMED INITIATOR; 1 OWN DONE settled; 2 OWN DONE; 3 OWN DONE settled\n");
}

/* L2: a misspelt service ends with the decision, for nobody was called; also when the coordinator
 * has died in between, for the try was held back. */
Test(core_stories, a_service_that_nobody_serves)
{
    story_expect("0 begin itself queues deadline=50 : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 held : PERSIST, TRY 2#1\n"
                 "1 leaves 1 : -\n"
                 "2 tried 1 : MARK, TRIED 1\n"
                 "9 crash : TRY 1#1, TRY 2#1\n"
                 "10 leaves 1 : -\n"
                 "10 tried 1 : MARK, TRIED 1\n"
                 "50 wake : PERSIST, DECIDED, CANCEL 1#1\n"
                 "51 crash : CANCEL 1#1\n"
                 "52 may-go 2 : -\n"
                 "53 cancelled 1 : MARK, RESOLVED\n"
                 "53 show : CANCELLED DEADLINE; 1 DONE DONE; 2 WAITING DONE unsent\n");
}

/* S7: that it may leave is durable before it does, so that a restart cannot take it for unsent. */
Test(core_stories, a_held_try_goes_when_somebody_serves_it)
{
    story_expect("0 begin queues : -\n"
                 "0 enlist 1 held : PERSIST, TRY 1#1\n"
                 "5 may-go 1 : PERSIST, TRY 1#1\n"
                 "5 may-go 1 : -\n"
                 "6 crash : TRY 1#1\n"
                 "7 cancel : PERSIST, DECIDED, CANCEL 1#1\n");
}

/* The moment that lets it go is that in which the time is over: no try leaves a decision's step. */
Test(core_stories, a_held_try_does_not_go_at_the_deadline)
{
    story_expect("0 begin queues : -\n"
                 "0 enlist 1 held : PERSIST, TRY 1#1\n"
                 "1000000 may-go 1 : PERSIST, DECIDED, RESOLVED\n"
                 "1000000 show : CANCELLED DEADLINE; 1 WAITING DONE unsent\n");
}

/* Its time is over while it is held: it is not sent any more. */
Test(core_stories, a_held_try_becomes_unknown)
{
    story_expect("0 begin keeps queues : -\n"
                 "0 enlist 1 held timeout=10 : PERSIST, TRY 1#1\n"
                 "10 wake : MARK, TRIED 1\n"
                 "11 may-go 1 : -\n"
                 "12 restart : -\n"
                 "13 confirm : PERSIST, DECIDED, RESOLVED\n"
                 "13 show : CONFIRMED INITIATOR; 1 UNKNOWN DONE unsent\n");
}

/* While it runs, the coordinator knows what waits in its queues; after a crash it does not. */
Test(core_stories, a_try_that_waits_was_not_sent)
{
    story_expect("0 begin queues : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 : PERSIST, TRY 2#1\n"
                 "0 leaves 1 : -\n"
                 "1 cancel : PERSIST, DECIDED, CANCEL 1#1\n"
                 "2 restart : CANCEL 1#1\n"
                 "2 cancelled 1 : MARK, RESOLVED\n"
                 "3 begin queues : -\n"
                 "3 enlist 1 : PERSIST, TRY 1#1\n"
                 "4 crash : TRY 1#1\n"
                 "5 cancel : PERSIST, DECIDED, CANCEL 1#1\n");
}

/* P27: a confirm that keeps refusals is for what is done; who refused is cancelled, for another
 * copy of its try may be under way. */
Test(core_stories, a_confirm_leaves_out_who_refused)
{
    story_expect("0 begin keeps : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 : PERSIST, TRY 2#1\n"
                 "0 enlist 3 own : PERSIST\n"
                 "1 refused 1 : MARK, TRIED 1\n"
                 "2 confirm : NOT_READY\n"
                 "3 tried 2 : MARK, TRIED 2\n"
                 "4 confirm : PERSIST, DECIDED, CANCEL 1#1, CONFIRM 2#1, CONFIRM 3#1\n"
                 "5 confirmed 1 : -\n"
                 "5 cancelled 2 : -\n"
                 "5 crash : CANCEL 1#1, CONFIRM 2#1, CONFIRM 3#1\n"
                 "6 cancelled 1 : MARK\n"
                 "6 confirmed 2 : MARK\n"
                 "6 confirmed 3 : MARK, RESOLVED\n"
                 "6 show : CONFIRMED INITIATOR; 1 REFUSED DONE; 2 DONE DONE; 3 OWN DONE\n");
}

/* An order that a refusal has stopped: what would have come later is left out, without force. */
Test(core_stories, a_confirm_leaves_out_who_was_never_tried)
{
    story_expect("0 begin keeps ordered : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 : PERSIST\n"
                 "0 enlist 3 : PERSIST\n"
                 "1 confirm : NOT_READY\n"
                 "1 tried 1 : MARK, TRIED 1, TRY 2#1\n"
                 "2 confirm : NOT_READY\n"
                 "3 refused 2 : MARK, TRIED 2\n"
                 "4 confirm : PERSIST, DECIDED, CONFIRM 1#1, CANCEL 2#1\n"
                 "4 show : CONFIRMING INITIATOR; 1 DONE CALLING; 2 REFUSED CALLING; "
                 "3 WAITING DONE unsent\n");
}

/* Force: what is done is confirmed, what nobody knows is cancelled. */
Test(core_stories, a_forced_confirm_of_what_keeps_refusals)
{
    story_expect("0 begin keeps queues : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 : PERSIST, TRY 2#1\n"
                 "0 enlist 3 : PERSIST, TRY 3#1\n"
                 "0 leaves 1 : -\n"
                 "0 leaves 2 : -\n"
                 "1 tried 1 : MARK, TRIED 1\n"
                 "2 confirm : NOT_READY\n"
                 "3 confirm forced : PERSIST, DECIDED, CONFIRM 1#1, CANCEL 2#1\n"
                 "4 tried 2 : -\n"
                 "5 cancelled 2 : MARK\n"
                 "5 confirmed 1 : MARK, RESOLVED\n");
}

/* Nobody can vouch for what was certainly never tried. */
Test(core_stories, force_does_not_confirm_what_was_never_sent)
{
    story_expect("0 begin queues : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 held : PERSIST, TRY 2#1\n"
                 "1 leaves 1 : -\n"
                 "2 confirm forced : NOT_READY\n"
                 "3 may-go 2 : PERSIST, TRY 2#1\n"
                 "3 confirm forced : NOT_READY\n"
                 "4 leaves 2 : -\n"
                 "5 confirm forced : PERSIST, DECIDED, CONFIRM 1#1, CONFIRM 2#1\n");
}

/* P23: "retry now" does something. */
Test(core_stories, retry_now)
{
    story_expect("0 begin : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 : PERSIST, TRY 2#1\n"
                 "5 failed 1 : -\n"
                 "5 failed 2 : -\n"
                 "5 retry 1 : TRY 1#2\n"
                 "5 retry 7 : NO_BRANCH\n"
                 "5 retry : TRY 2#2\n"
                 "6 tried 1 : MARK, TRIED 1\n"
                 "6 tried 2 : MARK, TRIED 2\n"
                 "7 confirm : PERSIST, DECIDED, CONFIRM 1#1, CONFIRM 2#1\n"
                 "8 confirm-failed 1 : -\n"
                 "8 confirm-failed 2 : -\n"
                 "8 retry 2 : CONFIRM 2#2\n"
                 "8 retry : CONFIRM 1#2\n"
                 "9 confirmed 1 : MARK\n"
                 "9 confirmed 2 : MARK, RESOLVED\n"
                 "9 retry : -\n"
                 "9 retry 1 : -\n"
                 "9 retry 7 : NO_BRANCH\n");
}

/* P15: each branch at its own pace; the dead one holds up nobody. */
Test(core_stories, a_dead_participant_delays_no_other)
{
    story_expect("0 begin : -\n"
                 "0 enlist 1 own : PERSIST\n"
                 "0 enlist 2 own : PERSIST\n"
                 "0 enlist 3 own : PERSIST\n"
                 "0 confirm : PERSIST, DECIDED, CONFIRM 1#1, CONFIRM 2#1, CONFIRM 3#1\n"
                 "1 confirm-failed 1 : -\n"
                 "1 confirmed 2 : MARK\n"
                 "1 confirmed 3 : MARK\n"
                 "2 wake : CONFIRM 1#2\n");
}

Test(core_stories, restart_while_trying)
{
    story_expect("0 begin deadline=50 : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 : PERSIST, TRY 2#1\n"
                 "0 enlist 3 own : PERSIST\n"
                 "1 failed 1 : -\n"
                 "1 tried 2 : MARK, TRIED 2\n"
                 "1 restart : TRY 1#2\n"
                 "2 crash : TRY 1#1, TRY 2#1\n"
                 "60 restart : PERSIST, DECIDED, CANCEL 1#1, CANCEL 2#1, CANCEL 3#1\n");
}

Test(core_stories, restart_of_an_ordered_run)
{
    story_expect("0 begin ordered itself : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "0 enlist 2 : PERSIST\n"
                 "0 enlist 3 : PERSIST\n"
                 "1 tried 1 : MARK, TRIED 1, TRY 2#1\n"
                 "2 restart : TRY 2#1\n"
                 "3 tried 2 : MARK, TRIED 2, TRY 3#1\n"
                 "4 crash : TRY 1#1\n");
}

/* S2: a decision outlives every crash. P5: asking again starts nothing. */
Test(core_stories, restart_while_confirming)
{
    story_expect("0 begin deadline=50 : -\n"
                 "0 enlist 1 own : PERSIST\n"
                 "0 enlist 2 own : PERSIST\n"
                 "1 confirm : PERSIST, DECIDED, CONFIRM 1#1, CONFIRM 2#1\n"
                 "2 confirmed 1 : MARK\n"
                 "3 restart : CONFIRM 2#1\n"
                 "60 crash : CONFIRM 1#1, CONFIRM 2#1\n"
                 "61 confirm : -\n"
                 "62 confirmed 1 : MARK\n"
                 "63 confirmed 2 : MARK, RESOLVED\n"
                 "64 restart : -\n"
                 "64 show : CONFIRMED INITIATOR; 1 OWN DONE; 2 OWN DONE\n"
                 "65 crash : CONFIRM 1#1, CONFIRM 2#1\n");
}

Test(core_stories, restart_while_cancelling)
{
    story_expect("0 begin park_after=10 : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "1 cancel : PERSIST, DECIDED, CANCEL 1#1\n"
                 "12 restart : CANCEL 1#1\n"
                 "12 due : 22\n"
                 "22 wake : MARK, PARKED 1\n"
                 "23 restart : CANCEL 1#1\n"
                 "24 show : CANCELLING INITIATOR; 1 WAITING CALLING parked\n"
                 "25 cancelled 1 : MARK, RESOLVED\n"
                 "26 restart : -\n"
                 "26 due : never\n");
}

/* An answer may be lost in a crash, and is asked for again; a decision may not. */
Test(core_stories, a_crash_loses_answers_but_no_decision)
{
    story_expect("0 begin itself : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "1 crash : TRY 1#1\n"
                 "2 tried 1 : PERSIST, TRIED 1, DECIDED, CONFIRM 1#1\n"
                 "3 crash : CONFIRM 1#1\n");
}

Test(core_stories, a_forced_confirm)
{
    story_expect("0 begin : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "1 confirm : NOT_READY\n"
                 "1 confirm forced : PERSIST, DECIDED, CONFIRM 1#1\n"
                 "2 refused 1 : -\n"
                 "3 confirmed 1 : MARK, RESOLVED\n"
                 "3 show : CONFIRMED INITIATOR; 1 CALLING DONE\n");
}

/* P4: an empty transaction ends, without a call. */
Test(core_stories, empty_transactions)
{
    story_expect("0 begin : -\n"
                 "0 wake : -\n"
                 "1 confirm : PERSIST, DECIDED, RESOLVED\n"
                 "1 confirm : -\n"
                 "1 show : CONFIRMED INITIATOR\n"
                 "2 begin itself : -\n"
                 "3 wake : -\n"
                 "3 cancel : PERSIST, DECIDED, RESOLVED\n"
                 "3 show : CANCELLED INITIATOR\n"
                 "4 begin deadline=10 : -\n"
                 "10 wake : PERSIST, DECIDED, RESOLVED\n"
                 "10 show : CANCELLED DEADLINE\n");
}

/* P3: the same again is fine, other content is told. P2, S9: not after the decision. */
Test(core_stories, enlisting_twice)
{
    story_expect("0 begin : -\n"
                 "0 enlist 2 digest=7 : PERSIST, TRY 2#1\n"
                 "1 enlist 2 digest=7 : -\n"
                 "1 enlist 2 digest=8 : EXISTS\n"
                 "1 enlist 0 : LIMIT\n"
                 "1 enlist 1025 : LIMIT\n"
                 "1 enlist 1024 : PERSIST, TRY 1024#1\n"
                 "1 enlist 1 : PERSIST, TRY 1#1\n"
                 "2 cancel : PERSIST, DECIDED, CANCEL 1#1, CANCEL 2#1, CANCEL 1024#1\n"
                 "3 enlist 2 digest=7 : -\n"
                 "3 enlist 2 digest=8 : EXISTS\n"
                 "3 enlist 3 : DECIDED_ALREADY\n"
                 "3 enlist 0 : LIMIT\n");
}

/* P7 is the barrier's; the core's part: late and doubled answers change nothing. */
Test(core_stories, late_answers)
{
    story_expect("0 begin : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "0 confirmed 1 : -\n"
                 "0 cancel-failed 1 : -\n"
                 "1 tried 1 : MARK, TRIED 1\n"
                 "1 tried 1 : -\n"
                 "1 refused 1 : -\n"
                 "1 failed 1 : -\n"
                 "2 confirm : PERSIST, DECIDED, CONFIRM 1#1\n"
                 "3 cancelled 1 : -\n"
                 "3 cancel-failed 1 : -\n"
                 "3 refused 1 : -\n"
                 "4 confirm-failed 1 : -\n"
                 "4 confirm-failed 1 : -\n"
                 "4 confirmed 1 : MARK, RESOLVED\n"
                 "5 confirmed 1 : -\n"
                 "5 confirm-failed 1 : -\n"
                 "5 tried 1 : -\n"
                 "5 tried 2 : NO_BRANCH\n"
                 "5 confirmed 0 : NO_BRANCH\n");
}

/* A request that is refused changes nothing: what time has brought about waits for the next
 * wake. */
Test(core_stories, a_refused_request_does_not_move_time)
{
    story_expect("0 begin deadline=50 : -\n"
                 "0 enlist 1 : PERSIST, TRY 1#1\n"
                 "60 confirm : NOT_READY\n"
                 "60 show : TRYING NONE; 1 CALLING NONE\n"
                 "60 wake : PERSIST, DECIDED, CANCEL 1#1\n");
}
