/* SPDX-License-Identifier: Apache-2.0
 *
 * expose.h
 */
#include "expose.h"

#include "coordinator.h"
#include "why.h"

#include <clock.h>
#include <crpc/crpc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a service. */
struct name {
    struct name *next;
    char text[TERCET_SERVICE_MAX + 1];
};

/* As they were at one moment. Nobody changes them after they were made. */
struct figures {
    unsigned references; /* under the lock */
    int64_t taken_ms;    /* monotonic */
    struct samples samples;
    struct name *names; /* that are labels of samples */
};

static const char *const end_names[METER_ENDS] = {"confirmed", "cancelled"};

static void add(struct samples *to, enum metric metric, double value)
{
    samples_add(to, metric, value, NULL, NULL, NULL);
}

/* -- Transactions ------------------------------------------------------------------------------ */

static void measure_ends(struct samples *to, const struct meter *meter)
{
    static const char *const causes[METER_CAUSES] = {
        "undecided", "initiator", "all_tried", "refused", "try_unknown", "deadline", "operator"};
    for (int end = 0; end < METER_ENDS; end++) {
        for (unsigned cause = 1; cause < METER_CAUSES; cause++)
            samples_add(to, METRIC_DECIDED, (double)meter->decided[end][cause], end_names[end],
                        causes[cause], NULL);
        samples_add(to, METRIC_RESOLVED, (double)meter->resolved[end], end_names[end], NULL, NULL);
        samples_add_histogram(to, METRIC_DECISION, &meter->decision[end], end_names[end]);
        samples_add_histogram(to, METRIC_RESOLUTION, &meter->resolution[end], end_names[end]);
    }
    add(to, METRIC_PARKINGS, (double)meter->parkings);
    samples_add_histogram(to, METRIC_TURN_EVENTS, &meter->turn, NULL);
}

/* The oldest unresolved entry. Resolved ones stay in the table only until their last write is
 * durable: the loop passes one batch of them at most. */
static const struct entry *oldest_open(const struct table *table)
{
    const struct entry *entry = table->oldest;
    while (entry != NULL && !entry->is_cold && txn_is_resolved(&entry->txn))
        entry = entry->newer;
    return entry;
}

/* An entry that has not been loaded since the start counts as created at the start: its own time is
 * in its record. */
static int64_t oldest_created_ms(const struct coordinator *c)
{
    int64_t oldest_ms = c->clock.wall_ms;
    for (size_t i = 0; i < c->shard_count; i++) {
        const struct entry *entry = oldest_open(&c->shards[i].table);
        if (entry == NULL)
            continue;
        int64_t created_ms = entry->is_cold ? c->started_ms : entry->created_ms;
        oldest_ms = created_ms < oldest_ms ? created_ms : oldest_ms;
    }
    return oldest_ms;
}

static void measure_open(struct samples *to, const struct coordinator *c)
{
    static const struct {
        unsigned state;
        const char *name;
    } states[] = {
        {TXN_TRYING, "trying"}, {TXN_CONFIRMING, "confirming"}, {TXN_CANCELLING, "cancelling"}};
    double parked = 0;
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        double count = 0;
        for (size_t s = 0; s < c->shard_count; s++)
            count += (double)c->shards[s].table.counts.in_state[states[i].state];
        samples_add(to, METRIC_OPEN, count, states[i].name, NULL, NULL);
    }
    for (size_t s = 0; s < c->shard_count; s++)
        parked += (double)c->shards[s].table.counts.parked_branches;
    add(to, METRIC_BEGUN, (double)c->totals.begun);
    add(to, METRIC_OPEN_LIMIT, c->options.open_max);
    add(to, METRIC_OLDEST, (double)(c->clock.wall_ms - oldest_created_ms(c)) / 1000);
    add(to, METRIC_PARKED, parked);
}

/* -- Services ---------------------------------------------------------------------------------- */

/* What is known of a service now. */
struct load {
    double running, waiting, instances, breakers, paused;
    int64_t oldest_ms; /* monotonic: when its oldest call began to wait, or was sent */
};

static void load_instances(struct load *load, const struct service *service)
{
    for (const struct instance *instance = service->instances; instance != NULL;
         instance = instance->next) {
        load->instances++;
        for (const struct outcall *call = instance->sent; call != NULL; call = call->next)
            if (call->sent_ms < load->oldest_ms)
                load->oldest_ms = call->sent_ms;
    }
    load->breakers += service->breaker.is_open;
}

static void load_targets(struct load *load, const struct service *service)
{
    for (const struct target *target = service->targets.first; target != NULL;
         target = target->next) {
        load->instances += target->channel != NULL;
        load->breakers += target->channel != NULL && target->breaker.is_open;
    }
    if (target_call_count(&service->targets) > 0 && service->target_oldest_ms < load->oldest_ms)
        load->oldest_ms = service->target_oldest_ms;
}

static void add_load(struct load *load, const struct service *service)
{
    load_instances(load, service);
    load_targets(load, service);
    if (service->waiting_first != NULL && service->waiting_first->sent_ms < load->oldest_ms)
        load->oldest_ms = service->waiting_first->sent_ms;
    load->running += (double)service->call_count;
    load->waiting += (double)service->waiting_count;
    load->paused += service->is_paused;
}

static void measure_load(struct samples *to, const char *name, const struct load *load,
                         int64_t now_ms)
{
    const struct {
        enum metric metric;
        double value;
    } figures[] = {
        {METRIC_SERVICE_RUNNING, load->running},
        {METRIC_SERVICE_WAITING, load->waiting},
        {METRIC_SERVICE_INSTANCES, load->instances},
        {METRIC_SERVICE_BREAKER, load->breakers},
        {METRIC_SERVICE_PAUSED, load->paused},
        {METRIC_SERVICE_OLDEST, (double)(now_ms - load->oldest_ms) / 1000},
    };
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        samples_add(to, figures[i].metric, figures[i].value, name, NULL, NULL);
}

/* A copy of a service's name that lives as long as the figures: the service may be gone by then. */
static const char *keep_name(struct figures *figures, const char *text)
{
    struct name *name = must_alloc(sizeof(*name));
    snprintf(name->text, sizeof(name->text), "%s", text);
    name->next = figures->names;
    figures->names = name;
    return name->text;
}

/* The label of the service's series; NULL: it is added up with the others. A service that was never
 * called borrows, for this scrape, one of the places that are not taken. */
static const char *name_of(struct figures *figures, const struct meter *meter,
                           const struct service *service, size_t *lent_count)
{
    const struct meter_service *own = meter_service_find(meter, service->name);
    if (own != NULL)
        return own->name;
    if (meter->service_count + *lent_count >= METER_SERVICES_MAX)
        return NULL;
    (*lent_count)++;
    return keep_name(figures, service->name);
}

/* A sample for each service that has series of its own, and one for the sum of the others. */
static void measure_loads(struct figures *figures, struct coordinator *c)
{
    const int64_t now_ms = c->clock.now_ms;
    struct load others = {.oldest_ms = now_ms};
    size_t lent_count = 0;
    bool has_others = false;
    why_date_targets(c);
    for (const struct service *service = c->services.first; service != NULL;
         service = service->next) {
        const char *name = name_of(figures, &c->meter, service, &lent_count);
        struct load load = {.oldest_ms = now_ms};
        add_load(name != NULL ? &load : &others, service);
        if (name != NULL)
            measure_load(&figures->samples, name, &load, now_ms);
        has_others |= name == NULL;
    }
    if (has_others)
        measure_load(&figures->samples, METER_OTHERS, &others, now_ms);
}

static void measure_calls(struct samples *to, const struct meter_service *service)
{
    static const char *const outcomes[METER_OUTCOMES] = {"lost",  "done",   "refused",
                                                         "again", "broken", "unknown"};
    if (!service->is_called)
        return;
    for (unsigned kind = TERCET_TRY; kind < METER_KINDS; kind++) {
        const char *name = tercet_kind_name((int)kind);
        samples_add(to, METRIC_SERVICE_CALLS, (double)service->calls[kind], service->name, name,
                    NULL);
        for (unsigned outcome = 0; outcome < METER_OUTCOMES; outcome++)
            samples_add(to, METRIC_SERVICE_RESULTS, (double)service->results[kind][outcome],
                        service->name, name, outcomes[outcome]);
    }
    samples_add_histogram(to, METRIC_SERVICE_DURATION, &service->took, service->name);
}

static void measure_services(struct figures *figures, struct coordinator *c)
{
    struct samples *to = &figures->samples;
    measure_loads(figures, c);
    for (size_t i = 0; i < c->meter.service_count; i++)
        measure_calls(to, c->meter.services[i]);
    measure_calls(to, &c->meter.others);
}

/* -- Store, memory, connections ---------------------------------------------------------------- */

static void measure_store(struct samples *to, const struct coordinator *c)
{
    struct tercet_store_stats sum = {.disk_free_bytes = UINT64_MAX};
    for (size_t i = 0; i < c->shard_count; i++) {
        const struct tercet_store_stats *stats = &c->shards[i].headroom.stats;
        sum.bytes_used += stats->bytes_used;
        sum.bytes_max += stats->bytes_max;
        sum.room_bytes += stats->room_bytes;
        sum.file_bytes += stats->file_bytes;
        sum.held_bytes += stats->held_bytes;
        sum.readers += stats->readers;
        sum.resolved_records += stats->resolved_records;
        sum.disk_free_bytes = stats->disk_free_bytes;
    }
    add(to, METRIC_ACCEPTING, atomic_load(&c->pulse.is_accepting));
    add(to, METRIC_STORE_FAILED, atomic_load(&c->has_failed));
    add(to, METRIC_STORE_USED, (double)sum.bytes_used);
    add(to, METRIC_STORE_LIMIT, (double)sum.bytes_max);
    if (sum.room_bytes != UINT64_MAX)
        add(to, METRIC_STORE_ROOM, (double)sum.room_bytes);
    add(to, METRIC_STORE_FILE, (double)sum.file_bytes);
    add(to, METRIC_STORE_HELD, (double)sum.held_bytes);
    add(to, METRIC_STORE_READERS, (double)sum.readers);
    add(to, METRIC_STORE_RECORDS, (double)sum.resolved_records);
    if (sum.disk_free_bytes != UINT64_MAX)
        add(to, METRIC_DISK_FREE, (double)sum.disk_free_bytes);
}

static void measure_commits(struct samples *to, const struct coordinator *c)
{
    uint64_t commits = 0;
    for (size_t i = 0; i < METRIC_BUCKETS_MAX; i++)
        commits += c->meter.commit.counts[i];
    add(to, METRIC_COMMITS, (double)commits);
    samples_add_histogram(to, METRIC_COMMIT_DURATION, &c->meter.commit, NULL);
    samples_add_histogram(to, METRIC_COMMIT_BATCH, &c->meter.batch, NULL);
}

static void measure_memory(struct samples *to, struct coordinator *c)
{
    const struct table *table = &coordinator_home(c)->table;
    const struct {
        const char *name;
        size_t used, max;
    } budgets[] = {
        {"unread_answers", atomic_load(&c->unread.used), c->unread.max},
        {"unread_calls", atomic_load(&c->calls.used), c->calls.max},
        {"requests", atomic_load(&c->requests.used), c->requests.max},
        {"held_requests", c->finds.held_bytes, c->finds.held_bytes_max},
        {"payloads", table->payload_bytes, c->payload_bytes_max},
        {"histories", table->history_bytes, HISTORY_BYTES_MAX},
    };
    for (size_t i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
        samples_add(to, METRIC_MEMORY_USED, (double)budgets[i].used, budgets[i].name, NULL, NULL);
        samples_add(to, METRIC_MEMORY_LIMIT, (double)budgets[i].max, budgets[i].name, NULL, NULL);
    }
}

static void measure_connections(struct samples *to, struct coordinator *c)
{
    struct crpc_connection_counts counts = {.size = sizeof(counts)};
    if (c->server == NULL || crpc_server_connection_counts(c->server, &counts) != 0)
        return;
    const struct {
        enum metric metric;
        const char *reason;
        uint64_t count;
    } reasons[] = {
        {METRIC_CONNECTIONS_REFUSED, "descriptors", counts.refused_descriptors},
        {METRIC_CONNECTIONS_REFUSED, "connections_max", counts.refused_max},
        {METRIC_CONNECTIONS_REFUSED, "connections_per_peer", counts.refused_peer_max},
        {METRIC_CONNECTIONS_REFUSED, "connection_rate", counts.refused_peer_rate},
        {METRIC_CONNECTIONS_CUT, "no_call", counts.cut_silent},
        {METRIC_CONNECTIONS_CUT, "waste", counts.cut_waste},
        {METRIC_CONNECTIONS_CUT, "resets", counts.cut_resets},
        {METRIC_CONNECTIONS_CUT, "streams", counts.cut_streams},
    };
    add(to, METRIC_CONNECTIONS, (double)counts.open);
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        samples_add(to, reasons[i].metric, (double)reasons[i].count, reasons[i].reason, NULL, NULL);
}

static void measure_traces(struct samples *to, struct coordinator *c)
{
    if (c->spans == NULL)
        return;
    const struct spans_counts counts = spans_read(c->spans);
    samples_add(to, METRIC_TRACE_SPANS, (double)counts.exported, "exported", NULL, NULL);
    samples_add(to, METRIC_TRACE_SPANS, (double)counts.dropped, "dropped", NULL, NULL);
    samples_add(to, METRIC_TRACE_SPANS, (double)counts.failed, "failed", NULL, NULL);
    add(to, METRIC_TRACE_WAITING, (double)counts.waiting_bytes);
}

/* -- All of it --------------------------------------------------------------------------------- */

static void measure_process(struct samples *to, struct coordinator *c)
{
    samples_add(to, METRIC_BUILD, 1, TERCET_VERSION, crpc_core_version(), NULL);
    add(to, METRIC_START_TIME, (double)c->started_ms / 1000);
    add(to, METRIC_ANSWERS_OWED, (double)c->answers.owed_count);
}

static void unref(struct figures *figures)
{
    if (figures == NULL || --figures->references > 0)
        return;
    samples_clear(&figures->samples);
    while (figures->names != NULL) {
        struct name *name = figures->names;
        figures->names = name->next;
        free(name);
    }
    free(figures);
}

/* The old ones are freed by whoever has them last. */
static void publish(struct expose *expose, struct figures *figures)
{
    pthread_mutex_lock(&expose->lock);
    struct figures *old = expose->latest;
    expose->latest = figures;
    expose->turns++;
    expose->is_asked = false;
    unref(old);
    pthread_mutex_unlock(&expose->lock);
    pthread_cond_broadcast(&expose->changed);
}

void expose_measure(struct coordinator *c)
{
    struct figures *figures = must_alloc(sizeof(*figures));
    figures->references = 1;
    figures->taken_ms = clock_monotonic_ms();
    measure_process(&figures->samples, c);
    measure_ends(&figures->samples, &c->meter);
    measure_open(&figures->samples, c);
    measure_services(figures, c);
    measure_store(&figures->samples, c);
    measure_commits(&figures->samples, c);
    measure_memory(&figures->samples, c);
    measure_connections(&figures->samples, c);
    measure_traces(&figures->samples, c);
    publish(&c->expose, figures);
}

/* -- Asking ------------------------------------------------------------------------------------ */

void expose_init(struct expose *expose)
{
    pthread_condattr_t attributes;
    memset(expose, 0, sizeof(*expose));
    pthread_mutex_init(&expose->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&expose->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void expose_destroy(struct expose *expose)
{
    unref(expose->latest);
    pthread_cond_destroy(&expose->changed);
    pthread_mutex_destroy(&expose->lock);
}

/* Has the owner make new ones, and waits for them for a while; under the lock. */
static void ask(struct coordinator *c)
{
    struct expose *expose = &c->expose;
    const struct timespec until = clock_timespec(clock_monotonic_ms() + EXPOSE_PATIENCE_MS);
    const uint64_t turns = expose->turns;
    const int64_t taken_ms = expose->latest != NULL ? expose->latest->taken_ms : INT64_MIN / 2;
    if (clock_monotonic_ms() - taken_ms <= EXPOSE_FRESH_MS)
        return;
    struct event *event = expose->is_asked ? NULL : event_new(EVENT_MEASURE);
    if (event != NULL) {
        expose->is_asked = true;
        queue_post(&c->queue, event);
    }
    while (expose->turns == turns)
        if (pthread_cond_timedwait(&expose->changed, &expose->lock, &until) != 0)
            break;
}

int expose_visit(struct coordinator *c, tercet_metric_fn each, void *ctx)
{
    struct expose *expose = &c->expose;
    pthread_mutex_lock(&expose->lock);
    ask(c);
    struct figures *figures = expose->latest;
    if (figures != NULL)
        figures->references++;
    pthread_mutex_unlock(&expose->lock);
    if (figures == NULL)
        return TERCET_UNAVAILABLE;
    struct samples age = {0};
    add(&age, METRIC_SNAPSHOT_AGE, (double)(clock_monotonic_ms() - figures->taken_ms) / 1000);
    samples_visit(&age, each, ctx);
    samples_clear(&age);
    samples_visit(&figures->samples, each, ctx);
    pthread_mutex_lock(&expose->lock);
    unref(figures);
    pthread_mutex_unlock(&expose->lock);
    return 0;
}
