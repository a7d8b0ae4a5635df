/* SPDX-License-Identifier: Apache-2.0
 *
 * audit.h
 */
#include "audit.h"

#include "access.h"
#include "coordinator.h"
#include "record.h"

#include <check.h>
#include <inttypes.h>
#include <status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAYS "tercet-operator-bin" /* metadata: who a caller says it is */
#define NAME_SIZE (sizeof(AUDIT_PREFIX) + 16)

static void format_name(char out[NAME_SIZE], uint64_t number)
{
    snprintf(out, NAME_SIZE, AUDIT_PREFIX "%016" PRIx64, number);
}

/* How many are kept: no more than the store has room for. One that cannot tell now is no reason to
 * drop any. */
static size_t entries_max(const struct coordinator *c)
{
    struct tercet_store_stats stats = {0};
    if (store_stats(coordinator_home(c)->store, &stats) != 0)
        return AUDIT_ENTRIES_MAX;
    uint64_t count = stats.bytes_max / AUDIT_STORE_SHARE;
    if (count < AUDIT_ENTRIES_MIN)
        return AUDIT_ENTRIES_MIN;
    return count < AUDIT_ENTRIES_MAX ? (size_t)count : AUDIT_ENTRIES_MAX;
}

/* -- In memory --------------------------------------------------------------------------------- */

static void drop_first(struct audit *audit, size_t count)
{
    for (size_t i = 0; i < count; i++)
        crpc_message_free(&audit->entries[i]->base);
    if (count > 0)
        memmove(audit->entries, audit->entries + count,
                (audit->count - count) * sizeof(*audit->entries));
    audit->count -= count;
}

/* Takes the entry over. */
static void append(struct audit *audit, Tercet__Store__V1__Audit *entry)
{
    if (audit->count == audit->capacity) {
        audit->capacity = audit->capacity > 0 ? 2 * audit->capacity : 64;
        audit->entries = or_die(realloc(audit->entries, audit->capacity * sizeof(*audit->entries)));
    }
    audit->entries[audit->count++] = entry;
    if (entry->number > audit->last_number)
        audit->last_number = entry->number;
}

/* Those past the limit go, from the store, too. */
static void make_room(struct coordinator *c)
{
    struct audit *audit = &c->audit;
    const size_t max = entries_max(c);
    const size_t count = audit->count > max ? audit->count - max : 0;
    for (size_t i = 0; i < count; i++) {
        char name[NAME_SIZE];
        format_name(name, audit->entries[i]->number);
        batch_delete_meta(coordinator_home(c), name);
    }
    if (count > 0)
        drop_first(audit, count);
}

void audit_free(struct audit *audit)
{
    drop_first(audit, audit->count);
    free(audit->entries);
}

/* -- Writing down ------------------------------------------------------------------------------ */

static char *view(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

/* As much of it as a text has. What is not UTF-8 could not be read again at the next start. */
static void keep_text(char out[TERCET_TEXT_MAX], const char *text)
{
    copy_text(out, view(text));
    if (crpc_is_text(out, strlen(out)))
        return;
    for (char *at = out; *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
}

/* What the caller says of itself; "" unless it is text. */
static void copy_says(char out[TERCET_TEXT_MAX], struct crpc_call *call)
{
    struct crpc_bytes says = {NULL, 0};
    out[0] = '\0';
    if (!crpc_call_metadata_get(call, SAYS, &says) || says.size >= TERCET_TEXT_MAX ||
        memchr(says.data, '\0', says.size) != NULL)
        return;
    memcpy(out, says.data, says.size);
    out[says.size] = '\0';
    if (check_text(out) != NULL)
        out[0] = '\0';
}

static void put(struct coordinator *c, const Tercet__Store__V1__Audit *entry)
{
    char name[NAME_SIZE];
    ProtobufCMessage *copy = NULL;
    if (crpc_message_copy(&copy, &entry->base) != 0)
        or_die(NULL);
    format_name(name, entry->number);
    append(&c->audit, (Tercet__Store__V1__Audit *)copy);
    make_room(c);
    batch_put_meta(coordinator_home(c), name,
                   record_encode(&c->scratch, RECORD_AUDIT, &entry->base));
}

bool audit_is_person(struct caller *caller)
{
    struct crpc_bytes says = {NULL, 0};
    return crpc_call_metadata_get(caller->call, SAYS, &says);
}

void audit_note(struct coordinator *c, struct caller *caller, const struct audit_act *act,
                const struct refusal *no)
{
    Tercet__Store__V1__Audit entry = TERCET__STORE__V1__AUDIT__INIT;
    char name[ACCESS_WHO_SIZE], who[TERCET_TEXT_MAX], says[TERCET_TEXT_MAX], peer[TERCET_TEXT_MAX];
    char gid[TERCET_TEXT_MAX], service[TERCET_TEXT_MAX], reason[TERCET_TEXT_MAX];
    char result[TERCET_TEXT_MAX + 32] = "OK";
    access_name(c->access, caller->call, name);
    keep_text(who, name);
    copy_says(says, caller->call);
    keep_text(peer, crpc_call_peer(caller->call));
    keep_text(gid, act->gid);
    keep_text(service, act->service);
    keep_text(reason, act->reason);
    if (no != NULL)
        snprintf(result, sizeof(result), "%s: %s", crpc_code_name(status_of_error(no->code)),
                 no->text);
    entry.number = c->audit.last_number + 1;
    entry.at_ms = c->clock.wall_ms;
    entry.who = who;
    entry.says = says;
    entry.peer = peer;
    entry.action = view(act->action);
    entry.gid = gid;
    entry.branch = act->branch;
    entry.service = service;
    entry.reason = reason;
    entry.result = result;
    put(c, &entry);
}

/* -- At the start ------------------------------------------------------------------------------ */

bool audit_restore(struct audit *audit, const void *value, size_t size)
{
    Tercet__Store__V1__Audit *entry =
        (Tercet__Store__V1__Audit *)record_decode(RECORD_AUDIT, value, size);
    if (entry != NULL)
        append(audit, entry);
    return entry != NULL;
}

static int compare(const void *left, const void *right)
{
    const Tercet__Store__V1__Audit *const *a = left, *const *b = right;
    return (*a)->number < (*b)->number ? -1 : (*a)->number > (*b)->number;
}

void audit_restored(struct coordinator *c)
{
    if (c->audit.count > 1)
        qsort(c->audit.entries, c->audit.count, sizeof(*c->audit.entries), compare);
}

/* -- Showing ----------------------------------------------------------------------------------- */

bool audit_is_wanted(const Tercet__Store__V1__Audit *entry, uint64_t before, const char *gid)
{
    return (before == 0 || entry->number < before) &&
           (gid[0] == '\0' || strcmp(gid, entry->gid) == 0);
}
