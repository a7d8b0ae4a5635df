/* SPDX-License-Identifier: Apache-2.0
 *
 * judge.h. The store is opened and acquired, and the coordinator restored, as at any start; no
 * thread and no socket.
 */
#include "judge.h"

#include "engine.h"
#include "record.h"
#include "restore.h"
#include "store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_RECORDS 256
#define LOOKUPS 24 /* by gid, in an image where not all are looked up */

const char *const judge_words[2] = {"live", "resolved"};

static bool fail(struct judge *judge, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool fail(struct judge *judge, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(judge->text, sizeof(judge->text), format, args);
    va_end(args);
    return false;
}

/* -- What is found ----------------------------------------------------------------------------- */

static enum power_told decision_of(uint32_t state)
{
    if (state == TXN_CONFIRMING || state == TXN_CONFIRMED)
        return TOLD_CONFIRM;
    return state == TXN_CANCELLING || state == TXN_CANCELLED ? TOLD_CANCEL : (enum power_told)0;
}

/* A transaction of the image; a second one of the same gid is one too many. */
static struct truth_txn *meet(struct judge *judge, const char *gid, uint32_t state)
{
    struct truth_txn *txn = truth_find(judge->truth, gid);
    if (txn == NULL || !txn->claim.is_begun) {
        fail(judge, "%s is there, and nobody had begun it", gid);
        return NULL;
    }
    if (txn->stamp == judge->stamp) {
        fail(judge, "%s is there twice", gid);
        return NULL;
    }
    txn->stamp = judge->stamp;
    txn->found_branches = txn->found_number = 0;
    txn->found_decision = decision_of(state);
    if (txn->found_decision != 0 && txn->decision != 0 && txn->found_decision != txn->decision) {
        fail(judge, "%s is decided in one way and was decided in the other", gid);
        return NULL;
    }
    return txn;
}

static bool meet_live(struct judge *judge, const struct coordinator *c)
{
    for (const struct entry *entry = c->shards->table.oldest; entry != NULL; entry = entry->newer) {
        struct truth_txn *txn = meet(judge, entry->gid, entry->txn.state);
        if (txn == NULL)
            return false;
        for (size_t i = 0; i < entry->txn.branch_count; i++)
            txn->found_branches |= UINT64_C(1) << (entry->txn.branches[i].number & 63);
        judge->live++;
    }
    return true;
}

struct paging {
    struct judge *judge;
    struct store *store;
    size_t cut;
    bool reads_all;
    bool is_right;
};

static int meet_resolved(uint64_t number, const void *value, size_t size, void *ctx)
{
    struct paging *paging = ctx;
    Tercet__Store__V1__Resolved *record =
        (Tercet__Store__V1__Resolved *)record_decode(RECORD_RESOLVED, value, size);
    bool is_whole =
        record != NULL && record->state != NULL && record->n_actions == record->state->n_branches;
    struct truth_txn *txn = NULL;
    if (!is_whole)
        fail(paging->judge, "the resolved record of number %llu is damaged",
             (unsigned long long)number);
    else
        txn = meet(paging->judge, record->state->gid, record->state->state);
    paging->is_right = txn != NULL && (txn->found_decision != 0 ||
                                       fail(paging->judge, "%s is over undecided", txn->gid));
    if (paging->is_right)
        txn->found_number = number;
    for (size_t i = 0; paging->is_right && i < record->state->n_branches; i++)
        txn->found_branches |= UINT64_C(1) << (record->state->branches[i]->number & 63);
    if (record != NULL)
        crpc_message_free(&record->base);
    paging->judge->resolved++;
    return paging->is_right ? 0 : 1;
}

static bool page_resolved(struct paging *paging)
{
    struct tercet_store_cursor cursor = {0};
    int count;
    paging->is_right = true;
    do
        count = store_page(paging->store, 0, &cursor, PAGE_RECORDS, meet_resolved, paging);
    while (count == PAGE_RECORDS);
    if (paging->is_right && count < 0)
        return fail(paging->judge, "resolved records cannot be read: %s",
                    tercet_store_strerror(count));
    return paging->is_right;
}

/* -- What must be there ------------------------------------------------------------------------ */

static int64_t time_of(const struct judge *judge, size_t cut)
{
    return cut > 0 ? power_log_at(judge->log, cut - 1)->time_ms : 0;
}

static bool check_claim(struct judge *judge, const struct truth_txn *txn, size_t cut)
{
    const struct truth_claim *claim = &txn->claim;
    judge->told++;
    judge->decided += claim->decision != 0;
    if (txn->stamp != judge->stamp) {
        judge->over++;
        return claim->touched_ms <= time_of(judge, cut) - judge->retention_ms ||
               fail(judge, "%s was acknowledged%s, and is missing", txn->gid,
                    claim->decision == 0              ? ""
                    : claim->decision == TOLD_CONFIRM ? " as confirmed"
                                                      : " as cancelled");
    }
    if ((claim->branches & ~txn->found_branches) != 0)
        return fail(judge, "%s has lost a branch that was acknowledged", txn->gid);
    if (claim->decision != 0 && claim->decision != txn->found_decision)
        return fail(judge, "%s was acknowledged as %s, and the decision is missing", txn->gid,
                    claim->decision == TOLD_CONFIRM ? "confirmed" : "cancelled");
    return true;
}

static bool check_told(struct judge *judge, size_t cut, uint64_t next_number)
{
    for (size_t i = 0; i < judge->truth->count; i++) {
        const struct truth_txn *txn = &judge->truth->txns[i];
        if (!txn->claim.is_begun)
            break; /* they are in order */
        if (txn->claim.is_known && !check_claim(judge, txn, cut))
            return false;
        if (txn->claim.number >= next_number)
            return fail(judge, "number %llu was told, and would be given again",
                        (unsigned long long)txn->claim.number);
    }
    return true;
}

static bool finds_by_gid(struct paging *paging, const struct truth_txn *txn)
{
    struct store_value value;
    uint64_t found = 0;
    if (store_find_wait(paging->store, 0, txn->gid, &found, &value) != 0)
        return fail(paging->judge, "%s is resolved, and is not found by its gid", txn->gid);
    store_value_free(&value);
    return found == txn->found_number ||
           fail(paging->judge, "the index leads from %s to another one", txn->gid);
}

/* All of the resolved, or some. */
static bool look_up(struct paging *paging)
{
    const struct truth *truth = paging->judge->truth;
    size_t step = paging->reads_all ? 1 : 1 + truth->count / LOOKUPS;
    for (size_t i = paging->reads_all ? 0 : paging->cut % step; i < truth->count; i += step) {
        const struct truth_txn *txn = &truth->txns[i];
        if (txn->stamp == paging->judge->stamp && txn->found_number != 0 &&
            !finds_by_gid(paging, txn))
            return false;
    }
    return true;
}

/* -- The image --------------------------------------------------------------------------------- */

static bool look_at(struct judge *judge, struct coordinator *c, size_t cut, bool reads_all)
{
    struct refusal no;
    struct paging paging = {
        .judge = judge, .store = c->shards->store, .cut = cut, .reads_all = reads_all};
    /* not shard_acquire: what the store itself says is judged */
    struct tercet_store_lease lease;
    int rc = store_acquire(c->shards->store, 0, &lease);
    if (rc != 0)
        return fail(judge, "the store cannot be acquired: %s", tercet_store_strerror(rc));
    c->shards->epoch = lease.epoch;
    c->shards->next_number = lease.next_number;
    if (restore_all(c, &no) != 0)
        return fail(judge, "the coordinator does not restore: %s", no.text);
    return meet_live(judge, c) && page_resolved(&paging) && look_up(&paging) &&
           check_told(judge, cut, c->shards->next_number);
}

static void tear_down(struct coordinator *c)
{
    store_release(c->shards->store, 0, c->shards->epoch);
    store_close(c->shards->store);
    engine_clear(c);
    free(c);
}

bool judge_image(struct judge *judge, const char *folder, size_t cut, bool reads_all)
{
    char text[TERCET_STORE_TEXT_MAX] = "";
    struct store *store;
    int rc = store_open(&store, folder, NULL, NULL, text);
    if (rc != 0)
        return fail(judge, "the store does not open: %s", text);
    struct coordinator *c = calloc(1, sizeof(*c));
    if (c == NULL)
        abort();
    const struct tercet_coordinator_options options = {.size = sizeof(options),
                                                       .retention_ms = judge->retention_ms};
    engine_init(c, &options, clock_monotonic_ms(), clock_wall_ms());
    c->shards->store = store;
    c->restore_warm_max = SIZE_MAX;
    judge->stamp++;
    bool is_right = look_at(judge, c, cut, reads_all);
    tear_down(c);
    return is_right;
}
