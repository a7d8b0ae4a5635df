/* SPDX-License-Identifier: Apache-2.0
 *
 * observer.h
 */
#include "observer.h"

#include "process.h"

#include <crpc/crpc.h>
#include <string.h>
#include <tercet/v1/tercet.pb-c.h>
#include <time.h>
#include <unistd.h>

#define STATISTICS_TIMEOUT_MS 60000 /* a coordinator that has just started may be busy */
#define DRAIN_TIMEOUT_S 900
#define DROP_TIMEOUT_S 120
#define PAUSE_MS_MIN 20
#define PAUSE_MS_MAX 500
/* the more are open, the longer the coordinator may take to count them */
#define OPEN_PER_PAUSE_MS 1000

const char *observer_open(struct observer *observer)
{
    int rc = crpc_loop_new(&observer->loop, NULL);
    if (rc == 0)
        rc = crpc_channel_new(&observer->channel, observer->loop, observer->coordinator, NULL);
    if (rc != 0)
        observer_close(observer);
    return rc == 0 ? NULL : crpc_strerror(rc);
}

void observer_close(struct observer *observer)
{
    crpc_channel_free(observer->channel);
    crpc_loop_free(observer->loop);
    observer->channel = NULL;
    observer->loop = NULL;
}

bool observer_ask(struct observer *observer, struct snapshot *out)
{
    const Tercet__V1__StatisticsRequest request = TERCET__V1__STATISTICS_REQUEST__INIT;
    const struct crpc_call_options options = {
        .size = sizeof(options), .timeout_ms = STATISTICS_TIMEOUT_MS, .wait_for_ready = true};
    ProtobufCMessage *reply = NULL;
    *out = (struct snapshot){.at_ns = 0};
    if (observer->loop == NULL && observer_open(observer) != NULL)
        return false;
    if (crpc_unary(&reply, observer->channel, &tercet__v1__admin__descriptor, "GetStatistics",
                   &request.base, &options, NULL) != 0)
        return false;
    const Tercet__V1__Statistics *statistics = (const void *)reply;
    out->trying = statistics->trying;
    out->confirming = statistics->confirming;
    out->cancelling = statistics->cancelling;
    out->ended = statistics->confirmed_total + statistics->cancelled_total;
    out->commits = statistics->commits_total;
    out->calls = statistics->calls_total;
    out->store_bytes = statistics->store_bytes_used;
    out->resolved_records = statistics->resolved_records;
    crpc_message_free(reply);
    out->at_ns = now_ns();
    return true;
}

bool observer_look(struct observer *observer, struct snapshot *out, const struct shared *shared)
{
    if (!observer_ask(observer, out))
        return false;
    out->at_ns = now_ns();
    out->coordinator_cpu = process_cpu(shared->coordinator_pid);
    for (uint32_t i = 0; i < shared->options.participants; i++)
        out->participants_cpu += process_cpu(shared->participant_pids[i]);
    out->database_cpu = process_family_cpu(shared->database_pid);
    out->load_cpu = process_cpu(getpid());
    machine_cpu(&out->machine_cpu, &out->steal_cpu);
    return true;
}

static void pause_for(uint64_t open)
{
    uint64_t pause_ms = open / OPEN_PER_PAUSE_MS;
    pause_ms = pause_ms < PAUSE_MS_MIN   ? PAUSE_MS_MIN
               : pause_ms > PAUSE_MS_MAX ? PAUSE_MS_MAX
                                         : pause_ms;
    const struct timespec pause = {.tv_nsec = (long)pause_ms * 1000000L};
    nanosleep(&pause, NULL);
}

bool observer_wait_open(struct observer *observer, uint64_t open_max, uint32_t timeout_s,
                        struct snapshot *out)
{
    int64_t end = now_ns() + timeout_s * INT64_C(1000000000);
    struct snapshot snapshot;
    while (now_ns() < end) {
        if (!observer_ask(observer, &snapshot))
            return false;
        if (snapshot_open(&snapshot) <= open_max) {
            if (out != NULL)
                *out = snapshot;
            return true;
        }
        pause_for(snapshot_open(&snapshot));
    }
    return false;
}

/* -- The role ---------------------------------------------------------------------------------- */

static bool wait_dropped(struct observer *observer, struct snapshot *out)
{
    int64_t end = now_ns() + DROP_TIMEOUT_S * INT64_C(1000000000);
    while (now_ns() < end) {
        if (!observer_ask(observer, out))
            return false;
        if (out->resolved_records == 0)
            return true;
        pause_for(out->resolved_records);
    }
    return false;
}

/* "look"; "drain": when no more than shared->open_max are open; "drop": when no resolved record is
 * left. */
static int serve(struct observer *observer, struct shared *shared)
{
    char word[WORD_SIZE];
    role_ok("");
    while (role_word(word, sizeof(word))) {
        bool is_done =
            strcmp(word, "drain") == 0
                ? observer_wait_open(observer, shared->open_max, DRAIN_TIMEOUT_S, &shared->seen)
            : strcmp(word, "drop") == 0 ? wait_dropped(observer, &shared->seen)
                                        : observer_ask(observer, &shared->seen);
        if (!is_done)
            return role_fail("%s: not within the time", word);
        role_ok("");
    }
    return 0;
}

int role_observer(struct shared *shared)
{
    struct observer observer = {.coordinator = shared->coordinator};
    const char *why = observer_open(&observer);
    int status = why == NULL ? serve(&observer, shared) : role_fail("%s", why);
    observer_close(&observer);
    return status;
}
