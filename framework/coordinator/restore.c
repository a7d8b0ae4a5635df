/* SPDX-License-Identifier: Apache-2.0
 *
 * restore.h
 */
#include "restore.h"

#include "coordinator.h"
#include "dispatch.h"
#include "record.h"
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All records of a shard, or those of some entries. */
struct restore {
    struct coordinator *c;
    struct shard *shard;
    struct entry *entry; /* the one whose branches come next; NULL: none has come */
    struct entry *next;  /* warm: the one after it */
    size_t branches_seen;
    const char *wrong;
};

static const char damaged_state[] = "a transaction's record is damaged";
static const char damaged_branch[] = "a branch's record is damaged or has no transaction";
static const char newer_record[] = "the store has a record of a newer program than this one: start "
                                   "the newer one again, or restore "
                                   "a backup from before it";

static void cannot_use(struct restore *r, const void *value, size_t size, const char *damaged)
{
    r->wrong = record_is_newer(value, size) ? newer_record : damaged;
}

/* The time that is left counts, within bounds: not more than there was in all, and not less than a
 * grace, so that neither a clock that jumped nor a long stop cancels everything at once. */
static int64_t bounded_left(int64_t left_ms, int64_t total_ms)
{
    int64_t grace_ms = total_ms < RESTART_GRACE_MS ? total_ms : RESTART_GRACE_MS;
    if (left_ms > total_ms)
        return total_ms;
    return left_ms < grace_ms ? grace_ms : left_ms;
}

static void restore_times(struct coordinator *c, struct entry *entry)
{
    int64_t total_ms = entry->deadline_wall_ms - entry->created_ms;
    entry->txn.deadline_ms =
        c->clock.now_ms + bounded_left(entry->txn.deadline_ms - c->clock.now_ms, total_ms);
    for (size_t i = 0; i < entry->txn.branch_count; i++) {
        struct txn_branch *branch = &entry->txn.branches[i];
        if (branch->try_until_ms != TXN_NEVER)
            branch->try_until_ms =
                c->clock.now_ms + bounded_left(branch->try_until_ms - c->clock.now_ms, total_ms);
    }
}

/* -- Some entries ------------------------------------------------------------------------------ */

static bool load_state(struct restore *r, const void *value, size_t size)
{
    struct coordinator *c = r->c;
    Tercet__Store__V1__State *state =
        (Tercet__Store__V1__State *)record_decode(RECORD_STATE, value, size);
    bool is_good = state != NULL && record_load_state(r->entry, state, clock_offset_ms(&c->clock),
                                                      &r->shard->table.history_bytes);
    if (is_good)
        restore_times(c, r->entry);
    else
        cannot_use(r, value, size, damaged_state);
    if (state != NULL)
        crpc_message_free(&state->base);
    return is_good;
}

/* A branch that is to be called needs its payload soon; the others' stay in the store, and all do
 * when there are many. */
static void load_payload(struct restore *r, const struct txn_branch *branch,
                         struct branch_info *info, const ProtobufCBinaryData *payload)
{
    struct table *table = &r->shard->table;
    info->payload_size = (uint32_t)payload->len;
    if (branch->end_state != TXN_END_DONE &&
        table->payload_bytes + payload->len <= r->c->payload_bytes_max)
        entry_keep_payload(table, info, payload->data, payload->len);
}

static bool load_branch(struct restore *r, uint32_t part, const void *value, size_t size)
{
    Tercet__Store__V1__Branch *record =
        (Tercet__Store__V1__Branch *)record_decode(RECORD_BRANCH, value, size);
    struct txn_branch *branch = txn_find(&r->entry->txn, part);
    const char *slash = record != NULL ? strchr(record->action, '/') : NULL;
    if (branch == NULL || slash == NULL) {
        cannot_use(r, value, size, damaged_branch);
        if (record != NULL)
            crpc_message_free(&record->base);
        return false;
    }
    struct branch_info *info = entry_info(r->entry, branch);
    info->service =
        service_get_restored(&r->c->services, record->action, (size_t)(slash - record->action));
    info->service->branch_count++;
    info->action = must_strdup(slash + 1);
    load_payload(r, branch, info, &record->payload);
    info->try_timeout_ms = record->try_timeout_ms;
    info->timeouts = (struct call_timeouts){record->call_timeout_ms, record->end_timeout_ms};
    info->enlisted_ms = record->enlisted_ms;
    branch->try_timeout_ms = record->try_timeout_ms;
    branch->mode = record->own_call ? TXN_MODE_OWN : TXN_MODE_ROUTED;
    branch->digest = record->digest;
    r->branches_seen++;
    crpc_message_free(&record->base);
    return true;
}

/* What was loaded is whole, and true to itself. */
static bool end_entry(struct restore *r)
{
    struct entry *entry = r->entry;
    if (entry == NULL)
        return true;
    if (r->branches_seen != entry->txn.branch_count ||
        !txn_restore(&entry->txn, r->c->clock.now_ms)) {
        r->wrong = "a transaction's record contradicts its branches";
        return false;
    }
    entry->is_cold = false;
    entry->was_restored = true;
    trace_restored(entry);
    table_recount(&r->shard->table, entry);
    return true;
}

static bool begin_entry(struct restore *r, uint64_t number)
{
    if (!end_entry(r))
        return false;
    r->entry = number == r->next->number ? r->next : NULL;
    r->branches_seen = 0;
    if (r->entry != NULL)
        r->next = r->entry->newer;
    return true;
}

/* Records that belong to no entry are a later owner's: they are passed over, and this one's next
 * commit is refused. */
static int load_record(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    struct restore *r = ctx;
    if (part == 0 && !begin_entry(r, number))
        return 1;
    if (r->entry == NULL || r->entry->number != number)
        return 0;
    bool is_good = part == 0 ? load_state(r, value, size) : load_branch(r, part, value, size);
    return is_good ? 0 : 1;
}

/* 0, a code of the store, or 1 when records contradict each other; then *wrong is a text. */
static int warm(struct coordinator *c, struct entry *entry, size_t ahead, const char **wrong)
{
    struct restore r = {.c = c, .shard = entry->shard, .next = entry};
    struct entry *last = entry;
    if (!entry->is_cold)
        return 0;
    for (; ahead > 0 && last->newer != NULL && last->newer->is_cold; ahead--)
        last = last->newer;
    int rc =
        store_scan(r.shard->store, r.shard->number, entry->number, last->number, load_record, &r);
    if (rc == 0)
        rc = end_entry(&r) ? 0 : 1;
    if (rc == 0 && last->is_cold) {
        r.wrong = "a transaction's record is missing";
        rc = 1;
    }
    *wrong = rc < 0 ? tercet_store_strerror(rc) : r.wrong;
    return rc;
}

bool restore_warm(struct coordinator *c, struct entry *entry, size_t ahead)
{
    const char *wrong = NULL;
    if (entry->is_cold && atomic_load(&c->has_failed))
        return false; /* what an earlier attempt has loaded of it is not whole */
    int rc = warm(c, entry, ahead, &wrong);
    if (rc != 0)
        coordinator_fail(c, wrong);
    return rc == 0;
}

/* -- All of them ------------------------------------------------------------------------------- */

static bool add_cold(struct restore *r, uint64_t number, const void *value, size_t size)
{
    struct table *table = &r->shard->table;
    char gid[TERCET_GID_MAX + 1];
    uint8_t state;
    if (!record_is_whole(RECORD_STATE, value, size) ||
        !record_peek_state(gid, &state, value, size) || table_find(table, gid) != NULL) {
        cannot_use(r, value, size, damaged_state);
        return false;
    }
    r->entry = shard_add(r->shard, gid, number);
    r->entry->txn.state = state;
    r->entry->is_cold = true;
    table_recount(table, r->entry);
    table_set_wake(table, r->entry, r->c->clock.now_ms);
    return true;
}

static bool check_branch(struct restore *r, uint64_t number, const void *value, size_t size)
{
    bool is_good = r->entry != NULL && r->entry->number == number &&
                   record_is_whole(RECORD_BRANCH, value, size);
    if (!is_good)
        cannot_use(r, value, size, damaged_branch);
    return is_good;
}

static int add_record(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    struct restore *r = ctx;
    bool is_good =
        part == 0 ? add_cold(r, number, value, size) : check_branch(r, number, value, size);
    return is_good ? 0 : 1;
}

static int warm_first(struct restore *r)
{
    size_t left = r->c->restore_warm_max;
    int rc = 0;
    for (struct entry *entry = r->shard->table.oldest; entry != NULL && left > 0 && rc == 0;
         entry = entry->newer, left--)
        rc = warm(r->c, entry, left <= WARM_AHEAD ? left - 1 : WARM_AHEAD, &r->wrong);
    return rc;
}

static int restore_clock(struct restore *r, const void *value, size_t size)
{
    Tercet__Store__V1__Clock *clock =
        (Tercet__Store__V1__Clock *)record_decode(RECORD_CLOCK, value, size);
    if (clock == NULL) {
        cannot_use(r, value, size, "the record of the retention clock is damaged");
        return 1;
    }
    r->shard->retention.offset_ms = clock->time_ms - r->c->clock.now_ms;
    crpc_message_free(&clock->base);
    return 0;
}

/* Registers what was registered, as it was asked for. */
static int register_again(struct restore *r, const char *service,
                          const Tercet__Store__V1__Target *record, struct refusal *no)
{
    struct arena *arena = &r->c->scratch;
    Tercet__V1__RegisterRequest request = TERCET__V1__REGISTER_REQUEST__INIT;
    size_t count = record->n_timeouts;
    Tercet__V1__ActionTimeouts *items = arena_alloc(arena, count * sizeof(*items));
    request.service = (char *)(uintptr_t)service;
    request.actions = record->actions;
    request.n_actions = record->n_actions;
    request.target = record->target;
    request.token = record->token;
    request.version = record->version;
    request.application_version = record->application_version;
    request.timeouts = arena_alloc(arena, count * sizeof(*request.timeouts));
    request.n_timeouts = count;
    for (size_t i = 0; i < count; i++) {
        tercet__v1__action_timeouts__init(&items[i]);
        items[i].action = record->timeouts[i]->action;
        items[i].call_timeout_ms = record->timeouts[i]->call_timeout_ms;
        items[i].end_timeout_ms = record->timeouts[i]->end_timeout_ms;
        request.timeouts[i] = &items[i];
    }
    return dispatch_register(r->c, &request, no);
}

/* A target that is not taken any more, of an address that is not allowed, say, is told, and takes
 * no other with it. */
static void register_one(struct restore *r, const char *service,
                         const Tercet__Store__V1__Target *target)
{
    struct refusal no;
    if (register_again(r, service, target, &no) != 0)
        coordinator_log(r->c, TERCET_LOG_ERROR,
                        "the registered participant %s at %s is not served: %s", service,
                        target->target, no.text);
}

static void register_all(struct restore *r, const Tercet__Store__V1__Participant *record)
{
    Tercet__Store__V1__Target first = TERCET__STORE__V1__TARGET__INIT;
    first.target = record->target;
    first.token = record->token;
    first.actions = record->actions;
    first.n_actions = record->n_actions;
    first.timeouts = record->timeouts;
    first.n_timeouts = record->n_timeouts;
    first.version = record->version;
    first.application_version = record->application_version;
    if (record->target[0] != '\0')
        register_one(r, record->service, &first);
    for (size_t i = 0; i < record->n_further; i++)
        register_one(r, record->service, record->further[i]);
}

static int restore_participant(struct restore *r, const void *value, size_t size)
{
    Tercet__Store__V1__Participant *record =
        (Tercet__Store__V1__Participant *)record_decode(RECORD_PARTICIPANT, value, size);
    if (record == NULL) {
        cannot_use(r, value, size, "a registered participant's record is damaged");
        return 1;
    }
    struct refusal no;
    struct service *service =
        service_get_to_serve(&r->c->services, record->service, strlen(record->service), &no);
    if (service != NULL) {
        service->is_paused = record->paused;
        register_all(r, record);
    } else {
        coordinator_log(r->c, TERCET_LOG_ERROR, "the registered participant %s is not served: %s",
                        record->service, no.text);
    }
    crpc_message_free(&record->base);
    return 0;
}

static int restore_audit(struct restore *r, const void *value, size_t size)
{
    if (audit_restore(&r->c->audit, value, size))
        return 0;
    cannot_use(r, value, size, "a record of the audit log is damaged");
    return 1;
}

static int restore_meta(const char *name, const void *value, size_t size, void *ctx)
{
    struct restore *r = ctx;
    if (strcmp(name, RETENTION_CLOCK) == 0)
        return restore_clock(r, value, size);
    if (strncmp(name, AUDIT_PREFIX, sizeof(AUDIT_PREFIX) - 1) == 0)
        return restore_audit(r, value, size);
    return strncmp(name, "participant/", 12) == 0 ? restore_participant(r, value, size) : 0;
}

static int restore_shard(struct restore *r)
{
    struct shard *shard = r->shard;
    shard->retention.offset_ms = clock_offset_ms(shard->clock);
    int rc = store_meta_scan(shard->store, shard->number, restore_meta, r);
    if (rc == 0)
        rc = store_scan(shard->store, shard->number, 1, UINT64_MAX, add_record, r);
    return rc == 0 ? warm_first(r) : rc;
}

int restore_all(struct coordinator *c, struct refusal *no)
{
    struct restore r = {.c = c};
    int rc = 0;
    for (size_t i = 0; i < c->shard_count && rc == 0; i++) {
        r = (struct restore){.c = c, .shard = &c->shards[i]};
        rc = restore_shard(&r);
    }
    audit_restored(c);
    if (rc == 0)
        return 0;
    const char *wrong = r.wrong != NULL ? r.wrong : tercet_store_strerror(rc);
    int code = rc > 0 ? TERCET_FORMAT : TERCET_STORE;
    if (wrong == newer_record)
        return refusal_set(no, code, "%s", wrong);
    if (rc > 0 || rc == TERCET_STORE_CORRUPT)
        return refusal_set(no, code, "%s: the coordinator does not guess; restore a backup", wrong);
    return refusal_set(no, code, "the store cannot be read: %s; start again", wrong);
}
