/* SPDX-License-Identifier: Apache-2.0
 *
 * find.h
 */
#include "find.h"

#include "check.h"
#include "coordinator.h"
#include "record.h"
#include "restore.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* The owner leaves when it stops waiting, the store answers: whichever of them comes second
 * continues. */
enum find_state { FIND_ASKED, FIND_ANSWERED, FIND_LEFT };

void find_clear(struct found *found)
{
    if (found->resolved != NULL)
        crpc_message_free(&found->resolved->base);
    *found = (struct found){.entry = NULL};
}

int find_resolved_branch(const Tercet__Store__V1__Resolved *resolved, uint32_t number)
{
    for (size_t i = 0; i < resolved->state->n_branches; i++)
        if (resolved->state->branches[i]->number == number)
            return (int)i;
    return -1;
}

int find_check(const struct found *found, struct refusal *no)
{
    if (found->error == 0)
        return 0;
    return refusal_set(no, found->error, "%s",
                       found->text != NULL ? found->text : tercet_strerror(found->error));
}

int find_decided_otherwise(const struct found *found, struct refusal *no)
{
    const Tercet__Store__V1__State *state = found->resolved->state;
    return refusal_set(no, TERCET_DECIDED, "the transaction has been decided already: %s, %s",
                       tercet_state_name((int)state->state), tercet_cause_text((int)state->cause));
}

/* -- Questions that are not answered yet ------------------------------------------------------- */

static struct find **bucket_of(struct finds *finds, const char *gid)
{
    return &finds->buckets[XXH3_64bits(gid, strlen(gid)) % FIND_BUCKETS];
}

static struct find *find_open(struct finds *finds, const char *gid)
{
    struct find *find = finds->count > 0 ? *bucket_of(finds, gid) : NULL;
    while (find != NULL && strcmp(find->gid, gid) != 0)
        find = find->next;
    return find;
}

static void open_add(struct finds *finds, struct find *find)
{
    struct find **bucket = bucket_of(finds, find->gid);
    find->next = *bucket;
    *bucket = find;
    finds->count++;
}

static void open_remove(struct finds *finds, struct find *find)
{
    struct find **link = bucket_of(finds, find->gid);
    while (*link != NULL && *link != find)
        link = &(*link)->next;
    assert(*link == find && finds->count > 0);
    *link = find->next;
    finds->count--;
}

static struct find *new_find(void)
{
    struct find *find = must_alloc(sizeof(*find));
    find->event = or_die(event_new(EVENT_FOUND));
    find->event->find = find;
    return find;
}

/* A find for this gid, which the store has not been asked yet; the spare one if there is one. */
static struct find *take_spare(struct coordinator *c, const char *gid)
{
    struct find *find = c->finds.spare != NULL ? c->finds.spare : new_find();
    assert(find->first == NULL && find->resolved == NULL && find->event != NULL);
    c->finds.spare = NULL;
    find->c = c;
    find->end = &find->first;
    atomic_store(&find->state, FIND_ASKED);
    memcpy(find->gid, gid, strlen(gid) + 1);
    return find;
}

/* -- The answer -------------------------------------------------------------------------------- */

/* An index that is damaged may lead to another transaction's record. */
static bool is_whole(const Tercet__Store__V1__Resolved *resolved, const char *gid)
{
    return resolved != NULL && resolved->state != NULL && strcmp(resolved->state->gid, gid) == 0 &&
           resolved->n_actions == resolved->state->n_branches &&
           resolved->n_digests == resolved->state->n_branches;
}

/* NULL: it is damaged. */
static Tercet__Store__V1__Resolved *decode(const char *gid, struct tercet_bytes value)
{
    ProtobufCMessage *message = record_decode(RECORD_RESOLVED, value.data, value.size);
    if (is_whole((Tercet__Store__V1__Resolved *)message, gid))
        return (Tercet__Store__V1__Resolved *)message;
    crpc_message_free(message);
    return NULL;
}

/* The store calls it, in any thread. */
static void on_found(int rc, uint64_t number, struct tercet_bytes value, void *ctx)
{
    struct find *find = ctx;
    find->rc = rc;
    find->number = number;
    find->resolved = rc == 0 ? decode(find->gid, value) : NULL;
    struct event *event = find->event;
    struct queue *queue = &find->c->queue;
    if (atomic_exchange(&find->state, FIND_ANSWERED) == FIND_LEFT)
        queue_post(queue, event);
}

/* One damaged record is no reason to stop: the outcomes of all others are known. But the answer for
 * this gid must not be "unknown gid", which would say that it never existed. */
static void tell_damaged(struct coordinator *c, const char *gid, struct found *found)
{
    coordinator_log(c, TERCET_LOG_ERROR,
                    "the record of transaction %s, which has ended, is damaged: restore a backup",
                    gid);
    found->error = TERCET_FORMAT;
    found->text = "the record of this transaction, which has ended, is damaged: restore a backup "
                  "of the store, or ask the participants";
}

static struct found found_of(struct coordinator *c, struct find *find)
{
    struct found found = {.shard = find->shard, .resolved = find->resolved, .number = find->number};
    find->resolved = NULL;
    if (find->rc == TERCET_STORE_NOT_FOUND) {
        found.error = TERCET_NOT_FOUND;
    } else if (find->rc != 0 && find->rc != TERCET_STORE_CORRUPT) {
        coordinator_fail(c, tercet_store_strerror(find->rc));
        found.error = TERCET_UNAVAILABLE;
    } else if (found.resolved == NULL) {
        tell_damaged(c, find->gid, &found);
    }
    return found;
}

/* -- Asking ------------------------------------------------------------------------------------ */

/* Asks the store for a gid that is not in memory. */
static struct find *ask(struct coordinator *c, struct shard *shard, const char *gid,
                        struct found *found)
{
    struct find *find = take_spare(c, gid);
    find->shard = shard;
    store_find(shard->store, shard->number, gid, 0, on_found, find);
    if (atomic_exchange(&find->state, FIND_LEFT) == FIND_ANSWERED) {
        *found = found_of(c, find);
        c->finds.spare = find;
        return NULL;
    }
    open_add(&c->finds, find);
    return find;
}

/* The one place that chooses: a transaction belongs to the shard that its gid says. With one there
 * is nothing to choose; with several, the gid's hash is to say. */
static struct shard *shard_of(const struct coordinator *c, const char *gid)
{
    (void)gid;
    assert(c->shard_count == 1);
    return &c->shards[0];
}

void find_make_gid(struct coordinator *c, struct tercet_gid *made, struct found *found)
{
    tercet_gid_make(made);
    *found = FOUND_NOTHING;
    found->shard = shard_of(c, made->text);
}

struct find *find_gid(struct coordinator *c, const char *gid, struct found *found)
{
    *found = (struct found){.text = check_gid(gid)};
    if (found->text != NULL) {
        found->error = TERCET_INVALID;
        return NULL;
    }
    struct find *find = find_open(&c->finds, gid);
    if (find != NULL)
        return find;
    found->shard = shard_of(c, gid);
    found->entry = table_find(&found->shard->table, gid);
    if (found->entry == NULL)
        return ask(c, found->shard, gid, found);
    if (!restore_warm(c, found->entry, 0))
        *found = (struct found){.error = TERCET_UNAVAILABLE};
    return NULL;
}

/* -- Holding ----------------------------------------------------------------------------------- */

bool find_hold(struct coordinator *c, struct find *find, struct caller *caller, uint64_t id,
               enum method method, const ProtobufCMessage *message)
{
    struct finds *finds = &c->finds;
    size_t size = protobuf_c_message_get_packed_size(message);
    ProtobufCMessage *copy = NULL;
    if (finds->held_count >= FIND_HELD_MAX || finds->held_bytes + size > finds->held_bytes_max ||
        crpc_message_copy(&copy, message) != 0)
        return false;
    struct held *held = must_alloc(sizeof(*held));
    caller_ref(caller);
    answer_owe(&c->answers, caller);
    *held =
        (struct held){.caller = caller, .id = id, .method = method, .message = copy, .size = size};
    *find->end = held;
    find->end = &held->next;
    finds->held_count++;
    finds->held_bytes += size;
    return true;
}

struct found find_take(struct coordinator *c, struct find *find)
{
    assert(atomic_load(&find->state) == FIND_ANSWERED);
    open_remove(&c->finds, find);
    find->event = NULL; /* it was posted */
    return found_of(c, find);
}

struct held *find_take_held(struct coordinator *c, struct find *find)
{
    struct held *held = find->first;
    if (held == NULL)
        return NULL;
    assert(c->finds.held_count > 0 && c->finds.held_bytes >= held->size);
    find->first = held->next;
    c->finds.held_count--;
    c->finds.held_bytes -= held->size;
    answer_settle(&c->answers, held->caller);
    return held;
}

void find_free_held(struct held *held)
{
    caller_unref(held->caller);
    crpc_message_free(held->message);
    free(held);
}

/* -- The end ----------------------------------------------------------------------------------- */

void find_free(struct find *find)
{
    if (find == NULL)
        return;
    if (find->event != NULL)
        event_free(find->event);
    if (find->resolved != NULL)
        crpc_message_free(&find->resolved->base);
    while (find->first != NULL) {
        struct held *held = find->first;
        find->first = held->next;
        find_free_held(held);
    }
    free(find);
}

void find_free_all(struct finds *finds)
{
    find_free(finds->spare);
    for (size_t i = 0; i < FIND_BUCKETS; i++)
        while (finds->buckets[i] != NULL) {
            struct find *find = finds->buckets[i];
            finds->buckets[i] = find->next;
            if (atomic_load(&find->state) == FIND_ANSWERED)
                find->event = NULL; /* the queue's */
            find_free(find);
        }
}
