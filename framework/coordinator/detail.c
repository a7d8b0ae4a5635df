/* SPDX-License-Identifier: Apache-2.0
 *
 * detail.h
 */
#include "detail.h"

#include <stdio.h>
#include <string.h>
#include <tercet/wire/status.pb-c.h>

#define DOMAIN "tercet"
#define TYPE_URL "type.googleapis.com/google.rpc.ErrorInfo"
#define ENTRIES_MAX 4 /* state, cause, branch, field */

struct info {
    Tercet__Wire__ErrorInfo message;
    Tercet__Wire__Entry entries[ENTRIES_MAX];
    Tercet__Wire__Entry *pointers[ENTRIES_MAX];
    char branch[16];
};

static void add(struct info *info, const char *key, const char *value)
{
    Tercet__Wire__Entry *entry = &info->entries[info->message.n_metadata];
    tercet__wire__entry__init(entry);
    entry->key = (char *)(uintptr_t)key;
    entry->value = (char *)(uintptr_t)value;
    info->pointers[info->message.n_metadata++] = entry;
}

/* The names are those of the enums in tercet.proto. */
static const char *name_of(const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    return found != NULL ? found->name : "";
}

static void add_state(struct info *info, const Tercet__V1__Transaction *transaction)
{
    add(info, "state", name_of(&tercet__v1__state__descriptor, (int)transaction->state));
    if (transaction->cause != TERCET__V1__CAUSE__UNDECIDED)
        add(info, "cause", name_of(&tercet__v1__cause__descriptor, (int)transaction->cause));
}

static void fill(struct info *info, const struct refusal *no, const ProtobufCMessage *message)
{
    tercet__wire__error_info__init(&info->message);
    info->message.reason = (char *)(uintptr_t)(tercet_error_name(no->code) + strlen("TERCET_"));
    info->message.domain = (char *)(uintptr_t)DOMAIN;
    info->message.metadata = info->pointers;
    if (message != NULL && message->descriptor == &tercet__v1__transaction__descriptor)
        add_state(info, (const Tercet__V1__Transaction *)message);
    if (no->branch != 0) {
        snprintf(info->branch, sizeof(info->branch), "%u", no->branch);
        add(info, "branch", info->branch);
    }
    if (no->field != NULL)
        add(info, "field", no->field);
}

struct crpc_bytes detail_encode(struct arena *arena, enum crpc_code code, const struct refusal *no,
                                const ProtobufCMessage *message)
{
    struct info info;
    Tercet__Wire__Status status = TERCET__WIRE__STATUS__INIT;
    Tercet__Wire__Any any = TERCET__WIRE__ANY__INIT, *details[] = {&any};
    fill(&info, no, message);
    struct crpc_bytes packed = arena_pack(arena, 0, &info.message.base);
    any.type_url = (char *)(uintptr_t)TYPE_URL;
    any.value = (ProtobufCBinaryData){packed.size, (uint8_t *)(uintptr_t)packed.data};
    status.code = (int32_t)code;
    status.message = (char *)(uintptr_t)no->text;
    status.details = details;
    status.n_details = 1;
    return arena_pack(arena, 0, &status.base);
}
