/* SPDX-License-Identifier: Apache-2.0
 *
 * retry, settle and cancel for all that the filters let through: what would be done is shown; it is
 * done when somebody has said how many that are. What has changed in between is the coordinator's
 * to refuse, item by item.
 */
#include "tercetctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A branch, or a whole transaction. */
struct item {
    char *gid;
    char *action; /* of the branch */
    char *note;
    const char *state;
    uint32_t branch; /* 0: the transaction */
    int64_t age_ms;
};

struct bulk {
    struct ctl *ctl;
    const struct bulk_act *act;
    struct item *items;
    size_t count;
    bool has_more; /* than the limit */
    size_t done, refused;
    cJSON *json; /* -o json: the items */
};

/* -- What would be done ------------------------------------------------------------------------ */

/* Whether a retry would have an effect on the branch. */
static bool waits(const Tercet__V1__BranchStatus *branch)
{
    return branch->end_state == TERCET__V1__END_STATE__END_WAITING ||
           (branch->end_state == TERCET__V1__END_STATE__END_NONE &&
            branch->try_state == TERCET__V1__TRY_STATE__TRY_WAITING);
}

static bool is_unended(const Tercet__V1__BranchStatus *branch)
{
    return branch->end_state == TERCET__V1__END_STATE__END_WAITING ||
           branch->end_state == TERCET__V1__END_STATE__END_CALLING;
}

/* `branch` NULL: the transaction. */
static void add_item(struct bulk *bulk, const Tercet__V1__Transaction *transaction,
                     const Tercet__V1__BranchStatus *branch)
{
    if (bulk->count == bulk->ctl->limit) {
        bulk->has_more = true;
        return;
    }
    if ((bulk->count & (bulk->count - 1)) == 0) /* a power of two: full */
        bulk->items = ctl_resize(bulk->items, (bulk->count * 2 + 1) * sizeof(*bulk->items));
    bulk->items[bulk->count++] = (struct item){
        .gid = ctl_format("%s", transaction->gid),
        .action = ctl_format("%s", branch != NULL ? branch->action : ""),
        .note = ctl_format("%s%s", branch != NULL && branch->parked ? "PARKED: " : "",
                           branch != NULL ? branch->last_error : transaction->reason),
        .state = view_state(transaction),
        .branch = branch != NULL ? branch->number : 0,
        .age_ms = clock_wall_ms() - transaction->created_ms,
    };
}

static void pick_branches(struct bulk *bulk, const Tercet__V1__Transaction *transaction,
                          bool (*is_meant)(const Tercet__V1__BranchStatus *))
{
    for (size_t i = 0; i < transaction->n_branches; i++) {
        const Tercet__V1__BranchStatus *branch = transaction->branches[i];
        if (is_meant(branch) && filter_names(bulk->ctl, branch) &&
            (branch->parked || !bulk->ctl->is_parked))
            add_item(bulk, transaction, branch);
    }
}

static void pick_to_retry(struct bulk *bulk, const Tercet__V1__Transaction *transaction)
{
    pick_branches(bulk, transaction, waits);
}

static void pick_to_settle(struct bulk *bulk, const Tercet__V1__Transaction *transaction)
{
    pick_branches(bulk, transaction, is_unended);
}

static void pick_to_cancel(struct bulk *bulk, const Tercet__V1__Transaction *transaction)
{
    if (transaction->state == TERCET__V1__STATE__TRYING && filter_names_any(bulk->ctl, transaction))
        add_item(bulk, transaction, NULL);
}

static void print_plan(const struct bulk *bulk)
{
    static const char *const headers[] = {"GID", "STATE", "AGE", "BRANCH", "ACTION", "NOTE"};
    struct table table = {.headers = headers, .column_count = 6, .cuts_last = true};
    for (size_t i = 0; i < bulk->count; i++) {
        const struct item *item = &bulk->items[i];
        table_cell(&table, "%s", item->gid);
        table_cell(&table, "%s", item->state);
        table_cell(&table, "%s", figure_duration(item->age_ms).text);
        table_cell(&table, item->branch != 0 ? "%" PRIu32 : "all", item->branch);
        table_cell(&table, "%s", item->action);
        table_cell(&table, "%s", item->note);
    }
    if (bulk->count > 0)
        table_flush(&table);
    if (bulk->has_more)
        printf("there are more: these are the first %zu (--limit)\n", bulk->count);
}

/* -- Doing it ---------------------------------------------------------------------------------- */

static int ask_retry(struct ctl *ctl, const struct item *item, ProtobufCMessage **reply,
                     struct crpc_result *result)
{
    Tercet__V1__RetryRequest request = TERCET__V1__RETRY_REQUEST__INIT;
    request.gid = item->gid;
    request.branch = item->branch;
    return ctl_ask(reply, ctl, "Retry", &request.base, result);
}

static int ask_settle(struct ctl *ctl, const struct item *item, ProtobufCMessage **reply,
                      struct crpc_result *result)
{
    Tercet__V1__SettleRequest request = TERCET__V1__SETTLE_REQUEST__INIT;
    request.gid = item->gid;
    request.branch = item->branch;
    request.reason = (char *)(uintptr_t)ctl->reason;
    request.now = ctl->is_now;
    return ctl_ask(reply, ctl, "Settle", &request.base, result);
}

static int ask_cancel(struct ctl *ctl, const struct item *item, ProtobufCMessage **reply,
                      struct crpc_result *result)
{
    Tercet__V1__DecideRequest request = TERCET__V1__DECIDE_REQUEST__INIT;
    request.gid = item->gid;
    request.reason = (char *)(uintptr_t)ctl->reason;
    return ctl_ask(reply, ctl, "Decide", &request.base, result);
}

struct bulk_act {
    const char *verb; /* "would be ..." */
    void (*pick)(struct bulk *bulk, const Tercet__V1__Transaction *transaction);
    int (*ask)(struct ctl *ctl, const struct item *item, ProtobufCMessage **reply,
               struct crpc_result *result);
};

static const struct bulk_act acts[] = {
    [BULK_RETRY] = {"asked again", pick_to_retry, ask_retry},
    [BULK_SETTLE] = {"settled", pick_to_settle, ask_settle},
    [BULK_CANCEL] = {"cancelled", pick_to_cancel, ask_cancel},
};

/* An item with what became of it; `text` NULL: it was only shown. */
static void add_json(struct bulk *bulk, const struct item *item, bool is_done, const char *text)
{
    cJSON *json = cJSON_CreateObject();
    if (json == NULL || !cJSON_AddItemToArray(bulk->json, json))
        ctl_die("out of memory");
    cJSON_AddStringToObject(json, "gid", item->gid);
    cJSON_AddNumberToObject(json, "branch", item->branch);
    cJSON_AddStringToObject(json, "action", item->action);
    cJSON_AddStringToObject(json, "state", item->state);
    if (text != NULL)
        cJSON_AddBoolToObject(json, "done", is_done);
    if (text != NULL)
        cJSON_AddStringToObject(json, "text", text);
}

static void tell_item(struct bulk *bulk, const struct item *item, bool is_done, const char *text)
{
    char branch[24] = "";
    *(is_done ? &bulk->done : &bulk->refused) += 1;
    if (item->branch != 0)
        snprintf(branch, sizeof(branch), " branch %" PRIu32, item->branch);
    if (bulk->json != NULL)
        add_json(bulk, item, is_done, text);
    else if (is_done)
        printf("%s%s: done, %s\n", item->gid, branch, text);
    else
        printf("%s%s: REFUSED: %s\n", item->gid, branch, text);
}

/* false: the coordinator cannot be asked any more. */
static bool do_item(struct bulk *bulk, const struct item *item)
{
    ProtobufCMessage *reply = NULL;
    struct crpc_result result = {0};
    int rc = bulk->act->ask(bulk->ctl, item, &reply, &result);
    bool is_refused = rc == CRPC_ESTATUS && result.code != CRPC_UNAVAILABLE &&
                      result.code != CRPC_DEADLINE_EXCEEDED;
    char *text = term_escape(result.message != NULL ? result.message : "");
    if (rc == 0)
        tell_item(bulk, item, true, view_state((const Tercet__V1__Transaction *)reply));
    else if (is_refused)
        tell_item(bulk, item, false, text);
    else
        ctl_explain(bulk->ctl, rc, &result);
    free(text);
    if (reply != NULL)
        crpc_message_free(reply);
    crpc_result_clear(&result);
    return rc == 0 || is_refused;
}

static int do_all(struct bulk *bulk)
{
    size_t asked = 0;
    while (asked < bulk->count && do_item(bulk, &bulk->items[asked]))
        asked++;
    if (bulk->json == NULL)
        printf("%zu done, %zu refused, %zu not asked\n", bulk->done, bulk->refused,
               bulk->count - asked);
    if (asked < bulk->count)
        return EXIT_REFUSED;
    return bulk->refused > 0 ? EXIT_PARTLY : 0;
}

/* -- Whether it is to be done ------------------------------------------------------------------ */

/* The count that somebody types; UINT64_MAX: nobody is there, or it is no count. */
static uint64_t ask_count(const struct bulk *bulk)
{
    char line[32];
    char *end;
    if (bulk->json != NULL || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return UINT64_MAX;
    printf("type their number to have all %zu %s, anything else to leave them: ", bulk->count,
           bulk->act->verb);
    fflush(stdout);
    if (fgets(line, sizeof(line), stdin) == NULL || line[0] < '0' || line[0] > '9')
        return UINT64_MAX;
    uint64_t count = strtoull(line, &end, 10);
    return *end == '\n' ? count : UINT64_MAX;
}

static int leave_them(struct bulk *bulk)
{
    if (bulk->json != NULL)
        for (size_t i = 0; i < bulk->count; i++)
            add_json(bulk, &bulk->items[i], false, NULL);
    else if (bulk->count == 0)
        puts("nothing matches");
    else
        printf("%zu would be %s, and nothing was done: --yes-count %zu does it\n", bulk->count,
               bulk->act->verb, bulk->count);
    return 0;
}

static int go_on(struct bulk *bulk)
{
    uint64_t count = bulk->ctl->yes_count;
    if (count == UINT64_MAX && bulk->count > 0)
        count = ask_count(bulk);
    if (count == UINT64_MAX)
        return leave_them(bulk);
    if (count == bulk->count)
        return do_all(bulk);
    term_complain("there are %zu of them now, and not %" PRIu64 ": nothing was done", bulk->count,
                  count);
    return EXIT_REFUSED;
}

/* -- All of it --------------------------------------------------------------------------------- */

static int collect(struct bulk *bulk)
{
    Tercet__V1__ListResponse *page = NULL;
    uint32_t page_size = LIST_PAGE_MAX;
    char *token = ctl_format("%s", "");
    int status;
    do {
        status = list_ask_page(&page, bulk->ctl, &page_size, token);
        free(token);
        token = NULL;
        for (size_t i = 0; status == 0 && i < page->n_transactions; i++)
            if (filter_lets(bulk->ctl, page->transactions[i]))
                bulk->act->pick(bulk, page->transactions[i]);
        if (status == 0) {
            token = ctl_format("%s", page->next_page_token);
            crpc_message_free(&page->base);
        }
    } while (status == 0 && token[0] != '\0' && !bulk->has_more);
    free(token);
    return status;
}

static void print_json(const struct bulk *bulk)
{
    cJSON *json = cJSON_CreateObject();
    if (json == NULL || !cJSON_AddItemToObject(json, "items", bulk->json))
        ctl_die("out of memory");
    cJSON_AddNumberToObject(json, "count", (double)bulk->count);
    cJSON_AddBoolToObject(json, "more", bulk->has_more);
    cJSON_AddBoolToObject(json, "dry_run", bulk->done + bulk->refused == 0);
    cJSON_AddNumberToObject(json, "done", (double)bulk->done);
    cJSON_AddNumberToObject(json, "refused", (double)bulk->refused);
    ctl_print_json(json, false);
    putchar('\n');
}

/* What the coordinator need not even list. */
static void narrow(struct ctl *ctl, enum bulk_kind kind)
{
    if (kind == BULK_SETTLE && !ctl->is_now)
        ctl->is_parked = true;
    if (kind == BULK_CANCEL && ctl->state_count == 0)
        ctl->states[ctl->state_count++] = TERCET__V1__STATE__TRYING;
}

int command_bulk(struct ctl *ctl, enum bulk_kind kind)
{
    struct bulk bulk = {.ctl = ctl, .act = &acts[kind]};
    if (ctl->limit == UINT64_MAX)
        ctl->limit = BULK_DEFAULT;
    if (ctl->limit == 0 || ctl->limit > BULK_MAX)
        ctl_misuse("--limit is from 1 to %d for what is done to many", BULK_MAX);
    if (ctl->is_resolved)
        ctl_misuse("what is over takes no %s", kind == BULK_CANCEL ? "cancel" : "more calls");
    narrow(ctl, kind);
    bulk.json = ctl->is_json ? cJSON_CreateArray() : NULL;
    int status = collect(&bulk);
    if (status == 0 && !ctl->is_json)
        print_plan(&bulk);
    if (status == 0)
        status = go_on(&bulk);
    if (ctl->is_json)
        print_json(&bulk);
    for (size_t i = 0; i < bulk.count; i++) {
        free(bulk.items[i].gid);
        free(bulk.items[i].action);
        free(bulk.items[i].note);
    }
    free(bulk.items);
    return status;
}
