/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h (public): between the barrier and the application's hooks, and what a hook may say.
 */
#include "participant.h"

#include <check.h>
#include <failpoint.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- What a hook says -------------------------------------------------------------------------- */

int tercet_reply_bytes(const struct tercet_call *call, struct tercet_bytes reply)
{
    struct tercet_answer *answer = call->answer;
    if (call->kind != TERCET_TRY || reply.size > TERCET_REPLY_MAX ||
        (reply.data == NULL && reply.size > 0))
        return TERCET_INVALID;
    void *copy = malloc(reply.size + 1);
    if (copy == NULL)
        return TERCET_NOMEM;
    if (reply.size > 0)
        memcpy(copy, reply.data, reply.size);
    free(answer->reply);
    answer->reply = copy;
    answer->reply_size = reply.size;
    return 0;
}

int tercet_reply(const struct tercet_call *call, const ProtobufCMessage *reply)
{
    size_t size = protobuf_c_message_get_packed_size(reply);
    if (size > TERCET_REPLY_MAX)
        return TERCET_INVALID;
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL)
        return TERCET_NOMEM;
    protobuf_c_message_pack(reply, bytes);
    int rc = tercet_reply_bytes(call, (struct tercet_bytes){.data = bytes, .size = size});
    free(bytes);
    return rc;
}

/* Words that are not UTF-8 would be turned down by every peer: their odd bytes become question
 * marks. */
static void say(struct tercet_answer *answer, const char *format, va_list arguments)
{
    char whole[TERCET_TEXT_MAX + 8];
    vsnprintf(whole, sizeof(whole), format, arguments);
    answer_say(answer, whole);
}

void answer_say(struct tercet_answer *answer, const char *text)
{
    copy_text(answer->text, text);
    if (check_text(answer->text) == NULL)
        return;
    for (char *c = answer->text; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
}

int tercet_refuse(const struct tercet_call *call, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(call->answer, format, arguments);
    va_end(arguments);
    call->answer->is_refused = true;
    return TERCET_REFUSED;
}

int tercet_again(const struct tercet_call *call, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(call->answer, format, arguments);
    va_end(arguments);
    return TERCET_AGAIN;
}

/* -- Running one ------------------------------------------------------------------------------- */

static tercet_hook hook_of(const struct tercet_action *action, enum tercet_kind kind)
{
    return kind == TERCET_TRY       ? action->on_try
           : kind == TERCET_CONFIRM ? action->on_confirm
                                    : action->on_cancel;
}

/* A try's request is decoded even where nobody looks at it yet: what cannot be read must not be
 * promised. */
static int decode_request(ProtobufCMessage **out, const struct participant_job *job,
                          const struct tercet_call *call)
{
    const ProtobufCMessageDescriptor *type = job->action->request;
    bool is_needed = call->kind == TERCET_TRY || hook_of(job->action, call->kind) != NULL;
    struct crpc_bytes bytes = {call->payload.data, call->payload.size};
    if (type == NULL || !is_needed)
        return 0;
    if (crpc_message_decode(out, type, bytes, 0) == 0)
        return 0;
    if (call->kind == TERCET_TRY)
        return tercet_refuse(call, "the request is not a message of type %s", type->name);
    return tercet_again(call, "the request is not a message of type %s any more", type->name);
}

/* The entries as views; NULL without memory, or when there are none. */
static struct tercet_metadata *view_metadata(const Tercet__V1__Call *call)
{
    struct tercet_metadata *entries = NULL;
    if (call->n_metadata > 0)
        entries = calloc(call->n_metadata, sizeof(*entries));
    for (size_t i = 0; entries != NULL && i < call->n_metadata; i++)
        entries[i] = (struct tercet_metadata){.key = call->metadata[i]->key,
                                              .value = call->metadata[i]->value};
    return entries;
}

const char *tercet_call_metadata(const struct tercet_call *call, const char *key)
{
    for (size_t i = 0; i < call->metadata_count; i++)
        if (strcmp(call->metadata[i].key, key) == 0)
            return call->metadata[i].value;
    return NULL;
}

int64_t participant_time_left_ms(const struct participant_task *task)
{
    int64_t left_ms = task->received_ms + task->call->timeout_ms - clock_monotonic_ms();
    if (task->call->timeout_ms == 0)
        return TERCET_TIMEOUT_MS_MAX;
    return left_ms > 0 ? left_ms : 0;
}

int answer_code(struct tercet_answer *answer, int code, enum tercet_kind kind)
{
    if (code == 0 && answer->is_refused) {
        copy_text(answer->text, "the hook called tercet_refuse and then returned 0: a refusal is "
                                "`return tercet_refuse(...)`");
        return TERCET_AGAIN;
    }
    /* Codes that mean something else to the barrier are not a hook's to say. */
    if (code > 0 || code == TERCET_BROKEN || (code == TERCET_REFUSED && kind != TERCET_TRY))
        return TERCET_AGAIN;
    return code;
}

const char *answer_reason(struct tercet_answer *answer, int hook_code,
                          const struct tercet_barrier_call *call)
{
    if (call->reason != NULL) { /* the database's words, of any bytes and length */
        answer_say(answer, call->reason);
        return answer->text;
    }
    if (call->result == hook_code && answer->text[0] != '\0')
        return answer->text;
    if (call->result == TERCET_REFUSED)
        return hook_code == TERCET_REFUSED ? "refused" : "cancelled already";
    return call->result == TERCET_BROKEN ? tercet_broken_text(call->broken)
                                         : tercet_strerror(call->result);
}

static int run_hook(struct participant_job *job, const struct tercet_call *call)
{
    tercet_hook hook = hook_of(job->action, call->kind);
    if (hook == NULL)
        return 0;
    tercet_runtime_hook_enter(job->participant->service);
    int code = hook(call, job->participant->ctx);
    tercet_runtime_hook_leave();
    return code;
}

/* Forgets what an earlier run said, which the database has rolled back. */
static void begin_answer(struct participant_job *job, enum tercet_kind kind)
{
    free(job->answer.reply);
    job->answer = (struct tercet_answer){.kind = kind, .job = job};
    job->hook_code = 0;
}

int participant_hook(struct tercet_barrier_call *barrier_call, tercet_db db, void *ctx)
{
    struct participant_job *job = ctx;
    int code = participant_run_hook(job, barrier_call->kind, db);
    FAILPOINT("participant.before_commit");
    if (code == 0) {
        barrier_call->reply = job->answer.reply;
        barrier_call->reply_size = job->answer.reply_size;
        job->answer.reply = NULL;
    }
    job->hook_code = code;
    return code;
}

int participant_run_hook(struct participant_job *job, enum tercet_kind kind, tercet_db db)
{
    begin_answer(job, kind);
    const Tercet__V1__Call *wire = job->task->call;
    ProtobufCMessage *request = NULL;
    struct tercet_metadata *metadata = view_metadata(wire);
    struct tercet_call call = {
        .gid = wire->gid,
        .branch = {.number = wire->branch},
        .kind = kind,
        .action = job->action->name,
        .attempt = wire->attempt,
        .source = wire->source,
        .participant = job->participant,
        .deadline_ms = participant_time_left_ms(job->task),
        .payload = {.data = wire->payload.data, .size = wire->payload.len},
        .metadata = metadata,
        .metadata_count = metadata != NULL ? wire->n_metadata : 0,
        .db = db,
        .answer = &job->answer,
    };
    int code = metadata == NULL && wire->n_metadata > 0 ? TERCET_NOMEM
                                                        : decode_request(&request, job, &call);
    call.request = request;
    if (code == 0 && call.kind == TERCET_TRY && call.deadline_ms == 0)
        code = tercet_again(&call, "the try's time was over before its hook could begin");
    if (code == 0)
        code = run_hook(job, &call);
    crpc_message_free(request);
    free(metadata);
    return code == TERCET_DEFERRED && job->action->is_deferred
               ? code
               : answer_code(&job->answer, code, kind);
}
