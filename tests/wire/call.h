/* SPDX-License-Identifier: Apache-2.0
 *
 * crpc as the outbox sees it, without a network: a call that keeps what it is given, or takes
 * nothing.
 */
#ifndef TERCET_TEST_WIRE_CALL_H
#define TERCET_TEST_WIRE_CALL_H

#include <crpc/crpc.h>

#define CALL_SENDS_MAX 16

struct crpc_call {
    int references;
    int send_result; /* what the next sends are told */
    struct crpc_bytes sends[CALL_SENDS_MAX];
    size_t send_count;
    size_t finish_count;
    enum crpc_code code; /* of the last finish */
};

/* Frees what was sent. */
void call_clear(struct crpc_call *call);

#endif
