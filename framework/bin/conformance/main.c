/* SPDX-License-Identifier: Apache-2.0
 *
 * tercet-conformance: plays coordinator, and tries whether a participant in any language keeps the
 * contract of docs/protocol.md.
 */
#include "../cli.h"
#include "process.h"
#include "run.h"

#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXIT_FAILED 1
#define EXIT_MISUSE 2
#define NUMBER_SHIFT 20 /* numbers begin at seconds since 1970 times 2^20 */
#define SOURCE_DEFAULT UINT64_C(0x7465726365742d63)
#define NAME_WIDTH 20

__attribute__((noreturn, format(printf, 1, 2))) static void misuse(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("tercet-conformance: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(EXIT_MISUSE);
}

/* -- Options ----------------------------------------------------------------------------------- */

static const char *take_source(void *values, const char *value)
{
    struct options *options = values;
    char *end = NULL;
    errno = 0;
    options->source = strtoull(value, &end, 16);
    return errno == 0 && end != value && *end == '\0' && options->source != 0
               ? NULL
               : "a number other than 0 in up to 16 hexadecimal digits is wanted";
}

#define FIELD(member) offsetof(struct options, member)

static const struct cli_option options_table[] = {
    {.kind = CLI_HEADING, .help = "Where the participant is:"},
    {"listen", CLI_TEXT, FIELD(listen), "ADDRESS",
     .help = "where it finds its coordinator (default 127.0.0.1:0: a free port)"},
    {"target", CLI_TEXT, FIELD(target), "ADDRESS",
     .help = "call it there (Participant.Execute) instead of waiting until it attaches or "
             "registers",
     .needs = {"action"}},
    {"call-token", CLI_TEXT, FIELD(call_token), "TOKEN",
     .help = "sent with each call to the target (authorization: Bearer TOKEN)",
     .needs = {"target"}},
    {"token", CLI_TEXT, FIELD(token), "TOKEN",
     .help = "which it has to bring when it attaches or registers; others are refused"},
    {"restart-command", CLI_TEXT, FIELD(restart_command), "COMMAND",
     .help =
         "a shell command that kills the participant (SIGKILL), waits for its end and starts it "
         "again, for those that are not started from here"},
    {"start-timeout", CLI_SHORT_DURATION, FIELD(start_ms), "DURATION",
     .help = "until it has come, at first and after each kill (default 30s)"},

    {.kind = CLI_HEADING, .help = "TLS (PEM files):"},
    {"tls-cert", CLI_TEXT, FIELD(cert_file), "FILE",
     .help = "listen with this certificate; without it in plaintext", .needs = {"tls-key"}},
    {"tls-key", CLI_TEXT, FIELD(key_file), "FILE", .help = "its key", .needs = {"tls-cert"}},
    {"tls-ca", CLI_TEXT, FIELD(ca_file), "FILE",
     .help = "who attaches or registers must show a certificate signed by this CA",
     .needs = {"tls-cert"}},
    {"call-tls-ca", CLI_TEXT, FIELD(call_ca_file), "FILE",
     .help = "call it with TLS; its certificate is signed by this CA (\"system\": the system's)"},
    {"call-tls-cert", CLI_TEXT, FIELD(call_cert_file), "FILE",
     .help = "the certificate that it is shown", .needs = {"call-tls-key", "call-tls-ca"}},
    {"call-tls-key", CLI_TEXT, FIELD(call_key_file), "FILE", .help = "its key",
     .needs = {"call-tls-cert", "call-tls-ca"}},

    {.kind = CLI_HEADING, .help = "What it is asked to do:"},
    {"action", CLI_TEXT, FIELD(action), "SERVICE/NAME",
     .help = "the action that is called (default: the first that it offers)"},
    {"payload", CLI_TEXT, FIELD(payload), "TEXT",
     .help = "a payload whose try can be done, some three hundred times (default: empty)"},
    {"payload-file", CLI_TEXT, FIELD(payload_file), "FILE", .help = "the same, from a file"},
    {"refused-payload", CLI_TEXT, FIELD(refused_payload), "TEXT",
     .help = "a payload whose try is always refused; without it the cases of refusals are left "
             "out"},
    {"timeout", CLI_SHORT_DURATION, FIELD(timeout_ms), "DURATION",
     .help = "how long an answer may take, and how often AGAIN may come before it (default 10s)"},

    {.kind = CLI_HEADING, .help = "How it is judged:"},
    {"probe", CLI_TEXT, FIELD(probe), "COMMAND",
     .help = "a shell command that prints whole numbers which effects change, such as \"8 free 2 "
             "reserved\"; without it answers alone are judged"},
    {"keeps-rows", CLI_FLAG, FIELD(keeps_rows), NULL,
     .help = "it never deletes barrier rows, and need not know marks (docs/protocol.md, 4)"},
    {"source", CLI_OTHER, 0, "HEX",
     .help = "the coordinator's identity in calls, when the database knows one already",
     .take = take_source},
    {"only", CLI_TEXT, FIELD(only), "NAME[,NAME]",
     .help = "only these cases, and try-confirm and try-cancel"},
    {"list", CLI_FLAG, FIELD(lists), NULL, .help = "print the cases' names and what they are"},
    {"help", CLI_FLAG, FIELD(wants_help), NULL, .help = "this text"},
    {"version", CLI_FLAG, FIELD(wants_version), NULL, .help = "the version"},
};

static void print_help(const struct cli *cli)
{
    puts("usage: tercet-conformance [options] -- COMMAND [ARGUMENT ...]\n"
         "       tercet-conformance [options]\n");
    cli_print_wrapped(
        "Plays coordinator, and tries whether a participant, in any language, keeps the contract "
        "of docs/protocol.md (installed in share/doc/tercet): repeats, empty cancels, late tries, "
        "marks, calls at once, kills. "
        "Prints a verdict for each case, with what was wanted, what came, and the section there.",
        0);
    puts("");
    cli_print_wrapped(
        "COMMAND starts the participant, with a new and empty database, and is started again "
        "after each kill, with the same one. " PLACEHOLDER " in it is replaced by the address of "
        "its coordinator. Without COMMAND, start it yourself.",
        0);
    puts("");
    cli_print_options(cli, 0);
    puts("\nExit status: 0 all held, 1 a case failed, 2 wrong usage, or there was nobody to try.");
}

/* -- Preparing --------------------------------------------------------------------------------- */

static char *read_payload(const char *path, size_t *size)
{
    char *bytes = calloc(1, TERCET_PAYLOAD_MAX + 1);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        misuse("--payload-file %s: %s", path, strerror(errno));
    if (bytes == NULL)
        abort();
    *size = fread(bytes, 1, TERCET_PAYLOAD_MAX + 1, file);
    if (ferror(file) != 0)
        misuse("--payload-file %s: it cannot be read", path);
    if (*size > TERCET_PAYLOAD_MAX)
        misuse("--payload-file %s: a payload has at most 64 KiB", path);
    fclose(file);
    return bytes;
}

static void take_payload(struct run *run)
{
    const struct options *options = run->options;
    if (options->payload != NULL && options->payload_file != NULL)
        misuse("--payload and --payload-file: one of them");
    if (options->payload_file != NULL)
        run->payload.data = read_payload(options->payload_file, &run->payload.size);
    else if (options->payload != NULL)
        run->payload = (struct tercet_bytes){options->payload, strlen(options->payload)};
    if (run->payload.size > TERCET_PAYLOAD_MAX)
        misuse("--payload: a payload has at most 64 KiB");
}

static void check_options(const struct options *options)
{
    if (options->action != NULL && check_action(options->action) != NULL)
        misuse("--action %s: %s", options->action, check_action(options->action));
    if (options->command != NULL && options->restart_command != NULL)
        misuse("--restart-command is for participants that no COMMAND starts");
    if (options->target != NULL && options->listen != NULL)
        misuse("--target and --listen: one of them");
}

/* Above the numbers of every run before this one: they grow faster than any run uses them up. */
static uint64_t first_number(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec << NUMBER_SHIFT) +
           ((uint64_t)now.tv_nsec << NUMBER_SHIFT) / 1000000000;
}

static void begin_run(struct run *run, const struct options *options)
{
    struct tercet_gid gid;
    tercet_gid_make(&gid);
    *run = (struct run){.options = options, .effects = {.command = options->probe}};
    memcpy(run->prefix, gid.text, sizeof(gid.text));
    run->last_number = first_number();
    take_payload(run);
}

#define PEM_FILES_MAX 6 /* options that name one */

/* Lives as long as the program. NULL without a file. */
static const char *read_pem(const char *path)
{
    static char *texts[PEM_FILES_MAX];
    static size_t count;
    if (path == NULL)
        return NULL;
    if (strcmp(path, "system") == 0)
        return "";
    if (crpc_file_read(&texts[count], path) != 0)
        misuse("%s: %s", path, strerror(errno));
    return texts[count++];
}

static struct crpc_tls read_tls(const char *ca, const char *cert, const char *key)
{
    return (struct crpc_tls){.size = sizeof(struct crpc_tls),
                             .ca = read_pem(ca),
                             .cert = read_pem(cert),
                             .key = read_pem(key)};
}

static void open_link(struct run *run)
{
    const struct options *options = run->options;
    char text[TERCET_TEXT_MAX] = "";
    const struct link_options way = {
        .address = options->listen != NULL ? options->listen : "127.0.0.1:0",
        .target = options->target,
        .call_token = options->call_token,
        .token = options->token,
        .tls = read_tls(options->ca_file, options->cert_file, options->key_file),
        .call_tls =
            read_tls(options->call_ca_file, options->call_cert_file, options->call_key_file)};
    if (link_open(&run->link, &way, text) != 0)
        misuse("%s", text);
    setenv("TERCET_COORDINATOR", link_address(run->link), 1);
    if (options->target == NULL && options->command == NULL)
        fprintf(stderr, "waiting for a participant at %s\n", link_address(run->link));
}

static void find_participant(struct run *run)
{
    const struct options *options = run->options;
    char why[200];
    if (options->command != NULL && !process_start(options->command, link_address(run->link)))
        misuse("%s: %s", options->command[0], strerror(errno));
    if (!wait_for_participant(run, 0, why, sizeof(why)))
        misuse(
            "no participant has attached or registered at %s: %s%s", link_address(run->link), why,
            link_refused(run->link) > 0 ? "; calls without the token of --token were refused" : "");
    snprintf(run->action, sizeof(run->action), "%s",
             options->action != NULL ? options->action : run->participant.action);
    if (options->target != NULL && !reach(run))
        misuse("nobody answers at %s within %u ms", options->target, options->start_ms);
    if (options->target != NULL)
        snprintf(run->participant.service, sizeof(run->participant.service), "%.*s",
                 (int)strcspn(options->action, "/"), options->action);
}

/* -- Playing ----------------------------------------------------------------------------------- */

struct tally {
    int ok;
    int failed;
    int left_out;
    bool is_over; /* what is basic does not hold: nothing else can be judged */
};

static const struct test_case *const groups[] = {cases_table,   cases_refusal, cases_crowd,
                                                 cases_time,    cases_odd,     cases_mark,
                                                 cases_restart, cases_last};
#define GROUP_COUNT (sizeof(groups) / sizeof(groups[0]))

/* Whether `name` is one of those in the list "a,b,c". */
static bool is_listed(const char *list, const char *name)
{
    const size_t size = strlen(name);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, size) == 0 && (at[size] == ',' || at[size] == '\0'))
            return true;
    }
    return false;
}

/* NULL, or what is missing for the case. */
static const char *missing(const struct run *run, unsigned needs)
{
    const struct options *options = run->options;
    if ((needs & NEEDS_REFUSAL) != 0 && options->refused_payload == NULL)
        return "needs --refused-payload";
    if ((needs & NEEDS_RESTART) != 0 && options->command == NULL &&
        options->restart_command == NULL)
        return "needs a COMMAND or --restart-command";
    if ((needs & NEEDS_ATTACH) != 0 && !run->participant.is_attached)
        return "it does not attach";
    if ((needs & NEEDS_HELLO) != 0 && options->target != NULL)
        return "it is called at --target";
    return (needs & NEEDS_MARKS) != 0 && options->keeps_rows ? "it keeps all rows" : NULL;
}

/* A participant that has ended is started again, so that the other cases can be judged. */
static void revive(struct run *run)
{
    char end[100];
    if (run->options->command != NULL && process_has_ended(end, sizeof(end)))
        restart(run);
}

static void print_verdict(const struct run *run, const struct test_case *test, bool is_right)
{
    printf("%-5s %-*s %s\n", is_right ? "ok" : "FAIL", NAME_WIDTH, test->name, test->title);
    if (!is_right && run->before[0] != '\0')
        printf("        after:  %s\n", run->before);
    if (!is_right)
        printf("        wanted: %s\n        came:   %s\n        see docs/protocol.md, %s\n",
               run->wanted, run->came, run->section != NULL ? run->section : test->section);
    fflush(stdout);
}

static void play(struct run *run, const struct test_case *test, struct tally *tally)
{
    run->step = 0;
    run->section = NULL;
    run->before[0] = '\0';
    revive(run);
    effects_begin(&run->effects);
    bool is_right = test->play(run);
    print_verdict(run, test, is_right);
    if (is_right)
        tally->ok++;
    else
        tally->failed++;
    tally->is_over = tally->is_over || (!is_right && (test->needs & IS_BASIC) != 0);
}

static void consider(struct run *run, const struct test_case *test, struct tally *tally)
{
    const char *only = run->options->only;
    const char *why = missing(run, test->needs);
    if (only != NULL && !is_listed(only, test->name) && (test->needs & IS_BASIC) == 0)
        return;
    if (why == NULL && !tally->is_over) {
        play(run, test, tally);
        return;
    }
    printf("%-5s %-*s %s\n", "-", NAME_WIDTH, test->name,
           why != NULL ? why : "not played: what is basic does not hold");
    tally->left_out++;
}

static int summarise(const struct run *run, const struct tally *tally)
{
    printf("\n%d cases: %d ok, %d failed; %d left out. %s\n", tally->ok + tally->failed, tally->ok,
           tally->failed, tally->left_out,
           run->options->probe != NULL
               ? "Effects were judged by the probe."
               : "Effects were not seen: answers alone were judged (see --probe).");
    if (tally->failed > 0)
        puts("Begin the next run with a new database: what went wrong may have left its traces.");
    return tally->failed > 0 ? EXIT_FAILED : 0;
}

static const struct test_case *find_case(const char *name)
{
    for (size_t i = 0; i < GROUP_COUNT; i++)
        for (const struct test_case *test = groups[i]; test->name != NULL; test++)
            if (is_listed(name, test->name))
                return test;
    return NULL;
}

static int play_all(const struct options *options)
{
    struct run run;
    struct tally tally = {0};
    if (options->only != NULL && find_case(options->only) == NULL)
        misuse("--only %s: there is no such case; see --list", options->only);
    begin_run(&run, options);
    open_link(&run);
    find_participant(&run);
    for (size_t i = 0; i < GROUP_COUNT; i++)
        for (const struct test_case *test = groups[i]; test->name != NULL; test++)
            consider(&run, test, &tally);
    process_kill();
    link_close(run.link);
    if (options->payload_file != NULL)
        free((void *)(uintptr_t)run.payload.data);
    return summarise(&run, &tally);
}

static void print_cases(void)
{
    for (size_t i = 0; i < GROUP_COUNT; i++)
        for (const struct test_case *test = groups[i]; test->name != NULL; test++)
            printf("%-*s %-4s %s\n", NAME_WIDTH, test->name, test->section, test->title);
}

int main(int argc, char **argv)
{
    struct options options = {.timeout_ms = 10000, .start_ms = 30000, .source = SOURCE_DEFAULT};
    struct cli cli = {.program = "tercet-conformance",
                      .options = options_table,
                      .option_count = sizeof(options_table) / sizeof(options_table[0]),
                      .values = &options,
                      .misuse = misuse};
    cli_parse(&cli, argc, argv);
    cli.args[cli.arg_count] = NULL;
    options.command = cli.arg_count > 0 ? cli.args : NULL;
    if (options.wants_help)
        print_help(&cli);
    else if (options.wants_version)
        puts("tercet-conformance " TERCET_VERSION);
    else if (options.lists)
        print_cases();
    if (options.wants_help || options.wants_version || options.lists)
        return 0;
    check_options(&options);
    return play_all(&options);
}
