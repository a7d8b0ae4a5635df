/* SPDX-License-Identifier: Apache-2.0
 *
 * sql FILE STATEMENT...: what the tests plant into a database, or want to know of it. Rows are
 * printed as 1|2|3.
 */
#include <sqlite3.h>
#include <stdio.h>

static int print_row(void *ctx, int count, char **values, char **names)
{
    (void)ctx;
    (void)names;
    for (int i = 0; i < count; i++)
        printf("%s%s", i > 0 ? "|" : "", values[i] != NULL ? values[i] : "");
    putchar('\n');
    return 0;
}

int main(int argc, char **argv)
{
    sqlite3 *db = NULL;
    if (argc != 3) {
        fputs("usage: sql FILE STATEMENTS\n", stderr);
        return 2;
    }
    int rc = sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(db, 5000);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, argv[2], print_row, NULL, NULL);
    if (rc != SQLITE_OK)
        fprintf(stderr, "sql: %s: %s\n", argv[1], sqlite3_errmsg(db));
    sqlite3_close(db);
    return rc == SQLITE_OK ? 0 : 1;
}
