/* SPDX-License-Identifier: Apache-2.0
 *
 * payload.h
 */
#include "payload.h"

#include "coordinator.h"
#include "record.h"

bool payload_load(struct coordinator *c, struct entry *entry, struct txn_branch *branch)
{
    struct shard *shard = entry->shard;
    struct branch_info *info = entry_info(entry, branch);
    struct store_value value;
    if (info->has_payload)
        return true;
    int rc = store_get_wait(shard->store, shard->number, entry->number, branch->number, &value);
    if (rc != 0) {
        coordinator_fail(c, tercet_store_strerror(rc));
        return false;
    }
    Tercet__Store__V1__Branch *record =
        (Tercet__Store__V1__Branch *)record_decode(RECORD_BRANCH, value.data, value.size);
    store_value_free(&value);
    if (record == NULL) {
        coordinator_fail(c, "a branch's record is damaged");
        return false;
    }
    entry_keep_payload(&shard->table, info, record->payload.data, record->payload.len);
    crpc_message_free(&record->base);
    return true;
}
