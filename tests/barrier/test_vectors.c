/* SPDX-License-Identifier: Apache-2.0
 *
 * The test vectors of docs/protocol.md: what barriers in other languages are tried with drives
 * ours.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define VECTORS_MIN 40 /* a file that has been cut short is no proof */

static const char *text_of(const cJSON *step, const char *name, const char *otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(step, name);
    return cJSON_IsString(item) ? item->valuestring : otherwise;
}

static uint64_t number_of(const cJSON *step, const char *name, uint64_t otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(step, name);
    return cJSON_IsNumber(item) ? (uint64_t)item->valuedouble : otherwise;
}

static bool flag_of(const cJSON *step, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(step, name));
}

static enum tercet_kind kind_of(const char *name)
{
    return strcmp(name, "TRY") == 0       ? TERCET_TRY
           : strcmp(name, "CONFIRM") == 0 ? TERCET_CONFIRM
                                          : TERCET_CANCEL;
}

static int result_of(const char *outcome)
{
    return strcmp(outcome, "DONE") == 0      ? 0
           : strcmp(outcome, "REFUSAL") == 0 ? TERCET_REFUSED
           : strcmp(outcome, "BROKEN") == 0  ? TERCET_BROKEN
                                             : TERCET_AGAIN;
}

/* Where it went wrong. */
struct place {
    const char *vector;
    int step;
};

static void check_reply(struct place at, const cJSON *step, const struct tercet_barrier_call *call)
{
    const char *wanted = text_of(step, "replies", "");
    cr_assert_eq(call->reply_size, strlen(wanted), "%s, step %d: a reply of %zu bytes", at.vector,
                 at.step, call->reply_size);
    if (call->reply_size > 0)
        cr_assert_eq(memcmp(call->reply, wanted, call->reply_size), 0, "%s, step %d", at.vector,
                     at.step);
}

/* Returns how many effects the call is to have. */
static int play_call(struct place at, struct part *part, const cJSON *step, bool enters)
{
    const char *wanted = text_of(step, "outcome", "");
    const char *reply = text_of(step, "reply", "");
    *part = (struct part){.bench = part->bench, .reply = reply[0] != '\0' ? reply : NULL};
    part->result = result_of(text_of(step, "hook", "DONE"));
    struct tercet_barrier_call call = bench_call(part, kind_of(text_of(step, "call", "")));
    call.gid = text_of(step, "gid", "g");
    call.branch = (uint32_t)number_of(step, "branch", 1);
    call.number = number_of(step, "number", 0);
    call.low_water = number_of(step, "low_water", 0);
    call.source = number_of(step, "source", 0);
    if (enters)
        bench_enter(part->bench, &call);
    else
        tercet_barrier_run(part->bench->barrier, &call, 1);
    cr_assert_eq(call.result, result_of(wanted), "%s, step %d: wanted %s, came %s", at.vector,
                 at.step, wanted, tercet_error_name(call.result));
    cr_assert_eq(part->runs, flag_of(step, "runs"), "%s, step %d: the hook ran %d times", at.vector,
                 at.step, part->runs);
    check_reply(at, step, &call);
    free(call.reply);
    return part->runs > 0 && part->result == 0;
}

static void play(enum bench_driver driver, const cJSON *vector, bool enters)
{
    struct bench *bench = bench_open(driver, NULL);
    struct part part = {.bench = bench};
    struct place at = {.vector = text_of(vector, "name", "(no name)")};
    int effects = 0;
    const cJSON *step;
    cJSON_ArrayForEach(step, cJSON_GetObjectItemCaseSensitive(vector, "steps"))
    {
        at.step++;
        if (flag_of(step, "reopen"))
            bench_reopen(bench);
        else
            effects += play_call(at, &part, step, enters);
        cr_assert_eq(bench_effects(bench, NULL, 0), effects, "%s, step %d", at.vector, at.step);
    }
    cr_assert_gt(at.step, 1, "%s", at.vector);
    bench_close(bench);
}

static bool needs(const cJSON *vector, const char *what)
{
    const cJSON *need;
    cJSON_ArrayForEach(need, cJSON_GetObjectItemCaseSensitive(vector, "needs"))
    {
        if (strcmp(need->valuestring, what) == 0)
            return true;
    }
    return false;
}

static void play_all(enum bench_driver driver, bool enters)
{
    char *line = NULL;
    size_t size = 0;
    int count = 0;
    FILE *file = fopen(BARRIER_VECTORS, "r");
    cr_assert_not_null(file);
    while (getline(&line, &size, file) > 0) {
        cJSON *vector = cJSON_Parse(line);
        cr_assert_not_null(vector, "line %d is no JSON", count + 1);
        if (driver != BENCH_MEMORY || !needs(vector, "reopen"))
            play(driver, vector, enters);
        cJSON_Delete(vector);
        count++;
    }
    cr_assert_geq(count, VECTORS_MIN);
    fclose(file);
    free(line);
}

EACH_DRIVER(barrier_vectors, hold)
{
    play_all(*driver, false);
}

EACH_DRIVER(barrier_vectors, hold_in_transactions_of_the_callers_own)
{
    if (bench_can_enter(*driver))
        play_all(*driver, true);
}
