/* SPDX-License-Identifier: Apache-2.0
 *
 * A participant that listens, and is called, with mutual TLS on every way: initiator and
 * participant to the coordinator, and the coordinator to the participant.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(tls, .timeout = 400);

static struct daemon coordinator;
/* PEM; one certificate is everybody's, and its own CA; nobody trusts the other */
static char *certificate, *key, *other;
static const char *caller_identity; /* that the listener asks for */
static atomic_int tries, confirms;

static char *read_pem(const char *name)
{
    char path[192];
    char *text = NULL;
    snprintf(path, sizeof(path), "%s/%s", coordinator.dir, name);
    cr_assert_eq(crpc_file_read(&text, path), 0, "%s", path);
    return text;
}

static void make_certificate(const char *name)
{
    char line[640];
    snprintf(
        line, sizeof(line),
        "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        "-subj /CN=%s "
        "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout %s.key -out %s.pem >%s.log 2>&1",
        coordinator.dir, name, name, name, name);
    cr_assert_eq(system(line), 0, "%s", line);
}

/* Starts tercetd; with `calls` it calls with TLS, too, trusting this certificate. */
static void open_coordinator(const char *calls)
{
    static char options[6][192];
    static const char *const formats[] = {"--tls-cert=%s/all.pem", "--tls-key=%s/all.key",
                                          "--tls-ca=%s/all.pem", "--call-tls-cert=%s/all.pem",
                                          "--call-tls-key=%s/all.key"};
    const char *list[] = {
        options[0], options[1], options[2], "--retry-base=10ms", "--retry-cap=100ms", NULL,
        NULL,       NULL,       NULL};
    cr_assert(daemon_prepare_in_memory(&coordinator, TERCETD, NULL));
    make_certificate("all");
    make_certificate("other");
    for (size_t i = 0; i < 5; i++)
        snprintf(options[i], sizeof(options[i]), formats[i], coordinator.dir);
    snprintf(options[5], sizeof(options[5]), "--call-tls-ca=%s/%s.pem", coordinator.dir,
             calls != NULL ? calls : "");
    for (size_t i = 0; calls != NULL && i < 3; i++)
        list[5 + i] = options[3 + i];
    memcpy(coordinator.options, list, sizeof(list));
    cr_assert(daemon_start(&coordinator, NULL), "tercetd did not start: see %s/tercetd.log",
              coordinator.dir);
    certificate = read_pem("all.pem");
    key = read_pem("all.key");
    other = read_pem("other.pem");
}

static void close_coordinator(void)
{
    cr_assert_eq(daemon_stop(&coordinator), 0);
    daemon_clean(&coordinator);
    free(certificate);
    free(key);
    free(other);
}

static int count(const struct tercet_call *call, void *ctx)
{
    (void)ctx;
    atomic_fetch_add(call->kind == TERCET_TRY ? &tries : &confirms, 1);
    return 0;
}

static struct tercet_participant *open_listener(struct tercet_barrier *barrier)
{
    static const struct tercet_action actions[] = {
        {.name = "reserve", .on_try = count, .on_confirm = count}};
    struct tercet_participant_options options = {.size = sizeof(options),
                                                 .barrier = barrier,
                                                 .listen = "127.0.0.1:0",
                                                 .caller_identity = caller_identity,
                                                 .tls_ca = certificate,
                                                 .tls_cert = certificate,
                                                 .tls_key = key};
    struct tercet_participant *participant = NULL;
    char text[TERCET_TEXT_MAX] = "";
    int rc = tercet_participant_open(&participant, coordinator.address, "seats", actions, 1,
                                     &options, text);
    cr_assert_eq(rc, 0, "%s", text);
    cr_assert_eq(tercet_participant_wait(participant, WAIT_MS, text), 0, "%s", text);
    return participant;
}

/* Runs one transaction with one branch at the listener. */
static int run(uint32_t try_timeout_ms, enum tercet_wait wait, struct tercet_result *result)
{
    struct tercet_client_options options = {.size = sizeof(options),
                                            .timeout_ms = WAIT_MS,
                                            .tls_ca = certificate,
                                            .tls_cert = certificate,
                                            .tls_key = key};
    const struct tercet_branch branch = {.action = "seats/reserve",
                                         .try_timeout_ms = try_timeout_ms};
    struct tercet_begin_options begin = options_of(NULL, 0);
    struct tercet_barrier *barrier = NULL;
    struct tercet_client *client = NULL;
    char text[TERCET_TEXT_MAX] = "";
    cr_assert_eq(tercet_barrier_memory_open(&barrier, NULL), 0);
    struct tercet_participant *participant = open_listener(barrier);
    cr_assert_eq(tercet_client_open(&client, coordinator.address, &options, text), 0, "%s", text);
    begin.wait = wait;
    int rc = tercet_run(client, &branch, 1, &begin, result);
    tercet_client_close(client);
    tercet_participant_close(participant);
    tercet_barrier_close(barrier);
    return rc;
}

#define SKIP_WITHOUT_OPENSSL()                                                                     \
    do {                                                                                           \
        if (system("openssl version >/dev/null 2>&1") != 0)                                        \
            cr_skip_test("openssl is not there to make certificates");                             \
    } while (0)

Test(tls, a_listening_participant_is_called_with_mutual_tls)
{
    struct tercet_result result;
    SKIP_WITHOUT_OPENSSL();
    open_coordinator("all");
    cr_assert_eq(run(0, TERCET_WAIT_RESOLVED, &result), 0, "%s", result.text);
    cr_assert_eq(result.state, TERCET_CONFIRMED);
    cr_assert_eq(atomic_load(&tries), 1);
    cr_assert_eq(atomic_load(&confirms), 1);
    close_coordinator();
}

/* In plaintext, or when its certificate is not trusted, nothing reaches it. */
static void is_not_called(const char *calls)
{
    struct tercet_result result;
    SKIP_WITHOUT_OPENSSL();
    open_coordinator(calls);
    cr_assert_eq(run(500, TERCET_WAIT_DECIDED, &result), TERCET_REFUSED, "%s", result.text);
    cr_assert_eq(result.cause, TERCET_CAUSE_TRY_UNKNOWN);
    cr_assert_eq(atomic_load(&tries), 0);
    close_coordinator();
}

Test(tls, in_plaintext_it_is_not_reached)
{
    is_not_called(NULL);
}

Test(tls, one_that_is_not_trusted_is_not_called)
{
    is_not_called("other");
}

/* A certificate that the CA has signed is not enough: initiators have one, too. */
Test(tls, a_listener_is_called_by_whom_its_identity_names)
{
    struct tercet_result result;
    SKIP_WITHOUT_OPENSSL();
    caller_identity = "localhost";
    open_coordinator("all");
    cr_assert_eq(run(0, TERCET_WAIT_RESOLVED, &result), 0, "%s", result.text);
    cr_assert_eq(atomic_load(&tries), 1);
    close_coordinator();
}

Test(tls, a_listener_is_not_called_by_another_identity)
{
    caller_identity = "coordinator.example";
    is_not_called("all");
}
