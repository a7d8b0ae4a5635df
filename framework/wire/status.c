/* SPDX-License-Identifier: Apache-2.0
 *
 * status.h
 */
#include "status.h"

#include <stddef.h>
#include <tercet/types.h>

static const struct {
    int error;
    enum crpc_code code;
} pairs[] = {
    {TERCET_INVALID, CRPC_INVALID_ARGUMENT},
    {TERCET_NOT_FOUND, CRPC_NOT_FOUND},
    {TERCET_EXISTS, CRPC_ALREADY_EXISTS},
    {TERCET_DECIDED, CRPC_FAILED_PRECONDITION},
    {TERCET_NOT_READY, CRPC_FAILED_PRECONDITION},
    {TERCET_BROKEN, CRPC_FAILED_PRECONDITION},
    {TERCET_EXHAUSTED, CRPC_RESOURCE_EXHAUSTED},
    {TERCET_REFUSED, CRPC_ABORTED},
    {TERCET_UNAVAILABLE, CRPC_UNAVAILABLE},
    {TERCET_CLOSED, CRPC_UNAVAILABLE},
    {TERCET_AGAIN, CRPC_UNAVAILABLE},
    {TERCET_UNKNOWN, CRPC_UNKNOWN},
    {TERCET_DENIED, CRPC_PERMISSION_DENIED},
    {TERCET_DENIED, CRPC_UNAUTHENTICATED},
    {TERCET_FORMAT, CRPC_DATA_LOSS},
    {TERCET_INTERNAL, CRPC_UNIMPLEMENTED},
};
#define PAIR_COUNT (sizeof(pairs) / sizeof(pairs[0]))

enum crpc_code status_of_error(int error)
{
    if (error == 0)
        return CRPC_OK;
    for (size_t i = 0; i < PAIR_COUNT; i++)
        if (pairs[i].error == error)
            return pairs[i].code;
    return CRPC_INTERNAL;
}

int error_of_status(enum crpc_code code)
{
    if (code == CRPC_OK)
        return 0;
    if (code == CRPC_UNAVAILABLE)
        return TERCET_UNKNOWN;
    for (size_t i = 0; i < PAIR_COUNT; i++)
        if (pairs[i].code == code)
            return pairs[i].error;
    return TERCET_UNKNOWN;
}

int error_of_crpc(int crpc_error)
{
    switch (crpc_error) {
    case 0:
        return 0;
    case CRPC_EINVAL:
        return TERCET_INVALID;
    case CRPC_ENOMEM:
        return TERCET_NOMEM;
    case CRPC_EADDRESS:
        return TERCET_ADDRESS;
    case CRPC_ETLS:
        return TERCET_TLS;
    case CRPC_ETOOBIG:
        return TERCET_EXHAUSTED;
    case CRPC_ECLOSED:
    case CRPC_EFORKED:
        return TERCET_CLOSED;
    default:
        return TERCET_INTERNAL;
    }
}
