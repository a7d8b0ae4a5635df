/* SPDX-License-Identifier: Apache-2.0
 *
 * Every state x every event x everything a branch can be in. A letter of the table stands for an
 * effect; an effect is the text of everything that changed, of the result and of the actions. A
 * pair that is missing fails.
 */
#include "transcript.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>

TestSuite(core_table, .timeout = 20);

#define NOW_MS 1000
#define SUBJECT 3  /* the branch that events speak of */
#define OTHER 2    /* the other branch there is */
#define NEWCOMER 4 /* a number that is free */
#define NOBODY 9

/* What a transaction can be in, as seen from its branch SUBJECT. */
struct situation {
    enum txn_state state;
    uint8_t try_state;
    uint8_t end_state;
    uint8_t other_try;
    uint8_t other_end;
    bool is_parked;
    bool is_settled;
    bool is_blocked; /* ordered, and OTHER is under way */
    uint8_t sent;
    bool is_partial; /* of what keeps refusals, as is what has this or `sent` */
};

#define TRYING(try)                                                                                \
    {                                                                                              \
        .state = TXN_TRYING, .try_state = TXN_TRY_##try, .other_try = TXN_TRY_OWN                  \
    }
#define ENDING(in, end, other, parked, settled)                                                    \
    {                                                                                              \
        .state = in, .try_state = TXN_TRY_DONE, .end_state = TXN_END_##end,                        \
        .other_try = TXN_TRY_OWN, .other_end = TXN_END_##other, .is_parked = parked,               \
        .is_settled = settled                                                                      \
    }
#define ALL_ENDING(state)                                                                          \
    ENDING(state, WAITING, CALLING, false, false), ENDING(state, CALLING, CALLING, false, false),  \
        ENDING(state, WAITING, CALLING, true, false),                                              \
        ENDING(state, CALLING, CALLING, true, false), ENDING(state, DONE, CALLING, false, false),  \
        ENDING(state, DONE, CALLING, false, true), ENDING(state, CALLING, DONE, false, false),     \
        ENDING(state, WAITING, DONE, true, false)

static const struct situation situations[] = {
    TRYING(OWN),
    TRYING(WAITING),
    {.state = TXN_TRYING,
     .try_state = TXN_TRY_WAITING,
     .other_try = TXN_TRY_CALLING,
     .is_blocked = true},
    TRYING(CALLING),
    TRYING(DONE),
    TRYING(REFUSED),
    TRYING(UNKNOWN),
    {.state = TXN_TRYING,
     .try_state = TXN_TRY_CALLING,
     .other_try = TXN_TRY_OWN,
     .sent = TXN_SENT_HELD},
    {.state = TXN_TRYING,
     .try_state = TXN_TRY_UNKNOWN,
     .other_try = TXN_TRY_OWN,
     .sent = TXN_SENT_NOT},
    ALL_ENDING(TXN_CONFIRMING),
    ALL_ENDING(TXN_CANCELLING),
    ENDING(TXN_CONFIRMED, DONE, DONE, false, false),
    ENDING(TXN_CONFIRMED, DONE, DONE, false, true),
    ENDING(TXN_CANCELLED, DONE, DONE, false, false),
    ENDING(TXN_CANCELLED, DONE, DONE, false, true),
    {.state = TXN_CONFIRMING,
     .try_state = TXN_TRY_REFUSED,
     .end_state = TXN_END_CALLING,
     .other_try = TXN_TRY_OWN,
     .other_end = TXN_END_CALLING,
     .is_partial = true},
    {.state = TXN_CANCELLING,
     .try_state = TXN_TRY_WAITING,
     .end_state = TXN_END_DONE,
     .other_try = TXN_TRY_OWN,
     .other_end = TXN_END_CALLING,
     .sent = TXN_SENT_NOT},
};
#define SITUATION_COUNT (sizeof(situations) / sizeof(situations[0]))

/* The same columns as in `situations`: O own, W waiting, B blocked by order, C calling, D done, R
 * refused, U unknown, H calling but held back, N unknown and never sent; then W waiting, C calling,
 * w and c the same but parked, D done, S settled, l the last one calling, p the last one parked; at
 * the end R, confirmed without this branch, which refused, and N, cancelled without having been
 * sent. */
struct row {
    struct txn_event event;
    bool keeps_on_refusal;
    const char *effects;
};

#define ABOUT(event_kind) .kind = (event_kind), .number = SUBJECT
static const struct row rows[] = {
    /*                                OWBCDRUHN WCwcDSlp WCwcDSlp DS DS RN */
    {{.kind = TXN_ENLIST, .number = NEWCOMER, .mode = TXN_MODE_ROUTED},
     0,
     "nnNnnnnnn DDDDDDDD DDDDDDDD DD DD DD"},
    {{.kind = TXN_ENLIST, .number = NEWCOMER, .mode = TXN_MODE_ROUTED, .is_held = true},
     0,
     "112111111 DDDDDDDD DDDDDDDD DD DD DD"},
    {{.kind = TXN_ENLIST, .number = NEWCOMER, .mode = TXN_MODE_OWN},
     0,
     "mmmmmmmmm DDDDDDDD DDDDDDDD DD DD DD"},
    {{ABOUT(TXN_ENLIST), .digest = SUBJECT, .mode = TXN_MODE_ROUTED},
     0,
     "......... ........ ........ .. .. .."},
    {{ABOUT(TXN_ENLIST), .digest = 77, .mode = TXN_MODE_ROUTED},
     0,
     "EEEEEEEEE EEEEEEEE EEEEEEEE EE EE EE"},
    {{.kind = TXN_ENLIST, .number = 0}, 0, "LLLLLLLLL LLLLLLLL LLLLLLLL LL LL LL"},
    {{.kind = TXN_ENLIST, .number = TXN_BRANCHES_MAX + 1},
     0,
     "LLLLLLLLL LLLLLLLL LLLLLLLL LL LL LL"},
    {{.kind = TXN_CONFIRM}, 0, "cRRRcRRRR ........ DDDDDDDD .. DD .D"},
    {{.kind = TXN_CONFIRM}, 1, "cRRRc3RR4 ........ DDDDDDDD .. DD .D"},
    {{.kind = TXN_CONFIRM, .is_forced = true}, 0, "cccccccRR ........ DDDDDDDD .. DD .D"},
    {{.kind = TXN_CONFIRM, .is_forced = true}, 1, "c3!3c3344 ........ DDDDDDDD .. DD .D"},
    {{.kind = TXN_CANCEL, .cause = TXN_CAUSE_INITIATOR}, 0, "xxxxxxx55 DDDDDDDD ........ DD .. D."},
    {{.kind = TXN_CANCEL, .cause = TXN_CAUSE_OPERATOR}, 0, "ooooooo66 DDDDDDDD ........ DD .. D."},
    {{ABOUT(TXN_TRY_MAY_GO)}, 0, ".......7. ........ ........ .. .. .."},
    {{ABOUT(TXN_TRY_IS_DONE)}, 0, ".ttt..ttt ........ ........ .. .. .."},
    {{ABOUT(TXN_TRY_IS_REFUSED)}, 0, ".rrr..rrr ........ ........ .. .. .."},
    {{ABOUT(TXN_TRY_IS_REFUSED)}, 1, ".kkk..kkk ........ ........ .. .. .."},
    {{ABOUT(TXN_TRY_HAS_FAILED)}, 0, "...f...f. ........ ........ .. .. .."},
    {{ABOUT(TXN_END_IS_DONE), .is_confirm = true}, 0, "......... ddee..qs ........ .. .. .."},
    {{ABOUT(TXN_END_IS_DONE), .is_confirm = false}, 0, "......... ........ ddee..uv .. .. d."},
    {{ABOUT(TXN_END_HAS_FAILED), .is_confirm = true}, 0, "......... .h.H..h. ........ .. .. .."},
    {{ABOUT(TXN_END_HAS_FAILED), .is_confirm = false}, 0, "......... ........ .h.H..h. .. .. h."},
    {{ABOUT(TXN_END_IS_BROKEN), .is_confirm = true}, 0, "......... bgil..gi ........ .. .. .."},
    {{ABOUT(TXN_END_IS_BROKEN), .is_confirm = false}, 0, "......... ........ bgil..gi .. .. g."},
    {{.kind = TXN_RETRY, .number = 0}, 0, ".y....... z.z....z Z.Z....Z .. .. .."},
    {{ABOUT(TXN_RETRY)}, 0, ".y....... z.z....z Z.Z....Z .. .. .."},
    {{ABOUT(TXN_SETTLE)}, 0, "UUUUUUUUU PPjjA.PJ PPjjA.PK A. A. PA"},
    {{ABOUT(TXN_SETTLE), .is_forced = true}, 0, "UUUUUUUUU 88jjA.9J 88jjA.0K A. A. 8A"},
    {{.kind = TXN_WAKE}, 0, "......... ........ ........ .. .. .."},
    {{.kind = TXN_TRY_MAY_GO, .number = NOBODY}, 0, "BBBBBBBBB BBBBBBBB BBBBBBBB BB BB BB"},
    {{.kind = TXN_TRY_IS_DONE, .number = NOBODY}, 0, "BBBBBBBBB BBBBBBBB BBBBBBBB BB BB BB"},
    {{.kind = TXN_TRY_IS_REFUSED, .number = NOBODY}, 0, "BBBBBBBBB BBBBBBBB BBBBBBBB BB BB BB"},
    {{.kind = TXN_TRY_HAS_FAILED, .number = NOBODY}, 0, "BBBBBBBBB BBBBBBBB BBBBBBBB BB BB BB"},
    {{.kind = TXN_END_IS_DONE, .number = NOBODY}, 0, "BBBBBBBBB BBBBBBBB BBBBBBBB BB BB BB"},
    {{.kind = TXN_END_HAS_FAILED, .number = NOBODY}, 0, "BBBBBBBBB BBBBBBBB BBBBBBBB BB BB BB"},
    {{.kind = TXN_END_IS_BROKEN, .number = NOBODY}, 0, "BBBBBBBBB BBBBBBBB BBBBBBBB BB BB BB"},
    {{.kind = TXN_RETRY, .number = NOBODY}, 0, "BBBBBBBBB BBBBBBBB BBBBBBBB BB BB BB"},
    {{.kind = TXN_SETTLE, .number = NOBODY}, 0, "BBBBBBBBB BBBBBBBB BBBBBBBB BB BB BB"},
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

/* What happens to a branch when the transaction is decided. */
#define DECIDED(number)                                                                            \
    " " #number ".end=CALLING " #number ".attempts=0 " #number ".next=1000 " #number ".since=1000"
/* The same to one that was never sent. */
#define UNSENT(number)                                                                             \
    " " #number ".end=DONE " #number ".attempts=0 " #number ".next=1000 " #number ".since=1000"

static const struct {
    char letter;
    const char *text;
} effects[] = {
    {'.', "OK:"},
    {'E', "EXISTS:"},
    {'D', "DECIDED_ALREADY:"},
    {'R', "NOT_READY:"},
    {'L', "LIMIT:"},
    {'B', "NO_BRANCH:"},
    {'P', "NOT_PARKED:"},
    {'U', "UNDECIDED:"},
    {'A', "ENDED:"},
    {'n', "OK: +4 CALLING next=1000 until=1000; PERSIST, TRY 4#1"},
    {'N', "OK: +4 WAITING next=never until=never; PERSIST"},
    {'m', "OK: +4 OWN next=1000 until=1000; PERSIST"},
    {'c', "OK: CONFIRMING INITIATOR" DECIDED(2)
              DECIDED(3) "; PERSIST, DECIDED, CONFIRM 2#1, CONFIRM 3#1"},
    {'x',
     "OK: CANCELLING INITIATOR" DECIDED(2) DECIDED(3) "; PERSIST, DECIDED, CANCEL 2#1, CANCEL 3#1"},
    {'o',
     "OK: CANCELLING OPERATOR" DECIDED(2) DECIDED(3) "; PERSIST, DECIDED, CANCEL 2#1, CANCEL 3#1"},
    {'t', "OK: 3.try=DONE; MARK, TRIED 3"},
    {'k', "OK: 3.try=REFUSED; MARK, TRIED 3"},
    {'r', "OK: CANCELLING REFUSED" DECIDED(2) " 3.try=REFUSED" DECIDED(
              3) "; PERSIST, TRIED 3, DECIDED, CANCEL 2#1, CANCEL 3#1"},
    {'f', "OK: 3.try=WAITING 3.attempts=3 3.next=1001"},
    {'y', "OK: 3.try=CALLING 3.next=1000; TRY 3#3"},
    {'d', "OK: 3.end=DONE; MARK"},
    {'e', "OK: 3.end=DONE 3.parked=0; MARK"},
    {'q', "OK: CONFIRMED INITIATOR 3.end=DONE; MARK, RESOLVED"},
    {'s', "OK: CONFIRMED INITIATOR 3.end=DONE 3.parked=0; MARK, RESOLVED"},
    {'u', "OK: CANCELLED INITIATOR 3.end=DONE; MARK, RESOLVED"},
    {'v', "OK: CANCELLED INITIATOR 3.end=DONE 3.parked=0; MARK, RESOLVED"},
    {'h', "OK: 3.end=WAITING 3.attempts=3 3.next=1001"},
    {'H', "OK: 3.end=WAITING 3.attempts=3 3.next=1500"},
    {'b', "OK: 3.attempts=3 3.next=1500 3.parked=1 3.broken=1; MARK, PARKED 3"},
    {'g', "OK: 3.end=WAITING 3.attempts=3 3.next=1500 3.parked=1 3.broken=1; MARK, PARKED 3"},
    {'i', "OK: 3.attempts=3 3.next=1500 3.broken=1; MARK"},
    {'l', "OK: 3.end=WAITING 3.attempts=3 3.next=1500 3.broken=1; MARK"},
    {'z', "OK: 3.end=CALLING 3.next=1000; CONFIRM 3#3"},
    {'Z', "OK: 3.end=CALLING 3.next=1000; CANCEL 3#3"},
    {'1', "OK: +4 CALLING held next=1000 until=1000; PERSIST, TRY 4#1"},
    {'2', "OK: +4 WAITING held next=never until=never; PERSIST"},
    {'3', "OK: CONFIRMING INITIATOR partial" DECIDED(2)
              DECIDED(3) "; PERSIST, DECIDED, CONFIRM 2#1, CANCEL 3#1"},
    {'!', "OK: CONFIRMING INITIATOR partial" DECIDED(2)
              DECIDED(3) "; PERSIST, DECIDED, CANCEL 2#1, CANCEL 3#1"},
    {'4',
     "OK: CONFIRMING INITIATOR partial" DECIDED(2) UNSENT(3) "; PERSIST, DECIDED, CONFIRM 2#1"},
    {'5', "OK: CANCELLING INITIATOR" DECIDED(2) UNSENT(3) "; PERSIST, DECIDED, CANCEL 2#1"},
    {'6', "OK: CANCELLING OPERATOR" DECIDED(2) UNSENT(3) "; PERSIST, DECIDED, CANCEL 2#1"},
    {'7', "OK: 3.next=1000 3.sent=1; PERSIST, TRY 3#3"},
    {'8', "OK: 3.end=DONE 3.settled=1; PERSIST"},
    {'9', "OK: CONFIRMED INITIATOR 3.end=DONE 3.settled=1; PERSIST, RESOLVED"},
    {'0', "OK: CANCELLED INITIATOR 3.end=DONE 3.settled=1; PERSIST, RESOLVED"},
    {'j', "OK: 3.end=DONE 3.parked=0 3.settled=1; PERSIST"},
    {'J', "OK: CONFIRMED INITIATOR 3.end=DONE 3.parked=0 3.settled=1; PERSIST, RESOLVED"},
    {'K', "OK: CANCELLED INITIATOR 3.end=DONE 3.parked=0 3.settled=1; PERSIST, RESOLVED"},
};

/* Nothing is due by itself: deadline, timeouts, retries and parking lie in the future. */
static struct txn_branch make_branch(uint32_t number, uint8_t try_state, uint8_t end_state)
{
    return (struct txn_branch){
        .number = number,
        .digest = number,
        .next_ms = 2000,
        .since_ms = 500,
        .try_until_ms = 3000,
        .attempts = 2,
        .mode = try_state == TXN_TRY_OWN ? TXN_MODE_OWN : TXN_MODE_ROUTED,
        .try_state = try_state,
        .end_state = end_state,
    };
}

static void make(struct txn *txn, struct txn_branch branches[3], const struct situation *situation,
                 bool keeps)
{
    struct txn_options options;
    txn_options_default(&options);
    options.retry_base_ms = options.retry_cap_ms = 1;
    options.keeps_on_refusal = keeps || situation->is_partial;
    options.is_ordered = situation->is_blocked;
    txn_init(txn, branches, 3, &options, 4000, 1);
    bool is_decided = situation->state != TXN_TRYING;
    txn->state = (uint8_t)situation->state;
    txn->cause = is_decided ? TXN_CAUSE_INITIATOR : TXN_CAUSE_NONE;
    txn->is_partial = situation->is_partial;
    txn->branch_count = 2;
    branches[0] = make_branch(OTHER, situation->other_try, situation->other_end);
    branches[1] = make_branch(SUBJECT, situation->try_state, situation->end_state);
    branches[1].is_parked = situation->is_parked;
    branches[1].is_settled = situation->is_settled;
    branches[1].sent = situation->sent;
    if (situation->sent != TXN_SENT_MAYBE && is_decided)
        branches[1].attempts = 0;
    if (situation->is_blocked)
        branches[1].next_ms = TXN_NEVER;
    cr_assert(txn_is_sound(txn));
}

/* A parked pace is random between its bounds; which of them it is does not matter here. */
static int64_t settle_pace(const struct txn_branch *after)
{
    bool is_parked_pace = after->next_ms >= NOW_MS + 150000 && after->next_ms <= NOW_MS + 300000;
    return is_parked_pace ? 1500 : after->next_ms;
}

#define TELL_NUMBER(field, name, value)                                                            \
    do {                                                                                           \
        if (before->field != after->field) {                                                       \
            transcript_add(told, " %u." name "=%" PRId64, after->number, (int64_t)(value));        \
        }                                                                                          \
    } while (0)

static void tell_branch(struct transcript *told, const struct txn_branch *before,
                        const struct txn_branch *after)
{
    cr_assert_eq(before->digest, after->digest);
    cr_assert_eq(before->mode, after->mode);
    cr_assert_eq(before->try_until_ms, after->try_until_ms);
    if (before->try_state != after->try_state)
        transcript_add(told, " %u.try=%s", after->number, transcript_try(after->try_state));
    if (before->end_state != after->end_state)
        transcript_add(told, " %u.end=%s", after->number, transcript_end(after->end_state));
    TELL_NUMBER(attempts, "attempts", after->attempts);
    TELL_NUMBER(next_ms, "next", settle_pace(after));
    TELL_NUMBER(since_ms, "since", after->since_ms);
    TELL_NUMBER(is_parked, "parked", after->is_parked);
    TELL_NUMBER(is_broken, "broken", after->is_broken);
    TELL_NUMBER(is_settled, "settled", after->is_settled);
    bool is_known_to_be_sent =
        after->try_state == TXN_TRY_DONE || after->try_state == TXN_TRY_REFUSED;
    if (is_known_to_be_sent)
        cr_assert_eq(after->sent, TXN_SENT_MAYBE);
    else
        TELL_NUMBER(sent, "sent", after->sent);
}

static void tell_newcomer(struct transcript *told, const struct txn_branch *branch)
{
    transcript_add(told, " +%u %s%s", branch->number, transcript_try(branch->try_state),
                   branch->sent == TXN_SENT_HELD ? " held" : "");
    cr_assert((branch->sent == TXN_SENT_MAYBE) == (branch->try_state == TXN_TRY_OWN));
    if (branch->next_ms == TXN_NEVER)
        transcript_add(told, " next=never");
    else
        transcript_add(told, " next=%" PRId64, branch->next_ms);
    if (branch->try_until_ms == TXN_NEVER)
        transcript_add(told, " until=never");
    else
        transcript_add(told, " until=%" PRId64, branch->try_until_ms - 500);
}

static void tell_changes(struct transcript *told, const struct txn *before, const struct txn *after)
{
    if (before->state != after->state || before->cause != after->cause) {
        transcript_add(told, " %s %s", transcript_state(after->state),
                       transcript_cause(after->cause));
    }
    if (before->is_partial != after->is_partial)
        transcript_add(told, " partial");
    for (size_t i = 0; i < after->branch_count; i++) {
        const struct txn_branch *old = txn_find(before, after->branches[i].number);
        if (old == NULL)
            tell_newcomer(told, &after->branches[i]);
        else
            tell_branch(told, old, &after->branches[i]);
    }
}

static void tell_step(struct transcript *told, const struct row *row,
                      const struct situation *situation)
{
    struct txn_branch branches_before[3] = {{0}};
    struct txn_branch branches[3] = {{0}};
    struct txn before;
    struct txn txn;
    make(&before, branches_before, situation, row->keeps_on_refusal);
    make(&txn, branches, situation, row->keeps_on_refusal);
    struct txn_action items[16];
    struct txn_actions actions = {.items = items, .capacity = sizeof(items) / sizeof(items[0])};
    struct txn_event event = row->event;
    event.now_ms = NOW_MS;
    event.try_timeout_ms = 500;
    int result = txn_step(&txn, &event, &actions);
    transcript_add(told, "%s:", transcript_result(result));
    tell_changes(told, &before, &txn);
    if (actions.count > 0) {
        transcript_add(told, "; ");
        transcript_add_actions(told, &actions);
    }
}

static const char *effect_of(char letter)
{
    for (size_t i = 0; i < sizeof(effects) / sizeof(effects[0]); i++)
        if (effects[i].letter == letter)
            return effects[i].text;
    return "no such letter";
}

static void check_row(size_t row_index)
{
    const struct row *row = &rows[row_index];
    const char *letter = row->effects;
    for (size_t i = 0; i < SITUATION_COUNT; i++, letter++) {
        letter += *letter == ' ';
        cr_assert(*letter != '\0', "row %zu ends before situation %zu", row_index, i);
        struct transcript told = {.length = 0};
        tell_step(&told, row, &situations[i]);
        cr_expect_str_eq(told.text, effect_of(*letter),
                         "row %zu, situation %zu: '%s' instead of %c '%s'", row_index, i, told.text,
                         *letter, effect_of(*letter));
    }
    cr_assert(*letter == '\0', "row %zu is too long", row_index);
}

Test(core_table, every_event_in_every_situation)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        check_row(i);
}

Test(core_table, no_pair_is_missing)
{
    bool has_event[TXN_EVENT_COUNT] = {false};
    bool has_state[TXN_STATE_COUNT] = {false};
    for (size_t i = 0; i < ROW_COUNT; i++)
        has_event[rows[i].event.kind] = true;
    for (size_t i = 0; i < SITUATION_COUNT; i++)
        has_state[situations[i].state - TXN_TRYING] = true;
    for (size_t i = 0; i < TXN_EVENT_COUNT; i++)
        cr_expect(has_event[i], "event %zu has no row", i);
    for (size_t i = 0; i < TXN_STATE_COUNT; i++)
        cr_expect(has_state[i], "state %zu has no situation", i + TXN_TRYING);
}
