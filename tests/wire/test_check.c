/* SPDX-License-Identifier: Apache-2.0
 *
 * The checks at the door: each limit from both sides, and a text that names it.
 */
#include "check.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* `size` times the same character. */
static const char *many(char c, size_t size)
{
    static char texts[4][2 * TERCET_METADATA_BYTES_MAX];
    static size_t next;
    char *text = texts[next++ % 4];
    cr_assert_lt(size, sizeof(texts[0]));
    memset(text, c, size);
    text[size] = '\0';
    return text;
}

static const char *joined(const char *a, const char *b, const char *c)
{
    static char text[4 * TERCET_ACTION_MAX];
    cr_assert_lt((size_t)snprintf(text, sizeof(text), "%s%s%s", a, b, c), sizeof(text));
    return text;
}

static void check_says(const char *wrong, const char *says)
{
    cr_assert_not_null(wrong, "nothing is said, where it should be: %s", says);
    cr_assert_not_null(strstr(wrong, says), "%s", wrong);
}

/* Every byte but NUL, in a text of its own: whether it passes is compared with the list. */
static void check_characters(const char *(*check)(const char *), const char *allowed)
{
    for (int c = 1; c < 256; c++) {
        char text[2] = {(char)c, '\0'};
        bool is_allowed = strchr(allowed, c) != NULL;
        cr_assert_eq(check(text) == NULL, is_allowed, "character %d", c);
    }
}

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

Test(check, gids)
{
    check_characters(check_gid, ALNUM "._:-");
    cr_assert_null(check_gid(many('x', TERCET_GID_MAX)));
    check_says(check_gid(many('x', TERCET_GID_MAX + 1)), "at most 64");
    check_says(check_gid(many('x', 2 * TERCET_GID_MAX)), "at most 64");
    check_says(check_gid(""), "empty");
    check_says(check_gid("a b"), "characters");
}

Test(check, services_and_actions)
{
    check_characters(check_service, ALNUM "._-");
    check_characters(check_action_name, ALNUM "._-");
    cr_assert_null(check_service(many('s', TERCET_SERVICE_MAX)));
    check_says(check_service(many('s', TERCET_SERVICE_MAX + 1)), "at most 63");
    check_says(check_service(""), "1 to 63");
    check_says(check_service("a/b"), "1 to 63");
    cr_assert_null(check_action_name(many('n', 64)));
    check_says(check_action_name(many('n', 65)), "at most 64");
    check_says(check_action_name(""), "1 to 64");
    check_says(check_action_name("a/b"), "without the service");
}

Test(check, services_and_actions_together)
{
    cr_assert_null(check_action("stock/reserve"));
    cr_assert_null(check_action(joined(many('s', TERCET_SERVICE_MAX), "/", many('n', 64))));
    check_says(check_action(joined(many('s', TERCET_SERVICE_MAX + 1), "/", "n")), "at most 63");
    check_says(check_action(joined("s", "/", many('n', 65))), "at most 64");
    check_says(check_action("/reserve"), "service/name");
    check_says(check_action("stock"), "service/name");
    check_says(check_action("stock/"), "1 to 64");
    check_says(check_action("stock/a/b"), "1 to 64");
}

Test(check, targets)
{
    static const char *const good[] = {"host:1",   "10.0.0.1:65535", "dns:///stock.example:7711",
                                       "[::1]:80", "ipv6:[::1]:80",  "unix:/run/a",
                                       "unix:x"};
    static const char *const bad[] = {"",
                                      "host",
                                      "host:",
                                      ":80",
                                      "dns:///:80",
                                      "host:65536",
                                      "host:123456",
                                      "host:1x",
                                      "unix:",
                                      "host:80/path",
                                      "http://host:80",
                                      "https://host:443",
                                      "ftp:host:80",
                                      "a:b:80"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        cr_assert_null(check_target(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_says(check_target(bad[i]), "host:port");
    check_says(check_target("a host:80"), "without spaces");
    check_says(check_target("h\xc3\xb6st:80"), "ASCII");
    check_says(check_target("host\x7f:80"), "ASCII");
    cr_assert_null(check_target(joined(many('h', 253), ":", "80")));
    check_says(check_target(joined(many('h', 254), ":", "80")), "at most 256");
}

Test(check, sizes_and_numbers)
{
    cr_assert_null(check_payload_size(0));
    cr_assert_null(check_payload_size(TERCET_PAYLOAD_MAX));
    check_says(check_payload_size(TERCET_PAYLOAD_MAX + 1), "65536");
    cr_assert_null(check_branch_number(1));
    cr_assert_null(check_branch_number(TERCET_BRANCHES_MAX));
    check_says(check_branch_number(0), "1 to 1024");
    check_says(check_branch_number(TERCET_BRANCHES_MAX + 1), "1 to 1024");
    cr_assert_null(check_metadata_size(TERCET_METADATA_MAX, TERCET_METADATA_BYTES_MAX));
    check_says(check_metadata_size(TERCET_METADATA_MAX + 1, 0), "16");
    check_says(check_metadata_size(1, TERCET_METADATA_BYTES_MAX + 1), "4096");
}

static const char *check_key(const char *key)
{
    return check_metadata_entry(key, "value");
}

static const char *check_value(const char *value)
{
    return check_metadata_entry("key", value);
}

Test(check, metadata)
{
    check_characters(check_key, "abcdefghijklmnopqrstuvwxyz0123456789_.-");
    check_says(check_key(""), "a-z");
    check_says(check_key("grpc-timeout"), "grpc-");
    check_says(check_key("tercet-gid"), "tercet-");
    cr_assert_null(check_key("grpc"));
    cr_assert_null(check_key("x-tercet-gid"));
    cr_assert_null(check_value(""));
    cr_assert_null(check_value(" ~"));
    check_says(check_value("\x1f"), "printable");
    check_says(check_value("\x7f"), "printable");
    check_says(check_value("\xc3\xbc"), "printable");
}

Test(check, trace_context_tells_of_one_attempt)
{
    static const char *const trace[] = {"traceparent", "tracestate", "baggage"};
    static const char *const others[] = {"", "trace", "traceparent2", "Baggage", "tenant"};
    for (size_t i = 0; i < sizeof(trace) / sizeof(trace[0]); i++)
        cr_assert(check_is_trace(trace[i]), "%s", trace[i]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        cr_assert_not(check_is_trace(others[i]), "%s", others[i]);
}

Test(check, texts)
{
    cr_assert_null(check_text(many('t', TERCET_TEXT_MAX)));
    check_says(check_text(many('t', TERCET_TEXT_MAX + 1)), "at most 256");
    check_says(check_text("\xff"), "UTF-8");
}

Test(check, texts_are_cut_at_a_character)
{
    char out[TERCET_TEXT_MAX];
    copy_text(out, "short");
    cr_assert_str_eq(out, "short");
    copy_text(out, many('t', TERCET_TEXT_MAX - 1));
    cr_assert_eq(strlen(out), TERCET_TEXT_MAX - 1);
    copy_text(out, many('t', TERCET_TEXT_MAX));
    cr_assert_eq(strlen(out), TERCET_TEXT_MAX - 1);
    copy_text(out, joined(many('t', TERCET_TEXT_MAX - 2), "\xc3\xbc", ""));
    cr_assert_eq(strlen(out), TERCET_TEXT_MAX - 2, "half an umlaut is none");
    copy_text(out, many('\x80', TERCET_TEXT_MAX));
    cr_assert_str_empty(out, "there is no character to cut at");
}

Test(check, certificates_and_keys_belong_together)
{
    cr_assert_null(check_tls_server(NULL, NULL, NULL));
    cr_assert_null(check_tls_server(NULL, "cert", "key"));
    cr_assert_null(check_tls_server("ca", "cert", "key"));
    check_says(check_tls_server(NULL, "cert", NULL), "belong together");
    check_says(check_tls_server(NULL, NULL, "key"), "belong together");
    check_says(check_tls_server("ca", NULL, NULL), "tls_ca needs tls_cert");
    cr_assert_null(check_tls_client(NULL, NULL, NULL));
    cr_assert_null(check_tls_client("", NULL, NULL));
    cr_assert_null(check_tls_client("ca", "cert", "key"));
    check_says(check_tls_client("ca", "cert", NULL), "belong together");
    check_says(check_tls_client(NULL, "cert", "key"), "need tls_ca");
}

Test(check, tokens)
{
    cr_assert_null(check_token(""));
    cr_assert_null(check_token("!~token"));
    cr_assert_null(check_token(many('t', CHECK_TOKEN_MAX)));
    check_says(check_token(many('t', CHECK_TOKEN_MAX + 1)), "255");
    check_says(check_token("two words"), "without spaces");
    check_says(check_token("t\xc3\xbc"), "ASCII");
    check_says(check_token("t\x7f"), "ASCII");
}
