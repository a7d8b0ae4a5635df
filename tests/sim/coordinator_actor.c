/* SPDX-License-Identifier: Apache-2.0
 *
 * The coordinator's process: the real owner, driven turn by turn, and the committer's part done by hand. A crash throws the
 * memory away and keeps the store. A crash inside a turn is one after so many sends: what the rest of the turn does to memory
 * is lost anyway.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#define CALL_TIMEOUT_SIM_MS 400

static struct coordinator_actor *self(void)
{
    return &sim->coordinator;
}

static int64_t mono_ms(void)
{
    return 1000 + (sim->now_us - self()->boot_us) / 1000;
}

static int64_t wall_now_ms(void)
{
    return self()->wall_base_ms + sim->now_us / 1000;
}

void coordinator_open_store(void)
{
    struct store_options options = {.bucket_ms = 24 * 3600 * 1000, .size_max = sim->faults.store_size_max};
    self()->wall_base_ms = INT64_C(1700000000000);
    if (store_memory_open(&self()->store, &options) != 0)
        abort();
}

/* -- Turns --------------------------------------------------------------------------------------------------------- */

static void turn(struct happening *happening);

static void turn_at(int64_t at_us)
{
    struct coordinator_actor *a = self();
    if (at_us < sim->now_us)
        at_us = sim->now_us;
    if (at_us < a->paused_until_us)
        at_us = a->paused_until_us;
    if (a->turn_us <= at_us)
        return;
    a->turn_us = at_us;
    struct happening *happening = happen(-1, turn);
    happening->life = a->life;
    happen_at(happening, at_us);
}

bool coordinator_may_send(void)
{
    struct coordinator_actor *a = self();
    if (a->is_dead || a->c == NULL)
        return false;
    if (a->sends_left != 0) {
        a->sends_left -= a->sends_left > 0;
        return true;
    }
    count_fault(FAULT_CRASH_SEND);
    a->is_dead = true;
    return false;
}

/* Takes the event over; NULL: something has been posted otherwise. */
void coordinator_post(struct event *event)
{
    struct coordinator_actor *a = self();
    if (a->c == NULL) {
        if (event != NULL)
            event_free(event);
        return;
    }
    if (event != NULL)
        queue_post(&a->c->queue, event);
    turn_at(sim->now_us + random_between(5, 300));
}

static void jump_clock(uint32_t per_10000)
{
    const int64_t hour_ms = 3600 * 1000;
    if (!chance(per_10000))
        return;
    bool is_far = chance(sim->faults.clock_far);
    int64_t most_ms = is_far ? 10 * 365 * 24 * hour_ms : hour_ms;
    count_fault(is_far ? FAULT_CLOCK_FAR : FAULT_CLOCK);
    self()->wall_base_ms += random_between(-most_ms, most_ms);
    trace("the wall clock jumps");
}

static struct event *take_events(struct coordinator *c)
{
    struct event *events = c->queue.first;
    c->queue.first = NULL;
    c->queue.last_next = &c->queue.first;
    return events;
}

static void commit(struct happening *happening);

static void submit(struct coordinator_actor *a)
{
    if (a->c->batcher.submitted == NULL || a->is_committing)
        return;
    a->is_committing = true;
    happen(random_between(50, 3000), commit)->life = a->life;
}

static void run_turn(struct coordinator_actor *a)
{
    struct coordinator *c = a->c;
    jump_clock(sim->faults.clock / 50);
    a->sends_left = chance(sim->faults.crash_send) ? (int)random_below(4) : -1;
    owner_turn(c, take_events(c), mono_ms(), wall_now_ms());
    a->sends_left = -1;
    if (a->is_dead) {
        coordinator_crash("between two sends");
        return;
    }
    if (atomic_load(&c->has_failed)) {
        coordinator_crash("its store failed");
        return;
    }
    submit(a);
    int64_t next_ms = owner_next_turn_ms(c);
    if (next_ms != INT64_MAX)
        turn_at(a->boot_us + (next_ms - 1000) * 1000);
}

static void turn(struct happening *happening)
{
    struct coordinator_actor *a = self();
    bool is_due = happening->life == a->life && a->c != NULL && a->turn_us == happening->at_us;
    if (is_due) {
        a->turn_us = INT64_MAX;
        if (a->paused_until_us > sim->now_us)
            turn_at(a->paused_until_us);
        else
            run_turn(a);
    }
    happening_free(happening);
}

/* -- The committer ------------------------------------------------------------------------------------------------- */

/* One commit, with the fault that `applied` and `fails` say. */
static int commit_batch(struct coordinator *c, bool fails, bool is_applied)
{
    struct batch *batch = c->batcher.submitted;
    c->batcher.submitted = NULL;
    if (fails)
        store_memory_fail(self()->store, 1, is_applied);
    int rc = store_commit(c->store, 0, c->epoch, batch->ops, batch->op_count);
    trace("commit of %zu writes: %d%s", batch->op_count, rc, fails && is_applied ? ", but applied" : "");
    if (rc == 0 || (fails && is_applied))
        check_commit(batch->ops, batch->op_count);
    return rc;
}

static void tell_committed(int rc)
{
    struct event *event = event_new(EVENT_COMMITTED);
    event->code = rc;
    self()->is_committing = false;
    coordinator_post(event);
}

/* The mutant: what depends on the batch is released, and the batch is written some time later, or never. */
static void commit_early(struct coordinator *c)
{
    if (chance(500)) {
        c->batcher.submitted = NULL;
        tell_committed(0);
    } else {
        tell_committed(commit_batch(c, false, false));
    }
}

static void commit(struct happening *happening)
{
    struct coordinator_actor *a = self();
    const struct faults *f = &sim->faults;
    bool is_due = happening->life == a->life && a->c != NULL && a->c->batcher.submitted != NULL;
    happening_free(happening);
    if (!is_due)
        return;
    if (sim->mutant == MUTANT_EARLY_EFFECTS) {
        commit_early(a->c);
    } else if (chance(f->crash_before_commit)) {
        count_fault(FAULT_CRASH_BEFORE_COMMIT);
        coordinator_crash("before a commit");
    } else if (chance(f->crash_after_commit)) {
        count_fault(FAULT_CRASH_AFTER_COMMIT);
        commit_batch(a->c, false, false);
        coordinator_crash("after a commit");
    } else if (chance(f->commit_lost)) {
        count_fault(FAULT_COMMIT_LOST);
        int rc = commit_batch(a->c, true, false);
        tell_committed(sim->mutant == MUTANT_FAILED_COMMIT_GOES_ON ? 0 : rc);
    } else if (chance(f->commit_kept)) {
        count_fault(FAULT_COMMIT_KEPT);
        int rc = commit_batch(a->c, true, true);
        tell_committed(rc);
    } else {
        tell_committed(commit_batch(a->c, false, false));
    }
}

/* -- Start and end ------------------------------------------------------------------------------------------------- */

static struct tercet_coordinator_options options(void)
{
    return (struct tercet_coordinator_options){
        .size = sizeof(struct tercet_coordinator_options),
        .retention_ms = INT64_C(7) * 24 * 3600 * 1000,
        .open_max = sim->faults.open_max,
        .call_timeout_ms = CALL_TIMEOUT_SIM_MS,
        .retry_base_ms = 50,
        .retry_cap_ms = 2000,
        .park_after_failures = 6,
        .park_after_ms = 8000,
    };
}

/* As tercet_coordinator_open does, without the door. */
void coordinator_start(void)
{
    struct coordinator_actor *a = self();
    char text[TERCET_TEXT_MAX] = "";
    struct coordinator *c = must_alloc(sizeof(*c));
    memset(c, 0, sizeof(*c));
    a->life++;
    a->boot_us = sim->now_us - random_below(10 * SECOND);
    a->is_dead = a->is_committing = false;
    a->sends_left = -1;
    a->turn_us = INT64_MAX;
    a->c = c;
    c->options = options();
    c->now_ms = mono_ms();
    c->wall_ms = c->started_ms = wall_now_ms();
    c->store = a->store;
    c->restore_warm_max = sim->mutant != MUTANT_NONE || chance(5000) ? SIZE_MAX : (size_t)random_below(3);
    c->payload_bytes_max = chance(5000) ? SIZE_MAX : 0;
    table_init(&c->table, c->now_ms);
    queue_init(&c->queue);
    batcher_init(c);
    if (store_acquire(c->store, 0, &c->epoch, &c->next_number) != 0)
        violation("harness", "the store cannot be acquired");
    if (c->next_number == 1)
        c->next_number = (uint64_t)(c->started_ms / 1000) << 20;
    if (restore_all(c, text) != 0)
        violation("S15", "a restart is refused: %s", text);
    c->retention_check_ms = c->now_ms;
    check_restored(c);
    mutate_restored(c);
    trace("the coordinator starts with %zu unresolved transactions", c->table.count);
    turn_at(sim->now_us + 10);
}

/* An orderly stop begins: no new transactions from here on, and the end comes soon. */
static void stop(struct happening *happening)
{
    if (self()->life == happening->life)
        coordinator_crash("after an orderly stop had begun");
    happening_free(happening);
}

static void begin_stop(void)
{
    count_fault(FAULT_CLOSE);
    coordinator_post(event_new(EVENT_CLOSE));
    coordinator_post(chance(5000) ? event_new(EVENT_STOP) : NULL);
    happen(random_below(SECOND), stop)->life = self()->life;
}

static void restart(struct happening *happening)
{
    if (self()->c == NULL) {
        sim->totals->restarts++;
        coordinator_start();
        if (chance(sim->faults.close))
            begin_stop();
        if (chance(sim->faults.crash_restored)) {
            count_fault(FAULT_CRASH_RESTORED);
            coordinator_crash("having just started");
        }
    }
    happening_free(happening);
}

/* As tercet_coordinator_close does, but that nothing is finished. */
static void tear_down(struct coordinator *c)
{
    network_crash();
    while (c->table.oldest != NULL)
        owner_forget(c, c->table.oldest);
    table_free(&c->table);
    dispatch_free(c);
    queue_destroy(&c->queue);
    batcher_free(c);
    arena_free(&c->scratch);
    free(c);
}

void coordinator_crash(const char *why)
{
    struct coordinator_actor *a = self();
    struct coordinator *c = a->c;
    if (c == NULL)
        return;
    trace("the coordinator crashes %s", why);
    if (c->batcher.submitted != NULL && !a->is_dead && chance(3000)) {
        count_fault(FAULT_CRASH_AFTER_COMMIT);
        commit_batch(c, false, false);
    }
    a->is_dead = true;
    tear_down(c);
    a->c = NULL;
    a->life++;
    jump_clock(sim->faults.clock);
    happen(chance(2000) ? random_below(6 * SECOND) : random_below(SECOND / 10), restart);
}

void coordinator_close(void)
{
    struct coordinator_actor *a = self();
    if (a->c != NULL) {
        a->is_dead = true;
        tear_down(a->c);
        a->c = NULL;
    }
    store_close(a->store);
}

bool coordinator_is_idle(void)
{
    const struct coordinator *c = self()->c;
    return c != NULL && c->table.count == 0 && batch_is_idle(c) && c->open_count == 0;
}
