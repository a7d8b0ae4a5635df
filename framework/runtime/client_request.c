/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h: requests: made, packed, freed.
 */
#include "client.h"

#include "transaction.h"

#include <stdlib.h>

#define REQUEST_OVERHEAD 16u /* tag and length of an element */

struct client_request *client_request_new(enum client_kind kind, const struct tercet_gid *gid)
{
    struct client_request *request = calloc(1, sizeof(*request));
    if (request == NULL)
        return NULL;
    request->kind = kind;
    request->gid = *gid;
    request->pause = (struct runtime_pause){.first_ms = CLIENT_PAUSE_MS_FIRST,
                                            .longest_ms = CLIENT_PAUSE_MS_LONGEST};
    return request;
}

struct client_request *client_request_of(struct tercet_transaction *transaction,
                                         enum client_kind kind)
{
    struct client_request *request = client_request_new(kind, &transaction->gid);
    if (request == NULL)
        return NULL;
    request->transaction = transaction_ref(transaction);
    request->deadline_ms = clock_monotonic_ms() + transaction->timeout_ms;
    return request;
}

void client_request_free(struct client_request *request)
{
    if (request == NULL)
        return;
    client_request_free(request->then);
    transaction_unref(request->transaction);
    free(request->bytes);
    free(request);
}

int client_request_pack(struct client_request *request, struct tercet_client *client,
                        Tercet__V1__SessionRequest *message, struct refusal *no)
{
    request->entry.id = atomic_fetch_add(&client->last_id, 1) + 1;
    message->id = request->entry.id;
    size_t size = protobuf_c_message_get_packed_size(&message->base);
    if (size > TERCET_MESSAGE_MAX - REQUEST_OVERHEAD)
        return refusal_set(no, TERCET_INVALID,
                           "a request has at most 1 MiB in all: use fewer or smaller branches, or "
                           "go step by step");
    request->bytes = malloc(size);
    if (request->bytes == NULL)
        return refusal_set_plain(no, TERCET_NOMEM);
    request->size = protobuf_c_message_pack(&message->base, request->bytes);
    return 0;
}
