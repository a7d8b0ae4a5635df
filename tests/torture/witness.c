/* SPDX-License-Identifier: Apache-2.0
 *
 * witness.h
 */
#include "witness.h"

#include "history.h"

#include <fcntl.h>

static int witness_log = -1;

bool witness_open(const char *path)
{
    witness_log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return witness_log >= 0;
}

void witness_call(const Tercet__V1__Call *call)
{
    if (call->kind == TERCET__V1__KIND__CONFIRM)
        history_told(witness_log, call->gid, "call", 0, TERCET_CONFIRMING, history_now_us());
    else if (call->kind == TERCET__V1__KIND__CANCEL)
        history_told(witness_log, call->gid, "call", 0, TERCET_CANCELLING, history_now_us());
}
