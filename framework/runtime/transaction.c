/* SPDX-License-Identifier: Apache-2.0
 *
 * transaction.h: the handle, counted.
 */
#include "transaction.h"

#include <stdlib.h>

struct tercet_transaction *transaction_ref(struct tercet_transaction *transaction)
{
    atomic_fetch_add(&transaction->refs, 1);
    return transaction;
}

void transaction_unref(struct tercet_transaction *transaction)
{
    if (transaction == NULL || atomic_fetch_sub(&transaction->refs, 1) != 1)
        return;
    if (transaction->begin != NULL)
        crpc_message_free(&transaction->begin->base);
    pthread_mutex_destroy(&transaction->lock);
    free(transaction->own_tries);
    free(transaction);
}

void transaction_acknowledged(struct tercet_transaction *transaction)
{
    if (transaction != NULL)
        atomic_store(&transaction->is_begun, true);
}
