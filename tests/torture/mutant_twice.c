/* SPDX-License-Identifier: Apache-2.0
 *
 * The warehouse as a mutant, whose confirms have their effect twice now and then: for the judge,
 * who must see it. The shop's own stock.c is compiled with service_record under this name.
 */
#include <service.h>

int service_record_twice(const struct tercet_call *call, int64_t amount);

int service_record_twice(const struct tercet_call *call, int64_t amount)
{
    int rc = service_record(call, amount);
    if (rc == 0 && call->kind == TERCET_CONFIRM && amount == 3)
        rc = service_record(call, amount);
    return rc;
}
