/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting tercetd in ways that are wrong, who may call it, and how little it needs when idle.
 */
#include "bench.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

BENCH_SUITE(options);
BENCH_SUITE(access_rules);
BENCH_SUITE(idle);

/* -- Options ----------------------------------------------------------------------------------- */

Test(options, help_and_version)
{
    static const char *const help[] = {"--help", NULL};
    static const char *const version[] = {"--version", NULL};
    static const char *const mentioned[] = {
        "--data",       "--listen",      "--access",        "--tls-cert",     "--tls-key",
        "--tls-ca",     "--call-tls-ca", "--call-tls-cert", "--call-tls-key", "--retention",
        "--store-size", "--open-max",    "--call-timeout",  "--park-after",   "--grace",
        "--config",     "Exit status"};
    char text[DAEMON_TEXT_MAX];
    cr_expect_eq(bench_run(text, help), 0);
    for (size_t i = 0; i < sizeof(mentioned) / sizeof(mentioned[0]); i++)
        cr_expect_not_null(strstr(text, mentioned[i]), "%s is not in the help", mentioned[i]);
    cr_expect_eq(bench_run(text, version), 0);
    cr_expect_eq(strncmp(text, "tercetd ", 8), 0, "%s", text);
}

static void ends_with_2(const char *words, const char *first, const char *second, const char *third)
{
    const char *list[] = {first, second, third, NULL};
    char text[DAEMON_TEXT_MAX];
    cr_expect_eq(bench_run(text, list), 2, "%s %s", first, text);
    cr_expect_not_null(strstr(text, words), "%s: %s", first != NULL ? first : "nothing", text);
}

Test(options, wrong_ones)
{
    ends_with_2("see tercetd --help", "--nonsense", NULL, NULL);
    ends_with_2("see tercetd --help", "--data", NULL, NULL);
    ends_with_2("no arguments but options", "--data", "/tmp/nowhere", "more");
    ends_with_2("did you mean --listen?", "--lisen=127.0.0.1:0", NULL, NULL);
    ends_with_2("did you mean --park-after?", "--park-aftr", "10m", NULL);
    ends_with_2("needs a value: --data DIR", "--data", NULL, NULL);
    ends_with_2("--quiet takes no value", "--quiet=yes", NULL, NULL);
    ends_with_2("there is no option -x", "-x", NULL, NULL);
    ends_with_2("--tls-cert needs --tls-key", "--data", "/tmp/nowhere", "--tls-cert=/dev/null");
    ends_with_2("--tls-key needs --tls-cert", "--data", "/tmp/nowhere", "--tls-key=/dev/null");
    ends_with_2("--tls-ca needs --tls-cert", "--data", "/tmp/nowhere", "--tls-ca=/dev/null");
    ends_with_2("--call-tls-cert needs --call-tls-key", "--data", "/tmp/nowhere",
                "--call-tls-cert=/dev/null");
    ends_with_2("--call-tls-key needs --call-tls-cert", "--call-tls-ca=/dev/null",
                "--data=/tmp/nowhere", "--call-tls-key=/dev/null");
    ends_with_2("a duration is a number", "--data", "/tmp/nowhere", "--retention=long");
    ends_with_2("a duration is a number", "--data", "/tmp/nowhere", "--retention=-1s");
    ends_with_2("a duration is a number", "--data", "/tmp/nowhere", "--retention=0s");
    ends_with_2("a duration is a number", "--data", "/tmp/nowhere",
                "--retention=99999999999999999d");
    ends_with_2("a duration is a number", "--data", "/tmp/nowhere", "--call-timeout=10");
    ends_with_2("at most 49 days", "--data", "/tmp/nowhere", "--call-timeout=50d");
    ends_with_2("a size is a number", "--data", "/tmp/nowhere", "--store-size=1X");
    ends_with_2("a size is a number", "--data", "/tmp/nowhere", "--store-size=9999999999999999999");
    ends_with_2("a number from 1", "--data", "/tmp/nowhere", "--open-max=0");
    ends_with_2("a number from 1", "--data", "/tmp/nowhere", "--open-max=4294967296");
}

Test(options, too_many_addresses)
{
    const char *list[] = {"--data",          "/tmp/nowhere",    "--listen=unix:1",
                          "--listen=unix:2", "--listen=unix:3", "--listen=unix:4",
                          "--listen=unix:5", "--listen=unix:6", "--listen=unix:7",
                          "--listen=unix:8", "--listen=unix:9", NULL};
    char text[DAEMON_TEXT_MAX];
    cr_expect_eq(bench_run(text, list), 2);
    cr_expect_not_null(strstr(text, "at most 8 addresses"), "%s", text);
}

/* -- What cannot be started -------------------------------------------------------------------- */

/* tercetd with these further options ends with 1 and these words. */
static void does_not_start(const char *words, const char *first, const char *second,
                           const char *third)
{
    const char *list[] = {first, second, third, NULL};
    char text[DAEMON_TEXT_MAX];
    cr_expect_eq(bench_try(text, list), 1, "%s: %s", first, text);
    cr_expect_not_null(strstr(text, words), "%s: %s", first, text);
}

Test(access_rules, open_to_others_without_rules)
{
    bench_prepare();
    static const char *const addresses[] = {"0.0.0.0:0",
                                            "[::]:0",
                                            "192.0.2.1:7420",
                                            "dns:///example.org:7420",
                                            "localhost.example.org:1",
                                            "127.example.org:1"};
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
        does_not_start("can be reached from other machines", "--listen", addresses[i], NULL);
    does_not_start("can be reached from other machines", "--listen=127.0.0.1:0",
                   "--listen=0.0.0.0:0", NULL);
    struct stat status;
    cr_expect_neq(stat(daemon_path(&bench.daemon, "store"), &status), 0,
                  "not even a store was made");
}

Test(access_rules, files_that_cannot_be_used)
{
    bench_prepare();
    char file[128];
    static const struct {
        const char *content;
        const char *words;
    } bad[] = {
        {"", "nobody could call anything"},
        {"# a comment\n\n", "nobody could call anything"},
        {"admin\n", "line 1: a line is"},
        {"# first\nadmin one two\n", "line 2: a token has at least 16 characters"},
        {"# first\nadmin 0123456789abcdef0123 anna berta\n", "line 2: behind \"role token\""},
        {"admin 0123456789abcdef0123 an/na\n", "line 1: behind \"role token\""},
        {"king 0123456789abcdef0123\n",
         "a role is initiator, participant, reader, operator, admin or all"},
        {"admin secret\n", "a token has at least 16 characters"},
    };
    snprintf(file, sizeof(file), "--access=%s", daemon_path(&bench.daemon, "rules"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        bench_write_file("rules", bad[i].content);
        does_not_start(bad[i].words, file, NULL, NULL);
    }
    does_not_start("No such file", "--access=/no/such/file", NULL, NULL);
}

Test(access_rules, tls_and_addresses_that_cannot_be_used)
{
    bench_prepare();
    char cert[128], key[128];
    bench_write_file("pem", "this is no certificate\n");
    snprintf(cert, sizeof(cert), "--tls-cert=%s", daemon_path(&bench.daemon, "pem"));
    snprintf(key, sizeof(key), "--tls-key=%s", daemon_path(&bench.daemon, "pem"));
    does_not_start("certificates or keys cannot be used", cert, key, NULL);
    does_not_start("No such file", "--tls-cert=/no/such/file", key, NULL);
    snprintf(cert, sizeof(cert), "--call-tls-ca=%s", daemon_path(&bench.daemon, "pem"));
    does_not_start("PEM is wanted", cert, NULL, NULL);
    does_not_start("No such file", "--call-tls-ca=/no/such/file", NULL, NULL);
    does_not_start("at least 1M", "--store-size=1048575", NULL, NULL);
    does_not_start("cannot listen on 127.0.0.1:99999", "--listen=127.0.0.1:99999", NULL, NULL);
    does_not_start("cannot listen on 127.0.0.1", "--listen", "127.0.0.1", NULL);
    snprintf(cert, sizeof(cert), "--access=%s", daemon_path(&bench.daemon, "rules"));
    bench_write_file("rules", "admin 0123456789abcdef0123\n");
    does_not_start("this machine has no such address", "--listen=192.0.2.1:7420", cert, NULL);
    does_not_start("cannot listen on unix:/no/such/directory/socket",
                   "--listen=unix:/no/such/directory/socket", NULL, NULL);
}

BENCH_TEST(access_rules, an_address_in_use)
{
    char text[DAEMON_TEXT_MAX], other[160];
    const char *list[] = {"--data", other, "--listen", bench.daemon.address, NULL};
    snprintf(other, sizeof(other), "%s/other", bench.daemon.dir);
    cr_expect_eq(bench_run(text, list), 1);
    cr_expect_not_null(strstr(text, "cannot listen on"), "%s", text);
    cr_expect_not_null(strstr(text, "it is in use, perhaps by another tercetd"), "%s", text);
}

/* -- Tokens ------------------------------------------------------------------------------------ */

#define INITIATOR "initiator-0123456789"
#define PARTICIPANT "participant-0123456789"
#define OPERATOR "operator-0123456789"

static void begins_as(const char *token, enum crpc_code code, const char *words)
{
    Tercet__V1__BeginRequest begin = begin_of("by-token");
    bench.token = token;
    cr_expect(fails(&bench, COORDINATOR, "Begin", &begin.base, code, words), "as %s",
              token != NULL ? token : "nobody");
}

static void start_with_rules(void)
{
    static char file[128];
    const char *list[] = {"--access", file, NULL};
    bench_prepare();
    bench_write_file("rules", "# roles\ninitiator " INITIATOR "\nparticipant " PARTICIPANT
                              "\n\nadmin " OPERATOR "\n");
    snprintf(file, sizeof(file), "%s", daemon_path(&bench.daemon, "rules"));
    bench_launch(list);
    cr_assert_eq(crpc_loop_new(&bench.loop, NULL), 0);
    bench_connect(&bench);
}

static void may_look_as(const char *token, bool may)
{
    Tercet__V1__GetRequest get = get_of("by-token");
    Tercet__V1__AwaitRequest await = TERCET__V1__AWAIT_REQUEST__INIT;
    await.gid = get.gid;
    await.wait = TERCET__V1__WAIT__WAIT_NOT;
    bench.token = token;
    if (may) {
        cr_expect(is_in(&bench, "Get", &get.base, TERCET__V1__STATE__TRYING), "%s", token);
        cr_expect(is_in(&bench, "Await", &await.base, TERCET__V1__STATE__TRYING), "%s", token);
    } else {
        cr_expect(fails(&bench, COORDINATOR, "Get", &get.base, CRPC_PERMISSION_DENIED,
                        "has not the role"));
        cr_expect(fails(&bench, COORDINATOR, "Await", &await.base, CRPC_PERMISSION_DENIED,
                        "has not the role"));
    }
}

Test(access_rules, tokens_and_roles)
{
    Tercet__V1__StatisticsRequest statistics = TERCET__V1__STATISTICS_REQUEST__INIT;
    Tercet__V1__RegisterRequest to_register = TERCET__V1__REGISTER_REQUEST__INIT;
    Tercet__V1__DecideRequest decide = TERCET__V1__DECIDE_REQUEST__INIT;
    start_with_rules();
    begins_as(NULL, CRPC_UNAUTHENTICATED, "no known token");
    begins_as("", CRPC_UNAUTHENTICATED, "no known token");
    begins_as("initiator-012345678", CRPC_UNAUTHENTICATED, "no known token");
    begins_as(INITIATOR "x", CRPC_UNAUTHENTICATED, "no known token");
    begins_as("initiator-0123456780", CRPC_UNAUTHENTICATED, "no known token");
    begins_as(PARTICIPANT, CRPC_PERMISSION_DENIED, "has not the role");
    begins_as(OPERATOR, CRPC_PERMISSION_DENIED, "has not the role");
    bench.token = INITIATOR;
    cr_expect(fails(&bench, ADMIN, "GetStatistics", &statistics.base, CRPC_PERMISSION_DENIED,
                    "has not the role"));
    cr_expect(
        fails(&bench, ADMIN, "Decide", &decide.base, CRPC_PERMISSION_DENIED, "has not the role"));
    cr_expect(fails(&bench, PARTICIPANTS, "RegisterTarget", &to_register.base,
                    CRPC_PERMISSION_DENIED, "has not the role"));
    cr_expect(begins(&bench, "by-token"));
    may_look_as(INITIATOR, true);
    may_look_as(OPERATOR, true);
    may_look_as(PARTICIPANT, false);
    bench.token = OPERATOR;
    ProtobufCMessage *reply = ask(&bench, ADMIN, "GetStatistics", &statistics.base, NULL);
    cr_assert_not_null(reply);
    cr_expect_eq(((const Tercet__V1__Statistics *)reply)->begun_total, 1,
                 "what was refused began nothing");
    crpc_message_free(reply);
    cr_expect_eq(send_raw(&bench, PARTICIPANTS, "Attach", (struct crpc_bytes){"", 0}, NULL),
                 CRPC_UNAUTHENTICATED);
    cr_expect_eq(send_raw(&bench, COORDINATOR, "Session", (struct crpc_bytes){"", 0}, NULL),
                 CRPC_UNAUTHENTICATED);
    cr_assert_eq(bench_end(SIGTERM), 0);
    bench_stop(&bench);
}

/* A secret must not be told by a log. */
Test(access_rules, tokens_are_not_printed)
{
    start_with_rules();
    begins_as("a-token-that-is-wrong", CRPC_UNAUTHENTICATED, "no known token");
    begins_as(PARTICIPANT, CRPC_PERMISSION_DENIED, "has not the role");
    cr_assert_eq(bench_end(SIGTERM), 0);
    char *log = daemon_log(&bench.daemon);
    cr_expect_null(strstr(log, "0123456789"));
    cr_expect_null(strstr(log, "a-token-that-is-wrong"));
    free(log);
    bench_stop(&bench);
}

BENCH_TEST(access_rules, files_of_the_store_are_the_owners)
{
    static const char *const files[] = {"store", "store/data.mdb", "store/lock.mdb",
                                        "store/tercet.lock"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct stat status;
        cr_assert_eq(stat(daemon_path(&bench.daemon, files[i]), &status), 0);
        cr_expect_eq(status.st_mode & 077, 0, "%s", files[i]);
    }
}

/* -- Memory ------------------------------------------------------------------------------------ */

#ifdef SANITIZED
Test(idle, memory)
{
    cr_skip_test("a sanitizer's memory is not tercetd's");
}
#else
#define IDLE_KIB_MAX (32 * 1024)

BENCH_TEST(idle, memory)
{
    long kib = process_memory_kib(bench.daemon.process.pid, "VmRSS");
    cr_expect(kib > 0 && kib <= IDLE_KIB_MAX, "tercetd needs %ld KiB when idle", kib);
}
#endif
