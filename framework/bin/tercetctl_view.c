/* SPDX-License-Identifier: Apache-2.0
 *
 * A transaction as a person wants to see it.
 */
#include "tercetctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *view_enum_name(const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(type, value);
    return known != NULL ? known->name : "?";
}

const char *view_state(const Tercet__V1__Transaction *transaction)
{
    return view_enum_name(&tercet__v1__state__descriptor, (int)transaction->state);
}

bool view_is_over(const Tercet__V1__Transaction *transaction)
{
    return transaction->state == TERCET__V1__STATE__CONFIRMED ||
           transaction->state == TERCET__V1__STATE__CANCELLED;
}

size_t view_done_count(const Tercet__V1__Transaction *transaction)
{
    size_t count = 0;
    for (size_t i = 0; i < transaction->n_branches; i++)
        count += transaction->branches[i]->end_state == TERCET__V1__END_STATE__END_DONE;
    return count;
}

size_t view_parked_count(const Tercet__V1__Transaction *transaction)
{
    size_t count = 0;
    for (size_t i = 0; i < transaction->n_branches; i++)
        count += transaction->branches[i]->parked != 0;
    return count;
}

/* How much a person is needed. */
static int urgency(const Tercet__V1__BranchStatus *branch)
{
    if (branch->parked)
        return 4;
    switch (branch->obstacle != NULL ? branch->obstacle->waits_for
                                     : TERCET__V1__WAITS_FOR__WAITS_FOR_NOTHING) {
    case TERCET__V1__WAITS_FOR__WAITS_FOR_PARTICIPANT:
    case TERCET__V1__WAITS_FOR__WAITS_FOR_RESUME:
    case TERCET__V1__WAITS_FOR__WAITS_FOR_BREAKER:
    case TERCET__V1__WAITS_FOR__WAITS_FOR_ROOM:
        return 3;
    case TERCET__V1__WAITS_FOR__WAITS_FOR_ANSWER:
        return branch->last_error[0] != '\0' ? 2 : 1;
    default:
        return branch->last_error[0] != '\0' ? 2 : 0;
    }
}

const Tercet__V1__BranchStatus *view_worst(const Tercet__V1__Transaction *transaction)
{
    const Tercet__V1__BranchStatus *worst = NULL;
    for (size_t i = 0; i < transaction->n_branches; i++) {
        const Tercet__V1__BranchStatus *branch = transaction->branches[i];
        if (urgency(branch) > (worst != NULL ? urgency(worst) : 0))
            worst = branch;
    }
    return worst;
}

const char *view_trouble(const Tercet__V1__BranchStatus *branch)
{
    bool is_held_up = branch->obstacle != NULL && branch->obstacle->text[0] != '\0';
    bool is_failing = branch->last_error[0] != '\0';
    if (is_held_up && (urgency(branch) == 3 || !is_failing))
        return branch->obstacle->text;
    return branch->last_error;
}

/* -- The head ---------------------------------------------------------------------------------- */

/* "  label     text", escaped, wrapped. */
static void print_fact(const char *label, const char *text)
{
    char *plain = ctl_format("%-9s %s", label, text);
    char *escaped = term_escape(plain);
    term_print_wrapped(2, escaped);
    free(escaped);
    free(plain);
}

static void print_head(const Tercet__V1__Transaction *transaction)
{
    char *state = transaction->state == TERCET__V1__STATE__TRYING
                      ? ctl_format("TRYING: not decided yet")
                      : ctl_format("%s: %s", view_state(transaction),
                                   tercet_cause_text((int)transaction->cause));
    char *number = ctl_format("%" PRIu64, transaction->number);
    char *title = ctl_format("transaction %s", transaction->gid);
    char *escaped = term_escape(title);
    puts(escaped);
    print_fact("state", state);
    if (transaction->reason[0] != '\0')
        print_fact("reason", transaction->reason);
    if (transaction->parked)
        print_fact("PARKED", "a branch needs a person: see below");
    print_fact("number", number);
    for (size_t i = 0; i < transaction->n_metadata; i++) {
        char *entry =
            ctl_format("%s=%s", transaction->metadata[i]->key, transaction->metadata[i]->value);
        print_fact(i == 0 ? "metadata" : "", entry);
        free(entry);
    }
    free(escaped);
    free(title);
    free(number);
    free(state);
}

/* -- The timeline ------------------------------------------------------------------------------ */

/* A moment, and how long after (or before) another one it was. */
static void print_moment(const char *label, int64_t ms, const char *relation, int64_t distance_ms)
{
    char *text =
        ctl_format("%s  %s %s", figure_time(ms).text, figure_duration(distance_ms).text, relation);
    print_fact(label, text);
    free(text);
}

static void print_waiting(const char *label, const char *since, int64_t ms)
{
    char *text = ctl_format("not yet: %s since %s", figure_duration(ms).text, since);
    print_fact(label, text);
    free(text);
}

static void print_deadline(int64_t deadline_ms, int64_t now_ms)
{
    if (deadline_ms > now_ms)
        print_moment("deadline", deadline_ms, "from now", deadline_ms - now_ms);
    else
        print_moment("deadline", deadline_ms, "ago", now_ms - deadline_ms);
}

/* Where a try's own time ends before the deadline. */
static void print_cancels(const Tercet__V1__Transaction *transaction, int64_t now_ms)
{
    if (transaction->cancels_for == 0)
        return;
    char *unless = ctl_format("from now, unless the try of branch %" PRIu32 " is done",
                              transaction->cancels_for);
    int64_t left_ms = transaction->cancels_ms - now_ms;
    print_moment("cancelled", transaction->cancels_ms, unless, left_ms > 0 ? left_ms : 0);
    free(unless);
}

static void print_timeline(const Tercet__V1__Transaction *transaction)
{
    int64_t now_ms = clock_wall_ms();
    puts("\ntimeline");
    print_moment("created", transaction->created_ms, "ago", now_ms - transaction->created_ms);
    if (transaction->decided_ms == 0) {
        print_cancels(transaction, now_ms);
        print_deadline(transaction->deadline_ms, now_ms);
        print_waiting("decided", "it was created", now_ms - transaction->created_ms);
        return;
    }
    print_moment("decided", transaction->decided_ms, "after it was created",
                 transaction->decided_ms - transaction->created_ms);
    if (transaction->resolved_ms == 0)
        print_waiting("resolved", "the decision", now_ms - transaction->decided_ms);
    else
        print_moment("resolved", transaction->resolved_ms, "after the decision",
                     transaction->resolved_ms - transaction->decided_ms);
}

/* -- The branches ------------------------------------------------------------------------------ */

static const char *try_word(Tercet__V1__TryState state)
{
    static const char *const words[] = {"?",    "own",     "waiting", "calling",
                                        "done", "refused", "unknown"};
    return (size_t)state < sizeof(words) / sizeof(words[0]) ? words[state] : "?";
}

static const char *end_word(Tercet__V1__EndState state)
{
    static const char *const words[] = {"-", "waiting", "calling", "done"};
    return (size_t)state < sizeof(words) / sizeof(words[0]) ? words[state] : "?";
}

static struct figure next_attempt(const Tercet__V1__BranchStatus *branch)
{
    bool is_decided = branch->end_state != TERCET__V1__END_STATE__END_NONE;
    if (branch->next_attempt_ms != 0)
        return figure_duration(branch->next_attempt_ms);
    if (is_decided ? branch->end_state == TERCET__V1__END_STATE__END_CALLING
                   : branch->try_state == TERCET__V1__TRY_STATE__TRY_CALLING)
        return (struct figure){"now"};
    if (is_decided ? branch->end_state == TERCET__V1__END_STATE__END_WAITING
                   : branch->try_state == TERCET__V1__TRY_STATE__TRY_WAITING)
        return (struct figure){"due"};
    return (struct figure){"-"};
}

static bool is_left_out(const Tercet__V1__Transaction *transaction,
                        const Tercet__V1__BranchStatus *branch)
{
    bool is_confirm = transaction->state == TERCET__V1__STATE__CONFIRMING ||
                      transaction->state == TERCET__V1__STATE__CONFIRMED;
    return is_confirm && branch->owed == TERCET__V1__OWED__OWED_CANCEL;
}

/* What failed of one phase, and who answered in the end. */
static void note_failures(struct table *table, const char *what,
                          const Tercet__V1__Failures *failures)
{
    if (failures == NULL)
        return;
    if (failures->count > 0)
        table_note(table, "%s: %" PRIu32 " calls failed, the last %s ago%s%s", what,
                   failures->count, figure_duration(clock_wall_ms() - failures->last_ms).text,
                   failures->last_instance[0] != '\0' ? " at instance " : "",
                   failures->last_instance);
    if (failures->last_error[0] != '\0')
        table_note(table, "last error: %s", failures->last_error);
    if (failures->answered_by[0] != '\0')
        table_note(table, "%s: answered by instance %s", what, failures->answered_by);
}

static void add_notes(struct table *table, const Tercet__V1__Transaction *transaction,
                      const Tercet__V1__BranchStatus *branch)
{
    if (branch->owed == TERCET__V1__OWED__OWED_NOTHING)
        table_note(table, "its try was never sent to anybody: nothing to undo");
    if (is_left_out(transaction, branch))
        table_note(table, "left out of the confirmation: cancelled");
    if (branch->settled)
        table_note(table, "settled by a person: %s", branch->reason);
    else if (branch->reason[0] != '\0')
        table_note(table, "reason: %s", branch->reason);
    note_failures(table, "try", branch->try_failures);
    note_failures(table, view_end_name(transaction), branch->end_failures);
    if (branch->try_failures == NULL && branch->end_failures == NULL &&
        branch->last_error[0] != '\0')
        table_note(table, "last error: %s", branch->last_error); /* of an older coordinator */
    if (branch->obstacle != NULL)
        table_note(table, "waits: %s", branch->obstacle->text);
    if (branch->try_until_ms != 0)
        table_note(table, "try: not known after %s", figure_time(branch->try_until_ms).text);
    if (branch->broken)
        table_note(table, "BROKEN PROMISE: the participant's rows contradict the decision");
    if (!branch->parked)
        return;
    table_note(table, "PARKED: remove the cause, then: tercetctl retry %s %" PRIu32,
               transaction->gid, branch->number);
    table_note(table,
               "or put it right by hand, then: tercetctl settle %s %" PRIu32 " --reason TEXT",
               transaction->gid, branch->number);
}

const char *view_end_name(const Tercet__V1__Transaction *transaction)
{
    bool is_cancel = transaction->state == TERCET__V1__STATE__CANCELLING ||
                     transaction->state == TERCET__V1__STATE__CANCELLED;
    return is_cancel ? "cancel" : "confirm";
}

static void print_branches(const Tercet__V1__Transaction *transaction)
{
    bool is_cancel = strcmp(view_end_name(transaction), "cancel") == 0;
    const char *const headers[] = {"BRANCH",   "TRY",  is_cancel ? "CANCEL" : "CONFIRM",
                                   "FAILURES", "NEXT", "ACTION"};
    struct table table = {.headers = headers, .column_count = sizeof(headers) / sizeof(headers[0])};
    if (transaction->n_branches == 0) {
        puts("\nno branches");
        return;
    }
    puts("");
    for (size_t i = 0; i < transaction->n_branches; i++) {
        const Tercet__V1__BranchStatus *branch = transaction->branches[i];
        table_cell(&table, "%" PRIu32, branch->number);
        table_cell(&table, "%s", try_word(branch->try_state));
        table_cell(&table, "%s", end_word(branch->end_state));
        table_cell(&table, "%" PRIu32, branch->attempts);
        table_cell(&table, "%s", next_attempt(branch).text);
        table_cell(&table, "%s", branch->action);
        add_notes(&table, transaction, branch);
    }
    table_flush(&table);
}

/* -- Attempts ---------------------------------------------------------------------------------- */

static const char *outcome_word(const Tercet__V1__Attempt *attempt)
{
    switch (attempt->outcome) {
    case TERCET__V1__OUTCOME__DONE:
        return attempt->error[0] != '\0' ? "not kept" : "done";
    case TERCET__V1__OUTCOME__REFUSAL:
        return "refused";
    case TERCET__V1__OUTCOME__AGAIN:
        return "again";
    case TERCET__V1__OUTCOME__BROKEN:
        return "broken";
    default:
        return "no answer";
    }
}

static const char *kind_word(Tercet__V1__Kind kind)
{
    return kind == TERCET__V1__KIND__TRY       ? "try"
           : kind == TERCET__V1__KIND__CONFIRM ? "confirm"
                                               : "cancel";
}

static void add_attempt(struct table *table, const Tercet__V1__BranchStatus *branch,
                        const Tercet__V1__Attempt *attempt)
{
    table_cell(table, "%" PRIu32, branch->number);
    table_cell(table, "%s", figure_time(attempt->ended_ms).text);
    table_cell(table, "%s", kind_word(attempt->kind));
    table_cell(table, "%s", figure_duration(attempt->took_ms).text);
    table_cell(table, "%s", outcome_word(attempt));
    table_cell(table, "%s", attempt->instance);
    if (attempt->error[0] != '\0')
        table_note(table, "%s", attempt->error);
}

void view_history(const Tercet__V1__Transaction *transaction)
{
    static const char *const headers[] = {"BRANCH", "ENDED", "CALL", "TOOK", "OUTCOME", "INSTANCE"};
    struct table table = {.headers = headers, .column_count = sizeof(headers) / sizeof(headers[0])};
    for (size_t i = 0; i < transaction->n_branches; i++) {
        const Tercet__V1__BranchStatus *branch = transaction->branches[i];
        for (size_t k = 0; k < branch->n_history; k++)
            add_attempt(&table, branch, branch->history[k]);
    }
    if (table.cell_count == 0) {
        puts(view_is_over(transaction)
                 ? "no attempts are kept of a transaction that is over: the sums are above"
                 : "no call has failed since tercetd was started");
        return;
    }
    puts("attempts, of branches whose calls failed: the last 16, since tercetd was started");
    table_flush(&table);
}

void view_transaction(const Tercet__V1__Transaction *transaction)
{
    print_head(transaction);
    print_timeline(transaction);
    print_branches(transaction);
}
