/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases: what the participant says of itself, and the barrier's table.
 */
#include "run.h"

#include <stdio.h>
#include <string.h>

#define DONE TERCET__V1__OUTCOME__DONE
#define REFUSAL TERCET__V1__OUTCOME__REFUSAL
#define BROKEN TERCET__V1__OUTCOME__BROKEN

static bool play_hello(struct run *run)
{
    if (run->participant.wrong[0] == '\0')
        return true;
    return fail(run, "a service and actions that have right names", "%s", run->participant.wrong);
}

static bool play_try_confirm(struct run *run)
{
    struct part part = part_new(run);
    bool is_right = expect(run, &part, TERCET_TRY, DONE, ONE_EFFECT) &&
                    expect(run, &part, TERCET_CONFIRM, DONE, ONE_EFFECT);
    part_clear(&part);
    return is_right;
}

static bool play_try_cancel(struct run *run)
{
    struct part part = part_new(run);
    bool is_right = expect(run, &part, TERCET_TRY, DONE, ONE_EFFECT) &&
                    expect(run, &part, TERCET_CANCEL, DONE, ONE_EFFECT);
    part_clear(&part);
    return is_right;
}

static bool play_try_repeated(struct run *run)
{
    struct part part = part_new(run);
    bool is_right = expect(run, &part, TERCET_TRY, DONE, ONE_EFFECT) &&
                    expect(run, &part, TERCET_TRY, DONE, NO_EFFECT) &&
                    expect(run, &part, TERCET_TRY, DONE, NO_EFFECT) &&
                    expect(run, &part, TERCET_CANCEL, DONE, ONE_EFFECT);
    part_clear(&part);
    return is_right;
}

/* An end, and then the same again. */
static bool play_end_repeated(struct run *run, enum tercet_kind end)
{
    struct part part = part_new(run);
    bool is_right = expect(run, &part, TERCET_TRY, DONE, ONE_EFFECT) &&
                    expect(run, &part, end, DONE, ONE_EFFECT) &&
                    expect(run, &part, end, DONE, NO_EFFECT) &&
                    expect(run, &part, end, DONE, NO_EFFECT);
    part_clear(&part);
    return is_right;
}

static bool play_confirm_repeated(struct run *run)
{
    return play_end_repeated(run, TERCET_CONFIRM);
}

static bool play_cancel_repeated(struct run *run)
{
    return play_end_repeated(run, TERCET_CANCEL);
}

static bool play_try_after_confirm(struct run *run)
{
    struct part part = part_new(run);
    bool is_right = expect(run, &part, TERCET_TRY, DONE, ONE_EFFECT) &&
                    expect(run, &part, TERCET_CONFIRM, DONE, ONE_EFFECT) &&
                    expect(run, &part, TERCET_TRY, DONE, NO_EFFECT) &&
                    expect(run, &part, TERCET_CONFIRM, DONE, NO_EFFECT);
    part_clear(&part);
    return is_right;
}

static bool play_empty_cancel(struct run *run)
{
    struct part part = part_new(run);
    return expect(run, &part, TERCET_CANCEL, DONE, NO_EFFECT) &&
           expect(run, &part, TERCET_CANCEL, DONE, NO_EFFECT);
}

static bool play_late_try(struct run *run)
{
    struct part part = part_new(run);
    return expect(run, &part, TERCET_CANCEL, DONE, NO_EFFECT) &&
           expect(run, &part, TERCET_TRY, REFUSAL, NO_EFFECT) &&
           expect(run, &part, TERCET_TRY, REFUSAL, NO_EFFECT) &&
           expect(run, &part, TERCET_CANCEL, DONE, NO_EFFECT);
}

static bool play_try_after_cancel(struct run *run)
{
    struct part part = part_new(run);
    bool is_right = expect(run, &part, TERCET_TRY, DONE, ONE_EFFECT) &&
                    expect(run, &part, TERCET_CANCEL, DONE, ONE_EFFECT) &&
                    expect(run, &part, TERCET_TRY, REFUSAL, NO_EFFECT) &&
                    expect(run, &part, TERCET_CANCEL, DONE, NO_EFFECT);
    part_clear(&part);
    return is_right;
}

/* It leaves no row: the try can still come. */
static bool play_confirm_untried(struct run *run)
{
    struct part part = part_new(run);
    bool is_right = expect(run, &part, TERCET_CONFIRM, BROKEN, NO_EFFECT) &&
                    expect(run, &part, TERCET_TRY, DONE, ONE_EFFECT) &&
                    expect(run, &part, TERCET_CONFIRM, DONE, ONE_EFFECT);
    part_clear(&part);
    return is_right;
}

static bool play_confirm_cancelled(struct run *run)
{
    struct part tried = part_new(run), empty = part_new(run);
    bool is_right = expect(run, &tried, TERCET_TRY, DONE, ONE_EFFECT) &&
                    expect(run, &tried, TERCET_CANCEL, DONE, ONE_EFFECT) &&
                    expect(run, &tried, TERCET_CONFIRM, BROKEN, NO_EFFECT) &&
                    expect(run, &empty, TERCET_CANCEL, DONE, NO_EFFECT) &&
                    expect(run, &empty, TERCET_CONFIRM, BROKEN, NO_EFFECT);
    part_clear(&tried);
    return is_right;
}

static bool play_cancel_confirmed(struct run *run)
{
    struct part part = part_new(run);
    bool is_right = expect(run, &part, TERCET_TRY, DONE, ONE_EFFECT) &&
                    expect(run, &part, TERCET_CONFIRM, DONE, ONE_EFFECT) &&
                    expect(run, &part, TERCET_CANCEL, BROKEN, NO_EFFECT) &&
                    expect(run, &part, TERCET_CONFIRM, DONE, NO_EFFECT);
    part_clear(&part);
    return is_right;
}

/* -- The key ----------------------------------------------------------------------------------- */

/* One of the two is confirmed, the other cancelled: they are not the same row. */
static bool are_apart(struct run *run, struct part *one, struct part *other)
{
    bool is_right = expect(run, one, TERCET_TRY, DONE, ONE_EFFECT) &&
                    expect(run, other, TERCET_TRY, DONE, ONE_EFFECT) &&
                    expect(run, one, TERCET_CONFIRM, DONE, ONE_EFFECT) &&
                    expect(run, other, TERCET_CANCEL, DONE, ONE_EFFECT) &&
                    expect(run, one, TERCET_CONFIRM, DONE, NO_EFFECT) &&
                    expect(run, other, TERCET_TRY, REFUSAL, NO_EFFECT);
    part_clear(one);
    part_clear(other);
    return is_right;
}

static bool play_branches_apart(struct run *run)
{
    struct part one = part_new(run), other = one, first = part_new(run), last = first;
    one.branch = 1;
    other.branch = 2;
    first.branch = 102;
    last.branch = TERCET_BRANCHES_MAX;
    return are_apart(run, &one, &other) && are_apart(run, &last, &first);
}

static bool play_gid_case(struct run *run)
{
    struct part upper = part_new(run), lower = part_new(run);
    snprintf(upper.gid, sizeof(upper.gid), "%s-CASE", run->prefix);
    snprintf(lower.gid, sizeof(lower.gid), "%s-case", run->prefix);
    return are_apart(run, &upper, &lower);
}

/* All characters that a gid may have, and as many; two that differ in the last. */
static bool play_gid_long(struct run *run)
{
    struct part one = part_new(run), other = part_new(run);
    size_t size = (size_t)snprintf(one.gid, sizeof(one.gid), "%s.aZ_:-", run->prefix);
    memset(one.gid + size, 'x', TERCET_GID_MAX - size);
    one.gid[TERCET_GID_MAX] = '\0';
    memcpy(other.gid, one.gid, sizeof(one.gid));
    other.gid[TERCET_GID_MAX - 1] = 'y';
    return are_apart(run, &one, &other);
}

const struct test_case cases_table[] = {
    {"hello", "1.1", "what the participant says of itself", play_hello, NEEDS_HELLO},
    {"try-confirm", "3", "a try and its confirm", play_try_confirm, IS_BASIC},
    {"try-cancel", "3", "a try and its cancel", play_try_cancel, IS_BASIC},
    {"try-repeated", "3.6", "a repeated try does nothing more, and has the same reply",
     play_try_repeated, 0},
    {"confirm-repeated", "3", "a repeated confirm does nothing more", play_confirm_repeated, 0},
    {"cancel-repeated", "3", "a repeated cancel does nothing more", play_cancel_repeated, 0},
    {"try-after-confirm", "3", "a try that is repeated after its confirm", play_try_after_confirm,
     0},
    {"empty-cancel", "3.4", "a cancel without a try does nothing", play_empty_cancel, 0},
    {"late-try", "3.5", "a try that comes after its empty cancel", play_late_try, 0},
    {"try-after-cancel", "3.5", "a try that is repeated after its cancel", play_try_after_cancel,
     0},
    {"confirm-untried", "3.7", "a confirm without a try is a broken promise", play_confirm_untried,
     0},
    {"confirm-cancelled", "3", "a confirm after a cancel is a broken promise",
     play_confirm_cancelled, 0},
    {"cancel-confirmed", "3", "a cancel after a confirm is a broken promise", play_cancel_confirmed,
     0},
    {"branches-apart", "3", "branches of one transaction have rows of their own",
     play_branches_apart, 0},
    {"gid-case", "3", "gids that differ in upper and lower case are two", play_gid_case, 0},
    {"gid-long", "3", "gids of 64 characters that differ in the last are two", play_gid_long, 0},
    {NULL, NULL, NULL, NULL, 0}};

/* -- Refusals ---------------------------------------------------------------------------------- */

static struct part refused_part(struct run *run)
{
    struct part part = part_new(run);
    part.payload = (struct tercet_bytes){.data = run->options->refused_payload,
                                         .size = strlen(run->options->refused_payload)};
    return part;
}

static bool play_refused_try(struct run *run)
{
    struct part part = refused_part(run);
    return expect(run, &part, TERCET_TRY, REFUSAL, NO_EFFECT) &&
           expect(run, &part, TERCET_TRY, REFUSAL, NO_EFFECT);
}

static bool play_cancel_refused(struct run *run)
{
    struct part part = refused_part(run);
    return expect(run, &part, TERCET_TRY, REFUSAL, NO_EFFECT) &&
           expect(run, &part, TERCET_CANCEL, DONE, NO_EFFECT) &&
           expect(run, &part, TERCET_CANCEL, DONE, NO_EFFECT) &&
           expect(run, &part, TERCET_TRY, REFUSAL, NO_EFFECT);
}

static bool play_confirm_refused(struct run *run)
{
    struct part part = refused_part(run);
    return expect(run, &part, TERCET_TRY, REFUSAL, NO_EFFECT) &&
           expect(run, &part, TERCET_CONFIRM, BROKEN, NO_EFFECT) &&
           expect(run, &part, TERCET_CANCEL, DONE, NO_EFFECT);
}

const struct test_case cases_refusal[] = {
    {"refused-try", "2", "a refused try has done nothing", play_refused_try, NEEDS_REFUSAL},
    {"cancel-refused", "3.4", "a cancel after a refused try does nothing", play_cancel_refused,
     NEEDS_REFUSAL},
    {"confirm-refused", "3.7", "a confirm after a refused try is a broken promise",
     play_confirm_refused, NEEDS_REFUSAL},
    {NULL, NULL, NULL, NULL, 0}};
