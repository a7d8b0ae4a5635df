/* SPDX-License-Identifier: Apache-2.0
 *
 * Audits of services whose database is a server: their tables are copied into the audit's own
 * SQLite, all within one transaction that sees one moment, so that every check is one text.
 */
#ifndef SAMPLES_AUDIT_SERVER_H
#define SAMPLES_AUDIT_SERVER_H

#include <sqlite3.h>
#include <tercet/tercet.h>

#include "audit.h"

struct audit_server;

/* Opens the database of a service that has run before: nothing is made in it. Tercet's barrier is
 * used for what it knows of URLs. 0, or a code and a text (TERCET_TEXT_MAX bytes). */
int audit_server_open(struct audit_server **out, const char *url, char *text);
void audit_server_close(struct audit_server *server);

/* Adds how many branches are open, and how many effects there are. 0, or a code. */
int audit_server_look(struct audit_server *server, int64_t *open_count, int64_t *effect_count);

/* Copies the tables to temporary ones of the same names, and `effect` into ledger. 0, or a code. */
int audit_server_copy(struct audit_server *server, sqlite3 *to,
                      const struct audit_database *database);

/* What failed last. */
const char *audit_server_error(const struct audit_server *server);

#endif
