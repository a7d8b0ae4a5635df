/* SPDX-License-Identifier: Apache-2.0
 *
 * call.h
 */
#include "call.h"

#include <criterion/criterion.h>
#include <stdlib.h>

void call_clear(struct crpc_call *call)
{
    for (size_t i = 0; i < call->send_count; i++)
        free((void *)call->sends[i].data);
    call->send_count = 0;
}

void crpc_call_ref(struct crpc_call *call)
{
    call->references++;
}

void crpc_call_unref(struct crpc_call *call)
{
    call->references--;
}

int crpc_call_send_owned(struct crpc_call *call, void *data, size_t size)
{
    if (call->send_result != 0)
        return call->send_result;
    cr_assert_lt(call->send_count, CALL_SENDS_MAX);
    call->sends[call->send_count++] = (struct crpc_bytes){data, size};
    return 0;
}

int crpc_call_finish(struct crpc_call *call, const struct crpc_status *status)
{
    call->finish_count++;
    call->code = status->code;
    return 0;
}
