/* SPDX-License-Identifier: Apache-2.0
 *
 * listing.h
 */
#include "listing.h"

#include "coordinator.h"
#include "effect.h"
#include "record.h"
#include "restore.h"
#include "snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_DEFAULT 100
#define PAGE_MAX 1000
/* a page ends behind it: gRPC's clients take messages of 4 MiB */
#define PAGE_BYTES_MAX (1024u * 1024)
/* transactions looked at for one page, so that a filter does not hold up the others */
#define SCAN_MAX 100000
#define SCAN_COLD 10 /* one that has to be loaded from the store counts as so many */

/* The page is of one shard. */
struct page {
    struct coordinator *c;
    struct shard *shard;
    const Tercet__V1__ListRequest *request;
    bool is_resolved; /* resolved transactions; else unresolved ones */
    Tercet__V1__Transaction **items;
    size_t count;
    size_t limit;
    size_t bytes;
    uint64_t last_number;
};

static bool is_terminal(Tercet__V1__State state)
{
    return state == TERCET__V1__STATE__CONFIRMED || state == TERCET__V1__STATE__CANCELLED;
}

/* How many of the states that are asked for are terminal: transactions in one are in the store
 * alone. */
static size_t terminal_count(const Tercet__V1__ListRequest *request)
{
    size_t count = 0;
    for (size_t i = 0; i < request->n_states; i++)
        count += is_terminal(request->states[i]);
    return count;
}

static bool lists_resolved(const Tercet__V1__ListRequest *request)
{
    return request->resolved || terminal_count(request) > 0;
}

static bool lists_unresolved(const Tercet__V1__ListRequest *request)
{
    return !request->resolved &&
           (request->n_states == 0 || terminal_count(request) < request->n_states);
}

static bool has_state(const Tercet__V1__ListRequest *request, Tercet__V1__State state)
{
    for (size_t i = 0; i < request->n_states; i++)
        if (request->states[i] == state)
            return true;
    return request->n_states == 0;
}

static bool names_service(const Tercet__V1__Transaction *transaction, const char *service)
{
    size_t size = strlen(service);
    for (size_t i = 0; i < transaction->n_branches; i++) {
        const char *action = transaction->branches[i]->action;
        if (strncmp(action, service, size) == 0 && action[size] == '/')
            return true;
    }
    return size == 0;
}

static bool has_entry(const Tercet__V1__Transaction *transaction,
                      const Tercet__V1__Metadata *wanted)
{
    for (size_t i = 0; i < transaction->n_metadata; i++) {
        const Tercet__V1__Metadata *entry = transaction->metadata[i];
        if (strcmp(entry->key, wanted->key) == 0 &&
            (wanted->value[0] == '\0' || strcmp(entry->value, wanted->value) == 0))
            return true;
    }
    return false;
}

static bool has_metadata(const Tercet__V1__ListRequest *request,
                         const Tercet__V1__Transaction *transaction)
{
    for (size_t i = 0; i < request->n_metadata; i++)
        if (!has_entry(transaction, request->metadata[i]))
            return false;
    return true;
}

/* Keeps what the filters let through, without replies. */
static void page_add(struct page *page, Tercet__V1__Transaction *transaction)
{
    const Tercet__V1__ListRequest *request = page->request;
    page->last_number = transaction->number;
    if (!has_state(request, transaction->state) || (request->parked && !transaction->parked) ||
        !names_service(transaction, request->service) || !has_metadata(request, transaction))
        return;
    for (size_t i = 0; i < transaction->n_branches; i++)
        transaction->branches[i]->reply.len = 0;
    page->items[page->count++] = transaction;
    page->bytes += protobuf_c_message_get_packed_size(&transaction->base);
}

/* false: the entry cannot be loaded. What the filters by state and --parked leave out, most of a
 * million, gets no view made of it, and by state it is not even loaded. */
static bool page_look_at(struct page *page, struct entry *entry)
{
    struct coordinator *c = page->c;
    page->last_number = entry->number;
    if (entry->is_lazy)
        /* what is shown, or left out, must not be taken back by a crash (S2, S10) */
        batch_force(entry);
    if (!has_state(page->request, entry->txn.state))
        return true;
    if (!restore_warm(c, entry, WARM_AHEAD))
        return false;
    if (page->request->parked && entry->counted_parked == 0)
        return true;
    Tercet__V1__Transaction *view = snapshot_of_entry(c, &c->scratch, entry);
    snapshot_add_obstacles(c, &c->scratch, view, entry);
    page_add(page, view);
    return true;
}

static bool page_has_room(const struct page *page, size_t scanned)
{
    return page->count < page->limit && page->bytes < PAGE_BYTES_MAX && scanned < SCAN_MAX;
}

struct find_live {
    const struct table *table;
    struct entry *entry;
};

static int find_live(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    struct find_live *find = ctx;
    char gid[TERCET_GID_MAX + 1];
    uint8_t state;
    if (part != 0)
        return 0;
    if (!record_is_whole(RECORD_STATE, value, size) || !record_peek_state(gid, &state, value, size))
        return TERCET_STORE_CORRUPT;
    struct entry *entry = table_find(find->table, gid);
    if (entry == NULL || entry->number != number)
        return 0; /* of a later owner: this one's next commit is refused */
    find->entry = entry;
    return 1;
}

/* The store finds it; those whose commit has not been told yet, few, lie before what it finds. */
struct entry *listing_entry_after(struct coordinator *c, struct shard *shard, uint64_t number)
{
    struct find_live find = {.table = &shard->table};
    if (number == 0)
        return shard->table.oldest;
    if (number == UINT64_MAX)
        return NULL;
    int rc = store_scan(shard->store, shard->number, number + 1, UINT64_MAX, find_live, &find);
    if (rc < 0) {
        coordinator_fail(c, tercet_store_strerror(rc));
        return NULL;
    }
    struct entry *entry = find.entry;
    struct entry *before = entry != NULL ? entry->older : shard->table.newest;
    for (; before != NULL && before->number > number; before = before->older)
        entry = before;
    return entry;
}

static void list_unresolved(struct page *page, uint64_t after, char token[64])
{
    struct entry *entry = listing_entry_after(page->c, page->shard, after);
    size_t scanned = 0;
    while (entry != NULL && page_has_room(page, scanned)) {
        scanned += entry->is_cold ? SCAN_COLD : 1;
        if (!page_look_at(page, entry))
            return;
        entry = entry->newer;
    }
    if (entry != NULL)
        snprintf(token, 64, "u%llu", (unsigned long long)page->last_number);
    else if (lists_resolved(page->request))
        strcpy(token, "r0.0"); /* their first page follows */
}

static int add_resolved(uint64_t number, const void *value, size_t size, void *ctx)
{
    struct page *page = ctx;
    Tercet__Store__V1__Resolved *resolved =
        (Tercet__Store__V1__Resolved *)record_decode(RECORD_RESOLVED, value, size);
    if (resolved == NULL || resolved->state == NULL ||
        resolved->n_actions != resolved->state->n_branches)
        return TERCET_STORE_CORRUPT;
    Tercet__V1__Transaction *view = snapshot_of_resolved(&page->c->scratch, number, resolved);
    ProtobufCMessage *copy = NULL;
    int rc = crpc_message_copy(&copy, &view->base);
    crpc_message_free(&resolved->base);
    if (rc != 0)
        return TERCET_STORE_NOMEM;
    size_t before = page->count;
    page_add(page, (Tercet__V1__Transaction *)copy);
    if (page->count == before)
        crpc_message_free(copy);
    return 0;
}

/* Pages one record at a time, so that the cursor stands behind the last that was looked at. */
static int list_resolved(struct page *page, struct tercet_store_cursor cursor, char token[64])
{
    size_t scanned = 0;
    int rc = 1;
    while (rc > 0 && page_has_room(page, scanned++))
        rc = store_page(page->shard->store, page->shard->number, &cursor, 1, add_resolved, page);
    if (rc > 0)
        snprintf(token, 64, "r%lld.%llu", (long long)cursor.bucket_ms,
                 (unsigned long long)cursor.number);
    return rc < 0 ? rc : 0;
}

/* Where the page begins, and of which transactions it is. */
static bool parse_token(struct page *page, uint64_t *after, struct tercet_store_cursor *cursor)
{
    const Tercet__V1__ListRequest *request = page->request;
    const char *token = request->page_token;
    long long bucket = 0;
    unsigned long long number = 0;
    page->is_resolved = token[0] == '\0' ? !lists_unresolved(request) : token[0] == 'r';
    if (token[0] == '\0')
        return true;
    if (lists_unresolved(request) && sscanf(token, "u%llu", &number) == 1) {
        *after = number;
        return true;
    }
    if (lists_resolved(request) && sscanf(token, "r%lld.%llu", &bucket, &number) == 2) {
        *cursor = (struct tercet_store_cursor){bucket, number};
        return true;
    }
    return false;
}

static void free_page(struct page *page)
{
    for (size_t i = 0; page->is_resolved && i < page->count; i++)
        crpc_message_free(&page->items[i]->base);
}

static void answer_page(struct request *r, struct page *page, int rc, char token[64])
{
    Tercet__V1__ListResponse response = TERCET__V1__LIST_RESPONSE__INIT;
    struct refusal no;
    struct reply reply = {NULL, &response.base};
    if (rc != 0)
        refusal_set(&no, rc == TERCET_STORE_CORRUPT ? TERCET_FORMAT : TERCET_STORE, "%s",
                    tercet_store_strerror(rc));
    if (rc != 0)
        reply.no = &no;
    response.n_transactions = page->count;
    response.transactions = page->items;
    response.next_page_token = token;
    if (!page->is_resolved && atomic_load(&r->c->has_failed))
        request_refuse(r, TERCET_UNAVAILABLE, "the store has failed: the coordinator stops");
    else
        effect_answer_forced(r->c, r->caller, &reply, page->shard);
}

void listing_list(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__ListRequest *request = (const Tercet__V1__ListRequest *)message;
    struct page page = {.c = r->c,
                        .shard = coordinator_home(r->c),
                        .request = request,
                        .limit = request->page_size != 0 ? request->page_size : PAGE_DEFAULT};
    struct tercet_store_cursor cursor = {0};
    uint64_t after = 0;
    char token[64] = "";
    int rc = 0;
    if (page.limit > PAGE_MAX) {
        request_refuse(r, TERCET_INVALID, "page_size is at most 1000");
        return;
    }
    if (!parse_token(&page, &after, &cursor)) {
        request_refuse(r, TERCET_INVALID, "page_token is not one of ours");
        return;
    }
    page.items = arena_alloc(&r->c->scratch, page.limit * sizeof(*page.items));
    if (page.is_resolved)
        rc = list_resolved(&page, cursor, token);
    else
        list_unresolved(&page, after, token);
    answer_page(r, &page, rc, token);
    free_page(&page);
}
