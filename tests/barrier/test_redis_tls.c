/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS to Redis, with an authority of one's own. Where it was built with a hiredis that has no TLS
 * (Debian 12's), the refusal says so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static void make_url(char *url, size_t size, const char *host, const char *ca)
{
    snprintf(url, size, "rediss://%s:%s/0", host, getenv("TERCET_TEST_REDIS_TLS_PORT"));
    if (ca != NULL)
        snprintf(url + strlen(url), size - strlen(url), "?tls-ca=%s/%s",
                 getenv("TERCET_TEST_FOLDER"), ca);
}

Test(tls_redis, the_server_is_who_it_says_or_is_not_spoken_to)
{
    static const struct {
        const char *host, *ca, *wrong; /* NULL: it opens */
    } cases[] = {
        {"localhost", "ca.pem", NULL},          {"localhost", "other.pem", "certificate"},
        {"localhost", NULL, "certificate"},     {"127.0.0.1", "ca.pem", "mismatch"},
        {"localhost", "missing.pem", "tls-ca"},
    };
    if (getenv("TERCET_TEST_REDIS_TLS_PORT") == NULL)
        cr_skip_test("run with WITH_REDIS_TLS=1");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char url[512], text[TERCET_TEXT_MAX] = "";
        make_url(url, sizeof(url), cases[i].host, cases[i].ca);
        int rc = bench_open_url(url, NULL, text);
        if (rc == TERCET_INVALID && strstr(text, "this build has no TLS to Redis") != NULL)
            continue;
        cr_assert_eq(rc, cases[i].wrong == NULL ? 0 : TERCET_STORE, "%s: %s", url, text);
        cr_assert(cases[i].wrong == NULL || strstr(text, cases[i].wrong) != NULL, "%s: %s", url,
                  text);
    }
}

Test(tls_redis, a_call_is_done)
{
    struct tercet_barrier *barrier = NULL;
    struct tercet_barrier_call call = {.gid = GID, .branch = 1, .kind = TERCET_TRY};
    char url[512], text[TERCET_TEXT_MAX] = "";
    if (getenv("TERCET_TEST_REDIS_TLS_PORT") == NULL)
        cr_skip_test("run with WITH_REDIS_TLS=1");
    make_url(url, sizeof(url), "localhost", "ca.pem");
    int rc = tercet_barrier_open(&barrier, url, NULL, text);
    if (rc == TERCET_INVALID && strstr(text, "this build has no TLS to Redis") != NULL)
        return;
    cr_assert_eq(rc, 0, "%s", text);
    tercet_barrier_run(barrier, &call, 1);
    cr_assert_eq(call.result, 0);
    tercet_barrier_close(barrier);
}
