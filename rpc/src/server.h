/* SPDX-License-Identifier: Apache-2.0
 *
 * A server: what is set up before start, and what is counted while it runs. Fields under `lock` are
 * read and written with it held; the rest does not change between start and the end.
 */
#ifndef CRPC_SERVER_H
#define CRPC_SERVER_H

#include "catalog.h"
#include "gate.h"
#include "health.h"
#include "loop.h"
#include "methods.h"
#include "reflection.h"

/* Fewer cost throughput, more gain none (measured). */
#define REQUESTS_PER_QUEUE 256

/* One posted request for a call; posted again when it has brought one. */
struct request_slot {
    struct tag tag;
    struct crpc_server *server;
    grpc_completion_queue *queue;
    grpc_call *core;
    grpc_metadata_array metadata;
    grpc_call_details details;
};

/* One that the server listens at. */
struct server_address {
    char text[sizeof("unix:") + 108];
    int lock; /* of a unix path; else -1 */
};

struct crpc_server {
    struct crpc_loop *loop;
    grpc_server *core;
    crpc_authorize_fn authorize;
    void *authorize_ctx;
    bool with_reflection, with_health;
    struct catalog catalog;
    struct method_table methods;
    const ProtobufCServiceDescriptor **services;
    size_t service_count;
    struct health *health;
    struct reflection *reflection;
    struct gate *gate; /* NULL when gRPC's own listeners are used */
    struct adopter adopters[ADOPTERS_MAX];
    struct tls_feed *feeds[ADOPTERS_MAX]; /* NULL: that listener has none */
    struct server_address *addresses;
    size_t address_count;
    size_t listener_count; /* calls of crpc_server_listen */
    size_t metadata_size_max;
    size_t message_size_max;
    struct request_slot *slots;
    struct tag shutdown_tag;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_started;
    bool is_stopping; /* new calls are refused */
    bool is_shutting; /* and their connections end */
    bool is_shut;     /* the shutdown tag is in */
    size_t slots_posted;
    size_t call_count, late_count; /* late: they came when it was stopping */
};

/* Removes the sockets of unix paths and gives up their locks. */
void server_addresses_clear(struct crpc_server *server);

/* Posts the requests; called once, by start. Errors: CRPC_ENOMEM, CRPC_EINTERNAL. */
int server_accept_start(struct crpc_server *server);

#endif
