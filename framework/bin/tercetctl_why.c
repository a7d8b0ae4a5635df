/* SPDX-License-Identifier: Apache-2.0
 *
 * why: what a transaction waits for, in sentences, with the commands that help.
 */
#include "cli.h"
#include "tercetctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FINDINGS_MAX 10 /* branches that are told of; the others are counted */
#define COMMANDS_MAX 3

/* One thing that is in the way. Texts are from malloc; NULL: none. */
struct finding {
    const Tercet__V1__BranchStatus *branch; /* NULL: the transaction as a whole */
    char *text;
    char *advice;
    char *commands[COMMANDS_MAX];
    size_t command_count;
};

struct inquiry {
    const struct ctl *ctl;
    const Tercet__V1__Transaction *transaction;
    const Tercet__V1__ListParticipantsResponse *services;
    struct finding findings[FINDINGS_MAX];
    size_t count;
    size_t more; /* branches that wait, too */
};

/* -- Commands ---------------------------------------------------------------------------------- */

/* The word as a shell wants it; from malloc. */
static char *quote(const char *word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "._:/@%+=-";
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0')
        return ctl_format("%s", word);
    char *quoted = ctl_resize(NULL, 4 * strlen(word) + 3);
    char *to = quoted;
    *to++ = '\'';
    for (; *word != '\0'; word++) {
        if (*word == '\'')
            to = stpcpy(to, "'\\'");
        *to++ = *word;
    }
    strcpy(to, "'");
    return quoted;
}

/* Appends " OPTION VALUE" when the value was given on the command line. */
static void append_option(char **command, const char *option, const char *value)
{
    if (value == NULL)
        return;
    char *quoted = quote(value);
    char *longer = ctl_format("%s %s %s", *command, option, quoted);
    free(quoted);
    free(*command);
    *command = longer;
}

/* "tercetctl VERB" with the options that this run was given to reach its coordinator. */
static char *program(const struct ctl *ctl, const char *verb)
{
    char *command = ctl_format("%s", "tercetctl");
    append_option(&command, "--coordinator", ctl->named_coordinator);
    append_option(&command, "--token-file", ctl->token_file);
    append_option(&command, "--tls-ca", ctl->ca_file);
    append_option(&command, "--tls-cert", ctl->cert_file);
    append_option(&command, "--tls-key", ctl->key_file);
    char *whole = ctl_format("%s %s", command, verb);
    free(command);
    return whole;
}

/* "VERB NAME REST", where a name that looks like an option stands behind "--" at the end. */
static void add_command(const struct inquiry *inquiry, struct finding *finding, const char *verb,
                        const char *name, const char *rest)
{
    char *begin = program(inquiry->ctl, verb);
    char *quoted = quote(name);
    bool is_option = name[0] == '-';
    const char *first = is_option ? rest : quoted;
    const char *second = is_option ? quoted : rest;
    if (name[0] == '\0')
        finding->commands[finding->command_count++] = ctl_format("%s", begin);
    else
        finding->commands[finding->command_count++] =
            ctl_format("%s%s%s%s%s%s", begin, first[0] != '\0' ? " " : "", first,
                       is_option ? " --" : "", second[0] != '\0' ? " " : "", second);
    free(quoted);
    free(begin);
}

/* A command for the finding's branch: "VERB GID BRANCH OPTIONS". */
static void add_branch_command(const struct inquiry *inquiry, struct finding *finding,
                               const char *verb, const char *options)
{
    const char *gid = inquiry->transaction->gid;
    char *begin = program(inquiry->ctl, verb);
    char *rest = options[0] != '\0' ? ctl_format(" %s", options) : ctl_format("%s", "");
    uint32_t number = finding->branch->number;
    finding->commands[finding->command_count++] =
        gid[0] == '-' ? ctl_format("%s%s -- %s %" PRIu32, begin, rest, gid, number)
                      : ctl_format("%s %s %" PRIu32 "%s", begin, gid, number, rest);
    free(rest);
    free(begin);
}

/* -- Services ---------------------------------------------------------------------------------- */

static char *service_of(const Tercet__V1__BranchStatus *branch)
{
    return ctl_format("%.*s", (int)strcspn(branch->action, "/"), branch->action);
}

static bool is_served(const Tercet__V1__ParticipantStatus *service)
{
    return service->n_instances > 0 || service->target[0] != '\0';
}

/* Which service may have been meant; from malloc. */
static char *name_others(const struct inquiry *inquiry, const char *wanted)
{
    size_t count = 0;
    const char **names = ctl_resize(NULL, (inquiry->services->n_participants + 1) * sizeof(*names));
    for (size_t i = 0; i < inquiry->services->n_participants; i++)
        if (is_served(inquiry->services->participants[i]))
            names[count++] = inquiry->services->participants[i]->service;
    const char *nearest = cli_nearest(wanted, names, count);
    char *text = nearest != NULL
                     ? ctl_format("Was %s meant? ", nearest)
                     : ctl_format("%s", count > 0 ? "" : "No service is served at all. ");
    free(names);
    return text;
}

/* -- What to say of a branch ------------------------------------------------------------------- */

/* How an undecided transaction is given up, and a decided one brought to its end by hand. */
static void add_way_out(const struct inquiry *inquiry, struct finding *finding)
{
    if (finding->branch->parked)
        add_branch_command(inquiry, finding, "settle", "--reason TEXT");
    else if (inquiry->transaction->state == TERCET__V1__STATE__TRYING)
        add_command(inquiry, finding, "cancel", inquiry->transaction->gid, "--reason TEXT");
    else
        add_branch_command(inquiry, finding, "settle", "--now --reason TEXT");
}

static bool has_instances(const struct inquiry *inquiry, const char *service)
{
    for (size_t i = 0; i < inquiry->services->n_participants; i++)
        if (strcmp(inquiry->services->participants[i]->service, service) == 0)
            return is_served(inquiry->services->participants[i]);
    return false;
}

/* What the coordinator advises, behind a guess at what was meant where nobody serves it. */
static char *advice_of(const struct inquiry *inquiry, const Tercet__V1__Obstacle *obstacle,
                       const char *service)
{
    if (obstacle->waits_for != TERCET__V1__WAITS_FOR__WAITS_FOR_PARTICIPANT ||
        has_instances(inquiry, service))
        return ctl_format("%s", obstacle->advice);
    char *others = name_others(inquiry, service);
    char *advice = ctl_format("%s%s", others, obstacle->advice);
    free(others);
    return advice;
}

static void add_commands(const struct inquiry *inquiry, struct finding *finding,
                         const char *service)
{
    Tercet__V1__WaitsFor waits_for = finding->branch->obstacle->waits_for;
    bool is_failing = waits_for == TERCET__V1__WAITS_FOR__WAITS_FOR_RETRY;
    switch (waits_for) {
    case TERCET__V1__WAITS_FOR__WAITS_FOR_RESUME:
        add_command(inquiry, finding, "resume", service, "");
        break;
    case TERCET__V1__WAITS_FOR__WAITS_FOR_STORE:
        add_command(inquiry, finding, "stats", "", "");
        break;
    case TERCET__V1__WAITS_FOR__WAITS_FOR_ANSWER:
    case TERCET__V1__WAITS_FOR__WAITS_FOR_RETRY:
        add_command(inquiry, finding, "show", inquiry->transaction->gid, "--history");
        if (is_failing)
            add_branch_command(inquiry, finding, "retry", "");
        else
            add_command(inquiry, finding, "participants", "", "");
        add_way_out(inquiry, finding);
        break;
    case TERCET__V1__WAITS_FOR__WAITS_FOR_PARTICIPANT:
    case TERCET__V1__WAITS_FOR__WAITS_FOR_BREAKER:
    case TERCET__V1__WAITS_FOR__WAITS_FOR_ROOM:
        add_command(inquiry, finding, "participants", "", "");
        add_way_out(inquiry, finding);
        break;
    default: /* its turn, or what a newer coordinator knows: the text says it */
        break;
    }
}

/* "its cancel waits: ...; before that, 3 calls failed, the last at instance x: ..." */
static char *describe(const Tercet__V1__Transaction *transaction,
                      const Tercet__V1__BranchStatus *branch)
{
    bool is_trying = transaction->state == TERCET__V1__STATE__TRYING;
    const Tercet__V1__Failures *failures = is_trying ? branch->try_failures : branch->end_failures;
    const char *what = is_trying ? "try" : view_end_name(transaction);
    char *waits = ctl_format("%sits %s waits: %s", branch->parked ? "PARKED: " : "", what,
                             branch->obstacle->text);
    if (failures == NULL || failures->count == 0)
        return waits;
    bool is_said = strstr(branch->obstacle->text, failures->last_error) != NULL;
    char *text = ctl_format("%s; %" PRIu32 " %s failed, the last %s ago%s%s%s%s", waits,
                            failures->count, failures->count == 1 ? "call has" : "calls have",
                            figure_duration(clock_wall_ms() - failures->last_ms).text,
                            failures->last_instance[0] != '\0' ? " at instance " : "",
                            failures->last_instance, is_said ? "" : ": ",
                            is_said ? "" : failures->last_error);
    free(waits);
    return text;
}

static void find_in_branch(struct inquiry *inquiry, const Tercet__V1__BranchStatus *branch)
{
    if (branch->obstacle == NULL)
        return;
    if (inquiry->count == FINDINGS_MAX) {
        inquiry->more++;
        return;
    }
    struct finding *finding = &inquiry->findings[inquiry->count++];
    char *service = service_of(branch);
    finding->branch = branch;
    finding->text = describe(inquiry->transaction, branch);
    finding->advice = advice_of(inquiry, branch->obstacle, service);
    add_commands(inquiry, finding, service);
    free(service);
}

/* -- What to say of the transaction ------------------------------------------------------------ */

static bool is_certain(const Tercet__V1__BranchStatus *branch)
{
    return branch->try_state == TERCET__V1__TRY_STATE__TRY_DONE ||
           branch->try_state == TERCET__V1__TRY_STATE__TRY_OWN;
}

/* "; branch 2 stock/reserve has refused: sold out", of the first that is not certain; from malloc.
 */
static char *describe_uncertain(const Tercet__V1__Transaction *transaction)
{
    size_t i = 0;
    while (i < transaction->n_branches && is_certain(transaction->branches[i]))
        i++;
    if (i == transaction->n_branches)
        return ctl_format("%s", "");
    const Tercet__V1__BranchStatus *branch = transaction->branches[i];
    bool has_refused = branch->try_state == TERCET__V1__TRY_STATE__TRY_REFUSED;
    const char *why = has_refused ? branch->reason : branch->last_error;
    return ctl_format("; branch %" PRIu32 " %s %s%s%s", branch->number, branch->action,
                      has_refused ? "has refused" : "is not known to be done",
                      why[0] != '\0' ? ": " : "", why);
}

static struct figure time_left(int64_t until_ms)
{
    int64_t left_ms = until_ms - clock_wall_ms();
    return figure_duration(left_ms > 0 ? left_ms : 0);
}

static size_t count_tries(const Tercet__V1__Transaction *transaction, Tercet__V1__TryState state)
{
    size_t count = 0;
    for (size_t i = 0; i < transaction->n_branches; i++)
        count += transaction->branches[i]->try_state == state;
    return count;
}

/* What is known of its tries; from malloc. */
static char *describe_tries(const Tercet__V1__Transaction *transaction)
{
    if (transaction->n_branches == 0)
        return ctl_format("%s", "it has no branches yet");
    size_t own = count_tries(transaction, TERCET__V1__TRY_STATE__TRY_OWN);
    char *uncertain = describe_uncertain(transaction);
    char *unseen = own > 0 ? ctl_format("; %zu more the initiator calls itself, and only it "
                                        "knows what came of them",
                                        own)
                           : ctl_format("%s", "");
    char *text = ctl_format("tries known to be done: %zu of %zu%s%s",
                            count_tries(transaction, TERCET__V1__TRY_STATE__TRY_DONE),
                            transaction->n_branches - own, unseen, uncertain);
    free(unseen);
    free(uncertain);
    return text;
}

/* No branch is in the way of an undecided transaction: whoever began it is. Nobody is told to
 * confirm what only the initiator can know. */
static void find_initiator(struct inquiry *inquiry)
{
    const Tercet__V1__Transaction *transaction = inquiry->transaction;
    struct finding *finding = &inquiry->findings[inquiry->count++];
    size_t done = count_tries(transaction, TERCET__V1__TRY_STATE__TRY_DONE);
    char *tries = describe_tries(transaction);
    finding->text = ctl_format("it waits for its initiator, who may add branches, and must confirm "
                               "or cancel; %s",
                               tries);
    free(tries);
    finding->advice = ctl_format("If its initiator is gone, nothing has to be done: the deadline "
                                 "cancels it in %s.",
                                 time_left(transaction->deadline_ms).text);
    add_command(inquiry, finding, "cancel", transaction->gid, "--reason TEXT");
    if (done == transaction->n_branches && done > 0)
        add_command(inquiry, finding, "confirm", transaction->gid, "--reason TEXT");
}

static void inquire(struct inquiry *inquiry)
{
    const Tercet__V1__Transaction *transaction = inquiry->transaction;
    for (size_t i = 0; i < transaction->n_branches; i++)
        find_in_branch(inquiry, transaction->branches[i]);
    if (inquiry->count == 0 && transaction->state == TERCET__V1__STATE__TRYING)
        find_initiator(inquiry);
}

/* An older coordinator does not say whether a try's own time ends before the deadline. */
static char *headline_of_trying(const Tercet__V1__Transaction *transaction, int64_t now_ms)
{
    bool is_told = transaction->cancels_ms != 0;
    struct figure age = figure_duration(now_ms - transaction->created_ms);
    struct figure left = time_left(is_told ? transaction->cancels_ms : transaction->deadline_ms);
    if (transaction->cancels_for != 0)
        return ctl_format("%s is TRYING, not decided in %s; it is cancelled in %s unless the try "
                          "of branch %" PRIu32 " is done by then",
                          transaction->gid, age.text, left.text, transaction->cancels_for);
    return ctl_format("%s is TRYING, not decided in %s; its deadline cancels it in %s%s",
                      transaction->gid, age.text, left.text, is_told ? "" : " at the latest");
}

static char *headline(const Tercet__V1__Transaction *transaction)
{
    const char *state = view_state(transaction);
    int64_t now_ms = clock_wall_ms();
    if (transaction->state == TERCET__V1__STATE__TRYING)
        return headline_of_trying(transaction, now_ms);
    if (view_is_over(transaction))
        return ctl_format("%s is over: %s (%s)", transaction->gid, state,
                          tercet_cause_text((int)transaction->cause));
    return ctl_format("%s is %s (%s), decided %s ago and not over: %zu of %zu branches are done",
                      transaction->gid, state, tercet_cause_text((int)transaction->cause),
                      figure_duration(now_ms - transaction->decided_ms).text,
                      view_done_count(transaction), transaction->n_branches);
}

/* -- Telling it -------------------------------------------------------------------------------- */

static void print_line(size_t indent, const char *text)
{
    char *escaped = term_escape(text);
    term_print_wrapped(indent, escaped);
    free(escaped);
}

static void print_finding(const struct finding *finding)
{
    char *title =
        finding->branch != NULL
            ? ctl_format("branch %" PRIu32 " %s", finding->branch->number, finding->branch->action)
            : ctl_format("%s", "all branches");
    puts("");
    print_line(0, title);
    print_line(2, finding->text);
    if (finding->advice != NULL && finding->advice[0] != '\0')
        print_line(2, finding->advice);
    for (size_t i = 0; i < finding->command_count; i++) {
        char *escaped = term_escape(finding->commands[i]); /* in one piece, to be copied */
        printf("    %s\n", escaped);
        free(escaped);
    }
    free(title);
}

static void print_inquiry(const struct inquiry *inquiry, const char *head)
{
    const Tercet__V1__Transaction *transaction = inquiry->transaction;
    print_line(0, head);
    if (transaction->reason[0] != '\0') {
        char *reason = ctl_format("because: %s", transaction->reason);
        print_line(2, reason);
        free(reason);
    }
    for (size_t i = 0; i < inquiry->count; i++)
        print_finding(&inquiry->findings[i]);
    if (inquiry->more > 0)
        printf("\n%zu more branches wait: tercetctl show has them all\n", inquiry->more);
    if (inquiry->count == 0 && !view_is_over(transaction))
        puts("\nnothing is in its way: ask again");
}

static void add_text(cJSON *object, const char *name, const char *text)
{
    if (cJSON_AddStringToObject(object, name, text != NULL ? text : "") == NULL)
        ctl_die("out of memory");
}

static cJSON *json_of_finding(const struct finding *finding)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *commands = cJSON_AddArrayToObject(object, "commands");
    if (commands == NULL ||
        cJSON_AddNumberToObject(object, "branch",
                                finding->branch != NULL ? finding->branch->number : 0) == NULL)
        ctl_die("out of memory");
    add_text(object, "action", finding->branch != NULL ? finding->branch->action : "");
    add_text(object, "waits_for",
             finding->branch != NULL ? view_enum_name(&tercet__v1__waits_for__descriptor,
                                                      (int)finding->branch->obstacle->waits_for)
                                     : "");
    add_text(object, "text", finding->text);
    add_text(object, "advice", finding->advice);
    for (size_t i = 0; i < finding->command_count; i++)
        cJSON_AddItemToArray(commands, cJSON_CreateString(finding->commands[i]));
    return object;
}

static void print_json(const struct inquiry *inquiry, const char *head)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *findings = cJSON_AddArrayToObject(object, "findings");
    if (findings == NULL)
        ctl_die("out of memory");
    add_text(object, "gid", inquiry->transaction->gid);
    add_text(object, "state", view_state(inquiry->transaction));
    add_text(object, "head", head);
    add_text(object, "reason", inquiry->transaction->reason);
    for (size_t i = 0; i < inquiry->count; i++)
        cJSON_AddItemToArray(findings, json_of_finding(&inquiry->findings[i]));
    ctl_print_json(object, false);
    putchar('\n');
}

static void answer(struct inquiry *inquiry)
{
    char *head = headline(inquiry->transaction);
    inquire(inquiry);
    if (inquiry->ctl->is_json)
        print_json(inquiry, head);
    else
        print_inquiry(inquiry, head);
    for (size_t i = 0; i < inquiry->count; i++) {
        struct finding *finding = &inquiry->findings[i];
        for (size_t k = 0; k < finding->command_count; k++)
            free(finding->commands[k]);
        free(finding->advice);
        free(finding->text);
    }
    free(head);
}

int command_why(struct ctl *ctl)
{
    Tercet__V1__ListParticipantsRequest list = TERCET__V1__LIST_PARTICIPANTS_REQUEST__INIT;
    Tercet__V1__GetRequest request = TERCET__V1__GET_REQUEST__INIT;
    ProtobufCMessage *transaction = NULL, *services = NULL;
    request.gid = ctl_take_gid(ctl);
    int status = ctl_call(&transaction, ctl, "Show", &request.base);
    if (status == 0)
        status = ctl_call(&services, ctl, "ListParticipants", &list.base);
    if (status == 0) {
        struct inquiry inquiry = {.ctl = ctl,
                                  .transaction = (const Tercet__V1__Transaction *)transaction,
                                  .services =
                                      (const Tercet__V1__ListParticipantsResponse *)services};
        answer(&inquiry);
    }
    if (transaction != NULL)
        crpc_message_free(transaction);
    if (services != NULL)
        crpc_message_free(services);
    return status;
}
