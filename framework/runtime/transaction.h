/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside a transaction that goes step by step. Its begin rides on tries and enlistments until one
 * was acknowledged. The handle is counted: open requests keep it.
 */
#ifndef TERCET_TRANSACTION_H
#define TERCET_TRANSACTION_H

#include "client.h"

struct tercet_transaction {
    atomic_uint refs;
    struct tercet_client *client;
    struct tercet_gid gid;
    int64_t timeout_ms;
    Tercet__V1__BeginRequest *begin; /* never changed */
    atomic_bool is_begun;            /* the coordinator has acknowledged the begin */

    pthread_mutex_t lock;
    uint32_t branch_count; /* numbers given out */
    bool is_confirmed;     /* a confirm was asked for */
    bool is_dropped;       /* cancelled before anything was sent */
    uint8_t *own_tries;    /* by branch number, an enum own_try; NULL: nobody keeps count */
};

enum own_try { OWN_TRY_NONE, OWN_TRY_OPEN, OWN_TRY_DONE };

struct tercet_transaction *transaction_ref(struct tercet_transaction *transaction);
void transaction_unref(struct tercet_transaction *transaction); /* NULL is fine */

/* The coordinator has answered a request of this transaction (NULL is fine) with OK. */
void transaction_acknowledged(struct tercet_transaction *transaction);

#endif
