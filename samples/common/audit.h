/* SPDX-License-Identifier: Apache-2.0
 *
 * Audits from outside: opens the services' databases read-only, and the traffic's log, and asks by
 * SQL for everything that must not be. SQLite files are looked at in place; of a database server
 * the tables are copied, as they are at one moment. Table `effect` of each database is copied to
 *
 *   ledger(service, kind, seq, gid, branch, op, amount)   op: try, confirm, cancel; seq: the order
 * within the service
 *
 * and the log to told(gid, outcome). What holds for every sample is checked here: each effect at
 * most once, none out of order, all branches of a transaction alike, every outcome that was told
 * true. A sample adds what is kept in its tables.
 */
#ifndef SAMPLES_AUDIT_H
#define SAMPLES_AUDIT_H

#include <stdbool.h>
#include <stddef.h>

/* A service's database. */
struct audit_database {
    const char *service; /* the option --SERVICE DATABASE */
    /* of transaction; each confirmed one has a branch in every database of its kind */
    const char *kind;
    const char *tables[4]; /* that the checks read */
};

/* Something that must not be: a query that gives a row (subject, what is wrong) for each
 * violation. */
struct audit_check {
    const char *name;
    bool is_at_rest; /* only when nothing is under way */
    const char *sql;
};

struct audit {
    const char *program;
    const char *summary;
    const struct audit_database *databases;
    size_t database_count;
    const struct audit_check *checks;
    size_t check_count;
};

/* The whole program. A database is a URL as services take it, or a SQLite file's name. Returns
 * main's exit status: 0 when all holds, 1 when not, 2 when it could not look. */
int audit_main(const struct audit *audit, int argc, char **argv);

#endif
