/* SPDX-License-Identifier: Apache-2.0
 *
 * Hooks that are finished later: whatever comes, goes and is asked again meanwhile.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <string.h>
#include <tercet/sys/barrier.h>
#include <time.h>

TestSuite(defer, .timeout = 200);

#define PENDING_MAX 16

/* Two participants may be on one database; hooks are counted together. */
static struct {
    struct fake fake;
    struct tercet_barrier *barrier;
    struct tercet_participant *participant;
    struct fake_stream *stream;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned calls[4];                           /* hooks that began, by kind */
    struct tercet_deferred pending[PENDING_MAX]; /* in the order in which they were deferred */
    unsigned pending_count;
    bool finishes_at_once;
    bool undoes_at_once; /* cancels are not deferred */
    bool is_plain;       /* the action is not deferred */
} bench = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static const struct tercet_bytes reply = {"booked", 6};
static const struct tercet_bytes no_reply = {NULL, 0};

/* -- Hooks ------------------------------------------------------------------------------------- */

static int defer(const struct tercet_call *call, void *ctx)
{
    struct tercet_deferred deferred;
    (void)ctx;
    cr_assert_null(call->db);
    pthread_mutex_lock(&bench.lock);
    bench.calls[call->kind]++;
    bool is_done = bench.is_plain || (call->kind == TERCET_CANCEL && bench.undoes_at_once);
    int rc = is_done ? 0 : tercet_defer(call, &deferred);
    if (rc == TERCET_DEFERRED)
        bench.pending[bench.pending_count++] = deferred;
    pthread_cond_broadcast(&bench.changed);
    pthread_mutex_unlock(&bench.lock);
    if (rc == TERCET_DEFERRED && bench.finishes_at_once)
        cr_assert_eq(tercet_finish(bench.participant, deferred, 0, reply, NULL), 0);
    return rc;
}

static int defer_in_vain(const struct tercet_call *call, void *ctx)
{
    struct tercet_deferred deferred;
    (void)ctx;
    return tercet_defer(call, &deferred);
}

static unsigned calls(enum tercet_kind kind)
{
    pthread_mutex_lock(&bench.lock);
    unsigned count = bench.calls[kind];
    pthread_mutex_unlock(&bench.lock);
    return count;
}

/* The i-th that was deferred, from 1; waits for it. */
static struct tercet_deferred pending(unsigned i)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_MS / 1000;
    pthread_mutex_lock(&bench.lock);
    while (bench.pending_count < i && rc == 0)
        rc = pthread_cond_timedwait(&bench.changed, &bench.lock, &until);
    struct tercet_deferred deferred = bench.pending[i - 1];
    pthread_mutex_unlock(&bench.lock);
    cr_assert_eq(rc, 0, "no hook was deferred");
    return deferred;
}

/* -- The bench --------------------------------------------------------------------------------- */

static uint32_t window; /* 0: the default */

static struct tercet_participant *open_another(uint32_t defer_ms_max, struct fake_stream **stream)
{
    const struct tercet_action actions[] = {
        {.name = "bank",
         .on_try = defer,
         .on_confirm = defer,
         .on_cancel = defer,
         .is_deferred = !bench.is_plain},
        {.name = "plain", .on_try = defer_in_vain},
    };
    struct tercet_participant_options options = {.size = sizeof(options),
                                                 .barrier = bench.barrier,
                                                 .defer_ms_max = defer_ms_max,
                                                 .window = window};
    struct tercet_participant *participant = NULL;
    char text[TERCET_TEXT_MAX] = "";
    cr_assert_eq(tercet_participant_open(&participant, bench.fake.address, "inventory", actions, 2,
                                         &options, text),
                 0, "%s", text);
    *stream = fake_next(&bench.fake, FAKE_ATTACH)->stream;
    fake_accept(*stream);
    cr_assert_eq(tercet_participant_wait(participant, WAIT_MS, text), 0, "%s", text);
    return participant;
}

static void open_with(uint32_t defer_ms_max)
{
    fake_start(&bench.fake);
    cr_assert_eq(tercet_barrier_memory_open(&bench.barrier, NULL), 0);
    bench.participant = open_another(defer_ms_max, &bench.stream);
}

static void close_all(void)
{
    tercet_participant_close(bench.participant);
    fake_stop(&bench.fake);
    tercet_barrier_close(bench.barrier);
}

/* The call's id. */
static uint64_t put_at(struct fake_stream *stream, enum tercet_kind kind, const char *gid,
                       const char *action)
{
    struct call call;
    call_fill(&call, kind, gid, action);
    fake_put_call(stream, &call.message);
    fake_flush(stream);
    return call.message.id;
}

static uint64_t put(enum tercet_kind kind, const char *gid)
{
    return put_at(bench.stream, kind, gid, "bank");
}

static const Tercet__V1__CallResult *expect(uint64_t id, Tercet__V1__Outcome outcome)
{
    const Tercet__V1__CallResult *result = fake_next(&bench.fake, FAKE_RESULT)->result;
    cr_assert_eq(result->id, id);
    cr_assert_eq(result->outcome, outcome, "%s", result->reason);
    return result;
}

static void finish(unsigned i, int code, const char *text)
{
    struct tercet_deferred deferred = pending(i);
    struct tercet_bytes bytes = code == 0 ? reply : no_reply;
    cr_assert_eq(tercet_finish(bench.participant, deferred, code, bytes, text), 0);
}

/* So that all that was sent before has been looked at by the worker: a call of another branch has
 * begun, which stays pending. */
static void let_pass(const char *gid, unsigned i)
{
    put(TERCET_TRY, gid);
    pending(i);
}

/* -- Tests ------------------------------------------------------------------------------------- */

Test(defer, is_answered_when_it_is_finished)
{
    open_with(0);
    uint64_t id = put(TERCET_TRY, "g");
    struct tercet_deferred deferred = pending(1);
    cr_assert_eq(fake_count(&bench.fake, FAKE_RESULT), 0);
    finish(1, 0, NULL);
    const Tercet__V1__CallResult *result = expect(id, TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(result->reply.len, reply.size);
    cr_assert_eq(tercet_finish(bench.participant, deferred, 0, reply, NULL), TERCET_NOT_FOUND);
    id = put(TERCET_TRY, "g");
    cr_assert_eq(expect(id, TERCET__V1__OUTCOME__DONE)->reply.len, reply.size);
    id = put(TERCET_CONFIRM, "g");
    finish(2, 0, NULL);
    expect(id, TERCET__V1__OUTCOME__DONE);
    id = put(TERCET_CONFIRM, "g");
    expect(id, TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(calls(TERCET_TRY), 1);
    cr_assert_eq(calls(TERCET_CONFIRM), 1);
    id = put(TERCET_CANCEL, "g");
    expect(id, TERCET__V1__OUTCOME__BROKEN);
    cr_assert_eq(calls(TERCET_CANCEL), 0);
    close_all();
}

Test(defer, may_be_finished_before_the_hook_returns)
{
    bench.finishes_at_once = true;
    open_with(0);
    uint64_t id = put(TERCET_TRY, "g");
    cr_assert_eq(expect(id, TERCET__V1__OUTCOME__DONE)->reply.len, reply.size);
    id = put(TERCET_CANCEL, "g");
    expect(id, TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(calls(TERCET_CANCEL), 1);
    close_all();
}

Test(defer, what_was_refused_is_not_undone)
{
    open_with(0);
    uint64_t id = put(TERCET_TRY, "g");
    finish(1, TERCET_REFUSED, "no money");
    cr_assert_str_eq(expect(id, TERCET__V1__OUTCOME__REFUSAL)->reason, "no money");
    id = put(TERCET_CANCEL, "g");
    expect(id, TERCET__V1__OUTCOME__DONE);
    id = put(TERCET_TRY, "g");
    expect(id, TERCET__V1__OUTCOME__REFUSAL);
    cr_assert_eq(calls(TERCET_CANCEL), 0);
    cr_assert_eq(calls(TERCET_TRY), 1);
    close_all();
}

Test(defer, what_is_not_done_runs_again)
{
    open_with(0);
    uint64_t id = put(TERCET_TRY, "g");
    finish(1, TERCET_AGAIN, "the bank sleeps");
    cr_assert_str_eq(expect(id, TERCET__V1__OUTCOME__AGAIN)->reason, "the bank sleeps");
    id = put(TERCET_TRY, "g");
    finish(2, 0, NULL);
    expect(id, TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(calls(TERCET_TRY), 2);
    close_all();
}

Test(defer, a_cancel_waits_for_its_try_and_nobody_else_does)
{
    open_with(0);
    uint64_t id = put(TERCET_TRY, "g"), cancel;
    pending(1);
    cancel = put(TERCET_CANCEL, "g");
    let_pass("other", 2);
    cr_assert_eq(calls(TERCET_CANCEL), 0);
    finish(1, 0, NULL);
    expect(id, TERCET__V1__OUTCOME__DONE);
    finish(3, 0, NULL);
    expect(cancel, TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(calls(TERCET_CANCEL), 1);
    close_all();
}

Test(defer, the_same_call_again_is_told_the_result)
{
    open_with(0);
    uint64_t first = put(TERCET_TRY, "g");
    pending(1);
    uint64_t again = put(TERCET_TRY, "g");
    expect(first, TERCET__V1__OUTCOME__AGAIN); /* else the coordinator takes it for lost */
    let_pass("other", 2);
    finish(1, 0, NULL);
    expect(again, TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(calls(TERCET_TRY), 2, "it and the other one");
    close_all();
}

Test(defer, outlives_its_stream)
{
    open_with(0);
    put(TERCET_TRY, "g");
    pending(1);
    fake_drop(bench.stream);
    bench.stream = fake_next(&bench.fake, FAKE_ATTACH)->stream;
    fake_accept(bench.stream);
    uint64_t again = put(TERCET_TRY, "g");
    let_pass("other", 2);
    finish(1, 0, NULL);
    expect(again, TERCET__V1__OUTCOME__DONE);
    close_all();
}

/* The process ends while a try is pending: what it has begun is known, and a cancel undoes it. */
Test(defer, what_was_begun_is_undone_by_the_next_life)
{
    open_with(0);
    put(TERCET_TRY, "g");
    struct tercet_deferred deferred = pending(1);
    tercet_participant_close(bench.participant);
    bench.participant = open_another(0, &bench.stream);
    cr_assert_eq(tercet_finish(bench.participant, deferred, 0, reply, NULL), TERCET_NOT_FOUND);
    uint64_t id = put(TERCET_CANCEL, "g");
    finish(2, 0, NULL);
    expect(id, TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(calls(TERCET_CANCEL), 1);
    id = put(TERCET_CANCEL, "never-begun");
    expect(id, TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(calls(TERCET_CANCEL), 1, "an empty cancel runs no hook");
    close_all();
}

/* A cancel has ended at another instance meanwhile: what is done after it is undone. */
Test(defer, what_is_done_after_its_cancel_is_undone)
{
    struct fake_stream *stream = NULL;
    bench.undoes_at_once = true;
    open_with(0);
    uint64_t id = put(TERCET_TRY, "g");
    pending(1);
    struct tercet_participant *other = open_another(0, &stream);
    uint64_t cancel = put_at(stream, TERCET_CANCEL, "g", "bank");
    expect(cancel, TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(calls(TERCET_CANCEL), 1);
    finish(1, 0, NULL);
    cr_assert_str_eq(expect(id, TERCET__V1__OUTCOME__REFUSAL)->reason, "cancelled already");
    cr_assert_eq(calls(TERCET_CANCEL), 2);
    tercet_participant_close(other);
    close_all();
}

Test(defer, is_run_again_when_it_is_never_finished)
{
    open_with(1);
    put(TERCET_TRY, "g");
    struct tercet_deferred lost = pending(1);
    nanosleep(&(struct timespec){.tv_nsec = 5 * 1000000L}, NULL); /* so that it is over for sure */
    uint64_t id = put(TERCET_TRY, "g");
    struct tercet_deferred second = pending(2);
    cr_assert_eq(tercet_finish(bench.participant, lost, 0, reply, NULL), TERCET_NOT_FOUND);
    cr_assert_eq(tercet_finish(bench.participant, second, 0, reply, NULL), 0);
    expect(id, TERCET__V1__OUTCOME__DONE);
    close_all();
}

Test(defer, is_for_actions_that_say_so)
{
    open_with(0);
    uint64_t id = put_at(bench.stream, TERCET_TRY, "g", "plain");
    const Tercet__V1__CallResult *result = expect(id, TERCET__V1__OUTCOME__AGAIN);
    cr_assert_not_null(strstr(result->reason, "is_deferred"), "%s", result->reason);
    put(TERCET_TRY, "long");
    struct tercet_deferred deferred = pending(1);
    struct tercet_bytes large = {"", TERCET_REPLY_MAX + 1};
    cr_assert_eq(tercet_finish(bench.participant, deferred, 0, large, NULL), TERCET_INVALID);
    cr_assert_eq(tercet_finish(bench.participant, deferred, TERCET_DEFERRED, no_reply, NULL),
                 TERCET_INVALID);
    cr_assert_eq(tercet_finish(bench.participant, deferred, 0, no_reply, NULL), 0);
    close_all();
}

/* The undo of a try that came too late is deferred, too: nobody waits for the end of it. */
Test(defer, an_undo_that_defers_is_forgotten)
{
    struct fake_stream *stream = NULL;
    bench.undoes_at_once = true;
    open_with(0);
    uint64_t id = put(TERCET_TRY, "g");
    pending(1);
    struct tercet_participant *other = open_another(0, &stream);
    expect(put_at(stream, TERCET_CANCEL, "g", "bank"), TERCET__V1__OUTCOME__DONE);
    bench.undoes_at_once = false;
    finish(1, 0, NULL);
    expect(id, TERCET__V1__OUTCOME__REFUSAL);
    id = put(TERCET_CANCEL, "g"); /* behind the undo, which has ended */
    expect(id, TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(tercet_finish(bench.participant, pending(2), 0, no_reply, NULL), TERCET_NOT_FOUND);
    tercet_participant_close(other);
    close_all();
}

static void take_a_new_stream(void)
{
    fake_drop(bench.stream);
    bench.stream = fake_next(&bench.fake, FAKE_ATTACH)->stream;
    fake_accept(bench.stream);
}

/* Cancels of tries that are pending wait for these, and hold a place; not those of a stream that is
 * gone. */
Test(defer, a_window_full_of_cancels_lets_others_in_over_a_new_stream)
{
    window = 2;
    open_with(0);
    put(TERCET_TRY, "g1");
    put(TERCET_TRY, "g2");
    pending(2);
    take_a_new_stream();
    put(TERCET_CANCEL, "g1");
    put(TERCET_CANCEL, "g2");
    fake_drains(bench.stream, WAIT_MS);
    take_a_new_stream();
    put(TERCET_TRY, "other");
    pending(3);
    close_all();
}

/* A coordinator asks again and again for the same cancel. */
Test(defer, repeats_of_a_cancel_hold_one_place_in_the_window)
{
    uint64_t cancel = 0;
    window = 2;
    open_with(0);
    uint64_t id = put(TERCET_TRY, "g1");
    pending(1);
    for (int i = 0; i < 8; i++) {
        uint64_t before = cancel;
        cancel = put(TERCET_CANCEL, "g1");
        cr_assert(fake_drains(bench.stream, WAIT_MS), "each is a message of its own");
        if (i > 0)
            expect(before, TERCET__V1__OUTCOME__AGAIN);
    }
    put(TERCET_TRY, "other");
    pending(2);
    finish(1, 0, NULL);
    expect(id, TERCET__V1__OUTCOME__DONE);
    finish(3, 0, NULL);
    expect(cancel, TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(calls(TERCET_CANCEL), 1);
    close_all();
}

/* -- What the participant knows of itself ------------------------------------------------------ */

static struct tercet_participant_view look(void)
{
    struct tercet_participant_view view = {.size = sizeof(view)};
    cr_assert_eq(tercet_participant_look(bench.participant, &view), 0);
    return view;
}

Test(defer, what_is_pending_is_seen)
{
    struct tercet_participant_view none = {0};
    open_with(0);
    cr_assert_eq(tercet_participant_look(bench.participant, &none), TERCET_INVALID);
    struct tercet_participant_view view = look();
    cr_expect(view.is_accepted && view.deferred == 0 && view.oldest_deferred_ms == 0);
    cr_expect_str_eq(view.coordinator, bench.fake.address);
    cr_expect_str_eq(view.target, "");
    cr_expect_str_eq(view.last_error, "");
    put(TERCET_TRY, "g");
    pending(1);
    put(TERCET_CANCEL, "g"); /* waits for it */
    let_pass("other", 2);
    nanosleep(&(struct timespec){.tv_nsec = 2 * 1000000L}, NULL); /* so that it is old for sure */
    view = look();
    cr_expect_eq(view.deferred, 2);
    cr_expect_eq(view.waiting, 1);
    cr_expect_geq(view.oldest_deferred_ms, 1);
    fake_drop(bench.stream);
    bench.stream = fake_next(&bench.fake, FAKE_ATTACH)->stream;
    view = look();
    cr_expect_not(view.is_accepted);
    cr_expect(strstr(view.last_error, "dropped by the test") != NULL, "%s", view.last_error);
    close_all();
}

/* -- Actions that are deferred no longer ------------------------------------------------------- */

/* The next life of the participant, in which the action is not deferred. */
static void reopen_plain(void)
{
    tercet_participant_close(bench.participant);
    bench.is_plain = true;
    bench.participant = open_another(0, &bench.stream);
}

/* How the row that says that the work was begun has ended: a confirm of it now is 0, or broken. */
static int confirm_begun(const char *gid)
{
    struct tercet_barrier_call call = {
        .gid = gid, .branch = TERCET_BARRIER_BEGUN + 1, .number = 1, .kind = TERCET_CONFIRM};
    tercet_barrier_run(bench.barrier, &call, 1);
    return call.result == TERCET_BROKEN ? call.broken : call.result;
}

static void cancel_plain_twice(void)
{
    for (int i = 0; i < 2; i++)
        expect(put(TERCET_CANCEL, "g"), TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(calls(TERCET_CANCEL), 1);
    cr_assert_eq(confirm_begun("g"), TERCET_BROKEN_CANCELLED);
}

Test(defer, what_was_begun_is_undone_although_the_action_is_deferred_no_longer)
{
    open_with(0);
    put(TERCET_TRY, "g");
    pending(1);
    reopen_plain();
    cancel_plain_twice();
    expect(put(TERCET_TRY, "g"), TERCET__V1__OUTCOME__REFUSAL);
    cr_assert_eq(calls(TERCET_TRY), 1);
    expect(put(TERCET_CANCEL, "never-begun"), TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(calls(TERCET_CANCEL), 1, "an empty cancel runs no hook");
    close_all();
}

static void do_a_deferred_try(void)
{
    uint64_t id = put(TERCET_TRY, "g");
    finish(1, 0, NULL);
    expect(id, TERCET__V1__OUTCOME__DONE);
}

Test(defer, what_was_done_is_undone_once_although_the_action_is_deferred_no_longer)
{
    open_with(0);
    do_a_deferred_try();
    reopen_plain();
    cancel_plain_twice();
    close_all();
}

Test(defer, what_was_done_is_confirmed_although_the_action_is_deferred_no_longer)
{
    open_with(0);
    do_a_deferred_try();
    reopen_plain();
    for (int i = 0; i < 2; i++)
        expect(put(TERCET_CONFIRM, "g"), TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(calls(TERCET_CONFIRM), 1);
    cr_assert_eq(confirm_begun("g"), 0, "its row can be collected");
    expect(put(TERCET_CANCEL, "g"), TERCET__V1__OUTCOME__BROKEN);
    expect(put(TERCET_CONFIRM, "never-tried"), TERCET__V1__OUTCOME__BROKEN);
    cr_assert_eq(calls(TERCET_CANCEL), 0);
    close_all();
}
