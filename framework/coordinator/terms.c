/* SPDX-License-Identifier: Apache-2.0
 *
 * terms.h
 */
#include "terms.h"

#include "coordinator.h"
#include "payload.h"

#include <string.h>

static Tercet__V1__Metadata **call_metadata(struct coordinator *c, const struct entry *entry)
{
    size_t count = entry->metadata_count;
    Tercet__V1__Metadata *items = arena_alloc(&c->scratch, count * sizeof(*items));
    Tercet__V1__Metadata **pointers = arena_alloc(&c->scratch, count * sizeof(*pointers));
    for (size_t i = 0; i < count; i++) {
        tercet__v1__metadata__init(&items[i]);
        items[i].key = (char *)entry->metadata[i].key;
        items[i].value = (char *)entry->metadata[i].value;
        pointers[i] = &items[i];
    }
    return pointers;
}

static uint32_t first_given(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    return a != 0 ? a : b != 0 ? b : c != 0 ? c : d;
}

/* How long one call of a try may take: what the initiator or the participant has set for a call
 * (`asked_ms`), else the coordinator's call timeout, or all that is left where the initiator has
 * set a timeout for the whole try. Never longer than what is left of the try. */
static uint32_t try_timeout(const struct coordinator *c, const struct txn *txn,
                            const struct txn_branch *branch, uint32_t asked_ms)
{
    bool has_default = branch->try_timeout_ms == TRY_TIMEOUT_MS_DEFAULT;
    int64_t until_ms =
        branch->try_until_ms < txn->deadline_ms ? branch->try_until_ms : txn->deadline_ms;
    int64_t left_ms = until_ms > c->clock.now_ms ? until_ms - c->clock.now_ms : 1;
    if (asked_ms == 0 && has_default)
        asked_ms = c->options.call_timeout_ms;
    return asked_ms != 0 && asked_ms < left_ms ? asked_ms : (uint32_t)left_ms;
}

uint32_t terms_timeout_ms(const struct coordinator *c, const struct entry *entry,
                          const struct txn_branch *branch, enum tercet_kind kind,
                          const struct offer *offer)
{
    const struct branch_info *info = entry_info(entry, branch);
    const struct offered *offered = offer_find(offer, info->action);
    const struct call_timeouts none = {0};
    const struct call_timeouts *asked = &info->timeouts;
    const struct call_timeouts *served = offered != NULL ? &offered->timeouts : &none;
    if (kind == TERCET_TRY)
        return try_timeout(c, &entry->txn, branch,
                           asked->call_ms != 0 ? asked->call_ms : served->call_ms);
    uint32_t given = first_given(asked->end_ms, asked->call_ms, served->end_ms, served->call_ms);
    return given != 0 ? given : c->options.call_timeout_ms;
}

bool terms_fill(struct coordinator *c, struct entry *entry, struct txn_branch *branch,
                Tercet__V1__Call *out)
{
    if (!payload_load(c, entry, branch))
        return false;
    const struct branch_info *info = entry_info(entry, branch);
    size_t action_size = strlen(info->service->name) + strlen(info->action) + 2;
    char *action = arena_alloc(&c->scratch, action_size);
    tercet__v1__call__init(out);
    stpcpy(stpcpy(stpcpy(action, info->service->name), "/"), info->action);
    out->gid = entry->gid;
    out->branch = branch->number;
    out->action = action;
    out->payload.data = info->payload;
    out->payload.len = info->payload_size;
    out->number = entry->number;
    out->low_water = shard_low_water(entry->shard);
    out->source = entry->shard->source;
    out->metadata = call_metadata(c, entry);
    out->n_metadata = entry->metadata_count;
    return true;
}
