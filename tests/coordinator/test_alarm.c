/* SPDX-License-Identifier: Apache-2.0
 *
 * Alarms: the first ones are told, the rest are counted, none is lost.
 */
#include "alarm.h"

#include <criterion/criterion.h>

static uint64_t ring(struct alarm *alarm, int times, int64_t now_ms)
{
    uint64_t told = 0;
    for (int i = 0; i < times; i++)
        told += alarm_is_told(alarm, now_ms);
    return told;
}

Test(alarm, few_are_all_told)
{
    struct alarm alarm = {0};
    cr_assert_eq(ring(&alarm, ALARMS_PER_SECOND, 5000), ALARMS_PER_SECOND);
    cr_assert_eq(alarm_next_ms(&alarm), INT64_MAX);
    cr_assert_eq(ring(&alarm, ALARMS_PER_SECOND, 6000), ALARMS_PER_SECOND);
    cr_assert_eq(alarm_take_silent(&alarm, 7000), 0);
}

Test(alarm, many_are_counted_and_the_count_is_told_when_the_second_is_over)
{
    struct alarm alarm = {0};
    cr_assert_eq(ring(&alarm, 1000, 5000), ALARMS_PER_SECOND);
    cr_assert_eq(alarm_next_ms(&alarm), 6000);
    cr_assert_eq(alarm_take_silent(&alarm, 5999), 0);
    cr_assert_eq(ring(&alarm, 7, 6500), 0, "they wait for the count before them");
    cr_assert_eq(alarm_take_silent(&alarm, 6500), 1000 - ALARMS_PER_SECOND + 7);
    cr_assert_eq(alarm_next_ms(&alarm), INT64_MAX);
    cr_assert_eq(ring(&alarm, 1, 6501), 1);
}
