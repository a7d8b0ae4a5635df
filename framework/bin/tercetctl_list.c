/* SPDX-License-Identifier: Apache-2.0
 *
 * ls and export: the transactions, page by page.
 */
#include "tercetctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_DEFAULT 100

/* -- ls: rows ---------------------------------------------------------------------------------- */

static const char *const unresolved_headers[] = {"GID", "STATE", "AGE", "DONE", "NOTE"};
static const char *const resolved_headers[] = {"GID", "STATE", "AGE", "TOOK", "NOTE"};

static void add_unresolved(struct table *table, const Tercet__V1__Transaction *transaction)
{
    const Tercet__V1__BranchStatus *worst = view_worst(transaction);
    const char *trouble = worst != NULL ? view_trouble(worst) : "";
    table_cell(table, "%zu/%zu", view_done_count(transaction), transaction->n_branches);
    if (worst == NULL)
        table_cell(table, "%s", transaction->reason);
    else
        table_cell(table, "%sbranch %" PRIu32 " %s%s%s", worst->parked ? "PARKED: " : "",
                   worst->number, worst->action, trouble[0] != '\0' ? ": " : "", trouble);
}

static void add_resolved(struct table *table, const Tercet__V1__Transaction *transaction)
{
    table_cell(table, "%s",
               figure_duration(transaction->resolved_ms - transaction->created_ms).text);
    table_cell(table, "%s%s%s", tercet_cause_text((int)transaction->cause),
               transaction->reason[0] != '\0' ? ": " : "", transaction->reason);
}

static void add_transaction(struct table *table, const struct ctl *ctl,
                            const Tercet__V1__Transaction *transaction)
{
    table_cell(table, "%s", transaction->gid);
    table_cell(table, "%s", view_state(transaction));
    table_cell(table, "%s", figure_duration(clock_wall_ms() - transaction->created_ms).text);
    if (ctl->is_resolved)
        add_resolved(table, transaction);
    else
        add_unresolved(table, transaction);
}

/* -- ls: pages --------------------------------------------------------------------------------- */

struct listing {
    struct ctl *ctl;
    struct table table;
    uint64_t count;
    uint32_t page_size;
    bool has_begun; /* the head of the JSON is printed */
    char *token;    /* of the next page; "" after the last */
};

/* Moves to the front of a page what is shown of it, and returns how many they are. *used is how
 * much of the page that takes: all of it, unless the limit leaves something out. */
static size_t sift(const struct listing *listing, Tercet__V1__ListResponse *page, size_t *used)
{
    const uint64_t limit = listing->ctl->limit;
    const uint64_t wanted = limit == 0 ? UINT64_MAX : limit - listing->count;
    size_t shown = 0, i = 0;
    for (; i < page->n_transactions; i++) {
        Tercet__V1__Transaction *transaction = page->transactions[i];
        if (!filter_lets(listing->ctl, transaction))
            continue;
        if (shown == wanted)
            break;
        page->transactions[i] = page->transactions[shown];
        page->transactions[shown++] = transaction;
    }
    *used = i;
    return shown;
}

static void print_json_page(struct listing *listing, const Tercet__V1__ListResponse *page,
                            size_t shown)
{
    if (!listing->has_begun)
        fputs("{\n  \"transactions\": [", stdout);
    listing->has_begun = true;
    for (size_t i = 0; i < shown; i++) {
        fputs(listing->count + i == 0 ? "\n    " : ",\n    ", stdout);
        ctl_print_json(ctl_json(&page->transactions[i]->base), true);
    }
}

static void print_page(struct listing *listing, const Tercet__V1__ListResponse *page, size_t shown)
{
    if (listing->ctl->is_json)
        print_json_page(listing, page, shown);
    for (size_t i = 0; i < shown && !listing->ctl->is_json; i++)
        add_transaction(&listing->table, listing->ctl, page->transactions[i]);
    if (shown > 0 && !listing->ctl->is_json)
        table_flush(&listing->table);
    listing->count += shown;
}

static void fill_request(Tercet__V1__ListRequest *request, struct ctl *ctl,
                         Tercet__V1__Metadata *wanted[TERCET_METADATA_MAX])
{
    tercet__v1__list_request__init(request);
    request->states = ctl->states;
    request->n_states = ctl->state_count;
    request->parked = ctl->is_parked;
    request->resolved = ctl->is_resolved;
    request->service = ctl->service != NULL ? (char *)(uintptr_t)ctl->service : request->service;
    for (size_t i = 0; i < ctl->metadata_count; i++)
        wanted[i] = &ctl->metadata[i];
    request->metadata = wanted;
    request->n_metadata = ctl->metadata_count;
}

/* Transactions may have 1,024 branches. */
int list_ask_page(Tercet__V1__ListResponse **page, struct ctl *ctl, uint32_t *page_size,
                  char *token)
{
    Tercet__V1__Metadata *wanted[TERCET_METADATA_MAX];
    Tercet__V1__ListRequest request;
    ProtobufCMessage *reply = NULL;
    fill_request(&request, ctl, wanted);
    request.page_token = token;
    for (;;) {
        struct crpc_result result = {0};
        request.page_size = *page_size;
        int rc = ctl_ask(&reply, ctl, "List", &request.base, &result);
        bool is_too_big =
            rc == CRPC_ESTATUS && result.code == CRPC_RESOURCE_EXHAUSTED && *page_size > 1;
        int status = rc == 0 || is_too_big ? 0 : ctl_explain(ctl, rc, &result);
        crpc_result_clear(&result);
        if (!is_too_big) {
            *page = (Tercet__V1__ListResponse *)reply;
            return status;
        }
        *page_size /= 2;
    }
}

/* Some of a page may not be shown. */
static bool is_sifted(const struct ctl *ctl)
{
    return ctl->action != NULL || ctl->older_than_ms > 0 || ctl->text != NULL;
}

/* The next page, *shown of it at its front. One of which the limit leaves something out is asked
 * for again, shorter, so that its token leads to what is left out. */
static int ask_and_sift(Tercet__V1__ListResponse **page, struct listing *listing, size_t *shown)
{
    uint32_t shorter = 0;
    for (;;) {
        uint32_t *size = shorter > 0 ? &shorter : &listing->page_size;
        size_t used = 0;
        int status = list_ask_page(page, listing->ctl, size, listing->token);
        if (status != 0)
            return status;
        *shown = sift(listing, *page, &used);
        if (used == (*page)->n_transactions)
            return 0;
        shorter = (uint32_t)used;
        crpc_message_free(&(*page)->base);
    }
}

static int list_page(struct listing *listing)
{
    struct ctl *ctl = listing->ctl;
    Tercet__V1__ListResponse *page = NULL;
    size_t shown = 0;
    if (ctl->limit != 0 && !is_sifted(ctl) && ctl->limit - listing->count < listing->page_size)
        listing->page_size = (uint32_t)(ctl->limit - listing->count);
    int status = ask_and_sift(&page, listing, &shown);
    if (status != 0)
        return status;
    print_page(listing, page, shown);
    free(listing->token);
    listing->token = ctl_format("%s", page->next_page_token);
    crpc_message_free(&page->base);
    return 0;
}

static bool wants_more(const struct listing *listing)
{
    return listing->token[0] != '\0' &&
           (listing->ctl->limit == 0 || listing->count < listing->ctl->limit);
}

static void print_end(const struct listing *listing)
{
    const struct ctl *ctl = listing->ctl;
    bool is_filtered = ctl->state_count > 0 || ctl->is_parked || ctl->service != NULL ||
                       ctl->metadata_count > 0 || is_sifted(ctl);
    if (listing->count == 0 && listing->token[0] == '\0')
        printf("no %s transactions%s\n", ctl->is_resolved ? "resolved" : "unresolved",
               is_filtered ? " match" : "");
    else if (listing->token[0] != '\0')
        printf("%" PRIu64 " shown; there may be more: --limit 0 shows all\n", listing->count);
}

static void print_json_end(const struct listing *listing)
{
    cJSON *token = cJSON_CreateString(listing->token);
    fputs("\n  ],\n  \"next_page_token\": ", stdout);
    ctl_print_json(token, true);
    puts("\n}");
}

static int list_once(struct ctl *ctl)
{
    if (ctl->limit == UINT64_MAX)
        ctl->limit = LIMIT_DEFAULT;
    struct listing listing = {
        .ctl = ctl,
        .page_size = LIST_PAGE_MAX,
        .token = ctl_format("%s", ""),
        .table = {.headers = ctl->is_resolved ? resolved_headers : unresolved_headers,
                  .column_count = 5,
                  .cuts_last = term_cuts(ctl),
                  .is_uncut = !term_cuts(ctl)}};
    int status = list_page(&listing);
    while (status == 0 && wants_more(&listing))
        status = list_page(&listing);
    if (status == 0 && ctl->is_json)
        print_json_end(&listing);
    else if (status == 0)
        print_end(&listing);
    free(listing.token);
    return status;
}

int command_ls(struct ctl *ctl)
{
    if (ctl->is_watched && ctl->is_json)
        ctl_misuse("ls --watch is for people: ask again with -o json, or use watch GID");
    return ctl->is_watched ? live_repeat(ctl, list_once) : list_once(ctl);
}

/* -- export ------------------------------------------------------------------------------------ */

int command_export(struct ctl *ctl)
{
    uint32_t page_size = LIST_PAGE_MAX;
    char *token = ctl_format("%s", "");
    uint64_t count = 0;
    int status = 0;
    if (ctl->limit == UINT64_MAX)
        ctl->limit = 0;
    do {
        Tercet__V1__ListResponse *page = NULL;
        status = list_ask_page(&page, ctl, &page_size, token);
        free(token);
        if (status != 0)
            return status;
        for (size_t i = 0; i < page->n_transactions && (ctl->limit == 0 || count < ctl->limit);
             i++) {
            if (!filter_lets(ctl, page->transactions[i]))
                continue;
            ctl_print_json(ctl_json(&page->transactions[i]->base), true);
            putchar('\n');
            count++;
        }
        token = ctl_format("%s", page->next_page_token);
        crpc_message_free(&page->base);
    } while (token[0] != '\0' && (ctl->limit == 0 || count < ctl->limit));
    free(token);
    return 0;
}
