/* SPDX-License-Identifier: Apache-2.0
 *
 * meter.h
 */
#include "meter.h"

#include "arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void meter_init(struct meter *meter)
{
    memset(meter, 0, sizeof(*meter));
    strcpy(meter->others.name, METER_OTHERS);
}

void meter_free(struct meter *meter)
{
    for (size_t i = 0; i < meter->service_count; i++)
        free(meter->services[i]);
    meter->service_count = 0;
}

void meter_decided(struct meter *meter, enum meter_end end, unsigned cause, int64_t took_ms)
{
    assert(cause < METER_CAUSES);
    meter->decided[end][cause]++;
    histogram_add(&meter->decision[end], METRIC_DECISION, took_ms);
}

void meter_resolved(struct meter *meter, enum meter_end end, int64_t took_ms)
{
    meter->resolved[end]++;
    histogram_add(&meter->resolution[end], METRIC_RESOLUTION, took_ms);
}

void meter_turn(struct meter *meter, size_t events)
{
    histogram_add(&meter->turn, METRIC_TURN_EVENTS, (int64_t)events);
}

void meter_committed(struct meter *meter, size_t records, int64_t took_us)
{
    histogram_add(&meter->batch, METRIC_COMMIT_BATCH, (int64_t)records);
    histogram_add(&meter->commit, METRIC_COMMIT_DURATION, took_us);
}

static struct meter_service *find(const struct meter *meter, const char *name)
{
    for (size_t i = 0; i < meter->service_count; i++)
        if (strcmp(meter->services[i]->name, name) == 0)
            return meter->services[i];
    return NULL;
}

const struct meter_service *meter_service_find(const struct meter *meter, const char *name)
{
    return find(meter, name);
}

struct meter_service *meter_service_of(struct meter *meter, const char *name)
{
    struct meter_service *service = find(meter, name);
    if (service != NULL)
        return service;
    if (meter->service_count == METER_SERVICES_MAX)
        return &meter->others;
    service = must_alloc(sizeof(*service));
    snprintf(service->name, sizeof(service->name), "%s", name);
    meter->services[meter->service_count++] = service;
    return service;
}

void meter_called(struct meter_service *service, unsigned kind)
{
    assert(kind < METER_KINDS);
    service->is_called = true;
    service->calls[kind]++;
}

void meter_answered(struct meter_service *service, unsigned kind, unsigned outcome, int64_t took_ms)
{
    assert(kind < METER_KINDS);
    service->results[kind][outcome < METER_OUTCOMES ? outcome : METER_OUTCOMES - 1]++;
    if (outcome != 0)
        histogram_add(&service->took, METRIC_SERVICE_DURATION, took_ms);
}
