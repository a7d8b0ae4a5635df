/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd_options.h
 */
#include "tercetd_options.h"

#include "cli.h"

#include <crpc/crpc.h>
#include <errno.h>
#include <failpoint.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_MISUSE 2
#define GRACE_MS_DEFAULT 5000
#define UNIX_MODE_DEFAULT 0660
#define CONFIG_FILE_DEFAULT "/etc/tercet/tercetd.yaml"
#define PREFIX "TERCET_"

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

static bool find_level(enum tercet_log_level *out, const char *name, size_t size)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i]) != size || memcmp(names[i], name, size) != 0)
            continue;
        *out = (enum tercet_log_level)i;
        return true;
    }
    return false;
}

/* A word without a part counts for tercetd's own lines, too; the last of them. The coordinator
 * knows the parts. */
static const char *take_log_level(void *values, const char *value)
{
    struct arguments *args = values;
    for (const char *word = value; word != NULL; word = strchr(word, ',')) {
        word += *word == ',';
        size_t size = strcspn(word, ",");
        if (memchr(word, '=', size) == NULL && !find_level(&args->log_level, word, size))
            return "error, warning, info or debug is wanted, or PART=LEVEL; several with commas";
    }
    args->options.log_levels = value;
    return NULL;
}

static const char *take_log_format(void *values, const char *value)
{
    return log_format_of(&((struct arguments *)values)->log_format, value)
               ? NULL
               : "text, json or journal is wanted";
}

/* In the coordinator's options 0 stands for the default, which is all. */
static const char *take_trace_sample(void *values, const char *value)
{
    char *end;
    double ratio = strtod(value, &end);
    if (end == value || *end != '\0' || !(ratio >= 0 && ratio <= 1))
        return "a number from 0 (none) to 1 (all) is wanted, such as 0.01";
    ((struct arguments *)values)->options.trace_sample = ratio > 0 ? ratio : -1;
    return NULL;
}

static const struct cli_option options[] = {
    {"data", CLI_TEXT, FIELD(options.data), "DIR",
     .help =
         "the store's directory; made when missing; one process at a time; memory: keeps nothing "
         "past the process, to try things out (default: "
         "/var/lib/tercet for root, else ~/.local/state/tercet or $XDG_STATE_HOME/tercet)"},
    {"store", CLI_TEXT, FIELD(store), "NAME",
     .help =
         "a store that is no directory, in place of --data: etcd://HOST:PORT[,HOST:PORT]/PREFIX; "
         "of several tercetd that name it one serves and the others stand by"},
    {"listen", CLI_OTHER, 0, "ADDRESS",
     .help = "host:port or unix:/path; may be repeated; port 0 takes a free one",
     .take = take_listen, .traits = CLI_REPEATS, .unless = "127.0.0.1:7420"},
    {"grace", CLI_SHORT_DURATION, FIELD(grace_ms), "DURATION",
     .help = "on SIGTERM, how long calls under way may finish", .unless = "5s",
     .traits = CLI_RELOADS},

    {NULL, CLI_HEADING, .help = "HTTP"},
    {"http", CLI_TEXT, FIELD(http_address), "ADDRESS",
     .help =
         "host:port of metrics (/metrics), health (/healthz, /readyz) and the console; port 0 "
         "takes a free one (default: none). With --tls-cert it is HTTPS; from other machines it "
         "wants --access"},
    {"metrics-open", CLI_FLAG, FIELD(are_metrics_open), NULL,
     .help = "metrics need no token (default: with --access one of the role reader)",
     .needs = {"http"}},

    {NULL, CLI_HEADING, .help = "Who may call"},
    {"access", CLI_TEXT, FIELD(access_file), "FILE", .traits = CLI_RELOADS,
     .help =
         "lines \"role token\" or \"role identity:NAME\", with the roles initiator, participant, "
         "reader, operator, admin, all, and initiator:NAME, participant:NAME. Without it everybody "
         "may do everything, which is permitted on loopback and unix sockets only"},
    {"guard-health", CLI_FLAG, FIELD(options.is_health_guarded), NULL,
     .help = "health checks need one of the roles, too", .needs = {"access"}, .unless = "false"},
    {"unix-mode", CLI_OTHER, 0, "MODE", .help = "who may connect to unix sockets, as for chmod",
     .take = take_unix_mode, .unless = "0660"},
    {"tls-cert", CLI_TEXT, FIELD(cert_file), "FILE", .help = "the server's certificate, PEM",
     .traits = CLI_RELOADS, .needs = {"tls-key"}},
    {"tls-key", CLI_TEXT, FIELD(key_file), "FILE", .help = "its key, PEM", .traits = CLI_RELOADS,
     .needs = {"tls-cert"}},
    {"tls-ca", CLI_TEXT, FIELD(ca_file), "FILE",
     .help = "clients must show a certificate signed by this CA", .traits = CLI_RELOADS,
     .needs = {"tls-cert"}},

    {NULL, CLI_HEADING, .help = "Connections"},
    {"connections-max", CLI_COUNT, FIELD(options.connections_max), "N",
     .help = "in all (default: as many as there are file descriptors, two for each)"},
    {"connections-per-peer", CLI_COUNT, FIELD(options.connections_per_peer_max), "N",
     .help = "of one address", .unless = "1024"},
    {"connection-rate", CLI_COUNT, FIELD(options.connection_rate_per_peer), "N",
     .help = "new ones a second of one address", .unless = "500"},
    {"streams-per-peer", CLI_COUNT, FIELD(options.streams_per_peer_max), "N",
     .help = "sessions, watchers and instances of one address", .unless = "4096"},
    {"memory-max", CLI_SIZE, FIELD(options.memory_max), "SIZE",
     .help = "what tercetd is to do with, such as three quarters of a container's memory; at least "
             "32M. What waits in memory gets parts of it, and --open-max a default that fits"},
    {"rpc-threads", CLI_COUNT, FIELD(options.rpc_threads), "N",
     .help = "threads that take and send messages, at most 256", .unless = "2"},
    {"first-request", CLI_SHORT_DURATION, FIELD(options.first_request_ms), "DURATION",
     .help = "one that makes no call for so long is cut", .unless = "60s"},
    {"connection-idle", CLI_SHORT_DURATION, FIELD(options.connection_idle_ms), "DURATION",
     .help = "one that has no call open for so long is ended", .unless = "5m"},
    {"connection-age", CLI_SHORT_DURATION, FIELD(options.connection_age_max_ms), "DURATION",
     .help = "one is ended so long after its begin, and made again by its client (default: never)"},

    {NULL, CLI_HEADING, .help = "Calls to participants"},
    {"allow-target", CLI_OTHER, 0, "PATTERN",
     .help = "targets that participants may register, such as 'payment-*:9000'; may be repeated "
             "(default: any; sockets and loopback only by those who connect from this machine)",
     .take = take_allow_target, .traits = CLI_REPEATS},
    {"call-tls-ca", CLI_TEXT, FIELD(call_ca_file), "FILE",
     .help = "participants that listen are called with TLS (but at unix sockets), and must show a "
             "certificate signed by this CA; \"system\": by one of the system's roots"},
    {"call-tls-cert", CLI_TEXT, FIELD(call_cert_file), "FILE",
     .help = "the certificate that is shown to them, PEM",
     .needs = {"call-tls-key", "call-tls-ca"}},
    {"call-tls-key", CLI_TEXT, FIELD(call_key_file), "FILE", .help = "its key, PEM",
     .needs = {"call-tls-cert", "call-tls-ca"}},
    {"call-timeout", CLI_SHORT_DURATION, FIELD(options.call_timeout_ms), "DURATION",
     .help =
         "how long one call of a hook is waited for, unless initiator or participant ask otherwise",
     .unless = "10s"},
    {"retry-base", CLI_SHORT_DURATION, FIELD(options.retry_base_ms), "DURATION",
     .help = "longest pause before the first retry", .unless = "100ms"},
    {"retry-cap", CLI_SHORT_DURATION, FIELD(options.retry_cap_ms), "DURATION",
     .help = "longest pause before any retry", .unless = "60s"},
    {"park-after-failures", CLI_COUNT, FIELD(options.park_after_failures), "N",
     .help = "a branch is parked after so many failures", .unless = "16"},
    {"park-after", CLI_SHORT_DURATION, FIELD(options.park_after_ms), "DURATION",
     .help = "or after this without success", .unless = "10m"},

    {NULL, CLI_HEADING, .help = "What is kept"},
    {"retention", CLI_DURATION, FIELD(options.retention_ms), "DURATION",
     .help = "how long resolved transactions are kept", .unless = "7d"},
    {"store-size", CLI_SIZE, FIELD(options.store_size_max), "SIZE",
     .help = "the most the store may hold; the file grows as needed", .unless = "64G"},
    {"new", CLI_FLAG, FIELD(options.store_begins_anew), NULL,
     .help = "make a new store although DIR has held one, whose data are gone",
     .traits = CLI_LINE_ONLY},
    {"backup-dir", CLI_TEXT, FIELD(options.backup_dir), "DIR",
     .help = "where tercetctl backup makes copies (default: backups are refused)"},
    {"check", CLI_TEXT, FIELD(check_parts), "PART",
     .help = "instead of serving, read the store, also while another tercetd has it open, say what "
             "is damaged, and exit: all of it, or unresolved, resolved, others (registrations), "
             "index. tercetctl check does it by way of tercetd",
     .traits = CLI_LINE_ONLY},
    {"open-max", CLI_COUNT, FIELD(options.open_max), "N", .help = "unresolved transactions at most",
     .unless = "1000000"},

    {NULL, CLI_HEADING, .help = "What is said"},
    {"log-level", CLI_OTHER, 0, "LEVEL",
     .help = "error, warning, info or debug: what is logged, with all that is worse; or for parts "
             "of it, such as store=debug: transactions, participants, store, connections "
             "(tercetctl log-level changes it)",
     .take = take_log_level, .unless = "info", .traits = CLI_RELOADS},
    {"log-format", CLI_OTHER, 0, "FORMAT",
     .help = "text, json (an object a line) or journal (text with priorities, for systemd; default "
             "where standard error is the journal's)",
     .take = take_log_format},
    {"quiet", CLI_FLAG, 0, NULL, .help = "the same as --log-level warning",
     .stands_for = "log-level", .stands_for_value = "warning"},

    {NULL, CLI_HEADING, .help = "Traces"},
    {"otlp", CLI_TEXT, FIELD(options.otlp), "URL",
     .help = "where spans of transactions are sent, by OTLP over gRPC: http://HOST:4317 or "
             "https://HOST:4317 (default: none are made). OTEL_EXPORTER_OTLP_ENDPOINT is not read: "
             "it mostly names the port of OTLP over HTTP"},
    {"otlp-ca", CLI_TEXT, FIELD(otlp_ca_file), "FILE", .needs = {"otlp"},
     .help = "https: who signs the collector's certificate, PEM (default: one of the system's "
             "roots)"},
    {"otlp-headers", CLI_TEXT, FIELD(otlp_headers_file), "FILE", .needs = {"otlp"},
     .help = "lines \"name: value\" that go with each export, such as \"authorization: Bearer "
             "...\""},
    {"trace-sample", CLI_OTHER, 0, "RATIO", .take = take_trace_sample, .needs = {"otlp"},
     .help = "which share of the transactions is traced, from 0 to 1, such as 0.01 (default: 1). "
             "An initiator that sends a traceparent decides it for its own"},

    {NULL, CLI_HEADING, .help = "Configuration"},
    {"config", CLI_TEXT, FIELD(config_file), "FILE", .traits = CLI_LINE_ONLY,
     .help = "the file with options; TERCET_CONFIG says it, too; none: no file "
             "(default " CONFIG_FILE_DEFAULT ", where it is there)"},
    {"check-config", CLI_FLAG, FIELD(checks_config), NULL, .traits = CLI_LINE_ONLY,
     .help = "look whether tercetd could start so, start nothing; exit status as at a start, with "
             "the store left alone"},
    {"print-config", CLI_FLAG, FIELD(prints_config), NULL, .traits = CLI_LINE_ONLY,
     .help =
         "print all options as they would count, and where each comes from; passwords are hidden"},
    {"list-failpoints", CLI_FLAG, FIELD(wants_failpoints), NULL,
     .help = "print the crash points of a test build", .traits = CLI_LINE_ONLY},
    {"help", CLI_FLAG, FIELD(wants_help), NULL, .help = "this text", .traits = CLI_LINE_ONLY},
    {"version", CLI_FLAG, FIELD(wants_version), NULL, .help = "the version",
     .traits = CLI_LINE_ONLY},
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
    puts("usage: tercetd [options]\n"
         "       tercetd dev [options]\n\n"
         "The transaction coordinator. Prints one line \"ready ADDRESS...\" when it serves.\n"
         "Each option is also a line of the configuration file (store-size: 64G) and a variable\n"
         "(TERCET_STORE_SIZE=64G). The command line counts more than the environment, and that "
         "more\n"
         "than the file. SIGHUP reads the file, access rules and certificates anew.\n\n"
         "tercetd dev is for a first try: its store is in memory, two services are there to be "
         "called,\n"
         "and it prints what to do next.\n");
    cli_print_options(cli, 0);
    puts("\nDURATION: 500ms, 10s, 5m, 2h, 7d. SIZE: 512M, 64G.\n"
         "Exit status: 0 stopped by a signal, 1 could not start, 2 wrong options, 70 the store "
         "failed.\n"
         "With --check: 0 all is whole, 1 something is damaged or cannot be read, 70 a page is so "
         "damaged\nthat the reading ended there: the last line says what was read.");
}

static void list_failpoints(void)
{
    for (size_t i = 0; failpoint_name(i) != NULL; i++)
        puts(failpoint_name(i));
}

/* -- Where they come from ---------------------------------------------------------------------- */

/* As command line and environment have it: what a file is laid under, again at each SIGHUP. */
static struct {
    struct cli cli;
    struct arguments args;
    struct cli_strings strings;
} line;

static const char default_file[] = CONFIG_FILE_DEFAULT;

/* The file that is read; NULL: none. */
static const char *config_file_of(const struct arguments *args)
{
    const char *file = args->config_file != NULL ? args->config_file : getenv("TERCET_CONFIG");
    if (file != NULL && file[0] != '\0')
        return strcmp(file, "none") == 0 ? NULL : file;
    /* One that cannot even be looked for may be there: it is not silently left out. */
    const bool is_absent = access(default_file, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR);
    return is_absent ? NULL : default_file;
}

/* Where a store lies that nobody gave a place; "" when there is none. */
static void default_data(char path[DATA_PATH_MAX])
{
    const char *service = getenv("STATE_DIRECTORY"); /* systemd.exec(5) */
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    path[0] = '\0';
    if (service != NULL && service[0] == '/')
        snprintf(path, DATA_PATH_MAX, "%.*s", (int)strcspn(service, ":"), service);
    else if (geteuid() == 0)
        snprintf(path, DATA_PATH_MAX, "/var/lib/tercet");
    else if (state != NULL && state[0] == '/')
        snprintf(path, DATA_PATH_MAX, "%s/tercet", state);
    else if (home != NULL && home[0] == '/')
        snprintf(path, DATA_PATH_MAX, "%s/.local/state/tercet", home);
}

static int settle_data(struct arguments *args, struct cli *cli, char *text)
{
    if (args->store != NULL && args->options.data != NULL) {
        snprintf(text, CLI_TEXT_MAX, "--store and --data both name the store: give one of them");
        return -1;
    }
    if (args->store != NULL)
        args->options.data = args->store;
    if (args->options.data != NULL)
        return 0;
    default_data(args->default_data);
    if (args->default_data[0] != '\0') {
        cli_set(cli, cli_find(cli, "data"), args->default_data, "default");
        return 0;
    }
    snprintf(text, CLI_TEXT_MAX, "--data DIR is needed, since HOME is not set; see tercetd --help");
    return -1;
}

static int settle_needs(const struct cli *cli, char *text)
{
    const char *needed = NULL;
    const struct cli_option *option = cli_check_needs(cli, &needed);
    if (option == NULL)
        return 0;
    snprintf(text, CLI_TEXT_MAX, "--%s needs --%s, too; see tercetd --help", option->name, needed);
    return -1;
}

int arguments_read_file(struct arguments *out, char text[CLI_TEXT_MAX])
{
    struct cli cli = line.cli;
    *out = line.args;
    cli.values = out;
    cli.origins = &out->origins;
    const char *file = out->config_file = config_file_of(out);
    int rc = file != NULL ? cli_read_file(&cli, file, &out->strings, text) : 0;
    if (rc != 0 && file == default_file)
        strncat(text, "; --config none reads no file", CLI_TEXT_MAX - strlen(text) - 1);
    if (rc == 0)
        rc = settle_data(out, &cli, text);
    if (rc == 0)
        rc = settle_needs(&cli, text);
    out->given = cli.given;
    out->options.listen = out->listen;
    out->options.allow_targets = out->allow_targets;
    return rc;
}

void arguments_clear(struct arguments *args)
{
    cli_strings_clear(&args->strings);
}

void arguments_print(const struct arguments *args)
{
    struct cli cli = line.cli;
    cli.given = args->given;
    cli_print_values(&cli, &args->origins);
}

size_t arguments_warn_variables(arguments_warn_fn warn)
{
    size_t count = 0;
    const char *nearest = NULL;
    char *name;
    for (size_t i = 0; (name = cli_next_unknown_variable(&line.cli, PREFIX, &i, &nearest)) != NULL;
         free(name)) {
        char meant[64];
        cli_variable_of(meant, PREFIX, cli_find(&line.cli, nearest));
        warn(name, meant);
        count++;
    }
    return count;
}

/* To try things out, nothing is to be in the way: no file of a service that is installed here. */
static void settle_dev(struct arguments *args)
{
    if (args->access_file != NULL || args->cert_file != NULL)
        misuse("tercetd dev has no --access and no --tls-cert: its services bring no token");
    if (args->store != NULL ||
        (args->options.data != NULL && strcmp(args->options.data, "memory:") != 0))
        misuse("tercetd dev has no --data and no --store: its services and its store are in "
               "memory, and gone with "
               "it. To keep a store, run tercetd --data DIR, with participants of your own");
    if (args->config_file == NULL)
        args->config_file = "none";
    if (args->options.data == NULL)
        cli_set(&line.cli, cli_find(&line.cli, "data"), "memory:", "dev");
#ifdef TERCET_CONSOLE
    if (args->http_address == NULL)
        cli_set(&line.cli, cli_find(&line.cli, "http"), "127.0.0.1:0", "dev");
#endif
}

static void print_and_end(const struct arguments *args)
{
    if (args->wants_help)
        print_help(&line.cli);
    if (args->wants_version)
        printf("tercetd " TERCET_VERSION " (gRPC core %s)\n", crpc_core_version());
    if (args->wants_failpoints)
        list_failpoints();
    if (args->wants_help || args->wants_version || args->wants_failpoints)
        exit(0);
}

void arguments_parse(struct arguments *args, int argc, char **argv)
{
    char text[CLI_TEXT_MAX];
    line.cli = (struct cli){.program = "tercetd",
                            .options = options,
                            .option_count = sizeof(options) / sizeof(options[0]),
                            .values = &line.args,
                            .misuse = misuse,
                            .origins = &line.args.origins};
    line.args = (struct arguments){.options.size = sizeof(args->options),
                                   .grace_ms = GRACE_MS_DEFAULT,
                                   .unix_mode = UNIX_MODE_DEFAULT,
                                   .options.log_levels = "info",
                                   .log_level = TERCET_LOG_INFO,
                                   .log_format = log_format_default()};
    cli_parse(&line.cli, argc, argv);
    print_and_end(&line.args);
    line.args.is_dev = line.cli.arg_count == 1 && strcmp(line.cli.args[0], "dev") == 0;
    if (line.cli.arg_count > 0 && !line.args.is_dev)
        misuse("there are no arguments but options, and \"dev\": %s is none; see tercetd --help",
               line.cli.args[0]);
    if (line.args.is_dev)
        settle_dev(&line.args);
    if (cli_read_environment(&line.cli, PREFIX, &line.strings, text) != 0 ||
        arguments_read_file(args, text) != 0)
        misuse("%s", text);
}
