/* SPDX-License-Identifier: Apache-2.0
 *
 * The methods of Participants.RegisterTarget and Admin: what operators see and settle.
 */
#include "check.h"
#include "owner.h"
#include "plan.h"
#include "record.h"
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
#define SCAN_COLD 10 /* of them is one that has to be loaded */

static void answer(struct coordinator *c, struct caller *caller, int error, const char *text,
                   const ProtobufCMessage *message)
{
    struct reply reply = {error, text, message};
    struct answer encoded = caller_encode(caller, &c->scratch, 0, &reply);
    caller_deliver(caller, &encoded);
}

static void answer_entry(struct coordinator *c, struct caller *caller, struct entry *entry,
                         int error, const char *text)
{
    struct reply reply = {error, text, &snapshot_of_entry(c, &c->scratch, entry)->base};
    batch_answer(c, caller, 0, &reply, entry);
}

/* -- Listing ----------------------------------------------------------------------------------- */

struct page {
    struct coordinator *c;
    const Tercet__V1__ListRequest *request;
    Tercet__V1__Transaction **items;
    size_t count;
    size_t limit;
    size_t bytes;
    uint64_t last_number;
};

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
        batch_force(c, entry);
    if (!has_state(page->request, entry->txn.state))
        return true;
    if (!owner_warm(c, entry, WARM_AHEAD))
        return false;
    if (!page->request->parked || entry->counted_parked > 0)
        page_add(page, snapshot_of_entry(c, &c->scratch, entry));
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
struct entry *admin_entry_after(struct coordinator *c, uint64_t number)
{
    struct find_live find = {.table = &c->table};
    if (number == 0 || number == UINT64_MAX)
        return number == 0 ? c->table.oldest : NULL;
    int rc = store_scan(c->store, 0, number + 1, UINT64_MAX, find_live, &find);
    if (rc < 0) {
        owner_fail(c, tercet_store_strerror(rc));
        return NULL;
    }
    struct entry *entry = find.entry;
    struct entry *before = entry != NULL ? entry->older : c->table.newest;
    for (; before != NULL && before->number > number; before = before->older)
        entry = before;
    return entry;
}

static void list_unresolved(struct page *page, uint64_t after, char token[64])
{
    struct entry *entry = admin_entry_after(page->c, after);
    size_t scanned = 0;
    while (entry != NULL && page_has_room(page, scanned)) {
        scanned += entry->is_cold ? SCAN_COLD : 1;
        if (!page_look_at(page, entry))
            return;
        entry = entry->newer;
    }
    if (entry != NULL)
        snprintf(token, 64, "u%llu", (unsigned long long)page->last_number);
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
        rc = store_page(page->c->store, 0, &cursor, 1, add_resolved, page);
    if (rc > 0)
        snprintf(token, 64, "r%lld.%llu", (long long)cursor.bucket_ms,
                 (unsigned long long)cursor.number);
    return rc < 0 ? rc : 0;
}

static bool parse_token(const Tercet__V1__ListRequest *request, uint64_t *after,
                        struct tercet_store_cursor *cursor)
{
    long long bucket = 0;
    unsigned long long number = 0;
    const char *token = request->page_token;
    if (token[0] == '\0')
        return true;
    if (!request->resolved && sscanf(token, "u%llu", &number) == 1) {
        *after = number;
        return true;
    }
    if (request->resolved && sscanf(token, "r%lld.%llu", &bucket, &number) == 2) {
        *cursor = (struct tercet_store_cursor){bucket, number};
        return true;
    }
    return false;
}

static void list(struct coordinator *c, struct caller *caller,
                 const Tercet__V1__ListRequest *request)
{
    Tercet__V1__ListResponse response = TERCET__V1__LIST_RESPONSE__INIT;
    struct page page = {.c = c,
                        .request = request,
                        .limit = request->page_size != 0 ? request->page_size : PAGE_DEFAULT};
    struct tercet_store_cursor cursor = {0};
    uint64_t after = 0;
    char token[64] = "";
    int rc = 0;
    if (page.limit > PAGE_MAX || !parse_token(request, &after, &cursor)) {
        answer(c, caller, TERCET_INVALID,
               page.limit > PAGE_MAX ? "page_size is at most 1000"
                                     : "page_token is not one of ours",
               NULL);
        return;
    }
    page.items = arena_alloc(&c->scratch, page.limit * sizeof(*page.items));
    if (request->resolved)
        rc = list_resolved(&page, cursor, token);
    else
        list_unresolved(&page, after, token);
    if (!request->resolved && atomic_load(&c->has_failed)) {
        answer(c, caller, TERCET_UNAVAILABLE, "the store has failed: the coordinator stops", NULL);
        return;
    }
    response.n_transactions = page.count;
    response.transactions = page.items;
    response.next_page_token = token;
    struct reply reply = {rc == 0                      ? 0
                          : rc == TERCET_STORE_CORRUPT ? TERCET_FORMAT
                                                       : TERCET_STORE,
                          rc == 0 ? NULL : tercet_store_strerror(rc), &response.base};
    batch_answer(c, caller, 0, &reply, NULL);
    for (size_t i = 0; request->resolved && i < page.count; i++)
        crpc_message_free(&page.items[i]->base);
}

/* -- Participants ------------------------------------------------------------------------------ */

static Tercet__V1__Instance **list_instances(struct arena *arena, const struct service *service,
                                             size_t *count)
{
    *count = 0;
    for (const struct instance *instance = service->instances; instance != NULL;
         instance = instance->next)
        (*count)++;
    Tercet__V1__Instance **pointers = arena_alloc(arena, *count * sizeof(*pointers));
    size_t i = 0;
    for (struct instance *instance = service->instances; instance != NULL;
         instance = instance->next) {
        pointers[i] = arena_alloc(arena, sizeof(Tercet__V1__Instance));
        tercet__v1__instance__init(pointers[i]);
        pointers[i]->name = instance->name;
        pointers[i]->peer = (char *)crpc_call_peer(instance->call);
        pointers[i]->window = instance->window;
        pointers[i]->calls = instance->call_count;
        i++;
    }
    return pointers;
}

/* What the registered target and every instance offer, each once. */
static char **union_of_actions(struct arena *arena, const struct service *service, size_t *count)
{
    size_t room = service->action_count;
    for (const struct instance *instance = service->instances; instance != NULL;
         instance = instance->next)
        room += instance->action_count;
    char **actions = arena_alloc(arena, room * sizeof(char *));
    *count = 0;
    for (size_t i = 0; i < service->action_count; i++)
        actions[(*count)++] = service->actions[i];
    for (const struct instance *instance = service->instances; instance != NULL;
         instance = instance->next)
        for (size_t i = 0; i < instance->action_count; i++) {
            bool is_known = false;
            for (size_t k = 0; k < *count && !is_known; k++)
                is_known = strcmp(actions[k], instance->actions[i]) == 0;
            if (!is_known)
                actions[(*count)++] = instance->actions[i];
        }
    return actions;
}

static Tercet__V1__ParticipantStatus *participant_status(struct arena *arena,
                                                         struct service *service)
{
    Tercet__V1__ParticipantStatus *out = arena_alloc(arena, sizeof(*out));
    tercet__v1__participant_status__init(out);
    out->service = service->name;
    out->actions = union_of_actions(arena, service, &out->n_actions);
    out->instances = list_instances(arena, service, &out->n_instances);
    out->target = service->target != NULL ? service->target : out->target;
    out->paused = service->is_paused;
    out->breaker_open = service->breaker.is_open;
    out->failures = service->breaker.failures;
    out->waiting = service->waiting_count;
    out->calls = service->call_count;
    out->last_error = service->last_error;
    return out;
}

static void list_participants(struct coordinator *c, struct caller *caller)
{
    Tercet__V1__ListParticipantsResponse response = TERCET__V1__LIST_PARTICIPANTS_RESPONSE__INIT;
    response.participants =
        arena_alloc(&c->scratch, c->dispatch.service_count * sizeof(*response.participants));
    for (struct service *service = c->dispatch.services; service != NULL; service = service->next)
        response.participants[response.n_participants++] = participant_status(&c->scratch, service);
    answer(c, caller, 0, NULL, &response.base);
}

/* -- Writing a service down -------------------------------------------------------------------- */

static void write_service(struct coordinator *c, const char *name)
{
    char key[TERCET_STORE_NAME_MAX];
    const struct service *service = dispatch_find(c, name);
    snprintf(key, sizeof(key), "participant/%s", name);
    if (service == NULL || (service->target == NULL && !service->is_paused)) {
        batch_delete_meta(c, key);
        return;
    }
    Tercet__Store__V1__Participant record = TERCET__STORE__V1__PARTICIPANT__INIT;
    record.service = (char *)service->name;
    record.actions = service->actions;
    record.n_actions = service->action_count;
    record.target = service->target != NULL ? service->target : record.target;
    record.paused = service->is_paused;
    batch_put_meta(c, key, record_encode(&c->scratch, RECORD_PARTICIPANT, &record.base));
}

static void register_target(struct coordinator *c, struct caller *caller,
                            const Tercet__V1__RegisterRequest *request)
{
    Tercet__V1__RegisterResponse response = TERCET__V1__REGISTER_RESPONSE__INIT;
    const char *wrong = request->target[0] != '\0' ? check_target(request->target) : NULL;
    if (wrong == NULL)
        wrong = dispatch_register(c, request->service, request->actions, request->n_actions,
                                  request->target);
    if (wrong != NULL) {
        answer(c, caller, TERCET_INVALID, wrong, NULL);
        return;
    }
    write_service(c, request->service);
    struct reply reply = {.message = &response.base};
    batch_answer(c, caller, 0, &reply, NULL);
}

static void pause_service(struct coordinator *c, struct caller *caller,
                          const Tercet__V1__PauseRequest *request)
{
    Tercet__V1__PauseResponse response = TERCET__V1__PAUSE_RESPONSE__INIT;
    struct service *service = dispatch_find(c, request->service);
    if (service == NULL) {
        answer(c, caller, TERCET_NOT_FOUND, "no such service is known: see tercetctl participants",
               NULL);
        return;
    }
    owner_log(c, TERCET_LOG_WARNING, "%s: %s by an operator", service->name,
              request->paused ? "paused" : "resumed");
    dispatch_pause(c, service, request->paused);
    write_service(c, request->service);
    struct reply reply = {.message = &response.base};
    batch_answer(c, caller, 0, &reply, NULL);
}

/* -- Settling ---------------------------------------------------------------------------------- */

/* The unresolved transaction, or NULL after having answered: a resolved one as it is, but one that
 * ended in the state `refused` (0: none) is told that it was decided otherwise. */
static struct entry *find_open(struct coordinator *c, struct caller *caller, const char *gid,
                               unsigned refused)
{
    struct found found;
    const char *text = NULL;
    int error = plan_find(c, gid, &found, &text);
    if (error == 0 && found.resolved != NULL && found.resolved->state->state == refused)
        error = TERCET_DECIDED;
    if (error == 0 && found.resolved != NULL) {
        struct reply reply = {
            0, NULL, &snapshot_of_resolved(&c->scratch, found.number, found.resolved)->base};
        struct answer encoded = caller_encode(caller, &c->scratch, 0, &reply);
        caller_deliver(caller, &encoded);
    } else if (error != 0) {
        answer(c, caller, error, text, NULL);
    }
    struct entry *entry = found.entry;
    found_clear(&found);
    return entry;
}

static const char no_branch[] = "the transaction has no branch with this number";

static void retry(struct coordinator *c, struct caller *caller,
                  const Tercet__V1__RetryRequest *request)
{
    struct entry *entry = find_open(c, caller, request->gid, 0);
    if (entry == NULL)
        return;
    int error = plan_error_of_core(
        owner_step(c, entry, (struct txn_event){.kind = TXN_RETRY, .number = request->branch}));
    answer_entry(c, caller, entry, error, error == 0 ? NULL : no_branch);
}

static void settle(struct coordinator *c, struct caller *caller,
                   const Tercet__V1__SettleRequest *request)
{
    const char *wrong = request->reason[0] == '\0'
                            ? "say why: the reason is kept with the transaction"
                            : check_text(request->reason);
    if (wrong != NULL) {
        answer(c, caller, TERCET_INVALID, wrong, NULL);
        return;
    }
    struct entry *entry = find_open(c, caller, request->gid, 0);
    if (entry == NULL)
        return;
    struct txn_branch *branch = txn_find(&entry->txn, request->branch);
    if (branch != NULL && branch->is_parked) {
        struct branch_info *info = entry_info(entry, branch);
        free(info->reason);
        info->reason = must_strdup(request->reason);
        owner_log(c, TERCET_LOG_WARNING, "settled by an operator: transaction %s branch %u: %s",
                  entry->gid, branch->number, request->reason);
    }
    int error = plan_error_of_core(
        owner_step(c, entry, (struct txn_event){.kind = TXN_SETTLE, .number = request->branch}));
    answer_entry(c, caller, entry, error,
                 error == TERCET_NOT_READY ? "only a parked branch can be settled by hand"
                                           : no_branch);
}

static void decide(struct coordinator *c, struct caller *caller,
                   const Tercet__V1__DecideRequest *request)
{
    const char *wrong = check_text(request->reason);
    if (wrong != NULL) {
        answer(c, caller, TERCET_INVALID, wrong, NULL);
        return;
    }
    struct entry *entry =
        find_open(c, caller, request->gid, request->confirm ? TXN_CANCELLED : TXN_CONFIRMED);
    if (entry == NULL)
        return;
    if (!request->confirm)
        plan_keep_reason(entry, request->reason);
    struct txn_event event = {.kind = request->confirm ? TXN_CONFIRM : TXN_CANCEL,
                              .cause = TXN_CAUSE_OPERATOR};
    int error = plan_error_of_core(owner_step(c, entry, event));
    owner_log(c, TERCET_LOG_WARNING, "%s asked by an operator for transaction %s (%s): %s",
              request->confirm ? "confirm" : "cancel", entry->gid,
              request->reason[0] != '\0' ? request->reason : "no reason given",
              tercet_strerror(error));
    answer_entry(c, caller, entry, error, NULL);
}

/* -- Statistics -------------------------------------------------------------------------------- */

static void statistics(struct coordinator *c, struct caller *caller)
{
    Tercet__V1__Statistics out = TERCET__V1__STATISTICS__INIT;
    const struct table_counts *counts = &c->table.counts;
    struct tercet_store_stats stats = {0};
    store_stats(c->store, &stats);
    out.trying = counts->in_state[TXN_TRYING];
    out.confirming = counts->in_state[TXN_CONFIRMING];
    out.cancelling = counts->in_state[TXN_CANCELLING];
    out.parked_branches = counts->parked_branches;
    out.confirmed_total = c->totals.confirmed;
    out.cancelled_total = c->totals.cancelled;
    out.begun_total = c->totals.begun;
    out.commits_total = stats.commits;
    out.calls_total = c->dispatch.calls_total;
    out.store_bytes_used = stats.bytes_used;
    out.store_bytes_max = stats.bytes_max;
    out.disk_free_bytes = stats.disk_free_bytes;
    out.resolved_records = stats.resolved_records;
    out.low_water = owner_low_water(c);
    out.accepting = c->refuses == NULL;
    out.accepting_text = c->refuses != NULL ? (char *)c->refuses : out.accepting_text;
    out.version = (char *)TERCET_VERSION;
    out.started_ms = c->started_ms;
    out.source = c->source;
    answer(c, caller, 0, NULL, &out.base);
}

void admin_handle(struct coordinator *c, struct caller *caller, enum method method,
                  const ProtobufCMessage *message)
{
    switch (method) {
    case METHOD_REGISTER:
        register_target(c, caller, (const Tercet__V1__RegisterRequest *)message);
        break;
    case METHOD_LIST:
        list(c, caller, (const Tercet__V1__ListRequest *)message);
        break;
    case METHOD_LIST_PARTICIPANTS:
        list_participants(c, caller);
        break;
    case METHOD_RETRY:
        retry(c, caller, (const Tercet__V1__RetryRequest *)message);
        break;
    case METHOD_SETTLE:
        settle(c, caller, (const Tercet__V1__SettleRequest *)message);
        break;
    case METHOD_DECIDE:
        decide(c, caller, (const Tercet__V1__DecideRequest *)message);
        break;
    case METHOD_PAUSE:
        pause_service(c, caller, (const Tercet__V1__PauseRequest *)message);
        break;
    default:
        statistics(c, caller);
    }
}
