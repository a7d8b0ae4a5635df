/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions between services: what a domain's .proto declares as a gRPC service is answered here,
 * and asked by others with `ask`. A transaction changes things; a question looks, or changes what
 * is one domain's alone.
 *
 * An answer is computed in a local transaction of the domain's own database. It may run beside the
 * hooks, and again when the database asks for it.
 */
#ifndef SAMPLES_QUERIES_H
#define SAMPLES_QUERIES_H

#include <crpc/crpc.h>
#include <tercet/tercet.h>

#include "db.h"

struct query {
    const ProtobufCMessage *request;
    ProtobufCMessage *reply; /* of the method's type, to be filled: malloc'ed parts */
    struct db db;
    char refusal[TERCET_TEXT_MAX]; /* set by query_refuse */
};

struct query_method {
    const char *name; /* as in the .proto */
    /* 0, or query_refuse(...), or -1: the database failed */
    int (*answer)(struct query *query);
};

/* A new element at the end of a repeated field: query_add(&reply->n_lines, &reply->lines, line
 * descriptor). It is freed with the reply. */
#define query_add(count, list, descriptor) query_add_to(count, (void ***)(list), descriptor)
void *query_add_to(size_t *count, void ***list, const ProtobufCMessageDescriptor *descriptor);

/* Returns from an answer with what is wrong, in words for people; nothing is changed. */
int query_refuse(struct query *query, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A whole number of a row, also where the database gives a sum as text. */
int64_t query_number(const struct db_value *value);

/* The first row's numbers of a query without values, sums too. 1, 0, or -1 as db_read. */
int query_sums(struct query *query, int64_t *columns, size_t column_count, const char *sql);

/* -- Answering (service_main does it for a service with queries) ------------------------------- */

struct queries;
struct fault {
    uint32_t delay_ms;
    bool refuses;
};

/* Answers at this address, such as "unix:/path", until closed. 0, or -1 with `text`. */
int queries_open(struct queries **out, const char *address,
                 const ProtobufCServiceDescriptor *service, const struct query_method *methods,
                 size_t method_count, struct tercet_barrier *barrier,
                 const struct db_driver *driver, char *text);
void queries_close(struct queries *queries);
/* What was last asked for by samples.Faults. NULL: none. */
struct fault queries_fault(const struct queries *queries);

/* -- Asking ------------------------------------------------------------------------------------ */

/* 0 with the reply (crpc_message_free), or -1 with what is wrong, in words for people, in `text`
 * (TERCET_TEXT_MAX bytes). Waits some seconds at most. */
int ask(ProtobufCMessage **reply, struct crpc_channel *channel,
        const ProtobufCServiceDescriptor *service, const char *method,
        const ProtobufCMessage *request, char *text);

#endif
