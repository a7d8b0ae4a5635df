/* SPDX-License-Identifier: Apache-2.0
 *
 * effect.h
 */
#include "effect.h"

#include "coordinator.h"
#include "failpoint.h"
#include "outcall.h"

#include <assert.h>
#include <string.h>

enum effect_kind { EFFECT_ANSWER, EFFECT_WATCH, EFFECT_CALL };

/* In the arena of its batch. */
struct effect {
    struct effect *next;
    enum effect_kind kind;
    struct caller *caller; /* a reference; NULL: EFFECT_CALL */
    struct answer answer;
    bool is_last;        /* EFFECT_WATCH */
    struct entry *entry; /* EFFECT_CALL */
    uint32_t branch;
    uint32_t attempt;
    enum tercet_kind call_kind;
};

static struct effect *add_effect(struct batch *batch, enum effect_kind kind)
{
    struct effect *effect = arena_alloc(&batch->arena, sizeof(*effect));
    memset(effect, 0, sizeof(*effect));
    effect->kind = kind;
    *batch->effects_end = effect;
    batch->effects_end = &effect->next;
    return effect;
}

/* -- Answers ----------------------------------------------------------------------------------- */

/* What is held of a unary answer counts as what its connection has not read. */
static void count_held(struct caller *caller, size_t size, bool is_held)
{
    assert(is_held || caller->held_bytes >= size);
    caller->held_bytes += is_held ? size : -size;
    if (caller->kind == CALLER_UNARY && caller->peer != NULL)
        atomic_fetch_add(&caller->peer->replies, is_held ? size : -size);
}

static void hold_answer(struct coordinator *c, struct caller *caller, uint64_t id,
                        const struct reply *reply, struct batch *batch)
{
    struct effect *effect = add_effect(batch, EFFECT_ANSWER);
    caller_ref(caller);
    answer_owe(&c->answers, caller);
    effect->caller = caller;
    effect->answer = caller_encode(caller, &batch->arena, id, reply);
    size_t size = effect->answer.bytes.size;
    bool may = budget_take_in(&c->unread, caller_group(caller), caller->held_bytes, size);
    if (!may) /* it is encoded already: it is counted, and the last */
        budget_force_in(&c->unread, caller_group(caller), size);
    count_held(caller, size, true);
    /* A session asks again what it is not answered. */
    if (caller->kind == CALLER_SESSION && (!may || caller->held_bytes > SESSION_OUTBOX_MAX))
        caller_refuse(caller);
}

/* `batch` is what it depends on; NULL: nothing. */
static void answer_with(struct coordinator *c, struct caller *caller, uint64_t id,
                        const struct reply *reply, struct batch *batch)
{
    struct refusal no;
    struct reply refused = {.no = &no};
    bool has_room = caller->kind != CALLER_UNARY || reply->message == NULL ||
                    caller_has_room(caller, crpc_message_size_max(reply->message));
    if (!has_room)
        refusal_set(&no, TERCET_EXHAUSTED, "%s", CALLER_NO_ROOM);
    if (batch != NULL)
        hold_answer(c, caller, id, has_room ? reply : &refused, batch);
    else
        answer_give(c, caller, id, has_room ? reply : &refused);
}

void effect_answer(struct coordinator *c, struct caller *caller, uint64_t id,
                   const struct reply *reply, struct entry *entry)
{
    if (caller_takes(caller)) /* an answer may have a megabyte */
        answer_with(c, caller, id, reply, batch_holding(entry));
}

void effect_answer_forced(struct coordinator *c, struct caller *caller, const struct reply *reply,
                          struct shard *shard)
{
    if (caller_takes(caller))
        answer_with(c, caller, 0, reply, batch_of_all(shard));
}

/* -- Watchers and calls ------------------------------------------------------------------------ */

void effect_watch(struct coordinator *c, struct caller *caller, const ProtobufCMessage *snapshot,
                  bool is_last, struct entry *entry)
{
    struct batch *batch = batch_holding(entry);
    struct crpc_bytes bytes = arena_pack(batch != NULL ? &batch->arena : &c->scratch, 0, snapshot);
    if (batch == NULL) {
        caller_watch_push(caller, bytes, is_last);
        return;
    }
    struct effect *effect = add_effect(batch, EFFECT_WATCH);
    caller_ref(caller);
    effect->caller = caller;
    effect->answer.bytes = bytes;
    effect->is_last = is_last;
}

void effect_call(struct coordinator *c, struct entry *entry, uint32_t branch, enum tercet_kind kind,
                 uint32_t attempt)
{
    struct batch *batch = batch_pending(entry);
    if (batch == NULL) {
        outcall_begin(c, entry, branch, kind, attempt);
        return;
    }
    struct effect *effect = add_effect(batch, EFFECT_CALL);
    effect->entry = entry;
    effect->branch = branch;
    effect->attempt = attempt;
    effect->call_kind = kind;
}

/* -- Release ----------------------------------------------------------------------------------- */

static void release_answer(struct coordinator *c, struct effect *effect)
{
    struct caller *caller = effect->caller;
    assert(caller->held_bytes >= effect->answer.bytes.size);
    count_held(caller, effect->answer.bytes.size, false);
    budget_give_in(&c->unread, caller_group(caller), effect->answer.bytes.size);
    answer_deliver(&c->answers, caller, &effect->answer);
    answer_settle(&c->answers, caller);
}

static void release(struct coordinator *c, struct effect *effect)
{
    switch (effect->kind) {
    case EFFECT_ANSWER:
        release_answer(c, effect);
        break;
    case EFFECT_WATCH:
        caller_watch_push(effect->caller, effect->answer.bytes, effect->is_last);
        break;
    case EFFECT_CALL:
        outcall_begin(c, effect->entry, effect->branch, effect->call_kind, effect->attempt);
        break;
    }
    caller_unref(effect->caller);
}

static void empty(struct batch *batch)
{
    batch->first_effect = NULL;
    batch->effects_end = &batch->first_effect;
}

void effect_release(struct coordinator *c, struct batch *batch)
{
    FAILPOINT("release.before");
    for (struct effect *effect = batch->first_effect; effect != NULL; effect = effect->next) {
        release(c, effect);
        FAILPOINT("release.each");
    }
    empty(batch);
}

void effect_drop(struct batch *batch)
{
    for (struct effect *effect = batch->first_effect; effect != NULL; effect = effect->next)
        caller_unref(effect->caller);
    empty(batch);
}
