/* SPDX-License-Identifier: Apache-2.0
 *
 * record.h
 */
#include "record.h"

#include "service.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* More memory than any record takes: an element of two bytes becomes some 170. A record with the
 * right checksum was written by us, so that this is no risk. */
#define MEMORY_FACTOR 256
#define MEMORY_MIN (64 * 1024)

/* -- The frame --------------------------------------------------------------------------------- */

static uint64_t checksum(const uint8_t *record, size_t size)
{
    return XXH3_64bits_withSeed(record + RECORD_HEAD_SIZE, size - RECORD_HEAD_SIZE,
                                (uint64_t)record[0] << 8 | record[1]);
}

/* -- Versions ---------------------------------------------------------------------------------- */

/* An older program would confirm or cancel whom it must not, or elsewhere. */
static bool state_needs_2(const Tercet__Store__V1__State *state)
{
    if (state == NULL)
        return false;
    if (state->flags & RECORD_FLAG_PARTIAL)
        return true;
    for (size_t i = 0; i < state->n_branches; i++)
        if (state->branches[i]->flags & RECORD_BRANCH_UNSENT ||
            state->branches[i]->database[0] != '\0')
            return true;
    return false;
}

static uint8_t version_of(const ProtobufCMessage *message)
{
    bool needs_2 = false;
    if (message->descriptor == &tercet__store__v1__state__descriptor)
        needs_2 = state_needs_2((const Tercet__Store__V1__State *)message);
    if (message->descriptor == &tercet__store__v1__resolved__descriptor)
        needs_2 = state_needs_2(((const Tercet__Store__V1__Resolved *)message)->state);
    if (message->descriptor == &tercet__store__v1__participant__descriptor)
        needs_2 = ((const Tercet__Store__V1__Participant *)message)->n_further > 0;
    return needs_2 ? 2 : 1;
}

/* -- Records ----------------------------------------------------------------------------------- */

struct crpc_bytes record_encode(struct arena *arena, enum record_type type,
                                const ProtobufCMessage *message)
{
    struct crpc_bytes bytes = arena_pack(arena, RECORD_HEAD_SIZE, message);
    uint8_t *record = (uint8_t *)bytes.data;
    memset(record, 0, RECORD_HEAD_SIZE);
    record[0] = version_of(message);
    record[1] = (uint8_t)type;
    uint64_t sum = checksum(record, bytes.size);
    for (int i = 0; i < 8; i++)
        record[4 + i] = (uint8_t)(sum >> (8 * i));
    return bytes;
}

static const ProtobufCMessageDescriptor *descriptor_of(enum record_type type)
{
    switch (type) {
    case RECORD_STATE:
        return &tercet__store__v1__state__descriptor;
    case RECORD_BRANCH:
        return &tercet__store__v1__branch__descriptor;
    case RECORD_RESOLVED:
        return &tercet__store__v1__resolved__descriptor;
    case RECORD_PARTICIPANT:
        return &tercet__store__v1__participant__descriptor;
    case RECORD_AUDIT:
        return &tercet__store__v1__audit__descriptor;
    case RECORD_CLOCK:
        break;
    }
    return &tercet__store__v1__clock__descriptor;
}

static bool has_its_checksum(const uint8_t *record, size_t size)
{
    uint64_t sum = 0;
    for (int i = 7; i >= 0; i--)
        sum = sum << 8 | record[4 + i];
    return sum == checksum(record, size);
}

bool record_is_newer(const void *data, size_t size)
{
    const uint8_t *record = data;
    return size >= RECORD_HEAD_SIZE && record[0] > RECORD_VERSION_MAX &&
           has_its_checksum(record, size);
}

bool record_is_whole(enum record_type type, const void *data, size_t size)
{
    const uint8_t *record = data;
    return size >= RECORD_HEAD_SIZE && record[0] >= 1 && record[0] <= RECORD_VERSION_MAX &&
           record[1] == (uint8_t)type && record[2] == 0 && record[3] == 0 &&
           has_its_checksum(record, size);
}

bool record_peek_state(char *gid, uint8_t *state, const void *data, size_t size)
{
    enum { TAG_GID = 1 << 3 | 2, TAG_STATE = 2 << 3 };
    const uint8_t *body = (const uint8_t *)data + RECORD_HEAD_SIZE;
    size -= RECORD_HEAD_SIZE;
    size_t gid_size = size >= 2 && body[0] == TAG_GID ? body[1] : 0;
    if (gid_size == 0 || gid_size > TERCET_GID_MAX || size < gid_size + 4 ||
        body[2 + gid_size] != TAG_STATE)
        return false;
    memcpy(gid, body + 2, gid_size);
    gid[gid_size] = '\0';
    *state = body[3 + gid_size];
    return strlen(gid) == gid_size && *state >= TXN_TRYING && *state <= TXN_CANCELLED;
}

ProtobufCMessage *record_decode(enum record_type type, const void *data, size_t size)
{
    if (!record_is_whole(type, data, size))
        return NULL;
    ProtobufCMessage *message = NULL;
    struct crpc_bytes body = {(const uint8_t *)data + RECORD_HEAD_SIZE, size - RECORD_HEAD_SIZE};
    size_t memory_max = MEMORY_MIN + MEMORY_FACTOR * body.size;
    if (crpc_message_decode(&message, descriptor_of(type), body, memory_max) == CRPC_ENOMEM)
        or_die(NULL); /* a lack of memory is not damage */
    return message;
}

/* -- Encoding an entry ------------------------------------------------------------------------- */

/* That no try has left, as far as the record's reader may believe it: before the decision one may
 * leave any time after this is written, unless it is held until that is written, too. */
static bool is_unsent(const struct txn *txn, const struct txn_branch *branch)
{
    return branch->sent == TXN_SENT_HELD ||
           (branch->sent == TXN_SENT_NOT && txn->state != TXN_TRYING);
}

static uint32_t branch_flags(const struct txn *txn, const struct txn_branch *branch)
{
    return (branch->is_parked ? RECORD_BRANCH_PARKED : 0u) |
           (branch->is_broken ? RECORD_BRANCH_BROKEN : 0u) |
           (branch->is_settled ? RECORD_BRANCH_SETTLED : 0u) |
           (is_unsent(txn, branch) ? RECORD_BRANCH_UNSENT : 0u);
}

/* NULL: the phase has nothing to tell. */
static Tercet__Store__V1__Failures *make_failures(struct arena *arena,
                                                  const struct history_phase *phase)
{
    if (!history_has_news(phase))
        return NULL;
    Tercet__Store__V1__Failures *out = arena_alloc(arena, sizeof(*out));
    tercet__store__v1__failures__init(out);
    HISTORY_FILL(out, phase);
    return out;
}

static void fill_branch(struct arena *arena, Tercet__Store__V1__BranchState *out,
                        const struct txn *txn, const struct txn_branch *branch,
                        const struct branch_info *info, int64_t wall_offset_ms)
{
    tercet__store__v1__branch_state__init(out);
    out->number = branch->number;
    out->try_state = branch->try_state;
    out->end_state = branch->end_state;
    out->attempts = branch->attempts;
    out->flags = branch_flags(txn, branch);
    out->reply.data = info->reply;
    out->reply.len = info->reply_size;
    out->reason = info->reason != NULL ? info->reason : out->reason;
    out->database = info->database != NULL ? info->database : out->database;
    out->try_until_ms =
        branch->try_until_ms == TXN_NEVER ? 0 : branch->try_until_ms + wall_offset_ms;
    if (info->history == NULL)
        return;
    out->try_failures = make_failures(arena, &info->history->tries);
    out->end_failures = make_failures(arena, &info->history->ends);
}

static uint32_t state_flags(const struct txn *txn)
{
    const struct txn_options *options = &txn->options;
    return (txn->is_partial ? RECORD_FLAG_PARTIAL : 0u) |
           (options->is_ordered ? RECORD_FLAG_ORDERED : 0u) |
           (options->decides_itself ? RECORD_FLAG_DECIDES_ITSELF : 0u) |
           (options->keeps_on_refusal ? RECORD_FLAG_KEEPS_ON_REFUSAL : 0u);
}

static void fill_branches(struct arena *arena, Tercet__Store__V1__State *out,
                          const struct entry *entry, int64_t wall_offset_ms)
{
    size_t count = entry->txn.branch_count;
    Tercet__Store__V1__BranchState *states = arena_alloc(arena, count * sizeof(*states));
    out->branches = arena_alloc(arena, count * sizeof(*out->branches));
    out->n_branches = count;
    for (size_t i = 0; i < count; i++) {
        fill_branch(arena, &states[i], &entry->txn, &entry->txn.branches[i], &entry->infos[i],
                    wall_offset_ms);
        out->branches[i] = &states[i];
    }
}

static void fill_metadata(struct arena *arena, Tercet__Store__V1__State *out,
                          const struct entry *entry)
{
    size_t count = entry->metadata_count;
    if (count == 0)
        return;
    Tercet__Store__V1__Metadata *items = arena_alloc(arena, count * sizeof(*items));
    out->metadata = arena_alloc(arena, count * sizeof(*out->metadata));
    out->n_metadata = count;
    for (size_t i = 0; i < count; i++) {
        tercet__store__v1__metadata__init(&items[i]);
        items[i].key = (char *)entry->metadata[i].key;
        items[i].value = (char *)entry->metadata[i].value;
        out->metadata[i] = &items[i];
    }
}

static void fill_state(struct arena *arena, Tercet__Store__V1__State *out,
                       const struct entry *entry, int64_t wall_offset_ms)
{
    const struct txn_options *options = &entry->txn.options;
    tercet__store__v1__state__init(out);
    out->gid = (char *)entry->gid;
    out->state = entry->txn.state;
    out->cause = entry->txn.cause;
    out->reason = entry->reason != NULL ? entry->reason : out->reason;
    out->begun_by = entry->begun_by != NULL ? entry->begun_by : out->begun_by;
    out->created_ms = entry->created_ms;
    out->deadline_ms = entry->deadline_wall_ms;
    out->decided_ms = entry->decided_ms;
    out->plan_digest = entry->plan_digest;
    out->flags = state_flags(&entry->txn);
    out->retry_base_ms = options->retry_base_ms;
    out->retry_cap_ms = options->retry_cap_ms;
    out->park_attempts = options->park_attempts;
    out->park_after_ms = options->park_after_ms;
    fill_branches(arena, out, entry, wall_offset_ms);
    fill_metadata(arena, out, entry);
}

struct crpc_bytes record_of_state(struct arena *arena, const struct entry *entry,
                                  int64_t wall_offset_ms)
{
    Tercet__Store__V1__State state;
    fill_state(arena, &state, entry, wall_offset_ms);
    return record_encode(arena, RECORD_STATE, &state.base);
}

static char *full_action(struct arena *arena, const char *service, const char *action)
{
    size_t service_size = strlen(service);
    size_t action_size = strlen(action);
    char *full = arena_alloc(arena, service_size + action_size + 2);
    memcpy(full, service, service_size);
    full[service_size] = '/';
    memcpy(full + service_size + 1, action, action_size + 1);
    return full;
}

struct crpc_bytes record_of_branch(struct arena *arena, const struct entry *entry,
                                   const struct txn_branch *branch)
{
    const struct branch_info *info = entry_info(entry, branch);
    Tercet__Store__V1__Branch message = TERCET__STORE__V1__BRANCH__INIT;
    assert(info->has_payload);
    message.action = full_action(arena, info->service->name, info->action);
    message.payload.data = info->payload;
    message.payload.len = info->payload_size;
    message.try_timeout_ms = info->try_timeout_ms;
    message.call_timeout_ms = info->timeouts.call_ms;
    message.end_timeout_ms = info->timeouts.end_ms;
    message.own_call = branch->mode == TXN_MODE_OWN;
    message.enlisted_ms = info->enlisted_ms != entry->created_ms ? info->enlisted_ms : 0;
    message.digest = branch->digest;
    return record_encode(arena, RECORD_BRANCH, &message.base);
}

struct crpc_bytes record_of_resolved(struct arena *arena, const struct entry *entry,
                                     int64_t wall_offset_ms)
{
    Tercet__Store__V1__Resolved message = TERCET__STORE__V1__RESOLVED__INIT;
    Tercet__Store__V1__State state;
    size_t count = entry->txn.branch_count;
    fill_state(arena, &state, entry, wall_offset_ms);
    message.state = &state;
    message.resolved_ms = entry->resolved_ms;
    message.actions = arena_alloc(arena, count * sizeof(char *));
    message.digests = arena_alloc(arena, count * sizeof(uint64_t));
    message.n_actions = count;
    message.n_digests = count;
    for (size_t i = 0; i < count; i++) {
        message.actions[i] =
            full_action(arena, entry->infos[i].service->name, entry->infos[i].action);
        message.digests[i] = entry->txn.branches[i].digest;
    }
    return record_encode(arena, RECORD_RESOLVED, &message.base);
}

/* -- Loading an entry -------------------------------------------------------------------------- */

void entry_set_metadata(struct entry *entry, const struct tercet_metadata *metadata, size_t count)
{
    size_t size = count * sizeof(*metadata);
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        size += strlen(metadata[i].key) + strlen(metadata[i].value) + 2;
    entry->metadata = must_alloc(size);
    entry->metadata_count = (uint32_t)count;
    char *text = (char *)(entry->metadata + count);
    for (size_t i = 0; i < count; i++) {
        entry->metadata[i].key = text;
        text = stpcpy(text, metadata[i].key) + 1;
        entry->metadata[i].value = text;
        text = stpcpy(text, metadata[i].value) + 1;
    }
}

static void load_metadata(struct entry *entry, const Tercet__Store__V1__State *state)
{
    struct tercet_metadata *items = must_alloc((state->n_metadata + 1) * sizeof(*items));
    for (size_t i = 0; i < state->n_metadata; i++)
        items[i] = (struct tercet_metadata){state->metadata[i]->key, state->metadata[i]->value};
    entry_set_metadata(entry, items, state->n_metadata);
    free(items);
}

static void load_failures(struct history **history, size_t *history_bytes, enum tercet_kind kind,
                          const Tercet__Store__V1__Failures *failures)
{
    if (failures == NULL)
        return;
    const char *texts[3] = {failures->last_error, failures->last_instance, failures->answered_by};
    history_restore(history, history_bytes, kind, failures->count, failures->last_ms, texts);
}

static void load_branch(struct entry *entry, size_t i, const Tercet__Store__V1__BranchState *state,
                        int64_t wall_offset_ms, size_t *history_bytes)
{
    struct txn_branch *branch = &entry->txn.branches[i];
    struct branch_info *info = &entry->infos[i];
    memset(branch, 0, sizeof(*branch));
    memset(info, 0, sizeof(*info));
    branch->number = state->number;
    branch->try_state = (uint8_t)state->try_state;
    branch->end_state = (uint8_t)state->end_state;
    branch->attempts = state->attempts;
    branch->is_parked = (state->flags & RECORD_BRANCH_PARKED) != 0;
    branch->is_broken = (state->flags & RECORD_BRANCH_BROKEN) != 0;
    branch->is_settled = (state->flags & RECORD_BRANCH_SETTLED) != 0;
    branch->sent = state->flags & RECORD_BRANCH_UNSENT ? TXN_SENT_HELD : TXN_SENT_MAYBE;
    branch->try_until_ms =
        state->try_until_ms == 0 ? TXN_NEVER : state->try_until_ms - wall_offset_ms;
    info->reply_size = (uint32_t)state->reply.len;
    if (state->reply.len > 0) {
        info->reply = must_alloc(state->reply.len);
        memcpy(info->reply, state->reply.data, state->reply.len);
    }
    if (state->reason[0] != '\0')
        info->reason = must_strdup(state->reason);
    if (state->database[0] != '\0')
        info->database = must_strdup(state->database);
    load_failures(&info->history, history_bytes, TERCET_TRY, state->try_failures);
    load_failures(&info->history, history_bytes, TERCET_CONFIRM, state->end_failures);
}

static void load_options(struct txn *txn, const Tercet__Store__V1__State *state)
{
    txn_options_default(&txn->options);
    txn->is_partial = (state->flags & RECORD_FLAG_PARTIAL) != 0;
    txn->options.is_ordered = (state->flags & RECORD_FLAG_ORDERED) != 0;
    txn->options.decides_itself = (state->flags & RECORD_FLAG_DECIDES_ITSELF) != 0;
    txn->options.keeps_on_refusal = (state->flags & RECORD_FLAG_KEEPS_ON_REFUSAL) != 0;
    txn->options.retry_base_ms = state->retry_base_ms;
    txn->options.retry_cap_ms = state->retry_cap_ms;
    txn->options.park_attempts = state->park_attempts;
    txn->options.park_after_ms = state->park_after_ms;
}

/* Every clock is within these bounds, and sums of such times do not overflow. */
static bool is_wall_time(int64_t time_ms)
{
    return time_ms >= INT64_MIN / 8 && time_ms <= INT64_MAX / 8;
}

static bool is_try_state(uint32_t value)
{
    switch (value) {
    case TXN_TRY_OWN:
    case TXN_TRY_WAITING:
    case TXN_TRY_CALLING:
    case TXN_TRY_DONE:
    case TXN_TRY_REFUSED:
    case TXN_TRY_UNKNOWN:
        return true;
    default:
        return false;
    }
}

/* No flag is passed over: what it says would be lost. */
static bool flags_are_known(const Tercet__Store__V1__State *state)
{
    uint32_t unknown = state->flags & ~(uint32_t)RECORD_FLAGS_ALL;
    for (size_t i = 0; i < state->n_branches; i++)
        unknown |= state->branches[i]->flags & ~(uint32_t)RECORD_BRANCH_ALL;
    return unknown == 0;
}

/* Whether each number is one of its kind. Whether they agree with each other is checked by the core
 * (txn_restore). */
static bool state_is_in_range(const Tercet__Store__V1__State *state)
{
    if (state->n_branches > TXN_BRANCHES_MAX || state->state > TXN_CANCELLED ||
        state->cause > TXN_CAUSE_OPERATOR || !flags_are_known(state))
        return false;
    for (size_t i = 0; i < state->n_branches; i++) {
        const Tercet__Store__V1__BranchState *branch = state->branches[i];
        if (!is_try_state(branch->try_state) || branch->end_state > TXN_END_DONE ||
            !is_wall_time(branch->try_until_ms))
            return false;
    }
    return is_wall_time(state->created_ms) && is_wall_time(state->deadline_ms) &&
           is_wall_time(state->decided_ms);
}

bool record_load_state(struct entry *entry, const Tercet__Store__V1__State *state,
                       int64_t wall_offset_ms, size_t *history_bytes)
{
    struct txn *txn = &entry->txn;
    if (!state_is_in_range(state))
        return false;
    txn->state = (uint8_t)state->state;
    txn->cause = (uint8_t)state->cause;
    txn->seed = entry->number;
    txn->deadline_ms = state->deadline_ms - wall_offset_ms;
    load_options(txn, state);
    entry->created_ms = state->created_ms;
    entry->deadline_wall_ms = state->deadline_ms;
    entry->decided_ms = state->decided_ms;
    entry->plan_digest = state->plan_digest;
    entry->reason = state->reason[0] != '\0' ? must_strdup(state->reason) : NULL;
    entry->begun_by = state->begun_by[0] != '\0' ? must_strdup(state->begun_by) : NULL;
    load_metadata(entry, state);
    for (size_t i = 0; i < state->n_branches; i++) {
        entry_reserve_branch(entry);
        load_branch(entry, i, state->branches[i], wall_offset_ms, history_bytes);
        txn->branch_count++;
    }
    return true;
}
