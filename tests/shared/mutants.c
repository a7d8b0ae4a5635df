/* SPDX-License-Identifier: Apache-2.0
 *
 * mutants.h
 */
#include "mutants.h"

#include <stdlib.h>
#include <string.h>

int __real_txn_step(struct txn *txn, const struct txn_event *event, struct txn_actions *actions);
int __wrap_txn_step(struct txn *txn, const struct txn_event *event, struct txn_actions *actions);
uint64_t __real_shard_low_water(const struct shard *shard);
uint64_t __wrap_shard_low_water(const struct shard *shard);
void __real_effect_answer(struct coordinator *c, struct caller *caller, uint64_t id,
                          const struct reply *reply, struct entry *entry);
void __wrap_effect_answer(struct coordinator *c, struct caller *caller, uint64_t id,
                          const struct reply *reply, struct entry *entry);

void __real_batch_lazy(struct entry *entry);
void __wrap_batch_lazy(struct entry *entry);
void __real_batch_put_branch(const struct entry *entry, const struct txn_branch *branch);
void __wrap_batch_put_branch(const struct entry *entry, const struct txn_branch *branch);

void __real_batch_drop_resolved(struct shard *shard, int64_t before_ms);
void __wrap_batch_drop_resolved(struct shard *shard, int64_t before_ms);

void __real_batch_put_meta(struct shard *shard, const char *name, struct crpc_bytes value);
void __wrap_batch_put_meta(struct shard *shard, const char *name, struct crpc_bytes value);

void __real_txn_try_leaves(struct txn *txn, uint32_t number);
void __wrap_txn_try_leaves(struct txn *txn, uint32_t number);

const struct mutant_info mutants[] = {
#define MUTANT_INFO(name, text, is_simulated, scenario)                                            \
    [MUTANT_##name] = {text, is_simulated, scenario},
    MUTANT_MAP(MUTANT_INFO)
#undef MUTANT_INFO
};

static bool decides(const struct txn_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++)
        if (actions->items[i].kind == TXN_DECIDED)
            return true;
    return false;
}

static bool persists(const struct txn_actions *actions)
{
    return actions->count > 0 && actions->items[0].kind == TXN_PERSIST;
}

static void put_persist_last(struct txn_actions *actions)
{
    struct txn_action persist = actions->items[0];
    memmove(actions->items, actions->items + 1, (actions->count - 1) * sizeof(persist));
    actions->items[actions->count - 1] = persist;
}

/* From the third attempt on a call is never made. */
static void lose_retries(struct txn_actions *actions)
{
    size_t kept = 0;
    for (size_t i = 0; i < actions->count; i++)
        if (actions->items[i].attempt < 3)
            actions->items[kept++] = actions->items[i];
    actions->count = kept;
}

static void confuse_calls(struct txn_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++)
        if (actions->items[i].kind == TXN_CALL_CONFIRM && actions->items[i].attempt > 1)
            actions->items[i].kind = TXN_CALL_CANCEL;
}

/* A coordinator that does not know what it never sent. */
static void owe_all(struct txn *txn)
{
    for (size_t i = 0; txn->state == TXN_TRYING && i < txn->branch_count; i++)
        txn->branches[i].sent = TXN_SENT_MAYBE;
}

static void confirm_part(const struct txn *txn, struct txn_actions *actions)
{
    for (size_t i = 0; txn->is_partial && i < actions->count; i++)
        if (actions->items[i].kind == TXN_CALL_CANCEL)
            actions->items[i].kind = TXN_CALL_CONFIRM;
}

int __wrap_txn_step(struct txn *txn, const struct txn_event *event, struct txn_actions *actions)
{
    if (mutant_now() == MUTANT_NO_DEADLINE)
        txn->deadline_ms = TXN_NEVER - 1;
    if (mutant_now() == MUTANT_UNSENT_IS_OWED)
        owe_all(txn);
    int rc = __real_txn_step(txn, event, actions);
    if (mutant_now() == MUTANT_HELD_GOES && event->kind == TXN_TRY_MAY_GO && persists(actions))
        actions->items[0].kind = TXN_MARK;
    if (mutant_now() == MUTANT_PART_IS_CONFIRMED)
        confirm_part(txn, actions);
    if (mutant_now() == MUTANT_LAZY_DECISION && decides(actions) && persists(actions))
        actions->items[0].kind = TXN_MARK;
    if (mutant_now() == MUTANT_PERSIST_LAST && persists(actions))
        put_persist_last(actions);
    if (mutant_now() == MUTANT_LOST_RETRY)
        lose_retries(actions);
    if (mutant_now() == MUTANT_WRONG_CALL)
        confuse_calls(actions);
    return rc;
}

/* A try leaves and its branch is taken for one that was never sent. */
void __wrap_txn_try_leaves(struct txn *txn, uint32_t number)
{
    if (mutant_now() != MUTANT_SENT_IS_FORGOTTEN)
        __real_txn_try_leaves(txn, number);
}

/* What is only in memory counts as over. */
uint64_t __wrap_shard_low_water(const struct shard *shard)
{
    return mutant_now() == MUTANT_HIGH_MARK ? shard->next_number - 1
                                            : __real_shard_low_water(shard);
}

void __wrap_effect_answer(struct coordinator *c, struct caller *caller, uint64_t id,
                          const struct reply *reply, struct entry *entry)
{
    bool is_lazy = entry->is_lazy || (entry->is_dirty && !entry->shard->batcher.filling->is_forced);
    if (mutant_now() != MUTANT_EARLY_ANSWERS && (mutant_now() != MUTANT_LAZY_SHOWN || !is_lazy)) {
        __real_effect_answer(c, caller, id, reply, entry);
        return;
    }
    struct answer answer = caller_encode(caller, &c->scratch, id, reply);
    answer_deliver(&c->answers, caller, &answer);
}

void __wrap_batch_lazy(struct entry *entry)
{
    if (mutant_now() != MUTANT_LOST_MARK)
        __real_batch_lazy(entry);
}

void __wrap_batch_put_branch(const struct entry *entry, const struct txn_branch *branch)
{
    struct branch_info *info = entry_info(entry, branch);
    uint32_t size = info->payload_size;
    if (mutant_now() == MUTANT_LOST_BRANCH)
        return;
    if (mutant_now() == MUTANT_LOST_PAYLOAD)
        info->payload_size = 0;
    __real_batch_put_branch(entry, branch);
    info->payload_size = size;
}

void __wrap_batch_drop_resolved(struct shard *shard, int64_t before_ms)
{
    bool is_wall = mutant_now() == MUTANT_WALL_RETENTION;
    if (mutant_now() == MUTANT_KEPT_FOR_EVER)
        return;
    __real_batch_drop_resolved(
        shard, is_wall ? before_ms - retention_now_ms(&shard->retention, shard->clock->now_ms) +
                             shard->clock->wall_ms
                       : before_ms);
}

static void forget_reply(struct entry *entry)
{
    for (size_t i = 0; i < entry->txn.branch_count; i++) {
        free(entry->infos[i].reply);
        entry->infos[i].reply = NULL;
        entry->infos[i].reply_size = 0;
    }
}

static void forget_decision(struct txn *txn)
{
    txn->state = TXN_TRYING;
    txn->cause = TXN_CAUSE_NONE;
    for (size_t i = 0; i < txn->branch_count; i++) {
        struct txn_branch *branch = &txn->branches[i];
        branch->end_state = TXN_END_NONE;
        branch->is_parked = branch->is_broken = branch->is_settled = false;
    }
}

/* A pause or a registration that is acknowledged and not written. */
void __wrap_batch_put_meta(struct shard *shard, const char *name, struct crpc_bytes value)
{
    bool is_participant = strncmp(name, "participant/", 12) == 0;
    if (mutant_now() != MUTANT_LOST_META || !is_participant)
        __real_batch_put_meta(shard, name, value);
}

/* A restart that does not go by what was decided. */
void mutate_restored(struct coordinator *c)
{
    for (struct entry *entry = c->shards->table.oldest; entry != NULL; entry = entry->newer) {
        if (mutant_now() == MUTANT_CONFIRM_DOES_NOT_WAIT)
            entry->was_restored = false;
        if (mutant_now() == MUTANT_LOST_REPLY)
            forget_reply(entry);
        bool is_confirming = entry->txn.state == TXN_CONFIRMING;
        if (mutant_now() == MUTANT_RESTART_FORGETS && entry->txn.state != TXN_TRYING)
            forget_decision(&entry->txn);
        if (mutant_now() == MUTANT_RESTART_TURNS && is_confirming) {
            entry->txn.state = TXN_CANCELLING;
            entry->txn.cause = TXN_CAUSE_DEADLINE;
        }
    }
}
