/* SPDX-License-Identifier: Apache-2.0
 *
 * A client that wants one transaction after another, and does not know that the coordinator is
 * being started: when the first is decided, and how long the others take. Its pauses leave the
 * machine to what goes on at the same time.
 */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/tercet.h>
#include <time.h>

#define TIMEOUT_MS 600000
#define PAUSE_MS 10

struct trickle {
    struct shared *shared;
    struct tercet_client *client;
    atomic_bool is_stopping;
    char error[ERROR_SIZE];
};

static int run_one(struct trickle *trickle, uint64_t seq, struct tercet_result *result)
{
    struct shared *shared = trickle->shared;
    static const unsigned char payload[65536];
    char gid[TERCET_GID_MAX + 1];
    char actions[BRANCHES_MAX][32];
    struct tercet_branch branches[BRANCHES_MAX];
    const struct tercet_begin_options options = {
        .size = sizeof(options), .gid = gid, .deadline_ms = TIMEOUT_MS, .timeout_ms = TIMEOUT_MS};
    gid_of_seq(gid, sizeof(gid), shared, seq);
    for (uint32_t i = 0; i < shared->options.branches; i++) {
        snprintf(actions[i], sizeof(actions[i]), "bench-%u/work",
                 participant_of(&shared->options, seq, i + 1));
        branches[i] = (struct tercet_branch){.action = actions[i],
                                             .payload = {payload, shared->options.payload_size},
                                             .try_timeout_ms = TIMEOUT_MS};
    }
    return tercet_run(trickle->client, branches, shared->options.branches, &options, result);
}

static void *work(void *ctx)
{
    struct trickle *trickle = ctx;
    struct shared *shared = trickle->shared;
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    while (!atomic_load(&trickle->is_stopping) && shared->seq_end < SEQ_MAX) {
        struct tercet_result result;
        uint64_t seq = shared->seq_end++;
        int64_t begin = now_ns();
        int rc = run_one(trickle, seq, &result);
        int64_t end = now_ns();
        shared->outcomes[seq] = rc == 0 ? OUTCOME_CONFIRMED : OUTCOME_UNKNOWN;
        if (rc != 0) {
            snprintf(trickle->error, sizeof(trickle->error), "%s", result.text);
            return NULL;
        }
        if (shared->unresolved.trickle.first_ns == 0) {
            shared->unresolved.trickle.first_ns = end;
            role_ok("");
        } else {
            histogram_add(&shared->unresolved.trickle.decision, end - begin);
        }
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static int serve(struct trickle *trickle)
{
    pthread_t thread;
    role_ok("");
    if (!role_wait("go"))
        return 0;
    if (pthread_create(&thread, NULL, work, trickle) != 0)
        return role_fail("no thread");
    role_wait("stop");
    atomic_store(&trickle->is_stopping, true);
    pthread_join(thread, NULL);
    if (trickle->error[0] != '\0')
        return role_fail("%s", trickle->error);
    role_ok("");
    return 0;
}

int role_trickle(struct shared *shared)
{
    struct trickle trickle = {.shared = shared};
    int rc = tercet_client_open(&trickle.client, shared->coordinator, NULL, NULL);
    int status = rc == 0 ? serve(&trickle) : role_fail("%s", tercet_strerror(rc));
    tercet_client_close(trickle.client);
    return status;
}
