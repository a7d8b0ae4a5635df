/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd_options.h
 */
#include "tercetd_options.h"

#include "cli.h"

#include <crpc/crpc.h>
#include <failpoint.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_MISUSE 2
#define GRACE_MS_DEFAULT 5000
#define UNIX_MODE_DEFAULT 0660

#define FIELD(member) offsetof(struct arguments, member)

static const char *take_listen(void *values, const char *value)
{
    struct arguments *args = values;
    if (args->options.listen_count == LISTEN_MAX)
        return "at most 8 addresses";
    args->listen[args->options.listen_count++] = value;
    return NULL;
}

static const char *take_allow_target(void *values, const char *value)
{
    struct arguments *args = values;
    if (args->options.allow_target_count == ALLOW_TARGETS_MAX)
        return "at most 64 patterns";
    args->allow_targets[args->options.allow_target_count++] = value;
    return NULL;
}

static const char *take_unix_mode(void *values, const char *value)
{
    char *end;
    unsigned long mode = strtoul(value, &end, 8);
    if (end == value || *end != '\0' || mode > 0777)
        return "an octal mode is wanted, such as 0660";
    ((struct arguments *)values)->unix_mode = (mode_t)mode;
    return NULL;
}

/* Its first word without a part, if there is one, is that of tercetd's own lines, too. */
static const char *take_log_level(void *values, const char *value)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    struct arguments *args = values;
    args->options.log_levels = value;
    if (strchr(value, '=') != NULL)
        return NULL; /* the coordinator knows the parts */
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], value) != 0)
            continue;
        args->log_level = (enum tercet_log_level)i;
        return NULL;
    }
    return "error, warning, info or debug is wanted";
}

static const char *take_log_format(void *values, const char *value)
{
    return log_format_of(&((struct arguments *)values)->log_format, value)
               ? NULL
               : "text, json or journal is wanted";
}

static const char *take_quiet(void *values, const char *value)
{
    (void)value;
    return take_log_level(values, "warning");
}

static const struct cli_option options[] = {
    {"data", CLI_TEXT, FIELD(options.data), "DIR",
     .help = "the store's directory; made when missing; one process at a time"},
    {"listen", CLI_OTHER, 0, "ADDRESS",
     .help = "host:port or unix:/path; may be repeated (default 127.0.0.1:7420); port 0 takes a "
             "free one",
     .take = take_listen},
    {"grace", CLI_SHORT_DURATION, FIELD(grace_ms), "DURATION",
     .help = "on SIGTERM, how long calls under way may finish (default 5s)"},

    {NULL, CLI_HEADING, .help = "Who may call"},
    {"access", CLI_TEXT, FIELD(access_file), "FILE",
     .help = "lines \"role token\" or \"role identity:NAME\", with the roles initiator, "
             "participant, reader, operator, admin, all, and initiator:NAME, participant:NAME. "
             "Without it everybody may do everything, which is permitted "
             "on loopback and unix sockets only"},
    {"guard-health", CLI_FLAG, FIELD(options.is_health_guarded), NULL,
     .help = "health checks need one of the roles, too (default: they need none)",
     .needs = {"access"}},
    {"unix-mode", CLI_OTHER, 0, "MODE",
     .help = "who may connect to unix sockets, as for chmod (default 0660: owner and group)",
     .take = take_unix_mode},
    {"tls-cert", CLI_TEXT, FIELD(cert_file), "FILE", .help = "the server's certificate, PEM",
     .needs = {"tls-key"}},
    {"tls-key", CLI_TEXT, FIELD(key_file), "FILE", .help = "its key, PEM", .needs = {"tls-cert"}},
    {"tls-ca", CLI_TEXT, FIELD(ca_file), "FILE",
     .help = "clients must show a certificate signed by this CA", .needs = {"tls-cert"}},

    {NULL, CLI_HEADING, .help = "Connections"},
    {"connections-max", CLI_COUNT, FIELD(options.connections_max), "N",
     .help = "in all (default: as many as there are file descriptors, two for each)"},
    {"connections-per-peer", CLI_COUNT, FIELD(options.connections_per_peer_max), "N",
     .help = "of one address (default 1024)"},
    {"connection-rate", CLI_COUNT, FIELD(options.connection_rate_per_peer), "N",
     .help = "new ones a second of one address (default 500)"},
    {"streams-per-peer", CLI_COUNT, FIELD(options.streams_per_peer_max), "N",
     .help = "sessions, watchers and instances of one address (default 4096)"},
    {"memory-max", CLI_SIZE, FIELD(options.memory_max), "SIZE",
     .help = "what tercetd is to do with, such as three quarters of a container's memory; at least "
             "32M. What waits in memory gets parts of it, and --open-max a default that fits"},
    {"rpc-threads", CLI_COUNT, FIELD(options.rpc_threads), "N",
     .help = "threads that take and send messages (default 2, at most 256)"},
    {"first-request", CLI_SHORT_DURATION, FIELD(options.first_request_ms), "DURATION",
     .help = "one that makes no call for so long is cut (default 60s)"},
    {"connection-idle", CLI_SHORT_DURATION, FIELD(options.connection_idle_ms), "DURATION",
     .help = "one that has no call open for so long is ended (default 5m)"},
    {"connection-age", CLI_SHORT_DURATION, FIELD(options.connection_age_max_ms), "DURATION",
     .help = "one is ended so long after its begin, and made again by its client (default never)"},

    {NULL, CLI_HEADING, .help = "Calls to participants"},
    {"allow-target", CLI_OTHER, 0, "PATTERN",
     .help = "targets that participants may register, such as 'payment-*:9000'; may be repeated "
             "(default: any; sockets and loopback only by those who connect from this machine)",
     .take = take_allow_target},
    {"call-tls-ca", CLI_TEXT, FIELD(call_ca_file), "FILE",
     .help = "participants that listen are called with TLS (but at unix sockets), and must show a "
             "certificate signed by this CA; \"system\": by one of the system's roots"},
    {"call-tls-cert", CLI_TEXT, FIELD(call_cert_file), "FILE",
     .help = "the certificate that is shown to them, PEM",
     .needs = {"call-tls-key", "call-tls-ca"}},
    {"call-tls-key", CLI_TEXT, FIELD(call_key_file), "FILE", .help = "its key, PEM",
     .needs = {"call-tls-cert", "call-tls-ca"}},
    {"call-timeout", CLI_SHORT_DURATION, FIELD(options.call_timeout_ms), "DURATION",
     .help = "how long one call of a hook is waited for, unless initiator or participant "
             "ask otherwise (default 10s)"},
    {"retry-base", CLI_SHORT_DURATION, FIELD(options.retry_base_ms), "DURATION",
     .help = "longest pause before the first retry (default 100ms)"},
    {"retry-cap", CLI_SHORT_DURATION, FIELD(options.retry_cap_ms), "DURATION",
     .help = "longest pause before any retry (default 60s)"},
    {"park-after-failures", CLI_COUNT, FIELD(options.park_after_failures), "N",
     .help = "a branch is parked after so many failures (default 16)"},
    {"park-after", CLI_SHORT_DURATION, FIELD(options.park_after_ms), "DURATION",
     .help = "or after this without success (default 10m)"},

    {NULL, CLI_HEADING, .help = "What is kept"},
    {"retention", CLI_DURATION, FIELD(options.retention_ms), "DURATION",
     .help = "how long resolved transactions are kept (default 7d)"},
    {"store-size", CLI_SIZE, FIELD(options.store_size_max), "SIZE",
     .help = "the most the store may hold (default 64G; the file grows as needed)"},
    {"new", CLI_FLAG, FIELD(options.store_begins_anew), NULL,
     .help = "make a new store although DIR has held one, whose data are gone"},
    {"backup-dir", CLI_TEXT, FIELD(options.backup_dir), "DIR",
     .help = "where tercetctl backup makes copies (default: backups are refused)"},
    {"open-max", CLI_COUNT, FIELD(options.open_max), "N",
     .help = "unresolved transactions at most (default 1000000)"},

    {NULL, CLI_HEADING, .help = "What is said"},
    {"log-level", CLI_OTHER, 0, "LEVEL",
     .help =
         "error, warning, info (default) or debug: what is logged, with all that is worse; or for "
         "parts of it, such as info,store=debug: transactions, participants, store, connections "
         "(tercetctl log-level changes it)",
     .take = take_log_level},
    {"log-format", CLI_OTHER, 0, "FORMAT",
     .help = "text, json (an object a line) or journal (text with priorities, for systemd; default "
             "where standard error is the journal's)",
     .take = take_log_format},
    {"quiet", CLI_OTHER, 0, NULL, .help = "the same as --log-level warning", .take = take_quiet},
    {"list-failpoints", CLI_FLAG, FIELD(wants_failpoints), NULL,
     .help = "print the crash points of a test build"},
    {"help", CLI_FLAG, FIELD(wants_help), NULL, .help = "this text"},
    {"version", CLI_FLAG, FIELD(wants_version), NULL, .help = "the version"},
};

static void misuse(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void misuse(const char *format, ...)
{
    va_list values;
    fputs("tercetd: ", stderr);
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(EXIT_MISUSE);
}

static void print_help(const struct cli *cli)
{
    puts("usage: tercetd --data DIR [options]\n\n"
         "The transaction coordinator. Prints one line \"ready ADDRESS...\" when it serves.\n");
    cli_print_options(cli, 0);
    puts("\nDURATION: 500ms, 10s, 5m, 2h, 7d. SIZE: 512M, 64G.\n"
         "Exit status: 0 stopped by a signal, 1 could not start, 2 wrong options, 70 the store "
         "failed.");
}

static void list_failpoints(void)
{
    for (size_t i = 0; failpoint_name(i) != NULL; i++)
        puts(failpoint_name(i));
}

void arguments_parse(struct arguments *args, int argc, char **argv)
{
    struct cli cli = {.program = "tercetd",
                      .options = options,
                      .option_count = sizeof(options) / sizeof(options[0]),
                      .values = args,
                      .misuse = misuse};
    *args = (struct arguments){.options.size = sizeof(args->options),
                               .grace_ms = GRACE_MS_DEFAULT,
                               .unix_mode = UNIX_MODE_DEFAULT,
                               .options.log_levels = "info",
                               .log_level = TERCET_LOG_INFO,
                               .log_format = log_format_default()};
    cli_parse(&cli, argc, argv);
    if (args->wants_help)
        print_help(&cli);
    if (args->wants_version)
        printf("tercetd " TERCET_VERSION " (gRPC core %s)\n", crpc_core_version());
    if (args->wants_failpoints)
        list_failpoints();
    if (args->wants_help || args->wants_version || args->wants_failpoints)
        exit(0);
    if (cli.arg_count > 0)
        misuse("there are no arguments but options: %s is none; see tercetd --help", cli.args[0]);
    if (args->options.data == NULL)
        misuse("--data DIR is needed; see tercetd --help");
    args->options.listen = args->listen;
    args->options.allow_targets = args->allow_targets;
}
