/* SPDX-License-Identifier: Apache-2.0
 *
 * Result codes on the wire and back.
 */
#include "status.h"

#include <criterion/criterion.h>
#include <tercet/types.h>

static const int told[] = {TERCET_INVALID,   TERCET_NOT_FOUND, TERCET_EXISTS, TERCET_DECIDED,
                           TERCET_EXHAUSTED, TERCET_REFUSED,   TERCET_DENIED, TERCET_FORMAT};

Test(status, what_an_initiator_acts_on_comes_back_as_it_was)
{
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
        cr_assert_eq(error_of_status(status_of_error(told[i])), told[i], "%s",
                     tercet_error_name(told[i]));
    cr_assert_eq(status_of_error(0), CRPC_OK);
    cr_assert_eq(error_of_status(CRPC_OK), 0);
}

Test(status, what_says_nothing_of_the_outcome_is_unknown)
{
    static const enum crpc_code codes[] = {CRPC_UNAVAILABLE, CRPC_CANCELLED, CRPC_DEADLINE_EXCEEDED,
                                           CRPC_UNKNOWN,     CRPC_INTERNAL,  (enum crpc_code)99};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        cr_assert_eq(error_of_status(codes[i]), TERCET_UNKNOWN, "status %d", (int)codes[i]);
    cr_assert_eq(error_of_status(CRPC_UNIMPLEMENTED), TERCET_INTERNAL);
    cr_assert_eq(error_of_status(CRPC_UNAUTHENTICATED), TERCET_DENIED);
}

Test(status, what_may_be_asked_again_is_unavailable)
{
    cr_assert_eq(status_of_error(TERCET_UNAVAILABLE), CRPC_UNAVAILABLE);
    cr_assert_eq(status_of_error(TERCET_CLOSED), CRPC_UNAVAILABLE);
    cr_assert_eq(status_of_error(TERCET_AGAIN), CRPC_UNAVAILABLE);
}

Test(status, what_has_no_code_of_its_own_is_internal)
{
    cr_assert_eq(status_of_error(TERCET_NOMEM), CRPC_INTERNAL);
    cr_assert_eq(status_of_error(12345), CRPC_INTERNAL);
}

Test(status, a_result_of_crpc_is_one_of_ours)
{
    static const struct {
        int crpc;
        int ours;
    } pairs[] = {
        {0, 0},
        {CRPC_EINVAL, TERCET_INVALID},
        {CRPC_ENOMEM, TERCET_NOMEM},
        {CRPC_EADDRESS, TERCET_ADDRESS},
        {CRPC_ETLS, TERCET_TLS},
        {CRPC_ETOOBIG, TERCET_EXHAUSTED},
        {CRPC_ECLOSED, TERCET_CLOSED},
        {CRPC_EBUSY, TERCET_INTERNAL},
        {12345, TERCET_INTERNAL},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        cr_assert_eq(error_of_crpc(pairs[i].crpc), pairs[i].ours, "%d", pairs[i].crpc);
}
