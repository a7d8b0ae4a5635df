/* SPDX-License-Identifier: Apache-2.0
 *
 * The mutant that is the fault engine's own: a commit that is told before it is done.
 */
#include "faults.h"

#include <stdlib.h>
#include <string.h>

int __real_store_commit(struct store *store, uint32_t shard, uint64_t epoch,
                        const struct tercet_store_op *ops, size_t count);
int __wrap_store_commit(struct store *store, uint32_t shard, uint64_t epoch,
                        const struct tercet_store_op *ops, size_t count);

enum mutant mutant_now(void)
{
    return order->mutant;
}

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
    if (order->mutant != MUTANT_EARLY_EFFECTS)
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
