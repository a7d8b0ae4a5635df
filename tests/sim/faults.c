/* SPDX-License-Identifier: Apache-2.0
 *
 * Swarm testing (Groce et al., ISSTA 2012): each seed has a random subset of the kinds of faults,
 * each with a strength of its own, so that no kind hides behind another.
 */
#include "sim.h"

#include <string.h>

static uint32_t draw(uint32_t most)
{
    return chance(4500) ? 1 + (uint32_t)random_below(most) : 0;
}

static int64_t draw_every(int64_t least_us, int64_t most_us)
{
    return chance(4000) ? random_between(least_us, most_us) : 0;
}

void faults_draw(void)
{
    struct faults *f = &sim->faults;
    f->latency_us = random_between(100, 5000);
    f->open_max = 1000000;
    f->capture = (uint32_t)random_below(6000);
    if (sim->plan.is_calm) {
        f->refuse = chance(3000) ? 2000 : 0; /* so that some are cancelled, too */
        return;
    }
    if (chance(500))
        return; /* a run in which nothing goes wrong */
    f->loss = draw(2500);
    f->doubling = draw(4000);
    f->slow = draw(1500);
    f->stream = draw(300);
    f->crash_send = draw(400);
    f->crash_before_commit = draw(400);
    f->crash_after_commit = draw(400);
    f->crash_restored = draw(2000);
    f->commit_lost = draw(300);
    f->commit_kept = draw(300);
    f->clock = draw(6000);
    f->clock_far = f->clock > 0 ? draw(1000) : 0;
    f->close = draw(3000);
    f->half_open = draw(5000);
    f->status = draw(3000);
    f->store_size_max = chance(600) ? (uint64_t)random_between(20, 120) * 1024 : 0;
    f->open_max = chance(600) ? (uint32_t)random_between(1, 4) : 1000000;
    f->pause = draw(100);
    f->zombie = draw(150);
    f->skew = chance(3000) ? random_between(2, 100) : 0;
    f->service_crash = draw(500);
    f->database_lost = draw(500);
    f->database_kept = draw(500);
    f->refuse = draw(2000);
    f->again = draw(4000);
    f->broken = chance(1500) ? draw(500) : 0;
    f->rogue = chance(1500) ? draw(2000) : 0;
    f->crash_every_us = draw_every(SECOND / 20, 3 * SECOND);
    f->partition_every_us = draw_every(SECOND / 4, 3 * SECOND);
    f->away_every_us = draw_every(SECOND, 6 * SECOND);
    f->operator_every_us = draw_every(SECOND / 10, 2 * SECOND);
}

static void again(struct happening *happening, int64_t every_us)
{
    if (!sim->is_calm)
        happen(random_between(1, 2 * every_us), happening->run);
    happening_free(happening);
}

static void crash(struct happening *happening)
{
    if (!sim->is_calm && sim->coordinator.c != NULL) {
        count_fault(FAULT_CRASH);
        coordinator_crash("out of the blue");
    }
    again(happening, sim->faults.crash_every_us);
}

static void partition(struct happening *happening)
{
    int64_t every_us = sim->faults.partition_every_us;
    if (!sim->is_calm) {
        int from = (int)random_below(NODES),
            to = chance(7000) ? NODE_COORDINATOR : (int)random_below(NODES);
        int64_t until_us = sim->now_us + random_between(1000, 4 * SECOND);
        bool both = chance(5000);
        count_fault(FAULT_PARTITION);
        trace("partition %d %s %d for %.1f s", from, both ? "--" : "->", to,
              (double)(until_us - sim->now_us) / 1e6);
        sim->cut_until_us[from][to] = until_us;
        if (both || chance(3000))
            sim->cut_until_us[to][from] = until_us;
    }
    again(happening, every_us);
}

static void away(struct happening *happening)
{
    if (!sim->is_calm) {
        int service = (int)random_below(sim->service_count);
        count_fault(FAULT_AWAY);
        participant_go_away(service, random_between(SECOND / 10, 8 * SECOND));
    }
    again(happening, sim->faults.away_every_us);
}

static void pause_coordinator(struct happening *happening)
{
    if (!sim->is_calm && chance(sim->faults.zombie * 20)) {
        coordinator_supersede(random_between(1000, 4 * SECOND));
    } else if (!sim->is_calm && chance(sim->faults.pause * 20)) {
        count_fault(FAULT_PAUSE);
        sim->coordinator.paused_until_us = sim->now_us + random_between(1000, 3 * SECOND);
        trace("the coordinator is paused for %.3f s",
              (double)(sim->coordinator.paused_until_us - sim->now_us) / 1e6);
    }
    again(happening, SECOND);
}

/* Whose timers are slow or fast; coordinators draw theirs when they start. */
static void draw_paces(void)
{
    count_fault(FAULT_SKEW);
    for (int node = 0; node < NODES; node++)
        sim->pace_percent[node] =
            random_between(100 - sim->faults.skew / 2, 100 + sim->faults.skew);
}

void faults_start(void)
{
    const struct faults *f = &sim->faults;
    if (f->crash_every_us > 0)
        happen(random_below(f->crash_every_us), crash);
    if (f->partition_every_us > 0)
        happen(random_below(f->partition_every_us), partition);
    if (f->away_every_us > 0)
        happen(random_below(f->away_every_us), away);
    if (f->skew > 0)
        draw_paces();
    if (f->pause > 0 || f->zombie > 0)
        happen(random_below(SECOND), pause_coordinator);
}

void faults_stop(void)
{
    struct faults calm = {.latency_us = 500, .capture = sim->faults.capture / 4};
    calm.open_max = sim->faults.open_max;
    calm.store_size_max = sim->faults.store_size_max;
    calm.skew = sim->faults.skew;
    sim->faults = calm;
    sim->is_calm = true;
    memset(sim->cut_until_us, 0, sizeof(sim->cut_until_us));
    for (int service = 0; service < sim->service_count; service++)
        sim->participants[service].away_until_us = 0;
    if (sim->coordinator.paused_until_us > sim->now_us)
        sim->coordinator.paused_until_us = sim->now_us;
    zombie_end();
    happen(SECOND / 2, operator_tidy);
}
