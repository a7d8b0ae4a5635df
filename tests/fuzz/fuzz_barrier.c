/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches of calls through the barrier (memory driver), each answer compared with the table in
 * tercet/barrier.h, written here as a table. A byte chooses the options; then batches, a byte for
 * its size and four a call. Hooks count S6.
 */
#include "fuzz.h"

#include <tercet/barrier.h>

#define KEYS 6
#define BATCH_MAX 6

enum row { NO_ROW, TRIED, CONFIRMED, CANCELLED };

/* What the table says: the row after, whether the hook runs, the answer. */
struct rule {
    enum row after;
    bool runs;
    int result;
};
static const struct rule table[3][4] = {
    {{TRIED, true, 0},
     {TRIED, false, 0},
     {CONFIRMED, false, 0},
     {CANCELLED, false, TERCET_REFUSED}},
    {{NO_ROW, false, TERCET_BROKEN},
     {CONFIRMED, true, 0},
     {CONFIRMED, false, 0},
     {CANCELLED, false, TERCET_BROKEN}},
    {{CANCELLED, false, 0},
     {CANCELLED, true, 0},
     {CONFIRMED, false, TERCET_BROKEN},
     {CANCELLED, false, 0}},
};

static const struct key {
    const char *gid;
    uint32_t branch;
    /* different ones, so that the order of collecting is known; 0: never collected */
    uint64_t number;
} keys[KEYS] = {{"a", 1, 3}, {"a", 2, 4},       {"b", 1, 7}, {"b", TERCET_BRANCHES_MAX, 9},
                {"c", 1, 0}, {"c:1.x_-", 1, 12}};

struct model {
    enum row rows[KEYS];
    uint8_t replies[KEYS]; /* 0: empty; else so many bytes of this value */
    uint64_t mark;
    uint32_t collect_rows_max;
    unsigned effects[KEYS][3];
};

/* A call, what its hook will do, and what the table expects. */
struct act {
    struct model *model;
    size_t key;
    uint8_t reply;
    int hook_result;
    bool is_valid;
    bool was_run;
};

static int on_call(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    struct act *act = ctx;
    MUST(db == NULL && !act->was_run);
    act->was_run = true;
    if (act->reply > 0) {
        call->reply = malloc(act->reply);
        MUST(call->reply != NULL);
        memset(call->reply, act->reply, act->reply);
        call->reply_size = act->reply;
    }
    if (act->hook_result == 0)
        act->model->effects[act->key][call->kind - TERCET_TRY]++;
    return act->hook_result;
}

/* -- The model --------------------------------------------------------------------------------- */

static struct rule rule_of(const struct model *model, const struct act *act, enum tercet_kind kind)
{
    enum row row = model->rows[act->key];
    uint64_t number = keys[act->key].number;
    bool is_over = number != 0 && number <= model->mark;
    if (is_over && kind == TERCET_TRY)
        return (struct rule){row, false, TERCET_REFUSED};
    if (is_over && row == NO_ROW)
        return (struct rule){NO_ROW, false, 0};
    return table[kind - TERCET_TRY][row];
}

static int result_of_hook(int result, enum tercet_kind kind)
{
    return result > 0 || (result == TERCET_REFUSED && kind != TERCET_TRY) ? TERCET_AGAIN : result;
}

static void check_reply(const struct model *model, const struct act *act,
                        const struct tercet_barrier_call *call)
{
    uint8_t wanted = call->kind == TERCET_TRY && call->result == 0 ? model->replies[act->key] : 0;
    MUST(call->reply_size == wanted && (call->reply != NULL) == (wanted > 0));
    for (size_t i = 0; i < call->reply_size; i++)
        MUST(((const uint8_t *)call->reply)[i] == wanted);
}

static void check_call(struct model *model, const struct act *act,
                       const struct tercet_barrier_call *call)
{
    if (!act->is_valid) {
        MUST(call->result == TERCET_INVALID && !act->was_run && call->reply == NULL);
        return;
    }
    model->mark = call->low_water > model->mark ? call->low_water : model->mark;
    struct rule rule = rule_of(model, act, call->kind);
    bool has_hook = call->hook != NULL;
    int hook_result = rule.runs && has_hook ? result_of_hook(act->hook_result, call->kind) : 0;
    MUST(act->was_run == (rule.runs && has_hook));
    MUST(call->result == (hook_result != 0 ? hook_result : rule.result));
    if (hook_result == 0) {
        if (rule.runs && call->kind == TERCET_TRY)
            model->replies[act->key] = has_hook ? act->reply : 0;
        model->rows[act->key] = rule.after;
    }
    check_reply(model, act, call);
}

/* With the last local transaction of a batch, those with the lowest numbers first. */
static void collect(struct model *model)
{
    uint32_t left = model->collect_rows_max;
    for (size_t i = 0; i < KEYS && left > 0; i++) {
        bool has_ended = model->rows[i] == CONFIRMED || model->rows[i] == CANCELLED;
        if (!has_ended || keys[i].number == 0 || keys[i].number > model->mark)
            continue;
        model->rows[i] = NO_ROW;
        left--;
    }
}

static void check_effects(const struct model *model)
{
    for (size_t i = 0; i < KEYS; i++) {
        const unsigned *effects = model->effects[i];
        MUST(effects[0] <= 1 && effects[1] + effects[2] <= 1);
    }
}

/* -- Batches ----------------------------------------------------------------------------------- */

static void fill(struct tercet_barrier_call *call, struct act *act, struct model *model,
                 struct input *input)
{
    static const int hook_results[] = {0, 0, 0, 0, TERCET_REFUSED, TERCET_AGAIN, TERCET_INTERNAL,
                                       1};
    uint8_t what = take(input);
    uint8_t damage = take(input);
    uint8_t mark = take(input);
    *act = (struct act){
        .model = model, .key = what % KEYS, .reply = take(input) % 32, .is_valid = damage < 240};
    act->hook_result = hook_results[damage % 8];
    *call = (struct tercet_barrier_call){
        .gid = keys[act->key].gid,
        .branch = keys[act->key].branch,
        .number = keys[act->key].number,
        .low_water = mark < 240 ? 0 : mark % 16u,
        .kind = (enum tercet_kind)(TERCET_TRY + what / KEYS % 3),
        .alone = what >= 216,
        .hook = damage % 16 < 15 ? on_call : NULL,
        .ctx = act,
    };
    if (damage >= 252)
        call->gid = damage % 2 == 0 ? "" : "not a gid";
    else if (damage >= 248)
        call->branch = damage % 2 == 0 ? 0 : TERCET_BRANCHES_MAX + 1;
    else if (damage >= 244)
        call->number = UINT64_MAX;
    else if (damage >= 240)
        call->low_water = UINT64_MAX;
}

/* Whether the local transaction that the last call is in has anything to do. */
static bool last_is_worked_on(const struct tercet_barrier_call *calls, const struct act *acts,
                              size_t count)
{
    size_t i = count - 1;
    if (calls[i].alone)
        return acts[i].is_valid;
    while (i > 0 && !calls[i - 1].alone && !acts[i].is_valid)
        i--;
    return acts[i].is_valid;
}

static void run_batch(struct tercet_barrier *barrier, struct model *model, struct input *input)
{
    struct tercet_barrier_call calls[BATCH_MAX];
    struct act acts[BATCH_MAX];
    size_t count = 1 + take_below(input, BATCH_MAX);
    for (size_t i = 0; i < count; i++)
        fill(&calls[i], &acts[i], model, input);
    tercet_barrier_run(barrier, calls, count);
    for (size_t i = 0; i < count; i++) {
        check_call(model, &acts[i], &calls[i]);
        free(calls[i].reply);
    }
    if (last_is_worked_on(calls, acts, count))
        collect(model);
    check_effects(model);
}

static void check_stats(struct tercet_barrier *barrier, const struct model *model)
{
    uint64_t rows = 0, mark = 0, wanted = 0;
    for (size_t i = 0; i < KEYS; i++)
        wanted += model->rows[i] != NO_ROW;
    MUST(tercet_barrier_stats(barrier, &rows, &mark) == 0);
    MUST(rows == wanted && mark == model->mark);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct model model = {.collect_rows_max = 1 + take_below(&input, KEYS)};
    struct tercet_barrier_options options = {.size = sizeof(options),
                                             .collect_rows_max = model.collect_rows_max};
    struct tercet_barrier *barrier = NULL;
    MUST(tercet_barrier_memory_open(&barrier, &options) == 0);
    while (input.size > 0) {
        run_batch(barrier, &model, &input);
        check_stats(barrier, &model);
    }
    tercet_barrier_close(barrier);
    return 0;
}
