/* SPDX-License-Identifier: Apache-2.0
 *
 * truth.h
 */
#include "truth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must_alloc(size_t size)
{
    void *memory = malloc(size);
    if (memory == NULL) {
        perror("malloc");
        abort();
    }
    return memory;
}

static struct truth_txn *const *slot_of(const struct truth *truth, const char *gid)
{
    return &truth->slots[power_hash(gid, strlen(gid)) % TRUTH_SLOTS];
}

struct truth_txn *truth_find(const struct truth *truth, const char *gid)
{
    struct truth_txn *txn = *slot_of(truth, gid);
    while (txn != NULL && strcmp(txn->gid, gid) != 0)
        txn = txn->next;
    return txn;
}

static enum power_told decision_of(const struct power_mark *mark)
{
    if (mark->told == TOLD_CONFIRM || mark->told == HOOK_CONFIRM)
        return TOLD_CONFIRM;
    return mark->told == TOLD_CANCEL || mark->told == HOOK_CANCEL ? TOLD_CANCEL
                                                                  : (enum power_told)0;
}

static size_t count_marks(const struct power_log *log)
{
    size_t count = 0;
    for (size_t i = 0; i < log->count; i++)
        count += power_log_at(log, i)->kind == POWER_MARK;
    return count;
}

static struct truth_txn *find_or_add(struct truth *truth, const char *gid)
{
    struct truth_txn *txn = truth_find(truth, gid);
    if (txn != NULL)
        return txn;
    struct truth_txn **slot = (struct truth_txn **)(uintptr_t)slot_of(truth, gid);
    txn = &truth->txns[truth->count++];
    *txn = (struct truth_txn){.gid = gid, .next = *slot};
    *slot = txn;
    return txn;
}

static void add_fact(struct truth *truth, const struct power_record *record, size_t at)
{
    const struct power_mark *mark =
        (const struct power_mark *)(const void *)power_log_bytes(record);
    struct truth_txn *txn = find_or_add(truth, mark->gid);
    enum power_told decision = decision_of(mark);
    truth->facts[truth->fact_count++] = (struct truth_fact){at, record->time_ms, mark, txn};
    if (decision != 0 && txn->decision != 0 && decision != txn->decision)
        truth->wrong = txn->gid;
    if (decision != 0)
        txn->decision = decision;
}

void truth_read(struct truth *truth, const struct power_log *log)
{
    size_t marks = count_marks(log);
    memset(truth, 0, sizeof(*truth));
    truth->txns = must_alloc((marks + 1) * sizeof(*truth->txns));
    truth->facts = must_alloc((marks + 1) * sizeof(*truth->facts));
    for (size_t i = 0; i < log->count; i++)
        if (power_log_at(log, i)->kind == POWER_MARK)
            add_fact(truth, power_log_at(log, i), i);
}

void truth_free(struct truth *truth)
{
    free(truth->facts);
    free(truth->txns);
}

static void take(struct truth_claim *claim, const struct truth_fact *fact)
{
    const struct power_mark *mark = fact->mark;
    enum power_told decision = decision_of(mark);
    claim->is_begun = true;
    /* an answer may be heard long after the end */
    if (mark->told == TOLD_NOTHING || mark->told >= HOOK_TRY)
        claim->touched_ms = fact->time_ms;
    if (mark->told == TOLD_NOTHING)
        return;
    claim->is_known = true;
    if (mark->branch > 0)
        claim->branches |= UINT64_C(1) << mark->branch;
    if (mark->told >= HOOK_TRY)
        claim->hooks |= UINT64_C(1) << TRUTH_HOOK(mark->branch, mark->told);
    if (decision != 0)
        claim->decision = decision;
    if (mark->number > claim->number)
        claim->number = mark->number;
}

void truth_advance(struct truth *truth, size_t cut)
{
    for (; truth->stands < truth->fact_count && truth->facts[truth->stands].at < cut;
         truth->stands++)
        take(&truth->facts[truth->stands].txn->claim, &truth->facts[truth->stands]);
}
