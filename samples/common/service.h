/* SPDX-License-Identifier: Apache-2.0
 *
 * What the samples' services have in common: options, the database behind the barrier (any that
 * speaks SQL), attaching, stopping; and the ledger of effects that the audits read.
 *
 * The ledger, table `effect`, has deliberately no unique key: a hook that ran twice with effect
 * shows twice.
 */
#ifndef SAMPLES_SERVICE_H
#define SAMPLES_SERVICE_H

#include <tercet/tercet.h>

#include "db.h"
#include "options.h"
#include "queries.h"

struct service {
    const char *program; /* such as "shop-stock" */
    const char *summary; /* for --help */
    const char *name;    /* at the coordinator, such as "stock" */
    const struct tercet_action *actions;
    size_t action_count;
    /* the service's own, beside --coordinator, --db and so on */
    const struct option_entry *options;
    size_t option_count;
    const char *tables; /* CREATE TABLE IF NOT EXISTS ...; the ledger is made besides */
    /* fills empty tables; 0 or -1 as db_change; may be run again after a failure */
    int (*seed)(const struct db *db);
    /* Questions that others ask (queries.h), answered at --serve; NULL: none. */
    const ProtobufCServiceDescriptor *asked;
    const struct query_method *queries;
    size_t query_count;
};

/* The whole program: prints "ready" once attached, runs until SIGTERM or SIGINT. Returns main's
 * exit status. */
int service_main(const struct service *service, int argc, char **argv);

/* Reads in a hook, as db_read: 1, 0 when there is no row, -1 on failure. */
#define service_read(call, columns, column_count, sql, ...)                                        \
    service_read_values(call, columns, column_count, sql, DB_VALUES(__VA_ARGS__))
int service_read_values(const struct tercet_call *call, int64_t *columns, size_t column_count,
                        const char *sql, const struct db_value *values, size_t value_count);

/* A statement of a hook that must change exactly one row. Returns what the hook returns: 0, or "ask
 * me again". */
#define service_change(call, sql, ...) service_change_values(call, sql, DB_VALUES(__VA_ARGS__))
int service_change_values(const struct tercet_call *call, const char *sql,
                          const struct db_value *values, size_t value_count);

/* The hook's line in the ledger. Returns as service_change. */
int service_record(const struct tercet_call *call, int64_t amount);

/* "Ask me again", with the database's words. */
int service_failed(const struct tercet_call *call);

#endif
