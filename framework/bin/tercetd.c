/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd: the coordinator as a daemon. Options in, a coordinator open, signals out.
 */
#include "accept_guard.h"

#include <crpc/crpc.h>
#include <errno.h>
#include <failpoint.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <tercet/coordinator.h>
#include <time.h>
#include <unistd.h>

#define EXIT_STORE_FAILED 70 /* a commit failed: start again, the store tells the truth */
#define LISTEN_MAX 8

static const char usage[] =
    "usage: tercetd --data DIR [options]\n"
    "\n"
    "The transaction coordinator. Prints one line \"ready ADDRESS...\" when it serves.\n"
    "\n"
    "  --data DIR              the store's directory; made when missing; one process at a time\n"
    "  --listen ADDRESS        host:port or unix:/path; may be repeated (default 127.0.0.1:7420);\n"
    "                          port 0 takes a free one\n"
    "  --access FILE           who may call: lines \"role token\" or \"role identity:NAME\", with "
    "the roles\n"
    "                          initiator, participant, admin, all. Without it everybody may do "
    "everything,\n"
    "                          which is permitted on loopback and unix sockets only\n"
    "  --tls-cert FILE         the server's certificate and\n"
    "  --tls-key FILE          key, PEM\n"
    "  --tls-ca FILE           clients must show a certificate signed by this CA\n"
    "  --call-tls-ca FILE      participants that listen are called with TLS (but at unix sockets), "
    "and must show\n"
    "                          a certificate signed by this CA; \"system\": by one of the system's "
    "roots\n"
    "  --call-tls-cert FILE    the certificate that is shown to them and\n"
    "  --call-tls-key FILE     its key, PEM\n"
    "  --retention DURATION    how long resolved transactions are kept (default 7d)\n"
    "  --store-size SIZE       the most the store may hold (default 64G; the file grows as "
    "needed)\n"
    "  --open-max N            unresolved transactions at most (default 1000000)\n"
    "  --call-timeout DURATION how long a participant has for an answer (default 10s)\n"
    "  --retry-base DURATION   longest pause before the first retry (default 100ms)\n"
    "  --retry-cap DURATION    longest pause before any retry (default 60s)\n"
    "  --park-after-failures N a branch is parked after so many failures (default 16)\n"
    "  --park-after DURATION   or after this without success (default 10m)\n"
    "  --grace DURATION        on SIGTERM, how long calls under way may finish (default 5s)\n"
    "  --quiet                 errors and warnings only\n"
    "  --list-failpoints       print the crash points of a test build\n"
    "  --help, --version\n"
    "\n"
    "DURATION: 500ms, 10s, 5m, 2h, 7d. SIZE: 512M, 64G.\n"
    "Exit status: 0 stopped by a signal, 1 could not start, 2 wrong options, 70 the store "
    "failed.\n";

struct arguments {
    struct tercet_coordinator_options options;
    const char *listen[LISTEN_MAX];
    const char *access_file, *cert_file, *key_file, *ca_file;
    const char *call_cert_file, *call_key_file, *call_ca_file;
    int64_t grace_ms;
    bool is_quiet;
};

/* -- Options ----------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void bad_option(const char *name, const char *value,
                                                 const char *wanted)
{
    fprintf(stderr, "tercetd: --%s %s: %s\n", name, value, wanted);
    exit(2);
}

/* A number followed by one of the units; `units` gives their factors. */
struct unit {
    const char *suffix;
    int64_t factor;
};

static int64_t parse_scaled(const char *name, const char *value, const struct unit *units,
                            const char *wanted)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (end == value || errno != 0 || number <= 0)
        bad_option(name, value, wanted);
    for (; units->suffix != NULL; units++)
        if (strcmp(end, units->suffix) == 0 && number <= INT64_MAX / units->factor)
            return number * units->factor;
    bad_option(name, value, wanted);
}

static int64_t parse_duration(const char *name, const char *value)
{
    static const struct unit units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                                        {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
    return parse_scaled(name, value, units,
                        "a duration is a number with ms, s, m, h or d, such as 10s");
}

static int64_t parse_size(const char *name, const char *value)
{
    static const struct unit units[] = {{"", 1},        {"K", 1 << 10},   {"M", 1 << 20},
                                        {"G", 1 << 30}, {"T", 1LL << 40}, {NULL, 0}};
    return parse_scaled(name, value, units,
                        "a size is a number of bytes, or with K, M, G or T, such as 512M");
}

static uint32_t parse_count(const char *name, const char *value)
{
    static const struct unit units[] = {{"", 1}, {NULL, 0}};
    int64_t number = parse_scaled(name, value, units, "a number from 1 to 4294967295 is wanted");
    if (number > UINT32_MAX)
        bad_option(name, value, "a number from 1 to 4294967295 is wanted");
    return (uint32_t)number;
}

static uint32_t parse_short_duration(const char *name, const char *value)
{
    int64_t ms = parse_duration(name, value);
    if (ms > UINT32_MAX)
        bad_option(name, value, "at most 49 days");
    return (uint32_t)ms;
}

static void add_listen(struct arguments *args, const char *address)
{
    if (args->options.listen_count == LISTEN_MAX)
        bad_option("listen", address, "at most 8 addresses");
    args->listen[args->options.listen_count++] = address;
}

enum {
    OPTION_DATA = 256,
    OPTION_LISTEN,
    OPTION_ACCESS,
    OPTION_CERT,
    OPTION_KEY,
    OPTION_CA,
    OPTION_CALL_CERT,
    OPTION_CALL_KEY,
    OPTION_CALL_CA,
    OPTION_RETENTION,
    OPTION_SIZE,
    OPTION_OPEN_MAX,
    OPTION_CALL_TIMEOUT,
    OPTION_RETRY_BASE,
    OPTION_RETRY_CAP,
    OPTION_PARK_FAILURES,
    OPTION_PARK_AFTER,
    OPTION_GRACE,
    OPTION_QUIET,
    OPTION_FAILPOINTS,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option long_options[] = {
    {"data", required_argument, NULL, OPTION_DATA},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"access", required_argument, NULL, OPTION_ACCESS},
    {"tls-cert", required_argument, NULL, OPTION_CERT},
    {"tls-key", required_argument, NULL, OPTION_KEY},
    {"tls-ca", required_argument, NULL, OPTION_CA},
    {"call-tls-cert", required_argument, NULL, OPTION_CALL_CERT},
    {"call-tls-key", required_argument, NULL, OPTION_CALL_KEY},
    {"call-tls-ca", required_argument, NULL, OPTION_CALL_CA},
    {"retention", required_argument, NULL, OPTION_RETENTION},
    {"store-size", required_argument, NULL, OPTION_SIZE},
    {"open-max", required_argument, NULL, OPTION_OPEN_MAX},
    {"call-timeout", required_argument, NULL, OPTION_CALL_TIMEOUT},
    {"retry-base", required_argument, NULL, OPTION_RETRY_BASE},
    {"retry-cap", required_argument, NULL, OPTION_RETRY_CAP},
    {"park-after-failures", required_argument, NULL, OPTION_PARK_FAILURES},
    {"park-after", required_argument, NULL, OPTION_PARK_AFTER},
    {"grace", required_argument, NULL, OPTION_GRACE},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"list-failpoints", no_argument, NULL, OPTION_FAILPOINTS},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

__attribute__((noreturn)) static void list_failpoints(void)
{
    for (size_t i = 0; failpoint_name(i) != NULL; i++)
        puts(failpoint_name(i));
    exit(0);
}

__attribute__((noreturn)) static void print_and_exit(const char *text)
{
    fputs(text, stdout);
    exit(0);
}

/* Options that name a file. false: it is another. */
static bool take_file(struct arguments *args, int option, const char *value)
{
    const char **fields[] = {[OPTION_ACCESS - OPTION_ACCESS] = &args->access_file,
                             [OPTION_CERT - OPTION_ACCESS] = &args->cert_file,
                             [OPTION_KEY - OPTION_ACCESS] = &args->key_file,
                             [OPTION_CA - OPTION_ACCESS] = &args->ca_file,
                             [OPTION_CALL_CERT - OPTION_ACCESS] = &args->call_cert_file,
                             [OPTION_CALL_KEY - OPTION_ACCESS] = &args->call_key_file,
                             [OPTION_CALL_CA - OPTION_ACCESS] = &args->call_ca_file};
    if (option < OPTION_ACCESS || option > OPTION_CALL_CA)
        return false;
    *fields[option - OPTION_ACCESS] = value;
    return true;
}

/* Options that only set a field. false: it is another. */
static bool take_number(struct arguments *args, int option, const char *name, const char *value)
{
    struct tercet_coordinator_options *options = &args->options;
    switch (option) {
    case OPTION_RETENTION:
        options->retention_ms = parse_duration(name, value);
        return true;
    case OPTION_SIZE:
        options->store_size_max = (uint64_t)parse_size(name, value);
        return true;
    case OPTION_OPEN_MAX:
        options->open_max = parse_count(name, value);
        return true;
    case OPTION_CALL_TIMEOUT:
        options->call_timeout_ms = parse_short_duration(name, value);
        return true;
    case OPTION_RETRY_BASE:
        options->retry_base_ms = parse_short_duration(name, value);
        return true;
    case OPTION_RETRY_CAP:
        options->retry_cap_ms = parse_short_duration(name, value);
        return true;
    case OPTION_PARK_FAILURES:
        options->park_after_failures = parse_count(name, value);
        return true;
    case OPTION_PARK_AFTER:
        options->park_after_ms = parse_short_duration(name, value);
        return true;
    case OPTION_GRACE:
        args->grace_ms = parse_short_duration(name, value);
        return true;
    }
    return false;
}

static void take_option(struct arguments *args, int option, const char *name, const char *value)
{
    if (take_number(args, option, name, value) || take_file(args, option, value))
        return;
    switch (option) {
    case OPTION_DATA:
        args->options.data = value;
        break;
    case OPTION_LISTEN:
        add_listen(args, value);
        break;
    case OPTION_QUIET:
        args->is_quiet = true;
        break;
    case OPTION_FAILPOINTS:
        list_failpoints();
    case OPTION_HELP:
        print_and_exit(usage);
    case OPTION_VERSION:
        print_and_exit("tercetd " TERCET_VERSION "\n");
    }
}

static void parse_arguments(struct arguments *args, int argc, char **argv)
{
    int option;
    int index = 0;
    while ((option = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        if (option == '?') {
            fputs("tercetd: see tercetd --help\n", stderr);
            exit(2);
        }
        take_option(args, option, long_options[index].name, optarg);
    }
    if (optind < argc || args->options.data == NULL) {
        fprintf(stderr, "tercetd: %s; see tercetd --help\n",
                optind < argc ? "there are no arguments but options" : "--data DIR is needed");
        exit(2);
    }
    if ((args->cert_file == NULL) != (args->key_file == NULL) ||
        (args->ca_file != NULL && args->cert_file == NULL)) {
        fputs("tercetd: --tls-cert and --tls-key belong together, and --tls-ca needs both\n",
              stderr);
        exit(2);
    }
    if ((args->call_cert_file == NULL) != (args->call_key_file == NULL) ||
        (args->call_cert_file != NULL && args->call_ca_file == NULL)) {
        fputs(
            "tercetd: --call-tls-cert and --call-tls-key belong together, and need --call-tls-ca\n",
            stderr);
        exit(2);
    }
}

/* -- Running ----------------------------------------------------------------------------------- */

static const char *read_file(const char *path)
{
    char *text = NULL;
    if (path == NULL)
        return NULL;
    if (crpc_file_read(&text, path) != 0) {
        fprintf(stderr, "tercetd: %s: %s\n", path, strerror(errno));
        exit(1);
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

static void print_log(enum tercet_log_level level, const char *text, void *ctx)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    const struct arguments *args = ctx;
    struct timespec now;
    struct tm utc;
    char time[32];
    if (level > (args->is_quiet ? TERCET_LOG_WARNING : TERCET_LOG_INFO))
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &utc);
    fprintf(stderr, "%s.%03ldZ %s %s\n", time, now.tv_nsec / 1000000, names[level], text);
}

/* Nothing may be acknowledged any more: no clean shutdown, which would wait for what cannot
 * come. */
static void exit_failed(const char *text, void *ctx)
{
    (void)text;
    (void)ctx;
    _exit(EXIT_STORE_FAILED);
}

/* Each client and participant needs one: take all that are permitted. */
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

static void wait_for_signal(const sigset_t *signals)
{
    int signal = 0;
    sigwait(signals, &signal);
    fprintf(stderr, "tercetd: stopping (%s)\n", strsignal(signal));
}

int main(int argc, char **argv)
{
    struct arguments args = {.options = {.size = sizeof(args.options)}, .grace_ms = 5000};
    struct tercet_coordinator *coordinator = NULL;
    char text[TERCET_TEXT_MAX];
    sigset_t signals;

    parse_arguments(&args, argc, argv);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    accept_guard_open(print_log, &args);

    args.options.listen = args.listen;
    read_files(&args);
    args.options.on_log = print_log;
    args.options.log_ctx = &args;
    args.options.on_failed = exit_failed;
    int rc = tercet_coordinator_open(&coordinator, &args.options, text);
    if (rc != 0) {
        fprintf(stderr, "tercetd: %s (%s)\n", text[0] != '\0' ? text : tercet_strerror(rc),
                tercet_error_name(rc));
        free_files(&args.options);
        return 1;
    }
    print_ready(coordinator);
    wait_for_signal(&signals);
    tercet_coordinator_close(coordinator, (uint32_t)args.grace_ms);
    free_files(&args.options);
    return 0;
}
