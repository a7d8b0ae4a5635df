/* SPDX-License-Identifier: Apache-2.0
 *
 * audit: what operators have done. gc: dropping what is over.
 */
#include "tercetctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define AUDIT_LIMIT_DEFAULT 100
#define AUDIT_PAGE_MAX 1000

/* -- audit ------------------------------------------------------------------------------------- */

static void add_entry(struct table *table, const Tercet__V1__AuditEntry *entry)
{
    const char *says = entry->says[0] != '\0' ? entry->says : entry->peer;
    const char *object = entry->gid[0] != '\0' ? entry->gid : entry->service;
    table_cell(table, "%s", figure_time(entry->at_ms).text);
    if (entry->branch != 0)
        table_cell(table, "%s %s branch %" PRIu32, entry->action, object, entry->branch);
    else
        table_cell(table, "%s %s", entry->action, object);
    table_cell(table, "%s", entry->result);
    if (entry->who[0] != '\0')
        table_note(table, "by %s (%s)", entry->who, says);
    else
        table_note(table, "by %s", says);
    if (entry->reason[0] != '\0')
        table_note(table, "reason: %s", entry->reason);
}

static void add_json(cJSON *entries, const Tercet__V1__AuditEntry *entry)
{
    if (!cJSON_AddItemToArray(entries, ctl_json(&entry->base)))
        ctl_die("out of memory");
}

/* Of so many; UINT64_MAX: of all. */
static uint32_t page_size(uint64_t left)
{
    return left < AUDIT_PAGE_MAX ? (uint32_t)left : AUDIT_PAGE_MAX;
}

/* Page after page, until `left` are shown. */
static int collect(struct ctl *ctl, struct table *table, cJSON *entries, uint64_t left)
{
    Tercet__V1__ListAuditRequest request = TERCET__V1__LIST_AUDIT_REQUEST__INIT;
    if (ctl->arg_count > 0)
        request.gid = ctl_take_gid(ctl);
    do {
        ProtobufCMessage *reply = NULL;
        request.page_size = page_size(left);
        int status = ctl_call(&reply, ctl, "ListAudit", &request.base);
        if (status != 0)
            return status;
        const Tercet__V1__ListAuditResponse *page = (const Tercet__V1__ListAuditResponse *)reply;
        for (size_t i = 0; i < page->n_entries; i++)
            if (entries != NULL)
                add_json(entries, page->entries[i]);
            else
                add_entry(table, page->entries[i]);
        left -= page->n_entries;
        request.before = page->next_before;
        crpc_message_free(reply);
    } while (request.before != 0 && left > 0);
    return 0;
}

static void print_entries(cJSON *entries)
{
    cJSON *json = cJSON_CreateObject();
    if (json == NULL || !cJSON_AddItemToObject(json, "entries", entries))
        ctl_die("out of memory");
    ctl_print_json(json, false);
    putchar('\n');
}

int command_audit(struct ctl *ctl)
{
    static const char *const headers[] = {"WHEN", "WHAT", "RESULT"};
    struct table table = {.headers = headers, .column_count = 3, .is_uncut = ctl->is_wide};
    uint64_t left = ctl->limit == UINT64_MAX ? AUDIT_LIMIT_DEFAULT : ctl->limit;
    cJSON *entries = ctl->is_json ? cJSON_CreateArray() : NULL;
    int status = collect(ctl, &table, entries, left != 0 ? left : UINT64_MAX);
    if (status != 0)
        cJSON_Delete(entries);
    else if (entries != NULL)
        print_entries(entries);
    else if (table.cell_count == 0)
        puts("nothing has been done by operators, as far as is kept");
    else
        table_flush(&table);
    return status;
}

/* -- gc ---------------------------------------------------------------------------------------- */

static void print_buckets(const Tercet__V1__CollectResponse *response, bool is_done)
{
    static const char *const headers[] = {"OVER SINCE", "UNTIL", "TRANSACTIONS", "SIZE", ""};
    struct table table = {.headers = headers, .column_count = 5};
    for (size_t i = 0; i < response->n_buckets; i++) {
        const Tercet__V1__ResolvedBucket *bucket = response->buckets[i];
        table_cell(&table, "%s", figure_time(bucket->start_ms).text);
        table_cell(&table, "%s", figure_time(bucket->end_ms).text);
        table_cell(&table, "%" PRIu64, bucket->records);
        table_cell(&table, "%s", figure_size(bucket->bytes).text);
        table_cell(&table, "%s", !bucket->goes ? "stays" : is_done ? "dropped" : "goes");
    }
    if (response->n_buckets > 0)
        table_flush(&table);
}

static void print_collected(const struct ctl *ctl, const Tercet__V1__CollectResponse *response)
{
    print_buckets(response, ctl->is_agreed);
    if (response->records == 0)
        printf("nothing is that old: all is kept; after %s it goes by itself (--retention)\n",
               figure_duration(response->retention_ms).text);
    else if (ctl->is_agreed)
        printf("%" PRIu64 " transactions were dropped, %s are free for others\n", response->records,
               figure_size(response->bytes).text);
    else
        printf("%" PRIu64 " transactions, %s, would be dropped, and nothing was done: --yes does "
               "it\n",
               response->records, figure_size(response->bytes).text);
}

int command_gc(struct ctl *ctl)
{
    Tercet__V1__CollectRequest request = TERCET__V1__COLLECT_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    const char *wanted = cli_duration(&request.older_than_ms, ctl->args[0]);
    if (wanted != NULL)
        ctl_misuse("\"%s\": %s", ctl->args[0], wanted);
    request.dry_run = !ctl->is_agreed;
    if (ctl->reason != NULL)
        request.reason = (char *)(uintptr_t)ctl->reason;
    int status = ctl_call(&reply, ctl, "Collect", &request.base);
    if (status != 0)
        return status;
    if (ctl->is_json)
        ctl_print_message(reply);
    else
        print_collected(ctl, (const Tercet__V1__CollectResponse *)reply);
    crpc_message_free(reply);
    return 0;
}
