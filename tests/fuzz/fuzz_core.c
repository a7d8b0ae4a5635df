/* SPDX-License-Identifier: Apache-2.0
 *
 * Events into the core, in any order, with crashes in between. Four bytes choose the options, then
 * each operation is a byte and what it takes. Whoever gets the actions watches S2, S3, S8, S9 and
 * S10, and L1 at the end; the core's own asserts do the rest.
 */
#include "fuzz.h"
#include "txn.h"

#define BRANCHES 12
#define ACTIONS (2 * (BRANCHES + 1) + 8)
#define OPERATIONS_MAX 2000

struct image {
    struct txn txn;
    struct txn_branch branches[BRANCHES];
};

struct run {
    struct image live;
    struct image durable;
    struct txn_action items[ACTIONS];
    struct txn_actions actions;
    int64_t now_ms;
    bool keeps_marks; /* what is only marked is written at once, or else lost with the next crash */
    bool saw_confirm;
    bool saw_cancel;
    bool saw_resolved;
    bool was_sent[TXN_BRANCHES_MAX + 1]; /* by number */
};

static void copy_image(struct image *to, const struct image *from)
{
    *to = *from;
    to->txn.branches = to->branches;
}

static bool is_confirm(const struct txn *txn)
{
    return txn->state == TXN_CONFIRMING || txn->state == TXN_CONFIRMED;
}

static bool is_cancel(const struct txn *txn)
{
    return txn->state == TXN_CANCELLING || txn->state == TXN_CANCELLED;
}

/* Somebody outside learns of the decision: durable by now, and the only one ever. */
static void see_decision(struct run *run)
{
    const struct txn *durable = &run->durable.txn;
    MUST(is_confirm(durable) || is_cancel(durable));
    run->saw_confirm = run->saw_confirm || is_confirm(durable);
    run->saw_cancel = run->saw_cancel || is_cancel(durable);
    MUST(!run->saw_confirm || !run->saw_cancel);
}

/* What is held is not sent; of the others, those with an odd number wait in a queue. */
static void send_try(struct run *run, uint32_t number)
{
    if (txn_find(&run->live.txn, number)->sent == TXN_SENT_HELD || number % 2 == 1)
        return;
    txn_try_leaves(&run->live.txn, number);
    run->was_sent[number] = true;
}

/* A confirmation that leaves out what is not done cancels it. */
static bool is_left_out(const struct txn *txn, uint32_t number)
{
    const struct txn_branch *branch = txn_find(txn, number);
    return is_confirm(txn) && txn->options.keeps_on_refusal && !txn->options.decides_itself &&
           branch->mode == TXN_MODE_ROUTED && branch->try_state != TXN_TRY_DONE;
}

static void see(struct run *run, const struct txn_action *action)
{
    switch (action->kind) {
    case TXN_CALL_TRY:
        MUST(txn_find(&run->durable.txn, action->number) != NULL &&
             run->live.txn.state == TXN_TRYING);
        send_try(run, action->number);
        break;
    case TXN_CALL_CONFIRM:
        MUST(is_confirm(&run->durable.txn) && !is_left_out(&run->durable.txn, action->number));
        see_decision(run);
        break;
    case TXN_CALL_CANCEL:
        MUST(is_cancel(&run->durable.txn) || is_left_out(&run->durable.txn, action->number));
        see_decision(run);
        break;
    case TXN_DECIDED:
        see_decision(run);
        break;
    case TXN_RESOLVED:
        MUST(txn_is_resolved(&run->live.txn) && !run->saw_resolved);
        run->saw_resolved = true;
        break;
    default:
        break;
    }
}

/* What a request that is refused, and a decision that is made, may change. */
static void check_change(const struct run *run, const struct image *before, int result)
{
    const struct txn *was = &before->txn;
    const struct txn *is = &run->live.txn;
    bool is_same = memcmp(before->branches, run->live.branches, sizeof(before->branches)) == 0;
    MUST(result == 0 || (run->actions.count == 0 && is_same && was->state == is->state));
    MUST(is->state == was->state || is->state > was->state);
    MUST(!is_confirm(was) || is_confirm(is));
    MUST(!is_cancel(was) || is_cancel(is));
    bool has_one_more = was->state == TXN_TRYING && is->branch_count == was->branch_count + 1;
    MUST(is->branch_count == was->branch_count || has_one_more);
    for (size_t i = 1; i < run->actions.count; i++)
        MUST(run->items[i].kind != TXN_PERSIST && run->items[i].kind != TXN_MARK);
    MUST(result != 0 || txn_wake_ms(is) > run->now_ms);
    for (size_t i = 0; i < is->branch_count; i++) /* who may have been tried is told the end */
        MUST(is->branches[i].sent == TXN_SENT_MAYBE || !run->was_sent[is->branches[i].number]);
}

static void step(struct run *run, const struct txn_event *event)
{
    struct image before;
    copy_image(&before, &run->live);
    run->actions.count = 0;
    int result = txn_step(&run->live.txn, event, &run->actions);
    check_change(run, &before, result);
    enum txn_action_kind first = run->actions.count > 0 ? run->items[0].kind : TXN_RESOLVED;
    if (first == TXN_PERSIST || (first == TXN_MARK && run->keeps_marks))
        copy_image(&run->durable, &run->live);
    for (size_t i = 0; i < run->actions.count; i++)
        see(run, &run->items[i]);
}

static void wake(struct run *run)
{
    step(run, &(struct txn_event){.kind = TXN_WAKE, .now_ms = run->now_ms});
}

static void crash(struct run *run)
{
    copy_image(&run->live, &run->durable);
    MUST(txn_restore(&run->live.txn, run->now_ms));
    for (size_t i = 0; i < run->live.txn.branch_count; i++) {
        const struct txn_branch *branch = &run->live.branches[i];
        MUST(branch->try_state != TXN_TRY_CALLING && branch->end_state != TXN_END_CALLING);
    }
    run->saw_resolved = txn_is_resolved(&run->live.txn);
    wake(run);
}

static void begin(struct run *run, struct input *input)
{
    struct txn_options options;
    uint8_t flags = take(input);
    txn_options_default(&options);
    options.is_ordered = (flags & 1) != 0;
    options.decides_itself = (flags & 2) != 0;
    options.keeps_on_refusal = (flags & 4) != 0;
    run->keeps_marks = (flags & 8) != 0;
    options.retry_base_ms = 1 + take(input);
    options.park_attempts = 1 + take_below(input, 5);
    options.park_after_ms = 1 + 10 * take(input);
    run->actions = (struct txn_actions){.items = run->items, .capacity = ACTIONS};
    txn_init(&run->live.txn, run->live.branches, BRANCHES, &options, 1000, 7);
    copy_image(&run->durable, &run->live);
}

/* A new branch when there is room for it; else one that exists, or cannot. */
static uint32_t enlist_number(const struct run *run, uint32_t wanted)
{
    bool is_full = run->live.txn.branch_count == BRANCHES;
    return is_full && txn_find(&run->live.txn, wanted) == NULL ? 0 : wanted;
}

static void run_event(struct run *run, struct input *input, enum txn_event_kind kind, uint8_t more)
{
    uint8_t which = take(input);
    uint32_t number = which < 250 ? which % 16u : TXN_BRANCHES_MAX - 250u + which - 3u;
    struct txn_event event = {
        .kind = kind,
        .now_ms = run->now_ms,
        .number = kind == TXN_ENLIST ? enlist_number(run, number) : number,
        .digest = which / 128,
        .try_timeout_ms = kind == TXN_ENLIST ? 4 * (int64_t)take(input) - 4 : 0,
        .mode = (more & 1) != 0 ? TXN_MODE_ROUTED : TXN_MODE_OWN,
        .is_held = (more & 2) != 0,
        .is_forced = (more & 2) != 0,
        .is_confirm = (more & 4) != 0,
        .cause = (more & 8) != 0 ? TXN_CAUSE_OPERATOR : TXN_CAUSE_INITIATOR,
    };
    step(run, &event);
}

static void operate(struct run *run, struct input *input)
{
    uint8_t operation = take(input);
    int64_t wake_ms = txn_wake_ms(&run->live.txn);
    switch (operation % 16) {
    case 12:
        run->now_ms += take(input);
        break;
    case 13:
        run->now_ms = wake_ms != TXN_NEVER && wake_ms > run->now_ms ? wake_ms : run->now_ms;
        wake(run);
        break;
    case 14:
        crash(run);
        break;
    case 15:
        if (operation / 16 % 2 == 0)
            run->keeps_marks = !run->keeps_marks;
        else
            run_event(run, input, TXN_TRY_MAY_GO, 0);
        break;
    default:
        run_event(run, input, (enum txn_event_kind)(operation % 16), operation / 16);
    }
}

static bool owes_confirm(const struct run *run, uint32_t i)
{
    return txn_owed(&run->live.txn, &run->live.branches[i]) == TXN_OWED_CONFIRM;
}

/* Whoever is called answers "done" from now on: it ends, whatever has been. */
static void finish(struct run *run)
{
    for (size_t turn = 0; !txn_is_resolved(&run->live.txn); turn++) {
        MUST(turn < 1000);
        int64_t wake_ms = txn_wake_ms(&run->live.txn);
        run->now_ms = wake_ms != TXN_NEVER && wake_ms > run->now_ms ? wake_ms : run->now_ms;
        wake(run);
        for (uint32_t i = 0; i < run->live.txn.branch_count; i++) {
            uint32_t number = run->live.branches[i].number;
            if (run->live.branches[i].end_state == TXN_END_CALLING)
                step(run, &(struct txn_event){.kind = TXN_END_IS_DONE,
                                              .number = number,
                                              .now_ms = run->now_ms,
                                              .is_confirm = owes_confirm(run, i)});
        }
    }
    MUST(run->saw_resolved && txn_wake_ms(&run->live.txn) == TXN_NEVER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run = {0};
    struct input input = {data, size};
    begin(&run, &input);
    for (size_t i = 0; i < OPERATIONS_MAX && input.size > 0; i++)
        operate(&run, &input);
    finish(&run);
    return 0;
}
