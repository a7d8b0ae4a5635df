/* SPDX-License-Identifier: Apache-2.0
 *
 * Which transactions ls, export and --all are for, also where the clocks of operator and
 * coordinator differ.
 */
#include "tercetctl.h"

#include <criterion/criterion.h>

#define HOUR_MS (60 * 60 * INT64_C(1000))

/* Whether one that is so old by the operator's clock is let through. */
static bool lets(int64_t older_than_ms, int64_t age_ms)
{
    struct ctl ctl = {.older_than_ms = older_than_ms};
    Tercet__V1__Transaction transaction = TERCET__V1__TRANSACTION__INIT;
    transaction.created_ms = clock_wall_ms() - age_ms;
    return filter_lets(&ctl, &transaction);
}

Test(filter, age)
{
    cr_expect(lets(HOUR_MS, 2 * HOUR_MS));
    cr_expect_not(lets(HOUR_MS, HOUR_MS / 2));
    cr_expect_not(lets(HOUR_MS, -HOUR_MS));
}

Test(filter, an_operator_whose_clock_is_behind_sees_all)
{
    cr_expect(lets(0, 0));
    cr_expect(lets(0, -HOUR_MS));
}
