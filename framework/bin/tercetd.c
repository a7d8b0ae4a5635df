/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd: the coordinator as a daemon. Options in, a coordinator open, signals out.
 */
#include "log.h"
#include "tercetd_options.h"
#include "tercetd_warn.h"

#include <crpc/crpc.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <tercet/coordinator.h>
#include <unistd.h>

#define LOG_PATIENCE_MS 1000 /* for the last lines, when nobody reads them */
#define EXIT_NOT_STARTED 1
#define EXIT_STORE_FAILED 70 /* a commit failed: start again, the store tells the truth */

static const char *read_file(const char *path)
{
    char *text = NULL;
    if (path == NULL)
        return NULL;
    if (crpc_file_read(&text, path) != 0) {
        fprintf(stderr, "tercetd: %s: %s\n", path, strerror(errno));
        exit(EXIT_NOT_STARTED);
    }
    return text;
}

static void free_files(struct tercet_coordinator_options *options)
{
    free((void *)options->access);
    free((void *)options->tls_cert);
    free((void *)options->tls_key);
    free((void *)options->tls_ca);
    free((void *)options->call_tls_cert);
    free((void *)options->call_tls_key);
    free((void *)options->call_tls_ca);
}

static void read_files(struct arguments *args)
{
    struct tercet_coordinator_options *options = &args->options;
    bool uses_system_roots =
        args->call_ca_file != NULL && strcmp(args->call_ca_file, "system") == 0;
    options->access = read_file(args->access_file);
    options->tls_cert = read_file(args->cert_file);
    options->tls_key = read_file(args->key_file);
    options->tls_ca = read_file(args->ca_file);
    options->call_tls_cert = read_file(args->call_cert_file);
    options->call_tls_key = read_file(args->call_key_file);
    options->call_tls_ca = uses_system_roots ? strdup("") : read_file(args->call_ca_file);
}

/* Nothing may be acknowledged any more: no clean shutdown, which would wait for what cannot
 * come. */
static void exit_failed(const char *text, void *ctx)
{
    (void)text;
    (void)ctx;
    log_flush(LOG_PATIENCE_MS);
    _exit(EXIT_STORE_FAILED);
}

/* Each client and participant needs two: take all that are permitted. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void print_ready(const struct tercet_coordinator *coordinator)
{
    fputs("ready", stdout);
    for (size_t i = 0; tercet_coordinator_address(coordinator, i) != NULL; i++)
        printf(" %s", tercet_coordinator_address(coordinator, i));
    putchar('\n');
    fflush(stdout);
}

/* -- Signals ----------------------------------------------------------------------------------- */

static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* A file's text, NULL when it cannot be read, which is logged. The caller frees it. */
static char *read_again(const char *path)
{
    char *text = NULL;
    if (crpc_file_read(&text, path) == 0)
        return text;
    log_say(TERCET_LOG_ERROR, "SIGHUP: %s: %s; the old one stays", path, strerror(errno));
    return NULL;
}

static void reload_access(struct tercet_coordinator *coordinator, const struct arguments *args)
{
    char text[TERCET_TEXT_MAX];
    char *access = read_again(args->access_file);
    if (access == NULL)
        return;
    if (tercet_coordinator_set_access(coordinator, access, text) != 0)
        log_say(TERCET_LOG_ERROR, "SIGHUP: %s: %s; the old rules stay", args->access_file, text);
    else
        log_say(TERCET_LOG_INFO,
                "SIGHUP: the access rules were read anew; streams that are open stay");
    free(access);
}

static void reload_tls(struct tercet_coordinator *coordinator, const struct arguments *args)
{
    char text[TERCET_TEXT_MAX];
    char *cert = read_again(args->cert_file);
    char *key = read_again(args->key_file);
    char *ca = args->ca_file != NULL ? read_again(args->ca_file) : NULL;
    const bool is_read = cert != NULL && key != NULL && (ca != NULL || args->ca_file == NULL);
    if (is_read && tercet_coordinator_set_tls(coordinator, ca, cert, key, text) != 0)
        log_say(TERCET_LOG_ERROR, "SIGHUP: %s: %s; the old certificate stays", args->cert_file,
                text);
    else if (is_read)
        log_say(TERCET_LOG_INFO,
                "SIGHUP: certificate, key and CA were read anew; connections that are open stay");
    free(ca);
    free(key);
    free(cert);
}

/* SIGHUP: what can be read anew while it runs. */
static void reload(struct tercet_coordinator *coordinator, const struct arguments *args)
{
    if (args->access_file != NULL)
        reload_access(coordinator, args);
    if (args->cert_file != NULL)
        reload_tls(coordinator, args);
    if (args->access_file == NULL && args->cert_file == NULL)
        log_say(TERCET_LOG_INFO, "SIGHUP: there is no access file and no certificate to read anew");
}

static void wait_for_end(struct tercet_coordinator *coordinator, const struct arguments *args,
                         const sigset_t *signals)
{
    int signal = 0;
    while (sigwait(signals, &signal) != 0 || signal == SIGHUP)
        if (signal == SIGHUP)
            reload(coordinator, args);
    log_say(TERCET_LOG_INFO, "stopping (%s)", strsignal(signal));
}

/* -- Serving ----------------------------------------------------------------------------------- */

static void set_socket_modes(const struct arguments *args)
{
    for (size_t i = 0; i < args->options.listen_count; i++) {
        const char *path = args->listen[i] + sizeof("unix:") - 1;
        if (strncmp(args->listen[i], "unix:", sizeof("unix:") - 1) == 0 &&
            chmod(path, args->unix_mode) != 0)
            log_say(TERCET_LOG_WARNING, "%s: its mode cannot be set: %s", path, strerror(errno));
    }
}

/* Until a signal. Returns the exit status. */
static int serve(const struct arguments *args, const sigset_t *signals)
{
    struct tercet_coordinator *coordinator = NULL;
    char text[TERCET_TEXT_MAX];
    mode_t mask = umask(0007); /* a socket is nobody else's before it has its mode */
    int rc = tercet_coordinator_open(&coordinator, &args->options, text);
    umask(mask);
    if (rc != 0) {
        log_flush(LOG_PATIENCE_MS);
        fprintf(stderr, "tercetd: %s (%s)\n", text[0] != '\0' ? text : tercet_strerror(rc),
                tercet_error_name(rc));
        return EXIT_NOT_STARTED;
    }
    set_socket_modes(args);
    warn_about_setup(args);
    print_ready(coordinator);
    wait_for_end(coordinator, args, signals);
    tercet_coordinator_close(coordinator, args->grace_ms);
    log_flush(LOG_PATIENCE_MS);
    return 0;
}

int main(int argc, char **argv)
{
    struct arguments args;
    sigset_t signals;
    block_signals(&signals);
    arguments_parse(&args, argc, argv);
    raise_descriptor_limit();
    read_files(&args);
    if (log_start(args.log_level, args.log_format) != 0) {
        fputs("tercetd: no thread can be started\n", stderr);
        return EXIT_NOT_STARTED;
    }
    args.options.on_log = log_line;
    args.options.on_failed = exit_failed;
    int status = serve(&args, &signals);
    free_files(&args.options);
    return status;
}
