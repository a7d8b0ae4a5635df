/* SPDX-License-Identifier: Apache-2.0
 *
 * Tercet's protocol: one transaction, two branches, one durable record, several coordinators of which the newest epoch
 * owns the record, an initiator. README.md says what is modelled, what is not, and how to read a counterexample.
 *
 * What was sent once stays deliverable for ever, any number of times: a message is a bit that is set and never cleared,
 * and a step that would change nothing is left out. So loss, repetition, reordering and delay need no code, and every
 * run ends; where it ends, nothing may be left undone (proctype judge).
 *
 * MUTANT_... and REACH_... switches: the script `run`.
 */
#ifndef COORDINATORS
#define COORDINATORS 2
#endif
#ifndef EPOCHS
#define EPOCHS 4 /* takeovers in all; in the last epoch nothing fails any more */
#endif
#define ALL 3    /* sets of branches are bits: branch b is BIT(b) */
#define ROUTED 1 /* branch 0's try goes through the coordinator; branch 1 is called by the initiator itself */
#define OWN (ALL - ROUTED)
#define BIT(b) (1 << (b))

/* Of the record, in an order that never falls (S10). */
#define TRYING 1
#define CONFIRMING 2
#define CANCELLING 3
#define CONFIRMED 4
#define CANCELLED 5

/* Of a barrier row. */
#define NO_ROW 0
#define ROW_TRIED 1
#define ROW_CONFIRMED 2
#define ROW_CANCELLED 3

#define CONFIRM 1
#define CANCEL 2
#define DECISION(state) ((state) == TRYING -> 0 : ((state) == CONFIRMING || (state) == CONFIRMED -> CONFIRM : CANCEL))
#define IS_RESOLVED(state) ((state) >= CONFIRMED)

typedef Record {
    byte epoch;    /* who acquired it last */
    byte state;
    byte enlisted;
    byte tried;    /* marks: written with some later write */
    byte done;
}
Record record;

/* What a coordinator has in memory: the record as it knows it. All zero while it is down. */
typedef View {
    byte epoch;
    byte state;
    byte enlisted;
    byte tried;
    byte done;
}
View views[COORDINATORS];
#define IS_UP(me) (views[me].epoch != 0)

/* A participant's database: the row, the low-water mark, and what the hooks did (never read by the protocol). */
typedef Database {
    byte row;
    bool is_marked;
    byte tries;
    byte confirms;
    byte cancels;
    byte empties; /* cancels that found no row and left one */
}
Database databases[2];

/* Messages under way. */
byte enlist_asked = ROUTED;
bool confirm_asked;
byte try_sent;
byte confirm_sent;
byte cancel_sent;
bool mark_sent;
byte try_done;
byte confirm_done;
byte cancel_done;

/* The decision that somebody has seen: in an answer or in a call. */
byte seen;

/* -- What must hold ------------------------------------------------------------------------------------------------- */

#define ENDS(b) (databases[b].confirms + databases[b].cancels)

/* Somebody sees a decision: it is durable (S3) and the one that was seen before (S2). */
inline see(decision)
{
    assert(DECISION(record.state) == decision);
    assert(seen == 0 || seen == decision);
    seen = decision
}

/* After an effect of branch b in its participant's database. */
inline check_effects(b)
{
    /* S6 */
    assert(databases[b].tries <= 1 && databases[b].confirms <= 1 && databases[b].cancels <= 1 && ENDS(b) <= 1);
    /* S5 */
    assert(databases[b].confirms <= databases[b].tries);
    /* S1 */
    assert(databases[0].confirms + databases[1].confirms == 0 ||
           databases[0].cancels + databases[1].cancels + databases[0].empties + databases[1].empties == 0)
}

/* After every write: what was resolved has no branch that was tried and not ended (S8, L2). */
inline check_record(state_before, enlisted_before)
{
    assert(record.state >= state_before);                                     /* S10 */
    assert(state_before == TRYING || DECISION(record.state) == DECISION(state_before)); /* S2 */
    assert(state_before == TRYING || record.enlisted == enlisted_before);     /* S9 */
    assert(databases[0].tries == 0 || (record.enlisted & BIT(0)));            /* S8 */
    assert(databases[1].tries == 0 || (record.enlisted & BIT(1)));
    assert(!IS_RESOLVED(record.state) || databases[0].tries == ENDS(0));
    assert(!IS_RESOLVED(record.state) || databases[1].tries == ENDS(1))
}

/* -- The coordinator ------------------------------------------------------------------------------------------------- */

inline go_down(me)
{
    views[me].epoch = 0;
    views[me].state = 0;
    views[me].enlisted = 0;
    views[me].tried = 0;
    views[me].done = 0
}

/* May a write of this view take effect? */
#if defined(MUTANT_BLIND_WRITE)
#define IS_LET_THROUGH(me) true
#elif defined(MUTANT_STATUS_COMPARE)
#define IS_LET_THROUGH(me) (views[me].state == record.state)
#else
#define IS_LET_THROUGH(me) (views[me].epoch == record.epoch)
#endif

#define MAY_FAIL (record.epoch < EPOCHS)

/* The whole record is written. Under a status compare, branches are added to the record one by one instead, and the
 * writer goes on with the list it has in memory. */
inline apply(me, new_state, new_enlisted)
{
    state_before = record.state;
    enlisted_before = record.enlisted;
    record.state = new_state;
#ifdef MUTANT_STATUS_COMPARE
    record.enlisted = record.enlisted | new_enlisted;
#else
    record.enlisted = new_enlisted;
#endif
    record.tried = views[me].tried;
    record.done = views[me].done;
    check_record(state_before, enlisted_before);
    state_before = 0;
    enlisted_before = 0
}

inline adopt(me, new_state, new_enlisted)
{
    views[me].state = new_state;
    views[me].enlisted = new_enlisted
}

/* A forced write. Done; done or not done, and the coordinator gone (a crash, or an outcome that is unknown: acquire
 * again); or fenced. Nothing that depends on it has left yet. */
inline commit(me, new_state, new_enlisted)
{
    if
    :: IS_LET_THROUGH(me) ->
        apply(me, new_state, new_enlisted);
        adopt(me, new_state, new_enlisted)
    :: IS_LET_THROUGH(me) && MAY_FAIL ->
        apply(me, new_state, new_enlisted);
#ifndef MUTANT_UNKNOWN_IS_FAILURE
        go_down(me)
#endif
    :: MAY_FAIL ->
        go_down(me)
    :: !IS_LET_THROUGH(me) ->
#ifdef REACH_FENCED
        assert(false);
#endif
        go_down(me)
    fi
}

#ifdef MUTANT_NOT_READY_IGNORED
#define IS_READY(me) true
#else
#define IS_READY(me) ((views[me].enlisted & ROUTED & ~views[me].tried) == 0)
#endif

#ifdef MUTANT_LATE_ENLIST
#define IS_OPEN(me) (!IS_RESOLVED(views[me].state))
#else
#define IS_OPEN(me) (views[me].state == TRYING)
#endif

#ifdef MUTANT_CANCEL_TRIED_ONLY
#define TO_CANCEL(me) (views[me].enlisted & views[me].tried)
#else
#define TO_CANCEL(me) (views[me].enlisted)
#endif
#define TO_END(me) (views[me].state == CANCELLING -> TO_CANCEL(me) : views[me].enlisted)

#ifdef MUTANT_CANCEL_EARLY
#define MAY_SEND_CANCEL(me) (views[me].state == CANCELLING || views[me].state == TRYING)
#else
#define MAY_SEND_CANCEL(me) (views[me].state == CANCELLING)
#endif

#ifdef MUTANT_TRY_EARLY
#define MAY_SEND_TRY(me, b) (enlist_asked & BIT(b))
#else
#define MAY_SEND_TRY(me, b) (views[me].enlisted & BIT(b))
#endif

#ifdef MUTANT_END_WHEN_SENT
#define HAS_ENDED(me) ((TO_END(me) & ~(confirm_sent | cancel_sent)) == 0)
#else
#define HAS_ENDED(me) ((TO_END(me) & ~views[me].done) == 0)
#endif

/* What a coordinator may do for branch b. A try's call and the answer to an enlistment are one: whoever calls the
 * participant then, the try is under way. */
#define BRANCH_STEPS(me, b) \
    :: atomic { IS_UP(me) && IS_OPEN(me) && (enlist_asked & BIT(b)) && !(views[me].enlisted & BIT(b)) -> \
                commit(me, views[me].state, views[me].enlisted | BIT(b)) } \
    :: atomic { IS_UP(me) && views[me].state == TRYING && MAY_SEND_TRY(me, b) && !(try_sent & BIT(b)) -> \
                try_sent = try_sent | BIT(b) } \
    :: atomic { IS_UP(me) && views[me].state == TRYING && (try_done & BIT(b) & views[me].enlisted & ~views[me].tried) -> \
                views[me].tried = views[me].tried | BIT(b) } \
    :: atomic { IS_UP(me) && views[me].state == CONFIRMING && (views[me].enlisted & BIT(b)) && !(confirm_sent & BIT(b)) -> \
                see(CONFIRM); confirm_sent = confirm_sent | BIT(b) } \
    :: atomic { IS_UP(me) && MAY_SEND_CANCEL(me) && (TO_CANCEL(me) & BIT(b)) && !(cancel_sent & BIT(b)) -> \
                see_cancel(); cancel_sent = cancel_sent | BIT(b) } \
    :: atomic { IS_UP(me) && views[me].state == CONFIRMING && (confirm_done & BIT(b) & views[me].enlisted & ~views[me].done) -> \
                views[me].done = views[me].done | BIT(b) } \
    :: atomic { IS_UP(me) && views[me].state == CANCELLING && (cancel_done & BIT(b) & views[me].enlisted & ~views[me].done) -> \
                views[me].done = views[me].done | BIT(b) }

/* The mutant that cancels early is to be found by its effects, not by where it differs. */
inline see_cancel()
{
#ifndef MUTANT_CANCEL_EARLY
    see(CANCEL)
#else
    skip
#endif
}

proctype coordinator(byte me)
{
    byte state_before, enlisted_before;
end:
    do
    /* Acquire, load: all there is to a start, a restart and a takeover. The one before is not asked, and goes on. */
    :: atomic { !IS_UP(me) && record.epoch < EPOCHS ->
        record.epoch++;
        views[me].epoch = record.epoch;
        views[me].state = record.state;
        views[me].enlisted = record.enlisted;
        views[me].tried = record.tried;
        views[me].done = record.done }
    :: atomic { IS_UP(me) && MAY_FAIL -> go_down(me) }
    BRANCH_STEPS(me, 0)
    BRANCH_STEPS(me, 1)
    :: atomic { IS_UP(me) && views[me].state == TRYING && confirm_asked && IS_READY(me) ->
        commit(me, CONFIRMING, views[me].enlisted) }
    /* The deadline, a refusal, a try that stays unknown, the initiator, an operator: at any time. */
    :: atomic { IS_UP(me) && views[me].state == TRYING -> commit(me, CANCELLING, views[me].enlisted) }
    /* Marks alone, lazily. */
    :: atomic { IS_UP(me) && (views[me].tried != record.tried || views[me].done != record.done) ->
        commit(me, views[me].state, views[me].enlisted) }
    /* Whoever asked is told. */
    :: atomic { IS_UP(me) && seen == 0 && DECISION(views[me].state) != 0 -> see(DECISION(views[me].state)) }
    :: atomic { IS_UP(me) && (views[me].state == CONFIRMING || views[me].state == CANCELLING) && HAS_ENDED(me) ->
        commit(me, (views[me].state == CONFIRMING -> CONFIRMED : CANCELLED), views[me].enlisted) }
    /* Calls of other transactions carry it. */
    :: atomic { IS_UP(me) && IS_RESOLVED(views[me].state) && !mark_sent -> mark_sent = true }
    od
}

/* -- The participant's barrier ----------------------------------------------------------------------------------------- */

#ifdef MUTANT_COLLECT_BY_AGE
#define MAY_COLLECT(b) true
#else
#define MAY_COLLECT(b) (databases[b].is_marked)
#endif

#ifdef MUTANT_TRY_BELOW_MARK
#define IS_SHUT(b) false
#else
#define IS_SHUT(b) (databases[b].is_marked)
#endif

/* Row and effect are one local transaction: one step. A refusal leaves nothing behind: no step. */
proctype participant(byte b)
{
end:
    do
    :: atomic { (try_sent & BIT(b)) && databases[b].row == NO_ROW && !IS_SHUT(b) ->
        assert(databases[b].cancels + databases[b].empties == 0); /* S7 */
        assert(record.enlisted & BIT(b));                         /* S8 */
        databases[b].tries++;
        check_effects(b);
        if
        :: databases[b].row = ROW_TRIED; try_done = try_done | BIT(b)
#ifdef MUTANT_ROW_APART
        :: skip /* died between two local transactions */
#endif
        fi }
    :: atomic { (confirm_sent & BIT(b)) && databases[b].row == ROW_TRIED ->
        databases[b].row = ROW_CONFIRMED;
        databases[b].confirms++;
        confirm_done = confirm_done | BIT(b);
        check_effects(b) }
    /* Broken promises: a confirm where nothing was tried, an end against the row. They cannot come about. */
    :: atomic { (confirm_sent & BIT(b)) && databases[b].row != ROW_TRIED && databases[b].row != ROW_CONFIRMED &&
                !databases[b].is_marked -> assert(false) }
    :: atomic { (confirm_sent & BIT(b)) && databases[b].row == ROW_CANCELLED -> assert(false) }
    :: atomic { (cancel_sent & BIT(b)) && databases[b].row == ROW_CONFIRMED -> assert(false) }
    :: atomic { (cancel_sent & BIT(b)) && databases[b].row == ROW_TRIED ->
        databases[b].row = ROW_CANCELLED;
        databases[b].cancels++;
        cancel_done = cancel_done | BIT(b);
        check_effects(b) }
    :: atomic { (cancel_sent & BIT(b)) && databases[b].row == NO_ROW && !databases[b].is_marked &&
                databases[b].empties == 0 ->
#ifndef MUTANT_NO_EMPTY_ROW
        databases[b].row = ROW_CANCELLED;
#endif
        databases[b].empties++;
        cancel_done = cancel_done | BIT(b);
        check_effects(b) }
    /* At or below the mark, where no row is: done, and none is left. */
    :: atomic { (confirm_sent & BIT(b)) && databases[b].row == NO_ROW && databases[b].is_marked && !(confirm_done & BIT(b)) ->
        confirm_done = confirm_done | BIT(b) }
    :: atomic { (cancel_sent & BIT(b)) && databases[b].row == NO_ROW && databases[b].is_marked && !(cancel_done & BIT(b)) ->
        cancel_done = cancel_done | BIT(b) }
    :: atomic { mark_sent && !databases[b].is_marked -> databases[b].is_marked = true }
    :: atomic { (databases[b].row == ROW_CONFIRMED || databases[b].row == ROW_CANCELLED) && MAY_COLLECT(b) ->
        databases[b].row = NO_ROW }
    od
}

/* -- The initiator, and the end ------------------------------------------------------------------------------------------ */

/* For the branches that it calls itself, the initiator vouches: none is asked for later, all that were are tried. */
proctype initiator()
{
end:
    do
    :: atomic { !confirm_asked && (OWN & ~enlist_asked) -> enlist_asked = enlist_asked | OWN }
    :: atomic { !confirm_asked && (enlist_asked & OWN & ~try_done) == 0 -> confirm_asked = true }
    od
}

/* Nobody can do anything any more: the transaction is resolved, every branch has ended, nothing is left over (L1, L2). */
proctype judge()
{
    timeout ->
    assert(IS_RESOLVED(record.state));
    assert(databases[0].tries == ENDS(0) && databases[1].tries == ENDS(1));
    assert(databases[0].row == NO_ROW && databases[1].row == NO_ROW);
#ifdef REACH_BOTH_CONFIRMED
    assert(databases[0].confirms + databases[1].confirms < 2);
#endif
#ifdef REACH_BOTH_CANCELLED
    assert(databases[0].cancels + databases[1].cancels < 2);
#endif
#ifdef REACH_EMPTY_CANCEL_AND_LATE_TRY
    assert(!(databases[0].empties == 1 && (try_sent & BIT(0)) && databases[0].tries == 0));
#endif
#ifdef REACH_LAST_EPOCH_CONFIRMS
    assert(!(record.epoch == EPOCHS && databases[1].confirms == 1));
#endif
#ifdef REACH_NOTHING_ENLISTED
    assert(record.enlisted != 0)
#else
    skip
#endif
}

init
{
    byte i;
    atomic {
        record.state = TRYING;
        for (i : 0 .. COORDINATORS - 1) { run coordinator(i) }
        run participant(0);
        run participant(1);
        run initiator();
        run judge()
    }
}
