/* SPDX-License-Identifier: Apache-2.0
 *
 * A program without drivers: a URL says what to link, and nothing is opened.
 */
#include <stdio.h>
#include <string.h>
#include <tercet/barrier.h>

static int failures;

static void expect_text(const char *url, const char *database, const char *library)
{
    struct tercet_barrier *barrier = NULL;
    char text[TERCET_TEXT_MAX] = "";
    int rc = tercet_barrier_open(&barrier, url, NULL, text);
    if (rc == TERCET_INVALID && barrier == NULL && strstr(text, database) != NULL &&
        strstr(text, library) != NULL)
        return;
    failures++;
    printf("%s: %d, %s\n", url, rc, text);
}

int main(void)
{
    struct tercet_barrier *barrier = NULL;
    expect_text("sqlite:seats.db", "for SQLite", "tercet::barrier_sqlite");
    expect_text("sqlite:seats.db", "for SQLite", "-DTERCET_SQLITE=ON");
    expect_text("lmdb:seats", "for LMDB", "link tercet::barrier_lmdb");
    expect_text("postgres://u@h/d", "for PostgreSQL", "tercet::barrier_postgres");
    expect_text("redis://h", "for Redis", "-DTERCET_REDIS=ON");
    expect_text("rediss://h", "for Redis", "link tercet::barrier_redis");
    expect_text("oracle://h", "this program has barriers for memory:", "redis://host/0");
    expect_text("mysql://u@h/d", "for MariaDB and MySQL", "-DTERCET_MYSQL=ON");
    if (tercet_barrier_open(&barrier, "memory:", NULL, NULL) != 0)
        return 2;
    tercet_barrier_close(barrier);
    return failures;
}
