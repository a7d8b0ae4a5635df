/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetctl: what operators see and settle. The command line; the commands are in the other files.
 */
#include "tercetctl.h"
#include "cli.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define SYNOPSIS_WIDTH 31
#define ACTIONS_MAX 256
#define COORDINATOR_DEFAULT "127.0.0.1:7420"

/* -- Commands ---------------------------------------------------------------------------------- */

/* Groups of options that only some commands have. */
enum {
    OWN_LS = 1,
    OWN_REASON = 2,
    OWN_FILTER = 4,
    OWN_BULK = 8,
    OWN_NOW = 16,
    OWN_SHOW = 32,
    OWN_GROWTH = 64,
    OWN_LIVE = 128,
    OWN_RUN = 256,
    OWN_WATCH = 512,
    OWN_LIMIT = 1024,
    OWN_AGREE = 2048
};
#define OWN_SIFT (OWN_FILTER | OWN_LIMIT)

#define BULK_HELP                                                                                  \
    " With --all it is for all that the filters let through, at most 1000 (--limit): they are "    \
    "shown, and nothing is done until their number is typed or given with --yes-count; then what " \
    "became of each is told. Exit status then: 0 shown only, or all done; 1 there are not as "     \
    "many "                                                                                        \
    "as were named, or the coordinator cannot be reached; 3 some were refused. AGE is by the "     \
    "clock here."

const struct command ctl_commands[] = {
    {"ls", command_ls, 0, 0, OWN_LS | OWN_SIFT | OWN_LIVE | OWN_WATCH,
     "ls [FILTER]... [--resolved] [--limit N] [--watch]",
     "transactions that are not over yet; --resolved: those that are",
     "Lists transactions that are not over yet, oldest first, with the branch that needs attention "
     "most. DONE is how many of its branches have acknowledged the decision. JSON: "
     "{\"transactions\": [...], \"next_page_token\": \"...\"}; the token is empty when all are "
     "shown. On a terminal a long NOTE is cut; -o wide, a pipe or a file has all of it. With "
     "--watch "
     "the list is shown anew every 2 s (--interval) until you press Ctrl-C."},
    {"show", command_show, 1, 1, OWN_SHOW, "show GID [--history]",
     "one transaction: its state, its times, its branches",
     "Shows a transaction: its state and why, when it was created, decided and resolved, and each "
     "branch with its try, its confirm or cancel, how often that failed, when it is tried next, "
     "the last error, what it waits for."},
    {"why", command_why, 1, 1, 0, "why GID", "why a transaction is not over, and what helps",
     "Says what each branch that is not done waits for (nobody serves its service, it is paused, "
     "its breaker is open, all instances are full, an instance has not answered, its calls fail), "
     "since when, and which commands help. For one that is over: why it was decided so."},
    {"watch", command_watch, 1, 1, 0, "watch GID",
     "prints each change of a transaction until its end",
     "Prints the transaction's state now and at each change, and ends after the last. With -o "
     "json, one object a line. Exit status 1 when the coordinator goes away before the "
     "transaction's end. Needs the role initiator, reader, operator or admin."},
    {"history", command_history, 1, 1, 0, "history GID",
     "the last calls of a transaction's branches",
     "Shows of each branch of which some call has failed the last 16 calls: when, how long each "
     "took, at which instance, what came of it. They are in the memory of tercetd, until the "
     "transaction is over or tercetd is started again."},
    {"top", command_top, 0, 0, OWN_LIVE, "top [--interval DURATION]",
     "the coordinator's load, the oldest work, the services, live",
     "Shows every 2 s (--interval) how many transactions are begun, confirmed and cancelled a "
     "second, how many are under way and parked, the oldest of them, and what waits for each "
     "service, until you press Ctrl-C. Without a terminal, one after the other."},
    {"export", command_export, 0, 0, OWN_SIFT | OWN_LS, "export [FILTER]... [--resolved]",
     "all transactions as JSON, one a line",
     "Prints all transactions that are not over yet, or with --resolved those that are, as JSON, "
     "one a line: for jq, a spreadsheet, an archive. Payloads are not part of it. --limit 0 is the "
     "default."},
    {"run", command_run, 1, TERCET_BRANCHES_MAX, OWN_RUN, "run SERVICE/NAME... [--payload TEXT]",
     "runs a transaction: tries the actions, confirms or cancels them",
     "Begins a transaction with these actions as its branches, all with the same payload, and "
     "waits until it is decided: to try out a participant, and for scripts. Prints the gid, before "
     "it waits to standard error, and how it ended: CONFIRMING and CONFIRMED mean the same for "
     "you, it is decided. Exit status 1 when it was cancelled or no answer came. Needs the role "
     "initiator."},
    {"health", command_health, 0, 0, 0, "health", "whether the coordinator serves: for probes",
     "Asks as load balancers and orchestrators do (grpc.health.v1). Prints SERVING; exit status 1 "
     "when it is not, or cannot be reached."},
    {"config", command_config, 0, 0, 0, "config", "where address, token and certificates come from",
     "Prints how the coordinator would be reached, and where that comes from: the command line, "
     "the variables TERCET_COORDINATOR, TERCET_TOKEN, TERCET_TOKEN_FILE and TERCET_PROFILE, the "
     "profile. As YAML, whatever -o says. A profile is a file "
     "with "
     "lines such as \"coordinator: db1:7420\", for coordinator, token-file, tls-ca, tls-cert, "
     "tls-key, output and timeout: ~/.config/tercet/profile.yaml, or with --profile NAME "
     "~/.config/tercet/NAME.yaml."},
    {"completion", command_completion, 1, 1, 0, "completion bash|zsh|fish",
     "what makes a shell complete commands and options",
     "Prints a script for a shell. bash: source <(tercetctl completion bash), in ~/.bashrc. zsh: "
     "tercetctl completion zsh > a file _tercetctl in a directory of $fpath. fish: tercetctl "
     "completion fish > ~/.config/fish/completions/tercetctl.fish."},
    {"participants", command_participants, 0, 0, 0, "participants",
     "services, their instances, load, breakers, last errors",
     "Lists services: attached instances, calls under way of those they take at once (their "
     "windows), calls that wait, whether the breaker is open or the service paused, and the last "
     "error."},
    {"stats", command_stats, 0, 0, 0, "stats", "the coordinator's figures",
     "Shows the coordinator's figures: whether it takes new work, transactions by state, store and "
     "disk."},
    {"retry", command_retry, 1, 2, OWN_SIFT | OWN_BULK,
     "retry GID [BRANCH], or retry --all [FILTER]... [--yes-count N]",
     "asks waiting and parked branches again now",
     "Asks a branch again now instead of after its pause, or all branches that wait: after the "
     "cause of the failures has been removed. Does no harm when nothing waits." BULK_HELP},
    {"settle", command_settle, 2, 2, OWN_REASON | OWN_SIFT | OWN_BULK | OWN_NOW,
     "settle GID BRANCH --reason TEXT [--now], or settle --all [FILTER]... --reason TEXT [--now] "
     "[--yes-count N]",
     "declares a parked branch resolved by hand",
     "Declares a parked branch resolved, after its effects were put right by hand in the "
     "participant's own database. It is not called any more. The reason is kept with the "
     "transaction. With --now a branch that is not parked is settled, too; the transaction must be "
     "decided." BULK_HELP},
    {"confirm", command_confirm, 1, 1, OWN_REASON, "confirm GID [--reason TEXT]",
     "decides that an undecided transaction is confirmed",
     "Decides that an undecided transaction is confirmed. Every try must be known to be done."},
    {"cancel", command_cancel, 1, 1, OWN_REASON | OWN_SIFT | OWN_BULK,
     "cancel GID --reason TEXT, or cancel --all [FILTER]... --reason TEXT [--yes-count N]",
     "decides that an undecided transaction is cancelled",
     "Decides that an undecided transaction is cancelled. The reason is kept with the "
     "transaction." BULK_HELP},
    {"register", command_register, 2, 2 + ACTIONS_MAX, 0, "register SERVICE TARGET [ACTION]...",
     "calls a participant at its own port, too",
     "Has calls of the service sent to this target, too: host:port, dns:///host:port or "
     "unix:/path, "
     "where tercet.v1.Participant is served. All targets of a service share its calls and must use "
     "the same database. Without actions it is sent whatever is asked for. Participants that "
     "listen register themselves."},
    {"unregister", command_unregister, 1, 2, 0, "unregister SERVICE [TARGET]",
     "removes a registered target, or all of them",
     "Removes a target from those that a service is called at, or, without one, all of them. Calls "
     "under way there are made again elsewhere; what has nowhere to go waits."},
    {"pause", command_pause, 1, 1, 0, "pause SERVICE", "holds the calls of a service back",
     "Holds the calls of a service back, also after a restart of the coordinator, until it is "
     "resumed."},
    {"resume", command_resume, 1, 1, 0, "resume SERVICE", "lets them go again",
     "Lets the calls of a paused service go again."},
    {"audit", command_audit, 0, 1, OWN_LIMIT, "audit [GID] [--limit N]",
     "what operators have done, or asked for in vain",
     "Lists what operators have asked for, the newest first: confirm, cancel, settle, retry, "
     "pause, "
     "resume, register, unregister and gc, from here, from the console or from programs of yours, "
     "when, who, why, and what came of it. With a GID, of that transaction alone. WHO is whose the "
     "token or the certificate is by the access rules of tercetd, and behind it what the caller "
     "says "
     "of itself. tercetd keeps the last 4096 in its store, fewer in one of less than 256M."},
    {"gc", command_gc, 1, 1, OWN_AGREE | OWN_REASON, "gc AGE [--yes [--reason TEXT]]",
     "drops old transactions that are over, before their time",
     "Shows what the store keeps of transactions that are over, and drops with --yes what has been "
     "over for AGE, such as 12h, at least 1h: when the store fills and a shorter --retention is to "
     "come. They are kept in spans of a seventh of the retention, and go span by span, so that "
     "some "
     "that are a little older stay. Who asks again under the gid of one that is gone begins anew: "
     "choose an AGE after which nobody does. What is not over is not touched; barrier rows of "
     "participants go by themselves. The store's file does not shrink: what is freed is used "
     "again. "
     "Needs the role admin."},
    {"check", command_check, 0, 0, 0, "check", "looks for damage in the store, while it is used",
     "Reads the whole store of the running coordinator in small steps, and says what is damaged: "
     "each "
     "record against its checksum, each transaction against its branches, each gid in the index. "
     "Exit status 1 when there is damage. Needs the role admin."},
    {"backup", command_backup, 1, 1, OWN_GROWTH, "backup NAME [--growth SIZE]",
     "copies the store, while it is used, and checks the copy",
     "Copies the store as it is at one moment into the directory NAME below --backup-dir of "
     "tercetd, "
     "on its machine, and checks the copy. While it is copied the store may grow by --growth "
     "(default "
     "1G), since what is freed meanwhile cannot be used again; past it the copying ends and "
     "nothing "
     "is left. Needs the role admin."},
    {"restore", command_restore, 2, 2, 0, "restore BACKUP DIR",
     "puts a backup in the place of a store; offline",
     "Copies the backup in the directory BACKUP beside DIR, reads the copy as a whole (tercetd "
     "--check), and moves it to DIR, which must not be there, or be empty: stop tercetd and move "
     "its "
     "store away first. Needs no coordinator. When something is wrong, DIR is as it was. Decisions "
     "that were made after the backup are unknown to it: see \"Backups\" in operations.md."},
    {"log-level", command_log_level, 0, 1, 0, "log-level [LEVEL|PART=LEVEL,...]",
     "shows or sets what tercetd logs, until its next start",
     "Sets from which level on tercetd logs: error, warning, info or debug for all parts of the "
     "log, or "
     "for some, such as info,store=debug. Parts: transactions, participants, store, connections. "
     "Without an argument, shows the levels. Needs the role admin."},
};
#define COMMAND_COUNT (sizeof(ctl_commands) / sizeof(ctl_commands[0]))
const size_t ctl_command_count = COMMAND_COUNT;

static const struct command *find_command(const char *name)
{
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(ctl_commands[i].name, name) == 0)
            return &ctl_commands[i];
        names[i] = ctl_commands[i].name;
    }
    const char *nearest = cli_nearest(name, names, COMMAND_COUNT);
    if (nearest == NULL)
        ctl_misuse("there is no command \"%s\": see tercetctl --help", name);
    ctl_misuse("there is no command \"%s\": did you mean \"%s\"? See tercetctl --help", name,
               nearest);
}

/* -- Option values ----------------------------------------------------------------------------- */

static const char *take_limit(void *values, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    if (digits == 0 || digits > 9 || value[digits] != '\0')
        return "a number of at most nine digits is wanted, 0 for all";
    ((struct ctl *)values)->limit = strtoull(value, NULL, 10);
    return NULL;
}

static const char *take_yes_count(void *values, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    if (digits == 0 || digits > 9 || value[digits] != '\0')
        return "the number of items is wanted, as it was shown";
    ((struct ctl *)values)->yes_count = strtoull(value, NULL, 10);
    return NULL;
}

static const char *take_output(void *values, const char *value)
{
    struct ctl *ctl = values;
    ctl->is_wide = strcmp(value, "wide") == 0;
    ctl->is_yaml = strcmp(value, "yaml") == 0;
    ctl->is_json = ctl->is_yaml || strcmp(value, "json") == 0;
    return ctl->is_json || ctl->is_wide || strcmp(value, "table") == 0
               ? NULL
               : "table, wide, json or yaml is wanted";
}

static const char *take_state(void *values, const char *value)
{
    struct ctl *ctl = values;
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
                return NULL;
        ctl->states[ctl->state_count++] = states[i].state;
        return NULL;
    }
    return "trying, confirming, cancelling, confirmed or cancelled is wanted";
}

static const char *take_metadata(void *values, const char *value)
{
    struct ctl *ctl = values;
    const size_t key_size = strcspn(value, "=");
    if (key_size == 0)
        return "a key is wanted, or KEY=VALUE";
    if (ctl->metadata_count == TERCET_METADATA_MAX)
        return "at most 16 of them";
    Tercet__V1__Metadata *wanted = &ctl->metadata[ctl->metadata_count++];
    tercet__v1__metadata__init(wanted);
    wanted->key = ctl_format("%.*s", (int)key_size, value); /* freed with the link */
    wanted->value = (char *)(uintptr_t)(value[key_size] == '=' ? value + key_size + 1 : "");
    return NULL;
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

#define FIELD(member) offsetof(struct ctl, member)

static const struct cli_option options[] = {
    {"coordinator", CLI_TEXT, FIELD(coordinator), "ADDRESS",
     .help =
         "host, host:port (port 7420 unless given) or unix:/path; else TERCET_COORDINATOR or the "
         "profile says it",
     .unless = COORDINATOR_DEFAULT},
    {"profile", CLI_TEXT, FIELD(profile), "NAME",
     .help = "the options of ~/.config/tercet/NAME.yaml, or of a file; else TERCET_PROFILE says it "
             "(see config)",
     .traits = CLI_LINE_ONLY, .unless = "profile"},
    {"token-file", CLI_TEXT, FIELD(token_file), "FILE",
     .help = "a token of the role reader, operator or admin (default: that in TERCET_TOKEN)"},
    {"tls-ca", CLI_TEXT, FIELD(ca_file), "FILE",
     .help = "use TLS; the coordinator's certificate is signed by this CA"},
    {"tls-cert", CLI_TEXT, FIELD(cert_file), "FILE", .help = "our own certificate, PEM",
     .needs = {"tls-key"}},
    {"tls-key", CLI_TEXT, FIELD(key_file), "FILE", .help = "its key, PEM", .needs = {"tls-cert"}},
    {"output", CLI_OTHER, 0, "table|wide|json|yaml", .help = "how to print; wide: with nothing cut",
     .unless = "table", .take = take_output, .letter = 'o'},
    {"timeout", CLI_DURATION, FIELD(timeout_ms), "DURATION",
     .help = "how long to wait for an answer (default 10s; watch: no limit)"},
    {"help", CLI_FLAG, FIELD(wants_help), NULL, .help = "this text, or that of a command",
     .traits = CLI_LINE_ONLY},
    {"version", CLI_FLAG, FIELD(wants_version), NULL, .help = "the version",
     .traits = CLI_LINE_ONLY},

    {"state", CLI_OTHER, 0, "STATE",
     .help = "only those that are trying, confirming, cancelling, confirmed or cancelled; may be "
             "repeated; confirmed and cancelled imply --resolved",
     .take = take_state, .group = OWN_FILTER},
    {"parked", CLI_FLAG, FIELD(is_parked), NULL,
     .help = "only those with a branch that needs a person", .group = OWN_FILTER},
    {"service", CLI_TEXT, FIELD(service), "SERVICE",
     .help = "only those with a branch of this service", .group = OWN_FILTER},
    {"metadata", CLI_OTHER, 0, "KEY[=VALUE]",
     .help = "only those begun with this metadata, such as order=1234; may be repeated",
     .take = take_metadata, .group = OWN_FILTER},
    {"resolved", CLI_FLAG, FIELD(is_resolved), NULL,
     .help = "those that are over, newest first, as long as tercetd keeps them", .group = OWN_LS},
    {"limit", CLI_OTHER, 0, "N",
     .help = "at most N (ls, audit: default 100, 0 for all; --all: default 1000, at most 10000)",
     .take = take_limit, .group = OWN_LIMIT},
    {"all", CLI_FLAG, FIELD(is_all), NULL, .help = "all that these filters let through",
     .group = OWN_BULK},
    {"action", CLI_TEXT, FIELD(action), "SERVICE/NAME",
     .help = "only those with a branch with this action", .group = OWN_FILTER},
    {"older-than", CLI_DURATION, FIELD(older_than_ms), "DURATION",
     .help = "only those that were begun so long ago", .group = OWN_FILTER},
    {"text", CLI_TEXT, FIELD(text), "TEXT",
     .help = "only those that have this text in gid, reason, metadata, action or last error",
     .group = OWN_FILTER},
    {"watch", CLI_FLAG, FIELD(is_watched), NULL, .help = "again and again", .group = OWN_WATCH},
    {"interval", CLI_DURATION, FIELD(interval_ms), "DURATION", .help = "how often", .unless = "2s",
     .group = OWN_LIVE},
    {"payload", CLI_TEXT, FIELD(payload), "TEXT", .help = "what the actions' hooks are given",
     .group = OWN_RUN},
    {"yes-count", CLI_OTHER, 0, "N", .help = "do it, if there are N", .take = take_yes_count,
     .needs = {"all"}, .group = OWN_BULK},
    {"yes", CLI_FLAG, FIELD(is_agreed), NULL, .help = "do it; without it, it is only shown",
     .group = OWN_AGREE},
    {"growth", CLI_SIZE, FIELD(growth_bytes), "SIZE",
     .help = "by how much the store may grow meanwhile (default 1G)", .group = OWN_GROWTH},
    {"reason", CLI_TEXT, FIELD(reason), "TEXT", .help = "why; kept with the transaction",
     .group = OWN_REASON},
    {"history", CLI_FLAG, FIELD(has_history), NULL,
     .help = "with the last 16 calls of each branch that has failed", .group = OWN_SHOW},
    {"now", CLI_FLAG, FIELD(is_now), NULL, .help = "also a branch that is not parked",
     .group = OWN_NOW},
};

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

/* -- Running ----------------------------------------------------------------------------------- */

static void print_command_help(const struct cli *cli, const struct command *command)
{
    char *usage = ctl_format("usage: tercetctl [options] %s", command->synopsis);
    cli_print_wrapped(usage, sizeof("usage: ") - 1);
    free(usage);
    puts("");
    cli_print_wrapped(command->help, 0);
    if (command->options != 0) {
        puts("");
        cli_print_options(cli, command->options);
    }
    puts("\nThe options of all commands: tercetctl --help");
}

static void print_help(const struct cli *cli)
{
    puts("usage: tercetctl [options] COMMAND [arguments]\n\n"
         "Shows and settles what a transaction coordinator (tercetd) holds.\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *command = &ctl_commands[i];
        bool is_long = strlen(command->synopsis) > SYNOPSIS_WIDTH;
        printf("  %-*s  %s\n", SYNOPSIS_WIDTH, is_long ? command->name : command->synopsis,
               command->summary);
    }
    puts("\ntercetctl --help COMMAND says more, and which options of its own it has.\n");
    cli_print_options(cli, 0);
    puts(
        "\nDURATION: 500ms, 10s, 5m, 2h. JSON has the fields of tercet.proto under their names "
        "there.\n"
        "Environment: TERCET_COORDINATOR, TERCET_TOKEN, TERCET_TOKEN_FILE, TERCET_PROFILE.\n"
        "Exit status: 0 done, 1 the coordinator said no or cannot be reached, 2 wrong usage, 3 of\n"
        "many (--all) some were refused.");
}

static int run_command(struct ctl *ctl, unsigned given, const char *name)
{
    const struct command *command = find_command(name);
    bool takes_many = (command->options & OWN_BULK) != 0;
    int args_min = ctl->is_all ? 0 : command->args_min;
    int args_max = ctl->is_all ? 0 : command->args_max;
    if (ctl->arg_count < args_min || ctl->arg_count > args_max || (given & ~command->options) != 0)
        ctl_misuse("usage: tercetctl %s", command->synopsis);
    if (takes_many && !ctl->is_all && (given & OWN_SIFT) != 0)
        ctl_misuse("filters are for many: say --all, or name one transaction without them");
    if (ctl->coordinator[0] == '\0')
        ctl_misuse("--coordinator needs an address, such as " COORDINATOR_DEFAULT);
    settle_states(ctl);
    if (ctl->is_yaml)
        yaml_begin();
    int status = command->run(ctl);
    if (ctl->is_yaml)
        yaml_finish();
    ctl_close(ctl);
    return status;
}

static int run(const struct cli *cli, struct ctl *ctl)
{
    const bool is_help = cli->arg_count > 0 && strcmp(cli->args[0], "help") == 0;
    const char *name = cli->arg_count > is_help ? cli->args[is_help] : NULL;
    if (cli->arg_count > 2 && is_help)
        ctl_misuse("usage: tercetctl help [COMMAND]");
    if (ctl->wants_help && name != NULL)
        print_command_help(cli, find_command(name));
    else if (ctl->wants_help)
        print_help(cli);
    else if (ctl->wants_version)
        puts("tercetctl " TERCET_VERSION);
    if (ctl->wants_help || ctl->wants_version)
        return 0;
    if (name == NULL)
        ctl_misuse("a command is needed: see tercetctl --help");
    ctl->args = cli->args + 1;
    ctl->arg_count = cli->arg_count - 1;
    return run_command(ctl, cli->groups, name);
}

struct cli ctl_cli(void)
{
    static struct cli_option made[OPTION_COUNT];
    memcpy(made, options, sizeof(options));
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (made[i].group != 0)
            made[i].traits |= CLI_LINE_ONLY; /* a filter in a profile would surprise */
    return (struct cli){.program = "tercetctl",
                        .options = made,
                        .option_count = OPTION_COUNT,
                        .misuse = ctl_misuse};
}

int main(int argc, char **argv)
{
    static struct ctl ctl = {.limit = UINT64_MAX, .yes_count = UINT64_MAX};
    static struct cli_origins origins;
    struct cli cli = ctl_cli();
    cli.values = &ctl;
    cli.origins = &origins;
    setlocale(LC_CTYPE, "C.UTF-8"); /* without it, all but ASCII is shown escaped */
    cli_parse(&cli, argc, argv);
    ctl.named_coordinator = ctl.coordinator;
    if (cli.arg_count > 0 && strcmp(cli.args[0], "help") == 0)
        ctl.wants_help = true;
    profile_read(&cli, &ctl);
    if (ctl.coordinator == NULL)
        ctl.coordinator = COORDINATOR_DEFAULT;
    int status = run(&cli, &ctl);
    if (fflush(stdout) != 0 || ferror(stdout))
        ctl_die(strerror(errno));
    return status;
}
