/* SPDX-License-Identifier: Apache-2.0
 *
 * waiter.h
 */
#include "waiter.h"

#include "coordinator.h"
#include "effect.h"
#include "snapshot.h"
#include "tell.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#define WAITERS_FEW 8 /* among up to so many, expired ones are dropped at each new one */

void waiter_init(struct waiting *waiting, int64_t now_ms)
{
    *waiting = (struct waiting){.ready_end = &waiting->ready};
    wheel_init(&waiting->wheel, now_ms);
}

static bool is_owed(const struct waiter *waiter)
{
    return waiter->kind != WAITER_WATCH;
}

struct waiter *waiter_add(struct coordinator *c, struct caller *caller, uint64_t id,
                          struct entry *entry, enum waiter_kind kind)
{
    /* of more waiters, only when their number has doubled */
    if (entry->waiter_count < WAITERS_FEW || entry->waiter_count >= entry->waiter_sweep)
        waiter_drop_expired(c, entry);
    struct waiter *waiter = must_alloc(sizeof(*waiter));
    caller_ref(caller);
    waiter->entry = entry;
    waiter->caller = caller;
    waiter->id = id;
    waiter->kind = kind;
    if (is_owed(waiter))
        answer_owe(&c->answers, caller);
    waiter->next = entry->waiters;
    entry->waiters = waiter;
    entry->waiter_count++;
    return waiter;
}

void waiter_set_await(struct coordinator *c, struct waiter *waiter, int64_t until_ms)
{
    waiter->is_await = true;
    wheel_set(&c->waiting.wheel, &waiter->end, until_ms);
    if (c->is_closing)
        waiter_drop_expired(c, waiter->entry);
}

void waiter_free(struct coordinator *c, struct waiter *waiter)
{
    wheel_set(&c->waiting.wheel, &waiter->end, WHEEL_NEVER);
    if (is_owed(waiter))
        answer_settle(&c->answers, waiter->caller);
    caller_unref(waiter->caller);
    free(waiter);
}

/* Takes the waiter that *link points to off the entry's list. */
static struct waiter *take(struct entry *entry, struct waiter **link)
{
    struct waiter *waiter = *link;
    assert(waiter->entry == entry && entry->waiter_count > 0);
    *link = waiter->next;
    entry->waiter_count--;
    assert((entry->waiter_count == 0) == (entry->waiters == NULL));
    return waiter;
}

/* -- Answers ----------------------------------------------------------------------------------- */

/* Takes the waiters of one kind, and of the branch unless it is 0, off the list: the newest last.
 */
static struct waiter *take_all(struct entry *entry, enum waiter_kind kind, uint32_t branch)
{
    struct waiter *taken = NULL;
    struct waiter **link = &entry->waiters;
    while (*link != NULL) {
        bool is_meant = (*link)->kind == kind && (branch == 0 || (*link)->branch == branch);
        if (!is_meant) {
            link = &(*link)->next;
            continue;
        }
        struct waiter *waiter = take(entry, link);
        waiter->next = taken;
        taken = waiter;
    }
    return taken;
}

static void answer_tries(struct coordinator *c, struct entry *entry, uint32_t branch)
{
    struct waiter *waiter = take_all(entry, WAITER_TRY, branch);
    while (waiter != NULL) {
        struct waiter *next = waiter->next;
        tell_try(c, waiter->caller, waiter->id, entry, txn_find(&entry->txn, waiter->branch));
        waiter_free(c, waiter);
        waiter = next;
    }
}

/* One snapshot for all: it may be large, and they may be many. */
static void answer_all(struct coordinator *c, struct entry *entry, enum waiter_kind kind)
{
    struct waiter *waiter = take_all(entry, kind, 0);
    struct reply reply = {.no = NULL};
    if (waiter != NULL)
        reply.message = &snapshot_of_entry(c, &c->scratch, entry)->base;
    while (waiter != NULL) {
        struct waiter *next = waiter->next;
        effect_answer(c, waiter->caller, waiter->id, &reply, entry);
        waiter_free(c, waiter);
        waiter = next;
    }
}

/* -- Confirms ---------------------------------------------------------------------------------- */

static void make_ready(struct waiting *waiting, struct entry *entry)
{
    struct waiter *waiter = take_all(entry, WAITER_CONFIRM, 0);
    *waiting->ready_end = waiter;
    for (; waiter != NULL; waiter = waiter->next)
        waiting->ready_end = &waiter->next;
}

struct waiter *waiter_take_ready(struct waiting *waiting)
{
    struct waiter *waiter = waiting->ready;
    if (waiter == NULL)
        return NULL;
    waiting->ready = waiter->next;
    if (waiting->ready == NULL)
        waiting->ready_end = &waiting->ready;
    return waiter;
}

/* -- Watchers ---------------------------------------------------------------------------------- */

static bool is_watched(const struct entry *entry)
{
    const struct waiter *waiter = entry->waiters;
    while (waiter != NULL && waiter->kind != WAITER_WATCH)
        waiter = waiter->next;
    return waiter != NULL;
}

static void has_changed(struct coordinator *c, struct entry *entry)
{
    if (entry->has_changed || !is_watched(entry))
        return;
    entry->has_changed = true;
    entry->changed_next = c->waiting.changed;
    c->waiting.changed = entry;
}

static void tell_watchers(struct coordinator *c, struct entry *entry)
{
    const ProtobufCMessage *snapshot = &snapshot_of_entry(c, &c->scratch, entry)->base;
    bool is_last = txn_is_resolved(&entry->txn);
    for (struct waiter *waiter = entry->waiters; waiter != NULL; waiter = waiter->next)
        if (waiter->kind == WAITER_WATCH)
            effect_watch(c, waiter->caller, snapshot, is_last, entry);
}

void waiter_tell_watchers(struct coordinator *c)
{
    while (c->waiting.changed != NULL) {
        struct entry *entry = c->waiting.changed;
        c->waiting.changed = entry->changed_next;
        entry->has_changed = false;
        tell_watchers(c, entry);
    }
}

/* -- What has come ----------------------------------------------------------------------------- */

void waiter_tried(struct coordinator *c, struct entry *entry, uint32_t branch)
{
    answer_tries(c, entry, branch);
    has_changed(c, entry);
    make_ready(&c->waiting, entry);
}

void waiter_decided(struct coordinator *c, struct entry *entry)
{
    answer_tries(c, entry, 0);
    answer_all(c, entry, WAITER_DECIDED);
    make_ready(&c->waiting, entry);
    has_changed(c, entry);
}

void waiter_resolved(struct coordinator *c, struct entry *entry)
{
    answer_all(c, entry, WAITER_RESOLVED);
    has_changed(c, entry);
}

/* -- Expired waiters --------------------------------------------------------------------------- */

static bool has_expired(const struct coordinator *c, const struct waiter *waiter)
{
    bool is_late = waiter->end.link != NULL && c->clock.now_ms >= waiter->end.at_ms;
    return atomic_load(&waiter->caller->is_gone) ||
           (waiter->is_await && (c->is_closing || is_late));
}

static void tell_expired(struct coordinator *c, const struct waiter *waiter)
{
    struct refusal no;
    if (c->is_closing)
        refusal_set(&no, TERCET_UNAVAILABLE, "%s", COORDINATOR_STOPPING);
    else
        refusal_set(&no, TERCET_UNKNOWN,
                    "what is awaited has not come in the time that was given: ask again");
    answer_error(c, waiter->caller, waiter->id, &no);
}

void waiter_drop_expired(struct coordinator *c, struct entry *entry)
{
    struct waiter **link = &entry->waiters;
    while (*link != NULL) {
        if (!has_expired(c, *link)) {
            link = &(*link)->next;
            continue;
        }
        struct waiter *waiter = take(entry, link);
        if (waiter->is_await)
            tell_expired(c, waiter);
        waiter_free(c, waiter);
    }
    entry->waiter_sweep = 2 * entry->waiter_count + WAITERS_FEW;
}

void waiter_drop_all_expired(struct coordinator *c)
{
    for (size_t i = 0; i < c->shard_count; i++)
        for (struct entry *entry = c->shards[i].table.oldest; entry != NULL; entry = entry->newer)
            waiter_drop_expired(c, entry);
}

void waiter_drop_due(struct coordinator *c)
{
    struct wheel_node *node;
    wheel_advance(&c->waiting.wheel, c->clock.now_ms);
    while ((node = wheel_due(&c->waiting.wheel)) != NULL) {
        struct waiter *waiter = (struct waiter *)((char *)node - offsetof(struct waiter, end));
        waiter_drop_expired(c, waiter->entry);
        assert(wheel_due(&c->waiting.wheel) != node);
    }
}

int64_t waiter_due_ms(const struct waiting *waiting)
{
    return wheel_next_ms(&waiting->wheel);
}

/* -- The end of an entry ----------------------------------------------------------------------- */

static void unlist_changed(struct waiting *waiting, struct entry *entry)
{
    struct entry **link = &waiting->changed;
    if (!entry->has_changed)
        return;
    while (*link != NULL && *link != entry)
        link = &(*link)->changed_next;
    assert(*link == entry);
    *link = entry->changed_next;
    entry->has_changed = false;
}

/* Who is owed an answer is not told any more: this happens to entries that are over, who owe none,
 * and to all when the process ends. */
void waiter_forget(struct coordinator *c, struct entry *entry)
{
    assert(c->waiting.ready == NULL);
    unlist_changed(&c->waiting, entry);
    while (entry->waiters != NULL) {
        struct waiter *waiter = take(entry, &entry->waiters);
        wheel_set(&c->waiting.wheel, &waiter->end, WHEEL_NEVER);
        caller_unref(waiter->caller);
        free(waiter);
    }
}
