/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS and mutual TLS, with certificates made by openssl for each test.
 */
#include "echo.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char directory[64];
static struct crpc_loop *loop;
static struct crpc_server *server;
static struct echo_log echo_log = {
    .opened = EVENT_INIT, .half_closed = EVENT_INIT, .ended = EVENT_INIT};
static char target[64];

static void run(const char *command)
{
    char line[1024];
    snprintf(line, sizeof(line), "cd %s && (%s) >openssl.log 2>&1", directory, command);
    cr_assert_eq(system(line), 0, "%s", line);
}

/* A certificate authority, and a certificate signed by it. */
#define MAKE_CA(name)                                                                              \
    "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=" name " -keyout " name           \
    ".key -out " name ".pem"
#define MAKE_CERT(name, ca, alt)                                                                   \
    "openssl req -newkey rsa:2048 -nodes -subj /CN=" name " -keyout " name ".key -out " name       \
    ".csr && "                                                                                     \
    "printf '" alt "' > " name ".ext && "                                                          \
    "openssl x509 -req -in " name ".csr -CA " ca ".pem -CAkey " ca                                 \
    ".key -CAcreateserial -days 2 -extfile " name ".ext -out " name ".pem"

static char *pem(const char *name)
{
    char path[128];
    char *text;
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    cr_assert_eq(crpc_file_read(&text, path), 0);
    return text;
}

static void setup(void)
{
    snprintf(directory, sizeof(directory), "/tmp/crpc-tls-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    run(MAKE_CA("ca"));
    run(MAKE_CERT("server", "ca", "subjectAltName=DNS:localhost,IP:127.0.0.1"));
    cr_assert_eq(crpc_loop_new(&loop, NULL), 0);
    cr_assert_eq(crpc_server_new(&server, loop, NULL), 0);
    echo_add_service(server, &echo_log);
}

static void teardown(void)
{
    char line[128];
    crpc_server_free(server);
    crpc_loop_free(loop);
    snprintf(line, sizeof(line), "rm -r %s", directory);
    cr_assert_eq(system(line), 0);
}

TestSuite(tls, .init = setup, .fini = teardown, .timeout = 90);

static void serve(const char *ca)
{
    int port;
    char *cert = pem("server.pem");
    char *key = pem("server.key");
    char *authority = ca != NULL ? pem(ca) : NULL;
    struct crpc_tls tls = {.size = sizeof(tls), .cert = cert, .key = key, .ca = authority};
    cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", &tls, &port), 0);
    cr_assert_eq(crpc_server_start(server), 0);
    snprintf(target, sizeof(target), "127.0.0.1:%d", port);
    free(cert);
    free(key);
    free(authority);
}

/* Asks who the server takes us for; the code of the call's end. */
static int call_as(const char *ca, const char *name, const char *server_name, char *who,
                   size_t who_size)
{
    char file[64];
    struct crpc_result result = {.code = CRPC_OK};
    struct crpc_tls tls = {.size = sizeof(tls), .server_name = server_name};
    struct crpc_channel_options options = {
        .size = sizeof(options), .tls = &tls, .own_connection = true};
    struct crpc_channel *channel;
    char *texts[3] = {pem(ca), NULL, NULL};
    if (name != NULL) {
        snprintf(file, sizeof(file), "%s.pem", name);
        texts[1] = pem(file);
        snprintf(file, sizeof(file), "%s.key", name);
        texts[2] = pem(file);
    }
    tls.ca = texts[0];
    tls.cert = texts[1];
    tls.key = texts[2];
    cr_assert_eq(crpc_channel_new(&channel, loop, target, &options), 0);
    int code = echo_unary(channel, "who", who, who_size, &result, NULL);
    cr_assert(code == 0 || code == CRPC_ESTATUS);
    code = (int)result.code;
    crpc_result_clear(&result);
    crpc_channel_free(channel);
    for (int i = 0; i < 3; i++)
        free(texts[i]);
    return code;
}

Test(tls, a_server_that_can_be_trusted)
{
    char who[64] = "";
    serve(NULL);
    cr_assert_eq(call_as("ca.pem", NULL, NULL, who, sizeof(who)), CRPC_OK);
    cr_assert_str_eq(who, "nobody");
}

Test(tls, another_authority_is_refused)
{
    run(MAKE_CA("other"));
    serve(NULL);
    cr_assert_eq(call_as("other.pem", NULL, NULL, NULL, 0), CRPC_UNAVAILABLE);
    cr_assert_eq(event_count(&echo_log.opened), 0);
}

Test(tls, the_name_is_verified_and_may_be_given)
{
    serve(NULL);
    cr_assert_eq(call_as("ca.pem", NULL, "localhost", NULL, 0), CRPC_OK);
    cr_assert_eq(call_as("ca.pem", NULL, "elsewhere", NULL, 0), CRPC_UNAVAILABLE);
}

Test(tls, a_plaintext_client_is_refused)
{
    struct crpc_channel *channel;
    struct crpc_result result = {.code = CRPC_OK};
    serve(NULL);
    cr_assert_eq(crpc_channel_new(&channel, loop, target, NULL), 0);
    cr_assert_eq(echo_unary(channel, "who", NULL, 0, &result, NULL), CRPC_ESTATUS);
    cr_assert_eq(result.code, CRPC_UNAVAILABLE);
    crpc_result_clear(&result);
    crpc_channel_free(channel);
}

Test(tls, mutual_shows_who_it_is)
{
    char who[64] = "";
    run(MAKE_CERT("alice", "ca", "subjectAltName=DNS:alice.example"));
    run(MAKE_CERT("alice.example", "ca", "keyUsage=digitalSignature"));
    serve("ca.pem");
    cr_assert_eq(call_as("ca.pem", "alice", NULL, who, sizeof(who)), CRPC_OK);
    cr_assert_str_eq(who, "alice.example");
    cr_assert_eq(call_as("ca.pem", "alice.example", NULL, who, sizeof(who)), CRPC_OK);
    cr_assert_str_eq(who, "nobody", "the common name never counts");
}

Test(tls, mutual_shows_all_names_and_their_types)
{
    char who[256] = "";
    run(MAKE_CERT("many", "ca",
                  "subjectAltName=email:carol@example.org,DNS:carol.example,"
                  "URI:spiffe://example.org/carol,IP:10.0.0.1,DNS:carol-2.example"));
    serve("ca.pem");
    cr_assert_eq(call_as("ca.pem", "many", NULL, who, sizeof(who)), CRPC_OK);
    cr_assert_str_eq(who, "carol.example carol-2.example uri:spiffe://example.org/carol "
                          "email:carol@example.org");
}

/* What an authority that looks at the name before the NUL, or not at the type, could be made to
 * sign. */
Test(tls, mutual_leaves_out_names_that_pretend)
{
    /* GeneralNames, DER: DNS "admin\0.evil", DNS "uri:admin", DNS "a b", e-mail "admin\0@x",
     * e-mail "admin" and DNS "good" */
    const char names[] = "3034"
                         "820b61646d696e002e6576696c"
                         "82097572693a61646d696e"
                         "8203612062"
                         "810861646d696e004078"
                         "810561646d696e"
                         "8204676f6f64";
    char command[1024], who[256] = "";
    snprintf(command, sizeof(command), MAKE_CERT("mallory", "ca", "subjectAltName=DER:%s"), names);
    run(command);
    serve("ca.pem");
    cr_assert_eq(call_as("ca.pem", "mallory", NULL, who, sizeof(who)), CRPC_OK);
    cr_assert_str_eq(who, "good email:admin");
}

Test(tls, mutual_wants_a_certificate_of_its_authority)
{
    run(MAKE_CA("other"));
    run(MAKE_CERT("mallory", "other", "subjectAltName=DNS:alice.example"));
    serve("ca.pem");
    cr_assert_eq(call_as("ca.pem", NULL, NULL, NULL, 0), CRPC_UNAVAILABLE);
    cr_assert_eq(call_as("ca.pem", "mallory", NULL, NULL, 0), CRPC_UNAVAILABLE);
    cr_assert_eq(event_count(&echo_log.opened), 0);
}

static void on_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    (void)call;
    (void)status;
    event_post(ctx);
}

Test(tls, the_client_sees_the_server)
{
    static const struct crpc_call_events events = {.on_end = on_end};
    struct event ended = EVENT_INIT;
    struct crpc_call_options bounded = {.size = sizeof(bounded), .timeout_ms = WAIT_S * 1000};
    char *ca = NULL;
    struct crpc_tls tls = {.size = sizeof(tls)};
    struct crpc_channel_options options = {.size = sizeof(options), .tls = &tls};
    struct crpc_channel *channel;
    struct crpc_call *call;
    serve(NULL);
    ca = pem("ca.pem");
    tls.ca = ca;
    cr_assert_eq(crpc_channel_new(&channel, loop, target, &options), 0);
    cr_assert_eq(crpc_call_open(&call, channel, &crpc__test__echo__descriptor, "Both", &bounded,
                                &events, &ended),
                 0);
    cr_assert_eq(crpc_call_half_close(call), 0);
    cr_assert(event_wait(&ended, 1));
    cr_assert_str_eq(crpc_call_identity(call), "localhost");
    crpc_call_unref(call);
    crpc_channel_free(channel);
    free(ca);
}

/* What crpc_server_set_tls says to this certificate, key and CA. */
static int change_to(const char *name, const char *ca)
{
    char file[64];
    snprintf(file, sizeof(file), "%s.pem", name);
    char *cert = pem(file);
    snprintf(file, sizeof(file), "%s.key", name);
    char *key = pem(file);
    char *authority = ca != NULL ? pem(ca) : NULL;
    struct crpc_tls tls = {.size = sizeof(tls), .cert = cert, .key = key, .ca = authority};
    int result = crpc_server_set_tls(server, &tls);
    free(cert);
    free(key);
    free(authority);
    return result;
}

Test(tls, a_certificate_may_change_while_it_serves)
{
    char *ca;
    struct crpc_channel *channel;
    struct crpc_tls tls = {.size = sizeof(tls)};
    struct crpc_channel_options options = {
        .size = sizeof(options), .tls = &tls, .own_connection = true};
    run(MAKE_CA("next"));
    run(MAKE_CERT("renewed", "next", "subjectAltName=DNS:localhost,IP:127.0.0.1"));
    serve(NULL);
    tls.ca = ca = pem("ca.pem");
    cr_assert_eq(crpc_channel_new(&channel, loop, target, &options), 0);
    cr_assert_eq(echo_unary(channel, "before", NULL, 0, NULL, NULL), 0);
    cr_assert_eq(change_to("renewed", NULL), 0);
    cr_assert_eq(call_as("next.pem", NULL, NULL, NULL, 0), CRPC_OK);
    cr_assert_eq(call_as("next.pem", NULL, NULL, NULL, 0), CRPC_OK, "and again");
    cr_assert_eq(call_as("ca.pem", NULL, NULL, NULL, 0), CRPC_UNAVAILABLE);
    cr_assert_eq(echo_unary(channel, "after", NULL, 0, NULL, NULL), 0, "who is there stays");
    cr_assert_eq(change_to("server", NULL), 0);
    cr_assert_eq(call_as("ca.pem", NULL, NULL, NULL, 0), CRPC_OK, "and back");
    crpc_channel_free(channel);
    free(ca);
}

Test(tls, what_cannot_be_used_changes_nothing)
{
    run(MAKE_CA("next"));
    run("cp ca.pem mixed.pem && cp server.key mixed.key");
    serve(NULL);
    cr_assert_eq(change_to("mixed", NULL), CRPC_ETLS, "a key of another certificate");
    cr_assert_eq(change_to("server", "ca.pem"), CRPC_EINVAL, "a CA that comes");
    cr_assert_eq(crpc_server_set_tls(server, NULL), CRPC_EINVAL);
    cr_assert_eq(call_as("ca.pem", NULL, NULL, NULL, 0), CRPC_OK);
}

Test(tls, clients_of_another_authority_may_be_let_in)
{
    run(MAKE_CA("next"));
    run(MAKE_CERT("client", "next", "subjectAltName=DNS:alice"));
    serve("ca.pem");
    cr_assert_eq(call_as("ca.pem", "client", NULL, NULL, 0), CRPC_UNAVAILABLE);
    cr_assert_eq(change_to("server", "next.pem"), 0);
    cr_assert_eq(call_as("ca.pem", "client", NULL, NULL, 0), CRPC_OK);
}

Test(tls, texts_that_cannot_be_used)
{
    struct crpc_channel *channel = NULL;
    char *cert = pem("server.pem");
    char *key = pem("server.key");
    run(MAKE_CA("other"));
    char *other_key = pem("other.key");
    const struct crpc_tls bad[] = {
        {.size = sizeof(struct crpc_tls), .cert = "no pem", .key = key},
        {.size = sizeof(struct crpc_tls), .cert = cert, .key = "no pem"},
        {.size = sizeof(struct crpc_tls), .cert = cert},
        {.size = sizeof(struct crpc_tls), .cert = cert, .key = key, .ca = "no pem"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct crpc_channel_options options = {.size = sizeof(options), .tls = &bad[i]};
        cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", &bad[i], NULL), CRPC_ETLS, "%zu", i);
        cr_assert_eq(crpc_channel_new(&channel, loop, "127.0.0.1:1", &options), CRPC_ETLS, "%zu",
                     i);
    }
    struct crpc_tls empty = {.size = sizeof(empty)};
    cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", &empty, NULL), CRPC_ETLS);
    /* What only gRPC can find out: a key of another certificate, and PEM with nonsense in it. */
    struct crpc_tls mixed = {.size = sizeof(mixed), .cert = cert, .key = other_key};
    cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", &mixed, NULL), CRPC_ETLS);
    mixed.cert = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", &mixed, NULL), CRPC_ETLS);
    /* And a bad address stays one. */
    struct crpc_tls good = {.size = sizeof(good), .cert = cert, .key = key};
    cr_assert_eq(crpc_server_listen(server, "nonsense", &good, NULL), CRPC_EADDRESS);
    free(cert);
    free(key);
    free(other_key);
}

Test(file, read_whole_or_not_at_all)
{
    char *text = NULL;
    cr_assert_eq(crpc_file_read(&text, "/no/such/file"), CRPC_EINVAL);
    cr_assert_eq(crpc_file_read(&text, "/dev/zero"), CRPC_EINVAL);
    cr_assert_eq(crpc_file_read(&text, "/tmp"), CRPC_EINVAL);
    cr_assert_null(text);
    cr_assert_eq(crpc_file_read(&text, "/dev/null"), 0);
    cr_assert_str_eq(text, "");
    free(text);
}
