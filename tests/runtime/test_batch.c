/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of one message share a local transaction, on a real database.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(batch, .timeout = 200);

enum { COUNT = 20 };

static struct bench bench;
static char path[] = "/tmp/tercet-runtime-XXXXXX";
static atomic_uint commits;

static int on_commit(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&commits, 1);
    return 0;
}

static int watch_commits(tercet_db db, void *ctx)
{
    (void)ctx;
    sqlite3_commit_hook(db, on_commit, NULL);
    return 0;
}

static void open_on_sqlite(void)
{
    struct tercet_participant_options options = {.size = sizeof(options), .batch_time_ms = 60000};
    char text[TERCET_TEXT_MAX];
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    close(file);
    cr_assert_eq(tercet_barrier_sqlite_open(&options.barrier, path, NULL, text), 0, "%s", text);
    cr_assert_eq(tercet_barrier_local(options.barrier, watch_commits, NULL), 0);
    bench_open(&bench, &options);
    atomic_store(&commits, 0);
}

static void close_on_sqlite(void)
{
    char beside[64];
    bench_close(&bench);
    unlink(path);
    snprintf(beside, sizeof(beside), "%s-wal", path);
    unlink(beside);
    snprintf(beside, sizeof(beside), "%s-shm", path);
    unlink(beside);
}

/* Sends all in one message, and waits for all results. While a message is under way its end would
 * send what is there of the next. */
static void call_together(enum tercet_kind kind, const char *action)
{
    static char gids[COUNT][16];
    cr_assert(fake_drains(bench.stream, WAIT_MS));
    for (int i = 0; i < COUNT; i++) {
        struct call call;
        snprintf(gids[i], sizeof(gids[i]), "order:%d", i);
        call_fill(&call, kind, gids[i], action);
        fake_put_call(bench.stream, &call.message);
    }
    fake_flush(bench.stream);
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(fake_next(&bench.fake, FAKE_RESULT)->result->outcome,
                     TERCET__V1__OUTCOME__DONE);
}

Test(batch, calls_of_a_message_share_a_commit)
{
    open_on_sqlite();
    call_together(TERCET_TRY, "bytes");
    cr_assert_eq(atomic_load(&commits), 1);
    call_together(TERCET_CONFIRM, "bytes");
    cr_assert_eq(atomic_load(&commits), 2);
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_TRY), COUNT);
    cr_assert_not_null(bench.recorder.last.db);
    close_on_sqlite();
}

Test(batch, calls_that_are_alone_do_not)
{
    open_on_sqlite();
    call_together(TERCET_TRY, "alone");
    cr_assert_eq(atomic_load(&commits), COUNT);
    close_on_sqlite();
}
