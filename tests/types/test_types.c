/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and texts: every value of every list has one, and everything else has one too.
 */
#include <clock.h>
#include <criterion/criterion.h>
#include <limits.h>
#include <tercet/types.h>

#define CODE_MIN (-64)

Test(types, zero_is_ok)
{
    cr_assert_str_eq(tercet_error_name(0), "TERCET_OK");
    cr_assert_str_eq(tercet_strerror(0), "done");
}

Test(types, each_error_has_its_own_name_and_text)
{
#define CHECK(name, value, text)                                                                   \
    cr_assert_eq(name, value);                                                                     \
    cr_assert_lt(name, 0);                                                                         \
    cr_assert_str_eq(tercet_error_name(name), #name);                                              \
    cr_assert_str_eq(tercet_strerror(name), text);
    TERCET_ERROR_MAP(CHECK)
#undef CHECK
}

Test(types, no_two_errors_share_a_name_or_a_text)
{
    const char *unknown = tercet_error_name(INT_MIN);
    for (int a = CODE_MIN; a <= 0; a++) {
        for (int b = CODE_MIN; b < a; b++) {
            if (tercet_error_name(a) == unknown || tercet_error_name(b) == unknown)
                continue;
            cr_assert_str_neq(tercet_error_name(a), tercet_error_name(b));
            cr_assert_str_neq(tercet_strerror(a), tercet_strerror(b));
        }
    }
}

Test(types, unknown_values_have_a_text_too)
{
    static const int strange[] = {INT_MIN, -1000, 1000, INT_MAX};
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        cr_assert_not_null(tercet_strerror(strange[i]));
        cr_assert_not_null(tercet_error_name(strange[i]));
        cr_assert_str_eq(tercet_kind_name(strange[i]), "?");
        cr_assert_str_eq(tercet_state_name(strange[i]), "?");
        cr_assert_str_eq(tercet_cause_text(strange[i]), "?");
    }
}

Test(types, kinds_states_and_causes)
{
    cr_assert_str_eq(tercet_kind_name(TERCET_TRY), "try");
    cr_assert_str_eq(tercet_kind_name(TERCET_CONFIRM), "confirm");
    cr_assert_str_eq(tercet_kind_name(TERCET_CANCEL), "cancel");
    cr_assert_str_eq(tercet_kind_name(0), "?");
#define CHECK_STATE(name, value, text) cr_assert_str_eq(tercet_state_name(value), text);
    TERCET_STATE_MAP(CHECK_STATE)
#undef CHECK_STATE
#define CHECK_CAUSE(name, value, text) cr_assert_str_eq(tercet_cause_text(value), text);
    TERCET_CAUSE_MAP(CHECK_CAUSE)
#undef CHECK_CAUSE
}

Test(types, clocks_count_milliseconds)
{
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    int64_t now_ms = clock_monotonic_ms();
    clock_gettime(CLOCK_MONOTONIC, &after);
    cr_assert_geq(now_ms, (int64_t)before.tv_sec * 1000 + before.tv_nsec / 1000000);
    cr_assert_leq(now_ms, (int64_t)after.tv_sec * 1000 + after.tv_nsec / 1000000);
    cr_assert_geq(clock_monotonic_us() / 1000, now_ms);
    cr_assert_leq(clock_monotonic_us() / 1000, clock_monotonic_ms());
    const struct timespec span = clock_timespec(12345);
    cr_assert_eq(span.tv_sec, 12);
    cr_assert_eq(span.tv_nsec, 345000000);
}
