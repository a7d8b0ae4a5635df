/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands for one transaction or one service: show, watch, retry, settle, confirm, cancel,
 * pause, resume, unregister.
 */
#include "tercetctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* -- Arguments --------------------------------------------------------------------------------- */

char *ctl_take_gid(struct ctl *ctl)
{
    struct tercet_gid gid;
    if (tercet_gid_set(&gid, ctl->args[0]) != 0)
        ctl_misuse("\"%s\" is not a gid: 1 to %d of the characters A-Z a-z 0-9 . _ : -",
                   ctl->args[0], TERCET_GID_MAX);
    ctl->gid = ctl->args[0];
    return ctl->args[0];
}

static uint32_t take_branch(const struct ctl *ctl)
{
    const char *text = ctl->args[1];
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (text[strspn(text, "0123456789")] != '\0' || end == text || number < 1 ||
        number > TERCET_BRANCHES_MAX)
        ctl_misuse("\"%s\" is not a branch: a number from 1 to %d, as tercetctl show has it", text,
                   TERCET_BRANCHES_MAX);
    return (uint32_t)number;
}

static char *take_reason(const struct ctl *ctl)
{
    if (ctl->reason == NULL || ctl->reason[0] == '\0')
        ctl_misuse("say why, with --reason TEXT: it is kept with the transaction");
    return (char *)ctl->reason;
}

/* -- Asking and showing ------------------------------------------------------------------------ */

/* What was done, for people, and the transaction as it is now. */
typedef void (*say_fn)(const Tercet__V1__Transaction *transaction, uint32_t branch);

static int ask_transaction(struct ctl *ctl, const char *method, const ProtobufCMessage *request,
                           say_fn say, uint32_t branch)
{
    ProtobufCMessage *reply = NULL;
    int status = ctl_call(&reply, ctl, method, request);
    if (status != 0)
        return status;
    if (ctl->is_json) {
        ctl_print_message(reply);
    } else {
        if (say != NULL)
            say((const Tercet__V1__Transaction *)reply, branch);
        view_transaction((const Tercet__V1__Transaction *)reply);
        if (ctl->has_history) {
            putchar('\n');
            view_history((const Tercet__V1__Transaction *)reply);
        }
    }
    crpc_message_free(reply);
    return 0;
}

int command_show(struct ctl *ctl)
{
    Tercet__V1__GetRequest request = TERCET__V1__GET_REQUEST__INIT;
    request.gid = ctl_take_gid(ctl);
    request.history = ctl->has_history;
    return ask_transaction(ctl, "Show", &request.base, NULL, 0);
}

int command_history(struct ctl *ctl)
{
    Tercet__V1__GetRequest request = TERCET__V1__GET_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.gid = ctl_take_gid(ctl);
    request.history = true;
    int status = ctl_call(&reply, ctl, "Show", &request.base);
    if (status != 0)
        return status;
    if (ctl->is_json)
        ctl_print_message(reply);
    else
        view_history((const Tercet__V1__Transaction *)reply);
    crpc_message_free(reply);
    return 0;
}

static void say_retried(const Tercet__V1__Transaction *transaction, uint32_t branch)
{
    if (view_is_over(transaction))
        printf("nothing to ask again: the transaction is %s\n\n", view_state(transaction));
    else if (branch == 0)
        puts("every branch that waited is being asked again now\n");
    else
        printf("branch %" PRIu32 " is being asked again now, if it waited\n\n", branch);
}

int command_retry(struct ctl *ctl)
{
    Tercet__V1__RetryRequest request = TERCET__V1__RETRY_REQUEST__INIT;
    if (ctl->is_all)
        return command_bulk(ctl, BULK_RETRY);
    request.gid = ctl_take_gid(ctl);
    request.branch = ctl->arg_count > 1 ? take_branch(ctl) : 0;
    return ask_transaction(ctl, "Retry", &request.base, say_retried, request.branch);
}

static void say_settled(const Tercet__V1__Transaction *transaction, uint32_t branch)
{
    for (size_t i = 0; i < transaction->n_branches; i++)
        if (transaction->branches[i]->number == branch && transaction->branches[i]->settled) {
            printf("branch %" PRIu32 " is settled\n\n", branch);
            return;
        }
    printf("nothing to settle: the transaction is %s\n\n", view_state(transaction));
}

int command_settle(struct ctl *ctl)
{
    Tercet__V1__SettleRequest request = TERCET__V1__SETTLE_REQUEST__INIT;
    request.reason = take_reason(ctl);
    if (ctl->is_all)
        return command_bulk(ctl, BULK_SETTLE);
    request.gid = ctl_take_gid(ctl);
    request.branch = take_branch(ctl);
    request.now = ctl->is_now;
    return ask_transaction(ctl, "Settle", &request.base, say_settled, request.branch);
}

static void say_decided(const Tercet__V1__Transaction *transaction, uint32_t branch)
{
    (void)branch;
    printf("the decision is durable: %s\n\n", view_state(transaction));
}

int command_confirm(struct ctl *ctl)
{
    Tercet__V1__DecideRequest request = TERCET__V1__DECIDE_REQUEST__INIT;
    request.gid = ctl_take_gid(ctl);
    request.confirm = true;
    request.reason = ctl->reason != NULL ? (char *)ctl->reason : request.reason;
    return ask_transaction(ctl, "Decide", &request.base, say_decided, 0);
}

int command_cancel(struct ctl *ctl)
{
    Tercet__V1__DecideRequest request = TERCET__V1__DECIDE_REQUEST__INIT;
    request.reason = take_reason(ctl);
    if (ctl->is_all)
        return command_bulk(ctl, BULK_CANCEL);
    request.gid = ctl_take_gid(ctl);
    return ask_transaction(ctl, "Decide", &request.base, say_decided, 0);
}

/* -- Services ---------------------------------------------------------------------------------- */

/* The answer is empty: as JSON, what was asked is shown. */
static int pause_service(struct ctl *ctl, bool is_pause)
{
    Tercet__V1__PauseRequest request = TERCET__V1__PAUSE_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.service = ctl->args[0];
    request.paused = is_pause;
    int status = ctl_call(&reply, ctl, "Pause", &request.base);
    if (status != 0)
        return status;
    if (ctl->is_json)
        ctl_print_message(&request.base);
    else if (is_pause)
        printf("%s is paused: its calls wait until tercetctl resume %s\n", request.service,
               request.service);
    else
        printf("%s is resumed\n", request.service);
    crpc_message_free(reply);
    return 0;
}

int command_pause(struct ctl *ctl)
{
    return pause_service(ctl, true);
}

int command_resume(struct ctl *ctl)
{
    return pause_service(ctl, false);
}

static int ask_registration(struct ctl *ctl, Tercet__V1__RegisterRequest *request)
{
    ProtobufCMessage *reply = NULL;
    request->service = ctl->args[0];
    if (ctl->arg_count > 1)
        request->target = ctl->args[1];
    int status = ctl_call_of(&reply, ctl, &tercet__v1__participants__descriptor, "RegisterTarget",
                             &request->base);
    if (status != 0)
        return status;
    crpc_message_free(reply);
    if (ctl->is_json)
        ctl_print_message(&request->base);
    return 0;
}

/* Without actions: whatever is asked for. */
int command_register(struct ctl *ctl)
{
    Tercet__V1__RegisterRequest request = TERCET__V1__REGISTER_REQUEST__INIT;
    request.actions = ctl->args + 2;
    request.n_actions = (size_t)ctl->arg_count - 2;
    int status = ask_registration(ctl, &request);
    if (status == 0 && !ctl->is_json)
        printf("%s is called at %s, too: see tercetctl participants\n", request.service,
               request.target);
    return status;
}

static void say_unregistered(const Tercet__V1__RegisterRequest *request)
{
    if (request->remove)
        printf("%s is not called at %s any more\n", request->service, request->target);
    else
        printf("%s has no registered target any more; instances that are attached, if any, are "
               "called as before\n",
               request->service);
}

int command_unregister(struct ctl *ctl)
{
    Tercet__V1__RegisterRequest request = TERCET__V1__REGISTER_REQUEST__INIT;
    request.remove = ctl->arg_count > 1;
    int status = ask_registration(ctl, &request);
    if (status == 0 && !ctl->is_json)
        say_unregistered(&request);
    return status;
}

/* -- watch ------------------------------------------------------------------------------------- */

static void print_change(const struct ctl *ctl, const Tercet__V1__Transaction *transaction)
{
    if (ctl->is_json) {
        ctl_print_json(ctl_json(&transaction->base), true);
        putchar('\n');
    } else {
        size_t parked = view_parked_count(transaction);
        char *reason = term_escape(transaction->reason);
        printf("%s  %-10s  %zu of %zu branches done", figure_time(clock_wall_ms()).text,
               view_state(transaction), view_done_count(transaction), transaction->n_branches);
        if (parked > 0)
            printf(", %zu PARKED", parked);
        if (transaction->state != TERCET__V1__STATE__TRYING)
            printf(", %s", tercet_cause_text((int)transaction->cause));
        printf("%s%s\n", reason[0] != '\0' ? ": " : "", reason);
        free(reason);
    }
    fflush(stdout);
}

/* Prints until the stream ends. Returns whether the last change seen was the transaction's end. */
static bool print_changes(const struct ctl *ctl, struct crpc_stream *stream)
{
    ProtobufCMessage *message = NULL;
    bool is_over = false;
    while (crpc_stream_read(&message, stream) == 0) {
        print_change(ctl, (const Tercet__V1__Transaction *)message);
        is_over = view_is_over((const Tercet__V1__Transaction *)message);
        crpc_message_free(message);
    }
    return is_over;
}

int command_watch(struct ctl *ctl)
{
    Tercet__V1__WatchRequest request = TERCET__V1__WATCH_REQUEST__INIT;
    struct crpc_metadata entries[CTL_METADATA_MAX];
    struct crpc_stream *stream = NULL;
    struct crpc_result result = {0};
    request.gid = ctl_take_gid(ctl);
    ctl_open(ctl);
    struct crpc_call_options options = ctl_call_options(ctl, entries, ctl->timeout_ms);
    int rc = crpc_stream_open(&stream, ctl->channel, &tercet__v1__coordinator__descriptor, "Watch",
                              &options);
    if (rc != 0)
        return ctl_explain(ctl, rc, &result);
    bool is_over = false;
    if (crpc_stream_write(stream, &request.base) == 0 && crpc_stream_half_close(stream) == 0)
        is_over = print_changes(ctl, stream);
    rc = crpc_stream_finish(stream, &result);
    int status = is_over ? 0 : EXIT_REFUSED;
    if (!is_over && rc != 0)
        ctl_explain(ctl, rc, &result);
    else if (!is_over)
        term_complain(
            "the coordinator ended the stream before the transaction ended: watch it again");
    crpc_result_clear(&result);
    return status;
}
