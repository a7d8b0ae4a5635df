/* SPDX-License-Identifier: Apache-2.0
 *
 * What the coordinator counts by service: bounded, and nothing is lost past the bound.
 */
#include <check.h>
#include <criterion/criterion.h>
#include <meter.h>
#include <stdio.h>

Test(meter, a_service_keeps_its_series)
{
    struct meter meter;
    meter_init(&meter);
    struct meter_service *service = meter_service_of(&meter, "stock");
    meter_called(service, TERCET_TRY);
    meter_answered(service, TERCET_TRY, 1, 3);
    cr_assert_eq(meter_service_of(&meter, "stock"), service);
    cr_assert_eq(service->calls[TERCET_TRY], 1);
    cr_assert_eq(service->results[TERCET_TRY][1], 1);
    cr_assert_eq(service->took.sum, 3);
    meter_free(&meter);
}

Test(meter, services_past_the_bound_share_one)
{
    struct meter meter;
    char name[32];
    meter_init(&meter);
    for (int i = 0; i < METER_SERVICES_MAX + 10; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        meter_called(meter_service_of(&meter, name), TERCET_CONFIRM);
    }
    cr_assert_eq(meter.service_count, METER_SERVICES_MAX);
    cr_assert_eq(meter.others.calls[TERCET_CONFIRM], 10);
    cr_assert_str_eq(meter.others.name, METER_OTHERS);
    cr_assert_str_eq(meter_service_of(&meter, "s0")->name, "s0");
    meter_free(&meter);
}

Test(meter, what_got_no_answer_has_no_duration)
{
    struct meter meter;
    meter_init(&meter);
    meter_answered(&meter.others, TERCET_CANCEL, 0, 10000);
    meter_answered(&meter.others, TERCET_CANCEL, 77, 5);
    cr_assert_eq(meter.others.results[TERCET_CANCEL][0], 1);
    cr_assert_eq(meter.others.results[TERCET_CANCEL][METER_OUTCOMES - 1], 1,
                 "an outcome that nobody knows");
    cr_assert_eq(meter.others.took.sum, 5);
    meter_free(&meter);
}

Test(meter, who_looks_takes_no_series)
{
    struct meter meter;
    meter_init(&meter);
    cr_assert_null(meter_service_find(&meter, "stock"));
    cr_assert_eq(meter.service_count, 0);
    meter_called(meter_service_of(&meter, "stock"), TERCET_TRY);
    cr_assert_eq(meter_service_find(&meter, "stock")->calls[TERCET_TRY], 1);
    meter_free(&meter);
}

Test(meter, no_service_has_the_name_of_the_others)
{
    cr_assert_not_null(check_service(METER_OTHERS));
}
