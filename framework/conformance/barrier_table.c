/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of barrier.h, cell by cell: 3 calls x 4 states, under any driver.
 */
#include <stdlib.h>
#include <string.h>

#include "stage.h"

enum state { NONE, TRIED, CONFIRMED, CANCELLED };

struct cell {
    enum tercet_kind call;
    enum state before;
    int result;
    int runs; /* of the hook */
    enum state after;
};

static const struct cell cells[] = {
    {TERCET_TRY, NONE, 0, 1, TRIED},
    {TERCET_TRY, TRIED, 0, 0, TRIED},
    {TERCET_TRY, CONFIRMED, 0, 0, CONFIRMED},
    {TERCET_TRY, CANCELLED, TERCET_REFUSED, 0, CANCELLED},
    {TERCET_CONFIRM, NONE, TERCET_BROKEN, 0, NONE},
    {TERCET_CONFIRM, TRIED, 0, 1, CONFIRMED},
    {TERCET_CONFIRM, CONFIRMED, 0, 0, CONFIRMED},
    {TERCET_CONFIRM, CANCELLED, TERCET_BROKEN, 0, CANCELLED},
    {TERCET_CANCEL, NONE, 0, 0, CANCELLED},
    {TERCET_CANCEL, TRIED, 0, 1, CANCELLED},
    {TERCET_CANCEL, CONFIRMED, TERCET_BROKEN, 0, CONFIRMED},
    {TERCET_CANCEL, CANCELLED, 0, 0, CANCELLED},
};

static void bring_to(struct part *part, enum state state, bool was_tried)
{
    if (state == NONE)
        return;
    if (state != CANCELLED || was_tried)
        CHECK_EQ(stage_ask_part(part, TERCET_TRY), 0);
    if (state == CONFIRMED)
        CHECK_EQ(stage_ask_part(part, TERCET_CONFIRM), 0);
    if (state == CANCELLED)
        CHECK_EQ(stage_ask_part(part, TERCET_CANCEL), 0);
    part->runs = 0;
}

/* Looks from outside: a row says its state by how it answers a confirm. */
static enum state look(struct part *part)
{
    if (stage_rows(part->stage) == 0)
        return NONE;
    part->runs = 0;
    if (stage_ask_part(part, TERCET_CONFIRM) == TERCET_BROKEN)
        return CANCELLED;
    return part->runs == 1 ? TRIED : CONFIRMED;
}

static void check_cell(struct stage *stage, const struct cell *cell, bool was_tried)
{
    stage_anew(stage);
    struct part part = {.stage = stage, .reply = "seat 17"};
    bring_to(&part, cell->before, was_tried);
    struct tercet_barrier_call call = stage_call(&part, cell->call);
    part.reply = cell->call == TERCET_TRY && cell->before != NONE ? "another seat" : "seat 17";
    tercet_barrier_run(stage->barrier, &call, 1);
    CHECK_EQ(call.result, cell->result);
    CHECK_EQ(part.runs, cell->runs);
    if (cell->call == TERCET_TRY && cell->result == 0) {
        CHECK(stage_has_reply(&call, "seat 17"));
    } else {
        CHECK(call.reply == NULL);
        CHECK_EQ(call.reply_size, 0);
    }
    free(call.reply);
    CHECK_EQ(look(&part), cell->after);
}

static void every_cell(struct stage *stage)
{
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        check_cell(stage, &cells[i], false);
        check_cell(stage, &cells[i], true);
    }
}

static void every_cell_without_hooks(struct stage *stage)
{
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        struct part part = {.stage = stage};
        stage_anew(stage);
        bring_to(&part, cells[i].before, true);
        struct tercet_barrier_call call = stage_call(&part, cells[i].call);
        call.hook = NULL;
        CHECK_EQ(stage_ask(stage, call), cells[i].result);
        CHECK_EQ(look(&part), cells[i].after);
    }
}

/* Cells keep to themselves: another branch, another gid, and a gid that begins alike are other rows
 * (dtm's boltdb keys "order1" and "order10" ran into each other). */
static void rows_are_apart(struct stage *stage)
{
    static const struct {
        const char *gid;
        uint32_t branch;
    } keys[] = {{"order1", 1},  {"order1", 10}, {"order1", 11},
                {"order10", 1}, {"order11", 1}, {"Order1", 1}};
    static const char *const replies[] = {"a", "b", "c", "d", "e", "f"};
    struct part part = {.stage = stage};
    for (size_t i = 0; i < 12; i++) {
        struct tercet_barrier_call call = stage_call(&part, TERCET_TRY);
        call.gid = keys[i % 6].gid;
        call.branch = keys[i % 6].branch;
        part.reply = i < 6 ? replies[i] : "another";
        tercet_barrier_run(stage->barrier, &call, 1);
        CHECK_EQ(call.result, 0);
        CHECK(stage_has_reply(&call, replies[i % 6]));
        free(call.reply);
        CHECK_EQ(stage_rows(stage), i < 6 ? i + 1 : 6);
    }
    CHECK_EQ(part.runs, 6);
}

const struct stage_case barrier_table_cases[] = {
    {"every_cell", every_cell},
    {"every_cell_without_hooks", every_cell_without_hooks},
    {"rows_are_apart", rows_are_apart},
    {NULL, NULL},
};
