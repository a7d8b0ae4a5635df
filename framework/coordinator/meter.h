/* SPDX-License-Identifier: Apache-2.0
 *
 * What is counted for the metrics (metrics.h) and nowhere else: plain numbers of the owner's, of
 * which samples are made when somebody asks (expose.h).
 */
#ifndef TERCET_METER_H
#define TERCET_METER_H

#include <metrics.h>
#include <tercet/types.h>

/* Services with series of their own, in the order in which they were first called; those past it
 * share one, METER_OTHERS: so no stream of new names makes a scrape large. */
#define METER_SERVICES_MAX 200
#define METER_OTHERS "(other)" /* no service's name: those have no brackets */

#define METER_CAUSES 7   /* enum txn_cause */
#define METER_OUTCOMES 6 /* those of tercet.proto, and what no coordinator knows */
#define METER_KINDS 4    /* enum tercet_kind */

enum meter_end { METER_CONFIRMED, METER_CANCELLED, METER_ENDS };

struct meter_service {
    char name[TERCET_SERVICE_MAX + 1];
    uint64_t calls[METER_KINDS];
    uint64_t results[METER_KINDS][METER_OUTCOMES]; /* outcome 0: no answer came in time */
    struct histogram took;
    bool is_called; /* it has series */
};

struct meter {
    uint64_t decided[METER_ENDS][METER_CAUSES];
    uint64_t resolved[METER_ENDS];
    struct histogram decision[METER_ENDS], resolution[METER_ENDS];
    uint64_t parkings;
    struct histogram turn, commit, batch;
    struct meter_service *services[METER_SERVICES_MAX]; /* kept until the end: counters only grow */
    size_t service_count;
    struct meter_service others;
};

void meter_init(struct meter *meter);
void meter_free(struct meter *meter);

void meter_decided(struct meter *meter, enum meter_end end, unsigned cause, int64_t took_ms);
void meter_resolved(struct meter *meter, enum meter_end end, int64_t took_ms);
void meter_turn(struct meter *meter, size_t events);
void meter_committed(struct meter *meter, size_t records, int64_t took_us);

/* The figures of the service with this name: its own, which it gets now unless there are none left,
 * or those of the others. For one that is called. */
struct meter_service *meter_service_of(struct meter *meter, const char *name);
/* The same for those who look: NULL when it has none of its own. */
const struct meter_service *meter_service_find(const struct meter *meter, const char *name);
void meter_called(struct meter_service *service, unsigned kind);
/* An answer has come, or outcome 0: none, in time. */
void meter_answered(struct meter_service *service, unsigned kind, unsigned outcome,
                    int64_t took_ms);

#endif
