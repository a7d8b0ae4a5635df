/* SPDX-License-Identifier: Apache-2.0
 *
 * The coordinator's process: the real owner, driven turn by turn, and the committer's part done by
 * hand. A crash throws the memory away and keeps the store. A crash inside a turn is one after so
 * many sends: what the rest of the turn does to memory is lost anyway. One that sleeps may be taken
 * for dead: another acquires its shard, and the sleeper wakes up as a zombie.
 */
#include "sim.h"

#include <engine.h>
#include <restore.h>
#include <stdlib.h>
#include <string.h>

#define CALL_TIMEOUT_SIM_MS 400
#define MONO_START_MS 1000

static struct coordinator_actor *current(void)
{
    return &sim->coordinator;
}

struct coordinator_actor *coordinator_of(uint32_t life)
{
    if (sim->coordinator.c != NULL && sim->coordinator.life == life)
        return &sim->coordinator;
    return sim->zombie.c != NULL && sim->zombie.life == life ? &sim->zombie : NULL;
}

/* Its own clock: slow, fast, and begun at any time. */
static int64_t mono_ms(const struct coordinator_actor *a)
{
    return MONO_START_MS + (sim->now_us - a->boot_us) * a->clock_percent / 100 / 1000;
}

static int64_t when_mono_is(const struct coordinator_actor *a, int64_t ms)
{
    return a->boot_us +
           ((ms - MONO_START_MS) * 1000 * 100 + a->clock_percent - 1) / a->clock_percent;
}

static int64_t wall_now_ms(const struct coordinator_actor *a)
{
    return sim->wall_base_ms + sim->now_us * a->clock_percent / 100 / 1000;
}

void coordinator_open_store(void)
{
    struct tercet_store_options options = {.size = sizeof(options),
                                           .source = 1,
                                           .bucket_ms = RETENTION_SIM_MS / 7,
                                           .size_max = sim->faults.store_size_max};
    sim->wall_base_ms = INT64_C(1700000000000);
    if (store_open_with(&sim->store, &store_memory_driver, "", &options, NULL) != 0)
        abort();
}

/* -- Turns ------------------------------------------------------------------------------------- */

static void turn(struct happening *happening);

static void turn_at(struct coordinator_actor *a, int64_t at_us)
{
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
    struct coordinator_actor *a = sim->acting;
    if (a == NULL || a->is_dead || a->c == NULL)
        return false;
    if (a->sends_left != 0 && !crash_is_due("before a send")) {
        a->sends_left -= a->sends_left > 0;
        return true;
    }
    count_fault(FAULT_CRASH_SEND);
    a->is_dead = true;
    return false;
}

void coordinator_post(uint32_t life, struct event *event)
{
    struct coordinator_actor *a = coordinator_of(life);
    if (a == NULL) {
        if (event != NULL)
            event_free(event);
        return;
    }
    if (event != NULL)
        queue_post(&a->c->queue, event);
    turn_at(a, sim->now_us + random_between(5, 300));
}

static void jump_clock(uint32_t per_10000)
{
    const int64_t hour_ms = 3600 * 1000;
    if (!chance(per_10000))
        return;
    bool is_far = chance(sim->faults.clock_far);
    int64_t most_ms = is_far ? 10 * 365 * 24 * hour_ms : hour_ms;
    count_fault(is_far ? FAULT_CLOCK_FAR : FAULT_CLOCK);
    sim->wall_base_ms += random_between(-most_ms, most_ms);
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
static void crash(struct coordinator_actor *a, const char *why);

static void submit(struct coordinator_actor *a)
{
    if (a->c->shards->batcher.submitted == NULL || a->is_committing)
        return;
    a->is_committing = true;
    happen(random_between(50, 3000), commit)->life = a->life;
}

static void run_turn(struct coordinator_actor *a)
{
    struct coordinator *c = a->c;
    jump_clock(sim->faults.clock / 50);
    a->sends_left = chance(sim->faults.crash_send) ? (int)random_below(4) : -1;
    sim->acting = a;
    loop_turn(c, take_events(c), mono_ms(a), wall_now_ms(a));
    sim->acting = NULL;
    a->sends_left = -1;
    if (a->is_dead) {
        crash(a, "between two sends");
        return;
    }
    if (atomic_load(&c->has_failed)) {
        crash(a, "its store failed");
        return;
    }
    check_counts(c);
    network_check_read(a->life);
    submit(a);
    int64_t next_ms = loop_next_turn_ms(c);
    if (next_ms != INT64_MAX)
        turn_at(a, when_mono_is(a, next_ms));
}

static void turn(struct happening *happening)
{
    struct coordinator_actor *a = coordinator_of(happening->life);
    if (a != NULL && a->turn_us == happening->at_us) {
        a->turn_us = INT64_MAX;
        if (a->paused_until_us > sim->now_us)
            turn_at(a, a->paused_until_us);
        else
            run_turn(a);
    }
    happening_free(happening);
}

/* -- The committer ----------------------------------------------------------------------------- */

/* The memory store takes what LMDB would not: a commit past the size fails there, and the
 * coordinator stops. */
static void check_size(void)
{
    struct tercet_store_stats stats;
    if (sim->faults.store_size_max > 0 && store_stats(sim->store, &stats) == 0 &&
        stats.bytes_used > stats.bytes_max)
        violation("L4", "%llu bytes in a store of %llu: a commit would fail",
                  (unsigned long long)stats.bytes_used, (unsigned long long)stats.bytes_max);
}

/* One commit, with the fault that `applied` and `fails` say. */
static int commit_batch(const struct coordinator_actor *a, bool fails, bool is_applied)
{
    struct coordinator *c = a->c;
    struct batch *batch = c->shards->batcher.submitted;
    bool is_fenced = c->shards->epoch < sim->epoch;
    c->shards->batcher.submitted = NULL;
    if (fails)
        store_memory_fail(sim->store, 1, is_applied);
    int rc = store_commit(c->shards->store, 0,
                          mutant_now() == MUTANT_NO_FENCE ? sim->epoch : c->shards->epoch,
                          batch->ops, batch->op_count);
    trace("commit of %zu writes: %d%s", batch->op_count, rc,
          fails && is_applied ? ", but applied" : "");
    if (is_fenced && rc != TERCET_STORE_FENCED && batch->op_count > 0)
        violation("S13", "a commit under epoch %llu is taken, the shard's is %llu",
                  (unsigned long long)c->shards->epoch, (unsigned long long)sim->epoch);
    if (is_fenced)
        count_fault(FAULT_FENCED);
    else if (rc == 0 || (fails && is_applied))
        check_commit(batch->ops, batch->op_count);
    check_size();
    return rc;
}

static void tell_committed(struct coordinator_actor *a, int rc)
{
    struct event *event = event_new(EVENT_COMMITTED);
    event->shard = a->c->shards;
    event->code = rc;
    a->is_committing = false;
    coordinator_post(a->life, event);
}

/* The mutant: what depends on the batch is released, and the batch is written some time later, or
 * never. */
static void commit_early(struct coordinator_actor *a)
{
    if (chance(500)) {
        a->c->shards->batcher.submitted = NULL;
        tell_committed(a, 0);
    } else {
        tell_committed(a, commit_batch(a, false, false));
    }
}

static void commit_with_faults(struct coordinator_actor *a)
{
    const struct faults *f = &sim->faults;
    if (chance(f->crash_before_commit) || crash_is_due("before a commit")) {
        count_fault(FAULT_CRASH_BEFORE_COMMIT);
        crash(a, "before a commit");
    } else if (chance(f->crash_after_commit) || crash_is_due("after a commit")) {
        count_fault(FAULT_CRASH_AFTER_COMMIT);
        commit_batch(a, false, false);
        crash(a, "after a commit");
    } else if (chance(f->commit_lost)) {
        count_fault(FAULT_COMMIT_LOST);
        int rc = commit_batch(a, true, false);
        tell_committed(a, mutant_now() == MUTANT_FAILED_COMMIT_GOES_ON ? 0 : rc);
    } else if (chance(f->commit_kept)) {
        count_fault(FAULT_COMMIT_KEPT);
        tell_committed(a, commit_batch(a, true, true));
    } else {
        tell_committed(a, commit_batch(a, false, false));
    }
}

static void commit(struct happening *happening)
{
    struct coordinator_actor *a = coordinator_of(happening->life);
    happening_free(happening);
    if (a == NULL || a->c->shards->batcher.submitted == NULL)
        return;
    if (mutant_now() == MUTANT_EARLY_EFFECTS)
        commit_early(a);
    else if (a == &sim->zombie)
        tell_committed(a, commit_batch(a, false, false));
    else
        commit_with_faults(a);
}

/* -- Start and end ----------------------------------------------------------------------------- */

static struct tercet_coordinator_options options(void)
{
    return (struct tercet_coordinator_options){
        .size = sizeof(struct tercet_coordinator_options),
        .retention_ms = RETENTION_SIM_MS,
        .open_max = sim->faults.open_max,
        .call_timeout_ms = CALL_TIMEOUT_SIM_MS,
        .retry_base_ms = 50,
        .retry_cap_ms = 2000,
        .park_after_failures = 6,
        .park_after_ms = 8000,
    };
}

static void restart(struct happening *happening);

static struct coordinator *new_coordinator(const struct coordinator_actor *a)
{
    struct coordinator *c = must_alloc(sizeof(*c));
    memset(c, 0, sizeof(*c));
    const struct tercet_coordinator_options chosen = options();
    engine_init(c, &chosen, mono_ms(a), wall_now_ms(a));
    c->shards->store = sim->plan.has_late_store ? late_store() : sim->store;
    c->restore_warm_max =
        mutant_now() != MUTANT_NONE || chance(5000) ? SIZE_MAX : (size_t)random_below(3);
    c->payload_bytes_max = chance(5000) ? SIZE_MAX : 0;
    return c;
}

static void acquire(struct coordinator *c)
{
    if (shard_acquire(c->shards) != 0)
        violation("harness", "the store cannot be acquired");
    if (c->shards->epoch <= sim->epoch)
        violation("S13", "the epoch is %llu after %llu", (unsigned long long)c->shards->epoch,
                  (unsigned long long)sim->epoch);
    sim->epoch = c->shards->epoch;
}

/* As tercet_coordinator_open does, without the door. */
void coordinator_start(void)
{
    struct coordinator_actor *a = current();
    struct refusal no;
    *a = (struct coordinator_actor){
        .life = ++sim->last_life, .sends_left = -1, .turn_us = INT64_MAX};
    a->boot_us = sim->now_us - random_below(10 * SECOND);
    a->clock_percent = sim->faults.skew > 0
                           ? random_between(100 - sim->faults.skew / 2, 100 + sim->faults.skew)
                           : 100;
    a->c = new_coordinator(a);
    sim->acting = a;
    acquire(a->c);
    if (restore_all(a->c, &no) != 0)
        violation("S15", "a restart is refused: %s", no.text);
    sim->acting = NULL;
    a->c->shards->retention.check_ms = a->c->clock.now_ms;
    check_restored(a->c);
    mutate_restored(a->c);
    trace("the coordinator starts with %zu unresolved transactions", a->c->shards->table.count);
    turn_at(a, sim->now_us + 10);
}

/* An orderly stop begins: no new transactions from here on, and the end comes soon. */
static void stop(struct happening *happening)
{
    if (current()->life == happening->life)
        coordinator_crash("after an orderly stop had begun");
    happening_free(happening);
}

static void begin_stop(void)
{
    uint32_t life = current()->life;
    count_fault(FAULT_CLOSE);
    coordinator_post(life, event_new(EVENT_CLOSE));
    coordinator_post(life, chance(5000) ? event_new(EVENT_STOP) : NULL);
    happen(random_below(SECOND), stop)->life = life;
}

static void restart(struct happening *happening)
{
    if (current()->c == NULL) {
        sim->totals->restarts++;
        coordinator_start();
        if (chance(sim->faults.close))
            begin_stop();
        if (chance(sim->faults.crash_restored) || crash_is_due("just restarted")) {
            count_fault(FAULT_CRASH_RESTORED);
            coordinator_crash("having just started");
        }
    }
    happening_free(happening);
}

/* As tercet_coordinator_close does, but that nothing is finished. */
static void tear_down(struct coordinator_actor *a)
{
    struct coordinator *c = a->c;
    a->is_dead = true;
    sim->acting = a;
    network_crash(a->life);
    late_store_answer_all(a->life);
    engine_clear(c);
    free(c);
    sim->acting = NULL;
    a->c = NULL;
    a->life = 0;
}

static void crash(struct coordinator_actor *a, const char *why)
{
    if (a->c == NULL)
        return;
    trace("the %s crashes %s", a == &sim->zombie ? "zombie" : "coordinator", why);
    if (a->c->shards->batcher.submitted != NULL && !a->is_dead && chance(3000)) {
        count_fault(FAULT_CRASH_AFTER_COMMIT);
        commit_batch(a, false, false);
    }
    tear_down(a);
    if (a == &sim->zombie)
        return;
    jump_clock(sim->faults.clock);
    happen(chance(2000) ? random_below(6 * SECOND) : random_below(SECOND / 10), restart);
}

void coordinator_crash(const char *why)
{
    crash(current(), why);
}

void zombie_end(void)
{
    crash(&sim->zombie, "at last");
}

static void zombie_ends(struct happening *happening)
{
    if (sim->zombie.life == happening->life)
        zombie_end();
    happening_free(happening);
}

/* It sleeps for so long that another takes its place; its streams stay open, and what is on the way
 * to it arrives. */
void coordinator_supersede(int64_t sleep_us)
{
    struct coordinator_actor *z = &sim->zombie;
    if (current()->c == NULL || z->c != NULL)
        return;
    count_fault(FAULT_ZOMBIE);
    trace("the coordinator sleeps for %.3f s, and another takes its place", (double)sleep_us / 1e6);
    *z = *current();
    *current() = (struct coordinator_actor){.turn_us = INT64_MAX};
    z->paused_until_us = sim->now_us + sleep_us;
    network_leave(z->life);
    turn_at(z, z->paused_until_us);
    happen(sleep_us + random_below(3 * SECOND), zombie_ends)->life = z->life;
    happen(random_below(sleep_us), restart);
}

void coordinator_close(void)
{
    if (sim->zombie.c != NULL)
        tear_down(&sim->zombie);
    if (current()->c != NULL)
        tear_down(current());
    store_close(sim->store);
}

bool coordinator_is_idle(void)
{
    const struct coordinator *c = current()->c;
    return c != NULL && c->shards->table.count == 0 && batch_is_idle(c->shards) &&
           c->answers.owed_count == 0;
}
