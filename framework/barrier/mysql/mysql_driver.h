/* SPDX-License-Identifier: Apache-2.0
 *
 * The barrier's driver for MariaDB and MySQL (InnoDB): one connection, with autocommit off, so that
 * what a hook does after the server has taken back its transaction is no work of its own.
 */
#ifndef BARRIER_MYSQL_DRIVER_H
#define BARRIER_MYSQL_DRIVER_H

#include <mysql.h>
#include <tercet/sys/barrier.h>

#include "../location.h"
#include "../server.h"

struct mysql_driver {
    MYSQL *conn; /* NULL: there was none yet, or the last one is given up */
    struct location location;
    struct tercet_barrier_options options;
    char *setup_sql;
    bool sees_snapshot; /* REPEATABLE READ or SERIALIZABLE: the mark is read with a lock */
    bool is_in_local;   /* between begin and commit or rollback */
    bool has_nowait;    /* the server knows FOR UPDATE NOWAIT */

    enum tercet_barrier_failure failure;
    struct server_retry retry;
    char error[TERCET_TEXT_MAX];
};

/* -- mysql_link.c ------------------------------------------------------------------------------ */

/* A state without a connection; `text` says what is wrong with the URL. */
int mysql_driver_new(struct mysql_driver **out, const char *url,
                     const struct tercet_barrier_options *options, char *text);
void mysql_driver_free(struct mysql_driver *driver);
/* Connects anew, with settings and tables looked at. Fails at once for a while after a failure. */
int mysql_driver_connect(struct mysql_driver *driver);
void mysql_driver_disconnect(struct mysql_driver *driver);

/* Keeps a text, without the password. Returns TERCET_STORE. */
int mysql_driver_fail(struct mysql_driver *driver, const char *what, const char *text);
/* The same with the server's last error. */
int mysql_driver_fail_query(struct mysql_driver *driver, const char *what);

#endif
