/* SPDX-License-Identifier: Apache-2.0
 *
 * tercet/sys/barrier_conformance.h, and stage.h.
 */
#include "stage.h"

#include <pool.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct stage *current;

void stage_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(current->failure, sizeof(current->failure), format, args);
    va_end(args);
    longjmp(current->end, 1);
}

void stage_fail_check(int line, const char *condition, const char *format, ...)
{
    char words[FAILURE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    stage_fail("line %d: not so: %s (%s)", line, condition, words);
}

void stage_check_equal(int line, const char *what, long long got, long long wanted)
{
    if (got != wanted)
        stage_fail("line %d: %s is %lld, not %lld", line, what, got, wanted);
}

/* -- The database ------------------------------------------------------------------------------ */

/* Marks are stored with every batch, also where they are stored apart: cases look at once. */
static void open_barrier(struct stage *stage, const struct tercet_barrier_options *options)
{
    const struct tercet_barrier_options none = {.size = sizeof(none)};
    int rc = stage->suite->open(&stage->barrier, stage->place, options != NULL ? options : &none,
                                stage->suite->ctx);
    if (rc != 0) {
        stage->barrier = NULL;
        stage_fail("the barrier could not be opened: %s", tercet_strerror(rc));
    }
    stage->barrier->store_interval_ms = 0;
}

void stage_reopen(struct stage *stage, const struct tercet_barrier_options *options)
{
    tercet_barrier_close(stage->barrier);
    stage->barrier = NULL;
    open_barrier(stage, options);
}

static void make(struct stage *stage)
{
    if (stage->suite->make(&stage->place, stage->suite->ctx) != 0) {
        stage->place = NULL;
        stage_fail("no database could be made for the case");
    }
    open_barrier(stage, NULL);
}

static void take_away(struct stage *stage)
{
    tercet_barrier_close(stage->barrier);
    stage->barrier = NULL;
    if (stage->place != NULL)
        stage->suite->remove(stage->place, stage->suite->ctx);
    stage->place = NULL;
}

void stage_anew(struct stage *stage)
{
    take_away(stage);
    make(stage);
}

bool stage_stores_apart(const struct stage *stage)
{
    return stage->barrier->driver.mark_store != NULL;
}

/* -- Calls ------------------------------------------------------------------------------------- */

/* The line is written whatever the answer: rolling it back is the barrier's business. */
static int hook(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    struct part *part = ctx;
    const struct stage *stage = part->stage;
    int rc = 0;
    part->runs++;
    if (db != NULL || part->result == 0)
        rc = stage->suite->write(stage->place, db, call->gid, call->branch, call->kind,
                                 stage->suite->ctx);
    if (rc != 0)
        return rc;
    if (part->reply != NULL) {
        call->reply = strdup(part->reply);
        call->reply_size = call->reply != NULL ? strlen(part->reply) : 0;
    }
    return part->result;
}

struct tercet_barrier_call stage_call(struct part *part, enum tercet_kind kind)
{
    return (struct tercet_barrier_call){
        .gid = GID, .branch = 1, .kind = kind, .hook = hook, .ctx = part};
}

int stage_ask(struct stage *stage, struct tercet_barrier_call call)
{
    tercet_barrier_run(stage->barrier, &call, 1);
    free(call.reply);
    return call.result;
}

int stage_ask_part(struct part *part, enum tercet_kind kind)
{
    return stage_ask(part->stage, stage_call(part, kind));
}

bool stage_has_reply(const struct tercet_barrier_call *call, const char *text)
{
    return call->reply_size == strlen(text) && call->reply != NULL &&
           memcmp(call->reply, text, call->reply_size) == 0;
}

int stage_effects(struct stage *stage, const char *gid, int kind)
{
    return stage->suite->count(stage->place, gid, kind, stage->suite->ctx);
}

uint64_t stage_rows(struct stage *stage)
{
    uint64_t rows = 0, mark = 0;
    CHECK_EQ(tercet_barrier_stats(stage->barrier, &rows, &mark), 0);
    return rows;
}

uint64_t stage_mark(struct stage *stage)
{
    uint64_t rows = 0, mark = 0;
    CHECK_EQ(tercet_barrier_stats(stage->barrier, &rows, &mark), 0);
    return mark;
}

/* -- Running ----------------------------------------------------------------------------------- */

static const struct stage_case *case_at(size_t i)
{
    static const struct stage_case *const all[] = {barrier_table_cases, barrier_stories_cases,
                                                   barrier_batches_cases, barrier_mark_cases};
    size_t n = 0;
    for (size_t file = 0; file < sizeof(all) / sizeof(all[0]); file++)
        for (const struct stage_case *one = all[file]; one->name != NULL; one++)
            if (n++ == i)
                return one;
    return NULL;
}

const char *tercet_barrier_conformance_case(size_t i)
{
    const struct stage_case *one = case_at(i);
    return one != NULL ? one->name : NULL;
}

static void run_case(struct stage *stage, const struct stage_case *one)
{
    stage->failure[0] = '\0';
    current = stage;
    if (setjmp(stage->end) == 0) {
        make(stage);
        one->run(stage);
    }
    take_away(stage);
}

int tercet_barrier_conformance_run(const struct tercet_barrier_conformance *suite, const char *only)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    int failed = 0;
    if (stage == NULL)
        abort();
    stage->suite = suite;
    for (size_t i = 0; case_at(i) != NULL; i++) {
        const struct stage_case *one = case_at(i);
        if (only != NULL && strcmp(only, one->name) != 0)
            continue;
        run_case(stage, one);
        failed += stage->failure[0] != '\0';
        suite->report(one->name, stage->failure[0] != '\0' ? stage->failure : NULL, suite->ctx);
    }
    free(stage);
    return failed;
}
