/* SPDX-License-Identifier: Apache-2.0
 *
 * One line a parked branch, but not a million of them at once when a participant has been down for
 * long: past ALARMS_A_SECOND they are counted, and the count is one line. No clock of its own.
 */
#ifndef TERCET_ALARM_H
#define TERCET_ALARM_H

#include <stdbool.h>
#include <stdint.h>

#define ALARMS_A_SECOND 20

struct alarm {
    int64_t second_ms; /* when the second began that is counted in */
    uint32_t told;     /* in it */
    uint64_t silent;   /* not told so far */
};

/* Whether this one gets a line of its own; else it is counted. */
bool alarm_is_told(struct alarm *alarm, int64_t now_ms);

/* How many were only counted, once their second is over: 0 before. They are then forgotten. */
uint64_t alarm_take_silent(struct alarm *alarm, int64_t now_ms);

/* When alarm_take_silent has something to give; INT64_MAX: nothing is counted. */
int64_t alarm_next_ms(const struct alarm *alarm);

#endif
