/* SPDX-License-Identifier: Apache-2.0
 *
 * The generator, the heap of what is to happen, the trace, and the phases of a run: faults, calm
 * until everything is at rest, then every captured message once more.
 */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* deadline, grace, the longest pause, and an operator's round: all are far below it */
#define REST_LIMIT_US (120 * SECOND)
#define REST_LOOK_US (SECOND / 5)
#define TAIL_LINES 60
#define EVENTS_MAX 200000

struct world *sim;

/* -- The generator: xoshiro256** (Blackman, Vigna), seeded by splitmix64 ----------------------- */

static uint64_t rotate(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

static void random_seed(uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        sim->random[i] = z ^ z >> 31;
    }
}

uint64_t random_next(void)
{
    uint64_t *s = sim->random;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

int64_t random_below(int64_t limit)
{
    return limit > 0 ? (int64_t)(random_next() % (uint64_t)limit) : 0;
}

int64_t random_between(int64_t least, int64_t most)
{
    return least + random_below(most - least + 1);
}

bool chance(uint32_t per_10000)
{
    return per_10000 > 0 && random_below(10000) < per_10000;
}

/* -- The heap ---------------------------------------------------------------------------------- */

static bool is_before(const struct happening *a, const struct happening *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void heap_push(struct happening *happening)
{
    if (sim->heap_count == sim->heap_capacity) {
        sim->heap_capacity = sim->heap_capacity == 0 ? 256 : sim->heap_capacity * 2;
        sim->heap = must_realloc(sim->heap, sim->heap_capacity * sizeof(*sim->heap));
    }
    size_t at = sim->heap_count++;
    while (at > 0 && is_before(happening, sim->heap[(at - 1) / 2])) {
        sim->heap[at] = sim->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    sim->heap[at] = happening;
}

static struct happening *heap_pop(void)
{
    struct happening *first = sim->heap[0];
    struct happening *last = sim->heap[--sim->heap_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < sim->heap_count; at = child) {
        if (child + 1 < sim->heap_count && is_before(sim->heap[child + 1], sim->heap[child]))
            child++;
        if (!is_before(sim->heap[child], last))
            break;
        sim->heap[at] = sim->heap[child];
    }
    sim->heap[at] = last;
    return first;
}

void happen_at(struct happening *happening, int64_t at_us)
{
    happening->at_us = at_us;
    happening->order = ++sim->order;
    heap_push(happening);
}

/* Happens after delay_us; negative: not yet, happen_at says when. */
struct happening *happen(int64_t delay_us, void (*run)(struct happening *))
{
    struct happening *happening = must_alloc(sizeof(*happening));
    memset(happening, 0, sizeof(*happening));
    happening->run = run;
    if (delay_us >= 0)
        happen_at(happening, sim->now_us + delay_us);
    return happening;
}

struct happening *happen_copy(const struct happening *of)
{
    struct happening *copy = must_alloc(sizeof(*copy));
    *copy = *of;
    copy->is_copy = true;
    if (of->bytes != NULL) {
        copy->bytes = must_alloc(of->size + 1);
        memcpy(copy->bytes, of->bytes, of->size);
    }
    if (of->call != NULL)
        crpc_call_ref(of->call);
    return copy;
}

void happening_free(struct happening *happening)
{
    if (happening == NULL)
        return;
    if (happening->call != NULL)
        crpc_call_unref(happening->call);
    free(happening->bytes);
    free(happening);
}

void happening_set_message(struct happening *happening, const ProtobufCMessage *message)
{
    happening->size = protobuf_c_message_get_packed_size(message);
    happening->bytes = must_alloc(happening->size + 1);
    protobuf_c_message_pack(message, happening->bytes);
}

static size_t put_varint(uint8_t *at, uint64_t value)
{
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        at[size++] = (uint8_t)(value | 0x80);
    at[size++] = (uint8_t)value;
    return size;
}

/* A message inside a message is its bytes behind a tag and a length: decoding and encoding it again
 * takes most of a run. */
void happening_wrap(struct happening *happening, unsigned field, uint64_t id)
{
    uint8_t *bytes = must_alloc(happening->size + 32);
    size_t size = 0;
    if (id != 0) {
        size += put_varint(bytes, 1u << 3);
        size += put_varint(bytes + size, id);
    }
    size += put_varint(bytes + size, field << 3 | 2u);
    size += put_varint(bytes + size, happening->size);
    memcpy(bytes + size, happening->bytes, happening->size);
    free(happening->bytes);
    happening->bytes = bytes;
    happening->size += size;
}

ProtobufCMessage *happening_message(const struct happening *happening,
                                    const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = NULL;
    if (crpc_message_decode(&message, type, (struct crpc_bytes){happening->bytes, happening->size},
                            0) != 0)
        violation("harness", "a message of type %s does not decode", type->name);
    return message;
}

/* -- Telling ----------------------------------------------------------------------------------- */

/* The last lines of a run that is not to be printed whole. */
static char tail[TAIL_LINES][200];
static unsigned tail_count;

void world_print_tail(void)
{
    unsigned first = tail_count < TAIL_LINES ? 0 : tail_count - TAIL_LINES;
    for (unsigned i = first; i < tail_count; i++)
        puts(tail[i % TAIL_LINES]);
    tail_count = 0;
}

void trace(const char *format, ...)
{
    char line[sizeof(tail[0])];
    va_list args;
    if (sim->plan.trace == TRACE_NONE)
        return;
    int size = snprintf(line, sizeof(line), "%10.6f ", (double)sim->now_us / 1e6);
    va_start(args, format);
    vsnprintf(line + size, sizeof(line) - (size_t)size, format, args);
    va_end(args);
    if (sim->plan.trace == TRACE_ALL)
        puts(line);
    else
        memcpy(tail[tail_count++ % TAIL_LINES], line, sizeof(line));
}

static const char *invariant_text(const char *name)
{
    static const char *const texts[][2] = {
#define INVARIANT_TEXT(name, text) {name, text},
        INVARIANT_MAP(INVARIANT_TEXT)
#undef INVARIANT_TEXT
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(texts[i][0], name) == 0)
            return texts[i][1];
    abort();
}

void violation(const char *name, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    trace("VIOLATION of %s (%s): %s", name, invariant_text(name), text);
    if (sim->has_failed)
        return;
    sim->has_failed = true;
    if (sim->totals->violations++ == 0) {
        sim->totals->first_failed = sim->plan;
        snprintf(sim->totals->first_failure, sizeof(sim->totals->first_failure), "%s: %.140s", name,
                 text);
    }
    if (sim->plan.mutant == MUTANT_NONE && sim->plan.trace == TRACE_NONE) {
        printf("violation of %s (%s): %s; replay: ", name, invariant_text(name), text);
        world_print_replay(&sim->plan);
    }
}

void world_print_replay(const struct run_plan *plan)
{
    printf("tercet-sim --seed %llu", (unsigned long long)plan->seed);
    if (plan->mutant != MUTANT_NONE)
        printf(" --mutant %s", mutants[plan->mutant].name);
    if (plan->has_late_store)
        printf(" --late-finds");
    if (plan->is_calm)
        printf(" --crash-at %llu,%llu", (unsigned long long)plan->crash_at[0],
               (unsigned long long)plan->crash_at[1]);
    putchar('\n');
}

void count_fault(enum fault fault)
{
    sim->totals->faults[fault]++;
}

/* Where a crash is put by number: the plan names one or two of the places that a run passes. */
bool crash_is_due(const char *where)
{
    if (!sim->plan.is_calm || sim->is_calm)
        return false;
    uint64_t point = ++sim->points;
    if (point != sim->plan.crash_at[0] && point != sim->plan.crash_at[1])
        return false;
    count_fault(FAULT_POINT);
    trace("crash %s, the %llu-th place", where, (unsigned long long)point);
    return true;
}

int64_t paced(int node, int64_t us)
{
    return sim->pace_percent[node] > 0 ? us * sim->pace_percent[node] / 100 : us;
}

enum mutant mutant_now(void)
{
    return sim->plan.mutant;
}

/* -- A run ------------------------------------------------------------------------------------- */

static void run_until(int64_t until_us)
{
    while (sim->heap_count > 0 && sim->heap[0]->at_us <= until_us && !sim->has_failed) {
        struct happening *happening = heap_pop();
        sim->now_us = happening->at_us;
        happening->run(happening);
        if (++sim->totals->events % EVENTS_MAX == 0 && sim->order > 20 * EVENTS_MAX)
            violation("harness", "the run does not end");
    }
    if (!sim->has_failed)
        sim->now_us = until_us;
}

/* L1: everything ends within a bounded time when nothing goes wrong any more. */
static void come_to_rest(const char *phase)
{
    int64_t start_us = sim->now_us, limit_us = start_us + REST_LIMIT_US;
    bool is_resting = false;
    while (!is_resting && sim->now_us < limit_us && !sim->has_failed) {
        run_until(sim->now_us + REST_LOOK_US);
        is_resting = initiators_are_done() && coordinator_is_idle() && !network_owes_answer();
    }
    if (sim->now_us - start_us > sim->totals->rest_us_most)
        sim->totals->rest_us_most = sim->now_us - start_us;
    if (!is_resting && !sim->has_failed)
        violation("L1", "not at rest %d s after the faults have stopped (%s)",
                  (int)(REST_LIMIT_US / SECOND), phase);
}

static void replay(void)
{
    trace("-- everything captured arrives once more");
    for (size_t i = 0; i < sim->captured_count; i++) {
        count_fault(FAULT_REPLAYED);
        happen_at(happen_copy(sim->captured[i]), sim->now_us + random_below(2 * SECOND));
    }
    if (chance(3000))
        coordinator_crash("before the replay");
    run_until(sim->now_us + 2 * SECOND);
}

/* A gid is known for the retention time: what begins one may begin it anew afterwards. Everything
 * else must come to nothing. */
static bool may_begin(const struct happening *packet)
{
    return packet->run == request_arrive &&
           (packet->method <= METHOD_TRY || packet->method == METHOD_RUN);
}

static void outlive(void)
{
    trace("-- the retention time passes");
    sim->is_quiet = true;
    /* by the slowest clock, and what a late copy still begins */
    run_until(sim->now_us + 4 * (int64_t)RETENTION_SIM_MS * 1000);
    sim->is_outlived = true;
    if (!sim->has_failed)
        check_dropped();
    for (size_t i = 0; i < sim->captured_count; i++) {
        if (may_begin(sim->captured[i]))
            continue;
        count_fault(FAULT_OUTLIVED);
        happen_at(happen_copy(sim->captured[i]), sim->now_us + random_below(SECOND));
    }
    run_until(sim->now_us + 2 * SECOND);
}

static void free_all(void)
{
    coordinator_close();
    participants_close();
    initiators_close();
    for (size_t i = 0; i < sim->captured_count; i++)
        happening_free(sim->captured[i]);
    while (sim->heap_count > 0)
        happening_free(heap_pop());
    free(sim->heap);
    if (fake_calls != NULL)
        violation("harness", "calls are left");
}

static void run_phases(void)
{
    run_until(sim->plan.is_calm ? 2 * SECOND : random_between(SECOND, 12 * SECOND));
    trace("-- faults stop");
    faults_stop();
    come_to_rest("faults");
    if (!sim->has_failed)
        check_rest();
    if (!sim->has_failed)
        replay();
    come_to_rest("replay");
    if (!sim->has_failed)
        check_rest();
    if (!sim->has_failed && chance(1500))
        outlive();
}

/* A run in which nothing was confirmed does not count. */
static void count_outcomes(void)
{
    struct totals_of_runs *totals = sim->totals;
    uint64_t confirmed = totals->confirmed;
    for (int job = 0; job < sim->job_count; job++) {
        totals->begun += sim->seen[job].number != 0;
        totals->confirmed += sim->seen[job].state == TXN_CONFIRMED;
        totals->cancelled += sim->seen[job].state == TXN_CANCELLED;
    }
    totals->runs++;
    totals->empty_runs += totals->confirmed == confirmed;
}

uint64_t world_run(const struct run_plan *plan, struct totals_of_runs *totals)
{
    struct world world = {.plan = *plan, .totals = totals};
    sim = &world;
    random_seed(plan->seed);
    faults_draw();
    coordinator_open_store();
    coordinator_start();
    participants_start();
    initiators_start();
    operator_start();
    faults_start();
    run_phases();
    free_all();
    count_outcomes();
    sim = NULL;
    return world.points;
}
