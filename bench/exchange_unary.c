/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange.h: unary calls.
 */
#include "exchange.h"

#include <stdlib.h>

#define CALL_TIMEOUT_MS 10000

struct unary {
    const struct exchange_kind *kinds;
    uint32_t kind_count;
    atomic_bool is_stopping;
    atomic_bool has_failed;
    struct exchange_meter meter;
    atomic_uint left; /* callers that have not ended */
    sem_t ended;
};

struct caller {
    struct unary *unary;
    struct crpc_channel *channel;
    uint32_t next; /* kind */
};

static void leave(struct unary *unary)
{
    if (atomic_fetch_sub(&unary->left, 1) == 1)
        sem_post(&unary->ended);
}

static void call_next(struct caller *caller);

static void on_reply(const ProtobufCMessage *reply, const struct crpc_status *status, void *ctx)
{
    struct caller *caller = ctx;
    (void)status;
    if (reply == NULL) {
        atomic_store(&caller->unary->has_failed, true);
        leave(caller->unary);
        return;
    }
    exchange_meter_count(&caller->unary->meter);
    if (atomic_load(&caller->unary->is_stopping))
        leave(caller->unary);
    else
        call_next(caller);
}

static void call_next(struct caller *caller)
{
    struct unary *unary = caller->unary;
    const struct crpc_call_options options = {
        .size = sizeof(options), .timeout_ms = CALL_TIMEOUT_MS, .wait_for_ready = true};
    const struct exchange_kind *kind = &unary->kinds[caller->next++ % unary->kind_count];
    if (crpc_unary_start(NULL, caller->channel, kind->service, kind->method, kind->request,
                         &options, on_reply, caller) == 0)
        return;
    atomic_store(&unary->has_failed, true);
    leave(unary);
}

bool exchange_unary(struct exchange_done *out, struct crpc_channel *const *channels,
                    uint32_t channel_count, const struct exchange_kind *kinds, uint32_t kind_count,
                    uint32_t in_flight, uint32_t milliseconds, pid_t server)
{
    struct unary unary = {.kinds = kinds, .kind_count = kind_count};
    uint32_t count = channel_count * in_flight;
    struct caller *callers = calloc(count, sizeof(*callers));
    if (callers == NULL)
        return false;
    sem_init(&unary.ended, 0, 0);
    atomic_init(&unary.left, count);
    exchange_meter_init(&unary.meter);
    for (uint32_t i = 0; i < count; i++) {
        callers[i] =
            (struct caller){.unary = &unary, .channel = channels[i / in_flight], .next = i};
        call_next(&callers[i]);
    }
    bool is_good = exchange_meter_run(&unary.meter, out, milliseconds, server);
    atomic_store(&unary.is_stopping, true);
    while (sem_wait(&unary.ended) != 0)
        continue; /* every call has its timeout */
    free(callers);
    return is_good && !atomic_load(&unary.has_failed);
}
