/* SPDX-License-Identifier: Apache-2.0
 *
 * The barrier's one algorithm; drivers only carry it out. Insert first, decide from affected rows:
 * reading is for those who lost.
 *
 * Two kinds of failure are kept apart all through: a function's own result is for the local
 * transaction (not 0: it is lost, and with it every call in it), a call's `result` is for that
 * call.
 */
#include <assert.h>
#include <clock.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "foresee.h"
#include "pool.h"
#include "settle.h"

#define CONFLICT_TRIES_MAX 6
#define CONFLICT_PAUSE_MS 4
#define EXPECT_MAX 256

/* One local transaction. */
struct local {
    struct tercet_barrier *barrier;
    const struct tercet_barrier_driver *driver;
    void *state;
    uint64_t mark; /* what calls of this transaction are judged by */
    uint64_t mark_stored;
    uint64_t source; /* whose numbers and marks these are; 0: not known */
    /* The mark is stored in transactions of its own, and may rise while this one runs. */
    bool stores_apart;
    /* One call only: its work is undone with the whole transaction, without a savepoint. */
    bool is_single;
    bool is_over; /* rolled back for that */
    /* No savepoints, and rows that are changed beforehand, many in one go. Where one call's work is
     * to be undone, the transaction is given up, and its calls are run again with savepoints. */
    bool is_foreseen;
    bool wants_savepoints;
    size_t undone_count;
};

/* Numbers begin at seconds since 1970 times 2^20 (or go on from where they were): a mark that is
 * far ahead of the clock is a fault, or an attack, and would shut out tries until the clock is
 * there. Clocks may differ by a day. */
#define MARK_SHIFT 20
#define MARK_AHEAD_S_MAX (24LL * 3600)

/* -- The local transaction --------------------------------------------------------------------- */

static int begin_local(struct local *local, struct tercet_barrier *barrier, void *state)
{
    *local = (struct local){.barrier = barrier,
                            .driver = &barrier->driver,
                            .state = state,
                            .stores_apart = barrier_stores_apart(barrier)};
    int rc = local->driver->begin(local->state);
    if (local->stores_apart)
        local->mark_stored = barrier_mark(barrier);
    else if (rc == 0)
        rc = local->driver->mark_read(local->state, &local->mark_stored);
    local->mark = local->mark_stored;
    return rc;
}

static int check_open(const struct local *local)
{
    return local->driver->is_open == NULL || local->driver->is_open(local->state) ? 0
                                                                                  : TERCET_STORE;
}

/* With one writer, the mark and the collecting ride on the batch's transaction: they cost no sync
 * of their own. With several, they would make batches wait for each other. */
static int commit_local(struct local *local, bool collects)
{
    int rc = 0;
    if (local->stores_apart) {
        barrier_mark_learn(local->barrier, 0, local->mark);
        return local->is_over ? 0 : local->driver->commit(local->state);
    }
    if (local->mark > local->mark_stored)
        rc = local->driver->mark_raise(local->state, local->mark);
    if (rc == 0 && collects && local->mark > 0)
        rc = local->driver->collect(local->state, local->mark, local->barrier->collect_rows_max);
    if (rc == 0)
        rc = local->driver->commit(local->state);
    return rc;
}

static bool has_savepoints(const struct local *local)
{
    return !local->is_single && !local->is_foreseen;
}

static int open_savepoint(const struct local *local)
{
    return has_savepoints(local) ? local->driver->savepoint(local->state) : 0;
}

static int release(const struct local *local)
{
    return has_savepoints(local) ? local->driver->release(local->state) : 0;
}

/* Whether the call's transaction is known at the coordinator to have ended, as far as the database
 * says by now: the mark may have risen, and the row been deleted, since this transaction began. */
static int check_ended(struct local *local, const struct tercet_barrier_call *call, bool *has_ended)
{
    uint64_t mark = 0;
    *has_ended = false;
    if (!local->stores_apart || call->number == 0)
        return 0;
    int rc = local->driver->mark_read(local->state, &mark);
    if (rc != 0)
        return rc;
    barrier_mark_learn(local->barrier, mark, 0);
    *has_ended = call->number <= mark;
    return 0;
}

/* -- One call ---------------------------------------------------------------------------------- */

static struct tercet_barrier_key key_of(const struct tercet_barrier_call *call)
{
    return (struct tercet_barrier_key){
        .gid = call->gid, .branch = call->branch, .number = call->number};
}

/* Runs the hook, if any, and makes its answer one that this kind of call can have. */
static int call_hook(const struct local *local, struct tercet_barrier_call *call)
{
    int rc = 0;
    if (call->hook != NULL)
        rc = call->hook(call, local->driver->db(local->state), call->ctx);
    if (rc > 0 || (rc == TERCET_REFUSED && call->kind != TERCET_TRY))
        rc = TERCET_AGAIN;
    if (rc == 0 && call->kind == TERCET_TRY &&
        (call->reply_size > TERCET_REPLY_MAX || (call->reply == NULL && call->reply_size > 0)))
        rc = TERCET_INVALID;
    if (rc != 0 || call->kind != TERCET_TRY || call->reply_size == 0)
        settle_drop_reply(call);
    return rc;
}

/* Undoes the row and the hook's work. */
static int undo(struct local *local)
{
    local->undone_count++;
    if (local->is_foreseen) {
        local->wants_savepoints = true;
        return TERCET_STORE;
    }
    if (local->is_single) {
        local->driver->rollback(local->state);
        local->is_over = true;
        return 0;
    }
    int rc = local->driver->rollback_to(local->state);
    return rc == 0 ? local->driver->release(local->state) : rc;
}

/* Whether the hook's work met with a conflict that costs the whole local transaction. */
static bool is_in_conflict(const struct local *local)
{
    return local->driver->failure != NULL &&
           local->driver->failure(local->state) >= TERCET_BARRIER_CONFLICT;
}

/* Runs the hook after the row was written, in the open savepoint, and keeps both or neither. */
static int work(struct local *local, struct tercet_barrier_call *call)
{
    struct tercet_barrier_key key = key_of(call);
    call->result = call_hook(local, call);
    int rc = check_open(local);
    if (rc == 0 && call->result != 0 && is_in_conflict(local))
        rc = TERCET_STORE;
    if (rc != 0)
        return rc;
    if (call->result != 0)
        return undo(local);
    if (call->reply_size > 0)
        rc = local->driver->reply_save(
            local->state, &key,
            (struct tercet_bytes){.data = call->reply, .size = call->reply_size});
    if (rc == 0)
        rc = release(local);
    if (rc != TERCET_INVALID)
        return rc;
    if (!local->is_foreseen)
        barrier_log(local->barrier, local->state, TERCET_LOG_ERROR,
                    "a hook's work cannot be committed", TERCET_STORE);
    call->result = TERCET_STORE;
    settle_drop_reply(call);
    return undo(local);
}

/* The row is gone since the insert met with it: another has deleted it below a new mark. */
static int answer_vanished_try(struct local *local, struct tercet_barrier_call *call)
{
    bool has_ended = false;
    int rc = check_ended(local, call, &has_ended);
    call->result = TERCET_REFUSED;
    return rc == 0 && !has_ended ? TERCET_STORE : rc;
}

/* Answers a try from the row that was there before. */
static int answer_try(struct local *local, struct tercet_barrier_call *call)
{
    struct tercet_barrier_key key = key_of(call);
    struct tercet_barrier_row row = {.state = TERCET_BARRIER_NONE};
    int rc = local->driver->read(local->state, &key, &row);
    if (rc == 0 && row.state == TERCET_BARRIER_NONE)
        return answer_vanished_try(local, call);
    if (rc == 0 && row.state != TERCET_BARRIER_CANCELLED) {
        call->reply = row.reply;
        call->reply_size = row.reply_size;
        return 0;
    }
    free(row.reply);
    call->result = TERCET_REFUSED;
    return rc;
}

static int broken_of(enum tercet_barrier_state state)
{
    if (state == TERCET_BARRIER_NONE)
        return TERCET_BROKEN_NO_TRY;
    return state == TERCET_BARRIER_CANCELLED ? TERCET_BROKEN_CANCELLED : TERCET_BROKEN_CONFIRMED;
}

const char *tercet_broken_text(int broken)
{
    switch (broken) {
#define TERCET_BROKEN_TEXT(name, value, text)                                                      \
    case name:                                                                                     \
        return text;
        TERCET_BROKEN_MAP(TERCET_BROKEN_TEXT)
#undef TERCET_BROKEN_TEXT
    default:
        return tercet_strerror(TERCET_BROKEN);
    }
}

/* Answers a confirm or cancel from the row; in state `wanted` it is done already. */
static int answer_end(struct local *local, struct tercet_barrier_call *call,
                      enum tercet_barrier_state wanted, int result_without_row)
{
    struct tercet_barrier_key key = key_of(call);
    struct tercet_barrier_row row = {.state = TERCET_BARRIER_NONE};
    bool has_ended = false;
    int rc = local->driver->read(local->state, &key, &row);
    free(row.reply);
    if (rc == 0 && row.state == TERCET_BARRIER_NONE && result_without_row != 0)
        rc = check_ended(local, call, &has_ended);
    if (row.state == TERCET_BARRIER_NONE)
        call->result = has_ended ? 0 : result_without_row;
    else if (row.state == TERCET_BARRIER_TRIED) /* another has moved it and taken that back */
        call->result = TERCET_AGAIN;
    else
        call->result = row.state == wanted ? 0 : TERCET_BROKEN;
    if (call->result == TERCET_BROKEN)
        call->broken = broken_of(row.state);
    return rc;
}

static int run_try(struct local *local, struct tercet_barrier_call *call)
{
    struct tercet_barrier_key key = key_of(call);
    bool inserted = false, has_ended = false;
    int rc = open_savepoint(local);
    if (rc == 0)
        rc = local->driver->insert(local->state, &key, TERCET_BARRIER_TRIED, &inserted);
    if (rc == 0 && inserted)
        rc = check_ended(local, call, &has_ended);
    if (rc == 0 && has_ended) {
        call->result = TERCET_REFUSED;
        return undo(local);
    }
    if (rc == 0 && inserted)
        return work(local, call);
    if (rc == 0)
        rc = release(local);
    return rc == 0 ? answer_try(local, call) : rc;
}

/* Confirms or cancels a branch that was tried; else answers from what is there. */
static int end_tried(struct local *local, struct tercet_barrier_call *call,
                     enum tercet_barrier_state to, int result_without_row)
{
    struct tercet_barrier_key key = key_of(call);
    bool moved = false;
    int rc = open_savepoint(local);
    if (rc == 0)
        rc = local->driver->move(local->state, &key, TERCET_BARRIER_TRIED, to, &moved);
    if (rc == 0 && moved)
        return work(local, call);
    if (rc == 0)
        rc = release(local);
    return rc == 0 ? answer_end(local, call, to, result_without_row) : rc;
}

static int run_cancel(struct local *local, struct tercet_barrier_call *call)
{
    struct tercet_barrier_key key = key_of(call);
    bool inserted = false;
    int rc = local->driver->insert(local->state, &key, TERCET_BARRIER_CANCELLED, &inserted);
    if (rc != 0 || inserted)
        return rc;
    return end_tried(local, call, TERCET_BARRIER_CANCELLED, TERCET_AGAIN);
}

/* At or below the mark: rows may have been deleted, so a missing one says nothing, and none may
 * come into being. */
static int run_ended(struct local *local, struct tercet_barrier_call *call)
{
    if (call->kind == TERCET_CONFIRM)
        return end_tried(local, call, TERCET_BARRIER_CONFIRMED, 0);
    if (call->kind == TERCET_CANCEL)
        return end_tried(local, call, TERCET_BARRIER_CANCELLED, 0);
    call->result = TERCET_REFUSED;
    return 0;
}

/* A cancel below a mark that is not stored yet leaves its row: were the mark lost, nothing else
 * would shut out a late try. */
static bool needs_row(const struct local *local, const struct tercet_barrier_call *call)
{
    return local->stores_apart && call->kind == TERCET_CANCEL && call->number > local->mark_stored;
}

static bool is_far_ahead(uint64_t mark)
{
    return (int64_t)(mark >> MARK_SHIFT) > (int64_t)time(NULL) + MARK_AHEAD_S_MAX;
}

/* Numbers and marks of another coordinator, or of its store made anew, say nothing here: its
 * branches are told by their rows alone, which are kept. Nor does a mark that cannot be right. */
static void take_own_only(struct local *local, struct tercet_barrier_call *call)
{
    struct tercet_barrier *barrier = local->barrier;
    if (is_far_ahead(call->low_water)) {
        barrier_warn_once(
            barrier, &barrier->is_far_mark_told,
            "barrier: a low-water mark of %" PRIu64
            " is far ahead of the clock, and is not taken (a call of source %016" PRIx64
            "): who sent it?",
            call->low_water, call->source);
        call->low_water = 0;
    }
    if (call->source == 0 || local->source == 0 || call->source == local->source)
        return;
    barrier_warn_once(
        barrier, &barrier->is_stranger_told,
        "barrier: this database goes by the numbers of the coordinator's store %016" PRIx64
        ", and gets calls of %016" PRIx64
        ": they are served, but their rows are never deleted; see docs/databases.md",
        local->source, call->source);
    call->number = 0;
    call->low_water = 0;
}

/* Whether the call is one of what has ended, by the marks up to this call. */
static bool take_mark(struct local *local, struct tercet_barrier_call *call)
{
    take_own_only(local, call);
    if (call->low_water > local->mark)
        local->mark = call->low_water;
    return call->number != 0 && call->number <= local->mark && !needs_row(local, call);
}

static int run_call(struct local *local, struct tercet_barrier_call *call)
{
    if (take_mark(local, call))
        return run_ended(local, call);
    if (call->kind == TERCET_TRY)
        return run_try(local, call);
    if (call->kind == TERCET_CONFIRM)
        return end_tried(local, call, TERCET_BARRIER_CONFIRMED, TERCET_BROKEN);
    return run_cancel(local, call);
}

/* -- Batches ----------------------------------------------------------------------------------- */

static bool is_valid(const struct tercet_barrier_call *call)
{
    struct tercet_gid gid;
    uint32_t branch =
        call->branch > TERCET_BARRIER_BEGUN ? call->branch - TERCET_BARRIER_BEGUN : call->branch;
    return tercet_gid_set(&gid, call->gid) == 0 && branch >= 1 && branch <= TERCET_BRANCHES_MAX &&
           call->number <= INT64_MAX && call->low_water <= INT64_MAX && call->kind >= TERCET_TRY &&
           call->kind <= TERCET_CANCEL;
}

/* Clears the answers. Returns how many calls are valid; the others have got TERCET_INVALID. */
static size_t prepare(struct tercet_barrier_call *calls, size_t count)
{
    size_t valid_count = 0;
    for (size_t i = 0; i < count; i++) {
        calls[i].result = is_valid(&calls[i]) ? 0 : TERCET_INVALID;
        calls[i].broken = 0;
        calls[i].reply = NULL;
        calls[i].reply_size = 0;
        calls[i].reason = NULL;
        valid_count += calls[i].result == 0;
    }
    return valid_count;
}

static void fail_all(struct tercet_barrier_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        settle_drop_answer(&calls[i]);
        if (is_valid(&calls[i]))
            calls[i].result = TERCET_STORE;
    }
}

/* What is run in one local transaction, on one connection. */
struct batch {
    struct tercet_barrier *barrier;
    void *state;
    struct tercet_barrier_call *calls;
    size_t count; /* comes out lower when the time was over before */
    int64_t until_ms;
    bool collects;
    bool is_lost; /* the connection is not to be relied on */
    bool wants_savepoints;
};

/* Has the rows of the calls from `first` changed in one go, up to one whose branch has come before.
 * Returns the end of these calls in *end. */
static int foresee(const struct local *local, const struct batch *batch, size_t first, size_t *end)
{
    struct tercet_barrier_change changes[2 * FORESEE_MAX];
    struct local seen = *local; /* later than `local` sees the marks */
    size_t n = 0, i = first;
    for (; i < batch->count && i < first + FORESEE_MAX; i++) {
        struct tercet_barrier_call *call = &batch->calls[i];
        if (call->result == TERCET_INVALID)
            continue;
        if (foresee_has_branch(&batch->calls[first], i - first, call))
            break;
        bool has_ended = take_mark(&seen, call);
        n += foresee_changes(&changes[n], call, has_ended);
    }
    *end = i;
    return n > 0 ? local->driver->foresee(local->state, changes, n) : 0;
}

/* Runs the calls, from the first, until all are through or the time is over: what was changed for
 * those that are left is taken back then. */
static int run_calls(struct local *local, struct batch *batch)
{
    int rc = 0;
    size_t foreseen_end = 0;
    for (size_t i = 0; rc == 0 && i < batch->count; i++) {
        if (local->is_foreseen && i == foreseen_end)
            rc = foresee(local, batch, i, &foreseen_end);
        if (rc == 0 && batch->calls[i].result != TERCET_INVALID)
            rc = run_call(local, &batch->calls[i]);
        if (rc == 0 && i + 1 < batch->count && clock_monotonic_ms() >= batch->until_ms)
            batch->count = i + 1;
    }
    if (rc == 0 && local->is_foreseen && batch->count < foreseen_end)
        rc = local->driver->forgo(local->state);
    return rc;
}

/* The database's source; that of the first call with one, when it has none. */
static uint64_t source_of(const struct batch *batch)
{
    uint64_t proposed = 0;
    for (size_t i = 0; proposed == 0 && i < batch->count; i++)
        if (batch->calls[i].result != TERCET_INVALID)
            proposed = batch->calls[i].source;
    return barrier_source(batch->barrier, batch->state, proposed);
}

/* Tells the driver which rows will be needed, where it can read many in one go. */
static int expect(const struct batch *batch)
{
    const struct tercet_barrier_driver *driver = &batch->barrier->driver;
    struct tercet_barrier_key keys[EXPECT_MAX];
    size_t n = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && driver->expect != NULL && i < batch->count; i++) {
        if (batch->calls[i].result != TERCET_INVALID)
            keys[n++] = key_of(&batch->calls[i]);
        if (n < EXPECT_MAX && i + 1 < batch->count)
            continue;
        rc = driver->expect(batch->state, keys, n);
        n = 0;
    }
    return rc;
}

/* Not 0: the local transaction did not take place, as far as is known. */
static int attempt(struct batch *batch)
{
    struct local local;
    size_t valid_count = prepare(batch->calls, batch->count);
    if (valid_count == 0)
        return 0;
    uint64_t source = source_of(batch);
    int rc = begin_local(&local, batch->barrier, batch->state);
    local.source = source;
    local.is_single = local.stores_apart && valid_count == 1;
    local.is_foreseen = valid_count > 1 && !batch->wants_savepoints &&
                        local.driver->foresee != NULL &&
                        barrier_may_foresee(batch->barrier, valid_count);
    if (rc == 0)
        rc = expect(batch);
    if (rc == 0)
        rc = run_calls(&local, batch);
    batch->wants_savepoints = local.wants_savepoints;
    if (!local.wants_savepoints && valid_count > 1)
        barrier_note_undone(batch->barrier, local.undone_count, valid_count);
    return rc == 0 ? commit_local(&local, batch->collects) : rc;
}

/* Ends a local transaction that failed, and says what is to become of its calls. */
static enum tercet_barrier_failure give_up(struct batch *batch, int error)
{
    enum tercet_barrier_failure failure =
        barrier_failure(batch->barrier, batch->state, batch->count);
    bool is_repeated =
        failure == TERCET_BARRIER_CONFLICT || (failure == TERCET_BARRIER_APART && batch->count > 1);
    barrier_log(batch->barrier, batch->state, is_repeated ? TERCET_LOG_DEBUG : TERCET_LOG_ERROR,
                "a batch was rolled back", error);
    batch->barrier->driver.rollback(batch->state);
    for (size_t i = 0; i < batch->count; i++) /* of calls that were through, too */
        settle_drop_answer(&batch->calls[i]);
    batch->is_lost = failure == TERCET_BARRIER_LOST;
    return failure;
}

/* Who met with a conflict waits a little, each for another time. */
static void pause_after_conflict(const struct batch *batch, int tries)
{
    uint64_t spread =
        (uint64_t)(uintptr_t)batch->calls * 0x9E3779B97F4A7C15u + (uint64_t)clock_monotonic_ms();
    int64_t pause_us = (int64_t)(spread % (1000u * CONFLICT_PAUSE_MS)) * tries;
    nanosleep(&(struct timespec){.tv_nsec = pause_us * 1000}, NULL);
}

/* After a commit: takes what it has made of each call, where the database decides only then. */
static void settle(struct batch *batch)
{
    if (batch->barrier->driver.outcome == NULL)
        return;
    for (size_t i = 0; i < batch->count; i++) {
        struct tercet_barrier_key key = key_of(&batch->calls[i]);
        settle_call(batch->barrier, batch->state, &key, &batch->calls[i]);
    }
}

/* Runs a call whose batch was rolled back in a local transaction of its own; again when it meets
 * with others that run at once. */
static void run_apart(struct batch *shared, size_t i)
{
    struct batch batch = *shared;
    batch.calls = &shared->calls[i];
    batch.count = 1;
    for (int tries = 1;; tries++) {
        int rc = attempt(&batch);
        if (rc == 0)
            settle(&batch);
        if (rc == 0 && batch.calls[0].result != SETTLE_RUN_AGAIN)
            return;
        if (rc != 0 && give_up(&batch, rc) != TERCET_BARRIER_CONFLICT)
            break;
        if (tries == CONFLICT_TRIES_MAX)
            break;
        pause_after_conflict(&batch, tries);
    }
    shared->is_lost = batch.is_lost;
    fail_all(batch.calls, 1);
}

/* After a commit: runs those apart that met with others. */
static void finish(struct batch *batch)
{
    settle(batch);
    for (size_t i = 0; i < batch->count; i++)
        if (batch->calls[i].result == SETTLE_RUN_AGAIN)
            run_apart(batch, i);
}

/* Some call's work is to be undone, and there was no savepoint for it: all from the start, with. */
static int attempt_with_savepoints(struct batch *batch, size_t count)
{
    batch->barrier->driver.rollback(batch->state);
    batch->count = count;
    for (size_t i = 0; i < count; i++)
        settle_drop_answer(&batch->calls[i]);
    return attempt(batch);
}

static void run_local(struct batch *batch)
{
    size_t count = batch->count;
    batch->wants_savepoints = false;
    int rc = attempt(batch);
    if (rc != 0 && batch->wants_savepoints)
        rc = attempt_with_savepoints(batch, count);
    if (rc == 0) {
        finish(batch);
        return;
    }
    enum tercet_barrier_failure failure = give_up(batch, rc);
    bool is_lost =
        failure == TERCET_BARRIER_LOST || (failure == TERCET_BARRIER_APART && batch->count == 1);
    if (is_lost)
        fail_all(batch->calls, batch->count);
    for (size_t i = 0; !is_lost && i < batch->count; i++)
        run_apart(batch, i);
}

/* How many of the calls, from the first, share a local transaction. */
static size_t share_count(const struct tercet_barrier_call *calls, size_t count)
{
    size_t n = 1;
    while (!calls[0].alone && n < count && !calls[n].alone)
        n++;
    return n;
}

size_t tercet_barrier_run_for(struct tercet_barrier *barrier, struct tercet_barrier_call *calls,
                              size_t count, int64_t time_ms)
{
    void *state = barrier_take(barrier);
    struct batch batch = {.barrier = barrier,
                          .state = state,
                          .until_ms = time_ms >= 0 ? clock_monotonic_ms() + time_ms : INT64_MAX};
    size_t done = 0;
    while (done < count && (done == 0 || clock_monotonic_ms() < batch.until_ms)) {
        batch.calls = calls + done;
        batch.count = share_count(calls + done, count - done);
        batch.collects = done + batch.count == count;
        run_local(&batch);
        done += batch.count;
    }
    if (!batch.is_lost)
        barrier_mark_store(barrier, state);
    barrier_give(barrier, state, batch.is_lost);
    return done;
}

void tercet_barrier_run(struct tercet_barrier *barrier, struct tercet_barrier_call *calls,
                        size_t count)
{
    tercet_barrier_run_for(barrier, calls, count, -1);
}

/* -- The rest ---------------------------------------------------------------------------------- */

int tercet_barrier_stats(struct tercet_barrier *barrier, uint64_t *rows, uint64_t *mark)
{
    uint64_t rows_now = 0, mark_now = 0;
    void *state = barrier_take(barrier);
    int rc = barrier->driver.rows_count(state, &rows_now);
    if (rc == 0)
        rc = barrier->driver.mark_read(state, &mark_now);
    barrier_give(barrier, state, rc != 0);
    if (rc != 0)
        return TERCET_STORE;
    *rows = rows_now;
    *mark = mark_now;
    return 0;
}

int tercet_barrier_local(struct tercet_barrier *barrier, int (*work_fn)(tercet_db db, void *ctx),
                         void *ctx)
{
    struct local local;
    void *state = barrier_take(barrier);
    int result = 0;
    int rc = begin_local(&local, barrier, state);
    tercet_db db = rc == 0 ? barrier->driver.db(state) : NULL;
    if (rc == 0)
        rc = check_open(&local);
    if (rc == 0) {
        result = work_fn(db, ctx);
        rc = check_open(&local);
    }
    if (rc == 0 && result == 0)
        rc = barrier->driver.commit(state);
    if (rc != 0) {
        barrier_log(barrier, state, TERCET_LOG_ERROR, "a local transaction was rolled back", rc);
        result = TERCET_STORE;
    }
    if (result != 0)
        barrier->driver.rollback(state);
    barrier_give(barrier, state, rc != 0);
    return result;
}
