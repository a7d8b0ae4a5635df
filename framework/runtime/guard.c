/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h (public): one call through the barrier, for services that initiators call
 * themselves.
 */
#include "participant.h"

#include <stdlib.h>

int tercet_barrier_guard(struct tercet_barrier *barrier, enum tercet_kind kind, const char *gid,
                         struct tercet_branch_id branch, uint64_t number, tercet_barrier_hook hook,
                         void *ctx, struct tercet_bytes *reply)
{
    struct tercet_barrier_call call = {
        .gid = gid,
        .branch = branch.number,
        .number = number,
        .kind = kind,
        .hook = hook,
        .ctx = ctx,
    };
    tercet_barrier_run(barrier, &call, 1);
    if (call.result == 0 && reply != NULL)
        *reply = (struct tercet_bytes){.data = call.reply, .size = call.reply_size};
    else
        free(call.reply);
    free(call.reason);
    return call.result;
}

/* A call with a participant's hook. */
struct guarded {
    tercet_hook hook;
    void *ctx;
    struct tercet_answer answer;
    int hook_code;
};

static int run_guarded(struct tercet_barrier_call *barrier_call, tercet_db db, void *ctx)
{
    struct guarded *guarded = ctx;
    const struct tercet_call call = {
        .gid = barrier_call->gid,
        .branch = {.number = barrier_call->branch},
        .kind = barrier_call->kind,
        .action = "",
        .attempt = 1,
        .deadline_ms = TERCET_TIMEOUT_MS_MAX,
        .db = db,
        .answer = &guarded->answer,
        .source = barrier_call->source,
    };
    int code = answer_code(&guarded->answer, guarded->hook(&call, guarded->ctx), call.kind);
    if (code == 0) {
        barrier_call->reply = guarded->answer.reply;
        barrier_call->reply_size = guarded->answer.reply_size;
        guarded->answer.reply = NULL;
    }
    guarded->hook_code = code;
    return code;
}

int tercet_guard(struct tercet_barrier *barrier, enum tercet_kind kind, const char *gid,
                 struct tercet_branch_id branch, uint64_t number, tercet_hook hook, void *ctx,
                 struct tercet_bytes *reply, char *text)
{
    struct guarded guarded = {.hook = hook, .ctx = ctx, .answer = {.kind = kind}};
    struct tercet_barrier_call call = {
        .gid = gid,
        .branch = branch.number,
        .number = number,
        .kind = kind,
        .hook = hook != NULL ? run_guarded : NULL,
        .ctx = &guarded,
    };
    tercet_barrier_run(barrier, &call, 1);
    if (call.result == 0 && reply != NULL)
        *reply = (struct tercet_bytes){.data = call.reply, .size = call.reply_size};
    else
        free(call.reply);
    free(guarded.answer.reply);
    runtime_text(text, "%s",
                 call.result != 0 ? answer_reason(&guarded.answer, guarded.hook_code, &call) : "");
    free(call.reason);
    return call.result;
}
