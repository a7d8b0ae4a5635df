/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening by URL: which driver it is, what is wrong with it, and that no password is ever shown.
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "location.h"
#include "scarce.h"

#define SECRET "s3cr3t"

Test(barrier_url, memory_and_sqlite)
{
    struct bench *bench = bench_open(BENCH_MEMORY, NULL);
    struct tercet_barrier *barrier = NULL;
    char text[TERCET_TEXT_MAX] = "", url[160];
    cr_assert_eq(tercet_barrier_open(&barrier, "memory:", NULL, text), 0, "%s", text);
    cr_assert_eq(tercet_barrier_connections(barrier), 1);
    tercet_barrier_close(barrier);
    snprintf(url, sizeof(url), "sqlite:%s", bench->path);
    cr_assert_eq(tercet_barrier_open(&barrier, url, NULL, text), 0, "%s", text);
    tercet_barrier_close(barrier);
    cr_assert_eq(tercet_barrier_open(&barrier, "memory:x", NULL, text), TERCET_INVALID);
    cr_assert_not_null(strstr(text, "no name"), "%s", text);
    bench_close(bench);
}

Test(barrier_url, nonsense_is_told_what_there_is)
{
    static const char *const urls[] = {NULL, "", "app.db", "oracle://x", "sqlite", "POSTGRES://x"};
    struct tercet_barrier *barrier = NULL;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        char text[TERCET_TEXT_MAX] = "";
        cr_assert_eq(tercet_barrier_open(&barrier, urls[i], NULL, text), TERCET_INVALID);
        cr_assert_not_null(strstr(text, "sqlite:path"), "%s", text);
    }
    cr_assert_eq(tercet_barrier_open(NULL, "memory:", NULL, NULL), TERCET_INVALID);
    cr_assert_null(barrier);
}

/* Each of these, taken as it stands, has a part of the password for its host, port or database. */
Test(barrier_url, a_password_with_bare_characters_is_not_shown)
{
    static const char *const urls[] = {
        "postgres://u:" SECRET "/x@host/db", "postgres://u:" SECRET "@x@host/db",
        "postgres://u:" SECRET "?x@host/db", "mysql://u:1#" SECRET "@host/db",
        "redis://:" SECRET "/@host"};
    struct tercet_barrier *barrier = NULL;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        char text[TERCET_TEXT_MAX] = "";
        cr_assert(location_has_bare(urls[i]), "%s", urls[i]);
        cr_assert_eq(tercet_barrier_open(&barrier, urls[i], NULL, text), TERCET_INVALID);
        cr_assert_null(strstr(text, SECRET), "%s", text);
        cr_assert_neq(text[0], '\0');
    }
    cr_assert_not(location_has_bare("postgres://u:p%40w@host:1/db"));
    cr_assert_not(location_has_bare("postgres:///db?user=u&password=p@w"));
}

static void check_parts(const char *url, const char *user, const char *password, const char *host,
                        uint16_t port, const char *path)
{
    struct location location;
    const char *why = location_parse(&location, url);
    cr_assert_null(why, "%s: %s", url, why);
    cr_assert_str_eq(location.user, user, "%s", url);
    cr_assert_str_eq(location.password, password, "%s", url);
    cr_assert_str_eq(location.host, host, "%s", url);
    cr_assert_eq(location.port, port, "%s", url);
    cr_assert_str_eq(location.path, path, "%s", url);
    location_free(&location);
}

Test(barrier_url, is_taken_apart)
{
    check_parts("mysql://u:p@h:3306/d", "u", "p", "h", 3306, "d");
    check_parts("mysql://h", "", "", "h", 0, "");
    check_parts("mysql://u@[::1]:1/d?a=b", "u", "", "::1", 1, "d");
    check_parts("mysql://u@[::1]", "u", "", "::1", 0, "");
    check_parts("mysql://a%40b:p%2Fw%25@%2Frun/d%20e?x", "a@b", "p/w%", "/run", 0, "d e");
    check_parts("mysql://h/%4aB%4Ac", "", "", "h", 0, "JBJc");
    check_parts("mysql:///d", "", "", "", 0, "d");
    check_parts("mysql://[a/d", "", "", "[a", 0, "d");
}

Test(barrier_url, what_cannot_be_taken_apart_is_said_without_showing_it)
{
    static const char *const urls[] = {"mysql:x",        "mysql://h:0/d",      "mysql://h:65536/d",
                                       "mysql://h:1x/d", "mysql://u:%zz@h",    "mysql://u:%4@h",
                                       "mysql://h:/d",   "mysql://h:123456/d", "mysql://h:1-/d",
                                       "mysql://%zz@h",  "mysql://[::/d",      "mysql://h%00/d",
                                       "mysql://h/%",    "mysql://h/%1/",      "mysql://h/%:1",
                                       "mysql://h/%G1",  "mysql://h/%4g"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct location location;
        cr_assert_not_null(location_parse(&location, urls[i]), "%s", urls[i]);
        location_free(&location);
    }
}

Test(barrier_url, options)
{
    static const char *const known[] = {"a", "socket", NULL};
    struct location location;
    char value[8] = "", name[16];
    cr_assert_null(location_parse(&location, "mysql://h/d?a=1&socket=%2Ftmp&ab=2&long=123456789"));
    cr_assert(location_option(&location, "a", value, sizeof(value)));
    cr_assert_str_eq(value, "1");
    cr_assert(location_option(&location, "socket", value, sizeof(value)));
    cr_assert_str_eq(value, "/tmp");
    cr_assert_not(location_option(&location, "long", value, sizeof(value)));
    cr_assert_not(location_option(&location, "b", value, sizeof(value)));
    cr_assert_str_eq(location_unknown_option(&location, known, name, sizeof(name)), "ab");
    location_free(&location);
    cr_assert_null(location_parse(&location, "mysql://h/d?ab=%zz&socket=x&a=%zz"));
    cr_assert_not(location_option(&location, "a", value, sizeof(value)), "badly encoded");
    location_free(&location);
    cr_assert_null(location_parse(&location, "mysql://h/d?a=1&&socket=x"));
    cr_assert_null(location_unknown_option(&location, known, name, sizeof(name)));
    location_free(&location);
    cr_assert_null(location_parse(&location, "mysql://h/d?b=1"));
    cr_assert_str_eq(location_unknown_option(&location, known, name, sizeof(name)), "b");
    location_free(&location);
}

Test(barrier_url, memory_that_is_short_is_told)
{
    static const char *const urls[] = {"mysql://u:p@h/d?a=1", "mysql://u@h/d", "mysql://h/d"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        bool has_failed = true;
        for (int at = 1; has_failed; at++) {
            struct location location;
            cr_assert_lt(at, 100);
            scarce_fail_at(at);
            const char *why = location_parse(&location, urls[i]);
            has_failed = scarce_has_failed();
            scarce_fail_at(0);
            cr_assert_eq(why != NULL, has_failed, "%s, %d", urls[i], at);
            location_free(&location);
        }
    }
}

Test(barrier_url, options_that_are_wrong_are_told)
{
    const struct tercet_barrier_options wrong = {.size = 1};
    struct tercet_barrier *barrier = NULL;
    char text[TERCET_TEXT_MAX] = "";
    cr_assert_eq(tercet_barrier_open(&barrier, "memory:", &wrong, text), TERCET_INVALID);
    cr_assert_not_null(strstr(text, "memory: "), "%s", text);
    cr_assert_not(location_has_bare("memory:"));
}

Test(barrier_url, secrets_are_hidden_wherever_they_stand)
{
    char text[] = "no " SECRET " for " SECRET;
    location_hide(text, SECRET);
    cr_assert_str_eq(text, "no ****** for ******");
    location_hide(text, "");
    location_hide(text, NULL);
}

Test(barrier_url, options_may_be_of_an_older_caller)
{
    struct tercet_barrier_options options = {.size = 0, .collect_rows_max = 7};
    struct tercet_barrier *barrier = NULL;
    char text[TERCET_TEXT_MAX];
    cr_assert_eq(tercet_barrier_memory_open(&barrier, &options), TERCET_INVALID);
    cr_assert_eq(tercet_barrier_sqlite_open(&barrier, "/tmp/never-made.db", &options, text),
                 TERCET_INVALID);
    cr_assert_not_null(strstr(text, "size"));
    cr_assert_null(barrier);
    options.size = offsetof(struct tercet_barrier_options, setup_sql);
    options.setup_sql = "an older caller has no such field";
    cr_assert_eq(tercet_barrier_memory_open(&barrier, &options), 0);
    tercet_barrier_close(barrier);
    tercet_barrier_close(NULL);
}
