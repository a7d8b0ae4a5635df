/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults put into the product from outside, at its seams (the linker's --wrap): a matrix that does
 * not find them proves nothing by finding nothing.
 */
#include "faults.h"

#include <stdlib.h>
#include <string.h>

int __real_txn_step(struct txn *txn, const struct txn_event *event, struct txn_actions *actions);
int __wrap_txn_step(struct txn *txn, const struct txn_event *event, struct txn_actions *actions);
int __real_store_commit(struct store *store, uint32_t shard, uint64_t epoch,
                        const struct tercet_store_op *ops, size_t count);
int __wrap_store_commit(struct store *store, uint32_t shard, uint64_t epoch,
                        const struct tercet_store_op *ops, size_t count);
void __real_batch_answer(struct coordinator *c, struct caller *caller, uint64_t id,
                         const struct reply *reply, struct entry *entry);
void __wrap_batch_answer(struct coordinator *c, struct caller *caller, uint64_t id,
                         const struct reply *reply, struct entry *entry);
void __real_batch_put_branch(struct coordinator *c, const struct entry *entry,
                             const struct txn_branch *branch);
void __wrap_batch_put_branch(struct coordinator *c, const struct entry *entry,
                             const struct txn_branch *branch);
void __real_batch_put_meta(struct coordinator *c, const char *name, struct crpc_bytes value);
void __wrap_batch_put_meta(struct coordinator *c, const char *name, struct crpc_bytes value);

const char *mutant_name(int mutant)
{
    static const char *const names[] = {
#define MUTANT_NAME(name, text, scenario) [MUTANT_##name] = text,
        MUTANT_MAP(MUTANT_NAME)
#undef MUTANT_NAME
    };
    return names[mutant];
}

const char *mutant_scenario(int mutant)
{
    static const char *const names[] = {
#define MUTANT_SCENARIO(name, text, scenario) [MUTANT_##name] = scenario,
        MUTANT_MAP(MUTANT_SCENARIO)
#undef MUTANT_SCENARIO
    };
    return names[mutant];
}

/* -- A commit that is told before it is done --------------------------------------------------- */

static struct {
    struct store *store;
    uint64_t epoch;
    struct tercet_store_op *ops;
    size_t count;
} put_off;

static void *copy(const void *data, size_t size)
{
    return memcpy(must_alloc(size + 1), data, size);
}

void mutant_catch_up(void)
{
    if (put_off.ops == NULL)
        return;
    __real_store_commit(put_off.store, 0, put_off.epoch, put_off.ops, put_off.count);
    put_off.ops = NULL; /* what it holds is left to the process's end */
}

int __wrap_store_commit(struct store *store, uint32_t shard, uint64_t epoch,
                        const struct tercet_store_op *ops, size_t count)
{
    if (order->mutant != MUTANT_EARLY_RELEASE)
        return __real_store_commit(store, shard, epoch, ops, count);
    mutant_catch_up();
    put_off.store = store;
    put_off.epoch = epoch;
    put_off.count = count;
    put_off.ops = copy(ops, count * sizeof(*ops));
    for (size_t i = 0; i < count; i++) {
        struct tercet_store_op *op = &put_off.ops[i];
        op->value = op->value != NULL ? copy(op->value, op->size) : NULL;
        op->gid = op->gid != NULL ? must_strdup(op->gid) : NULL;
        op->name = op->name != NULL ? must_strdup(op->name) : NULL;
    }
    return 0;
}

/* -- The owner's turns ------------------------------------------------------------------------- */

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

int __wrap_txn_step(struct txn *txn, const struct txn_event *event, struct txn_actions *actions)
{
    int rc = __real_txn_step(txn, event, actions);
    if (order->mutant == MUTANT_LAZY_DECISION && decides(actions) && persists(actions))
        actions->items[0].kind = TXN_MARK;
    if (order->mutant == MUTANT_PERSIST_LAST && persists(actions)) {
        struct txn_action persist = actions->items[0];
        memmove(actions->items, actions->items + 1, (actions->count - 1) * sizeof(persist));
        actions->items[actions->count - 1] = persist;
    }
    return rc;
}

void __wrap_batch_answer(struct coordinator *c, struct caller *caller, uint64_t id,
                         const struct reply *reply, struct entry *entry)
{
    if (order->mutant != MUTANT_EARLY_ANSWERS) {
        __real_batch_answer(c, caller, id, reply, entry);
        return;
    }
    struct answer answer = caller_encode(caller, &c->scratch, id, reply);
    caller_deliver(caller, &answer);
    owner_touch(c, caller);
}

void __wrap_batch_put_branch(struct coordinator *c, const struct entry *entry,
                             const struct txn_branch *branch)
{
    if (order->mutant != MUTANT_LOST_BRANCH)
        __real_batch_put_branch(c, entry, branch);
}

/* A pause or a registration that is acknowledged and not written. */
void __wrap_batch_put_meta(struct coordinator *c, const char *name, struct crpc_bytes value)
{
    bool is_participant = strncmp(name, "participant/", 12) == 0;
    if (order->mutant != MUTANT_LOST_META || !is_participant)
        __real_batch_put_meta(c, name, value);
}

/* A restart that does not go by what was decided. */
void mutate_restored(struct coordinator *c)
{
    if (order->mutant != MUTANT_RESTART_TURNS)
        return;
    for (struct entry *entry = c->table.oldest; entry != NULL; entry = entry->newer)
        if (entry->txn.state == TXN_CONFIRMING) {
            entry->txn.state = TXN_CANCELLING;
            entry->txn.cause = TXN_CAUSE_DEADLINE;
        }
}
