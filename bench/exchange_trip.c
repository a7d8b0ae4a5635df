/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange.h: one message at a time. Sent by a thread that has slept, timed where the last answer
 * arrives. The answer can be here before crpc tells that its question was sent, and no stream takes
 * another question until then: a trip is over when both were told.
 */
#include "exchange.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#define ANSWER_TIMEOUT_S 30

struct trips {
    const struct exchange_kind *kind;
    atomic_uint answers; /* of the trip under way, that are still to come */
    atomic_uint left;    /* the same, and the sends that have not ended */
    int64_t end_ns;      /* written with the last answer */
    sem_t event;         /* a trip is over, or a stream has ended */
};

static void leave(struct trips *trips)
{
    if (atomic_fetch_sub(&trips->left, 1) == 1)
        sem_post(&trips->event);
}

static void on_sent(struct crpc_call *call, bool ok, void *ctx)
{
    (void)call;
    if (ok)
        leave(ctx); /* else the stream's end follows */
}

static void on_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    struct trips *trips = ctx;
    ProtobufCMessage *reply = NULL;
    if (crpc_message_decode(&reply, trips->kind->reply, bytes, 0) != 0) {
        crpc_call_cancel(call);
        return;
    }
    crpc_message_free(reply);
    if (atomic_fetch_sub(&trips->answers, 1) == 1)
        trips->end_ns = now_ns();
    leave(trips);
}

static void on_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct trips *trips = ctx;
    (void)call;
    (void)status;
    sem_post(&trips->event);
}

static bool wait_event(struct trips *trips)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ANSWER_TIMEOUT_S;
    return sem_timedwait(&trips->event, &until) == 0;
}

static bool make_trip(struct histogram *out, struct trips *trips, struct crpc_call *const *calls,
                      uint32_t count)
{
    atomic_store(&trips->answers, count);
    atomic_store(&trips->left, 2 * count);
    int64_t begin = now_ns();
    for (uint32_t i = 0; i < count; i++)
        if (crpc_call_read(calls[i]) != 0 || crpc_call_send(calls[i], trips->kind->request) != 0)
            return false;
    if (!wait_event(trips) || atomic_load(&trips->left) != 0)
        return false;
    histogram_add(out, trips->end_ns - begin);
    return true;
}

static bool make_trips(struct histogram *out, struct trips *trips, struct crpc_call *const *calls,
                       uint32_t count, uint32_t pause_us, uint32_t milliseconds)
{
    const struct timespec pause = {.tv_nsec = pause_us < 1000000 ? pause_us * 1000L : 999999999L};
    static struct histogram first; /* connects, too: not counted */
    bool is_good = make_trip(&first, trips, calls, count);
    int64_t end = now_ns() + milliseconds * INT64_C(1000000);
    do {
        nanosleep(&pause, NULL);
        is_good = is_good && make_trip(out, trips, calls, count);
    } while (is_good && now_ns() < end);
    return is_good;
}

bool exchange_trips(struct histogram *out, struct crpc_channel *const *channels,
                    uint32_t channel_count, const struct exchange_kind *kind, uint32_t pause_us,
                    uint32_t milliseconds)
{
    static const struct crpc_call_events events = {
        .on_message = on_message, .on_sent = on_sent, .on_end = on_end};
    const struct crpc_call_options options = {.size = sizeof(options), .wait_for_ready = true};
    struct trips trips = {.kind = kind};
    struct crpc_call *calls[PARTICIPANTS_MAX];
    uint32_t opened = 0;
    sem_init(&trips.event, 0, 0);
    while (opened < channel_count && crpc_call_open(&calls[opened], channels[opened], kind->service,
                                                    kind->method, &options, &events, &trips) == 0)
        opened++;
    bool is_good =
        opened == channel_count && make_trips(out, &trips, calls, opened, pause_us, milliseconds);
    for (uint32_t i = 0; i < opened; i++)
        crpc_call_cancel(calls[i]);
    for (uint32_t i = 0; i < opened; i++)
        is_good = wait_event(&trips) && is_good;
    for (uint32_t i = 0; i < opened; i++)
        crpc_call_unref(calls[i]);
    return is_good;
}
