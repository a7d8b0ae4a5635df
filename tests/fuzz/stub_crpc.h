/* SPDX-License-Identifier: Apache-2.0
 *
 * crpc as the coordinator sees it, without a network: what it sends is swallowed, calls of hooks
 * are remembered to be answered. Everything that a real loop would tell is told by stub_settle,
 * between the coordinator's turns.
 */
#ifndef TERCET_FUZZ_STUB_CRPC_H
#define TERCET_FUZZ_STUB_CRPC_H

#include "owner.h"

#define STUB_HOOK_CALLS 16

enum stub_kind { STUB_UNARY, STUB_WATCH, STUB_SESSION, STUB_ATTACH };

struct crpc_call {
    unsigned references;
    unsigned sends; /* under way */
    enum stub_kind kind;
    bool is_over;                         /* it takes no more answers */
    struct caller *caller;                /* a reference; NULL for STUB_ATTACH, */
    struct instance *instance;            /* which has this one */
    uint64_t hook_calls[STUB_HOOK_CALLS]; /* that it was given last */
    size_t hook_call_count;
    struct crpc_call *next;
};

/* A call from outside, with its caller or instance, until it is over. */
struct crpc_call *stub_open(enum stub_kind kind);

/* The i-th open call of a kind, from the newest; NULL: there is none. */
struct crpc_call *stub_find(enum stub_kind kind, size_t i);

/* The peer breaks the call. */
void stub_break(struct crpc_call *call);

/* Tells the coordinator what has been sent and what has ended. */
void stub_settle(struct coordinator *c);

/* The process dies: every call ends, and nobody is told. */
void stub_crash(void);

/* Answers the oldest call to a registered target; NULL: with the status. Returns false when there
 * is none. */
bool stub_answer_target(const Tercet__V1__CallResult *result, enum crpc_code code);

#endif
