/* SPDX-License-Identifier: Apache-2.0
 *
 * The barrier in a transaction of the caller's own: for services that have their connections, and a
 * transaction open, anyway. The tables are those of barrier.h, made by share/tercet/barrier-*.sql
 * or by a barrier that was opened once; both ways may be used beside each other. docs/sql.md has
 * the same as statements, for other languages, and says which isolation it takes.
 *
 *     begin a transaction
 *     rc = tercet_barrier_postgres_enter(conn, &call, text);
 *     if (rc == TERCET_ENTER_WORK) {
 *         do the work on the same connection; when it is refused or fails: roll back, and answer so
 *         rc = tercet_barrier_postgres_leave(conn, &call, reply, text);
 *     }
 *     if (rc == 0 && call.result == 0) commit, and answer when that has returned
 *     else                             roll back
 *
 * Of a call these use gid, branch, number, kind and source; the answer is in result, broken and
 * reply (the caller's to free). Low-water marks are read, and not stored: a tercet_barrier on the
 * same database, or the statements `raise` and `collect`, do that for services that delete rows.
 *
 * Return TERCET_ENTER_WORK: the work is to be done now; 0: nothing is to be done, and call->result
 * is the answer; TERCET_INVALID: the call is none; TERCET_STORE or TERCET_NOMEM: roll back, and
 * answer "ask me again" (`text`, which may be NULL, TERCET_TEXT_MAX bytes, says why). When the
 * commit fails, or the connection is lost, whether it was done is told to who asks again. The
 * thread is the connection's.
 */
#ifndef TERCET_ENTER_H
#define TERCET_ENTER_H

#include <tercet/barrier.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TERCET_ENTER_WORK 1

struct pg_conn;  /* PGconn */
struct st_mysql; /* MYSQL */
struct sqlite3;

int tercet_barrier_postgres_enter(struct pg_conn *conn, struct tercet_barrier_call *call,
                                  char *text);
/* Saves a try's reply, if there is one, and makes it the call's. */
int tercet_barrier_postgres_leave(struct pg_conn *conn, struct tercet_barrier_call *call,
                                  struct tercet_bytes reply, char *text);

/* No result may be left unread on the connection. */
int tercet_barrier_mysql_enter(struct st_mysql *conn, struct tercet_barrier_call *call, char *text);
int tercet_barrier_mysql_leave(struct st_mysql *conn, struct tercet_barrier_call *call,
                               struct tercet_bytes reply, char *text);

/* The transaction was begun with BEGIN IMMEDIATE. */
int tercet_barrier_sqlite_enter(struct sqlite3 *db, struct tercet_barrier_call *call, char *text);
int tercet_barrier_sqlite_leave(struct sqlite3 *db, struct tercet_barrier_call *call,
                                struct tercet_bytes reply, char *text);

#ifdef __cplusplus
}
#endif
#endif
