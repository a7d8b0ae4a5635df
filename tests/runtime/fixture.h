/* SPDX-License-Identifier: Apache-2.0
 *
 * What the suites share: a client with results kept, a participant with hooks that record, both at
 * a fake coordinator.
 */
#ifndef TERCET_TEST_FIXTURE_H
#define TERCET_TEST_FIXTURE_H

#include "fake.h"

#include <stdatomic.h>
#include <tercet/barrier.h>
#include <tercet/client.h>
#include <tercet/participant.h>

/* -- Callbacks of a client --------------------------------------------------------------------- */

/* Collects the callbacks of requests, and counts them. */
struct results {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned count;
    struct tercet_result last;
    struct tercet_tried last_tried; /* its reply is not kept */
};
#define RESULTS_INIT                                                                               \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER                     \
    }

void on_result(const struct tercet_result *result, void *results);
void on_tried(const struct tercet_tried *tried, void *results);

/* Waits until so many callbacks have come; returns the last one. */
struct tercet_result results_wait(struct results *results, unsigned count);
unsigned results_count(struct results *results);

/* -- A call in a thread of its own ------------------------------------------------------------- */

/* Runs a blocking call of the client, so that the test can play the coordinator meanwhile. */
struct blocking {
    pthread_t thread;
    int (*work)(struct blocking *blocking);
    int code;
    struct tercet_client *client;
    struct tercet_transaction *transaction;
    struct tercet_result result;
    struct tercet_tried tried;
    struct tercet_branch_id branch_id;
};
void blocking_start(struct blocking *blocking, int (*work)(struct blocking *blocking));
int blocking_join(struct blocking *blocking);

/* A branch of "inventory/reserve" with the bytes "payload". */
extern const struct tercet_branch branch_example;

struct tercet_client *client_open(struct fake *fake, int64_t timeout_ms);

/* -- A participant ----------------------------------------------------------------------------- */

/* The hooks' ctx. */
struct recorder {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned calls[4]; /* by kind */
    unsigned entered;  /* gated hooks that have begun */
    unsigned permits;  /* gated hooks that may end */
    bool is_open;      /* all may */
    char action[64], key[64], metadata[64];
    struct tercet_call last; /* its pointers are not kept */
};
#define RECORDER_INIT                                                                              \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER                     \
    }

unsigned recorder_calls(struct recorder *recorder, enum tercet_kind kind);
/* Waits until so many gated hooks have begun. */
void recorder_wait_entered(struct recorder *recorder, unsigned count);
void recorder_open_gate(struct recorder *recorder);
/* Lets one gated hook through. */
void recorder_permit(struct recorder *recorder);

/* Service "inventory": "reserve" records (its request is a tercet.v1.Metadata, for want of a
 * simpler message; the reply is the key), "bytes" records and takes bytes, "refuse", "again",
 * "gate" waits for recorder_open_gate and replies as much as it may, "alone", "empty" has no hooks.
 */
extern const struct tercet_action actions_example[];
extern const size_t action_example_count;

struct bench {
    struct fake fake;
    struct recorder recorder;
    struct tercet_barrier *barrier;
    struct tercet_participant *participant;
    struct fake_stream *stream; /* attached */
};

/* Whether the fake coordinator of the next bench_open knows tokens of registrations. */
extern bool bench_keeps_token;

/* Opens a participant on a memory barrier and attaches it. */
void bench_open(struct bench *bench, const struct tercet_participant_options *options);
void bench_close(struct bench *bench);

/* More than a slow machine takes: a try that is late is not begun. */
#define CALL_TIMEOUT_MS 100000

/* A call of "inventory/<action>", branch 1, of the given gid; number 1. */
struct call {
    Tercet__V1__Call message;
    char action[64];
    uint8_t payload[64];
};
void call_fill(struct call *out, enum tercet_kind kind, const char *gid, const char *action);
/* Fills in a request for "reserve". */
void call_set_key(struct call *call, const char *key);

/* Sends the call, and waits for its result. */
const Tercet__V1__CallResult *bench_call(struct bench *bench, const struct call *call);

#endif
