/* SPDX-License-Identifier: Apache-2.0
 *
 * admin.h
 */
#include "admin.h"

#include "coordinator.h"
#include "dispatch.h"
#include "effect.h"
#include "reach.h"
#include "record.h"
#include "restore.h"
#include "snapshot.h"
#include "step.h"
#include "tell.h"
#include "why.h"

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

static void answer(struct request *r, const ProtobufCMessage *message)
{
    struct reply reply = {.message = message};
    answer_give(r->c, r->caller, r->id, &reply);
}

static void refuse(struct request *r, int error, const char *text)
{
    struct refusal no;
    refusal_set(&no, error, "%s", text);
    answer_error(r->c, r->caller, r->id, &no);
}

/* An answer about what has been forced so far in the shard that has the participants. */
static void answer_when_durable(struct request *r, const ProtobufCMessage *message)
{
    struct reply reply = {.message = message};
    effect_answer_forced(r->c, r->caller, &reply, coordinator_home(r->c));
}

/* -- Listing ----------------------------------------------------------------------------------- */

/* The page is of one shard. */
struct page {
    struct coordinator *c;
    struct shard *shard;
    const Tercet__V1__ListRequest *request;
    bool is_resolved; /* of those that are over; else of the others */
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
struct entry *admin_entry_after(struct coordinator *c, struct shard *shard, uint64_t number)
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
    struct entry *entry = admin_entry_after(page->c, page->shard, after);
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
        refuse(r, TERCET_UNAVAILABLE, "the store has failed: the coordinator stops");
    else
        effect_answer_forced(r->c, r->caller, &reply, page->shard);
}

void admin_list(struct request *r, const ProtobufCMessage *message)
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
        refuse(r, TERCET_INVALID, "page_size is at most 1000");
        return;
    }
    if (!parse_token(&page, &after, &cursor)) {
        refuse(r, TERCET_INVALID, "page_token is not one of ours");
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

/* -- Participants ------------------------------------------------------------------------------ */

static uint32_t age_ms(int64_t now_ms, int64_t since_ms)
{
    int64_t age_ms = now_ms - since_ms;
    return age_ms <= 0 ? 0 : age_ms >= UINT32_MAX ? UINT32_MAX : (uint32_t)age_ms;
}

/* How long the instance's oldest call is under way; 0: it has none. */
static uint32_t oldest_call_ms(const struct instance *instance, int64_t now_ms)
{
    int64_t oldest_ms = now_ms;
    for (const struct outcall *call = instance->sent; call != NULL; call = call->next)
        oldest_ms = call->sent_ms < oldest_ms ? call->sent_ms : oldest_ms;
    return age_ms(now_ms, oldest_ms);
}

static Tercet__V1__Instance **list_instances(struct arena *arena, const struct service *service,
                                             int64_t now_ms, size_t *count)
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
        pointers[i]->oldest_call_ms = oldest_call_ms(instance, now_ms);
        i++;
    }
    return pointers;
}

static void add_actions(char **actions, size_t *count, const struct offer *offer)
{
    for (size_t i = 0; i < offer->count; i++) {
        size_t k = 0;
        while (k < *count && strcmp(actions[k], offer->actions[i].name) != 0)
            k++;
        if (k == *count)
            actions[(*count)++] = offer->actions[i].name;
    }
}

/* What the registered targets and every instance offer, each once. */
static char **union_of_actions(struct arena *arena, const struct service *service, size_t *count)
{
    size_t room = 0;
    const struct instance *instance;
    const struct target *target;
    for (instance = service->instances; instance != NULL; instance = instance->next)
        room += instance->offer.count;
    for (target = service->targets.first; target != NULL; target = target->next)
        room += target->offer.count;
    char **actions = arena_alloc(arena, room * sizeof(char *));
    *count = 0;
    for (target = service->targets.first; target != NULL; target = target->next)
        add_actions(actions, count, &target->offer);
    for (instance = service->instances; instance != NULL; instance = instance->next)
        add_actions(actions, count, &instance->offer);
    return actions;
}

static Tercet__V1__Target **list_targets(struct arena *arena, const struct service *service,
                                         size_t *count)
{
    Tercet__V1__Target **pointers = arena_alloc(arena, service->targets.count * sizeof(*pointers));
    *count = 0;
    for (struct target *target = service->targets.first; target != NULL; target = target->next) {
        if (target->channel == NULL)
            continue;
        Tercet__V1__Target *out = arena_alloc(arena, sizeof(*out));
        tercet__v1__target__init(out);
        out->target = target->address;
        out->calls = target->call_count;
        out->breaker_open = target->breaker.is_open;
        out->failures = target->breaker.failures;
        out->last_error = target->last_error;
        pointers[(*count)++] = out;
    }
    return pointers;
}

static uint32_t failures_of(const struct service *service)
{
    uint32_t failures = service->breaker.failures;
    for (const struct target *target = service->targets.first; target != NULL;
         target = target->next)
        if (target->channel != NULL && target->breaker.failures > failures)
            failures = target->breaker.failures;
    return failures;
}

/* How long the service's oldest call is under way. */
static uint32_t oldest_of_all_ms(const Tercet__V1__ParticipantStatus *status,
                                 const struct service *service, int64_t now_ms)
{
    bool has_target_calls = target_call_count(&service->targets) > 0;
    uint32_t oldest_ms = has_target_calls ? age_ms(now_ms, service->target_oldest_ms) : 0;
    for (size_t i = 0; i < status->n_instances; i++)
        if (status->instances[i]->oldest_call_ms > oldest_ms)
            oldest_ms = status->instances[i]->oldest_call_ms;
    return oldest_ms;
}

static Tercet__V1__ParticipantStatus *participant_status(struct arena *arena,
                                                         struct service *service, int64_t now_ms)
{
    Tercet__V1__ParticipantStatus *out = arena_alloc(arena, sizeof(*out));
    tercet__v1__participant_status__init(out);
    out->service = service->name;
    out->actions = union_of_actions(arena, service, &out->n_actions);
    out->instances = list_instances(arena, service, now_ms, &out->n_instances);
    out->oldest_call_ms = oldest_of_all_ms(out, service, now_ms);
    out->unserved_ms = service->unserved_ms;
    out->targets = list_targets(arena, service, &out->n_targets);
    out->target = out->n_targets > 0 ? out->targets[0]->target : out->target;
    out->paused = service->is_paused;
    out->breaker_open =
        service->instances != NULL ? service->breaker.is_open : target_all_open(&service->targets);
    out->failures = failures_of(service);
    out->waiting = service->waiting_count;
    out->calls = service->call_count;
    out->last_error = service->last_error;
    return out;
}

void admin_list_participants(struct request *r, const ProtobufCMessage *message)
{
    Tercet__V1__ListParticipantsResponse response = TERCET__V1__LIST_PARTICIPANTS_RESPONSE__INIT;
    struct services *services = &r->c->services;
    struct arena *scratch = &r->c->scratch;
    (void)message;
    response.participants = arena_alloc(scratch, services->count * sizeof(*response.participants));
    why_date_targets(r->c);
    for (struct service *service = services->first; service != NULL; service = service->next)
        response.participants[response.n_participants++] =
            participant_status(scratch, service, r->c->clock.now_ms);
    answer(r, &response.base);
}

/* -- Writing a service down -------------------------------------------------------------------- */

static char **names_of(struct arena *arena, const struct offer *offer)
{
    char **names = arena_alloc(arena, offer->count * sizeof(*names));
    for (size_t i = 0; i < offer->count; i++)
        names[i] = offer->actions[i].name;
    return names;
}

/* Of the actions that ask for some. */
static Tercet__Store__V1__ActionTimeouts **timeouts_of(struct arena *arena,
                                                       const struct offer *offer, size_t *count)
{
    Tercet__Store__V1__ActionTimeouts **out = arena_alloc(arena, offer->count * sizeof(*out));
    *count = 0;
    for (size_t i = 0; i < offer->count; i++) {
        const struct offered *action = &offer->actions[i];
        if (action->timeouts.call_ms == 0 && action->timeouts.end_ms == 0)
            continue;
        Tercet__Store__V1__ActionTimeouts *one = arena_alloc(arena, sizeof(*one));
        tercet__store__v1__action_timeouts__init(one);
        one->action = action->name;
        one->call_timeout_ms = action->timeouts.call_ms;
        one->end_timeout_ms = action->timeouts.end_ms;
        out[(*count)++] = one;
    }
    return out;
}

static void write_first_target(struct arena *arena, Tercet__Store__V1__Participant *record,
                               const struct target *target)
{
    record->actions = names_of(arena, &target->offer);
    record->n_actions = target->offer.count;
    record->timeouts = timeouts_of(arena, &target->offer, &record->n_timeouts);
    record->target = target->address;
    record->token = (char *)(uintptr_t)target_token(target);
}

static void write_targets(struct arena *arena, Tercet__Store__V1__Participant *record,
                          const struct targets *targets)
{
    record->further = arena_alloc(arena, targets->count * sizeof(*record->further));
    for (const struct target *target = targets->first; target != NULL; target = target->next) {
        if (target->channel == NULL)
            continue;
        if (record->target[0] == '\0') {
            write_first_target(arena, record, target);
            continue;
        }
        Tercet__Store__V1__Target *out = arena_alloc(arena, sizeof(*out));
        tercet__store__v1__target__init(out);
        out->target = target->address;
        out->token = (char *)(uintptr_t)target_token(target);
        out->actions = names_of(arena, &target->offer);
        out->n_actions = target->offer.count;
        out->timeouts = timeouts_of(arena, &target->offer, &out->n_timeouts);
        record->further[record->n_further++] = out;
    }
}

static void write_service(struct coordinator *c, const char *name)
{
    char key[TERCET_STORE_NAME_MAX];
    const struct service *service = service_find(&c->services, name);
    snprintf(key, sizeof(key), "participant/%s", name);
    if (service == NULL || (service->targets.count == 0 && !service->is_paused)) {
        batch_delete_meta(coordinator_home(c), key);
        return;
    }
    Tercet__Store__V1__Participant record = TERCET__STORE__V1__PARTICIPANT__INIT;
    record.service = (char *)service->name;
    record.paused = service->is_paused;
    write_targets(&c->scratch, &record, &service->targets);
    batch_put_meta(coordinator_home(c), key,
                   record_encode(&c->scratch, RECORD_PARTICIPANT, &record.base));
}

/* Who serves a service may be registered for it; an operator may end that, too. */
static int check_registrant(const struct request *r, const Tercet__V1__RegisterRequest *request,
                            struct refusal *no)
{
    const struct rights *rights = &r->caller->rights;
    bool is_end = request->target[0] == '\0';
    if (!scope_covers(rights->serves, request->service) && (!is_end || rights->is_no_operator))
        return refusal_set(no, TERCET_DENIED,
                           "the access rules do not bind this participant to the service %s",
                           request->service);
    return 0;
}

/* Sockets and loopback are this machine's: what somebody elsewhere names there is not its own. */
static const char *check_reach(const struct request *r, const char *target)
{
    bool is_listed = r->c->options.allow_target_count > 0;
    if (!is_listed && reach_is_here(target) && !reach_is_here(crpc_call_peer(r->caller->call)))
        return "a participant on another machine names a target on this one: unix sockets and "
               "loopback addresses are for those who connect from here (see --allow-target)";
    return NULL;
}

void admin_register(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__RegisterRequest *request = (const Tercet__V1__RegisterRequest *)message;
    Tercet__V1__RegisterResponse response = TERCET__V1__REGISTER_RESPONSE__INIT;
    struct refusal no;
    int rc = check_registrant(r, request, &no);
    if (rc == 0)
        rc = refusal_if(&no, TERCET_DENIED, check_reach(r, request->target));
    if (rc == 0)
        rc = dispatch_register(r->c, request, &no);
    if (rc != 0) {
        coordinator_log_of(r->c, LOG_PARTICIPANTS, TERCET_LOG_WARNING,
                           "a registration from %s is refused: %s", crpc_call_peer(r->caller->call),
                           no.text);
        answer_error(r->c, r->caller, r->id, &no);
        return;
    }
    response.keeps_token = request->token[0] != '\0';
    write_service(r->c, request->service);
    answer_when_durable(r, &response.base);
}

void admin_pause(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__PauseRequest *request = (const Tercet__V1__PauseRequest *)message;
    Tercet__V1__PauseResponse response = TERCET__V1__PAUSE_RESPONSE__INIT;
    struct service *service = service_find(&r->c->services, request->service);
    if (service == NULL) {
        refuse(r, TERCET_NOT_FOUND, "no such service is known: see tercetctl participants");
        return;
    }
    coordinator_log_of(r->c, LOG_PARTICIPANTS, TERCET_LOG_WARNING, "%s: %s by an operator",
                       service->name, request->paused ? "paused" : "resumed");
    dispatch_pause(r->c, service, request->paused);
    write_service(r->c, request->service);
    answer_when_durable(r, &response.base);
}

/* -- Settling ---------------------------------------------------------------------------------- */

/* The unresolved transaction, or NULL after having answered: a resolved one as it is, but one that
 * ended in the state `refused` (0: none) is told that it was decided otherwise. */
static struct entry *find_open(struct request *r, unsigned refused)
{
    const struct found *found = &r->found;
    struct refusal no;
    int rc = find_check(found, &no);
    if (rc == 0 && found->resolved != NULL && found->resolved->state->state == refused)
        rc = find_decided_otherwise(found, &no);
    if (rc != 0)
        answer_error(r->c, r->caller, r->id, &no);
    else if (found->resolved != NULL)
        tell_resolved(r->c, r->caller, r->id, found->number, found->resolved, NULL);
    return found->entry;
}

/* What a step has come to, with the transaction as it stands. */
static int tell_step(struct request *r, struct entry *entry, int txn_result)
{
    struct refusal no;
    int rc = step_refusal(entry, txn_result, &no);
    tell_entry(r->c, r->caller, r->id, entry, rc != 0 ? &no : NULL);
    return rc;
}

void admin_retry(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__RetryRequest *request = (const Tercet__V1__RetryRequest *)message;
    struct txn_event event = {.kind = TXN_RETRY, .number = request->branch};
    struct entry *entry = find_open(r, 0);
    if (entry == NULL)
        return;
    tell_step(r, entry, step_event(r->c, entry, event));
}

static bool will_settle(const struct txn_branch *branch, bool is_now)
{
    bool is_open = branch->end_state == TXN_END_WAITING || branch->end_state == TXN_END_CALLING;
    return branch->is_parked || (is_open && is_now);
}

/* Why a branch is settled is kept with it, and told with what was known of it. */
static void keep_settlement(struct coordinator *c, struct entry *entry,
                            const Tercet__V1__SettleRequest *request, const char *reason)
{
    const struct txn_branch *branch = txn_find(&entry->txn, request->branch);
    if (branch == NULL || !will_settle(branch, request->now))
        return;
    struct branch_info *info = entry_info(entry, branch);
    free(info->reason);
    info->reason = must_strdup(reason);
    coordinator_log(c, TERCET_LOG_WARNING,
                    "settled by an operator%s: transaction %s branch %u (%s/%s), %s, after %u "
                    "failures: %s",
                    branch->is_parked ? "" : ", not parked", entry->gid, branch->number,
                    info->service->name, info->action, tercet_state_name(entry->txn.state),
                    branch->attempts, reason);
}

void admin_settle(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__SettleRequest *request = (const Tercet__V1__SettleRequest *)message;
    struct txn_event event = {
        .kind = TXN_SETTLE, .number = request->branch, .is_forced = request->now};
    char reason[TERCET_TEXT_MAX];
    copy_text(reason, request->reason);
    if (reason[0] == '\0') {
        refuse(r, TERCET_INVALID, "say why: the reason is kept with the transaction");
        return;
    }
    struct entry *entry = find_open(r, 0);
    if (entry == NULL)
        return;
    keep_settlement(r->c, entry, request, reason);
    int rc = step_event(r->c, entry, event);
    outcall_withdraw(r->c, entry);
    tell_step(r, entry, rc);
}

void admin_decide(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__DecideRequest *request = (const Tercet__V1__DecideRequest *)message;
    struct txn_event event = {.kind = request->confirm ? TXN_CONFIRM : TXN_CANCEL,
                              .cause = TXN_CAUSE_OPERATOR};
    char reason[TERCET_TEXT_MAX];
    copy_text(reason, request->reason);
    struct entry *entry = find_open(r, request->confirm ? TXN_CANCELLED : TXN_CONFIRMED);
    if (entry == NULL)
        return;
    if (!request->confirm)
        step_keep_reason(entry, reason);
    int rc = tell_step(r, entry, step_event(r->c, entry, event));
    coordinator_log(r->c, TERCET_LOG_WARNING, "%s asked by an operator for transaction %s (%s): %s",
                    request->confirm ? "confirm" : "cancel", entry->gid,
                    reason[0] != '\0' ? reason : "no reason given", tercet_strerror(rc));
}

/* -- Statistics -------------------------------------------------------------------------------- */

/* What is counted in one shard, added to what the others have. */
static void add_shard(Tercet__V1__Statistics *out, struct shard *shard)
{
    const struct table_counts *counts = &shard->table.counts;
    struct tercet_store_stats stats = {0};
    store_stats(shard->store, &stats);
    out->trying += counts->in_state[TXN_TRYING];
    out->confirming += counts->in_state[TXN_CONFIRMING];
    out->cancelling += counts->in_state[TXN_CANCELLING];
    out->parked_branches += counts->parked_branches;
    out->commits_total += stats.commits;
    out->store_bytes_used += stats.bytes_used;
    out->store_bytes_max += stats.bytes_max;
    out->disk_free_bytes = stats.disk_free_bytes;
    out->resolved_records += stats.resolved_records;
    out->low_water = shard_low_water(shard);
    out->accepting = out->accepting && shard->headroom.refuses == NULL;
    if (shard->headroom.refuses != NULL)
        out->accepting_text = (char *)shard->headroom.refuses;
}

void admin_statistics(struct request *r, const ProtobufCMessage *message)
{
    Tercet__V1__Statistics out = TERCET__V1__STATISTICS__INIT;
    struct coordinator *c = r->c;
    (void)message;
    out.accepting = true;
    for (size_t i = 0; i < c->shard_count; i++)
        add_shard(&out, &c->shards[i]);
    out.confirmed_total = c->totals.confirmed;
    out.cancelled_total = c->totals.cancelled;
    out.begun_total = c->totals.begun;
    out.calls_total = c->outcalls.calls_total;
    out.version = (char *)TERCET_VERSION;
    out.started_ms = c->started_ms;
    out.source = coordinator_home(c)->source;
    answer(r, &out.base);
}
