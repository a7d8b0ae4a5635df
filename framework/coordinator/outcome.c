/* SPDX-License-Identifier: Apache-2.0
 *
 * outcome.h
 */
#include "outcome.h"

#include "check.h"
#include "coordinator.h"
#include "step.h"
#include "trace.h"
#include "why.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TELL_FAILURES_MS 10000 /* between two lines about a service's failed calls */

static struct branch_info *info_of(const struct outcall *call)
{
    return entry_info(call->entry, txn_find(&call->entry->txn, call->branch));
}

/* -- Failures ---------------------------------------------------------------------------------- */

/* Of a try that was given up, or overtaken by the decision, all has been noted then. */
static bool is_noted(const struct outcall *call, const char *error)
{
    const struct txn *txn = &call->entry->txn;
    if (call->kind != TERCET_TRY)
        return false;
    return txn->state != TXN_TRYING ||
           (error[0] != '\0' && !txn_try_is_open(txn_find(txn, call->branch)));
}

/* Adds the call to the branch's history; error "": it did not fail. */
static void note_call(struct coordinator *c, const struct outcall *call, const char *error)
{
    struct branch_info *info = info_of(call);
    trace_call(c, call, error);
    if (is_noted(call, error))
        return;
    const struct history_note note = {
        .at_ms = c->clock.wall_ms,
        .took_ms = call->is_sent ? c->clock.now_ms - call->sent_ms : 0,
        .kind = call->kind,
        .outcome = call->result != NULL ? (uint8_t)call->result->outcome : 0,
        .error = error,
        .instance = why_called(call),
    };
    history_add(&info->history, &call->entry->shard->table.history_bytes, &note);
}

/* Logs failed calls of a service at most every TELL_FAILURES_MS: many may fail for the same reason.
 */
static void tell_failure(struct coordinator *c, const struct outcall *call, const char *text)
{
    struct service *service = call->service;
    if (c->clock.now_ms < service->tell_failures_ms) {
        service->failures_untold++;
        return;
    }
    char more[64] = "";
    if (service->failures_untold > 0)
        snprintf(more, sizeof(more), "; %llu more since the last such line",
                 (unsigned long long)service->failures_untold);
    trace_log(c, call->entry, TERCET_LOG_WARNING,
              "%s: a %s has failed: %s (transaction %s, branch %u %s/%s, attempt %u, "
              "instance \"%s\")%s",
              service->name, tercet_kind_name(call->kind), text, call->entry->gid, call->branch,
              service->name, info_of(call)->action, call->attempt, why_called(call), more);
    service->failures_untold = 0;
    service->tell_failures_ms = c->clock.now_ms + TELL_FAILURES_MS;
}

static struct txn_event failure(struct coordinator *c, const struct outcall *call, const char *text)
{
    note_call(c, call, text);
    tell_failure(c, call, text);
    return (struct txn_event){.kind = call->kind == TERCET_TRY ? TXN_TRY_HAS_FAILED
                                                               : TXN_END_HAS_FAILED};
}

/* -- Tries ------------------------------------------------------------------------------------- */

/* NULL, or why the reply cannot be kept: a transaction is one message and one record, with all its
 * replies. */
static const char *check_reply(const struct entry *entry, uint32_t branch, size_t size)
{
    size_t sum = size;
    if (size > TERCET_REPLY_MAX)
        return "the try's reply is larger than 16384 bytes";
    for (size_t i = 0; i < entry->txn.branch_count; i++)
        sum += entry->txn.branches[i].number != branch ? entry->infos[i].reply_size : 0;
    return sum > TERCET_REPLIES_MAX
               ? "the replies of the transaction's tries have more than 1048576 bytes together"
               : NULL;
}

static void save_reply(const struct outcall *call)
{
    struct branch_info *info = info_of(call);
    const ProtobufCBinaryData *reply = &call->result->reply;
    free(info->reply);
    info->reply = NULL;
    info->reply_size = (uint32_t)reply->len;
    if (reply->len > 0) {
        info->reply = must_alloc(reply->len);
        memcpy(info->reply, reply->data, reply->len);
    }
}

/* It is the transaction's reason, too, before the core decides to cancel: so that it is written
 * with the decision. */
static void save_reason(const struct outcall *call)
{
    struct branch_info *info = info_of(call);
    char cut[TERCET_TEXT_MAX];
    copy_text(cut, call->result->reason);
    free(info->reason);
    info->reason = cut[0] != '\0' ? must_strdup(cut) : NULL;
    step_keep_reason(call->entry, cut);
}

static struct txn_event try_is_done(struct coordinator *c, const struct outcall *call)
{
    const char *wrong = check_reply(call->entry, call->branch, call->result->reply.len);
    if (wrong != NULL)
        return failure(c, call, wrong);
    note_call(c, call, "");
    save_reply(call);
    return (struct txn_event){.kind = TXN_TRY_IS_DONE};
}

/* AGAIN, or what is no answer to this kind of call: neither done nor refused, so it is asked for
 * again, and people are told why. */
static struct txn_event not_done(struct coordinator *c, const struct outcall *call)
{
    const Tercet__V1__CallResult *result = call->result;
    char text[TERCET_TEXT_MAX + 64];
    switch (result->outcome) {
    case TERCET__V1__OUTCOME__AGAIN:
        return failure(c, call, result->reason[0] != '\0' ? result->reason : "asked to call again");
    case TERCET__V1__OUTCOME__OUTCOME_UNSPECIFIED:
        return failure(c, call, "the participant's result has no outcome: DONE must be said");
    case TERCET__V1__OUTCOME__REFUSAL:
    case TERCET__V1__OUTCOME__BROKEN:
        snprintf(text, sizeof(text), "the participant answered a %s with %s: %s",
                 tercet_kind_name(call->kind),
                 result->outcome == TERCET__V1__OUTCOME__REFUSAL ? "REFUSAL" : "BROKEN",
                 result->reason);
        return failure(c, call, text);
    default:
        snprintf(text, sizeof(text), "the participant's outcome %d is not known%s%s",
                 (int)result->outcome, result->reason[0] != '\0' ? ": " : "", result->reason);
        return failure(c, call, text);
    }
}

static struct txn_event try_answer(struct coordinator *c, const struct outcall *call)
{
    switch (call->result->outcome) {
    case TERCET__V1__OUTCOME__DONE:
        return try_is_done(c, call);
    case TERCET__V1__OUTCOME__REFUSAL:
        note_call(c, call, "");
        save_reason(call);
        return (struct txn_event){.kind = TXN_TRY_IS_REFUSED};
    default:
        return not_done(c, call);
    }
}

/* -- Confirms and cancels ---------------------------------------------------------------------- */

static struct txn_event end_answer(struct coordinator *c, const struct outcall *call)
{
    const char *reason = call->result->reason;
    switch (call->result->outcome) {
    case TERCET__V1__OUTCOME__DONE:
        note_call(c, call, "");
        return (struct txn_event){.kind = TXN_END_IS_DONE};
    case TERCET__V1__OUTCOME__BROKEN:
        note_call(c, call, reason[0] != '\0' ? reason : "broken promise");
        return (struct txn_event){.kind = TXN_END_IS_BROKEN};
    default:
        return not_done(c, call);
    }
}

static struct txn_event event_of(struct coordinator *c, const struct outcall *call)
{
    if (call->is_held)
        return (struct txn_event){.kind = TXN_TRY_MAY_GO};
    if (call->is_sent)
        meter_answered(call->service->figures, call->kind,
                       call->result != NULL ? (unsigned)call->result->outcome : 0,
                       c->clock.now_ms - call->sent_ms);
    if (call->result == NULL)
        return failure(c, call, call->text[0] != '\0' ? call->text : "no answer");
    return call->kind == TERCET_TRY ? try_answer(c, call) : end_answer(c, call);
}

void outcome_apply(struct coordinator *c, const struct outcall *call)
{
    assert(call->entry != NULL);
    struct txn_event event = event_of(c, call);
    event.number = call->branch;
    event.is_confirm = call->kind == TERCET_CONFIRM;
    step_event(c, call->entry, event);
    if (c->spans != NULL && call->kind != TERCET_TRY)
        trace_branch(c, call->entry, txn_find(&call->entry->txn, call->branch));
}
