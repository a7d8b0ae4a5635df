/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases: number, low water and source; and those that need a participant that was killed.
 */
#include "run.h"

#include <string.h>

#define DONE TERCET__V1__OUTCOME__DONE
#define REFUSAL TERCET__V1__OUTCOME__REFUSAL
#define BROKEN TERCET__V1__OUTCOME__BROKEN

#define FAR_MARK (UINT64_C(1) << 62)
#define KILLED 16 /* branches at work when it is killed */

/* An empty cancel of a younger transaction, which brings the mark. */
static bool raise_mark(struct run *run, uint64_t mark)
{
    struct part part = part_new(run);
    part.low_water = mark;
    return expect(run, &part, TERCET_CANCEL, DONE, NO_EFFECT);
}

static bool try_and_end(struct run *run, struct part *part, enum tercet_kind end)
{
    return expect(run, part, TERCET_TRY, DONE, ONE_EFFECT) &&
           expect(run, part, end, DONE, ONE_EFFECT);
}

static bool play_below_mark(struct run *run)
{
    struct part confirmed = part_new(run), cancelled = part_new(run), never = part_new(run),
                other = part_new(run);
    bool is_right = try_and_end(run, &confirmed, TERCET_CONFIRM) &&
                    try_and_end(run, &cancelled, TERCET_CANCEL) && raise_mark(run, other.number) &&
                    expect(run, &never, TERCET_TRY, REFUSAL, NO_EFFECT) &&
                    expect(run, &cancelled, TERCET_TRY, REFUSAL, NO_EFFECT) &&
                    expect(run, &confirmed, TERCET_TRY, REFUSAL, NO_EFFECT) &&
                    expect(run, &confirmed, TERCET_CONFIRM, DONE, NO_EFFECT) &&
                    expect(run, &cancelled, TERCET_CANCEL, DONE, NO_EFFECT) &&
                    expect(run, &never, TERCET_CANCEL, DONE, NO_EFFECT) &&
                    expect(run, &other, TERCET_CONFIRM, DONE, NO_EFFECT);
    part_clear(&confirmed);
    part_clear(&cancelled);
    return is_right;
}

/* The call that brings it is judged by it, too. */
static bool play_mark_at_once(struct run *run)
{
    struct part part = part_new(run), next = part_new(run);
    part.low_water = part.number;
    next.low_water = part.number;
    bool is_right = expect(run, &part, TERCET_TRY, REFUSAL, NO_EFFECT) &&
                    try_and_end(run, &next, TERCET_CONFIRM);
    part_clear(&next);
    return is_right;
}

static bool play_tried_below_mark(struct run *run)
{
    struct part one = part_new(run), other = part_new(run);
    bool is_right = expect(run, &one, TERCET_TRY, DONE, ONE_EFFECT) &&
                    expect(run, &other, TERCET_TRY, DONE, ONE_EFFECT) &&
                    raise_mark(run, other.number) && raise_mark(run, other.number + 1) &&
                    expect(run, &one, TERCET_CONFIRM, DONE, ONE_EFFECT) &&
                    expect(run, &one, TERCET_CONFIRM, DONE, NO_EFFECT) &&
                    expect(run, &other, TERCET_CANCEL, DONE, ONE_EFFECT) &&
                    expect(run, &other, TERCET_CANCEL, DONE, NO_EFFECT);
    part_clear(&one);
    part_clear(&other);
    return is_right;
}

static bool play_mark_never_falls(struct run *run)
{
    struct part part = part_new(run);
    return raise_mark(run, part.number) && raise_mark(run, part.number - 1) &&
           expect(run, &part, TERCET_TRY, REFUSAL, NO_EFFECT);
}

static bool play_number_zero(struct run *run)
{
    struct part part = part_new(run);
    bool is_right = raise_mark(run, part.number);
    part.number = 0;
    is_right = is_right && try_and_end(run, &part, TERCET_CONFIRM) &&
               expect(run, &part, TERCET_TRY, DONE, NO_EFFECT);
    part_clear(&part);
    return is_right;
}

/* -- Another source ---------------------------------------------------------------------------- */

static struct part strange_part(struct run *run)
{
    struct part part = part_new(run);
    part.source = ~run->options->source;
    return part;
}

/* Its numbers are far below our mark, and mean nothing here. */
static bool play_source_numbers(struct run *run)
{
    struct part part = strange_part(run), never = strange_part(run);
    part.number = 7;
    never.number = 8;
    bool is_right = raise_mark(run, run->last_number) && try_and_end(run, &part, TERCET_CONFIRM) &&
                    expect(run, &never, TERCET_CONFIRM, BROKEN, NO_EFFECT);
    part_clear(&part);
    return is_right;
}

/* Its mark is above one of our transactions, which goes on all the same. */
static bool play_source_mark(struct run *run)
{
    struct part ours = part_new(run), strange = strange_part(run);
    strange.low_water = ours.number;
    bool is_right = expect(run, &strange, TERCET_CANCEL, DONE, NO_EFFECT) &&
                    try_and_end(run, &ours, TERCET_CONFIRM);
    part_clear(&ours);
    return is_right;
}

const struct test_case cases_mark[] = {
    {"below-mark", "4.2", "late calls of transactions that have ended", play_below_mark,
     NEEDS_MARKS},
    {"mark-at-once", "4.2", "a mark holds for the call that brings it", play_mark_at_once,
     NEEDS_MARKS},
    {"tried-below-mark", "4.3", "work that nobody ended outlives the mark", play_tried_below_mark,
     0},
    {"mark-never-falls", "4.1", "a lower mark changes nothing", play_mark_never_falls, NEEDS_MARKS},
    {"number-zero", "4.4", "a number of 0 is below no mark", play_number_zero, 0},
    {"source-numbers", "4.5", "another source's numbers are not compared", play_source_numbers, 0},
    {"source-mark", "4.5", "another source's mark is not taken", play_source_mark, 0},
    {NULL, NULL, NULL, NULL, 0}};

/* -- Killed ------------------------------------------------------------------------------------ */

static bool play_rows_kept(struct run *run)
{
    struct part tried = part_new(run), confirmed = part_new(run), cancelled = part_new(run),
                empty = part_new(run);
    bool is_right = expect(run, &tried, TERCET_TRY, DONE, ONE_EFFECT) &&
                    try_and_end(run, &confirmed, TERCET_CONFIRM) &&
                    try_and_end(run, &cancelled, TERCET_CANCEL) &&
                    expect(run, &empty, TERCET_CANCEL, DONE, NO_EFFECT) && restart(run) &&
                    expect(run, &tried, TERCET_TRY, DONE, NO_EFFECT) &&
                    expect(run, &tried, TERCET_CONFIRM, DONE, ONE_EFFECT) &&
                    expect(run, &confirmed, TERCET_CONFIRM, DONE, NO_EFFECT) &&
                    expect(run, &confirmed, TERCET_CANCEL, BROKEN, NO_EFFECT) &&
                    expect(run, &cancelled, TERCET_TRY, REFUSAL, NO_EFFECT) &&
                    expect(run, &empty, TERCET_TRY, REFUSAL, NO_EFFECT);
    if (run->section != NULL && strcmp(run->section, "3.6") == 0)
        run->section = NULL; /* another reply, since the row is gone */
    part_clear(&tried);
    part_clear(&confirmed);
    part_clear(&cancelled);
    return is_right;
}

static bool play_mark_kept(struct run *run)
{
    struct part part = part_new(run);
    return raise_mark(run, part.number) && restart(run) &&
           expect(run, &part, TERCET_TRY, REFUSAL, NO_EFFECT);
}

/* Who calls first after a start is not the one to go by: our mark still holds, and his does not. */
static bool play_source_kept(struct run *run)
{
    struct part old = part_new(run), ours = part_new(run), strange = strange_part(run);
    strange.low_water = ours.number;
    bool is_right = raise_mark(run, old.number) && restart(run) &&
                    expect(run, &strange, TERCET_CANCEL, DONE, NO_EFFECT) &&
                    expect(run, &old, TERCET_TRY, REFUSAL, NO_EFFECT) &&
                    try_and_end(run, &ours, TERCET_CONFIRM);
    part_clear(&ours);
    return is_right;
}

/* Killed after some answers, at whatever it is doing then: what it then says of all of them is one
 * effect each. */
static bool kill_at_work(struct run *run, enum tercet_kind end, size_t answers)
{
    struct part parts[KILLED];
    parts_new(run, parts, KILLED);
    bool is_right = send_and_leave(run, parts, KILLED, TERCET_TRY, answers) && restart(run) &&
                    expect_at_once(run, parts, KILLED, 1, TERCET_TRY, ONE_EFFECT) &&
                    send_and_leave(run, parts, KILLED, end, answers) && restart(run) &&
                    expect_at_once(run, parts, KILLED, 1, end, ONE_EFFECT);
    parts_clear(parts, KILLED);
    return is_right;
}

static bool play_killed_at_work(struct run *run)
{
    return kill_at_work(run, TERCET_CONFIRM, 0) && kill_at_work(run, TERCET_CANCEL, 1) &&
           kill_at_work(run, TERCET_CONFIRM, 5);
}

const struct test_case cases_restart[] = {
    {"rows-kept", "3.8", "rows outlive the process", play_rows_kept, NEEDS_RESTART},
    {"mark-kept", "4.1", "the mark outlives the process", play_mark_kept,
     NEEDS_RESTART | NEEDS_MARKS},
    {"source-kept", "4.5", "the source outlives the process", play_source_kept,
     NEEDS_RESTART | NEEDS_MARKS},
    {"killed-at-work", "3.1", "killed at work: each effect once, with its row", play_killed_at_work,
     NEEDS_RESTART},
    {NULL, NULL, NULL, NULL, 0}};

/* -- Last -------------------------------------------------------------------------------------- */

/* Whoever takes it refuses every try from then on, so nothing else comes after. */
static bool play_far_mark(struct run *run)
{
    struct part first = part_new(run), part = part_new(run);
    first.low_water = FAR_MARK;
    bool is_right = expect(run, &first, TERCET_CANCEL, DONE, NO_EFFECT) &&
                    try_and_end(run, &part, TERCET_CONFIRM);
    part_clear(&part);
    return is_right;
}

static bool play_answers(struct run *run)
{
    char text[TERCET_TEXT_MAX];
    unsigned count = link_faults(run->link, text);
    if (count == 0)
        return true;
    return fail(run, "one result for each call, with what such a result may have",
                "%s (%u such in all)", text, count);
}

const struct test_case cases_last[] = {
    {"far-mark", "4.6", "a mark that cannot be right is not taken", play_far_mark, 0},
    {"answers", "2.5", "all results of all cases: ids, outcomes, replies, reasons", play_answers,
     0},
    {NULL, NULL, NULL, NULL, 0}};
