/* SPDX-License-Identifier: Apache-2.0
 *
 * SIGHUP reads the access rules anew and ends nothing; and what tercetd warns of when it starts.
 */
#include "bench.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

BENCH_SUITE(reload);
BENCH_SUITE(warnings);

#define TOKEN_A "aaaaaaaaaaaaaaaaaaaaaaaa"
#define TOKEN_B "bbbbbbbbbbbbbbbbbbbbbbbb"

/* -- SIGHUP ------------------------------------------------------------------------------------ */

/* Waits until the log has these words so many times. */
static void await_log(const char *words, int count)
{
    for (int i = 0; i < WAIT_MS; i += 5) {
        char *text = daemon_log(&bench.daemon);
        int found = 0;
        for (const char *at = text; (at = strstr(at, words)) != NULL; at += strlen(words))
            found++;
        free(text);
        if (found >= count)
            return;
        poll(NULL, 0, 5); /* a pause between two looks; nothing depends on its length */
    }
    cr_assert(false, "the log never had \"%s\" %d times", words, count);
}

static void hang_up(void)
{
    cr_assert_eq(kill(bench.daemon.process.pid, SIGHUP), 0);
}

/* Whether a call with this token gets past the door. */
static bool is_let_in(const char *token)
{
    Tercet__V1__GetRequest get = get_of("nobody-has-this");
    bench.token = token;
    return fails(&bench, COORDINATOR, "Get", &get.base, CRPC_NOT_FOUND, "");
}

Test(reload, without_a_file_nothing_happens)
{
    bench_open(&bench, NULL);
    hang_up();
    await_log("SIGHUP: there is no access file and no certificate", 1);
    bench_close(&bench);
}

Test(reload, rules_change_while_it_runs)
{
    char option[256];
    const char *options[] = {option, NULL};
    bench_prepare();
    bench_write_file("rules", "all " TOKEN_A "\n");
    snprintf(option, sizeof(option), "--access=%s", daemon_path(&bench.daemon, "rules"));
    bench_launch(options);
    cr_assert_eq(crpc_loop_new(&bench.loop, NULL), 0);
    bench_connect(&bench);
    cr_assert(is_let_in(TOKEN_A));
    cr_assert_not(is_let_in(TOKEN_B));

    bench_write_file("rules", "all " TOKEN_B "\n");
    hang_up();
    await_log("the access rules were read anew", 1);
    cr_assert_not(is_let_in(TOKEN_A));
    cr_assert(is_let_in(TOKEN_B));

    bench_write_file("rules", "king " TOKEN_A "\n");
    hang_up();
    await_log(
        "a role is initiator, participant, reader, operator, admin or all; the old rules stay", 1);
    cr_assert(is_let_in(TOKEN_B));
    remove(daemon_path(&bench.daemon, "rules"));
    hang_up();
    await_log("No such file or directory; the old one stays", 1);
    cr_assert(is_let_in(TOKEN_B));
    cr_assert_eq(bench_end(SIGTERM), 0);
    bench_stop(&bench);
}

/* As a token is exchanged: the new one beside the old one, then alone. */
Test(reload, a_token_is_exchanged_and_no_call_fails)
{
    static const char *const steps[] = {"all " TOKEN_A "\nall " TOKEN_B "\n", "all " TOKEN_B "\n"};
    char option[256];
    const char *options[] = {option, NULL};
    bench_prepare();
    bench_write_file("rules", "all " TOKEN_A "\n");
    snprintf(option, sizeof(option), "--access=%s", daemon_path(&bench.daemon, "rules"));
    bench_launch(options);
    cr_assert_eq(crpc_loop_new(&bench.loop, NULL), 0);
    bench_connect(&bench);
    for (int step = 0; step < 2; step++) {
        const char *token = step == 0 ? TOKEN_A : TOKEN_B;
        cr_assert(is_let_in(token));
        bench_write_file("rules", steps[step]);
        hang_up();
        for (int i = 0; i < 200; i++) /* before, while and after the rules are read */
            cr_assert(is_let_in(token), "call %d of step %d", i, step);
        await_log("the access rules were read anew", step + 1);
        cr_assert(is_let_in(token));
    }
    cr_assert_not(is_let_in(TOKEN_A));
    cr_assert_eq(bench_end(SIGTERM), 0);
    bench_stop(&bench);
}

/* -- Certificates ------------------------------------------------------------------------------ */

static void make_certificate(const char *name)
{
    char command[512];
    snprintf(command, sizeof(command),
             "cd %s && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=%s -addext "
             "subjectAltName=IP:127.0.0.1 -keyout server.key -out server.pem 2>/dev/null && cp "
             "server.pem %s.pem",
             bench.daemon.dir, name, name);
    cr_assert_eq(system(command), 0);
}

/* Whether tercetd shows the certificate of this name. */
static bool shows(const char *name)
{
    Tercet__V1__GetRequest get = get_of("nobody-has-this");
    struct crpc_tls tls = {.size = sizeof(tls)};
    struct crpc_channel_options options = {
        .size = sizeof(options), .tls = &tls, .own_connection = true};
    struct crpc_result result = {.code = CRPC_OK};
    ProtobufCMessage *reply = NULL;
    char file[64];
    char *ca = NULL;
    snprintf(file, sizeof(file), "%s.pem", name);
    cr_assert_eq(crpc_file_read(&ca, daemon_path(&bench.daemon, file)), 0);
    tls.ca = ca;
    cr_assert_eq(crpc_channel_new(&bench.channel, bench.loop, bench.daemon.address, &options), 0);
    crpc_unary(&reply, bench.channel, COORDINATOR, "Get", &get.base, NULL, &result);
    bool is_shown = result.code == CRPC_NOT_FOUND;
    crpc_result_clear(&result);
    crpc_channel_free(bench.channel);
    bench.channel = NULL;
    free(ca);
    return is_shown;
}

Test(reload, a_certificate_changes_while_it_runs)
{
    char cert[256], key[256];
    const char *options[] = {cert, key, NULL};
    bench_prepare();
    make_certificate("first");
    snprintf(cert, sizeof(cert), "--tls-cert=%s", daemon_path(&bench.daemon, "server.pem"));
    snprintf(key, sizeof(key), "--tls-key=%s", daemon_path(&bench.daemon, "server.key"));
    bench_launch(options);
    cr_assert_eq(crpc_loop_new(&bench.loop, NULL), 0);
    cr_assert(shows("first"));
    make_certificate("second");
    cr_assert(shows("first"), "not before it is told");
    hang_up();
    await_log("certificate, key and CA were read anew", 1);
    cr_assert(shows("second"));
    cr_assert_not(shows("first"));
    bench_write_file("server.pem", "no certificate at all\n");
    hang_up();
    await_log("the old certificate stays", 1);
    cr_assert(shows("second"));
    cr_assert_eq(bench_end(SIGTERM), 0);
    char *log = daemon_log(&bench.daemon);
    cr_assert_not_null(strstr(log, "without --access everybody may do everything; TLS alone"));
    free(log);
    bench_stop(&bench);
}

/* -- Warnings ---------------------------------------------------------------------------------- */

/* What tercetd logs when it starts with these options and is stopped. */
static char *log_of_start(const char *const *options)
{
    bench_launch(options);
    cr_assert_eq(bench_end(SIGTERM), 0);
    return daemon_log(&bench.daemon);
}

static void check_log(const char *const *options, const char *words, bool is_there)
{
    char *text = log_of_start(options);
    cr_expect_eq(strstr(text, words) != NULL, is_there, "\"%s\" %s in: %s", words,
                 is_there ? "is not" : "is", text);
    free(text);
    remove(daemon_path(&bench.daemon, "tercetd.log"));
}

Test(warnings, a_readable_access_file)
{
    char option[256], path[240];
    const char *options[] = {option, NULL};
    bench_prepare();
    bench_write_file("rules", "all " TOKEN_A "\n");
    snprintf(path, sizeof(path), "%s", daemon_path(&bench.daemon, "rules"));
    snprintf(option, sizeof(option), "--access=%s", path);
    chmod(path, 0644);
    check_log(options, "can be read or written by others (mode 0644)", true);
    chmod(path, 0640);
    check_log(options, "can be read or written by others", false);
}

Test(warnings, tokens_in_plaintext)
{
    char option[256];
    const char *elsewhere[] = {option, "--listen", "0.0.0.0:0", NULL};
    const char *here[] = {option, "--listen", "127.0.0.1:0", NULL};
    bench_prepare();
    snprintf(option, sizeof(option), "--access=%s", daemon_path(&bench.daemon, "rules"));
    bench_write_file("rules", "# whoever\nall " TOKEN_A "\n");
    check_log(elsewhere, "tokens come in plaintext", true);
    check_log(here, "tokens come in plaintext", false);
    bench_write_file("rules", "# all in-certificates\nadmin identity:ops\n");
    check_log(elsewhere, "tokens come in plaintext", false);
}

Test(warnings, an_open_socket)
{
    char address[256];
    struct stat status;
    const char *open_to_all[] = {"--listen", address, "--unix-mode", "0666", NULL};
    const char *usual[] = {"--listen", address, NULL};
    bench_prepare();
    snprintf(address, sizeof(address), "unix:%s", daemon_path(&bench.daemon, "socket"));
    check_log(open_to_all, "every user of this machine may do everything", true);
    check_log(usual, "every user of this machine may do everything", false);
    bench_launch(usual);
    cr_assert_eq(stat(address + 5, &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0660, "%o", (unsigned)status.st_mode);
    cr_assert_eq(bench_end(SIGTERM), 0);
}

Test(warnings, a_store_in_memory)
{
    struct stat status;
    char command[256];
    bench_prepare();
    if (stat("/dev/shm", &status) != 0)
        return;
    snprintf(command, sizeof(command), "d=$(mktemp -d /dev/shm/tercet-XXXXXX) && ln -s $d %s",
             daemon_path(&bench.daemon, "store"));
    cr_assert_eq(system(command), 0);
    check_log(NULL, "is on a tmpfs: it is in memory", true);
    snprintf(command, sizeof(command), "rm -r \"$(readlink %s)\"",
             daemon_path(&bench.daemon, "store"));
    cr_assert_eq(system(command), 0);
}
