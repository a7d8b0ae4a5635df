/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h: own calls. Requests queue; one worker takes those that are there through the
 * barrier in one batch.
 */
#include "participant.h"

#include <bench.pb-c.h>
#include <crpc/crpc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 256
#define STREAMS_MAX 4096
#define STOP_GRACE_MS 1000

struct own_call {
    struct own_call *next;
    struct own_server *server;
    struct crpc_call *call;
    char gid[TERCET_GID_MAX + 1];
    uint32_t branch;
    uint64_t number;
};

struct own_server {
    struct participant *participant;
    struct crpc_loop *loop;
    struct crpc_server *server;
    pthread_t worker;
    bool has_worker;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct own_call *first, *last;
    bool is_stopping;
};

/* -- Arrival ----------------------------------------------------------------------------------- */

static void copy_metadata(char *out, size_t size, struct crpc_call *call, const char *key)
{
    struct crpc_bytes value = {NULL, 0};
    out[0] = '\0';
    if (crpc_call_metadata_get(call, key, &value) && value.size < size) {
        memcpy(out, value.data, value.size);
        out[value.size] = '\0';
    }
}

static void on_request(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    struct own_server *server = ctx;
    char number[32];
    struct own_call *arrived = calloc(1, sizeof(*arrived));
    (void)request;
    if (arrived == NULL) {
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    arrived->server = server;
    arrived->call = call;
    crpc_call_ref(call);
    copy_metadata(arrived->gid, sizeof(arrived->gid), call, "tercet-gid");
    copy_metadata(number, sizeof(number), call, "tercet-branch");
    arrived->branch = (uint32_t)strtoul(number, NULL, 10);
    copy_metadata(number, sizeof(number), call, "tercet-number");
    arrived->number = strtoull(number, NULL, 10);
    pthread_mutex_lock(&server->lock);
    if (server->first == NULL)
        server->first = arrived;
    else
        server->last->next = arrived;
    server->last = arrived;
    pthread_cond_signal(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

/* -- Work -------------------------------------------------------------------------------------- */

static int hook(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    const struct own_call *own = ctx;
    struct participant *participant = own->server->participant;
    uint64_t seq = 0;
    if (seq_of_gid(participant->shared, call->gid, &seq) &&
        is_refused(&participant->shared->options, seq, call->branch))
        return TERCET_REFUSED;
    return participant_effect(participant, call->gid, call->branch, OPERATION_TRY, db);
}

static void answer(struct own_call *own, struct tercet_barrier_call *done)
{
    Tercet__Bench__V1__TryResponse reply = TERCET__BENCH__V1__TRY_RESPONSE__INIT;
    if (done->result == 0)
        crpc_call_reply(own->call, &reply.base);
    else
        crpc_call_fail(own->call, done->result == TERCET_REFUSED ? CRPC_ABORTED : CRPC_UNAVAILABLE,
                       "%s", tercet_strerror(done->result));
    free(done->reply);
    crpc_call_unref(own->call);
    free(own);
}

/* Takes what has queued, at most BATCH_MAX; waits for the first. 0: stopping. */
static size_t take(struct own_server *server, struct own_call **out)
{
    size_t count = 0;
    pthread_mutex_lock(&server->lock);
    while (server->first == NULL && !server->is_stopping)
        pthread_cond_wait(&server->changed, &server->lock);
    while (server->first != NULL && count < BATCH_MAX) {
        out[count] = server->first;
        server->first = out[count++]->next;
    }
    pthread_mutex_unlock(&server->lock);
    return count;
}

static void *work(void *ctx)
{
    struct own_server *server = ctx;
    struct own_call *taken[BATCH_MAX];
    struct tercet_barrier_call calls[BATCH_MAX];
    size_t count;
    while ((count = take(server, taken)) > 0) {
        for (size_t i = 0; i < count; i++)
            calls[i] = (struct tercet_barrier_call){.gid = taken[i]->gid,
                                                    .branch = taken[i]->branch,
                                                    .number = taken[i]->number,
                                                    .kind = TERCET_TRY,
                                                    .hook = hook,
                                                    .ctx = taken[i]};
        tercet_barrier_run(server->participant->barrier, calls, count);
        for (size_t i = 0; i < count; i++)
            answer(taken[i], &calls[i]);
    }
    return NULL;
}

/* -- Start and stop ---------------------------------------------------------------------------- */

static int listen_at(struct own_server *server, const char *address, char *address_out)
{
    static const struct crpc_handler handlers[] = {
        {.method = "Try", .kind = CRPC_UNARY, .on_request = on_request}};
    const struct crpc_server_options options = {.size = sizeof(options),
                                                .concurrent_streams_max = STREAMS_MAX};
    int port = 0;
    int rc = crpc_loop_new(&server->loop, NULL);
    if (rc == 0)
        rc = crpc_server_new(&server->server, server->loop, &options);
    if (rc == 0)
        rc = crpc_server_add_service(server->server, &tercet__bench__v1__own__descriptor, handlers,
                                     1, server);
    if (rc == 0)
        rc = crpc_server_listen(server->server, address, NULL, &port);
    if (rc == 0)
        rc = crpc_server_start(server->server);
    if (port > 0)
        snprintf(address_out, ADDRESS_SIZE, "127.0.0.1:%d", port);
    else
        snprintf(address_out, ADDRESS_SIZE, "%s", address);
    return rc;
}

const char *own_server_start(struct own_server **out, struct participant *participant,
                             const char *address, char *address_out)
{
    struct own_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return "out of memory";
    server->participant = participant;
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->changed, NULL);
    *out = server;
    int rc = listen_at(server, address, address_out);
    if (rc != 0)
        return crpc_strerror(rc);
    if (pthread_create(&server->worker, NULL, work, server) != 0)
        return "no thread";
    server->has_worker = true;
    return NULL;
}

void own_server_stop(struct own_server *server)
{
    if (server == NULL)
        return;
    if (server->server != NULL)
        crpc_server_stop(server->server, STOP_GRACE_MS); /* the worker still answers what came */
    pthread_mutex_lock(&server->lock);
    server->is_stopping = true;
    pthread_cond_signal(&server->changed);
    pthread_mutex_unlock(&server->lock);
    if (server->has_worker)
        pthread_join(server->worker, NULL);
    crpc_server_free(server->server);
    crpc_loop_free(server->loop);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
