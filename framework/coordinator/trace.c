/* SPDX-License-Identifier: Apache-2.0
 *
 * trace.h
 */
#include "trace.h"

#include "coordinator.h"
#include "record.h"
#include "why.h"

#include <assert.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define HEADER "traceparent"
#define STATE_HEADER "tracestate"
#define STATE_MAX 512 /* characters that W3C asks everybody to pass on */
#define CALL_NAME_MAX (TERCET_ACTION_MAX + 16)

static_assert(SPAN_EVENTS_MAX >= HISTORY_ATTEMPTS_MAX + 1, "a branch's events have room");

/* -- Whose it is ------------------------------------------------------------------------------- */

/* What a transaction's spans have in common. */
struct trace {
    struct trace_context context; /* span_id: the transaction's */
    uint8_t parent_id[SPAN_ID_SIZE];
    const char *state; /* NULL: none */
    bool has_parent;
    bool is_sampled;
};

static const char *metadata_of(const struct entry *entry, const char *key)
{
    for (size_t i = 0; i < entry->metadata_count; i++)
        if (strcmp(entry->metadata[i].key, key) == 0)
            return entry->metadata[i].value;
    return NULL;
}

/* Any id but that of all zeroes, which stands for none. */
static void keep_span_id(uint8_t out[SPAN_ID_SIZE], uint64_t id)
{
    id += id == 0;
    for (size_t i = 0; i < SPAN_ID_SIZE; i++)
        out[i] = (uint8_t)(id >> (56 - 8 * i));
}

/* Which part of the trace ids is sampled, as OpenTelemetry's TraceIdRatioBased has it: all services
 * that use it choose the same. */
static bool is_chosen(const struct coordinator *c, const uint8_t trace_id[TRACE_ID_SIZE])
{
    uint64_t low = 0;
    for (size_t i = TRACE_ID_SIZE - 8; i < TRACE_ID_SIZE; i++)
        low = low << 8 | trace_id[i];
    return low >> 1 < c->trace_chosen_below;
}

/* Nobody has begun a trace: this coordinator does. */
static void begin_trace(const struct coordinator *c, const struct entry *entry, uint64_t seed,
                        struct trace *out)
{
    const XXH128_hash_t id = XXH3_128bits_withSeed(entry->gid, strlen(entry->gid), ~seed);
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, id);
    memcpy(out->context.trace_id, bytes.digest, TRACE_ID_SIZE);
    out->context.flags = TRACE_RANDOM;
    if (is_chosen(c, out->context.trace_id))
        out->context.flags |= TRACE_SAMPLED;
}

/* false: this coordinator traces nothing. */
static bool trace_of(const struct coordinator *c, const struct entry *entry, struct trace *out)
{
    if (c->spans == NULL)
        return false;
    const uint64_t seed = entry->shard->source ^ (entry->number * 0x9e3779b97f4a7c15u);
    const char *header = metadata_of(entry, HEADER);
    memset(out, 0, sizeof(*out));
    out->has_parent = header != NULL && traceparent_parse(&out->context, header);
    if (out->has_parent) {
        memcpy(out->parent_id, out->context.span_id, SPAN_ID_SIZE);
        out->state = metadata_of(entry, STATE_HEADER);
    } else {
        begin_trace(c, entry, seed, out);
    }
    out->is_sampled = (out->context.flags & TRACE_SAMPLED) != 0;
    keep_span_id(out->context.span_id, XXH3_64bits_withSeed(entry->gid, strlen(entry->gid), seed));
    return true;
}

/* The same, for those whose spans are wanted. */
static bool sampled_trace_of(const struct coordinator *c, const struct entry *entry,
                             struct trace *out)
{
    return trace_of(c, entry, out) && out->is_sampled;
}

static void branch_id(uint8_t out[SPAN_ID_SIZE], const struct trace *trace, uint32_t number)
{
    keep_span_id(out, XXH3_64bits_withSeed(trace->context.span_id, SPAN_ID_SIZE, number));
}

/* A call made again after a restart is another one, although it has the same number. */
static void call_id(uint8_t out[SPAN_ID_SIZE], const struct coordinator *c,
                    const struct trace *trace, const struct outcall *call)
{
    const uint64_t made[] = {(uint64_t)c->started_ms, call->id, (uint64_t)call->sent_ms,
                             call->kind};
    uint8_t branch[SPAN_ID_SIZE];
    branch_id(branch, trace, call->branch);
    keep_span_id(out, XXH3_64bits_withSeed(made, sizeof(made), XXH3_64bits(branch, SPAN_ID_SIZE)));
}

void trace_set_sample(struct coordinator *c, double ratio)
{
    const double all = 9223372036854775808.0; /* 2^63 */
    c->trace_chosen_below = ratio >= 1  ? (uint64_t)1 << 63
                            : ratio > 0 ? (uint64_t)(ratio * all)
                                        : 0;
}

bool trace_id_of(const struct coordinator *c, const struct entry *entry,
                 char out[TRACE_ID_TEXT_MAX + 1])
{
    struct trace trace;
    const char *header = metadata_of(entry, HEADER);
    const bool has_one = (header != NULL && traceparent_parse(&trace.context, header)) ||
                         sampled_trace_of(c, entry, &trace);
    if (has_one)
        traceparent_hex(out, trace.context.trace_id, TRACE_ID_SIZE);
    return has_one;
}

/* -- Adopting ---------------------------------------------------------------------------------- */

/* The call's header as a text; NULL: there is none that a transaction's metadata can have. */
static const char *header_of(struct crpc_call *call, const char *key, char *out, size_t size)
{
    struct crpc_bytes value;
    if (!crpc_call_metadata_get(call, key, &value) || value.size == 0 || value.size >= size)
        return NULL;
    memcpy(out, value.data, value.size);
    out[value.size] = '\0';
    return check_metadata_entry(key, out) == NULL ? out : NULL;
}

void trace_adopt(struct entry *entry, struct crpc_call *call)
{
    struct tercet_metadata all[TERCET_METADATA_MAX];
    struct trace_context context;
    char parent[TRACEPARENT_MAX + 1], state[STATE_MAX + 1];
    uint32_t count = entry->metadata_count;
    if (metadata_of(entry, HEADER) != NULL || metadata_of(entry, STATE_HEADER) != NULL ||
        count + 2 > TERCET_METADATA_MAX ||
        header_of(call, HEADER, parent, sizeof(parent)) == NULL ||
        !traceparent_parse(&context, parent))
        return;
    for (uint32_t i = 0; i < count; i++)
        all[i] = entry->metadata[i];
    all[count++] = (struct tercet_metadata){HEADER, parent};
    if (header_of(call, STATE_HEADER, state, sizeof(state)) != NULL)
        all[count++] = (struct tercet_metadata){STATE_HEADER, state};
    struct tercet_metadata *old = entry->metadata;
    entry_set_metadata(entry, all, count);
    free(old);
}

/* -- Passing on -------------------------------------------------------------------------------- */

static Tercet__V1__Metadata *make_header(struct coordinator *c, const struct trace_context *context)
{
    Tercet__V1__Metadata *entry = arena_alloc(&c->scratch, sizeof(*entry));
    char *text = arena_alloc(&c->scratch, TRACEPARENT_MAX + 1);
    tercet__v1__metadata__init(entry);
    traceparent_format(text, context);
    entry->key = HEADER;
    entry->value = text;
    return entry;
}

void trace_pass_on(struct coordinator *c, const struct outcall *call, Tercet__V1__Call *out)
{
    struct trace trace;
    if (!trace_of(c, call->entry, &trace) || (trace.has_parent && !trace.is_sampled))
        return; /* nothing lies between the initiator's span and the participant's */
    struct trace_context own = trace.context;
    call_id(own.span_id, c, &trace, call);
    Tercet__V1__Metadata **entries =
        arena_alloc(&c->scratch, (out->n_metadata + 1) * sizeof(*entries));
    size_t count = 0;
    for (size_t i = 0; i < out->n_metadata; i++) {
        const char *key = out->metadata[i]->key;
        /* the state of a trace that is not gone on with means nothing */
        if (strcmp(key, HEADER) != 0 && (trace.has_parent || strcmp(key, STATE_HEADER) != 0))
            entries[count++] = out->metadata[i];
    }
    entries[count++] = make_header(c, &own);
    out->metadata = entries;
    out->n_metadata = count;
}

/* -- Spans ------------------------------------------------------------------------------------- */

static const char *action_of(char out[TERCET_ACTION_MAX + 1], const struct branch_info *info)
{
    snprintf(out, TERCET_ACTION_MAX + 1, "%s/%s", info->service->name, info->action);
    return out;
}

static void add_branch(struct span_draft *draft, const struct entry *entry, uint32_t number,
                       const struct branch_info *info)
{
    span_add_text(draft, "tercet.gid", entry->gid);
    span_add_number(draft, "tercet.branch", number);
    span_add_text(draft, "tercet.service", info->service->name);
    span_add_text(draft, "tercet.action", info->action);
}

static void put(struct coordinator *c, struct span_draft *draft, const struct trace *trace,
                const uint8_t id[SPAN_ID_SIZE], const uint8_t parent_id[SPAN_ID_SIZE])
{
    struct span *span = &draft->span;
    span->context = trace->context;
    span->state = trace->state;
    memcpy(span->context.span_id, id, SPAN_ID_SIZE);
    memcpy(span->parent_id, parent_id, SPAN_ID_SIZE);
    spans_put(c->spans, span);
}

/* -- Calls ------------------------------------------------------------------------------------- */

static const char *outcome_name(const struct outcall *call)
{
    switch (call->result != NULL ? call->result->outcome
                                 : TERCET__V1__OUTCOME__OUTCOME_UNSPECIFIED) {
    case TERCET__V1__OUTCOME__DONE:
        return "done";
    case TERCET__V1__OUTCOME__REFUSAL:
        return "refused";
    case TERCET__V1__OUTCOME__AGAIN:
        return "again";
    case TERCET__V1__OUTCOME__BROKEN:
        return "broken";
    default:
        return call->result == NULL ? "lost" : "unknown";
    }
}

static void tell_call(struct coordinator *c, const struct outcall *call, const char *outcome,
                      const char *error)
{
    struct trace trace;
    struct span_draft draft;
    char action[TERCET_ACTION_MAX + 1], name[CALL_NAME_MAX], words[TERCET_TEXT_MAX];
    uint8_t id[SPAN_ID_SIZE], parent_id[SPAN_ID_SIZE];
    if (!sampled_trace_of(c, call->entry, &trace))
        return;
    copy_text(words, error);
    const struct branch_info *info =
        entry_info(call->entry, txn_find(&call->entry->txn, call->branch));
    snprintf(name, sizeof(name), "%s %s", tercet_kind_name(call->kind), action_of(action, info));
    span_begin(&draft, name, SPAN_CLIENT);
    add_branch(&draft, call->entry, call->branch, info);
    span_add_text(&draft, "tercet.kind", tercet_kind_name(call->kind));
    span_add_number(&draft, "tercet.attempt", call->attempt);
    span_add_text(&draft, "tercet.instance", why_called(call));
    span_add_text(&draft, "tercet.outcome", outcome);
    draft.span.start_ms = c->clock.wall_ms - (c->clock.now_ms - call->sent_ms);
    draft.span.end_ms = c->clock.wall_ms;
    draft.span.error = words[0] != '\0' ? words : NULL;
    call_id(id, c, &trace, call);
    branch_id(parent_id, &trace, call->branch);
    put(c, &draft, &trace, id, parent_id);
}

void trace_call(struct coordinator *c, const struct outcall *call, const char *error)
{
    if (c->spans == NULL || !call->is_sent)
        return;
    const char *outcome = outcome_name(call);
    const bool is_refusal = error[0] == '\0' && strcmp(outcome, "refused") == 0;
    if (is_refusal)
        error = call->result->reason[0] != '\0' ? call->result->reason : "refused";
    tell_call(c, call, outcome, error);
}

void trace_overtaken(struct coordinator *c, const struct outcall *call)
{
    if (c->spans != NULL && call->is_sent && call->entry != NULL)
        tell_call(c, call, "abandoned", "");
}

/* -- Branches ---------------------------------------------------------------------------------- */

static const char *try_name(const struct txn_branch *branch)
{
    switch (branch->try_state) {
    case TXN_TRY_OWN:
        return "own_call";
    case TXN_TRY_DONE:
        return "done";
    case TXN_TRY_REFUSED:
        return "refused";
    default:
        return branch->sent == TXN_SENT_MAYBE ? "unknown" : "not_sent";
    }
}

static const char *owed_name(const struct entry *entry, const struct txn_branch *branch)
{
    if (branch->is_settled)
        return "settled";
    switch (txn_owed(&entry->txn, branch)) {
    case TXN_OWED_CONFIRM:
        return "confirmed";
    case TXN_OWED_CANCEL:
        return "cancelled";
    default:
        return "not_called";
    }
}

/* NULL: nothing of it failed that anybody needs to look at. A try that the decision overtook did
 * not fail, unless it was what the deadline waited for. */
static const char *branch_error(const struct entry *entry, const struct txn_branch *branch,
                                const struct branch_info *info)
{
    const bool was_late = txn_try_is_open(branch) && entry->txn.cause == TXN_CAUSE_DEADLINE;
    if (branch->is_settled)
        return "it was settled by hand";
    if (branch->try_state == TXN_TRY_REFUSED)
        return info->reason != NULL ? info->reason : "refused";
    if (branch->try_state != TXN_TRY_UNKNOWN && !was_late)
        return NULL;
    const char *error = info->history != NULL ? history_words(info->history->tries.error) : "";
    return error[0] != '\0' ? error : "its try is not known to be done";
}

static void add_failures(struct span_draft *draft, const struct history *history)
{
    if (history == NULL)
        return;
    const int64_t count = (int64_t)history->tries.failures + history->ends.failures;
    if (count > 0)
        span_add_number(draft, "tercet.failures", count);
    for (size_t i = 0; i < history->count; i++) {
        const struct history_attempt *attempt = history_at(history, i);
        if (attempt->error != NULL)
            span_add_event(draft, "retry", attempt->at_ms, "tercet.error",
                           history_words(attempt->error));
    }
}

static void tell_branch(struct coordinator *c, const struct trace *trace, const struct entry *entry,
                        const struct txn_branch *branch, int64_t end_ms)
{
    struct branch_info *info = entry_info(entry, branch);
    char action[TERCET_ACTION_MAX + 1];
    uint8_t id[SPAN_ID_SIZE];
    struct span_draft draft;
    span_begin(&draft, action_of(action, info), SPAN_INTERNAL);
    add_branch(&draft, entry, branch->number, info);
    span_add_text(&draft, "tercet.try", try_name(branch));
    span_add_text(&draft, "tercet.outcome", owed_name(entry, branch));
    add_failures(&draft, info->history);
    draft.span.start_ms = info->enlisted_ms != 0 ? info->enlisted_ms : entry->created_ms;
    draft.span.end_ms = end_ms;
    draft.span.error = branch_error(entry, branch, info);
    branch_id(id, trace, branch->number);
    put(c, &draft, trace, id, trace->context.span_id);
    info->has_told_span = true;
}

void trace_branch(struct coordinator *c, struct entry *entry, const struct txn_branch *branch)
{
    struct trace trace;
    if (branch->end_state == TXN_END_DONE && !entry_info(entry, branch)->has_told_span &&
        sampled_trace_of(c, entry, &trace))
        tell_branch(c, &trace, entry, branch, c->clock.wall_ms);
}

/* Those that ended without a call are told with the transaction. */
void trace_restored(struct entry *entry)
{
    for (size_t i = 0; i < entry->txn.branch_count; i++) {
        const struct txn_branch *branch = &entry->txn.branches[i];
        entry_info(entry, branch)->has_told_span =
            branch->end_state == TXN_END_DONE && !branch->is_settled &&
            txn_owed(&entry->txn, branch) != TXN_OWED_NOTHING;
    }
}

/* -- Transactions ------------------------------------------------------------------------------ */

static void add_causes(struct span_draft *draft, const struct entry *entry)
{
    const bool is_confirmed = entry->txn.state == TXN_CONFIRMED;
    const char *cause = tercet_cause_text(entry->txn.cause);
    span_add_text(draft, "tercet.gid", entry->gid);
    span_add_number(draft, "tercet.number", (int64_t)entry->number);
    span_add_text(draft, "tercet.outcome", is_confirmed ? "confirmed" : "cancelled");
    span_add_text(draft, "tercet.cause", cause);
    span_add_text(draft, "tercet.reason", entry->reason);
    span_add_text(draft, "tercet.begun_by", entry->begun_by);
    span_add_number(draft, "tercet.branches", entry->txn.branch_count);
    if (entry->decided_ms != 0)
        span_add_event(draft, is_confirmed ? "confirm" : "cancel", entry->decided_ms,
                       "tercet.cause", cause);
}

/* Nobody asked for this cancellation. */
static const char *transaction_error(const struct entry *entry)
{
    const bool was_asked =
        entry->txn.cause == TXN_CAUSE_INITIATOR || entry->txn.cause == TXN_CAUSE_OPERATOR;
    if (entry->txn.state != TXN_CANCELLED || was_asked)
        return NULL;
    return entry->reason != NULL ? entry->reason : tercet_cause_text(entry->txn.cause);
}

void trace_transaction(struct coordinator *c, struct entry *entry)
{
    struct trace trace;
    struct span_draft draft;
    if (!sampled_trace_of(c, entry, &trace))
        return;
    for (size_t i = 0; i < entry->txn.branch_count; i++) {
        const struct txn_branch *branch = &entry->txn.branches[i];
        if (!entry->infos[i].has_told_span)
            tell_branch(c, &trace, entry, branch,
                        branch->is_settled ? entry->resolved_ms : entry->decided_ms);
    }
    span_begin(&draft, "transaction", SPAN_SERVER);
    add_causes(&draft, entry);
    draft.span.start_ms = entry->created_ms;
    draft.span.end_ms = entry->resolved_ms;
    draft.span.error = transaction_error(entry);
    put(c, &draft, &trace, trace.context.span_id, trace.parent_id);
}

/* -- The log ----------------------------------------------------------------------------------- */

void trace_log(const struct coordinator *c, const struct entry *entry, enum tercet_log_level level,
               const char *format, ...)
{
    char trace_id[TRACE_ID_TEXT_MAX + 1];
    va_list args;
    if (!coordinator_logs(c, LOG_TRANSACTIONS, level))
        return;
    struct tercet_log_record record = {.level = level, .gid = entry->gid};
    record.trace_id = trace_id_of(c, entry, trace_id) ? trace_id : NULL;
    va_start(args, format);
    coordinator_log_record(c, LOG_TRANSACTIONS, &record, format, args);
    va_end(args);
}
