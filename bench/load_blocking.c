/* SPDX-License-Identifier: Apache-2.0
 *
 * load.h: own calls by the library's blocking form, a thread for each transaction under way:
 * enlist, call the participant, next branch, confirm.
 */
#include "load.h"

#include <bench.pb-c.h>
#include <crpc/crpc.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_TIMEOUT_MS 20000
#define STACK_SIZE (256u * 1024)
#define TEXT_SIZE 256

struct worker {
    struct blocking *blocking;
    struct slot *slot;
    pthread_t thread;
    sem_t wake;
};

struct blocking {
    struct tercet_client *client;
    struct crpc_loop *loop;
    struct crpc_channel *participants[PARTICIPANTS_MAX];
    atomic_bool is_closing;
    uint32_t worker_count;
    struct worker workers[BLOCKING_MAX];
};

/* -- One transaction --------------------------------------------------------------------------- */

/* Calls the participant. 0, TERCET_REFUSED or TERCET_UNKNOWN. */
static int call_try(struct worker *worker, uint32_t branch, uint64_t number, char *text)
{
    struct slot *slot = worker->slot;
    char branch_text[16];
    char number_text[24];
    int branch_size = snprintf(branch_text, sizeof(branch_text), "%" PRIu32, branch);
    int number_size = snprintf(number_text, sizeof(number_text), "%" PRIu64, number);
    const struct crpc_metadata metadata[] = {
        {"tercet-gid", {slot->gid, strlen(slot->gid)}},
        {"tercet-branch", {branch_text, (size_t)branch_size}},
        {"tercet-number", {number_text, (size_t)number_size}},
    };
    const struct crpc_call_options options = {.size = sizeof(options),
                                              .timeout_ms = CALL_TIMEOUT_MS,
                                              .wait_for_ready = true,
                                              .metadata = metadata,
                                              .metadata_count = 3};
    Tercet__Bench__V1__TryRequest request = TERCET__BENCH__V1__TRY_REQUEST__INIT;
    struct crpc_result result = {.code = CRPC_UNKNOWN};
    ProtobufCMessage *reply = NULL;
    request.payload.data = slot->load->payload;
    request.payload.len = slot->load->options->payload_size;
    uint32_t participant = participant_of(slot->load->options, slot->seq, branch);
    int rc =
        crpc_unary(&reply, worker->blocking->participants[participant],
                   &tercet__bench__v1__own__descriptor, "Try", &request.base, &options, &result);
    if (rc != 0)
        snprintf(text, TEXT_SIZE, "own try: %s",
                 result.message != NULL ? result.message : crpc_strerror(rc));
    bool is_refused_now = rc == CRPC_ESTATUS && result.code == CRPC_ABORTED;
    crpc_message_free(reply);
    crpc_result_clear(&result);
    return rc == 0 ? 0 : is_refused_now ? TERCET_REFUSED : TERCET_UNKNOWN;
}

/* All branches, one after another. */
static int try_all(struct worker *worker, struct tercet_transaction *transaction, char *text)
{
    for (uint32_t i = 1; i <= worker->slot->load->options->branches; i++) {
        const struct tercet_branch branch = load_branch(worker->slot, i);
        struct tercet_branch_id id;
        struct tercet_result result;
        int rc = tercet_enlist(transaction, &branch, &id, &result);
        if (rc != 0)
            snprintf(text, TEXT_SIZE, "%.200s", result.text);
        else
            rc = call_try(worker, id.number, result.number, text);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static void run_one(struct worker *worker)
{
    struct slot *slot = worker->slot;
    const struct tercet_begin_options options = {.size = sizeof(options), .gid = slot->gid};
    enum tercet_wait wait = slot->is_resolved_wanted ? TERCET_WAIT_RESOLVED : TERCET_WAIT_DECIDED;
    struct tercet_transaction *transaction = NULL;
    struct tercet_result result = {.code = TERCET_UNKNOWN};
    char text[TEXT_SIZE] = "";
    enum outcome outcome = OUTCOME_UNKNOWN;
    int rc = tercet_begin(&transaction, worker->blocking->client, &options);
    if (rc == 0)
        rc = try_all(worker, transaction, text);
    if (rc == 0)
        outcome = load_outcome(tercet_confirm(transaction, wait, &result), result.state);
    else if (rc == TERCET_REFUSED && tercet_cancel(transaction, wait, "refused", &result) == 0)
        outcome = OUTCOME_CANCELLED;
    tercet_transaction_free(transaction);
    load_finish(slot, outcome, text[0] != '\0' ? text : result.text);
}

static void *work(void *ctx)
{
    struct worker *worker = ctx;
    for (;;) {
        while (sem_wait(&worker->wake) != 0)
            continue;
        if (atomic_load(&worker->blocking->is_closing))
            return NULL;
        run_one(worker);
    }
}

/* -- The backend ------------------------------------------------------------------------------- */

static bool start(struct slot *slot)
{
    struct blocking *blocking = slot->load->state;
    sem_post(&blocking->workers[slot->index].wake);
    return true;
}

static const char *start_workers(struct blocking *blocking, struct load *load)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    for (uint32_t i = 0; i < load->options->in_flight; i++) {
        struct worker *worker = &blocking->workers[i];
        *worker = (struct worker){.blocking = blocking, .slot = &load->slots[i]};
        sem_init(&worker->wake, 0, 0);
        if (pthread_create(&worker->thread, &attributes, work, worker) != 0)
            break;
        blocking->worker_count++;
    }
    pthread_attr_destroy(&attributes);
    return blocking->worker_count == load->options->in_flight ? NULL : "too many threads";
}

static const char *open_blocking(struct load *load)
{
    struct blocking *blocking = calloc(1, sizeof(*blocking));
    if (blocking == NULL)
        return "out of memory";
    load->state = blocking;
    int rc = tercet_client_open(&blocking->client, load->shared->coordinator, NULL, NULL);
    if (rc != 0)
        return tercet_strerror(rc);
    rc = crpc_loop_new(&blocking->loop, NULL);
    for (uint32_t i = 0; i < load->options->participants && rc == 0; i++)
        rc = crpc_channel_new(&blocking->participants[i], blocking->loop, load->shared->own[i],
                              NULL);
    return rc != 0 ? crpc_strerror(rc) : start_workers(blocking, load);
}

static void close_blocking(struct load *load)
{
    struct blocking *blocking = load->state;
    if (blocking == NULL)
        return;
    atomic_store(&blocking->is_closing, true);
    for (uint32_t i = 0; i < blocking->worker_count; i++)
        sem_post(&blocking->workers[i].wake);
    for (uint32_t i = 0; i < blocking->worker_count; i++)
        pthread_join(blocking->workers[i].thread, NULL);
    for (uint32_t i = 0; i < PARTICIPANTS_MAX; i++)
        crpc_channel_free(blocking->participants[i]);
    crpc_loop_free(blocking->loop);
    tercet_client_close(blocking->client);
    free(blocking);
}

const struct backend backend_blocking = {
    .open = open_blocking, .start = start, .close = close_blocking};
