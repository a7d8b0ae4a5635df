/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits how many log lines per second tell of parked branches: after a long outage a million may
 * be parked at once. Past ALARMS_PER_SECOND they are only counted, and the count is one line. It
 * reads no clock: time is an argument.
 */
#ifndef TERCET_ALARM_H
#define TERCET_ALARM_H

#include <stdbool.h>
#include <stdint.h>

#define ALARMS_PER_SECOND 20

struct alarm {
    int64_t second_ms; /* when the current second began */
    uint32_t told;     /* alarms logged in it */
    uint64_t silent;   /* alarms only counted since */
};

/* Counts one alarm, and returns whether it gets a log line of its own. */
bool alarm_is_told(struct alarm *alarm, int64_t now_ms);

/* How many alarms were only counted, once their second is over (0 before), and forgets them. */
uint64_t alarm_take_silent(struct alarm *alarm, int64_t now_ms);

/* When alarm_take_silent will return more than 0; INT64_MAX: never, none was only counted. */
int64_t alarm_next_ms(const struct alarm *alarm);

#endif
