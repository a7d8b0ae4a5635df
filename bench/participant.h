/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside a participant's process: where effects are counted, and how own calls get in.
 */
#ifndef BENCH_PARTICIPANT_H
#define BENCH_PARTICIPANT_H

#include "bench.h"

#include <tercet/tercet.h>

struct database;
struct ledger;
struct own_server;

struct participant {
    struct shared *shared;
    uint32_t index;
    struct tercet_barrier *barrier;
    /* Where effects are counted: in SQLite, in another database, or (both NULL) in the shared
     * memory, at once. */
    struct ledger *ledger;
    const struct database *database;
};

/* The effect of a hook: counted, once, where it belongs. 0, or TERCET_AGAIN. */
int participant_effect(struct participant *participant, const char *gid, uint32_t branch,
                       enum operation operation, tercet_db db);

/* A row that a ledger has, into the shared memory. */
void participant_count_row(struct participant *participant, uint64_t seq, uint32_t branch,
                           enum operation operation);

/* Serves Own.Try at `address`, 127.0.0.1:0 or unix:PATH; address_out gets what it got. The calls
 * that are there go through the barrier together, as attached ones do. 0, or an error text. */
const char *own_server_start(struct own_server **out, struct participant *participant,
                             const char *address, char *address_out);
void own_server_stop(struct own_server *server);

/* The SQLite ledger, table ledger(seq, branch, operation) without any key: what happened twice is
 * there twice. */
extern const char ledger_setup_sql[];
struct ledger *ledger_new(void);
int ledger_add(struct ledger *ledger, tercet_db db, uint64_t seq, uint32_t branch,
               enum operation operation);
/* Counts all rows into the shared memory. 0, or TERCET_STORE. */
int ledger_count(struct participant *participant);
/* Before the barrier is closed. */
void ledger_free(struct ledger *ledger);

#endif
