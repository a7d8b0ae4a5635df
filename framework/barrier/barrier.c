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
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/sys/barrier.h>

#include "drivers.h"

#define BUSY_TIMEOUT_MS_DEFAULT 5000
#define COLLECT_ROWS_MAX_DEFAULT 256

struct tercet_barrier {
    /* held over a whole local transaction; tells when a hook calls its own barrier */
    pthread_mutex_t lock;
    struct tercet_barrier_driver driver;
    void *state; /* the driver's */
    uint32_t collect_rows_max;
    tercet_log_fn on_log;
    void *log_ctx;
};

/* One local transaction. */
struct local {
    struct tercet_barrier *barrier;
    const struct tercet_barrier_driver *driver;
    void *state;
    uint64_t mark;
    uint64_t mark_stored;
};

/* -- Open and close ---------------------------------------------------------------------------- */

int barrier_options_complete(struct tercet_barrier_options *out,
                             const struct tercet_barrier_options *given)
{
    struct tercet_barrier_options options = {.size = sizeof(options)};
    if (given != NULL && given->size < sizeof(given->size))
        return TERCET_INVALID;
    if (given != NULL)
        memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));
    if (options.busy_timeout_ms == 0)
        options.busy_timeout_ms = BUSY_TIMEOUT_MS_DEFAULT;
    if (options.collect_rows_max == 0)
        options.collect_rows_max = COLLECT_ROWS_MAX_DEFAULT;
    *out = options;
    return 0;
}

static void init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

int tercet_barrier_new(struct tercet_barrier **out, const struct tercet_barrier_driver *driver,
                       void *state, const struct tercet_barrier_options *options)
{
    struct tercet_barrier_options complete;
    if (out == NULL || driver == NULL || driver->size != sizeof(*driver) ||
        barrier_options_complete(&complete, options) != 0)
        return TERCET_INVALID;
    struct tercet_barrier *barrier = calloc(1, sizeof(*barrier));
    if (barrier == NULL)
        return TERCET_NOMEM;
    init_lock(&barrier->lock);
    barrier->driver = *driver;
    barrier->state = state;
    barrier->collect_rows_max = complete.collect_rows_max;
    barrier->on_log = complete.on_log;
    barrier->log_ctx = complete.log_ctx;
    *out = barrier;
    return 0;
}

void tercet_barrier_close(struct tercet_barrier *barrier)
{
    if (barrier == NULL)
        return;
    barrier->driver.close(barrier->state);
    pthread_mutex_destroy(&barrier->lock);
    free(barrier);
}

static void lock_barrier(struct tercet_barrier *barrier)
{
    int rc = pthread_mutex_lock(&barrier->lock);
    assert(rc == 0 && "a hook must not call its own barrier");
    (void)rc;
}

static void unlock_barrier(struct tercet_barrier *barrier)
{
    int rc = pthread_mutex_unlock(&barrier->lock);
    assert(rc == 0);
    (void)rc;
}

/* -- The local transaction --------------------------------------------------------------------- */

/* Says why a local transaction was lost, while the driver still knows. */
static void log_failure(struct tercet_barrier *barrier, const char *what, int error)
{
    char line[2 * TERCET_TEXT_MAX];
    const char *text =
        barrier->driver.error_text != NULL ? barrier->driver.error_text(barrier->state) : "";
    if (barrier->on_log == NULL)
        return;
    snprintf(line, sizeof(line), "barrier: %s: %s%s%s", what, tercet_strerror(error),
             text[0] != '\0' ? ": " : "", text);
    barrier->on_log(TERCET_LOG_ERROR, line, barrier->log_ctx);
}

static int begin_local(struct local *local, struct tercet_barrier *barrier)
{
    *local =
        (struct local){.barrier = barrier, .driver = &barrier->driver, .state = barrier->state};
    int rc = local->driver->begin(local->state);
    if (rc == 0)
        rc = local->driver->mark_read(local->state, &local->mark_stored);
    local->mark = local->mark_stored;
    return rc;
}

static int check_open(const struct local *local)
{
    return local->driver->is_open == NULL || local->driver->is_open(local->state) ? 0
                                                                                  : TERCET_STORE;
}

/* The mark and the collecting ride on the batch's transaction: they cost no sync of their own. */
static int commit_local(struct local *local, bool collects)
{
    int rc = 0;
    if (local->mark > local->mark_stored)
        rc = local->driver->mark_raise(local->state, local->mark);
    if (rc == 0 && collects && local->mark > 0)
        rc = local->driver->collect(local->state, local->mark, local->barrier->collect_rows_max);
    if (rc == 0)
        rc = local->driver->commit(local->state);
    return rc;
}

/* -- One call ---------------------------------------------------------------------------------- */

static struct tercet_barrier_key key_of(const struct tercet_barrier_call *call)
{
    return (struct tercet_barrier_key){
        .gid = call->gid, .branch = call->branch, .number = call->number};
}

static void drop_reply(struct tercet_barrier_call *call)
{
    free(call->reply);
    call->reply = NULL;
    call->reply_size = 0;
}

/* Runs the hook, if any, and makes its answer one that this kind of call can have. */
static int call_hook(const struct local *local, struct tercet_barrier_call *call)
{
    int result = 0;
    if (call->hook != NULL)
        result = call->hook(call, local->driver->db(local->state), call->ctx);
    if (result > 0 || (result == TERCET_REFUSED && call->kind != TERCET_TRY))
        result = TERCET_AGAIN;
    if (result == 0 && call->kind == TERCET_TRY &&
        (call->reply_size > TERCET_REPLY_MAX || (call->reply == NULL && call->reply_size > 0)))
        result = TERCET_INVALID;
    if (result != 0 || call->kind != TERCET_TRY || call->reply_size == 0)
        drop_reply(call);
    return result;
}

/* Undoes the row and the hook's work. */
static int undo(const struct local *local)
{
    int rc = local->driver->rollback_to(local->state);
    return rc == 0 ? local->driver->release(local->state) : rc;
}

/* Runs the hook after the row was written, in the open savepoint, and keeps both or neither. */
static int work(const struct local *local, struct tercet_barrier_call *call)
{
    struct tercet_barrier_key key = key_of(call);
    call->result = call_hook(local, call);
    int rc = check_open(local);
    if (rc != 0)
        return rc;
    if (call->result != 0)
        return undo(local);
    if (call->reply_size > 0)
        rc = local->driver->reply_save(
            local->state, &key,
            (struct tercet_bytes){.data = call->reply, .size = call->reply_size});
    if (rc == 0)
        rc = local->driver->release(local->state);
    if (rc != TERCET_INVALID)
        return rc;
    log_failure(local->barrier, "a hook's work cannot be committed", TERCET_STORE);
    call->result = TERCET_STORE;
    drop_reply(call);
    return undo(local);
}

/* Answers a try from the row that was there before. */
static int answer_try(const struct local *local, struct tercet_barrier_call *call)
{
    struct tercet_barrier_key key = key_of(call);
    struct tercet_barrier_row row = {.state = TERCET_BARRIER_NONE};
    int rc = local->driver->read(local->state, &key, &row);
    if (rc == 0 && row.state == TERCET_BARRIER_NONE)
        rc = TERCET_STORE;
    if (rc == 0 && row.state != TERCET_BARRIER_CANCELLED) {
        call->reply = row.reply;
        call->reply_size = row.reply_size;
        return 0;
    }
    free(row.reply);
    call->result = TERCET_REFUSED;
    return rc;
}

/* Answers a confirm or cancel from the row; in state `wanted` it is done already. */
static int answer_end(const struct local *local, struct tercet_barrier_call *call,
                      enum tercet_barrier_state wanted, int result_without_row)
{
    struct tercet_barrier_key key = key_of(call);
    struct tercet_barrier_row row = {.state = TERCET_BARRIER_NONE};
    int rc = local->driver->read(local->state, &key, &row);
    free(row.reply);
    if (row.state == TERCET_BARRIER_NONE)
        call->result = result_without_row;
    else
        call->result = row.state == wanted ? 0 : TERCET_BROKEN;
    return rc;
}

static int run_try(const struct local *local, struct tercet_barrier_call *call)
{
    struct tercet_barrier_key key = key_of(call);
    bool inserted = false;
    int rc = local->driver->savepoint(local->state);
    if (rc == 0)
        rc = local->driver->insert(local->state, &key, TERCET_BARRIER_TRIED, &inserted);
    if (rc == 0 && inserted)
        return work(local, call);
    if (rc == 0)
        rc = local->driver->release(local->state);
    return rc == 0 ? answer_try(local, call) : rc;
}

/* Confirms or cancels a branch that was tried; else answers from what is there. */
static int end_tried(const struct local *local, struct tercet_barrier_call *call,
                     enum tercet_barrier_state to, int result_without_row)
{
    struct tercet_barrier_key key = key_of(call);
    bool moved = false;
    int rc = local->driver->savepoint(local->state);
    if (rc == 0)
        rc = local->driver->move(local->state, &key, TERCET_BARRIER_TRIED, to, &moved);
    if (rc == 0 && moved)
        return work(local, call);
    if (rc == 0)
        rc = local->driver->release(local->state);
    return rc == 0 ? answer_end(local, call, to, result_without_row) : rc;
}

static int run_cancel(const struct local *local, struct tercet_barrier_call *call)
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
static int run_ended(const struct local *local, struct tercet_barrier_call *call)
{
    if (call->kind == TERCET_CONFIRM)
        return end_tried(local, call, TERCET_BARRIER_CONFIRMED, 0);
    if (call->kind == TERCET_CANCEL)
        return end_tried(local, call, TERCET_BARRIER_CANCELLED, 0);
    call->result = TERCET_REFUSED;
    return 0;
}

static int run_call(struct local *local, struct tercet_barrier_call *call)
{
    if (call->low_water > local->mark)
        local->mark = call->low_water;
    if (call->number != 0 && call->number <= local->mark)
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
    return tercet_gid_set(&gid, call->gid) == 0 && call->branch >= 1 &&
           call->branch <= TERCET_BRANCHES_MAX && call->number <= INT64_MAX &&
           call->low_water <= INT64_MAX && call->kind >= TERCET_TRY && call->kind <= TERCET_CANCEL;
}

/* Clears the answers. Returns how many calls are valid; the others have got TERCET_INVALID. */
static size_t prepare(struct tercet_barrier_call *calls, size_t count)
{
    size_t valid_count = 0;
    for (size_t i = 0; i < count; i++) {
        calls[i].result = is_valid(&calls[i]) ? 0 : TERCET_INVALID;
        calls[i].reply = NULL;
        calls[i].reply_size = 0;
        valid_count += calls[i].result == 0;
    }
    return valid_count;
}

static void fail_all(struct tercet_barrier_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        drop_reply(&calls[i]);
        if (is_valid(&calls[i]))
            calls[i].result = TERCET_STORE;
    }
}

/* Runs the calls in one local transaction. */
static void run_local(struct tercet_barrier *barrier, struct tercet_barrier_call *calls,
                      size_t count, bool collects)
{
    struct local local;
    if (prepare(calls, count) == 0)
        return;
    int rc = begin_local(&local, barrier);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (calls[i].result != TERCET_INVALID)
            rc = run_call(&local, &calls[i]);
    if (rc == 0)
        rc = commit_local(&local, collects);
    if (rc == 0)
        return;
    log_failure(barrier, "a batch was rolled back", rc);
    barrier->driver.rollback(barrier->state);
    fail_all(calls, count);
}

/* How many of the calls, from the first, share a local transaction. */
static size_t share_count(const struct tercet_barrier_call *calls, size_t count)
{
    size_t n = 1;
    while (!calls[0].alone && n < count && !calls[n].alone)
        n++;
    return n;
}

void tercet_barrier_run(struct tercet_barrier *barrier, struct tercet_barrier_call *calls,
                        size_t count)
{
    lock_barrier(barrier);
    for (size_t i = 0; i < count;) {
        size_t n = share_count(calls + i, count - i);
        run_local(barrier, calls + i, n, i + n == count);
        i += n;
    }
    unlock_barrier(barrier);
}

/* -- The rest ---------------------------------------------------------------------------------- */

int tercet_barrier_stats(struct tercet_barrier *barrier, uint64_t *rows, uint64_t *mark)
{
    uint64_t rows_now = 0, mark_now = 0;
    lock_barrier(barrier);
    int rc = barrier->driver.rows_count(barrier->state, &rows_now);
    if (rc == 0)
        rc = barrier->driver.mark_read(barrier->state, &mark_now);
    unlock_barrier(barrier);
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
    lock_barrier(barrier);
    int result = 0;
    int rc = begin_local(&local, barrier);
    if (rc == 0)
        result = work_fn(barrier->driver.db(barrier->state), ctx);
    if (rc == 0)
        rc = check_open(&local);
    if (rc == 0 && result == 0)
        rc = barrier->driver.commit(barrier->state);
    if (rc != 0) {
        log_failure(barrier, "a local transaction was rolled back", rc);
        result = TERCET_STORE;
    }
    if (result != 0)
        barrier->driver.rollback(barrier->state);
    unlock_barrier(barrier);
    return result;
}
