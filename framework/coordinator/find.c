/* SPDX-License-Identifier: Apache-2.0
 *
 * find.h
 */
#include "find.h"

#include "check.h"
#include "coordinator.h"
#include "record.h"
#include "restore.h"

#include <string.h>

void find_clear(struct found *found)
{
    if (found->resolved != NULL)
        crpc_message_free(&found->resolved->base);
    memset(found, 0, sizeof(*found));
}

/* An index that is damaged may lead to another transaction's record. */
static bool is_whole(const Tercet__Store__V1__Resolved *resolved, const char *gid)
{
    return resolved != NULL && resolved->state != NULL && strcmp(resolved->state->gid, gid) == 0 &&
           resolved->n_actions == resolved->state->n_branches &&
           resolved->n_digests == resolved->state->n_branches;
}

/* The others' outcomes are known: one damaged record is no reason to stop. But what is not known is
 * not told as "unknown gid". */
static int take_record(struct coordinator *c, const char *gid, const struct store_value *value,
                       struct found *found, const char **text)
{
    found->resolved =
        (Tercet__Store__V1__Resolved *)record_decode(RECORD_RESOLVED, value->data, value->size);
    if (is_whole(found->resolved, gid))
        return 0;
    find_clear(found);
    coordinator_log(c, TERCET_LOG_ERROR,
                    "the record of transaction %s, which has ended, is damaged: restore a backup",
                    gid);
    *text = "the record of this transaction, which has ended, is damaged: restore a backup of the "
            "store, or ask the participants";
    return TERCET_FORMAT;
}

static int find_resolved(struct coordinator *c, struct shard *shard, const char *gid,
                         struct found *found, const char **text)
{
    struct store_value value;
    int rc = store_find_wait(shard->store, shard->number, gid, &found->number, &value);
    if (rc == TERCET_STORE_NOT_FOUND)
        return TERCET_NOT_FOUND;
    if (rc != 0) {
        coordinator_fail(c, tercet_store_strerror(rc));
        return TERCET_UNAVAILABLE;
    }
    rc = take_record(c, gid, &value, found, text);
    store_value_free(&value);
    return rc;
}

int find_gid(struct coordinator *c, const char *gid, struct found *found, const char **text)
{
    memset(found, 0, sizeof(*found));
    *text = check_gid(gid);
    if (*text != NULL)
        return TERCET_INVALID;
    struct shard *shard = coordinator_shard_of(c, gid);
    struct entry *entry = table_find(&shard->table, gid);
    if (entry == NULL)
        return find_resolved(c, shard, gid, found, text);
    if (!restore_warm(c, entry, 0))
        return TERCET_UNAVAILABLE;
    found->entry = entry;
    return 0;
}

int find_resolved_branch(const Tercet__Store__V1__Resolved *resolved, uint32_t number)
{
    for (size_t i = 0; i < resolved->state->n_branches; i++)
        if (resolved->state->branches[i]->number == number)
            return (int)i;
    return -1;
}
