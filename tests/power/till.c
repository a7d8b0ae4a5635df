/* SPDX-License-Identifier: Apache-2.0
 *
 * A participant's database under way: batches of tries, confirms and cancels through the SQLite
 * barrier, with effects in the same file. What was answered "done" is marked in the write log
 * afterwards. Runs under the shim until it is killed.
 */
#include "image.h"
#include "log.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/tercet.h>

#define BATCH_MAX 6
#define OPEN_MAX 64   /* tried and not yet ended */
#define NOTE_MAX 6000 /* bytes of a large effect, which takes several pages */
#define COLLECT_BEHIND 100

static const char setup[] = "CREATE TABLE IF NOT EXISTS effects (gid TEXT NOT NULL, number INTEGER "
                            "NOT NULL, branch INTEGER NOT NULL,"
                            " kind INTEGER NOT NULL, note BLOB, PRIMARY KEY (gid, branch, kind));"
                            "CREATE TABLE IF NOT EXISTS till (id INTEGER PRIMARY KEY CHECK (id = "
                            "1), effects INTEGER NOT NULL);"
                            "INSERT INTO till VALUES (1, 0) ON CONFLICT DO NOTHING;";

struct till {
    int log;
    uint64_t state; /* of the draws */
    uint64_t number;
    struct tercet_barrier *barrier;
    uint64_t open[OPEN_MAX];
    size_t open_count;
};

struct action {
    char gid[32];
    bool had_try;
    size_t note_size;
};

static void mark(const struct till *till, const struct tercet_barrier_call *call,
                 enum power_told told, uint32_t branch)
{
    struct power_mark mark = {.told = (uint32_t)told, .branch = branch, .number = call->number};
    struct iovec part = {&mark, sizeof(mark)};
    snprintf(mark.gid, sizeof(mark.gid), "%s", call->gid);
    power_log_append(till->log, (struct power_record){.kind = POWER_MARK}, &part, 1);
}

static int on_hook(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    const struct action *action = ctx;
    char sql[256];
    snprintf(sql, sizeof(sql),
             "INSERT INTO effects VALUES ('%s', %" PRIu64 ", %" PRIu32 ", %d, zeroblob(%zu));"
             "UPDATE till SET effects = effects + 1",
             call->gid, call->number, call->branch, (int)call->kind, action->note_size);
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : TERCET_AGAIN;
}

/* -- One call ---------------------------------------------------------------------------------- */

static void fill(const struct till *till, struct tercet_barrier_call *call, struct action *action,
                 uint64_t number, enum tercet_kind kind)
{
    snprintf(action->gid, sizeof(action->gid), "g%" PRIu64, number);
    *call = (struct tercet_barrier_call){.gid = action->gid,
                                         .branch = 1,
                                         .number = number,
                                         .kind = kind,
                                         .hook = on_hook,
                                         .ctx = action};
    call->low_water = till->number > COLLECT_BEHIND ? till->number - COLLECT_BEHIND : 0;
}

/* A new transaction's try; or the end of one that was tried; or a cancel that comes before its
 * try. */
static void draw_call(struct till *till, struct tercet_barrier_call *call, struct action *action)
{
    uint64_t kind = image_draw(&till->state, 20);
    action->note_size =
        (size_t)image_draw(&till->state, image_draw(&till->state, 12) == 0 ? NOTE_MAX : 100);
    action->had_try = true;
    if (kind == 0) {
        action->had_try = false;
        fill(till, call, action, ++till->number, TERCET_CANCEL);
    } else if ((kind < 10 || till->open_count == 0) && till->open_count < OPEN_MAX) {
        fill(till, call, action, ++till->number, TERCET_TRY);
    } else {
        size_t i = (size_t)image_draw(&till->state, till->open_count);
        fill(till, call, action, till->open[i], kind < 16 ? TERCET_CONFIRM : TERCET_CANCEL);
        till->open[i] = till->open[--till->open_count];
    }
}

static void take_answer(struct till *till, const struct tercet_barrier_call *call)
{
    static const enum power_told hooks[] = {
        [TERCET_TRY] = HOOK_TRY, [TERCET_CONFIRM] = HOOK_CONFIRM, [TERCET_CANCEL] = HOOK_CANCEL};
    const struct action *action = call->ctx;
    if (call->result != 0) {
        fprintf(stderr, "power_till: %s: %s\n", call->gid, tercet_error_name(call->result));
        exit(1);
    }
    if (!action->had_try)
        mark(till, call, TOLD_CANCEL, 0);
    else
        mark(till, call, hooks[call->kind], 1);
    if (call->kind == TERCET_TRY)
        till->open[till->open_count++] = call->number;
}

/* Two calls of one branch are not in one batch here: `open` has only what was answered. */
static void run_batch(struct till *till)
{
    struct tercet_barrier_call calls[BATCH_MAX];
    struct action actions[BATCH_MAX];
    size_t count = 1 + (size_t)image_draw(&till->state, BATCH_MAX);
    if (till->open_count + BATCH_MAX > OPEN_MAX)
        till->open_count /= 2; /* the others are never ended */
    for (size_t i = 0; i < count; i++) {
        draw_call(till, &calls[i], &actions[i]);
        mark(till, &calls[i], TOLD_NOTHING, 0);
    }
    tercet_barrier_run(till->barrier, calls, count);
    for (size_t i = 0; i < count; i++)
        take_answer(till, &calls[i]);
}

/* A short one, so that what is written to the file itself is seen often. */
static int shorten_wal(tercet_db db, void *ctx)
{
    (void)ctx;
    return sqlite3_wal_autocheckpoint(db, 60) == SQLITE_OK ? 0 : TERCET_STORE;
}

int main(int argc, char **argv)
{
    struct tercet_barrier_options options = {.size = sizeof(options), .setup_sql = setup};
    static struct till till;
    char text[TERCET_TEXT_MAX] = "";
    if (argc != 5) {
        fputs("usage: power_till FILE LOG FIRST_NUMBER BATCHES\n", stderr);
        return 2;
    }
    till.log = power_log_open(argv[2]);
    till.number = till.state = strtoull(argv[3], NULL, 10);
    uint64_t batches = strtoull(argv[4], NULL, 10);
    if (tercet_barrier_sqlite_open(&till.barrier, argv[1], &options, text) != 0 ||
        tercet_barrier_local(till.barrier, shorten_wal, NULL) != 0) {
        fprintf(stderr, "power_till: %s\n", text);
        return 1;
    }
    for (uint64_t i = 0; i < batches; i++) {
        run_batch(&till);
        printf("done %" PRIu64 "\n", i + 1);
        fflush(stdout);
    }
    tercet_barrier_close(till.barrier);
    return 0;
}
