/* SPDX-License-Identifier: Apache-2.0
 *
 * alarm.h
 */
#include "alarm.h"

#include <assert.h>

#define SECOND_MS 1000

bool alarm_is_told(struct alarm *alarm, int64_t now_ms)
{
    if (alarm->silent == 0 && (alarm->told == 0 || now_ms - alarm->second_ms >= SECOND_MS))
        *alarm = (struct alarm){.second_ms = now_ms};
    if (alarm->silent == 0 && alarm->told < ALARMS_PER_SECOND) {
        alarm->told++;
        return true;
    }
    assert(alarm->told == ALARMS_PER_SECOND || alarm->silent > 0);
    alarm->silent++;
    return false;
}

uint64_t alarm_take_silent(struct alarm *alarm, int64_t now_ms)
{
    uint64_t silent = now_ms >= alarm_next_ms(alarm) ? alarm->silent : 0;
    if (silent > 0)
        *alarm = (struct alarm){.second_ms = now_ms};
    return silent;
}

int64_t alarm_next_ms(const struct alarm *alarm)
{
    return alarm->silent > 0 ? alarm->second_ms + SECOND_MS : INT64_MAX;
}
