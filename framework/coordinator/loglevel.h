/* SPDX-License-Identifier: Apache-2.0
 *
 * Which lines are logged: a level for each part of the coordinator, changed while it runs.
 */
#ifndef TERCET_LOGLEVEL_H
#define TERCET_LOGLEVEL_H

#include <refusal.h>
#include <stdatomic.h>
#include <stdbool.h>

enum log_part {
    LOG_TRANSACTIONS,
    LOG_PARTICIPANTS, /* who comes and goes, breakers, calls */
    LOG_STORE,
    LOG_CONNECTIONS, /* those that are refused or cut */
    LOG_PARTS
};

#define LOGLEVEL_DEFAULT "info" /* of parts that nobody names, where some are named */

struct loglevel {
    atomic_int levels[LOG_PARTS]; /* enum tercet_log_level */
};

/* All lines are let through. */
void loglevel_init(struct loglevel *loglevel);

/* Sets what the text says: "info" for all parts, "store=debug" for one, several with commas, the
 * last counts. 0, or TERCET_INVALID, and nothing is set. Any thread. */
int loglevel_set(struct loglevel *loglevel, const char *text, struct refusal *no);

bool loglevel_lets(const struct loglevel *loglevel, enum log_part part,
                   enum tercet_log_level level);

/* "transactions" and so on; "info" and so on. */
const char *loglevel_part_name(enum log_part part);
const char *loglevel_name(const struct loglevel *loglevel, enum log_part part);

#endif
