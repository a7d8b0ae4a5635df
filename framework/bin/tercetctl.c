/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetctl: what operators see and settle. The command line; the commands are in the other files.
 */
#include "tercetctl.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_DEFAULT 100
#define COORDINATOR_DEFAULT "127.0.0.1:7420"

static const char usage[] =
    "usage: tercetctl [options] COMMAND [arguments]\n"
    "\n"
    "Shows and settles what a transaction coordinator (tercetd) holds.\n"
    "\n"
    "  ls                         transactions that are not over yet, or with --resolved those "
    "that are\n"
    "  show GID                   one transaction: its state, its times, its branches\n"
    "  watch GID                  prints each change of a transaction until its end\n"
    "  participants               services, their instances, load, breakers, last errors\n"
    "  stats                      the coordinator's figures\n"
    "  retry GID [BRANCH]         asks waiting and parked branches again now\n"
    "  settle GID BRANCH --reason TEXT   declares a parked branch resolved by hand\n"
    "  confirm GID [--reason TEXT]       decides an undecided transaction\n"
    "  cancel GID --reason TEXT          the same\n"
    "  pause SERVICE              holds the calls of a service back\n"
    "  resume SERVICE             lets them go again\n"
    "\n"
    "  --coordinator ADDRESS      host:port or unix:/path (default TERCET_COORDINATOR "
    "or " COORDINATOR_DEFAULT ")\n"
    "  --token-file FILE          a token of the role admin (default: that in TERCET_TOKEN)\n"
    "  --tls-ca FILE              use TLS; the coordinator's certificate is signed by this CA\n"
    "  --tls-cert FILE            our own certificate and\n"
    "  --tls-key FILE             key, PEM\n"
    "  -o, --output table|json    how to print (default table)\n"
    "  --timeout DURATION         how long to wait for an answer (default 10s; watch: no limit)\n"
    "  --help [COMMAND], --version\n"
    "\n"
    "DURATION: 500ms, 10s, 5m, 2h. JSON has the fields of tercet.proto under their names there.\n"
    "Exit status: 0 done, 1 the coordinator said no or cannot be reached, 2 wrong usage.\n";

/* -- Commands ---------------------------------------------------------------------------------- */

enum { OWN_LS = 1, OWN_REASON = 2 }; /* groups of options that only some commands have */

struct command {
    const char *name;
    int (*run)(struct ctl *ctl);
    int args_min, args_max;
    unsigned options;
    const char *synopsis;
    const char *help;
};

static const struct command commands[] = {
    {"ls", command_ls, 0, 0, OWN_LS,
     "ls [--state S]... [--parked] [--service NAME] [--resolved] [--limit N]",
     "Lists transactions that are not over yet, oldest first, with the branch that needs attention "
     "most.\n"
     "DONE is how many of its branches have acknowledged the decision.\n"
     "\n"
     "  --state S         only those that are trying, confirming, cancelling, confirmed or "
     "cancelled;\n"
     "                    may be repeated; confirmed and cancelled imply --resolved\n"
     "  --parked          only those with a branch that needs a person\n"
     "  --service NAME    only those with a branch of this service\n"
     "  --resolved        those that are over, newest first, as long as tercetd keeps them\n"
     "  --limit N         at most N (default 100; 0: all)\n"
     "\n"
     "JSON: {\"transactions\": [...], \"next_page_token\": \"...\"}; the token is empty when all "
     "are shown.\n"},
    {"show", command_show, 1, 1, 0, "show GID",
     "Shows a transaction: its state and why, when it was created, decided and resolved, and each "
     "branch\n"
     "with its try, its confirm or cancel, how often that failed, when it is tried next, the last "
     "error.\n"},
    {"watch", command_watch, 1, 1, 0, "watch GID",
     "Prints the transaction's state now and at each change, and ends after the last. With -o "
     "json, one\n"
     "object a line. Exit status 1 when the coordinator goes away before the transaction's end.\n"
     "Needs the role initiator or admin.\n"},
    {"participants", command_participants, 0, 0, 0, "participants",
     "Lists services: attached instances, calls under way of those they take at once (their "
     "windows),\n"
     "calls that wait, whether the breaker is open or the service paused, and the last error.\n"},
    {"stats", command_stats, 0, 0, 0, "stats",
     "Shows the coordinator's figures: whether it takes new work, transactions by state, store and "
     "disk.\n"},
    {"retry", command_retry, 1, 2, 0, "retry GID [BRANCH]",
     "Asks a branch again now instead of after its pause, or all branches that wait: after the "
     "cause of\n"
     "the failures has been removed. Does no harm when nothing waits.\n"},
    {"settle", command_settle, 2, 2, OWN_REASON, "settle GID BRANCH --reason TEXT",
     "Declares a parked branch resolved, after its effects were put right by hand in the "
     "participant's\n"
     "own database. It is not called any more. The reason is kept with the transaction.\n"},
    {"confirm", command_confirm, 1, 1, OWN_REASON, "confirm GID [--reason TEXT]",
     "Decides that an undecided transaction is confirmed. Every try must be known to be done.\n"},
    {"cancel", command_cancel, 1, 1, OWN_REASON, "cancel GID --reason TEXT",
     "Decides that an undecided transaction is cancelled. The reason is kept with the "
     "transaction.\n"},
    {"pause", command_pause, 1, 1, 0, "pause SERVICE",
     "Holds the calls of a service back, also after a restart of the coordinator, until it is "
     "resumed.\n"},
    {"resume", command_resume, 1, 1, 0, "resume SERVICE",
     "Lets the calls of a paused service go again.\n"},
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    ctl_misuse("there is no command \"%s\": see tercetctl --help", name);
}

/* -- Ends -------------------------------------------------------------------------------------- */

void ctl_misuse(const char *format, ...)
{
    va_list values;
    char *text = NULL;
    va_start(values, format);
    if (vasprintf(&text, format, values) < 0)
        ctl_die("out of memory");
    va_end(values);
    term_complain("%s", text);
    free(text);
    exit(EXIT_MISUSE);
}

void ctl_die(const char *what)
{
    fprintf(stderr, "tercetctl: %s\n", what);
    _Exit(EXIT_REFUSED);
}

char *ctl_format(const char *format, ...)
{
    va_list values;
    char *text = NULL;
    va_start(values, format);
    int size = vasprintf(&text, format, values);
    va_end(values);
    if (size < 0)
        ctl_die("out of memory");
    return text;
}

void *ctl_resize(void *memory, size_t size)
{
    void *resized = realloc(memory, size);
    if (resized == NULL)
        ctl_die("out of memory");
    return resized;
}

/* -- Option values ----------------------------------------------------------------------------- */

/* A number of at most nine digits; *rest is what follows it. */
static uint64_t take_digits(const char *name, const char *value, const char **rest)
{
    size_t digits = strspn(value, "0123456789");
    if (digits == 0 || digits > 9)
        ctl_misuse("--%s %s: a number of at most nine digits is wanted", name, value);
    *rest = value + digits;
    return strtoull(value, NULL, 10);
}

static int64_t take_duration(const char *name, const char *value)
{
    static const struct {
        const char *suffix;
        int64_t factor;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    const char *suffix;
    int64_t number = (int64_t)take_digits(name, value, &suffix);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(suffix, units[i].suffix) == 0 && number > 0)
            return number * units[i].factor;
    ctl_misuse("--%s %s: a duration is a number with ms, s, m or h, such as 10s", name, value);
}

static uint64_t take_limit(const char *value)
{
    const char *rest;
    uint64_t number = take_digits("limit", value, &rest);
    if (*rest != '\0')
        ctl_misuse("--limit %s: a number is wanted, 0 for all", value);
    return number;
}

static bool take_output(const char *value)
{
    if (strcmp(value, "json") != 0 && strcmp(value, "table") != 0)
        ctl_misuse("--output %s: table or json is wanted", value);
    return strcmp(value, "json") == 0;
}

static void add_state(struct ctl *ctl, const char *value)
{
    static const struct {
        const char *word;
        Tercet__V1__State state;
    } states[STATES_MAX] = {{"trying", TERCET__V1__STATE__TRYING},
                            {"confirming", TERCET__V1__STATE__CONFIRMING},
                            {"cancelling", TERCET__V1__STATE__CANCELLING},
                            {"confirmed", TERCET__V1__STATE__CONFIRMED},
                            {"cancelled", TERCET__V1__STATE__CANCELLED}};
    for (size_t i = 0; i < STATES_MAX; i++) {
        if (strcmp(states[i].word, value) != 0)
            continue;
        for (size_t k = 0; k < ctl->state_count; k++)
            if (ctl->states[k] == states[i].state)
                return;
        ctl->states[ctl->state_count++] = states[i].state;
        return;
    }
    ctl_misuse("--state %s: trying, confirming, cancelling, confirmed or cancelled is wanted",
               value);
}

/* A transaction is listed either among those that are over or among the others: a mixture would
 * silently miss some. */
static void settle_states(struct ctl *ctl)
{
    size_t over = 0;
    for (size_t i = 0; i < ctl->state_count; i++)
        over += ctl->states[i] == TERCET__V1__STATE__CONFIRMED ||
                ctl->states[i] == TERCET__V1__STATE__CANCELLED;
    if (ctl->state_count > 0 && over == ctl->state_count)
        ctl->is_resolved = true;
    if ((over > 0 && over < ctl->state_count) || (ctl->is_resolved && over < ctl->state_count))
        ctl_misuse("confirmed and cancelled transactions are resolved, the other states are not: "
                   "list them one after the other");
}

/* -- Options ----------------------------------------------------------------------------------- */

enum {
    OPTION_COORDINATOR = 256,
    OPTION_TOKEN,
    OPTION_CA,
    OPTION_CERT,
    OPTION_KEY,
    OPTION_TIMEOUT,
    OPTION_STATE,
    OPTION_PARKED,
    OPTION_SERVICE,
    OPTION_RESOLVED,
    OPTION_LIMIT,
    OPTION_REASON,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option long_options[] = {
    {"coordinator", required_argument, NULL, OPTION_COORDINATOR},
    {"token-file", required_argument, NULL, OPTION_TOKEN},
    {"tls-ca", required_argument, NULL, OPTION_CA},
    {"tls-cert", required_argument, NULL, OPTION_CERT},
    {"tls-key", required_argument, NULL, OPTION_KEY},
    {"output", required_argument, NULL, 'o'},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"state", required_argument, NULL, OPTION_STATE},
    {"parked", no_argument, NULL, OPTION_PARKED},
    {"service", required_argument, NULL, OPTION_SERVICE},
    {"resolved", no_argument, NULL, OPTION_RESOLVED},
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"reason", required_argument, NULL, OPTION_REASON},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

struct command_line {
    struct ctl *ctl;
    unsigned given; /* groups of the commands' own options that were used */
    bool wants_help;
};

/* Options that every command has. false: it is another. */
static bool take_common(struct ctl *ctl, int option, const char *value)
{
    switch (option) {
    case OPTION_COORDINATOR:
        ctl->coordinator = value;
        return true;
    case OPTION_TOKEN:
        ctl->token_file = value;
        return true;
    case OPTION_CA:
        ctl->ca_file = value;
        return true;
    case OPTION_CERT:
        ctl->cert_file = value;
        return true;
    case OPTION_KEY:
        ctl->key_file = value;
        return true;
    case 'o':
        ctl->is_json = take_output(value);
        return true;
    case OPTION_TIMEOUT:
        ctl->timeout_ms = take_duration("timeout", value);
        return true;
    }
    return false;
}

static void take_option(struct command_line *line, int option, const char *value)
{
    struct ctl *ctl = line->ctl;
    if (take_common(ctl, option, value))
        return;
    switch (option) {
    case OPTION_STATE:
        add_state(ctl, value);
        break;
    case OPTION_PARKED:
        ctl->is_parked = true;
        break;
    case OPTION_SERVICE:
        ctl->service = value;
        break;
    case OPTION_RESOLVED:
        ctl->is_resolved = true;
        break;
    case OPTION_LIMIT:
        ctl->limit = take_limit(value);
        break;
    case OPTION_REASON:
        ctl->reason = value;
        line->given |= OWN_REASON;
        return;
    case OPTION_HELP:
        line->wants_help = true;
        return;
    case OPTION_VERSION:
        puts("tercetctl " TERCET_VERSION);
        exit(0);
    default:
        exit(EXIT_MISUSE); /* getopt has said what it did not like */
    }
    line->given |= OWN_LS;
}

static void check_common(const struct ctl *ctl)
{
    if (ctl->coordinator[0] == '\0')
        ctl_misuse("--coordinator needs an address, such as " COORDINATOR_DEFAULT);
    if ((ctl->cert_file == NULL) != (ctl->key_file == NULL))
        ctl_misuse("--tls-cert and --tls-key belong together");
}

/* -- Running ----------------------------------------------------------------------------------- */

static int print_help(const char *name)
{
    if (name == NULL) {
        fputs(usage, stdout);
    } else {
        const struct command *command = find_command(name);
        printf(
            "usage: tercetctl [options] %s\n\n%s\nThe options of all commands: tercetctl --help\n",
            command->synopsis, command->help);
    }
    return 0;
}

static int run_command(const struct command_line *line, const char *name)
{
    struct ctl *ctl = line->ctl;
    const struct command *command = find_command(name);
    if (ctl->arg_count < command->args_min || ctl->arg_count > command->args_max ||
        (line->given & ~command->options) != 0)
        ctl_misuse("usage: tercetctl %s", command->synopsis);
    check_common(ctl);
    settle_states(ctl);
    int status = command->run(ctl);
    ctl_close(ctl);
    return status;
}

int main(int argc, char **argv)
{
    const char *address = getenv("TERCET_COORDINATOR");
    struct ctl ctl = {.coordinator =
                          address != NULL && address[0] != '\0' ? address : COORDINATOR_DEFAULT,
                      .limit = LIMIT_DEFAULT};
    struct command_line line = {.ctl = &ctl};
    int option;
    setlocale(LC_CTYPE, "C.UTF-8"); /* without it, all but ASCII is shown escaped */
    while ((option = getopt_long(argc, argv, "o:", long_options, NULL)) != -1)
        take_option(&line, option, optarg);
    const char *name = optind < argc ? argv[optind] : NULL;
    ctl.args = &argv[optind + (name != NULL)];
    ctl.arg_count = argc - optind - (name != NULL);
    if (name == NULL && !line.wants_help)
        ctl_misuse("a command is needed: see tercetctl --help");
    int status = line.wants_help ? print_help(name) : run_command(&line, name);
    if (fflush(stdout) != 0 || ferror(stdout))
        ctl_die(strerror(errno));
    return status;
}
