/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS to PostgreSQL, with an authority of one's own: `sslmode` is libpq's, and what it refuses is
 * said.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static void make_url(char *url, size_t size, const char *host, const char *mode, const char *ca)
{
    const char *folder = getenv("TERCET_TEST_FOLDER");
    snprintf(url, size, "postgres://tercet:s3cr3t@%s:%s/postgres?hostaddr=127.0.0.1&sslmode=%s",
             host, getenv("TERCET_TEST_POSTGRES_PORT"), mode);
    if (ca != NULL)
        snprintf(url + strlen(url), size - strlen(url), "&sslrootcert=%s/%s", folder, ca);
}

Test(tls_postgres, the_server_is_who_it_says_or_is_not_spoken_to)
{
    static const struct {
        const char *host, *mode, *ca, *wrong; /* NULL: it opens */
    } cases[] = {
        {"localhost", "verify-full", "ca.pem", NULL},
        {"elsewhere", "verify-ca", "ca.pem", NULL},
        {"elsewhere", "require", NULL, NULL},
        {"localhost", "verify-full", "other.pem", "certificate verify failed"},
        {"localhost", "require", "other.pem", "certificate verify failed"},
        {"elsewhere", "verify-full", "ca.pem", "does not match host name \"elsewhere\""},
        {"localhost", "verify-full", "missing.pem", "does not exist"},
        {"localhost", "disable", NULL, "no encryption"},
    };
    if (getenv("TERCET_TEST_POSTGRES_PORT") == NULL)
        cr_skip_test("run with WITH_POSTGRES_TLS=1");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char url[512], text[TERCET_TEXT_MAX] = "";
        make_url(url, sizeof(url), cases[i].host, cases[i].mode, cases[i].ca);
        int rc = bench_open_url(url, NULL, text);
        cr_assert_eq(rc, cases[i].wrong == NULL ? 0 : TERCET_STORE, "%s: %s", url, text);
        cr_assert(cases[i].wrong == NULL || strstr(text, cases[i].wrong) != NULL, "%s: %s", url,
                  text);
        cr_assert_null(strstr(text, "s3cr3t"), "%s", text);
    }
}

/* A connection that is lost is opened again in the same way. */
Test(tls_postgres, a_call_is_done_and_the_connection_is_encrypted)
{
    struct tercet_barrier *barrier = NULL;
    struct tercet_barrier_options options = {
        .size = sizeof(options),
        .setup_sql =
            "DO $$ BEGIN IF NOT (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) "
            "THEN RAISE 'in plaintext'; END IF; END $$"};
    struct tercet_barrier_call call = {.gid = GID, .branch = 1, .kind = TERCET_TRY};
    char url[512], text[TERCET_TEXT_MAX] = "";
    if (getenv("TERCET_TEST_POSTGRES_PORT") == NULL)
        cr_skip_test("run with WITH_POSTGRES_TLS=1");
    make_url(url, sizeof(url), "localhost", "verify-full", "ca.pem");
    cr_assert_eq(tercet_barrier_open(&barrier, url, &options, text), 0, "%s", text);
    tercet_barrier_run(barrier, &call, 1);
    cr_assert_eq(call.result, 0);
    tercet_barrier_close(barrier);
}
