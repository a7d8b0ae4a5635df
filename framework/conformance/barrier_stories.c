/* SPDX-License-Identifier: Apache-2.0
 *
 * What networks do to a branch, and what must come of it: nothing is confirmed without a try (s5),
 * effects happen once (s6), no late try is let in (s7); and the faults that others had.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

static void s5_no_confirm_without_try(struct stage *stage)
{
    struct part part = {.stage = stage};
    CHECK_EQ(stage_ask_part(&part, TERCET_CONFIRM), TERCET_BROKEN);
    CHECK_EQ(stage_rows(stage), 0);
    CHECK_EQ(stage_effects(stage, NULL, 0), 0);
    part.result = TERCET_REFUSED;
    CHECK_EQ(stage_ask_part(&part, TERCET_TRY), TERCET_REFUSED);
    CHECK_EQ(stage_ask_part(&part, TERCET_CONFIRM), TERCET_BROKEN);
    part.result = 0;
    CHECK_EQ(stage_ask_part(&part, TERCET_CANCEL), 0);
    CHECK_EQ(stage_ask_part(&part, TERCET_CONFIRM), TERCET_BROKEN);
    CHECK_EQ(stage_effects(stage, NULL, 0), 0);
}

/* All sequences of five calls: no effect twice, never both ends, no end without a try. */
static void s6_exactly_once_effects(struct stage *stage)
{
    struct part part = {.stage = stage};
    for (int sequence = 0; sequence < 3 * 3 * 3 * 3 * 3; sequence++) {
        char gid[16];
        snprintf(gid, sizeof(gid), "gid-%d", sequence);
        for (int step = 0, rest = sequence; step < 5; step++, rest /= 3) {
            struct tercet_barrier_call call =
                stage_call(&part, (enum tercet_kind)(TERCET_TRY + rest % 3));
            call.gid = gid;
            stage_ask(stage, call);
        }
        int tries = stage_effects(stage, gid, TERCET_TRY);
        int confirms = stage_effects(stage, gid, TERCET_CONFIRM);
        int cancels = stage_effects(stage, gid, TERCET_CANCEL);
        CHECK_THAT(tries <= 1, "sequence %d", sequence);
        CHECK_THAT(confirms + cancels <= tries, "sequence %d", sequence);
    }
    CHECK(stage_effects(stage, NULL, TERCET_CONFIRM) > 0);
    CHECK(stage_effects(stage, NULL, TERCET_CANCEL) > 0);
}

/* In Seata's fence, rejecting one late try deletes the record that rejects the next: hence ten. */
static void s7_no_late_try_after_an_empty_cancel(struct stage *stage)
{
    struct part part = {.stage = stage};
    CHECK_EQ(stage_ask_part(&part, TERCET_CANCEL), 0);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(stage_ask_part(&part, TERCET_TRY), TERCET_REFUSED);
    CHECK_EQ(part.runs, 0);
    CHECK_EQ(stage_effects(stage, NULL, 0), 0);
    CHECK_EQ(stage_ask_part(&part, TERCET_CANCEL), 0);
    CHECK_EQ(stage_rows(stage), 1);
}

static void s7_no_late_try_after_a_cancel(struct stage *stage)
{
    struct part part = {.stage = stage};
    CHECK_EQ(stage_ask_part(&part, TERCET_TRY), 0);
    CHECK_EQ(stage_ask_part(&part, TERCET_CANCEL), 0);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(stage_ask_part(&part, TERCET_TRY), TERCET_REFUSED);
    CHECK_EQ(stage_effects(stage, NULL, TERCET_TRY), 1);
    CHECK_EQ(stage_effects(stage, NULL, TERCET_CANCEL), 1);
}

/* Seata again: a try delivered twice deletes the live row. */
static void a_repeated_try_leaves_the_row_alone(struct stage *stage)
{
    struct part part = {.stage = stage, .reply = "seat 17"};
    CHECK_EQ(stage_ask_part(&part, TERCET_TRY), 0);
    CHECK_EQ(stage_ask_part(&part, TERCET_TRY), 0);
    CHECK_EQ(stage_ask_part(&part, TERCET_CONFIRM), 0);
    part.reply = "another seat";
    struct tercet_barrier_call late = stage_call(&part, TERCET_TRY);
    tercet_barrier_run(stage->barrier, &late, 1);
    CHECK_EQ(late.result, 0);
    CHECK(stage_has_reply(&late, "seat 17"));
    free(late.reply);
    CHECK_EQ(part.runs, 2);
    CHECK_EQ(stage_effects(stage, NULL, TERCET_TRY), 1);
}

static void a_refused_try_leaves_nothing_and_its_cancel_is_empty(struct stage *stage)
{
    struct part part = {.stage = stage, .result = TERCET_REFUSED, .reply = "dropped"};
    struct tercet_barrier_call call = stage_call(&part, TERCET_TRY);
    tercet_barrier_run(stage->barrier, &call, 1);
    CHECK_EQ(call.result, TERCET_REFUSED);
    CHECK(call.reply == NULL);
    CHECK_EQ(stage_rows(stage), 0);
    part.result = 0;
    CHECK_EQ(stage_ask_part(&part, TERCET_CANCEL), 0);
    CHECK_EQ(part.runs, 1);
    CHECK_EQ(stage_rows(stage), 1);
    CHECK_EQ(stage_ask_part(&part, TERCET_TRY), TERCET_REFUSED);
    CHECK_EQ(part.runs, 1);
    CHECK_EQ(stage_effects(stage, NULL, 0), 0);
}

static void a_refused_try_may_be_asked_again(struct stage *stage)
{
    struct part part = {.stage = stage, .result = TERCET_REFUSED};
    CHECK_EQ(stage_ask_part(&part, TERCET_TRY), TERCET_REFUSED);
    part.result = 0;
    CHECK_EQ(stage_ask_part(&part, TERCET_TRY), 0);
    CHECK_EQ(part.runs, 2);
    CHECK_EQ(stage_effects(stage, NULL, TERCET_TRY), 1);
}

static void check_failing_hook(struct part *part, enum tercet_kind kind, int returned, int expected)
{
    int effects = stage_effects(part->stage, NULL, 0);
    uint64_t rows = stage_rows(part->stage);
    part->result = returned;
    for (int i = 0; i < 3; i++) {
        part->runs = 0;
        CHECK_EQ(stage_ask_part(part, kind), expected);
        CHECK_THAT(part->runs == 1, "the hook is asked each time");
    }
    part->result = 0;
    CHECK_EQ(stage_effects(part->stage, NULL, 0), effects);
    CHECK_EQ(stage_rows(part->stage), rows);
}

static void a_hook_that_fails_is_asked_again(struct stage *stage)
{
    struct part part = {.stage = stage};
    check_failing_hook(&part, TERCET_TRY, TERCET_AGAIN, TERCET_AGAIN);
    check_failing_hook(&part, TERCET_TRY, TERCET_UNAVAILABLE, TERCET_UNAVAILABLE);
    check_failing_hook(&part, TERCET_TRY, 7, TERCET_AGAIN);
    CHECK_EQ(stage_ask_part(&part, TERCET_TRY), 0);
    check_failing_hook(&part, TERCET_CONFIRM, TERCET_AGAIN, TERCET_AGAIN);
    check_failing_hook(&part, TERCET_CONFIRM, 1, TERCET_AGAIN);
    CHECK_EQ(stage_ask_part(&part, TERCET_CONFIRM), 0);
    CHECK_EQ(stage_effects(stage, NULL, 0), 2);
}

static void confirm_and_cancel_cannot_refuse(struct stage *stage)
{
    struct part part = {.stage = stage};
    CHECK_EQ(stage_ask_part(&part, TERCET_TRY), 0);
    check_failing_hook(&part, TERCET_CONFIRM, TERCET_REFUSED, TERCET_AGAIN);
    check_failing_hook(&part, TERCET_CANCEL, TERCET_REFUSED, TERCET_AGAIN);
    CHECK_EQ(stage_ask_part(&part, TERCET_CANCEL), 0);
    CHECK_EQ(stage_effects(stage, NULL, TERCET_CANCEL), 1);
}

static int reply_of_size(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    const size_t *size = ctx;
    (void)db;
    call->reply = calloc(1, *size + 1);
    memset(call->reply, 'r', *size);
    call->reply_size = *size;
    return 0;
}

static void replies_up_to_the_limit(struct stage *stage)
{
    struct part part = {.stage = stage};
    size_t size = TERCET_REPLY_MAX + 1;
    struct tercet_barrier_call call = stage_call(&part, TERCET_TRY);
    call.hook = reply_of_size;
    call.ctx = &size;
    tercet_barrier_run(stage->barrier, &call, 1);
    CHECK_EQ(call.result, TERCET_INVALID);
    CHECK(call.reply == NULL);
    CHECK_EQ(stage_rows(stage), 0);
    size = TERCET_REPLY_MAX;
    for (int i = 0; i < 2; i++) {
        tercet_barrier_run(stage->barrier, &call, 1);
        CHECK_EQ(call.result, 0);
        CHECK_EQ(call.reply_size, TERCET_REPLY_MAX);
        CHECK_EQ(((char *)call.reply)[TERCET_REPLY_MAX - 1], 'r');
        free(call.reply);
        size = 1;
    }
}

static void empty_replies_are_null_and_only_tries_have_any(struct stage *stage)
{
    struct part part = {.stage = stage, .reply = ""};
    for (int kind = TERCET_TRY; kind <= TERCET_CONFIRM; kind++) {
        struct tercet_barrier_call call = stage_call(&part, (enum tercet_kind)kind);
        tercet_barrier_run(stage->barrier, &call, 1);
        CHECK_EQ(call.result, 0);
        CHECK(call.reply == NULL);
        CHECK_EQ(call.reply_size, 0);
        part.reply = "a confirm has none";
    }
}

/* Kept with the rows; another database has another. */
static void a_database_has_an_identity(struct stage *stage)
{
    char first[TERCET_BARRIER_IDENTITY_MAX + 1] = "x", again[sizeof(first)], others[sizeof(first)];
    CHECK_EQ(tercet_barrier_identity(stage->barrier, first), 0);
    stage_reopen(stage, NULL);
    CHECK_EQ(tercet_barrier_identity(stage->barrier, again), 0);
    stage_anew(stage);
    CHECK_EQ(tercet_barrier_identity(stage->barrier, others), 0);
    CHECK(strcmp(again, first) == 0);
    CHECK_EQ(strlen(first), stage->suite->is_lasting ? TERCET_BARRIER_IDENTITY_MAX : 0);
    CHECK(!stage->suite->is_lasting || strcmp(first, others) != 0);
}

const struct stage_case barrier_stories_cases[] = {
    {"s5_no_confirm_without_try", s5_no_confirm_without_try},
    {"s6_exactly_once_effects", s6_exactly_once_effects},
    {"s7_no_late_try_after_an_empty_cancel", s7_no_late_try_after_an_empty_cancel},
    {"s7_no_late_try_after_a_cancel", s7_no_late_try_after_a_cancel},
    {"a_repeated_try_leaves_the_row_alone", a_repeated_try_leaves_the_row_alone},
    {"a_refused_try_leaves_nothing_and_its_cancel_is_empty",
     a_refused_try_leaves_nothing_and_its_cancel_is_empty},
    {"a_refused_try_may_be_asked_again", a_refused_try_may_be_asked_again},
    {"a_hook_that_fails_is_asked_again", a_hook_that_fails_is_asked_again},
    {"confirm_and_cancel_cannot_refuse", confirm_and_cancel_cannot_refuse},
    {"replies_up_to_the_limit", replies_up_to_the_limit},
    {"empty_replies_are_null_and_only_tries_have_any",
     empty_replies_are_null_and_only_tries_have_any},
    {"a_database_has_an_identity", a_database_has_an_identity},
    {NULL, NULL},
};
