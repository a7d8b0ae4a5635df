/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture.h
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct tercet_branch branch_example = {.action = "inventory/reserve",
                                             .payload = {.data = "payload", .size = 7}};

static struct timespec wait_limit(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_MS / 1000;
    return until;
}

/* -- Callbacks --------------------------------------------------------------------------------- */

void on_result(const struct tercet_result *result, void *ctx)
{
    struct results *results = ctx;
    pthread_mutex_lock(&results->lock);
    results->last = *result;
    results->count++;
    pthread_cond_broadcast(&results->changed);
    pthread_mutex_unlock(&results->lock);
}

void on_tried(const struct tercet_tried *tried, void *ctx)
{
    struct results *results = ctx;
    pthread_mutex_lock(&results->lock);
    results->last_tried = *tried;
    results->count++;
    pthread_cond_broadcast(&results->changed);
    pthread_mutex_unlock(&results->lock);
}

struct tercet_result results_wait(struct results *results, unsigned count)
{
    struct timespec until = wait_limit();
    int rc = 0;
    pthread_mutex_lock(&results->lock);
    while (results->count < count && rc == 0)
        rc = pthread_cond_timedwait(&results->changed, &results->lock, &until);
    struct tercet_result last = results->last;
    unsigned have = results->count;
    pthread_mutex_unlock(&results->lock);
    cr_assert_geq(have, count, "only %u of %u callbacks have come", have, count);
    return last;
}

unsigned results_count(struct results *results)
{
    pthread_mutex_lock(&results->lock);
    unsigned count = results->count;
    pthread_mutex_unlock(&results->lock);
    return count;
}

/* -- Blocking calls ---------------------------------------------------------------------------- */

static void *run_blocking(void *ctx)
{
    struct blocking *blocking = ctx;
    blocking->code = blocking->work(blocking);
    return NULL;
}

void blocking_start(struct blocking *blocking, int (*work)(struct blocking *blocking))
{
    blocking->work = work;
    cr_assert_eq(pthread_create(&blocking->thread, NULL, run_blocking, blocking), 0);
}

int blocking_join(struct blocking *blocking)
{
    struct timespec until = wait_limit();
    cr_assert_eq(pthread_timedjoin_np(blocking->thread, NULL, &until), 0,
                 "the blocking call did not return");
    return blocking->code;
}

struct tercet_client *client_open(struct fake *fake, int64_t timeout_ms)
{
    struct tercet_client_options options = {.size = sizeof(options), .timeout_ms = timeout_ms};
    struct tercet_client *client = NULL;
    char text[TERCET_TEXT_MAX];
    cr_assert_eq(tercet_client_open(&client, fake->address, &options, text), 0, "%s", text);
    return client;
}

/* -- The recorder ------------------------------------------------------------------------------ */

static void record(struct recorder *recorder, const struct tercet_call *call)
{
    pthread_mutex_lock(&recorder->lock);
    recorder->calls[call->kind]++;
    recorder->last = *call;
    recorder->last.metadata = NULL;
    recorder->last.request = NULL;
    snprintf(recorder->action, sizeof(recorder->action), "%s", call->action);
    if (call->request != NULL)
        snprintf(recorder->key, sizeof(recorder->key), "%s",
                 ((const Tercet__V1__Metadata *)call->request)->key);
    if (call->metadata_count > 0)
        snprintf(recorder->metadata, sizeof(recorder->metadata), "%s=%s", call->metadata[0].key,
                 call->metadata[0].value);
    pthread_cond_broadcast(&recorder->changed);
    pthread_mutex_unlock(&recorder->lock);
}

unsigned recorder_calls(struct recorder *recorder, enum tercet_kind kind)
{
    pthread_mutex_lock(&recorder->lock);
    unsigned count = recorder->calls[kind];
    pthread_mutex_unlock(&recorder->lock);
    return count;
}

void recorder_wait_entered(struct recorder *recorder, unsigned count)
{
    struct timespec until = wait_limit();
    int rc = 0;
    pthread_mutex_lock(&recorder->lock);
    while (recorder->entered < count && rc == 0)
        rc = pthread_cond_timedwait(&recorder->changed, &recorder->lock, &until);
    pthread_mutex_unlock(&recorder->lock);
    cr_assert_eq(rc, 0, "the hook was not called");
}

void recorder_permit(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    recorder->permits++;
    pthread_cond_broadcast(&recorder->changed);
    pthread_mutex_unlock(&recorder->lock);
}

void recorder_open_gate(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    recorder->is_open = true;
    pthread_cond_broadcast(&recorder->changed);
    pthread_mutex_unlock(&recorder->lock);
}

static const uint8_t large[TERCET_REPLY_MAX];

/* -- Hooks ------------------------------------------------------------------------------------- */

static int reserve(const struct tercet_call *call, void *ctx)
{
    record(ctx, call);
    const char *key = ((const Tercet__V1__Metadata *)call->request)->key;
    return call->kind == TERCET_TRY
               ? tercet_reply_bytes(call, (struct tercet_bytes){key, strlen(key)})
               : 0;
}

static int take_bytes(const struct tercet_call *call, void *ctx)
{
    record(ctx, call);
    return 0;
}

static int refuse(const struct tercet_call *call, void *ctx)
{
    record(ctx, call);
    return tercet_refuse(call, "only %d left", 3);
}

static int refuse_silently(const struct tercet_call *call, void *ctx)
{
    record(ctx, call);
    return TERCET_REFUSED;
}

/* What compilers warn of, made possible with a variable. */
static int refuse_without_return(const struct tercet_call *call, void *ctx)
{
    record(ctx, call);
    int rc = tercet_refuse(call, "only %d left", 3);
    return rc == TERCET_REFUSED ? 0 : rc;
}

static int again(const struct tercet_call *call, void *ctx)
{
    record(ctx, call);
    return tercet_again(call, "the printer is on fire");
}

static int say_broken(const struct tercet_call *call, void *ctx)
{
    record(ctx, call);
    return TERCET_BROKEN;
}

static int reply_too_large(const struct tercet_call *call, void *ctx)
{
    static const uint8_t too_large[TERCET_REPLY_MAX + 1];
    record(ctx, call);
    cr_assert_eq(tercet_reply_bytes(call, (struct tercet_bytes){too_large, sizeof(too_large)}),
                 TERCET_INVALID);
    return tercet_reply_bytes(call, (struct tercet_bytes){large, sizeof(large)});
}

static int gate(const struct tercet_call *call, void *ctx)
{
    struct recorder *recorder = ctx;
    struct timespec until = wait_limit();
    int rc = 0;
    pthread_mutex_lock(&recorder->lock);
    recorder->entered++;
    pthread_cond_broadcast(&recorder->changed);
    while (!recorder->is_open && recorder->permits == 0 && rc == 0)
        rc = pthread_cond_timedwait(&recorder->changed, &recorder->lock, &until);
    recorder->permits -= !recorder->is_open && rc == 0;
    pthread_mutex_unlock(&recorder->lock);
    record(recorder, call);
    return call->kind == TERCET_TRY
               ? tercet_reply_bytes(call, (struct tercet_bytes){large, sizeof(large)})
               : 0;
}

#define ACTION(title, type, on_its_try, on_its_confirm, on_its_cancel, alone)                      \
    {                                                                                              \
        .name = title, .request = type, .on_try = on_its_try, .on_confirm = on_its_confirm,        \
        .on_cancel = on_its_cancel, .is_alone = alone                                              \
    }
const struct tercet_action actions_example[] = {
    ACTION("reserve", &tercet__v1__metadata__descriptor, reserve, reserve, reserve, false),
    ACTION("bytes", NULL, take_bytes, take_bytes, take_bytes, false),
    ACTION("refuse", NULL, refuse, refuse, refuse, false),
    ACTION("silent", NULL, refuse_silently, NULL, NULL, false),
    ACTION("forgetful", NULL, refuse_without_return, NULL, NULL, false),
    ACTION("again", NULL, again, again, again, false),
    ACTION("broken", NULL, say_broken, NULL, NULL, false),
    ACTION("large", NULL, reply_too_large, NULL, NULL, false),
    ACTION("gate", NULL, gate, gate, gate, false),
    ACTION("alone", NULL, take_bytes, take_bytes, take_bytes, true),
    ACTION("empty", &tercet__v1__metadata__descriptor, NULL, NULL, NULL, false),
};
const size_t action_example_count = sizeof(actions_example) / sizeof(actions_example[0]);

/* -- The bench --------------------------------------------------------------------------------- */

bool bench_keeps_token;

void bench_open(struct bench *bench, const struct tercet_participant_options *given)
{
    struct tercet_participant_options options = {.size = sizeof(options)};
    char text[TERCET_TEXT_MAX];
    *bench = (struct bench){.recorder = RECORDER_INIT};
    if (given != NULL)
        options = *given;
    fake_start(&bench->fake);
    bench->fake.keeps_token = bench_keeps_token;
    if (options.barrier == NULL)
        cr_assert_eq(tercet_barrier_memory_open(&bench->barrier, NULL), 0);
    else
        bench->barrier = options.barrier;
    options.barrier = bench->barrier;
    options.ctx = &bench->recorder;
    cr_assert_eq(tercet_participant_open(&bench->participant, bench->fake.address, "inventory",
                                         actions_example, action_example_count, &options, text),
                 0, "%s", text);
    if (options.listen != NULL)
        return;
    bench->stream = fake_next(&bench->fake, FAKE_ATTACH)->stream;
    fake_accept(bench->stream);
    cr_assert_eq(tercet_participant_wait(bench->participant, WAIT_MS, text), 0, "%s", text);
}

void bench_close(struct bench *bench)
{
    tercet_participant_close(bench->participant);
    fake_stop(&bench->fake);
    tercet_barrier_close(bench->barrier);
}

void call_fill(struct call *out, enum tercet_kind kind, const char *gid, const char *action)
{
    static atomic_uint_fast64_t last_id;
    tercet__v1__call__init(&out->message);
    snprintf(out->action, sizeof(out->action), "inventory/%s", action);
    out->message.id = atomic_fetch_add(&last_id, 1) + 1;
    out->message.kind = (Tercet__V1__Kind)kind;
    out->message.gid = (char *)(uintptr_t)gid;
    out->message.branch = 1;
    out->message.action = out->action;
    out->message.attempt = 1;
    out->message.timeout_ms = CALL_TIMEOUT_MS;
    out->message.number = 1;
}

void call_set_key(struct call *call, const char *key)
{
    Tercet__V1__Metadata request = TERCET__V1__METADATA__INIT;
    request.key = (char *)(uintptr_t)key;
    cr_assert_leq(protobuf_c_message_get_packed_size(&request.base), sizeof(call->payload));
    call->message.payload.len = protobuf_c_message_pack(&request.base, call->payload);
    call->message.payload.data = call->payload;
}

const Tercet__V1__CallResult *bench_call(struct bench *bench, const struct call *call)
{
    fake_put_call(bench->stream, &call->message);
    fake_flush(bench->stream);
    const Tercet__V1__CallResult *result = fake_next(&bench->fake, FAKE_RESULT)->result;
    cr_assert_eq(result->id, call->message.id);
    return result;
}
